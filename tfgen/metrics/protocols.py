"""What the measures need of a model: the methods of one of these protocols, and nothing more.

What else a model of `tfgen.models` has is used where it is there: `unpack` (labels for conditional
models), `data_shape` and `check_batch` (checks of the data), `jit_compile` (XLA).
"""

import inspect
from typing import Any, Protocol, TypeAlias, runtime_checkable

import tensorflow as tf

from tfgen._utils.typing import Distribution, Seed, TensorLike

__all__ = [
    "Data",
    "FlowDensity",
    "HasCodes",
    "HasDiscriminator",
    "HasElbo",
    "HasEncoder",
    "HasJointDensity",
    "HasLogWeights",
    "HasSamples",
    "require",
]

Data: TypeAlias = TensorLike | tuple[TensorLike, ...] | tf.data.Dataset
"""An array of examples, a tuple of one and its labels, or a finite pipeline of batches of either.
"""


class HasLogWeights(Protocol):
    """What `importance_sampled_nll` needs."""

    def log_weights(self, x: Any, num_samples: int, seed: Seed) -> tf.Tensor:
        """log p(x, z) - log q(z|x) of draws z, in nats, a tensor of shape (num_samples, batch)."""
        ...


class HasEncoder(Protocol):
    """What `active_units` needs."""

    def encode(self, x: Any) -> Any:
        """q(z|x), a tfd.Distribution, or z itself, a tensor of shape (batch, ...)."""
        ...


class HasJointDensity(Protocol):
    """What `annealed_importance_sampling` from the prior needs."""

    def log_joint(self, x: Any, z: tf.Tensor) -> tf.Tensor:
        """log p(x, z) in nats, shape (..., batch) for z of shape (..., batch, *latent_shape)."""
        ...

    def prior_distribution(self) -> Distribution:
        """p(z), a tfd.Distribution."""
        ...


class HasElbo(HasEncoder, HasJointDensity, Protocol):
    """What `posterior_collapse_report` needs, and `annealed_importance_sampling` from q(z|x)."""


class HasCodes(HasEncoder, Protocol):
    """What `disentanglement_report` needs."""

    def decode(self, z: tf.Tensor) -> Any:
        """p(x|z), a tfd.Distribution, or x itself, a tensor of shape (batch, ...)."""
        ...


class HasDiscriminator(Protocol):
    """What `outlier_scores` of a GAN needs."""

    def discriminate(self, training: bool) -> Any:
        """the discriminator, a function from x to logits."""
        ...


class HasSamples(Protocol):
    """What `evaluate_samples` needs."""

    def sample(self, num_samples: int, seed: int | None = None) -> TensorLike:
        """images x, an array or tensor of shape (num_samples, height, width, channels)."""
        ...


@runtime_checkable
class FlowDensity(Protocol):
    """A density q(z|x) without a mean in closed form: that of draws which a flow carries on.

    Attributes:
        base: `tfd.Distribution` of the draws before the flow.
    """

    base: Distribution

    def center(self) -> tf.Tensor:
        """Where the base's mean is sent."""
        ...

    def log_det(self, z: tf.Tensor) -> tf.Tensor:
        """The flow's log-determinant at the point that is sent to `z`."""
        ...


def require(model: Any, protocol: Any, caller: str, remedy: str) -> None:
    """Raises ValueError, which ends in `remedy`, if a model lacks a method of a protocol.

    Example:
        >>> require(object(), HasEncoder, "active_units", "Give an autoencoder.")
        Traceback (most recent call last):
        ValueError: active_units needs a model with the method encode(x), which returns q(z|x), a
        tfd.Distribution, or z itself, a tensor of shape (batch, ...). Received: object, without
        that method. Give an autoencoder.
    """
    for name in (name for name in dir(protocol) if not name.startswith("_")):
        if callable(getattr(model, name, None)):
            continue
        method = getattr(protocol, name)
        arguments = ", ".join(list(inspect.signature(method).parameters)[1:])
        raise ValueError(
            f"{caller} needs a model with the method {name}({arguments}), which returns "
            f"{inspect.getdoc(method)} Received: {type(model).__name__}, without that method. "
            f"{remedy}"
        )
