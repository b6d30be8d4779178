import functools

import pytest

from tfgen import datasets, models, tuning


@pytest.fixture
def hypermodel():
    """Function to a `BetaLatentHyperModel` of tiny networks on a few digits."""

    def build(model_class=models.BetaVAE, **kwargs):
        data = functools.partial(datasets.load, "digits", binarize="threshold")
        settings = {
            "splits": ("train[:128]", "train[128:192]"),
            "width": 8,
            "batch_size": 64,
            "latent_dim": 2,
            "beta": (1.0, 8.0),
        }
        return tuning.BetaLatentHyperModel(data, model_class, **settings | kwargs)

    return build
