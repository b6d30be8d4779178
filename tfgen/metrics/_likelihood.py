"""What the measures of likelihood share: batches of one size, seeds, units, checks."""

import contextlib
import functools
import math
import weakref
from collections.abc import Callable, Iterator
from typing import Any, cast

import numpy as np
import tensorflow as tf

from tfgen._utils import random
from tfgen._utils.arguments import as_numbers, check_ints
from tfgen.losses import bits_per_dim, is_discrete
from tfgen.metrics.protocols import Data, HasEncoder

__all__ = [
    "NO_LIKELIHOOD",
    "bits_of",
    "compiled_as",
    "conditioned_on",
    "conditions_of",
    "encode",
    "explained_of",
    "observed",
    "open_batches",
    "seed_of",
    "standard_error",
]

_NO_END = (
    "data must hold at least one example and come to an end. Received: {} data. Use "
    "data.take(num_batches) of an endless data set."
)
NO_LIKELIHOOD = (
    "Models without a likelihood, such as GANs, are scored by their samples: "
    "tfgen.metrics.evaluate_samples."
)


def seed_of(seed: int, *steps: int) -> tf.Tensor:
    """Stateless seed of one of many draws, int32 tensor of shape (2,)."""
    return _folded(tf.constant([seed, *steps]))


@tf.function(autograph=False)
def _folded(numbers: tf.Tensor) -> tf.Tensor:
    """A graph: an eager fold takes as long as the draws of an image."""
    seed, *steps = tf.unstack(numbers)
    folded = tf.stack([seed, 0])
    for step in steps:
        folded = random.fold_in(folded, step)
    return folded


def standard_error(values: np.ndarray) -> float:
    """Of the mean of independent values; NaN of a single one."""
    return float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else math.nan


# Model -> what was compiled for it by function, settings and XLA, each with the model's state then.
_COMPILED: weakref.WeakKeyDictionary[Any, dict[Any, Any]] = weakref.WeakKeyDictionary()


def compiled_as(model: Any, function: Callable[..., Any], *settings: Any) -> Callable[..., Any]:
    """`function(model, *settings, *tensors)` as a function of tensors, compiled as the model is.

    What was traced for a model serves again, until a variable, a number or a function in the model
    or one of its layers is replaced. Numbers inside of variables may change.

    Args:
        model: any object.
        function: function of a module: one made in each call would be another each time.
        *settings: what it takes of Python, hashable.
    """
    xla, state = getattr(model, "jit_compile", False), _state(model)
    known, reference = dict[Any, Any](), lambda: model
    with contextlib.suppress(TypeError):  # Some objects have no weak references, or no hash.
        known, reference = _COMPILED.setdefault(model, {}), cast(Any, weakref.ref(model))
    made, graph = known.get((function, settings, xla), (None, None))
    if made != state:
        # TensorFlow counts the traces of a partial apart, and warns of none made for another model.
        call = functools.partial(_call, reference, function, settings)
        graph = tf.function(call, jit_compile=xla, autograph=False)
        known[function, settings, xla] = state, graph
    return graph


def _call(reference, function, settings, *tensors):
    return function(reference(), *settings, *tensors)


def _state(model: Any) -> list[Any]:
    """What a graph of the model depends on: its variables, and plain attributes of all layers."""
    state: list[Any] = [id(variable) for variable in getattr(model, "variables", ())]
    parts = [model]
    while parts:
        part = parts.pop()
        parts += getattr(part, "layers", ())
        values = getattr(part, "__dict__", {})
        state += [(k, v) for k, v in values.items() if isinstance(v, bool | int | float | str)]
        state += [(k, id(v)) for k, v in values.items() if callable(v)]
    return state


def bits_of(model: Any, x: Any, nats: float) -> float | None:
    """`bits_per_dim` of the examples `x`, if the model says that p(x) is a probability mass."""
    return float(bits_per_dim(nats, _examples(x).shape[1:])) if _has_mass(model, x) else None


def _has_mass(model: Any, x: Any) -> bool:
    """Whether it logs `bits_per_dim`, or is a discrete distribution itself."""
    if not hasattr(model, "terms"):
        return hasattr(model, "as_distribution") and is_discrete(model.as_distribution())
    # Tracing alone draws nothing and leaves the model's seeds as they are.
    terms: Any = compiled_as(model, _terms)
    return "bits_per_dim" in terms.get_concrete_function(x).structured_outputs


def _terms(model: Any, x: Any) -> dict[str, tf.Tensor]:
    return model.terms(x, training=False)


def encode(model: HasEncoder, x: Any) -> Any:
    """q(z|x) of a batch as `open_batches` gives it: examples, or examples with labels."""
    return model.encode(tf.cast(_examples(x), tf.float32), *conditions_of(x))


def conditions_of(x: Any) -> list[Any]:
    """What a batch has beside examples, if it has anything; targets are no condition."""
    return [] if hasattr(x, "targets") else tf.nest.flatten(x)[1:]


def explained_of(x: Any) -> tf.Tensor:
    """The targets of a batch that has such, else its examples."""
    return getattr(x, "targets", _examples(x))


def observed(model: Any, x: Any, values: tf.Tensor) -> tf.Tensor:
    """Values of the shape of the examples, 0 where the batch's mask says that nothing was observed.

    A model with a method `impute` takes masks; what others take beside examples is none.
    """
    conditions = conditions_of(x) if hasattr(model, "impute") else []
    return tf.where(tf.cast(conditions[0], tf.bool), values, 0) if conditions else values


def conditioned_on(model: Any, x: Any) -> contextlib.AbstractContextManager[None]:
    """Gives the networks of a conditional model the conditions of a batch, as p(z|c) needs them."""
    conditions = conditions_of(x)
    if len(conditions) == 1 and hasattr(model, "conditioned_on"):
        return model.conditioned_on(*conditions)
    return contextlib.nullcontext()


def open_batches(
    model: Any, data: Data, batch_size: int
) -> tuple[Iterator[tuple[Any, int]], int | None]:
    """Iterator of batches of one size with the number of true examples, and how many there are.

    The last batch is filled up with copies of its last example, so that nothing is compiled twice.
    Their number is None where it is not known. A model with a method `unpack` says what it takes of
    a tuple; others are given its first part, the examples.
    """
    is_dataset = isinstance(data, tf.data.Dataset)
    check_ints(batch_size=batch_size)
    if not is_dataset:
        data = _as_arrays(data)
        _check_batch(model, data[0] if isinstance(data, tuple) else data)  # All of it.
    batches: Any = (
        data if is_dataset else tf.data.Dataset.from_tensor_slices(data).batch(batch_size)
    )
    num_batches = int(batches.cardinality())
    if num_batches in (0, tf.data.INFINITE_CARDINALITY):
        raise ValueError(_NO_END.format("endless" if num_batches else "empty"))
    unpack = getattr(model, "unpack", _first)
    # `map` passes the parts of a tuple one by one.
    batches = batches.map(lambda *parts: unpack(parts if parts[1:] else parts[0]))
    if not is_dataset:
        return _filled_up(model, batches), num_batches
    return _filled_up(model, batches.rebatch(batch_size)), None


def _as_arrays(data: Any) -> Any:
    """An array, or a tuple of arrays of one length, after checks."""
    parts = [as_numbers(data=part) for part in (data if isinstance(data, tuple) else (data,))]
    lengths = {len(part) if part.ndim else 0 for part in parts}
    if len(lengths) != 1 or 0 in lengths:
        raise ValueError(
            "data must hold at least one example along the first axis, in each part as many. "
            f"Received: data of shapes {[part.shape for part in parts]}."
        )
    for part in parts:
        _check_finite(part)
    return tuple(parts) if isinstance(data, tuple) else parts[0]


def _first(batch: Any) -> Any:
    return batch[0] if isinstance(batch, tuple) else batch


def _examples(x: Any) -> tf.Tensor:
    """Of a batch with or without labels."""
    return tf.nest.flatten(x)[0]


def _filled_up(model: Any, batches: tf.data.Dataset) -> Iterator[tuple[Any, int]]:
    size = None
    for batch in batches:
        x = _examples(batch).numpy()
        _check_finite(x)
        if size is None:
            _check_batch(model, x)
            size = len(x)
        rows = tf.minimum(tf.range(size), len(x) - 1)
        yield tf.nest.map_structure(lambda x, rows=rows: tf.gather(x, rows), batch), len(x)
    if size is None:
        raise ValueError(_NO_END.format("empty"))


def _check_finite(x: np.ndarray) -> None:
    if not np.isfinite(x).all():
        raise ValueError("data must be finite. Received: data with NaN or infinite values.")


def _check_batch(model: Any, x: np.ndarray) -> None:
    """As far as the model says what data it takes."""
    shape = getattr(model, "data_shape", x.shape[1:])
    if x.shape[1:] != shape:
        raise ValueError(
            f"{type(model).__name__} models examples of shape {shape}. Received: data of shape "
            f"{x.shape[1:]} each. Reshape the data."
        )
    if hasattr(model, "check_batch"):
        model.check_batch(x)
