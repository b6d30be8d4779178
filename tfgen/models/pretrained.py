"""Trained models of the benchmark, by name."""

import hashlib
import json
import os
import pathlib
from typing import Any

from tfgen._utils.arguments import as_path
from tfgen.models.loading import load_model
from tfgen.models.resumable_model import ResumableModel

__all__ = ["load_pretrained", "pretrained_models"]

_INDEX = pathlib.Path(__file__).with_suffix(".json")
_FOLDER_VARIABLE = "TFGEN_PRETRAINED_DIR"
_CHECKOUT = pathlib.Path(__file__).parents[2] / "examples" / "pretrained"


def pretrained_models() -> dict[str, dict[str, Any]]:
    """The pretrained models, by name.

    Returns:
        Dict from names such as "mnist/vae" to dicts of the class ("model"), a description
        ("setup"), the file's size in bytes ("bytes"), its checksum ("sha256"), and the results on
        the test set ("metrics"): `elbo` and NLL in nats per image, and scores of samples.

    Example:
        >>> known = pretrained_models()
        >>> all(set(about) >= {"model", "setup", "bytes", "sha256"} for about in known.values())
        True
    """
    return json.loads(_INDEX.read_text(encoding="utf-8"))


def load_pretrained(name: str, folder: str | os.PathLike | None = None) -> ResumableModel:
    """Loads a trained model of the benchmark, which reproduces its published result.

    Weights are float32 in memory. Files store float16 if that does not change the published ELBO,
    or the Frechet distance of a model without one. Call `compile` to evaluate the model or to train
    it further; its optimizer starts anew.

    Args:
        name: str, one of `pretrained_models()`, such as "mnist/vae".
        folder: where the files are, such as `examples/pretrained` of the repository. None for the
            environment variable TFGEN_PRETRAINED_DIR or, if it is not set, that folder of the
            checkout that tfgen is imported from. Nothing is downloaded.

    Returns:
        The model.

    Raises:
        ValueError: if there is no model of this name, or the file's checksum is another.
        FileNotFoundError: if the file is not in the folder.
    """
    known = pretrained_models()
    if not isinstance(name, str) or name not in known:
        raise ValueError(
            f"There is no trained model of this name. Received: name={name!r}. Expected one of "
            f"{', '.join(known) or 'none: no model is published yet'}."
        )
    path = _folder(folder) / f"{name}.keras"
    if not path.is_file():
        raise FileNotFoundError(
            f"There is no such file. Received: {path}. Give the folder examples/pretrained of a "
            f"clone of the repository as folder=, or as {_FOLDER_VARIABLE}."
        )
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != known[name]["sha256"]:
        raise ValueError(
            f"The file is another than the one whose numbers are printed. Received: {path} with "
            f"SHA-256 {found}. Expected: {known[name]['sha256']}. Copy it again from the "
            "repository of this version of tfgen; models.load_model reads files of other versions."
        )
    return load_model(path)


def _folder(folder):
    if folder is None:
        folder = os.environ.get(_FOLDER_VARIABLE) or _CHECKOUT
    return pathlib.Path(as_path(folder=folder)).expanduser()
