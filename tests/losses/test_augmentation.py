"""Augmentations by what they do to images that show it: each draw is read off the result."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal

from tfgen import losses
from tfgen.losses import diff_augment

SEED = [3, 4]
HEIGHT, WIDTH = 16, 24


def images(num=6, channels=3):
    return np.random.default_rng(0).normal(size=(num, HEIGHT, WIDTH, channels)).astype("float32")


def numbered(num):
    """Images whose pixels are 1, 2, 3, ..., all different, and none is 0."""
    pixels = np.arange(1, HEIGHT * WIDTH + 1, dtype="float32").reshape(1, HEIGHT, WIDTH, 1)
    return np.tile(pixels, (num, 1, 1, 1))


def test_no_policy_is_the_identity():
    x = images()
    assert_array_equal(diff_augment(x, "", SEED), x)


# Colour.


def test_color_is_an_affine_map_of_each_image():
    """c s (x - m) + c (m - M) + M + b, m the mean over channels, M the image's; by regression."""
    x = images(200).astype("float64")
    y = np.asarray(diff_augment(x, "color", SEED))
    of_channels, of_image = x.mean(axis=3, keepdims=True), x.mean(axis=(1, 2, 3), keepdims=True)
    brightness, saturation, contrast = [], [], []
    for i in range(len(x)):
        parts = [x - of_channels, of_channels - of_image + 0 * x, np.ones_like(x)]
        basis = np.stack([part[i].ravel() for part in parts], axis=1)
        (both, slope, offset), error, *_ = np.linalg.lstsq(basis, y[i].ravel(), rcond=None)
        assert error[0] < 1e-8
        brightness.append(offset - of_image[i].item())
        saturation.append(both / slope)
        contrast.append(slope)
    # Uniform on the documented intervals: passes for 999 of 1000 seeds each.
    for draws, low, high in [(brightness, -0.5, 0.5), (saturation, 0, 2), (contrast, 0.5, 1.5)]:
        assert scipy.stats.kstest(draws, "uniform", (low, high - low)).pvalue > 1e-3
    correlations = np.corrcoef([brightness, saturation, contrast])
    # Each has a standard deviation of 1 / sqrt(200) if they are independent; five of them.
    assert np.abs(correlations - np.eye(3)).max() < 5 / np.sqrt(200)


def test_mean_shift_of_color_has_the_moments_of_a_uniform_draw():
    """Saturation and contrast leave an image's mean alone; brightness is from [-0.5, 0.5]."""
    x = images(2000)
    shift = np.mean(np.asarray(diff_augment(x, "color", SEED)) - x, axis=(1, 2, 3))
    assert np.abs(shift).max() <= 0.5 + 1e-5
    # Five standard errors of a uniform variable's mean and variance (its fourth moment is 1 / 80).
    assert abs(shift.mean()) < 5 * np.sqrt(1 / 12 / 2000)
    assert abs(np.mean(shift**2) - 1 / 12) < 5 * np.sqrt((1 / 80 - 1 / 144) / 2000)


# Translation.


def moved(image, dy, dx):
    """np.roll, with zeros for what came in from the other side."""
    rolled = np.roll(image, (dy, dx), axis=(0, 1))
    rows, columns = np.arange(HEIGHT)[:, None] - dy, np.arange(WIDTH)[None] - dx
    inside = (rows >= 0) & (rows < HEIGHT) & (columns >= 0) & (columns < WIDTH)
    return rolled * inside[..., None]


def test_translation_is_a_roll_with_zeros():
    x, y = numbered(500), np.asarray(diff_augment(numbered(500), "translation", SEED))
    centre, offsets = (HEIGHT // 2, WIDTH // 2), []
    for before, after in zip(x, y, strict=True):
        row, column, _ = np.argwhere(after == before[centre][0])[0]
        offsets.append((row - centre[0], column - centre[1]))
        assert_array_equal(after, moved(before, *offsets[-1]))
    for drawn, most in zip(np.transpose(offsets), (HEIGHT // 8, WIDTH // 8), strict=True):
        values, counts = np.unique(drawn, return_counts=True)
        assert_array_equal(values, np.arange(-most, most + 1))
        assert scipy.stats.chisquare(counts).pvalue > 1e-3


# Cutout.


def test_cutout_zeroes_one_square_and_nothing_else():
    x, y = numbered(2000), np.asarray(diff_augment(numbered(2000), "cutout", SEED))
    assert_array_equal(y[y != 0], x[y != 0])
    starts = []
    for after in y[..., 0]:
        sides = []
        for axis, size in ((1, HEIGHT), (0, WIDTH)):
            cut = np.flatnonzero((after == 0).any(axis=axis))
            assert_array_equal(cut, np.arange(cut[0], cut[-1] + 1))
            # Half of the side, less what lies beyond a border.
            whole = 0 < cut[0] and cut[-1] < size - 1
            assert len(cut) == size // 2 if whole else size // 4 <= len(cut) <= size // 2
            sides.append(cut)
        assert np.all(after[np.ix_(*sides)] == 0)
        assert np.sum(after == 0) == len(sides[0]) * len(sides[1])
        # A square that begins before the image does is known by where it ends.
        pairs = zip(sides, (HEIGHT, WIDTH), strict=True)
        starts.append([cut[0] or cut[-1] + 1 - size // 2 for cut, size in pairs])
    for drawn, size in zip(np.transpose(starts), (HEIGHT, WIDTH), strict=True):
        values, counts = np.unique(drawn, return_counts=True)
        assert_array_equal(values, np.arange(-(size // 4), size - size // 4 + 1))
        assert scipy.stats.chisquare(counts).pvalue > 1e-3


# All.

EVERY = ",".join(losses.AUGMENTATIONS)


@pytest.mark.parametrize("policy", [*losses.AUGMENTATIONS, EVERY])
def test_gradients_are_those_of_finite_differences(policy):
    x = tf.constant(images(3).astype("float64"))
    weights = np.random.default_rng(1).normal(size=x.shape)
    direction = np.random.default_rng(2).normal(size=x.shape)

    def value(x):
        return tf.reduce_sum(weights * diff_augment(x, policy, SEED))

    with tf.GradientTape() as tape:
        tape.watch(x)
        total = value(x)
    slope = float(tf.reduce_sum(tape.gradient(total, x) * direction))
    # All of them are affine in x for given draws: differences are exact to float64 rounding.
    expected = float(value(x + direction) - value(x - direction)) / 2
    assert slope == pytest.approx(expected, rel=1e-9)
    assert abs(slope) > 1e-3


@pytest.mark.parametrize("policy", [*losses.AUGMENTATIONS, EVERY])
def test_real_and_generated_are_treated_by_the_same_function(policy):
    """An affine one, whose draws follow from the seed and the place in the batch."""
    x, y = images(4), images(4)[::-1].copy()
    both = diff_augment(x + y, policy, SEED) + diff_augment(tf.zeros_like(x), policy, SEED)
    apart = diff_augment(x, policy, SEED) + diff_augment(y, policy, SEED)
    assert_allclose(both, apart, rtol=1e-4, atol=1e-5)
    assert not np.allclose(diff_augment(x, policy, SEED), diff_augment(x, policy, [4, 3]))
    repeated = np.asarray(diff_augment(np.repeat(x[:1], 4, axis=0), policy, SEED))
    assert not np.allclose(repeated[0], repeated[1])


def test_policies_follow_each_other():
    """The square of a cutout that comes last is black, whatever the colour."""
    x = images(4) + 3.0
    last = np.asarray(diff_augment(x, "color,cutout", SEED))
    first = np.asarray(diff_augment(x, "cutout,color", SEED))
    assert np.all((last == 0).sum(axis=(1, 2, 3)) >= HEIGHT * WIDTH * 3 / 16)
    assert not np.any(first == 0)


def test_grey_and_half_precision_images_and_xla():
    x = tf.cast(images(4, channels=1), tf.bfloat16)
    assert diff_augment(x, EVERY, SEED).dtype == tf.bfloat16
    compiled = tf.function(lambda x: diff_augment(x, EVERY, SEED), jit_compile=True)
    assert_allclose(compiled(images()), diff_augment(images(), EVERY, SEED), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("policy", ["colour", "color, cutout", "color,", 3, None])
def test_policies_that_there_are_not(policy):
    with pytest.raises(ValueError, match="policy must be one of .*'color'.*Received: policy="):
        diff_augment(images(), policy, SEED)


@pytest.mark.parametrize("shape", [(2, 8, 8), (2, 8, 8, 8, 1), (2,)])
def test_what_is_no_batch_of_images(shape):
    with pytest.raises(ValueError, match="images .*Received: images of shape"):
        diff_augment(tf.zeros(shape), "color", SEED)
