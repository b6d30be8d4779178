"""What the figures of reports show: where bars stand, and that numbers on cells can be read."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from tfgen.metrics._figures import information_map, kl_bars


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_bars_stand_at_their_ranks_within_the_axes():
    _, axes = kl_bars(np.array([0.0, 3.0, 1.0]), np.array([False, True, True]))
    heights = {bar.get_x() + bar.get_width() / 2: bar.get_height() for bar in axes.patches}
    assert heights == pytest.approx({1.0: 3.0, 2.0: 1.0, 3.0: 0.0})
    left, right = axes.get_xlim()
    assert left < min(bar.get_x() for bar in axes.patches)
    assert right > max(bar.get_x() + bar.get_width() for bar in axes.patches)


def luminance(color):
    """WCAG 2.1's relative luminance, from 0 for black to 1 for white."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color)]
    return np.dot([0.2126, 0.7152, 0.0722], linear)


def contrast(color, other):
    """WCAG 2.1's contrast ratio."""
    dark, light = sorted([luminance(color), luminance(other)])
    return (light + 0.05) / (dark + 0.05)


def test_numbers_stand_out_against_their_cells():
    information = np.array([[0.1, 2.0], [1.5, 0.4], [0.6, 1.9]])
    _, axes = information_map(information, ["shape", "scale"])
    (image,) = axes.images
    assert len(axes.texts) == information.size
    for text in axes.texts:
        latent, factor = map(int, text.get_position())
        assert text.get_text() == f"{information[latent, factor]:.2f}"
        cell = image.to_rgba(information[latent, factor])[:3]
        assert contrast(text.get_color(), cell) > 4.5  # What WCAG asks of text.
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["shape", "scale"]
