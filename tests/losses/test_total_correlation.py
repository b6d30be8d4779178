"""The decomposed KL: weights by enumeration of all batches, values by brute force in NumPy."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen import layers
from tfgen.losses import kl_decomposition, kl_divergence, log_importance_weights

tfd = tfp.distributions

# A data set of N = 6 posteriors over D = 2 latents, wide enough to overlap.
N, D = 6, 2
LOC = np.random.default_rng(0).normal(size=(N, D))
SCALE = np.random.default_rng(1).uniform(0.5, 1.5, size=(N, D))
NOISE = np.random.default_rng(2).normal(size=(N, D))
PRIOR = layers.StandardNormal(D).as_distribution()


def normal_log_density(z, loc, scale):
    return -0.5 * ((z - loc) / scale) ** 2 - np.log(scale) - 0.5 * np.log(2 * np.pi)


def log_mean_exp(values, axis):
    return np.log(np.mean(np.exp(values), axis=axis))


def exact_terms(loc, scale, z):
    """Mutual information, total correlation, dimension-wise KL at z_i, with all N posteriors."""
    pairs = normal_log_density(z[:, None], loc[None], scale[None])  # (i, j, d)
    log_qz = log_mean_exp(pairs.sum(axis=-1), axis=1)
    log_product = log_mean_exp(pairs, axis=1).sum(axis=-1)
    log_qz_given_x = normal_log_density(z, loc, scale).sum(axis=-1)
    log_prior = normal_log_density(z, 0.0, 1.0).sum(axis=-1)
    return log_qz_given_x - log_qz, log_qz - log_product, log_product - log_prior


def posterior(loc, scale):
    return tfd.Independent(tfd.Normal(np.float32(loc), np.float32(scale)), 1)


def estimated_terms(loc, scale, z, dataset_size, estimator="stratified", prior=PRIOR):
    """`kl_decomposition` with the estimate log q(z|x) - log p(z) as the KL."""
    q, z = posterior(loc, scale), np.float32(z)
    kl = q.log_prob(z) - prior.log_prob(z)
    return kl_decomposition(q, z, prior, kl, dataset_size, estimator)


def paper_weights(batch_size, dataset_size):
    """Stratified weights of App. C.2: the batch's last other example has a weight of its own."""
    num_others = batch_size - 1
    weights = np.full((batch_size, batch_size), 1 / num_others)
    for i in range(batch_size):
        weights[i, i] = 1 / dataset_size
        last = (i + 1) % batch_size
        weights[i, last] = (dataset_size - num_others) / (dataset_size * num_others)
    return weights


# Weights.


@pytest.mark.parametrize("batch_size, dataset_size", [(2, 2), (2, 100), (4, 12), (64, 1000)])
def test_stratified_rows_sum_to_one_with_diagonal_one_over_n(batch_size, dataset_size):
    weights = np.exp(log_importance_weights(batch_size, dataset_size))
    assert weights.shape == (batch_size, batch_size)
    np.testing.assert_allclose(weights.sum(axis=1), np.ones(batch_size), rtol=1e-5)
    np.testing.assert_allclose(np.diag(weights), np.full(batch_size, 1 / dataset_size), rtol=1e-6)


def test_weighted_is_one_over_n_b():
    weights = np.exp(log_importance_weights(4, 12, "weighted"))
    np.testing.assert_allclose(weights, np.full((4, 4), 1 / 48), rtol=1e-6)


@pytest.mark.parametrize("batch_size, dataset_size", [(2, 7), (3, 7), (4, 4)])
def test_stratified_is_the_papers_average_over_batch_orders(batch_size, dataset_size):
    papers = paper_weights(batch_size, dataset_size)
    orders = [list(order) for order in itertools.permutations(range(batch_size))]
    average = np.mean([papers[np.ix_(order, order)] for order in orders], axis=0)
    ours = np.exp(log_importance_weights(batch_size, dataset_size))
    np.testing.assert_allclose(ours, average, rtol=1e-6)


@pytest.mark.parametrize("batch_size", [2, 3, 4, N])
def test_stratified_density_is_unbiased_over_all_batches(batch_size):
    """The mean over all batches that contain example 0 is the exact q(z) at its z."""
    z = LOC[0] + SCALE[0] * NOISE[0]
    densities = np.exp(normal_log_density(z, LOC, SCALE).sum(axis=-1))
    weights = np.exp(log_importance_weights(batch_size, N)).astype(float)
    batches = [(0, *others) for others in itertools.combinations(range(1, N), batch_size - 1)]
    estimates = [weights[0] @ densities[list(batch)] for batch in batches]
    np.testing.assert_allclose(np.mean(estimates), densities.mean(), rtol=1e-6)


def test_average_weights_have_less_variance_than_the_papers():
    z = LOC[0] + SCALE[0] * NOISE[0]
    densities = np.exp(normal_log_density(z, LOC, SCALE).sum(axis=-1))
    batches = np.array([(0, *others) for others in itertools.permutations(range(1, N), 2)])
    papers = densities[batches] @ paper_weights(3, N)[0]
    ours = densities[batches] @ np.exp(log_importance_weights(3, N))[0]
    np.testing.assert_allclose(papers.mean(), densities.mean(), rtol=1e-6)
    assert ours.var() < papers.var()


# Values.


def test_full_batch_is_exact():
    z = LOC + SCALE * NOISE
    terms = estimated_terms(LOC, SCALE, z, dataset_size=N)
    for name, value, exact in zip(terms._fields, terms, exact_terms(LOC, SCALE, z), strict=True):
        # Sums of a dozen float32 logarithms.
        np.testing.assert_allclose(value, exact, atol=2e-5, err_msg=name)


def test_density_inside_the_decomposition_is_unbiased():
    """log q(z) = log q(z|x) - mutual information, exponentiated and averaged over batches."""
    z = LOC + SCALE * NOISE
    log_qz_given_x = normal_log_density(z, LOC, SCALE).sum(axis=-1)
    estimates = []
    for others in itertools.combinations(range(1, N), 2):
        batch = [0, *others]
        terms = estimated_terms(LOC[batch], SCALE[batch], z[batch], dataset_size=N)
        estimates.append(np.exp(log_qz_given_x[0] - terms.mutual_information[0]))
    exact = np.exp(log_qz_given_x[0] - exact_terms(LOC, SCALE, z)[0][0])
    np.testing.assert_allclose(np.mean(estimates), exact, rtol=1e-5)


def test_weighted_estimator_by_its_formula():
    batch, dataset_size = slice(0, 4), 50
    loc, scale = LOC[batch], SCALE[batch]
    z = loc + scale * NOISE[batch]
    pairs = normal_log_density(z[:, None], loc[None], scale[None])
    log_nb = np.log(4 * dataset_size)
    log_qz = np.log(np.exp(pairs.sum(axis=-1)).sum(axis=1)) - log_nb
    log_product = (np.log(np.exp(pairs).sum(axis=1)) - log_nb).sum(axis=-1)
    terms = estimated_terms(loc, scale, z, dataset_size, "weighted")
    np.testing.assert_allclose(terms.total_correlation, log_qz - log_product, rtol=1e-5)


@pytest.mark.parametrize("num_dims", [1, 3])
def test_weighted_bias_where_posteriors_coincide(num_dims):
    """Then q(z) is a product and the total correlation 0; the estimate is (D - 1) log N."""
    zeros, z = np.zeros((4, num_dims)), np.random.default_rng(3).normal(size=(4, num_dims))
    prior = layers.StandardNormal(num_dims).as_distribution()
    terms = estimated_terms(zeros, zeros + 1.0, z, 50, "weighted", prior)
    expected = (num_dims - 1) * np.log(50)
    np.testing.assert_allclose(terms.total_correlation, np.full(4, expected), atol=1e-4)
    exact = estimated_terms(zeros, zeros + 1.0, z, 50, "stratified", prior)
    np.testing.assert_allclose(exact.total_correlation, np.zeros(4), atol=1e-5)


def test_weighted_bias_where_posteriors_are_apart():
    """Each log density is log B too low, and the total correlation (D - 1) log B too high."""
    loc = np.arange(4.0)[:, None] * [100.0, 100.0]
    weighted = estimated_terms(loc, np.ones((4, 2)), loc, 50, "weighted")
    # Here q(z_d) = q(z_d|x) / N, so the true total correlation is log N.
    np.testing.assert_allclose(
        weighted.total_correlation, np.full(4, np.log(50) + np.log(4)), rtol=1e-5
    )


@pytest.mark.parametrize("estimator", ["weighted", "stratified"])
def test_terms_sum_to_the_kl_that_was_given(estimator):
    q = posterior(LOC, SCALE)
    kl = kl_divergence(q, PRIOR)
    terms = kl_decomposition(q, q.sample(seed=0), PRIOR, kl, 50, estimator)
    np.testing.assert_allclose(sum(terms), kl, rtol=1e-5, atol=1e-5)
    assert all(term.shape == (N,) for term in terms)


@pytest.mark.parametrize("estimator", ["weighted", "stratified"])
def test_one_dimension_has_no_total_correlation(estimator):
    prior = layers.StandardNormal(1).as_distribution()
    terms = estimated_terms(LOC[:, :1], SCALE[:, :1], NOISE[:, :1], 50, estimator, prior)
    np.testing.assert_allclose(terms.total_correlation, np.zeros(N), atol=1e-5)


def test_factorised_code_has_no_total_correlation():
    """Means on a grid: q(z) is the product of its marginals at every z."""
    grid = np.array(list(itertools.product([-2.0, 0.0, 2.0], [-1.0, 1.0])))
    z = grid + 0.5 * NOISE
    terms = estimated_terms(grid, np.full((6, 2), 0.5), z, dataset_size=6)
    np.testing.assert_allclose(terms.total_correlation, np.zeros(6), atol=1e-5)


@pytest.mark.parametrize("correlation", [0.0, 0.8])
def test_correlated_gaussian_means_have_the_known_total_correlation(correlation):
    """Means ~ N(0, S - s^2 I) and posteriors N(mean, s^2 I) aggregate to N(0, S)."""
    n, spread = 2000, 0.4
    covariance = np.array([[1.0, correlation], [correlation, 1.0]])
    rng = np.random.default_rng(4)
    means = rng.multivariate_normal(np.zeros(2), covariance - spread**2 * np.eye(2), n)
    z = means + spread * rng.normal(size=(n, 2))
    values = estimated_terms(means, np.full((n, 2), spread), z, dataset_size=n).total_correlation
    # A density estimate from n posteriors errs by about 1.5 E[q(z|x) / q(z)] / n: 1 for the z's own
    # posterior in the sum, 1/2 for the logarithm of a noisy mean. Once for q(z), twice for q(z_d).
    conditional = normal_log_density(z, means, spread)
    log_qz_d = normal_log_density(z, 0.0, 1.0)
    exponent = np.einsum("ni,ij,nj->n", z, np.linalg.inv(covariance), z)
    log_qz = -0.5 * (exponent + np.linalg.slogdet(covariance)[1]) - np.log(2 * np.pi)
    ratios = np.exp(conditional.sum(axis=-1) - log_qz) + np.exp(conditional - log_qz_d).sum(axis=-1)
    tolerance = 5 * np.std(values) / np.sqrt(n) + 1.5 * ratios.mean() / n
    assert tolerance < 0.15  # Of an expected 0 and 0.51.
    expected = -0.5 * np.log(1 - correlation**2)
    np.testing.assert_allclose(np.mean(values), expected, atol=tolerance)


@pytest.mark.parametrize("scale", [1e-3, 0.3, 10.0])
@pytest.mark.parametrize(
    "estimator, dataset_size, bound",
    [("stratified", 8, 8), ("stratified", 100, 100), ("weighted", 100, 8 * 100)],
)
def test_mutual_information_is_at_most_log_n(estimator, dataset_size, bound, scale):
    """The weighted estimator's bound is log(N B) instead."""
    loc, noise = np.random.default_rng(5).normal(size=(2, 8, 2))
    terms = estimated_terms(
        loc, np.full((8, 2), scale), loc + scale * noise, dataset_size, estimator
    )
    assert np.all(terms.mutual_information < np.log(bound) + 1e-4)


def test_mutual_information_of_separate_posteriors_is_log_n():
    loc = np.arange(5.0)[:, None] * [10.0, 10.0]
    terms = estimated_terms(loc, np.full((5, 2), 0.1), loc, dataset_size=5)
    np.testing.assert_allclose(terms.mutual_information, np.full(5, np.log(5)), rtol=1e-4)


@pytest.mark.parametrize(
    "q",
    [
        tfd.MultivariateNormalDiag(np.float32(LOC), np.float32(SCALE)),
        layers.IndependentNormal((2, 1), scale_activation="exponential")(
            np.concatenate([LOC, np.log(SCALE)], axis=1).astype("float32")
        ),
    ],
    ids=["MultivariateNormalDiag", "event shape (2, 1)"],
)
def test_other_diagonal_gaussians_give_the_same(q):
    z = np.float32(LOC + SCALE * NOISE)
    expected = estimated_terms(LOC, SCALE, z, 50)
    prior = layers.StandardNormal(q.event_shape).as_distribution()
    z = z.reshape(N, *q.event_shape)
    terms = kl_decomposition(q, z, prior, q.log_prob(z) - prior.log_prob(z), 50)
    for value, other in zip(terms, expected, strict=True):
        np.testing.assert_allclose(value, other, atol=2e-5)


def test_one_scale_for_all():
    zeros = tf.zeros((4, 2))
    q = tfd.Independent(tfd.Normal(zeros, 1.0), 1)
    terms = kl_decomposition(q, q.sample(seed=0), PRIOR, tf.zeros(4), dataset_size=100)
    np.testing.assert_allclose(terms.total_correlation, zeros[:, 0], atol=1e-5)


def test_gradient_step_lowers_the_total_correlation():
    means = tf.Variable(np.float32(np.linspace(-2, 2, 16)[:, None] * [1.0, 1.0]))
    noise = np.random.default_rng(6).normal(size=(16, 2)).astype("float32")

    def total_correlation(means):
        q = tfd.Independent(tfd.Normal(means, 0.5), 1)
        terms = kl_decomposition(q, means + 0.5 * noise, PRIOR, kl_divergence(q, PRIOR), 16)
        return tf.reduce_mean(terms.total_correlation)

    with tf.GradientTape() as tape:
        before = total_correlation(means)
    step = means - 0.1 * tape.gradient(before, means)
    assert total_correlation(step) < before


# Errors.


@pytest.mark.parametrize("batch_size", [1, 11])
def test_batch_size_out_of_range(batch_size):
    message = rf"needs at least 2 .*at most dataset_size=10.*Received: a batch of {batch_size}\."
    with pytest.raises(ValueError, match=message):
        log_importance_weights(batch_size, 10)
    loc = np.zeros((batch_size, 2))
    with pytest.raises(ValueError, match=message):
        estimated_terms(loc, loc + 1.0, loc, dataset_size=10)


def test_batch_size_out_of_range_at_run_time():
    @tf.function(input_signature=[tf.TensorSpec((None, 2))])
    def total_correlation(loc):
        q = tfd.Independent(tfd.Normal(loc, tf.ones_like(loc)), 1)
        kl = tf.zeros(tf.shape(loc)[:1])
        return kl_decomposition(q, loc, PRIOR, kl, dataset_size=10).total_correlation

    assert total_correlation(tf.zeros((3, 2))).shape == (3,)
    for size in (1, 11):
        with pytest.raises(tf.errors.InvalidArgumentError, match="estimated from pairs"):
            total_correlation(tf.zeros((size, 2)))


def test_dataset_size_has_no_default():
    q = posterior(LOC, SCALE)
    with pytest.raises(TypeError, match="dataset_size"):
        kl_decomposition(q, LOC, PRIOR, tf.zeros(N))
    with pytest.raises(TypeError, match="dataset_size"):
        log_importance_weights(4)


def test_unknown_estimator():
    with pytest.raises(
        ValueError, match="one of .*'weighted', 'stratified'.*Received: estimator='exact'"
    ):
        log_importance_weights(4, 10, "exact")


@pytest.mark.parametrize(
    "q",
    [
        layers.MultivariateNormalTriL(2)(tf.zeros((N, 5))),
        layers.IndependentLogistic(2)(tf.zeros((N, 4))),
        tfd.LogNormal(tf.zeros(N), 1.0),
    ],
    ids=lambda q: type(q).__name__,
)
def test_posterior_must_be_a_diagonal_gaussian(q):
    name = type(q).__name__
    message = f"needs a diagonal Gaussian.*Received: {name}. End the encoder with IndependentNormal"
    with pytest.raises(ValueError, match=message):
        kl_decomposition(q, tf.zeros((N, 2)), PRIOR, tf.zeros(N), 10)
