"""Scores of samples of given classes: whether each class looks like itself."""

import tempfile
from typing import Literal, NamedTuple

import numpy as np

from tfgen._utils.arguments import as_numbers, as_pair
from tfgen._utils.typing import TensorLike
from tfgen.metrics._images import check_image_shape, check_pixels
from tfgen.metrics._samples import flat_pair
from tfgen.metrics.classifier import classifier
from tfgen.metrics.frechet import frechet_distance

__all__ = ["ScoreByClass", "classification_accuracy_score", "intra_class_frechet_distance"]


class ScoreByClass(NamedTuple):
    """A score over all classes, and the score of each class by its label."""

    mean: float
    by_class: dict[int, float]


def _as_labels(values, num_rows: int, name: str) -> np.ndarray:
    labels = as_numbers(**{name: values})
    whole = labels.dtype.kind in "iu" and labels.shape == (num_rows,)
    if not whole or labels.min() < 0:
        raise ValueError(
            f"{name} must be one int of at least 0 for each of {num_rows} rows. Received: {name} "
            f"of type {labels.dtype} and shape {labels.shape}."
        )
    return labels


def _check_classes(real: np.ndarray, generated: np.ndarray) -> list[int]:
    """Classes of both sets of labels, each of which has at least 2 rows in both."""
    classes = np.union1d(real, generated)
    for name, labels in {"real_labels": real, "generated_labels": generated}.items():
        few = [int(c) for c in classes if np.sum(labels == c) < 2]
        if few:
            raise ValueError(
                f"{name} must have at least 2 rows of each class that is in either set. Received: "
                f"{np.sum(labels == few[0])} of class {few[0]}. Draw more samples, or leave the "
                "class out of both."
            )
    return [int(c) for c in classes]


def intra_class_frechet_distance(
    real: TensorLike,
    real_labels: TensorLike,
    generated: TensorLike,
    generated_labels: TensorLike,
) -> ScoreByClass:
    """Frechet distance of real and generated features within each class, and its mean.

    It detects what the distance over all classes misses: samples of another class than was asked
    for, and classes that lack variety.

    Source: Miyato & Koyama, "cGANs with projection discriminator" (arXiv:1802.05637), "intra FID"
    in Sec. 5.1 of the submission to ICLR 2018: of Inception features, 5000 samples of each class.

    Args:
        real: array or tensor, features of real images, shape (n, ...), such as those of
            `inception_outputs` or `classifier_outputs`.
        real_labels: ints >= 0, shape (n,).
        generated: array or tensor, features of samples, shape (m, ...).
        generated_labels: ints >= 0, shape (m,), the classes that were asked for.

    Returns:
        `ScoreByClass` of floats >= 0, in squared units of the features. Each is a
        `frechet_distance`, and biased upwards since a class has few rows. The mean gives all
        classes the same weight.

    Raises:
        ValueError: for features as `frechet_distance`; if labels are not ints, one for each row, or
            a class has fewer than 2 rows in one of the sets.

    Example:
        >>> real, labels = np.array([[-1.0], [1.0], [4.0], [6.0]]), np.array([0, 0, 1, 1])
        >>> score = intra_class_frechet_distance(real, labels, real[::-1], labels)
        >>> round(score.mean, 6)  # Classes are exchanged: 5^2
        25.0
    """
    real, generated = flat_pair(real, generated, ("real", "generated"))
    real_labels = _as_labels(real_labels, len(real), "real_labels")
    generated_labels = _as_labels(generated_labels, len(generated), "generated_labels")
    distances = {
        c: frechet_distance(real[real_labels == c], generated[generated_labels == c])
        for c in _check_classes(real_labels, generated_labels)
    }
    return ScoreByClass(float(np.mean(list(distances.values()))), distances)


def classification_accuracy_score(
    generated: TensorLike,
    generated_labels: TensorLike,
    real: TensorLike,
    real_labels: TensorLike,
    kind: Literal["mlp", "conv"] = "mlp",
    *,
    value_range: tuple[float, float] = (0.0, 1.0),
    steps: int = 2500,
    batch_size: int = 128,
    seed: int = 0,
    verbose: bool = False,
) -> ScoreByClass:
    """Accuracy on real images of a classifier that was trained on samples alone.

    It is high if samples belong to their classes and vary as much as real images do. Compare it
    with that of a classifier trained on as many real images.

    Source: Ravuri & Vinyals, arXiv:1905.10887 (text not checked), with a ResNet-50 on ImageNet.
    Here the classifier is the small one of `classifier`, trained anew in each call.

    Args:
        generated: array or tensor, samples, shape (n, height, width, channels).
        generated_labels: ints >= 0, shape (n,), the classes that were asked for; at least two.
        real: array or tensor, real test images, shape (m, height, width, channels).
        real_labels: ints >= 0, shape (m,).
        kind: "mlp" or "conv"; this and the following arguments are those of `classifier`.
        value_range: (low, high), what black and white are in both.
        steps: int >= 1, batches to train on.
        batch_size: int >= 1.
        seed: int >= 0, of the classifier.
        verbose: bool, whether to show a progress bar.

    Returns:
        `ScoreByClass`: the fraction of real images that are classified correctly, in [0, 1], over
        all and in each class. It is about 1 / num_classes if samples are unrelated to their labels.

    Raises:
        ValueError: if images, labels or arguments do not fit together.

    Example:
        >>> images, labels = np.eye(4).reshape(4, 2, 2, 1), np.arange(4)
        >>> swapped = np.array([1, 0, 2, 3])
        >>> classification_accuracy_score(images, swapped, images, labels, steps=50)
        ScoreByClass(mean=0.5, by_class={0: 0.0, 1: 0.0, 2: 1.0, 3: 1.0})
    """
    generated = _as_images(generated, value_range, "generated")
    real = _as_images(real, value_range, "real")
    if generated.shape[1:] != real.shape[1:]:
        raise ValueError(
            "generated and real must hold images of one shape. Received: "
            f"{generated.shape[1:]} and {real.shape[1:]}."
        )
    generated_labels = _as_labels(generated_labels, len(generated), "generated_labels")
    real_labels = _as_labels(real_labels, len(real), "real_labels")
    with tempfile.TemporaryDirectory() as cache:
        network = classifier(
            generated,
            generated_labels,
            kind,
            value_range=value_range,
            steps=steps,
            batch_size=batch_size,
            seed=seed,
            cache_dir=cache,
            verbose=verbose,
        )
    right = network.predict(real, verbose=0).argmax(axis=1) == real_labels
    by_class = {int(c): float(right[real_labels == c].mean()) for c in np.unique(real_labels)}
    return ScoreByClass(float(right.mean()), by_class)


def _as_images(images, value_range, name):
    as_pair(value_range=value_range)
    images = as_numbers(**{name: images}).astype("float32", copy=False)
    check_image_shape(images, name)
    check_pixels(images, value_range, name)
    return images
