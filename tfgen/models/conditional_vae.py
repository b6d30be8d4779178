"""Conditional VAE. Sohn, Lee & Yan, NIPS 2015."""

import keras
import numpy as np
import tensorflow as tf

from tfgen.models import training_data
from tfgen.models.latent import decode_in_chunks, input_shape, mean_of
from tfgen.models.vae import VAE

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

    def __init__(self, label, num_classes, **kwargs):
        super().__init__(**kwargs)
        self.label, self.num_classes = label, num_classes

    def call(self, inputs):
        return _append_one_hot(inputs, self.label, self.num_classes)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], input_shape[-1] + self.num_classes)

    def get_config(self):
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

    Args:
        encoder: `keras.Model` from x and `num_classes` further channels to q(z|x, y).
        decoder: `keras.Model` from z and `num_classes` further values to p(x|z, y).
        prior: a prior of `tfgen.layers` over z; `StandardNormal` if None.
        num_classes: int >= 1; labels are 0 to num_classes - 1. Required.
        **kwargs: arguments of `GenerativeModel`, such as `seed`.

    Raises:
        ValueError: if a network leaves no room for the label, if labels are missing or are no ints
            in that range (in a compiled pipeline an InvalidArgumentError, unless under XLA, where
            they count as none); and as `VAE`.

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

    _densities = ("q(z|x, y)", "p(x|z, y)")

    def __init__(self, encoder, decoder, prior=None, *, num_classes, **kwargs):
        if not isinstance(num_classes, int) or num_classes < 1:
            raise ValueError(
                f"num_classes must be an int of at least 1. Received: num_classes={num_classes!r}."
            )
        _check_room(encoder, decoder, num_classes)
        super().__init__(encoder, decoder, prior, num_classes=num_classes, **kwargs)
        self.num_classes = num_classes

    # Training.

    def unpack(self, data):
        """The examples and the labels of a batch."""
        _, labels, _ = keras.utils.unpack_x_y_sample_weight(data)
        if labels is None:
            raise ValueError(
                "A ConditionalVAE learns from examples with labels. Received: a batch without. "
                "Call fit(x, y) on arrays, or load the data with labels=True."
            )
        return training_data.unpack(data), labels

    def zeros(self, num_examples):
        return super().zeros(num_examples), tf.zeros((num_examples,), tf.int32)

    def terms(self, x, training=True):
        q, z, likelihood = self.reconstruct_from_draw(x, training)
        return self.elbo_terms(tf.cast(x[0], tf.float32), q, z, likelihood)

    def posterior(self, x, training):
        """q(z|x, y) of a pair `x` of examples and labels."""
        x, labels = x
        x = self.append_labels(tf.cast(x, tf.float32), labels)
        return self.encoder(x, training=training)

    def likelihood(self, z, x, training):
        """p(x|z, y) with the labels of a pair `x`."""
        _, labels = x
        return self.decoder(self.append_labels(z, labels), training=training)

    def fit(self, x=None, y=None, batch_size=None, *args, shuffle=True, **kwargs):
        """Trains the model on arrays `x` and labels `y`, or on a data set of pairs `x`.

        As `GenerativeModel.fit`, but `validation_split` is for data without labels.
        """
        if y is not None:
            training_data.check(x, self, batch_size)
            x = (np.asarray(x), self.check_labels(y, len(x)))
            x = training_data.as_dataset(x, batch_size, shuffle, self.seed)
        return super().fit(x, None, batch_size, *args, shuffle=shuffle, **kwargs)

    # Labels.

    def check_labels(self, labels, num_examples):
        """`labels`, one for each example or one for all, as an array of shape (num_examples,)."""
        labels = np.asarray(labels)
        whole = np.issubdtype(labels.dtype, np.integer)
        if not whole or labels.shape not in ((), (num_examples,)):
            raise ValueError(
                f"labels must be one int, or one for each of {num_examples} examples. Received: "
                f"{labels.dtype} of shape {labels.shape}."
            )
        if labels.size and not (labels.min() >= 0 and labels.max() < self.num_classes):
            raise ValueError(
                f"labels must be in [0, {self.num_classes}), the num_classes of this model. "
                f"Received: labels from {labels.min()} to {labels.max()}."
            )
        return np.broadcast_to(labels, (num_examples,)).astype("int32")

    def append_labels(self, inputs, labels):
        """Images or codes with their labels, as the networks take them."""
        if labels is None:
            raise ValueError(
                "q(z|x, y) and p(x|z, y) need labels. Received: labels=None. Pass labels, or take "
                "the VAE of one class: model.given(label)."
            )
        if tf.is_symbolic_tensor(labels):
            labels = _checked_when_run(labels, self.num_classes)
        else:
            labels = self.check_labels(labels, len(inputs))
        return _append_one_hot(tf.convert_to_tensor(inputs), labels, self.num_classes)

    def given(self, label):
        """The `VAE` of one class, q(z|x, y=label) and p(x|z, y=label), which shares all weights."""
        label = int(self.check_labels(label, 1)[0])
        given = [
            keras.Sequential([keras.Input(shape), AppendLabel(label, self.num_classes), network])
            for shape, network in (
                (self.data_shape, self.encoder),
                (self.latent_shape, self.decoder),
            )
        ]
        return VAE(*given, prior=self.prior, seed=self.seed)

    # Encoding and decoding.

    def encode(self, x, labels=None):
        """q(z|x, y)."""
        return self.encoder(self.append_labels(x, labels))

    def decode(self, z, labels=None):
        """p(x|z, y)."""
        return self.decoder(self.append_labels(z, labels))

    def generate(self, z, labels=None):
        """The decoder's mean E[x|z, y], shape (len(z), *data_shape)."""
        return decode_in_chunks(self.decoder, self.append_labels(z, labels))

    def reconstruct(self, x, labels=None):
        """E[x|z, y] at the mean of q(z|x, y), shape of `x`."""
        return mean_of(self.decode(mean_of(self.encode(x, labels)), labels))

    def call(self, inputs):
        return self.reconstruct(*inputs)

    def sample(self, num_samples=1, labels=None, seed=None, mean=True):
        """New examples of given classes.

        Args:
            num_samples: int.
            labels: ints, shape (num_samples,), or one int for all; None for the classes in turn.
            seed: int or None. An int gives the same samples each time.
            mean: bool, E[x|z, y] if True, else a draw from p(x|z, y).

        Returns:
            Tensor, shape (num_samples, *data_shape).
        """
        seed = self.sampling_seed(seed)
        labels = np.arange(num_samples) % self.num_classes if labels is None else labels
        z = self.append_labels(self.sample_latents(num_samples, seed), labels)
        return decode_in_chunks(self.decoder, z, None if mean else seed)

    def get_config(self):
        return {**super().get_config(), "num_classes": self.num_classes}


def _checked_when_run(labels, num_classes):
    """The labels of a compiled step, with a check that XLA drops."""
    message = f"labels must be in [0, {num_classes}), the num_classes of the ConditionalVAE."
    checks = [
        tf.debugging.assert_non_negative(labels, message),
        tf.debugging.assert_less(labels, tf.cast(num_classes, labels.dtype), message),
    ]
    with tf.control_dependencies([check for check in checks if check is not None]):
        return tf.identity(labels)


def _check_room(encoder, decoder, num_classes):
    """Raises ValueError unless each network takes the other's output and a label."""
    for network, other, role, remedy in (
        (encoder, decoder, "encoder", "keras.Input((height, width, channels + num_classes))"),
        (decoder, encoder, "decoder", "keras.Input((latent_dim + num_classes,))"),
    ):
        expected = input_shape(network, role, remedy, num_classes)
        if expected != tuple(other.output_shape[1:]):
            raise ValueError(
                f"The {role} must take what the other network returns, of shape "
                f"{other.output_shape}, with num_classes={num_classes} further values on the last "
                f"axis. Received: a {role} of input shape {network.input_shape}. Build it for this "
                "shape."
            )
