"""FID, KID and Inception score, of features and probabilities of any network."""

from typing import NamedTuple

import numpy as np

from tfgen._utils.arguments import check_ints, check_seed, check_size
from tfgen._utils.typing import TensorLike
from tfgen.metrics._samples import flat_pair, probability_array
from tfgen.metrics.class_entropy import image_entropies
from tfgen.metrics.frechet import frechet_distance
from tfgen.metrics.mmd import squared_mmd
from tfgen.metrics.ms_ssim import MeanAndError

__all__ = ["InceptionScore", "fid", "inception_score", "kid"]


class InceptionScore(NamedTuple):
    """Mean of the scores of the splits, and their standard deviation, which papers print."""

    mean: float
    standard_deviation: float


def fid(real: TensorLike, generated: TensorLike) -> float:
    """Frechet inception distance: `frechet_distance` of the features of `inception_outputs`.

    Published values compare samples with the training set, 50,000 against all of it or 10,000
    against 10,000; "clean" and "legacy" resizing give two scales. Of a network other than that of
    2015 this is no FID, whatever it is called.

    Source: Heusel et al., arXiv:1706.08500v6, Eq. 6.

    Args:
        real: array or tensor, features of real images, shape (n, d).
        generated: array or tensor, features of samples, shape (m, d). As the value falls with m,
            take the same number for every model; and more than d of both, or the covariances are
            singular and the value far too high.

    Returns:
        float >= 0, 0 for equal sets of features.

    Raises:
        ValueError: for fewer than 2 images, features of two shapes or values that are not finite.

    Example:
        >>> real = np.array([[-1.0], [1.0]])  # mean 0, variance 2
        >>> round(fid(real, 2.0 * real + 3.0), 6)  # 3^2 + (2 - 1)^2 * 2
        11.0
    """
    return frechet_distance(*flat_pair(real, generated, ("real", "generated")))


def kid(
    real: TensorLike,
    generated: TensorLike,
    num_subsets: int = 100,
    subset_size: int = 1000,
    seed: int = 0,
) -> MeanAndError:
    """Kernel inception distance: mean squared MMD of random subsets, polynomial kernel.

    The kernel of two features of d values is (x.y / d + 1)^3, and the estimate of each subset
    unbiased. The mean estimates what `squared_mmd(real, generated, "polynomial")` of all features
    is, in less memory and time where they are many.

    Source: Binkowski et al., arXiv:1801.01401v5.

    Args:
        real: array or tensor, features of real images, shape (n, d), as of `inception_outputs`.
        generated: array or tensor, features of samples, shape (m, d).
        num_subsets: int >= 2, subsets drawn, without replacement within each.
        subset_size: int >= 2, rows of each, at most n and m. The mean does not depend on it.
        seed: int, which subsets.

    Returns:
        `MeanAndError`. The mean is 0 on average for equal distributions, so that it may be
        negative; papers print it times 1000. The error is that of the choice of subsets, which
        falls with their number, and not that of the choice of images; the standard deviation of
        subsets, which others print, is sqrt(num_subsets) times as large.

    Raises:
        ValueError: for arguments out of range, features of two shapes or values that are not
            finite.

    Example:
        >>> real, generated = np.array([[0.0], [2.0]]), np.array([[1.0], [1.0]])
        >>> score = kid(real, generated, num_subsets=2, subset_size=2)
        >>> round(score.mean, 6), score.standard_error  # 1 + 8 - 2 (1 + 27) / 2
        (-19.0, 0.0)
    """
    real, generated = flat_pair(real, generated, ("real", "generated"))
    check_ints(2, num_subsets=num_subsets, subset_size=subset_size)
    check_size(num_subsets=num_subsets)
    check_seed(seed=seed)
    smaller = min(len(real), len(generated))
    if subset_size > smaller:
        raise ValueError(
            f"subset_size must be at most the number of images. Received: {subset_size} with "
            f"{len(real)} real and {len(generated)} generated ones. Pass {smaller} or less."
        )
    rng = np.random.default_rng(seed)

    def subset(features):
        return features[np.sort(rng.choice(len(features), subset_size, replace=False))]

    values = [
        squared_mmd(subset(real), subset(generated), "polynomial") for _ in range(num_subsets)
    ]
    return MeanAndError(float(np.mean(values)), float(np.std(values, ddof=1) / num_subsets**0.5))


def inception_score(probabilities: TensorLike, num_splits: int = 10) -> InceptionScore:
    """Inception score: exp of the mutual information of image and class, mean of the splits.

    exp(mean_i KL(p_i | p)) with the class probabilities p_i of image i, and p their mean. It is
    high if the network is sure of each image and predicts all classes equally often. It does not
    look at real images; their own score is below the number of classes, too.

    Source: Salimans et al., arXiv:1606.03498, Sec. 4, who advise about 50,000 samples. Papers since
    (Odena et al., arXiv:1610.09585, Sec. 4.4 of the submission to ICLR 2017) take 10 splits. The
    splits here follow each other in the order of the samples.

    Args:
        probabilities: array or tensor, shape (num_samples, num_classes), rows sum to 1: as of
            `inception_outputs`, in the order of the samples.
        num_splits: int >= 1, at most the number of samples. The score rises with the samples of a
            split: state both.

    Returns:
        `InceptionScore`. The mean is at least 1 and at most the number of classes, or of samples
        of a split where they are fewer; the deviation divides by the number of splits.

    Raises:
        ValueError: if rows are not probabilities, or there are fewer of them than `num_splits`.

    Example:
        >>> inception_score([[1.0, 0.0], [0.0, 1.0]], num_splits=1)
        InceptionScore(mean=2.0, standard_deviation=0.0)
    """
    probabilities = probability_array(probabilities)
    check_ints(num_splits=num_splits)
    if num_splits > len(probabilities):
        raise ValueError(
            "num_splits must be at most the number of samples. Received: "
            f"num_splits={num_splits} with {len(probabilities)} samples."
        )
    bounds = np.arange(num_splits + 1) * len(probabilities) // num_splits
    parts = [probabilities[low:high] for low, high in zip(bounds, bounds[1:], strict=False)]
    scores = [np.exp(_information(part)) for part in parts]
    return InceptionScore(float(np.mean(scores)), float(np.std(scores)))


def _information(probabilities: np.ndarray) -> float:
    """Mean divergence of the rows from their mean: its entropy less their mean entropy."""
    of_mean = image_entropies(probabilities.mean(axis=0, keepdims=True))[0]
    return max(of_mean - image_entropies(probabilities).mean(), 0.0)  # Not below it by rounding.
