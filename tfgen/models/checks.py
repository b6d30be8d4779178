"""Checks of networks, batches and arguments that several models share."""

import inspect
import numbers
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen._utils import keras_private
from tfgen._utils.arguments import check_flags, check_ints
from tfgen._utils.tensors import check_stateless_seed
from tfgen._utils.typing import Seed, Shape
from tfgen.layers import Conditional, MinibatchDiscrimination, Prior, conditionals_in, given
from tfgen.losses.divergences import is_diagonal_normal

tfd = tfp.distributions

__all__ = [
    "as_array",
    "as_draws",
    "as_example",
    "as_examples",
    "check_diagonal_normal",
    "check_dims",
    "check_discriminator",
    "check_distribution",
    "check_finite",
    "check_logits",
    "check_no_batch_normalization",
    "check_num_samples",
    "check_pairs",
    "check_prior_layer",
    "check_reparameterized",
    "check_same_space",
    "check_seed",
    "check_several_examples",
    "check_values",
    "check_weights_of_draws",
    "input_shape",
    "is_distribution",
    "output_on_zeros",
]


def is_distribution(output: Any) -> bool:
    """Whether a network returned a distribution rather than a tensor."""
    return isinstance(output, tfd.Distribution)


def output_on_zeros(network: keras.Model) -> Any:
    """What a network returns for one example of zeros; ValueError if events are several tensors."""
    conditions = [part.takes.zeros(1) for part in conditionals_in(network)]
    with given(conditions[0] if conditions else None):
        output = network(tf.zeros((1, *network.input_shape[1:])))
    if isinstance(output, tfd.JointDistribution):
        raise ValueError(
            "A network must return a tensor or a distribution over one tensor. Received: the "
            f"network {network.name!r}, which returns a {type(output).__name__}, over several. End "
            "it in tfd.Blockwise(joint), which joins them along the last axis."
        )
    return output


def input_shape(network: keras.Model, role: str, remedy: str) -> tuple[int, ...]:
    """Shape of one input of a network with a single known one, or of one beside a condition."""
    shape = getattr(network, "input_shape", None)
    if not isinstance(shape, tuple):
        raise ValueError(
            f"The {role} must be a Keras model with one input of known shape. Received: "
            f"{network!r}. Begin it with {remedy}, or wrap it: "
            f"keras.Sequential([{remedy}, network])."
        )
    return tuple(shape[1:])


def check_prior_layer(prior: Any, model: keras.Model) -> None:
    """Raises ValueError unless a model was given a prior of `tfgen.layers`, or None."""
    if prior is None or isinstance(prior, Prior):
        return
    kind, names = type(model).__name__, list(inspect.signature(type(model)).parameters)
    place = names.index("prior") + 1 if "prior" in names else 0
    after = names[place] if 0 < place < len(names) else "name"
    what = f"Argument {place} of {kind} is the prior" if place else f"The prior of a {kind} is"
    raise ValueError(
        f"{what}, a layer such as layers.StandardNormal, or None. Received: prior={prior!r}. Give "
        f"other arguments by keyword: {kind}(..., {after}=...)."
    )


def check_distribution(network: keras.Model, role: str, density: str, layer: str) -> Any:
    """What the network returns; raises ValueError unless it is a distribution."""
    output = output_on_zeros(network)
    if not is_distribution(output):
        raise ValueError(
            f"The {role} of a VAE must return {density}, a distribution. Received: a {role} that "
            f"returns {type(output).__name__}. End it with a layer of tfgen.layers, for example "
            f"{layer}."
        )
    return output


def check_reparameterized(output: Any, role: str) -> None:
    """Raises ValueError if a network returned a distribution whose draws pass no gradient on."""
    if not is_distribution(output):
        return
    kinds = tf.nest.flatten(output.reparameterization_type)
    if any(kind != tfd.FULLY_REPARAMETERIZED for kind in kinds):
        raise ValueError(
            f"This model trains its {role} by a gradient through draws, which must be "
            f"reparameterized. Received: a {role} that returns a {output.name} "
            f"({type(output).__name__}), whose draws pass no gradient on. End the {role} with a "
            "layer such as layers.IndependentNormal or FixedScaleNormal, or build it with "
            "head=None."
        )


def check_same_space(posterior: Any, prior: Any) -> None:
    """Raises ValueError if q(z|x) and p(z) are densities over different kinds of vectors."""
    q, p = (_space(d) for d in (posterior, prior))
    if is_distribution(posterior) and q != p:
        raise ValueError(
            "q(z|x) and p(z) must be densities over the same vectors. Received: an encoder that "
            f"returns {q} and a prior over {p}. Unit vectors have layers.VonMisesFisher and "
            "SphericalUniform, relaxed one-hot ones layers.RelaxedOneHot and RelaxedOneHotPrior of "
            "as many classes, those of a ball PoincareNormal and PoincareNormalPrior of one "
            "curvature."
        )


def _space(distribution):
    """What a density is over, which its class says unless it is over all vectors."""
    inner = getattr(distribution, "components_distribution", distribution)
    return getattr(inner, "space", "all vectors")


def check_diagonal_normal(posterior: Any, what: str) -> None:
    """Raises ValueError unless an encoder returned independent normals."""
    if not is_diagonal_normal(posterior):
        raise ValueError(
            f"{what} needs an encoder that returns independent normals. Received: an encoder that "
            f"returns {type(posterior).__name__}. End it with layers.IndependentNormal."
        )


# Discriminators.


def check_discriminator(
    network: keras.Model, data_shape: Shape, name: str = "discriminator"
) -> None:
    """Raises ValueError if a network does not give logits for examples of `data_shape`."""
    shape = input_shape(network, name, f"keras.Input({tuple(data_shape)})")
    if shape != tuple(data_shape):
        raise ValueError(
            f"The {name} must take examples of shape {tuple(data_shape)}. Received: a {name} of "
            f"input shape {network.input_shape}. Build it for this shape."
        )
    check_logits(network, name)


def check_pairs(network: keras.Model, name: str, shapes: Sequence[Shape], remedy: str) -> None:
    """Raises ValueError unless a network takes pairs [x, z] of these shapes."""
    received = getattr(network, "input_shape", None)
    expected = [(None, *shape) for shape in shapes]
    if not isinstance(received, list) or [tuple(shape) for shape in received] != expected:
        raise ValueError(
            f"The {name} must take pairs [x, z] of shapes {expected}. Received: a {name} of "
            f"input shape {received}. Build it as {remedy}."
        )


def check_logits(network: keras.Model, name: str, num_logits: int = 1) -> None:
    """Raises ValueError if a network ends in probabilities."""
    activation = getattr(_last_layer(network), "activation", None)
    if activation in (keras.activations.sigmoid, keras.activations.softmax):
        raise ValueError(
            f"The {name} must return logits: the losses take the sigmoid or softmax where they "
            f"need one. Received: a {name} that ends in {activation.__name__}. End it with "
            f"Dense({num_logits})."
        )


def _last_layer(network: keras.layers.Layer) -> keras.layers.Layer:
    """The last layer of a network, or of the network that it ends in."""
    if isinstance(network, Conditional):
        return _last_layer(network.network)
    layers = getattr(network, "layers", None)
    return _last_layer(layers[-1]) if layers else network


def check_no_batch_normalization(network: keras.Model) -> None:
    """Raises ValueError if examples of a batch influence each other's logits."""
    for layer in keras_private.sublayers(network):
        if isinstance(layer, keras.layers.BatchNormalization | MinibatchDiscrimination):
            what = "batch normalization"
            if isinstance(layer, MinibatchDiscrimination):
                what = "minibatch discrimination"
            raise ValueError(
                "A gradient penalty needs a discriminator that looks at each example alone. "
                f"Received: a discriminator with {what}, {layer.name!r}. Use none, or "
                "keras.layers.LayerNormalization (batch_norm=False in tfgen.networks)."
            )


# Batches.


def check_several_examples(batch_size: int, reason: str) -> None:
    """Raises ValueError for a batch of one example."""
    if batch_size < 2:
        raise ValueError(
            f"This model {reason}, which needs at least 2 examples. Received: a batch of "
            f"{batch_size}. Use a larger batch_size, or drop_remainder=True if the last batch has "
            "one example."
        )


# Arguments of methods.

LARGEST_INT = 2**31 - 1


def as_array(x: Any, name: str = "x") -> np.ndarray | tf.Tensor:
    """A tensor itself, or numbers as a NumPy array.

    Raises:
        ValueError: of the argument `name`, for anything else.
    """
    if isinstance(x, tf.Tensor) and (x.dtype.is_numpy_compatible and x.dtype != tf.string):
        return x
    try:
        array = np.asarray(x)
    except (TypeError, ValueError):  # Lists of different lengths.
        array = np.array(None)
    if not array.ndim or not (np.issubdtype(array.dtype, np.number) or array.dtype == bool):
        raise ValueError(
            f"{name} must hold numbers: an array, a tensor, a data frame, a list of numbers or a "
            f"data set. Received: {name} of type {type(x).__name__}, as an array {array.dtype} of "
            f"shape {array.shape}. Convert it to a numeric array of one shape."
        )
    return array


def as_examples(x: Any, shape: Shape, name: str, dtype: Any = tf.float32) -> Any:
    """A tensor of shape (n, *shape); symbolic tensors are checked as far as possible."""
    if not isinstance(x, keras.KerasTensor):
        x = tf.cast(as_array(x, name), dtype)
    if not tf.TensorShape(x.shape).is_compatible_with((None, *shape)):
        raise ValueError(
            f"{name} must have shape {('n', *shape)}, the first axis over examples. Received: "
            f"shape {tuple(x.shape)}. Reshape it, or add the first axis: {name}[None]."
        )
    return x


def as_example(x: Any, shape: Shape, name: str) -> tf.Tensor:
    """One example, of shape `shape`, as a float32 tensor of shape (1, *shape)."""
    x = as_array(x, name)
    if not tf.TensorShape(x.shape).is_compatible_with(shape):
        raise ValueError(
            f"{name} must be one example of shape {tuple(shape)}. Received: {name} of shape "
            f"{tuple(x.shape)}. Take one of several: {name}[0]."
        )
    return tf.cast(x, tf.float32)[None]


def as_draws(z: Any, latent_shape: Shape, num_examples: int | None) -> tf.Tensor:
    """Latents as a float32 tensor of shape (..., num_examples, *latent_shape)."""
    z = tf.cast(as_array(z, "z"), tf.float32)
    shape = (num_examples, *latent_shape)
    if z.shape.rank is not None and not z.shape[-len(shape) :].is_compatible_with(shape):
        raise ValueError(
            f"z must have shape (..., {', '.join(map(str, shape))}), any number of draws for each "
            f"example of x. Received: z of shape {tuple(z.shape)}. Give as many of both."
        )
    return z


def check_finite(is_finite: bool) -> None:
    """Raises ValueError unless a data set comes to an end."""
    if not is_finite:
        raise ValueError(
            "All batches are needed, so there must be an end of them. Received: a data set that "
            "repeats for ever. Leave repeat() out, or take(n) batches."
        )


def check_num_samples(num_samples: Any) -> None:
    """Raises ValueError unless `num_samples` is an int, 0 or more, that fits a shape, or a tensor.

    Example:
        >>> check_num_samples(3)
    """
    if not isinstance(num_samples, tf.Tensor):
        check_ints(0, num_samples=num_samples)
        _check_size(num_samples=num_samples)


def check_seed(seed: Any) -> None:
    """Raises ValueError unless `seed` is None or an int, 0 or more, of at most 31 bits.

    Example:
        >>> check_seed(None)
    """
    if seed is not None:
        check_ints(0, "Use None for another seed each time.", seed=seed)
        _check_size(seed=seed)


def check_weights_of_draws(num_samples: Any, seed: Seed, training: bool = False) -> None:
    """Raises ValueError unless these are arguments of `log_weights`."""
    check_num_samples(num_samples)
    check_stateless_seed(seed=seed)
    check_flags(training=training)


def _check_size(**values):
    for name, value in values.items():
        if value > LARGEST_INT:
            raise ValueError(
                f"{name} must be at most {LARGEST_INT}. Received: {name}={value}. Give a smaller "
                "one."
            )


def check_dims(dims: Any, latent_shape: Shape) -> list[int]:
    """Numbers of latent dimensions, of all axes together, as ints.

    Raises:
        ValueError: unless they are a sequence of ints from 0 to the number of dimensions.

    Example:
        >>> check_dims([2, 0], (3,))
        [2, 0]
    """
    num_dims = int(np.prod(latent_shape))
    dims = list(dims) if isinstance(dims, Sequence | np.ndarray) else [dims]
    are_ints = all(isinstance(dim, numbers.Integral) for dim in dims)
    if not dims or not are_ints or min(dims) < 0 or max(dims) >= num_dims:
        raise ValueError(
            f"dims must be a sequence of latent dimensions, ints from 0 to {num_dims - 1}. "
            f"Received: dims={dims}. Use None for all."
        )
    return [int(dim) for dim in dims]


def check_values(values: Any) -> np.ndarray:
    """Values that a latent dimension takes, as an array of shape (n,).

    Raises:
        ValueError: unless they are finite numbers, at least one.
    """
    values = as_array(values, "values")
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all():
        raise ValueError(
            "values must be a sequence of finite numbers. Received: values="
            f"{np.array2string(np.asarray(values), threshold=10)}. Use None for -3, -2, ... 3."
        )
    return np.asarray(values)
