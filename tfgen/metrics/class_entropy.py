"""Entropies of a classifier's predictions for samples: diversity and quality.

Source: Mi, Shen & Zhang, "A Probe Towards Understanding GAN and VAE Models", arXiv:1812.05676v2,
Sec. 3.2 and 3.3.
"""

import numpy as np
import tensorflow as tf

from tfgen._utils.typing import TensorLike
from tfgen.metrics._samples import probability_array

__all__ = ["class_entropy", "image_entropies", "mode_count"]


def _entropies(probabilities: np.ndarray) -> np.ndarray:
    total = tf.reduce_sum(tf.math.xlogy(probabilities, probabilities), axis=-1)
    return 0.0 - total.numpy()  # Not -total, which may be -0.


def _class_shares(probabilities: TensorLike) -> np.ndarray:
    """Share of samples whose most probable class is each class, shape (num_classes,)."""
    probabilities = probability_array(probabilities)
    counts = np.bincount(probabilities.argmax(axis=1), minlength=probabilities.shape[1])
    return counts / len(probabilities)


def class_entropy(probabilities: TensorLike) -> float:
    """Entropy of the distribution of predicted classes: low if modes are missing.

    Source: Mi et al., arXiv:1812.05676v2, Sec. 3.2: a sample counts for its most probable class.

    Args:
        probabilities: array or tensor, shape (num_samples, num_classes), rows sum to 1.

    Returns:
        float, in nats, from 0 (one class) to log(num_classes) (all equally often). For n samples of
        the real data it is below their entropy by (num_classes - 1) / (2 n) on average.

    Raises:
        ValueError: if rows are not probabilities.

    Example:
        >>> round(class_entropy([[0.9, 0.1], [0.2, 0.8]]), 4)  # log 2
        0.6931
    """
    return float(_entropies(_class_shares(probabilities)))


def image_entropies(probabilities: TensorLike) -> np.ndarray:
    """Entropy of the predicted class of each image: low if the classifier is sure.

    Source: Mi et al., arXiv:1812.05676v2, Sec. 3.3, with the minus sign that the text leaves out.

    Args:
        probabilities: array or tensor, shape (num_samples, num_classes), rows sum to 1.

    Returns:
        float64 array, shape (num_samples,), in nats, from 0 to log(num_classes). Low values do not
        show diversity: a collapsed generator has them too.

    Raises:
        ValueError: if rows are not probabilities.

    Example:
        >>> image_entropies([[1.0, 0.0], [0.5, 0.5]]).round(4)
        array([0.    , 0.6931])
    """
    return _entropies(probability_array(probabilities))


def mode_count(probabilities: TensorLike, threshold: float = 0.01) -> int:
    """Number of classes that have at least a fraction `threshold` of the samples.

    Args:
        probabilities: array or tensor, shape (num_samples, num_classes), rows sum to 1.
        threshold: float in (0, 1]. 0.01 is a tenth of an equal share of ten classes; with
            1 / num_samples a class counts once it has one sample.

    Returns:
        int, from 0 to num_classes; num_classes for real data in which no class is so rare.

    Raises:
        ValueError: if rows are not probabilities or the threshold is out of range.

    Example:
        >>> mode_count([[0.9, 0.1], [0.8, 0.2]])
        1
    """
    if not 0.0 < threshold <= 1.0:
        raise ValueError(f"threshold must be in (0, 1]. Received: {threshold}.")
    return int(np.sum(_class_shares(probabilities) >= threshold))
