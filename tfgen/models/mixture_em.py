"""Mixtures of Gaussians or Bernoullis, fitted by EM. Su, arXiv:1807.05936v4, Eq. 8 to 11."""

import math
import warnings
from operator import getitem
from typing import Any, ClassVar

import keras
import numpy as np
import tensorflow as tf
from typing_extensions import Unpack

from tfgen._utils import keras_private
from tfgen._utils.arguments import check_ints, check_numbers, check_one_of, check_size
from tfgen._utils.typing import ModelOptions, Shape
from tfgen.losses.mixtures import COMPONENTS, Components, Parameters, m_step, moments
from tfgen.models.mixture import Mixture, numpy_of
from tfgen.models.resumable_model import refuse_losses
from tfgen.models.training_data import as_given, check, unpack

__all__ = ["MixtureEM"]

# Callbacks that do nothing without an optimizer.
_OF_OPTIMIZERS = (
    keras.callbacks.LearningRateScheduler,
    keras.callbacks.ReduceLROnPlateau,
    keras.callbacks.SwapEMAWeights,
)
# Examples that k-means sees.
INITIAL_EXAMPLES = 10_000

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
        seekable: bool, whether an interrupted epoch goes on where it stopped.
    """

    def __init__(self, seekable):
        super().__init__()
        self.seekable = seekable

    def on_train_begin(self, logs=None):
        self.model.reset_statistics()

    def on_epoch_begin(self, epoch, logs=None):
        if not self.seekable:  # Restored sums are of examples that come again.
            self.model.reset_statistics()

    def on_train_batch_end(self, batch, logs=None):
        self.model.end_batch()

    def on_test_begin(self, logs=None):
        self.model.end_epoch()

    def on_epoch_end(self, epoch, logs=None):
        self.model.end_epoch()


@keras.saving.register_keras_serializable("tfgen")
class MixtureEM(Mixture):
    """Mixture p(x) = sum_k w_k p(x|k) of Gaussians or Bernoullis, fitted by EM.

    The E step takes the responsibilities p(k|x), Eq. 11, of each batch, the M step maximises the
    expected log p(x, k), Eq. 8, once an epoch on the sums of all batches, or after each batch.

    Source: Su, arXiv:1807.05936v4, Eq. 8 to 11. Stepwise EM: Cappe & Moulines, arXiv:0712.4273;
    Liang & Klein, NAACL 2009, whose rate is (t + 2)^-kappa after t batches. It moves the expected
    sums of 1, x and x x^T, which the parameters determine, towards those of the batch.

    `fit` first places the components by k-means, unless `initialize` or `set_parameters` did; one
    that was interrupted resumes inside an epoch, since the sums of the E step are saved too.
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
        **kwargs: arguments of `keras.Model`, and `seed`, which is that of k-means too.

    Call arguments:
        x: data, shape (n, *data_shape).

    Returns:
        Responsibilities p(k|x), float64 of shape (n, K), rows sum to 1.

    Raises:
        ValueError: if an argument is outside its range.
        FloatingPointError: by `fit`, if the likelihood becomes NaN or infinite.

    Example:
        >>> model = MixtureEM(2, (1,), seed=0)
        >>> x = np.array([[-1.0], [-1.2], [-0.8], [5.0], [5.1], [4.9]])
        >>> history = model.fit(x, epochs=5, verbose=0)
        >>> np.sort(model.means.numpy(), axis=0).round(3).tolist()
        [[-1.0], [5.0]]
    """

    unused_hooks: ClassVar[dict[str, str]] = dict.fromkeys(
        ("compute_loss", "compute_metrics"), "Override train_step."
    )

    def __init__(
        self,
        num_components: int,
        data_shape: Shape,
        components: Components = "full",
        reg_covar: float = 1e-6,
        min_probability: float = 1e-6,
        kappa: float | None = None,
        **kwargs: Unpack[ModelOptions],
    ) -> None:
        check_size(num_components=num_components)
        check_one_of(COMPONENTS, components=components)
        _check_ranges(reg_covar, min_probability, kappa)
        super().__init__(num_components, data_shape, components, min_probability, **kwargs)
        self.reg_covar, self.kappa = reg_covar, kappa
        k, d = num_components, math.prod(self.data_shape)
        seconds = {"full": [(k, d, d)], "bernoulli": []}.get(components, [(k, d)])
        self.sums = [
            self._add(f"sums_{i}", shape, "zeros", trainable=False)
            for i, shape in enumerate([(k,), (k, d), *seconds])
        ]
        self.sum_and_count = self._add("log_likelihood_and_count", (2,), "zeros", trainable=False)
        with keras_private.summed_when_read():
            self.average = keras.metrics.Mean("log_likelihood", dtype="float64")
        self.compile()

    def compile(
        self,
        optimizer: None = None,
        loss: None = None,
        *,
        steps_per_execution: int | None = None,
        jit_compile: bool | str = "auto",
        run_eagerly: bool = False,
        metrics: None = None,
    ) -> None:
        """Configures training; the constructor has done it with the defaults.

        Args:
            optimizer: None, since EM takes none, as `loss` and `metrics`.
            steps_per_execution: as in `GenerativeModel.compile`. 1 in stepwise EM.
            jit_compile: bool or "auto", XLA.
            run_eagerly: bool, for debugging.

        Raises:
            ValueError: if there is an optimizer, or several steps per execution in stepwise EM.
        """
        is_empty = isinstance(optimizer, dict) and not optimizer  # In files of earlier versions.
        if not is_empty and optimizer is not None:
            raise ValueError(f"EM needs no optimizer: leave it out. Received: {optimizer!r}.")
        refuse_losses(self, loss=loss, metrics=metrics)
        if steps_per_execution is not None:
            check_ints(1, steps_per_execution=steps_per_execution)
        if self.kappa is not None and steps_per_execution not in (None, 1):
            raise ValueError(
                "Stepwise EM has an M step after each batch and needs steps_per_execution 1 or "
                f"None. Received: {steps_per_execution}."
            )
        steps = steps_per_execution if self.kappa is None else 1
        self._configure(None, steps, jit_compile=jit_compile, run_eagerly=run_eagerly)

    # The start.

    def initialize(self, x: Any) -> None:
        """Places the components at the clusters that scikit-learn's k-means finds.

        Args:
            x: array or `tf.data.Dataset`; 10,000 examples of it are used, of a data set the first.

        Raises:
            ValueError: if there are fewer distinct examples than components, or a cluster has a
                singular covariance.
        """
        from sklearn.cluster import KMeans

        x = check(self._some_examples(as_given(x)), self)
        x = np.reshape(x, (-1, math.prod(self.data_shape))).astype("float64")
        found = len(x)
        if found >= self.num_components:
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
            take = tf.gather if isinstance(x, tf.Tensor) else getitem  # Of a file, these alone.
            return np.asarray(x if len(x) <= INITIAL_EXAMPLES else take(x, np.sort(rows)))
        batches, num_examples = [], 0
        for batch in x:
            batches.append(np.asarray(unpack(batch)))
            num_examples += len(batches[-1])
            if num_examples >= INITIAL_EXAMPLES:
                break
        return np.concatenate(batches)[:INITIAL_EXAMPLES]

    # Training.

    def prepare(self, x: Any, y: Any, training: bool) -> tuple[Any, Any]:
        if training and not self.initialized:
            self.initialize(x)
        return super().prepare(x, y, training)

    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        if not (self.initialized or self._fitting):
            raise ValueError(
                "evaluate needs components that stand somewhere. Received: a MixtureEM without a "
                "start. Call fit, initialize or set_parameters first."
            )
        # Keras 3.8 returns tensors.
        values = super().evaluate(*args, **kwargs)
        return keras.tree.map_structure(lambda value: np.asarray(value).item(), values)

    def own_callbacks(self, callbacks: Any, seekable: bool) -> list[keras.callbacks.Callback]:
        for callback in callbacks:
            if isinstance(callback, _OF_OPTIMIZERS):
                raise ValueError(
                    "EM has no optimizer, whose rate or averages a callback could set. Received: "
                    f"{type(callback).__name__}. Leave it out."
                )
        return [*super().own_callbacks(callbacks, seekable), _EM(seekable)]

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        return [self.average]

    @property
    def metrics_names(self) -> list[str]:
        return ["loss", "log_likelihood"]

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        # At the end of the data, sums and steps must not move on without a batch.
        with tf.control_dependencies([part for part in tf.nest.flatten(data) if part is not None]):
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
            return self.training_logs()

    def training_logs(self) -> dict[str, Any]:
        total, count = tf.unstack(tf.convert_to_tensor(self.sum_and_count))
        return _logs(tf.math.divide_no_nan(total, count))

    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        self.average.update_state(self.log_prob(self.unpack(data)))
        return _logs(self.average.result())

    def end_batch(self) -> None:
        """The M step of stepwise EM."""
        if self.kappa is not None:
            self._maximise(rate=float(numpy_of(self.steps) + 1) ** -self.kappa)
            _reset(self.sums)

    def end_epoch(self) -> None:
        """The M step of EM on whole epochs, unless it is done."""
        if self.kappa is None and np.any(numpy_of(self.sum_and_count)):
            self._maximise()
        self.reset_statistics()

    def reset_statistics(self) -> None:
        """Forgets the batches since the last M step, and their likelihood."""
        _reset([*self.sums, self.sum_and_count])

    def _maximise(self, rate=1.0):
        if not np.isfinite(numpy_of(self.sum_and_count)).all():
            raise FloatingPointError(
                "EM diverged: log p(x) became NaN or infinite by step "
                f"{int(numpy_of(self.steps))}. Look for NaN in the data, rescale "
                "them, or raise reg_covar."
            )
        parameters, troubles = self._m_step(self._parameters(), self.sums, rate)
        self._assign(parameters)
        _warn(troubles)

    def _m_step(self, old, sums, rate=1.0):
        sums = [numpy_of(total) for total in sums]
        return m_step(old, sums, self.components, self.reg_covar, self.min_probability, rate)


def _check_ranges(reg_covar, min_probability, kappa):
    given = {"reg_covar": reg_covar, "min_probability": min_probability}
    check_numbers(**given, **({} if kappa is None else {"kappa": kappa}))
    expected = {
        "reg_covar": ("at least 0", reg_covar, reg_covar >= 0),
        "min_probability": ("within (0, 0.5)", min_probability, 0 < min_probability < 0.5),
        "kappa": ("None, or within (0.5, 1]", kappa, kappa is None or 0.5 < kappa <= 1),
    }
    for name, (what, value, holds) in expected.items():
        if not holds:
            raise ValueError(f"{name} must be {what}. Received: {name}={value!r}.")


def _reset(variables):
    for variable in variables:
        variable.assign(tf.zeros(variable.shape, variable.dtype))


def _logs(log_likelihood):
    return {"log_likelihood": log_likelihood, "loss": -log_likelihood}
