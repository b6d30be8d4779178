"""What the measures of likelihood share: batches of one size, seeds, units, checks."""

import math

import numpy as np
import tensorflow as tf

from tfgen.metrics.likelihood import bits_per_dim

__all__ = [
    "bits_of",
    "check_model",
    "check_positive",
    "encode",
    "open_batches",
    "seed_of",
    "standard_error",
]


def seed_of(seed, *steps):
    """Stateless seed of one of many draws, int32 tensor of shape (2,)."""
    seed = tf.constant([seed, 0])
    for step in steps:
        seed = tf.random.experimental.stateless_fold_in(seed, step)
    return seed


def standard_error(values):
    """Of the mean of independent values, as a float; NaN of a single one."""
    return float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else math.nan


def bits_of(model, x, nats):
    """`bits_per_dim` where the model logs it, which is where data have a probability mass."""
    # Tracing alone draws nothing and leaves the model's seeds as they are.
    terms = tf.function(lambda x: model.terms(x, training=False), autograph=False)
    if "bits_per_dim" not in terms.get_concrete_function(x).structured_outputs:
        return None
    return float(bits_per_dim(nats, model.data_shape))


def encode(model, x):
    """q(z|x) of a batch as `model.unpack` gives it: examples, or examples with labels."""
    examples, *labels = tf.nest.flatten(x)
    return model.encode(tf.cast(examples, tf.float32), *labels)


def open_batches(model, data, batch_size):
    """Iterator of batches of one size with the number of true examples, and how many there are.

    The last batch is filled up with copies of its last example, so that nothing is compiled twice.
    Their number is None where it is not known.
    """
    is_dataset = isinstance(data, tf.data.Dataset)
    if not is_dataset:
        data = tf.data.Dataset.from_tensor_slices(data).batch(batch_size)
    num_batches = int(data.cardinality())
    if num_batches in (0, tf.data.INFINITE_CARDINALITY):
        size = "endless" if num_batches else "empty"
        raise ValueError(
            f"data must hold at least one example and come to an end. Received: {size} data. Use "
            "data.take(num_batches) of an endless data set."
        )
    # `map` passes the parts of a tuple one by one.
    batches = data.map(lambda *parts: model.unpack(parts if parts[1:] else parts[0]))
    if is_dataset:
        batches, num_batches = batches.rebatch(batch_size), None
    return _filled_up(model, batches), num_batches


def _filled_up(model, batches):
    size = None
    for batch in batches:
        num_examples = len(tf.nest.flatten(batch)[0])
        if size is None:
            _check_batch(model, tf.nest.flatten(batch)[0].numpy())
            size = num_examples
        rows = tf.minimum(tf.range(size), num_examples - 1)
        yield tf.nest.map_structure(lambda x, rows=rows: tf.gather(x, rows), batch), num_examples


def _check_batch(model, x):
    if x.shape[1:] != model.data_shape:
        raise ValueError(
            f"{type(model).__name__} models examples of shape {model.data_shape}. Received: "
            f"data of shape {x.shape[1:]} each. Reshape the data."
        )
    model.check_batch(x)


def check_model(model, method, caller):
    """Raises ValueError if the model cannot do what `caller` needs."""
    if not hasattr(model, method):
        raise ValueError(
            f"{caller} needs a model with the method {method}. Received: {type(model).__name__}. "
            "Models without a likelihood, such as GANs, are scored by their samples: "
            "tfgen.metrics.evaluate_samples."
        )


def check_positive(**numbers):
    """Raises ValueError unless all are whole numbers of at least 1."""
    for name, value in numbers.items():
        if not isinstance(value, (int, np.integer)) or value < 1:
            raise ValueError(f"{name} must be an int of at least 1. Received: {name}={value!r}.")
