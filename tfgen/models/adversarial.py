"""What GANs and their hybrids share: the discriminator's loss, its penalty, and its turns."""

import contextlib
import itertools
from collections.abc import Callable
from typing import Any, ClassVar, TypedDict

import keras
import tensorflow as tf

from tfgen._utils import keras_private
from tfgen._utils.arguments import check_fractions, check_ints, check_one_of
from tfgen._utils.random import normal
from tfgen._utils.typing import ModelOptions, TensorLike
from tfgen.losses import (
    ADVERSARIAL_LOSSES,
    RELATIVISTIC_LOSSES,
    adversarial_loss,
    diff_augment,
    r1_penalty,
    relativistic_loss,
)
from tfgen.losses.augmentation import as_policies
from tfgen.models.base import Update
from tfgen.models.latent import LatentVariableModel

__all__ = ["AdversarialModel", "AdversarialOptions", "JudgeOptions"]


class JudgeOptions(ModelOptions, total=False):
    """Arguments of `AdversarialModel`, for `**kwargs: Unpack[JudgeOptions]` of its children."""

    instance_noise: float
    augment: str
    generator_average: float


class AdversarialOptions(TypedDict, total=False):
    """Arguments of GANs and their hybrids, unless a class refuses them."""

    discriminator_steps: int
    label_smoothing: float
    r1: float


class AdversarialModel(LatentVariableModel):
    """Base of GANs and their hybrids, whose terms may come from one forward pass.

    With several `discriminator_steps` the discriminators take that many for each batch, in turns of
    their own: the batch is split over them, so that every step sees other examples and draws. A
    child gives all its updates to `in_turns`, and lists in `judged` what its discriminators add.
    What its discriminators see has passed `as_shown`: real and generated examples alike, in the
    turns of all networks and in evaluation. Penalties are on the gradient at what they see.

    Args:
        *args: networks and other arguments of the class behind this one.
        instance_noise: float >= 0, standard deviation of the normal noise that is added to all
            that the discriminators see, in units of the data: Sonderby et al., arXiv:1610.04490
            (equations not checked), and Arjovsky & Bottou, arXiv:1701.04862, "Towards softer
            metrics and distributions". A `WeightSchedule` may anneal it.
        augment: string, policies of `tfgen.losses.diff_augment` joined by commas, such as
            "color,translation,cutout", for all images that the discriminator sees; "" for none.
        generator_average: float in [0, 1), momentum of an average of the generator's weights over
            steps, such as 0.999, or 0 for none: Yazici et al., arXiv:1806.04498 (equations not
            checked, but their code, yasinyazici/EMA_GAN). Training goes on with the weights;
            `decode` and all that calls it (`sample`, `generate`, `reconstruct`, `predict`,
            `export`) use their averages. The optimizer keeps these and is saved with them: a model
            that is not compiled, as `load_model(compile=False)` and `with_prior` return it, uses
            the weights. Deviation: statistics of batch normalization, which are not trained, are
            not averaged again.
        **kwargs: other arguments of the class behind this one.

    Raises:
        ValueError: if an argument is out of range, or images are augmented that are none.
    """

    # Names of terms that belong to the discriminators' turns.
    judged: ClassVar[frozenset[str]] = frozenset(
        {"discriminator_loss", "code_discriminator_loss", "gradient_penalty"}
        | {"real_logits", "fake_logits", "encoded_logits", "generated_logits"}
    )

    # Whether both players see data and as many generated examples.
    has_pairs: ClassVar[bool] = False

    def __init__(
        self,
        *args: Any,
        instance_noise: float = 0.0,
        augment: str = "",
        generator_average: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        check_fractions("Use 0 for none.", generator_average=generator_average)
        self.generator_average = generator_average
        self.instance_noise = self.add_loss_weight("instance_noise", instance_noise, optional=True)
        self.augment = augment
        if as_policies(augment=augment) and len(self.data_shape) != 3:
            raise ValueError(
                "augment changes images, of shape (height, width, channels). Received: "
                f"augment={augment!r} for examples of shape {tuple(self.data_shape)}. Leave it out."
            )

    def set_adversary(
        self, loss: str, discriminator_steps: int, label_smoothing: float, r1: float
    ) -> None:
        """Keeps the arguments; raises ValueError if one is out of range."""
        check_ints(1, discriminator_steps=discriminator_steps)
        self.loss_name, self.label_smoothing = loss, label_smoothing
        self.adversarial_loss: Any = self._loss_of_players()
        self.discriminator_steps = discriminator_steps
        self.r1 = self.add_loss_weight("r1", r1, optional=True)

    def _loss_of_players(self):
        if self.has_pairs:
            check_one_of((*ADVERSARIAL_LOSSES, *RELATIVISTIC_LOSSES), loss=self.loss_name)
        if not self.is_relativistic:
            return adversarial_loss(self.loss_name, self.label_smoothing)
        if not self.has_pairs:
            raise ValueError(
                "A relativistic loss compares each example of the data with one that is generated, "
                f"and a {type(self).__name__} judges each alone. Received: loss="
                f"{self.loss_name!r}. Give one of {ADVERSARIAL_LOSSES}, or train a GAN."
            )
        if self.label_smoothing:
            raise ValueError(
                "A relativistic loss has no labels to smooth. Received: label_smoothing="
                f"{self.label_smoothing} and loss={self.loss_name!r}. Leave one of them out."
            )
        return relativistic_loss(self.loss_name)

    @property
    def is_relativistic(self) -> bool:
        """Whether the players compare data with generated examples."""
        return isinstance(self.loss_name, str) and self.loss_name in RELATIVISTIC_LOSSES

    def in_turns(self, *updates: Update) -> list[Update]:
        """Updates that share a forward pass, those of discriminators in turns of their own."""
        if self.discriminator_steps == 1:
            return list(updates)
        return [
            update._replace(terms=self.judged_terms, turns=self.shares)
            if update.minimise in self.judged
            else update._replace(terms=self.other_terms)
            for update in updates
        ]

    def judged_terms(self, x: Any, training: bool = True) -> dict[str, tf.Tensor]:
        """What is logged of the discriminators' turns."""
        terms = self.terms_for_judges(x, training)
        return {name: value for name, value in terms.items() if name in self.judged}

    def terms_for_judges(self, x: Any, training: bool = True) -> dict[str, tf.Tensor]:
        """At least what discriminators need: what a child overrides that can leave out more."""
        return self.terms(x, training)

    def other_terms(self, x: Any, training: bool = True) -> dict[str, tf.Tensor]:
        """What is logged of the other networks' turn."""
        return {k: v for k, v in self.terms(x, training).items() if k not in self.judged}

    def shares(self, x: Any, training: bool) -> list[Any]:
        """The batch, split over the discriminator's steps.

        In training each sees an example at least, which others see too if the batch has fewer.
        """
        steps, least = self.discriminator_steps, int(training)
        batch_size = tf.shape(tf.nest.flatten(x)[0])[0]
        starts = [batch_size * i // steps for i in range(steps + 1)]
        ends = [tf.maximum(end, start + least) for start, end in itertools.pairwise(starts)]
        return [
            tf.nest.map_structure(lambda part, i=i: part[starts[i] : ends[i]], x)
            for i in range(steps)
        ]

    # The average of the generator's weights.

    def averaged_updates(self) -> dict[str, float]:
        if not self.generator_average:
            return {}
        moves = [u.name for u in self.updates if any(n is self.decoder for n in u.networks)]
        return {moves[0]: self.generator_average}

    def decode(self, z: TensorLike, condition: Any = None) -> Any:
        """p(x|z), or x where the decoder is deterministic, of averaged weights if there are any."""
        with self._averaged_weights():
            return super().decode(z, condition)

    def _averaged_weights(self):
        """A scope in which the decoder has averages in the place of its weights."""
        if not (self.generator_average and self.compiled):
            return contextlib.nullcontext()
        ((name, _),) = self.averaged_updates().items()
        averages = keras_private.averages_or_weights(self.optimizers[name])
        # All variables, since a scope hides one around it.
        values = {id(v): (v, v) for v in self.decoder.variables}
        values |= {id(v): (v, value) for v, value in averages if id(v) in values}
        return keras.StatelessScope(list(values.values()))

    def swap_averages(self) -> None:
        self._check_swaps([keras.callbacks.SwapEMAWeights()])
        super().swap_averages()

    def own_callbacks(self, callbacks: Any, seekable: bool) -> list[keras.callbacks.Callback]:
        self._check_swaps(callbacks)
        return super().own_callbacks(callbacks, seekable)

    def _check_swaps(self, callbacks):
        swaps = any(isinstance(each, keras.callbacks.SwapEMAWeights) for each in callbacks)
        if swaps and self.generator_average:
            raise ValueError(
                "Samples come from the averages already. Received: generator_average="
                f"{self.generator_average} and swapped weights. Leave one of the two out."
            )

    # What discriminators see.

    def as_shown(self, training: bool, *images: tf.Tensor) -> list[tf.Tensor]:
        """Batches of images as a discriminator sees them, augmented and with noise.

        Draws are the same for one place in all batches, such as an image and its reconstruction.
        """
        if self.augment:
            seed = self.next_seed(training)
            images = tuple(diff_augment(x, self.augment, seed) for x in images)
        return self.noisy(training, *images)

    def noisy(self, training: bool, *inputs: tf.Tensor) -> list[tf.Tensor]:
        """Batches with `instance_noise`, the same for one place in all batches of one shape."""
        if not self.initial_loss_weights["instance_noise"]:
            return list(inputs)
        seed = self.next_seed(training)
        return [x + self.instance_noise * normal(tf.shape(x), seed, x.dtype) for x in inputs]

    def r1_term(self, discriminate: Callable, *real: tf.Tensor) -> tf.Tensor | None:
        """The weighted penalty on a discriminator of one or several inputs, or None.

        Args:
            discriminate: callable from the inputs to logits.
            *real: tensors, shape (batch, ...), the inputs that count as real.
        """
        if not self.initial_loss_weights["r1"]:
            return None
        penalties = []
        for i, part in enumerate(real):
            of_part = lambda part, i=i: discriminate(*real[:i], part, *real[i + 1 :])  # noqa: E731
            penalties.append(r1_penalty(of_part, part))
        return self.r1 * tf.add_n(penalties)
