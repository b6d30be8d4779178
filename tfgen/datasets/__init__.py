"""Data as `tf.data` pipelines that can be resumed exactly: by name, arrays, folders, tables."""

from tfgen.datasets import sprites
from tfgen.datasets.load import DatasetInfo, load
from tfgen.datasets.medical import VolumesInfo, load_volumes, split_patients
from tfgen.datasets.on_disk import memory_map
from tfgen.datasets.table import Column, TableInfo, load_table

__all__ = [
    "Column",
    "DatasetInfo",
    "TableInfo",
    "VolumesInfo",
    "load",
    "load_table",
    "load_volumes",
    "memory_map",
    "split_patients",
    "sprites",
]
