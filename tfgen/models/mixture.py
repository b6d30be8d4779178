"""Densities of mixtures of Gaussians or Bernoullis."""

import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd
from typing_extensions import Unpack

from tfgen._utils.arguments import as_numbers, check_flags
from tfgen._utils.tensors import check_stateless_seed
from tfgen._utils.typing import ModelOptions, Seed, Shape, TensorLike
from tfgen.losses.mixtures import (
    Components,
    Parameters,
    bernoulli_log_prob,
    covariances_of,
    gaussian_log_prob,
)
from tfgen.models.batches import batches_of, of_some
from tfgen.models.checks import (
    as_examples,
    check_num_samples,
    check_seed,
)
from tfgen.models.endpoints import SAMPLING, Endpoint, data_spec
from tfgen.models.resumable_model import ResumableModel
from tfgen.models.training_data import check_explained

__all__ = ["Mixture"]


class Mixture(ResumableModel):
    """Mixture p(x) = sum_k w_k p(x|k): parameters, densities and samples, whatever fits them.

    Args:
        num_components: int K.
        data_shape: tuple, shape of one example, of D values.
        components: "full", "diagonal" or "spherical" covariances of Gaussians, or "bernoulli".
        min_probability: float in (0, 0.5); Bernoulli probabilities lie within it and 1 less it.
        **kwargs: arguments of `ResumableModel`.

    Call arguments:
        x: data, shape (n, *data_shape).

    Returns:
        Responsibilities p(k|x), float64 of shape (n, K), rows sum to 1.
    """

    variable_dtypes = ("float32", "float64")

    def __init__(
        self,
        num_components: int,
        data_shape: Shape,
        components: Components,
        min_probability: float,
        **kwargs: Unpack[ModelOptions],
    ) -> None:
        # Keras would round data of other precision before they reach `call`.
        kwargs.setdefault("autocast", False)
        super().__init__(data_shape, **kwargs)
        self.num_components, self.components = num_components, components
        self.min_probability = min_probability
        k, d = num_components, math.prod(self.data_shape)
        shapes = {"full": (k, d, d), "diagonal": (k, d)}
        uniform = keras.initializers.Constant(1 / k)
        unknown = keras.initializers.Constant(math.nan)
        self.mixture_weights = self._add("mixture_weights", (k,), uniform)
        self.means = self._add("means", (k, *self.data_shape), unknown)
        self.scales = self._add("scales", shapes.get(components, (k,)), "zeros")

    def _add(
        self, name: str, shape: Shape, initializer: Any, trainable: bool = True
    ) -> keras.Variable:
        """A float64 variable; one that is not trainable sums what replicas add to it."""
        return self.add_weight(
            shape=tuple(shape),
            dtype="float64",
            initializer=initializer,
            trainable=trainable,
            autocast=False,
            name=name,
            aggregation="mean" if trainable else "sum",
        )

    # Parameters.

    @property
    def initialized(self) -> bool:
        """Whether the components have parameters: from `initialize`, `set_parameters` or a file."""
        return bool(np.isfinite(numpy_of(self.means)).all())

    def _check_initialized(self):
        """Raises ValueError if there are no parameters, as far as can be seen inside a graph."""
        if tf.executing_eagerly() and not self.initialized:
            raise ValueError(
                "A mixture has no parameters before fit, initialize or set_parameters. Received: a "
                f"{type(self).__name__} without. Call one of them first."
            )

    def set_parameters(
        self,
        means: TensorLike,
        covariances: TensorLike | None = None,
        weights: TensorLike | None = None,
    ) -> None:
        """Sets the mixture, as the start of `fit` or to evaluate.

        Args:
            means: shape (K, *data_shape) or (K, D); probabilities of Bernoulli components.
            covariances: shape (K, D, D) if full, variances (K, D) if diagonal, (K,) if spherical;
                None for Bernoulli components.
            weights: shape (K,), sum 1; None for 1/K.

        Raises:
            ValueError: if a shape is another, weights are no probabilities, or a covariance is not
                positive definite.
        """
        k, d = self.num_components, math.prod(self.data_shape)
        means = _as_finite(means=means)
        _check_shape("means", means, (k, d) if means.ndim == 2 else (k, *self.data_shape))
        means = means.reshape(k, d)
        weights = np.full(k, 1 / k) if weights is None else _as_finite(weights=weights)
        _check_shape("weights", weights, (k,))
        if np.any(weights < 0) or not np.isclose(np.sum(weights), 1):
            raise ValueError(f"weights must be positive and sum to 1. Received: {weights}.")
        if self.components == "bernoulli":
            means = np.clip(means, self.min_probability, 1 - self.min_probability)
            scales = np.zeros(k)
        else:
            scales = _scales_of(_as_finite(covariances=covariances), self.scales.shape)
        self._assign(Parameters(weights / np.sum(weights), means, scales))

    @property
    def covariances(self) -> np.ndarray | None:
        """Array, shape (K, D, D) if full, (K, D) if diagonal, (K,) if spherical; or None."""
        if self.components == "bernoulli":
            return None
        scales = numpy_of(self.scales)
        return covariances_of(scales, 1, "full") if self.components == "full" else scales**2

    def _parameters(self) -> Parameters:
        """The mixture with flat means, in NumPy."""
        means = numpy_of(self._flat_means())
        return Parameters(numpy_of(self.mixture_weights), means, numpy_of(self.scales))

    def _assign(self, parameters: Parameters) -> None:
        """Sets the mixture to what `_parameters` returned."""
        self.mixture_weights.assign(parameters.weights)
        self.means.assign(parameters.means.reshape(self.means.shape))
        self.scales.assign(parameters.scales)

    def check_batch(self, x: np.ndarray) -> None:
        """Raises ValueError if Bernoulli components are given values outside [0, 1]."""
        if self.components == "bernoulli" and not (x.min() >= 0 and x.max() <= 1):
            raise ValueError(
                f"Bernoulli components need data in [0, 1]. Received: values from {x.min():g} to "
                f"{x.max():g}. Rescale the data (uint8 images: divide by 255), or use Gaussians."
            )

    # The density.

    def _flat(self, x: TensorLike) -> tf.Tensor:
        """The data as float64 of shape (n, D)."""
        x = as_examples(x, self.data_shape, "x", "float64")
        return tf.reshape(x, (-1, math.prod(self.data_shape)))

    def _flat_means(self):
        return tf.reshape(self.means, (self.num_components, -1))

    def _centre(self) -> tf.Tensor:
        """Mean of the mixture: sums around it are exact wherever the data lie."""
        return tf.linalg.matvec(self._flat_means(), self.mixture_weights, transpose_a=True)

    def _e_step(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """log p(x), shape (n,), and p(k|x), shape (n, K), of flat data."""
        joint = self._log_prob_of_components(x) + tf.math.log(self.mixture_weights)
        log_prob = tf.reduce_logsumexp(joint, axis=1)
        return log_prob, tf.exp(joint - log_prob[:, None])

    def _log_prob_of_components(self, x):
        means, scales = self._flat_means(), tf.convert_to_tensor(self.scales)
        if self.components == "bernoulli":
            return bernoulli_log_prob(x, means)
        if self.components == "spherical":
            scales = scales[:, None] * tf.ones_like(means)
        return gaussian_log_prob(x - self._centre(), means - self._centre(), scales)

    def call(self, x: TensorLike) -> tf.Tensor:
        return self.responsibilities(x)

    def predict(self, *args: Any, **kwargs: Any) -> np.ndarray:
        self._check_initialized()
        return super().predict(*args, **kwargs)

    def quantize(self, *args: Any, **kwargs: Any) -> None:
        raise ValueError(
            f"A {type(self).__name__} has no layers, whose weights could be rounded. Received: "
            "quantize. Leave it out."
        )

    def responsibilities(self, x: TensorLike) -> tf.Tensor:
        """p(k|x), Eq. 11, float64 of shape (n, K)."""
        self._check_initialized()
        return self._e_step(self._flat(x))[1]

    def log_prob(self, x: Any) -> tf.Tensor:
        """log p(x) of each example of an array or a data set in nats, exact, float64 of shape (n,).

        Raises:
            ValueError: if there are no examples, or one is not finite, of another shape, or of
                Bernoulli components not in [0, 1].
        """
        self._check_initialized()
        if not tf.executing_eagerly():
            return self._e_step(self._flat(x))[0]
        parts = []
        for batch in batches_of(x):
            check_explained(batch, self)
            parts.append(self._e_step(self._flat(batch))[0])
        return tf.concat(of_some(parts), axis=0)

    def log_weights(self, x: TensorLike, num_samples: int, seed: Seed | None = None) -> tf.Tensor:
        """Log importance weights, exact here: log p(x), float32 of shape (num_samples, n)."""
        check_num_samples(num_samples)
        if seed is not None:
            check_stateless_seed(seed=seed)
        return tf.repeat(tf.cast(self.log_prob(x), tf.float32)[None], num_samples, axis=0)

    def as_distribution(self) -> tfd.Distribution:
        """p(x) as a float32 `tfd.MixtureSameFamily` over flat examples, event_shape (D,)."""
        self._check_initialized()
        weights, means, scales = (tf.cast(p, tf.float32) for p in self._parameters())
        if self.components == "bernoulli":
            parts = tfd.Independent(tfd.Bernoulli(probs=means, dtype=tf.float32), 1)
        elif self.components == "full":
            parts = tfd.MultivariateNormalTriL(means, scales)
        else:
            scales = scales if self.components == "diagonal" else scales[:, None]
            parts = tfd.MultivariateNormalDiag(means, scales * tf.ones_like(means))
        return tfd.MixtureSameFamily(tfd.Categorical(probs=weights), parts)

    def sample(
        self, num_samples: int = 1, seed: int | None = None, mean: bool = False
    ) -> tf.Tensor:
        """New examples.

        Args:
            num_samples: int >= 0.
            seed: int >= 0 or None. An int gives the same samples each time.
            mean: bool, the mean of the component that was drawn if True, else a draw from p(x).

        Returns:
            float32 tensor, shape (num_samples, *data_shape).

        Raises:
            ValueError: if `num_samples` or `seed` is negative, no int or beyond 32 bits.
        """
        check_num_samples(num_samples)
        check_seed(seed)
        check_flags(mean=mean)
        mixture, seed = self.as_distribution(), self.sampling_seed(seed)
        if mean:
            chosen = mixture.mixture_distribution.sample(num_samples, seed=seed)
            x = tf.gather(mixture.components_distribution.mean(), chosen)
        else:
            x = mixture.sample(num_samples, seed=seed)
        return tf.reshape(x, (num_samples, *self.data_shape))

    def endpoints(self) -> dict[str, Endpoint]:
        """`log_prob`, `responsibilities` and `sample`.

        Raises:
            ValueError: before there are parameters.
        """
        x, density = data_spec(self), self.as_distribution()

        def sample(num_samples, seed):
            return tf.reshape(density.sample(num_samples, seed=seed), (-1, *self.data_shape))

        return {
            "log_prob": Endpoint(self.log_prob, [x]),
            "responsibilities": Endpoint(self.responsibilities, [x]),
            "sample": Endpoint(sample, list(SAMPLING), draws=True),
        }

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "data_shape": self.data_shape}  # A tuple, also when loaded.


def numpy_of(variable: keras.Variable | tf.Tensor) -> np.ndarray:
    """Value of a variable, of several replicas too."""
    return tf.convert_to_tensor(variable).numpy()


def _as_finite(**values):
    """The one value as an array of float64."""
    ((name, value),) = values.items()
    array = as_numbers(**values).astype("float64")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite. Received: {name}={value!r}.")
    return array


def _scales_of(covariances, shape):
    _check_shape("covariances", covariances, shape)
    pivots = covariances if covariances.ndim < 3 else np.linalg.eigvalsh(covariances)
    if not np.all(pivots > 0):
        raise ValueError(
            "covariances must be positive definite. Received: a least variance of "
            f"{np.min(pivots):g}. Add a small number to the diagonals."
        )
    return np.linalg.cholesky(covariances) if covariances.ndim == 3 else np.sqrt(covariances)


def _check_shape(name, value, expected):
    if value.shape != tuple(expected):
        raise ValueError(
            f"{name} must have shape {tuple(expected)}. Received: shape {value.shape}. See "
            "set_parameters."
        )
