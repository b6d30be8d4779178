"""All scores of a model's samples, and of real images in their place, in one table."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tfgen._utils.arguments import (
    as_numbers,
    as_pair,
    check_flags,
    check_ints,
    check_seed,
    check_size,
    check_verbose,
)
from tfgen._utils.progress import ProgressBar
from tfgen._utils.typing import TensorLike
from tfgen.losses.ms_ssim import check_window
from tfgen.metrics._images import check_image_shape, check_pixels
from tfgen.metrics._tables import markdown
from tfgen.metrics.class_entropy import class_entropy, image_entropies, mode_count
from tfgen.metrics.classifier import (
    check_features,
    check_images,
    outputs_network,
    pixel_range,
)
from tfgen.metrics.frechet import frechet_distance
from tfgen.metrics.mmd import BANDWIDTH_FACTORS, median_bandwidth, squared_mmd
from tfgen.metrics.ms_ssim import pairwise_ms_ssim
from tfgen.metrics.neighbours import PrecisionRecall, precision_recall
from tfgen.metrics.protocols import HasSamples, require

__all__ = ["SampleJudge", "SampleScores", "evaluate_samples"]

_CHUNK = 1000  # Samples drawn at a time.
_BATCH_SIZE = 256  # Images that the classifier takes at a time.
_MIN_SAMPLES = 10
_NUM_NEIGHBOURS = 5


class SampleScores(NamedTuple):
    """Scores by name, and what they were computed with.

    Attributes:
        generated: dict from name to the score of the model's samples.
        real: dict from name to the score of as many training images in place of samples: what a
            perfect model would get.
        settings: dict of sizes, seed and range, and by score the arguments it was given.
    """

    generated: dict[str, float]
    real: dict[str, float]
    settings: dict[str, Any]

    def to_markdown(self) -> str:
        """Table of all scores, and below it their settings."""
        rows = [
            (name, f"{self.generated[name]:.4g}", f"{self.real[name]:.4g}") for name in self.real
        ]
        notes = [f"{name}: {_as_text(value)}" for name, value in self.settings.items()]
        return markdown(("score", "generated", "real"), rows, notes)


def _as_text(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}={_as_text(item)}" for name, item in value.items())
    if isinstance(value, tuple):
        return f"({', '.join(map(_as_text, value))})"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def evaluate_samples(
    model: HasSamples,
    train_data: TensorLike | tf.data.Dataset,
    test_data: TensorLike | tf.data.Dataset,
    num_samples: int = 10_000,
    *,
    classifier: keras.Model | None = None,
    value_range: tuple[float, float] = (0.0, 1.0),
    clip: bool = False,
    num_neighbours: int | None = None,
    seed: int = 0,
    verbose: bool = True,
) -> SampleScores:
    """Scores samples of a model against test images, and training images in the same way.

    Without a classifier:

    - squared_mmd: of pixels, mean of Gaussian kernels around the median distance of test images;
    - ms_ssim, ms_ssim_standard_error: of `num_samples // 2` random pairs.

    In the classes and features of a classifier:

    - class_entropy, image_entropy (mean);
    - mode_count: classes with at least a tenth of an equal share;
    - classifier_squared_mmd: polynomial kernel;
    - classifier_frechet_distance: comparable between models with the same classifier and number of
      samples, but not with Inception distances (FID);
    - precision, recall, density, coverage.

    Each function of `tfgen.metrics` says what its values mean. The column of real data shows what
    samples as good as training images would get. The classifier was trained on these, so that its
    distances there are slightly larger than between two sets that it has not seen.

    Args:
        model: anything with `sample(num_samples, seed=)` that returns images.
        train_data: array, shape (num_images, height, width, channels), at least `num_samples`
            images; or a `tf.data.Dataset` of batches of images, or of (images, labels). It is read
            once, and `num_samples` of its images are drawn: the same ones in each call unless a
            pipeline shuffles them anew.
        test_data: likewise, of other images than `train_data`.
        num_samples: int >= 10, samples of the model, training and test images. All scores depend
            on it.
        classifier: `keras.Model` as `classifier` returns; None leaves its scores out.
        value_range: (low, high), what black and white are in the data and the samples.
        clip: bool, cut samples off at `value_range`, for a decoder whose mean is unbounded.
        num_neighbours: int >= 1, less than `num_samples`, of precision, recall, density and
            coverage; None for 5. These need a classifier.
        seed: int, of samples, the choice of images and pairs.
        verbose: bool, whether to show a progress bar.

    Returns:
        `SampleScores`. `print(scores.to_markdown())` shows the table.

    Raises:
        ValueError: if there are too few images; if shapes differ; if samples are not finite or,
            with `clip` False, leave the range; or if the classifier expects another range.

    Example:
        >>> class Noise:
        ...     def sample(self, num_samples, seed=None):
        ...         return np.random.default_rng(seed).uniform(size=(num_samples, 8, 8, 1))
        >>> train, test = Noise().sample(60, seed=1), Noise().sample(50, seed=2)
        >>> scores = evaluate_samples(Noise(), train, test, num_samples=50, verbose=False)
        >>> list(scores.generated)
        ['squared_mmd', 'ms_ssim', 'ms_ssim_standard_error']
        >>> scores.settings["ms_ssim"]["num_pairs"]
        25
    """
    _check_model(model)
    check_verbose(verbose=verbose)
    judge = SampleJudge(
        train_data,
        test_data,
        num_samples,
        classifier=classifier,
        value_range=value_range,
        clip=clip,
        num_neighbours=num_neighbours,
        seed=seed,
    )
    return judge(model, verbose)


class SampleJudge:
    """Scores models one after the other against the same images, which it reads once.

    Args:
        train_data: as of `evaluate_samples`, and so are all others.

    Attributes:
        settings: dict, as of `SampleScores`.
        directions: dict from the names of the scores to "min" or "max", what is better; None where
            the value of real images is best.

    Raises:
        ValueError: as `evaluate_samples`, if arguments or images are unusable.
    """

    def __init__(
        self,
        train_data: TensorLike | tf.data.Dataset,
        test_data: TensorLike | tf.data.Dataset,
        num_samples: int,
        *,
        classifier: keras.Model | None,
        value_range: tuple[float, float],
        clip: bool,
        num_neighbours: int | None,
        seed: int,
    ) -> None:
        _check_arguments(num_samples, value_range, classifier, num_neighbours, seed, clip)
        test = _draw_images(test_data, num_samples, value_range, seed, "test_data")
        train = _draw_images(train_data, num_samples, value_range, seed, "train_data")
        _check_shapes(test, train, "training images")
        self.settings = _settings(test, value_range, classifier, num_neighbours, seed, clip)
        self._scores, self.directions = dict(_PIXEL_SCORES), dict(_PIXEL_DIRECTIONS)
        self._network: keras.Model | None = None
        if classifier is not None:
            check_images(classifier, test)
            self._network = outputs_network(classifier)  # Which is compiled once.
            self._scores |= _CLASSIFIER_SCORES
            self.directions |= _CLASSIFIER_DIRECTIONS
        self._test, self._train = self._judged(test), train
        self._real: dict[str, float] = {}

    def __call__(self, model: HasSamples, verbose: bool = False) -> SampleScores:
        """Scores of a model's samples: of the same draws in each call."""
        num_samples, seed = self.settings["num_samples"], self.settings["seed"]
        num_sets = 1 if self._real else 2
        bar = ProgressBar(-(-num_samples // _CHUNK) + num_sets * len(self._scores), verbose)
        samples = _draw_samples(model, num_samples, seed, bar)
        _check_samples(samples, self.settings["value_range"], self.settings["clip"])
        _check_shapes(self._test.images, samples, "samples")
        generated = self._scores_of(samples, bar)
        if not self._real:
            self._real, self._train = self._scores_of(self._train, bar), np.empty(0)
        return SampleScores(generated, dict(self._real), self.settings)

    def check_model(self, model: HasSamples) -> None:
        """Raises ValueError if a model draws no sample, or says that they are of another shape."""
        _check_model(model)
        _draw_samples(model, 1, self.settings["seed"], ProgressBar(None, False))
        shape, expected = getattr(model, "data_shape", None), self._test.images.shape[1:]
        if shape is not None and tuple(shape) != expected:
            raise ValueError(
                f"Samples are scored against test images of their shape. Received: test images of "
                f"shape {expected} for a {type(model).__name__} of shape {tuple(shape)}."
            )

    def _judged(self, images: np.ndarray) -> "_Judged":
        images = np.clip(images, *self.settings["value_range"])
        if self._network is None:
            return _Judged(images)
        return _Judged(images, *self._network.predict(images, _BATCH_SIZE, verbose=0))

    def _scores_of(self, images: np.ndarray, bar: ProgressBar) -> dict[str, float]:
        judged, values = self._judged(images), {}
        for name, score in self._scores.items():
            values.update(score(self._test, judged, self.settings.get(name)))
            bar.add(1)
        return values


# The images.


def _batches(data: TensorLike | tf.data.Dataset, name: str) -> Iterator[np.ndarray]:
    """The images of a pipeline batch by batch, those of an array at once."""
    if not isinstance(data, tf.data.Dataset):
        yield as_numbers(**{name: data}).astype("float32", copy=False)
        return
    for batch in data.as_numpy_iterator():
        yield batch[0] if isinstance(batch, tuple) else batch


def _draw_images(
    data: TensorLike | tf.data.Dataset,
    num_images: int,
    value_range: tuple[float, float],
    seed: int,
    name: str,
) -> np.ndarray:
    """So many of the images, each equally likely, float32; holds no more of them than these.

    Reservoir sampling: image i takes a random place of i + 1, if it is one of those kept.
    """
    rng = np.random.default_rng(seed)
    kept, seen = np.empty(0), 0
    for batch in _batches(data, name):
        check_image_shape(batch, name)
        check_pixels(batch, value_range, name)
        kept = kept if seen else np.empty((num_images, *batch.shape[1:]), "float32")
        rows = np.arange(seen, seen + len(batch))
        places = np.where(rows < num_images, rows, rng.integers(rows + 1))
        kept[places[places < num_images]] = batch[places < num_images]
        seen += len(batch)
    if seen < num_images:
        raise ValueError(
            f"{name} must hold at least num_samples={num_images} images. Received: {seen}. "
            f"Pass num_samples={seen} or less."
        )
    return kept


def _draw_samples(model: HasSamples, num_samples: int, seed: int, bar: ProgressBar) -> np.ndarray:
    """Samples of the model, float32."""
    sizes = [min(_CHUNK, num_samples - start) for start in range(0, num_samples, _CHUNK)]
    seeds = np.random.default_rng(seed).integers(2**31, size=len(sizes))
    chunks = []
    for size, chunk_seed in zip(sizes, seeds, strict=True):
        chunks.append(np.asarray(model.sample(size, seed=int(chunk_seed)), dtype="float32"))
        bar.add(1)
    return np.concatenate(chunks)


# The scores: functions of the test images, of images to score and of further arguments.


class _Judged(NamedTuple):
    images: np.ndarray
    features: np.ndarray | None = None
    probabilities: np.ndarray | None = None


def _pixel_mmd(test: _Judged, x: _Judged, arguments: Any) -> dict[str, float]:
    return {"squared_mmd": squared_mmd(test.images, x.images, **arguments)}


def _ms_ssim(test: _Judged, x: _Judged, arguments: Any) -> dict[str, float]:
    mean, error = pairwise_ms_ssim(x.images, **arguments)
    return {"ms_ssim": mean, "ms_ssim_standard_error": error}


def _entropies(test: _Judged, x: _Judged, arguments: Any) -> dict[str, float]:
    mean = float(np.mean(image_entropies(x.probabilities)))
    return {"class_entropy": class_entropy(x.probabilities), "image_entropy": mean}


def _modes(test: _Judged, x: _Judged, arguments: Any) -> dict[str, float]:
    return {"mode_count": mode_count(x.probabilities, **arguments)}


def _feature_mmd(test: _Judged, x: _Judged, arguments: Any) -> dict[str, float]:
    return {"classifier_squared_mmd": squared_mmd(test.features, x.features, **arguments)}


def _frechet(test: _Judged, x: _Judged, arguments: Any) -> dict[str, float]:
    return {"classifier_frechet_distance": frechet_distance(test.features, x.features)}


def _neighbours(test: _Judged, x: _Judged, arguments: Any) -> dict[str, float]:
    return precision_recall(test.features, x.features, **arguments)._asdict()


_Score = Callable[[_Judged, _Judged, Any], dict[str, float]]

_PIXEL_SCORES: dict[str, _Score] = {"squared_mmd": _pixel_mmd, "ms_ssim": _ms_ssim}
_CLASSIFIER_SCORES: dict[str, _Score] = {
    "entropies": _entropies,
    "mode_count": _modes,
    "classifier_squared_mmd": _feature_mmd,
    "classifier_frechet_distance": _frechet,
    "precision_recall": _neighbours,
}

# What is better of each number; None where it is the value of real images.
_PIXEL_DIRECTIONS: dict[str, str | None] = {
    "squared_mmd": "min",
    "ms_ssim": None,
    "ms_ssim_standard_error": None,
}
_CLASSIFIER_DIRECTIONS: dict[str, str | None] = {
    "class_entropy": None,
    "image_entropy": None,
    "mode_count": "max",
    "classifier_squared_mmd": "min",
    "classifier_frechet_distance": "min",
    **dict.fromkeys(PrecisionRecall._fields, "max"),
}


def _settings(
    test: np.ndarray,
    value_range: tuple[float, float],
    classifier: keras.Model | None,
    num_neighbours: int | None,
    seed: int,
    clip: bool,
) -> dict[str, Any]:
    """What a reader must know of the numbers, the arguments of each score among it."""
    filter_size, num_scales = check_window(test.shape[1:], None)
    bandwidths = median_bandwidth(test) * np.array(BANDWIDTH_FACTORS)
    settings = {
        "num_samples": len(test),
        "seed": seed,
        "value_range": tuple(map(float, value_range)),
        "clip": clip,
        "squared_mmd": {
            "kernel": "gaussian",
            "bandwidths": tuple(bandwidths.tolist()),
            "biased": False,
        },
        "ms_ssim": {
            "num_pairs": len(test) // 2,
            "seed": seed,
            "value_range": tuple(map(float, value_range)),
            "filter_size": filter_size,
        },
        "ms_ssim_scales": num_scales,
    }
    if classifier is None:
        return settings
    return {
        **settings,
        "classifier": classifier.name,
        "num_features": classifier.get_layer("features").output.shape[-1],
        "mode_count": {"threshold": 0.1 / classifier.output_shape[-1]},
        "classifier_squared_mmd": {"kernel": "polynomial", "biased": False},
        "precision_recall": {"num_neighbours": num_neighbours or _NUM_NEIGHBOURS},
    }


# Checks.


def _check_model(model: HasSamples) -> None:
    remedy = "Score arrays of images by the functions of tfgen.metrics one by one."
    require(model, HasSamples, "evaluate_samples", remedy)


def _check_arguments(
    num_samples: int,
    value_range: tuple[float, float],
    classifier: keras.Model | None,
    num_neighbours: int | None,
    seed: int,
    clip: bool,
) -> None:
    check_ints(_MIN_SAMPLES, num_samples=num_samples)
    check_size(num_samples=num_samples)
    _check_neighbours(num_neighbours, num_samples, classifier)
    check_seed(seed=seed)
    check_flags(clip=clip)
    as_pair(value_range=value_range)
    if classifier is None:
        return
    if not isinstance(classifier, keras.Model):
        raise ValueError(
            "classifier must be a keras.Model, such as tfgen.metrics.classifier gives, or None. "
            f"Received: classifier={classifier!r}."
        )
    check_features(classifier)
    trained = pixel_range(classifier)
    if trained and not np.allclose(trained, value_range):
        raise ValueError(
            f"The classifier takes pixels in {trained}. Received: value_range={value_range}. "
            "Train it with the value_range of the data; weights in the cache serve any range."
        )


def _check_neighbours(num_neighbours, num_samples, classifier):
    if num_neighbours is None:
        return
    check_ints(num_neighbours=num_neighbours)
    if classifier is None:
        raise ValueError(
            "num_neighbours is of precision, recall, density and coverage, which a classifier's "
            f"features are for. Received: num_neighbours={num_neighbours} without a classifier. "
            "Pass classifier=metrics.classifier(...) too, or leave num_neighbours out."
        )
    if num_neighbours >= num_samples:
        raise ValueError(
            "num_neighbours must be below the number of samples. Received: num_neighbours="
            f"{num_neighbours}, num_samples={num_samples}."
        )


def _check_shapes(test: np.ndarray, others: np.ndarray, name: str) -> None:
    if test.shape != others.shape:
        raise ValueError(
            f"Test images and {name} must have one shape. Received: {test.shape} and "
            f"{others.shape}."
        )


def _check_samples(samples: np.ndarray, value_range: tuple[float, float], clip: bool) -> None:
    check_image_shape(samples, "Samples")
    if not np.isfinite(samples).all():
        raise ValueError(
            f"Samples must be finite. Received: {np.sum(~np.isfinite(samples))} values of "
            f"{samples.size} that are NaN or infinite. Has the model's training diverged?"
        )
    if not clip:
        remedy = "Pass clip=True if the model's range is unbounded, or else the range that it has."
        check_pixels(samples, value_range, "Samples", remedy)
