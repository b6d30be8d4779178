"""VAEs of data with missing values. Mattei & Frellsen, arXiv:1812.02633."""

from typing import Any, NoReturn

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen._utils.arguments import check_ints
from tfgen._utils.random import fold_in
from tfgen._utils.tensors import check_same_shape
from tfgen._utils.typing import Distribution, Seed, TensorLike
from tfgen.layers import Condition, conditionals_in, current_condition, given
from tfgen.models.base import GenerativeModel
from tfgen.models.checks import as_examples, output_on_zeros
from tfgen.models.iwae import IWAE
from tfgen.models.training_data import examples_of
from tfgen.models.vae import VAE

tfd = tfp.distributions

__all__ = ["MIWAE", "MissingDataVAE"]

# Latents decoded at a time.
CHUNK = 5000


class _Mask(Condition):
    """1 or True where a value of an example is observed, 0 where it is missing."""

    __slots__ = ()

    @property
    def expected(self) -> str:
        return f"a mask of shape {self.shape}, 1 where a value is observed and 0 where it is not"

    def check(self, condition: Any, num_examples: int | None = None) -> Any:
        mask = super().check(condition, num_examples)
        message = f"A condition must be {self.expected}."
        if tf.is_symbolic_tensor(mask):
            valid = tf.reduce_all((mask == 0) | (mask == 1))
            with tf.control_dependencies([tf.debugging.Assert(valid, [message])]):
                return tf.identity(mask)
        if not np.isin(mask, (0, 1)).all():
            raise ValueError(
                f"{message} Received: values from {np.min(mask)} to {np.max(mask)}. It is y in fit."
            )
        return mask


@keras.saving.register_keras_serializable("tfgen")
class MissingDataVAE(VAE):
    """VAE of examples with missing values, which maximises a bound of log p(observed values).

    `fit(x, mask)`, or batches (x, mask) of a data set: the mask has the shape of x, and is 1 where
    a value is observed and 0 where it is missing. Missing entries of x have no influence, but must
    be valid data: fill them with zeros. The encoder sees x with zeros there, and the mask. The
    reconstruction is the log-likelihood of the observed values alone, since p(x|z) is independent
    over values. This is valid if values are missing at random: whether a value is missing may
    depend on observed values, but not on missing ones. Without a mask, as in `evaluate(x)` and
    `embed(x)`, all values count as observed.

    `bits_per_dim` divides by all dimensions, including the missing ones.

    Source: Mattei & Frellsen, "MIWAE: Deep Generative Modelling and Imputation of Incomplete Data
    Sets", arXiv:1812.02633 (equations not checked in the paper; its authors' notebooks,
    pamattei/miwae, state the same bound). With several draws it is a `MIWAE`.
    Deviation: the encoder of their notebooks sees the zeros in the place of missing values, but not
    the mask.

    Args:
        encoder: `keras.Model` from x and the mask to q(z|x), built with `condition_shape`, the
            shape of x.
        decoder: `keras.Model` from z to p(x|z), a `tfd.Independent` or the `tfd.Blockwise` of a
            `layers.Blockwise`, which takes no condition.
        prior: a prior of `tfgen.layers`; `StandardNormal` if None.
        **kwargs: other arguments of `VAE`, such as `beta`.

    Raises:
        ValueError: if the encoder does not take a mask, the decoder does, or its values are not
            independent; and as `VAE`.

    Example:
        >>> from tfgen import networks
        >>> shape, size = (8, 8, 1), {"latent_dim": 2, "width": 16}
        >>> model = MissingDataVAE(networks.mlp_encoder(shape, **size, condition_shape=shape),
        ...                        networks.mlp_decoder(shape, **size))
        >>> model.compile("adam")
        >>> x, mask = tf.zeros((4, *shape)), np.random.default_rng(0).random((4, *shape)) < 0.5
        >>> history = model.fit(x, mask, verbose=0)
        >>> model.impute(x, mask, num_samples=10).shape
        TensorShape([4, 8, 8, 1])
    """

    def check_constructed(self) -> None:
        super().check_constructed()
        takes = [network.takes for network in conditionals_in(self)]
        if takes != [Condition(self.data_shape)] or conditionals_in(self.decoder):
            raise ValueError(
                f"The encoder of a {type(self).__name__} takes a mask beside x, and no other "
                f"network a condition. Received: conditions {takes}. Build the encoder alone with "
                f"condition_shape={self.data_shape}."
            )
        if not isinstance(output_on_zeros(self.decoder), tfd.Independent | tfd.Blockwise):
            raise ValueError(
                "Observed values count alone where p(x|z) is independent over values. Received: a "
                f"decoder that returns a {type(output_on_zeros(self.decoder)).__name__}. End it "
                "with a layer such as layers.IndependentBernoulli, IndependentNormal or Blockwise."
            )

    @property
    def conditions(self) -> Condition:
        return _Mask(self.data_shape)

    def unpack(self, data: Any) -> Any:
        """The examples of a batch, with their masks if there are any."""
        mask = keras.utils.unpack_x_y_sample_weight(data)[1]
        if mask is None:
            return examples_of(data, self.data_shape)
        return GenerativeModel.unpack(self, data)

    def as_pair(self, inputs: Any) -> tuple[Any, Any]:
        """What `call` is given: x, or (x, mask)."""
        return super().as_pair(inputs) if isinstance(inputs, tuple | list) else (inputs, None)

    def given(self, condition: Any) -> NoReturn:
        raise ValueError(
            "A mask belongs to an example, and there is no model of one mask. Received: "
            f"condition={condition!r}. Give the mask to encode, reconstruct or impute; without one "
            "all values are observed."
        )

    def posterior(self, x: Any, training: bool) -> Distribution:
        """q(z|x) of the values that are observed."""
        x = self.inputs(x)
        mask = self._mask(x)
        mask = tf.ones_like(x) if mask is None else mask
        with given(mask):
            return super().posterior(tf.where(mask > 0, x, 0.0), training)

    def likelihood(self, z: TensorLike, x: Any, training: bool) -> Distribution:
        """p(x|z) of the values that are observed; of samples, x None, of all."""
        likelihood = super().likelihood(z, x, training)
        mask = None if x is None else self._mask(z)
        if mask is None:
            return likelihood
        return _observed(likelihood, mask > 0, len(self.data_shape))

    def _mask(self, rows):
        """The mask that is given, for as many rows, or None."""
        return None if current_condition() is None else self.conditions.rows_for(rows)

    def impute(
        self, x: TensorLike, mask: TensorLike, num_samples: int = 1000, seed: int | None = None
    ) -> tf.Tensor:
        """x with E[missing values|observed ones] in the place of the missing values.

        The expectation is that of the model, by self-normalized importance sampling: the mean of
        E[x|z_i] over draws z_i from q(z|x), with weights p(observed|z_i) p(z_i) / q(z_i|x).

        Source: Mattei & Frellsen, arXiv:1812.02633 (equations not checked in the paper; their
        notebooks, pamattei/miwae, state the weights and the estimate).
        Deviation: E[x|z_i] in the place of one draw from p(x|z_i), for less noise.

        Args:
            x: shape (n, *data_shape).
            mask: shape of `x`, 1 where a value is observed, 0 where it is missing.
            num_samples: int >= 1, draws for each example.
            seed: int >= 0 or None. An int gives the same draws each time.

        Returns:
            Tensor, shape of `x`.

        Raises:
            ValueError: if an argument has another shape or range, or x is of numbers of classes.
        """
        check_ints(1, num_samples=num_samples)
        if isinstance(
            getattr(output_on_zeros(self.decoder), "distribution", None), tfd.Categorical
        ):
            raise ValueError(
                "Numbers of classes have no mean. Received: a decoder that ends in a Categorical. "
                "Encode classes as one-hot vectors, as datasets.load_table does, and end the "
                "decoder with networks.table_head."
            )
        x, stateless = as_examples(x, self.data_shape, "x"), self.sampling_seed(seed)
        check_same_shape(x=x, mask=mask)
        mask = self.conditions.check(mask)
        size = max(1, CHUNK // num_samples)
        parts = [slice(i, i + size) for i in range(0, max(len(x), 1), size)]
        expected = [
            self._expected(x[part], mask[part], num_samples, fold_in(stateless, i))
            for i, part in enumerate(parts)
        ]
        return tf.where(mask > 0, x, tf.concat(expected, axis=0))

    def _expected(self, x, mask, num_samples: int, seed: Seed):
        """E[x|observed values] of a few examples."""
        with given(mask):
            q = self.posterior(x, training=False)
            z, log_q = q.experimental_sample_and_log_prob(num_samples, seed=seed)
            weights = tf.nn.softmax(self.log_joint(x, z) - log_q, axis=0)
        means = self.generate(tf.reshape(z, (-1, *self.latent_shape)))
        means = tf.reshape(means, (num_samples, -1, *self.data_shape))
        return tf.reduce_sum(means * _with_axes(weights, len(self.data_shape)), axis=0)


def _observed(likelihood, mask, rank):
    """p(x|z) of the values where the mask is True, shape (batch, *data_shape).

    Of a block that is no product over its values, such as a one-hot vector, all or none count.
    """
    if isinstance(likelihood, tfd.Blockwise):
        parts = likelihood.distributions
        masks = tf.split(mask, [part.event_shape.num_elements() for part in parts], axis=-1)
        return tfd.Blockwise([_observed(*pair, 1) for pair in zip(parts, masks, strict=True)])
    if isinstance(likelihood, tfd.Independent):
        return tfd.Independent(tfd.Masked(likelihood.distribution, mask, _possible), rank)
    return tfd.Masked(likelihood, tf.reduce_all(mask, axis=range(-rank, 0)), _possible)


def _possible(distribution):
    """A value of finite density, for TFP to look at where one is missing.

    Not a draw, as TFP has it: XLA cannot draw counts, and others take it a minute to compile.
    """
    if len(distribution.event_shape):
        return distribution.sample(seed=(0, 0))
    bijector = distribution.experimental_default_event_space_bijector()  # None of a mass.
    zero = tf.zeros((), distribution.dtype)
    return zero if bijector is None else bijector.forward(zero)


def _with_axes(values, number):
    return tf.reshape(values, (*values.shape, *[1] * number))


@keras.saving.register_keras_serializable("tfgen")
class MIWAE(MissingDataVAE, IWAE):
    """IWAE of examples with missing values: `MissingDataVAE` with the bound of several draws.

    loss = -E[log 1/k sum_i w_i], w_i = p(observed values, z_i) / q(z_i|observed values).

    Source: Mattei & Frellsen, arXiv:1812.02633 (equations not checked in the paper; its authors'
    notebooks, pamattei/miwae, state the same bound). The MIWAE of Rainforth et al. is another
    method: the argument `num_groups` of `IWAE`, which this class has too.

    Arguments and errors are those of `IWAE` and `MissingDataVAE`.

    Example:
        >>> from tfgen import networks
        >>> shape, size = (8, 8, 1), {"latent_dim": 2, "width": 16}
        >>> model = MIWAE(networks.mlp_encoder(shape, **size, condition_shape=shape),
        ...               networks.mlp_decoder(shape, **size), num_samples=5)
        >>> model.compile("adam")
        >>> history = model.fit(tf.zeros((4, *shape)), tf.ones((4, *shape)), verbose=0)
    """
