import numpy as np
import pytest

from tfgen import plotting


def test_samples_show_the_means_of_the_seed(make_model, tile):
    model = make_model(2)
    _, axes = plotting.samples(model, num_samples=4, seed=3)
    expected = model.sample(4, seed=3)
    np.testing.assert_allclose(tile(axes, 1, 0), expected[2, ..., 0], rtol=1e-6)
    assert axes.get_title() == "4 samples, E[x|z]"


def test_samples_draw_pixels_when_asked(make_model, tile):
    _, axes = plotting.samples(make_model(2), num_samples=4, mean=False)
    assert set(np.unique(tile(axes, 0, 0))) <= {0.0, 1.0}
    assert axes.get_title() == "4 samples, x ~ p(x|z)"


def test_samples_of_a_generator_without_pixel_distribution():
    class Generator:
        def sample(self, num_samples, seed=None):
            return np.zeros((num_samples, 3, 4, 1))

    _, axes = plotting.samples(Generator(), num_samples=9)
    assert np.asarray(axes.images[0].get_array()).shape == (11, 14)


def test_samples_ask_for_means_where_draws_are_the_default(tile):
    class Mixture:
        def sample(self, num_samples, seed=None, mean=False):
            return np.full((num_samples, 3, 4, 1), 0.5 if mean else 1.0)

    for mean, pixel in ((True, 0.5), (False, 1.0)):
        assert tile(plotting.samples(Mixture(), 1, mean=mean)[1], 0, 0).mean() == pixel


@pytest.mark.parametrize("arguments", [{"mean": False}, {"condition": [0, 1]}])
def test_samples_refuse_what_the_model_does_not_take(arguments):
    class Generator:
        def sample(self, num_samples, seed=None):
            raise AssertionError("Checked too late.")

    (name,) = arguments
    with pytest.raises(
        ValueError, match=f"{name} is for models whose `sample` takes it. Rec.*: {name}="
    ):
        plotting.samples(Generator(), 2, **arguments)


def test_samples_use_the_value_range(make_model, tile):
    model = make_model(2)
    _, axes = plotting.samples(model, num_samples=1, value_range=(-1, 1))
    expected = (model.sample(1, seed=0)[0, ..., 0] + 1) / 2
    np.testing.assert_allclose(tile(axes, 0, 0), expected, rtol=1e-6)


def test_reconstructions_lie_below_their_originals(make_model, tile, texts):
    model = make_model(2)
    x = np.random.default_rng(0).uniform(size=(5, 3, 4, 1)).astype("float32")
    _, axes = plotting.reconstructions(model, x)
    assert texts(axes.get_yticklabels()) == ["original", "reconstruction"]
    for i in range(5):
        np.testing.assert_array_equal(tile(axes, 0, i), x[i, ..., 0])
        # The model reads two pixels and writes them back, through float32.
        np.testing.assert_allclose(tile(axes, 1, i)[0, :2], x[i, 0, :2, 0], rtol=1e-5)
        np.testing.assert_array_equal(tile(axes, 1, i)[1:], 0.0)


def test_too_many_reconstructions_are_refused(make_model):
    with pytest.raises(ValueError, match="at most 20 images.*Received: 21 images"):
        plotting.reconstructions(make_model(2), np.zeros((21, 3, 4, 1)))


def test_traversals_move_the_dimension_of_the_row(make_model, tile, texts):
    _, axes = plotting.traversals(make_model(3), values=[-2, 0, 2.5])
    assert texts(axes.get_yticklabels()) == ["$z_{0}$", "$z_{1}$", "$z_{2}$"]
    assert texts(axes.get_xticklabels()) == ["-2", "0", "2.5"]
    for dim in range(3):
        for column, value in enumerate([-2, 0, 2.5]):
            expected = np.full(3, 0.5)
            expected[dim] += 0.1 * value
            np.testing.assert_allclose(tile(axes, dim, column)[0, :3], expected, rtol=1e-6)


def test_traversals_start_from_the_image(make_model, tile):
    model = make_model(3)
    x = model.generate(np.array([[1.0, 2.0, 3.0]]))[0]
    _, axes = plotting.traversals(model, x, dims=[1])
    np.testing.assert_allclose(tile(axes, 0, 0)[0, :3], [0.6, 0.2, 0.8], rtol=1e-5)


def test_traversals_default_to_three_standard_deviations(make_model, texts):
    _, axes = plotting.traversals(make_model(2))
    assert texts(axes.get_xticklabels()) == ["-3", "-2", "-1", "0", "1", "2", "3"]


def test_kl_sorts_the_rows_and_their_images(make_model, tile, texts):
    kl = np.array([0.5, 3.0, 0.01])
    _, axes = plotting.traversals(make_model(3), dims=[0, 1, 2], values=[5.0], kl=kl)
    assert texts(axes.get_yticklabels()) == [
        "$z_{1}$ (3.00 nats)",
        "$z_{0}$ (0.50 nats)",
        "$z_{2}$ (0.01 nats)",
    ]
    # 0.5 + 0.1 * 5 = 1 in the pixel of the row's dimension.
    assert [int(np.argmax(tile(axes, row, 0)[0, :3])) for row in range(3)] == [1, 0, 2]


def test_every_row_of_many_dimensions_is_labelled(make_model, texts):
    model = make_model(12)
    model.latent_shape, model.image_shape = (32,), (8, 8, 1)
    _, axes = plotting.traversals(model)
    assert len(texts(axes.get_yticklabels())) == 32


@pytest.mark.parametrize("dims", [[], [3], [-1], [0.5], [True, False, True]])
def test_dims_outside_the_latent_space_are_refused(make_model, dims):
    with pytest.raises(ValueError, match=r"latent space of 3, counted from 0. Received: dims=\["):
        plotting.traversals(make_model(3), dims=dims)


def test_kl_of_another_size_is_refused(make_model):
    with pytest.raises(ValueError, match=r"kl must .* each of 3 .* Received: shape \(2,\)"):
        plotting.traversals(make_model(3), kl=[0.1, 0.2])


def test_interpolations_go_from_start_to_end(make_model, tile, texts):
    model = make_model(2)
    start = model.generate(np.array([[0.0, 0.0], [4.0, -4.0]]))
    end = model.generate(np.array([[2.0, -2.0], [-4.0, 4.0]]))
    _, axes = plotting.interpolations(model, start, end, num_steps=3)
    assert texts(axes.get_xticklabels()) == ["0", "0.5", "1"]
    np.testing.assert_allclose(tile(axes, 0, 0), start[0, ..., 0], rtol=1e-5)
    np.testing.assert_allclose(tile(axes, 0, 1)[0, :2], [0.6, 0.4], rtol=1e-5)
    np.testing.assert_allclose(tile(axes, 1, 2), end[1, ..., 0], rtol=1e-5)


@pytest.mark.parametrize(
    "num_pairs, num_steps, message", [(3, 7, r"start \(2, .* end \(3, "), (2, 1, "num_steps=1")]
)
def test_unpaired_or_single_interpolations_are_refused(make_model, num_pairs, num_steps, message):
    start, end = np.zeros((2, 3, 4, 1)), np.zeros((num_pairs, 3, 4, 1))
    with pytest.raises(ValueError, match=f"Received: {message}"):
        plotting.interpolations(make_model(2), start, end, num_steps)


class Conditional:
    """Draws and reconstructs the condition, in [-1, 1]; knows its range."""

    value_range = (-1.0, 1.0)

    def sample(self, num_samples, seed=None, condition=None):
        return np.broadcast_to(np.reshape(condition, (-1, 1, 1, 1)), (num_samples, 3, 4, 1)) * 1.0

    def reconstruct(self, x, condition=None):
        return self.sample(len(x), condition=condition)


def test_models_know_their_value_range_and_take_conditions(tile):
    labels = [-1, 0, 1]
    _, axes = plotting.samples(Conditional(), 3, condition=labels)
    assert [tile(axes, i // 2, i % 2).mean() for i in range(3)] == [0.0, 0.5, 1.0]
    _, axes = plotting.reconstructions(Conditional(), np.zeros((3, 3, 4, 1)), condition=labels)
    assert [tile(axes, 1, i).mean() for i in range(3)] == [0.0, 0.5, 1.0]
    assert tile(axes, 0, 0).mean() == 0.5
    _, axes = plotting.samples(Conditional(), 1, condition=1, value_range=(0, 2))
    assert tile(axes, 0, 0).mean() == 0.5
