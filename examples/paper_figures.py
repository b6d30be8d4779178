"""Figures that several paper scripts draw."""

import numpy as np


def tiled(images):
    """64 images as one of 8 x 8."""
    _, height, width, channels = images.shape
    grid = np.reshape(images, (8, 8, height, width, channels)).swapaxes(1, 2)
    return grid.reshape(8 * height, 8 * width, channels)
