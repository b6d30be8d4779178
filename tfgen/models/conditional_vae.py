"""Conditional VAE. Sohn, Lee & Yan, NIPS 2015."""

import itertools
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from typing_extensions import Unpack

from tfgen._utils.arguments import check_flags, check_size
from tfgen._utils.typing import Distribution, LayerOptions, TensorLike
from tfgen.layers import Prior
from tfgen.models import training_data
from tfgen.models.checks import as_array, as_examples, check_num_samples, input_shape
from tfgen.models.latent import batches_of, decode_in_chunks, joined, mean_of
from tfgen.models.vae import VAE

tfd = tfp.distributions

__all__ = ["ConditionalVAE"]


def _append_one_hot(inputs, labels, num_classes):
    """Images or codes with a label on their last axis: one for all, or one for each example."""
    one_hot = tf.one_hot(tf.cast(labels, tf.int32), num_classes, dtype=inputs.dtype)
    one_hot = tf.reshape(one_hot, (-1, *[1] * (len(inputs.shape) - 2), num_classes))
    shape = tf.concat([tf.shape(inputs)[:-1], [num_classes]], axis=0)
    return tf.concat([inputs, tf.broadcast_to(one_hot, shape)], axis=-1)


@keras.saving.register_keras_serializable("tfgen")
class AppendLabel(keras.layers.Layer):
    """Appends the one-hot label of one class to the last axis of all examples.

    Args:
        label: int, the class.
        num_classes: int > label.
        **kwargs: arguments of `keras.layers.Layer`.

    Example:
        >>> AppendLabel(1, num_classes=3)(tf.zeros((1, 2))).numpy()
        array([[0., 0., 0., 1., 0.]], dtype=float32)
    """

    def __init__(self, label: int, num_classes: int, **kwargs: Unpack[LayerOptions]) -> None:
        super().__init__(**kwargs)
        self.label, self.num_classes = label, num_classes

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return _append_one_hot(inputs, self.label, self.num_classes)

    def compute_output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return (*input_shape[:-1], input_shape[-1] + self.num_classes)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "label": self.label, "num_classes": self.num_classes}


@keras.saving.register_keras_serializable("tfgen")
class ConditionalVAE(VAE):
    """VAE of labelled examples: q(z|x, y) and p(x|z, y) are given the label y.

    loss = E_q(z|x,y)[-log p(x|z, y)] + KL(q(z|x, y) || p(z)), which bounds -log p(x|y). The label
    is appended, one-hot, to the last axis of each network's input: to every pixel of an image as
    `num_classes` further channels, and to z. So any encoder and decoder will do, built for inputs
    that are `num_classes` longer.

    Source: Sohn, Lee & Yan, "Learning Structured Output Representation using Deep Conditional
    Generative Models", NIPS 2015, Eq. 4 and 5, where our x is y and our y is x; with the prior
    p(z), which does not depend on the condition, as the end of its Sec. 4.1 allows.

    `fit`, `evaluate` and `validation_data` take examples with labels: `fit(x, y)`, or the data set
    of `datasets.load(..., labels=True)`. It logs the terms of `VAE`. `given(label)` is the `VAE` of
    one class, with whatever a VAE can do: `interpolate`, `traverse`, `embed`.

    Other VAEs are given labels by a class of both, `class ConditionalIWAE(ConditionalVAE, IWAE)`:
    those whose networks are an encoder and a decoder. Networks beside these do not see the label.

    Args:
        encoder: `keras.Model` from x and `num_classes` further channels to q(z|x, y).
        decoder: `keras.Model` from z and `num_classes` further values to p(x|z, y).
        prior: a prior of `tfgen.layers` over z; `StandardNormal` if None.
        num_classes: int >= 1; labels are 0 to num_classes - 1, or one-hot rows. Required.
        **kwargs: other arguments of `VAE`, such as `seed` and `beta`.

    Raises:
        ValueError: if a network leaves no room for the label, if labels are missing or are no
            classes in that range (in a compiled pipeline an InvalidArgumentError, unless under XLA,
            where they count as none); and as `VAE`.

    Example:
        >>> from tfgen import networks
        >>> model = ConditionalVAE(networks.mlp_encoder((8, 8, 1 + 10), latent_dim=2, width=16),
        ...                        networks.mlp_decoder((8, 8, 1), latent_dim=2 + 10, width=16),
        ...                        num_classes=10, seed=0)
        >>> model.compile("adam")
        >>> history = model.fit(tf.zeros((32, 8, 8, 1)), np.arange(32) % 10, verbose=0)
        >>> model.sample(3, labels=7).shape
        TensorShape([3, 8, 8, 1])
        >>> model.given(7).traverse().shape
        TensorShape([2, 7, 8, 8, 1])
    """

    takes_targets = False  # y are the labels.
    _densities = ("q(z|x, y)", "p(x|z, y)")

    def __init__(
        self,
        encoder: keras.Model,
        decoder: keras.Model,
        *args: Any,
        num_classes: int,
        **kwargs: Any,
    ) -> None:
        check_size(num_classes=num_classes)
        _check_room(encoder, decoder, num_classes)
        # The classes between this one and `AutoencodingModel` hand it on.
        super().__init__(  # type: ignore[call-arg]
            encoder, decoder, *args, num_classes=num_classes, **kwargs
        )
        self.num_classes = num_classes

    # Training.

    def prepare(self, x: Any, y: Any, training: bool) -> tuple[Any, Any]:
        """The data with checked labels."""
        return x, None if y is None else self.check_labels(y, len(x))

    def unpack(self, data: Any) -> tuple[tf.Tensor, tf.Tensor]:
        """The examples of a batch, and the numbers of their classes."""
        _, labels, _ = keras.utils.unpack_x_y_sample_weight(data)
        if labels is None:
            raise ValueError(
                "A ConditionalVAE learns from examples with labels. Received: a batch without. "
                "Call fit(x, y) on arrays, or load the data with labels=True."
            )
        x = training_data.unpack(data)
        return x, self._numbers(labels, x)

    def zeros(self, num_examples: int) -> tuple[tf.Tensor, tf.Tensor]:
        return super().zeros(num_examples), tf.zeros((num_examples,), tf.int32)

    def examples(self, x: Any) -> tf.Tensor:
        return super().examples(_pair(x)[0])

    def inputs(self, x: Any) -> tf.Tensor:
        return super().inputs(_pair(x)[0])

    def as_batch(self, x: Any) -> tuple[tf.Tensor, tf.Tensor]:
        images = self.examples(x)
        return images, self._numbers(x[1], images)

    def posterior(self, x: Any, training: bool) -> Distribution:
        """q(z|x, y) of a pair `x` of examples and labels."""
        return self.encoder(self.append_labels(self.inputs(x), x[1]), training=training)

    def likelihood(self, z: TensorLike, x: Any, training: bool) -> Distribution:
        """p(x|z, y) with the labels of a pair `x`."""
        labels = None if x is None else x[1]
        return super().likelihood(self.append_labels(z, labels), x, training)

    # Labels.

    def check_labels(self, labels: Any, num_examples: int) -> np.ndarray:
        """Numbers of classes, shape (num_examples,), of labels for each example or one for all.

        Args:
            labels: whole numbers, shape (num_examples,), (num_examples, 1) or (), or one-hot rows,
                shape (num_examples, num_classes).
            num_examples: int.

        Raises:
            ValueError: if they are something else, or in another range.
        """
        try:
            given = np.asarray(labels)
        except (TypeError, ValueError):  # Rows of several lengths.
            given = np.array(None)
        labels = _classes(given, self.num_classes)
        if labels is None or labels.shape not in ((), (num_examples,)):
            raise ValueError(
                f"labels must be one int, or one for each of {num_examples} examples. Received: "
                f"{given.dtype} of shape {given.shape}. Give the numbers of the classes, or rows "
                f"of {self.num_classes} values, one of them 1 and the others 0: y in fit."
            )
        if labels.size and not (labels.min() >= 0 and labels.max() < self.num_classes):
            raise ValueError(
                f"labels must be in [0, {self.num_classes}), the num_classes of this model. "
                f"Received: labels from {labels.min()} to {labels.max()}. They are y in fit."
            )
        return np.broadcast_to(labels, (num_examples,)).astype("int32")

    def append_labels(self, inputs: TensorLike, labels: Any) -> tf.Tensor:
        """Images or codes with their labels, as the networks take them."""
        if labels is None:
            raise ValueError(
                "q(z|x, y) and p(x|z, y) need labels. Received: labels=None. Pass labels, or take "
                "the VAE of one class: model.given(label)."
            )
        inputs = tf.convert_to_tensor(inputs)
        return _append_one_hot(inputs, self._numbers(labels, inputs), self.num_classes)

    def _numbers(self, labels, inputs):
        if tf.is_symbolic_tensor(labels):
            return _classes_when_run(labels, self.num_classes)
        return self.check_labels(labels, len(inputs))

    def given(self, label: int) -> VAE:
        """The `VAE` of one class, q(z|x, y=label) and p(x|z, y=label), which shares all weights."""
        label = int(self.check_labels(label, 1)[0])
        encoder, decoder = (
            keras.Sequential([keras.Input(shape), AppendLabel(label, self.num_classes), network])
            for shape, network in (
                (self.data_shape, self.encoder),
                (self.latent_shape, self.decoder),
            )
        )
        return VAE(encoder, decoder, prior=self.prior, seed=self.seed)

    # Encoding and decoding.

    def encode(self, x: TensorLike, labels: Any = None) -> Any:
        """q(z|x, y)."""
        return super().encode((x, labels))

    def decode(self, z: TensorLike, labels: Any = None) -> Distribution:
        """p(x|z, y)."""
        z = as_examples(z, self.latent_shape, "z")
        return self.likelihood(z, (None, labels), training=False)

    def generate(self, z: TensorLike, labels: Any = None) -> tf.Tensor:
        """The decoder's mean E[x|z, y], shape (len(z), *data_shape)."""
        z = as_examples(z, self.latent_shape, "z")
        return decode_in_chunks(self.decoder, self.append_labels(z, labels))

    def embed(self, x: Any, labels: Any = None) -> np.ndarray:
        """Means of q(z|x, y), a NumPy array of shape (n, *latent_shape).

        Args:
            x: array, with `labels`; a tuple of both; or a data set of pairs, as `fit` takes it.
            labels: see `check_labels`.
        """
        if isinstance(x, tf.data.Dataset | keras.utils.PyDataset):
            pairs = batches_of(x, self.unpack)
        else:
            x, labels = x if isinstance(x, tuple) and labels is None else (x, labels)
            x = as_array(x)
            numbers = None if labels is None else self.check_labels(labels, len(x))
            pairs = zip(batches_of(x), _batches_of_labels(numbers), strict=False)
        codes = (self.encode(as_examples(x, self.data_shape, "x"), y) for x, y in pairs)
        return joined([mean_of(code) for code in codes])

    def reconstruct(self, x: TensorLike, labels: Any = None) -> tf.Tensor:
        """E[x|z, y] at the mean of q(z|x, y), shape of `x`."""
        x = as_examples(x, self.data_shape, "x")
        return mean_of(self.decode(mean_of(self.encode(x, labels)), labels))

    def call(self, inputs: Any) -> tf.Tensor:
        if not isinstance(inputs, tuple | list) or len(inputs) != 2:
            raise ValueError(
                "A ConditionalVAE reconstructs examples of known labels, and takes pairs (x, "
                f"labels). Received: {type(inputs).__name__}. Pass [x, labels], or a data set of "
                "pairs to predict."
            )
        return self.reconstruct(*inputs)

    def predict_step(self, data: Any) -> tf.Tensor:
        """`call` on a batch of a data set of pairs too."""
        x, labels, _ = keras.utils.unpack_x_y_sample_weight(data)
        return self(x if labels is None else (x, labels), training=False)

    def sample(  # type: ignore[override]  # Labels come second, as in `encode`.
        self,
        num_samples: int = 1,
        labels: Any = None,
        seed: int | None = None,
        mean: bool = True,
        prior: Prior | None = None,
    ) -> tf.Tensor:
        """New examples of given classes.

        Args:
            num_samples: int >= 0.
            labels: one for all, or for each; see `check_labels`. None for the classes in turn.
            seed: int >= 0 or None. An int gives the same samples each time.
            mean: bool, E[x|z, y] if True, else a draw from p(x|z, y).
            prior: what z is drawn from in the place of the model's own prior.

        Returns:
            Tensor, shape (num_samples, *data_shape).
        """
        check_num_samples(num_samples)
        check_flags(mean=mean)
        seed = self.sampling_seed(seed)
        labels = np.arange(num_samples) % self.num_classes if labels is None else labels
        z = self.append_labels(self.sample_latents(num_samples, seed, prior), labels)
        return decode_in_chunks(self.decoder, z, None if mean else seed)


def _pair(x):
    if not isinstance(x, tuple | list) or len(x) != 2:
        raise ValueError(
            "Batches of a ConditionalVAE are pairs (x, labels). Received: x of type "
            f"{type(x).__name__}. Give the labels too."
        )
    return x


def _batches_of_labels(numbers):
    return itertools.repeat(None) if numbers is None else batches_of(numbers)


def _classes(labels, num_classes):
    """Whole numbers, of a column, of floats and of one-hot rows too; None of anything else."""
    if not np.issubdtype(labels.dtype, np.number) and labels.dtype != bool:
        return None
    if labels.ndim == 2 and labels.shape[1] == num_classes > 1:
        one_hot = np.isin(labels, (0, 1)).all() and (labels.sum(axis=1) == 1).all()
        return labels.argmax(axis=1) if one_hot else None
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    whole = np.isfinite(labels).all() and np.all(labels == np.round(labels))
    return labels.astype("int64") if whole else None


def _classes_when_run(labels, num_classes):
    """The same of labels in a compiled step, with checks that XLA drops."""
    shape = labels.shape
    if shape.rank == 2 and shape[1] == num_classes > 1:
        labels = tf.cast(labels, tf.float32)
        numbers = tf.argmax(labels, axis=1, output_type=tf.int32)
        valid = tf.reduce_all(labels == tf.one_hot(numbers, num_classes))
    elif shape.rank in (0, 1) or (shape.rank == 2 and shape[1] == 1):
        numbers = tf.cast(labels[:, 0] if shape.rank == 2 else labels, tf.int32)
        whole = tf.reduce_all(tf.cast(numbers, labels.dtype) == tf.reshape(labels, [-1]))
        valid = whole & tf.reduce_all((numbers >= 0) & (numbers < num_classes))
    else:
        raise ValueError(
            f"labels must have shape (batch,), (batch, 1) or (batch, {num_classes}), one-hot. "
            f"Received: a data set with labels of shape {shape}. Map them to numbers of classes."
        )
    message = f"labels must be in [0, {num_classes}), the num_classes of the ConditionalVAE."
    with tf.control_dependencies([tf.debugging.Assert(valid, [message, labels])]):
        return tf.identity(numbers)


def _check_room(encoder, decoder, num_classes):
    """Raises ValueError unless each network takes the other's output and a label."""
    for network, other, role, remedy in (
        (encoder, decoder, "encoder", "keras.Input((height, width, channels + num_classes))"),
        (decoder, encoder, "decoder", "keras.Input((latent_dim + num_classes,))"),
    ):
        expected = input_shape(network, role, remedy, num_classes)
        returned = getattr(other, "output_shape", None)
        if not isinstance(returned, tuple) or expected != returned[1:]:
            raise ValueError(
                f"The {role} must take what the other network, {type(other).__name__} as "
                f"{'decoder' if role == 'encoder' else 'encoder'}, returns, of shape "
                f"{returned}, with num_classes={num_classes} further values on the last "
                f"axis. Received: a {role} of input shape {network.input_shape}. Build it for this "
                "shape."
            )
