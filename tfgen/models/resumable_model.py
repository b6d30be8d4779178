"""What all models share with Keras: checked data, the compiled loop, exact resume, whole files."""

import contextlib
import math
import os
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from typing_extensions import Unpack

from tfgen._utils import keras_private
from tfgen._utils.files import written_aside
from tfgen._utils.typing import LayerOptions, Shape
from tfgen.models import training_data
from tfgen.models.divergence import StopOnDivergence
from tfgen.models.resume import Progress, ResumePosition

__all__ = ["ResumableModel"]

# Batches per call of the compiled loop, between which Python runs.
STEPS_PER_EXECUTION = 32


class ResumableModel(keras.Model):
    """A `keras.Model` that checks its data, resumes exactly, and saves whole files.

    A subclass gives `train_step`, which adds 1 to `steps`, `test_step` and `metrics`, and says in
    `sample` how to draw.

    Args:
        data_shape: tuple, shape of one example, such as (28, 28, 1).
        seed: int or None, for every draw of training. The same seed, data and machine give the same
            weights bit for bit on a CPU. Evaluation draws from a fixed seed of its own, so that it
            neither disturbs training nor changes from call to call.
        **kwargs: arguments of `keras.Model`.
    """

    def __init__(
        self, data_shape: Shape, seed: int | None = None, **kwargs: Unpack[LayerOptions]
    ) -> None:
        super().__init__(**kwargs)
        self.data_shape = tuple(data_shape)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.evaluation_seed_generator = keras.random.SeedGenerator(0)
        self.steps = self.add_weight(
            shape=(),
            dtype="int64",
            initializer="zeros",
            trainable=False,
            name="steps",
            aggregation="only_first_replica",
        )
        self.progress = Progress()
        self.fit_state: dict[str, np.ndarray] = {}
        self._fitting = False
        self.built = True

    # What a subclass may give.

    def sample(self, num_samples: int = 1, seed: int | None = None) -> tf.Tensor:
        """New examples, shape (num_samples, *data_shape)."""
        raise NotImplementedError

    def unpack(self, data: Any) -> Any:
        """What a step takes of a batch that `fit` was given: the examples, without labels."""
        return training_data.unpack(data)

    def check_batch(self, x: np.ndarray) -> None:
        """Raises ValueError if a batch of data, a NumPy array, cannot be modelled."""

    def check_batch_size(self, batch_size: int) -> None:
        """Raises ValueError if a batch of so few examples cannot be trained on."""

    def prepare(self, x: Any, y: Any, training: bool) -> tuple[Any, Any]:
        """What the model takes of the data and labels that `fit` or `evaluate` was given.

        Called once, after the data were checked. Of arrays `fit` makes one pipeline of batches.

        Args:
            x: the data, of any kind that `fit` takes.
            y: labels of arrays, or None.
            training: bool, whether `fit` will train on them, so that the model may be initialized
                from them; False for validation and evaluation data.

        Returns:
            Tuple (x, y). y is None here: a model ignores labels unless it says otherwise.
        """
        return x, None

    def own_callbacks(self, callbacks: Any, seekable: bool) -> list[keras.callbacks.Callback]:
        """Callbacks that `fit` calls before those it was given.

        Args:
            callbacks: those it was given.
            seekable: bool, whether an interrupted epoch goes on where it stopped.
        """
        return [StopOnDivergence(callbacks)]

    def training_logs(self) -> dict[str, Any]:
        """What an epoch of training logs, from the averages as they stand."""
        return self.get_metrics_result()

    # Randomness.

    def next_seed(self, training: bool = True) -> tf.Tensor:
        """A stateless seed for one random draw, int32 tensor of shape (2,)."""
        generator = self.seed_generator if training else self.evaluation_seed_generator
        return tf.cast(generator.next(), tf.int32) + [0, _replica_id()]

    def sampling_seed(self, seed: int | None = None) -> tf.Tensor:
        """`next_seed` outside of training, or the stateless seed that the int `seed` stands for."""
        return self.next_seed(training=False) if seed is None else tf.constant([seed, 0])

    # Training and evaluation.

    def _configure(self, optimizer, steps_per_execution, **kwargs):
        """`keras.Model.compile`, for the `compile` of a subclass, which a file brings back."""
        self._compile_arguments = {"steps_per_execution": steps_per_execution, **kwargs}
        self._traced_steps = {}
        super().compile(optimizer, steps_per_execution=steps_per_execution or 1, **kwargs)

    def get_compile_config(self) -> dict[str, Any]:
        return dict(self._compile_arguments) if self.compiled else {}

    def compile_from_config(self, config: dict[str, Any]) -> None:
        self.compile(**keras.saving.deserialize_keras_object(config))

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: str | int = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        **kwargs: Any,
    ) -> keras.callbacks.History:
        """Trains the model; arguments and result as in `keras.Model.fit`.

        The data are checked before training begins. Arrays, and what `tfgen.datasets.load` returns,
        are delivered in an order that follows from the seed and the epoch alone: with a
        `keras.callbacks.BackupAndRestore` a killed run goes on exactly where its last backup was.

        Raises:
            ValueError: if the data are empty, have another shape than the model, hold NaN, or lie
                outside the likelihood's support.
            FloatingPointError: if a loss or a weight becomes NaN or infinite; says at which step.
        """
        if not self.compiled:
            raise ValueError("fit needs an optimizer. Call compile(optimizer) first.")
        if validation_split and validation_data is None:
            x, y, validation_data = training_data.split(x, y, validation_split)
        size = kwargs["validation_batch_size"] = kwargs.get("validation_batch_size") or batch_size
        validation_data = training_data.prepared_for_validation(validation_data, self, size)
        training_data.check(x, self, batch_size)
        x, y = self.prepare(x, y, training=True)
        x = training_data.as_dataset(x if y is None else (x, y), batch_size, shuffle, self.seed)
        runs = {"train": (x, steps_per_epoch), "test": (validation_data, validation_steps)}
        self._choose_steps_per_execution(**runs)
        if isinstance(x, tf.data.Dataset):
            batch_size, shuffle = None, False
        kwargs.update(batch_size=batch_size, shuffle=shuffle)
        kwargs.update(validation_data=validation_data, validation_steps=validation_steps)
        return self._run(x, epochs, verbose, callbacks, initial_epoch, steps_per_epoch, **kwargs)

    def _run(self, x, epochs, verbose, callbacks, initial_epoch, steps_per_epoch, **kwargs):
        """`keras.Model.fit` on checked data, from the position that a callback restores."""
        callbacks = keras.tree.flatten(callbacks or [])
        seek, batches = getattr(x, "seek", None), steps_per_epoch or training_data.num_batches(x)
        own_callbacks = self.own_callbacks(callbacks, seekable=bool(seek and not steps_per_epoch))
        position = ResumePosition(seek, callbacks, initial_epoch, batches, bool(steps_per_epoch))
        kwargs.update(initial_epoch=initial_epoch, steps_per_epoch=steps_per_epoch)
        kwargs["callbacks"] = position.among(own_callbacks, self.identity())
        self._fitting = True
        try:
            with position.active(self):
                return super().fit(x, epochs=epochs, verbose=verbose, **kwargs)
        finally:
            self._fitting = False

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: str | int = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        **kwargs: Any,
    ) -> Any:
        """Averages of all logged terms over a data set; as `keras.Model.evaluate`.

        The draws come from a fixed seed: the same model and data give the same numbers.
        """
        if self.compiled and not self._fitting:
            training_data.check(x, self, batch_size)
            x, y = self.prepare(x, y, training=False)
            self._choose_steps_per_execution(test=(x, steps))
        with _from_the_start(self.evaluation_seed_generator):
            return super().evaluate(x, y, batch_size, verbose, sample_weight, steps, **kwargs)

    def predict(self, *args: Any, **kwargs: Any) -> Any:
        """`call` on all batches, as arrays; as `keras.Model.predict`."""
        steps = keras_private.steps_per_execution(self)
        keras_private.set_steps_per_execution(self, 1)  # Keras unrolls these.
        try:
            return super().predict(*args, **kwargs)
        finally:
            keras_private.set_steps_per_execution(self, steps)

    def _choose_steps_per_execution(self, **runs: tuple[Any, int | None]) -> None:
        """Sets batches per call of the compiled loop, unless `compile` was given them.

        Args:
            **runs: by "train" or "test", data and a number of steps that `fit` was given, or None.
        """
        if self._compile_arguments["steps_per_execution"]:
            return
        steps = _loop_length(runs.values())
        if keras_private.num_replicas(self) > 1:
            steps = 1  # Keras 3.15 cannot trace its loop over several replicas.
        keras_private.set_steps_per_execution(self, steps)
        makers = {"train": self.make_train_function, "test": self.make_test_function}
        for run in runs:
            if self._traced_steps.get(run) != steps:
                makers[run](force=True)
                self._traced_steps[run] = steps

    # Saving.

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "seed": self.seed}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "ResumableModel":
        return cls(**{k: keras.saving.deserialize_keras_object(v) for k, v in config.items()})

    def save(self, filepath: str | os.PathLike, overwrite: bool = True, **kwargs: Any) -> None:
        """Saves the whole model as a `.keras` file, written aside and renamed."""
        _save_whole(super().save, filepath, overwrite, **kwargs)

    def save_weights(
        self, filepath: str | os.PathLike, overwrite: bool = True, **kwargs: Any
    ) -> None:
        """Saves weights, optimizers and seeds as `.weights.h5`, written aside and renamed."""
        _save_whole(super().save_weights, filepath, overwrite, **kwargs)

    def _seed_states(self):
        """Every random state of the model and its networks by its key in a file."""
        return {f"seed_{i}": state for i, state in enumerate(keras_private.seed_states(self))}

    def identity(self) -> dict[str, str]:
        """What a backup of the model is of, in words; one of something else is not restored."""
        sizes = [math.prod(v.shape) for v in self.variables]
        weights = f"{sum(sizes)} values in {len(sizes)} variables"
        return {"class": type(self).__name__, "data": str(self.data_shape), "weights": weights}

    def save_own_variables(self, store: Any) -> None:
        super().save_own_variables(store)
        store["progress"] = np.array(self.progress)
        fit_state = {f"fit.{key}": value for key, value in self.fit_state.items()}
        for key, value in {**self._seed_states(), **fit_state}.items():
            store[key] = value

    def load_own_variables(self, store: Any) -> None:
        """Loads what `save_own_variables` saved, of version 0.1.0 too, which knew no progress."""
        super().load_own_variables({k: store[k] for k in store.keys() if k.isdigit()})
        for key, state in self._seed_states().items():
            state.assign(store[key])
        if "progress" in store.keys():
            self.progress = Progress(*np.asarray(store["progress"]).tolist())
        fit_state = [key for key in store.keys() if key.startswith("fit.")]
        self.fit_state = {key.removeprefix("fit."): np.asarray(store[key]) for key in fit_state}


def _replica_id():
    context = tf.distribute.get_replica_context()
    return context.replica_id_in_sync_group if context else 0


@contextlib.contextmanager
def _from_the_start(generator: keras.random.SeedGenerator) -> Iterator[None]:
    """Draws from seed 0 meanwhile, and from where it stood afterwards."""
    before = keras.ops.convert_to_numpy(generator.state)
    generator.state.assign([0, 0])
    try:
        yield
    finally:
        generator.state.assign(before)


def _loop_length(runs):
    """Batches per call of the compiled loop that fit all of the pairs (data, number of steps)."""
    # Keras overruns a number of steps that the loop does not divide.
    steps = math.gcd(STEPS_PER_EXECUTION, *(limit for _, limit in runs if limit))
    return min(steps, *(training_data.num_batches(data) or steps for data, _ in runs))


def _save_whole(save, filepath, overwrite, **kwargs):
    many_files = kwargs.get("max_shard_size") or not kwargs.get("zipped", True)
    if not overwrite or many_files or "://" in str(filepath):
        return save(filepath, overwrite=overwrite, **kwargs)
    with written_aside(filepath) as aside:
        save(aside, overwrite=True, **kwargs)
