"""Several optimizers as one: their rates follow each other, and so do their averaged weights."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from tfgen._utils import keras_private

__all__ = ["FollowRates", "LogRates", "keep_averages", "one_for_each", "swap_averages"]

# Callbacks of Keras that log the rate of the first optimizer.
_LOG_RATES = (
    keras.callbacks.LearningRateScheduler,
    keras.callbacks.ReduceLROnPlateau,
    keras.callbacks.TensorBoard,
)


def one_for_each(
    names: Sequence[str], optimizer: Any, kind: str, scale: bool
) -> dict[str, keras.optimizers.Optimizer]:
    """An optimizer for each update, by name.

    Args:
        names: names of the updates.
        optimizer: one, or its name, which is copied for the others; or a dict with one for each.
        kind: name of the model's class, for errors.
        scale: bool, whether they scale losses, as float16 needs.

    Raises:
        ValueError: if a dict has other keys, or an optimizer is a `MultiOptimizer`.
    """
    if isinstance(optimizer, Mapping):
        if set(optimizer) != set(names):
            raise ValueError(
                f"{kind} has the updates {list(names)}: give one optimizer for all, "
                f"or a dict with these keys. Received: optimizer with keys {list(optimizer)}."
            )
        optimizers = [_optimizer(optimizer[name]) for name in names]
    else:
        first = _optimizer(optimizer)
        optimizers = [first, *(type(first).from_config(first.get_config()) for _ in names[1:])]
    for own in optimizers:
        if hasattr(own, "optimizers"):
            raise ValueError(
                "Each update of a model has an optimizer of its own. Received: a "
                f"{type(own).__name__}. Give a dict with the keys {list(names)} instead."
            )
    if len({id(own) for own in optimizers}) < len(optimizers):
        raise ValueError(
            "Each update needs an optimizer of its own, which counts its steps. Received: a dict "
            "with one object twice. Make one for each."
        )
    return dict(zip(names, map(_scaling, optimizers) if scale else optimizers, strict=True))


def _optimizer(optimizer):
    """An optimizer from itself or its name."""
    try:
        found = keras.optimizers.get(optimizer)
    except (TypeError, ValueError):
        found = None
    if not isinstance(found, keras.optimizers.Optimizer):
        raise ValueError(
            "optimizer must be an optimizer of Keras, its name, or a dict with one for each "
            f"update. Received: optimizer={optimizer!r}."
        )
    return found


def _scaling(optimizer):
    """The optimizer, with the scaled losses that float16 needs."""
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return optimizer
    return keras.optimizers.LossScaleOptimizer(optimizer, name="loss_scale_optimizer")


# Learning rates.


def _rate(optimizer):
    return float(keras.ops.convert_to_numpy(optimizer.learning_rate))


def _is_scheduled(optimizer):
    """Whether its rate is a schedule, which nobody can set."""
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    return isinstance(optimizer.get_config().get("learning_rate"), dict)


class FollowRates(keras.callbacks.Callback):
    """Multiplies the rates of all optimizers by what that of the first is multiplied by.

    Keras' callbacks set the first one's. A rate that is set by itself keeps its new proportion.

    Args:
        optimizers: dict of optimizers; those with schedules go their own way.
    """

    def __init__(self, optimizers: Mapping[str, keras.optimizers.Optimizer]) -> None:
        super().__init__()
        self.first, *others = optimizers.values()
        following = [] if _is_scheduled(self.first) else others
        self.others = [own for own in following if not _is_scheduled(own)]
        self.rate = _rate(self.first)
        self.proportions = [_rate(own) / self.rate if self.rate else 1.0 for own in self.others]

    def follow(self, *args: Any, **kwargs: Any) -> None:
        """Looks at all rates, and sets those that are not where the first one puts them."""
        if not self.others:
            return
        rate = _rate(self.first)
        for i, own in enumerate(self.others):
            # One float32 rounding of a product.
            if rate and not np.isclose(_rate(own), self.proportions[i] * self.rate, rtol=1e-6):
                self.proportions[i] = _rate(own) / rate
            elif rate != self.rate:
                own.learning_rate = self.proportions[i] * rate
        self.rate = rate

    on_train_begin = on_epoch_begin = on_epoch_end = follow
    on_train_batch_begin = on_train_batch_end = follow


class LogRates(keras.callbacks.Callback):
    """Adds the rate of each of several optimizers to the logs, where a callback logs rates."""

    def __init__(self, optimizers: Mapping[str, Any], callbacks: Sequence[Any]) -> None:
        super().__init__()
        shown = len(optimizers) > 1 and any(isinstance(c, _LOG_RATES) for c in callbacks)
        self.optimizers = optimizers if shown else {}

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        for name, own in self.optimizers.items():
            logs[f"learning_rate_{name}"] = _rate(own)  # type: ignore[index]


# Averaged weights.


def keep_averages(optimizer: keras.optimizers.Optimizer, momentum: float) -> None:
    """Lets an optimizer keep averages (`use_ema`) of what it moves.

    Raises:
        ValueError: if it keeps others already, or was built to keep none.
    """
    own = getattr(optimizer, "inner_optimizer", optimizer)
    others = (own.ema_momentum, own.ema_overwrite_frequency) != (momentum, None)
    if others if own.use_ema else own.built:
        raise ValueError(
            f"The model keeps averages of its generator's weights with a momentum of {momentum} in "
            f"the optimizer of these. Received: an optimizer with use_ema={own.use_ema}, "
            f"ema_momentum={own.ema_momentum}, ema_overwrite_frequency="
            f"{own.ema_overwrite_frequency}, built={own.built}. Give a new one without use_ema."
        )
    own.use_ema, own.ema_momentum = True, momentum


def swap_averages(optimizers: Mapping[str, keras.optimizers.Optimizer]) -> bool:
    """Exchanges the weights of all networks with their averages (`use_ema`); whether there are any.

    Calling it again changes everything back.
    """
    pairs = [pair for own in optimizers.values() for pair in keras_private.averages(own)]
    for variable, average in pairs:
        value = keras.ops.convert_to_numpy(variable)
        variable.assign(average)
        average.assign(value)
    return bool(pairs)
