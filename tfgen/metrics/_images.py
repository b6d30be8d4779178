"""Checks of images that the classifiers and the scores share."""

import numpy as np

from tfgen._utils.typing import TensorLike

__all__ = ["check_image_shape", "check_pixels"]


def check_image_shape(images: np.ndarray, name: str = "Images") -> None:
    """Raises ValueError if an array holds no images."""
    if images.ndim != 4 or images.size == 0:
        raise ValueError(
            f"{name} must have shape (num_images, height, width, channels), none of them 0. "
            f"Received: shape {images.shape}."
        )


def check_pixels(
    images: TensorLike,
    value_range: tuple[float, float],
    name: str = "Images",
    remedy: str = "Give the range that they have.",
) -> None:
    """Raises ValueError if pixels are not finite, or leave the range by more than rounding."""
    low, high = value_range
    rounding = 1e-6 * (high - low)
    least, most = float(np.min(images)), float(np.max(images))  # NaN if any value is.
    if not np.isfinite([least, most]).all():
        raise ValueError(f"{name} must be finite. Received: NaN or infinite values.")
    if least < low - rounding or most > high + rounding:
        raise ValueError(
            f"{name} must have pixels in value_range={(low, high)}. "
            f"Received: values from {least:.9g} to {most:.9g}. {remedy}"
        )
