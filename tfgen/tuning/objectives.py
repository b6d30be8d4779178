"""What a search optimises, by name, and the metrics that need a trained model."""

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import keras_tuner as kt
import numpy as np

from tfgen._utils.arguments import is_real

__all__ = ["AFTER_TRAINING", "OBJECTIVES", "Objective", "as_objective", "metrics_after_training"]

# Direction by metric. The values are those of the validation data.
OBJECTIVES = {
    "val_elbo": "max",
    "val_bits_per_dim": "min",
    "val_reconstruction": "min",
    "val_kl": "min",
    "mig": "max",
    "mmd": "min",
}
_ALIASES = {"bits_per_dim": "val_bits_per_dim"}
# Beyond these numbers of examples the scores hardly move and only cost time.
_MIG_POINTS = 10_000
_MMD_POINTS = 2_000


class Objective(NamedTuple):
    """A metric, or a weighted sum of several, and its direction.

    Attributes:
        name: string.
        direction: "max" or "min".
        weights: dict from metric to its factor in the sum.
    """

    name: str
    direction: str
    weights: dict[str, float]

    def value(self, metrics: dict[str, float]) -> float:
        """float, the objective of a dict of metrics; NaN if one of them is missing or NaN."""
        return sum(w * metrics.get(name, math.nan) for name, w in self.weights.items())


def as_objective(objective: str | dict[str, float] | kt.Objective) -> Objective:
    """An `Objective` from what `search` is given.

    Args:
        objective: a key of `OBJECTIVES`, or "bits_per_dim" for "val_bits_per_dim"; a
            `keras_tuner.Objective` for any other logged metric; or a dict from such names to
            positive weights, whose sum is maximised, with what is to be minimised subtracted.

    Returns:
        `Objective`.

    Raises:
        ValueError: for an unknown name or a weight that is not positive.

    Example:
        >>> as_objective({"mig": 1.0, "mmd": 20.0}).weights
        {'mig': 1.0, 'mmd': -20.0}
    """
    if isinstance(objective, dict):
        return _weighted(objective)
    if isinstance(objective, str):
        name = _known(objective)
        return Objective(name, OBJECTIVES[name], {name: 1.0})
    if getattr(objective, "direction", None) not in ("min", "max"):
        raise ValueError(
            "objective must be a name, a dict of weights or a keras_tuner.Objective with a "
            f'direction "min" or "max". Received: {objective!r}.'
        )
    return Objective(objective.name, objective.direction, {objective.name: 1.0})


def _known(name):
    name = _ALIASES.get(name, name)
    if name not in OBJECTIVES:
        raise ValueError(
            f"An objective by name must be one of {sorted(OBJECTIVES)}. Received: {name!r}. Give "
            f'another logged metric with its direction: keras_tuner.Objective({name!r}, "min").'
        )
    return name


def _weighted(weights):
    bad = [weight for weight in weights.values() if not is_real(weight) or weight <= 0]
    if bad or not weights:
        raise ValueError(
            "The weights of an objective must be positive numbers; directions follow from the "
            f"names. Received: {weights}."
        )
    if len({_known(name) for name in weights}) < len(weights):
        raise ValueError(
            "An objective weighs each metric once; bits_per_dim is val_bits_per_dim. Received: "
            f"{weights}. Add up their weights."
        )
    signed = {_known(k): w if OBJECTIVES[_known(k)] == "max" else -w for k, w in weights.items()}
    return Objective(" ".join(f"{w:+g} {name}" for name, w in signed.items()), "max", signed)


def _mig(model, images, labels):
    from tfgen.metrics.mutual_information import mig

    factors = np.reshape(labels, (len(labels), -1))
    return mig(model.embed(images[:_MIG_POINTS]), factors[:_MIG_POINTS])


def _mmd(model, images, labels):
    from tfgen.metrics import squared_mmd

    real = images[:_MMD_POINTS]
    return squared_mmd(real, model.sample(len(real), seed=0))


AFTER_TRAINING = {"mig": _mig, "mmd": _mmd}


def metrics_after_training(
    names: Sequence[str], model: Any, images: np.ndarray, labels: np.ndarray | None = None
) -> dict[str, float]:
    """The metrics that `evaluate` does not give, of a trained model on validation data.

    - "mig": mutual information gap between the means of q(z|x) and the factors of up to 10,000
      images, by histogram; with class labels alone, the class is the one factor.
    - "mmd": unbiased squared maximum mean discrepancy, Gaussian kernel on pixels, of up to 2,000
      images and as many samples of the model.

    Args:
        names: sequence of keys of `AFTER_TRAINING`.
        model: a trained model, with `embed` for "mig".
        images: array, shape (n, height, width, channels).
        labels: int array, shape (n,) or (n, num_factors), for "mig".

    Returns:
        Dict from name to float.

    Raises:
        ValueError: for an unknown name, as `check_metrics`.
    """
    check_metrics(names)
    return {name: float(AFTER_TRAINING[name](model, images, labels)) for name in names}


def check_metrics(names: Iterable[str]) -> None:
    """Raises ValueError if a metric after training is unknown."""
    several = list(names) if np.iterable(names) and not isinstance(names, str) else [names]
    unknown = [name for name in several if not isinstance(name, str) or name not in AFTER_TRAINING]
    if unknown:
        raise ValueError(
            f"metrics must be some of {sorted(AFTER_TRAINING)}. Received: {unknown}. What evaluate "
            "returns is recorded anyway, with the prefix val_."
        )
