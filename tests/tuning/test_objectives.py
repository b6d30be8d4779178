"""Objectives: directions, weighted sums, and metrics of models with a known answer."""

import math

import keras_tuner as kt
import numpy as np
import pytest

from tfgen.metrics import squared_mmd
from tfgen.tuning.objectives import OBJECTIVES, as_objective, metrics_after_training


@pytest.mark.parametrize("name, direction", OBJECTIVES.items())
def test_a_name_stands_for_its_metric(name, direction):
    objective = as_objective(name)
    assert (objective.name, objective.direction) == (name, direction)
    assert objective.value({name: 2.5, "other": 1.0}) == 2.5


def test_bits_per_dim_is_that_of_the_validation_data():
    assert as_objective("bits_per_dim") == as_objective("val_bits_per_dim")


def test_weighted_pair_is_maximised_with_what_goes_down_subtracted():
    objective = as_objective({"val_elbo": 0.01, "mmd": 20.0})
    assert (objective.name, objective.direction) == ("+0.01 val_elbo -20 mmd", "max")
    assert objective.value({"val_elbo": -100.0, "mmd": 0.05}) == pytest.approx(-2.0)


def test_missing_metric_is_nan():
    assert math.isnan(as_objective({"mig": 1.0, "val_elbo": 1.0}).value({"mig": 0.5}))


def test_any_logged_metric_with_a_direction():
    objective = as_objective(kt.Objective("val_total_correlation", "min"))
    assert (objective.direction, objective.value({"val_total_correlation": 3.0})) == ("min", 3.0)


@pytest.mark.parametrize(
    "objective, message",
    [
        ("elbo", "must be one of .*Received: 'elbo'"),
        ({"mig": -1.0}, "positive numbers.*Received"),
        ({}, "positive numbers.*Received"),
        ({"fid": 1.0}, "must be one of .*Received: 'fid'"),
        (3, "Received: 3"),
    ],
)
def test_bad_objectives(objective, message):
    with pytest.raises(ValueError, match=message):
        as_objective(objective)


class Copies:
    """A model whose codes are its images' first pixels, and whose samples are `images`."""

    def __init__(self, images):
        self.images = images

    def embed(self, images):
        return images[:, 0, :, 0]

    def sample(self, num_samples, seed):
        return self.images[:num_samples]


def test_mig_of_codes_that_are_the_factors_is_one():
    factors = np.random.default_rng(0).integers(0, 4, size=(2000, 2))
    images = np.zeros((2000, 2, 2, 1), "float32")
    images[:, 0, :, 0] = factors
    # Independent factors, each in one code: the runner-up shares only chance information, about
    # (4 - 1)^2 / (2 N) nats of ln 4, so the gap is 1 - 0.002.
    measured = metrics_after_training(["mig"], Copies(images), images, factors)
    assert measured["mig"] == pytest.approx(1.0, abs=0.01)


def test_mmd_is_that_of_real_images_and_samples():
    rng = np.random.default_rng(0)
    real, fake = rng.normal(size=(2, 50, 2, 2, 1)).astype("float32")
    measured = metrics_after_training(["mmd"], Copies(fake + 1), real)
    assert measured == {"mmd": pytest.approx(squared_mmd(real, fake + 1))}
    assert measured["mmd"] > squared_mmd(real, fake) + 0.05  # The shift of 1 shows.


def test_unknown_metric():
    with pytest.raises(ValueError, match=r"some of \['mig', 'mmd'\]. Received: \['fid'\]"):
        metrics_after_training(["fid"], None, None)


def test_a_metric_is_weighed_once():
    with pytest.raises(ValueError, match="each metric once.*Received: .*bits_per_dim"):
        as_objective({"bits_per_dim": 1.0, "val_bits_per_dim": 2.0})
