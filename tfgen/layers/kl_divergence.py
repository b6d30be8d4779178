"""KL terms that enter a stock Keras model's loss. After TFP 0.25, `tfp.layers`."""

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen.layers.distribution_lambda import register

tfd = tfp.distributions

__all__ = ["KLDivergenceAddLoss", "KLDivergenceRegularizer"]


def _checked_prior(prior):
    """A layer with `distribution()`, a `tfd.Distribution` without variables, or a callable."""
    if isinstance(prior, dict):
        prior = keras.saving.deserialize_keras_object(prior)
    if isinstance(prior, tfd.Distribution) and prior.trainable_variables:
        raise ValueError(
            "Keras 3 does not see the tf.Variables inside a tfd.Distribution, so they would never "
            f"be trained. Received: {prior!r}. Use a trainable prior of tfgen.layers, such as "
            "MixtureOfNormals."
        )
    return prior


def _prior_distribution(prior):
    if hasattr(prior, "as_distribution"):
        return prior.as_distribution()
    return prior() if callable(prior) and not isinstance(prior, tfd.Distribution) else prior


def _serialized_prior(prior):
    if isinstance(prior, tfd.Distribution):
        raise ValueError(
            "A tfd.Distribution cannot be saved as part of a Keras model. Received: distribution_b="
            f"{prior!r}. Use a prior of tfgen.layers, such as StandardNormal(event_shape)."
        )
    return keras.saving.serialize_keras_object(prior)


@register
class KLDivergenceRegularizer(keras.regularizers.Regularizer):
    """KL(a || b) of a distribution layer's output, as its `activity_regularizer`.

    Arguments as in `tfp.layers.KLDivergenceRegularizer` of TFP 0.25. Deviations: the penalty is the
    *mean* over the batch (TFP: the sum, so its weight depended on the batch size), and it enters the
    loss once (TFP under Keras 2 counted it again in a nested model).

    Args:
        distribution_b: prior layer of `tfgen.layers`, `tfd.Distribution` without variables, or a
            callable that returns one.
        use_exact_kl: bool, closed form if True, else Monte Carlo at the test points.
        test_points_reduce_axis: axes of the Monte Carlo values that are averaged first; () for none.
        test_points_fn: callable from the distribution to points; its one tensor value by default.
        weight: float or None, factor of the penalty.

    Example:
        >>> from tfgen.layers import StandardNormal
        >>> kl = KLDivergenceRegularizer(StandardNormal(2), use_exact_kl=True)
        >>> round(float(kl(tfd.Independent(tfd.Normal(tf.ones((5, 2)), 1.0), 1))), 4)
        1.0
    """

    def __init__(self, distribution_b, use_exact_kl=False, test_points_reduce_axis=(),
                 test_points_fn=tf.convert_to_tensor, weight=None):
        self.distribution_b = _checked_prior(distribution_b)
        self.use_exact_kl = use_exact_kl
        self.test_points_reduce_axis = test_points_reduce_axis
        if isinstance(test_points_fn, dict):
            test_points_fn = keras.saving.deserialize_keras_object(test_points_fn)
        self.test_points_fn = test_points_fn or tf.convert_to_tensor
        self.weight = weight

    def __call__(self, distribution_a):
        kl = self._kl(distribution_a, _prior_distribution(self.distribution_b))
        return (1.0 if self.weight is None else self.weight) * tf.reduce_mean(kl)

    def _kl(self, a, b):
        if self.use_exact_kl:
            return tfd.kl_divergence(a, b)
        z = self.test_points_fn(a)
        return tf.reduce_mean(a.log_prob(z) - b.log_prob(z), axis=self.test_points_reduce_axis)

    def get_config(self):
        default = self.test_points_fn is tf.convert_to_tensor
        fn = None if default else keras.saving.serialize_keras_object(self.test_points_fn)
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

    Arguments as in `KLDivergenceRegularizer`, except `test_points_reduce_axis=None`: all axes, as in
    `tfp.layers.KLDivergenceAddLoss` of TFP 0.25. The loss is a mean over the batch.

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

    def __init__(self, distribution_b, use_exact_kl=False, test_points_reduce_axis=None,
                 test_points_fn=tf.convert_to_tensor, weight=None, **kwargs):
        super().__init__(**kwargs)
        self.regularizer = KLDivergenceRegularizer(
            distribution_b, use_exact_kl, test_points_reduce_axis, test_points_fn, weight
        )
        if isinstance(self.regularizer.distribution_b, keras.layers.Layer):
            self.prior = self.regularizer.distribution_b  # So that Keras tracks its weights.
        # Keras would convert the distribution into a tensor before `call`.
        self._convert_input_args = False
        self._allow_non_tensor_positional_args = True

    def build(self, input_shape=None):
        self.built = True

    def call(self, distribution_a):
        self.add_loss(self.regularizer(distribution_a))
        return distribution_a

    def compute_output_spec(self, distribution_a):
        return keras.KerasTensor(distribution_a.shape, distribution_a.dtype)

    def get_config(self):
        return {**super().get_config(), **self.regularizer.get_config()}
