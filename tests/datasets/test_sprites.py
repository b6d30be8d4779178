"""Sprites: their factors, their pictures, their splits."""

import numpy as np
import pytest
import tensorflow as tf

from tfgen.datasets import sprites

CENTRE = (15, 15)


def sprite(shape=0, scale=5, orientation=0, position=CENTRE):
    """One image, shape (64, 64)."""
    return sprites.draw([[shape, scale, orientation, *position]]).numpy()[0, ..., 0]


def random_factors(num_images):
    index = np.random.default_rng(0).integers(0, sprites.NUM_SPRITES, num_images)
    return sprites.factors_of(index).numpy()


def centre_of_mass(image):
    """(x, y) in pixels."""
    rows, columns = np.nonzero(image)
    return columns.mean(), rows.mean()


def test_sizes_are_those_of_dsprites():
    assert sprites.FACTOR_SIZES == (3, 6, 40, 32, 32)
    assert np.prod(sprites.FACTOR_SIZES) == sprites.NUM_SPRITES == 737_280
    assert len(sprites.FACTOR_NAMES) == 5


def test_factors_count_like_numpy():
    index = np.random.default_rng(0).integers(0, sprites.NUM_SPRITES, 1000)
    expected = np.stack(np.unravel_index(index, sprites.FACTOR_SIZES), axis=-1)
    np.testing.assert_array_equal(sprites.factors_of(index), expected)


def test_index_is_the_inverse_of_factors():
    index = np.arange(0, sprites.NUM_SPRITES, 97)
    np.testing.assert_array_equal(sprites.index_of(sprites.factors_of(index)), index)


def test_images_are_binary_and_not_empty():
    images = sprites.draw(random_factors(500)).numpy()
    assert images.dtype == np.float32 and images.shape == (500, 64, 64, 1)
    assert set(np.unique(images)) == {0, 1}
    # The smallest ellipse has the half-axes 7.7 and 3.85 and so an area of 93 pixels.
    assert images.sum(axis=(1, 2, 3)).min() > 80


def test_no_shape_leaves_the_frame():
    corners = [
        [shape, 5, orientation, x, y]
        for shape in range(3)
        for orientation in range(40)
        for x in (0, 31)
        for y in (0, 31)
    ]
    images = sprites.draw(corners).numpy()[..., 0]
    for border in (images[:, 0], images[:, -1], images[:, :, 0], images[:, :, -1]):
        assert not border.any()


def test_positions_are_one_pixel_apart():
    base = sprite(shape=2, orientation=3, position=(0, 0))
    for x, y in [(1, 0), (0, 1), (31, 0), (0, 31), (17, 5), (31, 31)]:
        moved = sprite(shape=2, orientation=3, position=(x, y))
        np.testing.assert_array_equal(moved, np.roll(base, (y, x), axis=(0, 1)))


@pytest.mark.parametrize("shape", range(3))
def test_areas_grow_with_the_square_of_the_scale(shape):
    factors = [[shape, scale, turn, *CENTRE] for scale in range(6) for turn in range(40)]
    areas = sprites.draw(factors).numpy().reshape(6, 40, -1).sum(axis=-1).mean(axis=-1)
    # Averaged over orientations the pixels along the outline leave an error of one in a hundred.
    np.testing.assert_allclose(areas / areas[-1], np.linspace(0.5, 1, 6) ** 2, rtol=0.02)


def test_square_has_straight_sides():
    rows, columns = np.nonzero(sprite(shape=0))
    # Half a side is 15.4 / sqrt(2) = 10.9 pixels, so 21 pixels have their centre inside.
    assert np.ptp(rows) + 1 == np.ptp(columns) + 1 == 21
    assert len(rows) == 21**2


def test_ellipse_is_twice_as_wide_as_high():
    rows, columns = np.nonzero(sprite(shape=1))
    assert (np.ptp(columns) + 1, np.ptp(rows) + 1) == (31, 15)


def test_heart_stands_upright_on_its_tip():
    heart = sprite(shape=2)
    rows = np.nonzero(heart.any(axis=1))[0]
    widths = heart.sum(axis=1)[rows]
    np.testing.assert_array_equal(heart[:, :63], heart[:, 62::-1])  # Its middle is at x = 31.
    assert widths[-1] <= 3 < widths[0]
    notch = heart[rows[0]]
    assert notch[31] == 0 and notch.sum() > 0
    assert np.argmax(widths) < len(widths) / 2


def test_orientation_turns_counterclockwise():
    # 10 / 39 of a turn is about a quarter: the tip of the heart moves from the bottom to the right.
    upright, turned = (sprite(shape=2, orientation=orientation) for orientation in (0, 10))
    assert centre_of_mass(upright)[1] < 31
    assert centre_of_mass(turned)[0] < 31
    rows, columns = np.nonzero(turned)
    assert abs(rows[np.argmax(columns)] - 31) <= 2


@pytest.mark.parametrize("shape", range(3))
def test_first_and_last_orientation_are_the_same(shape):
    for scale in range(6):
        np.testing.assert_array_equal(sprite(shape, scale, 0), sprite(shape, scale, 39))


def test_drawing_in_a_graph_is_the_same():
    factors = random_factors(20)
    drawn = tf.function(sprites.draw, input_signature=[tf.TensorSpec((None, 5), tf.int32)])
    np.testing.assert_array_equal(drawn(factors), sprites.draw(factors))


def test_splits_divide_the_indices():
    train, test = (
        sprites.index_of(sprites.read_sprites(split).rows).numpy() for split in ("train", "test")
    )
    assert len(test) == 73_728
    everything = np.sort(np.concatenate([train, test]))
    np.testing.assert_array_equal(everything, np.arange(sprites.NUM_SPRITES))


def test_slices_hold_all_shapes():
    labels = sprites.read_sprites("train[:300]").labels
    # A third each; 5 standard errors of a binomial count are 41.
    np.testing.assert_allclose(np.bincount(labels[:, 0]), 100, atol=41)


def test_all_is_in_the_order_of_the_indices():
    rows = sprites.read_sprites("all").rows
    np.testing.assert_array_equal(
        rows[[0, 1, 32, -1]], [[0] * 5, [0, 0, 0, 0, 1], [0, 0, 0, 1, 0], [2, 5, 39, 31, 31]]
    )


def test_sprites_can_be_resized():
    examples = sprites.read_sprites("test[:3]", image_size=(32, 32))
    images, _ = examples.batches()(tf.range(3))
    expected = sprites.draw(examples.rows).numpy().reshape(3, 32, 2, 32, 2, 1).mean(axis=(2, 4))
    np.testing.assert_allclose(images, expected, rtol=1e-6)


@pytest.mark.parametrize("index", [-1, 737_280])
def test_indices_outside_the_range_are_refused(index):
    with pytest.raises(ValueError, match=f"below 737280. Received: values from {index}"):
        sprites.factors_of([index])


@pytest.mark.parametrize("factors", [[[3, 0, 0, 0, 0]], [[0, 0, 0, 0, -1]], [[0, 6, 0, 0, 0]]])
def test_factors_outside_the_range_are_refused(factors):
    for function in (sprites.index_of, sprites.draw):
        with pytest.raises(ValueError, match="below 3, 6, 40, 32, 32. Received: values from"):
            function(factors)


def test_factors_need_five_columns():
    with pytest.raises(ValueError, match=r"5 columns.*Received: factors of shape \(2, 4\)"):
        sprites.draw(np.zeros((2, 4), int))
