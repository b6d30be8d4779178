"""Draws of all distributions that layers and priors return: TFP's without XLA, the same with it.

The likelihoods of `OTHERS` draw other numbers under XLA: TFP gives Poisson and Gamma variables two
algorithms, one for TensorFlow's kernel and one for XLA, and draws uniform noise in other ways. No
training draws from a decoder, only `sample` of a model.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from numpy.testing import assert_allclose, assert_array_equal

from tfgen import bijectors, layers
from tfgen.layers import distributions

tfd = tfp.distributions

SEED = [3, 5]
# Of numbers up to 10, each after a logarithm, a root and a sine.
ROUNDING = dict(rtol=1e-5, atol=1e-5)
LOC = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
SCALE = np.exp(LOC[::-1])
TRIL = np.linalg.cholesky(np.eye(3) + LOC[:, None] * LOC[:, :, None]).astype("float32")

ARGUMENTS = {
    "Normal": (LOC, SCALE),
    "Logistic": (LOC, SCALE),
    "Uniform": (LOC - SCALE, LOC + SCALE),
    "Bernoulli": (LOC,),
    "MultivariateNormalTriL": (LOC, TRIL),
    "Categorical": (LOC,),
    "OneHotCategorical": (LOC,),
}
OTHERS = {
    "Blockwise",
    "IndependentBeta",
    "IndependentContinuousBernoulli",
    "IndependentGamma",
    "IndependentLaplace",
    "IndependentLogNormal",
    "IndependentNegativeBinomial",
    "IndependentPoisson",
    "IndependentStudentT",
    "IndependentTruncatedNormal",
    "ZeroInflatedNegativeBinomial",
    "ZeroInflatedPoisson",
}
every_class = pytest.mark.parametrize("name", ARGUMENTS)


def test_all_classes_are_tested():
    assert {*ARGUMENTS, "IndependentBernoulli", "Mass"} == set(distributions.__all__)


# TFP's.


@pytest.mark.parametrize("name", [n for n in ARGUMENTS if "Categorical" not in n])
def test_draws_are_tfps(name):
    ours, theirs = (getattr(m, name)(*ARGUMENTS[name]) for m in (distributions, tfd))
    expected = theirs.sample((2, 101), seed=SEED)
    draws = ours.sample((2, 101), seed=SEED)
    assert draws.dtype == expected.dtype
    assert_allclose(draws, expected, **ROUNDING)
    drawn, log_prob = ours.experimental_sample_and_log_prob(101, seed=SEED)
    assert_allclose(drawn, theirs.sample(101, seed=SEED), **ROUNDING)
    assert_allclose(log_prob, theirs.log_prob(drawn), rtol=1e-5, atol=1e-5)


@every_class
def test_they_are_tfps_classes(name):
    ours, theirs = (getattr(m, name)(*ARGUMENTS[name]) for m in (distributions, tfd))
    assert isinstance(ours, getattr(tfd, name)) and ours.name == theirs.name
    assert ours.batch_shape == theirs.batch_shape and ours.event_shape == theirs.event_shape
    assert ours.reparameterization_type == theirs.reparameterization_type
    copy = ours.copy(validate_args=True)
    assert type(copy) is type(ours)
    assert_array_equal(copy.sample(seed=SEED), ours.sample(seed=SEED))
    draws = ours.sample(seed=SEED)
    assert_allclose(ours.log_prob(draws), theirs.log_prob(draws), **ROUNDING)
    if name != "Logistic":  # Of which TFP knows no divergence.
        assert_allclose(tfd.kl_divergence(ours, theirs), np.zeros(ours.batch_shape), atol=1e-6)


@every_class
def test_they_leave_a_tf_function(name):
    ours = getattr(distributions, name)(*ARGUMENTS[name])
    left = tf.function(lambda: ours)()
    assert isinstance(left, type(ours))
    assert_array_equal(left.sample(seed=SEED), ours.sample(seed=SEED))


@pytest.mark.parametrize("name", ["Categorical", "OneHotCategorical"])
def test_frequencies_of_classes(name):
    ours = getattr(distributions, name)(*ARGUMENTS[name])
    n, probs = 20_000, ours.probs_parameter().numpy()
    draws = ours.sample(n, seed=SEED)
    if name == "Categorical":
        draws = tf.one_hot(draws, 3)
    tolerance = 5 * np.sqrt(probs * (1 - probs) / n)
    assert np.all(np.abs(np.mean(draws, axis=0) - probs) <= tolerance)


@pytest.mark.parametrize("name", ["Normal", "Logistic", "MultivariateNormalTriL"])
def test_draws_have_gradients(name):
    loc, scale = (tf.constant(argument) for argument in ARGUMENTS[name])
    with tf.GradientTape() as tape:
        tape.watch((loc, scale))
        z = getattr(distributions, name)(loc, scale).sample(seed=SEED)
    to_loc, to_scale = tape.gradient(z, (loc, scale))
    assert_array_equal(to_loc, np.ones((4, 3)))
    noise = getattr(distributions, name)(tf.zeros_like(loc), scale).sample(seed=SEED)
    # The scale is a factor of the noise: by Euler, <scale, gradient> = sum of what it makes.
    assert_allclose(tf.reduce_sum(scale * to_scale), tf.reduce_sum(noise), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["Normal", "Logistic", "Bernoulli", "Categorical"])
def test_seeds_of_other_kinds(name):
    """An int, for a stateful seed, and none."""
    ours = getattr(distributions, name)(*ARGUMENTS[name])
    tf.random.set_seed(0)
    first = ours.sample(50, seed=1)
    tf.random.set_seed(0)
    assert_array_equal(first, ours.sample(50, seed=1))
    assert not np.array_equal(ours.sample(50), ours.sample(50))


@pytest.mark.parametrize("extreme", [0.0, 1 - 2.0**-23])
def test_draws_of_the_extreme_numbers_are_finite(monkeypatch, extreme):
    """Of 0 the logit is infinite."""
    monkeypatch.setattr(
        distributions.random, "uniform", lambda shape, *_: tf.fill(shape, np.float32(extreme))
    )
    for name, arguments in ARGUMENTS.items():
        draws = getattr(distributions, name)(*arguments).sample(2, seed=SEED)
        assert np.all(np.isfinite(draws)), name


@pytest.mark.parametrize("batch", [(), (3,), (2, 3)])
@pytest.mark.parametrize("event", [(), (4,), (3,), (2, 3), (5, 3), (5, 2, 3), (4, 5, 2, 3), (5, 1)])
def test_log_prob_of_classes(batch, event):
    """TFP's, and its gradient; of as many events as logits, of more, and of fewer."""
    generator = np.random.default_rng(0)
    logits = tf.constant(generator.normal(size=(*batch, 7)), tf.float32)
    classes = generator.integers(7, size=event)

    def outcome(family):
        try:
            with tf.GradientTape() as tape:
                tape.watch(logits)
                log_prob = family(logits).log_prob(classes)
            return log_prob, tf.convert_to_tensor(tape.gradient(log_prob, logits))
        except (ValueError, tf.errors.InvalidArgumentError):
            return None

    expected, received = outcome(tfd.Categorical), outcome(distributions.Categorical)
    assert (expected is None) == (received is None)
    for ours, theirs in zip(received or (), expected or (), strict=True):
        assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("outside", [-1, 7])
def test_no_class_has_no_log_prob(outside):
    family, classes = distributions.Categorical(tf.zeros((3, 7))), [[0, outside, 0]] * 2
    with pytest.raises(tf.errors.InvalidArgumentError):
        family.log_prob(classes)
    compiled = tf.function(lambda: family.log_prob(classes), jit_compile=True)()
    assert_array_equal(np.isnan(compiled), [[False, True, False]] * 2)


# Sums over pixels.


def bernoullis(logits, rank, module=distributions):
    return getattr(module, "IndependentBernoulli", tfd.Independent)(module.Bernoulli(logits), rank)


def mixed_logits(*shape):
    """Of every size, far beyond where the logistic function is 0 or 1 in float32."""
    generator = np.random.default_rng(1)
    return tf.constant(generator.normal(size=shape) * 10 ** generator.uniform(-3, 3, shape))


@pytest.mark.parametrize("event", [(), (1,), (3,), (6,), (784,), (5, 4, 2), (0,)])
@pytest.mark.parametrize("sample", [(), (5,), (7, 5), (7, 1)])
def test_log_prob_of_pixels(event, sample):
    """TFP's in float64; each of n terms and each partial sum is rounded."""
    logits = mixed_logits(5, *event)
    x = np.random.default_rng(0).integers(2, size=(*sample, *event)).astype("float32")
    ours = bernoullis(tf.cast(logits, tf.float32), len(event)).log_prob(x)
    expected = bernoullis(logits, len(event), tfd).log_prob(x.astype("int32"))
    assert ours.shape == expected.shape
    n = max(np.prod(event), 1)
    largest = np.max(np.sum(np.abs(logits), axis=tuple(range(1, 1 + len(event)))), initial=0)
    assert_allclose(ours, expected, rtol=0, atol=4 * n * 2.0**-24 * (1 + largest))


@pytest.mark.parametrize("size", [3, 8])
def test_derivatives_of_log_prob_of_pixels(size):
    """First and second, of TFP's."""

    def derivatives(module, dtype):
        logits = tf.cast(mixed_logits(3, size) / 10, dtype)
        with tf.GradientTape() as second, tf.GradientTape() as first:
            first.watch(logits)
            second.watch(logits)
            log_prob = bernoullis(logits, 1, module).log_prob([1] * (size - 1) + [0])
            gradient = first.gradient(tf.square(log_prob), logits)
        return gradient, second.batch_jacobian(gradient, logits)

    for ours, expected in zip(
        derivatives(distributions, tf.float32), derivatives(tfd, tf.float64), strict=True
    ):
        assert_allclose(ours, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


def test_pixels_of_half_precision_and_with_checks():
    """Their logarithms are taken one by one: products of eight would be too coarse, and values
    that are no outcomes go unseen."""
    logits = tf.constant([[-6.0] * 8], tf.bfloat16)
    ours, expected = (bernoullis(logits, 1, m).log_prob(tf.zeros(8)) for m in (distributions, tfd))
    assert_allclose(tf.cast(ours, tf.float32), tf.cast(expected, tf.float32), rtol=0.02)
    checked = distributions.Bernoulli(tf.zeros((1, 8)), validate_args=True)
    with pytest.raises(tf.errors.InvalidArgumentError):
        distributions.IndependentBernoulli(checked, 1).log_prob(tf.fill([8], 2))


def test_pixels_are_tfps_independent():
    ours = bernoullis(tf.constant(LOC), 1)
    assert isinstance(ours, tfd.Independent) and isinstance(ours.copy(), type(ours))
    left = tf.function(lambda: ours)()
    assert isinstance(left, distributions.IndependentBernoulli)
    assert_array_equal(left.sample(seed=SEED), ours.sample(seed=SEED))
    assert_allclose(tfd.kl_divergence(ours, bernoullis(tf.constant(LOC), 1, tfd)), np.zeros(4))


# XLA.


def assert_same_with_xla(draw):
    """`draw` gives the same numbers eagerly and under XLA."""
    assert_allclose(tf.function(draw, jit_compile=True)(), draw(), **ROUNDING)


def test_layers_draw_the_same_with_xla(case, features):
    if case.name in OTHERS:
        pytest.skip("See the docstring of this file.")
    model = case.model()
    assert_same_with_xla(lambda: model(features).sample(3, seed=SEED))


def test_tensors_of_layers_are_the_same_with_xla():
    """The one sample of a forward pass, from the layer's own seed."""
    eager, compiled = (layers.IndependentNormal(3, seed=7) for _ in range(2))
    params = tf.constant(np.resize(LOC, (5, 6)))
    forward = tf.function(lambda x: tf.convert_to_tensor(compiled(x)), jit_compile=True)
    for _ in range(2):
        assert_allclose(forward(params), tf.convert_to_tensor(eager(params)), **ROUNDING)


def _encoder():
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(4), layers.IndependentNormal(2)])


def _hierarchical():
    return layers.HierarchicalNormal(
        [keras.Sequential([keras.Input((2,)), keras.layers.Dense(6), layers.IndependentNormal(3)])]
    )


PRIORS = {
    "StandardNormal": lambda: layers.StandardNormal((2, 2)),
    "MixtureOfNormals": lambda: layers.MixtureOfNormals(2, num_components=3, seed=0),
    "VampPrior": lambda: layers.VampPrior((3,), num_components=4, seed=0),
    "FlowPrior": lambda: layers.FlowPrior(bijectors.maf(2, num_steps=1, hidden=(4,))),
    "HierarchicalNormal": _hierarchical,
    "InfoGANPrior": lambda: layers.InfoGANPrior(2, (3,), num_continuous=2),
    "RelaxedOneHotPrior": lambda: layers.RelaxedOneHotPrior(4, num_classes=2),
    "PoincareNormalPrior": lambda: layers.PoincareNormalPrior(3, curvature=0.5),
    "SphericalUniform": lambda: layers.SphericalUniform(3),
    "CodeFrequencies": lambda: layers.CodeFrequencies(num_positions=3, num_codes=5),
}


def test_all_priors_are_tested():
    classes = (vars(layers)[name] for name in layers.__all__)
    kinds = (c for c in classes if isinstance(c, type))
    priors = {c.__name__ for c in kinds if issubclass(c, layers.Prior)}
    assert set(PRIORS) == priors - {"Prior", "ConditionalPrior"}  # test_conditional_prior.py


@pytest.mark.parametrize("name", PRIORS)
def test_priors_draw_the_same_with_xla(name):
    prior, encoder = PRIORS[name](), _encoder()
    assert_same_with_xla(lambda: prior.as_distribution(encoder).sample(11, seed=SEED))


def test_flow_posteriors_draw_the_same_with_xla(features):
    iaf = bijectors.iaf(2, num_steps=1, hidden=(4,))
    layer = layers.FlowNormal(2, iaf)
    params = tf.constant(np.resize(features, (5, layer.params_size(2))))
    assert_same_with_xla(lambda: layer(params).sample(3, seed=SEED))


def test_mixtures_of_every_layer_draw_the_same_with_xla():
    for component, size in ((layers.IndependentBernoulli(2), 2), (layers.FixedScaleNormal(2), 2)):
        layer = layers.MixtureSameFamily(3, component)
        params = tf.constant(np.resize(LOC, (4, layer.params_size(3, size))))
        assert_same_with_xla(lambda: layer(params).sample(3, seed=SEED))  # noqa: B023


def test_mixtures_choose_by_their_weights():
    prior = layers.MixtureOfNormals((), num_components=3)
    prior.logits.assign(np.log([0.2, 0.5, 0.3]))
    prior.loc.assign([-100.0, 0.0, 100.0])
    n, draws = 10_000, prior.as_distribution().sample(10_000, seed=SEED).numpy()
    shares = [np.mean(draws < -50), np.mean(np.abs(draws) < 50), np.mean(draws > 50)]
    assert_allclose(shares, [0.2, 0.5, 0.3], rtol=0, atol=5 * np.sqrt(0.25 / n))
