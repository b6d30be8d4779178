"""Models from files, with errors that say what is wrong with a file."""

import os
from typing import Any

import keras

from tfgen._utils.arguments import as_path
from tfgen._utils.saved_files import check_saved_file
from tfgen.models.resumable_model import ResumableModel

__all__ = ["load_model"]


def load_model(filepath: str | os.PathLike, **kwargs: Any) -> ResumableModel:
    """Loads a model of `tfgen.models` from a file that its `save` wrote.

    `keras.models.load_model` does the same; this function says what is wrong with a bad file.

    Args:
        filepath: path of a `.keras` file, or whatever else `save` took: a folder that it wrote with
            `zipped=False`, or an address such as "hf://user/model".
        **kwargs: arguments of `keras.models.load_model`.

    Returns:
        The model, compiled as it was, ready to train on.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is truncated, damaged in as little as one bit, not a `.keras` file, of
            classes that this process does not know, or holds another kind of model.

    Example:
        >>> import tempfile
        >>> from tfgen import models, networks
        >>> model = models.VAE(networks.mlp_encoder((8, 8, 1), latent_dim=2, width=16),
        ...                    networks.mlp_decoder((8, 8, 1), latent_dim=2, width=16))
        >>> path = f"{tempfile.mkdtemp()}/vae.keras"
        >>> model.save(path)
        >>> load_model(path).latent_shape
        (2,)
    """
    filepath = as_path(filepath=filepath)
    if "://" not in filepath:
        _check_local(filepath)
    try:
        model = keras.models.load_model(filepath, **kwargs)
    except Exception as error:  # What Keras raises depends on where it fails.
        raise ValueError(
            f"No model could be made of {filepath}. Received: {type(error).__name__}: {error}\n"
            "Import what defines its classes first, with the versions that saved it, or save it "
            "again with model.save(filepath)."
        ) from error
    if not isinstance(model, ResumableModel):
        raise ValueError(
            f"Expected a model of tfgen.models in {filepath}. Received: {type(model).__name__}. "
            "Load other models with keras.models.load_model."
        )
    return model


def _check_local(filepath):
    if not os.path.exists(filepath):
        raise FileNotFoundError(
            f"There is no such file. Received: filepath={filepath}. Write one with "
            "model.save(filepath)."
        )
    if not os.path.isdir(filepath) and not filepath.endswith(".keras"):
        raise ValueError(
            f"Expected a .keras file, or a folder that save(zipped=False) wrote. Received: "
            f"{filepath}. Write one with model.save(filepath)."
        )
    check_saved_file(filepath)
