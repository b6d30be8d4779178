"""Mixtures of Gaussians or Bernoullis, fitted by EM. Su, arXiv:1807.05936v4, Eq. 8 to 11."""

import math
import warnings
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from sklearn.cluster import KMeans

from tfgen.models import training_data
from tfgen.models.base import GenerativeModel

tfd = tfp.distributions

__all__ = [
    "MixtureEM",
    "Parameters",
    "bernoulli_log_prob",
    "gaussian_log_prob",
    "m_step",
    "moments",
]

COMPONENTS = ("full", "diagonal", "spherical", "bernoulli")
# A weight under which mean and covariance would be ratios of rounding errors.
EMPTY_WEIGHT = 1e-14
# A variance that is less, as part of the second moment it is computed from, is rounding.
ROUNDING = 1e-13
# Examples that k-means sees.
INITIAL_EXAMPLES = 10_000


class Parameters(NamedTuple):
    """What EM fits: float64 arrays.

    Attributes:
        weights: shape (K,), sum 1.
        means: shape (K, D); probabilities of Bernoulli components.
        scales: lower Cholesky factors of the covariances, shape (K, D, D), if full; standard
            deviations, shape (K, D) if diagonal and (K,) if spherical. Bernoulli components have
            none: zeros, shape (K,).
    """

    weights: np.ndarray
    means: np.ndarray
    scales: np.ndarray


# E step.


def gaussian_log_prob(x, means, scales):
    """log N(x; mean, covariance) of each component.

    Args:
        x: float tensor, shape (n, D).
        means: float tensor, shape (K, D).
        scales: float tensor, Cholesky factors (K, D, D) or standard deviations (K, D).

    Returns:
        Tensor, shape (n, K), in nats.

    Example:
        >>> gaussian_log_prob(tf.zeros((1, 2)), tf.zeros((1, 2)), tf.ones((1, 2))).numpy().round(4)
        array([[-1.8379]], dtype=float32)
    """
    diagonal = scales if scales.shape.rank == 2 else tf.linalg.diag_part(scales)
    log_det = tf.reduce_sum(tf.math.log(diagonal), axis=-1)
    constant = 0.5 * x.shape[-1] * math.log(2 * math.pi)
    return -0.5 * _squared_distances(x, means, scales) - log_det - constant


def _squared_distances(x, means, scales):
    """Mahalanobis, shape (n, K)."""
    if scales.shape.rank == 3:
        offsets = tf.transpose(x)[None] - means[:, :, None]
        whitened = tf.linalg.triangular_solve(scales, offsets)
        return tf.transpose(tf.reduce_sum(tf.square(whitened), axis=1))
    # Without a tensor of shape (n, K, D).
    precisions = 1 / tf.square(scales)
    cross = tf.matmul(x, means * precisions, transpose_b=True)
    squares = tf.matmul(tf.square(x), precisions, transpose_b=True)
    return squares - 2 * cross + tf.reduce_sum(tf.square(means) * precisions, axis=-1)


def bernoulli_log_prob(x, probs):
    """Sum over pixels of x log p + (1 - x) log(1 - p), of each component.

    Args:
        x: float tensor in [0, 1], shape (n, D).
        probs: float tensor in (0, 1), shape (K, D).

    Returns:
        Tensor, shape (n, K), in nats.

    Example:
        >>> bernoulli_log_prob(tf.ones((1, 2)), tf.fill((1, 2), 0.5)).numpy().round(4)
        array([[-1.3863]], dtype=float32)
    """
    log_complement = tf.math.log1p(-probs)
    logits = tf.math.log(probs) - log_complement
    return tf.matmul(x, logits, transpose_b=True) + tf.reduce_sum(log_complement, axis=-1)


def moments(x, responsibilities, components):
    """What the M step takes of a batch: sums over its examples, weighted by responsibility.

    Args:
        x: float tensor, shape (n, D).
        responsibilities: float tensor, shape (n, K).
        components: "full", "diagonal", "spherical" or "bernoulli".

    Returns:
        List of tensors: sums of 1, shape (K,), of x, shape (K, D), and of Gaussian components of
        x x^T, shape (K, D, D), if full, else of x^2, shape (K, D).

    Example:
        >>> [sums.shape.rank for sums in moments(tf.ones((5, 3)), tf.ones((5, 2)), "full")]
        [1, 2, 3]
    """
    counts = tf.reduce_sum(responsibilities, axis=0)
    sums = [counts, tf.matmul(responsibilities, x, transpose_a=True)]
    if components == "full":
        weighted = tf.transpose(responsibilities)[:, :, None] * x
        sums.append(tf.matmul(tf.transpose(weighted, (0, 2, 1)), x))
    elif components != "bernoulli":
        sums.append(tf.matmul(responsibilities, tf.square(x), transpose_a=True))
    return sums


# M step, in NumPy: once an epoch, or once a batch.


def m_step(old, sums, components, reg_covar=0.0, min_probability=0.0, rate=1.0):
    """Weights, means and covariances of greatest expected log p(x, z).

    Args:
        old: `Parameters`, kept where a component explains nothing or has no covariance.
        sums: arrays, `moments` of x less the mean of the old mixture, over all examples.
        components: "full", "diagonal", "spherical" or "bernoulli".
        reg_covar: float, added to all variances.
        min_probability: float, bounds of Bernoulli probabilities are it and 1 less it.
        rate: float in (0, 1], how far the expectations move from those under `old` to those of
            `sums`: 1 is EM.

    Returns:
        `Parameters`, and a dict from "empty", "singular" and "collapsed" to the components that
        are so.
    """
    shift = old.weights @ old.means
    averages = [total / np.sum(sums[0]) for total in sums]
    if rate < 1:
        before = _expected_moments(old, shift, components, reg_covar)
        averages = [(1 - rate) * a + rate * b for a, b in zip(before, averages, strict=True)]
    weights = averages[0] / np.sum(averages[0])
    alive = weights > EMPTY_WEIGHT
    troubles = {"empty": np.flatnonzero(~alive).tolist(), "singular": [], "collapsed": []}
    first, *second = (_divide(average, weights, alive) for average in averages[1:])
    means = np.where(alive[:, None], shift + first, old.means)
    if components == "bernoulli":
        means = np.clip(means, min_probability, 1 - min_probability)
        return Parameters(weights, means, old.scales), troubles
    scales = old.scales.copy()
    for k in np.flatnonzero(alive):
        covariance = second[0][k] - _square(first[k], components)
        scale = _scale(covariance, second[0][k], components, reg_covar)
        if scale is None:
            troubles["singular"].append(int(k))
        else:
            scales[k] = scale
            if np.mean(_variances(covariance)) <= reg_covar:
                troubles["collapsed"].append(int(k))
    return Parameters(weights, means, scales), troubles


def _divide(average, weights, alive):
    """Averages of each component; of empty ones not used."""
    weights = np.where(alive, weights, 1.0)
    return average / weights.reshape(-1, *[1] * (average.ndim - 1))


def _square(x, components):
    """x x^T or x^2, of one vector or of several."""
    return x[..., :, None] * x[..., None, :] if components == "full" else x**2


def _variances(covariance):
    return np.diagonal(covariance) if covariance.ndim == 2 else covariance


def _expected_moments(parameters, shift, components, reg_covar):
    """`moments` per example under the mixture itself."""
    weights, means, scales = parameters
    offsets = means - shift
    expected = [weights, weights[:, None] * offsets]
    if components != "bernoulli":
        seconds = _covariances(scales, means.shape[1], components) + _square(offsets, components)
        reg = reg_covar * (np.eye(means.shape[1]) if components == "full" else 1.0)
        expected.append(weights.reshape(-1, *[1] * (seconds.ndim - 1)) * (seconds - reg))
    return expected


def _covariances(scales, dim, components):
    """Shape (K, D, D) if full, else variances, shape (K, D)."""
    if components == "full":
        return scales @ scales.transpose(0, 2, 1)
    return np.square(scales if components == "diagonal" else np.tile(scales[:, None], dim))


def _scale(covariance, second_moment, components, reg_covar):
    """Cholesky factor or standard deviations of one component; None of a singular covariance."""
    if components == "full":
        covariance = covariance + reg_covar * np.eye(len(covariance))
        try:
            scale = np.linalg.cholesky(covariance)
        except np.linalg.LinAlgError:
            return None
        pivots, second_moment = np.diagonal(scale) ** 2, np.diagonal(second_moment)
    else:
        pivots = np.maximum(covariance, 0.0) + reg_covar
        if components == "spherical":
            pivots, second_moment = np.mean(pivots), np.mean(second_moment)
        scale = np.sqrt(pivots)
    return None if np.any(pivots <= ROUNDING * second_moment) else scale


_ADVICE = "Use fewer components, another seed, or another start (initialize, set_parameters)."
_TROUBLES = {
    "empty": f"explain no example and stay where they were, with a weight near 0. {_ADVICE}",
    "singular": "have a singular covariance and keep the one they had: they explain too few "
    f"distinct examples, or constant dimensions. Raise reg_covar. {_ADVICE}",
    "collapsed": "collapsed onto a point: their variance is less than the reg_covar added to it, "
    f"which the likelihood now depends on. {_ADVICE}",
}


def _warn(troubles):
    for kind, text in _TROUBLES.items():
        if troubles[kind]:
            warnings.warn(f"EM: the components {troubles[kind]} {text}", stacklevel=3)


class _EM(keras.callbacks.Callback):
    """Calls the M step, before any other callback sees the model.

    Args:
        resumes: bool, whether an interrupted epoch goes on where it stopped.
    """

    def __init__(self, resumes):
        super().__init__()
        self.resumes = resumes

    def on_epoch_begin(self, epoch, logs=None):
        if not self.resumes:  # Restored sums are of examples that come again.
            self.model.reset_statistics()

    def on_train_batch_end(self, batch, logs=None):
        self.model.end_batch()

    def on_test_begin(self, logs=None):
        self.model.end_epoch()

    def on_epoch_end(self, epoch, logs=None):
        self.model.end_epoch()


@keras.saving.register_keras_serializable("tfgen")
class MixtureEM(GenerativeModel):
    """Mixture p(x) = sum_k w_k p(x|k) of Gaussians or Bernoullis, fitted by EM.

    The E step takes the responsibilities p(k|x), Eq. 11, of each batch, the M step maximises the
    expected log p(x, k), Eq. 8, once an epoch on the sums of all batches, or after each batch.

    Source: Su, arXiv:1807.05936v4, Eq. 8 to 11. Stepwise EM: Cappe & Moulines, arXiv:0712.4273;
    Liang & Klein, NAACL 2009, whose rate is (t + 2)^-kappa after t batches. It moves the expected
    sums of 1, x and x x^T, which the parameters determine, towards those of the batch.

    `fit` first places the components by k-means, unless `initialize` or `set_parameters` did.
    It logs `log_likelihood`, log p(x) in nats per example, and `loss`, its negative. Of EM on whole
    epochs it is that of the parameters at the epoch's start, before its M step; validation comes
    after it. On the same data `log_likelihood` never falls, but for rounding, where the M step is a
    maximum: for Bernoulli components, within `min_probability`, and for Gaussians with `reg_covar`
    0. A `reg_covar` above 0 has scikit-learn's meaning: it is added after the maximum was found,
    and the likelihood may fall a little, as it does there, while variances are as small as it is.
    Sums, parameters and densities are float64.

    A component without responsibility stays where it is, with weight 0. One whose covariance is
    singular keeps the one it had. These, and components whose variance is less than `reg_covar`,
    are named in a warning.

    Args:
        num_components: int K.
        data_shape: tuple, shape of one example, of D values.
        components: "full", "diagonal" or "spherical" covariances of Gaussians, or "bernoulli".
        reg_covar: float >= 0, added to all variances, in units of x^2.
        min_probability: float in (0, 0.5); Bernoulli probabilities lie within it and 1 less it.
        kappa: float in (0.5, 1], stepwise EM; None for EM on whole epochs.
        **kwargs: arguments of `GenerativeModel`; `seed` is that of k-means too.

    Call arguments:
        x: data, shape (n, *data_shape).

    Returns:
        Responsibilities p(k|x), float64 of shape (n, K), rows sum to 1.

    Raises:
        ValueError: if an argument is outside its range.

    Example:
        >>> model = MixtureEM(2, (1,), seed=0)
        >>> x = np.array([[-1.0], [-1.2], [-0.8], [5.0], [5.1], [4.9]])
        >>> history = model.fit(x, epochs=5, verbose=0)
        >>> np.sort(model.means.numpy(), axis=0).round(3).tolist()
        [[-1.0], [5.0]]
    """

    def __init__(
        self,
        num_components,
        data_shape,
        components="full",
        reg_covar=1e-6,
        min_probability=1e-6,
        kappa=None,
        **kwargs,
    ):
        # Keras would round data of other precision before they reach `call`.
        super().__init__(data_shape, **{"autocast": False, **kwargs})
        self.num_components, self.components = num_components, components
        self.reg_covar, self.min_probability, self.kappa = reg_covar, min_probability, kappa
        self._check_arguments()
        self._add_variables()
        self.average = keras.metrics.Mean("log_likelihood", dtype="float64")
        self.compile()

    def _check_arguments(self):
        expected = {
            "num_components": ("at least 1", self.num_components >= 1),
            "components": (f"one of {COMPONENTS}", self.components in COMPONENTS),
            "reg_covar": ("at least 0", self.reg_covar >= 0),
            "min_probability": ("within (0, 0.5)", 0 < self.min_probability < 0.5),
            "kappa": ("None, or within (0.5, 1]", self.kappa is None or 0.5 < self.kappa <= 1),
        }
        for name, (what, holds) in expected.items():
            if not holds:
                raise ValueError(f"{name} must be {what}. Received: {getattr(self, name)!r}.")

    def _add_variables(self):
        k, d = self.num_components, math.prod(self.data_shape)
        shapes = {"full": (k, d, d), "diagonal": (k, d)}
        uniform = keras.initializers.Constant(1 / k)
        unknown = keras.initializers.Constant(math.nan)
        self.mixture_weights = self._add("mixture_weights", (k,), uniform, trainable=True)
        self.means = self._add("means", (k, *self.data_shape), unknown, trainable=True)
        self.scales = self._add("scales", shapes.get(self.components, (k,)), trainable=True)
        seconds = {"full": [(k, d, d)], "bernoulli": []}.get(self.components, [(k, d)])
        self.sums = [self._add(f"sums_{i}", s) for i, s in enumerate([(k,), (k, d), *seconds])]
        self.sum_and_count = self._add("log_likelihood_and_count", (2,))

    def _add(self, name, shape, initializer="zeros", trainable=False):
        return self.add_weight(
            shape=shape,
            dtype="float64",
            initializer=initializer,
            trainable=trainable,
            autocast=False,
            name=name,
            aggregation="mean" if trainable else "sum",
        )

    def compile(
        self, optimizer=None, steps_per_execution=None, jit_compile="auto", run_eagerly=False
    ):
        """Configures training; the constructor has done it with the defaults.

        Args:
            optimizer: None, since EM takes none.
            steps_per_execution: as in `GenerativeModel.compile`. 1 in stepwise EM.
            jit_compile: bool or "auto", XLA.
            run_eagerly: bool, for debugging.

        Raises:
            ValueError: if there is an optimizer, or several steps per execution in stepwise EM.
        """
        if optimizer:
            raise ValueError(f"EM needs no optimizer: leave it out. Received: {optimizer!r}.")
        if self.kappa is not None and steps_per_execution not in (None, 1):
            raise ValueError(
                "Stepwise EM has an M step after each batch and needs steps_per_execution 1 or "
                f"None. Received: {steps_per_execution}."
            )
        steps = steps_per_execution if self.kappa is None else 1
        self.optimizers, self._traced_steps = {}, {}
        self._compile_arguments = dict(
            steps_per_execution=steps, jit_compile=jit_compile, run_eagerly=run_eagerly
        )
        keras.Model.compile(
            self,
            optimizer=None,
            steps_per_execution=steps or 1,
            jit_compile=jit_compile,
            run_eagerly=run_eagerly,
        )

    # The start.

    @property
    def updates(self):
        """None: no gradient is taken."""
        return []

    @property
    def initialized(self):
        """Whether the components have parameters: from `initialize`, `set_parameters` or a file."""
        return bool(np.isfinite(_numpy(self.means)).all())

    def initialize(self, x):
        """Places the components at the clusters that scikit-learn's k-means finds.

        Args:
            x: array or `tf.data.Dataset`; 10,000 examples of it are used, of a data set the first.

        Raises:
            ValueError: if there are fewer distinct examples than components, or a cluster has a
                singular covariance.
        """
        x = np.reshape(self._some_examples(x), (-1, math.prod(self.data_shape))).astype("float64")
        labels = KMeans(self.num_components, n_init=1, random_state=self.seed).fit(x).labels_
        found = len(np.unique(labels))
        if found < self.num_components:
            raise ValueError(
                f"k-means needs {self.num_components} distinct examples to place as many "
                f"components. Received: {found} among {len(x)}. Use fewer components."
            )
        mean, k = x.mean(axis=0), self.num_components
        start = Parameters(np.full(k, 1 / k), np.tile(mean, (k, 1)), np.zeros(self.scales.shape))
        sums = moments(
            tf.constant(x - mean), tf.one_hot(labels, k, dtype="float64"), self.components
        )
        parameters, troubles = self._m_step(start, sums)
        if troubles["singular"]:
            raise ValueError(
                f"k-means found clusters with a singular covariance: {troubles['singular']}. "
                f"Received: reg_covar={self.reg_covar}. Raise it, or use fewer components."
            )
        self._assign(parameters)

    def _some_examples(self, x):
        if not isinstance(x, tf.data.Dataset):
            if not hasattr(x, "shape"):
                raise ValueError(
                    "The components are placed by arrays or a tf.data.Dataset. Received: "
                    f"{type(x).__name__}. Call initialize or set_parameters before fit."
                )
            rows = np.random.default_rng(self.seed).permutation(len(x))[:INITIAL_EXAMPLES]
            return np.asarray(x) if len(x) <= INITIAL_EXAMPLES else np.asarray(x)[np.sort(rows)]
        batches, num_examples = [], 0
        for batch in x:
            batches.append(np.asarray(self.unpack(batch)))
            num_examples += len(batches[-1])
            if num_examples >= INITIAL_EXAMPLES:
                break
        return np.concatenate(batches)[:INITIAL_EXAMPLES]

    def set_parameters(self, means, covariances=None, weights=None):
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
        means = np.reshape(np.asarray(means, "float64"), (np.shape(means)[0], -1))
        weights = np.full(k, 1 / k) if weights is None else np.asarray(weights, "float64")
        _check_shape("means", means, (k, d))
        _check_shape("weights", weights, (k,))
        if np.any(weights < 0) or not np.isclose(np.sum(weights), 1):
            raise ValueError(f"weights must be positive and sum to 1. Received: {weights}.")
        if self.components == "bernoulli":
            means = np.clip(means, self.min_probability, 1 - self.min_probability)
            scales = np.zeros(k)
        else:
            scales = self._scales_of(np.asarray(covariances, "float64"))
        self._assign(Parameters(weights / np.sum(weights), means, scales))

    def _scales_of(self, covariances):
        _check_shape("covariances", covariances, self.scales.shape)
        pivots = covariances if covariances.ndim < 3 else np.linalg.eigvalsh(covariances)
        if not np.all(pivots > 0):
            raise ValueError(
                "covariances must be positive definite. Received: a least variance of "
                f"{np.min(pivots):g}. Add a small number to the diagonals."
            )
        return np.linalg.cholesky(covariances) if covariances.ndim == 3 else np.sqrt(covariances)

    def check_batch(self, x):
        """Raises ValueError if Bernoulli components are given values outside [0, 1]."""
        if self.components == "bernoulli" and not (x.min() >= 0 and x.max() <= 1):
            raise ValueError(
                f"Bernoulli components need data in [0, 1]. Received: values from {x.min():g} to "
                f"{x.max():g}. Rescale the data (uint8 images: divide by 255), or use Gaussians."
            )

    @property
    def covariances(self):
        """Array, shape (K, D, D) if full, (K, D) if diagonal, (K,) if spherical; or None."""
        if self.components == "bernoulli":
            return None
        scales = _numpy(self.scales)
        return _covariances(scales, 1, "full") if self.components == "full" else scales**2

    def _parameters(self):
        """The mixture with flat means, in NumPy."""
        means = _numpy(self._flat_means())
        return Parameters(_numpy(self.mixture_weights), means, _numpy(self.scales))

    def _assign(self, parameters):
        self.mixture_weights.assign(parameters.weights)
        self.means.assign(parameters.means.reshape(self.means.shape))
        self.scales.assign(parameters.scales)

    # Training.

    def fit(
        self,
        x=None,
        y=None,
        batch_size=None,
        epochs=1,
        verbose="auto",
        callbacks=None,
        **kwargs,
    ):
        """Runs EM for `epochs` passes over the data; arguments as in `GenerativeModel.fit`.

        A `keras.callbacks.BackupAndRestore` resumes exactly, also inside an epoch: the sums of the
        E step are saved with the parameters.

        Raises:
            ValueError: as in `GenerativeModel.fit` and `initialize`.
            FloatingPointError: if the likelihood becomes NaN or infinite.
        """
        if kwargs.get("validation_split") and kwargs.get("validation_data") is None:
            x, kwargs["validation_data"] = training_data.split(x, kwargs.pop("validation_split"))
        training_data.check(x, self, batch_size)
        if not self.initialized:
            self.initialize(x)
        self.reset_statistics()
        x = training_data.as_dataset(x, batch_size, kwargs.get("shuffle", True), self.seed)
        resumes = hasattr(x, "seek") and not kwargs.get("steps_per_epoch")
        callbacks = [_EM(resumes), *keras.tree.flatten(callbacks or [])]
        return super().fit(x, y, batch_size, epochs, verbose, callbacks, **kwargs)

    @property
    def metrics(self):
        return [self.average]

    def train_step(self, data):
        # At the end of the data, sums and steps must not move on without a batch.
        with tf.control_dependencies(tf.nest.flatten(data)):
            x = self._flat(self.unpack(data))
            log_prob, responsibilities = self._e_step(x)
            count = tf.cast(tf.size(log_prob), "float64")
            likelihood = tf.stack([tf.reduce_sum(log_prob), count])
            batch = moments(x - self._centre(), responsibilities, self.components)
            for total, summand in zip(
                (*self.sums, self.sum_and_count), (*batch, likelihood), strict=True
            ):
                # Keras' own assign_add would add up what several replicas already share.
                total.value.assign_add(summand)
            self.steps.assign_add(1)
            total, count = tf.unstack(tf.convert_to_tensor(self.sum_and_count))
            return _logs(tf.math.divide_no_nan(total, count))

    def test_step(self, data):
        self.average.update_state(self.log_prob(self.unpack(data)))
        return _logs(self.average.result())

    def end_batch(self):
        """The M step of stepwise EM."""
        if self.kappa is not None:
            self._maximise(rate=float(_numpy(self.steps) + 1) ** -self.kappa)
            self._reset(self.sums)

    def end_epoch(self):
        """The M step of EM on whole epochs, unless it is done."""
        if self.kappa is None and np.any(_numpy(self.sum_and_count)):
            self._maximise()
        self.reset_statistics()

    def reset_statistics(self):
        """Forgets the batches since the last M step, and their likelihood."""
        self._reset([*self.sums, self.sum_and_count])

    def _reset(self, variables):
        for variable in variables:
            variable.assign(tf.zeros(variable.shape, variable.dtype))

    def _maximise(self, rate=1.0):
        if not np.isfinite(_numpy(self.sum_and_count)).all():
            raise FloatingPointError(
                "EM diverged: log p(x) became NaN or infinite by step "
                f"{int(_numpy(self.steps))}. Look for NaN in the data, rescale "
                "them, or raise reg_covar."
            )
        parameters, troubles = self._m_step(self._parameters(), self.sums, rate)
        self._assign(parameters)
        _warn(troubles)

    def _m_step(self, old, sums, rate=1.0):
        sums = [_numpy(total) for total in sums]
        return m_step(old, sums, self.components, self.reg_covar, self.min_probability, rate)

    # The density.

    def _flat(self, x):
        return tf.reshape(tf.cast(x, "float64"), (-1, math.prod(self.data_shape)))

    def _flat_means(self):
        return tf.reshape(self.means, (self.num_components, -1))

    def _centre(self):
        """Mean of the mixture: sums around it are exact wherever the data lie."""
        return tf.linalg.matvec(self._flat_means(), self.mixture_weights, transpose_a=True)

    def _e_step(self, x):
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

    def call(self, x):
        return self.responsibilities(x)

    def responsibilities(self, x):
        """p(k|x), Eq. 11, float64 of shape (n, K)."""
        return self._e_step(self._flat(x))[1]

    def log_prob(self, x):
        """log p(x) in nats, float64 of shape (n,)."""
        return self._e_step(self._flat(x))[0]

    def log_weights(self, x, num_samples, seed=None):
        """Log importance weights, exact here: log p(x), float32 of shape (num_samples, n)."""
        return tf.repeat(tf.cast(self.log_prob(x), tf.float32)[None], num_samples, axis=0)

    def as_distribution(self):
        """p(x) as a float32 `tfd.MixtureSameFamily` over flat examples, event_shape (D,)."""
        weights, means, scales = (tf.cast(p, tf.float32) for p in self._parameters())
        if self.components == "bernoulli":
            parts = tfd.Independent(tfd.Bernoulli(probs=means, dtype=tf.float32), 1)
        elif self.components == "full":
            parts = tfd.MultivariateNormalTriL(means, scales)
        else:
            scales = scales if self.components == "diagonal" else scales[:, None]
            parts = tfd.MultivariateNormalDiag(means, scales * tf.ones_like(means))
        return tfd.MixtureSameFamily(tfd.Categorical(probs=weights), parts)

    def sample(self, num_samples=1, seed=None, mean=False):
        """New examples.

        Args:
            num_samples: int.
            seed: int or None. An int gives the same samples each time.
            mean: bool, the mean of the component that was drawn if True, else a draw from p(x).

        Returns:
            float32 tensor, shape (num_samples, *data_shape).
        """
        mixture, seed = self.as_distribution(), self.sampling_seed(seed)
        if mean:
            chosen = mixture.mixture_distribution.sample(num_samples, seed=seed)
            x = tf.gather(mixture.components_distribution.mean(), chosen)
        else:
            x = mixture.sample(num_samples, seed=seed)
        return tf.reshape(x, (num_samples, *self.data_shape))

    def get_config(self):
        names = ("num_components", "data_shape", "components", "reg_covar", "min_probability")
        config = {name: getattr(self, name) for name in (*names, "kappa")}
        return {**super().get_config(), **config}


def _numpy(variable):
    """Value of a variable, of several replicas too."""
    return tf.convert_to_tensor(variable).numpy()


def _logs(log_likelihood):
    return {"log_likelihood": log_likelihood, "loss": -log_likelihood}


def _check_shape(name, value, expected):
    if value.shape != tuple(expected):
        raise ValueError(
            f"{name} must have shape {tuple(expected)}. Received: shape {value.shape}. See "
            "set_parameters."
        )
