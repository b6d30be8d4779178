"""Scores by class: shifted classes, exchanged labels, classifiers trained by hand."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from tfgen.metrics import (
    classification_accuracy_score,
    classifier,
    frechet_distance,
    intra_class_frechet_distance,
)

RNG = np.random.default_rng(0)
FEATURES = RNG.normal(size=(60, 3))
LABELS = np.arange(60) % 4

# The Frechet distance within classes.


def test_each_class_is_shifted_by_its_own_length():
    """By c in each of 3 dimensions: 3 c^2, whatever the covariances are."""
    shifts = np.array([0.0, 1.0, 2.0, 0.5])
    order = RNG.permutation(60)
    score = intra_class_frechet_distance(
        FEATURES, LABELS, (FEATURES + shifts[LABELS, None])[order], LABELS[order]
    )
    assert list(score.by_class) == [0, 1, 2, 3]
    np.testing.assert_allclose(list(score.by_class.values()), 3 * shifts**2, atol=1e-10)
    assert score.mean == pytest.approx(3 * np.mean(shifts**2))


def test_classes_count_alike_whatever_their_sizes():
    labels = np.array([0] * 50 + [7] * 10)
    score = intra_class_frechet_distance(FEATURES, labels, 2 * FEATURES[5:], labels[5:])
    expected = {
        0: frechet_distance(FEATURES[:50], 2 * FEATURES[5:50]),
        7: frechet_distance(FEATURES[50:], 2 * FEATURES[50:]),
    }
    assert score.by_class == pytest.approx(expected)
    assert score.mean == pytest.approx((expected[0] + expected[7]) / 2)


def test_exchanged_classes_show_where_all_together_are_equal():
    features = FEATURES + 10.0 * LABELS[:, None]
    assert frechet_distance(features, features) == pytest.approx(0.0, abs=1e-9)
    score = intra_class_frechet_distance(features, LABELS, features, LABELS ^ 1)
    # Classes 10 apart in 3 dimensions, and a little for the spread of 15 points.
    np.testing.assert_allclose(list(score.by_class.values()), 300.0, rtol=0.2)


# Accuracy.


@pytest.fixture(scope="module")
def digits():
    order = np.random.default_rng(0).permutation(1797)
    data = load_digits()
    return (data.images[order, ..., None] / 16).astype("float32"), data.target[order]


def score(generated, labels, real, real_labels, **options):
    return classification_accuracy_score(
        generated, labels, real, real_labels, **{"steps": 150, **options}
    )


def test_accuracy_is_that_of_a_classifier_trained_by_hand(digits, tmp_path):
    images, labels = digits
    found = score(images[:600], labels[:600], images[600:], labels[600:], seed=3)
    network = classifier(
        images[:600], labels[:600], steps=150, seed=3, cache_dir=tmp_path, verbose=False
    )
    _, accuracy = network.evaluate(images[600:], labels[600:], verbose=0)
    assert found.mean == pytest.approx(accuracy, abs=1e-6) and accuracy > 0.8
    counts = np.bincount(labels[600:])
    assert found.mean == pytest.approx(np.dot(list(found.by_class.values()), counts / counts.sum()))


def test_shifted_labels_are_all_wrong_and_those_of_one_class_alone(digits):
    images, labels = digits
    real = (images[600:], labels[600:])
    assert score(images[:600], (labels[:600] + 1) % 10, *real).mean < 0.05
    exchanged = np.array([0, 2, 1, 3, 4, 5, 6, 7, 8, 9])[labels[:600]]
    by_class = score(images[:600], exchanged, *real).by_class
    assert max(by_class[1], by_class[2]) < 0.2
    assert min(by_class[c] for c in (0, 4, 6)) > 0.7


def test_classes_that_samples_lack_are_wrong(digits):
    images, labels = digits
    few = labels[:600] < 5
    found = score(images[:600][few], labels[:600][few], images[600:], labels[600:])
    assert [found.by_class[c] for c in range(5, 10)] == [0.0] * 5
    assert min(found.by_class[c] for c in range(5)) > 0.5


def test_the_range_does_not_matter(digits):
    images, labels = digits
    parts = (images[:200], labels[:200], images[600:700], labels[600:700])
    signed = (2 * parts[0] - 1, parts[1], 2 * parts[2] - 1, parts[3])
    # Pixels are rounded to 16 bits, in either range to the same.
    assert score(*signed, value_range=(-1, 1), steps=20) == score(*parts, steps=20)


# Errors.


@pytest.mark.parametrize(
    "change, message",
    [
        ({"real_labels": LABELS[:-1]}, r"real_labels must be one int .* 60 rows.*shape \(59,\)"),
        ({"generated_labels": LABELS + 0.5}, "generated_labels must be .*type float64"),
        ({"generated_labels": LABELS - 1}, "generated_labels must be one int of at least 0"),
        ({"generated_labels": LABELS % 3}, "generated_labels must have .* 0 of class 3"),
        ({"real_labels": np.minimum(LABELS + np.arange(60), 59)}, "real_labels must have at least"),
        ({"generated": FEATURES[:, :2]}, r"real and generated .* Received: \(3,\) and \(2,\)"),
        ({"real": FEATURES * np.nan}, "real must be finite"),
    ],
)
def test_unusable_features_and_labels(change, message):
    arguments = {
        "real": FEATURES,
        "real_labels": LABELS,
        "generated": FEATURES,
        "generated_labels": LABELS,
    }
    with pytest.raises(ValueError, match=message):
        intra_class_frechet_distance(**{**arguments, **change})


IMAGES = np.full((4, 3, 3, 1), 0.5)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"generated": IMAGES[..., 0]}, r"generated must have shape .*Received: shape \(4, 3, 3\)"),
        ({"real": 3 * IMAGES}, "real must have pixels in value_range"),
        ({"real": IMAGES[:, :2]}, r"one shape. Received: \(3, 3, 1\) and \(2, 3, 1\)"),
        ({"real_labels": np.arange(3)}, r"real_labels must be one int .* 4 rows"),
        ({"generated_labels": np.zeros(4, int)}, "of at least 2 classes"),
        ({"steps": 0}, "steps must be an int of at least 1"),
        ({"kind": "tree"}, "kind must be one of"),
    ],
)
def test_unusable_images(change, message):
    arguments = {
        "generated": IMAGES,
        "generated_labels": np.arange(4),
        "real": IMAGES,
        "real_labels": np.arange(4),
    }
    with pytest.raises(ValueError, match=message):
        classification_accuracy_score(**{**arguments, **change})
