"""Models for serving: SavedModel, LiteRT and ONNX files, which run without tfgen and Keras."""

import contextlib
import os
import re
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfgen._utils import keras_private
from tfgen._utils.arguments import as_path, check_flags, check_one_of, check_size
from tfgen._utils.extras import require
from tfgen._utils.files import written_aside
from tfgen.models.endpoints import network_endpoints

__all__ = ["export_model", "export_network"]

# The ending of a path by format; a SavedModel is a folder.
_ENDINGS = {"tf_saved_model": "", "litert": ".tflite", "onnx": ".onnx"}
# What writes files of an ending.
_WRITERS = {
    ".keras": "save",
    ".h5": "save_weights",
    **{ending: f"format={name!r}" for name, ending in _ENDINGS.items() if ending},
}
# How names of variables begin that TensorFlow saves; layers of a private class begin with "_".
_SAVABLE = re.compile("[A-Za-z0-9.]")
# Characters of a converter's error that are quoted: it names the operation first.
_REASON_LENGTH = 300


def export_model(
    model: keras.Model,
    filepath: str | os.PathLike,
    format: str = "tf_saved_model",
    endpoints: Sequence[str] | None = None,
    batch_size: int | None = None,
    verbose: bool = False,
) -> tuple[str, ...]:
    """Writes a model's methods to a file for processes without tfgen; `model.export` calls it.

    The endpoints are those of the following methods that the model has, on float32 batches of any
    length:

    - `reconstruct(x)`, `embed(x)`: models with an encoder;
    - `generate(z)`, `sample(num_samples, seed)`: models with latent variables. `seed` is a
      stateless seed, int32 of shape (2,): `sample(5, [3, 0])` is `model.sample(5, seed=3)`;
    - `latent(x)`: flows; `log_prob(x)`: flows without a dequantization;
    - `log_prob(x)`, `responsibilities(x)`, `sample(num_samples, seed)`: mixtures.

    In a conditional model they take `condition` after x, z or `num_samples`: for classes int32 of
    shape (batch,). Other networks, such as discriminators, are not in the file.

    Args:
        model: a model of `tfgen.models`, trained or loaded.
        filepath: path to write to.
        format: "tf_saved_model", a folder for `tf.saved_model.load` and TensorFlow Serving;
            "litert", a `.tflite` file with an endpoint for each signature, without `sample`; or
            "onnx", an `.onnx` file of one endpoint, which needs `pip install 'tfgen[export]'`.
        endpoints: names of the endpoints to write; all that the format can hold if None.
        batch_size: int >= 1, the only number of examples that the file takes, or None for any.
            Accelerators of phones want one, and so do a few operations of LiteRT.
        verbose: bool, whether Keras prints the endpoints of a SavedModel.

    Returns:
        Names of the endpoints that were written.

    Raises:
        ValueError: if there is no such format or endpoint, the path has another ending, a mixture
            has no parameters yet, or the format has no operation for what an endpoint does, as
            for what is computed in mixed precision.

    Example:
        >>> from tfgen import models, networks
        >>> model = models.VAE(networks.mlp_encoder((8, 8, 1), latent_dim=2, width=16),
        ...                    networks.mlp_decoder((8, 8, 1), latent_dim=2, width=16))
        >>> folder = tempfile.mkdtemp()
        >>> export_model(model, folder)
        ('reconstruct', 'embed', 'generate', 'sample')
        >>> served = tf.saved_model.load(folder)
        >>> served.embed(tf.zeros((5, 8, 8, 1))).shape
        TensorShape([5, 2])
    """
    if not hasattr(model, "endpoints"):
        raise ValueError(
            f"export_model writes a model of tfgen.models. Received: model={model!r}. Write other "
            "networks with export_network."
        )
    found = model.endpoints()
    return _export(found, model, filepath, format, endpoints, batch_size, verbose)


def export_network(
    network: keras.Model,
    filepath: str | os.PathLike,
    format: str = "tf_saved_model",
    endpoints: Sequence[str] | None = None,
    batch_size: int | None = None,
    verbose: bool = False,
) -> tuple[str, ...]:
    """Writes an encoder, a decoder or any other network, for processes without tfgen.

    A network that ends in a distribution has the endpoints `mean` and `parameters`, a dict of
    tensors by their names in TFP, such as "loc" and "scale", where those of a part of a mixture
    follow the name of the part. Any other has `serve`, what it returns, as Keras' own
    `network.export` writes it.

    Args:
        network: `keras.Model` with inputs of known shape.
        filepath: path to write to.
        format: as in `export_model`.
        endpoints: as in `export_model`.
        batch_size: as in `export_model`.
        verbose: as in `export_model`.

    Returns:
        Names of the endpoints that were written.

    Raises:
        ValueError: as `export_model`, or if the shape of the network's inputs is not known.

    Example:
        >>> from tfgen import networks
        >>> folder = tempfile.mkdtemp()
        >>> export_network(networks.mlp_encoder((8, 8, 1), latent_dim=2, width=16), folder)
        ('mean', 'parameters')
        >>> served = tf.saved_model.load(folder)
        >>> sorted(served.parameters(tf.zeros((5, 8, 8, 1))))
        ['loc', 'scale']
    """
    found = network_endpoints(network)
    return _export(found, network, filepath, format, endpoints, batch_size, verbose)


# Files.


def _export(endpoints, layer, filepath, format, names, batch_size, verbose):
    """Writes endpoints of a model or network in a format."""
    check_one_of(_ENDINGS, format=format)
    _check_path(filepath, format)
    _check_precision(layer, format)
    if batch_size is not None:
        check_size(batch_size=batch_size)
    check_flags(verbose=verbose)
    chosen = {k: _of_size(v, batch_size) for k, v in _chosen(endpoints, names, format).items()}
    endpoints = _reading_only(chosen, layer.variables)
    if format == "tf_saved_model":
        _write_saved_model(endpoints, filepath, verbose)
    else:
        content = {"litert": _litert, "onnx": _onnx}[format](endpoints)
        with written_aside(filepath) as aside:
            aside.write_bytes(content)
    return tuple(endpoints)


def _check_path(filepath, format):
    """Raises ValueError if a path is that of something else."""
    path, ending = as_path(filepath=filepath), _ENDINGS[format]
    others = [writer for e, writer in _WRITERS.items() if path.endswith(e) and e != ending]
    if not path or others or not path.endswith(ending) or (not ending and os.path.isfile(path)):
        what = f"a {ending} file" if ending else "a folder"
        remedy = f"That ending is for {others[0]}." if others else "Choose another path."
        raise ValueError(
            f"export(format={format!r}) writes {what}. Received: filepath={path!r}. {remedy}"
        )


def _check_precision(layer, format):
    """Raises ValueError for layers of mixed precision, of which the converters make no files."""
    computed = {part.compute_dtype for part in keras_private.sublayers(layer)}
    low = sorted(computed & {"float16", "bfloat16"})
    if low and format != "tf_saved_model":
        raise ValueError(
            f"Files of format={format!r} compute in float32. Received: layers that compute in "
            f"{low[0]}. Build the networks again after keras.config.set_dtype_policy('float32'), "
            "and set_weights(model.get_weights()), or export a SavedModel."
        )


def _chosen(endpoints, names, format):
    """The endpoints that were asked for, or all that the format can hold."""
    possible = [k for k, v in endpoints.items() if format == "tf_saved_model" or not v.draws]
    single = format == "onnx" and len(possible) > 1
    chosen = possible if names is None and not single else names
    is_list = isinstance(chosen, list | tuple) and chosen
    if not is_list or any(name not in possible for name in chosen) or (single and len(chosen) > 1):
        raise ValueError(
            f"endpoints must be a list of {'one' if single else 'names'} of {possible}, which "
            f"format={format!r} can hold. Received: endpoints={names!r}."
        )
    return {name: endpoints[name] for name in chosen}


def _of_size(endpoint, batch_size):
    """The endpoint for batches of one size."""
    signature = [
        tf.TensorSpec(
            [batch_size if dim is None else dim for dim in spec.shape], spec.dtype, spec.name
        )
        for spec in endpoint.signature
    ]
    return endpoint._replace(signature=signature)


def _reading_only(endpoints, variables):
    """The endpoints, changing no variable and reading none whose name TensorFlow cannot save."""
    copies = [(v, tf.Variable(v.value)) for v in variables if not _SAVABLE.match(v.path)]

    def closed(function):
        def read_only(*inputs):
            with keras.StatelessScope([(variable, copy.value()) for variable, copy in copies]):
                return function(*inputs)

        return read_only

    return {k: v._replace(function=closed(v.function)) for k, v in endpoints.items()}


def _write_saved_model(endpoints, folder, verbose=False):
    archive = keras.export.ExportArchive()
    for name, endpoint in endpoints.items():
        archive.add_endpoint(name, endpoint.function, input_signature=endpoint.signature)
    archive.write_out(os.fspath(folder), verbose=verbose)


def _litert(endpoints):
    """The content of a `.tflite` file."""
    with tempfile.TemporaryDirectory() as folder:
        _write_saved_model(endpoints, folder)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, list(endpoints))
        with _refused("LiteRT", endpoints):
            return converter.convert()


def _onnx(endpoints):
    """The content of an `.onnx` file."""
    converter = require("tf2onnx.convert", extra="export")
    checker = require("onnx.checker", extra="export")
    ((function, signature, _),) = endpoints.values()
    function = tf.function(function, input_signature=signature, autograph=False)
    with _refused("ONNX", endpoints):
        model, _ = converter.from_function(function, signature, custom_op_handlers=_HANDLERS)
        # tf2onnx copies operations that ONNX does not have.
        checker.check_model(model, full_check=True)
    return model.SerializeToString()


def _erfc(context, node, name, _):
    """Puts 1 - erf(x) into a graph of tf2onnx for erfc(x), of which TensorFlow's gelu is made."""
    (x,), (output,) = node.input, node.output
    fields = {"shapes": [context.get_shape(output)], "dtypes": [context.get_dtype(output)]}
    context.remove_node(name)
    one = context.make_const(f"{name}_one", np.ones((), "float32"))
    erf = context.make_node("Erf", [x])
    context.make_node("Sub", [one.output[0], erf.output[0]], name=name, outputs=[output], **fields)


# Of operations that tf2onnx does not know: a function, and no further arguments.
_HANDLERS: dict[str, tuple[Callable[..., None], list[Any]]] = {"Erfc": (_erfc, [])}


@contextlib.contextmanager
def _refused(format, endpoints):
    """Says of an error of a converter which endpoints it could not convert."""
    try:
        yield
    except Exception as error:  # Each converter has its own.
        reason = " ".join(str(error).split())[:_REASON_LENGTH]
        # As the compilers of TensorFlow name them: 'tf.Erf' op is neither a custom op nor ...
        lacks = ", ".join(sorted(set(re.findall(r"'tf\.(\w+)' op", str(error)))))
        raise ValueError(
            f"{format} cannot hold {lacks or 'some operation'} of these endpoints. Received: "
            f"endpoints={list(endpoints)} ({type(error).__name__}: {reason}). Pass batch_size=1 if "
            "that is open, leave out the endpoint with it, or export a SavedModel."
        ) from error
