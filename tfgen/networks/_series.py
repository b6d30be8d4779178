"""What the networks of series share."""

from tfgen._utils.typing import Shape
from tfgen.networks._blocks import check_data_shape

__all__ = ["check_series_shape"]


def check_series_shape(data_shape: Shape) -> tuple[int, ...]:
    """The shape of a series, (length, channels), as a tuple.

    Raises:
        ValueError: if it is another shape.

    Example:
        >>> check_series_shape([100, 3])
        (100, 3)
    """
    shape = check_data_shape(data_shape)
    if len(shape) != 2:
        raise ValueError(
            f"A series has the shape (length, channels). Received: data_shape={shape}. Take "
            "conv_encoder and conv_decoder for images and volumes."
        )
    return shape
