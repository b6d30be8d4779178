"""What tfgen uses of Keras that Keras does not document, each name behind one small function.

All private and undocumented names of Keras stand here and nowhere else. A release that changes one
fails its test in tests/_utils/test_keras_private.py, which says what then depends on it.
"""

import contextlib
import json
import os
import pathlib
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

__all__ = [
    "DECISIONS",
    "adam_state",
    "averages",
    "averages_or_weights",
    "batches_between_saves",
    "begin_at_epoch",
    "falls_by_default",
    "finalize_each",
    "forget_tuners",
    "forget_unreadable_notes",
    "gradients_forgotten",
    "ignore_short_epochs",
    "is_symbolic",
    "losses_of_all_calls",
    "metrics_in",
    "num_replicas",
    "records_batches",
    "saved_paths",
    "saves_by_batches",
    "saving_in",
    "seed_states",
    "skip_symbolic_build",
    "set_steps_per_execution",
    "steps_per_execution",
    "strategy",
    "sublayers",
    "summed_when_read",
    "swap_by",
    "take_unconverted",
    "trained_by",
]

# Layers.


def sublayers(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """`layer` and all layers inside it, at any depth, each once.

    `keras.Model.layers` has the first level, and of models only.

    Example:
        >>> inner = keras.Sequential([keras.layers.Dense(1)])
        >>> [type(part).__name__ for part in sublayers(keras.Sequential([inner]))]
        ['Sequential', 'Sequential', 'Dense']
    """
    return layer._flatten_layers()


def take_unconverted(layer: keras.layers.Layer) -> None:
    """Lets `call` of a layer see what it is given: a distribution, and not a draw of it."""
    layer._convert_input_args = False
    layer._allow_non_tensor_positional_args = True


def seed_states(layer: keras.layers.Layer) -> list[keras.Variable]:
    """State of every `keras.random.SeedGenerator` inside a layer, in an order that does not change.

    Keras saves none of them.
    """
    return [v for v in layer.variables if v.name == "seed_generator_state"]


def is_symbolic() -> bool:
    """Whether Keras runs a network to learn the shapes of its outputs, which have no values then.

    Example:
        >>> with keras.SymbolicScope():
        ...     is_symbolic()
        True
        >>> is_symbolic()
        False
    """
    with keras.SymbolicScope() as scope:
        return scope.original_scope is not None


@contextlib.contextmanager
def losses_of_all_calls(layers: Sequence[keras.layers.Layer]) -> Iterator[None]:
    """Lets the `losses` of layers add up over their calls inside; none are left behind.

    Keras forgets them at each call of a layer that no other layer makes.
    """
    for layer in layers:
        layer._clear_losses()
        layer._clear_losses = lambda: None
    try:
        yield
    finally:
        for layer in layers:
            vars(layer).pop("_clear_losses", None)  # Another replica's thread may have been here.
            layer._clear_losses()


# The loop of `fit`.


def begin_at_epoch(model: keras.Model, epoch: int | None) -> None:
    """Lets a `fit` that has called `on_train_begin` go on at `epoch`; None for its `initial_epoch`.

    The argument `initial_epoch` is given before a callback has restored anything.
    """
    model._initial_epoch = epoch


def steps_per_execution(model: keras.Model) -> int:
    """Batches per call of the compiled loop."""
    return model.steps_per_execution


def set_steps_per_execution(model: keras.Model, steps: int) -> None:
    """Sets what `compile` was given; functions that were traced before keep theirs."""
    model.steps_per_execution = steps


def strategy(model: keras.Model) -> tf.distribute.Strategy:
    """The `tf.distribute.Strategy` under which the model was built."""
    return model.distribute_strategy


def num_replicas(model: keras.Model) -> int:
    """Replicas of the strategy under which the model was built."""
    return strategy(model).num_replicas_in_sync


def skip_symbolic_build(model: keras.Model) -> None:
    """Lets `fit` begin without a look at a batch, which it takes where there is a strategy.

    The parts of a pair that several workers share are no tensors to it, and of replicas with
    different numbers of examples it would add the batches.
    """
    model._maybe_symbolic_build = lambda *args, **kwargs: None


def ignore_short_epochs() -> None:
    """Silences Keras' warning of an epoch with fewer batches than the others."""
    warnings.filterwarnings("ignore", message="Your input ran out of data")


# Metrics.


def metrics_in(layer: keras.layers.Layer) -> list[keras.metrics.Metric]:
    """Metrics that a layer and all layers inside it keep as attributes, but for those of compile.

    Example:
        >>> layer = keras.layers.Dense(1)
        >>> layer.size = keras.metrics.Mean("size")
        >>> [metric.name for metric in metrics_in(keras.Sequential([layer]))]
        ['size']
    """
    return [metric for part in sublayers(layer) for metric in part._metrics]


@contextlib.contextmanager
def summed_when_read() -> Iterator[None]:
    """Lets each replica count for itself in the metrics that are made inside.

    Keras before 3.10 sums the replicas' variables at every step, what they held before included:
    two replicas double them, until they overflow. keras-team/keras#21072 did the same as this.
    """

    def creator(create: Any, **kwargs: Any) -> tf.Variable:
        return create(**{**kwargs, "synchronization": tf.VariableSynchronization.ON_READ})

    with tf.variable_creator_scope(creator):
        yield


# Optimizers.


def averages(
    optimizer: keras.optimizers.Optimizer,
) -> list[tuple[keras.Variable, keras.Variable]]:
    """Pairs of a variable and its average over steps (`use_ema`); none before the first step."""
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    if not optimizer.use_ema or not keras.ops.convert_to_numpy(optimizer.iterations):
        return []
    return list(
        zip(
            optimizer._trainable_variables,
            optimizer._model_variables_moving_average,
            strict=True,
        )
    )


def averages_or_weights(
    optimizer: keras.optimizers.Optimizer,
) -> list[tuple[keras.Variable, tf.Tensor]]:
    """Pairs of a variable and its average now, or its own value before the first step.

    It looks at the count of steps in graphs too.
    """
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    has_begun = tf.convert_to_tensor(optimizer.iterations) > 0
    return [
        (variable, tf.where(has_begun, *map(tf.convert_to_tensor, (average, variable))))
        for variable, average in zip(
            optimizer._trainable_variables, optimizer._model_variables_moving_average, strict=True
        )
    ]


def trained_by(optimizer: keras.optimizers.Optimizer) -> list[keras.Variable]:
    """The variables that an optimizer was built for; it can move no others."""
    return getattr(optimizer, "inner_optimizer", optimizer)._trainable_variables


def finalize_each(
    first: keras.optimizers.Optimizer,
    variables: Iterable[tuple[keras.optimizers.Optimizer, Sequence[keras.Variable]]],
) -> None:
    """Lets the end of `fit` replace weights by their averages (`use_ema`) for each optimizer.

    Keras does so for `model.optimizer` alone, and hands it all weights of the model, in their
    order. An optimizer that has taken no step, whose averages are zeros, is left alone.

    Args:
        first: the `optimizer` of the model.
        variables: pairs of an optimizer and the variables it moves; one that is not among them
            keeps its weights.
    """
    pairs = list(variables)

    def finalize_variable_values(_):
        for optimizer, own in pairs:
            if keras.ops.convert_to_numpy(optimizer.iterations):
                type(optimizer).finalize_variable_values(optimizer, own)

    first.finalize_variable_values = finalize_variable_values


def swap_by(callback: keras.callbacks.SwapEMAWeights, swap: Any, finalize: Any) -> None:
    """Lets a `SwapEMAWeights` exchange weights and averages by two functions.

    It would do so for `model.optimizer` alone.

    Args:
        callback: the callback.
        swap: function without arguments that exchanges them.
        finalize: function without arguments that sets the averages to the weights.
    """
    callback._swap_variables, callback._finalize_ema_values = swap, finalize


def adam_state(
    optimizer: keras.optimizers.Adam, variable: keras.Variable
) -> tuple[keras.Variable, keras.Variable]:
    """Averages of a variable's gradients and of their squares."""
    index = optimizer._get_variable_index(variable)
    return optimizer._momentums[index], optimizer._velocities[index]


# Callbacks.

# What decides in them, and would begin anew in a resumed run.
DECISIONS = {
    keras.callbacks.EarlyStopping: ("wait", "best", "best_epoch", "stopped_epoch", "best_weights"),
    keras.callbacks.ReduceLROnPlateau: ("wait", "best", "cooldown_counter"),
    keras.callbacks.ModelCheckpoint: ("best",),
    keras.callbacks.SwapEMAWeights: ("_ema_weights_in_model",),
}


def falls_by_default(callback: keras.callbacks.Callback) -> bool:
    """Whether a `ModelCheckpoint` of Keras 3.8, which forgets its mode, waits for lower values."""
    best_only = getattr(callback, "save_best_only", False) and not hasattr(callback, "mode")
    return bool(best_only and callback.monitor_op is np.less)


def saves_by_batches(callback: keras.callbacks.Callback) -> bool:
    """Whether a `BackupAndRestore` or `ModelCheckpoint` saves inside epochs."""
    return isinstance(getattr(callback, "save_freq", None), int)


def batches_between_saves(callback: keras.callbacks.Callback) -> int:
    """Batches after which a `BackupAndRestore` or `ModelCheckpoint` saves, 0 if after epochs."""
    return callback.save_freq if saves_by_batches(callback) else 0


def records_batches(callback: keras.callbacks.Callback) -> bool:
    """Whether a `TensorBoard` writes down or profiles single batches."""
    if not isinstance(callback, keras.callbacks.TensorBoard):
        return False
    return callback.update_freq != "epoch" or callback._start_batch > 0


def saved_paths(callback: keras.callbacks.Callback) -> list[str]:
    """The folder of a `BackupAndRestore` or the file of a `ModelCheckpoint`; of others none."""
    path = getattr(callback, "backup_dir", getattr(callback, "filepath", None))
    return [os.fspath(path)] if path else []


def forget_unreadable_notes(callback: keras.callbacks.Callback) -> None:
    """Drops the notes of a `BackupAndRestore` that was killed while it wrote them.

    It would not restore its weights otherwise, whose `steps` tell as much.
    """
    if isinstance(callback, keras.callbacks.BackupAndRestore):
        path = pathlib.Path(callback.backup_dir, "training_metadata.json")
        try:
            json.loads(path.read_text())
        except FileNotFoundError:
            pass
        except ValueError:
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def saving_in(folder: str, backup: keras.callbacks.BackupAndRestore) -> Iterator[None]:
    """Lets a `BackupAndRestore` save in another folder; it keeps paths that begin with its own."""
    others = vars(keras.callbacks.BackupAndRestore(folder))
    paths = {name: path for name, path in others.items() if str(path).startswith(folder)}
    before = {name: vars(backup)[name] for name in paths}
    vars(backup).update(paths)
    try:
        yield
    finally:
        vars(backup).update(before)


# Searches.


@contextlib.contextmanager
def gradients_forgotten() -> Iterator[None]:
    """Lets TensorFlow forget the gradients of each `tf.custom_gradient` that is traced inside.

    It registers them, and never forgets one. Keras' optimizers trace such a gradient, which holds
    the graph of the whole training step: 3 MB a trial for the smallest networks.
    """
    from tensorflow.python.framework import ops

    registry = ops.gradient_registry._registry
    before = set(registry)
    try:
        yield
    finally:
        for name in set(registry) - before:
            if name.startswith("CustomGradient-"):
                del registry[name]


def forget_tuners(oracle: Any) -> None:
    """Lets a KerasTuner oracle wait for no tuner that has asked it for a trial.

    A chief ends when all of them were told that the search has ended.
    """
    oracle.tuner_ids.clear()
