"""Mixtures of normals over codes: fitted by EM, or made of posteriors."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from typing_extensions import Unpack

from tfgen._utils.arguments import check_one_of, check_size
from tfgen._utils.extras import require
from tfgen._utils.random import categorical, split
from tfgen._utils.typing import LayerOptions, Seed, Shape, TensorLike
from tfgen.models.checks import is_distribution
from tfgen.samplers.sampler import Noise, Sampler, fitted_weight

tfd = tfp.distributions

__all__ = ["GaussianMixture", "VampPosterior"]

_COVARIANCES = ("full", "diag")


class _NormalMixture(Sampler):
    """Draws and density of a mixture, whose `scale` is triangular or of standard deviations."""

    num_components: int

    def create_weights(self, size: int) -> None:
        self.logits = fitted_weight(self, "logits", (self.num_components,))
        self.loc = fitted_weight(self, "loc", (self.num_components, size))
        shape = (self.num_components, *self.scale_shape(size))
        self.scale = fitted_weight(self, "scale", shape, "ones")

    def scale_shape(self, size: int) -> tuple[int, ...]:
        """Shape of the scale of one component."""
        return (size,)

    def draw(self, num_samples: Any, seed: Seed, noise: Noise, temperature: float) -> tf.Tensor:
        which, around = split(seed, 2)
        component = categorical(tf.convert_to_tensor(self.logits), num_samples, which)
        loc, scale = tf.gather(self.loc, component), tf.gather(self.scale, component)
        drawn, triangular = noise(tf.shape(loc), around), len(scale.shape) == 3
        return loc + (tf.linalg.matvec(scale, drawn) if triangular else scale * drawn)

    def log_density(self, z: tf.Tensor) -> tf.Tensor:
        loc, scale = tf.convert_to_tensor(self.loc), tf.convert_to_tensor(self.scale)
        triangular = len(scale.shape) == 3
        kind = tfd.MultivariateNormalTriL if triangular else tfd.MultivariateNormalDiag
        logits = tf.nn.log_softmax(tf.convert_to_tensor(self.logits))
        return tf.reduce_logsumexp(logits + kind(loc, scale).log_prob(z[:, None]), axis=-1)


@keras.saving.register_keras_serializable("tfgen.samplers")
class GaussianMixture(_NormalMixture):
    """Mixture of normals, fitted on codes by scikit-learn's expectation maximisation.

    Source: Ghosh et al. (arXiv:1903.12436), Sec. 4 of the submission to ICLR 2020: 10 components.

    Args:
        num_components: int K >= 1.
        covariance: string, "full" or "diag".
        event_shape: see `Sampler`.
        **kwargs: arguments of `keras.layers.Layer`.

    Raises:
        ValueError: if an argument is out of range.
        ImportError: in `fit`, without scikit-learn.

    Example:
        >>> from tfgen import models, networks
        >>> model = models.VAE(networks.mlp_encoder((8, 8, 1), 2, width=16),
        ...                    networks.mlp_decoder((8, 8, 1), 2, width=16), seed=0)
        >>> sampler = GaussianMixture(3).fit(model, tf.zeros((200, 8, 8, 1)), verbose=False)
        >>> model.sample(5, prior=sampler).shape
        TensorShape([5, 8, 8, 1])
    """

    def __init__(
        self,
        num_components: int = 10,
        covariance: str = "full",
        event_shape: int | Shape | None = None,
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        check_size(num_components=num_components)
        check_one_of(_COVARIANCES, covariance=covariance)
        self.num_components, self.covariance = num_components, covariance
        super().__init__(event_shape, **kwargs)

    def scale_shape(self, size: int) -> tuple[int, ...]:
        return (size, size) if self.covariance == "full" else (size,)

    def fit_codes(self, codes: np.ndarray, seed: int, verbose: bool) -> None:
        require("sklearn", "metrics")
        from sklearn.mixture import GaussianMixture as Mixture

        check_enough(codes, self.num_components)
        fitted = Mixture(
            self.num_components,
            covariance_type=self.covariance,
            random_state=seed,
            verbose=2 * int(verbose),
        ).fit(codes.astype("float64"))
        scale = np.sqrt if self.covariance == "diag" else np.linalg.cholesky
        self.logits.assign(np.log(np.maximum(fitted.weights_, 1e-300)))
        self.loc.assign(fitted.means_)
        self.scale.assign(scale(fitted.covariances_))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_components": self.num_components,
            "covariance": self.covariance,
        }


@keras.saving.register_keras_serializable("tfgen.samplers")
class VampPosterior(_NormalMixture):
    """The mean of the posteriors of K examples: p(z) = 1/K sum_k q(z|x_k), drawn at random.

    As the VampPrior of Tomczak & Welling, arXiv:1705.07120v5, Eq. 9, with data in the place of
    trained pseudo-inputs: with all data it is the aggregate posterior itself (their Eq. 8).

    Args:
        num_components: int K >= 1.
        event_shape: see `Sampler`.
        **kwargs: arguments of `keras.layers.Layer`.

    Raises:
        ValueError: if `num_components` is out of range, or in `fit` if q(z|x) is not a diagonal
            normal or there are fewer examples than components.

    Example:
        >>> sampler = VampPosterior(num_components=100)
        >>> sampler.event_shape is None  # Until sampler.fit(model, x).
        True
    """

    axes_of_parts = 1

    def __init__(
        self,
        num_components: int = 500,
        event_shape: int | Shape | None = None,
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        check_size(num_components=num_components)
        self.num_components = num_components
        super().__init__(event_shape, **kwargs)

    def codes_of(self, model: keras.Model, x: tf.Tensor, seed: Seed) -> TensorLike:
        q = model.encode(x)
        base = getattr(q, "distribution", None)
        if not (is_distribution(q) and isinstance(base, tfd.Normal)):
            raise ValueError(
                "VampPosterior is a mixture of posteriors q(z|x) that are diagonal normals. "
                f"Received: a {type(model).__name__} whose encode returns {type(q).__name__}. Take "
                "a GaussianMixture."
            )
        return tf.stack([q.mean(), q.stddev()], axis=1)

    def fit_codes(self, codes: np.ndarray, seed: int, verbose: bool) -> None:
        check_enough(codes, self.num_components)
        chosen = np.random.default_rng(seed).permutation(len(codes))[: self.num_components]
        loc, scale = np.split(codes[chosen], 2, axis=1)
        self.loc.assign(loc)
        self.scale.assign(scale)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_components": self.num_components}


def check_enough(codes, num_components):
    """Raises ValueError for fewer codes than components."""
    if len(codes) < num_components:
        raise ValueError(
            f"A mixture of {num_components} components needs as many codes. Received: {len(codes)}."
            " Give more examples, or a smaller num_components."
        )
