"""Arguments of a class and of its parents."""

import keras
import pytest

from tfgen import models
from tfgen._utils.constructors import check_fixed, constructor_arguments, taken


class Parent(keras.layers.Layer):
    def __init__(self, size, loss="a", **kwargs):
        super().__init__(**kwargs)


class Child(Parent):
    fixed = {"loss": "It has one of its own."}

    def __init__(self, depth, **kwargs):
        check_fixed(type(self), kwargs)
        super().__init__(loss="b", **kwargs)


class Grandchild(Child):
    """Takes what `Child` takes."""


class Reopened(Child):
    def __init__(self, loss="c", **kwargs):
        super().__init__(**kwargs)


class Closed(Parent):
    def __init__(self, depth):
        super().__init__(size=2 * depth)


KERAS = ["name", "trainable", "dtype"]


def test_arguments_of_parents_count_where_kwargs_go_to_them():
    assert constructor_arguments(Parent) == ["size", "loss", *KERAS]
    assert constructor_arguments(Child) == ["depth", "size", *KERAS]
    assert constructor_arguments(Grandchild) == constructor_arguments(Child)
    assert constructor_arguments(Closed) == ["depth"]


def test_a_child_may_take_again_what_its_parent_had_fixed():
    assert constructor_arguments(Reopened) == ["loss", "depth", "size", *KERAS]


@pytest.mark.parametrize(
    ("cls", "expected"),
    [
        (Parent, {"size": 2, "loss": "b"}),
        (Grandchild, {"size": 2}),
        (Reopened, {"size": 2, "loss": "b"}),
        (Closed, {}),
    ],
)
def test_only_what_a_class_takes_goes_into_its_config(cls, expected):
    assert taken(cls, size=2, loss="b") == expected


@pytest.mark.parametrize("cls", [Child, Grandchild])
def test_fixed_arguments_are_refused_with_the_reason(cls):
    message = "Child takes no loss: It has one of its own. Received: loss='c'. Leave it out."
    with pytest.raises(ValueError, match=message):
        cls(1, size=2, loss="c")
    cls(1, size=2)


def test_arguments_of_models():
    assert "gan_weight" not in constructor_arguments(models.ConstrainedVAEGAN)
    assert "gan_weight" in constructor_arguments(models.GVAE)
    for cls in (models.WGANGP, models.WGAN, models.GVAE):
        assert "loss" not in constructor_arguments(cls)
    names = constructor_arguments(models.IWAE)
    assert {"num_samples", "beta", "encoder"} <= set(names)
    assert not {"capacity", "data_shape", "latent_shape"} & set(names)
