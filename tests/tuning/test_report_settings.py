"""The settings of a search in words."""

from tfgen.tuning.report_settings import settings

SEARCH = {
    "objective": {"name": "val_elbo", "direction": "max"},
    "model": "BetaVAE",
    "network": "mlp",
    "splits": ["train[:90%]", "train[90%:]"],
    "binarize": None,
    "space": {
        "beta": [1.0, 4.0],
        "width": {"low": 64, "high": 512, "sampling": "log"},
        "gamma": {"low": 0.5, "high": 2.0, "sampling": "linear"},
        "learning_rate": [0.001],
        "likelihood": ["bernoulli"],
    },
    "tuner": "bayesian",
    "max_trials": 20,
    "metrics": [],
    "save_models": "few",
    "versions": {"keras": "3.15.1", "keras_tuner": "1.4.8"},
    "cluster": {"nodes": 4},
}


def test_words():
    assert settings(SEARCH) == {
        "Searched": "beta 1, 4; width 64 to 512 on a logarithmic scale; gamma 0.5 to 2",
        "Fixed": "learning_rate 0.001; likelihood bernoulli",
        "Objective": "val_elbo, as high as possible",
        "Tuner": "Bayesian optimisation",
        "At most": "20 trials",
        "Model": "BetaVAE",
        "Networks": "fully connected",
        "Trained and validated on": "train[:90%], train[90%:]",
        "Pixels": "not binarized",
        "Models kept": "of the three best and the worst trial",
        "Versions": "keras 3.15.1, keras_tuner 1.4.8",
        "cluster": "nodes 4",
    }


def test_nothing_is_lost_of_a_record_of_another_version():
    search = {"objective": "mig", "tuner": ["a", 1.5], "space": [1, 2], "seed": 0}
    found = settings({**search, "binarize": "fixed"})
    assert found == {
        "Searched": "space 1, 2",
        "Objective": "mig",
        "Tuner": "a, 1.5",
        "Pixels": "binarized, drawn once",
        "Seed of the tuner": "0",
    }
