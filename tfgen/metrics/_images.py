"""Checks of images that the classifiers and the scores share."""

import numpy as np

__all__ = ["check_image_shape", "check_pixels", "check_value_range"]


def check_value_range(value_range):
    """Raises ValueError if `value_range` is no pair (low, high) with low < high."""
    if len(value_range) != 2 or not value_range[0] < value_range[1]:
        raise ValueError(f"value_range must be (low, high), low < high. Received: {value_range}.")


def check_image_shape(images, name="Images"):
    """Raises ValueError if an array holds no images."""
    if images.ndim != 4 or images.size == 0:
        raise ValueError(
            f"{name} must have shape (num_images, height, width, channels), none of them 0. "
            f"Received: shape {images.shape}."
        )


def check_pixels(images, value_range, name="Images", remedy="Give the range that they have."):
    """Raises ValueError if pixels are not finite, or leave the range by more than rounding."""
    low, high = value_range
    rounding = 1e-6 * (high - low)
    least, most = float(np.min(images)), float(np.max(images))  # NaN if any value is.
    if not np.isfinite([least, most]).all():
        raise ValueError(f"{name} must be finite. Received: NaN or infinite values.")
    if least < low - rounding or most > high + rounding:
        raise ValueError(
            f"{name} must have pixels in value_range={(low, high)}. "
            f"Received: values from {least:.6g} to {most:.6g}. {remedy}"
        )
