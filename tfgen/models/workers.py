"""Several processes that train one model, under `tf.distribute.MultiWorkerMirroredStrategy`.

All of them do all that `fit` does: what one reads of what they share, the others must read too, or
it waits for ever. So the chief writes files, and the others write the same into folders that are
removed.
"""

import contextlib
import os
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfgen._utils import keras_private
from tfgen.callbacks import SampleEvaluation, SampleGrid

__all__ = [
    "chief_first",
    "check_agreement",
    "check_cluster",
    "configure",
    "is_chief",
    "reducible_logs",
    "saving_apart",
    "undivided",
    "wait_for_all",
    "watched",
    "writing_apart",
]

# Where callbacks write.
_PATHS = {
    keras.callbacks.ModelCheckpoint: ("filepath",),
    keras.callbacks.CSVLogger: ("filename",),
    keras.callbacks.TensorBoard: ("log_dir",),
    SampleEvaluation: ("filepath",),
    SampleGrid: ("output_dir", "log_dir"),
}
# What TensorFlow raises when a worker of the cluster is gone.
_GONE = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError)


def _cluster(model):
    """Addresses by job of the processes that train the model; empty where there is one alone."""
    strategy = keras_private.strategy(model)
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return {}
    cluster = strategy.cluster_resolver.cluster_spec().as_dict()
    jobs = {job: cluster[job] for job in ("chief", "worker") if job in cluster}
    return jobs if sum(map(len, jobs.values())) > 1 else {}


def is_chief(model: keras.Model) -> bool:
    """Whether this process writes the files: the only one, the chief, or else worker 0."""
    cluster = _cluster(model)
    if not cluster:
        return True
    resolver = keras_private.strategy(model).cluster_resolver
    first = "chief" if "chief" in cluster else "worker"
    return (resolver.task_type, resolver.task_id) == (first, 0)


def undivided(model: keras.Model, x: Any) -> Any:
    """Data of which one process takes all, such that TensorFlow does not try to divide them.

    It would rewrite their graph, and for that copy the arrays in it, memory maps too.
    """
    as_it_is = keras_private.num_replicas(model) == 1 or _cluster(model)
    if as_it_is or not isinstance(x, tf.data.Dataset):
        return x
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return x.with_options(options)


# Steps.


@contextlib.contextmanager
def reducible_logs(model: keras.Model, step: str) -> Iterator[None]:
    """Lets the step of this name log vectors of one value: Keras averages no scalars of workers."""
    if not _cluster(model):
        yield
        return
    scalars = getattr(model, step)

    def vectors(data: Any) -> dict[str, tf.Tensor]:
        return {name: tf.reshape(value, (1,)) for name, value in scalars(data).items()}

    setattr(model, step, vectors)
    try:
        yield
    finally:
        delattr(model, step)


def configure(model: keras.Model, jit_compile: bool | str) -> None:
    """Sets up a compiled model for several replicas, and workers: without XLA, unless asked for."""
    if keras_private.num_replicas(model) > 1:
        keras_private.skip_symbolic_build(model)
    if _cluster(model):
        model.jit_compile = jit_compile is True


def check_cluster(model: keras.Model, x: Any) -> None:
    """Raises ValueError for what several workers cannot do; `x` are the batches of training."""
    if not _cluster(model):
        return
    if keras_private.steps_per_execution(model) > 1:
        raise ValueError(
            "Keras loops over one batch at a time where there are several workers. Received: "
            f"steps_per_execution={keras_private.steps_per_execution(model)}. Leave it out, or "
            "compile with 1."
        )
    if model.jit_compile:
        raise ValueError(
            "XLA does not compile what workers exchange. Received: jit_compile=True and several "
            "workers. Compile with False, or leave it out."
        )
    smallest = getattr(x, "smallest_batch", None)
    if smallest is not None:
        _check_share(model, smallest)


def _check_share(model, smallest):
    replicas = keras_private.num_replicas(model)
    if smallest < replicas:
        raise ValueError(
            f"Each of {replicas} replicas takes its part of every batch. Received: a batch of "
            f"{smallest} examples, the smallest of an epoch. Choose another batch_size, or data "
            "that it divides."
        )
    model.check_batch_size(smallest // replicas)


# Agreement.


def _gathered(model, row):
    """Rows of ints of all replicas, those of the chief first."""
    strategy = keras_private.strategy(model)
    rows = strategy.experimental_distribute_values_from_function(
        lambda _: tf.constant([row], tf.int64)
    )
    return strategy.gather(rows, axis=0).numpy()


def wait_for_all(model: keras.Model) -> None:
    """Waits until all workers have come here."""
    if _cluster(model):
        _gathered(model, [0])


@contextlib.contextmanager
def chief_first(model: keras.Model) -> Iterator[None]:
    """Lets the chief do what is inside before the other workers."""
    if not is_chief(model):
        wait_for_all(model)
    yield
    if is_chief(model):
        wait_for_all(model)


def check_agreement(model: keras.Model, **place: int) -> None:
    """Raises ValueError unless all workers stand at the same place, with the same weights.

    Args:
        model: the model.
        **place: ints, which are named in the message.
    """
    if not _cluster(model):
        return
    place = {**place, "checksum of the weights": _checksum(model)}
    rows = _gathered(model, list(place.values()))
    differing = np.flatnonzero((rows != rows[0]).any(axis=0))
    if len(differing):
        name, values = list(place)[differing[0]], rows[:, differing[0]].tolist()
        raise ValueError(
            f"All workers begin a fit at the same place. Received: {name} {values}, one for each "
            "replica. Give all of them the same data and weights, and a backup in a folder that "
            "all of them see."
        )


def _checksum(model):
    checksum = 0
    for variable in (*model.trainable_variables, *keras_private.seed_states(model)):
        checksum = zlib.crc32(keras.ops.convert_to_numpy(variable).tobytes(), checksum)
    return checksum


@contextlib.contextmanager
def watched(model: keras.Model) -> Iterator[None]:
    """Raises RuntimeError that says what to do when another worker is gone."""
    try:
        yield
    except _GONE as error:
        if not _cluster(model):
            raise
        reason = next((s for s in str(error).splitlines() if "aborted" in s), type(error).__name__)
        raise RuntimeError(
            "Training ended because another worker of the cluster no longer answers. Received: "
            f"{reason.strip()}. Start all workers again: with a keras.callbacks.BackupAndRestore, "
            "in a folder that all of them see, training goes on where its last backup was."
        ) from error


# Files.


@contextlib.contextmanager
def writing_apart(model: keras.Model, callbacks: Sequence[Any]) -> Iterator[None]:
    """Lets the callbacks of other workers than the chief write to a folder that is removed."""
    if is_chief(model):
        yield
        return
    with tempfile.TemporaryDirectory() as folder:
        before = [(c, name, getattr(c, name)) for c in callbacks for name in _paths(c)]
        for i, (callback, name, path) in enumerate(before):
            os.mkdir(os.path.join(folder, str(i)))
            apart = os.path.join(folder, str(i), os.path.basename(os.path.normpath(path)))
            setattr(callback, name, type(path)(apart))
        try:
            yield
        finally:
            for callback, name, path in before:
                setattr(callback, name, path)


def _paths(callback):
    """Names of the attributes of a callback that say where it writes."""
    names = (name for kind, names in _PATHS.items() if isinstance(callback, kind) for name in names)
    return [name for name in names if getattr(callback, name) is not None]


@contextlib.contextmanager
def saving_apart(model: keras.Model, backup: keras.callbacks.BackupAndRestore) -> Iterator[None]:
    """Lets a backup be saved by the chief alone; of other workers it goes to another folder."""
    if is_chief(model):
        yield
        return
    with tempfile.TemporaryDirectory() as folder, keras_private.saving_in(folder, backup):
        yield
