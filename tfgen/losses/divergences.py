"""KL divergence between distributions over latent variables."""

import contextlib

import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfgen._utils.tensors import check_broadcast, check_distributions, check_tensors
from tfgen._utils.typing import TensorLike

__all__ = ["beside", "is_diagonal_normal", "kl_divergence"]


def is_diagonal_normal(distribution: tfd.Distribution) -> bool:
    """Whether it is a `tfd.Independent` over `tfd.Normal`, as `IndependentNormal` returns."""
    return isinstance(distribution, tfd.Independent) and isinstance(
        distribution.distribution, tfd.Normal
    )


def beside(p: tfd.Distribution, q: tfd.Distribution) -> tfd.Distribution:
    """p, or where it depends on a condition what it is for each row of q."""
    return p.beside(q) if hasattr(p, "beside") else p


def _as_multivariate_normal(distribution):
    """A diagonal `tfd.Independent` normal over vectors in the class that has all closed forms."""
    if is_diagonal_normal(distribution) and distribution.event_shape.rank == 1:
        return tfd.MultivariateNormalDiag(distribution.mean(), distribution.stddev())
    return distribution


def kl_divergence(
    q: tfd.Distribution, p: tfd.Distribution, z: TensorLike | None = None
) -> tf.Tensor:
    """KL(q || p) per example: the closed form where TFP knows one, else at the sample `z`.

    Source: Kingma & Welling, arXiv:1312.6114v10, Eq. 3 and App. B; the estimate is
    log q(z) - log p(z), as in their Eq. 6.

    Args:
        q: `tfd.Distribution`, such as q(z|x).
        p: `tfd.Distribution`, such as the prior p(z).
        z: sample of `q`, needed where there is no closed form.

    Returns:
        Tensor of the distributions' batch shape, in nats; >= 0 in closed form, while an estimate
        may be negative.

    Raises:
        TypeError: if `q` or `p` is not a distribution.
        ValueError: if `z` is not a tensor of their shape.
        NotImplementedError: if there is no closed form and `z` is None.

    Example:
        >>> q, p = tfd.Normal(1.0, 1.0), tfd.Normal(0.0, 1.0)
        >>> float(kl_divergence(q, p))
        0.5
    """
    check_distributions(q=q, p=p)
    if z is not None and not isinstance(q, tfd.JointDistribution):
        check_tensors(q.event_shape.rank or 0, "numbers", z=z)
        check_broadcast(q.batch_shape + q.event_shape, z=z)
    p = beside(p, q)
    for convert in (lambda d: d, _as_multivariate_normal):
        with contextlib.suppress(NotImplementedError):
            return tfd.kl_divergence(convert(q), convert(p))
    if z is None:
        raise NotImplementedError(
            f"No closed form of KL({q.name} || {p.name}) is known, and z=None. "
            "Pass a sample of q for a Monte Carlo estimate."
        )
    return q.log_prob(z) - p.log_prob(z)
