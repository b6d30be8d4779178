"""Weights of the terms of a loss, which training may change: `model.beta = 4.0`."""

from typing import Any

import keras
import tensorflow as tf
from typing_extensions import Unpack

from tfgen._utils.arguments import check_weights, is_real
from tfgen._utils.constructors import check_fixed
from tfgen._utils.typing import ModelOptions, Shape
from tfgen.models.base import GenerativeModel

__all__ = ["WeightedModel"]


def _as_number(value):
    """The number in a variable, tensor or array without axes; other values themselves."""
    scalar = hasattr(value, "shape") and tuple(value.shape) == ()
    return keras.ops.convert_to_numpy(value).item() if scalar else value


def _check_weight(name, value, minimum):
    """Raises ValueError unless a weight of a loss is finite and not less than its minimum."""
    if minimum == 0.0:
        check_weights(**{name: value})
    elif not is_real(value):
        raise ValueError(
            f"{name} weights a term of the loss and must be a finite number. Received: "
            f"{name}={value!r}."
        )


class WeightedModel(GenerativeModel):
    """A model whose loss has weights: attributes that any time, a callback too, may be assigned to.

    Args:
        data_shape: tuple, shape of one example.
        **kwargs: arguments of `GenerativeModel`.
    """

    def __init__(self, data_shape: Shape, **kwargs: Unpack[ModelOptions]) -> None:
        super().__init__(data_shape, **kwargs)
        self.initial_loss_weights: dict[str, float | None] = {}
        self._loss_weight_options: dict[str, tuple[float, bool]] = {}

    def add_loss_weight(
        self,
        name: str,
        value: float | None,
        minimum: float = 0.0,
        aggregation: str = "none",
        optional: bool = False,
        required: bool = True,
    ) -> Any:
        """A weight of a term of the loss: `model.<name> = value` assigns to it, at any time.

        Args:
            name: the argument of the constructor, and the attribute that the weight is kept in.
            value: float >= `minimum`.
            minimum: float, 0 or -inf.
            aggregation: as in `keras.layers.Layer.add_weight`.
            optional: bool, whether a model that is built with 0 leaves the term out for good.
            required: bool, False for a weight that may be None, where the loss has no such term.

        Returns:
            Scalar float32 variable that no optimizer moves, or None.

        Raises:
            ValueError: if the value is not a number, not finite or less than `minimum`.
        """
        self._loss_weight_options[name] = (minimum, optional)
        self.initial_loss_weights[name] = value
        if value is None and not required:
            return None
        _check_weight(name, value, minimum)
        return self.add_weight(
            shape=(),
            initializer=keras.initializers.Constant(value),
            trainable=False,
            aggregation=aggregation,
            autocast=False,
            name=name,
        )

    def check_loss_weight(self, name: str, value: Any) -> None:
        """Raises ValueError if a weight of the loss, by name, cannot have this value from now on.

        A model whose weights depend on each other overrides it.
        """
        check_fixed(type(self), {name: value})
        first, (minimum, optional) = (
            self.initial_loss_weights[name],
            self._loss_weight_options[name],
        )
        kind, received = type(self).__name__, f"Received: model.{name} = {value!r}."
        if first is None:
            raise ValueError(
                f"The {kind} was built without {name}, and its loss has no such term. {received} "
                f"Build it with a first value: {kind}(..., {name}=0.0)."
            )
        if value is None:
            raise ValueError(
                f"The {kind} was built with {name}, and its loss has that term. {received} Set a "
                f"number, or build a model without it: {kind}(..., {name}=None)."
            )
        _check_weight(name, value, minimum)
        if optional and value and not first:
            raise ValueError(
                f"The {kind} was built with {name}=0, and its loss leaves that term out. "
                f"{received} Build it with a positive {name}, which may be set to 0 later."
            )

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in vars(self) or name not in vars(self).get("initial_loss_weights", ()):
            super().__setattr__(name, value)
        elif value is not (weight := vars(self)[name]):
            if not tf.is_symbolic_tensor(value):
                value = _as_number(value)
                self.check_loss_weight(name, value)
            weight.assign(value)

    def save_own_variables(self, store: Any) -> None:
        """Saves weights of the loss by name too: Keras' numbers depend on the class."""
        super().save_own_variables(store)
        for name, weight in self.loss_weights().items():
            store[f"weight_{name}"] = weight

    def load_own_variables(self, store: Any) -> None:
        """Loads what `save_own_variables` saved, also in versions that had fewer weights."""
        current: dict[str, Any] = {}
        super().save_own_variables(current)
        saved = {key: store[key] for key in store.keys()}
        weights = self.loss_weights()
        named = {name: saved.pop(f"weight_{name}", None) for name in weights}
        if weights and all(value is None for value in named.values()):
            named = _weights_of_0_1_0(saved, weights)
        else:
            unknown = [weights[name] for name, value in named.items() if value is None]
            saved = _numbered_without(unknown, current, saved)
        super().load_own_variables({**current, **saved})
        for name, value in named.items():
            if value is not None:
                weights[name].assign(value)

    def loss_weights(self) -> dict[str, Any]:
        """The variables of the weights that the loss has, by name."""
        values = {name: getattr(self, name) for name in self.initial_loss_weights}
        return {name: value for name, value in values.items() if value is not None}


def _weights_of_0_1_0(saved, weights):
    """Takes the weights of the loss, which followed the count of steps, out of `saved`."""
    names = ["multiplier"] if "multiplier" in weights else ["beta", "capacity"]
    numbers = range(1, len([key for key in saved if key.isdigit()]))
    return {name: saved.pop(str(i)) for i, name in zip(numbers, names, strict=False)}


def _numbered_without(unknown, current, saved):
    """What is `saved` under today's numbers, of a file that knows some of the variables not."""
    known = [key for key, value in current.items() if not any(value is u for u in unknown)]
    numbers = [key for key in saved if key.isdigit()]
    others = {key: value for key, value in saved.items() if not key.isdigit()}
    renamed = dict(zip(sorted(numbers, key=int), known, strict=False))
    return {**others, **{key: saved[number] for number, key in renamed.items()}}
