"""Inception features: no download, weights from a file, grey and coloured images in any range.

The network of 2015 is not at hand: a small graph with its tensors and old operations stands in.
"""

import time

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tfgen.metrics import inception, inception_features, inception_outputs

IMAGES = np.random.default_rng(0).uniform(size=(3, 20, 20, 1)).astype("float32")
FILE = "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5"


def test_missing_weights_are_an_error_at_once(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    start = time.monotonic()
    with pytest.raises(FileNotFoundError) as error:
        inception_features(IMAGES)
    assert time.monotonic() - start < 5  # A download would be tried for longer.
    assert f"Received: no file {tmp_path / 'models' / FILE}" in str(error.value)
    assert (
        f"Download https://storage.googleapis.com/tensorflow/keras-applications/inception_v3/{FILE}"
        in (str(error.value))
    )


# Resizing.


def by_pillow(images):
    """Images of 299 x 299 pixels as clean-fid makes them: each channel as an image of floats."""
    channels = np.moveaxis(images.astype("float32"), -1, 1)
    resized = [
        [Image.fromarray(c).resize((299, 299), Image.Resampling.BICUBIC) for c in image]
        for image in channels
    ]
    return np.moveaxis(np.array([[np.asarray(c) for c in image] for image in resized]), 1, -1)


def by_tensorflow_1(images):
    """Bilinear between pixels i and i + 1, where pixel j of n is at j * size / n."""
    for axis in (1, 2):
        size = images.shape[axis]
        places = np.arange(299) * (size / 299)
        low = np.floor(places).astype(int)
        high, share = np.minimum(low + 1, size - 1), places - low
        share = share.reshape((-1,) + (1,) * (3 - axis))
        low, high = np.take(images, low, axis), np.take(images, high, axis)
        images = (1 - share) * low + share * high
    return images


SIZES = [(20, 24), (299, 299), (301, 640), (1000, 120)]
RESIZED = {"clean": by_pillow, "legacy": by_tensorflow_1}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("method", RESIZED)
def test_resizing(size, method):
    images = np.random.default_rng(0).uniform(0, 255, size=(2, *size, 3)).astype("float32")
    (batch,) = inception._batches(images, (0, 255), method, 2, False)
    # Positions are float32: off by up to 6e-5 at 1000, times slopes of the kernel, times 255.
    np.testing.assert_allclose(batch, RESIZED[method](images), rtol=0, atol=0.02)


def test_clean_resizing_leaves_floats_and_does_not_alias():
    """Stripes of one pixel become grey, but for the edges; legacy resizing keeps some of them."""
    stripes = np.zeros((1, 1196, 1196, 1))
    stripes[:, ::2] = 1.0
    (clean,) = inception._batches(stripes, (0, 1), "clean", 1, False)
    (legacy,) = inception._batches(stripes, (0, 1), "legacy", 1, False)
    np.testing.assert_allclose(clean[:, 5:-5], 127.5, atol=0.1)
    assert np.all(legacy == 255.0)  # Every fourth row: a white one.


# The network of 2015.

NUM_FEATURES, NUM_CLASSES = 5, 4


def parameters():
    rng = np.random.default_rng(0)
    shapes = {
        "kernel": (3, 3, 3, NUM_FEATURES),
        "mean": (NUM_FEATURES,),
        "beta": (NUM_FEATURES,),
        "logits": (NUM_FEATURES, NUM_CLASSES),
        "bias": (NUM_CLASSES,),
    }
    return {name: rng.normal(size=shape).astype("float32") for name, shape in shapes.items()}


def write_graph(path):
    """A frozen graph as those of 2015: one image, read from a JPEG, and operations of that time."""
    values, v1 = parameters(), tf.compat.v1
    with tf.Graph().as_default() as graph:
        jpeg = v1.placeholder(tf.string, (), name="DecodeJpeg/contents")
        pixels = tf.cast(tf.io.decode_jpeg(jpeg, 3), tf.float32, name="Cast")
        pixels = v1.placeholder_with_default(pixels, (60, 40, 3))
        x = tf.expand_dims(pixels, 0, name="ExpandDims")
        x = v1.image.resize_bilinear(x, (299, 299), name="ResizeBilinear")
        x = tf.multiply(x - 128.0, 1 / 128, name="Mul")
        x = tf.nn.conv2d(x, values["kernel"], 2, "VALID", name="conv")
        statistics = [values["mean"], np.full(NUM_FEATURES, 0.5, "float32"), values["beta"]]
        statistics.append(np.ones(NUM_FEATURES, "float32"))
        tf.add_n([x, *(s + 0 * x for s in map(tf.constant, statistics))], name="not_batchnorm")
        names = [tf.constant(s, name=f"batchnorm/{i}").op.name for i, s in enumerate(statistics)]
        x = tf.nn.relu(tf.identity(x, name="batchnorm"))
        pool = v1.nn.avg_pool(x, (1, 149, 149, 1), (1, 1, 1, 1), "VALID", name="pool_3")
        flat = tf.reshape(pool, (1, NUM_FEATURES), name="pool_3/_reshape")
        logits = tf.matmul(flat, tf.constant(values["logits"]), name="softmax/logits/MatMul")
        tf.nn.softmax(logits + 100 * values["bias"], name="softmax")
    definition = graph.as_graph_def(add_shapes=True)
    node = next(node for node in definition.node if node.name == "batchnorm")
    node.op = "BatchNormWithGlobalNormalization"  # Which new graphs cannot have.
    node.input.extend(names)
    node.attr["variance_epsilon"].f = 0.001
    node.attr["scale_after_normalization"].b = False
    definition.versions.producer = 8
    path.write_bytes(definition.SerializeToString())
    return path


def expected_outputs(pixels):
    """The same network in NumPy, of images of 299 x 299 pixels in [0, 255]."""
    values = parameters()
    x = (pixels.astype("float64") - 128) / 128
    patches = [x[:, i : i + 297 : 2, j : j + 297 : 2] for i in range(3) for j in range(3)]
    kernels = values["kernel"].reshape(9, 3, NUM_FEATURES)
    x = sum(patch @ kernel for patch, kernel in zip(patches, kernels, strict=True))
    x = (x - values["mean"]) / np.sqrt(0.5 + 0.001) + values["beta"]
    features = np.maximum(x, 0).mean(axis=(1, 2))
    exponentials = np.exp(features @ values["logits"])
    return features, exponentials / exponentials.sum(axis=1, keepdims=True)


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    return write_graph(tmp_path_factory.mktemp("graph") / "classify_image_graph_def.pb")


@pytest.mark.parametrize("method", RESIZED)
def test_features_and_probabilities_of_a_graph(graph, method):
    """Of coloured images, in batches of two and one; without the bias of the last layer."""
    images = np.random.default_rng(1).uniform(size=(3, 60, 40, 3))
    features, probabilities = expected_outputs(RESIZED[method](255 * images))
    outputs = inception_outputs(images, graph, resize=method, batch_size=2)
    assert outputs.features.shape == (3, NUM_FEATURES)
    np.testing.assert_allclose(outputs.features, features, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(outputs.probabilities, probabilities, rtol=1e-4, atol=1e-6)
    other = inception_outputs(images, graph, resize={"clean": "legacy", "legacy": "clean"}[method])
    assert np.abs(other.features - features).max() > 1e-3


def test_grey_images_are_three_equal_channels_in_any_range(graph):
    outputs = inception_outputs(IMAGES, graph)
    colour = np.repeat(2 * IMAGES - 1, 3, axis=-1)
    signed = inception_outputs(colour, graph, value_range=(-1, 1))
    bytes_ = inception_outputs((255 * IMAGES).astype("float64"), graph, value_range=(0, 255))
    for other in (signed, bytes_):
        np.testing.assert_allclose(other.features, outputs.features, rtol=1e-4, atol=1e-5)
    features, _ = expected_outputs(by_pillow(255 * np.repeat(IMAGES, 3, axis=-1)))
    np.testing.assert_allclose(outputs.features, features, rtol=1e-4, atol=1e-5)


def test_missing_damaged_and_other_graphs(graph, tmp_path):
    path = tmp_path / "graph.pb"
    with pytest.raises(FileNotFoundError, match=f"no file {path}.*inception-2015-12-05.tgz"):
        inception_outputs(IMAGES, path)
    path.write_bytes(graph.read_bytes()[:-100])
    with pytest.raises(ValueError, match="damaged, or no frozen graph. Received: .* bytes"):
        inception_outputs(IMAGES, path)
    with tf.Graph().as_default() as other:
        tf.constant(0.0, name="ExpandDims")
    path.write_bytes(other.as_graph_def().SerializeToString())
    with pytest.raises(ValueError, match=r"Received: 1 nodes, without \['pool_3', 'softmax/logits"):
        inception_outputs(IMAGES, path)


def test_a_graph_is_not_for_keras(graph):
    with pytest.raises(ValueError, match=r"classify_image_graph_def.pb. For .* inception_outputs"):
        inception_features(IMAGES, weights=graph)


# Unusable images.


@pytest.mark.parametrize(
    "images, message",
    [
        (IMAGES[..., 0], r"Received: shape \(3, 20, 20\)"),
        (np.zeros((3, 20, 20, 2)), r"1 or 3 channels. Received: shape \(3, 20, 20, 2\)"),
        (2 * IMAGES, r"value_range=\(0.0, 1.0\). Received: values from"),
        (IMAGES * np.nan, "finite. Received: NaN"),
    ],
)
def test_unusable_images(images, message, graph):
    with pytest.raises(ValueError, match=message):
        inception_features(images)
    with pytest.raises(ValueError, match=message):
        inception_outputs(images, graph)


def test_an_unknown_way_to_resize(graph):
    with pytest.raises(ValueError, match=r"one of \['clean', 'legacy'\]. Received: resize='area'"):
        inception_outputs(IMAGES, graph, resize="area")


@pytest.mark.slow
def test_features_of_weights_in_a_file(tmp_path):
    network = keras.applications.InceptionV3(include_top=False, weights=None, pooling="avg")
    path = tmp_path / "random.weights.h5"
    network.save_weights(path)
    expected = network.predict(
        keras.applications.inception_v3.preprocess_input(
            by_pillow(np.repeat(255 * IMAGES, 3, axis=-1))
        ),
        verbose=0,
    )
    scale = np.abs(expected).max()
    features = inception_features(IMAGES, weights=path, batch_size=2)
    assert features.shape == (3, 2048)
    np.testing.assert_allclose(features, expected, atol=1e-4 * scale)
    colour = np.repeat(2 * IMAGES - 1, 3, axis=-1)
    signed = inception_features(colour, weights=path, value_range=(-1, 1))
    np.testing.assert_allclose(signed, expected, atol=1e-4 * scale)
    assert np.abs(expected[0] - expected[1]).max() > 1e-2 * scale
