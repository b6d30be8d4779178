"""What the measures read off q(z|x), of whichever kind it is."""

import contextlib
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen._utils.typing import Distribution
from tfgen.losses import kl_divergence
from tfgen.metrics.protocols import FlowDensity

tfd = tfp.distributions

__all__ = ["code_of", "flat", "kl_of"]


def code_of(q: Any) -> tf.Tensor:
    """A code for each example: the mean of q(z|x), a flow's center, or a deterministic z itself.

    Raises:
        ValueError: if q(z|x) is a distribution that knows neither.

    Example:
        >>> code_of(tfd.Normal([1.0, 2.0], 1.0)).numpy().tolist()
        [1.0, 2.0]
    """
    if isinstance(q, FlowDensity):
        return q.center()
    if not isinstance(q, tfd.Distribution):
        return q
    try:
        return q.mean()
    except NotImplementedError:
        raise ValueError(
            "Codes need a q(z|x) that has mean() or, of a flow, center(). Received: "
            f"{type(q).__name__}, which has neither. Give the class one of them."
        ) from None


def kl_of(q: Distribution, prior: Distribution, z: tf.Tensor) -> tf.Tensor:
    """KL(q(z|x) || p(z)) per example in nats, in closed form or a Monte Carlo estimate.

    The estimate is log q(z|x) - log p(z) at the draw z; of a flow, the entropy of its base takes
    the place of the draw's log-density before the flow.
    """
    if isinstance(q, FlowDensity):
        with contextlib.suppress(NotImplementedError):
            return -q.base.entropy() - q.log_det(z) - prior.log_prob(z)
    return kl_divergence(q, prior, z)


def flat(values: Any) -> np.ndarray:
    """One row for each example."""
    values = np.asarray(values)
    return values.reshape(len(values), -1)
