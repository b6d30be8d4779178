"""Data sets in files: whole or not there, read in any order, without taking memory."""

import functools
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from toy import Interrupt

from tfgen import models, networks
from tfgen._utils import files
from tfgen.datasets import memory_map, on_disk
from tfgen.models import training_data

Dataset = tf.data.Dataset


def write_records(path, images, labels):
    """A TFRecord file as other programs write it: encoded images with labels."""

    def feature(image, label):
        encoded = tf.io.encode_png(image).numpy()
        return {
            "image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[encoded])),
            "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
        }

    with tf.io.TFRecordWriter(str(path)) as writer:
        for image, label in zip(images, labels, strict=True):
            features = tf.train.Features(feature=feature(image, label))
            writer.write(tf.train.Example(features=features).SerializeToString())


def parse(record):
    spec = {
        "image": tf.io.FixedLenFeature((), "string"),
        "label": tf.io.FixedLenFeature((), "int64"),
    }
    example = tf.io.parse_single_example(record, spec)
    image = tf.ensure_shape(tf.io.decode_png(example["image"]), (4, 4, 1))
    return tf.cast(image, tf.float32) / 255.0, example["label"]


def random_images(num_images):
    return np.random.default_rng(0).integers(0, 256, (num_images, 4, 4, 1), "uint8")


@pytest.fixture
def records(tmp_path):
    """Images, labels, and the pipeline that parses their records."""
    images, labels = random_images(50), np.arange(50)
    write_records(tmp_path / "train.tfrecord", images, labels)
    return images, labels, tf.data.TFRecordDataset(str(tmp_path / "train.tfrecord")).map(parse)


def unreadable(*specs):
    """A data set of such elements of which none can be had."""

    def fail():
        pytest.fail("read again")
        yield

    return Dataset.from_generator(fail, output_signature=specs[0] if len(specs) == 1 else specs)


def of_arrays(*arrays):
    return Dataset.from_tensor_slices(arrays if len(arrays) > 1 else arrays[0])


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_records_become_arrays_in_their_order(records, tmp_path):
    images, labels, dataset = records
    x, y = memory_map(dataset, tmp_path / "train.npy")
    np.testing.assert_array_equal(x, (images / np.float32(255)).astype("float32"))
    np.testing.assert_array_equal(y, labels)
    assert isinstance(x, np.memmap) and not x.flags.writeable
    assert names(tmp_path) == ["train.1.npy", "train.npy", "train.tfrecord"]
    np.testing.assert_array_equal(np.load(tmp_path / "train.1.npy"), labels)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float16", "float32", "float64"])
@pytest.mark.parametrize("num_examples", [1, 6, 7])
def test_examples_of_any_number_are_written_in_chunks(tmp_path, monkeypatch, dtype, num_examples):
    array = np.arange(num_examples * 3).reshape(-1, 3).astype(dtype)
    monkeypatch.setattr(files, "_CHUNK", 2 * array[0].nbytes)
    known = of_arrays(array)
    for name, dataset in {"known": known, "unknown": known.filter(lambda _: True)}.items():
        mapped = memory_map(dataset, tmp_path / f"{name}.npy")
        np.testing.assert_array_equal(mapped, array)
        assert mapped.dtype == dtype


def test_numbers_and_tuples_of_one(tmp_path):
    assert memory_map(Dataset.range(3), tmp_path / "a.npy").tolist() == [0, 1, 2]
    (mapped,) = memory_map(Dataset.from_tensor_slices((np.arange(3),)), tmp_path / "b.npy")
    assert mapped.tolist() == [0, 1, 2]


def test_what_is_there_is_not_read_again(tmp_path):
    x, y = np.arange(6.0).reshape(3, 2), np.arange(3)
    memory_map(of_arrays(x, y), tmp_path / "a.npy")
    specs = tf.TensorSpec((2,), tf.float64), tf.TensorSpec((), tf.int64)
    again = memory_map(unreadable(*specs), str(tmp_path / "a.npy"))
    np.testing.assert_array_equal(again[0], x)
    np.testing.assert_array_equal(again[1], y)


def refused(dataset, path, text):
    """Whether a data set is refused, with words, and leaves no file."""
    before = names(path.parent)
    with pytest.raises(ValueError, match=text) as caught:
        memory_map(dataset, path)
    assert names(path.parent) == before
    return "Received" in str(caught.value)


RAGGED = tf.RaggedTensor.from_row_lengths(np.arange(6), [1, 2, 3])


@pytest.mark.parametrize(
    "dataset, text",
    [
        (Dataset.range(4).batch(2), r"unbatch"),
        (of_arrays(np.zeros((4, 3))).batch(2), r"TensorSpec\(shape=\(None, 3\).*unbatch"),
        (Dataset.from_tensor_slices(RAGGED), "RaggedTensorSpec"),
        (unreadable(tf.TensorSpec(None, tf.float32)), "ensure_shape"),
        (unreadable(tf.TensorSpec((2, None), tf.float32)), "ensure_shape"),
        (of_arrays(np.array(["a", "b"])), "of numbers.*string"),
        (Dataset.range(3).map(lambda x: tf.cast(x, tf.bfloat16)), "bfloat16"),
        (Dataset.range(3).map(lambda x: tf.cast(x, tf.complex64)), "complex64"),
        (Dataset.range(3).map(lambda x: {"x": x}), "a tuple of tensors"),
        (Dataset.range(3).map(lambda x: (x, (x, x))), "a tuple of tensors"),
        (of_arrays(np.zeros((4, 0))), "shape that is known"),
        (Dataset.range(3).repeat(), "finite number.*without end"),
        (Dataset.range(0), "at least one. Received: none"),
        (Dataset.range(3).filter(lambda x: x > 5), "There are no examples. Received: nothing"),
        (np.zeros((4, 3)), r"type ndarray.*np.save"),
    ],
)
def test_other_data_are_refused(tmp_path, dataset, text):
    assert refused(dataset, tmp_path / "a.npy", text)


def test_paths_that_are_none_of_a_file(tmp_path):
    assert refused(Dataset.range(3), tmp_path / "a.npz", "ends in '.npy'")
    (tmp_path / "folder.npy").mkdir()
    assert refused(Dataset.range(3), tmp_path / "folder.npy", "folder or a device")
    with pytest.raises(FileNotFoundError, match="Make .*gone"):
        memory_map(Dataset.range(3), tmp_path / "gone" / "a.npy")


def test_errors_of_the_data_leave_no_file(tmp_path):
    lengths = Dataset.range(1, 40).map(lambda n: tf.ensure_shape(tf.zeros(2 + n // 30), (2,)))
    with pytest.raises(tf.errors.InvalidArgumentError, match="ensure_shape|EnsureShape|compatible"):
        memory_map(lengths, tmp_path / "a.npy")
    assert names(tmp_path) == []


@pytest.fixture
def pair(tmp_path):
    """Path of a pair of files, and a data set of their elements."""
    memory_map(of_arrays(np.arange(6.0).reshape(3, 2), np.arange(3)), tmp_path / "a.npy")
    specs = tf.TensorSpec((2,), tf.float64), tf.TensorSpec((), tf.int64)
    return tmp_path / "a.npy", unreadable(*specs)


@pytest.mark.parametrize("name", ["a.npy", "a.1.npy"])
def test_files_cut_anywhere_are_named(pair, name):
    path, dataset = pair
    damaged = path.with_name(name)
    whole = damaged.read_bytes()
    for content in [whole[:size] for size in range(0, len(whole), 5)] + [whole + b"\0", b"garbage"]:
        damaged.write_bytes(content)
        with pytest.raises(ValueError, match=rf"{name} is damaged. Received: {len(content)} bytes"):
            memory_map(dataset, path)
    damaged.write_bytes(whole)
    assert len(memory_map(dataset, path)[0]) == 3


def test_headers_of_other_sizes_are_refused(pair):
    """Which describe as many bytes as there are, or others."""
    path, dataset = pair
    whole = path.read_bytes()
    for old, new in [
        (b"(3, 2)", b"(2, 3)"),
        (b"(3, 2)", b"(2, 2)"),
        (b"<f8", b"<i8"),
        (b"<f8", b">f8"),
        (b"False", b"True "),
    ]:
        path.write_bytes(whole.replace(old, new))
        with pytest.raises(ValueError, match=r"a\.npy (is damaged|holds other data)"):
            memory_map(dataset, path)


@pytest.mark.parametrize(
    "dataset, name",
    [
        (of_arrays(np.zeros((3, 2), "float32"), np.arange(3)), "a.npy"),
        (of_arrays(np.zeros((3, 1)), np.arange(3)), "a.npy"),
        (of_arrays(np.zeros((4, 2)), np.arange(4)), "a.npy"),
        (of_arrays(np.zeros((3, 2)), np.zeros(3)), "a.1.npy"),
        (of_arrays(np.zeros((3, 2)), np.zeros((3, 1), int)), "a.1.npy"),
    ],
)
def test_files_of_other_data_are_named(pair, dataset, name):
    path, _ = pair
    with pytest.raises(ValueError, match=rf"/{name} holds other data. Received: .*Delete .*a\.npy"):
        memory_map(dataset, path)


def test_a_second_file_that_is_gone_or_of_another_length(pair):
    path, dataset = pair
    np.save(path.with_name("a.1.npy"), np.arange(2))
    with pytest.raises(ValueError, match=r"a\.1\.npy holds other data.*rows in every file"):
        memory_map(dataset, path)
    path.with_name("a.1.npy").unlink()
    with pytest.raises(
        ValueError, match=r"a\.1\.npy is damaged. Received: no file.*Delete .*a\.npy,"
    ):
        memory_map(dataset, path)
    path.unlink()
    x, y = memory_map(of_arrays(np.ones((5, 2)), np.arange(5)), path)
    assert len(x) == len(y) == 5


KILLED = """
import os, signal, sys
import numpy as np, tensorflow as tf
from tfgen.datasets import memory_map

def examples():
    for i in range(40):
        if i == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
        yield np.full((2**18,), i, "float32"), i

specs = tf.TensorSpec((2**18,), tf.float32), tf.TensorSpec((), tf.int32)
x, y = memory_map(tf.data.Dataset.from_generator(examples, output_signature=specs), sys.argv[1])
print(x.sum(dtype="float64") / 2**18, y.sum())
"""


@pytest.mark.slow
def test_a_killed_writer_leaves_no_file_that_is_taken_for_whole(tmp_path):
    def run(kill_at):
        command = [sys.executable, "-c", KILLED, str(tmp_path / "a.npy"), str(kill_at)]
        return subprocess.run(command, capture_output=True, text=True)

    assert run(25).returncode == -signal.SIGKILL
    assert all(name.startswith(".writing.") for name in names(tmp_path))
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) > 2**24  # Half was written.
    assert run(-1).stdout.split() == ["780.0", "780"]


def test_progress_is_shown(tmp_path, monkeypatch, capsys):
    impatient = functools.partial(on_disk.with_progress, patience=0.0)
    monkeypatch.setattr(on_disk, "with_progress", impatient)
    monkeypatch.setattr(files, "_CHUNK", 16)
    memory_map(Dataset.range(9), tmp_path / "known.npy")
    assert "5/5 after" in capsys.readouterr().out
    memory_map(Dataset.range(9).filter(lambda _: True), tmp_path / "unknown.npy")
    assert "4/unknown after" in capsys.readouterr().out


# Training.


def pipeline(x):
    return training_data.as_dataset(x, 8, True, seed=3)


def test_pipelines_are_those_of_memory_and_can_be_sought(records, tmp_path):
    images, labels, dataset = records
    mapped = pipeline(memory_map(dataset, tmp_path / "train.npy"))
    memory = pipeline(((images / np.float32(255)).astype("float32"), labels))
    epochs = [[list(data) for _ in range(2)] for data in (mapped, memory)]
    keras.tree.map_structure(np.testing.assert_array_equal, *epochs)
    mapped.seek(epoch=1, step=4)
    keras.tree.map_structure(np.testing.assert_array_equal, list(mapped), epochs[0][1][4:])


def weights_after(x, *callbacks):
    keras.utils.set_random_seed(0)
    encoder = networks.mlp_encoder((4, 4, 1), 2, width=8)
    vae = models.VAE(encoder, networks.mlp_decoder((4, 4, 1), 2, width=8), seed=0)
    vae.compile("adam", steps_per_execution=1)
    vae.fit(x, batch_size=8, epochs=3, verbose=0, callbacks=list(callbacks))
    return vae.get_weights()


@pytest.mark.slow
def test_training_from_records_goes_on_in_the_middle_of_an_epoch(records, tmp_path):
    """Bit for bit, as training that was never interrupted, from files or from memory."""
    images, _, dataset = records
    x, _ = memory_map(dataset, tmp_path / "train.npy")
    backup = functools.partial(
        keras.callbacks.BackupAndRestore, tmp_path / "backup", save_freq=2, delete_checkpoint=False
    )
    with pytest.raises(KeyboardInterrupt):
        weights_after(x, backup(), Interrupt(11))  # The fourth of seven batches in epoch 1.
    resumed = weights_after(memory_map(dataset, tmp_path / "train.npy")[0], backup())
    for other in (x, (images / np.float32(255)).astype("float32")):
        keras.tree.map_structure(np.testing.assert_array_equal, resumed, weights_after(other))


# Memory.

MEMORY = """
import pathlib, sys
import keras, numpy as np, tensorflow as tf
from tfgen import models, networks
from tfgen.datasets import memory_map

def watch(*_, **logs):
    lines = open("/proc/self/status").read().splitlines()
    peaks.append(next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024)

def image(i):
    watch()
    return np.full((128, 128, 1), i % 2, "float32")

def dataset(num_examples):
    examples = tf.data.Dataset.range(num_examples)
    images = examples.map(lambda i: tf.numpy_function(image, [i], tf.float32))
    return images.map(lambda x: tf.ensure_shape(x, (128, 128, 1)))

def fit(x):
    callback = keras.callbacks.LambdaCallback(on_train_batch_end=watch)
    vae.fit(x, epochs=2, batch_size=16, verbose=0, callbacks=[callback])

def peak_of(call, *args):
    peaks.clear()
    return call(*args), max(peaks)

peaks, folder, num_replicas = [], pathlib.Path(sys.argv[1]), int(sys.argv[2])
(cpu,) = tf.config.list_physical_devices("CPU")
devices = [tf.config.LogicalDeviceConfiguration()] * num_replicas
tf.config.set_logical_device_configuration(cpu, devices)
devices = [f"CPU:{i}" for i in range(num_replicas)]
strategy = tf.distribute.MirroredStrategy(devices) if devices[1:] else tf.distribute.get_strategy()
with strategy.scope():
    encoder = networks.mlp_encoder((128, 128, 1), 2, width=4)
    vae = models.VAE(encoder, networks.mlp_decoder((128, 128, 1), 2, width=4), seed=0)
    vae.compile("adam", steps_per_execution=1)
x, before = peak_of(memory_map, dataset(1600), folder / "small.npy")
_, before_fit = peak_of(fit, x)
x, writing = peak_of(memory_map, dataset(4800), folder / "large.npy")
_, fitting = peak_of(fit, x)
print((x.nbytes >> 20), writing - before_fit, fitting - before_fit)
"""


@pytest.mark.parametrize("num_replicas", [1, 2])
@pytest.mark.slow
def test_memory_does_not_grow_with_the_data(measured, tmp_path, num_replicas):
    """300 MiB are written and trained on, after 100 MiB, and take no more memory than these."""
    size, writing, fitting = measured(MEMORY, tmp_path, num_replicas)
    assert size == 300
    assert writing < 50 and fitting < 50, (writing, fitting)
