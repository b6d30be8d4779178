"""Independent layers: densities by hand, parameters flat or shaped, errors by text."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen import layers, losses, models, networks

tfd = tfp.distributions

PARAMS = np.array([[0.5, -1.0, 0.3, 2.0]], "float32")  # loc (0.5, -1), raw scale (0.3, 2)
POINT = np.array([1.5, -2.0], "float32")


@keras.saving.register_keras_serializable("tests")
def softplus_with_floor(raw):
    return tf.nn.softplus(raw) + 0.1


def softplus(raw):
    return np.log1p(np.exp(raw))


def log_normal_density(x, loc, scale):
    return -0.5 * ((x - loc) / scale) ** 2 - np.log(scale) - 0.5 * np.log(2 * np.pi)


def test_normal_density_by_hand():
    expected = log_normal_density(POINT, PARAMS[0, :2], softplus(PARAMS[0, 2:])).sum()
    np.testing.assert_allclose(
        layers.IndependentNormal(2)(PARAMS).log_prob(POINT), [expected], rtol=1e-5
    )


@pytest.mark.parametrize("jit_compile", [False, True])
def test_normal_draws(jit_compile):
    """Distributed as they should, reparameterized, and a function of the seed alone."""
    params = tf.constant([3.0, 1.0])
    num = 20_000

    @tf.function(jit_compile=jit_compile)
    def draw(params, seed):
        with tf.GradientTape() as tape:
            tape.watch(params)
            q = layers.IndependentNormal.new(params, (1,), scale_activation="exponential")
            z = q.sample(num, seed=seed)
        return z[:, 0], tape.gradient(z, params)

    z, gradient = draw(params, tf.constant([1, 2]))
    # The gradient of the sum: of loc once a draw, of log(scale) the noise times the scale.
    np.testing.assert_allclose(gradient, [num, np.sum(z - 3)], rtol=1e-3)
    # Kolmogorov-Smirnov distance; beyond 2 / sqrt(num) with probability 2 exp(-8) = 7e-4.
    uniform = np.sort(tfp.distributions.Normal(3.0, np.e).cdf(z))
    assert np.abs(uniform - (np.arange(num) + 0.5) / num).max() < 2 / np.sqrt(num)
    np.testing.assert_array_equal(z, draw(params, tf.constant([1, 2]))[0])
    assert (z.numpy() != draw(params, tf.constant([1, 3]))[0].numpy()).any()


def test_logistic_density_by_hand():
    scale = softplus(PARAMS[0, 2:])
    standardized = (POINT - PARAMS[0, :2]) / scale
    expected = (-standardized - np.log(scale) - 2 * np.log1p(np.exp(-standardized))).sum()
    np.testing.assert_allclose(
        layers.IndependentLogistic(2)(PARAMS).log_prob(POINT), [expected], rtol=1e-5
    )


def test_bernoulli_mass_by_hand():
    logits = np.array([[0.5, -1.0]], "float32")
    expected = -np.log1p(np.exp(-0.5)) - np.log1p(np.exp(-1.0))  # Of the pixels (1, 0).
    np.testing.assert_allclose(
        layers.IndependentBernoulli(2)(logits).log_prob([1.0, 0.0]), [expected], rtol=1e-5
    )


def test_poisson_mass_by_hand():
    log_rate = np.array([[0.5, -1.0]], "float32")
    # log of rate**k exp(-rate) / k! at k = (2, 0)
    expected = (2 * 0.5 - np.exp(0.5) - np.log(2)) + (-np.exp(-1.0))
    np.testing.assert_allclose(
        layers.IndependentPoisson(2)(log_rate).log_prob([2.0, 0.0]), [expected], rtol=1e-5
    )


def test_fixed_scale_normal_is_the_squared_error_up_to_a_constant():
    loc, x = np.random.default_rng(0).normal(size=(2, 4, 3)).astype("float32")
    log_prob = layers.FixedScaleNormal(3, scale=np.sqrt(0.5))(loc).log_prob(x)
    squared_error = ((x - loc) ** 2).sum(axis=-1)
    np.testing.assert_allclose(-log_prob, squared_error + 1.5 * np.log(np.pi), rtol=1e-5)


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan")])
def test_fixed_scale_must_be_positive(scale):
    with pytest.raises(ValueError, match="scale must be a positive float. Received: scale="):
        layers.FixedScaleNormal(2, scale=scale)


def test_fixed_scale_normal_counts_its_parameters():
    assert layers.FixedScaleNormal.params_size((2, 3)) == 6


@pytest.mark.parametrize(
    "activation, function",
    [("softplus", softplus), ("exponential", np.exp), (tf.exp, np.exp)],
    ids=["softplus", "exponential", "callable"],
)
def test_scale_activation(activation, function):
    layer = layers.IndependentNormal(2, scale_activation=activation)
    np.testing.assert_allclose(layer(PARAMS).stddev()[0], function(PARAMS[0, 2:]), rtol=1e-6)


def test_registered_scale_activation_is_saved(reloaded):
    head = layers.IndependentNormal(2, scale_activation=softplus_with_floor)
    loaded = reloaded(keras.Sequential([keras.Input((4,)), head]))
    np.testing.assert_allclose(loaded(PARAMS).stddev()[0], softplus(PARAMS[0, 2:]) + 0.1, rtol=1e-6)


@pytest.mark.parametrize(
    "layer",
    [
        layers.IndependentBernoulli((4, 5, 2)),
        layers.IndependentPoisson((4, 5, 2)),
        layers.FixedScaleNormal((4, 5, 2)),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_one_parameter_flat_or_shaped(layer):
    shaped = np.random.default_rng(0).normal(size=(3, 4, 5, 2)).astype("float32")
    flat = layer(shaped.reshape(3, 40))
    np.testing.assert_array_equal(layer(shaped).mean(), flat.mean())
    assert flat.batch_shape == layer(shaped).batch_shape == (3,)


@pytest.mark.parametrize("layer_class", [layers.IndependentNormal, layers.IndependentLogistic])
def test_two_parameters_as_channels_of_a_convolution(layer_class):
    loc, raw = np.random.default_rng(0).normal(size=(2, 3, 4, 5, 2)).astype("float32")
    layer = layer_class((4, 5, 2))
    shaped = layer(np.concatenate([loc, raw], axis=-1))
    flat = layer(np.concatenate([loc.reshape(3, 40), raw.reshape(3, 40)], axis=-1))
    assert shaped.batch_shape == flat.batch_shape == (3,)
    np.testing.assert_array_equal(shaped.mean(), loc)
    np.testing.assert_array_equal(flat.mean(), loc)
    np.testing.assert_array_equal(shaped.stddev(), flat.stddev())


def test_convolution_needs_no_flatten():
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(2, 3, padding="same"),
            layers.IndependentNormal((8, 8, 1)),
        ]
    )
    assert model.output_shape == (None, 8, 8, 1)
    assert model(tf.zeros((2, 8, 8, 3))).event_shape == (8, 8, 1)


def test_leading_axes_are_batch_axes():
    normal = layers.IndependentNormal(2)(tf.zeros((3, 5, 4)))
    assert (normal.batch_shape, normal.event_shape) == ((3, 5), (2,))


@pytest.mark.parametrize(
    "event_shape",
    [[2, 3], (2, 3), tf.TensorShape([2, 3]), np.array([2, 3]), tf.constant([2, 3])],
    ids=lambda shape: type(shape).__name__,
)
def test_event_shape_in_any_form(event_shape):
    assert layers.IndependentNormal(event_shape)(tf.zeros((1, 12))).event_shape == (2, 3)
    assert layers.IndependentNormal.params_size(event_shape) == 12


def test_scalar_events():
    normal = layers.IndependentNormal()(np.array([[1.0, 0.0]], "float32"))
    assert (normal.batch_shape, normal.event_shape) == ((1,), ())
    np.testing.assert_allclose(
        normal.log_prob(2.0), [log_normal_density(2.0, 1.0, np.log(2))], rtol=1e-5
    )


@pytest.mark.parametrize(
    "event_shape, shape, message",
    [
        (3, (2, 5), r"flat shape \(..., 6\) or end in the shape \(6,\). Received: shape \(2, 5\)"),
        ((4, 4, 1), (2, 4, 4, 1), r"\(..., 32\) or end in the shape \(4, 4, 2\).*Dense\(32\)"),
        ((), (2, 3), r"event_shape=\(\).*flat shape \(..., 2\).*Received: shape \(2, 3\)"),
        ((), (), r"Received: shape \(\)"),
    ],
)
def test_wrong_number_of_parameters(event_shape, shape, message):
    with pytest.raises(ValueError, match=message):
        layers.IndependentNormal.new(tf.zeros(shape), event_shape)


@pytest.mark.parametrize("scale", [0.3, 2.0])
def test_gradient_of_a_shared_scale(scale):
    """d(-log p) / d log(sigma) = D (1 - mean squared error / sigma^2), zero at the error itself."""
    layer, rng = layers.SharedScaleNormal((2, 3), scale), np.random.default_rng(0)
    loc, x = rng.normal(size=(2, 5, 2, 3)).astype("float32")
    with tf.GradientTape() as tape:
        loss = -tf.reduce_mean(layer(loc).log_prob(x))
    expected = -log_normal_density(x, loc, scale).sum(axis=(1, 2)).mean()
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    slope = tape.gradient(loss, layer.log_scale.value)
    np.testing.assert_allclose(slope, 6 * (1 - np.mean((x - loc) ** 2) / scale**2), rtol=1e-4)


@pytest.mark.slow
def test_shared_scale_of_a_regression_is_the_rms_of_its_residuals(reloaded):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(50, 2)).astype("float32")
    y = (x @ rng.normal(size=(2, 4)) + 0.3 * rng.normal(size=(50, 4))).astype("float32")
    keras.utils.set_random_seed(0)
    dense = keras.layers.Dense(4, use_bias=False)
    model = keras.Sequential([keras.Input((2,)), dense, layers.SharedScaleNormal(4)])
    rate = keras.optimizers.schedules.CosineDecay(0.05, 600)
    model.compile(keras.optimizers.Adam(rate), loss=losses.NegativeLogLikelihood())
    model.fit(x, y, batch_size=50, epochs=600, verbose=0)
    solution, residuals, *_ = np.linalg.lstsq(x, y, rcond=None)
    np.testing.assert_allclose(dense.kernel, solution, atol=1e-3)
    expected = np.sqrt(residuals.sum() / y.size)
    np.testing.assert_allclose(model.layers[-1].scale, expected, rtol=1e-3)
    np.testing.assert_allclose(reloaded(model).layers[-1].scale, model.layers[-1].scale, rtol=1e-6)


def test_a_vae_trains_its_shared_scale():
    """The scale of a decoder that cannot explain anything is the standard deviation of the data."""
    shape, x = (2, 2, 1), 0.2 * np.random.default_rng(2).normal(size=(512, 2, 2, 1))
    keras.utils.set_random_seed(0)
    model = models.VAE(
        networks.mlp_encoder(shape, 1, depth=0),
        networks.mlp_decoder(shape, 1, layers.SharedScaleNormal, depth=0),
        seed=0,
    )
    model.decoder.layers[-2].trainable = False
    model.decoder.layers[-2].set_weights([np.zeros((1, 4)), np.zeros(4)])
    model.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.05, 320)))
    model.fit(x.astype("float32"), batch_size=64, epochs=40, verbose=0)
    np.testing.assert_allclose(model.decoder.layers[-1].scale, np.sqrt(np.mean(x**2)), rtol=0.01)
