"""Models that may be given a condition in addition to their data: p(x|c)."""

import contextlib
import functools
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar, cast

import keras
import tensorflow as tf

from tfgen.layers import Condition, conditionals_in, current_condition, given
from tfgen.models.batches import batches_of
from tfgen.models.checks import as_array
from tfgen.models.resumable_model import ResumableModel
from tfgen.models.training_data import (
    Conditioned,
    check_goes_with,
    examples_of,
    first_pair,
    is_array,
    parted,
    unpack,
    with_condition,
)

__all__ = ["ConditionalModel", "given_conditions"]

_Method = TypeVar("_Method", bound=Callable[..., Any])


def given_conditions(method: _Method) -> _Method:
    """Lets a method of a batch take one with conditions, and gives them to the networks."""

    @functools.wraps(method)
    def with_conditions(self, x, *args, **kwargs):
        x, condition = parted(x)
        with self.conditioned_on(condition):
            return method(self, x, *args, **kwargs)

    return cast(_Method, with_conditions)


class ConditionalModel(ResumableModel):
    """A model that takes conditions if one of its networks is a `layers.Conditional`.

    Args:
        data_shape: tuple, shape of one example, such as (28, 28, 1).
        **kwargs: arguments of `ResumableModel`.
    """

    @property
    def conditions(self) -> Condition | None:
        """What the model of p(x|c) is given in addition to its data; None of one of p(x)."""
        return next((network.takes for network in conditionals_in(self)), None)

    @property
    def condition_shape(self) -> tuple[int, ...] | None:
        """Shape of one condition, () of the number of a class; None without conditions."""
        return getattr(self.conditions, "shape", None)

    @property
    def num_classes(self) -> int | None:
        """How many classes there are, where conditions are classes."""
        return getattr(self.conditions, "num_classes", None)

    def check_constructed(self) -> None:
        """Raises ValueError if networks take different conditions."""
        first, *others = {network.takes.expected for network in conditionals_in(self)} or {""}
        if others:
            raise ValueError(
                "All conditional networks of a model are given the same condition. Received: "
                f"networks that take {first} and {others[0]}. Build them with the same num_classes "
                "or condition_shape."
            )

    def prepare(self, x: Any, y: Any, training: bool) -> tuple[Any, Any]:
        conditions = self.conditions
        if conditions is None:
            return super().prepare(x, y, training)
        if y is not None:
            check_goes_with(x, y)
            return x, conditions.check(y, len(x))
        first = (x[:1], None) if is_array(x) else first_pair(x)
        if first[0] is not None:
            self.unpack(first)  # Raises what a step would, where XLA looks at no values.
        return x, None

    def unpack(self, data: Any) -> Any:
        """What a step takes of a batch: in a conditional model `Conditioned`, y the conditions."""
        conditions = self.conditions
        if conditions is None:
            return super().unpack(data)
        _, condition, _ = keras.utils.unpack_x_y_sample_weight(data)
        if condition is None:
            raise ValueError(
                f"A conditional {type(self).__name__} learns from examples with conditions. "
                f"Received: a batch without. Call fit(x, y), y {conditions.expected}, or give "
                "it a data set of pairs, as datasets.load does with labels=True."
            )
        return Conditioned(examples_of(data, self.data_shape), conditions.check(condition))

    def zeros(self, num_examples: int) -> Any:
        """A batch of zeros, as `unpack` returns it."""
        conditions = self.conditions
        condition = None if conditions is None else conditions.zeros(num_examples)
        return with_condition(tf.zeros((num_examples, *self.data_shape)), condition)

    @contextlib.contextmanager
    def conditioned_on(self, condition: Any, num_examples: int | None = None) -> Iterator[None]:
        """Gives the networks a condition; None leaves them the one they have already.

        Raises:
            ValueError: if the model takes no conditions, or others: see `layers.Condition.check`.
        """
        if condition is None:
            yield
        else:
            with given(self.checked_condition(condition, num_examples)):
                yield

    def checked_condition(self, condition: Any, num_examples: int | None = None) -> Any:
        """Conditions of so many examples, as the networks take them; None for none."""
        if condition is None:
            return None
        if self.conditions is None:
            raise ValueError(
                f"This {type(self).__name__} takes no condition: none of its networks does. "
                f"Received: condition={condition!r}. Build them with num_classes or "
                "condition_shape."
            )
        return self.conditions.check(condition, num_examples)

    def batches_with_conditions(self, x: Any, condition: Any = None) -> Iterable[tuple[Any, Any]]:
        """Pairs of a batch and its conditions (or None), of an array or a data set."""
        if isinstance(x, tf.data.Dataset | keras.utils.PyDataset):
            if self.checked_condition(condition) is not None:
                raise ValueError(
                    "A data set gives its conditions itself, as pairs (x, condition). Received: "
                    f"x={x!r} and condition={condition!r}. Leave the condition out."
                )
            return map(parted, batches_of(x, self.unpack if self.conditions else unpack))
        x = as_array(x)
        condition = self.checked_condition(condition, len(x))
        conditions = itertools.repeat(None) if condition is None else batches_of(condition)
        return zip(batches_of(x), conditions, strict=False)

    def as_pair(self, inputs: Any) -> tuple[Any, Any]:
        """The inputs of `call` as a pair: (x, condition) of a conditional model, else (x, None).

        Raises:
            ValueError: if a condition is missing.
        """
        if self.conditions is None or current_condition() is not None:
            return inputs, None
        if not isinstance(inputs, tuple | list) or len(inputs) != 2:
            raise ValueError(
                f"A conditional {type(self).__name__} takes pairs [x, condition]. Received: "
                f"{type(inputs).__name__}. Give it such, or a data set of pairs to predict."
            )
        return inputs[0], inputs[1]

    def predict_step(self, data: Any) -> tf.Tensor:
        """`call` on a batch; of a conditional model, also on one of a data set of pairs."""
        x, condition, _ = keras.utils.unpack_x_y_sample_weight(data)
        pairs = self.conditions is not None and condition is not None
        return self((x, condition) if pairs else x, training=False)
