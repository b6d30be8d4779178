"""Images as `tf.data` pipelines that can be resumed exactly, by name, from arrays or folders."""

from tfgen.datasets import sprites
from tfgen.datasets.load import DatasetInfo, load

__all__ = ["DatasetInfo", "load", "sprites"]
