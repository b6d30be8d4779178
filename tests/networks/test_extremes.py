"""Networks at extreme inputs and weights: outputs, log-densities and gradients stay finite."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfgen import bijectors, layers, networks
from tfgen.layers import IndependentNormal, StandardNormal
from tfgen.losses import kl_divergence

SHAPE = (8, 8, 1)


def extreme(network, seed=0):
    """The network with weights of some hundreds, a thousand times what training gives."""
    rng = np.random.default_rng(seed)
    for weight in network.trainable_variables:
        weight.assign(weight + 300 * rng.normal(size=weight.shape))
    return network


@pytest.mark.parametrize("write_size", [None, 2])
def test_canvases_of_draw(write_size):
    decoder = extreme(networks.DRAWDecoder(SHAPE, 2, 3, width=4, write_size=write_size))
    canvases = decoder.canvases(tf.constant([[[1e4, -1e4]] * 3]))
    assert all(np.all(np.isfinite(canvas)) for canvas in canvases)


@pytest.mark.parametrize("seed", range(3))
def test_warped_posterior_of_any_kernel(seed):
    mapping = extreme(networks.GaussianProcessMapping(2, (4,), 2, num_points=3, width=4), seed)
    q = IndependentNormal(2)(tf.zeros((5, 4)))
    z, kl, log_ratio = mapping.draw(
        q, StandardNormal(2).as_distribution(), tf.ones((5, 4)), seed=[0, seed]
    )
    assert np.all(np.isfinite(z))


@pytest.mark.parametrize("name", ["mlp_encoder", "conv_encoder", "mlp_decoder", "conv_decoder"])
def test_means_of_encoders_and_decoders(name):
    network = extreme(getattr(networks, name)(SHAPE, latent_dim=2, width=4))
    x = 1e4 * tf.ones((3, *network.input_shape[1:]))
    assert np.all(np.isfinite(network(x).mean()))


# Extreme inputs.

PAIR = dict(image_shape=SHAPE, latent_dim=2, width=4)
DENSE = dict(data_shape=SHAPE, latent_dim=2, width=4)
SERIES = dict(data_shape=(6, 2), latent_dim=2, width=4)
LARGE = dict(image_shape=(64, 64, 1), latent_dim=2, width=2)
LEVELS = dict(latent_dims=(3, 2), widths=(8, 4))


# How to build each network; its arguments, if that is all, are those of the function of that name.
BUILDERS = {
    "DRAWDecoder": dict(**PAIR, num_steps=3),
    "DRAWDecoder, window": dict(**PAIR, num_steps=3, write_size=2),
    "DRAWEncoder": dict(**PAIR, num_steps=3),
    "DRAWEncoder, window": dict(**PAIR, num_steps=3, read_size=2),
    "GaussianProcessMapping": dict(latent_dim=2, feature_shape=(4,), num_points=3, width=4),
    "VGPPosterior": dict(latent_dim=2, num_features=4, num_points=3, width=4),
    "causal_decoder": SERIES,
    "causal_decoder, per step": dict(**SERIES, per_step=True),
    "causal_encoder": SERIES,
    "causal_encoder, per step": dict(**SERIES, per_step=True),
    "conv64_decoder": LARGE,
    "conv64_encoder": LARGE,
    "conv_decoder": DENSE,
    "conv_decoder, normal": dict(**DENSE, head=IndependentNormal),
    "conv_decoder, series": dict(data_shape=(11, 2), latent_dim=2, width=4),
    "conv_encoder": DENSE,
    "conv_encoder, series": dict(data_shape=(11, 2), latent_dim=2, width=4),
    "dcgan_discriminator": dict(data_shape=SHAPE, width=4),
    "dcgan_discriminator, spectral": dict(data_shape=SHAPE, width=4, spectral_norm=True),
    "dcgan_encoder": DENSE,
    "dcgan_generator": DENSE,
    "gated_conv_net": dict(image_shape=SHAPE, num_outputs=2, width=4, num_layers=2),
    "glow": dict(image_shape=SHAPE, num_levels=1, num_steps=1, width=4),
    "glow_net": dict(image_shape=SHAPE, num_outputs=2, width=4),
    "gvae_encoder": dict(image_shape=(16, 16, 1), latent_dim=2, width=4),
    "joint_discriminator": PAIR,
    "ladder_decoder": dict(latent_dims=(3, 2)),
    "ladder_encoder": dict(image_shape=SHAPE, **LEVELS),
    "ladder_prior": LEVELS,
    "larsen_decoder": PAIR,
    "larsen_discriminator": dict(image_shape=SHAPE, width=4),
    "larsen_encoder": PAIR,
    "mlp_auxiliary": dict(data_shape=SHAPE, latent_dim=2, width=4),
    "mlp_code_discriminator": dict(latent_dim=2, width=4),
    "mlp_decoder": DENSE,
    "mlp_decoder, normal": dict(**DENSE, head=IndependentNormal),
    "mlp_decoder, logistic": dict(**DENSE, head=layers.IndependentLogistic),
    "mlp_decoder, poisson": dict(**DENSE, head=layers.IndependentPoisson),
    "mlp_discriminator": dict(data_shape=SHAPE, width=4),
    "mlp_encoder": DENSE,
    "mlp_generator": DENSE,
    "mlp_prior": dict(latent_dim=2, width=4, condition_shape=3),
    "multiscale_flow": dict(image_shape=SHAPE, width=4, num_layers=1),
    "multiscale_flow, splines": dict(image_shape=SHAPE, width=4, num_layers=1, num_bins=4),
    "recurrent_decoder": SERIES,
    "recurrent_encoder": SERIES,
    "residual_discriminator": dict(image_shape=SHAPE, width=4),
    "residual_generator": PAIR,
    "series_flow": dict(data_shape=(6, 2), num_couplings=2, width=4),
    "simple_flow": dict(image_shape=SHAPE, num_couplings=2, width=4, num_layers=1),
    "variational_dequantization": dict(image_shape=SHAPE, num_couplings=2, width=4, num_layers=1),
    "vector_flow": dict(size=4, num_couplings=2, hidden=(8,)),
    "vq_decoder": dict(data_shape=SHAPE, code_dim=2, width=4),
    "vq_encoder": dict(data_shape=SHAPE, code_dim=2, width=4),
}
SEED = (0, 1)


def build(full_name):
    """The network, with biases and last layers that are not zero."""
    keras.utils.set_random_seed(0)
    name, arguments = full_name.partition(",")[0], dict(BUILDERS[full_name])
    if name == "ladder_decoder":
        arguments["decoder"] = networks.mlp_decoder(SHAPE, 3, width=4)
    network = getattr(networks, name)(**arguments)
    rng = np.random.default_rng(1)
    for weight in network.trainable_variables:
        weight.assign_add(0.1 * rng.normal(size=weight.shape))
    return network


def input_shapes(network):
    """Shapes of all inputs, without the batch."""
    if isinstance(network, layers.HierarchicalNormal):
        return [network.as_distribution().event_shape]
    if isinstance(network, layers.ConditionalPrior):
        return [network.takes.shape]
    if isinstance(network, networks.GaussianProcessMapping):
        return [network.feature_shape]
    if isinstance(network, networks.VGPPosterior):
        return [(network.num_features,)]
    if not isinstance(network, keras.Model):
        return [network.event_shape]
    shape = network.input_shape
    return [shape[1:]] if isinstance(shape, tuple) else [each[1:] for each in shape]


def rows(shape):
    """Examples of extreme elements: of one sign, of both, zero and tiny."""
    size = np.prod(shape)
    signs = np.random.default_rng(0).choice([-1.0, 1.0], size=size)
    values = [np.full(size, 1e4), np.full(size, -1e4), 1e4 * signs, np.zeros(size)]
    return np.reshape([*values, np.full(size, 1e-30)], (-1, *shape)).astype("float32")


# What models ask of a network.


def of_distribution(distribution):
    """Mean, log-density at a draw, and at 0, which all heads can explain; KL divergence."""
    at_zero = distribution.log_prob(tf.zeros(distribution.event_shape))
    draw = tf.stop_gradient(distribution.sample(seed=SEED))
    terms = [distribution.mean(), distribution.log_prob(draw)]
    if not isinstance(distribution.distribution, tfd.Normal):
        return [*terms, at_zero]
    prior = StandardNormal(distribution.event_shape).as_distribution()
    terms += [distribution.stddev(), kl_divergence(distribution, prior)]
    # Its gradient in a scale of 1e-10 is beyond float32 from a distance of 2e4 on.
    return [*terms, tf.stop_gradient(at_zero)]


def of_model(network, *inputs, training):
    output = network(list(inputs) if len(inputs) > 1 else inputs[0], training=training)
    return of_distribution(output) if isinstance(output, tfd.Distribution) else [output]


def of_bijector(flow, x, training):
    z, log_det = flow.inverse(x)
    log_prob = StandardNormal(flow.event_shape).as_distribution().log_prob(z) + log_det
    return [*flow.forward(x), z, log_prob]


def of_dequantization(dequantization, x, training):
    values = tf.clip_by_value(tf.round(x), 0.0, 255.0)
    return [*dequantization.dequantize(values, seed=SEED)]


def of_prior(prior, z, training):
    distribution = prior.as_distribution()
    return [distribution.log_prob(z)]


def of_conditional_prior(prior, c, training):
    return of_distribution(prior.network(c))


def of_mapping(mapping, features, training):
    q = IndependentNormal(2)(features)
    return [*mapping.draw(q, StandardNormal(2).as_distribution(), features, seed=SEED)]


def of_posterior(posterior, features, training):
    return [*posterior.draw(features, seed=SEED, training=training)]


def of_draw(encoder, x, training):
    state = encoder.begin(x)
    output = tf.zeros((len(x), encoder.decoder_width))
    terms = []
    for _ in range(3):
        state = encoder.step(x, x, output, state)
        terms += [state[0], *encoder.posterior.draw(state[0], seed=SEED, training=training)]
    return terms


def terms_of(network):
    kinds = {
        bijectors.Bijector: of_bijector,
        bijectors.VariationalDequantization: of_dequantization,
        layers.HierarchicalNormal: of_prior,
        layers.ConditionalPrior: of_conditional_prior,
        networks.GaussianProcessMapping: of_mapping,
        networks.VGPPosterior: of_posterior,
        networks.DRAWEncoder: of_draw,
    }
    found = (terms for kind, terms in kinds.items() if isinstance(network, kind))
    return next(found, of_model)


def test_every_network_is_here():
    assert {name.partition(",")[0] for name in BUILDERS} == set(networks.__all__) - {"table_head"}


def check(network, inputs, training):
    """Outputs, log-densities and divergences, and their gradients in weights and inputs."""
    sources = [*inputs, *(variable.value for variable in network.trainable_variables)]
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(inputs)
        terms = terms_of(network)(network, *inputs, training=training)
        means = [tf.reduce_sum(term / term.shape.num_elements()) for term in terms]
    assert all(np.all(np.isfinite(term)) for term in terms)
    gradients = [tape.gradient(mean, sources) for mean in means]
    received = [gradient for gradient in tf.nest.flatten(gradients) if gradient is not None]
    assert received and all(np.all(np.isfinite(gradient)) for gradient in received)


@pytest.mark.parametrize("name", BUILDERS)
def test_extreme_inputs(name):
    network = build(name)
    examples = [rows(shape) for shape in input_shapes(network)]
    check(network, list(map(tf.constant, examples)), training=False)


@pytest.mark.parametrize("name", BUILDERS)
def test_extreme_inputs_in_training(name):
    """In one batch, and in a batch of equal examples, whose variance is zero."""
    network = build(name)
    examples = [rows(shape) for shape in input_shapes(network)]
    check(network, list(map(tf.constant, examples)), training=True)
    equal = [tf.constant(np.repeat(values[:1], 2, axis=0)) for values in examples]
    check(network, equal, training=True)
