"""Losses of adversarial training, on logits. One value per example, shape (batch,)."""

import functools
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import keras
import tensorflow as tf

from tfgen._utils import random
from tfgen._utils.arguments import check_flags, check_fractions, check_one_of, is_real
from tfgen._utils.replicas import whole_batch
from tfgen._utils.tensors import (
    check_broadcast,
    check_callables,
    check_finite,
    check_same_shape,
    check_stateless_seed,
    check_tensors,
)
from tfgen._utils.typing import Seed

__all__ = [
    "ADVERSARIAL_LOSSES",
    "RELATIVISTIC_LOSSES",
    "AdversarialLoss",
    "RelativisticLoss",
    "WeightClipping",
    "adversarial_loss",
    "ascend_multiplier",
    "constraint_penalty",
    "gradient_penalty",
    "proximity",
    "r1_penalty",
    "relativistic_loss",
    "with_penalty",
]

# Of the exponentials in losses of f-GANs.
MAX_EXPONENT = 30.0

Discriminator: TypeAlias = Callable[[tf.Tensor], tf.Tensor]
"""From examples to logits, shape (batch, ...)."""


class AdversarialLoss(NamedTuple):
    """Losses of a discriminator and a generator, as functions of logits.

    Each function maps logits of shape (batch, ...) to losses of shape (batch,). If an example has
    several logits, such as one for each patch, their losses are averaged.

    Attributes:
        real: the discriminator's loss on logits of data; takes `label_smoothing` where the loss
            has labels.
        fake: the discriminator's loss on logits of generated examples.
        generator: the generator's loss on logits of generated examples.

    Example:
        >>> loss = adversarial_loss("hinge")
        >>> loss.of_discriminator(tf.constant([[3.0]]), tf.constant([[0.5]])).numpy()
        array([1.5], dtype=float32)
    """

    real: Callable[..., tf.Tensor]
    fake: Callable[..., tf.Tensor]
    generator: Callable[..., tf.Tensor]

    def of_discriminator(self, real_logits: tf.Tensor, fake_logits: tf.Tensor) -> tf.Tensor:
        """What the discriminator minimises, shape (batch,)."""
        return self.real(real_logits) + self.fake(fake_logits)

    def of_generator(
        self, fake_logits: tf.Tensor, real_logits: tf.Tensor | None = None
    ) -> tf.Tensor:
        """What the generator minimises, shape (batch,); it looks at no data."""
        return self.generator(fake_logits)


class RelativisticLoss(NamedTuple):
    """Losses of a discriminator and a generator that compare data with generated examples.

    Attributes:
        paired: function of logits of data and of generated examples, both of shape (batch, ...), to
            the discriminator's loss, shape (batch,). The generator's loss swaps the two.

    Example:
        >>> loss = relativistic_loss("relativistic")
        >>> loss.of_discriminator(tf.constant([[30.0]]), tf.constant([[0.0]])).numpy().round(3)
        array([0.], dtype=float32)
    """

    paired: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]

    def of_discriminator(self, real_logits: tf.Tensor, fake_logits: tf.Tensor) -> tf.Tensor:
        """What the discriminator minimises, shape (batch,)."""
        return self.paired(real_logits, fake_logits)

    def of_generator(self, fake_logits: tf.Tensor, real_logits: tf.Tensor) -> tf.Tensor:
        """What the generator minimises, shape (batch,)."""
        return self.paired(fake_logits, real_logits)


def _per_example(function):
    """Applies `function` to float32 logits and averages all but the batch axis."""

    @functools.wraps(function)
    def wrapped(logits, **kwargs):
        check_tensors(1, "numbers", logits=logits)
        check_fractions(**kwargs)
        values = function(tf.cast(logits, tf.float32), **kwargs)
        return tf.reduce_mean(values, axis=range(1, len(values.shape)))

    return wrapped


@_per_example
def _mean_logit(logits):
    return logits


@_per_example
def _log_odds(logits):
    return -logits


@_per_example
def _says_real(logits, label_smoothing=0.0):
    """-log D, or with a target of 1 - label_smoothing the cross-entropy."""
    return tf.nn.softplus(-logits) + label_smoothing * logits


@_per_example
def _says_fake(logits):
    """-log(1 - D)."""
    return tf.nn.softplus(logits)


@_per_example
def _not_fake(logits):
    """log(1 - D)."""
    return -tf.nn.softplus(logits)


@_per_example
def _near_one(logits, label_smoothing=0.0):
    return tf.square(logits - (1 - label_smoothing)) / 2


def _exp(x):
    """exp(x), beyond `MAX_EXPONENT` its tangent there, so that no logit overflows."""
    within = tf.minimum(x, MAX_EXPONENT)
    return tf.exp(within) * (1 + x - within)


def _f_divergence(output, conjugate):
    """The loss of an f-GAN: -g(d) on data and f*(g(d)) on generated, which the generator raises."""
    return AdversarialLoss(
        _per_example(lambda d: -output(d)),
        _per_example(conjugate),
        _per_example(lambda d: -conjugate(d)),
    )


_ADVERSARIAL = {
    "minimax": AdversarialLoss(_says_real, _says_fake, _not_fake),
    "non_saturating": AdversarialLoss(_says_real, _says_fake, _says_real),
    "log_odds": AdversarialLoss(_says_real, _says_fake, _log_odds),
    "wasserstein": AdversarialLoss(_log_odds, _mean_logit, _log_odds),
    "least_squares": AdversarialLoss(
        _near_one, _per_example(lambda d: tf.square(d) / 2), _near_one
    ),
    "hinge": AdversarialLoss(
        _per_example(lambda d: tf.nn.relu(1 - d)),
        _per_example(lambda d: tf.nn.relu(1 + d)),
        _log_odds,
    ),
    # Of each g(d), and f*(g(d)).
    "kl": _f_divergence(lambda d: d, lambda d: _exp(d - 1)),
    "reverse_kl": _f_divergence(lambda d: -_exp(-d), lambda d: d - 1),
    "pearson": _f_divergence(lambda d: d, lambda d: tf.square(d) / 4 + d),
    "squared_hellinger": _f_divergence(lambda d: 1 - _exp(-d), lambda d: _exp(d) - 1),
}
ADVERSARIAL_LOSSES = tuple(_ADVERSARIAL)


def adversarial_loss(name: str, label_smoothing: float = 0.0) -> AdversarialLoss:
    """An adversarial loss by name. With D = sigmoid(d), d the logits, and in nats:

    | name | discriminator on data, on generated | generator | source |
    | --- | --- | --- | --- |
    | minimax | -log D, -log(1 - D) | log(1 - D) | Goodfellow, Eq. 1; Mi, Eq. 1 |
    | non_saturating | the same | -log D | Goodfellow, Sec. 3; Mi, Eq. 2 |
    | log_odds | the same | -log D + log(1 - D) = -d | Rosca, Alg. 1 |
    | wasserstein | -d, d | -d | Arjovsky, Eq. 2; Mi, Eq. 5 |
    | least_squares | (d - 1)^2 / 2, d^2 / 2 | (d - 1)^2 / 2 | Mao, Eq. 9 |
    | hinge | max(0, 1 - d), max(0, 1 + d) | -d | Miyato, Eq. 16, 17 |
    | kl | -d, exp(d - 1) | -exp(d - 1) | Nowozin |
    | reverse_kl | exp(-d), d - 1 | 1 - d | Nowozin |
    | pearson | -d, d^2 / 4 + d | -d^2 / 4 - d | Nowozin |
    | squared_hellinger | exp(-d) - 1, exp(d) - 1 | 1 - exp(d) | Nowozin |

    The last four are f-GANs. With p the density of the data and q the generator's, the least value
    of the discriminator's loss is minus an f-divergence: KL(p || q), KL(q || p), sum (p - q)^2 / q
    or sum (sqrt p - sqrt q)^2. Exponentials are continued by tangents beyond exponents of 30.

    Source: Goodfellow et al., arXiv:1406.2661v1; Arjovsky et al., arXiv:1701.07875v3; Mao et al.,
    arXiv:1611.04076v3; Miyato et al., arXiv:1802.05957v1; Rosca et al., arXiv:1706.04987v2; Nowozin
    et al., arXiv:1606.00709v1 (equations not checked: derived from the divergences);
    L. Mi et al., "A Probe Towards Understanding GAN and VAE Models", arXiv:1812.05676v2, whose
    Eq. 1 and 5 print "1 - log D" and "1 - D(G(z))": a misprint, and a constant.

    Args:
        name: string, one of `ADVERSARIAL_LOSSES`.
        label_smoothing: float in [0, 1), by which the discriminator's target for data falls short
            of 1 (one-sided: Salimans et al., arXiv:1606.03498v1, Sec. 3.4). Wasserstein, hinge and
            f-GANs have no labels.

    Returns:
        `AdversarialLoss`.

    Raises:
        ValueError: if there is no such loss, or it cannot be smoothed that much.

    Example:
        >>> loss = adversarial_loss("non_saturating")
        >>> [round(float(value), 4) for value in loss.generator(tf.zeros((2, 1)))]  # ln 2
        [0.6931, 0.6931]
    """
    check_one_of(_ADVERSARIAL, "Give the name of one.", loss=name)
    check_fractions(label_smoothing=label_smoothing)
    loss = _ADVERSARIAL[name]
    if not label_smoothing:
        return loss
    if loss.real not in (_says_real, _near_one):
        raise ValueError(
            f"The loss {name!r} has no labels to smooth. Received: label_smoothing="
            f"{label_smoothing}. Use 'non_saturating', 'minimax', 'log_odds' or "
            "'least_squares'."
        )
    return loss._replace(real=functools.partial(loss.real, label_smoothing=label_smoothing))


def _to_float(real_logits, fake_logits):
    check_tensors(1, "numbers", real_logits=real_logits, fake_logits=fake_logits)
    check_same_shape(real_logits=real_logits, fake_logits=fake_logits)
    return tf.cast(real_logits, tf.float32), tf.cast(fake_logits, tf.float32)


def _above_its_partner(real_logits, fake_logits):
    """-log of the probability that an example is more real than the one in its place."""
    real_logits, fake_logits = _to_float(real_logits, fake_logits)
    return _says_real(real_logits - fake_logits)


def _above_the_average(real_logits, fake_logits):
    """The same of an example and the mean of the others, and of these and the mean of examples."""
    real_logits, fake_logits = _to_float(real_logits, fake_logits)
    real, fake = (
        tf.reduce_mean(whole_batch(logits), axis=0, keepdims=True)
        for logits in (real_logits, fake_logits)
    )
    return _says_real(real_logits - fake) + _says_fake(fake_logits - real)


_RELATIVISTIC = {
    "relativistic": RelativisticLoss(_above_its_partner),
    "relativistic_average": RelativisticLoss(_above_the_average),
}
RELATIVISTIC_LOSSES = tuple(_RELATIVISTIC)


def relativistic_loss(name: str) -> RelativisticLoss:
    """A relativistic loss by name, in nats: data are compared with as many generated examples.

    With logits d of data and e of generated examples, the discriminator minimises one of these. The
    generator minimises the same with d and e exchanged.

    - "relativistic": -log sigmoid(d_i - e_i), which compares the i-th examples of the two batches;
    - "relativistic_average": -log sigmoid(d_i - mean e) - log(1 - sigmoid(e_i - mean d)), with
      means over the batch, over all replicas together.

    Source: Jolicoeur-Martineau, arXiv:1807.00734v3, RSGAN and RaSGAN there (equations not checked;
    the losses of the author's code, AlexiaJM/RelativisticGAN, are the same, but for the second it
    takes half of the sum).

    Args:
        name: string, one of `RELATIVISTIC_LOSSES`.

    Returns:
        `RelativisticLoss`.

    Raises:
        ValueError: if there is no such loss.

    Example:
        >>> loss = relativistic_loss("relativistic")
        >>> round(float(loss.of_generator(tf.zeros((1, 1)), tf.zeros((1, 1)))[0]), 4)  # ln 2
        0.6931
    """
    check_one_of(_RELATIVISTIC, "Give the name of one.", loss=name)
    return _RELATIVISTIC[name]


def _squared_norm_of_gradient(discriminator, x):
    """||d discriminator(x) / dx||^2, shape (batch,)."""
    check_callables("a function from examples to logits", discriminator=discriminator)
    x = tf.convert_to_tensor(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        logits = discriminator(x)
        check_tensors(1, "numbers", **{"discriminator(real)": logits})
        logits = _mean_logit(logits)
    gradient = tf.cast(tape.gradient(logits, x), tf.float32)
    return tf.reduce_sum(tf.square(gradient), axis=range(1, len(gradient.shape)))


def gradient_penalty(
    discriminator: Discriminator,
    real: tf.Tensor,
    fake: tf.Tensor,
    seed: Seed,
    one_sided: bool = False,
) -> tf.Tensor:
    """(||grad D(x)|| - 1)^2 at points between real and generated examples.

    Source: Gulrajani et al., arXiv:1704.00028v3, Eq. 3 and Algorithm 1; one-sided, max(0, ||grad
    D(x)|| - 1)^2, as in its Sec. 4 and Petzka et al., arXiv:1709.08894v2. The norm is over
    all dimensions of an example, with 1e-12 inside the square root; D is the mean of an example's
    logits. The discriminator must look at each example alone: no batch normalization.

    Args:
        discriminator: callable from x to logits, shape (batch, ...).
        real: float tensor, shape (batch, ...).
        fake: float tensor, the shape of `real`.
        seed: stateless seed for the positions between them, one in [0, 1] per pair.
        one_sided: bool, whether norms under 1 are free.

    Returns:
        Tensor >= 0, shape (batch,).

    Raises:
        ValueError: if `real` and `fake` differ in shape, or another argument is of the wrong kind.

    Example:
        >>> x = tf.zeros((4, 2))
        >>> penalty = gradient_penalty(lambda x: tf.reduce_sum(3 * x, -1), x, x, seed=[0, 0])
        >>> [round(float(p), 3) for p in penalty]  # (3 sqrt(2) - 1)^2
        [10.515, 10.515, 10.515, 10.515]
    """
    check_tensors(1, real=real, fake=fake)
    check_same_shape(real=real, fake=fake)
    check_stateless_seed(seed=seed)
    check_flags(one_sided=one_sided)
    real, fake = tf.convert_to_tensor(real), tf.convert_to_tensor(fake)
    shape = [tf.shape(real)[0], *[1] * (len(real.shape) - 1)]
    position = random.uniform(shape, seed, real.dtype)
    between = real + position * (fake - real)
    excess = tf.sqrt(_squared_norm_of_gradient(discriminator, between) + 1e-12) - 1
    return tf.square(tf.nn.relu(excess) if one_sided else excess)


def r1_penalty(discriminator: Discriminator, real: tf.Tensor) -> tf.Tensor:
    """||grad D(x)||^2 / 2 at real examples.

    Source: Mescheder et al., arXiv:1801.04406v4, Eq. 9, without its gamma.

    Args:
        discriminator: callable from x to logits, shape (batch, ...).
        real: float tensor, shape (batch, ...).

    Returns:
        Tensor >= 0, shape (batch,).

    Raises:
        ValueError: if `real` is not a tensor of floats, or the discriminator is not callable.

    Example:
        >>> [float(p) for p in r1_penalty(lambda x: tf.reduce_sum(3 * x, -1), tf.zeros((1, 2)))]
        [9.0]
    """
    check_tensors(1, real=real)
    return _squared_norm_of_gradient(discriminator, real) / 2


def proximity(samples: tf.Tensor, old_samples: tf.Tensor) -> tf.Tensor:
    """Mean squared distance between the generator's samples and its earlier samples for the same z.

    Source: J. Su, "Variational Inference: A Unified Framework of Generative Models and Some
    Revelations", arXiv:1807.05936v4, Eq. 26, there summed over the D dimensions; the mean, 1 / D of
    it, is what the author's code weights with lambda = 5.

    Args:
        samples: tensor G(z), shape (batch, ...).
        old_samples: tensor G_old(z), the same shape; no gradient flows into it.

    Returns:
        Tensor >= 0 in squared units of the data, shape (batch,).

    Raises:
        ValueError: if the shapes differ.

    Example:
        >>> [float(p) for p in proximity(tf.ones((1, 4)), tf.zeros((1, 4)))]
        [1.0]
    """
    check_tensors(1, "numbers", samples=samples, old_samples=old_samples)
    check_same_shape(samples=samples, old_samples=old_samples)
    step = tf.cast(samples, tf.float32) - tf.stop_gradient(tf.cast(old_samples, tf.float32))
    return tf.reduce_mean(tf.square(step), axis=range(1, len(step.shape)))


def constraint_penalty(loss: tf.Tensor, bound: float) -> tf.Tensor:
    """max(L - d, 0): by how much the mean L of `loss` over the batch exceeds the bound d.

    Source: Mi et al., arXiv:1812.05676v2, Sec. 4.1, min L_vae + lambda max(L_gan - d, 0).

    Args:
        loss: tensor, one value per example; the mean is over all replicas together.
        bound: float d, in units of the loss.

    Returns:
        Scalar tensor >= 0.

    Raises:
        ValueError: if `loss` is not a tensor of floats, or `bound` is not a finite number.

    Example:
        >>> float(constraint_penalty(tf.constant([1.0, 2.0]), bound=1.0))
        0.5
    """
    check_tensors(loss=loss)
    check_finite(bound=bound)
    return tf.nn.relu(_mean_over_batch(loss) - bound)


def ascend_multiplier(
    multiplier: tf.Tensor | float, loss: tf.Tensor, bound: float, rate: float
) -> tf.Tensor:
    """The Lagrange multiplier after one step of dual ascent, max(0, lambda + rate (L - d)).

    Source: Mi et al., arXiv:1812.05676v2, Sec. 4.1, the Lagrangian of L_gan <= d, of which the
    paper solves an approximation; dual ascent as in Boyd et al., "Distributed Optimization",
    2011, Sec. 2.1, projected onto lambda >= 0.

    Args:
        multiplier: float tensor lambda >= 0.
        loss: tensor, one value per example; L is the mean over all replicas together.
        bound: float d, in units of the loss.
        rate: float >= 0, step size.

    Returns:
        Scalar tensor >= 0.

    Raises:
        ValueError: if a number is negative or not finite, or `loss` is not a tensor of floats.

    Example:
        >>> float(ascend_multiplier(1.0, tf.constant([2.0]), bound=1.5, rate=0.5))
        1.25
    """
    check_tensors(loss=loss)
    check_finite(bound=bound)
    check_finite(0.0, multiplier=multiplier, rate=rate)
    return tf.nn.relu(multiplier + rate * (_mean_over_batch(loss) - bound))


def _mean_over_batch(loss):
    """Of all replicas' batches together, where there are several."""
    return tf.reduce_mean(whole_batch(tf.reshape(loss, (-1,))))


def with_penalty(terms: dict[str, tf.Tensor], penalty: tf.Tensor | None) -> dict[str, tf.Tensor]:
    """`terms` with the discriminator's weighted penalty, if there is one.

    Args:
        terms: dict from names to tensors, shape (batch,), "discriminator_loss" among them.
        penalty: tensor, shape (batch,), or None.

    Returns:
        Dict of them, the penalty added to "discriminator_loss" and named "gradient_penalty".

    Example:
        >>> terms = with_penalty({"discriminator_loss": tf.ones(1)}, tf.ones(1))
        >>> {name: float(value[0]) for name, value in terms.items()}
        {'discriminator_loss': 2.0, 'gradient_penalty': 1.0}
    """
    _check_terms(terms)
    if penalty is None:
        return terms
    check_tensors(penalty=penalty)
    check_broadcast(terms["discriminator_loss"].shape, penalty=penalty)
    loss = terms["discriminator_loss"] + penalty
    return {**terms, "discriminator_loss": loss, "gradient_penalty": penalty}


def _check_terms(terms):
    if not isinstance(terms, dict) or "discriminator_loss" not in terms:
        raise ValueError(
            "terms must be a dict with a tensor named 'discriminator_loss'. Received: terms of type"
            f" {type(terms).__name__}{f', {list(terms)}' if isinstance(terms, dict) else ''}."
        )


@keras.saving.register_keras_serializable("tfgen")
class WeightClipping(keras.constraints.Constraint):
    """Clips weights to [-bound, bound] after each step of their optimizer.

    Source: Arjovsky et al., arXiv:1701.07875v3, Algorithm 1, line 7.

    Args:
        bound: float > 0, c.

    Raises:
        ValueError: if `bound` is not positive.

    Example:
        >>> [round(float(w), 3) for w in WeightClipping(0.01)(tf.constant([-1.0, 0.005]))]
        [-0.01, 0.005]
    """

    def __init__(self, bound: float = 0.01) -> None:
        if not is_real(bound) or bound <= 0:
            raise ValueError(f"Weights are clipped to [-bound, bound]. Received: bound={bound!r}.")
        self.bound: float = bound

    def __call__(self, weights: tf.Tensor) -> tf.Tensor:
        check_tensors(weights=weights)
        return tf.clip_by_value(weights, -self.bound, self.bound)

    def get_config(self) -> dict[str, float]:
        return {"bound": self.bound}
