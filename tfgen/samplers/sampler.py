"""What samplers share: codes of a model, draws with temperature and truncation, a density."""

import math
from collections.abc import Callable
from typing import Any, ClassVar

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability import distributions as tfd
from typing_extensions import Self, Unpack

from tfgen._utils.arguments import check_ints, check_positive, check_verbose
from tfgen._utils.progress import ProgressBar
from tfgen._utils.random import fold_in, normal, uniform
from tfgen._utils.typing import Distribution, LayerOptions, Seed, Shape, TensorLike
from tfgen.layers import Prior, given
from tfgen.layers.parameters import as_shape
from tfgen.models.batches import batches_of
from tfgen.models.checks import as_draws, check_num_samples, check_seed, is_distribution

__all__ = ["Noise", "Sampler", "fitted_weight"]

# Standard normal draws of a shape, from a seed: those of `Sampler.sample` are scaled and truncated.
Noise = Callable[[Any, Seed], tf.Tensor]


class Sampler(Prior):
    """A density over the codes of a trained model, fitted on them.

    The prior has draws that are far from all codes of data, and on which the decoder was never
    trained. So samples get better if z is drawn from a density of the codes themselves (Ghosh et
    al., arXiv:1903.12436; Dai & Wipf, arXiv:1903.05789v2), and autoencoders without a prior become
    generators.

    A sampler is a prior: `model.sample(n, prior=sampler)` draws from it, and `model.with_prior(
    sampler)` is the same model under it, whose ELBO and likelihoods count it, and which is saved
    with it in one file.

    A subclass fits its weights (`fit_codes`), draws (`draw`) and knows its density (`log_density`),
    all of flat codes.

    Args:
        event_shape: int or tuple, shape of one code; None for that of the codes that it is fitted
            on, without which it has no weights yet. Either way it is a density only after `fit`.
        **kwargs: arguments of `keras.layers.Layer`.
    """

    # Options of `sample` that a class knows of.
    options: ClassVar[tuple[str, ...]] = ("temperature", "truncation")
    # Why a class has no density, where it has none.
    no_density: ClassVar[str | None] = None
    event_dtype: ClassVar[tf.DType] = tf.float32
    # Axes before those of the code in what `codes_of` returns for an example.
    axes_of_parts: ClassVar[int] = 0

    def __init__(
        self, event_shape: int | Shape | None = None, **kwargs: Unpack[LayerOptions]
    ) -> None:
        super().__init__(**kwargs)
        self.event_shape: tuple[int, ...] | None = None
        self.fitted = False
        self.built = True
        if event_shape is not None:
            self._shape_for(as_shape(event_shape))

    def _shape_for(self, event_shape):
        """Makes the weights for codes of this shape, unless they are there."""
        if self.event_shape is None:
            self.event_shape = event_shape
            self.create_weights(math.prod(event_shape))
        elif self.event_shape != event_shape:
            raise ValueError(
                f"This {type(self).__name__} is over codes of shape {self.event_shape}. Received: "
                f"codes of shape {event_shape}. Make a new one."
            )

    # What a subclass is.

    def create_weights(self, size: int) -> None:
        """Makes weights and networks of a density over codes of `size` numbers."""
        raise NotImplementedError

    def fit_codes(self, codes: np.ndarray, seed: int, verbose: bool) -> None:
        """Fits the weights on codes, shape (n, size)."""
        raise NotImplementedError

    def fit_given(self, codes: np.ndarray, condition: Any, seed: int, verbose: bool) -> None:
        """Fits the weights on codes and their conditions (or None), which most samplers ignore."""
        self.fit_codes(codes, seed, verbose)

    def draw(self, num_samples: Any, seed: Seed, noise: Noise, temperature: float) -> tf.Tensor:
        """Draws, shape (num_samples, size), made of `noise` where a class has normal noise."""
        raise NotImplementedError

    def log_density(self, z: tf.Tensor) -> tf.Tensor:
        """log p(z) in nats of `z` of shape (n, size), shape (n,)."""
        raise NotImplementedError

    def codes_of(self, model: keras.Model, x: tf.Tensor, seed: Seed) -> TensorLike:
        """What is fitted of a batch: one draw of q(z|x) for each example, or its code."""
        codes = model.encode(x)
        return codes.sample(seed=seed) if is_distribution(codes) else codes

    # What a user calls.

    def fit(
        self,
        model: keras.Model,
        x: Any,
        max_codes: int = 100_000,
        seed: int = 0,
        verbose: bool = True,
        condition: Any = None,
    ) -> Self:
        """Fits the density on the codes of data.

        Args:
            model: a trained model with `encode`.
            x: array, or finite data set, of examples as the model was trained on.
            max_codes: int >= 2, codes that are kept, at random, where there are more.
            seed: int >= 0, for draws of codes and for the fit; first weights of networks follow
                Keras' global seed.
            verbose: bool, whether to show progress.
            condition: of a conditional model, with an array: one for each example. A data set gives
                pairs.

        Returns:
            The sampler itself.

        Raises:
            ValueError: if the model has no `encode`, there are no examples, or the codes are not
                finite or have another shape than those of a fit before.
        """
        check_ints(2, max_codes=max_codes)
        check_seed(seed)
        check_verbose(verbose=verbose)
        if not callable(getattr(model, "encode", None)):
            raise ValueError(
                "A sampler is fitted on codes, which a model with an encoder has. Received: a "
                f"{type(model).__name__}, which has no encode. Sample from its own prior."
            )
        batches = _batches(model, x, condition)
        codes, conditions = _collected(self, model, batches, max_codes, seed, verbose)
        self._shape_for(codes.shape[1 + self.axes_of_parts :])
        self.fit_given(codes.reshape(len(codes), -1), conditions, seed, verbose)
        self.fitted = True
        return self

    def sample(
        self,
        num_samples: int = 1,
        seed: int | None = None,
        temperature: float = 1.0,
        truncation: float | None = None,
    ) -> tf.Tensor:
        """Draws codes.

        Args:
            num_samples: int >= 0.
            seed: int >= 0 or None.
            temperature: float > 0, factor of the standard deviations, or divisor of the logits, of
                what is drawn: less variety below 1.
            truncation: float > 0, standard deviations beyond which normal noise is drawn anew
                (the "truncation trick" of Brock et al., arXiv:1809.11096v2), or None.

        Returns:
            Tensor, shape (num_samples, *event_shape).

        Raises:
            ValueError: if nothing was fitted yet, an argument is out of range, or the sampler has
                no use for it.
        """
        check_num_samples(num_samples)
        check_seed(seed)
        check_positive(temperature=temperature)
        if truncation is not None:
            check_positive(truncation=truncation)
        self.check_options(temperature, truncation)
        self.check_fitted()
        noise = _noise(temperature, truncation)
        drawn = self.draw(num_samples, _stateless(seed), noise, temperature)
        return tf.reshape(drawn, (num_samples, *self._shape()))

    def log_prob(self, z: TensorLike) -> tf.Tensor:
        """log p(z) in nats.

        Args:
            z: tensor, shape (..., *event_shape).

        Returns:
            Tensor, shape (...).

        Raises:
            ValueError: if nothing was fitted yet, or the sampler has no density.
        """
        self.check_fitted()
        return self.as_distribution().log_prob(as_draws(z, self._shape(), None))

    def as_distribution(self, encoder: Any = None) -> Distribution:
        self.check_fitted()
        return _SamplerDistribution(self)

    def check_fitted(self) -> None:
        """Raises ValueError before `fit`, whether there are weights yet or not."""
        if self.event_shape is None or not self.fitted:
            kind = type(self).__name__
            raise ValueError(
                f"This {kind} was fitted on nothing yet. Call {kind}(...).fit(model, x) first."
            )

    def _shape(self):
        return self.event_shape or ()

    def check_options(self, temperature: float, truncation: float | None) -> None:
        """Raises ValueError for an option that the sampler has no use for."""
        given = {"temperature": temperature != 1.0, "truncation": truncation is not None}
        unknown = [
            name for name, is_given in given.items() if is_given and name not in self.options
        ]
        if unknown:
            raise ValueError(
                f"{type(self).__name__} has no use for {unknown[0]}: it draws without normal "
                f"noise. Received: temperature={temperature}, truncation={truncation}."
            )

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "event_shape": self.event_shape, "fitted": self.fitted}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """A sampler whose weights are yet to be set, those of a fitted one if it was fitted."""
        arguments = {key: value for key, value in config.items() if key != "fitted"}
        sampler = super().from_config(arguments)
        sampler.fitted = config.get("fitted", True)
        return sampler


def fitted_weight(sampler: Sampler, name: str, shape: Shape, initializer: Any = "zeros") -> Any:
    """A weight that `fit_codes` sets, and no optimizer moves."""
    return sampler.add_weight(
        shape=shape, initializer=initializer, trainable=False, autocast=False, name=name
    )


def _stateless(seed):
    """The stateless seed of an int; of None one that TensorFlow's global seed decides."""
    return tfp.random.sanitize_seed(None if seed is None else [0, seed])


def _noise(temperature, truncation):
    """Standard normal noise within the truncation, times the temperature."""
    if truncation is None:
        return lambda shape, seed: temperature * normal(shape, seed)
    low = tfd.Normal(0.0, 1.0).cdf(-float(truncation))

    def truncated(shape, seed):
        share = low + (1 - 2 * low) * uniform(shape, seed)
        return temperature * tfd.Normal(0.0, 1.0).quantile(share)

    return truncated


def _batches(model, x, condition):
    """Batches of examples and their conditions, or None, of any model with `encode`."""
    if hasattr(model, "batches_with_conditions"):
        return model.batches_with_conditions(x, condition)
    if condition is not None:
        raise ValueError(
            f"A {type(model).__name__} takes no condition. Received: condition={condition!r}. "
            "Leave it out, or give a conditional model of tfgen.models."
        )
    return ((batch, None) for batch in batches_of(x))


def _collected(sampler, model, batches, max_codes, seed, verbose):
    """Codes of data, at most so many, each as likely to be kept as any other; and conditions."""
    rng, bar = np.random.default_rng(seed), ProgressBar(None, verbose)
    parts = []
    for i, (x, condition) in enumerate(batches):
        _check_finite("Examples", x, "x")  # Of NaN there are codes of a codebook too.
        with given(condition):
            codes = np.asarray(sampler.codes_of(model, x, fold_in([0, seed], i)))
        conditions = np.zeros(len(codes)) if condition is None else np.asarray(condition)
        parts.append((rng.random(len(codes)), codes, conditions))
        bar.add(len(codes))
        if sum(len(keys) for keys, *_ in parts) > 2 * max_codes:
            parts = [_smallest(parts, max_codes)]
    if not parts or not sum(len(keys) for keys, *_ in parts):
        raise ValueError("x must have examples. Received: x without any. Give some.")
    _, codes, conditions = _smallest(parts, max_codes)
    _check_finite("Codes", codes, "the weights of the encoder")
    return codes, None if condition is None else conditions


def _check_finite(what, values, where):
    if not np.isfinite(values).all():
        raise ValueError(
            f"{what} must be finite. Received: {what.lower()} with NaN or infinite values. Look "
            f"for such values in {where}."
        )


def _smallest(parts, count):
    """The rows with the smallest keys, which come first, in the order in which they came."""
    arrays = [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]
    chosen = np.sort(np.argsort(arrays[0], kind="stable")[:count])
    return tuple(array[chosen] for array in arrays)


class _SamplerDistribution(tfd.Distribution):
    """A sampler as what models take for p(z)."""

    def __init__(self, sampler, name="SamplerDistribution"):
        parameters = dict(locals())
        self.sampler = sampler
        super().__init__(
            dtype=sampler.event_dtype,
            reparameterization_type=tfd.NOT_REPARAMETERIZED,
            validate_args=False,
            allow_nan_stats=True,
            parameters=parameters,
            name=name,
        )

    def _batch_shape(self):
        return tf.TensorShape([])

    def _batch_shape_tensor(self):
        return tf.constant([], tf.int32)

    def _event_shape(self):
        return tf.TensorShape(self.sampler.event_shape)

    def _event_shape_tensor(self):
        return tf.constant(self.sampler.event_shape, tf.int32)

    def _sample_n(self, n, seed=None):
        seed = tfp.random.sanitize_seed(seed)
        drawn = self.sampler.draw(n, seed, normal, 1.0)
        return tf.reshape(drawn, (-1, *self.sampler.event_shape))

    def sample_at(self, num_samples, temperature, seed):
        """Draws at a temperature, where the sampler has one."""
        self.sampler.check_options(temperature, None)
        noise, seed = _noise(temperature, None), tfp.random.sanitize_seed(seed)
        drawn = self.sampler.draw(num_samples, seed, noise, temperature)
        return tf.reshape(drawn, (-1, *self.sampler.event_shape))

    def _log_prob(self, value):
        reason = self.sampler.no_density
        if reason:
            raise ValueError(
                f"{type(self.sampler).__name__} has no density: {reason} Sample from it, or take "
                "a sampler with one, such as GaussianMixture, where a bound needs log p(z)."
            )
        rank = len(self.sampler.event_shape)
        leading = tf.shape(value)[: tf.rank(value) - rank]
        flat = tf.reshape(value, (-1, math.prod(self.sampler.event_shape)))
        return tf.reshape(self.sampler.log_density(flat), leading)
