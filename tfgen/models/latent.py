"""What models with latent variables share: decode, generate, sample, traverse, interpolate."""

import contextlib
import functools
import itertools
import math
import numbers
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar, cast

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from typing_extensions import Self, Unpack

from tfgen._utils.arguments import check_flags, check_ints, check_positive, check_weights
from tfgen._utils.constructors import check_fixed
from tfgen._utils.random import fold_in
from tfgen._utils.tensors import check_stateless_seed
from tfgen._utils.typing import Distribution, ModelOptions, Seed, Shape, TensorLike
from tfgen.layers import (
    Conditional,
    FixedScaleNormal,
    Prior,
    StandardNormal,
    conditionals_in,
    current_condition,
    given,
)
from tfgen.layers.priors import sample_at
from tfgen.losses import check_support, expected_value, squared_mmd
from tfgen.models.base import GenerativeModel
from tfgen.models.checks import (
    as_array,
    as_example,
    as_examples,
    check_dims,
    check_finite,
    check_num_samples,
    check_prior_layer,
    check_reparameterized,
    check_same_space,
    check_seed,
    check_values,
    input_shape,
    is_distribution,
    output_on_zeros,
)
from tfgen.models.training_data import parted, unpack

tfd = tfp.distributions

__all__ = [
    "AutoencodingModel",
    "LatentVariableModel",
    "batches_of",
    "decode_in_chunks",
    "given_conditions",
    "joined",
    "mean_of",
    "mmd_to_prior",
    "sample_of",
]

_Method = TypeVar("_Method", bound=Callable[..., Any])

# What an image can be that ends in these.
_RANGES = {keras.activations.sigmoid: (0, 1), keras.activations.tanh: (-1, 1)}
_PASS_VALUES_ON = (keras.layers.Reshape, keras.layers.Cropping2D, FixedScaleNormal)
_UNIT_INTERVAL = (tfd.Bernoulli, tfd.ContinuousBernoulli, tfd.Beta, tfd.RelaxedBernoulli)
_LOCATION_SCALE = (tfd.Normal, tfd.Laplace, tfd.Logistic, tfd.MultivariateNormalDiag)
# Standard deviations beyond which an untrained decoder has a long way to go.
FAR = 10.0
# Latents decoded at a time, so that memory does not grow with the number of samples.
CHUNK = 500


def mean_of(output: Any) -> tf.Tensor:
    """The mean of a distribution (of a flow or on a sphere, its center), other outputs themselves.

    Where the mean has no closed form it is that of draws; where there is none, the mode. See
    `tfgen.losses.expected_value`.
    """
    if hasattr(output, "center"):
        return output.center()
    return expected_value(output) if is_distribution(output) else tf.convert_to_tensor(output)


def sample_of(output: Any, seed: Seed) -> tf.Tensor:
    """A reparameterized sample of a distribution, a deterministic output itself; float32."""
    return tf.cast(output.sample(seed=seed) if is_distribution(output) else output, tf.float32)


def given_conditions(method: _Method) -> _Method:
    """Lets a method of a batch take one with conditions, and gives them to the networks."""

    @functools.wraps(method)
    def with_conditions(self, x, *args, **kwargs):
        x, condition = parted(x)
        with self.conditioned_on(condition):
            return method(self, x, *args, **kwargs)

    return cast(_Method, with_conditions)


def decode_in_chunks(
    decode: Callable[..., Any],
    z: TensorLike,
    seed: Seed | None = None,
    condition: Any = None,
) -> tf.Tensor:
    """Means of what `decode` returns for `z` and `condition`, or draws if there is a seed."""
    parts = _chunks(z)
    conditions = [None] * len(parts) if condition is None else _chunks(condition)
    outputs = (decode(*part) for part in zip(parts, conditions, strict=True))
    if seed is None:
        return tf.concat([mean_of(output) for output in outputs], axis=0)
    draws = [_draw(output, fold_in(seed, i + 1)) for i, output in enumerate(outputs)]
    return tf.concat(draws, axis=0)


def _draw(output, seed):
    if not is_distribution(output):
        raise ValueError(
            "mean=False draws from p(x|z). Received: a decoder that returns "
            f"{type(output).__name__}, no distribution. Pass mean=True."
        )
    return output.sample(seed=seed)


def _pixel(output):
    """The distribution of one value, of a distribution of independent ones."""
    return getattr(output, "distribution", output)


def _last_activation(network):
    """The activation that a network ends in, or None if something else changes its values."""
    network = network.network if isinstance(network, Conditional) else network
    for layer in reversed(getattr(network, "layers", [])):
        if getattr(layer, "activation", None):
            return layer.activation
        if not isinstance(layer, _PASS_VALUES_ON):
            return None
    return None


def _half_used_range(activation, x):
    """What is wrong with images in [0, 1] for a tanh, or None."""
    if activation is not keras.activations.tanh or x.min() < 0 or x.max() <= 0:
        return None
    return (
        "A decoder or generator that ends in tanh gives values from -1 to 1, of which the data use "
        f"the upper half. Received: data from {x.min():g} to {x.max():g}. Rescale them to [-1, 1] "
        "(datasets.load(..., value_range=(-1, 1)), or 2 * x - 1), or end it in sigmoid."
    )


def _distance_from_output(output, x):
    """Which data lie many standard deviations from what a decoder returns, or None."""
    x = np.asarray(x[:CHUNK], "float32")
    if is_distribution(output) and not isinstance(_pixel(output), _LOCATION_SCALE):
        return None
    loc, scale = (output.mean(), output.stddev()) if is_distribution(output) else (output, 1.0)
    loc, scale = np.asarray(loc, "float32"), np.asarray(scale, "float32")
    distance = np.sqrt(np.mean(np.square((x - loc) / scale)))
    if not (distance > FAR and np.abs(x).max() > FAR):
        return None
    return (
        f"The data lie some {distance:.0f} standard deviations from what the decoder or generator "
        "gives at z = 0 (of p(x|z), or 1 where it returns no distribution): the loss begins with "
        f"about {distance**2 / 2:.1g} nats for each value, and training may not get anywhere. "
        f"Received: data from {x.min():g} to {x.max():g}. Rescale them (datasets.load(..., "
        "value_range=(0, 1)), or x / 255 for 8-bit images), or give p(x|z) a scale that fits."
    )


def _chunks(z):
    """Parts of `z` along its first axis; one empty part if there is nothing."""
    return [z[i : i + CHUNK] for i in range(0, max(len(z), 1), CHUNK)]


def batches_of(x: Any, unpack: Callable[[Any], Any] = unpack) -> Iterable[Any]:
    """Batches of a data set, of an array, or of what NumPy makes one of.

    Args:
        x: `tf.data.Dataset`, `keras.utils.PyDataset`, array, tensor, data frame or list.
        unpack: callable, which takes what is needed of a data set's batch.

    Raises:
        ValueError: if a data set never ends, or `x` is none of these.
    """
    if isinstance(x, tf.data.Dataset):
        check_finite(int(x.cardinality()) != tf.data.INFINITE_CARDINALITY)
        return map(unpack, x)
    if isinstance(x, keras.utils.PyDataset):
        check_finite(x.num_batches is not None)
        return (unpack(x[i]) for i in range(x.num_batches))
    return _chunks(as_array(x))


def joined(codes: Sequence[TensorLike]) -> np.ndarray:
    """Codes of batches as one array; raises ValueError if there is no batch."""
    if not codes:
        raise ValueError(
            "x must have examples. Received: x, a data set without batches. Give one with some."
        )
    return np.concatenate(codes)


def _as_number(value):
    """The number in a variable, tensor or array without axes; other values themselves."""
    scalar = hasattr(value, "shape") and tuple(value.shape) == ()
    return keras.ops.convert_to_numpy(value).item() if scalar else value


def _check_weight(name, value, minimum):
    """Raises ValueError unless a weight of a loss is finite and not less than its minimum."""
    if minimum == 0.0:
        check_weights(**{name: value})
    elif not isinstance(value, numbers.Real) or not math.isfinite(value):
        raise ValueError(
            f"{name} weights a term of the loss and must be a finite number. Received: "
            f"{name}={value!r}."
        )


def mmd_to_prior(model: "LatentVariableModel", z: tf.Tensor, seed: Seed, kernel: Any) -> tf.Tensor:
    """The MMD^2 of a batch of codes and as many draws of the prior, once for each example."""
    num_samples = tf.shape(z)[0]
    draws = model.sample_latents(num_samples, seed)
    # Draws of a mixture carry part of its gradient only: a trained prior follows the KL alone.
    return tf.fill((num_samples,), squared_mmd(z, tf.stop_gradient(draws), kernel))


class LatentVariableModel(GenerativeModel):
    """A model that generates data from latent variables.

    Its config holds what its constructor was given (`ConfiguredModel`), that of a subclass too.

    Args:
        decoder: network from z to p(x|z), or to x.
        latent_shape: tuple, shape of one z, such as (20,).
        data_shape: tuple, shape of one example.
        prior: a prior of `tfgen.layers` over z; `StandardNormal` if None.
        **kwargs: arguments of `GenerativeModel`.

    Raises:
        ValueError: if the prior is over another shape.
    """

    def __init__(
        self,
        decoder: keras.Model,
        latent_shape: Shape,
        data_shape: Shape,
        prior: Prior | None = None,
        **kwargs: Unpack[ModelOptions],
    ) -> None:
        check_prior_layer(prior, self)
        super().__init__(data_shape, **kwargs)
        self.decoder = decoder
        self.latent_shape = tuple(latent_shape)
        self.prior = StandardNormal(self.latent_shape) if prior is None else prior
        self.initial_loss_weights: dict[str, float | None] = {}
        self._loss_weight_options: dict[str, tuple[float, bool]] = {}

    # Weights of the loss.

    def add_loss_weight(
        self,
        name: str,
        value: float | None,
        minimum: float = 0.0,
        aggregation: str = "none",
        optional: bool = False,
        required: bool = True,
    ) -> Any:
        """A weight of a term of the loss: `model.<name> = value` assigns to it, at any time.

        Args:
            name: the argument of the constructor, and the attribute that the weight is kept in.
            value: float >= `minimum`.
            minimum: float, 0 or -inf.
            aggregation: as in `keras.layers.Layer.add_weight`.
            optional: bool, whether a model that is built with 0 leaves the term out for good.
            required: bool, False for a weight that may be None, where the loss has no such term.

        Returns:
            Scalar float32 variable that no optimizer moves, or None.

        Raises:
            ValueError: if the value is not a number, not finite or less than `minimum`.
        """
        self._loss_weight_options[name] = (minimum, optional)
        self.initial_loss_weights[name] = value
        if value is None and not required:
            return None
        _check_weight(name, value, minimum)
        return self.add_weight(
            shape=(),
            initializer=keras.initializers.Constant(value),
            trainable=False,
            aggregation=aggregation,
            autocast=False,
            name=name,
        )

    def check_loss_weight(self, name: str, value: Any) -> None:
        """Raises ValueError if a weight of the loss, by name, cannot have this value from now on.

        A model whose weights depend on each other overrides it.
        """
        check_fixed(type(self), {name: value})
        first, (minimum, optional) = (
            self.initial_loss_weights[name],
            self._loss_weight_options[name],
        )
        kind, received = type(self).__name__, f"Received: model.{name} = {value!r}."
        if first is None:
            raise ValueError(
                f"The {kind} was built without {name}, and its loss has no such term. {received} "
                f"Build it with a first value: {kind}(..., {name}=0.0)."
            )
        if value is None:
            raise ValueError(
                f"The {kind} was built with {name}, and its loss has that term. {received} Set a "
                f"number, or build a model without it: {kind}(..., {name}=None)."
            )
        _check_weight(name, value, minimum)
        if optional and value and not first:
            raise ValueError(
                f"The {kind} was built with {name}=0, and its loss leaves that term out. "
                f"{received} Build it with a positive {name}, which may be set to 0 later."
            )

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in vars(self) or name not in vars(self).get("initial_loss_weights", ()):
            super().__setattr__(name, value)
        elif value is not (weight := vars(self)[name]):
            if not tf.is_symbolic_tensor(value):
                value = _as_number(value)
                self.check_loss_weight(name, value)
            weight.assign(value)

    def check_prior(self) -> None:
        """Raises ValueError if the prior is not over the decoder's latents."""
        event_shape = tuple(self.prior_distribution().event_shape)
        if event_shape != self.latent_shape:
            raise ValueError(
                f"The prior must be over the latents of shape {self.latent_shape}. Received: a "
                f"prior over shape {event_shape}. Give the prior that shape."
            )

    def identity(self) -> dict[str, str]:
        is_network = isinstance(self.decoder, keras.Model)  # Not the bijector of a flow.
        output = _pixel(output_on_zeros(self.decoder)) if is_network else self.decoder
        return {**super().identity(), "decoder's output": type(output).__name__}

    def prior_distribution(self) -> Distribution:
        """p(z), a `tfd.Distribution`."""
        return self._distribution_of(self.prior)

    def _distribution_of(self, prior):
        return prior.as_distribution(getattr(self, "encoder", None))

    def with_prior(self, prior: Prior) -> Self:
        """A model of the same networks under another prior, such as one of `tfgen.samplers`.

        Its samples, bounds and likelihoods are those under that prior, and `save` saves both. The
        networks are shared: training one model changes the other. What the class makes itself, such
        as a codebook, is copied.

        Args:
            prior: a prior of `tfgen.layers`, or a fitted sampler.

        Returns:
            A model of the same class, not compiled.

        Raises:
            ValueError: if the prior does not fit the model, or its class takes none.
        """
        return self._sharing_weights(prior=prior)

    def _sharing_weights(self, **changes):
        """`rebuilt`, with copies of what the class makes itself and of the loss's weights."""
        model = self.rebuilt(**changes)
        layers = {k: v for k, v in vars(self).items() if isinstance(v, keras.layers.Layer)}
        for name, layer in layers.items():
            if name not in changes and layer is not (made := getattr(model, name)):
                made.set_weights(layer.get_weights())
        for name, weight in self._loss_weights().items():
            getattr(model, name).assign(weight)
        return model

    def check_batch(self, x: np.ndarray) -> None:
        """Raises ValueError if the decoder can neither return nor explain values of `x`.

        Warns, once, if it would take very long to learn them.
        """
        output = output_on_zeros(self.decoder)
        if is_distribution(output):
            check_support(output, x)
        activation = _last_activation(self.decoder)
        low, high = _RANGES.get(activation, (-math.inf, math.inf))
        if x.min() < low or x.max() > high:
            raise ValueError(
                f"A decoder or generator that ends in {activation.__name__} gives values from {low}"
                f" to {high}. Received: data from {x.min():g} to {x.max():g}. Rescale the data "
                f"(datasets.load(..., value_range=({low}, {high}))), or use another activation."
            )
        reason = _half_used_range(activation, x) or _distance_from_output(output, x)
        if reason and not vars(self).get("_warned_of_scale", False):
            self._warned_of_scale = True
            warnings.warn(reason, stacklevel=2)

    @property
    def value_range(self) -> tuple[float, float] | None:
        """The values (low, high) between which all images of `generate` lie; None if unbounded."""
        activation = _last_activation(self.decoder)
        if activation in _RANGES or not isinstance(self.decoder, keras.Model):
            return _RANGES.get(activation)
        pixel = _pixel(output_on_zeros(self.decoder))
        if isinstance(pixel, tfd.TruncatedNormal):
            return float(pixel.low), float(pixel.high)
        is_in_steps = hasattr(pixel, "num_values")
        return (0.0, 1.0) if is_in_steps or isinstance(pixel, _UNIT_INTERVAL) else None

    def sample_latents(
        self,
        num_samples: int,
        seed: Seed | int | None = None,
        prior: Prior | None = None,
        condition: Any = None,
        temperature: float = 1.0,
    ) -> tf.Tensor:
        """Draws from p(z), p(z|c) or another prior, shape (num_samples, *latent_shape)."""
        check_num_samples(num_samples)
        check_positive(temperature=temperature)
        if isinstance(seed, numbers.Number) or getattr(seed, "shape", None) == ():
            check_seed(seed)
            seed = int(seed)  # type: ignore[arg-type]  # A NumPy int is no seed of TFP.
        elif seed is not None:
            check_stateless_seed(seed=seed)
        check_prior_layer(prior, self)
        density = self.prior_distribution() if prior is None else self._distribution_of(prior)
        with self.conditioned_on(condition, num_samples):
            return sample_at(density, num_samples, temperature, seed)

    # Conditions.

    @contextlib.contextmanager
    def conditioned_on(self, condition: Any, num_examples: int | None = None) -> Iterator[None]:
        """Gives the networks a condition; None leaves them the one they have already.

        Raises:
            ValueError: if the model takes no conditions, or others: see `layers.Condition.check`.
        """
        if condition is None:
            yield
        else:
            with given(self.checked_condition(condition, num_examples)):
                yield

    def checked_condition(self, condition: Any, num_examples: int | None = None) -> Any:
        """Conditions of so many examples, as the networks take them; None for none."""
        if condition is None:
            return None
        if self.conditions is None:
            raise ValueError(
                f"This {type(self).__name__} takes no condition: none of its networks does. "
                f"Received: condition={condition!r}. Build them with num_classes or "
                "condition_shape."
            )
        return self.conditions.check(condition, num_examples)

    def as_pair(self, inputs: Any) -> tuple[Any, Any]:
        """The inputs of `call` as a pair: (x, condition) of a conditional model, else (x, None).

        Raises:
            ValueError: if a condition is missing.
        """
        if self.conditions is None or current_condition() is not None:
            return inputs, None
        if not isinstance(inputs, tuple | list) or len(inputs) != 2:
            raise ValueError(
                f"A conditional {type(self).__name__} takes pairs [x, condition]. Received: "
                f"{type(inputs).__name__}. Give it such, or a data set of pairs to predict."
            )
        return inputs[0], inputs[1]

    def predict_step(self, data: Any) -> tf.Tensor:
        """`call` on a batch; of a conditional model, also on one of a data set of pairs."""
        x, condition, _ = keras.utils.unpack_x_y_sample_weight(data)
        pairs = self.conditions is not None and condition is not None
        return self((x, condition) if pairs else x, training=False)

    @property
    def samples_are_conditional(self) -> bool:
        """Whether p(x|z) or p(z) is given the condition; in some models only q(z|x) is."""
        return bool(conditionals_in(self.decoder) or conditionals_in(self.prior))

    def condition_of_samples(self, condition: Any, num_examples: int | None = None) -> Any:
        """As `checked_condition`, but for what is decoded.

        Raises:
            ValueError: if the decoder takes no condition.
        """
        if condition is not None and self.conditions and not self.samples_are_conditional:
            raise ValueError(
                f"The decoder of this {type(self).__name__} takes no condition, its encoder alone "
                f"does. Received: condition={condition!r}. Leave it out where z is decoded."
            )
        return self.checked_condition(condition, num_examples)

    def given(self, condition: Any) -> Self:
        """The model under one condition, of the same class and with the same weights.

        It takes no conditions and does all that unconditional models do: `traverse`,
        `interpolate`, plots, scores by condition, `save`. The networks are shared: training one
        model changes the other.

        Args:
            condition: one condition, such as the number of a class.

        Returns:
            A model of the same class, not compiled.

        Raises:
            ValueError: if the model takes no conditions, or others.
        """
        self.checked_condition(condition, 1)
        parts = {k: v for k, v in self.arguments().items() if hasattr(v, "under")}
        networks = {k: v for k, v in parts.items() if conditionals_in(v)}
        model = self._sharing_weights(**{k: v.under(condition) for k, v in networks.items()})
        if model.conditions is not None:
            raise ValueError(
                "given(condition) replaces conditional networks that are arguments of the model. "
                f"Received: a {type(self).__name__} with such a network inside another. Make the "
                "outer one the layers.Conditional, and its inner one a part of that."
            )
        return model

    def decode(self, z: TensorLike, condition: Any = None) -> Any:
        """p(x|z), or x where the decoder is deterministic; p(x|z, c) given a condition.

        Args:
            z: latents, shape (n, *latent_shape).
            condition: of a conditional model, one for all or one for each.

        Returns:
            What the decoder returns: a `tfd.Distribution` over n examples, or a tensor of them.

        Raises:
            ValueError: if `z` has another shape, or the condition does not fit.
        """
        z = as_examples(z, self.latent_shape, "z")
        with self.conditioned_on(self.condition_of_samples(condition), z.shape[0]):
            return self.decoder(z)

    def generate_in_training(self, z: tf.Tensor, training: bool) -> tf.Tensor:
        """The decoder's mean within a training step, float32 whatever the policy."""
        return tf.cast(mean_of(self.decoder(z, training=training)), tf.float32)

    def generate(self, z: TensorLike, condition: Any = None) -> tf.Tensor:
        """The decoder's mean E[x|z] or E[x|z, c].

        Args:
            z: latents, shape (n, *latent_shape).
            condition: of a conditional model, one for all or one for each.

        Returns:
            Tensor, shape (n, *data_shape), decoded in chunks, so that n may be large.

        Raises:
            ValueError: as `decode`.
        """
        z = as_examples(z, self.latent_shape, "z")
        condition = self.condition_of_samples(condition, z.shape[0])
        return decode_in_chunks(self.decode, z, None, condition)

    def sampling_seed(self, seed: int | None = None) -> tf.Tensor:
        """`next_seed` outside of training, or the stateless seed that the int `seed` stands for."""
        check_seed(seed)
        return super().sampling_seed(seed)

    def sample(
        self,
        num_samples: int = 1,
        seed: int | None = None,
        mean: bool = True,
        prior: Prior | None = None,
        condition: Any = None,
        temperature: float = 1.0,
    ) -> tf.Tensor:
        """New examples.

        Args:
            num_samples: int >= 0.
            seed: int >= 0 or None. An int gives the same samples each time.
            mean: bool, E[x|z] as papers show it if True, else a draw from p(x|z).
            prior: what z is drawn from in the place of the model's own prior, such as a fitted
                sampler of `tfgen.samplers`.
            condition: of a conditional model, one for all or one for each sample; see
                `layers.Condition.check`. None for the classes in turn, where there are classes.
            temperature: float > 0, factor of the standard deviations of z: less variety below 1, as
                in Glow (Kingma & Dhariwal, arXiv:1807.03039v2, whose authors' post of July 2018
                shows faces at 0.7). For z of independent normals, and under samplers that have a
                temperature.

        Returns:
            Tensor, shape (num_samples, *data_shape).

        Raises:
            ValueError: if `num_samples` or `seed` is not an int, is negative or needs more than 32
                bits, or the prior, the condition or the temperature does not fit.
        """
        check_flags(mean=mean)
        check_num_samples(num_samples)
        seed = self.sampling_seed(seed)
        if condition is None and self.num_classes and self.samples_are_conditional:
            condition = np.arange(num_samples) % self.num_classes
        condition = self.condition_of_samples(condition, num_samples)
        z = self.sample_latents(num_samples, seed, prior, condition, temperature)
        return decode_in_chunks(self.decode, z, None if mean else seed, condition)

    def interpolate_latents(
        self, start: TensorLike, end: TensorLike, num_steps: int = 7, condition: Any = None
    ) -> tf.Tensor:
        """Images on the straight lines from `start` to `end`, both included.

        Args:
            start: latents, shape (n, *latent_shape).
            end: latents, the same shape.
            num_steps: int >= 2.
            condition: of a conditional model, one for all or one for each line.

        Returns:
            Tensor, shape (n, num_steps, *data_shape).

        Raises:
            ValueError: if a shape is another, `num_steps` is less than 2, or the condition does
                not fit.
        """
        check_ints(2, num_steps=num_steps)
        start = as_examples(start, self.latent_shape, "start")
        end = as_examples(end, self.latent_shape, "end")
        if start.shape != end.shape:
            raise ValueError(
                "interpolate_latents joins each start with the end in its place. Received: start "
                f"of shape {tuple(start.shape)} and end of shape {tuple(end.shape)}. Give as many."
            )
        weights = tf.reshape(tf.linspace(0.0, 1.0, num_steps), (-1, *[1] * len(self.latent_shape)))
        z = start[:, None] + weights * (end - start)[:, None]
        condition = self.condition_of_samples(condition, len(start))
        return self._generate_grid(z, condition)

    def traverse_latents(
        self,
        z: TensorLike,
        dims: Sequence[int] | None = None,
        values: Sequence[float] | None = None,
        condition: Any = None,
    ) -> tf.Tensor:
        """Images for one latent vector with one dimension at a time set to each value.

        Args:
            z: shape `latent_shape`, one latent vector.
            dims: sequence of int, dimensions to vary; all if None.
            values: sequence of float, -3 to 3 in 7 steps if None; in units of z.
            condition: of a conditional model, one for all.

        Returns:
            Tensor, shape (len(dims), len(values), *data_shape).

        Raises:
            ValueError: if `z` has another shape, a dimension is not in it, a value is not finite,
                or the condition does not fit.
        """
        z = np.reshape(as_example(z, self.latent_shape, "z"), -1)
        rows = check_dims(range(len(z)) if dims is None else dims, self.latent_shape)
        shown = check_values(np.linspace(-3, 3, 7) if values is None else values)
        grid = np.tile(z, (len(rows), len(shown), 1))
        for row, dim in enumerate(rows):
            grid[row, :, dim] = shown
        grid = tf.reshape(tf.cast(grid, tf.float32), (len(rows), len(shown), *self.latent_shape))
        return self._generate_grid(grid, self.condition_of_samples(condition, len(rows)))

    def _generate_grid(self, z, condition):
        """`generate` for latents with two leading axes, and conditions with the first of them."""
        condition = None if condition is None else np.repeat(condition, z.shape[1], axis=0)
        images = self.generate(tf.reshape(z, (-1, *self.latent_shape)), condition)
        return tf.reshape(images, (*z.shape[:2], *self.data_shape))

    # Saving.

    def save_own_variables(self, store: Any) -> None:
        """Saves weights of the loss by name too: Keras' numbers depend on the class."""
        super().save_own_variables(store)
        for name, weight in self._loss_weights().items():
            store[f"weight_{name}"] = weight

    def load_own_variables(self, store: Any) -> None:
        """Loads what `save_own_variables` saved, also in versions that had fewer weights."""
        current: dict[str, Any] = {}
        super().save_own_variables(current)
        saved = {key: store[key] for key in store.keys()}
        weights = self._loss_weights()
        named = {name: saved.pop(f"weight_{name}", None) for name in weights}
        if weights and all(value is None for value in named.values()):
            named = _weights_of_0_1_0(saved, weights)
        else:
            unknown = [weights[name] for name, value in named.items() if value is None]
            saved = _numbered_without(unknown, current, saved)
        super().load_own_variables({**current, **saved})
        for name, value in named.items():
            if value is not None:
                weights[name].assign(value)

    def _loss_weights(self):
        values = {name: getattr(self, name) for name in self.initial_loss_weights}
        return {name: value for name, value in values.items() if value is not None}


def _weights_of_0_1_0(saved, weights):
    """Takes the weights of the loss, which followed the count of steps, out of `saved`."""
    names = ["multiplier"] if "multiplier" in weights else ["beta", "capacity"]
    numbers = range(1, len([key for key in saved if key.isdigit()]))
    return {name: saved.pop(str(i)) for i, name in zip(numbers, names, strict=False)}


def _numbered_without(unknown, current, saved):
    """What is `saved` under today's numbers, of a file that knows some of the variables not."""
    known = [key for key, value in current.items() if not any(value is u for u in unknown)]
    numbers = [key for key in saved if key.isdigit()]
    others = {key: value for key, value in saved.items() if not key.isdigit()}
    renamed = dict(zip(sorted(numbers, key=int), known, strict=False))
    return {**others, **{key: saved[number] for number, key in renamed.items()}}


class AutoencodingModel(LatentVariableModel):
    """A model with an encoder as well; its `call` reconstructs.

    Args:
        encoder: network from x to q(z|x), or to z.
        decoder: network from z to p(x|z), or to x.
        prior: a prior of `tfgen.layers` over z; `StandardNormal` if None.
        **kwargs: arguments of `GenerativeModel`.

    Raises:
        ValueError: if the networks' shapes do not fit each other.
    """

    fixed = {
        "latent_shape": "It is that of the encoder's output.",
        "data_shape": "It is that of the encoder's input.",
    }

    def __init__(
        self,
        encoder: keras.Model,
        decoder: keras.Model,
        prior: Prior | None = None,
        **kwargs: Unpack[ModelOptions],
    ) -> None:
        data_shape = input_shape(encoder, "encoder", "keras.Input(image_shape)")
        latent_shape = input_shape(decoder, "decoder", "keras.Input((latent_dim,))")
        if tuple(encoder.output_shape[1:]) != latent_shape:
            raise ValueError(
                "The encoder's latents must be what the decoder takes. Received: an encoder of "
                f"output shape {encoder.output_shape} and a decoder of input shape "
                f"{decoder.input_shape}. Give both the same latent_dim."
            )
        if tuple(decoder.output_shape[1:]) != data_shape:
            raise ValueError(
                "The decoder must return what the encoder takes. Received: a decoder of output "
                f"shape {decoder.output_shape} and an encoder of input shape "
                f"{encoder.input_shape}. Give both the same image_shape."
            )
        super().__init__(decoder, latent_shape, data_shape, prior, **kwargs)
        self.encoder = encoder
        self.check_prior()
        self.check_draws()

    def check_draws(self) -> None:
        """Raises ValueError if a gradient has to pass a draw that lets none through.

        A model that trains its encoder without such a gradient overrides it.
        """
        if type(self.encoder).call is not keras.Model.call:  # DRAW has a network of its own.
            output = output_on_zeros(self.encoder)
            check_reparameterized(output, "encoder")
            check_same_space(output, self.prior_distribution())

    def encode(self, x: TensorLike, condition: Any = None) -> Any:
        """q(z|x), or z where the encoder is deterministic; q(z|x, c) given a condition.

        Args:
            x: examples, shape (n, *data_shape).
            condition: of a conditional model, one for all or one for each.

        Returns:
            What the encoder returns: a `tfd.Distribution` over n latents, or a tensor of them.

        Raises:
            ValueError: if `x` has another shape, or the condition does not fit.
        """
        x = as_examples(x, self.data_shape, "x")
        with self.conditioned_on(condition, x.shape[0]):
            return self.encoder(x)

    def embed(self, x: Any, condition: Any = None) -> np.ndarray:
        """Means of q(z|x), or z where the encoder is deterministic.

        Args:
            x: array; or a data set, of pairs as `fit` takes it where the model is conditional.
            condition: of a conditional model, with an array: one for all or one for each.

        Returns:
            NumPy array, shape (n, *latent_shape).

        Raises:
            ValueError: if there are no examples, a data set never ends or is given a condition
                as well, or `x` or the condition does not fit the model.
        """
        return joined(
            [mean_of(self.encode(*batch)) for batch in self.batches_with_conditions(x, condition)]
        )

    def batches_with_conditions(self, x: Any, condition: Any = None) -> Iterable[tuple[Any, Any]]:
        """Pairs of a batch and its conditions (or None), of all that `embed` takes."""
        if isinstance(x, tf.data.Dataset | keras.utils.PyDataset):
            if self.checked_condition(condition) is not None:
                raise ValueError(
                    "A data set gives its conditions itself, as pairs (x, condition). Received: "
                    f"x={x!r} and condition={condition!r}. Leave the condition out."
                )
            return map(parted, batches_of(x, self.unpack if self.conditions else unpack))
        x = as_array(x)
        condition = self.checked_condition(condition, len(x))
        conditions = itertools.repeat(None) if condition is None else batches_of(condition)
        return zip(batches_of(x), conditions, strict=False)

    def reconstruct(self, x: TensorLike, condition: Any = None) -> tf.Tensor:
        """E[x|z] at the mean of q(z|x); both given the condition, if there is one.

        Args:
            x: examples, shape (n, *data_shape).
            condition: of a conditional model, one for all or one for each.

        Returns:
            Tensor of the shape of `x`.

        Raises:
            ValueError: as `encode`.
        """
        x = as_examples(x, self.data_shape, "x")
        with self.conditioned_on(condition, x.shape[0]):
            return mean_of(self.decode(mean_of(self.encode(x))))

    def call(self, inputs: Any) -> tf.Tensor:
        """`reconstruct`; a conditional model takes pairs [x, condition]."""
        return self.reconstruct(*self.as_pair(inputs))

    def interpolate(
        self, start: TensorLike, end: TensorLike, num_steps: int = 7, condition: Any = None
    ) -> tf.Tensor:
        """Images between two batches of images, on straight lines between their codes.

        Args:
            start: examples, shape (n, *data_shape).
            end: examples, the same shape.
            num_steps: int >= 2.
            condition: of a conditional model, one for all or one for each line.

        Returns:
            Tensor, shape (n, num_steps, *data_shape).

        Raises:
            ValueError: if a shape is another, `num_steps` is less than 2, or the condition does
                not fit.
        """
        start = as_examples(start, self.data_shape, "start")
        end = as_examples(end, self.data_shape, "end")
        start, end = (self.embed(x, condition) for x in (start, end))
        condition = condition if self.samples_are_conditional else None
        return self.interpolate_latents(start, end, num_steps, condition)

    def traverse(
        self,
        x: TensorLike | None = None,
        dims: Sequence[int] | None = None,
        values: Sequence[float] | None = None,
        condition: Any = None,
    ) -> tf.Tensor:
        """Images around the code of one example, with one dimension at a time set to each value.

        Args:
            x: one example, shape `data_shape`; None for the origin of the latent space.
            dims: sequence of int, dimensions to vary; all if None.
            values: sequence of float, -3 to 3 in 7 steps if None; in units of z.
            condition: of a conditional model, one for all.

        Returns:
            Tensor, shape (len(dims), len(values), *data_shape).

        Raises:
            ValueError: if `x` has another shape, a dimension is not in z, a value is not finite, or
                the condition does not fit.
        """
        if x is None:
            return self.traverse_latents(np.zeros(self.latent_shape), dims, values, condition)
        z = self.embed(as_example(x, self.data_shape, "x"), condition)[0]
        condition = condition if self.samples_are_conditional else None
        return self.traverse_latents(z, dims, values, condition)
