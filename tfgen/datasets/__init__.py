"""Images as `tf.data` pipelines that can be resumed exactly, by name, from arrays or folders."""

from tfgen.datasets import sprites
from tfgen.datasets.load import DatasetInfo, load
from tfgen.datasets.medical import VolumesInfo, load_volumes, split_patients
from tfgen.datasets.on_disk import memory_map

__all__ = [
    "DatasetInfo",
    "VolumesInfo",
    "load",
    "load_volumes",
    "memory_map",
    "split_patients",
    "sprites",
]
