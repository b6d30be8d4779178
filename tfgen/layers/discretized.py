"""Likelihoods of 8-bit pixels. Salimans et al., PixelCNN++, arXiv:1701.05517.

Pixels are numbers in [0, 1] in equal steps, k / 255 of 8-bit images, as `datasets.load` gives them.
The probability of a pixel is that of a logistic variable within half a step of it; the first and
the last pixel have the tails as well.
"""

import math
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability import distributions as tfd
from typing_extensions import Unpack

from tfgen._utils import random
from tfgen._utils.arguments import check_ints, check_size
from tfgen._utils.typing import Shape, TensorLike
from tfgen.layers.distribution_lambda import (
    ConvertToTensor,
    DistributionOptions,
    ParametricDistribution,
    register,
)
from tfgen.layers.distributions import Categorical, Logistic, Mass
from tfgen.layers.independent import IndependentLayer, independent
from tfgen.layers.parameters import as_shape, check_options, positive, split_params

__all__ = ["DiscretizedLogistic", "IndependentDiscretizedLogistic", "MixtureDiscretizedLogistic"]

# Of scales: a hundredth of a step, where all probability is in one pixel, and a hundred intervals.
MIN_STEPS, MAX_SCALE = 0.01, 100.0


class DiscretizedLogistic(Mass):
    """Logistic variables rounded to the nearest of `num_values` equal steps from 0 to 1.

    log P(x) = log[s(a) - s(b)] = log s(a) + log s(-b) + log(1 - exp(b - a)), with the logistic
    function s, a = (x + h - loc) / scale, b = (x - h - loc) / scale and half a step h. The right
    side has no difference of numbers that are nearly equal. Other numbers count as the nearest x.

    Args:
        loc: float tensor.
        scale: float tensor, positive; broadcasts with `loc`.
        num_values: int >= 2.
        validate_args: bool, for TFP.

    Example:
        >>> pixel = DiscretizedLogistic(0.5, 0.1, num_values=3)
        >>> tf.exp(pixel.log_prob([0.0, 0.5, 1.0])).numpy().round(4)
        array([0.0759, 0.8483, 0.0759], dtype=float32)
    """

    def __init__(
        self,
        loc: TensorLike,
        scale: TensorLike,
        num_values: int = 256,
        validate_args: bool = False,
        name: str = "DiscretizedLogistic",
    ) -> None:
        parameters = dict(locals())
        self.loc, self.scale = tf.convert_to_tensor(loc), tf.convert_to_tensor(scale)
        self.num_values = num_values
        super().__init__(self.loc.dtype, validate_args, parameters, name)

    @classmethod
    def _parameter_properties(cls, dtype: Any, num_classes: Any = None) -> dict[str, Any]:
        number = tfp.util.ParameterProperties()
        return dict(loc=number, scale=number)

    def _log_prob(self, x: tf.Tensor) -> tf.Tensor:
        steps = self.num_values - 1
        k = tf.round(x * steps)  # So that neighbours share an edge, to the bit.
        below_upper = tf.math.log_sigmoid(((k + 0.5) / steps - self.loc) / self.scale)
        above_lower = tf.math.log_sigmoid((self.loc - (k - 0.5) / steps) / self.scale)
        between = tf.math.log(-tf.math.expm1(-1 / (steps * self.scale)))
        inner = below_upper + above_lower + between
        return tf.where(k <= 0, below_upper, tf.where(k >= steps, above_lower, inner))

    def _sample_control_dependencies(self, x: tf.Tensor) -> list[tf.Operation]:
        return _checked_steps(x, self.num_values) if self.validate_args else []

    def _mean(self) -> tf.Tensor:
        """E[x] = sum_k P(x >= k / n) / n, over the upper edges of all pixels but the last."""
        steps = self.num_values - 1

        def add(k, total):
            edge = (tf.cast(k, self.dtype) - 0.5) / steps
            return k + 1, total + tf.sigmoid((self.loc - edge) / self.scale)

        zeros = tf.zeros(self.batch_shape_tensor(), self.dtype)
        _, total = tf.while_loop(lambda k, _: k <= steps, add, (1, zeros), maximum_iterations=steps)
        return tf.ensure_shape(total / steps, self.batch_shape)

    def _sample_n(self, n: Any, seed: Any = None) -> tf.Tensor:
        steps = self.num_values - 1
        draws = Logistic(self.loc, self.scale).sample(n, seed=seed)
        return tf.clip_by_value(tf.round(draws * steps), 0, steps) / steps


def _checked_steps(x, num_values):
    """Assertions that values are among those in equal steps from 0 to 1."""
    k = x * (num_values - 1)
    message = f"Data must be one of {num_values} values in equal steps from 0 to 1."
    return [
        tf.debugging.assert_near(k, tf.round(k), atol=1e-3 + 1e-7 * num_values, message=message),
        tf.debugging.assert_non_negative(x, message),
        tf.debugging.assert_less_equal(x, tf.ones((), x.dtype), message),
    ]


def _scale(raw, num_values):
    return positive(raw, MIN_STEPS / (num_values - 1), MAX_SCALE)


@register
class IndependentDiscretizedLogistic(IndependentLayer):
    """Independent pixels in equal steps from 0 to 1: logistic variables, rounded to the steps.

    raw_loc, raw_scale = split(inputs, 2, axis=-1); loc = 0.5 + raw_loc; scale = softplus(raw_scale)
    plus a hundredth of a step, at most 100. It is a probability mass, so that models log bits per
    dimension.

    Source: Salimans et al., PixelCNN++, ICLR 2017 (arXiv:1701.05517), Eq. 2 with one component.

    Args:
        event_shape: int or tuple, shape of one event.
        num_values: int >= 2, grey values: 256 of 8-bit images.
        convert_to_tensor_fn: as in `DistributionLambda`. Draws are not reparameterized.
        validate_args: bool, whether TFP checks values at run time.
        **kwargs: arguments of `DistributionLambda`.

    Call arguments:
        inputs: shape (..., params_size), or (*batch, *event_shape[:-1], 2 * event_shape[-1]).

    Returns:
        `tfd.Independent` over `DiscretizedLogistic`; `log_prob` in nats, summed over the event, of
        values k / (num_values - 1).

    Raises:
        ValueError: if there are fewer than 2 values, or the inputs have neither shape.

    Example:
        >>> p = IndependentDiscretizedLogistic((4, 4, 1))(tf.zeros((5, 4, 4, 2)))
        >>> p.log_prob(tf.ones((5, 4, 4, 1)) * 51 / 255).shape
        TensorShape([5])
    """

    num_params = 2

    def __init__(
        self,
        event_shape: int | Shape = (),
        num_values: int = 256,
        convert_to_tensor_fn: ConvertToTensor = "sample",
        validate_args: bool = False,
        **kwargs: Unpack[DistributionOptions],
    ) -> None:
        check_ints(2, num_values=num_values)
        arguments = dict(
            event_shape=as_shape(event_shape), num_values=num_values, validate_args=validate_args
        )
        super().__init__(arguments, convert_to_tensor_fn, **kwargs)

    @classmethod
    def new(
        cls,
        params: TensorLike,
        event_shape: int | Shape = (),
        num_values: int = 256,
        validate_args: bool = False,
        name: str | None = None,
    ) -> tfd.Distribution:
        """The distribution for `params`: first half raw loc, second half raw scale."""
        check_options(validate_args)
        check_ints(2, num_values=num_values)
        raw_loc, raw_scale = split_params(params, event_shape, cls.num_params)
        scale = _scale(raw_scale, num_values)
        pixel = DiscretizedLogistic(0.5 + raw_loc, scale, num_values, validate_args)
        return independent(pixel, event_shape, validate_args)


class PixelMixture(Mass):
    """Images of independent pixels, each from a mixture that its channels share.

    Args:
        logits: float tensor, shape (*batch, *pixels, K).
        loc: float tensor, shape (*batch, *pixels, K, channels).
        scale: float tensor, shape of `loc`.
        coefficients: float tensor, shape (*batch, *pixels, K, channels, channels): what the loc of
            a channel, the last but one axis, has of the values of those before it.
        num_values: int >= 2.
        image_shape: tuple of int, (*pixels, channels).
        validate_args: bool, for TFP.

    Example:
        >>> loc = tf.fill((4, 4, 2, 3), 0.5)
        >>> weights = tf.zeros((4, 4, 2, 3, 3))
        >>> mixture = PixelMixture(tf.zeros((4, 4, 2)), loc, loc, weights, 256, (4, 4, 3))
        >>> mixture.event_shape, mixture.sample(5, seed=[0, 1]).shape
        (TensorShape([4, 4, 3]), TensorShape([5, 4, 4, 3]))
    """

    def __init__(
        self,
        logits: tf.Tensor,
        loc: tf.Tensor,
        scale: tf.Tensor,
        coefficients: tf.Tensor,
        num_values: int,
        image_shape: tuple[int, ...],
        validate_args: bool = False,
        name: str = "MixtureDiscretizedLogistic",
    ) -> None:
        parameters = dict(locals())
        self.logits, self.loc, self.scale, self.coefficients = logits, loc, scale, coefficients
        self.num_values, self.image_shape = num_values, tuple(image_shape)
        super().__init__(loc.dtype, validate_args, parameters, name)

    @classmethod
    def _parameter_properties(cls, dtype: Any, num_classes: Any = None) -> dict[str, Any]:
        def of(more):
            return tfp.util.ParameterProperties(
                event_ndims=lambda self: len(self.image_shape) - 1 + more
            )

        return dict(logits=of(1), loc=of(2), scale=of(2), coefficients=of(3))

    def _event_shape(self) -> tf.TensorShape:
        return tf.TensorShape(self.image_shape)

    def _event_shape_tensor(self) -> tf.Tensor:
        return tf.constant(self.image_shape)

    def _log_prob(self, x: tf.Tensor) -> tf.Tensor:
        values = x[..., None, :]
        shift = tf.linalg.matvec(self.coefficients, values)
        pixel = DiscretizedLogistic(self.loc + shift, self.scale, self.num_values)
        of_components = tf.reduce_sum(pixel.log_prob(values), axis=-1)
        log_weights = tf.nn.log_softmax(self.logits)
        log_probs = tf.reduce_logsumexp(log_weights + of_components, axis=-1)
        return tf.reduce_sum(log_probs, axis=range(1 - len(self.image_shape), 0))

    def _sample_control_dependencies(self, x: tf.Tensor) -> list[tf.Operation]:
        return _checked_steps(x, self.num_values) if self.validate_args else []

    def _mean(self) -> tf.Tensor:
        if self.image_shape[-1] != 1:
            raise NotImplementedError("The mean of dependent channels has no closed form.")
        means = DiscretizedLogistic(self.loc, self.scale, self.num_values).mean()
        return tf.reduce_sum(tf.nn.softmax(self.logits)[..., None] * means, axis=-2)

    def _sample_n(self, n: Any, seed: Any = None) -> tf.Tensor:
        seed = tfp.random.sanitize_seed(seed)
        chosen = Categorical(self.logits).sample(n, seed=random.fold_in(seed, 0))
        is_chosen = tf.one_hot(chosen, tf.shape(self.logits)[-1], dtype=self.dtype)
        loc, scale = (
            tf.reduce_sum(is_chosen[..., None] * part, axis=-2) for part in (self.loc, self.scale)
        )
        coefficients = tf.reduce_sum(is_chosen[..., None, None] * self.coefficients, axis=-3)
        channels: list[tf.Tensor] = []
        for i in range(self.image_shape[-1]):
            shift = sum(coefficients[..., i, j] * value for j, value in enumerate(channels))
            pixel = DiscretizedLogistic(loc[..., i] + shift, scale[..., i], self.num_values)
            channels.append(pixel.sample(seed=random.fold_in(seed, 1 + i)))
        return tf.stack(channels, axis=-1)


def _params_per_pixel(num_components, num_channels):
    return num_components * (1 + sum(_counts(num_channels)))


def _counts(channels):
    """Of locs, raw scales and raw coefficients, for one component."""
    return channels, channels, channels * (channels - 1) // 2


def _lower_triangle(values, size):
    """The numbers below the diagonal of square matrices, row after row, and zeros."""
    if size == 1:
        return tf.zeros(tf.concat([tf.shape(values)[:-1], [1, 1]], axis=0), values.dtype)
    places = [size * i + j for i in range(size) for j in range(i)]
    # Of rank two: TensorFlow 2.21 dies of some products of more axes, one of which has the size 1.
    rows = tf.reshape(values, (-1, len(places)))
    flat = tf.matmul(rows, tf.one_hot(places, size * size, dtype=values.dtype))
    return tf.reshape(flat, tf.concat([tf.shape(values)[:-1], [size, size]], axis=0))


@register
class MixtureDiscretizedLogistic(ParametricDistribution):
    """Pixels in equal steps from 0 to 1, each from a mixture of rounded logistic variables.

    All channels of a pixel come from the same component. In component k, channel c has the loc
    0.5 + loc_kc + sum over the channels b before it of tanh(raw_kcb) x_b, so that colours depend on
    each other. It is a probability mass, so that models log bits per dimension, which can be
    compared with those of flows.

    With several channels the mean has no closed form: where a model shows E[x|z], it is the mean of
    256 draws.

    Source: Salimans et al., PixelCNN++, ICLR 2017 (arXiv:1701.05517), Eq. 1 and 2; channels of a
    pixel, Sec. 2.2, whose coefficients pass a tanh in the authors' code. Deviations: pixels are in
    [0, 1], and scale = softplus + a hundredth of a step, at most 100.

    Args:
        num_components: int K, 10 in the paper.
        event_shape: tuple, shape of one event, (height, width, channels) of an image.
        num_values: int >= 2, values of a channel: 256 of 8-bit images.
        convert_to_tensor_fn: as in `DistributionLambda`. Draws are not reparameterized.
        validate_args: bool, whether TFP checks values at run time.
        **kwargs: arguments of `DistributionLambda`.

    Call arguments:
        inputs: shape (..., params_size), or (*batch, *event_shape[:-1], parameters of a pixel). Of
            a pixel with C channels first come the K logits, then K times C locs, K times C raw
            scales, and K times C (C - 1) / 2 raw coefficients.

    Returns:
        A `tfd.Distribution`; `log_prob` in nats, summed over the event, of values
        k / (num_values - 1).

    Raises:
        ValueError: if there are fewer than 2 values or no axis of channels, or the inputs have
            neither shape.

    Example:
        >>> size = MixtureDiscretizedLogistic.params_size(10, (8, 8, 3))
        >>> p = MixtureDiscretizedLogistic(10, (8, 8, 3))(tf.zeros((5, size)))
        >>> size // 64, p.log_prob(tf.zeros((5, 8, 8, 3))).shape
        (100, TensorShape([5]))
    """

    def __init__(
        self,
        num_components: int,
        event_shape: int | Shape = (1,),
        num_values: int = 256,
        convert_to_tensor_fn: ConvertToTensor = "sample",
        validate_args: bool = False,
        **kwargs: Unpack[DistributionOptions],
    ) -> None:
        self.params_size(num_components, event_shape)
        check_ints(2, num_values=num_values)
        arguments = dict(
            num_components=num_components,
            event_shape=as_shape(event_shape),
            num_values=num_values,
            validate_args=validate_args,
        )
        super().__init__(arguments, convert_to_tensor_fn, **kwargs)

    @staticmethod
    def new(
        params: TensorLike,
        num_components: int,
        event_shape: int | Shape = (1,),
        num_values: int = 256,
        validate_args: bool = False,
        name: str | None = None,
    ) -> tfd.Distribution:
        """The mixture for `params`: logits, locs, raw scales and raw coefficients of each pixel."""
        check_options(validate_args)
        check_ints(2, num_values=num_values)
        MixtureDiscretizedLogistic.params_size(num_components, event_shape)
        *pixels, channels = as_shape(event_shape)
        size = _params_per_pixel(num_components, channels)
        (params,) = split_params(params, (*pixels, size), 1)
        logits, rest = params[..., :num_components], params[..., num_components:]
        counts = _counts(channels)
        parts = tf.split(rest, [num_components * n for n in counts], axis=-1)
        loc, raw_scale, raw_coefficients = (
            tf.reshape(part, tf.concat([tf.shape(logits), [n]], axis=0))
            for part, n in zip(parts, counts, strict=True)
        )
        return PixelMixture(
            logits,
            0.5 + loc,
            _scale(raw_scale, num_values),
            _lower_triangle(tf.tanh(raw_coefficients), channels),
            num_values,
            (*pixels, channels),
            validate_args,
        )

    @staticmethod
    def params_size(
        num_components: int, event_shape: int | Shape = (1,), name: str | None = None
    ) -> int:
        """Number of parameters of one event."""
        check_size(num_components=num_components)
        shape = as_shape(event_shape)
        if not shape:
            raise ValueError(
                "event_shape must end in an axis of channels. Received: event_shape=(). Give (1,) "
                "for one number, (height, width, channels) for images."
            )
        return math.prod(shape[:-1]) * _params_per_pixel(num_components, shape[-1])
