"""The base of all models: updates, one `train_step`, seeds, sampling, saving, exact resume."""

import contextlib
import itertools
import math
import os
import pathlib
import zipfile
from collections.abc import Callable
from typing import NamedTuple

import keras
import tensorflow as tf

from tfgen.models import fused_adam, training_data
from tfgen.models.divergence import StopOnDivergence

__all__ = ["GenerativeModel", "Update", "load_model"]

# Batches per call of the compiled loop, between which Python runs.
STEPS_PER_EXECUTION = 32
# Weights from which XLA is worth its compiling on a CPU.
XLA_MIN_WEIGHTS = 200_000


class Update(NamedTuple):
    """One optimizer's turn in a training step.

    Attributes:
        name: string, key of its optimizer in `compile(optimizer={name: ...})`.
        networks: tuple of layers whose trainable variables move.
        terms: callable (x, training) to a dict of tensors, one value per example each. Everything
            in it is averaged and logged. Updates that follow each other with the same `terms` and
            `turns` share one forward pass, and their gradients are taken before any is applied.
        minimise: key of `terms` that this update minimises.
        turns: callable (x, training) to the list of what `terms` is given instead of the batch, a
            step of the optimizer for each; None for one turn on the batch itself.
    """

    name: str
    networks: tuple
    terms: Callable
    minimise: str = "loss"
    turns: Callable | None = None

    def inputs(self, x, training):
        """What `terms` is given in each turn."""
        return [x] if self.turns is None else self.turns(x, training)

    @property
    def variables(self):
        """The trainable variables of the networks, each once."""
        variables = (v for network in self.networks for v in network.trainable_variables)
        return list({id(v): v for v in variables}.values())


class TermAverages(keras.metrics.Metric):
    """Averages of all terms over examples, in one variable.

    A `keras.metrics.Mean` for each would add a dozen small operations per term to every step.

    Args:
        names: sequence of string, all names that `update_state` may be given.
    """

    def __init__(self, names):
        super().__init__(name="terms")
        self.names = tuple(names)
        self.sums_and_counts = self.add_variable((2, len(self.names)), "zeros")
        self.finite_steps = self.add_variable((len(self.names),), "zeros")

    def update_state(self, terms):
        """Adds a dict of tensors of one value per example."""
        nothing = tf.zeros((1,))[:0]
        values = [tf.cast(terms.get(name, nothing), tf.float32) for name in self.names]
        sums = [tf.reduce_sum(value) for value in values]
        counts = [tf.cast(tf.size(value), tf.float32) for value in values]
        self.sums_and_counts.assign_add(tf.stack([sums, counts]))

    def end_step(self):
        """Counts a step for every average that is finite: none that follows NaN ever is."""
        finite = tf.math.is_finite(tf.convert_to_tensor(self.sums_and_counts)[0])
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        self.finite_steps.assign_add(tf.cast(finite, tf.float32) / replicas)

    def result(self):
        """Dict from name to average."""
        sums, counts = tf.unstack(tf.convert_to_tensor(self.sums_and_counts))
        return dict(zip(self.names, tf.unstack(tf.math.divide_no_nan(sums, counts)), strict=True))


@contextlib.contextmanager
def _written_aside(path):
    """Yields a path beside `path`, and renames that file to `path` when all went well."""
    path = pathlib.Path(path)
    aside = path.with_name(f".writing.{path.name}")
    try:
        yield aside
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def _finalize_own_variables(optimizer, variables):
    """At the end of `fit` Keras hands one optimizer all weights of the model, in their order."""
    finalize = optimizer.finalize_variable_values
    optimizer.finalize_variable_values = lambda _: finalize(variables)


def _replica_id():
    context = tf.distribute.get_replica_context()
    return context.replica_id_in_sync_group if context else 0


class GenerativeModel(keras.Model):
    """Base of the models: a `keras.Model` that trains by a list of updates.

    A subclass builds its networks, gives `updates`, and says in `sample` how to draw.

    Args:
        data_shape: tuple, shape of one example, such as (28, 28, 1).
        seed: int or None, for every draw of training. The same seed, data and machine give the same
            weights bit for bit on a CPU. Evaluation draws from a fixed seed of its own, so that it
            neither disturbs training nor changes from call to call.
        **kwargs: arguments of `keras.Model`.
    """

    def __init__(self, data_shape, seed=None, **kwargs):
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
        self._fitting = False
        self.built = True

    # What a subclass gives.

    @property
    def updates(self):
        """List of `Update`, in the order in which they take turns."""
        raise NotImplementedError

    def sample(self, num_samples=1, seed=None):
        """New examples, shape (num_samples, *data_shape)."""
        raise NotImplementedError

    def unpack(self, data):
        """What `terms` takes of a batch that `fit` was given: the examples, without labels."""
        return training_data.unpack(data)

    def zeros(self, num_examples):
        """A batch of zeros, as `unpack` returns it."""
        return tf.zeros((num_examples, *self.data_shape))

    def check_batch(self, x):
        """Raises ValueError if a batch of data, a NumPy array, cannot be modelled."""

    def check_batch_size(self, batch_size):
        """Raises ValueError if a batch of so few examples cannot be trained on."""

    # Randomness.

    def next_seed(self, training=True):
        """A stateless seed for one random draw, int32 tensor of shape (2,)."""
        generator = self.seed_generator if training else self.evaluation_seed_generator
        return tf.cast(generator.next(), tf.int32) + [0, _replica_id()]

    def sampling_seed(self, seed=None):
        """`next_seed` outside of training, or the stateless seed that the int `seed` stands for."""
        return self.next_seed(training=False) if seed is None else tf.constant([seed, 0])

    # Compiling.

    def compile(
        self,
        optimizer="adam",
        steps_per_execution=None,
        jit_compile="auto",
        run_eagerly=False,
        auto_scale_loss=True,
    ):
        """Configures training. The losses belong to the model.

        Args:
            optimizer: Keras optimizer or its name, used by the first update and copied for the
                others; or a dict with one for each update by name.
            steps_per_execution: int, batches per call of the compiled loop, after which callbacks
                and the progress bar hear of them. None picks up to 32, and fewer where `fit` or
                `evaluate` is given a number of steps that 32 does not divide.
            jit_compile: bool or "auto", XLA. "auto" is Keras' choice, except that on a CPU alone
                XLA is used where it pays for some seconds of compiling: in large networks without
                convolutions.
            run_eagerly: bool, for debugging.
            auto_scale_loss: bool, whether mixed_float16 scales the losses.

        Raises:
            ValueError: if a dict of optimizers has other keys than the updates' names.
        """
        optimizers = self._optimizers_by_name(optimizer)
        self._compile_arguments = dict(
            steps_per_execution=steps_per_execution,
            jit_compile=jit_compile,
            run_eagerly=run_eagerly,
            auto_scale_loss=auto_scale_loss,
        )
        self._traced_steps = {}
        if jit_compile == "auto" and not run_eagerly and self._gains_from_xla_on_cpu():
            jit_compile = True
        self.optimizers = {}
        for update in reversed(self.updates):  # Keras' own `optimizer` ends as the first one.
            super().compile(
                optimizers[update.name],
                jit_compile=jit_compile,
                run_eagerly=run_eagerly,
                steps_per_execution=steps_per_execution or 1,
                auto_scale_loss=auto_scale_loss,
            )
            self.optimizer.build(update.variables)
            fused_adam.fuse(self.optimizer)
            _finalize_own_variables(self.optimizer, update.variables)
            self.optimizers[update.name] = self.optimizer
        self.averages = TermAverages(self._log_names())

    def _gains_from_xla_on_cpu(self):
        """Whether this is a CPU alone, and the networks are large and dense."""
        only_cpu = all(device.device_type == "CPU" for device in tf.config.list_physical_devices())
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        dense = all(len(v.shape) <= 2 for v in self.trainable_variables)
        large = sum(math.prod(v.shape) for v in self.trainable_variables) >= XLA_MIN_WEIGHTS
        allowed = all(layer.supports_jit for layer in self._flatten_layers())
        return only_cpu and replicas == 1 and dense and large and allowed

    def _optimizers_by_name(self, optimizer):
        names = [update.name for update in self.updates]
        if isinstance(optimizer, dict):
            if set(optimizer) != set(names):
                raise ValueError(
                    f"{type(self).__name__} has the updates {names}: give one optimizer for all, "
                    f"or a dict with these keys. Received: optimizer with keys {list(optimizer)}."
                )
            return {name: keras.optimizers.get(optimizer[name]) for name in names}
        first = keras.optimizers.get(optimizer)
        copies = [type(first).from_config(first.get_config()) for _ in names[1:]]
        return dict(zip(names, [first, *copies], strict=True))

    def _log_names(self):
        """Names of all terms, from one evaluation on zeros."""
        x = self.zeros(2)
        return {
            name: None
            for update in self.updates
            for name in update.terms(update.inputs(x, training=False)[-1], training=False)
        }

    def get_compile_config(self):
        if not self.compiled:
            return {}
        optimizers = keras.saving.serialize_keras_object(dict(self.optimizers))
        return {"optimizer": optimizers, **self._compile_arguments}

    def compile_from_config(self, config):
        self.compile(**keras.saving.deserialize_keras_object(config))

    # Training and evaluation.

    @property
    def metrics(self):
        return [self.averages] if self.compiled else []

    def train_step(self, data):
        # At the end of the data, seeds and steps must not move on without a batch.
        with tf.control_dependencies(tf.nest.flatten(data)):
            self._take_turns(self.unpack(data))
            self.steps.assign_add(1)
            self.averages.end_step()
            return self.averages.result()

    def _take_turns(self, x):
        groups = itertools.groupby(self.updates, key=lambda update: (update.terms, update.turns))
        for (terms_fn, _), updates in groups:
            updates = tuple(updates)
            for inputs in updates[0].inputs(x, training=True):
                self._apply(updates, terms_fn, inputs)

    def _apply(self, updates, terms_fn, x):
        """One forward pass, and one step of each of `updates`."""
        with tf.GradientTape(persistent=len(updates) > 1) as tape:
            terms = terms_fn(x, training=True)
            losses = [self._scaled_loss(update, terms) for update in updates]
        gradients = [
            tape.gradient(loss, [v.value for v in update.variables])
            for loss, update in zip(losses, updates, strict=True)
        ]
        for gradient, update in zip(gradients, updates, strict=True):
            self.optimizers[update.name].apply(gradient, update.variables)
        self.averages.update_state(terms)

    def _scaled_loss(self, update, terms):
        loss = tf.reduce_mean(tf.cast(terms[update.minimise], tf.float32))
        loss = self.optimizers[update.name].scale_loss(loss)
        return loss / tf.distribute.get_strategy().num_replicas_in_sync

    def test_step(self, data):
        x = self.unpack(data)
        for update in {(u.terms, u.turns): u for u in self.updates}.values():
            for inputs in update.inputs(x, training=False):
                self.averages.update_state(update.terms(inputs, training=False))
        return self.averages.result()

    def fit(
        self,
        x=None,
        y=None,
        batch_size=None,
        epochs=1,
        verbose="auto",
        callbacks=None,
        validation_split=0.0,
        validation_data=None,
        shuffle=True,
        initial_epoch=0,
        steps_per_epoch=None,
        validation_steps=None,
        **kwargs,
    ):
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
            x, validation_data = training_data.split(x, validation_split)
        training_data.check(x, self, batch_size)
        validation_batch_size = kwargs.get("validation_batch_size") or batch_size
        training_data.check(training_data.examples(validation_data), self, validation_batch_size)
        x = training_data.as_dataset(x, batch_size, shuffle, self.seed)
        self._choose_steps_per_execution(
            ["train", "test"], [x, validation_data], [steps_per_epoch, validation_steps]
        )
        if isinstance(x, tf.data.Dataset):
            kwargs["validation_batch_size"] = validation_batch_size
            batch_size, shuffle = None, False
        batches = steps_per_epoch or training_data.num_batches(x)
        # With steps_per_epoch Keras keeps its iterator from epoch to epoch.
        seek = None if steps_per_epoch else getattr(x, "seek", None)
        guard = StopOnDivergence(callbacks)
        position = training_data.ResumePosition(seek, callbacks, initial_epoch, batches)
        with position.active(self):
            history = super().fit(
                x,
                None,
                batch_size,
                epochs,
                verbose,
                [guard, *position.callbacks],
                validation_data=validation_data,
                shuffle=shuffle,
                initial_epoch=initial_epoch,
                steps_per_epoch=steps_per_epoch,
                validation_steps=validation_steps,
                **kwargs,
            )
        for optimizer in self.optimizers.values():  # Averages of weights, where asked for.
            optimizer.finalize_variable_values(None)
        return history

    def evaluate(
        self,
        x=None,
        y=None,
        batch_size=None,
        verbose="auto",
        sample_weight=None,
        steps=None,
        **kwargs,
    ):
        """Averages of all logged terms over a data set; as `keras.Model.evaluate`.

        The draws come from a fixed seed: the same model and data give the same numbers.
        """
        if self.compiled and not self._fitting:
            training_data.check(x, self, batch_size)
            self._choose_steps_per_execution(["test"], [x], [steps])
        seed = self.evaluation_seed_generator.state
        before = keras.ops.convert_to_numpy(seed)
        seed.assign([0, 0])
        try:
            return super().evaluate(x, y, batch_size, verbose, sample_weight, steps, **kwargs)
        finally:
            seed.assign(before)

    def predict(self, *args, **kwargs):
        """`call` on all batches, as arrays; as `keras.Model.predict`."""
        steps, self.steps_per_execution = self.steps_per_execution, 1  # Keras unrolls these.
        try:
            return super().predict(*args, **kwargs)
        finally:
            self.steps_per_execution = steps

    def _choose_steps_per_execution(self, functions, datasets, limits):
        """Sets Keras' `steps_per_execution` for `functions`, unless `compile` was given one."""
        if self._compile_arguments["steps_per_execution"]:
            return
        # Keras overruns a number of steps that `steps_per_execution` does not divide.
        steps = math.gcd(STEPS_PER_EXECUTION, *filter(None, limits))
        steps = min(steps, *(training_data.num_batches(data) or steps for data in datasets))
        if self.distribute_strategy.num_replicas_in_sync > 1:
            steps = 1  # Keras 3.15 cannot trace its loop over several replicas.
        self.steps_per_execution = steps
        for function in functions:
            if self._traced_steps.get(function) != steps:
                setattr(self, f"{function}_function", None)
                self._traced_steps[function] = steps

    # Saving.

    def get_config(self):
        return {**super().get_config(), "seed": self.seed}

    @classmethod
    def from_config(cls, config):
        return cls(**{k: keras.saving.deserialize_keras_object(v) for k, v in config.items()})

    def save(self, filepath, overwrite=True, **kwargs):
        """Saves the whole model as a `.keras` file, written aside and renamed."""
        self._save(super().save, filepath, overwrite, **kwargs)

    def save_weights(self, filepath, overwrite=True, **kwargs):
        """Saves weights, optimizers and seeds as `.weights.h5`, written aside and renamed."""
        self._save(super().save_weights, filepath, overwrite, **kwargs)

    def _save(self, save, filepath, overwrite, **kwargs):
        many_files = kwargs.get("max_shard_size") or not kwargs.get("zipped", True)
        if not overwrite or many_files or "://" in str(filepath):
            return save(filepath, overwrite=overwrite, **kwargs)
        with _written_aside(filepath) as aside:
            save(aside, overwrite=True, **kwargs)

    def _seed_states(self):
        """Every random state of the model and its networks; Keras itself saves none."""
        states = [v for v in self.variables if v.name == "seed_generator_state"]
        return {f"seed_{i}": state for i, state in enumerate(states)}

    def save_own_variables(self, store):
        super().save_own_variables(store)
        for key, state in self._seed_states().items():
            store[key] = state

    def load_own_variables(self, store):
        states = self._seed_states()
        super().load_own_variables({k: store[k] for k in store.keys() if k not in states})
        for key, state in states.items():
            state.assign(store[key])


def load_model(filepath, **kwargs):
    """Loads a model that `GenerativeModel.save` wrote, in any process that imports tfgen.

    `keras.models.load_model` does the same; this one says what is wrong with a bad file.

    Args:
        filepath: path of a `.keras` file.
        **kwargs: arguments of `keras.models.load_model`.

    Returns:
        The model, compiled as it was, ready to train on.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is truncated, no `.keras` file, or holds another kind of model.
    """
    if not os.path.exists(filepath):
        raise FileNotFoundError(f"No model at {filepath}. Write one with model.save(filepath).")
    if not zipfile.is_zipfile(filepath):
        raise ValueError(
            f"{filepath} is not a complete .keras file: it is truncated, or another format. "
            f"Received: {os.path.getsize(filepath)} bytes that are no zip archive. Save the model "
            "again with model.save(filepath)."
        )
    model = keras.models.load_model(filepath, **kwargs)
    if not isinstance(model, GenerativeModel):
        raise ValueError(
            f"Expected a model of tfgen.models in {filepath}. Received: {type(model).__name__}. "
            "Load other models with keras.models.load_model."
        )
    return model
