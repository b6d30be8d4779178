"""tfgen: probabilistic generative models for Keras 3, on TensorFlow and TensorFlow Probability."""

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

import keras

if keras.config.backend() != "tensorflow":
    raise ImportError(
        "tfgen needs Keras with the TensorFlow backend. "
        f"Received: backend {keras.config.backend()!r}. Set the environment variable "
        "KERAS_BACKEND=tensorflow (or the backend in ~/.keras/keras.json) before importing keras."
    )

# What holds Keras classes is imported at once, which registers them.
from tfgen import bijectors, layers, losses, models, networks, samplers  # noqa: E402

if TYPE_CHECKING:
    from tfgen import callbacks, datasets, metrics, plotting, tuning

__version__ = "0.1.0"
__all__ = [
    "bijectors",
    "callbacks",
    "datasets",
    "layers",
    "losses",
    "metrics",
    "models",
    "networks",
    "plotting",
    "samplers",
    "tuning",
]


def __getattr__(name: str) -> ModuleType:
    """Imports the areas that hold no Keras classes when they are first used."""
    if name in __all__:
        return importlib.import_module(f"tfgen.{name}")
    raise AttributeError(f"module 'tfgen' has no attribute {name!r}")


def __dir__() -> list[str]:
    """The areas, imported or not."""
    return __all__
