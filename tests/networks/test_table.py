"""The head of a decoder of tables, beside what `tests/datasets/test_table.py` trains with it."""

import types

import numpy as np
import pytest

from tfgen import layers, networks

COLUMNS = [
    types.SimpleNamespace(kind=kind, width=width)
    for kind, width in (("number", 1), ("number", 1), ("class", 3), ("count", 1))
]


def test_every_decoder_has_weights_of_its_own():
    """One head for two decoders: what one learns of the scale is not the other's."""
    head = networks.table_head(COLUMNS, number=layers.SharedScaleNormal)
    first, second = (networks.mlp_decoder((6,), 2, width=2, head=head) for _ in range(2))
    assert not {id(v) for v in first.variables} & {id(v) for v in second.variables}
    first.layers[-1].parts[0].log_scale.assign(1.0)
    assert second(np.zeros((1, 2))).distributions[0].stddev().numpy() == pytest.approx(1.0)


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(number=lambda shape: 3), "number must be a callable.*which made 3"),
        (dict(count=layers.StandardNormal), "count must be a callable.*which made <StandardNormal"),
    ],
)
def test_heads_that_make_no_layers(change, message):
    with pytest.raises(ValueError, match=message):
        networks.mlp_decoder((6,), 2, head=networks.table_head(COLUMNS, **change))


@pytest.mark.parametrize("width", [0, -1, "3", None, 1.5])
def test_widths_that_are_none(width):
    with pytest.raises(ValueError, match="each with a width.*Received: columns"):
        networks.table_head([types.SimpleNamespace(kind="number", width=width)])
