"""Tests of FlowVAE: its KL divergence by other means, gradients, saving and codes."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen import bijectors, layers, models, networks

SHAPE, LATENT = (4, 4, 1), 3
X = tf.cast(tf.random.stateless_uniform((6, *SHAPE), [0, 1]) > 0.5, tf.float32)


def flow_vae(prior=None, bijector=None, **kwargs):
    """A small model with planar steps away from the identity, for any bijector of context 5."""
    keras.utils.set_random_seed(0)
    bijector = bijector or bijectors.Planar(LATENT, num_steps=4, context_size=5)
    head = functools.partial(layers.FlowNormal, bijector=bijector, context_size=5)
    encoder = networks.mlp_encoder(SHAPE, LATENT, head, width=8)
    model = models.FlowVAE(
        encoder, networks.mlp_decoder(SHAPE, LATENT, width=8), prior, seed=0, **kwargs
    )
    for i, variable in enumerate(bijector.trainable_variables):
        noise = tf.random.stateless_normal(variable.shape, [0, i])
        variable.assign_add(0.5 * noise)
    return model


STEPS = [
    lambda **kwargs: bijectors.Planar(LATENT, 4, **kwargs),
    lambda **kwargs: bijectors.Sylvester(LATENT, 2, 3, **kwargs),
]


@pytest.mark.parametrize("steps", STEPS, ids=["planar", "sylvester"])
def test_kl_is_the_mean_log_ratio_of_draws(steps):
    """The entropy in closed form and the rest at draws, against all of it at draws."""
    model, n = flow_vae(bijector=steps(context_size=5)), 4000
    q = model.encode(X)
    z = q.sample(n, seed=tf.constant([0, 1]))
    prior = model.prior_distribution()
    ratios = (q.log_prob(z) - prior.log_prob(z)).numpy()
    ours = model.kl_divergence(q, prior, z).numpy()
    # Five standard errors of the difference of two means over the same draws.
    error = 5 * (ours - ratios).std(axis=0) / np.sqrt(n) + 1e-5
    assert np.all(np.abs(ours.mean(axis=0) - ratios.mean(axis=0)) < error)


def test_density_integrates_to_one():
    """In one dimension, through points and the density of draws."""
    bijector = bijectors.Planar(1, num_steps=3)
    for i, variable in enumerate(bijector.trainable_variables):
        variable.assign(tf.random.stateless_normal(variable.shape, [1, i]))
    base = layers.StandardNormal(1).as_distribution()
    x = tf.linspace(-8.0, 8.0, 20_001)[:, None]
    y, log_det = bijector.forward(x)
    density = np.exp(base.log_prob(x) - log_det)
    # The trapezoidal rule with 20,000 steps of a smooth function; mass outside of 8 is 1e-15.
    np.testing.assert_allclose(np.trapezoid(density, y[:, 0]), 1.0, rtol=1e-4)


@pytest.mark.parametrize("steps", STEPS, ids=["planar", "sylvester"])
def test_every_weight_has_a_gradient(steps):
    model = flow_vae(bijector=steps(context_size=5))
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(model.terms(X)["loss"])
    variables = model.updates[0].variables
    gradients = tape.gradient(loss, [v.value for v in variables])
    bijector_paths = [v.path for v in model.encoder.layers[-1].bijector.trainable_variables]
    assert set(bijector_paths) <= {v.path for v in variables}
    assert all(np.any(g != 0) for g in gradients)


@pytest.mark.parametrize("steps", STEPS, ids=["planar", "sylvester"])
def test_untrained_flow_is_the_vae(steps):
    """The steps begin as the identity: the log-determinant is 0 and the KL of the VAE."""
    head = functools.partial(layers.FlowNormal, bijector=steps())
    model = models.FlowVAE(
        networks.mlp_encoder(SHAPE, LATENT, head, width=8),
        networks.mlp_decoder(SHAPE, LATENT, width=8),
    )
    terms = model.terms(X, training=False)
    np.testing.assert_allclose(terms["log_det"], np.zeros(6), atol=1e-6)
    base = model.encode(X).base
    np.testing.assert_allclose(model.embed(X), base.mean(), rtol=1e-5, atol=1e-6)


def test_flow_prior():
    """An invertible bijector: the density of the prior at codes, and draws from it."""
    bijector = bijectors.Invert(bijectors.Chain([Stretch(LATENT)]))
    prior = layers.FlowPrior(bijector)
    model = models.FlowVAE(
        networks.mlp_encoder(SHAPE, LATENT, width=8),
        networks.mlp_decoder(SHAPE, LATENT, width=8),
        prior,
        seed=0,
    )
    assert "log_det" not in model.terms(X)
    assert any(
        v is prior.bijector.bijector.bijectors[0].log_scale for v in model.updates[0].variables
    )
    assert model.sample(3, seed=0).shape == (3, *SHAPE)


@keras.saving.register_keras_serializable("tests")
class Stretch(bijectors.Bijector):
    """y = exp(s) x with a trained s."""

    def __init__(self, event_shape, **kwargs):
        super().__init__(event_shape, **kwargs)
        self.log_scale = self.add_weight(shape=(), initializer="zeros", name="log_scale")

    def forward(self, x, context=None):
        scale = tf.convert_to_tensor(self.log_scale)
        return x * tf.exp(scale), self.no_log_det(x) + LATENT * scale

    def inverse(self, y, context=None):
        scale = tf.convert_to_tensor(self.log_scale)
        return y * tf.exp(-scale), self.no_log_det(y) - LATENT * scale


def test_saved_model_goes_on_as_it_was(tmp_path):
    model = flow_vae()
    model.compile("adam")
    model.fit(X, batch_size=3, verbose=0)
    model.save(tmp_path / "flow.keras")
    loaded = models.load_model(tmp_path / "flow.keras")
    for m in (model, loaded):
        m.fit(X, batch_size=3, verbose=0)
    for one, other in zip(model.weights, loaded.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(model.embed(X), loaded.embed(X))


def test_density_of_a_sylvester_flow_integrates_to_one():
    """In two dimensions: the volumes that the cells of a grid are sent to, times the density."""
    flow = bijectors.Sylvester(2, 2, num_steps=3)
    flow.bias.assign(tf.random.stateless_normal(flow.bias.shape, [1, 0]))
    axis = np.arange(-7, 7, 0.02) + 0.01
    x = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    y, log_det = flow.forward(x)
    y = np.reshape(y, (len(axis), len(axis), 2)).astype("float64")
    density = np.exp(layers.StandardNormal(2).as_distribution().log_prob(x) - log_det)
    across, up = y[1:, 1:] - y[:-1, :-1], y[1:, :-1] - y[:-1, 1:]  # diagonals of the cells
    areas = np.abs(across[..., 0] * up[..., 1] - across[..., 1] * up[..., 0]) / 2
    density = density.reshape(len(axis), len(axis))
    corners = density[1:, 1:], density[1:, :-1], density[:-1, 1:], density[:-1, :-1]
    # Cells of 0.02, an error of second order; mass outside of 7 is 1e-11.
    np.testing.assert_allclose(np.sum(areas * np.mean(corners, axis=0)), 1.0, rtol=2e-3)


@pytest.mark.parametrize("jit_compile", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_trains_compiled(jit_compile):
    model = flow_vae()
    model.compile("adam", jit_compile=jit_compile)
    losses = model.fit(X, epochs=40, batch_size=6, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


def test_without_a_flow():
    encoder, decoder = (
        build(SHAPE, LATENT, width=4) for build in (networks.mlp_encoder, networks.mlp_decoder)
    )
    with pytest.raises(
        ValueError, match="Received: an encoder that returns Independent and a prior"
    ):
        models.FlowVAE(encoder, decoder)
