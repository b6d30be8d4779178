"""Mixtures and data for their tests."""

import numpy as np
import pytest

from tfgen.models.mixture_em import MixtureEM

DIM, K = 3, 3
# Of float64 sums whose values are near 10.
ROUNDING = 1e-13
SKLEARN = {"full": "full", "diagonal": "diag", "spherical": "spherical"}
gaussian = pytest.mark.parametrize("components", SKLEARN)


def overlapping(num=150, seed=0):
    """Three Gaussians, of unlike and correlated variances, that EM takes long to tell apart."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(K, DIM))[rng.integers(K, size=num)]
    return centres + rng.normal(size=(num, DIM)) @ np.diag([1.0, 0.5, 0.3]) @ rng.normal(
        size=(DIM, DIM)
    )


def binary(num=60, dim=4, seed=0):
    rng = np.random.default_rng(seed)
    probs = np.array([[0.9, 0.8, 0.2, 0.1], [0.1, 0.3, 0.6, 0.9]])[rng.integers(2, size=num)]
    return (rng.uniform(size=(num, dim)) < probs[:, :dim]).astype("float32")


def start(components, seed=1):
    """Means, covariances and weights of K components."""
    rng = np.random.default_rng(seed)
    factors = rng.normal(size=(K, DIM, DIM)) + 2 * np.eye(DIM)
    covariances = {
        "full": factors @ factors.transpose(0, 2, 1),
        "diagonal": rng.uniform(0.5, 2.0, size=(K, DIM)),
        "spherical": rng.uniform(0.5, 2.0, size=K),
    }
    return rng.normal(size=(K, DIM)), covariances[components], np.array([0.2, 0.3, 0.5])


def mixture(*args, **kwargs):
    """A model that steps eagerly: tracing and compiling would take most of the time here."""
    model = MixtureEM(*args, **kwargs)
    model.compile(run_eagerly=True, steps_per_execution=1)
    return model


def started(components, **kwargs):
    model = mixture(K, (DIM,), components, **kwargs)
    model.set_parameters(*start(components))
    return model


def as_matrices(components, covariances):
    if components == "full":
        return covariances
    return [np.diag(np.broadcast_to(variances, DIM)) for variances in covariances]
