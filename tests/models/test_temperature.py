"""`sample(temperature=)`: z at a temperature, of priors and samplers that have one."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal

from tfgen import bijectors, layers, models, networks, samplers

SHAPE, LATENT = (4, 4, 1), 2
SEED = tf.constant([3, 0])  # That of sample(seed=3).


def build(prior=None, **condition):
    keras.utils.set_random_seed(0)
    options = {"width": 8, **condition}
    encoder = networks.mlp_encoder(SHAPE, LATENT, **options)
    return models.VAE(encoder, networks.mlp_decoder(SHAPE, LATENT, **options), prior, seed=0)


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_a_vae_decodes_scaled_draws(temperature):
    model = build()
    z = model.sample_latents(6, SEED)
    samples = model.sample(6, seed=3, temperature=temperature)
    assert_allclose(samples, model.generate(temperature * z), rtol=1e-5)
    assert_array_equal(model.sample(6, seed=3, temperature=1), model.sample(6, seed=3))


def test_draws_are_scaled_around_the_mean_of_a_conditional_prior():
    model = build(networks.mlp_prior(LATENT, width=8, num_classes=3), num_classes=3)
    for weight in model.prior.trainable_variables:
        weight.assign_add(0.5 * tf.ones(weight.shape))
    labels = [0, 1, 2, 1, 0, 2]
    mean = model.prior.network(np.eye(3)[labels]).mean()
    z = model.sample_latents(6, SEED, condition=labels)
    expected = model.generate(mean + 0.5 * (z - mean), labels)
    assert_allclose(model.sample(6, 3, condition=labels, temperature=0.5), expected, rtol=1e-5)


def test_a_flow_scales_its_base():
    """Of an affine flow: standard deviations of the data, and the data at z scaled."""
    keras.utils.set_random_seed(0)
    flow = bijectors.ActNorm((2,))
    model = models.NormalizingFlow(flow, seed=0)
    flow.initialize(tf.random.stateless_normal((100, 2), [0, 1]) * [2.0, 5.0] + [1.0, -1.0])
    cold, warm = (model.sample(20_000, seed=0, temperature=t).numpy() for t in (0.5, 1.0))
    # The draws are the same but for the scale.
    assert_allclose(cold.std(axis=0), warm.std(axis=0) / 2, rtol=1e-4)
    # 5 standard errors of the mean.
    assert np.all(
        np.abs(cold.mean(axis=0) - model.decode(tf.zeros((1, 2)))) < 5 * cold.std(0) / 141
    )
    image_flow = models.NormalizingFlow(networks.simple_flow(SHAPE, 2, width=4), seed=0)
    for weight in image_flow.trainable_variables:
        weight.assign_add(0.1 * tf.ones(weight.shape))
    z = image_flow.sample_latents(4, SEED)
    samples = image_flow.sample(4, seed=3, temperature=0.7)
    assert_allclose(samples, image_flow.decode(0.7 * z), rtol=1e-4, atol=1e-5)


def test_a_sampler_has_its_own():
    model = build()
    x = np.random.default_rng(0).uniform(size=(60, *SHAPE)).astype("float32")
    sampler = samplers.GaussianMixture(1).fit(model, x, verbose=False)
    z = model.sample_latents(6, SEED, sampler)
    expected = model.generate(sampler.loc[0] + 0.5 * (z - sampler.loc[0]))
    assert_allclose(model.sample(6, 3, prior=sampler, temperature=0.5), expected, rtol=1e-5)
    other = model.with_prior(sampler)
    assert_allclose(other.sample(6, 3, temperature=0.5), expected, rtol=1e-5)
    histogram = samplers.Histogram(3).fit(model, x, verbose=False)
    with pytest.raises(ValueError, match="Histogram has no use for temperature"):
        model.sample(3, prior=histogram, temperature=0.5)
    assert model.sample(3, prior=histogram, temperature=1.0).shape == (3, *SHAPE)


def vq_vae():
    encoder = networks.mlp_encoder(SHAPE, 3, head=None, width=8)
    return models.VQVAE(encoder, networks.mlp_decoder(SHAPE, 3, width=8), num_codes=4, code_dim=1)


def ladder():
    sizes, widths = (2, 1), (8, 8)
    return models.LadderVAE(
        networks.ladder_encoder(SHAPE, sizes, widths),
        networks.ladder_decoder(networks.mlp_decoder(SHAPE, 2, width=8), sizes),
        networks.ladder_prior(sizes, widths),
    )


OTHERS = {
    "mixture": functools.partial(build, layers.MixtureOfNormals(LATENT, 3)),
    "posteriors": functools.partial(build, layers.VampPrior(SHAPE, 3)),
    "codebook": vq_vae,
    "ladder": ladder,
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_priors_have_no_temperature(name):
    model = OTHERS[name]()
    assert model.sample(2, seed=0, temperature=1.0).shape == (2, *SHAPE)
    with pytest.raises(
        ValueError, match="draws of independent normals.* Received: temperature=0.5"
    ):
        model.sample(2, temperature=0.5)


@pytest.mark.parametrize("temperature", [0.0, -1.0, np.nan, "warm"])
def test_temperatures_out_of_range(temperature):
    with pytest.raises(ValueError, match="temperature must be a finite number > 0. Received"):
        build().sample(2, temperature=temperature)
