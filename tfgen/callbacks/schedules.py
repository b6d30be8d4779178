"""Schedules of a model's `beta` or `capacity` over its training steps."""

import functools
import math

import keras

from tfgen.callbacks.checks import non_negative, positive_int

__all__ = ["BetaSchedule", "CapacitySchedule", "CyclicalKLWarmUp", "KLWarmUp"]

BETA_REMEDY = "Train a tfgen.models.BetaVAE or BetaTCVAE."


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


class StepSchedule(keras.callbacks.Callback):
    """Sets a variable of the model to a function of the model's step count.

    The function is applied when training begins, before each epoch and before each execution, so
    a value holds for `steps_per_execution` steps (an argument of `compile`). It depends on
    `model.steps` alone: a resumed run sees the values of an uninterrupted one, and a second `fit`
    goes on where the first stopped. Each epoch's log gets the value, under the variable's name.

    Subclasses name the variable, the remedy where a model lacks it, and override `make_schedule`.
    """

    variable_name = None
    remedy = None

    def make_schedule(self):
        """Function from step (int >= 0) to value (float >= 0). `self.model` is known."""
        raise NotImplementedError

    def on_train_begin(self, logs=None):
        if getattr(self.model, self.variable_name, None) is None:
            raise ValueError(
                f"{type(self).__name__} sets model.{self.variable_name}. Received: a "
                f"{type(self.model).__name__} without it. {self.remedy}"
            )
        self.schedule = self.make_schedule()
        self._apply()

    def on_epoch_begin(self, epoch, logs=None):
        self._apply()  # A checkpoint may have been restored since training began.

    def on_train_batch_begin(self, batch, logs=None):
        self._apply()

    def on_epoch_end(self, epoch, logs=None):
        if logs is not None:
            logs[self.variable_name] = float(self._variable.numpy())

    @property
    def _variable(self):
        return getattr(self.model, self.variable_name)

    def _apply(self):
        step = int(self.model.steps.numpy())
        value = self.schedule(step)
        self._variable.assign(non_negative(f"{self.variable_name} at step {step}", value))


class BetaSchedule(StepSchedule):
    """Sets the KL weight `model.beta` by a function of the training step.

    Deterministic functions of the step alone make a resumed run equal an uninterrupted one. The
    value holds for `steps_per_execution` steps. Validation uses the current beta, so `val_loss`
    is not comparable between epochs; `val_elbo` is.

    Args:
        function: callable from step (int, 0 at the model's first) to beta (float >= 0).

    Raises:
        ValueError: in training, if the model has no beta, or the function gives a negative or
            infinite one.

    Example:
        >>> callback = BetaSchedule(lambda step: 4.0 if step < 1000 else 1.0)
        >>> # model.fit(x, epochs=10, callbacks=[callback])
    """

    variable_name = "beta"
    remedy = BETA_REMEDY

    def __init__(self, function):
        super().__init__()
        self.function = function

    def make_schedule(self):
        return self.function


class _RiseToBeta(StepSchedule):
    """Schedule that ends at a given beta, or at the one the model was made with."""

    variable_name = "beta"
    remedy = BETA_REMEDY

    def __init__(self, num_steps, start, end):
        super().__init__()
        self.num_steps = positive_int("num_steps", num_steps)
        self.start = non_negative("start", start)
        self.end = None if end is None else non_negative("end", end)

    def _final_beta(self):
        # model.beta itself is half way up when training resumes.
        return self.model.initial_beta if self.end is None else self.end


class KLWarmUp(_RiseToBeta):
    """Raises the KL weight `model.beta` linearly over the first training steps.

    beta = start + (end - start) * min(step / num_steps, 1).

    Steps are the model's own, so a resumed run goes on where it stopped. The value holds for
    `steps_per_execution` steps. Validation uses the current beta: compare `val_elbo`, not
    `val_loss`, between epochs.

    Source: the warm-up of Sonderby et al., arXiv:1602.02282, with beta = 1 at its end there.

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

    def __init__(self, num_steps, start=0.0, end=None):
        super().__init__(num_steps, start, end)

    def make_schedule(self):
        return functools.partial(
            _linear_ramp, num_steps=self.num_steps, start=self.start, end=self._final_beta()
        )


class CyclicalKLWarmUp(_RiseToBeta):
    """Raises the KL weight `model.beta` several times over, each time from the start.

    With tau = mod(step, ceil(num_steps / num_cycles)) / (num_steps / num_cycles) in [0, 1),
    beta = start + (end - start) * min(tau / ratio, 1); after `num_steps` it stays at `end`.

    Steps are the model's own, so a resumed run goes on where it stopped. The value holds for
    `steps_per_execution` steps.

    Source: Fu et al., arXiv:1903.10145, with a linear rise; step here is t - 1 there.

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

    def __init__(self, num_steps, num_cycles=4, ratio=0.5, start=0.0, end=None):
        super().__init__(num_steps, start, end)
        self.num_cycles = positive_int("num_cycles", num_cycles)
        self.ratio = float(ratio)
        if not 0.0 < ratio <= 1.0 or self.num_cycles > self.num_steps:
            raise ValueError(
                "CyclicalKLWarmUp expects ratio in (0, 1] and at least one step for each cycle. "
                f"Received: ratio={ratio}, num_cycles={num_cycles}, num_steps={num_steps}."
            )

    def make_schedule(self):
        return functools.partial(
            _cyclical_ramp,
            num_steps=self.num_steps,
            num_cycles=self.num_cycles,
            ratio=self.ratio,
            start=self.start,
            end=self._final_beta(),
        )


class CapacitySchedule(StepSchedule):
    """Raises the capacity C of the term beta * |KL - C| linearly from 0.

    Steps are the model's own, so a resumed run goes on where it stopped. The value holds for
    `steps_per_execution` steps.

    Source: Burgess et al., arXiv:1804.03599v1, Sec. 5; beta is gamma there.

    Args:
        max_capacity: float >= 0, the last C, in nats per example.
        num_steps: int >= 1, training steps until `max_capacity`.

    Raises:
        ValueError: if an argument is out of range; in training, if the model has no capacity.

    Example:
        >>> callback = CapacitySchedule(max_capacity=25.0, num_steps=100_000)
        >>> # model.fit(x, epochs=50, callbacks=[callback])
    """

    variable_name = "capacity"
    remedy = "Build the model as tfgen.models.BetaVAE(..., capacity=0.0)."

    def __init__(self, max_capacity, num_steps):
        super().__init__()
        self.max_capacity = non_negative("max_capacity", max_capacity)
        self.num_steps = positive_int("num_steps", num_steps)

    def make_schedule(self):
        return functools.partial(
            _linear_ramp, num_steps=self.num_steps, start=0.0, end=self.max_capacity
        )
