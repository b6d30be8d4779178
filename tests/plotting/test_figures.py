import sys

import matplotlib
import pytest

from tfgen.plotting.figures import COLORS, MARKERS, check_labels, flat_latent_dim, subplots


def test_colors_are_those_of_the_colour_blind_safe_cycle():
    style = matplotlib.style.library.get("petroff10")
    if style is None:
        pytest.skip("this matplotlib has no style petroff10 to compare with")
    assert [color.strip("#") for color in style["axes.prop_cycle"].by_key()["color"]] == [
        color.strip("#") for color in COLORS
    ]


def test_seventy_classes_differ_in_colour_or_marker():
    styles = {(COLORS[i % len(COLORS)], MARKERS[i % len(MARKERS)]) for i in range(70)}
    assert len(styles) == 70


def test_missing_matplotlib_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"matplotlib.* pip install 'tfgen\[plot\]'"):
        subplots()


def test_subplots_hands_arguments_on():
    fig, axes = subplots(2, 3, figsize=(4, 5))
    assert axes.shape == (2, 3)
    assert tuple(fig.get_size_inches()) == (4, 5)


def test_labels_are_one_for_each():
    check_labels(2, row_labels=["a", "b"], column_labels=None)
    with pytest.raises(ValueError, match="^titles must hold one label for each of 2. Received: 3"):
        check_labels(2, row_labels=range(2), titles="abc")


def test_flat_latent_dim(make_model):
    assert flat_latent_dim(make_model(7), "traversals") == 7


def test_latent_maps_are_refused(make_model):
    model = make_model(2)
    model.latent_shape = (4, 4, 8)
    with pytest.raises(ValueError, match=r"traversals expects .* Received: latent_shape=\(4, 4, 8"):
        flat_latent_dim(model, "traversals")
