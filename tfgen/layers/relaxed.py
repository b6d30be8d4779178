"""Relaxed one-hot variables. Maddison et al., arXiv:1611.00712; Jang et al., arXiv:1611.01144."""

from typing import Any

import keras
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability import distributions as tfd
from typing_extensions import Unpack

from tfgen._utils import random
from tfgen._utils.arguments import check_size, is_real
from tfgen._utils.typing import LayerOptions, TensorLike
from tfgen.layers.distribution_lambda import (
    ConvertToTensor,
    DistributionLayer,
    DistributionOptions,
    register,
)
from tfgen.layers.parameters import checked_params
from tfgen.layers.priors import Encoder, Prior

__all__ = ["RelaxedOneHot", "RelaxedOneHotDistribution", "RelaxedOneHotPrior"]

# Temperatures whose draws are numbers of float32: a draw may come close to exp(-20 / temperature).
MIN_TEMPERATURE, MAX_TEMPERATURE = 0.25, 100.0
# Least probability of a class, and least value of a draw.
MIN_PROBABILITY, TINY = 1e-7, 1e-37


def _check_sizes(event_size, num_classes):
    check_size(2, event_size=event_size, num_classes=num_classes)
    if event_size % num_classes:
        raise ValueError(
            "event_size is that of all variables together, a multiple of num_classes. Received: "
            f"event_size={event_size}, num_classes={num_classes}. Ten variables of four classes "
            "have event_size=40."
        )


def _check_temperature(temperature):
    if not is_real(temperature) or not MIN_TEMPERATURE <= temperature <= MAX_TEMPERATURE:
        raise ValueError(
            f"temperature must be a number from {MIN_TEMPERATURE} to {MAX_TEMPERATURE:g}. "
            f"Received: temperature={temperature!r}. At lower ones draws underflow."
        )


class RelaxedOneHotDistribution(tfd.Distribution):
    """Independent relaxed one-hot variables, one after the other in one vector.

    Each is a `tfd.RelaxedOneHotCategorical`. Draws are the same with XLA and without. Probabilities
    of classes are at least 1e-7, so that draws do not underflow.

    Args:
        temperature: scalar tensor.
        logits: tensor, shape (..., variables, classes).

    Example:
        >>> q = RelaxedOneHotDistribution(0.5, tf.zeros((3, 4)))
        >>> q.event_shape, q.sample(2, seed=[0, 0]).shape
        (TensorShape([12]), TensorShape([2, 12]))
    """

    def __init__(
        self, temperature: TensorLike, logits: TensorLike, name: str = "RelaxedOneHot"
    ) -> None:
        parameters = dict(locals())
        logits = tf.convert_to_tensor(logits)
        self.temperature = tf.cast(temperature, logits.dtype)
        self.num_classes = tf.cast(tf.shape(logits)[-1], logits.dtype)
        left = 1.0 - MIN_PROBABILITY * self.num_classes
        self.logits = tf.math.log(left * tf.nn.softmax(logits) + MIN_PROBABILITY)
        super().__init__(
            dtype=logits.dtype,
            reparameterization_type=tfd.FULLY_REPARAMETERIZED,
            validate_args=False,
            allow_nan_stats=True,
            parameters=parameters,
            name=name,
        )

    @property
    def space(self) -> str:
        """What it is a density over."""
        return f"relaxed one-hot vectors of {self.logits.shape[-1]} classes"

    def _batch_shape_tensor(self):
        return tf.shape(self.logits)[:-2]

    def _batch_shape(self):
        return self.logits.shape[:-2]

    def _event_shape_tensor(self):
        return tf.reduce_prod(tf.shape(self.logits)[-2:])[None]

    def _event_shape(self):
        return tf.TensorShape([self.logits.shape[-2:].num_elements()])

    def _flat(self, values):
        shape = tf.concat([tf.shape(values)[:-2], self.event_shape_tensor()], axis=0)
        return tf.reshape(values, shape)

    def _sample_n(self, n: Any, seed: Any = None) -> tf.Tensor:
        shape = tf.concat([[n], tf.shape(self.logits)], axis=0)
        u = random.uniform(shape, tfp.random.sanitize_seed(seed), self.dtype)
        gumbel = -tf.math.log(-tf.math.log(tf.maximum(u, TINY)))
        z = tf.nn.softmax((self.logits + gumbel) / self.temperature)
        return self._flat(tf.maximum(z, TINY))

    def _log_prob(self, z: tf.Tensor) -> tf.Tensor:
        """log Gamma(K) + (K - 1) log t + sum_k (l_k - (t + 1) log z_k) - K log sum_k exp(e_k).

        e_k = l_k - t log z_k, summed over variables.
        """
        shape = tf.concat([tf.shape(z)[:-1], tf.shape(self.logits)[-2:]], axis=0)
        log_z = tf.math.log(tf.maximum(tf.reshape(z, shape), TINY))
        exponents = self.logits - self.temperature * log_z
        num, log_temperature = self.num_classes, tf.math.log(self.temperature)
        constant = tf.math.lgamma(num) + (num - 1.0) * log_temperature
        total = tf.reduce_sum(exponents - log_z, axis=-1)
        log_norm = num * tf.reduce_logsumexp(exponents, axis=-1)
        return tf.reduce_sum(constant + total - log_norm, axis=-1)

    def center(self) -> tf.Tensor:
        """One-hot rows of the most probable classes, to which draws tend at low temperatures."""
        classes = tf.argmax(self.logits, axis=-1)
        return self._flat(tf.one_hot(classes, tf.shape(self.logits)[-1], dtype=self.dtype))


@register
class RelaxedOneHot(DistributionLayer):
    """Relaxed one-hot variables from logits, as q(z|x) of VAEs with discrete latents.

    z = softmax((logits + Gumbel noise) / temperature) for each variable; the variables are
    concatenated in one vector. With `prior=RelaxedOneHotPrior(...)`, a VAE estimates its KL
    divergence by the densities of the relaxed variables at the draw, log q(z|x) - log p(z), as
    Maddison et al. do: its `elbo` is a bound for the relaxed model, and so are samples and
    likelihoods. The KL divergence of categorical variables, which Jang et al. use instead, gives a
    bound for neither model.

    `temperature` is a weight that is not trained; `layer.temperature.assign(value)` changes it
    during training. The temperature of the prior is part of the model and stays fixed.

    Source: Maddison, Mnih & Teh, "The Concrete Distribution", ICLR 2017 (arXiv:1611.00712): draws
    Eq. 10, density Eq. 11, bound Eq. 13. Jang, Gu & Poole, arXiv:1611.01144, Sec. 2: the same draws
    and density. Deviation: probabilities are at least 1e-7.

    Args:
        event_size: int, the size of all variables together, a multiple of `num_classes`.
        num_classes: int >= 2, of each variable.
        temperature: float from 0.25 to 100, at the start.
        convert_to_tensor_fn: as in `DistributionLambda`.
        **kwargs: arguments of `DistributionLambda`.

    Call arguments:
        inputs: logits, shape (..., event_size).

    Returns:
        A `tfd.Distribution` over vectors of `event_size` positive numbers, rows of which sum to 1;
        `log_prob` in nats.

    Raises:
        ValueError: if an argument is out of range, or the last axis of the inputs has another size.

    Example:
        >>> q = RelaxedOneHot(12, num_classes=4)(tf.zeros((8, 12)))
        >>> q.event_shape, round(float(tf.reduce_sum(q.sample(seed=[0, 0])[0])), 3)
        (TensorShape([12]), 3.0)
    """

    def __init__(
        self,
        event_size: int,
        num_classes: int = 10,
        temperature: float = 0.5,
        convert_to_tensor_fn: ConvertToTensor = "sample",
        **kwargs: Unpack[DistributionOptions],
    ) -> None:
        _check_sizes(event_size, num_classes)
        _check_temperature(temperature)
        super().__init__(self._relaxed, convert_to_tensor_fn, **kwargs)
        self.event_size, self.num_classes = int(event_size), int(num_classes)
        self.initial_temperature = float(temperature)
        self.temperature = self.add_weight(
            shape=(),
            initializer=keras.initializers.Constant(temperature),
            trainable=False,
            autocast=False,
            name="temperature",
        )

    def _relaxed(self, inputs):
        params = checked_params(inputs, self.event_size, "RelaxedOneHot")
        shape = (self.event_size // self.num_classes, self.num_classes)
        logits = tf.reshape(params, tf.concat([tf.shape(params)[:-1], shape], axis=0))
        return RelaxedOneHotDistribution(tf.convert_to_tensor(self.temperature), logits)

    @staticmethod
    def params_size(event_size: int, name: str | None = None) -> int:
        """Number of parameters of one event."""
        check_size(2, event_size=event_size)
        return event_size

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "event_size": self.event_size,
            "num_classes": self.num_classes,
            "temperature": self.initial_temperature,
        }


@register
class RelaxedOneHotPrior(Prior):
    """Relaxed one-hot variables of equal probabilities, without weights: p(z) of a `RelaxedOneHot`.

    Source: p(z) in Eq. 13 of Maddison, Mnih & Teh, ICLR 2017 (arXiv:1611.00712).

    Args:
        event_size: int, the size of all variables together, a multiple of `num_classes`.
        num_classes: int >= 2, of each variable.
        temperature: float from 0.25 to 100, of the model's z; that of q(z|x) may be another.
        **kwargs: arguments of `keras.layers.Layer`.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> RelaxedOneHotPrior(12, num_classes=4).as_distribution().sample(2, seed=[0, 0]).shape
        TensorShape([2, 12])
    """

    def __init__(
        self,
        event_size: int,
        num_classes: int = 10,
        temperature: float = 0.5,
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**kwargs)
        _check_sizes(event_size, num_classes)
        _check_temperature(temperature)
        self.event_size, self.num_classes = int(event_size), int(num_classes)
        self.temperature = float(temperature)
        self.built = True

    def as_distribution(self, encoder: Encoder | None = None) -> tfd.Distribution:
        logits = tf.zeros((self.event_size // self.num_classes, self.num_classes))
        return RelaxedOneHotDistribution(self.temperature, logits)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "event_size": self.event_size,
            "num_classes": self.num_classes,
            "temperature": self.temperature,
        }
