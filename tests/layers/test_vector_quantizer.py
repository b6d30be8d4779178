"""Vector quantization: nearest codes by brute force, gradients, averages in NumPy, priors."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal

from tfgen.layers.vector_quantizer import (
    CodeFrequencies,
    VectorQuantizer,
    nearest_codes,
    perplexity,
    straight_through,
)


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def test_nearest_codes_by_brute_force():
    vectors, codebook = normal(5, 4, 3), normal(7, 3, seed=1)
    distances = np.linalg.norm(vectors[:, :, None] - codebook, axis=-1)
    indices = nearest_codes(vectors, codebook)
    assert indices.dtype == tf.int32
    assert_array_equal(indices, distances.argmin(-1))
    assert len(np.unique(indices)) > 3


def test_gradient_passes_straight_through():
    """The derivative by the vectors is the one by the codes, and nothing reaches the codes."""
    vectors, codes, weights = (
        tf.constant(normal(4, 2)),
        tf.constant(normal(4, 2, seed=1)),
        normal(2),
    )
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([vectors, codes])
        z = straight_through(vectors, codes)
        tape.watch(z)
        loss = tf.reduce_sum(tf.square(z) * weights)
    assert_allclose(z, codes, rtol=1e-6, atol=1e-6)
    assert_array_equal(tape.gradient(loss, vectors), tape.gradient(loss, z))
    assert_allclose(tape.gradient(loss, vectors), 2 * codes * weights, rtol=1e-5, atol=1e-6)
    assert tape.gradient(loss, codes) is None


@pytest.mark.parametrize(
    "counts, expected",
    [([5, 5, 5, 5], 4), ([9, 0, 0, 0], 1), ([2, 0, 2, 0], 2), ([1, 3, 0, 0], 4 / 3**0.75)],
)
def test_perplexity_of_known_frequencies(counts, expected):
    assert_allclose(perplexity(tf.constant(counts, tf.float32)), expected, rtol=1e-6)


def test_moving_averages_against_numpy():
    """van den Oord et al., App. A.1, over several batches, with a code that is never used."""
    quantizer = VectorQuantizer(4, 2, decay=0.9, seed=0)
    sums, counts = quantizer.sums.numpy(), np.ones(4)
    quantizer.sums.assign(sums + [[0, 0], [0, 0], [0, 0], [100, 100]])
    sums[3] += 100
    for seed in range(3):
        vectors = normal(6, 5, 2, seed=seed)
        codebook = sums / (counts + 1e-5)[:, None]
        assert_allclose(quantizer.codebook, codebook, rtol=1e-5, atol=1e-6)
        indices = np.linalg.norm(vectors[:, :, None] - codebook, axis=-1).argmin(-1)
        for code in range(4):
            mine = vectors[indices == code]
            counts[code] = 0.9 * counts[code] + 0.1 * len(mine)
            sums[code] = 0.9 * sums[code] + 0.1 * mine.sum(0)
        quantizer.follow(vectors, quantizer.indices(vectors), seed=[0, 0])
    assert_allclose(quantizer.counts, counts, rtol=1e-5)
    assert_allclose(quantizer.sums, sums, rtol=1e-5, atol=1e-5)
    assert_allclose(counts[3], 0.9**3)


def test_a_code_that_is_never_used_stays_finite():
    quantizer = VectorQuantizer(2, 1, decay=0.5, seed=0)
    quantizer.sums.assign([[0.0], [100.0]])
    for _ in range(200):
        quantizer.follow(tf.zeros((3, 1)), tf.zeros((3,), tf.int32), seed=[0, 0])
    assert_allclose(quantizer.codebook, [[0.0], [0.0]], atol=1e-6)


def test_rare_codes_restart_at_vectors_of_the_batch():
    quantizer = VectorQuantizer(3, 2, decay=0.5, restart_below=1.0, seed=0)
    quantizer.sums.assign([[0.0, 0.0], [50.0, 50.0], [60.0, 60.0]])
    vectors = normal(8, 2)
    quantizer.follow(vectors, quantizer.indices(vectors), seed=[1, 2])
    codebook = quantizer.codebook.numpy()
    # All vectors were nearest to code 0, which is no restart but half way to their mean.
    assert_allclose(codebook[0], 0.5 * vectors.sum(0) / (0.5 + 4), rtol=1e-4)
    distances = np.abs(codebook[1:, None] - vectors).max(-1).min(-1)
    assert np.all(distances < 1e-4)
    assert_allclose(quantizer.counts, [4.5, 1.0, 1.0])


def test_layer_returns_codes_and_trains_by_gradient_without_decay():
    quantizer = VectorQuantizer(4, 3, decay=None, seed=0)
    vectors = tf.constant(normal(2, 5, 3))
    assert [v.name for v in quantizer.trainable_variables] == ["codebook"]
    assert_allclose(
        quantizer(vectors), quantizer.lookup(quantizer.indices(vectors)), rtol=1e-5, atol=1e-6
    )
    assert VectorQuantizer(4, 3).trainable_variables == []
    model = keras.Sequential([keras.Input((5, 3)), quantizer])
    assert model.output_shape == (None, 5, 3)


def test_code_frequencies():
    prior = CodeFrequencies(2, 3)
    assert_allclose(prior.as_distribution().log_prob([[0, 2]]), -2 * np.log(3), rtol=1e-6)
    prior.fit([tf.constant([[0, 1], [0, 2]]), tf.constant([[1, 2]])])
    # (2 + 1, 1 + 1, 0 + 1) and (0 + 1, 1 + 1, 2 + 1) of 6.
    expected = np.log([[3 / 6, 2 / 6, 1 / 6], [1 / 6, 2 / 6, 3 / 6]])
    p = prior.as_distribution()
    assert_allclose(p.log_prob([0, 2]), expected[0, 0] + expected[1, 2], rtol=1e-6)
    grid = np.stack(np.meshgrid(range(3), range(3)), -1).reshape(-1, 2)
    assert_allclose(np.sum(np.exp(p.log_prob(grid))), 1.0, rtol=1e-6)
    draws = p.sample(10_000, seed=[0, 1]).numpy()
    # 5 standard errors of a frequency.
    assert abs(np.mean(draws[:, 0] == 0) - 0.5) < 5 * np.sqrt(0.25 / 10_000)


def test_codes_begin_uniform_with_a_third_of_the_variance_of_their_dimension():
    codes = VectorQuantizer(num_codes=500, code_dim=16, seed=0).codebook.numpy()
    assert np.abs(codes).max() == pytest.approx(16**-0.5, rel=0.01)
    # A uniform's square has a standard deviation of 0.9 times its mean; 5 standard errors.
    assert np.mean(codes**2) == pytest.approx(1 / (3 * 16), rel=5 * 0.9 / np.sqrt(codes.size))


def test_configs():
    quantizer = VectorQuantizer(4, 3, decay=0.5, restart_below=0.25, seed=3)
    copy = VectorQuantizer.from_config(quantizer.get_config())
    assert copy.get_config() == quantizer.get_config()
    assert_array_equal(copy.sums, quantizer.sums)
    prior = CodeFrequencies(2, 3)
    assert CodeFrequencies.from_config(prior.get_config()).logits.shape == (2, 3)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"num_codes": 0}, "num_codes must be an int of at least 1. Received: num_codes=0"),
        ({"code_dim": 0.5}, "code_dim must be an int of at least 1. Received: code_dim=0.5"),
        ({"decay": 1.0}, "between 0 and 1, or None.*Received: decay=1.0"),
        ({"restart_below": -1.0}, "restart_below must be 0.*Received: restart_below=-1.0"),
        ({"restart_below": 1.0, "decay": None}, "restart_below must be 0.*decay=None"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        VectorQuantizer(**{"num_codes": 4, "code_dim": 2, **arguments})


def test_frequencies_are_of_some_codes():
    with pytest.raises(ValueError, match="num_positions must be .* Received: num_positions=0"):
        CodeFrequencies(num_positions=0, num_codes=4)
