"""The picture of the README is drawn from weights of the repository."""

import numpy as np
import pytest


@pytest.mark.slow
def test_strip(load_script):
    script = load_script("readme_strip")
    fig = script.strip(np.zeros((64, 28, 28, 1), "float32"))
    titles = [ax.get_title() for sub in fig.subfigs for ax in sub.axes]
    assert titles[:7] == ["data", *script.SAMPLED.values()]
    assert len(titles) == 9
