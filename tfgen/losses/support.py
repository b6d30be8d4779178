"""Which data a likelihood can explain."""

import contextlib
import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability import distributions as tfd

from tfgen._utils.tensors import check_distributions, check_tensors, static_shape

__all__ = ["check_support"]

tfb = tfp.bijectors

# Examples looked at together, so that memory does not grow with their number.
BLOCK = 10_000
# First examples of a block whose density is computed where there is no rule, beside the extremes.
NUM_TRIED = 16
# Rows of probabilities sum to 1 to rounding.
ROUNDING = 1e-4

DENSITY = "or end the decoder with a density, such as IndependentNormal."
# With a finite density at the ends of their supports, whatever the parameters.
_CLOSED = (
    tfd.ContinuousBernoulli,
    tfd.Exponential,
    tfd.HalfNormal,
    tfd.TruncatedCauchy,
    tfd.TruncatedNormal,
    tfd.Uniform,
    tfd.VonMises,
)


def check_support(distribution: tfd.Distribution, x: np.ndarray) -> None:
    """Raises ValueError unless all examples are in the support of p(x).

    A Bernoulli distribution accepts grey values between 0 and 1, since images often come that way.
    For classes without a rule here, such as a `tfd.TransformedDistribution`, the density of a few
    examples is computed and must be finite; if TFP cannot compute it, nothing is checked. p(x) must
    be over one tensor: `tfd.Blockwise(joint)` turns a joint distribution into one.

    Args:
        distribution: `tfd.Distribution` p(x), not in a `tf.function`. Its batch shape broadcasts
            with (n,): that of the likelihood at one latent variable does.
        x: array of examples, shape (n, *event_shape).

    Raises:
        ValueError: if an example is outside, or the events of p(x) are several tensors.

    Example:
        >>> check_support(tfd.Poisson(tf.ones(1)), np.array([3.0, 0.5]))
        Traceback (most recent call last):
        ValueError: A Poisson likelihood needs data in {0, 1, ...}. Received: values from 0.5 to 3,
        such as 0.5. Give counts, or end the decoder with a density, such as IndependentNormal.
    """
    check_distributions(distribution=distribution)
    _check_is_over_one_tensor(distribution)
    _check_examples(distribution.event_shape, x)
    if isinstance(distribution, tfd.Blockwise):
        for part, values in _blocks(distribution.distributions, x):
            check_support(part, values)
        return
    num_rows = BLOCK if distribution.batch_shape.num_elements() == 1 else max(len(x), 1)
    for start in range(0, len(x), num_rows):
        rows = np.asarray(x[start : start + num_rows])
        is_outside = ~_inside(distribution, rows).reshape(len(rows), -1).all(axis=1)
        if np.any(is_outside):
            raise ValueError(_message(distribution, x, rows))


def _check_is_over_one_tensor(distribution):
    """Raises ValueError for a joint distribution."""
    if isinstance(distribution, tfd.JointDistribution):
        raise ValueError(
            "distribution must be p(x) over one tensor. Received: a "
            f"{type(distribution).__name__}, over several. Use tfd.Blockwise(joint), which joins "
            "them along the last axis; no part of it may be a joint distribution."
        )


def _check_examples(event_shape, x):
    """Raises ValueError unless `x` has an axis of examples before those of the events."""
    check_tensors(1, "numbers", x=x)
    rank = event_shape.rank or 0
    shape = static_shape(x=x)
    if len(shape) <= rank or not event_shape.is_compatible_with(shape[len(shape) - rank :]):
        raise ValueError(
            f"x must be examples of shape {event_shape}, along a first axis. Received: x of shape "
            f"{shape}."
        )


def _blocks(parts, x):
    """Pairs of each part of a `tfd.Blockwise` and its events; of a joint one, given all events."""
    is_joint = isinstance(parts, tfd.JointDistribution)
    shapes = tf.nest.flatten(parts.event_shape) if is_joint else [p.event_shape for p in parts]
    ends = np.cumsum([math.prod(shape) for shape in shapes])
    blocks = [
        block.reshape(*x.shape[:-1], *shape)
        for block, shape in zip(np.split(x, ends[:-1], axis=-1), shapes, strict=True)
    ]
    if is_joint:
        events = map(tf.cast, blocks, tf.nest.flatten(parts.dtype))
        value = tf.nest.pack_sequence_as(parts.dtype, list(events))
        parts = tf.nest.flatten(parts.sample_distributions(value=value, seed=(0, 0))[0])
    return zip(parts, blocks, strict=True)


def _message(distribution, x, rows):
    """What was expected, what was received, and what to do."""
    name, expected, remedy = _description(distribution)
    while isinstance(distribution, tfd.Independent):
        distribution = distribution.distribution
    first = np.argwhere(~_inside(distribution, rows))[0]
    return (
        f"A{'n' * (name[0] in 'AEI')} {name} likelihood needs {expected}. Received: values from "
        f"{x.min():g} to {x.max():g}, such as {_text(rows[tuple(first)])}. {remedy}"
    )


def _text(value):
    """A number, or a few numbers of an array, in one line."""
    if np.ndim(value) == 0:
        return f"{value:g}"
    return " ".join(np.array2string(value, precision=4, threshold=8).split())


def _description(distribution):
    """Name of a class, what it needs, and what to do with other data."""
    for attribute, composite in _INNER.items():
        if isinstance(distribution, composite):
            return _description(getattr(distribution, attribute))
    if isinstance(distribution, tfd.Mixture):
        names, needs, remedies = zip(*map(_description, distribution.components), strict=True)
        return "Mixture", " or ".join(dict.fromkeys(needs)), remedies[0]
    rule = _rule(distribution)
    return type(distribution).__name__, rule.expected, rule.remedy


# Distributions made of others.

_INNER = {
    "distribution": (tfd.Independent, tfd.Sample, tfd.BatchBroadcast),
    "components_distribution": (tfd.MixtureSameFamily,),
}


@functools.singledispatch
def _inside(distribution, x):
    """Which events of `x` are in the support: truth values of the shape of `log_prob(x)`."""
    return _rule(distribution).inside(x)


@_inside.register
def _(distribution: tfd.Independent, x):
    inside = _inside(distribution.distribution, x)
    num_axes = int(tf.get_static_value(distribution.reinterpreted_batch_ndims))
    return np.all(inside, axis=tuple(range(-num_axes, 0)))


@_inside.register
def _(distribution: tfd.BatchBroadcast, x):
    return _inside(distribution.distribution, x)


@_inside.register
def _(distribution: tfd.Sample, x):
    inner = distribution.distribution
    axes = range(x.ndim - len(distribution.event_shape), x.ndim - len(inner.event_shape))
    first = tuple(range(len(axes)))  # The distribution's batch comes right before its event.
    return np.all(_inside(inner, np.moveaxis(x, axes, first)), axis=first)


@_inside.register
def _(distribution: tfd.MixtureSameFamily, x):
    axis = -1 - len(distribution.event_shape)
    return np.any(_inside(distribution.components_distribution, np.expand_dims(x, axis)), axis=-1)


@_inside.register
def _(distribution: tfd.Mixture, x):
    return functools.reduce(np.logical_or, [_inside(part, x) for part in distribution.components])


# Single distributions.


class _Rule(NamedTuple):
    """What a distribution needs; `inside` has one truth value for each event in an array."""

    expected: str
    inside: Callable[[np.ndarray], np.ndarray]
    remedy: str


def _rule(distribution):
    """That of the class or its parents, else that of a density."""
    if num_values := getattr(distribution, "num_values", None):
        return _steps(num_values, len(distribution.event_shape))
    if (other := getattr(distribution, "support_of", None)) is not None:
        return _rule(other)
    for parent in type(distribution).__mro__:
        if parent in _RULES:
            return _RULES[parent](distribution)
    return _density(distribution)


def _density(distribution):
    """The support of a density is where the bijector of its class takes the reals."""
    try:
        bijector = distribution.experimental_default_event_space_bijector()
    except (NotImplementedError, TypeError):  # As in `is_discrete`.
        bijector = None
    is_closed = isinstance(distribution, _CLOSED)
    if isinstance(bijector, tfb.Identity):
        return _Rule("numbers", lambda x: np.ones(_leading(distribution, x), bool), "")
    if isinstance(bijector, tfb.Sigmoid):
        return _interval(_number(bijector.low, 0.0), _number(bijector.high, 1.0), is_closed)
    if isinstance(bijector, tfb.Softplus | tfb.Exp):
        return _interval(0.0, np.inf, is_closed)
    return _finite_density(distribution)


def _finite_density(distribution):
    """The rule of a class of which nothing is known."""

    def inside(x):
        shape = np.broadcast_shapes(_leading(distribution, x), distribution.batch_shape)
        inside = np.ones(shape, bool)
        rows = _tried(x) if distribution.batch_shape.num_elements() == 1 else np.arange(len(x))
        values = tf.cast(x[rows], distribution.dtype)
        with contextlib.suppress(NotImplementedError):
            is_finite = np.isfinite(distribution.log_prob(values))
            inside[rows] = is_finite & ~_loses_fractions(distribution, x[rows])
        return inside

    return _Rule("data of finite log-density", inside, f"Rescale the data, {DENSITY}")


def _loses_fractions(distribution, x):
    """Which events the cast to the distribution's dtype changes."""
    axes = tuple(range(-len(distribution.event_shape), 0))
    return np.any((x % 1 != 0) & distribution.dtype.is_integer, axis=axes)


def _tried(x):
    """The first examples, and those with the least and the greatest value."""
    flat = x.reshape(len(x), -1)
    extremes = np.argmin(flat.min(axis=1)), np.argmax(flat.max(axis=1))
    return np.unique([*range(min(len(x), NUM_TRIED)), *extremes])


def _leading(distribution, x):
    """The axes of `x` before those of the event."""
    return x.shape[: x.ndim - len(distribution.event_shape)]


def _number(value, default=None):
    """A parameter as an array."""
    return np.float32(default) if value is None else tf.convert_to_tensor(value).numpy()


def _interval(low, high, is_closed=True, remedy=f"Rescale the data, {DENSITY}"):
    """All numbers between two bounds, which are arrays that broadcast."""
    below = np.less_equal if is_closed and np.max(high) < np.inf else np.less
    above = np.greater_equal if is_closed else np.greater
    opening, closing = "[" if is_closed else "(", "]" if below is np.less_equal else ")"
    expected = f"data in {opening}{np.min(low):g}, {np.max(high):g}{closing}"
    return _Rule(expected, lambda x: above(x, low) & below(x, high), remedy)


def _whole(low=0, high=np.inf, remedy=f"Give counts, {DENSITY}"):
    """Whole numbers between two bounds, which are arrays that broadcast."""
    first, last = np.min(low), np.max(high)
    expected = "whole numbers" if first == -np.inf else f"data in {{{first:g}, {first + 1:g}, ...}}"
    if first > -np.inf and last < np.inf:
        expected = f"data in {{{first:g}, ..., {last:g}}}"
    below = np.less_equal if last < np.inf else np.less
    return _Rule(expected, lambda x: (x >= low) & below(x, high) & (np.floor(x) == x), remedy)


def _steps(num_values, rank):
    """Equal steps from 0 to 1, in events of some rank."""

    def inside(x):
        k = np.asarray(x, "float64") * (num_values - 1)
        tolerance = 1e-3 + 1e-7 * num_values  # Of x in float32.
        is_step = (np.abs(k - np.round(k)) < tolerance) & (k > -0.5) & (k < num_values - 0.5)
        return np.all(is_step, axis=tuple(range(-rank, 0)))

    return _Rule(
        f"one of {num_values} values in equal steps from 0 to 1",
        inside,
        "Give 8-bit images as x / 255, set num_values, or end the decoder with a density, such as "
        "IndependentNormal.",
    )


def _classes(distribution):
    last = distribution.logits_parameter().shape[-1] - 1
    return _whole(0, last, f"Give the numbers of classes, {DENSITY}")


def _one_hot(distribution):
    return _Rule(
        "one-hot rows",
        lambda x: np.all((x == 0) | (x == 1), axis=-1) & (x.sum(axis=-1) == 1),
        f"Give tf.one_hot(labels, {distribution.event_shape[-1]}), {DENSITY}",
    )


def _counts_of(distribution):
    total = _number(distribution.total_count)
    return _Rule(
        f"rows of counts that sum to total_count={np.max(total):g}",
        lambda x: np.all((x >= 0) & (np.floor(x) == x), axis=-1) & (x.sum(axis=-1) == total),
        f"Give counts, set total_count, {DENSITY}",
    )


def _simplex():
    return _Rule(
        "rows of positive numbers that sum to 1",
        lambda x: np.all(x > 0, axis=-1) & (np.abs(x.sum(axis=-1) - 1) < ROUNDING),
        f"Divide each row by its sum, {DENSITY}",
    )


_UNIT = _interval(
    0.0,
    1.0,
    remedy="Rescale the data (uint8 images: divide by 255), or end the decoder with "
    "FixedScaleNormal or IndependentNormal.",
)
_RULES: dict[type, Callable[[Any], _Rule]] = {
    tfd.Bernoulli: lambda p: _UNIT,
    tfd.BetaBinomial: lambda p: _whole(0, _number(p.total_count)),
    tfd.Binomial: lambda p: _whole(0, _number(p.total_count)),
    tfd.Categorical: _classes,
    tfd.Deterministic: lambda p: _interval(_number(p.loc), _number(p.loc)),
    tfd.Dirichlet: lambda p: _simplex(),
    tfd.DirichletMultinomial: _counts_of,
    tfd.GeneralizedPareto: lambda p: _interval(_number(p.loc), np.inf),
    tfd.Geometric: lambda p: _whole(),
    tfd.Multinomial: _counts_of,
    tfd.NegativeBinomial: lambda p: _whole(),
    tfd.OneHotCategorical: _one_hot,
    tfd.Poisson: lambda p: _whole(),
    tfd.PoissonLogNormalQuadratureCompound: lambda p: _whole(),
    tfd.ProbitBernoulli: lambda p: _UNIT,
    tfd.QuantizedDistribution: lambda p: _whole(
        _number(p.low, -np.inf), _number(p.high, np.inf), f"Give whole numbers, {DENSITY}"
    ),
    tfd.RelaxedOneHotCategorical: lambda p: _simplex(),
    tfd.Skellam: lambda p: _whole(-np.inf),
    tfd.Zipf: lambda p: _whole(1),
}
