"""Recurrent encoder and decoder of DRAW, with and without attention.

Gregor, Danihelka, Graves, Rezende & Wierstra, "DRAW: A Recurrent Neural Network For Image
Generation", arXiv:1502.04623v2.
"""

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from typing_extensions import Self, Unpack

from tfgen._utils.arguments import check_size
from tfgen._utils.typing import Distribution, LayerOptions, Seed, Shape
from tfgen.layers import Conditional, IndependentBernoulli, IndependentNormal, StandardNormal
from tfgen.losses import kl_divergence
from tfgen.networks._blocks import (
    ConditionOptions,
    check_image_shape,
    condition_input,
    network_of,
    output_channels,
    output_layer,
)

__all__ = [
    "DRAWDecoder",
    "DRAWEncoder",
    "NormalPosterior",
    "apply_filters",
    "attention_filters",
    "lstm",
]

_register = keras.saving.register_keras_serializable("tfgen")
# Largest parameter of an attention window in absolute value.
_MOST = 20.0


# Formulas.


def attention_filters(
    parameters: tf.Tensor, num_filters: int, height: int, width: int
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Gaussian filters of the attention window, a grid of `num_filters` by `num_filters`.

    Source: Gregor et al., arXiv:1502.04623v2, Eq. 19 to 26; pixels are counted from 1. A softmax
    normalizes the filters, which is the same and holds far outside of the image too. Parameters
    count from -20 to 20, ten images away or a factor of 5e8, so that no square overflows.

    Args:
        parameters: tensor, shape (batch, 5): center of the grid across and down, -1 to 1 inside of
            the image; log variance, in squared pixels; log stride, 0 for a grid as wide as the
            longer side of the image; log intensity.
        num_filters: int N >= 1, rows and columns of the grid.
        height: int, pixels.
        width: int, pixels.

    Returns:
        Tuple (filters down, filters across, intensity) of shapes (batch, N, height),
        (batch, N, width) and (batch, 1, 1, 1); each filter sums to 1 over pixels.

    Example:
        >>> down, across, intensity = attention_filters(tf.zeros((2, 5)), 5, 28, 20)
        >>> down.shape, across.shape, intensity.shape
        (TensorShape([2, 5, 28]), TensorShape([2, 5, 20]), TensorShape([2, 1, 1, 1]))
    """
    parameters = tf.clip_by_value(parameters, -_MOST, _MOST)
    center_x, center_y, log_variance, log_stride, log_intensity = tf.unstack(parameters, axis=-1)
    stride = (max(height, width) - 1) / max(num_filters - 1, 1) * tf.exp(log_stride)

    def bank(center, num_pixels):
        offsets = tf.range(num_filters, dtype=tf.float32) - (num_filters - 1) / 2
        loc = (num_pixels + 1) / 2 * (center + 1)[:, None] + offsets * stride[:, None]
        distance = tf.range(1, num_pixels + 1, dtype=tf.float32) - loc[:, :, None]
        precision = tf.exp(-log_variance)[:, None, None]
        return tf.nn.softmax(-0.5 * precision * tf.square(distance))

    intensity = tf.exp(log_intensity)[:, None, None, None]
    return bank(center_y, height), bank(center_x, width), intensity


def apply_filters(down: tf.Tensor, images: tf.Tensor, across: tf.Tensor) -> tf.Tensor:
    """F_Y x F_X^T for each channel: reads a patch, or with transposed filters writes one.

    Source: Gregor et al., arXiv:1502.04623v2, Eq. 27 and 29.

    Args:
        down: tensor, shape (batch, n, height).
        images: tensor, shape (batch, height, width, channels).
        across: tensor, shape (batch, m, width).

    Returns:
        Tensor, shape (batch, n, m, channels).

    Example:
        >>> identity = tf.eye(3)[None]
        >>> apply_filters(identity[:, 1:2], tf.reshape(tf.range(9.0), (1, 3, 3, 1)), identity)[0, 0]
        <tf.Tensor: shape=(3, 1), dtype=float32, numpy=
        array([[3.],
               [4.],
               [5.]], dtype=float32)>
    """
    return tf.einsum("bmw,bnwc->bnmc", across, tf.einsum("bnh,bhwc->bnwc", down, images))


def lstm(gates: tf.Tensor, carry: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """One step of a long short-term memory, given the weighted inputs of its gates.

    Source: Gers, Schmidhuber & Cummins, "Learning to Forget", Neural Computation 12, 2000; gates
    in the order of `keras.layers.LSTMCell`.

    Args:
        gates: tensor, shape (batch, 4 * units): input, forget, cell and output gates.
        carry: tensor, shape (batch, units).

    Returns:
        Tuple (output, new carry), both of shape (batch, units).

    Example:
        >>> output, carry = lstm(tf.zeros((1, 4)), tf.ones((1, 1)))
        >>> float(carry[0, 0])  # the forget gate is half open
        0.5
    """
    take, keep, new, show = tf.split(gates, 4, axis=-1)
    carry = tf.sigmoid(keep) * carry + tf.sigmoid(take) * tf.tanh(new)
    return tf.sigmoid(show) * tf.tanh(carry), carry


# Layers.


def _built(layer, num_inputs):
    """The layer, with its weights: in the constructor, since no call tells Keras the shapes."""
    layer.build((None, num_inputs))
    return layer


def _rows(vector, batch_size):
    """The same vector for each example, float32 whatever the policy."""
    return tf.tile(tf.cast(vector, tf.float32)[None], [batch_size, 1])


def _flat(images):
    return tf.reshape(images, (-1, math.prod(images.shape[1:])))


class _LSTM(keras.layers.Layer):
    """LSTM with learned initial state; its state is float32 whatever the policy."""

    def __init__(self, units, num_inputs, **kwargs):
        super().__init__(autocast=False, **kwargs)
        remember = keras.initializers.Constant(np.repeat([0.0, 1.0, 0.0, 0.0], units))
        gates = keras.layers.Dense(4 * units, bias_initializer=remember, dtype=self.dtype_policy)
        self.gates = _built(gates, num_inputs + units)
        self.initial_output = self.add_weight((units,), "zeros", name="initial_output")
        self.initial_carry = self.add_weight((units,), "zeros", name="initial_carry")
        self.built = True

    def begin(self, batch_size):
        """Output and carry before the first step."""
        return _rows(self.initial_output, batch_size), _rows(self.initial_carry, batch_size)

    def step(self, inputs, output, carry, weighted=0.0):
        """Output and carry after `inputs`, and after others that come `weighted` already."""
        gates = self.gates(tf.concat([*inputs, output], axis=-1))
        return lstm(tf.cast(gates, tf.float32) + weighted, carry)


@_register
class NormalPosterior(keras.layers.Layer):
    """q(z_t|h) = N(loc, diag(scale**2)) with loc and log(scale) linear in h.

    Any layer with `latent_dim`, and with `draw` and `mean` like these, may take its place.

    Source: Gregor et al., arXiv:1502.04623v2, Eq. 1 and 2; KL divergence Eq. 11.

    Args:
        latent_dim: int >= 1, latent dimensions of one step.
        num_features: int >= 1, units of the encoder's LSTM.
        **kwargs: arguments of `keras.layers.Layer`.

    Example:
        >>> posterior = NormalPosterior(latent_dim=3, num_features=8)
        >>> z, kl, log_ratio = posterior.draw(tf.zeros((2, 8)), seed=[0, 0])
        >>> z.shape, kl.numpy()
        (TensorShape([2, 3]), array([0., 0.], dtype=float32))
    """

    def __init__(self, latent_dim: int, num_features: int, **kwargs: Unpack[LayerOptions]) -> None:
        super().__init__(**kwargs)
        check_size(1, latent_dim=latent_dim, num_features=num_features)
        self.latent_dim, self.num_features = latent_dim, num_features
        self.head = IndependentNormal(latent_dim, scale_activation="exponential")
        parameters = keras.layers.Dense(self.head.params_size(latent_dim), dtype=self.dtype_policy)
        self.parameters = _built(parameters, num_features)
        self.built = True

    def distribution(self, features: tf.Tensor) -> Distribution:
        """q(z_t|h)."""
        return self.head(tf.cast(self.parameters(features), tf.float32))

    def draw(
        self, features: tf.Tensor, seed: Seed, training: bool = False
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """One draw of z_t.

        Args:
            features: tensor, shape (batch, num_features), the encoder's output h.
            seed: int32 tensor of shape (2,), a stateless seed.
            training: bool, for layers that differ.

        Returns:
            Tuple (z_t, kl, log_ratio) of shapes (batch, latent_dim), (batch,) and (batch,):
            log_ratio is log q(z_t, u_t|h) - log N(z_t; 0, I) - log r(u_t|h, z_t) in nats at this
            draw of z_t and of whatever variables u_t a posterior draws besides, here none; kl is
            its mean, or it where there is no closed form.
        """
        q, p = self.distribution(features), StandardNormal(self.latent_dim).as_distribution()
        z = q.sample(seed=seed)
        return z, kl_divergence(q, p), q.log_prob(z) - p.log_prob(z)

    def mean(self, features: tf.Tensor) -> tf.Tensor:
        """The mean of z_t, shape (batch, latent_dim)."""
        return self.distribution(features).mean()

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "latent_dim": self.latent_dim,
            "num_features": self.num_features,
        }


class DRAWOptions(LayerOptions, ConditionOptions, total=False):
    """Arguments of both networks, for `**kwargs: Unpack[DRAWOptions]`."""


def _condition_options(kwargs):
    """Takes those of `ConditionOptions` out of keyword arguments."""
    return {name: kwargs.pop(name, None) for name in ConditionOptions.__annotations__}


def _window(num_features, dtype):
    """Linear layer to the window's parameters (Eq. 21): at first it covers the whole image."""
    return _built(keras.layers.Dense(5, dtype=dtype, name="window"), num_features)


class _DRAWNetwork(keras.Model):
    """An LSTM that is told a condition in each step, if there is one."""

    lstm: _LSTM

    def _add_condition(self, units, options):
        self.options = options
        self.condition = self.condition_gates = None
        c = condition_input(**options)
        if c is not None:
            dense = keras.layers.Dense(4 * units, use_bias=False, dtype=self.dtype_policy)
            gates = dense(keras.layers.Flatten()(c))
            rows = keras.Input((units,))
            self.condition_gates = network_of(rows, c, gates, "condition_gates", **options)

    def _begin_lstm(self, batch_size):
        """Output and carry before the first step, and what the condition adds to the gates."""
        output, carry = self.lstm.begin(batch_size)
        if self.condition_gates is None:
            return output, carry, 0.0
        return output, carry, tf.cast(self.condition_gates(output), tf.float32)

    def under(self, condition: Any) -> Self:
        """The network under one condition, of the same class and with the same weights.

        Args:
            condition: one condition; see `layers.Condition.check`.

        Raises:
            ValueError: if the network takes no condition, or another.
        """
        if not isinstance(self.condition_gates, Conditional):
            raise ValueError(
                f"This {type(self).__name__} takes no condition. Received: condition="
                f"{condition!r}. Build it with num_classes or condition_shape."
            )
        twin = type(self).__new__(type(self))
        keras.Model.__init__(twin, autocast=False, name=self.name, dtype=self.dtype_policy)
        for name in [name for name in vars(self) if name not in vars(twin)]:
            if name != "condition_gates":
                setattr(twin, name, getattr(self, name))
        twin.condition_gates = self.condition_gates.under(condition)
        twin.condition = twin.condition_gates.layers[-1].condition
        twin.built = True
        return twin

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self.options, "condition": self.condition}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        config, condition = dict(config), config.get("condition")
        config.pop("condition", None)
        network = cls(**config)
        return network if condition is None else network.under(condition)


@_register
class DRAWEncoder(_DRAWNetwork):
    """The encoder of DRAW: an LSTM that looks at an image once in each step.

    h_t = LSTM(h_{t-1}, [read(x, x - E[x|c_{t-1}], h_dec), h_dec]) with the decoder's output h_dec
    and canvas c_{t-1} of the step before; then q(z_t|h_t). `read` is the whole of both images, or
    through an attention window a patch of each. A part of `models.DRAW`: it needs the decoder, so
    that there is no `encoder(x)`.

    Source: Gregor et al., arXiv:1502.04623v2, Eq. 3 to 6, 17 and 27; sizes Sec. 4.2, Table 3.

    Args:
        image_shape: tuple of int, (height, width, channels).
        latent_dim: int >= 1, latent dimensions of one step.
        num_steps: int T >= 1, as in the decoder.
        width: int >= 1, units of the LSTM.
        decoder_width: int >= 1, units of the decoder's LSTM; `width` if None.
        read_size: int >= 1, rows and columns of the patch that is read, 2 in the paper; None for no
            attention.
        posterior: layer with the methods of `NormalPosterior`, which is the default.
        **kwargs: `num_classes` or `condition_shape`, of a network that is given a condition, which
            is appended to the inputs of the LSTM; and arguments of `keras.Model`.

    Raises:
        ValueError: if an argument is out of range, or the posterior is over another latent_dim.

    Example:
        >>> encoder = DRAWEncoder((28, 28, 1), latent_dim=10, num_steps=5)
        >>> encoder.output_shape
        (None, 5, 10)
    """

    def __init__(
        self,
        image_shape: Shape,
        latent_dim: int = 100,
        num_steps: int = 64,
        width: int = 256,
        decoder_width: int | None = None,
        read_size: int | None = None,
        posterior: keras.layers.Layer | None = None,
        **kwargs: Unpack[DRAWOptions],
    ) -> None:
        options = _condition_options(kwargs)
        super().__init__(autocast=False, **kwargs)
        self.image_shape = check_image_shape(image_shape, latent_dim=latent_dim, width=width)
        self.latent_dim, self.num_steps, self.width = latent_dim, num_steps, width
        self.decoder_width = width if decoder_width is None else decoder_width
        self.read_size = read_size
        check_size(1, num_steps=num_steps, decoder_width=self.decoder_width)
        self._build_read()
        self._add_condition(width, options)
        if posterior is None:
            posterior = NormalPosterior(latent_dim, width, dtype=self.dtype_policy)
        self.posterior = posterior
        _check_posterior(self.posterior, latent_dim)
        self.built = True

    def _build_read(self):
        height, width, channels = self.image_shape
        num_inputs = height * width * channels
        if self.read_size is not None:
            check_size(1, read_size=self.read_size)
            self.window = _window(self.decoder_width, self.dtype_policy)
            num_inputs = 2 * self.read_size**2 * channels
        else:
            image_gates = keras.layers.Dense(
                4 * self.width, use_bias=False, dtype=self.dtype_policy, name="image_gates"
            )
            self.image_gates = _built(image_gates, num_inputs)
        self.lstm = _LSTM(self.width, num_inputs + self.decoder_width, dtype=self.dtype_policy)

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        return (None, *self.image_shape)

    @property
    def output_shape(self) -> tuple[int | None, ...]:
        return (None, self.num_steps, self.latent_dim)

    def begin(self, x: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """The state before the first step: output and carry, and what all steps see alike.

        That is a weighted sum of the condition, and without attention of pixels of `x` (Eq. 17).
        """
        output, carry, weighted = self._begin_lstm(tf.shape(x)[0])
        if self.read_size is None:
            weighted += tf.cast(self.image_gates(_flat(x)), tf.float32)
        return output, carry, weighted

    def step(
        self,
        x: tf.Tensor,
        error: tf.Tensor,
        decoder_output: tf.Tensor,
        state: tuple[tf.Tensor, ...],
    ) -> tuple[tf.Tensor, ...]:
        """One step.

        Args:
            x: tensor, shape (batch, *image_shape).
            error: tensor, the same shape, x - E[x|c] for the canvas c so far (Eq. 3).
            decoder_output: tensor, shape (batch, decoder_width).
            state: tuple, from `begin` or the step before.

        Returns:
            State after the step; its first entry is the output h, shape (batch, width).
        """
        output, carry, weighted = state
        seen = self._read(x, error, decoder_output)
        inputs = [seen, decoder_output]
        return (*self.lstm.step(inputs, output, carry, weighted), weighted)

    def _read(self, x, error, decoder_output):
        if self.read_size is None:
            return _flat(error)
        parameters = tf.cast(self.window(decoder_output), tf.float32)
        down, across, intensity = attention_filters(
            parameters, self.read_size, *self.image_shape[:2]
        )
        return _flat(intensity * apply_filters(down, tf.concat([x, error], axis=-1), across))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "image_shape": self.image_shape,
            "latent_dim": self.latent_dim,
            "num_steps": self.num_steps,
            "width": self.width,
            "decoder_width": self.decoder_width,
            "read_size": self.read_size,
            "posterior": keras.saving.serialize_keras_object(self.posterior),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        posterior = keras.saving.deserialize_keras_object(config["posterior"])
        return super().from_config({**config, "posterior": posterior})


def _check_posterior(posterior, latent_dim):
    if getattr(posterior, "latent_dim", None) != latent_dim:
        raise ValueError(
            "The posterior must be a layer over the latents of one step, with their number as its "
            f"latent_dim. Received: latent_dim={latent_dim} and posterior={posterior!r}. Give both "
            "the same latent_dim."
        )


@_register
class DRAWDecoder(_DRAWNetwork):
    """The decoder of DRAW: an LSTM that adds to a canvas in each step.

    h_t = LSTM(h_{t-1}, z_t), c_t = c_{t-1} + write(h_t); p(x|z) takes the last canvas as its
    parameters. `write` is linear in h_t, or a patch linear in h_t that an attention window lays
    over the image. Initial states and canvas are learned.

    Source: Gregor et al., arXiv:1502.04623v2, Eq. 7 and 8, 18, 28 and 29; sizes Sec. 4.2, Table 3.

    Args:
        image_shape: tuple of int, (height, width, channels).
        latent_dim: int >= 1, latent dimensions of one step.
        num_steps: int T >= 1.
        width: int >= 1, units of the LSTM.
        write_size: int >= 1, rows and columns of the patch that is written, 5 in the paper; None
            for no attention.
        head: callable from `image_shape` to a distribution layer with the same number of parameters
            for every pixel, or such a layer.
        **kwargs: `num_classes` or `condition_shape`, of a network that is given a condition, which
            is appended to the inputs of the LSTM; and arguments of `keras.Model`.

    Call arguments:
        z: tensor, shape (batch, num_steps, latent_dim).

    Returns:
        p(x|z) over images, batch shape (batch,).

    Raises:
        ValueError: if an argument is out of range or `head` does not fit.

    Example:
        >>> decoder = DRAWDecoder((28, 28, 1), latent_dim=10, num_steps=5)
        >>> decoder(tf.zeros((8, 5, 10))).event_shape
        TensorShape([28, 28, 1])
    """

    def __init__(
        self,
        image_shape: Shape,
        latent_dim: int = 100,
        num_steps: int = 64,
        width: int = 256,
        write_size: int | None = None,
        head: Callable[..., keras.layers.Layer] | keras.layers.Layer = IndependentBernoulli,
        **kwargs: Unpack[DRAWOptions],
    ) -> None:
        options = _condition_options(kwargs)
        super().__init__(autocast=False, **kwargs)
        self.image_shape = check_image_shape(image_shape, latent_dim=latent_dim, width=width)
        check_size(1, num_steps=num_steps)
        self.latent_dim, self.num_steps, self.width = latent_dim, num_steps, width
        self.write_size = write_size
        self.lstm = _LSTM(width, latent_dim, dtype=self.dtype_policy)
        self._add_condition(width, options)
        saved = isinstance(head, keras.layers.Layer)
        make_head = (lambda _: head) if saved else head
        output, num_parameters = output_layer(make_head, self.image_shape)
        self._build_write(output_channels(num_parameters, self.image_shape))
        self.head = output
        self.built = True

    def _build_write(self, channels):
        self.canvas_shape = (*self.image_shape[:2], channels)
        size = math.prod(self.canvas_shape)
        self.initial_canvas = self.add_weight((size,), "zeros", name="initial_canvas")
        self.written_shape = self.canvas_shape
        if self.write_size is not None:
            check_size(1, write_size=self.write_size)
            self.window = _window(self.width, self.dtype_policy)
            self.written_shape = (self.write_size, self.write_size, channels)
        written = math.prod(self.written_shape)
        dense = keras.layers.Dense(written, dtype=self.dtype_policy, name="write")
        self.write = _built(dense, self.width)

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        return (None, self.num_steps, self.latent_dim)

    @property
    def output_shape(self) -> tuple[int | None, ...]:
        return (None, *self.image_shape)

    def begin(self, batch_size: int | tf.Tensor) -> tuple[tf.Tensor, ...]:
        """The state before the first step: output, carry, what all steps see alike, and canvas."""
        canvas = _rows(self.initial_canvas, batch_size)
        return *self._begin_lstm(batch_size), tf.reshape(canvas, (-1, *self.canvas_shape))

    def step(self, z: tf.Tensor, state: tuple[tf.Tensor, ...]) -> tuple[tf.Tensor, ...]:
        """One step.

        Args:
            z: tensor, shape (batch, latent_dim).
            state: tuple, from `begin` or the step before.

        Returns:
            State after the step: output, shape (batch, width), first, and the canvas last.
        """
        output, carry, weighted, canvas = state
        output, carry = self.lstm.step([z], output, carry, weighted)
        return output, carry, weighted, canvas + self._write(output)

    def _write(self, output):
        written = tf.cast(self.write(output), tf.float32)
        written = tf.reshape(written, (-1, *self.written_shape))
        if self.write_size is None:
            return written
        parameters = tf.cast(self.window(output), tf.float32)
        filters = attention_filters(parameters, self.write_size, *self.image_shape[:2])
        down, across, intensity = filters
        down, across = (tf.linalg.matrix_transpose(bank) for bank in (down, across))
        return apply_filters(down, written, across) / intensity

    def canvases(self, z: tf.Tensor) -> list[tf.Tensor]:
        """The parameters of p(x|z) after each step, a list of T tensors."""
        state, canvases = self.begin(tf.shape(z)[0]), []
        for z_step in tf.unstack(tf.cast(z, tf.float32), num=self.num_steps, axis=1):
            state = self.step(z_step, state)
            canvases.append(state[-1])
        return canvases

    def likelihood(self, canvas: tf.Tensor) -> Distribution:
        """p(x|z) if `canvas` were the last."""
        return self.head(canvas)

    def call(self, z: tf.Tensor) -> Distribution:
        return self.likelihood(self.canvases(z)[-1])

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "image_shape": self.image_shape,
            "latent_dim": self.latent_dim,
            "num_steps": self.num_steps,
            "width": self.width,
            "write_size": self.write_size,
            "head": keras.saving.serialize_keras_object(self.head),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        head = keras.saving.deserialize_keras_object(config["head"])
        return super().from_config({**config, "head": head})
