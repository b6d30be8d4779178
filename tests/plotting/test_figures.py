import sys

import matplotlib
import numpy as np
import pytest

from tfgen.plotting.figures import COLORS, MARKERS, as_labels, flat_latent_dim, subplots


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


@pytest.mark.parametrize(
    "given",
    [["a", "3"], ("a", 3), {"a": 0, "3": 1}.keys(), np.array(["a", "3"]), iter(["a", np.int32(3)])],
)
def test_labels_are_strings_one_for_each(given):
    assert as_labels(2, row_labels=given) == ["a", "3"]


@pytest.mark.parametrize("given", ["ab", b"ab", {"a": 0, "b": 1}, [["a"], ["b"]], [None, "b"], 2])
def test_other_labels_are_refused(given):
    with pytest.raises(ValueError, match="^titles must be a sequence of strings .* Received: titl"):
        as_labels(2, titles=given)


def test_labels_of_another_number_are_refused():
    with pytest.raises(ValueError, match="^titles must hold one label for each of 2. Received: 3"):
        as_labels(2, titles=list("abc"))


def test_flat_latent_dim(make_model):
    assert flat_latent_dim(make_model(7), "traversals") == 7


def test_latent_maps_are_refused(make_model):
    model = make_model(2)
    model.latent_shape = (4, 4, 8)
    with pytest.raises(ValueError, match=r"traversals expects .* Received: latent_shape=\(4, 4, 8"):
        flat_latent_dim(model, "traversals")
