"""What every bijector must fulfil, and builders of all over vectors."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose

from tfgen.bijectors import autoregressive as ar
from tfgen.bijectors import coupling as cp
from tfgen.bijectors.bijector import Chain, Given, Invert
from tfgen.bijectors.elementwise import Permute, Sigmoid
from tfgen.bijectors.planar import Planar, Radial, Sylvester

SIZE, CONTEXT = 3, 2


def _affine():
    network = cp.coupling_network(SIZE, (8,), "tanh", CONTEXT)
    return cp.AffineCoupling(network, cp.alternating_mask(SIZE))


def _spline():
    network = cp.coupling_network(SIZE, (8,), "tanh", CONTEXT, num_parameters=3 * 4 - 1)
    return cp.SplineCoupling(network, cp.alternating_mask(SIZE), num_bins=4, bound=2.0)


def _autoregressive():
    return ar.MaskedAutoregressive(SIZE, hidden=(8,), activation="tanh", context_size=CONTEXT)


# All classes; the names of those with a context end in "context".
BUILDERS = {
    "planar": lambda: Planar(SIZE, num_steps=3),
    "planar_context": lambda: Planar(SIZE, num_steps=3, context_size=CONTEXT),
    "sylvester": lambda: Sylvester(SIZE, rank=3, num_steps=2),
    "sylvester_context": lambda: Sylvester(SIZE, 2, num_steps=3, context_size=CONTEXT),
    "radial_context": lambda: Radial(SIZE, num_steps=2, context_size=CONTEXT),
    "maf": lambda: ar.maf(SIZE, num_steps=2, hidden=(8,), activation="tanh"),
    "iaf_context": lambda: ar.iaf(SIZE, num_steps=1, hidden=(8, 8), context_size=CONTEXT),
    "affine_context": _affine,
    "spline_context": _spline,
    "given": lambda: Given(_affine(), [0.5, -1.0]),
    "given_of_chain": lambda: Given(Chain([_spline(), _autoregressive()]), (1, 0)),
    "sigmoid": lambda: Sigmoid(SIZE, alpha=0.05),
    "chain": lambda: Chain([Sigmoid(SIZE), Permute(SIZE, (1, 2, 0)), Invert(Sigmoid(SIZE))]),
}


def pytest_generate_tests(metafunc):
    """Runs a test that asks for `bijector_name` once for every bijector in `BUILDERS`."""
    if "bijector_name" in metafunc.fixturenames:
        metafunc.parametrize("bijector_name", BUILDERS)


@pytest.fixture(scope="session")
def build_bijector():
    """Function from a name to a new bijector, with the initial weights of seed 0."""

    def build(name):
        keras.utils.set_random_seed(0)
        return BUILDERS[name]()

    return build


@pytest.fixture(scope="session")
def perturb():
    """Function that adds noise to all weights of a layer, so that none is zero; returns it."""

    def add_noise(layer, stddev=0.3):
        rng = np.random.default_rng(1)
        for weight in layer.trainable_variables:
            weight.assign_add(stddev * rng.normal(size=weight.shape))
        return layer

    return add_noise


@pytest.fixture(scope="session")
def jacobian():
    """Function from a map of tensors and a batch to its Jacobians by autodiff, as matrices."""

    def by_autodiff(function, x):
        x = tf.convert_to_tensor(x)
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(x)
            y = function(x)
        matrices = tape.batch_jacobian(y, x, experimental_use_pfor=False)
        size = np.prod(x.shape[1:])
        return np.reshape(matrices, (-1, size, size))

    return by_autodiff


def _has_inverse(bijector, y, context):
    try:
        bijector.inverse(y, context)
    except NotImplementedError:
        return False
    return True


def _check_leading_axes(bijector, x, context):
    """A further axis in front gives what its slices give, which share the context."""
    several = tf.stack([x, -0.5 * x])
    together = bijector.forward(several, context)
    apart = [bijector.forward(part, context) for part in several]
    for values, *slices in zip(together, *apart, strict=True):
        assert_allclose(values, tf.stack(slices), rtol=1e-5, atol=1e-5)


def _check_config(bijector, x, context):
    """A copy by JSON with the same weights is the same map."""
    config = json.dumps(keras.saving.serialize_keras_object(bijector))
    copy = keras.saving.deserialize_keras_object(json.loads(config))
    copy.set_weights(bijector.get_weights())
    for ours, theirs in zip(bijector.forward(x, context), copy.forward(x, context), strict=True):
        assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6)


def _check_compiled_gradients(bijector, x, context, invertible):
    """XLA gives the same values and gradients, and every weight has a gradient."""
    maps = [bijector.forward, bijector.inverse] if invertible else [bijector.forward]
    weights = bijector.trainable_variables

    def values_and_gradients(x):
        with tf.GradientTape() as tape:
            outputs = [output for map_ in maps for output in map_(x, context)]
            loss = sum(tf.reduce_sum(tf.sin(output)) for output in outputs)
        return outputs, tape.gradient(loss, [weight.value for weight in weights])

    # Within (0, 1), so that it is in the domain of both maps.
    x = tf.sigmoid(x)
    outputs, gradients = values_and_gradients(x)
    for weight, gradient in zip(weights, gradients, strict=True):
        assert gradient is not None and np.any(gradient), f"{weight.path} has no gradient"
    compiled = tf.function(values_and_gradients, jit_compile=True)(x)
    for eager, xla in zip([*outputs, *gradients], tf.nest.flatten(compiled), strict=True):
        assert_allclose(eager, xla, rtol=1e-4, atol=1e-4)


@pytest.fixture(scope="session")
def check_bijector(perturb, jacobian):
    """Function (bijector, x, context=None) with all checks; `x` of shape (batch, *event_shape).

    It perturbs the weights. A map with no inverse is checked one way only.
    """

    def check(bijector, x, context=None):
        perturb(bijector)
        x = tf.convert_to_tensor(x)
        y, log_det = bijector.forward(x, context)
        assert y.shape == x.shape and log_det.shape == x.shape[:1]
        matrices = jacobian(lambda x: bijector.forward(x, context)[0], x)
        # Here and below: float32 rounding through a few networks.
        assert_allclose(log_det, np.linalg.slogdet(matrices)[1], rtol=1e-4, atol=1e-4)
        invertible = _has_inverse(bijector, y, context)
        if invertible:
            preimage, change = bijector.inverse(y, context)
            assert_allclose(preimage, x, rtol=1e-4, atol=1e-4)
            assert_allclose(change, -log_det, rtol=1e-4, atol=1e-4)
        _check_leading_axes(bijector, x, context)
        _check_config(bijector, x, context)
        _check_compiled_gradients(bijector, x, context, invertible)

    return check
