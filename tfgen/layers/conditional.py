"""Networks that are given a condition beside their input, and what gives it to them."""

import contextlib
import contextvars
from collections.abc import Iterator
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from typing_extensions import Unpack

from tfgen._utils import keras_private
from tfgen._utils.arguments import check_size
from tfgen._utils.typing import LayerOptions

__all__ = ["Condition", "Conditional", "conditionals_in", "current_condition", "given"]

_GIVEN: contextvars.ContextVar[Any] = contextvars.ContextVar("given", default=None)


@contextlib.contextmanager
def given(condition: Any) -> Iterator[None]:
    """Context manager: gives one condition to every `Conditional` network that is called within.

    Models do this in each step, so that no formula has to pass conditions on.

    Args:
        condition: see `Condition.check`; None hides the condition of an outer `given`.

    Returns:
        A context manager.

    Example:
        >>> x, c = keras.Input((2,)), keras.Input((3,))
        >>> network = Conditional(keras.Model([x, c], keras.layers.Concatenate()([x, c])), 3)
        >>> with given([0, 2]):
        ...     print(network(tf.zeros((2, 2))).numpy())
        [[0. 0. 1. 0. 0.]
         [0. 0. 0. 0. 1.]]
    """
    token = _GIVEN.set(condition)
    try:
        yield
    finally:
        _GIVEN.reset(token)


def current_condition() -> Any:
    """The condition of the innermost `given`, or None.

    Returns:
        What `given` was called with.

    Example:
        >>> with given(7):
        ...     current_condition()
        7
    """
    return _GIVEN.get()


class Condition(NamedTuple):
    """What a model or a network is given besides x or z: the c in p(x|c).

    Attributes:
        shape: tuple, shape of one condition; () for class numbers.
        num_classes: int if conditions are classes; None if they are real numbers.
        optional: bool, whether -1 stands for an unknown class.

    Example:
        >>> Condition((), num_classes=3).num_classes
        3
    """

    shape: tuple[int, ...]
    num_classes: int | None = None
    optional: bool = False

    @property
    def expected(self) -> str:
        """What conditions are, in words."""
        if self.num_classes:
            missing = ", or -1 where it is missing" * self.optional
            return f"the number of a class in [0, {self.num_classes}), or its one-hot row{missing}"
        return f"real numbers of shape {self.shape}"

    def check(self, condition: Any, num_examples: int | None = None) -> Any:
        """Conditions as the network takes them, one row for each example.

        Args:
            condition: whole numbers of shape (n,), (n, 1) or (), or one-hot rows of shape (n,
                num_classes); without classes numbers of shape (n, *condition_shape), or of
                `condition_shape`, one for all.
            num_examples: int, n; None for as many as there are, and one row for one for all.

        Returns:
            NumPy array, or tensor where it is one of a graph: int32 of shape (n,), or float32 of
            shape (n, *condition_shape).

        Raises:
            ValueError: if they are something else, not finite, out of range or not n.

        Example:
            >>> Condition((), num_classes=3).check(2, num_examples=2)
            array([2, 2], dtype=int32)
        """
        in_graph = tf.is_symbolic_tensor(condition) or isinstance(condition, keras.KerasTensor)
        if in_graph:
            return self._checked_in_graph(condition)
        values = _as_numbers(condition)
        rows = self._rows(values)
        if rows is None or not np.isfinite(rows).all():
            raise ValueError(
                f"A condition must be {self.expected}, one for each example or one for all. "
                f"Received: {values.dtype} of shape {values.shape}, of type "
                f"{type(condition).__name__}. It is y in fit."
            )
        self._check_range(rows)
        if num_examples is not None and len(rows) not in (1, num_examples):
            raise ValueError(
                f"There must be one condition for each of {num_examples} examples, or one for all. "
                f"Received: {len(rows)} conditions. It is y in fit."
            )
        num_rows = len(rows) if num_examples is None else num_examples
        return np.broadcast_to(rows, (num_rows, *self.shape))

    def zeros(self, num_examples: int) -> tf.Tensor:
        """Conditions of class 0, or of zeros."""
        shape = (num_examples, *self.shape)
        return tf.zeros(shape, tf.int32 if self.num_classes else tf.float32)

    @property
    def signature(self) -> tf.TensorSpec:
        """That of conditions in exported functions."""
        dtype = tf.int32 if self.num_classes else tf.float32
        return tf.TensorSpec((None, *self.shape), dtype, name="condition")

    def _rows(self, values):
        """An array with an axis over examples, or None."""
        if self.num_classes:
            numbers = _classes(values, self.num_classes)
            return None if numbers is None else np.atleast_1d(numbers).astype("int32")
        if values.dtype.kind not in "biuf":
            return None
        rows = values[None] if values.shape == self.shape else values
        fits = rows.ndim and rows.shape[1:] == self.shape
        return rows.astype("float32") if fits else None

    def _check_range(self, rows):
        if not self.num_classes or not rows.size:
            return
        if not -self.optional <= rows.min() <= rows.max() < self.num_classes:
            raise ValueError(
                f"{self._range} Received: classes from {rows.min()} to {rows.max()}. They are the "
                "condition, y in fit."
            )

    @property
    def _range(self):
        missing = ", or -1 where they are missing" * self.optional
        return (
            f"Classes must be in [0, {self.num_classes}), the num_classes of the networks{missing}."
        )

    def _checked_in_graph(self, condition):
        if condition.shape.rank is None:
            shape = (None, *self.shape)
            raise ValueError(
                "Conditions must be of known rank. Received: a data set with conditions of unknown "
                f"rank. Use Dataset.map(lambda x, c: (x, tf.ensure_shape(c, {shape})))."
            )
        if self.num_classes:
            return _classes_in_graph(condition, self.num_classes, -self.optional, self._range)
        shape = condition.shape
        if not shape[1:].is_compatible_with(self.shape) and shape != self.shape:
            raise ValueError(
                f"A condition must be {self.expected}, one for each example. Received: a data set "
                f"with conditions of shape {shape}."
            )
        return tf.cast(condition, tf.float32)

    def rows_for(self, inputs: tf.Tensor, condition: Any = None) -> tf.Tensor:
        """The condition that is given, by name or by `given`, once for each row of the inputs.

        One may stand for several rows that follow each other in copies of the batch, as importance
        weights have them: c_1, ..., c_n are repeated as a whole.

        Raises:
            ValueError: if there is none, or not one for each row.
        """
        condition = current_condition() if condition is None else condition
        if condition is None:
            raise ValueError(
                f"A conditional model or network needs a condition, {self.expected}. Received: "
                "none. Give one: condition=..., or take the model of one: model.given(condition)."
            )
        condition = tf.convert_to_tensor(self.check(condition))
        return _one_for_each_row(condition, inputs, self.expected)

    def inputs_for(self, inputs: tf.Tensor, condition: Any, dtype: Any) -> tf.Tensor:
        """`rows_for` as a network takes them: classes one-hot.

        A class that there is not, which XLA lets pass, is a row of NaN, so that training stops.
        """
        rows = self.rows_for(inputs, condition)
        if not self.num_classes:
            return rows
        one_hot = tf.one_hot(rows, self.num_classes, dtype=dtype)
        return one_hot / tf.reduce_sum(one_hot, axis=-1, keepdims=True)


def conditionals_in(layer: keras.layers.Layer) -> list[Any]:
    """The layers inside a layer that need a condition, at any depth, itself included.

    They are `Conditional` networks and whatever else `takes` a `Condition`, such as a prior p(z|c).
    Networks that `Conditional.under` has fixed to one condition are not among them.

    Args:
        layer: `keras.layers.Layer`.

    Returns:
        List of layers.

    Example:
        >>> conditionals_in(keras.Sequential([keras.layers.Dense(1)]))
        []
    """
    parts = keras_private.sublayers(layer)
    fixed = {id(part.network) for part in parts if isinstance(part, FixedCondition)}
    found = (part for part in parts if isinstance(getattr(part, "takes", None), Condition))
    return [network for network in found if id(network) not in fixed]


@keras.saving.register_keras_serializable("tfgen")
class Conditional(keras.Model):
    """A network of an input and a condition c: q(z|x, c), p(x|z, c) or a discriminator D(x, c).

    It is called on its input alone, like any other network, and takes the condition from `given`.
    So it fits wherever a network does, and a model is conditional if its networks are. The builders
    of `tfgen.networks` make one if they get `num_classes` or `condition_shape`; any functional
    model of two inputs can become one.

    Args:
        network: functional `keras.Model` of two inputs, [x, c]; or of several, c the last.
        num_classes: int >= 1: conditions are the numbers of classes, and the network takes them
            one-hot, shape (batch, num_classes). None: they are real, of any shape.
        **kwargs: arguments of `keras.Model`.

    Raises:
        ValueError: if the network has other inputs; when called, if there is no condition, or one
            of another shape, range or number of rows (of tensors in a compiled step an
            InvalidArgumentError; under XLA what is returned for a class out of range is NaN).

    Example:
        >>> from tfgen import networks
        >>> decoder = networks.mlp_decoder((8, 8, 1), latent_dim=2, width=16, num_classes=10)
        >>> decoder.takes
        Condition(shape=(), num_classes=10, optional=False)
        >>> decoder(tf.zeros((4, 2)), condition=7).event_shape
        TensorShape([8, 8, 1])
    """

    def __init__(
        self,
        network: keras.Model,
        num_classes: int | None = None,
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        _check_network(network, num_classes)
        super().__init__(**{"name": network.name, **kwargs})
        self.network, self.num_classes = network, num_classes
        self.built = True

    @property
    def input_shape(self) -> Any:
        """Shape of x, with the axis of the batch; a list of those of several inputs."""
        first, *others, _ = self.network.input_shape
        return [first, *others] if others else first

    @property
    def output_shape(self) -> Any:
        """Shape of what it returns, with the axis of the batch."""
        return self.network.output_shape

    @property
    def takes(self) -> Condition:
        """What it is given beside x."""
        shape = () if self.num_classes else tuple(self.network.input_shape[-1][1:])
        return Condition(shape, self.num_classes)

    def call(self, inputs: Any, condition: Any = None, training: bool | None = None) -> Any:
        inputs = tf.nest.flatten(inputs)
        condition = self.takes.inputs_for(inputs[0], condition, self.compute_dtype)
        return self.network([*inputs, condition], training=training)

    def compute_output_spec(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        condition = keras.KerasTensor(self.network.input_shape[-1])
        return self.network.compute_output_spec([*keras.tree.flatten(inputs), condition])

    def get_config(self) -> dict[str, Any]:
        network = keras.saving.serialize_keras_object(self.network)
        return {**super().get_config(), "network": network, "num_classes": self.num_classes}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "Conditional":
        network = keras.saving.deserialize_keras_object(config["network"], custom_objects)
        return cls(**{**config, "network": network})

    def under(self, condition: Any) -> keras.Model:
        """The network of x alone under one condition, which shares all weights.

        Args:
            condition: one condition; see `Condition.check`.

        Example:
            >>> from tfgen import networks
            >>> decoder = networks.mlp_decoder((8, 8, 1), latent_dim=2, num_classes=10)
            >>> decoder.under(7)(tf.zeros((4, 2))).event_shape
            TensorShape([8, 8, 1])
        """
        fixed = FixedCondition(self, np.asarray(self.takes.check(condition, 1))[0].tolist())
        if isinstance(self.input_shape, list):
            several = [keras.Input(shape[1:]) for shape in self.input_shape]
            return keras.Model(several, fixed(several), name=self.name)
        return keras.Sequential([keras.Input(self.input_shape[1:]), fixed], name=self.name)


@keras.saving.register_keras_serializable("tfgen")
class FixedCondition(keras.layers.Layer):
    """A conditional network under one condition.

    Args:
        network: `Conditional`.
        condition: number or nested list, one condition.
        **kwargs: arguments of `keras.layers.Layer`.
    """

    def __init__(
        self, network: Conditional, condition: Any, **kwargs: Unpack[LayerOptions]
    ) -> None:
        super().__init__(**kwargs)
        self.network, self.condition = network, condition
        keras_private.take_unconverted(self)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        return self.network(inputs, condition=self.condition, training=training)

    def compute_output_spec(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        return self.network.compute_output_spec(inputs)

    def get_config(self) -> dict[str, Any]:
        network = keras.saving.serialize_keras_object(self.network)
        return {**super().get_config(), "network": network, "condition": self.condition}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "FixedCondition":
        network = keras.saving.deserialize_keras_object(config["network"])
        return cls(**{**config, "network": network})


def _check_network(network, num_classes):
    shapes = getattr(network, "input_shape", None)
    if not isinstance(shapes, list) or len(shapes) < 2:
        raise ValueError(
            "A Conditional network is a functional keras.Model of two inputs, [x, condition]. "
            f"Received: a network of input shape {shapes}. Build it as keras.Model([x, condition], "
            "output)."
        )
    if num_classes is not None:
        check_size(num_classes=num_classes)
        if tuple(shapes[-1][1:]) != (num_classes,):
            raise ValueError(
                "Classes are given to the network one-hot. Received: a last input of shape "
                f"{shapes[-1]} with num_classes={num_classes}. Begin it with "
                f"keras.Input(({num_classes},))."
            )


def _as_numbers(values):
    try:
        return np.asarray(values)
    except (TypeError, ValueError):  # Rows of several lengths.
        return np.array(None)


def _classes(labels, num_classes):
    """Whole numbers, of a column, of floats and of one-hot rows too; None of anything else."""
    if labels.dtype.kind not in "biuf":
        return None
    if labels.ndim == 2 and labels.shape[1] == num_classes > 1:
        one_hot = np.isin(labels, (0, 1)).all() and (labels.sum(axis=1) == 1).all()
        return labels.argmax(axis=1) if one_hot else None
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    whole = labels.ndim < 2 and np.isfinite(labels).all() and np.all(labels == np.round(labels))
    return labels.astype("int64") if whole else None


def _classes_in_graph(labels, num_classes, lowest, message):
    """The same of labels in a compiled step, with checks that XLA drops."""
    shape = labels.shape
    if shape.rank == 2 and shape[1] == num_classes > 1:
        labels = tf.cast(labels, tf.float32)
        numbers = tf.argmax(labels, axis=1, output_type=tf.int32)
        valid = tf.reduce_all(labels == tf.one_hot(numbers, num_classes))
    elif shape.rank in (0, 1) or (shape.rank == 2 and shape[1] == 1):
        numbers = tf.cast(labels[:, 0] if shape.rank == 2 else labels, tf.int32)
        whole = tf.reduce_all(tf.cast(numbers, labels.dtype) == tf.reshape(labels, [-1]))
        valid = whole & tf.reduce_all((numbers >= lowest) & (numbers < num_classes))
    else:
        raise ValueError(
            f"Classes must have shape (batch,), (batch, 1) or (batch, {num_classes}), one-hot. "
            f"Received: a data set with classes of shape {shape}. Map them to numbers."
        )
    with tf.control_dependencies([tf.debugging.Assert(valid, [message, labels])]):
        # An operation that TensorFlow's optimizer keeps, and with it what it waits for.
        return tf.minimum(tf.reshape(numbers, [-1]), num_classes)


def _one_for_each_row(condition, inputs, expected):
    """Conditions, repeated as a whole to as many as there are rows of the inputs."""
    rows, given_rows = inputs.shape[0], condition.shape[0]
    if rows is not None and rows == given_rows:
        return condition
    if rows is not None and given_rows and rows % given_rows:
        raise ValueError(
            f"There must be one condition for each row, {expected}, or a number that divides "
            f"theirs. Received: {given_rows} conditions for {rows} rows."
        )
    copies = tf.shape(inputs)[0] // tf.maximum(tf.shape(condition)[0], 1)
    shape = tf.concat([tf.shape(inputs)[:1], tf.shape(condition)[1:]], axis=0)
    tiled = tf.tile(condition, [copies, *[1] * (len(condition.shape) - 1)])
    return tf.ensure_shape(tf.reshape(tiled, shape), (rows, *condition.shape[1:]))
