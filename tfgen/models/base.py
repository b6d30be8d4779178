"""The base of the models that descend gradients: updates, and one `train_step` for all of them."""

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from tfgen._utils import keras_private
from tfgen.models import fused_adam
from tfgen.models.divergence import StopOnDivergence
from tfgen.models.resumable_model import ResumableModel
from tfgen.models.term_averages import TermAverages

__all__ = ["GenerativeModel", "Update"]


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
    networks: tuple[keras.layers.Layer, ...]
    terms: Callable[..., dict[str, tf.Tensor]]
    minimise: str = "loss"
    turns: Callable[..., list[Any]] | None = None

    def inputs(self, x: Any, training: bool) -> list[Any]:
        """What `terms` is given in each turn."""
        return [x] if self.turns is None else self.turns(x, training)

    @property
    def variables(self) -> list[keras.Variable]:
        """The trainable variables of the networks, each once."""
        variables = (v for network in self.networks for v in network.trainable_variables)
        return list({id(v): v for v in variables}.values())


class GenerativeModel(ResumableModel):
    """Base of the models: a `keras.Model` that trains by a list of updates.

    A subclass builds its networks, gives `updates`, and says in `sample` how to draw.

    Args:
        data_shape: tuple, shape of one example, such as (28, 28, 1).
        seed: int or None, for every draw of training. The same seed, data and machine give the same
            weights bit for bit on a CPU. Evaluation draws from a fixed seed of its own, so that it
            neither disturbs training nor changes from call to call.
        **kwargs: arguments of `keras.Model`.
    """

    # What a subclass gives.

    @property
    def updates(self) -> list[Update]:
        """List of `Update`, in the order in which they take turns."""
        raise NotImplementedError

    def zeros(self, num_examples: int) -> Any:
        """A batch of zeros, as `unpack` returns it."""
        return tf.zeros((num_examples, *self.data_shape))

    # Compiling.

    def compile(
        self,
        optimizer: Any = "adam",
        steps_per_execution: int | None = None,
        jit_compile: bool | str = "auto",
        run_eagerly: bool = False,
        auto_scale_loss: bool = True,
    ) -> None:
        """Configures training. The losses belong to the model.

        Args:
            optimizer: Keras optimizer or its name, used by the first update and copied for the
                others; or a dict with one for each update by name.
            steps_per_execution: int, batches per call of the compiled loop, after which callbacks
                and the progress bar hear of them. None picks up to 32, and fewer where `fit` or
                `evaluate` is given a number of steps that 32 does not divide.
            jit_compile: bool or "auto", XLA; "auto" is Keras' choice, which is none on a CPU.
            run_eagerly: bool, for debugging.
            auto_scale_loss: bool, whether mixed_float16 scales the losses.

        Raises:
            ValueError: if a dict of optimizers has other keys than the updates' names.
        """
        scale = auto_scale_loss and self.dtype_policy.name == "mixed_float16"
        optimizers = self._optimizers_by_name(optimizer, scale)
        first = next(iter(optimizers.values()))
        options = dict(jit_compile=jit_compile, run_eagerly=run_eagerly)
        self._configure(first, steps_per_execution, auto_scale_loss=auto_scale_loss, **options)
        variables = [update.variables for update in self.updates]
        for own, moved in zip(optimizers.values(), variables, strict=True):
            own.build(moved)
            fused_adam.fuse(own)
        keras_private.finalize_each(first, zip(optimizers.values(), variables, strict=True))
        # Last update first: Keras names optimizers in a file by their class and this order.
        self.optimizers = dict(reversed(optimizers.items()))
        self.averages = TermAverages(self._log_names())

    def _optimizers_by_name(self, optimizer, scale):
        names = [update.name for update in self.updates]
        if isinstance(optimizer, dict):
            if set(optimizer) != set(names):
                raise ValueError(
                    f"{type(self).__name__} has the updates {names}: give one optimizer for all, "
                    f"or a dict with these keys. Received: optimizer with keys {list(optimizer)}."
                )
            optimizers = [keras.optimizers.get(optimizer[name]) for name in names]
        else:
            first = keras.optimizers.get(optimizer)
            copies = [type(first).from_config(first.get_config()) for _ in names[1:]]
            optimizers = [first, *copies]
        return dict(zip(names, map(_scaling, optimizers) if scale else optimizers, strict=True))

    def _log_names(self):
        """Names of all terms, from one evaluation on zeros."""
        x = self.zeros(2)
        return {
            name: None
            for update in self.updates
            for name in update.terms(update.inputs(x, training=False)[-1], training=False)
        }

    def identity(self) -> dict[str, str]:
        optimizers = {name: type(own).__name__ for name, own in self.optimizers.items()}
        return {**super().identity(), "optimizers": str(optimizers)}

    def get_compile_config(self) -> dict[str, Any]:
        config = super().get_compile_config()
        if config:
            config["optimizer"] = keras.saving.serialize_keras_object(dict(self.optimizers))
        return config

    # Training and evaluation.

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        return [self.averages] if self.compiled else []

    def own_callbacks(self, callbacks: Any, seekable: bool) -> list[keras.callbacks.Callback]:
        minimised = [update.minimise for update in self.updates]
        return [StopOnDivergence(callbacks, self.averages, minimised)]

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        # At the end of the data, seeds and steps must not move on without a batch.
        with tf.control_dependencies(tf.nest.flatten(data)):
            self._take_turns(self.unpack(data))
            self.steps.assign_add(1)
            self.averages.end_step()
            return self.averages.result()

    def _take_turns(self, x):
        groups = itertools.groupby(self.updates, key=lambda update: (update.terms, update.turns))
        for (terms_fn, _), group in groups:
            updates = tuple(group)
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

    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        x = self.unpack(data)
        for update in {(u.terms, u.turns): u for u in self.updates}.values():
            for inputs in update.inputs(x, training=False):
                self.averages.update_state(update.terms(inputs, training=False))
        return self.averages.result()


def _scaling(optimizer):
    """The optimizer, with the scaled losses that float16 needs."""
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return optimizer
    return keras.optimizers.LossScaleOptimizer(optimizer, name="loss_scale_optimizer")
