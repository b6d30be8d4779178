"""The base of the models that descend gradients: updates, and one `train_step` for all of them."""

import itertools
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import keras
import tensorflow as tf

from tfgen._utils import keras_private
from tfgen._utils.arguments import check_flags
from tfgen.layers import given
from tfgen.models import fused_adam
from tfgen.models.conditional import ConditionalModel
from tfgen.models.divergence import StopOnDivergence
from tfgen.models.optimizers import (
    FollowRates,
    LogRates,
    keep_averages,
    one_for_each,
    swap_averages,
)
from tfgen.models.resumable_model import refuse_losses
from tfgen.models.term_averages import TermAverages
from tfgen.models.training_data import parted

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


class GenerativeModel(ConditionalModel):
    """Base of the models: a `keras.Model` that trains by a list of updates.

    A subclass builds its networks, gives `updates`, and says in `sample` how to draw.

    Args:
        data_shape: tuple, shape of one example, such as (28, 28, 1).
        seed: int or None, for every draw of training. The same seed, data and machine give the same
            weights bit for bit on a CPU. Evaluation draws from a fixed seed of its own, so that it
            neither disturbs training nor changes from call to call.
        **kwargs: arguments of `keras.Model`.
    """

    unused_hooks: ClassVar[dict[str, str]] = dict.fromkeys(
        ("compute_loss", "compute_metrics"),
        "Override regularizers or objective of a VAE, terms of another model, or train_step.",
    )

    # What a subclass gives.

    @property
    def updates(self) -> list[Update]:
        """List of `Update`, in the order in which they take turns."""
        raise NotImplementedError

    def averaged_updates(self) -> dict[str, float]:
        """Momentum of the averages that the model uses itself, by the update that moves them.

        Their optimizers keep them, and training leaves the weights in place when it ends.
        """
        return {}

    # Compiling.

    def compile(
        self,
        optimizer: Any = "adam",
        loss: None = None,
        *,
        steps_per_execution: int | None = None,
        jit_compile: bool | str = "auto",
        run_eagerly: bool = False,
        auto_scale_loss: bool = True,
        loss_weights: None = None,
        metrics: None = None,
        weighted_metrics: None = None,
    ) -> None:
        """Configures training. The losses belong to the model.

        Args:
            optimizer: Keras optimizer or its name, used by the first update and copied for the
                others; or a dict with one for each update by name. A learning rate that is changed
                during training, by a callback of Keras too, is that of the first update, and those
                of the others change by the same factor. A schedule inside an optimizer counts that
                optimizer's own steps, of which there are several in a batch where a player takes
                several (`discriminator_steps`).
            loss: None, like `loss_weights`, `metrics` and `weighted_metrics`: they are here so that
                anything else is refused with a message.
            steps_per_execution: int, batches per call of the compiled loop. Callbacks and the
                progress bar hear of them after each call. None picks up to 32, and fewer where
                `fit` or `evaluate` is given a number of steps that 32 does not divide, or callbacks
                that act on batches.
            jit_compile: bool or "auto", whether to compile with XLA. "auto" is Keras' choice, which
                is not to on a CPU, except for models where a `fit` is long enough to make up for
                the time that compiling takes (`xla_pays_after`).
            run_eagerly: bool, for debugging.
            auto_scale_loss: bool, whether mixed_float16 scales the losses.

        Raises:
            ValueError: if a dict of optimizers has other keys than the updates' names, an argument
                is out of range, or there are losses or metrics.
        """
        refused = {"loss": loss, "loss_weights": loss_weights, "metrics": metrics}
        refuse_losses(self, weighted_metrics=weighted_metrics, **refused)
        check_flags(auto_scale_loss=auto_scale_loss)
        scale = auto_scale_loss and self.dtype_policy.name == "mixed_float16"
        names = [update.name for update in self.updates]
        optimizers = one_for_each(names, optimizer, type(self).__name__, scale)
        first = next(iter(optimizers.values()))
        options = dict(jit_compile=jit_compile, run_eagerly=run_eagerly)
        self._configure(first, steps_per_execution, auto_scale_loss=auto_scale_loss, **options)
        averaged = self.averaged_updates()
        for name, momentum in averaged.items():
            keep_averages(optimizers[name], momentum)
        moved = {
            update.name: (optimizers[update.name], update.variables) for update in self.updates
        }
        for own, variables in moved.values():
            own.build(variables)
            fused_adam.fuse(own)
        replaced = [pair for name, pair in moved.items() if name not in averaged]
        keras_private.finalize_each(first, replaced)
        # Last update first: Keras names optimizers in a file by their class and this order.
        self.optimizers = dict(reversed(optimizers.items()))
        self._check_known()
        self.rates = FollowRates(optimizers)
        self.averages = TermAverages(self._log_names())

    def _log_names(self):
        """Names of all terms, from one evaluation on zeros."""
        x, names = self.zeros(2), dict[str, Any]()
        for updates, terms_fn, turns in self._forward_passes():
            names |= self._forward(updates, terms_fn, turns(x, False)[-1], training=False)
        return list(names)

    def check_trained(self) -> None:
        super().check_trained()
        self._check_known()

    def _check_known(self):
        """Raises ValueError if an optimizer is to move variables that it was not built for."""
        for update in self.updates:
            known = {id(v) for v in keras_private.trained_by(self.optimizers[update.name])}
            others = [v.path for v in update.variables if id(v) not in known]
            if others:
                raise ValueError(
                    "An optimizer moves the variables that were trainable when compile was first "
                    f"given it. Received: {len(others)} others, such as {others[0]}, in the update "
                    f"{update.name!r}. Call compile again, with a new optimizer."
                )

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
        """What is logged: the terms, and metrics that a subclass or a layer of a network keeps."""
        if not self.compiled:
            return []
        found = {id(metric): metric for metric in keras_private.metrics_in(self)}
        others = (metric for metric in found.values() if not isinstance(metric, TermAverages))
        return [self.averages, *others]

    def own_callbacks(self, callbacks: Any, seekable: bool) -> list[keras.callbacks.Callback]:
        for callback in callbacks:
            if isinstance(callback, keras.callbacks.SwapEMAWeights):
                self._swap_by_each(callback)
        minimised = [update.minimise for update in self.updates]
        stop = StopOnDivergence(callbacks, self.averages, minimised)
        return [stop, LogRates(self.optimizers, callbacks)]

    def last_callbacks(self) -> list[keras.callbacks.Callback]:
        return [self.rates]

    def _swap_by_each(self, callback):
        if not any(_use_averages(own) for own in self.optimizers.values()):
            raise ValueError(
                "SwapEMAWeights exchanges weights and their averages. Received: optimizers without "
                "averages. Compile with use_ema=True, for example keras.optimizers.Adam(1e-3, "
                "use_ema=True)."
            )

        def finalize():
            for own in self.optimizers.values():
                for variable, average in keras_private.averages(own):
                    average.assign(variable)

        keras_private.swap_by(callback, self.swap_averages, finalize)

    def swap_averages(self) -> None:
        """Exchanges the weights of every network with their averages, and back when called again.

        Raises:
            ValueError: if no optimizer has averages (`use_ema`), or before the first step.
        """
        if not swap_averages(self.optimizers):
            raise ValueError(
                "There are no averaged weights yet. Received: optimizers without use_ema, or that "
                "have taken no step. Compile with use_ema=True and call fit first."
            )

    def add_loss(self, loss: Any) -> None:
        raise ValueError(
            f"A {type(self).__name__} minimises the terms of its updates. Received: add_loss on "
            "the model. Add it to one of its networks, or write a term: regularizers in a VAE, "
            "terms in other models."
        )

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        # At the end of the data, seeds and steps must not move on without a batch.
        with tf.control_dependencies([part for part in tf.nest.flatten(data) if part is not None]):
            self._take_turns(self.unpack(data))
            self.steps.assign_add(1)
            self.averages.end_step()
            return self.get_metrics_result()

    def _forward_passes(self):
        """Triples of updates that share a forward pass, its terms, and its turns."""
        groups = itertools.groupby(self.updates, key=lambda update: (update.terms, update.turns))
        for (terms, _), group in groups:
            updates = tuple(group)
            yield updates, terms, updates[0].inputs

    def _take_turns(self, x):
        for updates, terms_fn, turns in self._forward_passes():
            for inputs in turns(x, training=True):
                self._apply(updates, terms_fn, inputs)

    def _apply(self, updates, terms_fn, x):
        """One forward pass, and one step of each of `updates`."""
        with tf.GradientTape(persistent=len(updates) > 1) as tape:
            terms = self._forward(updates, terms_fn, x, training=True)
            losses = [self._scaled_loss(update, terms) for update in updates]
        gradients = [
            tape.gradient(loss, [v.value for v in update.variables])
            for loss, update in zip(losses, updates, strict=True)
        ]
        for gradient, update in zip(gradients, updates, strict=True):
            self.optimizers[update.name].apply(gradient, update.variables)
        self.averages.update_state(terms)

    def _forward(self, updates, terms_fn, x, training):
        """The terms of a forward pass, with the losses of the networks that `updates` move."""
        networks = {update.name: self._networks_moved_first_by(update) for update in updates}
        x, condition = parted(x)
        with given(condition), keras_private.losses_of_all_calls(sum(networks.values(), [])):
            terms = dict(terms_fn(x, training=training))
            for update in updates:
                losses = [loss for network in networks[update.name] for loss in network.losses]
                name = "" if len(self.updates) == 1 else f"{update.name}_"
                _add_losses(terms, update.minimise, losses, f"{name}regularization")
        return terms

    def _networks_moved_first_by(self, update):
        """Its networks, but for those that an update before it moves: their losses count once."""
        before = itertools.takewhile(lambda other: other.name != update.name, self.updates)
        seen = {id(network) for other in before for network in other.networks}
        return [network for network in update.networks if id(network) not in seen]

    def _scaled_loss(self, update, terms):
        loss = tf.reduce_mean(tf.cast(terms[update.minimise], tf.float32))
        loss = self.optimizers[update.name].scale_loss(loss)
        return loss / tf.distribute.get_strategy().num_replicas_in_sync

    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        x = self.unpack(data)
        for updates, terms_fn, turns in self._forward_passes():
            for inputs in turns(x, training=False):
                self.averages.update_state(self._forward(updates, terms_fn, inputs, training=False))
        return self.get_metrics_result()


def _add_losses(terms, minimise, losses, name):
    """Adds networks' own losses, such as those of regularizers, to what an update minimises."""
    if losses:
        total = tf.add_n([tf.cast(tf.reduce_sum(loss), tf.float32) for loss in losses])
        terms[minimise] = tf.cast(terms[minimise], tf.float32) + total
        terms[name] = total


def _use_averages(optimizer):
    return getattr(optimizer, "inner_optimizer", optimizer).use_ema
