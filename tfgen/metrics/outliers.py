"""Scores of single examples: how far each is from what a model has learnt."""

import contextlib
import io
import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen._utils import extras
from tfgen._utils.arguments import check_ints, check_one_of, check_seed, check_verbose
from tfgen._utils.progress import ProgressBar
from tfgen.losses import expected_value
from tfgen.metrics._likelihood import (
    compiled_as,
    conditioned_on,
    conditions_of,
    encode,
    explained_of,
    observed,
    open_batches,
    seed_of,
)
from tfgen.metrics._posteriors import code_of, flat
from tfgen.metrics.importance_sampling import importance_sampled_nll
from tfgen.metrics.protocols import (
    Data,
    HasCodes,
    HasDiscriminator,
    HasElbo,
    HasEncoder,
    HasLogWeights,
    require,
)

tfd = tfp.distributions

__all__ = ["outlier_scores"]

Kind: TypeAlias = Literal[
    "complexity",
    "discriminator",
    "elbo",
    "latent",
    "nll",
    "reconstruction",
    "reconstruction_error",
    "regret",
    "typicality",
]
# Of what a kind has a use for and a caller does not give.
_DEFAULTS = {"num_samples": 100, "num_steps": 50}
# Added to the variances of codes, so that a dimension that is never used has no infinite weight.
_RIDGE = 1e-6


class _Settings(NamedTuple):
    num_samples: int
    num_steps: int
    batch_size: int
    seed: int
    verbose: bool


def outlier_scores(
    model: Any,
    data: Data,
    kind: Kind = "nll",
    *,
    reference: Data | None = None,
    num_samples: int | None = None,
    num_steps: int | None = None,
    batch_size: int = 100,
    seed: int = 0,
    verbose: bool = True,
) -> np.ndarray:
    """How unlike the training data each example is, by a model of these; higher is stranger.

    Kinds of scores, and the models that have them:

    - "nll": -log p(x), by `num_samples` importance samples; models with a likelihood.
    - "elbo": -ELBO, the mean of as many draws; models with a likelihood.
    - "reconstruction": -E_q[log p(x|z)], the reconstruction probability of An & Cho, 2015; VAEs.
    - "reconstruction_error": the squared error of x and its reconstruction; autoencoders.
    - "regret": what the ELBO gains if q(z|x), a diagonal normal, is fitted to x alone, by
      `num_steps` steps of L-BFGS on the bound of `num_samples` draws (likelihood regret of Xiao,
      Yan & Amit, arXiv:2003.02977; their code fits the encoder's weights instead, by 100 steps of
      Adam, and compares importance-sampled log p(x)); VAEs.
    - "typicality": |-log p(x) - mean of -log p of `reference`|, after Nalisnick et al.,
      arXiv:1906.02994, of one example; models with a likelihood.
    - "complexity": -log2 p(x), less the bits of x as a PNG file, after Serra et al.,
      arXiv:1909.11480; models of images with a likelihood.
    - "latent": the Mahalanobis distance of the code from the codes of `reference`; encoders.
    - "discriminator": -d(x), of the discriminator's logit; GANs.

    Of a model of missing values, given pairs (x, mask), observed values count alone: "complexity"
    has 0 in the place of the others.

    The equations of these papers were not checked. Images of another data set often have a higher
    likelihood than those that the model was trained on: see the page on outliers in the docs before
    "nll" or "elbo" decide anything.

    Args:
        model: a model of `tfgen.models`, or anything with the methods that `kind` needs.
        data: array of examples, shape (num_examples, *data_shape), or a finite `tf.data.Dataset` of
            batches; with conditions a tuple of arrays or a data set of pairs.
        kind: str, one of these.
        reference: data as `data`, such as the training set, for "typicality" and "latent"; None
            for the others.
        num_samples: int >= 1, draws for each example where there are any.
        num_steps: int >= 1, steps of "regret".
        batch_size: int, examples at a time.
        seed: int, of all draws.
        verbose: bool, whether to show a progress bar.

    Returns:
        float64 array, shape (num_examples,), in nats where it comes from a likelihood, in bits for
        "complexity".

    Raises:
        ValueError: if the model lacks what `kind` needs, there is no `reference`, one of fewer than
            2 examples for "latent", or an argument that `kind` has no use for, a number is below 1,
            or the data are empty, endless, not finite, of another shape or outside the support.

    Example:
        >>> from tfgen import models, networks
        >>> shape = (8, 8, 1)
        >>> model = models.VAE(networks.mlp_encoder(shape, 2), networks.mlp_decoder(shape, 2))
        >>> images = np.random.default_rng(0).integers(2, size=(30, *shape))
        >>> outlier_scores(model, images, "regret", verbose=False).shape
        (30,)
    """
    check_one_of(_KINDS, kind=kind)
    check_ints(batch_size=batch_size)
    check_seed(seed=seed)
    check_verbose(verbose=verbose)
    measure, protocol, options = _KINDS[kind]
    sizes = {"num_samples": num_samples, "num_steps": num_steps}
    _check_options(kind, options, {"reference": reference, **sizes})
    given = _DEFAULTS | {name: size for name, size in sizes.items() if size is not None}
    check_ints(**given)
    require(model, protocol, f"outlier_scores(kind={kind!r})", "Take another kind.")
    settings = _Settings(**given, batch_size=batch_size, seed=seed, verbose=verbose)
    others = (reference,) if "reference" in options else ()
    return measure(model, data, settings, *others).astype("float64")


def _check_options(kind, options, values):
    """Raises ValueError for a value that a kind has no use for, and for a missing reference."""
    if "reference" in options and values["reference"] is None:
        raise ValueError(
            f"kind={kind!r} compares each example with a reference. Received: reference=None. Give "
            "data that are no outliers, such as the training set."
        )
    for name, value in values.items():
        if value is not None and name not in options:
            kinds = [other for other, (*_, taken) in _KINDS.items() if name in taken]
            raise ValueError(
                f"kind={kind!r} has no use for {name}. Received: {name} of type "
                f"{type(value).__name__}. Leave it out, or take a kind that has: {kinds}."
            )


# Each kind.


def _nlls(model, data, settings):
    result = importance_sampled_nll(
        model,
        data,
        settings.num_samples,
        at=(),
        batch_size=settings.batch_size,
        seed=settings.seed,
        verbose=settings.verbose,
    )
    return result.nlls


@contextlib.contextmanager
def _named_reference():
    """Says of errors about data that they are about the reference."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"reference cannot be used. {error}") from error


def _typicality(model, data, settings, reference):
    with _named_reference():
        expected = _nlls(model, reference, settings).mean()
    return np.abs(_nlls(model, data, settings) - expected)


def _negative_elbos(model, data, settings):
    return _by_batch(model, data, settings, _negative_elbo, settings.num_samples)


def _negative_elbo(model, num_samples, x, seed):
    return -tf.reduce_mean(model.log_weights(x, num_samples, seed), axis=0)


def _reconstructions(model, data, settings):
    return _by_batch(model, data, settings, _reconstruction, settings.num_samples)


def _reconstruction(model, num_samples, x, seed):
    q = _posterior(model, x)
    z = q.sample(num_samples, seed=seed)
    log_likelihood = model.log_joint(x, z) - model.prior_distribution().log_prob(z)
    return -tf.reduce_mean(log_likelihood, axis=0)


def _errors(model, data, settings):
    return _by_batch(model, data, settings, _error)


def _error(model, x, seed):
    del seed
    is_conditional = getattr(model, "samples_are_conditional", True)
    conditions = conditions_of(x) if is_conditional else []  # A mask is the encoder's alone.
    output = model.decode(code_of(encode(model, x)), *conditions)
    error = observed(model, x, tf.cast(explained_of(x), tf.float32) - _mean_of(output))
    return tf.reduce_sum(tf.square(error), axis=range(1, len(error.shape)))


def _regrets(model, data, settings):
    sizes = settings.num_samples, settings.num_steps
    return _by_batch(model, data, settings, _regret, *sizes)


def _regret(model, num_samples, num_steps, x, seed):
    """What the bound of fixed noise gains; all examples of a batch at once, each for itself."""
    loc, scale = _diagonal_normal(_posterior(model, x))
    noise = tf.random.stateless_normal(tf.concat([[num_samples], tf.shape(loc)], 0), seed)

    def negative_bound(flat_parameters):
        parts = tf.split(flat_parameters, 2, axis=-1)
        mean, log_scale = (tf.reshape(part, tf.shape(loc)) for part in parts)
        z = mean + tf.exp(log_scale) * noise
        entropy = tf.reduce_sum(parts[1], axis=-1)  # Up to a constant.
        return -tf.reduce_mean(model.log_joint(x, z), axis=0) - entropy

    start = tf.concat([_rows(loc), _rows(tf.math.log(scale))], axis=-1)
    found = tfp.optimizer.lbfgs_minimize(
        lambda at: tfp.math.value_and_gradient(negative_bound, at),
        start,
        max_iterations=num_steps,
    )
    bound = negative_bound(start)
    gain = tf.maximum(bound - found.objective_value, 0.0)
    return tf.where(tf.math.is_finite(bound), gain, math.inf)  # Too far away for float32.


def _complexities(model, data, settings):
    if isinstance(data, tf.data.Dataset):
        data = data.cache()  # Looked at twice, in one order.
    nlls = _nlls(model, data, settings)
    sizes = [
        _png_bits(image)
        for x, count in open_batches(model, data, settings.batch_size)[0]
        for image in observed(model, x, explained_of(x)).numpy()[:count]
    ]
    return nlls / math.log(2) - np.array(sizes)


def _png_bits(image):
    """Size of an image with intensities in [0, 1] as a PNG file of 8 bits a channel."""
    if image.ndim != 3 or image.shape[-1] not in (1, 3) or image.min() < 0 or image.max() > 1:
        raise ValueError(
            "kind='complexity' is of images in [0, 1], shape (height, width, 1 or 3). Received: "
            f"an example of shape {image.shape} with values from {image.min():.9g} to "
            f"{image.max():.9g}. Rescale it, or take another kind."
        )
    pixels = np.round(255 * image).astype("uint8")
    file = io.BytesIO()
    grey_or_colour = pixels[..., 0] if pixels.shape[-1] == 1 else pixels
    picture = extras.require("PIL.Image", "data").fromarray(grey_or_colour)
    picture.save(file, "PNG", optimize=True)
    return 8.0 * file.tell()


def _latent_distances(model, data, settings, reference):
    with _named_reference():
        codes = flat(_by_batch(model, reference, settings, _code)).astype("float64")
    spread = np.sum(np.var(codes, axis=0))
    if not spread > 0:
        raise ValueError(
            "kind='latent' needs a reference of several codes. Received: a reference of "
            f"{len(codes)} examples, whose codes are all the same or not finite. Give more "
            "examples, or take another kind."
        )
    center, covariance = codes.mean(axis=0), np.atleast_2d(np.cov(codes, rowvar=False))
    precision = np.linalg.inv(covariance + _RIDGE * spread * np.eye(len(center)))
    difference = flat(_by_batch(model, data, settings, _code)) - center
    return np.sqrt(np.einsum("ni,ij,nj->n", difference, precision, difference))


def _code(model, x, seed):
    del seed
    return code_of(encode(model, x))


def _negative_logits(model, data, settings):
    return _by_batch(model, data, settings, _negative_logit)


def _negative_logit(model, x, seed):
    del seed
    logits = model.discriminate(training=False)(tf.cast(tf.nest.flatten(x)[0], tf.float32))
    return -tf.reduce_mean(logits, axis=range(1, len(logits.shape)))  # Of patches their mean.


# Of each kind: the function, what it needs of a model, and of the caller.
_KINDS: dict[str, tuple[Callable[..., np.ndarray], Any, tuple[str, ...]]] = {
    "complexity": (_complexities, HasLogWeights, ("num_samples",)),
    "discriminator": (_negative_logits, HasDiscriminator, ()),
    "elbo": (_negative_elbos, HasLogWeights, ("num_samples",)),
    "latent": (_latent_distances, HasEncoder, ("reference",)),
    "nll": (_nlls, HasLogWeights, ("num_samples",)),
    "reconstruction": (_reconstructions, HasElbo, ("num_samples",)),
    "reconstruction_error": (_errors, HasCodes, ()),
    "regret": (_regrets, HasElbo, ("num_samples", "num_steps")),
    "typicality": (_typicality, HasLogWeights, ("num_samples", "reference")),
}


def _by_batch(model, data, settings, function, *sizes):
    """What a function of (model, *sizes, batch, seed) returns, for all examples."""
    batches, num_batches = open_batches(model, data, settings.batch_size)
    compiled = compiled_as(model, _given, function, *sizes)
    bar = ProgressBar(num_batches, settings.verbose)
    rows = []
    for step, (x, count) in enumerate(batches):
        rows.append(compiled(x, seed_of(settings.seed, step)).numpy()[:count])
        bar.add(1)
    return np.concatenate(rows)


def _given(model, function, *arguments):
    """`function` of a model whose networks are given the conditions of the batch, if it has any."""
    *_, x, _ = arguments
    with conditioned_on(model, x):
        return function(model, *arguments)


def _posterior(model, x):
    """q(z|x), a density with a mean and a standard deviation."""
    q = encode(model, x)
    if not isinstance(q, tfd.Distribution):
        raise ValueError(
            "This kind of score needs an encoder that returns a density q(z|x). Received: one that "
            f"returns {type(q).__name__}. Take kind='reconstruction_error' or 'latent'."
        )
    return q


def _diagonal_normal(q):
    """Mean and standard deviation of q(z|x), which must be a diagonal normal."""
    single = q.distribution if isinstance(q, tfd.Independent) else q
    if not isinstance(single, tfd.Normal | tfd.MultivariateNormalDiag):
        raise ValueError(
            "kind='regret' fits a diagonal normal q(z|x) to each example. Received: an encoder "
            f"that returns a {type(single).__name__}. Take another kind."
        )
    return q.mean(), q.stddev()


def _mean_of(output):
    return expected_value(output) if isinstance(output, tfd.Distribution) else output


def _rows(values):
    """One row for each example."""
    return tf.reshape(values, [tf.shape(values)[0], -1])
