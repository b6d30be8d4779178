"""Features and class probabilities of Inception networks, where their weights are on disk."""

import contextlib
import os
import pathlib
from collections.abc import Callable, Iterator
from typing import Literal

import keras
import numpy as np
import tensorflow as tf

from tfgen._utils.arguments import as_numbers, as_pair, check_ints, check_one_of, check_verbose
from tfgen._utils.files import as_path
from tfgen._utils.progress import ProgressBar
from tfgen._utils.typing import TensorLike
from tfgen.metrics._images import check_image_shape, check_pixels
from tfgen.metrics.classifier import ClassifierOutputs

__all__ = ["inception_features", "inception_outputs"]

_SIZE = (299, 299)
_FILE = "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5"
_URL = f"https://storage.googleapis.com/tensorflow/keras-applications/inception_v3/{_FILE}"
_GRAPH_URL = "http://download.tensorflow.org/models/image/imagenet/inception-2015-12-05.tgz"
# Tensors of the network of 2015: images, features, and the layer whose weights make logits.
_PIXELS, _POOL, _LOGITS = "ExpandDims", "pool_3", "softmax/logits/MatMul"


def _clean(images: np.ndarray) -> tf.Tensor:
    return tf.image.resize(images, _SIZE, "bicubic", antialias=True)


def _legacy(images: np.ndarray) -> tf.Tensor:
    return tf.compat.v1.image.resize_bilinear(images, _SIZE)


_RESIZERS: dict[str, Callable[[np.ndarray], tf.Tensor]] = {"clean": _clean, "legacy": _legacy}


def inception_outputs(
    images: TensorLike,
    weights: str | os.PathLike,
    *,
    value_range: tuple[float, float] = (0.0, 1.0),
    resize: Literal["clean", "legacy"] = "clean",
    batch_size: int = 32,
    verbose: bool = False,
) -> ClassifierOutputs:
    """Features and class probabilities of the Inception network of 2015, for FID, KID and IS.

    `fid` and `kid` take its features, `inception_score` its probabilities: the softmax of logits
    without the bias of the last layer, as in the usual code of the score.

    Grey images get three equal channels. "clean" resizes as Parmar et al. do: bicubic, with a
    filter that grows with the image's size, as Pillow's; results stay floats, which may leave the
    range a little. "legacy" is what the network's graph itself does: bilinear with a fixed filter,
    which aliases. The two give different numbers: report which was used. Pixels are not rounded to
    8 bits: round them yourself if the images to compare with were stored in 8 bits.

    Sources: Szegedy et al., arXiv:1512.00567v3; the network in TensorFlow's archive
    `inception-2015-12-05.tgz`, from which Heusel et al. (arXiv:1706.08500v6) took "pool_3";
    Parmar, Zhang & Zhu, arXiv:2104.11222 (text not checked, but their code, clean-fid).

    Args:
        images: array or tensor, shape (num_images, height, width, 1 or 3).
        weights: path of `classify_image_graph_def.pb`, a frozen graph of TensorFlow 1, or of one
            with the same tensors "ExpandDims", "pool_3" and "softmax/logits/MatMul". Nothing is
            downloaded.
        value_range: (low, high), what black and white are in `images`.
        resize: "clean" or "legacy"; the same for images of 299 x 299 pixels.
        batch_size: int >= 1, images at a time.
        verbose: bool, whether to show a progress bar.

    Returns:
        `ClassifierOutputs` of float32 arrays, shapes (num_images, 2048) and (num_images, 1008).

    Raises:
        FileNotFoundError: if there is no such file; says where to get it.
        ValueError: if it holds another graph, or the images have another shape or leave the range.

    Example:
        >>> images = np.zeros((2, 28, 28, 1))
        >>> inception_outputs(images, "absent.pb")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        FileNotFoundError: The weights of Inception are missing. ...
    """
    batches = _batches(images, value_range, resize, batch_size, verbose)
    graph = _read_graph(as_path(weights=weights))
    with contextlib.closing(tf.compat.v1.Session(graph=graph)) as session:
        pool = [session.run(f"{_POOL}:0", {f"{_PIXELS}:0": batch}) for batch in batches]
        kernel = session.run(graph.get_operation_by_name(_LOGITS).inputs[1])
    features = np.concatenate(pool).reshape(-1, len(kernel))
    return ClassifierOutputs(features, tf.nn.softmax(features @ kernel).numpy())


def inception_features(
    images: TensorLike,
    *,
    value_range: tuple[float, float] = (0.0, 1.0),
    weights: str | os.PathLike | None = None,
    resize: Literal["clean", "legacy"] = "clean",
    batch_size: int = 32,
    verbose: bool = False,
) -> np.ndarray:
    """Average-pooled features of InceptionV3, trained on ImageNet, from `keras.applications`.

    These are not the weights of the FID (Heusel et al., arXiv:1706.08500v6), which belong to the
    older network of `inception_outputs`: a Frechet distance of these features can only be compared
    with others from the same file of weights.

    Source: Szegedy et al., arXiv:1512.00567v3.

    Args:
        images: array or tensor, shape (num_images, height, width, 1 or 3).
        value_range: (low, high), what black and white are in `images`.
        weights: path of a file of weights without the top; None for the one that Keras keeps in
            `~/.keras/models`. Nothing is downloaded.
        resize: "clean" or "legacy", to 299 x 299 pixels; as of `inception_outputs`.
        batch_size: int >= 1, images at a time.
        verbose: bool, whether to show a progress bar.

    Returns:
        float32 array, shape (num_images, 2048), values >= 0.

    Raises:
        FileNotFoundError: if the weights are missing; says which file, and where to get it.
        ValueError: if the images have another shape or leave the range, or weights are a `.pb`.

    Example:
        >>> inception_features(np.zeros((2, 28, 28, 1)), weights="absent.h5")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        FileNotFoundError: The weights of InceptionV3 are missing. ...
    """
    batches = _batches(images, value_range, resize, batch_size, verbose)
    network = keras.applications.InceptionV3(
        include_top=False, weights=str(_find_weights(weights)), pooling="avg"
    )
    return np.concatenate([network.predict_on_batch(batch / 127.5 - 1.0) for batch in batches])


# Images.


def _batches(images, value_range, resize, batch_size, verbose):
    """Batches of images of 299 x 299 pixels with three channels, of values around [0, 255]."""
    low, high = as_pair(value_range=value_range)
    check_one_of(_RESIZERS, resize=resize)
    check_ints(batch_size=batch_size)
    check_verbose(verbose=verbose)
    images = as_numbers(images=images).astype("float32", copy=False)
    check_image_shape(images, "images")
    if images.shape[-1] not in (1, 3):
        raise ValueError(f"images must have 1 or 3 channels. Received: shape {images.shape}.")
    check_pixels(images, value_range, "images")
    return _resized(images, low, 255.0 / (high - low), _RESIZERS[resize], batch_size, verbose)


def _resized(images, low, scale, resize, batch_size, verbose) -> Iterator[np.ndarray]:
    bar = ProgressBar(len(images), verbose)
    for start in range(0, len(images), batch_size):
        batch = resize((images[start : start + batch_size] - low) * scale)
        yield tf.repeat(batch, 3 // batch.shape[-1], axis=-1).numpy()
        bar.add(len(batch))


# Weights.


def _find_weights(weights: str | os.PathLike | None) -> pathlib.Path:
    """Path of Keras' weights; FileNotFoundError at once where Keras would download them."""
    home = os.environ.get("KERAS_HOME") or "~/.keras"
    path = pathlib.Path(weights or pathlib.Path(home, "models", _FILE)).expanduser()
    if not path.is_file():
        raise FileNotFoundError(
            f"The weights of InceptionV3 are missing. Received: no file {path}. Download {_URL} to "
            "that place, or pass the path of the file as weights."
        )
    if path.suffix == ".pb":
        raise ValueError(
            f"Keras' InceptionV3 takes an .h5 file of weights. Received: {path}. For the frozen "
            "graph of 2015 call inception_outputs."
        )
    return path


def _read_graph(path: pathlib.Path) -> tf.Graph:
    """The graph in a file, for any number of images of 299 x 299 pixels at a time."""
    if not path.is_file():
        raise FileNotFoundError(
            f"The weights of Inception are missing. Received: no file {path}. Download {_GRAPH_URL}"
            " and pass the path of classify_image_graph_def.pb in it."
        )
    definition = tf.compat.v1.GraphDef()
    try:
        definition.ParseFromString(path.read_bytes())
    except Exception as error:  # Of protocol buffers, whose package is no requirement of ours.
        raise ValueError(
            f"{path} is damaged, or no frozen graph. Received: {path.stat().st_size} bytes "
            f"({error}). Take classify_image_graph_def.pb of {_GRAPH_URL}."
        ) from error
    _check_nodes(definition, path)
    return _for_any_batch(definition)


def _check_nodes(definition, path):
    missing = {_PIXELS, _POOL, _LOGITS} - {node.name for node in definition.node}
    if missing:
        raise ValueError(
            f"{path} is the graph of another network. Received: {len(definition.node)} nodes, "
            f"without {sorted(missing)}. Take classify_image_graph_def.pb of {_GRAPH_URL}."
        )


def _for_any_batch(definition):
    """The graph that begins with images of any number, where the file has room for one."""
    graph = tf.Graph()
    for node in definition.node:
        if node.name == _PIXELS:
            node.CopyFrom(_placeholder())
    with graph.as_default():
        tf.import_graph_def(definition, name="")
    return graph


def _placeholder():
    """The node of a graph that takes images."""
    with tf.Graph().as_default() as graph:
        tf.compat.v1.placeholder(tf.float32, (None, *_SIZE, 3), name=_PIXELS)
    return graph.as_graph_def().node[0]
