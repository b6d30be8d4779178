"""Masked autoregressive flows: masks by enumeration, TFP, the papers' formulas, errors by text."""

import functools
import math

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from numpy.testing import assert_allclose, assert_array_equal

from tfgen import layers, models, networks
from tfgen.bijectors.autoregressive import MADE, MaskedAutoregressive, iaf, maf, masks
from tfgen.bijectors.bijector import Invert
from tfgen.bijectors.elementwise import Permute
from tfgen.bijectors.glow import ActNorm

tfb, tfd = tfp.bijectors, tfp.distributions


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


# The network.


@pytest.mark.parametrize("size, hidden", [(1, (3,)), (2, (1,)), (5, (4, 9)), (5, (16, 8, 16))])
@pytest.mark.parametrize("with_context", [False, True])
def test_paths_lead_from_all_earlier_elements_and_no_others(size, hidden, with_context):
    paths = np.eye(size)
    for mask in masks(size, 2, hidden, with_context):
        paths = paths @ mask
    earlier = np.arange(size)[:, None] < np.arange(size)
    if not (with_context and min(hidden) < size):  # then a unit is spent on the context alone
        assert_array_equal(paths > 0, np.tile(earlier, 2))
    assert not np.any(paths[~np.tile(earlier, 2)])


def test_outputs_depend_on_all_earlier_elements_and_no_others(perturb):
    made = perturb(MADE(4, 3, hidden=(16, 16)))
    x = tf.constant(normal(1, 4))
    with tf.GradientTape() as tape:
        tape.watch(x)
        outputs = made(x)
    earlier = np.tile(np.arange(4) < np.arange(4)[:, None], (3, 1))
    assert_array_equal(tape.jacobian(outputs, x)[0, :, 0] != 0, earlier)


def test_context_reaches_every_output(perturb):
    made = perturb(MADE(4, 2, hidden=(16,), context_size=3))
    context = tf.constant(normal(1, 3))
    with tf.GradientTape() as tape:
        tape.watch(context)
        outputs = made(tf.zeros((1, 4)), made.condition(context))
    assert np.all(tape.jacobian(outputs, context)[0, :, 0] != 0)


def test_network_by_hand(perturb):
    made = perturb(MADE(2, 1, hidden=(1,), activation="tanh", context_size=1))
    # One unit, of degree 0: it sees the context alone, and serves both elements.
    (kernel, bias), (kernel_out, bias_out) = made.dense[0].get_weights(), made.last.get_weights()
    assert kernel.shape == (2, 1)
    hidden = np.tanh(0.7 * made.context_dense[0].get_weights()[0] + bias)
    outputs = made(tf.constant([[5.0, -3.0]]), made.condition(tf.constant([[0.7]])))
    assert_allclose(outputs, hidden @ kernel_out + bias_out, rtol=1e-5)


# The bijector.


def bounded(raw, bound):
    return raw if bound is None else bound * tf.tanh(raw / bound)


@pytest.mark.parametrize("bound", [0.4, 5.0, None])
def test_against_tfp(perturb, bound):
    ours = perturb(MaskedAutoregressive(3, hidden=(8, 8), max_log_scale=bound))

    def shift_and_log_scale(x):
        shift, raw = tf.split(ours.made(x), 2, axis=-1)
        return shift, bounded(raw, bound)

    theirs = tfb.MaskedAutoregressiveFlow(shift_and_log_scale)
    x = tf.constant(normal(5, 3))
    y, log_det = ours.forward(x)
    assert_allclose(y, theirs.forward(x), rtol=1e-5, atol=1e-5)
    assert_allclose(log_det, theirs.forward_log_det_jacobian(x), rtol=1e-5, atol=1e-5)
    assert_allclose(ours.inverse(x)[0], theirs.inverse(x), rtol=1e-5, atol=1e-5)


def test_density_is_a_product_of_conditionals(perturb):
    """Papamakarios et al., Eq. 2: y_i given those before is normal with loc m_i, log scale s_i."""
    flow = perturb(MaskedAutoregressive(3, hidden=(8,)))
    y = tf.constant(normal(5, 3))
    loc, raw = tf.split(flow.made(y), 2, axis=-1)
    log_scale = bounded(raw, 5.0)
    expected = tf.reduce_sum(tfd.Normal(loc, tf.exp(log_scale)).log_prob(y), axis=-1)
    x, log_det = flow.inverse(y)
    log_prob = tf.reduce_sum(tfd.Normal(0.0, 1.0).log_prob(x), axis=-1) + log_det
    assert_allclose(log_prob, expected, rtol=1e-5)


def test_gated_step_is_that_of_iaf(perturb):
    """Kingma et al., Algorithm 1: z <- g z + (1 - g) m, and l <- l - sum log g."""
    flow = perturb(MaskedAutoregressive(3, hidden=(8,), gated=True))
    z = tf.constant(normal(5, 3))
    m, s = np.split(flow.made(z).numpy().astype("float64"), 2, axis=-1)
    gate = 1 / (1 + np.exp(-(5 * np.tanh(s / 5) + 1.5)))
    image, log_det = flow.inverse(z)
    assert_allclose(image, gate * z + (1 - gate) * m, rtol=1e-5, atol=1e-6)
    assert_allclose(log_det, np.sum(np.log(gate), axis=-1), rtol=1e-5)


def test_forward_survives_values_that_are_not_yet_right():
    """s_3 = 100 - 50 y_1 is 0 at the right y_1 = 2, but a first guess of y_3 would be infinite."""
    flow = MaskedAutoregressive(3, hidden=(2,), activation="relu")
    flow.made.dense[0].kernel.assign([[1.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    kernel, bias = np.zeros((2, 6)), np.zeros(6)
    kernel[0, 5], bias[5] = -50.0, 100.0
    flow.made.last.set_weights([kernel, bias])
    y, log_det = flow.forward(tf.constant([[2.0, 3.0, 4.0]]))
    assert_allclose(y, [[2.0, 3.0, 4.0]], rtol=1e-6)
    assert_allclose(log_det, [0.0], atol=1e-6)


# Chains.


def test_maf_alternates_models_and_reversals():
    assert [type(b) for b in maf(3, num_steps=2).bijectors] == [
        MaskedAutoregressive,
        ActNorm,
        Permute,
        MaskedAutoregressive,
        ActNorm,
    ]
    steps = maf(3, num_steps=2, normalize=False).bijectors
    assert [type(b) for b in steps] == [MaskedAutoregressive, Permute, MaskedAutoregressive]
    assert not steps[0].gated


def test_each_model_of_maf_is_given_normalized_data(perturb):
    """The first batch sets all normalizations, whatever the models in between do."""
    flow = perturb(maf(3, num_steps=2, hidden=(8,)))
    y = tf.constant(normal(50, 3) * [1.0, 40.0, 0.01] + [100.0, 0.0, 3.0], tf.float32)
    flow.initialize(y)
    for bijector in reversed(flow.bijectors):
        y = bijector.inverse(y)[0]
        if isinstance(bijector, ActNorm):
            assert_allclose(np.mean(y, axis=0), np.zeros(3), atol=1e-4)
            # A variance of 1e-6 is added to that of the data, here 1e-4 at least.
            assert_allclose(np.std(y, axis=0), np.ones(3), rtol=1e-2)


def test_samples_stay_in_the_range_of_skewed_data():
    """Without bounds, of five thousand samples some were infinite, or 3e7 for data up to 21."""
    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).lognormal(size=(512, 3)).astype("float32")
    model = models.NormalizingFlow(maf(3, num_steps=3, hidden=(32,)), seed=0)
    model.compile(keras.optimizers.Adam(5e-3))
    model.fit(x, epochs=15, batch_size=64, verbose=0)
    # Three seeds gave 1.1, 2 and 4 times the largest of the data.
    assert np.max(np.abs(model.sample(5000, seed=0))) < 10 * np.max(x)


@pytest.mark.parametrize("gated", [False, True])
def test_scales_are_bounded(gated):
    """A network gives 1e4 and -1e4: s = 5 and -5, or gates sigmoid(6.5) and sigmoid(-3.5)."""
    for raw in (1e4, -1e4):
        flow = MaskedAutoregressive(1, hidden=(1,), gated=gated)
        flow.made.last.bias.assign([0.0, raw])
        gate = 1 / (1 + math.exp(-1.5 - math.copysign(5, raw)))
        expected = 1 / gate if gated else math.exp(math.copysign(5, raw))
        assert_allclose(flow.forward(tf.ones((1, 1)))[0], [[expected]], rtol=1e-5)


def test_a_config_of_version_0_1_0_has_no_bound():
    config = MaskedAutoregressive(2).get_config()
    del config["max_log_scale"]
    flow = MaskedAutoregressive.from_config(config)
    assert flow.max_log_scale is None
    flow.made.last.bias.assign([0.0, 0.0, 20.0, 0.0])
    assert_allclose(flow.forward(tf.ones((1, 2)))[1], [20.0])


def test_iaf_starts_with_gates_nearly_open():
    flow = iaf(3, num_steps=3, hidden=(4,))
    assert [type(b) for b in flow.bijectors] == [Invert, Permute, Invert, Permute, Invert]
    z = normal(2, 3)
    y, log_det = flow.forward(z)
    gate = 1 / (1 + math.exp(-1.5))
    assert_allclose(y, gate**3 * z, rtol=1e-5)
    assert_allclose(log_det, [9 * math.log(gate)] * 2, rtol=1e-5)


def test_errors():
    with pytest.raises(ValueError, match=r"Received: event_shape=\(2, 2\)"):
        MaskedAutoregressive((2, 2))
    with pytest.raises(ValueError, match=r"max_log_scale must be .* Received: max_log_scale=0\."):
        MaskedAutoregressive(2, max_log_scale=0.0)
    with pytest.raises(ValueError, match=r"Received: context of None"):
        iaf(2, num_steps=1, context_size=3).forward(tf.zeros((1, 2)))


# As a posterior.


@pytest.mark.parametrize("flow, jit_compile", [(iaf, True), (maf, False)])
def test_posterior_with_a_prior_of_posteriors(flow, jit_compile, perturb):
    """A FlowVAE with a VampPrior in a graph: p(z) is the mean of densities at one pseudo-input."""
    bijector = perturb(flow(2, num_steps=2, hidden=(8,), context_size=3), stddev=0.1)
    head = functools.partial(layers.FlowNormal, bijector=bijector, context_size=3)
    encoder = networks.mlp_encoder((2, 2, 1), 2, head, width=4)
    decoder = networks.mlp_decoder((2, 2, 1), 2, width=4)
    model = models.FlowVAE(encoder, decoder, layers.VampPrior((2, 2, 1), 5, seed=0), seed=0)
    x = tf.constant(np.random.default_rng(0).integers(0, 2, (6, 2, 2, 1)).astype("float32"))
    terms = tf.function(model.terms, jit_compile=jit_compile)(x)
    assert {value.shape for value in terms.values()} == {(6,)}
    assert all(np.all(np.isfinite(value)) for value in terms.values())
    z = tf.constant(normal(6, 2))
    log_prob = tf.function(lambda z: model.prior_distribution().log_prob(z))(z)
    pseudo_inputs = model.prior.activation(tf.convert_to_tensor(model.prior.pseudo_inputs))
    apart = [
        encoder(tf.repeat(pseudo_input[None], 6, axis=0)).log_prob(z)
        for pseudo_input in pseudo_inputs
    ]
    expected = tf.reduce_logsumexp(apart, axis=0) - math.log(5)
    assert_allclose(log_prob, expected, rtol=1e-4, atol=1e-4)
