"""Layers of `densities`, `counts` and `discretized`: two oracles each, and any parameters.

The first oracle is scipy, the second that densities integrate to one and that draws have the mean
and the standard deviation of the first.
"""

import functools
from typing import NamedTuple

import hypothesis
import hypothesis.extra.numpy
import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp
from scipy.special import expit, log_softmax

from tfgen import layers, losses, models, networks

tfd = tfp.distributions


def positive(raw, low):
    return np.logaddexp(0, raw) + low


def rounded_logistic(loc, scale, num_values):
    """A `scipy.stats` variable on 0, 1, ... as differences of distribution functions."""
    edges = (np.arange(1, num_values) - 0.5) / (num_values - 1)
    cdf = np.concatenate([[0.0], scipy.stats.logistic(loc, scale).cdf(edges), [1.0]])
    return scipy.stats.rv_discrete(values=(np.arange(num_values), np.diff(cdf)))


class Head(NamedTuple):
    """A layer of one variable, its parameters, and what scipy says of it."""

    layer: keras.layers.Layer
    params: tuple
    scipy: object
    points: np.ndarray
    scale: float = 1.0  # From scipy's variable to that of the layer.


UNIT = np.linspace(0.02, 0.98, 7)
REALS = np.linspace(-4, 5, 7)
HALF = np.array([0.03, 0.4, 1.0, 3.0, 8.0])
COUNTS = np.arange(8.0)


def zero_inflated(counts, share):
    """Mass of counts from 0 to 3999 of which some are zeros more."""
    values = np.arange(4000)
    mass = (1 - share) * counts.pmf(values) + share * (values == 0)
    return scipy.stats.rv_discrete(values=(values, mass / mass.sum()))


NB = scipy.stats.nbinom(
    positive(0.4, 1e-3), positive(0.4, 1e-3) / (positive(0.4, 1e-3) + np.exp(1))
)
HEADS = {
    "laplace": Head(
        layers.IndependentLaplace(1),
        (0.5, 0.3),
        scipy.stats.laplace(0.5, positive(0.3, 0)),
        REALS,
    ),
    "lognormal": Head(
        layers.IndependentLogNormal(1),
        (0.2, -0.5),
        scipy.stats.lognorm(positive(-0.5, 0), scale=np.exp(0.2)),
        HALF,
    ),
    "student": Head(
        layers.IndependentStudentT(1),
        (0.5, 0.3, 6.0),
        scipy.stats.t(positive(6.0, 2), 0.5, positive(0.3, 0)),
        REALS,
    ),
    "gamma": Head(
        layers.IndependentGamma(1),
        (0.9, 0.4),
        scipy.stats.gamma(positive(0.9, 1e-3), scale=1 / positive(0.4, 1e-6)),
        HALF,
    ),
    "beta": Head(
        layers.IndependentBeta(1),
        (1.5, 0.4),
        scipy.stats.beta(positive(1.5, 1e-3), positive(0.4, 1e-3)),
        UNIT,
    ),
    # exp(l x) on [0, 1] is an exponential variable of rate -l, cut at 1.
    "continuous Bernoulli": Head(
        layers.IndependentContinuousBernoulli(1),
        (-2.5,),
        scipy.stats.truncexpon(b=2.5, scale=1 / 2.5),
        UNIT,
    ),
    "truncated normal": Head(
        layers.IndependentTruncatedNormal(1, bounds=(-4.0, 5.0)),
        (-1.0, -2.0),
        scipy.stats.truncnorm(
            -9 * expit(-1) / (9 * positive(-2.0, 0.01)),
            9 * expit(1) / (9 * positive(-2.0, 0.01)),
            -4 + 9 * expit(-1),
            9 * positive(-2.0, 0.01),
        ),
        REALS,
    ),
    "negative binomial": Head(layers.IndependentNegativeBinomial(1), (1.0, 0.4), NB, COUNTS),
    "zero-inflated Poisson": Head(
        layers.ZeroInflatedPoisson(1),
        (1.0, -0.5),
        zero_inflated(scipy.stats.poisson(np.exp(1)), expit(-0.5)),
        COUNTS,
    ),
    "zero-inflated negative binomial": Head(
        layers.ZeroInflatedNegativeBinomial(1),
        (1.0, 0.4, -0.5),
        zero_inflated(NB, expit(-0.5)),
        COUNTS,
    ),
    "categorical": Head(
        layers.IndependentCategorical(1, num_classes=3),
        (0.3, -0.2, 1.0),
        scipy.stats.rv_discrete(values=(range(3), np.exp(log_softmax([0.3, -0.2, 1.0])))),
        np.arange(3.0),
    ),
    "discretized logistic": Head(
        layers.IndependentDiscretizedLogistic(1, num_values=8),
        (-0.1, -3.0),
        rounded_logistic(0.4, positive(-3.0, 0.01 / 7), 8),
        np.arange(8.0) / 7,
        1 / 7,
    ),
}
every_head = pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
densities = pytest.mark.parametrize(
    "head",
    [
        pytest.param(h, id=n)
        for n, h in HEADS.items()
        if not losses.is_discrete(h.layer(np.ones((1, len(h.params)), "float32")))
    ],
)


def density_of(head, params=None):
    return head.layer(tf.constant([params or head.params]))


@every_head
def test_log_density_is_scipys(head):
    log_prob = density_of(head).log_prob(head.points[:, None, None])[:, 0]
    discrete = hasattr(head.scipy, "logpmf") or isinstance(head.scipy, scipy.stats.rv_discrete)
    expected = (head.scipy.logpmf if discrete else head.scipy.logpdf)(
        np.round(head.points / head.scale) if discrete else head.points
    )
    # Float32: about ten operations on numbers up to 10.
    np.testing.assert_allclose(log_prob, expected, rtol=2e-5, atol=2e-5)


@densities
def test_densities_integrate_to_one(head):
    """Over all of scipy's quantiles from 1e-9 on; by the trapezoidal rule in their own scale."""
    x = np.unique(head.scipy.ppf(np.linspace(1e-6, 1 - 1e-6, 100_001)).astype("float32"))
    density = np.exp(density_of(head).log_prob(x[:, None, None])[:, 0].numpy().astype("float64"))
    # What the trapezoidal rule errs near a pole of a density, and the two tails.
    assert abs(np.trapezoid(density, x) - 1) < 2e-3


@every_head
def test_draws_have_the_moments(head):
    num = 20_000
    draws = density_of(head).sample(num, seed=[1, 2]).numpy().ravel() / head.scale
    mean, variance = head.scipy.mean(), head.scipy.var()
    # Five standard errors; of the standard deviation as well, of a fourth moment below 12.
    assert abs(draws.mean() - mean) < 5 * np.sqrt(variance / num)
    assert abs(draws.std() / np.sqrt(variance) - 1) < 5 * np.sqrt((12 - 1) / (4 * num))


@pytest.mark.parametrize("name", [n for n in HEADS if n != "categorical"])
def test_mean_is_scipys(name):
    head = HEADS[name]
    mean = losses.expected_value(density_of(head))
    np.testing.assert_allclose(mean, [[head.scipy.mean() * head.scale]], rtol=1e-4)


# Any parameters.

LIMIT = np.float32(1e4)
# Numbers of all sizes, the ends and what lies between them in powers of ten.
NUMBERS = hypothesis.strategies.floats(
    -LIMIT, LIMIT, width=32
) | hypothesis.strategies.sampled_from(
    [sign * np.float32(10) ** power for power in range(5) for sign in (-1, 1)]
)
ANY = [hypothesis.HealthCheck.function_scoped_fixture]  # Of a case, which no example changes.


@every_head
@hypothesis.settings(max_examples=25, deadline=None, derandomize=True)
@hypothesis.given(data=hypothesis.strategies.data())
def test_any_parameters_give_finite_numbers(head, data):
    """Log-density, gradient and draws, at points of the support and at draws of others."""
    size = len(head.params)
    params = data.draw(hypothesis.extra.numpy.arrays(np.float32, (2, size), elements=NUMBERS))
    with tf.GradientTape() as tape:
        tape.watch(params := tf.constant(params))
        p = head.layer(params)
        draws = p.sample(seed=[0, 1])
        points = np.concatenate(
            [head.points[:, None, None] * np.ones((1, 2, 1)), draws[None, ::-1]]
        )
        log_prob = p.log_prob(tf.stop_gradient(tf.cast(points, tf.float32)))
    assert np.isfinite(log_prob).all()
    assert np.isfinite(tape.gradient(log_prob, params)).all()
    assert np.isfinite(losses.expected_value(p)).all()
    losses.check_support(head.layer(params[:1]), draws.numpy())


@hypothesis.settings(max_examples=10, deadline=None, derandomize=True, suppress_health_check=ANY)
@hypothesis.given(data=hypothesis.strategies.data())
def test_any_parameters_of_any_layer_give_finite_numbers(case, data):
    """Log-density and gradient at draws of others, where a full covariance has two variables."""
    layer, size = (
        (layers.MultivariateNormalTriL(2), 5)
        if case.name == "MultivariateNormalTriL"
        else (case.layer(), case.num_params)
    )
    params = data.draw(hypothesis.extra.numpy.arrays(np.float32, (4, size), elements=NUMBERS))
    with tf.GradientTape() as tape:
        tape.watch(params := tf.constant(params))
        p = layer(params)
        log_prob = p.log_prob(tf.stop_gradient(p.sample(seed=[0, 1]))[::-1])
    assert np.isfinite(log_prob).all()
    assert (
        case.name == "MultivariateNormalTriL" or np.isfinite(tape.gradient(log_prob, params)).all()
    )


@pytest.mark.parametrize(
    "layer, size",
    [
        (layers.IndependentNormal(1), 2),
        (layers.IndependentLaplace(1), 2),
        (layers.IndependentLogNormal(1), 2),
        (layers.IndependentGamma(1), 2),
        (layers.IndependentBeta(1), 2),
        (layers.IndependentBernoulli(1), 1),
        (layers.FixedScaleNormal(1, 1e-9), 1),
        (layers.SharedScaleNormal(1, 1e-9), 1),
        (layers.IndependentCategorical(1, num_classes=3), 3),
        (layers.OneHotCategorical(3), 3),
        (layers.MultivariateNormalTriL(2), 5),
    ],
    ids=lambda value: getattr(value, "name", None),
)
@hypothesis.settings(max_examples=25, deadline=None, derandomize=True)
@hypothesis.given(data=hypothesis.strategies.data())
def test_any_parameters_give_a_finite_divergence(layer, size, data):
    params = data.draw(hypothesis.extra.numpy.arrays(np.float32, (2, size), elements=NUMBERS))
    with tf.GradientTape() as tape:
        tape.watch(params := tf.constant(params))
        q, p = (layer(row[None]) for row in tf.unstack(params))
        divergence = tfd.kl_divergence(q, p)
    assert np.isfinite(divergence).all()
    if size != 5:  # The gradient of a full covariance is beyond float32 sooner.
        assert np.isfinite(tape.gradient(divergence, params)).all()


# Mixtures of rounded logistic variables over colours.

NUM_VALUES = 4
GREY = np.arange(NUM_VALUES) / (NUM_VALUES - 1)
COLOURS = np.stack(np.meshgrid(GREY, GREY, GREY, indexing="ij"), -1).reshape(-1, 3)


def colours():
    """Two pixels of two components, and their parameters by name, shape (pixels, ...)."""
    layer = layers.MixtureDiscretizedLogistic(2, (2, 3), NUM_VALUES)
    raw = np.random.default_rng(0).normal(size=(2, 20)).astype("float32")
    logits, loc, scale, coefficients = np.split(raw.astype("float64"), [2, 8, 14], axis=1)
    scale = positive(scale.reshape(2, 2, 3), 0.01 / (NUM_VALUES - 1))
    parameters = logits, 0.5 + loc.reshape(2, 2, 3), scale, np.tanh(coefficients.reshape(2, 2, 3))
    return layer(raw.reshape(1, 2, 20)), parameters


def probability_by_hand(colour, logits, loc, scale, coefficients):
    """sum_k w_k P(r) P(g|r) P(b|r, g) of one pixel, by scipy's distribution functions."""
    total, (red, green, _) = 0.0, colour
    for weight, m, s, c in zip(np.exp(log_softmax(logits)), loc, scale, coefficients, strict=True):
        locs = [m[0], m[1] + c[0] * red, m[2] + c[1] * red + c[2] * green]
        for mean, deviation, value in zip(locs, s, colour, strict=True):
            k = round(value * (NUM_VALUES - 1))
            weight = weight * rounded_logistic(mean, deviation, NUM_VALUES).pmf(k)
        total += weight
    return total


def test_colours_by_hand():
    p, parameters = colours()
    picture = COLOURS[[[7, 50]]]
    expected = [
        np.log(probability_by_hand(colour, *(part[i] for part in parameters)))
        for i, colour in enumerate(picture[0])
    ]
    np.testing.assert_allclose(p.log_prob(picture), [sum(expected)], rtol=1e-5)


def test_colours_sum_to_one():
    p, _ = colours()
    pictures = np.stack([COLOURS, np.zeros_like(COLOURS)], axis=1)
    others = np.stack([np.zeros_like(COLOURS), COLOURS], axis=1)
    black = p.log_prob(np.zeros((2, 3)))[0]
    # P(first, 0) summed over the first is P(second = 0), and of both P(0, 0).
    first, second = (np.exp(p.log_prob(x[:, None])).sum() for x in (pictures, others))
    np.testing.assert_allclose(first * second, np.exp(black), rtol=1e-5)


def test_draws_of_colours():
    """Means of all colours and of products of two, of the mass enumerated, by 20,000 draws."""
    p, _ = colours()
    draws, num = p.sample(20_000, seed=[0, 1])[:, 0, 0].numpy(), 20_000
    pictures = np.stack([COLOURS, np.zeros_like(COLOURS)], axis=1)
    mass = np.exp(p.log_prob(pictures[:, None])[:, 0].numpy().astype("float64"))
    mass /= mass.sum()

    def products(x):
        return np.concatenate([x, (x[:, :, None] * x[:, None]).reshape(len(x), -1)], axis=1)

    # Five standard errors, of numbers in [0, 1], whose standard deviation is at most 1/2.
    np.testing.assert_allclose(
        products(draws).mean(axis=0), mass @ products(COLOURS), atol=2.5 / np.sqrt(num)
    )


def test_one_channel_is_a_mixture_of_tfps_quantized_distribution():
    raw = np.random.default_rng(1).normal(size=(5, 6)).astype("float32")
    ours = layers.MixtureDiscretizedLogistic(2, (1,), NUM_VALUES)(raw)
    scale = positive(raw[:, 4:], 0.01 / (NUM_VALUES - 1)) * (NUM_VALUES - 1)
    shifted = tfd.Logistic((0.5 + raw[:, 2:4]) * (NUM_VALUES - 1) - 0.5, scale)
    quantized = tfd.QuantizedDistribution(shifted, 0.0, NUM_VALUES - 1.0)
    theirs = tfd.MixtureSameFamily(tfd.Categorical(raw[:, :2]), quantized)
    values = GREY[:, None].astype("float32")
    np.testing.assert_allclose(
        ours.log_prob(values[..., None]), theirs.log_prob(values * (NUM_VALUES - 1)), rtol=1e-4
    )
    mean = (np.exp(theirs.log_prob(np.arange(NUM_VALUES)[:, None])) * values).sum(axis=0)
    np.testing.assert_allclose(ours.mean()[:, 0], mean, rtol=1e-4)


def test_a_vae_of_colour_images_has_bits():
    """Its bits per dimension begin at those of what the head is at zero, and pixels are checked."""
    head = functools.partial(layers.MixtureDiscretizedLogistic, 3)
    size = dict(latent_dim=2, width=8)
    model = models.VAE(
        networks.mlp_encoder((4, 4, 3), **size), networks.mlp_decoder((4, 4, 3), head=head, **size)
    )
    model.compile("adam")
    images = np.random.default_rng(0).integers(0, 256, (32, 4, 4, 3)) / np.float32(255)
    terms = model.evaluate(images, verbose=0, return_dict=True)
    assert model.value_range == (0.0, 1.0)
    # Of 256 equal probabilities 8 bits; a logistic that is wider than [0, 1] has a few more.
    assert 8 < terms["bits_per_dim"] < 10
    assert model.reconstruct(images).shape == images.shape
    with pytest.raises(ValueError, match="256 values in equal steps from 0 to 1.*x / 255"):
        model.fit(images * 0.999, verbose=0)


# Tables.


def table_head():
    return functools.partial(
        layers.Blockwise,
        parts=[
            layers.MixtureNormal(2, 1),
            layers.IndependentCategorical(2, num_classes=3),
            layers.ZeroInflatedPoisson(1),
        ],
    )


def test_blocks_have_the_density_of_their_parts():
    head = table_head()(4)
    size = head.params_size(4, head.parts)
    params = np.random.default_rng(0).normal(size=(5, size)).astype("float32")
    rows = np.array([[0.3, 2, 0, 7]] * 5, "float32")
    parts = np.split(params, [6, 12], axis=1)
    expected = sum(
        layer(part).log_prob(columns)
        for layer, part, columns in zip(head.parts, parts, np.split(rows, [1, 3], 1), strict=True)
    )
    np.testing.assert_allclose(head(params).log_prob(rows), expected, rtol=1e-6)
    # And by TFP, of one column.
    counts = layers.ZeroInflatedPoisson.new(params[:, 12:], 1)
    np.testing.assert_allclose(
        head(params).log_prob(rows) - head(params).log_prob(rows * [1, 1, 1, 0]),
        counts.log_prob(rows[:, 3:]) - counts.log_prob(np.zeros((5, 1))),
        rtol=1e-4,
    )


def table(num=200):
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 3, num)
    return np.stack([rng.normal(kind), kind, (kind + 1) % 3, rng.poisson(kind)], 1).astype("f")


@pytest.mark.slow
def test_a_vae_of_a_table(tmp_path):
    sizes = dict(latent_dim=2, width=16)
    model = models.VAE(
        networks.mlp_encoder((4,), **sizes),
        networks.mlp_decoder((4,), head=table_head(), **sizes),
        seed=0,
    )
    model.compile(keras.optimizers.Adam(1e-2))
    rows = table()
    loss = model.fit(rows, epochs=5, verbose=0).history["loss"]
    assert loss[-1] < loss[0] and "bits_per_dim" not in model.evaluate(rows, return_dict=True)
    means, draws = model.sample(50, seed=0), model.sample(50, seed=0, mean=False)
    for samples in (means.numpy(), draws.numpy()):
        assert set(samples[:, 1:3].ravel()) <= {0, 1, 2}  # Classes, of the mean too.
    model.save(tmp_path / "table.keras")
    loaded = keras.models.load_model(tmp_path / "table.keras")
    np.testing.assert_array_equal(loaded.sample(50, seed=0), means)
    with pytest.raises(ValueError, match=r"Categorical likelihood needs data in \{0, ..., 2\}"):
        model.fit(rows + [0, 1, 0, 0], verbose=0)


@pytest.mark.parametrize(
    "parts, message",
    [
        ([], r"parts must be distribution layers, in.*Received: \[\]"),
        (layers.IndependentNormal, "parts must be distribution layers"),
        ([layers.IndependentNormal(2), layers.StandardNormal(2)], "parts must be distribution"),
        ([layers.IndependentNormal(3)], r"event_shape=\(4,\) and parts of \[3\] columns"),
        ([layers.IndependentNormal(4, seed=0)], r"no seed of their own.*Normal\(seed=0\)"),
        (
            [layers.IndependentNormal(3), layers.IndependentPoisson(1, "mean")],
            r"no convert_to_tensor_fn of their own.*Poisson\(convert_to_tensor_fn='mean'\)",
        ),
    ],
)
def test_parts_that_are_no_parts(parts, message):
    with pytest.raises(ValueError, match=message):
        layers.Blockwise(4, parts)
