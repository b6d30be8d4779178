"""KL terms that enter a stock Keras model's loss. After TFP 0.25, `tfp.layers`."""

from collections.abc import Callable
from typing import Any, TypeAlias

import keras
import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd
from typing_extensions import Unpack

from tfgen._utils import keras_private
from tfgen._utils.arguments import as_numbers, check_flags
from tfgen._utils.tensors import check_callables, check_finite
from tfgen._utils.typing import LayerOptions
from tfgen.layers.distribution_lambda import (
    add_activity_loss,
    register,
    serialized,
    track_prior,
)
from tfgen.layers.held_variables import check_no_variables, held_by
from tfgen.layers.priors import Prior
from tfgen.losses import kl_divergence

__all__ = ["KLDivergenceAddLoss", "KLDivergenceRegularizer"]

PriorLike: TypeAlias = Prior | tfd.Distribution | keras.Model | Callable[[], tfd.Distribution]
"""What gives a p(z)."""


def _distribution_of(prior):
    """The `tfd.Distribution` that a prior layer, a model or a function returns."""
    if isinstance(prior, Prior):
        return prior.as_distribution()
    if isinstance(prior, keras.Model):
        return prior(tf.zeros(()))  # A dummy, as in TFP: the model must not depend on its input.
    distribution = prior() if callable(prior) else prior
    check_no_variables("distribution_b", distribution.trainable_variables)
    return distribution


def _mean(kl, distribution, axes):
    """Mean over test points, the batch and further axes; sum over what is left of the batch shape.

    The events of one example may be spread over several distributions, as where `tfd.Independent`
    is missing.
    """
    rank, batch_rank = kl.shape.rank, distribution.batch_shape.rank
    if rank is None or batch_rank is None:
        rank, batch_rank = tf.rank(kl), tf.size(distribution.batch_shape_tensor())
        left = tf.range(rank - batch_rank + 1, rank)
        is_summed = tf.reduce_all(left[:, None] != tf.constant(axes, tf.int32) % rank, axis=1)
        return tf.reduce_mean(tf.reduce_sum(kl, axis=left[is_summed]))
    averaged = {axis % rank for axis in axes}
    left = range(rank - batch_rank + 1, rank)
    return tf.reduce_mean(tf.reduce_sum(kl, axis=[a for a in left if a not in averaged]))


def _check_prior(prior):
    if not isinstance(prior, Prior | tfd.Distribution) and not callable(prior):
        raise ValueError(
            "distribution_b must be a prior of tfgen.layers, a tfd.Distribution, or a function or "
            f"model that returns one. Received: distribution_b={prior!r}. Use "
            "StandardNormal(event_shape)."
        )


def _check_axes(axes):
    """Raises ValueError unless they are None, an int, or a sequence of ints."""
    values = np.zeros(0, int) if axes is None else as_numbers(test_points_reduce_axis=axes)
    if values.ndim > 1 or (values.size and values.dtype.kind != "i") or np.any(abs(values) > 99):
        raise ValueError(
            "test_points_reduce_axis must be an int or a sequence of ints, axes of log_prob. "
            f"Received: test_points_reduce_axis={axes!r}."
        )


def _serialized_prior(prior):
    if isinstance(prior, tfd.Distribution):
        raise ValueError(
            "A tfd.Distribution cannot be saved as part of a Keras model. Received: distribution_b="
            f"{prior!r}. Use a prior of tfgen.layers, such as StandardNormal(event_shape)."
        )
    return serialized(prior)


@register
class KLDivergenceRegularizer(keras.regularizers.Regularizer):
    """KL(a || b) of a distribution layer's output, as its `activity_regularizer`.

    It is the mean over the batch, the first axis, and the sum over further axes of the batch shape,
    which a `tfd.Normal` has if no `tfd.Independent` makes them an event.

    Source: `tfp.layers.KLDivergenceRegularizer`, TFP 0.25. Deviation: the mean enters the loss
    once; in models of Keras 2 it entered twice.

    Args:
        distribution_b: prior of `tfgen.layers`, or a `tfd.Distribution` without variables, or a
            callable or `keras.Model` that returns one.
        use_exact_kl: bool, closed form if True, else Monte Carlo at the test points.
        test_points_reduce_axis: int or sequence of int, axes of log a(z) - log b(z) to average;
            those of several test points and the first of the batch are averaged anyway.
        test_points_fn: callable from the distribution to points, shape (..., *batch_shape,
            *event_shape); its one tensor value by default.
        weight: float or None, factor of the penalty.

    Raises:
        ValueError: if an argument is none of these; if `distribution_b` has tf.Variables; if test
            points are given beside `use_exact_kl`; when saving, if `distribution_b` is a
            `tfd.Distribution` or a lambda.
        TypeError: if it is called on anything but a distribution.

    Example:
        >>> from tfgen.layers import StandardNormal
        >>> kl = KLDivergenceRegularizer(StandardNormal(2), use_exact_kl=True)
        >>> round(float(kl(tfd.Independent(tfd.Normal(tf.ones((5, 2)), 1.0), 1))), 4)
        1.0
    """

    is_mean = True  # So that it is not divided by the batch size.

    def __init__(
        self,
        distribution_b: PriorLike,
        use_exact_kl: bool = False,
        test_points_reduce_axis: Any = (),
        test_points_fn: Callable[[tfd.Distribution], tf.Tensor] | None = tf.convert_to_tensor,
        weight: float | None = None,
    ) -> None:
        if isinstance(distribution_b, dict):
            distribution_b = keras.saving.deserialize_keras_object(distribution_b)
        _check_prior(distribution_b)
        check_flags(use_exact_kl=use_exact_kl)
        _check_axes(test_points_reduce_axis)
        if weight is not None:
            check_finite(weight=weight)
        held_by("distribution_b", distribution_b)  # Raises of a tf.Variable.
        self.distribution_b = distribution_b
        self.use_exact_kl = use_exact_kl
        self.test_points_reduce_axis = test_points_reduce_axis
        if isinstance(test_points_fn, dict):
            test_points_fn = keras.saving.deserialize_keras_object(test_points_fn)
        if test_points_fn is None:
            test_points_fn = tf.convert_to_tensor
        check_callables("a function of a distribution", test_points_fn=test_points_fn)
        self.test_points_fn = test_points_fn
        self.weight = weight
        if use_exact_kl and (self._axes() or self.test_points_fn is not tf.convert_to_tensor):
            raise ValueError(
                "use_exact_kl=True takes the closed form, which has no test points. Received: "
                f"test_points_fn={test_points_fn!r}, test_points_reduce_axis="
                f"{test_points_reduce_axis!r}. Leave them out, or set use_exact_kl=False."
            )

    def _axes(self):
        axes = self.test_points_reduce_axis
        return tuple(np.ravel([] if axes is None else axes).astype(int).tolist())

    def __call__(self, distribution_a: tfd.Distribution) -> tf.Tensor:
        if not isinstance(distribution_a, tfd.Distribution):
            raise TypeError(
                "The KL divergence needs the distribution itself. Received: distribution_a of type "
                f"{type(distribution_a).__name__}. Put it right on a layer of tfgen.layers."
            )
        kl = self._kl(distribution_a, _distribution_of(self.distribution_b))
        mean = _mean(kl, distribution_a, self._axes())
        return (1.0 if self.weight is None else self.weight) * mean

    def _kl(self, a, b):
        if self.use_exact_kl:
            return kl_divergence(a, b)
        z = self.test_points_fn(a)
        return a.log_prob(z) - b.log_prob(z)

    def get_config(self) -> dict[str, Any]:
        default = self.test_points_fn is tf.convert_to_tensor
        fn = None if default else serialized(self.test_points_fn)
        return {
            "distribution_b": _serialized_prior(self.distribution_b),
            "use_exact_kl": self.use_exact_kl,
            "test_points_reduce_axis": self.test_points_reduce_axis,
            "test_points_fn": fn,
            "weight": self.weight,
        }


@register
class KLDivergenceAddLoss(keras.layers.Layer):
    """Passes a distribution through and adds its KL divergence to the model's loss.

    Source: `tfp.layers.KLDivergenceAddLoss`, TFP 0.25. Deviation: the loss is the mean over the
    batch, there the sum, whose weight depended on the batch size. Arguments as in
    `KLDivergenceRegularizer`.

    Call arguments:
        distribution_a: output of a distribution layer.

    Returns:
        `distribution_a`.

    Example:
        >>> from tfgen.layers import IndependentNormal, StandardNormal
        >>> add_kl = KLDivergenceAddLoss(StandardNormal(2), use_exact_kl=True)
        >>> q = add_kl(IndependentNormal(2)(tf.zeros((8, 4))))
        >>> len(add_kl.losses), q.event_shape
        (1, TensorShape([2]))
    """

    def __init__(
        self,
        distribution_b: PriorLike,
        use_exact_kl: bool = False,
        test_points_reduce_axis: Any = None,
        test_points_fn: Callable[[tfd.Distribution], tf.Tensor] | None = tf.convert_to_tensor,
        weight: float | None = None,
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**kwargs)
        self.regularizer = KLDivergenceRegularizer(
            distribution_b, use_exact_kl, test_points_reduce_axis, test_points_fn, weight
        )
        track_prior(self, self.regularizer.distribution_b)
        keras_private.take_unconverted(self)

    def build(self, input_shape: Any = None) -> None:
        self.built = True

    def call(self, distribution_a: tfd.Distribution) -> tfd.Distribution:
        self.add_loss(self.regularizer(distribution_a))
        add_activity_loss(self, distribution_a)
        return distribution_a

    def compute_output_spec(self, distribution_a: Any) -> keras.KerasTensor:
        return keras.KerasTensor(distribution_a.shape, distribution_a.dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self.regularizer.get_config()}
