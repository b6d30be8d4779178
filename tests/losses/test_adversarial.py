"""Adversarial losses against naive formulas, optima by enumeration, and hand-made gradients."""

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal

from tfgen.losses import (
    ADVERSARIAL_LOSSES,
    RELATIVISTIC_LOSSES,
    WeightClipping,
    adversarial_loss,
    ascend_multiplier,
    constraint_penalty,
    gradient_penalty,
    proximity,
    r1_penalty,
    relativistic_loss,
    with_penalty,
)

LOGITS = np.linspace(-6.0, 6.0, 13)

# Two densities on four points, and as data for expectations: weights of the points.
P = np.array([0.1, 0.4, 0.3, 0.2])
Q = np.array([0.3, 0.1, 0.2, 0.4])


def probability(logits):
    """D in float64; D and 1 - D are far from 0 for all LOGITS."""
    return 1 / (1 + np.exp(-logits))


NAIVE = {
    "minimax": (
        lambda d: -np.log(probability(d)),
        lambda d: -np.log(1 - probability(d)),
        lambda d: np.log(1 - probability(d)),
    ),
    "non_saturating": (
        lambda d: -np.log(probability(d)),
        lambda d: -np.log(1 - probability(d)),
        lambda d: -np.log(probability(d)),
    ),
    "log_odds": (
        lambda d: -np.log(probability(d)),
        lambda d: -np.log(1 - probability(d)),
        lambda d: -np.log(probability(d)) + np.log(1 - probability(d)),
    ),
    "wasserstein": (lambda d: -d, lambda d: d, lambda d: -d),
    "least_squares": (
        lambda d: 0.5 * (d - 1) ** 2,
        lambda d: 0.5 * d**2,
        lambda d: 0.5 * (d - 1) ** 2,
    ),
    "hinge": (lambda d: np.maximum(0, 1 - d), lambda d: np.maximum(0, 1 + d), lambda d: -d),
    "kl": (lambda d: -d, lambda d: np.exp(d - 1), lambda d: -np.exp(d - 1)),
    "reverse_kl": (lambda d: np.exp(-d), lambda d: d - 1, lambda d: 1 - d),
    "pearson": (lambda d: -d, lambda d: d**2 / 4 + d, lambda d: -(d**2) / 4 - d),
    "squared_hellinger": (
        lambda d: np.exp(-d) - 1,
        lambda d: np.exp(d) - 1,
        lambda d: 1 - np.exp(d),
    ),
}


def kl(a, b):
    return np.sum(a * np.log(a / b))


def jensen_shannon(a, b):
    return (kl(a, (a + b) / 2) + kl(b, (a + b) / 2)) / 2


def value_of(loss, logits):
    """The discriminator's expected loss under data P and samples Q."""
    return np.sum(P * loss.real(logits) + Q * loss.fake(logits))


def best_logits(loss):
    """Logits on the four points that minimise the discriminator's loss, by search: 1e-3 apart."""
    grid = np.linspace(-8.0, 8.0, 16_001)
    return grid[np.argmin(np.outer(P, loss.real(grid)) + np.outer(Q, loss.fake(grid)), axis=1)]


F_DIVERGENCES = {
    "kl": kl(P, Q),
    "reverse_kl": kl(Q, P),
    "pearson": np.sum((P - Q) ** 2 / Q),
    "squared_hellinger": np.sum((np.sqrt(P) - np.sqrt(Q)) ** 2),
}


# Values.


def test_exponentials_go_on_as_tangents():
    """In value and slope, where float32 has neither."""
    logits = tf.constant([31.0, 33.0, 1e4])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        value = adversarial_loss("kl").fake(logits)
    exact = np.exp(30.0) * (1 + np.array([31.0, 33.0, 1e4]) - 1 - 30)
    assert_allclose(value, exact, rtol=1e-5)
    assert_allclose(tape.gradient(value, logits), np.exp(30.0) * np.ones(3), rtol=1e-5)


@pytest.mark.parametrize("name", F_DIVERGENCES)
def test_best_discriminator_of_an_f_gan_knows_the_divergence(name):
    loss = adversarial_loss(name)
    logits = best_logits(loss)
    # Steps of the search of 1e-3 cost their square.
    assert value_of(loss, logits) == pytest.approx(-F_DIVERGENCES[name], abs=1e-5)
    generated = np.sum(Q * loss.generator(logits)) + np.sum(P * -np.asarray(loss.real(logits)))
    assert generated == pytest.approx(F_DIVERGENCES[name], abs=1e-5)


def test_all_losses_are_tested():
    assert set(ADVERSARIAL_LOSSES) == set(NAIVE)


@pytest.mark.parametrize("player", [0, 1, 2], ids=["real", "fake", "generator"])
@pytest.mark.parametrize("name", NAIVE)
def test_formulas(name, player):
    loss = adversarial_loss(name)[player]
    # Float32 rounding of values up to 25.
    assert_allclose(loss(LOGITS[:, None]), NAIVE[name][player](LOGITS), rtol=1e-6, atol=1e-7)
    with tf.GradientTape() as tape:
        logits = tf.Variable(LOGITS[:, None], dtype=tf.float32)
        total = tf.reduce_sum(loss(logits))
    h, naive = 1e-5, NAIVE[name][player]
    slope = (naive(LOGITS + h) - naive(LOGITS - h)) / (2 * h)
    smooth = np.abs(np.abs(LOGITS) - 1) > 0.1  # Away from the kinks of the hinge.
    assert_allclose(tape.gradient(total, logits)[:, 0][smooth], slope[smooth], atol=1e-6)


@pytest.mark.parametrize("name", NAIVE)
def test_large_logits_stay_finite(name):
    for loss in adversarial_loss(name):
        logits = tf.constant([[-1e4], [1e4]])
        with tf.GradientTape() as tape:
            tape.watch(logits)
            values = loss(logits)
        assert np.isfinite(values).all()
        assert np.isfinite(tape.gradient(values, logits)).all()
    # log(1 + exp(-d)) = -d to the last bit where exp(d) vanishes.
    assert float(adversarial_loss("non_saturating").generator(tf.constant([-1e4]))[0]) == 1e4


@pytest.mark.parametrize("name", NAIVE)
def test_patches_are_averaged_and_half_precision_is_left(name):
    patches = np.random.default_rng(0).normal(size=(5, 3, 2, 1))
    for loss, naive in zip(adversarial_loss(name), NAIVE[name], strict=True):
        assert_allclose(loss(patches), naive(patches).mean(axis=(1, 2, 3)), rtol=1e-5, atol=1e-6)
        assert_array_equal(loss(patches[:, 0, 0, 0]), loss(patches[:, 0, 0]))
        half = tf.cast(patches, tf.bfloat16)
        assert loss(half).dtype == tf.float32
        assert_array_equal(loss(half), loss(tf.cast(half, tf.float32)))


# Optima.


def test_minimax_optimum_is_jensen_shannon():
    """Goodfellow et al., Prop. 1, Theorem 1: D = p / (p + q), and the value is log 4 - 2 JS."""
    loss = adversarial_loss("minimax")
    optimum = np.log(P / Q)
    assert value_of(loss, optimum) == pytest.approx(np.log(4) - 2 * jensen_shannon(P, Q), rel=1e-6)
    # Float32 hides differences of 1e-7 around the minimum, where the curvature is about 0.1.
    assert_allclose(best_logits(loss), optimum, atol=5e-3)
    # Mi et al., Eq. 3: what the generator minimises, up to what does not depend on it.
    generator = np.sum(P * np.log(P / (P + Q)) + Q * loss.generator(optimum))
    assert generator == pytest.approx(2 * jensen_shannon(P, Q) - np.log(4), rel=1e-6)


def test_non_saturating_gradient_is_that_of_kl_minus_twice_jensen_shannon():
    """Mi et al., Eq. 4: the gradients agree when D is optimal and then held fixed."""

    def density(theta):
        return np.exp(theta) / np.exp(theta).sum()

    theta = np.log(Q)
    fixed = adversarial_loss("non_saturating").generator(np.log(P / Q)).numpy()

    def divergence(theta):
        return kl(density(theta), P) - 2 * jensen_shannon(P, density(theta))

    def loss(theta):
        return np.sum(density(theta) * fixed)

    h = 1e-4
    for direction in np.eye(4) * h:
        expected = (divergence(theta + direction) - divergence(theta - direction)) / (2 * h)
        got = (loss(theta + direction) - loss(theta - direction)) / (2 * h)
        # Float32 rounding of `fixed`, and the error h^2 of the differences.
        assert got == pytest.approx(expected, abs=1e-5)


def test_log_odds_is_the_reverse_kl():
    """Rosca et al., Sec. 2: with the optimal D the generator's loss is KL(q || p) itself."""
    loss = adversarial_loss("log_odds")
    assert np.sum(Q * loss.generator(np.log(P / Q))) == pytest.approx(kl(Q, P), rel=1e-5)


def test_least_squares_optimum_is_the_share_of_data():
    """Mao et al., Eq. 5 with a = 0, b = 1, on logits themselves."""
    assert_allclose(best_logits(adversarial_loss("least_squares")), P / (P + Q), atol=5e-3)


def test_hinge_optimum_is_the_sign_and_gives_total_variation():
    """Lim & Ye, arXiv:1705.02894: the least value is 2 - 2 TV, reached by the sign of p - q."""
    loss = adversarial_loss("hinge")
    sign = np.sign(P - Q)
    assert value_of(loss, sign) == pytest.approx(2 - np.abs(P - Q).sum(), rel=1e-6)
    assert value_of(loss, best_logits(loss)) == pytest.approx(value_of(loss, sign), abs=1e-3)


def test_wasserstein_in_one_dimension():
    """By duality the best 1-Lipschitz critic on a line gives the earth mover's distance."""
    points = np.array([0.0, 1.0, 2.0, 3.0])
    slopes = -np.sign(np.cumsum(P - Q)[:-1])  # Kantorovich's potential.
    critic = np.concatenate([[0.0], np.cumsum(slopes)])
    distance = scipy.stats.wasserstein_distance(points, points, P, Q)
    assert -value_of(adversarial_loss("wasserstein"), critic) == pytest.approx(distance, rel=1e-6)


# Relativistic losses.

D, E = np.random.default_rng(5).normal(scale=3.0, size=(2, 7, 1))


def naive_pairs(d, e):
    return -np.log(probability(d - e))[:, 0]


def naive_averages(d, e):
    return -np.log(probability(d - e.mean()) * (1 - probability(e - d.mean())))[:, 0]


NAIVE_PAIRED = {"relativistic": naive_pairs, "relativistic_average": naive_averages}


@pytest.mark.parametrize("name", RELATIVISTIC_LOSSES)
def test_relativistic_formulas(name):
    loss, naive = relativistic_loss(name), NAIVE_PAIRED[name]
    assert_allclose(loss.of_discriminator(D, E), naive(D, E), rtol=1e-5)
    assert_allclose(loss.of_generator(fake_logits=E, real_logits=D), naive(E, D), rtol=1e-5)
    # Only differences count.
    assert_allclose(loss.paired(D + 5.0, E + 5.0), naive(D, E), rtol=1e-4)
    # Patches are averaged, and extreme logits stay finite.
    patches = loss.paired(np.stack([D, D], 1), np.stack([E, E], 1))
    assert_allclose(patches, naive(D, E), rtol=1e-5)
    assert np.isfinite(loss.paired(-1e4 * D, 1e4 * E)).all()
    assert loss.paired(tf.cast(D, tf.bfloat16), tf.cast(E, tf.bfloat16)).dtype == tf.float32


@pytest.mark.parametrize("name", RELATIVISTIC_LOSSES)
def test_gradient_of_the_generator_passes_the_average_too(name):
    """Against differences of the naive formula in float64."""
    loss, naive, h = relativistic_loss(name), NAIVE_PAIRED[name], 1e-5
    with tf.GradientTape() as tape:
        fake = tf.Variable(E, dtype=tf.float32)
        total = tf.reduce_mean(loss.of_generator(fake, D))
    steps = h * np.eye(7)[..., None]
    slopes = [(naive(E + s, D).mean() - naive(E - s, D).mean()) / (2 * h) for s in steps]
    assert_allclose(tape.gradient(total, fake)[:, 0], slopes, rtol=1e-4, atol=1e-6)


def test_best_relativistic_discriminator_tells_pairs_from_exchanged_ones():
    """The least value over all pairs is ln 2 - JS(p q, q p), at d = log p / q."""
    weights = np.outer(P, Q).ravel()
    places = [axis.ravel() for axis in np.meshgrid(range(4), range(4), indexing="ij")]

    def value(logits):
        d, e = (logits[place][:, None] for place in places)
        return np.sum(weights * relativistic_loss("relativistic").paired(d, e))

    best = np.log(P / Q)
    least = np.log(2) - jensen_shannon(weights, np.outer(Q, P).ravel())
    assert value(best) == pytest.approx(least, rel=1e-5)
    for step in np.eye(4):
        assert value(best + 0.1 * step) > least + 1e-5 and value(best - 0.1 * step) > least + 1e-5


def test_average_of_equal_logits_is_twice_the_pair():
    d, e = np.full((5, 1), 1.5), np.full((5, 1), -0.7)
    pair, average = (relativistic_loss(name).paired(d, e) for name in RELATIVISTIC_LOSSES)
    assert_allclose(average, 2 * pair, rtol=1e-6)
    assert_allclose(pair, np.log1p(np.exp(-2.2)), rtol=1e-6)


@pytest.mark.parametrize("name", RELATIVISTIC_LOSSES)
def test_relativistic_losses_take_as_many_of_both(name):
    with pytest.raises(ValueError, match="real_logits and fake_logits must have one shape"):
        relativistic_loss(name).paired(D, E[:3])


# Label smoothing.


@pytest.mark.parametrize("name", ["minimax", "non_saturating"])
def test_smoothing_is_cross_entropy_with_a_lower_target(name):
    smoothed = adversarial_loss(name, label_smoothing=0.1)
    target = np.full((len(LOGITS), 1), 0.9)
    expected = keras.losses.BinaryCrossentropy(from_logits=True, reduction=None)
    assert_allclose(smoothed.real(LOGITS[:, None]), expected(target, LOGITS[:, None]), rtol=1e-5)
    # Salimans et al., Sec. 3.4: one-sided.
    plain = adversarial_loss(name)
    assert_array_equal(smoothed.fake(LOGITS), plain.fake(LOGITS))
    assert_array_equal(smoothed.generator(LOGITS), plain.generator(LOGITS))
    # Its minimum is at D = 0.9 p / (0.9 p + q + 0.1 p), 0.9 p / (p + q).
    assert_allclose(probability(best_logits(smoothed)), 0.9 * P / (P + Q), atol=5e-3)


def test_smoothed_least_squares():
    smoothed = adversarial_loss("least_squares", label_smoothing=0.25)
    assert_allclose(smoothed.real(LOGITS), 0.5 * (LOGITS - 0.75) ** 2, rtol=1e-6)
    assert_allclose(smoothed.generator(LOGITS), 0.5 * (LOGITS - 1) ** 2, rtol=1e-6)


# Gradient penalties.

A = np.array([3.0, -4.0, 12.0], "float32")  # Of length 13.
X = np.random.default_rng(0).normal(size=(6, 3)).astype("float32")
Y = np.random.default_rng(1).normal(size=(6, 3)).astype("float32")
SEED = [3, 4]


def linear(x):
    return tf.linalg.matvec(x, A)


def quadratic(x):
    """||x||^2 / 2, whose gradient is x."""
    return tf.reduce_sum(tf.square(x), axis=1) / 2


def test_linear_critic():
    assert_allclose(gradient_penalty(linear, X, Y, SEED), np.full(6, (13.0 - 1) ** 2), rtol=1e-6)
    assert_allclose(r1_penalty(linear, tf.constant(X)), np.full(6, 13.0**2 / 2), rtol=1e-6)
    flat = gradient_penalty(lambda x: linear(x) / 26, X, Y, SEED)
    assert_allclose(flat, np.full(6, 0.25), rtol=1e-5)
    free = gradient_penalty(lambda x: linear(x) / 26, X, Y, SEED, one_sided=True)
    assert_array_equal(free, np.zeros(6))
    steep = gradient_penalty(linear, X, Y, SEED, one_sided=True)
    assert_allclose(steep, np.full(6, 144.0), rtol=1e-6)


def test_quadratic_critic_at_points_between_the_pairs():
    position = tf.random.stateless_uniform((6, 1), SEED).numpy()
    between = (1 - position) * X + position * Y
    expected = (np.linalg.norm(between, axis=1) - 1) ** 2
    assert_allclose(gradient_penalty(quadratic, X, Y, SEED), expected, rtol=1e-4)
    assert_allclose(r1_penalty(quadratic, tf.constant(X)), np.sum(X**2, axis=1) / 2, rtol=1e-5)


def test_position_is_one_number_for_each_pair_of_images():
    """From zeros to ones every pixel of the point between shows its position."""
    seen = []

    def critic(x):
        seen.append(x.numpy())
        return tf.reduce_sum(x, axis=[1, 2, 3])

    zeros, ones = tf.zeros((200, 3, 2, 1)), tf.ones((200, 3, 2, 1))
    gradient_penalty(critic, zeros, ones, SEED)
    pixels = seen[0].reshape(200, -1)
    assert_array_equal(pixels, np.tile(pixels[:, :1], 6))
    assert np.all((pixels >= 0) & (pixels <= 1))
    # Uniform: passes for 999 of 1000 seeds.
    assert scipy.stats.kstest(pixels[:, 0], "uniform").pvalue > 1e-3
    gradient_penalty(critic, zeros, ones, [0, 1])
    assert not np.array_equal(seen[0], seen[1])


def test_norm_is_over_all_but_the_batch():
    images = tf.zeros((2, 4, 5, 1))
    scale = tf.constant([1.0, 2.0])

    def critic(x):
        return scale * tf.reduce_sum(x, axis=[1, 2, 3])

    expected = (np.sqrt(20) * scale - 1) ** 2
    assert_allclose(gradient_penalty(critic, images, images, SEED), expected, rtol=1e-5)
    assert_allclose(r1_penalty(critic, images), 10 * scale**2, rtol=1e-6)


def test_patches_count_as_their_mean():
    """As in the losses: four equal patches are one critic."""

    def patches(x):
        return tf.tile(linear(x)[:, None, None], (1, 2, 2))

    assert_allclose(gradient_penalty(patches, X, Y, SEED), np.full(6, 144.0), rtol=1e-5)
    assert_allclose(r1_penalty(patches, tf.constant(X)), np.full(6, 84.5), rtol=1e-5)


@pytest.mark.parametrize(
    "penalty",
    [lambda f: gradient_penalty(f, X, Y, SEED), lambda f: r1_penalty(f, tf.constant(X))],
    ids=["gradient_penalty", "r1"],
)
def test_gradient_with_respect_to_the_critic(penalty):
    """A second derivative, against finite differences of the penalty itself."""
    weights = tf.Variable(np.random.default_rng(2).normal(size=(3, 4)), dtype=tf.float32)
    out = np.random.default_rng(3).normal(size=4).astype("float32")

    def value():
        return tf.reduce_mean(penalty(lambda x: tf.linalg.matvec(tf.tanh(x @ weights), out)))

    with tf.GradientTape() as tape:
        loss = value()
    gradient = tape.gradient(loss, weights).numpy()
    start, h = weights.numpy(), 1e-2
    differences = np.empty((3, 4))
    for index in np.ndindex(3, 4):
        step = np.zeros((3, 4))
        step[index] = h
        weights.assign(start + step)
        above = value()
        weights.assign(start - step)
        differences[index] = (above - value()) / (2 * h)
    # Differences err by h^2 times a third derivative of order 1, and by rounding, 1e-7 / h.
    assert_allclose(gradient, differences, atol=5e-3 * np.abs(gradient).max())


def test_flat_critic_has_a_finite_gradient():
    """Where the gradient is 0, the norm has no derivative: 1e-12 inside its root gives it one."""
    weights = tf.Variable(tf.zeros((3, 1)))
    with tf.GradientTape() as tape:
        penalty = gradient_penalty(lambda x: x @ weights, X, Y, SEED)
    assert_allclose(penalty, np.ones(6), atol=1e-5)
    assert_array_equal(tape.gradient(penalty, weights), np.zeros((3, 1)))


# Proximity, constraint, clipping.


def test_proximity_is_a_mean_square_and_moves_the_new_samples_only():
    new, old = tf.Variable(X.reshape(6, 3, 1)), tf.Variable(Y.reshape(6, 3, 1))
    with tf.GradientTape() as tape:
        distance = proximity(new, old)
    assert_allclose(distance, np.mean((X - Y) ** 2, axis=1), rtol=1e-6)
    gradients = tape.gradient(distance, [new, old])
    assert_allclose(gradients[0][..., 0], 2 * (X - Y) / 3, rtol=1e-5)
    assert gradients[1] is None


@pytest.mark.parametrize("bound, expected, slope", [(1.0, 0.5, 0.5), (2.0, 0.0, 0.0)])
def test_constraint_is_on_the_mean(bound, expected, slope):
    """max(E L - d, 0), not E max(L - d, 0): the second example alone is below a bound of 1."""
    loss = tf.Variable([2.5, 0.5])
    with tf.GradientTape() as tape:
        penalty = constraint_penalty(loss, bound)
    assert float(penalty) == pytest.approx(expected)
    assert_allclose(tape.gradient(penalty, loss), [slope, slope])


def test_multiplier_solves_a_constrained_problem():
    """min x^2 / 2 subject to 1 - x <= 0: x = 1 and lambda = 1, by gradient descent and ascent."""
    x, multiplier = 0.0, 0.0
    for _ in range(2000):
        x -= 0.1 * (x - multiplier)
        multiplier = float(ascend_multiplier(multiplier, tf.constant([1 - x]), 0.0, 0.1))
    assert (x, multiplier) == (pytest.approx(1, abs=1e-3), pytest.approx(1, abs=1e-3))


@pytest.mark.parametrize(
    "multiplier, bound, expected", [(1.0, 0.5, 2.0), (1.0, 2.0, 0.5), (0.1, 3.0, 0.0)]
)
def test_multiplier_rises_above_the_bound_and_falls_to_zero(multiplier, bound, expected):
    loss = tf.constant([1.0, 2.0])
    assert float(ascend_multiplier(multiplier, loss, bound, rate=1.0)) == pytest.approx(expected)


def test_clipping():
    weights = tf.constant([-3.0, -0.2, 0.0, 0.2, 3.0])
    assert_allclose(WeightClipping(0.5)(weights), np.clip(weights, -0.5, 0.5))
    config = keras.saving.serialize_keras_object(WeightClipping(0.5))
    assert keras.saving.deserialize_keras_object(config).bound == 0.5
    variable = keras.Variable([1.0, -1.0])
    variable.constraint = WeightClipping(0.5)
    keras.optimizers.SGD(1.0).apply([tf.constant([0.2, -1.3])], [variable])
    assert_allclose(variable, [0.5, 0.3], rtol=1e-6)


# Errors.


def test_unknown_loss():
    with pytest.raises(ValueError, match="one of .*'hinge'.*Received: loss='nonsaturating'"):
        adversarial_loss("nonsaturating")


@pytest.mark.parametrize("smoothing", [-0.1, 1.0, float("nan")])
def test_smoothing_out_of_range(smoothing):
    with pytest.raises(ValueError, match=r"in \[0, 1\). Received: label_smoothing="):
        adversarial_loss("minimax", smoothing)


@pytest.mark.parametrize("name", ["wasserstein", "hinge"])
def test_no_labels_to_smooth(name):
    with pytest.raises(ValueError, match=f"'{name}' has no labels.*Received.*0.1.*least_squares"):
        adversarial_loss(name, 0.1)


@pytest.mark.parametrize("bound", [0.0, -1.0, float("nan")])
def test_clipping_to_nothing(bound):
    with pytest.raises(ValueError, match="Received: bound="):
        WeightClipping(bound)


def test_with_penalty_by_hand():
    terms = {"discriminator_loss": tf.constant([1.0, 2.0]), "real_logits": tf.zeros(2)}
    penalized = with_penalty(terms, tf.constant([10.0, 20.0]))
    assert_array_equal(penalized["discriminator_loss"], [11.0, 22.0])
    assert_array_equal(penalized["gradient_penalty"], [10.0, 20.0])
    assert penalized["real_logits"] is terms["real_logits"]
    assert_array_equal(terms["discriminator_loss"], [1.0, 2.0])
    assert with_penalty(terms, None) is terms


@pytest.mark.parametrize("one_sided", [False, True])
def test_gradient_penalty_is_the_same_with_xla(one_sided):
    real, fake = tf.constant(np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32"))

    def penalty():
        return gradient_penalty(
            lambda x: tf.reduce_sum(x**3, axis=1), real, fake, (0, 1), one_sided
        )

    compiled = tf.function(penalty, jit_compile=True)()
    assert_allclose(compiled, penalty(), rtol=1e-5)
