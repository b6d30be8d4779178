"""The figures show the trials' own numbers, and leave out those that did not complete."""

import math

import matplotlib
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from tfgen.tuning import TrialRecord, report_figures
from tfgen.tuning.report_figures import heat_maps, model_figures, rate_distortion_figure
from tfgen.tuning.trials import ranked

matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def _open_figures(monkeypatch):
    """Figures instead of their pictures: (fig, alt, caption)."""
    monkeypatch.setattr(report_figures, "_figure", lambda *parts: parts)
    yield
    matplotlib.pyplot.close("all")


def trial(trial_id, beta, latent_dim, elbo, status="COMPLETED", objective="val_elbo", **metrics):
    goal = {"name": objective, "direction": "max", "value": elbo}
    return TrialRecord(
        trial_id,
        status,
        {"beta": beta, "latent_dim": latent_dim},
        {"val_elbo": elbo, **metrics},
        goal if status == "COMPLETED" else None,
        1.0,
        1,
        folder=None,
    )


def texts(labels):
    return [label.get_text() for label in labels]


def test_cells_are_means_and_the_best_trial_is_framed():
    trials = ranked(
        [
            trial("0", 8.0, 10, -120.0),
            trial("1", 8.0, 10, -110.0),  # Another seed.
            trial("2", 1.0, 2, -130.0),
            trial("3", 1.0, 10, -100.0),
            trial("4", 8.0, 2, -5.0, status="INVALID"),
        ]
    )
    maps = heat_maps(trials)
    assert list(maps) == ["elbo"]
    fig, alt, caption = maps["elbo"]
    axes = fig.axes[0]
    values = np.ma.filled(axes.images[0].get_array(), math.nan)
    assert_array_equal(values, [[-130.0, -100.0], [math.nan, -115.0]])
    assert texts(axes.get_yticklabels()) == ["1", "8"]
    assert texts(axes.get_xticklabels()) == ["2", "10"]
    assert (axes.get_ylabel(), axes.get_xlabel()) == ("beta", "latent_dim")
    assert "at most 2" in caption and "from -130 to -100" in alt
    centre = axes.patches[0].get_xy() + np.array([0.46, 0.46])
    assert_allclose(centre, [1, 0])  # Column 10, row 1.


def test_every_metric_has_a_map_and_nan_is_missing():
    metrics = {"val_kl": 10.0, "val_reconstruction": 90.0, "mig": 0.25}
    trials = [
        trial("0", 1.0, 2, -100.0, objective="score", **metrics),
        trial("1", 4.0, 2, -101.0, objective="score", **{**metrics, "mig": math.nan}),
    ]
    maps = heat_maps(trials)
    assert list(maps) == ["elbo", "rate", "distortion", "mig", "objective"]
    fig, _, caption = maps["mig"]
    assert texts(fig.axes[0].texts) == ["0.25", "n/a"]
    assert texts(maps["elbo"][0].axes[0].texts) == ["-100.00", "-101.00"]
    assert "mean" not in caption
    assert_array_equal(maps["objective"][0].axes[0].images[0].get_array(), [[-100], [-101]])


@pytest.mark.parametrize(
    "numbers, decimals",
    [
        ([-99.81, -105.2, math.nan], 2),  # Spread 5.4: three digits of it.
        ([-250.0, -110.0], 0),
        ([0.1, 0.5, 0.5004], 4),  # Two would read the same.
        ([0.3, 0.3], 2),
        ([1.0, 1.0 + 1e-9], 6),
    ],
)
def test_decimals(numbers, decimals):
    assert report_figures.decimals_of(numbers) == decimals


def test_many_values_are_rounded_and_no_trial_is_lost():
    rng = np.random.default_rng(0)
    betas, elbos = np.exp(rng.uniform(0, 3, size=40)), rng.normal(size=40)
    trials = [trial(str(i), b, 2, e) for i, (b, e) in enumerate(zip(betas, elbos, strict=True))]
    fig, _, _ = heat_maps(trials)["elbo"]
    axes = fig.axes[0]
    assert axes.get_ylabel() == "beta, rounded to one digit"
    labels = [float(text) for text in texts(axes.get_yticklabels())]
    assert labels == sorted(labels) and set(labels) <= {*range(1, 11), 20.0}
    # Independently: the nearest of 1, 2, ... 9, 10, 20 to each beta.
    grid = np.array([*range(1, 11), 20.0])
    nearest = grid[np.argmin(np.abs(betas[:, None] - grid), axis=1)]
    expected = [elbos[nearest == label].mean() for label in labels]
    assert_allclose(axes.images[0].get_array()[:, 0], expected)


def test_texts_are_labels_and_an_absent_hyperparameter_has_none():
    trials = [trial("0", "bernoulli", 2, -1.0), trial("1", "normal", 2, -2.0)]
    axes = heat_maps(trials)["elbo"][0].axes[0]
    assert texts(axes.get_yticklabels()) == ["bernoulli", "normal"]
    axes = heat_maps(trials, rows="gamma")["elbo"][0].axes[0]
    assert axes.get_ylabel() == "" and axes.images[0].get_array().shape == (1, 1)


def test_nothing_completed_gives_no_figure():
    trials = [trial("0", 1.0, 2, -5.0, status="FAILED", val_kl=1.0, val_reconstruction=2.0)]
    assert heat_maps(trials) == rate_distortion_figure(trials) == model_figures(trials) == {}


def test_rate_and_distortion_of_completed_trials():
    terms = [(10.0, 90.0, "COMPLETED"), (5.0, 97.0, "COMPLETED"), (math.nan, 1.0, "COMPLETED")]
    terms += [(7.0, 7.0, "INVALID")]
    trials = [
        trial(str(i), 4.0**i, 2, -1.0, status, val_kl=rate, val_reconstruction=distortion)
        for i, (rate, distortion, status) in enumerate(terms)
    ]
    fig, alt, _ = rate_distortion_figure(trials)["rate_distortion"]
    assert_array_equal(fig.axes[0].collections[0].get_offsets(), [[10, 90], [5, 97]])
    assert_array_equal(fig.axes[0].collections[0].get_array(), [1, 4])
    assert "of 2 trials: rate 5 to 10, distortion 90 to 97 nats" in alt


class Decoder:
    """A model of 12 latents without an encoder: z is in the first pixels."""

    latent_shape = (12,)

    def sample(self, num_samples, seed=None):
        return np.full((num_samples, 4, 4, 1), 0.5)


class Autoencoder(Decoder):
    def embed(self, x):
        return np.reshape(x, (len(x), -1))[:, :12]

    def traverse(self, x, dims, values):
        self.traversed = x
        return np.zeros((len(dims), len(values), 4, 4, 1))


@pytest.fixture
def two_trials(monkeypatch, tmp_path):
    """Two trials with models, and a dict that receives what is loaded for each."""
    loaded = {}
    monkeypatch.setattr(report_figures, "load_model", lambda path: loaded[path.parent.name])
    trials = []
    for i in range(2):
        folder = tmp_path / str(i)
        folder.mkdir()
        (folder / "model.keras").touch()
        trials.append(trial(str(i), 1.0, 12, float(i))._replace(folder=folder))
    return trials, loaded


def test_traversals_show_the_dimensions_that_vary_most(two_trials):
    trials, loaded = two_trials
    loaded |= {"0": Autoencoder(), "1": Autoencoder()}
    x = np.zeros((2, 4, 4, 1))
    x[0].flat[:12] = np.arange(12)  # Half the difference is the standard deviation.
    figures = model_figures(trials, x)
    assert list(figures) == ["best", "worst"]
    fig, alt, caption = figures["best"]
    labels = texts(fig.axes[0].get_yticklabels())
    assert labels == [f"$z_{{{dim}}}$" for dim in range(11, 1, -1)]
    assert_array_equal(loaded["1"].traversed, x[0])
    assert alt == "The best trial, 1: traversals of 10 of 12 latent dimensions."
    assert caption.endswith("; val_elbo 1 with beta 1, latent_dim 12.")


def test_the_best_few_and_the_worst_are_shown(two_trials, tmp_path):
    loaded, trials = two_trials[1], []
    for i in range(5):
        folder = tmp_path / f"{i}"
        folder.mkdir(exist_ok=True)
        (folder / "model.keras").touch()
        loaded[str(i)] = Autoencoder()
        trials.append(trial(str(i), 1.0, 12, float(i))._replace(folder=folder))
    figures = model_figures(trials)
    assert [alt.split(":")[0] for _, alt, _ in figures.values()] == [
        "The best trial, 4",
        "The second best trial, 3",
        "The third best trial, 2",
        "The worst trial, 0",
    ]
    assert list(figures) == ["best", "second_best", "third_best", "worst"]
    assert list(model_figures(trials[:1])) == ["best"]


def test_without_images_the_first_dimensions_move_around_the_origin(two_trials):
    trials, loaded = two_trials
    loaded["0"] = Autoencoder()
    (figure,) = model_figures(trials[:1]).values()
    assert texts(figure[0].axes[0].get_yticklabels())[0] == "$z_{0}$"
    assert loaded["0"].traversed is None


def test_a_model_without_traversals_shows_samples(two_trials):
    trials, loaded = two_trials
    loaded |= {"0": Decoder(), "1": Decoder()}
    figures = model_figures(trials, np.zeros((2, 4, 4, 1)))
    assert figures["worst"][1] == "The worst trial, 0: samples."


def test_a_model_that_was_not_kept_is_left_out(two_trials):
    trials, loaded = two_trials
    loaded["1"] = Autoencoder()
    trials[0].model_path.unlink()
    assert list(model_figures(trials)) == ["best"]


def test_a_damaged_model_is_left_out_and_named(two_trials, monkeypatch):
    trials, loaded = two_trials
    loaded["1"] = Autoencoder()

    def load_model(path):
        if path.parent.name == "0":
            raise ValueError(f"{path} is not complete.")
        return loaded["1"]

    monkeypatch.setattr(report_figures, "load_model", load_model)
    with pytest.warns(UserWarning, match=r"no picture of trial 0. .*model\.keras is not complete"):
        assert list(model_figures(trials)) == ["best"]
