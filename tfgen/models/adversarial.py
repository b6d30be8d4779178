"""What GANs and their hybrids share: the discriminator's loss, its penalty, and its turns."""

from collections.abc import Callable
from typing import Any, ClassVar, TypedDict

import tensorflow as tf

from tfgen._utils.arguments import check_ints
from tfgen.losses import adversarial_loss, r1_penalty
from tfgen.models.base import Update
from tfgen.models.latent import LatentVariableModel

__all__ = ["AdversarialModel", "AdversarialOptions"]


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
    """

    # Names of terms that belong to the discriminators' turns.
    judged: ClassVar[frozenset[str]] = frozenset(
        {"discriminator_loss", "code_discriminator_loss", "gradient_penalty"}
        | {"real_logits", "fake_logits", "encoded_logits", "generated_logits"}
    )

    def set_adversary(
        self, loss: str, discriminator_steps: int, label_smoothing: float, r1: float
    ) -> None:
        """Keeps the arguments; raises ValueError if one is out of range."""
        check_ints(1, discriminator_steps=discriminator_steps)
        self.loss_name, self.label_smoothing = loss, label_smoothing
        self.adversarial_loss = adversarial_loss(loss, label_smoothing)
        self.discriminator_steps = discriminator_steps
        self.r1 = self.add_loss_weight("r1", r1, optional=True)

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
        """The batch, split over the discriminator's steps."""
        steps = self.discriminator_steps
        batch_size = tf.shape(tf.nest.flatten(x)[0])[0]
        ends = [batch_size * i // steps for i in range(steps + 1)]
        return [
            tf.nest.map_structure(lambda part, i=i: part[ends[i] : ends[i + 1]], x)
            for i in range(steps)
        ]

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

    def check_batch_size(self, batch_size: int) -> None:
        super().check_batch_size(batch_size)
        if batch_size < self.discriminator_steps:
            raise ValueError(
                f"Each batch is split over discriminator_steps={self.discriminator_steps} steps, "
                f"so that each sees other examples. Received: a batch of {batch_size}. Give larger "
                "batches, such as batch_size=64 * discriminator_steps, and none that is left over."
            )
