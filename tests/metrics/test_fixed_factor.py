"""beta-VAE and FactorVAE score: known answers, closed forms, and the definitions as plain loops."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from tfgen.metrics._codes import points_by_value
from tfgen.metrics.fixed_factor import (
    _mean_differences,
    _variances,
    beta_vae_score,
    factor_vae_score,
)

SIZES = (2, 3, 4)
SCORES = (beta_vae_score, factor_vae_score)
NUM_TEST = 3000


def all_combinations(repeats):
    return np.indices((*SIZES, repeats)).reshape(4, -1).T[:, :3]


FACTORS = all_combinations(80)
NOISE = np.random.default_rng(0).normal(size=FACTORS.shape)


def score(function, codes, factors=FACTORS, **settings):
    return function(codes, factors, **{"num_train": 1500, "num_test": NUM_TEST, **settings})


@pytest.mark.parametrize("function", SCORES)
@pytest.mark.parametrize(
    "codes",
    [
        pytest.param(FACTORS, id="perfect"),
        pytest.param([5.0, -0.01, 300.0] - FACTORS[:, [2, 0, 1]] * [1, 1e-3, -50], id="permuted"),
        pytest.param(np.concatenate([FACTORS, -FACTORS], axis=1), id="duplicated"),
        pytest.param(FACTORS + 0.1 * NOISE, id="noisy"),
        pytest.param(
            np.stack([*FACTORS.T, np.float32(0.1) + 1e-8 * NOISE[:, 0], 0 * NOISE[:, 0]], axis=1),
            id="with constants",
        ),
    ],
)
def test_disentangled_codes_score_1(function, codes):
    assert score(function, codes) == 1.0


@pytest.mark.parametrize("function", SCORES)
def test_codes_without_information_score_as_a_guess(function):
    value = score(function, NOISE)
    # 5 standard errors of a guess; finite data give an edge of at most 0.02, seen with many seeds.
    tolerance = 5 * np.sqrt(1 / 3 * 2 / 3 / NUM_TEST) + 0.02
    assert value == pytest.approx(1 / 3, abs=tolerance)


@pytest.mark.parametrize("level", [0.0, 0.1, -2e5])
def test_constant_codes(level):
    codes = np.full((len(FACTORS), 2), level, "float32")
    codes[::2] *= 1 + np.finfo("float32").eps
    assert score(beta_vae_score, codes) == pytest.approx(1 / 3, abs=1e-12)
    assert score(factor_vae_score, codes) == 0.0


def test_codes_of_which_the_advised_pruning_leaves_nothing():
    codes = 0.01 * NOISE
    pruned = codes[:, codes.std(axis=0) >= 0.05]
    assert pruned.shape == (len(FACTORS), 0)
    assert score(factor_vae_score, pruned) == 0.0
    with pytest.raises(ValueError, match=r"and 1 dimension. Received: shape \(1920, 0\)"):
        score(beta_vae_score, pruned)


def test_a_constant_code_wins_no_vote():
    """It varies least, by rounding, whichever factor is fixed; as NaN it would always win."""
    constant = np.float32(0.1) + np.float32(1e-8) * (NOISE[:, :1] > 0)
    assert score(factor_vae_score, np.concatenate([constant, FACTORS], axis=1)) == 1.0


def test_two_of_three_factors():
    """Kim & Mnih, Sec. 4: the linear classifier is right all the same, the vote is not."""
    assert score(beta_vae_score, FACTORS[:, :2]) == 1.0
    # Both dimensions vote for their own factor, so each batch of the third factor is wrong.
    assert score(factor_vae_score, FACTORS[:, :2]) == pytest.approx(2 / 3, abs=1e-12)


@pytest.mark.parametrize("function", SCORES)
def test_rotated_codes(function):
    """By symmetry, a sum and a difference of two equal factors do not tell these apart."""
    factors = np.indices((4, 4, 2, 20)).reshape(4, -1).T[:, :3]
    a, b, c = factors.T
    value = score(function, np.stack([a + b, a - b, c], axis=1), factors)
    num_rotated = NUM_TEST * 2 / 3
    assert value == pytest.approx(2 / 3, abs=2 / 3 * 5 * np.sqrt(0.25 / num_rotated))


def test_what_pairs_and_batches_hold():
    """Two values, 3 and 2 points: six and two ordered pairs, none of a point with itself."""
    groups = points_by_value(np.array([5, 2, 5, 2, 5]))
    codes = np.array([[0.0], [10.0], [1.0], [17.0], [3.0]])
    rng, num = np.random.default_rng(0), 4000
    values, counts = np.unique(_mean_differences(codes, groups, (num, 1), rng), return_counts=True)
    assert values.tolist() == [1, 2, 3, 7]
    # Each of the five points first: 7 for two of five, the others for 3 of 5 in equal parts.
    # 5 standard errors of a share are at most 0.04.
    np.testing.assert_allclose(counts / num, [0.2, 0.2, 0.2, 0.4], atol=0.04)
    variances = _variances(codes, groups, (num, 400), rng)[:, 0]
    # A value as often as it occurs; variances are 14 / 9 and 49 / 4.
    assert np.mean(variances < 5) == pytest.approx(0.6, abs=0.04)
    assert variances[variances < 5].mean() == pytest.approx(14 / 9, rel=0.02)
    assert variances[variances > 5].mean() == pytest.approx(49 / 4, rel=0.02)


def loop_of_definitions(codes, factors, num_train, num_test, batch_size, rng):
    """Both scores as in disentanglement_lib: one batch after another."""

    def batch():
        index = rng.integers(factors.shape[1])
        points = rng.integers(len(codes), size=batch_size)
        pairs = [rng.choice(np.flatnonzero(factors[:, index] == v)) for v in factors[points, index]]
        value = factors[rng.integers(len(codes)), index]
        same = rng.choice(np.flatnonzero(factors[:, index] == value), size=batch_size)
        difference = np.mean(np.abs(codes[points] - codes[pairs]), axis=0)
        variance = np.var(codes[same], axis=0, ddof=1) / np.var(codes, axis=0, ddof=1)
        return index, difference, np.argmin(variance)

    train = [batch() for _ in range(num_train)]
    test = [batch() for _ in range(num_test)]
    model = LogisticRegression().fit([b[1] for b in train], [b[0] for b in train])
    beta_vae = model.score([b[1] for b in test], [b[0] for b in test])
    votes = np.zeros((codes.shape[1], factors.shape[1]))
    for index, _, dim in train:
        votes[dim, index] += 1
    return beta_vae, np.mean([votes[dim].argmax() == index for index, _, dim in test])


def test_against_plain_loops():
    factors = all_combinations(20)
    codes = factors / np.std(factors, axis=0) + np.random.default_rng(1).normal(size=factors.shape)
    codes[:, 0] += 0.7 * codes[:, 1]
    expected = loop_of_definitions(codes, factors, 600, 600, 8, np.random.default_rng(2))
    for function, other in zip(SCORES, expected, strict=True):
        value = score(function, codes, factors, num_train=600, num_test=NUM_TEST, batch_size=8)
        assert 0.45 < other < 0.95  # Neither a guess nor perfect.
        # 4 standard errors of the difference of two accuracies, and 0.03 for the two classifiers.
        variance = other * (1 - other) * (1 / 600 + 1 / NUM_TEST)
        assert value == pytest.approx(other, abs=4 * np.sqrt(variance) + 0.03)


@pytest.mark.parametrize("function", SCORES)
def test_units_and_seeds(function):
    codes = FACTORS + 1.5 * NOISE
    value = score(function, codes, batch_size=8)
    assert 0.4 < value < 0.95
    # Other units only round differently, which may move a batch at the border.
    assert score(function, 1e-3 * codes + 7, batch_size=8) == pytest.approx(value, abs=2 / NUM_TEST)
    assert score(function, codes, batch_size=8) == value
    others = [score(function, codes, seed=seed, batch_size=8) for seed in (1, 2)]
    assert others[0] != others[1]
    np.testing.assert_allclose(others, value, atol=0.1)


def test_values_of_single_points_are_left_out():
    """Alone, a point has no other to pair with, and all of its dimensions have no variance."""
    codes = np.concatenate([FACTORS, FACTORS[:200]])
    factors = codes.copy()
    factors[-200:, 2] += np.arange(100, 300)
    assert score(beta_vae_score, codes, factors) == score(factor_vae_score, codes, factors) == 1.0


@pytest.mark.parametrize("function", SCORES)
def test_errors(function):
    with pytest.raises(ValueError, match="at least 3. Received: num_train=2. Take a batch"):
        function(FACTORS, FACTORS, num_train=2, num_test=10)
    with pytest.raises(
        ValueError, match="batch_size must be an int of at least 2. Received: batch_size=1"
    ):
        function(FACTORS, FACTORS, num_train=10, num_test=10, batch_size=1)
    with pytest.raises(ValueError, match="and 2 factors. Received"):
        function(FACTORS, FACTORS[:, :1])
    with pytest.raises(ValueError, match="a factor with 4 different values at 4 points"):
        function(np.eye(4), np.stack([np.arange(4), np.arange(4)], axis=1))
