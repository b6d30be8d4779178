"""Models from files, with errors that say what is wrong with a file."""

import os
import zipfile
from typing import Any

import keras

from tfgen.models.resumable_model import ResumableModel

__all__ = ["load_model"]


def load_model(filepath: str | os.PathLike, **kwargs: Any) -> ResumableModel:
    """Loads a model of `tfgen.models` that its `save` wrote, in any process that imports tfgen.

    `keras.models.load_model` does the same; this one says what is wrong with a bad file.

    Args:
        filepath: path of a `.keras` file.
        **kwargs: arguments of `keras.models.load_model`.

    Returns:
        The model, compiled as it was, ready to train on.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is truncated, no `.keras` file, or holds another kind of model.
    """
    if not os.path.exists(filepath):
        raise FileNotFoundError(f"No model at {filepath}. Write one with model.save(filepath).")
    if not zipfile.is_zipfile(filepath):
        raise ValueError(
            f"{filepath} is not a complete .keras file: it is truncated, or another format. "
            f"Received: {os.path.getsize(filepath)} bytes that are no zip archive. Save the model "
            "again with model.save(filepath)."
        )
    model = keras.models.load_model(filepath, **kwargs)
    if not isinstance(model, ResumableModel):
        raise ValueError(
            f"Expected a model of tfgen.models in {filepath}. Received: {type(model).__name__}. "
            "Load other models with keras.models.load_model."
        )
    return model
