"""What models with an encoder share: encode, embed, reconstruct, and traversals of examples."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from typing_extensions import Unpack

from tfgen._utils.typing import ModelOptions, TensorLike
from tfgen.layers import Prior
from tfgen.models.batches import joined
from tfgen.models.checks import (
    as_example,
    as_examples,
    check_reparameterized,
    check_same_space,
    input_shape,
    output_on_zeros,
)
from tfgen.models.endpoints import Endpoint, condition_specs, data_spec
from tfgen.models.latent import LatentVariableModel
from tfgen.models.outputs import mean_of

__all__ = ["AutoencodingModel"]


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

    def endpoints(self) -> dict[str, Endpoint]:
        """`reconstruct` and `embed`, and those that begin with latent variables."""
        signature = [data_spec(self), *condition_specs(self)]
        return {
            "reconstruct": Endpoint(self.reconstruct, signature),
            "embed": Endpoint(lambda *x: mean_of(self.encode(*x)), signature),
            **super().endpoints(),
        }
