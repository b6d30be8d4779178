"""The compiled functions of a model: batches for each call, XLA, and what is trainable."""

import math
from typing import Any, ClassVar

import keras

from tfgen._utils import keras_private
from tfgen._utils.arguments import check_ints, check_one_of
from tfgen.models import training_data, workers
from tfgen.models.persistent_model import PersistentModel

__all__ = ["CompiledModel", "FollowFreezing"]

# Batches per call of the compiled loop, between which Python runs.
STEPS_PER_EXECUTION = 32


class CompiledModel(PersistentModel):
    """A model that picks a compiled function for each run of `fit`, and keeps those it made.

    A function belongs to a number of batches for each call, to XLA or none, and to what is
    trainable: layers that are frozen between two runs, or two epochs, are frozen.
    """

    # Training steps on a CPU after which XLA has saved what it takes to compile, as measured
    # (docs/benchmark.md), or None where it saves nothing. Models with convolutions never take it
    # by themselves: they lose more there than they win elsewhere.
    xla_pays_after: ClassVar[int | None] = None

    jit_compile: bool  # Of keras.Model.

    def _configure(self, optimizer, steps_per_execution, jit_compile, run_eagerly, **kwargs):
        """`keras.Model.compile`, for the `compile` of a subclass, which a file brings back."""
        if steps_per_execution is not None:
            check_ints(1, steps_per_execution=steps_per_execution)
        check_one_of((True, False, "auto"), jit_compile=jit_compile)
        check_one_of((True, False), run_eagerly=run_eagerly)
        kwargs = {"jit_compile": jit_compile, "run_eagerly": run_eagerly, **kwargs}
        self._compile_arguments = {"steps_per_execution": steps_per_execution, **kwargs}
        self._functions, self._loops = {}, {}
        super().compile(optimizer, steps_per_execution=steps_per_execution or 1, **kwargs)
        workers.configure(self, jit_compile)

    def get_compile_config(self) -> dict[str, Any]:
        return dict(self._compile_arguments) if self.compiled else {}

    def compile_from_config(self, config: dict[str, Any]) -> None:
        self.compile(**keras.saving.deserialize_keras_object(config))

    def make_train_function(self, force: bool = False) -> Any:
        with workers.reducible_logs(self, "train_step"):
            return super().make_train_function(force)

    def make_test_function(self, force: bool = False) -> Any:
        with workers.reducible_logs(self, "test_step"):
            return super().make_test_function(force)

    def check_trained(self) -> None:
        """Raises ValueError if `fit` would leave the model as it is."""
        if not self.trainable_variables:
            raise ValueError(
                f"Training moves what is trainable. Received: a {type(self).__name__} of which "
                "nothing is. Set trainable = True of the model or some of its networks, and call "
                "compile again."
            )

    def take_functions(self) -> None:
        """Takes the compiled functions for what is trainable now; layers may have been frozen."""
        for run in self._loops:
            self._take_function(run)

    def _choose_loop(
        self, num_steps: int = 0, every: int = 0, **runs: tuple[Any, int | None]
    ) -> None:
        """Sets batches per call of the compiled loop, and XLA, unless `compile` was given them.

        Args:
            num_steps: int, training steps that `fit` was asked for, 0 if not known.
            every: int, `batches_between` acts of callbacks.
            **runs: by "train" or "test", data and a number of steps that `fit` was given, or None.
        """
        steps = self._compile_arguments["steps_per_execution"]
        if steps is None:  # Keras 3.15 cannot trace its loop over several replicas.
            steps = (
                1 if keras_private.num_replicas(self) > 1 else _loop_length(runs.values(), every)
            )
        keras_private.set_steps_per_execution(self, steps)
        for run in runs:
            xla = self._takes_xla(num_steps) if run == "train" else self.jit_compile
            self._loops[run] = (steps, xla)
            self._take_function(run)

    def _takes_xla(self, num_steps):
        """Whether so many training steps are compiled by XLA: Keras' choice on a CPU is never."""
        is_free = self._compile_arguments["jit_compile"] == "auto" and not self.run_eagerly
        pays = self.xla_pays_after is not None and not _has_convolutions(self)
        if not (pays and is_free) or keras_private.num_replicas(self) > 1:
            return self.jit_compile
        return self.jit_compile or num_steps >= self.xla_pays_after

    def _take_function(self, run):
        """Takes the function of this loop and of what is trainable, which is made once: a graph."""
        self._loops.setdefault(run, (keras_private.steps_per_execution(self), self.jit_compile))
        steps, jit_compile = self._loops[run]
        key, name = (steps, jit_compile, _trained_parts(self)), f"{run}_function"
        functions = self._functions.setdefault(run, {})
        if getattr(self, name) is None:  # Keras forgets it where layers become others (quantize).
            functions.clear()
        if key not in functions:
            chosen, self.jit_compile = self.jit_compile, jit_compile
            getattr(self, f"make_{name}")(force=True)
            self.jit_compile = chosen
            functions[key] = getattr(self, name)
        setattr(self, name, functions[key])


class FollowFreezing(keras.callbacks.Callback):
    """Lets an epoch train what is trainable when it begins: a callback may freeze layers."""

    def on_epoch_begin(self, epoch, logs=None):
        self.model.check_trained()
        self.model.take_functions()


def _trained_parts(model):
    """What differs if layers are frozen, or variables are added or replaced."""
    layers = tuple(layer.trainable for layer in keras_private.sublayers(model))
    return layers, tuple(id(variable) for variable in model.trainable_variables)


def _has_convolutions(model):
    """Whether some weights are more than a matrix."""
    return any(len(weight.shape) > 2 for weight in model.trainable_variables)


def _loop_length(runs, every):
    """Batches per call of the compiled loop that fit all of the pairs (data, number of steps)."""
    # Keras overruns a number of steps that the loop does not divide.
    steps = math.gcd(STEPS_PER_EXECUTION, every, *(limit for _, limit in runs if limit))
    steps = min(steps, *(training_data.num_batches(data) or steps for data, _ in runs))
    return 2 ** int(math.log2(steps))  # Few loops for many lengths of data.
