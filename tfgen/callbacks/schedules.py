"""Schedules of the weights of a model's loss over its training steps."""

import math
from collections.abc import Callable

import keras

from tfgen._utils.arguments import as_int, check_positive, check_weights

__all__ = ["BetaSchedule", "CapacitySchedule", "CyclicalKLWarmUp", "KLWarmUp", "WeightSchedule"]


def _linear_ramp(step, num_steps, start, end):
    """From `start` at step 0 to `end` at `num_steps`, then `end`.

    Example:
        >>> [_linear_ramp(step, 10, 0.0, 4.0) for step in (0, 5, 10, 20)]
        [0.0, 2.0, 4.0, 4.0]
    """
    return start + (end - start) * min(step / num_steps, 1.0)


def _cyclical_ramp(step, num_steps, num_cycles, ratio, start, end):
    """`num_cycles` rises that take `ratio` of a cycle each and hold their end, then `end`.

    Example:
        >>> [_cyclical_ramp(step, 16, 2, 0.5, 0.0, 1.0) for step in (0, 2, 4, 7, 8, 10, 16)]
        [0.0, 0.5, 1.0, 1.0, 0.0, 0.5, 1.0]
    """
    if step >= num_steps:
        return end
    step_of_cycle = step % math.ceil(num_steps / num_cycles)
    return _linear_ramp(step_of_cycle, ratio * num_steps / num_cycles, start, end)


def _loss_weights(model):
    """Names of the weights of a model's loss: attributes, float scalars that nothing trains."""
    return sorted(
        name
        for name, value in vars(model).items()
        if isinstance(value, keras.Variable)
        and not value.trainable
        and tuple(value.shape) == ()
        and keras.backend.is_float_dtype(value.dtype)
    )


def _check_weight(model, name):
    """Raises ValueError unless `model.<name>` is a weight of its loss."""
    kind, names = type(model).__name__, _loss_weights(model)
    if name in names:
        return
    if name in vars(model) and getattr(model, name) is None:
        raise ValueError(
            f"The {kind} was built without {name}. Received: {name}=None. Give it a first value "
            f"to schedule: {kind}(..., {name}=0.0)."
        )
    raise ValueError(
        f"A schedule sets model.{name}. Received: name={name!r} for a {kind} without that weight. "
        f"Schedule one of those that it has, {names}, or train a model whose loss has it."
    )


def _check_value(model, name, value):
    """Raises ValueError unless the weight may have that value; the model knows best."""
    check = getattr(model, "check_loss_weight", lambda name, value: check_weights(**{name: value}))
    check(name, value)


def _check_schedule(name, function):
    if not isinstance(name, str):
        raise ValueError(f"name must be a string, the weight's. Received: name={name!r}.")
    if not callable(function):
        raise ValueError(
            "function must be a function of the training step. Received: "
            f"function={function!r}. For one value, give it to the model."
        )


def _weight_of(value):
    """What a function of the step returned, as a float where it is a number."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return value


def _value_at_first(model, name):
    """The value of a weight that the model was built with."""
    known = getattr(model, "initial_loss_weights", {})
    return known[name] if name in known else model.get_config()[name]


class WeightSchedule(keras.callbacks.Callback):
    """Sets a weight of the model's loss by a function of the training step.

    Every weight that a model's constructor takes (`beta`, `gamma`, `lambda_mmd`, `gan_weight`, ...)
    is a variable of the same name, which this callback assigns to. The start value stays in
    `model.get_config()`.

    The function is applied when training begins and before each execution, so a value holds for
    `steps_per_execution` steps (an argument of `compile`). It depends on `model.steps` alone: a
    resumed run sees the values of an uninterrupted one, and a second `fit` goes on where the first
    stopped. Validation uses the value of the epoch's last execution, which its log gets under the
    weight's name, so that `val_loss` is not comparable between epochs.

    Args:
        name: the weight, as the constructor of the model names it.
        function: callable from step (int, 0 at the model's first) to the weight, a float that the
            model's constructor takes.

    Raises:
        ValueError: if `name` is not a string or `function` cannot be called; in training, if the
            model has no such weight, or was built without it, or the function gives one that it
            cannot have.

    Example:
        >>> callback = WeightSchedule("gamma", lambda step: 10.0 if step < 1000 else 35.0)
        >>> # models.FactorVAE(...).fit(x, epochs=10, callbacks=[callback])
    """

    def __init__(self, name: str, function: Callable[[int], float]) -> None:
        super().__init__()
        _check_schedule(name, function)
        self.name, self.function = name, function

    def on_train_begin(self, logs: dict | None = None) -> None:
        _check_weight(self.model, self.name)
        self._held = self._value()
        self._assign()

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        if self._value() != self._assigned:  # A checkpoint was restored since training began.
            self._held = self._value()
        self._assign()

    def on_train_batch_begin(self, batch: int, logs: dict | None = None) -> None:
        self._assign()

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self._held = self._assigned

    def on_test_begin(self, logs: dict | None = None) -> None:
        # Keras begins an execution too many at the end of an epoch that was resumed.
        getattr(self.model, self.name).assign(self._held)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self.on_test_begin()
        if logs is not None:
            logs[self.name] = self._held

    def _value(self):
        return float(getattr(self.model, self.name).numpy())

    def _assign(self):
        step = int(self.model.steps.numpy())
        value = _weight_of(self.function(step))
        try:
            _check_value(self.model, self.name, value)
        except ValueError as error:
            raise ValueError(f"{self.name} at step {step}: {error}") from error
        getattr(self.model, self.name).assign(value)
        self._assigned = self._value()


class BetaSchedule(WeightSchedule):
    """Sets the KL weight `model.beta` by a function of the training step.

    Deterministic functions of the step alone make a resumed run equal an uninterrupted one. The
    value holds for `steps_per_execution` steps. Validation uses the current beta, so `val_loss`
    is not comparable between epochs; `val_elbo` is.

    Args:
        function: callable from step (int, 0 at the model's first) to beta (float >= 0).

    Raises:
        ValueError: as `WeightSchedule`.

    Example:
        >>> callback = BetaSchedule(lambda step: 4.0 if step < 1000 else 1.0)
        >>> # model.fit(x, epochs=10, callbacks=[callback])
    """

    def __init__(self, function: Callable[[int], float]) -> None:
        super().__init__("beta", function)


class _RiseToBeta(WeightSchedule):
    """Schedule that ends at a given beta, or at the one the model was made with."""

    def __init__(self, num_steps: int, start: float, end: float | None) -> None:
        super().__init__("beta", self.ramp)
        self.num_steps = as_int(num_steps=num_steps)
        check_weights(start=start, **({} if end is None else {"end": end}))
        self.start, self.end = start, end

    def ramp(self, step: int) -> float:
        raise NotImplementedError

    def on_train_begin(self, logs: dict | None = None) -> None:
        _check_weight(self.model, self.name)
        # model.beta itself is half way up when training resumes.
        self.final = _value_at_first(self.model, "beta") if self.end is None else self.end
        super().on_train_begin(logs)


class KLWarmUp(_RiseToBeta):
    """Raises the KL weight `model.beta` linearly over the first training steps.

    beta = start + (end - start) * min(step / num_steps, 1).

    Steps are the model's own, so a resumed run goes on where it stopped. The value holds for
    `steps_per_execution` steps. Validation uses the current beta: compare `val_elbo`, not
    `val_loss`, between epochs.

    Source: the warm-up of Sonderby et al., arXiv:1602.02282v3, Eq. 21, where beta ends at 1.

    Args:
        num_steps: int >= 1, training steps until `end`.
        start: float >= 0, beta at the first step.
        end: float >= 0 or None, the last beta; None for the one the model was made with.

    Raises:
        ValueError: if an argument is out of range; in training, if the model has no beta.

    Example:
        >>> import numpy as np
        >>> from tfgen import models, networks
        >>> shape = (8, 8, 1)
        >>> model = models.BetaVAE(
        ...     networks.mlp_encoder(shape, 2), networks.mlp_decoder(shape, 2), beta=4.0)
        >>> model.compile(steps_per_execution=1)
        >>> x, warm_up = np.zeros((32, *shape), "float32"), KLWarmUp(num_steps=4)
        >>> history = model.fit(x, batch_size=8, epochs=2, callbacks=[warm_up], verbose=0)
        >>> history.history["beta"]  # At each epoch's last step, counted from 0.
        [3.0, 4.0]
    """

    def __init__(self, num_steps: int, start: float = 0.0, end: float | None = None) -> None:
        super().__init__(num_steps, start, end)

    def ramp(self, step: int) -> float:
        """beta at a step, once training has begun."""
        return _linear_ramp(step, self.num_steps, self.start, self.final)


class CyclicalKLWarmUp(_RiseToBeta):
    """Raises the KL weight `model.beta` several times over, each time from the start.

    With tau = mod(step, ceil(num_steps / num_cycles)) / (num_steps / num_cycles) in [0, 1),
    beta = start + (end - start) * min(tau / ratio, 1); after `num_steps` it stays at `end`.

    Steps are the model's own, so a resumed run goes on where it stopped. The value holds for
    `steps_per_execution` steps.

    Source: Fu et al., arXiv:1903.10145 (equations not checked), with a linear rise; step here is
    t - 1 there.

    Args:
        num_steps: int >= 1, training steps of all cycles together.
        num_cycles: int >= 1, rises.
        ratio: float in (0, 1], the part of a cycle that rises.
        start: float >= 0, beta at the start of each cycle.
        end: float >= 0 or None, beta after each rise; None for the one the model was made with.

    Raises:
        ValueError: if an argument is out of range; in training, if the model has no beta.

    Example:
        >>> callback = CyclicalKLWarmUp(num_steps=8000, num_cycles=4, ratio=0.5)
        >>> # model.fit(x, epochs=20, callbacks=[callback])
    """

    def __init__(
        self,
        num_steps: int,
        num_cycles: int = 4,
        ratio: float = 0.5,
        start: float = 0.0,
        end: float | None = None,
    ) -> None:
        super().__init__(num_steps, start, end)
        self.num_cycles = as_int(num_cycles=num_cycles)
        check_positive(ratio=ratio)
        self.ratio = float(ratio)
        if self.ratio > 1.0 or self.num_cycles > self.num_steps:
            raise ValueError(
                "CyclicalKLWarmUp expects ratio in (0, 1] and at least one step for each cycle. "
                f"Received: ratio={ratio}, num_cycles={num_cycles}, num_steps={num_steps}."
            )

    def ramp(self, step: int) -> float:
        """beta at a step, once training has begun."""
        return _cyclical_ramp(
            step, self.num_steps, self.num_cycles, self.ratio, self.start, self.final
        )


class CapacitySchedule(WeightSchedule):
    """Raises the capacity C of the term beta * |KL - C| linearly from 0.

    Steps are the model's own, so a resumed run goes on where it stopped. The value holds for
    `steps_per_execution` steps.

    Source: Burgess et al., arXiv:1804.03599v1, Sec. 5; beta is gamma there.

    Args:
        max_capacity: float >= 0, the last C, in nats per example.
        num_steps: int >= 1, training steps until `max_capacity`.

    Raises:
        ValueError: if an argument is out of range; in training, if the model was built without a
            capacity (`capacity=0.0`).

    Example:
        >>> callback = CapacitySchedule(max_capacity=25.0, num_steps=100_000)
        >>> # model.fit(x, epochs=50, callbacks=[callback])
    """

    def __init__(self, max_capacity: float, num_steps: int) -> None:
        super().__init__("capacity", self.ramp)
        check_weights(max_capacity=max_capacity)
        self.max_capacity, self.num_steps = max_capacity, as_int(num_steps=num_steps)

    def ramp(self, step: int) -> float:
        """C at a step."""
        return _linear_ramp(step, self.num_steps, 0.0, self.max_capacity)
