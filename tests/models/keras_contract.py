"""What a Keras user may do with a model, line by line: it works, or is refused with a message.

Each line is a function of a compiled model and of data that the model takes. It returns nothing
if the line works, having compared values; a refusal is a ValueError with a message of ours. A line
that some classes refuse names them, with a part of the message. `docs/keras.md` shows the table.
"""

import copy
import pathlib
import pickle
import tempfile
from collections.abc import Callable
from typing import NamedTuple

import h5py
import keras
import numpy as np
import pandas
import pytest
import scipy.sparse
import tensorflow as tf

from tfgen import models

ALL = "every model"


class Line(NamedTuple):
    """A line of the contract.

    Attributes:
        title: what the user does.
        do: function (model, x, y) that does it and checks values.
        message: part of the message of those that refuse it, or "".
        refused_by: classes that refuse it, their children too; object for all.
        but_not_by: children that take it all the same.
        flat: whether the model and its data are flat, shape (4,), instead of images.
    """

    title: str
    do: Callable
    message: str = ""
    refused_by: tuple[type, ...] = ()
    but_not_by: tuple[type, ...] = ()
    flat: bool = False

    def refuses(self, model):
        return isinstance(model, self.refused_by) and not isinstance(model, self.but_not_by)


LINES: list[Line] = []


def line(title, message="", refused_by=(), but_not_by=(), flat=False):
    """Adds a function to the lines."""

    def add(do):
        LINES.append(Line(title, do, message, refused_by, but_not_by, flat))
        return do

    return add


# Help.


def steps(model):
    return int(keras.ops.convert_to_numpy(model.steps))


def fit(model, x, y=None, **kwargs):
    return model.fit(x, y, verbose=0, **kwargs).history


def trains(model, x, y=None, batches=2, **kwargs):
    """Checks that so many batches were seen, and finite losses logged."""
    before = steps(model)
    history = fit(model, x, y, **kwargs)
    assert steps(model) == before + batches, f"{steps(model) - before} steps"
    assert history and all(np.isfinite(values).all() for values in history.values()), history
    return history


def pairs(x, y):
    return x if y is None else (x, y)


def dataset(x, y, batch_size=8):
    return tf.data.Dataset.from_tensor_slices(pairs(x, y)).batch(batch_size)


class Batches(keras.utils.PyDataset):
    def __init__(self, x, y):
        super().__init__()
        self.x, self.y = x, y

    def __len__(self):
        return 2

    def __getitem__(self, index):
        rows = slice(8 * index, 8 * index + 8)
        return self.x[rows] if self.y is None else (self.x[rows], self.y[rows])


def same_weights(a, b):
    return all(np.array_equal(v, w) for v, w in zip(a.get_weights(), b.get_weights(), strict=True))


def train_alike(model, given, usual, **kwargs):
    """Checks that a model learns the same weights of two kinds of the same x and y."""
    start, learned = [v.numpy() for v in model.variables], [model.get_weights()]
    for x, *y in (given, usual):
        for variable, value in zip(model.variables, start, strict=True):
            variable.assign(value)
        trains(model, x, *y, shuffle=False, **kwargs)  # Each call of fit has an order of its own.
        learned.append(model.get_weights())
    before, these, those = learned
    assert all(map(np.array_equal, these, those))
    assert not all(map(np.array_equal, before, these))


def refused(message, call, *args, **kwargs):
    """Checks that a further call is refused."""
    with pytest.raises(ValueError, match=message):
        call(*args, **kwargs)


def hdf5(x):
    file = h5py.File(folder() / "x.h5", "w")
    file["x"] = x
    return file["x"]


def huge(x):
    """The examples in float64, each with a value of 1e300."""
    flat = x.astype("float64").reshape(len(x), -1)
    flat[:, 0] = 1e300
    return flat.reshape(x.shape)


def iter_of(*batches):
    """A generator."""
    yield from batches


def gone_through_once(x, y, num_batches):
    """A data set of a generator that does not begin anew."""
    batches = iter_of(*[pairs(x, y)] * num_batches)
    signature = tf.nest.map_structure(lambda a: tf.TensorSpec(a.shape, a.dtype), pairs(x, y))
    return tf.data.Dataset.from_generator(lambda: batches, output_signature=signature)


def train_on_batch(model, x, y):
    return model.train_on_batch(x, y)


def frame(x):
    return pandas.DataFrame(x, columns=list("abcd"))


def folder():
    return pathlib.Path(tempfile.mkdtemp())


# Data.


@line("`fit` on an array")
def _(model, x, y):
    trains(model, x, y, batch_size=8)


@line("`fit` on a tensor")
def _(model, x, y):
    trains(model, tf.constant(x), y, batch_size=8)


@line("`fit` on a list of examples")
def _(model, x, y):
    trains(model, list(x), y, batch_size=8)


@line("`fit` on a memory map")
def _(model, x, y):
    path = folder() / "x.npy"
    np.save(path, x)
    trains(model, np.load(path, mmap_mode="r"), y, batch_size=8)


@line("`fit` on an `h5py.Dataset`: the weights of the array")
def _(model, x, y):
    train_alike(model, (hdf5(x), y), (x, y), batch_size=8)


@line("`evaluate` and `train_on_batch` on an `h5py.Dataset`: the values of the array")
def _(model, x, y):
    data = hdf5(x)
    assert model.evaluate(data, y, verbose=0) == model.evaluate(x, y, verbose=0)
    twin = copy.deepcopy(model)
    assert model.train_on_batch(data, y) == twin.train_on_batch(x, y)


@line("`fit` on float64, float16, uint8, bool: the weights of the same numbers in float32")
def _(model, x, y):
    whole = np.where(x > 0, 1, 0)
    for dtype in ("float64", "float16", "uint8", "bool"):
        given = (x if "float" in dtype else whole).astype(dtype)
        train_alike(model, (given, y), (given.astype("float32"), y), batch_size=8)


@line("`fit` on a data set of float64 or uint8: the weights of the same in float32")
def _(model, x, y):
    for given in (x.astype("float64"), np.where(x > 0, 1, 0).astype("uint8")):
        train_alike(model, (dataset(given, y),), (dataset(given.astype("float32"), y),))


@line("float128, bfloat16 and complex arrays", "Expected numbers", (object,))
def _(model, x, y):
    refused("dtype complex64", fit, model, x.astype("complex64"), y)
    refused("bfloat16", fit, model, tf.cast(x, "bfloat16"), y)
    if np.dtype("longdouble").itemsize > 8:
        refused("Expected numbers", fit, model, x.astype("longdouble"), y)
    fit(model, x.astype("complex64"), y)


@line("a `RaggedTensor`", r"for example x.to_tensor\(\)", (object,))
def _(model, x, y):
    fit(model, tf.RaggedTensor.from_tensor(x), y)


@line("a `SparseTensor`", r"for example tf.sparse.to_dense\(x\)", (object,))
def _(model, x, y):
    for call in (model.evaluate, model.train_on_batch):
        refused("tf.sparse.to_dense", call, tf.sparse.from_dense(x), y)
    fit(model, tf.sparse.from_dense(x), y)


@line("a sparse matrix of SciPy (models of flat data)", r"x.toarray\(\)", (object,), flat=True)
def _(model, x, y):
    fit(model, scipy.sparse.csr_matrix(x), y)


@line("a masked array", r"for example x.filled\(\)", (object,))
def _(model, x, y):
    fit(model, np.ma.masked_array(x, x > 0), y)


@line("a data set of sparse or ragged tensors", "Expected batches of one array", (object,))
def _(model, x, y):
    ragged = tf.data.Dataset.from_tensor_slices(tf.RaggedTensor.from_tensor(x)).batch(8)
    refused("type RaggedTensor", fit, model, ragged)
    fit(model, tf.data.Dataset.from_tensor_slices(tf.sparse.from_dense(x)).batch(8))


@line("a data set of complex numbers or strings", "Expected batches of one array", (object,))
def _(model, x, y):
    refused("complex64", fit, model, dataset(x.astype("complex64"), y))
    fit(model, dataset(x.astype(str), y))


@line("a data set or generator of dicts, or of nested pairs", "Expected batches of one", (object,))
def _(model, x, y):
    refused("type dict", fit, model, tf.data.Dataset.from_tensors({"image": x}))
    refused("type tuple", fit, model, tf.data.Dataset.from_tensors(((x, x), np.arange(16))))
    fit(model, iter_of({"image": x}))


@line("a tuple or list of two arrays as x", "was built for data of shape", (object,))
def _(model, x, y):
    refused("was built for data of shape", fit, model, [x, x], y)
    fit(model, (x, x), y)


@line("a pair (x, y) as x", "give labels or targets apart, as fit", (object,))
def _(model, x, y):
    fit(model, (x, np.arange(16) % 2))


@line("a dict as x", "Give one array or data set", (object,))
def _(model, x, y):
    refused("Give one array or data set", model.evaluate, {"image": x}, y, verbose=0)
    fit(model, {"image": x}, y)


@line("a data set in a list", "Give one array or data set", (object,))
def _(model, x, y):
    refused("Give one array or data set", model.predict, [dataset(x, y)], verbose=0)
    fit(model, [dataset(x, y)])


# Data frames.

_FLAT = " (models of flat data)"


@line("`fit` on a pandas `DataFrame`: the weights of the array" + _FLAT, flat=True)
def _(model, x, y):
    train_alike(model, (frame(x), y), (x, y), batch_size=8)


@line("`evaluate` on a `DataFrame`: the values of the array" + _FLAT, flat=True)
def _(model, x, y):
    assert model.evaluate(frame(x), y, verbose=0) == model.evaluate(x, y, verbose=0)
    history = fit(model, frame(x), y, validation_data=pairs(frame(x), y), batch_size=16)
    logs = model.evaluate(x, y, verbose=0, return_dict=True)
    for name, value in logs.items():
        np.testing.assert_allclose(history[f"val_{name}"][0], value, rtol=1e-5, atol=1e-6)


@line("`predict` and `embed` on a `DataFrame`: the values of the array" + _FLAT, flat=True)
def _(model, x, y):
    if hasattr(model, "embed"):
        labels = () if y is None else (y,)
        np.testing.assert_array_equal(model.embed(frame(x), *labels), model.embed(x, *labels))
    given = model.sample_latents(16, [0, 1]).numpy() if isinstance(model, models.GAN) else x
    framed, labels = pandas.DataFrame(given), () if y is None else (pandas.Series(y),)
    expected = model.predict(given if y is None else (given, y), verbose=0)
    predicted = model.predict((framed, *labels) if labels else framed, verbose=0)
    np.testing.assert_array_equal(predicted, expected)


@line("a `DataFrame` with NaN" + _FLAT, "finite data", (object,), flat=True)
def _(model, x, y):
    data = frame(x)
    data.loc[3, "b"] = np.nan
    refused("1 values that are NaN", model.evaluate, data, y, verbose=0)
    fit(model, data, y)


@line("a `DataFrame` with strings or objects" + _FLAT, "Expected numbers", (object,), flat=True)
def _(model, x, y):
    for call in (fit, train_on_batch):
        refused("x of dtype object", call, model, frame(x).astype(object), y)
    fit(model, frame(x).assign(d="red"), y)


@line("a `DataFrame`, by models of images", "was built for data of shape", (object,))
def _(model, x, y):
    fit(model, frame(x.reshape(16, 4)), y)


@line("a pandas `Series` as x", "was built for data of shape", (object,))
def _(model, x, y):
    fit(model, pandas.Series(np.ravel(x)[:16]), y)


@line("`fit` on a `tf.data.Dataset`")
def _(model, x, y):
    trains(model, dataset(x, y))


@line("`fit` on a data set of unknown length")
def _(model, x, y):
    trains(model, dataset(x, y).filter(lambda *_: True))


@line("`fit` on an endless data set, with `steps_per_epoch`")
def _(model, x, y):
    trains(model, dataset(x, y).repeat(), batches=3, steps_per_epoch=3)


@line("`fit` on a `PyDataset`")
def _(model, x, y):
    trains(model, Batches(x, y))


@line("`fit` on a generator", "set by the first batch", (models.NormalizingFlow,))
def _(model, x, y):
    trains(model, ((x[i : i + 8], None if y is None else y[i : i + 8]) for i in (0, 8)))


@line("a generator of arrays, or of lists [x, y]", "set by the first", (models.NormalizingFlow,))
def _(model, x, y):
    labels = np.arange(16) % 2
    train_alike(model, (iter_of([x, labels]),), (iter_of((x, labels)),), batches=1)
    if y is None:
        train_alike(model, (iter_of(x, x),), (iter_of((x,), (x,)),))


@line("NaN in the data", "finite data", (object,))
def _(model, x, y):
    fit(model, np.where(x > 0, np.nan, x), y)


@line("data of another shape", "was built for data of shape", (object,))
def _(model, x, y):
    fit(model, x[:, :1], y)


@line("`fit(None)`", "Expected training data. Received: x=None", (object,))
def _(model, x, y):
    fit(model, None)


@line("`batch_size` with a data set", "Only arrays are cut into batches", (object,))
def _(model, x, y):
    fit(model, dataset(x, y), batch_size=8)


@line("a generator for several epochs, without `steps_per_epoch`", "gives its batches", (object,))
def _(model, x, y):
    fit(model, iter_of(pairs(x, y)), epochs=2)


@line("data that come to an end before the last epoch", "There was no batch to train", (object,))
def _(model, x, y):
    fit(model, gone_through_once(x, y, 3), epochs=3)


@line("float64 beyond float32", "finite data", (object,))
def _(model, x, y):
    refused("16 values that are NaN or infinite", model.evaluate, huge(x), y, verbose=0)
    fit(model, huge(x), y)


# Targets, labels, weights.


_TAKES_TARGETS = (models.VAE, models.AE, models.VQVAE)


@line(
    "targets of the data's shape, `fit(noisy, clean)`",
    "no targets|condition must be",
    (object,),
    _TAKES_TARGETS,
)
def _(model, x, y):
    if getattr(model, "num_classes", None):
        return  # Its y are labels, below.
    trains(model, x, x, batch_size=8)


@line("labels that are ints: ignored with a warning, and learned by conditional models")
def _(model, x, y):
    trains(model, x, np.arange(16) % 2, batch_size=8)


@line("labels as a pandas `Series`, or as a tensor: the weights of the array")
def _(model, x, y):
    labels = np.arange(16) % 2
    for given in (pandas.Series(labels), tf.constant(labels)):
        train_alike(model, (x, given), (x, labels), batch_size=8)
    train_alike(model, (tf.constant(x), labels), (x, labels), batch_size=8)


@line(
    "targets as a `DataFrame`, or as a tensor" + _FLAT,
    "no targets|condition must be",
    (object,),
    _TAKES_TARGETS,
    flat=True,
)
def _(model, x, y):
    if getattr(model, "num_classes", None):
        return
    for given in (frame(0.5 * x), tf.constant(0.5 * x)):
        train_alike(model, (frame(x), given), (x, 0.5 * x), batch_size=8)


@line("sparse targets", "Expected numbers|condition must be", (object,))
def _(model, x, y):
    fit(model, x, tf.sparse.from_dense(x))


@line("y beside a data set, or a data set as y", "y goes with arrays", (object,))
def _(model, x, y):
    refused("y goes with arrays", fit, model, dataset(x, y), np.arange(16) % 2)
    fit(model, x, dataset(x, y))


@line("a dict or tuple as y in a data set", "has one y", (object,))
def _(model, x, y):
    several = {"class": np.arange(16) % 2, "box": np.zeros((16, 4))}
    refused("has one y", fit, model, dataset(x, tuple(several.values())))
    fit(model, dataset(x, several))


@line("targets of another length", "16 examples|condition must be", (object,))
def _(model, x, y):
    fit(model, x, x[:5])


@line("`sample_weight`", "take no sample_weight", (object,))
def _(model, x, y):
    fit(model, x, y, sample_weight=np.ones(16))


@line("`class_weight`", "take no sample_weight or class_weight", (object,))
def _(model, x, y):
    fit(model, x, np.arange(16) % 2, class_weight={0: 1.0, 1: 2.0})


@line("weights in a data set", "take no sample_weight", (object,))
def _(model, x, y):
    y = np.zeros(16, "int32") if y is None else y
    fit(model, tf.data.Dataset.from_tensor_slices((x, y, np.ones(16))).batch(8))


# Validation and evaluation.


@line("`validation_split`")
def _(model, x, y):
    history = trains(model, x, y, batches=1, validation_split=0.5, batch_size=8)
    assert any(name.startswith("val_") for name in history)


@line("`validation_data`, as `evaluate` says")
def _(model, x, y):
    history = fit(model, x, y, validation_data=pairs(x, y), batch_size=16)
    logs = model.evaluate(x, y, verbose=0, batch_size=16, return_dict=True)
    for name, value in logs.items():
        np.testing.assert_allclose(history[f"val_{name}"][0], value, rtol=1e-5, atol=1e-6)


@line("`validation_data` of another kind than x, with `batch_size`: as `evaluate` says")
def _(model, x, y):
    for given in (dataset(x, y), Batches(x, y)):
        history = fit(model, x, y, validation_data=given, batch_size=16)
        for name, value in model.evaluate(given, verbose=0, return_dict=True).items():
            np.testing.assert_allclose(history[f"val_{name}"][0], value, rtol=1e-5, atol=1e-6)


@line("`validation_data` of another shape", "was built for data of shape", (object,))
def _(model, x, y):
    bad = dataset(x[:, :1], y)
    refused("was built for data of shape", fit, model, x, y, validation_data=bad)
    fit(model, x, y, validation_data=pairs(x[:, :1], y))


@line("`validation_data` of four parts, or none", "are x, or a pair", (object,))
def _(model, x, y):
    refused("a tuple of 0 parts", fit, model, x, y, validation_data=())
    fit(model, x, y, validation_data=(x, y, None, None))


@line("`validation_data` whose y has another length", "16 examples", (object,))
def _(model, x, y):
    fit(model, x, y, validation_data=(x, np.arange(5) % 2))


@line("`validation_data` and `validation_split`", "Leave one out", (object,))
def _(model, x, y):
    fit(model, x, y, validation_data=pairs(x, y), validation_split=0.5)


@line("`validation_steps`, `_freq` or `_batch_size` without data", "nothing to validate", (object,))
def _(model, x, y):
    for order in ("validation_steps", "validation_batch_size"):
        refused(f"{order}=3", fit, model, x, y, **{order: 3})
    fit(model, x, y, validation_freq=3)


@line("`validation_freq=[2]`: after the second epoch alone")
def _(model, x, y):
    for given in ([2], (2,), 2, np.int64(2)):
        history = fit(model, x, y, epochs=2, validation_data=pairs(x, y), validation_freq=given)
        lengths = {name.startswith("val_"): len(values) for name, values in history.items()}
        assert lengths == {True: 1, False: 2}


@line("`validation_freq=0`", "validation_freq must be an int of at least 1", (object,))
def _(model, x, y):
    for bad in (-1, 1.5, "2", [], [0]):
        refused("validation_freq", fit, model, x, y, validation_freq=bad)
    fit(model, x, y, validation_data=pairs(x, y), validation_freq=0)


@line("a generator as `validation_data`, with `validation_steps`: the same batches in each epoch")
def _(model, x, y):
    parts = [pairs(x[i : i + 4], None if y is None else y[i : i + 4]) for i in (0, 4, 8, 12)]
    given = (part for part in parts)
    refused("Give validation_steps", fit, model, x, y, epochs=2, validation_data=given)
    given, seen = (part for part in parts), []
    note = keras.callbacks.LambdaCallback(on_test_batch_end=lambda batch, logs: seen.append(batch))
    history = fit(
        model, x, y, epochs=2, validation_data=given, validation_steps=3, callbacks=[note]
    )
    assert seen == [0, 1, 2] * 2
    for name, value in model.evaluate(
        dataset(x[:12], slice_of(y, 12), 4), return_dict=True
    ).items():
        np.testing.assert_allclose(history[f"val_{name}"][1], value, rtol=1e-5, atol=1e-6)


def slice_of(y, stop):
    return None if y is None else y[:stop]


@line("`evaluate` on data that have come to an end", "no batch to evaluate", (object,))
def _(model, x, y):
    model.evaluate(gone_through_once(x, y, 1), verbose=0)  # It is looked at before.


@line("`evaluate` twice: the same numbers, losses first")
def _(model, x, y):
    first = model.evaluate(x, y, verbose=0)
    assert first == model.evaluate(x, y, verbose=0)
    named = model.evaluate(x, y, verbose=0, return_dict=True)
    assert dict(zip(model.metrics_names, first, strict=True)) == named
    assert "loss" in model.metrics_names[0]


@line("`evaluate` inside `fit`")
def _(model, x, y):
    seen = []
    callback = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append(model.evaluate(x, y, verbose=0))
    )
    trains(model, x, y, batch_size=8, callbacks=[callback], validation_data=pairs(x, y))
    assert seen == [model.evaluate(x, y, verbose=0)]


# Single batches.


@line("`train_on_batch`")
def _(model, x, y):
    before = steps(model)
    logs = model.train_on_batch(x, y, return_dict=True)
    assert steps(model) == before + 1 and all(np.isfinite(v) for v in logs.values())


@line("`test_on_batch`, as `evaluate` says")
def _(model, x, y):
    expected = model.evaluate(x, y, verbose=0, batch_size=16, return_dict=True)
    logs = model.test_on_batch(x, y, return_dict=True)
    for name, value in logs.items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-5, atol=1e-6)


@line("`predict` and `predict_on_batch`: what calling the model gives")
def _(model, x, y):
    inputs = _inputs(model, x, y)
    expected = model(inputs)
    data = dataset(x, y) if getattr(model, "num_classes", None) else inputs
    np.testing.assert_allclose(model.predict(data, verbose=0), expected, rtol=1e-4, atol=1e-5)


def _inputs(model, x, y):
    if isinstance(model, models.GAN):
        return model.sample_latents(16, [0, 1]).numpy()
    return pairs(tf.constant(x), y)


# Callbacks and optimizers.


@line("`History`, `CSVLogger` and `LambdaCallback` see the same values")
def _(model, x, y):
    path, seen = folder() / "log.csv", []
    note = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(dict(logs)))
    history = fit(model, x, y, epochs=2, callbacks=[keras.callbacks.CSVLogger(path), note])
    assert {name: [logs[name] for logs in seen] for name in history} == history
    assert len(path.read_text(encoding="utf-8").splitlines()) == 3


@line("`EarlyStopping` on what is minimised")
def _(model, x, y):
    name = model.metrics_names[0]
    stop = keras.callbacks.EarlyStopping(f"val_{name}", patience=0, min_delta=1e9)
    history = fit(model, x, y, epochs=5, validation_data=pairs(x, y), callbacks=[stop])
    assert stop.mode == "min" and len(history[name]) == 2


@line("callbacks that are no objects of `Callback`", "callbacks must be objects", (object,))
def _(model, x, y):
    for bad in ("EarlyStopping", [None], keras.callbacks.TerminateOnNaN):
        refused("Received: ", model.evaluate, x, y, verbose=0, callbacks=bad)
    fit(model, x, y, callbacks=[keras.callbacks.EarlyStopping])


@line("a callback that stops inside an epoch: no further batch")
def _(model, x, y):
    stop = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: setattr(model, "stop_training", batch >= 1)
    )
    trains(model, x, y, batches=2, batch_size=4, callbacks=[stop])
    trains(model, dataset(x, y, 4).filter(lambda *_: True), batches=2, callbacks=[stop])


@line("`ModelCheckpoint(save_freq=3)`: after each third batch")
def _(model, x, y):
    path = folder()
    saves = keras.callbacks.ModelCheckpoint(
        path / "{batch:02d}.weights.h5", save_freq=3, save_weights_only=True
    )
    trains(model, x, y, batches=16, batch_size=2, epochs=2, callbacks=[saves])
    # After 3, 6, 9, 12 and 15 batches, of 8 in an epoch; Keras counts within it.
    assert sorted(p.name[:2] for p in path.iterdir()) == ["01", "03", "04", "06", "07"]


@line("`LearningRateScheduler`: every optimizer follows", "needs no optimizer", ())
def _(model, x, y):
    if isinstance(model, models.MixtureEM):
        return
    model.compile(keras.optimizers.SGD(1e-3), run_eagerly=True)
    fit(model, x, y, callbacks=[keras.callbacks.LearningRateScheduler(lambda epoch: 1e-4)])
    rates = [float(own.learning_rate) for own in model.optimizers.values()]
    np.testing.assert_allclose(rates, 1e-4, rtol=1e-5)


@line("averaged weights, `use_ema`", "needs no optimizer", (models.MixtureEM,))
def _(model, x, y):
    model.compile(keras.optimizers.SGD(1e-3, use_ema=True, ema_momentum=0.9), run_eagerly=True)
    fit(model, x, y)
    before = model.get_weights()
    model.swap_averages()
    assert all(np.isfinite(w).all() for w in model.get_weights())
    model.swap_averages()
    assert all(np.allclose(a, b) for a, b in zip(before, model.get_weights(), strict=True))


@line("gradient accumulation", "needs no optimizer", (models.MixtureEM,))
def _(model, x, y):
    model.compile(keras.optimizers.SGD(1e-3, gradient_accumulation_steps=2), run_eagerly=True)
    trains(model, x, y, batch_size=8)


@line("frozen networks stay", "", ())
def _(model, x, y):
    network = getattr(model, "decoder", None)
    if network is None:
        return
    network.trainable = False
    model.compile(keras.optimizers.SGD(1e-2), run_eagerly=True)
    before = [v.numpy() for v in network.weights if "seed" not in v.path]
    fit(model, x, y)
    after = [v.numpy() for v in network.weights if "seed" not in v.path]
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


@line("networks frozen after a `fit`, by a callback too: they stay from the next epoch on")
def _(model, x, y):
    network = getattr(model, "decoder", None)
    if network is None:
        return
    fit(model, x, y)
    seen = []

    def note(epoch, logs):
        network.trainable = epoch == 1
        seen.append([v.numpy() for v in network.weights if "seed" not in v.path])

    callback = keras.callbacks.LambdaCallback(on_epoch_begin=note)
    fit(model, x, y, epochs=3, callbacks=[callback])
    frozen, trained = (not all(map(np.array_equal, *seen[i : i + 2])) for i in (0, 1))
    assert trained and not frozen


@line("`fit` or `train_on_batch` with nothing trainable", "moves what is trainable", (object,))
def _(model, x, y):
    model.trainable = False
    assert np.isfinite(model.evaluate(x, y, verbose=0)).all()
    refused("moves what is trainable", model.train_on_batch, x, y)
    fit(model, x, y)


@line("an optimizer of another model", "with a new optimizer|needs no optimizer", (object,))
def _(model, x, y):
    variable = keras.Variable([1.0])
    optimizer = keras.optimizers.SGD()
    optimizer.build([variable])
    model.compile(optimizer)


@line("training what was frozen in `compile`", "Call compile again", (object,), (models.MixtureEM,))
def _(model, x, y):
    if isinstance(model, models.MixtureEM):
        return
    model.trainable = False
    model.compile("sgd", run_eagerly=True)
    model.trainable = True
    refused("Call compile again", model.train_on_batch, x, y)
    fit(model, x, y)


@line("`compile(loss=...)`", "has its own losses|needs no optimizer", (object,))
def _(model, x, y):
    optimizer = None if isinstance(model, models.MixtureEM) else "sgd"
    model.compile(optimizer, loss="mse")


@line("`steps_per_execution=3`, which does not divide the epoch")
def _(model, x, y):
    optimizer = None if isinstance(model, models.MixtureEM) else keras.optimizers.SGD(1e-3)
    model.compile(optimizer, steps_per_execution=3, run_eagerly=True)
    trains(model, x, y, batches=4, batch_size=4)


@line("`steps_per_execution=-3`", "steps_per_execution must be", (object,))
def _(model, x, y):
    optimizer = None if isinstance(model, models.MixtureEM) else "sgd"
    model.compile(optimizer, steps_per_execution=-3)


@line("`jit_compile=True`: the weights of `jit_compile=False`")
def _(model, x, y):
    weights = []
    for jit_compile in (True, False):
        twin = copy.deepcopy(model)
        optimizer = None if isinstance(model, models.MixtureEM) else keras.optimizers.SGD(1e-2)
        twin.compile(optimizer, steps_per_execution=1, jit_compile=jit_compile)
        trains(twin, x, y, batches=1, batch_size=16)
        weights.append(twin.get_weights())
    # XLA adds float32 numbers, each rounded to 6e-8 of it, in another order: sums of some hundred
    # terms, which nearly cancel in a few gradients. The draws are the same.
    for compiled, plain in zip(*weights, strict=True):
        np.testing.assert_allclose(compiled, plain, rtol=1e-4, atol=1e-6)


# Files and copies.


@line("`save` and `load_model`: trains on as if it had not been saved")
def _(model, x, y):
    fit(model, x, y)
    path = folder() / "model.keras"
    model.save(path)
    loaded = keras.models.load_model(path)
    assert same_weights(model, loaded) and type(loaded) is type(model)
    for one in (model, loaded):
        fit(one, x, y)
    assert same_weights(model, loaded)


@line("`save_weights` and `load_weights`")
def _(model, x, y):
    path = folder() / "model.weights.h5"
    model.save_weights(path)
    before = model.get_weights()
    fit(model, x, y)
    model.load_weights(path)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


@line("`save` as HDF5", "Models are saved as .keras files", (object,))
def _(model, x, y):
    model.save(folder() / "model.h5")


@line("`keras.models.clone_model`, `from_config(get_config())`: the same model, new weights")
def _(model, x, y):
    for twin in (keras.models.clone_model(model), type(model).from_config(model.get_config())):
        assert type(twin) is type(model)
        shapes = [[tuple(v.shape) for v in one.variables] for one in (model, twin)]
        assert shapes[0] == shapes[1]


@line("`export` and `tf.saved_model.load`: what the model computes")
def _(model, x, y):
    name = next(
        name for name in ("embed", "log_prob", "latent", "generate") if hasattr(model, name)
    )
    path = folder()
    model.export(path, endpoints=[name], verbose=False)
    given = x if name != "generate" else model.sample_latents(16, [0, 1])
    given = (given,) if y is None else (given, y.astype("int32"))
    served = tf.saved_model.load(path)
    returned = getattr(served, name)(*map(tf.constant, given))
    expected = getattr(model, name)(*given)
    assert np.ptp(expected) > 0
    np.testing.assert_allclose(returned, expected, rtol=1e-5, atol=1e-5)


@line("`pickle` and `copy.deepcopy`")
def _(model, x, y):
    for twin in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert same_weights(model, twin)


@line("`summary`")
def _(model, x, y):
    printed: list[str] = []
    model.summary(print_fn=printed.append)
    assert "Total params" in "\n".join(map(str, printed))


def table():
    """The table of the docs: what each line gives, and for which classes."""
    rows = ["| what you do | what happens |", "| --- | --- |"]
    for one in LINES:
        refusal = f"refused: “{one.message.split('|')[0]} …”".replace("\\", "")
        if one.refused_by == (object,) and not one.but_not_by:
            result = refusal
        elif one.refused_by == (object,):
            takers = ", ".join(f"`{c.__name__}`" for c in one.but_not_by)
            result = f"works in {takers} and their children; elsewhere {refusal}"
        elif one.refused_by:
            refusers = ", ".join(f"`{c.__name__}`" for c in one.refused_by)
            result = f"works; by {refusers} {refusal}"
        else:
            result = "works"
        rows.append(f"| {one.title} | {result} |")
    return "\n".join(rows)
