"""tfgen: probabilistic generative models for Keras 3, on TensorFlow and TensorFlow Probability."""

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

from tfgen._utils import startup

# What holds Keras classes is imported at once, which registers them for `load_model`. Only the
# commands of tfgen, which answer --help without TensorFlow, import it themselves and later.
if TYPE_CHECKING or not startup.starts_late():
    startup.import_keras()
    from tfgen import bijectors, layers, losses, models, networks, samplers

if TYPE_CHECKING:
    from tfgen import callbacks, command, datasets, metrics, plotting, tuning

__version__ = "0.2.0"
__all__ = [
    "bijectors",
    "callbacks",
    "command",
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
