"""The report against single calls: values, spread, which points, posteriors, errors."""

import dataclasses

import matplotlib.pyplot as plt
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen import datasets
from tfgen.metrics.dci import dci
from tfgen.metrics.disentanglement_report import DisentanglementReport, disentanglement_report
from tfgen.metrics.fixed_factor import beta_vae_score, factor_vae_score
from tfgen.metrics.irs import irs
from tfgen.metrics.mig_by_samples import mig_by_samples
from tfgen.metrics.mutual_information import (
    explicitness,
    gaussian_total_correlation,
    mig,
    modularity,
    mutual_information_matrix,
)
from tfgen.metrics.sap import sap_score

tfd = tfp.distributions

# Images of 2 x 2 pixels that show two factors of 3 values, and noise.
N = 600
FACTORS = np.random.default_rng(0).integers(3, size=(N, 2))
NOISE = np.random.default_rng(1).normal(size=(N, 2))
IMAGES = np.hstack([FACTORS + 0.1 * NOISE, NOISE]).reshape(N, 2, 2, 1).astype("float32")
SCALE = 0.2


class Deterministic:
    """Codes are pixels; decodes to what it was given."""

    def encode(self, x):
        return tf.reshape(x, (-1, 4))

    def decode(self, z):
        return tf.reshape(z, (-1, 2, 2, 1))


class Gaussian(Deterministic):
    def encode(self, x):
        return tfd.Independent(tfd.Normal(super().encode(x), SCALE), 1)

    def decode(self, z):
        return tfd.Independent(tfd.Normal(super().decode(z), 1.0), 3)


class Logistic(Gaussian):
    def encode(self, x):
        return tfd.Independent(tfd.Logistic(super().encode(x).mean(), SCALE), 1)


def pipeline(size=N):
    return tf.data.Dataset.from_tensor_slices((IMAGES[:size], FACTORS[:size])).batch(100)


def report_on(model, dataset=None, num_points=400, seeds=(3, 4), **kwargs):
    kwargs = {"verbose": False, **kwargs}
    return disentanglement_report(model, dataset or pipeline(), num_points, seeds=seeds, **kwargs)


@pytest.fixture(scope="module")
def report():
    return report_on(Gaussian())


@pytest.fixture(scope="module")
def deterministic():
    return report_on(Deterministic(), seeds=(3,), factor_names=["a", "b"])


def single_calls(rows, seed):
    """Every score by its own function."""
    codes, factors = IMAGES[rows].reshape(-1, 4), FACTORS[rows]
    forest = dci(codes, factors, seed=seed)
    return {
        "mig": mig(codes, factors),
        "modularity": modularity(codes, factors),
        "irs": irs(codes, factors),
        "mig_by_samples": mig_by_samples(codes, np.full(codes.shape, SCALE), factors).mig,
        "explicitness": explicitness(codes, factors, seed=seed),
        "sap_score": sap_score(codes, factors, seed=seed),
        "beta_vae_score": beta_vae_score(codes, factors, seed=seed),
        "factor_vae_score": factor_vae_score(codes, factors, seed=seed),
        "dci_disentanglement": forest.disentanglement,
        "dci_completeness": forest.completeness,
        "dci_informativeness": forest.informativeness,
        "gaussian_total_correlation": gaussian_total_correlation(codes),
    }


def test_values_are_those_of_single_calls(report):
    expected = single_calls(slice(0, 400), 3)
    assert list(report.value) == [*expected, "reconstruction"] == list(report.standard_error)
    for name, value in expected.items():
        assert report.value[name] == pytest.approx(value, rel=1e-5, abs=1e-6), name
    np.testing.assert_allclose(
        report.mutual_information,
        mutual_information_matrix(IMAGES[:400].reshape(-1, 4), FACTORS[:400]),
    )


def test_standard_errors_are_those_of_random_halves(report):
    halves = [np.random.default_rng(seed).permutation(400)[:200] for seed in (3, 4)]
    first, second = (single_calls(rows, seed) for rows, seed in zip(halves, (3, 4), strict=True))
    for name, value in first.items():
        spread = abs(value - second[name]) / np.sqrt(2)
        assert report.standard_error[name] == pytest.approx(spread, rel=1e-3, abs=1e-6), name
    assert report.standard_error["mig"] > 0


def test_halves_estimate_the_standard_error_of_a_mean():
    """The mean reconstruction error of all points errs by s / sqrt(n)."""
    from tfgen.metrics.disentanglement_report import _halves, _Points, _standard_deviation

    errors = np.random.default_rng(5).normal(size=100)
    points = _Points(np.zeros((100, 1)), None, np.zeros((100, 1)), errors)
    means = [half.reconstruction.mean() for half in _halves(points, range(2000))]
    # A standard deviation of 2000 normal draws errs by 1 / sqrt(4000) of itself.
    expected = errors.std(ddof=1) / np.sqrt(100)
    assert _standard_deviation(means) == pytest.approx(expected, rel=5 / np.sqrt(4000))


def test_reconstruction_is_in_nats_of_a_draw(report, deterministic):
    # E[-log N(x; z, 1)] over z ~ N(x, s^2), 4 pixels: 2 log 2 pi + 4 s^2 / 2. The squared error is
    # s^2 times a chi-squared of 1600 degrees of freedom: 5 standard deviations of half its mean.
    expected = 2 * np.log(2 * np.pi) + 2 * SCALE**2
    tolerance = 5 * 2 * SCALE**2 * np.sqrt(2 / 1600)
    assert report.value["reconstruction"] == pytest.approx(expected, abs=tolerance)
    assert deterministic.value["reconstruction"] == 0.0  # The squared error.


def test_mig_by_samples_needs_a_gaussian_posterior(report, deterministic):
    assert "mig_by_samples" not in deterministic.value
    logistic = report_on(Logistic(), num_points=100, seeds=(0,))
    assert set(report.value) - set(logistic.value) == {"mig_by_samples"}
    assert logistic.value["mig"] > 0.5


def test_single_seed_has_no_spread(deterministic):
    assert np.isnan(list(deterministic.standard_error.values())).all()
    assert deterministic.settings == {"num_points": 400, "seeds": (3,), "latent_dim": 4}


def test_arrays_are_taken_in_random_order_under_a_progress_bar(capsys):
    order = np.argsort(FACTORS[:, 0], kind="stable")  # In this order the first factor is constant.
    arrays = IMAGES[order], FACTORS[order]
    report = report_on(Deterministic(), arrays, num_points=100, seeds=(0,), verbose=True)
    assert report.value["mig"] > 0.5
    assert "4100/4100" in capsys.readouterr().out  # 100 images, one table of all and one half.


def test_loaded_data_name_their_factors():
    _, info = datasets.load("sprites", "test[:10]", labels=True)
    loaded = pipeline(), dataclasses.replace(info, factor_names=("a", "b"))
    report = report_on(Deterministic(), loaded, num_points=100, seeds=(0,))
    assert report.factor_names == ("a", "b")
    named = report_on(Deterministic(), loaded, num_points=100, seeds=(0,), factor_names=["c", "d"])
    assert named.factor_names == ("c", "d") and named.value == report.value


def test_markdown():
    report = DisentanglementReport(
        {"mig": 0.123456, "dci": 1.0}, {"mig": 0.0123, "dci": np.nan}, None, ("a",), {"seeds": (0,)}
    )
    assert report.to_markdown().splitlines() == [
        "| score | value | standard error |",
        "| --- | --- | --- |",
        "| mig | 0.1235 | 0.012 |",
        "| dci | 1 | nan |",
        "",
        "- seeds: (0,)",
    ]


def test_picture_shows_factors_by_latents(deterministic):
    fig, axes = deterministic.plot()
    shown = np.asarray(axes.images[0].get_array())
    np.testing.assert_allclose(shown, deterministic.mutual_information.T)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("latent dimension", "factor")
    plt.close(fig)


# Errors.


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"model": IMAGES}, r"decode\(z\), which returns p\(x\|z\).*Received: ndarray"),
        ({"num_points": 3}, "at least 4. Received: num_points=3. Take 10,000"),
        ({"seeds": ()}, r"at least one seed. Received: seeds=\(\)"),
        ({"num_points": 401, "dataset": pipeline(400)}, "401 points. Received: 400. Pass .*=400"),
        ({"dataset": pipeline().map(lambda x, y: x)}, "Received: a batch of type ndarray"),
        (
            {"dataset": "sprites"},
            r"the name 'sprites'. Pass tfgen.datasets.load\('sprites', 'test'",
        ),
        ({"factor_names": ["a"], "seeds": (0,)}, r"each of 2 factors. Received: \('a',\)"),
    ],
)
def test_unusable_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        report_on(**{"model": Deterministic(), **arguments})
