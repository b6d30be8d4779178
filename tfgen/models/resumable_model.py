"""What all models share with Keras: checked data, the compiled loop, exact resume, whole files."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import keras
import numpy as np
import tensorflow as tf

from tfgen._utils import keras_private
from tfgen._utils.arguments import check_flags, check_ints
from tfgen.models import training_arguments, training_data, workers
from tfgen.models.compiled_model import CompiledModel, FollowFreezing
from tfgen.models.divergence import StopOnDivergence
from tfgen.models.endpoints import Endpoint
from tfgen.models.persistent_model import check_saved_name
from tfgen.models.resume import ResumePosition

__all__ = ["ResumableModel", "refuse_losses"]

# Endings of the names of what is logged and is better the higher, and the lower.
RISING = (
    "elbo",
    "log_prob",
    "log_likelihood",
    "mode_count",
    "precision",
    "recall",
    "density",
    "coverage",
    "accuracy",
    "information_bound",
)
FALLING = ("loss", "reconstruction", "bits_per_dim", "regularization", "squared_mmd", "distance")


class ResumableModel(CompiledModel):
    """A `keras.Model` that checks its data, resumes exactly, and never leaves partial files.

    A subclass gives `train_step`, which adds 1 to `steps`, `test_step` and `metrics`, and says in
    `sample` how to draw.

    Args:
        data_shape: tuple, shape of one example, such as (28, 28, 1).
        seed: int or None, for every draw of training. The same seed, data and machine give the same
            weights bit for bit on a CPU. Evaluation draws from a fixed seed of its own, so that it
            neither disturbs training nor changes from call to call.
        **kwargs: arguments of `keras.Model`.
    """

    # Whether a y of the data's shape is what the model explains, instead of x.
    takes_targets: ClassVar[bool] = False

    # Methods that a class does not use, so that its children cannot override them, with the reason.
    unused_hooks: ClassVar[dict[str, str]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for base in cls.__mro__[1:]:
            for hook, reason in vars(base).get("unused_hooks", {}).items():
                names = (hook, "train_step")  # A step of its own may use the hook.
                overridden, own_step = (getattr(cls, n) is not getattr(base, n) for n in names)
                if overridden and not own_step:
                    raise TypeError(
                        f"{cls.__name__} cannot override {hook}, which {base.__name__} does not "
                        f"use. {reason}"
                    )

    # What a subclass may give.

    def sample(self, num_samples: int = 1, seed: int | None = None) -> tf.Tensor:
        """New examples, shape (num_samples, *data_shape)."""
        raise NotImplementedError

    def endpoints(self) -> dict[str, Endpoint]:
        """What `export` writes, by name: functions of tensors, without side effects."""
        raise ValueError(
            "Models with latent variables and mixtures have endpoints. Received: "
            f"{type(self).__name__}. Write a method endpoints, which returns a dict of them, or "
            "export with keras.export.ExportArchive."
        )

    def unpack(self, data: Any) -> Any:
        """What a step takes of a batch that `fit` was given.

        The examples, or `InputsAndTargets` where there are targets that the model takes.
        """
        _, y, _ = keras.utils.unpack_x_y_sample_weight(data)
        x = training_data.examples_of(data, self.data_shape)
        y = training_data.targets_of_batch(y, self)
        return x if y is None else training_data.InputsAndTargets(x, y)

    def check_batch(self, x: np.ndarray) -> None:
        """Raises ValueError if a batch of data, a NumPy array, cannot be modelled."""

    def check_batch_size(self, batch_size: int) -> None:
        """Raises ValueError if a batch of so few examples cannot be trained on."""

    def prepare(self, x: Any, y: Any, training: bool) -> tuple[Any, Any]:
        """What the model takes of the data and labels that `fit` or `evaluate` was given.

        Called once, after the data were checked. `fit` makes one pipeline of batches of arrays.

        Args:
            x: the data, of any kind that `fit` takes.
            y: labels of arrays, or None.
            training: bool, whether `fit` will train on them, so that the model may be initialized
                from them; False for validation and evaluation data.

        Returns:
            Tuple (x, y). y are the targets, or None: a model ignores labels unless it says
            otherwise.
        """
        return x, training_data.targets(x, y, self)

    def own_callbacks(self, callbacks: Any, seekable: bool) -> list[keras.callbacks.Callback]:
        """Callbacks that `fit` calls before those it was given.

        Args:
            callbacks: those it was given.
            seekable: bool, whether an interrupted epoch goes on where it stopped.
        """
        return [StopOnDivergence(callbacks)]

    def last_callbacks(self) -> list[keras.callbacks.Callback]:
        """Callbacks that `fit` calls after those it was given."""
        return []

    def training_logs(self) -> dict[str, Any]:
        """What an epoch of training logs, from the averages as they stand."""
        return self.get_metrics_result()

    # Training and evaluation.

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
        validation_freq: int | Sequence[int] = 1,
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
        _check_compiled(self, "fit")
        self.check_trained()
        check_ints(0, epochs=epochs, initial_epoch=initial_epoch)
        training_arguments.check_verbose(verbose)
        check_flags(shuffle=shuffle)
        training_arguments.check_counts(batch_size=batch_size, steps_per_epoch=steps_per_epoch)
        weights = (kwargs.pop("sample_weight", None), kwargs.pop("class_weight", None))
        training_data.refuse_weights(*weights)
        size = kwargs.get("validation_batch_size")
        kwargs["validation_freq"] = training_arguments.as_frequency(validation_freq)
        sizes = dict(validation_steps=validation_steps, validation_batch_size=size)
        training_arguments.check_validation(
            validation_data, validation_split, validation_freq, **sizes
        )
        callbacks = training_arguments.as_callbacks(callbacks)
        x = training_data.as_given(x)
        training_arguments.check_epochs_of_generator(x, epochs, initial_epoch, steps_per_epoch)
        training_data.check_batch_size_belongs(x, batch_size)
        if validation_split:
            x, y, validation_data = training_data.split(x, y, validation_split)
        kwargs["validation_batch_size"] = size or batch_size
        validation_data = training_data.prepared_for_validation(
            validation_data, self, size or batch_size, size, validation_steps
        )
        training_arguments.check_epochs_of_generator(
            validation_data, epochs, initial_epoch, None, "validation_data"
        )
        x = training_data.check(x, self, batch_size)
        x, y = self.prepare(x, y, training=True)
        x = training_data.as_dataset(x if y is None else (x, y), batch_size, shuffle, self.seed)
        runs = {"train": (x, steps_per_epoch), "test": (validation_data, validation_steps)}
        batches = steps_per_epoch or training_data.num_batches(x) or 0
        every = training_arguments.batches_between(callbacks, batches)
        self._choose_loop(num_steps=epochs * batches, every=every, **runs)
        if not isinstance(x, keras.utils.PyDataset):  # Others have an order of their own.
            batch_size, shuffle = None, False
        kwargs.update(batch_size=batch_size, shuffle=shuffle)
        validation_data = workers.undivided(self, validation_data)
        kwargs.update(validation_data=validation_data, validation_steps=validation_steps)
        return self._run(x, epochs, verbose, callbacks, initial_epoch, steps_per_epoch, **kwargs)

    def _run(self, x, epochs, verbose, callbacks, initial_epoch, steps_per_epoch, **kwargs):
        """`keras.Model.fit` on checked data, from the position that a callback restores."""
        _give_directions(callbacks)
        for path in (
            path for callback in callbacks for path in keras_private.saved_paths(callback)
        ):
            check_saved_name(path)
        workers.check_cluster(self, x)
        seek, batches = getattr(x, "seek", None), steps_per_epoch or training_data.num_batches(x)
        own_callbacks = self.own_callbacks(callbacks, seekable=bool(seek and not steps_per_epoch))
        position = ResumePosition(seek, callbacks, initial_epoch, batches, bool(steps_per_epoch))
        kwargs.update(initial_epoch=initial_epoch, steps_per_epoch=steps_per_epoch)
        last = [*self.last_callbacks(), FollowFreezing()]
        kwargs["callbacks"] = position.among(own_callbacks, last, self.identity())
        self._fitting = True
        try:
            with (
                workers.watched(self),
                workers.writing_apart(self, callbacks),
                position.active(self),
            ):
                x = workers.undivided(self, x)
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
        callbacks: Any = None,
        return_dict: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Averages of all logged terms over a data set; arguments as in `keras.Model.evaluate`.

        The draws come from a fixed seed: the same model and data give the same numbers.

        Returns:
            With `return_dict=True` a dict from name to float, else a list of values in the
            order of `metrics_names`, or the value if there is only one.

        Raises:
            ValueError: for data that `fit` would refuse, weights of examples, or a model that is
                not compiled.
        """
        training_data.refuse_weights(sample_weight)
        if not self._fitting:
            _check_compiled(self, "evaluate")
            training_arguments.check_verbose(verbose)
            check_flags(return_dict=return_dict)
            training_arguments.check_counts(batch_size=batch_size, steps=steps)
            callbacks = training_arguments.as_callbacks(callbacks)
            x = training_data.as_given(x)
            training_data.check_batch_size_belongs(x, batch_size)
            x = training_data.check(x, self, batch_size)
            x, y = self.prepare(x, y, training=False)
            every = training_arguments.batches_between(callbacks)
            self._choose_loop(every=every, test=(x, steps))
        kwargs.update(callbacks=callbacks, return_dict=True)
        x = workers.undivided(self, x)
        with _from_the_start(self.evaluation_seed_generator):
            logs = super().evaluate(x, y, batch_size, verbose, None, steps, **kwargs)
        if not logs:
            raise ValueError(
                "There was no batch to evaluate. Received: data that have come to an end, of type "
                f"{type(x).__name__}. Give an array, or a data set that begins anew each time."
            )
        return logs if return_dict else _in_order(logs)

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """One training step; as `keras.Model.train_on_batch`, with the checks of `fit`.

        Raises:
            ValueError: for a batch that `fit` would refuse, or a model that is not compiled.
        """
        return self._on_batch("train", x, y, sample_weight, class_weight, return_dict)

    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """Averages of all logged terms over a batch; as `keras.Model.test_on_batch`.

        Raises:
            ValueError: for a batch that `fit` would refuse, or a model that is not compiled.
        """
        with _from_the_start(self.evaluation_seed_generator):
            return self._on_batch("test", x, y, sample_weight, None, return_dict)

    def _on_batch(self, run, x, y, sample_weight, class_weight, return_dict):
        _check_compiled(self, f"{run}_on_batch")
        check_flags(return_dict=return_dict)
        training_data.refuse_weights(sample_weight, class_weight)
        x = training_data.one_batch(x)
        training_data.check(x, self, len(x))
        x, y = self.prepare(x, y, training=run == "train")
        if run == "train":
            self.check_trained()
        self._take_function(run)
        self.reset_metrics()  # Keras 3.8 does not.
        on_batch = super().train_on_batch if run == "train" else super().test_on_batch
        logs = {name: float(value) for name, value in on_batch(x, y, return_dict=True).items()}
        return logs if return_dict else _in_order(logs)

    @property
    def metrics_names(self) -> list[str]:
        """Names of the values that `evaluate` returns, in their order: losses first."""
        # Keras asks when it saves, which one of several workers may do: it must not read averages.
        names = [n for metric in self.metrics for n in getattr(metric, "names", (metric.name,))]
        return sorted(names, key=_losses_first)

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: str | int = "auto",
        steps: int | None = None,
        callbacks: Any = None,
    ) -> Any:
        """`call` on all batches; arguments as in `keras.Model.predict`.

        Returns:
            NumPy array, or arrays where `call` returns several tensors.

        Raises:
            ValueError: if there are no examples, or an argument is out of range.
        """
        training_arguments.check_verbose(verbose)
        training_arguments.check_counts(batch_size=batch_size, steps=steps)
        callbacks = training_arguments.as_callbacks(callbacks)
        x = training_data.inputs_of_predict(x)
        if not isinstance(x, list | tuple):
            training_data.check_batch_size_belongs(x, batch_size)
        if hasattr(x, "shape") and not len(x):
            raise ValueError("x must have examples. Received: x of none.")
        loop = keras_private.steps_per_execution(self)
        keras_private.set_steps_per_execution(self, 1)  # Keras unrolls these.
        try:
            return super().predict(x, batch_size, verbose, steps, callbacks)
        finally:
            keras_private.set_steps_per_execution(self, loop)

    def predict_on_batch(self, x: Any) -> Any:
        """`call` on one batch, as an array; as `keras.Model.predict_on_batch`."""
        return super().predict_on_batch(training_data.inputs_of_predict(x))


def refuse_losses(model: keras.Model, **given: Any) -> None:
    """Raises ValueError for what `keras.Model.compile` takes and these models do not."""
    names = [name for name, value in given.items() if value is not None]
    if names:
        raise ValueError(
            f"A {type(model).__name__} has its own losses and logs its own terms. Received: "
            f"{names[0]}={given[names[0]]!r}. Leave it out. Terms of your own belong into a "
            "subclass, metrics into a callback or tfgen.metrics."
        )


def _check_compiled(model, method):
    if not model.compiled:
        raise ValueError(f"{method} needs an optimizer. Call compile(optimizer) first.")


def _in_order(logs):
    """The values of logs as `evaluate` returns them without names; one value alone."""
    values = [logs[name] for name in sorted(logs, key=_losses_first)]
    return values[0] if len(values) == 1 else values


def _losses_first(name):
    return name != "loss", not name.endswith("_loss"), name


def _give_directions(callbacks):
    """Tells callbacks that watch a value, and were not told, whether it is to rise or to fall."""
    for callback in callbacks:
        name = getattr(callback, "monitor", None) or ""
        rises, falls = name.endswith(RISING), name.endswith(FALLING)
        if getattr(callback, "mode", None) == "auto":
            callback.mode = "max" if rises else "min" if falls else "auto"
        elif rises and keras_private.falls_by_default(callback):
            raise ValueError(
                f"{name} is better the higher it is, which {type(callback).__name__} of Keras "
                f"{keras.__version__} cannot be told later. Received: mode='auto'. Pass mode='max'."
            )


@contextlib.contextmanager
def _from_the_start(generator: keras.random.SeedGenerator) -> Iterator[None]:
    """Draws from seed 0 meanwhile, and from where it stood afterwards."""
    before = keras.ops.convert_to_numpy(generator.state)
    generator.state.assign([0, 0])
    try:
        yield
    finally:
        generator.state.assign(before)
