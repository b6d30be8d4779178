"""The VAE family: terms against hand-written formulas, identities, and a known optimum."""

import functools

import keras
import linear_gaussian
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal

from tfgen import layers, models, networks

SHAPE = (4, 4, 1)
LIKELIHOODS = {
    "bernoulli": layers.IndependentBernoulli,
    "fixed_scale": functools.partial(layers.FixedScaleNormal, scale=0.5),
    "learned_scale": layers.IndependentNormal,
}
CLASSES = {
    "vae": models.VAE,
    "beta": functools.partial(models.BetaVAE, beta=3.0),
    "capacity": functools.partial(models.BetaVAE, beta=3.0, capacity=2.0),
    "tc": functools.partial(models.BetaTCVAE, dataset_size=64, alpha=2.0, beta=3.0, gamma=0.5),
}


def build(cls=models.VAE, head=layers.IndependentBernoulli, latent_dim=3, **kwargs):
    keras.utils.set_random_seed(0)
    return cls(
        networks.mlp_encoder(SHAPE, latent_dim, width=16),
        networks.mlp_decoder(SHAPE, latent_dim, head, width=16),
        seed=0,
        **kwargs,
    )


def pixels(num=32):
    return np.random.default_rng(0).integers(0, 2, (num, *SHAPE)).astype("float32")


def means(model, x):
    model.evaluation_seed_generator.state.assign([0, 0])
    return {name: float(np.mean(value)) for name, value in model.terms(x, training=False).items()}


# Terms.


def test_terms_against_numpy():
    """Kingma & Welling, App. B for the KL, and log Bernoulli by hand at the model's own sample."""
    model, x = build(), pixels(8)
    terms = model.terms(x, training=False)
    model.evaluation_seed_generator.state.assign([0, 0])
    q = model.encode(x)
    z = q.sample(seed=model.next_seed(training=False))
    loc, scale = q.mean().numpy(), q.stddev().numpy()
    kl = 0.5 * np.sum(loc**2 + scale**2 - 1 - 2 * np.log(scale), axis=1)
    p = model.decode(z).mean().numpy()
    reconstruction = -np.sum(x * np.log(p) + (1 - x) * np.log1p(-p), axis=(1, 2, 3))
    # Float32 rounding over 16 pixels.
    assert_allclose(terms["kl"], kl, rtol=1e-4, atol=1e-6)
    assert_allclose(terms["reconstruction"], reconstruction, rtol=1e-5)
    assert_allclose(terms["elbo"], -reconstruction - kl, rtol=1e-5)
    assert_allclose(terms["loss"], reconstruction + kl, rtol=1e-5)
    assert_allclose(terms["bits_per_dim"], (reconstruction + kl) / (16 * np.log(2)), rtol=1e-5)


def test_log_joint_against_a_known_model():
    """p(z) p(x|z) = p(x) p(z|x), of which the right side is known in closed form."""
    model = models.VAE(*linear_gaussian.linear_model(), seed=0)
    x, z = linear_gaussian.X, np.array([[0.3, -0.5], [1.0, 0.2]], "float32")
    covariance = np.linalg.inv(linear_gaussian.PRECISION)
    means = (x - linear_gaussian.BIAS) @ linear_gaussian.WEIGHTS.T @ covariance
    means = means / linear_gaussian.SCALE**2
    posteriors = [scipy.stats.multivariate_normal(mean, covariance) for mean in means]
    log_posterior = [posterior.logpdf(code) for posterior, code in zip(posteriors, z, strict=True)]
    expected = linear_gaussian.exact().log_prob(x) + log_posterior
    assert_allclose(model.log_joint(x, z), expected, rtol=1e-4)


def test_elbo_is_a_lower_bound_that_importance_samples_tighten():
    """log p(x) >= ELBO: 2,000 importance samples give log p(x) to well under the gap."""
    model, x = build(latent_dim=1), pixels(4)
    prior = model.prior_distribution()
    z = tf.linspace(-8.0, 8.0, 4001)[:, None]  # The exact integral over one latent, by quadrature.
    log_joint = tf.stack([model.decode(z).log_prob(image) + prior.log_prob(z) for image in x])
    log_px = tf.reduce_logsumexp(log_joint, axis=1) + np.log(16 / 4000)
    elbos = np.mean([model.terms(x, training=True)["elbo"] for _ in range(200)], axis=0)
    assert np.all(elbos < log_px.numpy())
    assert np.all(elbos > log_px.numpy() - 5)


@pytest.mark.parametrize("head", LIKELIHOODS)
@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.slow
def test_every_variant_trains_with_every_likelihood(name, head):
    model = build(CLASSES[name], LIKELIHOODS[head])
    model.compile(keras.optimizers.Adam(1e-2))
    losses = model.fit(pixels(64), batch_size=32, epochs=8, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    logs = model.evaluate(pixels(64), verbose=0, return_dict=True)
    assert logs["elbo"] == pytest.approx(-logs["reconstruction"] - logs["kl"], rel=1e-5)
    assert ("bits_per_dim" in logs) == (head == "bernoulli")


# Objectives.


def test_beta_weights_the_kl():
    terms = means(build(CLASSES["beta"]), pixels())
    assert terms["loss"] == pytest.approx(terms["reconstruction"] + 3 * terms["kl"], rel=1e-5)


def test_capacity_is_on_the_batch_mean():
    """Burgess et al., Eq. 8: |E KL - C|, not E |KL - C|."""
    terms = means(build(CLASSES["capacity"]), pixels())
    expected = terms["reconstruction"] + 3 * abs(terms["kl"] - 2.0)
    assert terms["loss"] == pytest.approx(expected, rel=1e-5)


def test_tc_terms_sum_to_the_kl_and_are_weighted():
    terms = means(build(CLASSES["tc"]), pixels())
    parts = [terms[k] for k in ("mutual_information", "total_correlation", "dimension_wise_kl")]
    assert sum(parts) == pytest.approx(terms["kl"], abs=1e-4)
    expected = terms["reconstruction"] + np.dot([2.0, 3.0, 0.5], parts)
    assert terms["loss"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    "cls",
    [
        functools.partial(models.BetaVAE, beta=1.0),
        functools.partial(models.BetaTCVAE, dataset_size=64, beta=1.0),
    ],
)
def test_weights_of_one_give_the_vae(cls):
    vae, variant = build(), build(cls)
    for model in (vae, variant):
        model.compile(keras.optimizers.SGD(1e-3))
        model.fit(pixels(64), batch_size=32, epochs=2, verbose=0)
    # The three terms of a KL cancel to float32 rounding of values up to about 100 nats.
    for a, b in zip(vae.encoder.get_weights(), variant.encoder.get_weights(), strict=True):
        assert_allclose(a, b, atol=1e-5)


def test_autoencoder_loss_is_the_squared_error():
    keras.utils.set_random_seed(0)
    model = models.AE(
        networks.mlp_encoder(SHAPE, 3, None, width=16),
        networks.mlp_decoder(SHAPE, 3, None, width=16),
    )
    x = pixels(8)
    expected = np.sum((x - model.reconstruct(x)) ** 2, axis=(1, 2, 3))
    assert_allclose(model.terms(x)["loss"], expected, rtol=1e-5)
    model.compile(keras.optimizers.Adam(1e-2))
    losses = model.fit(x, epochs=20, verbose=0).history["loss"]
    assert losses[-1] < 0.5 * losses[0]


def test_autoencoder_refuses_distributions_and_draws():
    with pytest.raises(ValueError, match="An AE is deterministic.*head=None"):
        models.AE(networks.mlp_encoder(SHAPE, 3), networks.mlp_decoder(SHAPE, 3, None))
    model = models.AE(networks.mlp_encoder(SHAPE, 3, None), networks.mlp_decoder(SHAPE, 3, None))
    assert model.sample(2).shape == (2, *SHAPE)
    with pytest.raises(ValueError, match="no distribution. Pass mean=True"):
        model.sample(2, mean=False)


# Linear-Gaussian model: Tipping & Bishop, "Probabilistic PCA", JRSS B 61, 1999, Eqs. 3 to 7.


def ppca_optimum(x, latent_dim, scale):
    """Largest mean log-likelihood of x = W z + b + scale * noise, in nats."""
    covariance = np.cov(x.T, bias=True)
    eigenvalues = np.linalg.eigvalsh(covariance)[::-1]
    fitted = np.r_[eigenvalues[:latent_dim], np.full(x.shape[1] - latent_dim, scale**2)]
    return -0.5 * np.sum(np.log(2 * np.pi * fitted) + eigenvalues / fitted)


def test_linear_gaussian_vae_reaches_the_optimum_of_probabilistic_pca():
    """With a linear decoder the exact posterior is Gaussian, and its ELBO is log p(x).

    The optimum leaves W free up to a rotation; one that makes W's columns orthogonal makes the
    posterior diagonal, so that the encoder can be exact.
    """
    rng = np.random.default_rng(0)
    scale, num_dims, latent_dim = 0.5, 5, 2
    basis = np.linalg.qr(rng.normal(size=(num_dims, latent_dim)))[0]
    mixing = (basis * [2.0, 1.2]).T
    x = rng.normal(size=(512, latent_dim)) @ mixing + scale * rng.normal(size=(512, num_dims))
    x = np.tile(x.astype("float32"), (16, 1))
    keras.utils.set_random_seed(0)
    encoder = keras.Sequential(
        [
            keras.Input((num_dims,)),
            keras.layers.Dense(2 * latent_dim),
            layers.IndependentNormal(latent_dim, scale_activation="exponential"),
        ]
    )
    decoder = keras.Sequential(
        [
            keras.Input((latent_dim,)),
            keras.layers.Dense(num_dims),
            layers.FixedScaleNormal(num_dims, scale=scale),
        ]
    )
    model = models.VAE(encoder, decoder, seed=0)
    num_epochs = 30
    rate = keras.optimizers.schedules.CosineDecay(0.1, num_epochs * 64)
    model.compile(keras.optimizers.Adam(rate))
    model.fit(x, batch_size=128, epochs=num_epochs, verbose=0)
    elbos = [np.mean(model.terms(x, training=True)["elbo"]) for _ in range(25)]
    optimum = ppca_optimum(x, latent_dim, scale)
    standard_error = np.std(elbos) / 5
    # From above: a bound cannot exceed the optimum but by Monte Carlo error.
    assert np.mean(elbos) < optimum + 5 * standard_error
    # From below: what training leaves, in nats of about 6.
    assert np.mean(elbos) > optimum - 0.02


# The shared interface.


def test_sampling_is_repeatable_and_follows_the_prior():
    model = build()
    assert_array_equal(model.sample(5, seed=1), model.sample(5, seed=1))
    assert not np.array_equal(model.sample(5, seed=1), model.sample(5, seed=2))
    assert not np.array_equal(model.sample(5), model.sample(5))
    z = model.sample_latents(20_000, seed=tf.constant([0, 1])).numpy()
    # 5 standard errors of a mean, and of a variance, of 60,000 standard normal values.
    assert abs(z.mean()) < 5 / np.sqrt(z.size)
    assert abs(z.var() - 1) < 5 * np.sqrt(2 / z.size)


def test_drawn_pixels_have_the_decoder_mean_as_probability():
    model = build()
    draws = model.sample(1200, seed=0, mean=False).numpy()
    assert set(np.unique(draws)) == {0.0, 1.0}
    probability = model.sample(1200, seed=0).numpy()
    error = np.mean(draws - probability)
    assert abs(error) < 5 * np.sqrt(np.mean(probability * (1 - probability)) / draws.size)
    assert not np.array_equal(draws[:500], draws[500:1000])


def test_reconstruct_predict_embed():
    model, x = build(), pixels(10)
    q = model.encode(x)
    assert_array_equal(model.embed(x), q.mean())
    assert_allclose(model.reconstruct(x), model.decode(q.mean()).mean(), rtol=1e-6)
    assert_allclose(model.predict(x, batch_size=4, verbose=0), model.reconstruct(x), rtol=1e-5)


def test_traverse_moves_one_dimension_at_a_time():
    model, x = build(), pixels(1)[0]
    images = model.traverse(x, dims=[2, 0], values=[-1.0, 1.0])
    z = model.embed(x[None])[0]
    z[2] = 1.0
    assert images.shape == (2, 2, *SHAPE)
    assert_allclose(images[0, 1], model.generate(z[None])[0], rtol=1e-5)


def test_interpolation_begins_and_ends_at_the_reconstructions():
    model, x = build(), pixels(4)
    images = model.interpolate(x[:2], x[2:], num_steps=5)
    assert images.shape == (2, 5, *SHAPE)
    assert_allclose(images[:, 0], model.reconstruct(x[:2]), rtol=1e-5)
    assert_allclose(images[:, -1], model.reconstruct(x[2:]), rtol=1e-5)
    middle = (model.embed(x[:2]) + model.embed(x[2:])) / 2
    assert_allclose(images[:, 2], model.generate(middle), rtol=1e-5)


@pytest.mark.parametrize("name", CLASSES)
def test_saved_models_continue_exactly(name, tmp_path):
    model = build(CLASSES[name])
    model.compile(keras.optimizers.Adam(1e-2))
    model.fit(pixels(64), batch_size=32, verbose=0)
    if name != "vae":
        model.beta.assign(5.0)  # What a schedule does.
    model.save(tmp_path / "model.keras")
    loaded = models.load_model(tmp_path / "model.keras")
    for one in (model, loaded):
        one.fit(pixels(64), batch_size=32, verbose=0)
    for a, b in zip(model.get_weights(), loaded.get_weights(), strict=True):
        assert_array_equal(a, b)


@pytest.mark.parametrize(
    "prior",
    [
        layers.StandardNormal(3),
        layers.MixtureOfNormals(3, 4, seed=0),
        layers.VampPrior(SHAPE, 4, seed=0),
    ],
    ids=lambda p: type(p).__name__,
)
def test_priors_train_and_save(prior, tmp_path):
    model = build(prior=prior)
    before = [np.array(w) for w in prior.get_weights()]
    model.compile(keras.optimizers.Adam(1e-2))
    model.fit(pixels(), verbose=0)
    assert all(not np.array_equal(a, b) for a, b in zip(before, prior.get_weights(), strict=True))
    model.save(tmp_path / "model.keras")
    loaded = models.load_model(tmp_path / "model.keras")
    assert_array_equal(loaded.sample(4, seed=0), model.sample(4, seed=0))
    assert loaded.evaluate(pixels(), verbose=0) == model.evaluate(pixels(), verbose=0)


def test_full_covariance_posterior():
    model = build()
    encoder = keras.Sequential(
        [
            keras.Input(SHAPE),
            keras.layers.Flatten(),
            keras.layers.Dense(layers.MultivariateNormalTriL.params_size(3)),
            layers.MultivariateNormalTriL(3),
        ]
    )
    model = models.VAE(encoder, model.decoder)
    q = model.encode(pixels(2))
    covariance, loc = q.covariance().numpy(), q.mean().numpy()
    kl = 0.5 * (
        np.trace(covariance, axis1=1, axis2=2)
        + np.sum(loc**2, 1)
        - 3
        - np.linalg.slogdet(covariance)[1]
    )
    assert_allclose(model.terms(pixels(2))["kl"], kl, rtol=1e-4)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_xla(jit_compile):
    """XLA draws other noise from the same seed, so the losses agree to Monte Carlo error only."""
    model = build()
    model.compile(keras.optimizers.Adam(1e-2), jit_compile=jit_compile)
    losses = model.fit(pixels(64), batch_size=32, epochs=8, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


def test_xla_trains_a_deterministic_model_alike():
    weights = []
    for jit_compile in (False, True):
        keras.utils.set_random_seed(0)
        model = models.AE(
            networks.mlp_encoder(SHAPE, 3, None, width=16),
            networks.mlp_decoder(SHAPE, 3, None, width=16),
        )
        model.compile(keras.optimizers.SGD(1e-2), jit_compile=jit_compile)
        model.fit(pixels(64), batch_size=32, epochs=2, verbose=0)
        weights.append(model.encoder.get_weights()[0])
    # Another order of float32 sums, over four steps.
    assert_allclose(*weights, rtol=1e-4, atol=1e-6)


@pytest.fixture
def bfloat16():
    keras.config.set_dtype_policy("mixed_bfloat16")
    yield
    keras.config.set_dtype_policy("float32")


def test_mixed_precision(bfloat16):
    model = build()
    assert model.encode(pixels(2)).dtype == tf.float32
    assert model.encoder.layers[-2].compute_dtype == "bfloat16"
    model.compile(keras.optimizers.Adam(1e-2))
    losses = model.fit(pixels(64), batch_size=32, epochs=8, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


# Errors of construction.


def dense(inputs, outputs, *more):
    return keras.Sequential(
        [keras.Input(inputs), keras.layers.Flatten(), keras.layers.Dense(outputs), *more]
    )


def test_encoder_without_distribution():
    with pytest.raises(
        ValueError, match=r"must return q\(z\|x\), a distribution.*IndependentNormal"
    ):
        models.VAE(dense(SHAPE, 2), networks.mlp_decoder(SHAPE, 2))


def test_decoder_without_distribution():
    with pytest.raises(ValueError, match=r"must return p\(x\|z\).*IndependentBernoulli"):
        models.VAE(networks.mlp_encoder(SHAPE, 2), networks.mlp_decoder(SHAPE, 2, None))


def test_latent_sizes_that_differ():
    with pytest.raises(
        ValueError,
        match=r"output shape \(None, 3\).*input shape \(None, 2\).*"
        "same latent_dim",
    ):
        models.VAE(networks.mlp_encoder(SHAPE, 3), networks.mlp_decoder(SHAPE, 2))


def test_image_shapes_that_differ():
    with pytest.raises(ValueError, match=r"\(None, 5, 5, 1\).*\(None, 4, 4, 1\).*same image_shape"):
        models.VAE(networks.mlp_encoder(SHAPE, 2), networks.mlp_decoder((5, 5, 1), 2))


def test_encoder_of_unknown_input_shape():
    encoder = keras.Sequential([keras.layers.Dense(4), layers.IndependentNormal(2)])
    with pytest.raises(ValueError, match=r"one input of known shape.*keras\.Input\(image_shape\)"):
        models.VAE(encoder, networks.mlp_decoder(SHAPE, 2))


def test_prior_over_other_latents():
    with pytest.raises(ValueError, match=r"shape \(3,\)\. Received: a prior over shape \(2,\)"):
        build(prior=layers.StandardNormal(2))


@pytest.mark.parametrize("kwargs", [{"beta": -1.0}, {"capacity": -0.5}, {"beta": float("nan")}])
def test_negative_weights(kwargs):
    with pytest.raises(
        ValueError, match="must be a finite number >= 0. Received: (beta|capacity)="
    ):
        build(models.BetaVAE, **kwargs)


@pytest.mark.parametrize("weight", ["alpha", "beta", "gamma"])
def test_negative_weights_of_the_decomposition(weight):
    with pytest.raises(ValueError, match=f"Received: {weight}=-1"):
        build(models.BetaTCVAE, dataset_size=10, **{weight: -1.0})


@pytest.mark.parametrize("size", [None, 1, 2.5])
def test_dataset_size_is_required(size):
    with pytest.raises(
        ValueError, match="dataset_size must be an int of at least 2.*info.num_examples"
    ):
        build(models.BetaTCVAE, dataset_size=size)


def test_unknown_estimator():
    with pytest.raises(ValueError, match="Received: estimator='exact'"):
        build(models.BetaTCVAE, dataset_size=10, estimator="exact")
