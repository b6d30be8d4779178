"""What is logged: averages of a model's terms over examples."""

from collections.abc import Iterable, Mapping

import keras
import tensorflow as tf

from tfgen._utils import keras_private

__all__ = ["TermAverages"]


class TermAverages(keras.metrics.Metric):
    """Averages of all terms over examples, in one variable.

    A `keras.metrics.Mean` for each would add a dozen small operations per term to every step.

    Args:
        names: strings, all names that `update_state` may be given.

    Example:
        >>> averages = TermAverages(["loss", "kl"])
        >>> averages.update_state({"loss": tf.constant([1.0, 3.0])})
        >>> float(averages.result()["loss"])
        2.0
    """

    def __init__(self, names: Iterable[str]) -> None:
        super().__init__(name="terms")
        self.names = tuple(names)
        with keras_private.summed_when_read():
            self.sums_and_counts = self.add_variable((2, len(self.names)), "zeros")
            self.finite_steps = self.add_variable((len(self.names),), "zeros")

    def update_state(self, terms: Mapping[str, tf.Tensor]) -> None:
        """Adds a dict of tensors of one value per example."""
        nothing = tf.zeros((1,))[:0]
        values = [tf.cast(terms.get(name, nothing), tf.float32) for name in self.names]
        sums = [tf.reduce_sum(value) for value in values]
        counts = [tf.cast(tf.size(value), tf.float32) for value in values]
        self.sums_and_counts.assign_add(tf.stack([sums, counts]))

    def end_step(self) -> None:
        """Counts a step for every average that is finite: none that follows NaN ever is."""
        finite = tf.math.is_finite(tf.convert_to_tensor(self.sums_and_counts)[0])
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        self.finite_steps.assign_add(tf.cast(finite, tf.float32) / replicas)

    def result(self) -> dict[str, tf.Tensor]:
        """Dict from name to average."""
        sums, counts = tf.unstack(tf.convert_to_tensor(self.sums_and_counts))
        return dict(zip(self.names, tf.unstack(tf.math.divide_no_nan(sums, counts)), strict=True))
