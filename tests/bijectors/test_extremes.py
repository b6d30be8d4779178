"""All bijectors at weights of hundreds and inputs up to 1e4: finite, and back again.

A round trip cannot be better than float32: of each weight, and of each element of the point in
between, only 24 bits are known. The explained error of x is what a change of all their last bits at
random does to it, the most of several draws. It is large where a network of such weights is steep;
a stable algorithm stays within some times that, an overflow or a cancellation does not.
"""

import numpy as np
import pytest
import tensorflow as tf

from tfgen import networks
from tfgen.bijectors import ActNorm, Chain, Invertible1x1Conv, Split, Squeezed

ROUNDING = 2.0**-23
NUM_DRAWS = 10
# One operation after another rounds, and the most of 10 draws is not the worst case.
FACTOR = 30

OTHERS = {
    "act_norm": lambda: ActNorm(3),
    "convolution": lambda: Invertible1x1Conv((1, 1, 3), seed=0),
    "squeezed": lambda: Squeezed(Split(ActNorm((1, 1, 2)))),
}


@pytest.fixture(params=[*OTHERS])
def other(request):
    return OTHERS[request.param]()


def extreme(layer, seed=0):
    """The layer with weights of some hundreds, a thousand times what training gives."""
    rng = np.random.default_rng(seed)
    for weight in layer.trainable_variables:
        weight.assign(weight + 300 * rng.normal(size=weight.shape))
    return layer


def inputs(bijector, seed=0):
    rng = np.random.default_rng(seed)
    sizes = rng.choice([1e-3, 1.0, 1e2, 1e4], size=(4, *bijector.event_shape))
    return (sizes * rng.uniform(-1, 1, size=sizes.shape)).astype("float32")


def check_finite(map_, x, context, weights):
    """Values and gradients of a map, at inputs of all sizes."""
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        outputs = map_(x, context)
        # Gradients of values themselves would only say how large they are.
        total = sum(tf.reduce_sum(tf.tanh(output)) for output in outputs)
    gradients = tape.gradient(total, [x, *weights], unconnected_gradients="zero")
    for values in (*outputs, *gradients):
        assert np.all(np.isfinite(values))


def with_other_bits(values, rng, term=0.0):
    """Values one rounding away, of themselves or of larger terms that they are sums of."""
    signs = rng.choice([-1.0, 1.0], size=values.shape)
    change = ROUNDING * signs * np.maximum(np.abs(values), term)
    return tf.cast(np.float64(values) + change, tf.float32)


def explained_error(map_, y, term, context, weights):
    """Of each element of map_(y), from the last bits of all that it depends on."""
    rng, values, error = np.random.default_rng(0), [weight.numpy() for weight in weights], 0.0
    expected = map_(y, context)[0].numpy()
    for _ in range(NUM_DRAWS):
        for weight, value in zip(weights, values, strict=True):
            weight.assign(with_other_bits(value, rng))
        changed = map_(with_other_bits(y.numpy(), rng, term), context)[0]
        error = np.maximum(error, np.abs(changed - expected))
    for weight, value in zip(weights, values, strict=True):
        weight.assign(value)
    return error + ROUNDING * np.abs(expected)


def check_round_trip(there, back, x, context, weights):
    y = there(x, context)[0]
    error = np.abs(back(y, context)[0] - x)
    largest = max([np.max(np.abs(weight)) for weight in weights], default=0.0)
    term = np.maximum(np.abs(x), largest)
    assert np.all(error <= FACTOR * explained_error(back, y, term, context, weights))


def parts(bijector):
    """Those that a chain is made of, whose errors add up."""
    if isinstance(bijector, Chain):
        return [part for inner in bijector.bijectors for part in parts(inner)]
    return [bijector]


def maps(bijector):
    """Pairs of a map and its inverse, both ways; the map alone where there is no inverse."""
    try:
        bijector.inverse(inputs(bijector), np.ones((4, 2), "float32"))
    except NotImplementedError:
        return [(bijector.forward, None)]
    return [(bijector.forward, bijector.inverse), (bijector.inverse, bijector.forward)]


def check(bijector, x, context):
    weights = [weight.value for weight in bijector.trainable_variables]
    for there, _ in maps(bijector):
        check_finite(there, x, context, weights)
    for part in parts(bijector):
        for there, back in maps(part):
            if back is not None:
                check_round_trip(there, back, x, context, part.trainable_variables)


@pytest.mark.parametrize("seed", range(2))
def test_bijectors_over_vectors(bijector_name, build_bijector, seed):
    bijector = extreme(build_bijector(bijector_name), seed)
    x, context = inputs(bijector, seed), None
    if bijector_name in ("sigmoid", "chain"):
        x = np.clip(x, 0, 1)
    if bijector_name.endswith("context"):
        context = np.random.default_rng(seed).normal(size=(4, 2)).astype("float32")
    check(bijector, x, context)


@pytest.mark.parametrize("seed", range(2))
def test_bijectors_over_channels(other, seed):
    check(extreme(other, seed), inputs(other, seed), None)


def test_noise_of_dequantization():
    dequantization = networks.variational_dequantization((4, 4, 1), 2, width=2, num_values=3)
    extreme(dequantization.bijector)
    weights = [weight.value for weight in dequantization.trainable_variables]
    x = np.random.default_rng(0).integers(3, size=(8, 4, 4, 1)).astype("float32")
    check_finite(lambda x, _: dequantization.dequantize(x, [0, 1]), x, None, weights)
