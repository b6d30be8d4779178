import matplotlib
import numpy as np
import pytest
import tensorflow as tf

from tfgen import plotting


def test_manifold_lies_over_normal_quantiles(make_model, tile, texts):
    _, axes = plotting.manifold(make_model(2), num=3)
    # Table of the standard normal: 95 % lie under 1.6449.
    quantiles = [-1.6449, 0.0, 1.6449]
    for row in range(3):
        for column in range(3):
            pixels = tile(axes, row, column)[0, :2]
            expected = [0.5 + 0.1 * quantiles[column], 0.5 + 0.1 * quantiles[2 - row]]
            np.testing.assert_allclose(pixels, expected, atol=1e-4)
    assert texts(axes.get_xticklabels()) == ["-1.64", "0.00", "1.64"]
    assert texts(axes.get_yticklabels()) == ["1.64", "0.00", "-1.64"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("$z_{0}$", "$z_{1}$")


@pytest.mark.parametrize("latent_dim", [1, 3])
def test_manifold_of_another_latent_space_is_refused(make_model, latent_dim):
    with pytest.raises(ValueError, match=rf"Received: latent_shape=\({latent_dim},\)"):
        plotting.manifold(make_model(latent_dim))


@pytest.mark.parametrize("num", [1, 101])
def test_manifold_of_another_number_is_refused(make_model, num):
    with pytest.raises(ValueError, match=f"num must be .*Received: num={num}"):
        plotting.manifold(make_model(2), num=num)


def clusters(make_model, latent_dim, num_classes, size=10):
    """A model, images in tight clusters, and their classes."""
    rng = np.random.default_rng(0)
    model = make_model(latent_dim)
    labels = np.repeat(np.arange(num_classes), size)
    centers = rng.uniform(-4, 4, size=(num_classes, latent_dim))
    codes = centers[labels] + 0.01 * rng.normal(size=(len(labels), latent_dim))
    return model, model.generate(codes), labels


def offsets(axes):
    """The points of each class, in the order of drawing."""
    return [np.asarray(collection.get_offsets()) for collection in axes.collections]


def test_two_dimensions_are_drawn_as_they_are(make_model):
    model, x, labels = clusters(make_model, 2, 3)
    _, axes = plotting.latent_scatter(model, x, labels)
    for points, label in zip(offsets(axes), range(3), strict=True):
        np.testing.assert_allclose(points, model.embed(x)[labels == label])
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("$z_{0}$", "$z_{1}$")


def test_more_dimensions_are_projected_on_principal_components(make_model):
    model, x, labels = clusters(make_model, 5, 4)
    _, axes = plotting.latent_scatter(model, x, labels)
    codes = model.embed(x)
    # Independent of scikit-learn: eigenvalues of the covariance are the components' variances.
    variances = np.linalg.eigvalsh(np.cov(codes.T, ddof=1))[::-1]
    drawn = np.concatenate(offsets(axes))
    np.testing.assert_allclose(drawn.var(axis=0, ddof=1), variances[:2], rtol=1e-4)
    share = f"{variances[0] / variances.sum():.0%}"
    assert axes.get_xlabel() == f"principal component 1 of z ({share} of variance)"


def test_legend_and_names_in_place(make_model):
    model, x, labels = clusters(make_model, 2, 3)
    names = ["T-shirt", "trouser", "pullover"]
    fig, axes = plotting.latent_scatter(model, x, labels, class_names=names)
    assert [text.get_text() for text in fig.legends[0].get_texts()] == names
    medians = [np.median(points, axis=0) for points in offsets(axes)]
    for text, name, median in zip(axes.texts, names, medians, strict=True):
        assert text.get_text() == name
        np.testing.assert_allclose(text.get_position(), median)


def test_class_absent_from_the_images_keeps_the_names_right(make_model):
    model, x, labels = clusters(make_model, 2, 3)
    kept = labels != 1
    names = ["zero", "one", "two"]
    fig, _ = plotting.latent_scatter(model, x[kept], labels[kept], class_names=names)
    assert [text.get_text() for text in fig.legends[0].get_texts()] == ["zero", "two"]


def test_fourteen_classes_are_told_apart(make_model):
    model, x, labels = clusters(make_model, 2, 14)
    _, axes = plotting.latent_scatter(model, x, labels)
    colors = [matplotlib.colors.to_hex(c.get_facecolor()[0]) for c in axes.collections]
    outlines = [c.get_paths()[0].vertices.tobytes() for c in axes.collections]
    assert len(set(colors)) == 10
    assert len(set(zip(colors, outlines, strict=True))) == 14


def test_legend_of_many_classes_stays_inside_the_figure(make_model):
    model, x, labels = clusters(make_model, 2, 40, size=2)
    fig, _ = plotting.latent_scatter(model, x, labels)
    fig.canvas.draw()
    box = fig.legends[0].get_window_extent()
    assert 0 <= box.y0 and box.y1 <= fig.bbox.height and box.x1 <= fig.bbox.width


def test_text_labels_are_classes_too(make_model):
    model, x, labels = clusters(make_model, 2, 2)
    fig, _ = plotting.latent_scatter(model, x, np.array(["cat", "dog"])[labels])
    assert [text.get_text() for text in fig.legends[0].get_texts()] == ["cat", "dog"]


def test_one_latent_dimension_is_refused(make_model):
    with pytest.raises(ValueError, match=r"at least 2 latent .* Received: latent_shape=\(1,\)"):
        plotting.latent_scatter(make_model(1), np.zeros((4, 3, 4, 1)), np.zeros(4))


def test_one_image_or_codes_that_are_not_finite_are_refused(make_model):
    model, x, labels = clusters(make_model, 2, 2)
    with pytest.raises(ValueError, match="x must be at least 2 images .* Received: 1 images"):
        plotting.latent_scatter(model, x[:1], labels[:1])
    x[0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="x must .* 1 values of their codes NaN or infinite"):
        plotting.latent_scatter(model, x, labels)


def test_labels_of_another_length_are_refused(make_model):
    with pytest.raises(ValueError, match=r"Received: labels of shape \(5,\) for 4 images"):
        plotting.latent_scatter(make_model(2), np.zeros((4, 3, 4, 1)), np.zeros(5))


def test_labels_may_be_whole_floats_and_strings_of_objects(make_model):
    model, x, labels = clusters(make_model, 2, 2)
    fig, _ = plotting.latent_scatter(model, x, labels.astype("float32"), class_names=["a", "b"])
    assert [text.get_text() for text in fig.legends[0].get_texts()] == ["a", "b"]
    objects = np.array(["a", "b"], object)[labels]
    for texts in (objects, tf.constant(objects)):
        fig, _ = plotting.latent_scatter(model, x, texts)
        assert [text.get_text() for text in fig.legends[0].get_texts()] == ["a", "b"]


def test_labels_without_a_name_are_refused(make_model):
    with pytest.raises(ValueError, match=r"integers from 0 to 1. Received: labels \[0 1 2\]"):
        x = np.zeros((3, 3, 4, 1))
        plotting.latent_scatter(make_model(2), x, [0, 1, 2], class_names=["a", "b"])


def test_scatter_tells_a_model_of_classes_what_they_are():
    class Conditional:
        latent_shape, num_classes = (2,), 4

        def embed(self, x, condition=None):
            return np.stack([condition, condition], axis=1)

    x, labels = np.zeros((4, 3, 4, 1)), np.arange(4)
    _, axes = plotting.latent_scatter(Conditional(), x, labels)
    points = np.concatenate([c.get_offsets() for c in axes.collections])
    np.testing.assert_array_equal(points, np.stack([labels, labels], axis=1))
