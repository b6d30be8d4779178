"""Residual quantization: against a loop in NumPy, and against one codebook at a depth of 1."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal

from tfgen.layers import ResidualVectorQuantizer, VectorQuantizer

SHARED = pytest.mark.parametrize("shared", [True, False])


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def build(**kwargs):
    return ResidualVectorQuantizer(
        **{"num_codes": 5, "code_dim": 2, "depth": 3, "seed": 0} | kwargs
    )


def codebooks(quantizer):
    """That of each depth, in NumPy."""
    return [quantizer.codebooks[d % len(quantizer.codebooks)].codebook.numpy() for d in range(3)]


def by_loop(vectors, books):
    """Indices, what each depth was given, and the code it found, for vectors of shape (n, D)."""
    indices, given, found = [], [], []
    for vector in vectors:
        for book in books:
            given.append(vector)
            indices.append(int(np.argmin(np.linalg.norm(vector - book, axis=1))))
            found.append(book[indices[-1]])
            vector = vector - found[-1]
    shape = (len(vectors), len(books))
    return [np.reshape(part, (*shape, *np.shape(part)[1:])) for part in (indices, given, found)]


@SHARED
def test_codes_by_a_loop(shared):
    quantizer, vectors = build(shared=shared), normal(40, 2)
    indices, given, found = by_loop(vectors, codebooks(quantizer))
    assert_array_equal(quantizer.indices(vectors), indices)
    assert quantizer.indices(vectors).dtype == tf.int32 and len(np.unique(indices)) > 3
    assert_allclose(quantizer.lookup(indices), found.sum(1), rtol=1e-5, atol=1e-6)
    assert_allclose(quantizer(vectors), found.sum(1), rtol=1e-5, atol=1e-6)
    stages = quantizer.stages(vectors, indices)
    for ours, expected in zip(stages, (given, found), strict=True):
        assert_allclose(ours, expected, rtol=1e-5, atol=1e-6)
    counts = [np.bincount(column, minlength=5) for column in indices.T]
    assert_array_equal(quantizer.use_counts(indices), counts)
    assert len({tuple(np.ravel(book)) for book in codebooks(quantizer)}) == (1 if shared else 3)


@SHARED
def test_codebooks_follow_residuals(shared):
    """Moving averages in NumPy: a codebook sees what its depths were given, all at once."""
    quantizer, vectors = build(shared=shared, decay=0.9), normal(40, 2)
    before = codebooks(quantizer)
    indices, given, _ = by_loop(vectors, before)
    quantizer.follow(vectors, indices, seed=[0, 0])
    depths = [[0, 1, 2]] if shared else [[0], [1], [2]]
    for own, codebook in zip(depths, quantizer.codebooks, strict=True):
        uses, seen = indices[:, own].ravel(), given[:, own].reshape(-1, 2)
        counts = np.bincount(uses, minlength=5)
        sums = np.array([seen[uses == code].sum(0) for code in range(5)])
        # Of a first count of 1, the first sums are the codes themselves but for 1e-5.
        initial = before[own[0]] * (1 + 1e-5)
        assert_allclose(codebook.counts, 0.9 + 0.1 * counts, rtol=1e-5)
        assert_allclose(codebook.sums, 0.9 * initial + 0.1 * sums, rtol=1e-4, atol=1e-5)


@SHARED
@pytest.mark.parametrize("options", [{"decay": 0.9, "restart_below": 0.95}, {"decay": None}])
def test_a_depth_of_one_is_a_vector_quantizer(shared, options):
    sizes = {"num_codes": 5, "code_dim": 2, "seed": 3, **options}
    one, other = ResidualVectorQuantizer(depth=1, shared=shared, **sizes), VectorQuantizer(**sizes)
    for step in range(3):
        vectors = normal(4, 6, 2, seed=step)
        indices = other.indices(vectors)
        assert_array_equal(one.indices(vectors)[..., 0], indices)
        assert_array_equal(one.lookup(indices[..., None]), other.lookup(indices))
        assert_array_equal(one.use_counts(indices[..., None]), [other.use_counts(indices)])
        assert_array_equal(one(vectors), other(vectors))
        if options["decay"]:
            one.follow(vectors, indices[..., None], seed=[step, 1])
            other.follow(vectors, indices, seed=[step, 1])
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        assert_array_equal(a, b)


def test_restarts_of_each_codebook_are_its_own():
    """All codes restart, each codebook's at residuals of other vectors."""
    quantizer = build(shared=False, decay=0.5, restart_below=1e3, num_codes=8)
    vectors = normal(500, 2)
    indices = quantizer.indices(vectors)
    given, _ = quantizer.stages(vectors, indices)
    quantizer.follow(vectors, indices, seed=[1, 2])
    rows = []
    for d, codebook in enumerate(quantizer.codebooks):
        distances = np.abs(codebook.codebook.numpy()[:, None] - given[:, d].numpy()).max(-1)
        assert np.all(distances.min(1) < 1e-4)
        rows.append(tuple(distances.argmin(1)))
    assert len(set(rows)) == 3


@SHARED
def test_gradients(shared):
    """Straight through to vectors; of what depths were given to vectors alone, none to codes."""
    quantizer, vectors = build(shared=shared, decay=None), tf.constant(normal(6, 2))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(vectors)
        loss = tf.reduce_sum(tf.square(quantizer(vectors)))
        given, found = quantizer.stages(vectors, quantizer.indices(vectors))
        squares, sums = tf.reduce_sum(tf.square(given)), tf.reduce_sum(found)
    weights = [v.value for v in quantizer.trainable_variables]
    assert len(weights) == (1 if shared else 3)
    assert_allclose(tape.gradient(loss, vectors), 2 * quantizer(vectors), rtol=1e-5, atol=1e-6)
    assert_allclose(tape.gradient(squares, vectors), 2 * tf.reduce_sum(given, 1), rtol=1e-5)
    assert tape.gradient(squares, weights) == [None] * len(weights)
    by_code = [tf.convert_to_tensor(part) for part in tape.gradient(sums, weights)]
    assert np.sum(by_code) == 6 * 3 * 2  # Each of all codes that were found, in two numbers.


@SHARED
def test_configs(shared):
    quantizer = build(shared=shared, decay=0.5, restart_below=0.25, seed=7)
    copy = ResidualVectorQuantizer.from_config(quantizer.get_config())
    assert copy.get_config() == quantizer.get_config()
    for a, b in zip(copy.get_weights(), quantizer.get_weights(), strict=True):
        assert_array_equal(a, b)
    assert keras.Sequential([keras.Input((4, 2)), quantizer]).output_shape == (None, 4, 2)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"depth": 0}, "depth must be an int of at least 1. Received: depth=0"),
        ({"shared": 2}, "shared must be True or False. Received: shared=2"),
        ({"num_codes": 0}, "num_codes must be an int of at least 1"),
        ({"decay": 1.0}, "between 0 and 1, or None.*Received: decay=1.0"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        build(**arguments)


def test_indices_have_an_axis_of_depths():
    with pytest.raises(ValueError, match=r"indices must have the shape \(..., 3\)"):
        build().lookup(np.zeros((4, 2), "int32"))
