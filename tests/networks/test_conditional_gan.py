"""Projection discriminators and conditional batch normalization of DCGAN: NumPy, limits, errors."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal

from tfgen import layers, models, networks

SHAPE, IMAGE, CLASSES = (8, 8, 1), (16, 16, 1), 3
LABELS = np.array([0, 1, 2, 1])
DISCRIMINATORS = {
    "mlp": functools.partial(networks.mlp_discriminator, SHAPE, width=(6, 5)),
    "mlp minibatch": functools.partial(
        networks.mlp_discriminator, SHAPE, width=(6, 5), minibatch_discrimination=2
    ),
    "dcgan": functools.partial(networks.dcgan_discriminator, SHAPE, width=2),
    "dcgan spectral": functools.partial(
        networks.dcgan_discriminator, SHAPE, width=2, batch_norm=False, spectral_norm=True
    ),
}


def noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


X = noise(4, *SHAPE)


@pytest.fixture(params=DISCRIMINATORS)
def build(request):
    keras.utils.set_random_seed(0)
    return DISCRIMINATORS[request.param]


def kernel_of(network):
    embedding = network.network.get_layer("embedding")
    return getattr(embedding, "layer", embedding).kernel


# Projection.


def test_logit_of_a_projection_by_numpy():
    network = networks.mlp_discriminator((2, 3, 1), width=(5,), projection=True, num_classes=3)
    dense, last = (network.network.get_layer(name) for name in ("features", "logit"))
    x = noise(4, 2, 3, 1)
    phi = x.reshape(4, 6) @ dense.kernel.numpy() + dense.bias.numpy()
    phi = np.where(phi > 0, phi, 0.2 * phi)
    psi = phi @ last.kernel.numpy() + last.bias.numpy()
    expected = psi[:, 0] + np.sum(kernel_of(network).numpy()[LABELS] * phi, axis=1)
    logits = network(x, condition=LABELS)
    assert logits.shape == (4, 1)
    assert_allclose(logits[:, 0], expected, rtol=1e-5, atol=1e-5)
    assert np.abs(logits - psi).min() > 1e-4


def test_without_an_embedding_it_is_the_network_without_a_condition(build):
    network, plain = build(projection=True, num_classes=CLASSES), build()
    kernel = kernel_of(network)
    kernel.assign(tf.zeros_like(kernel))
    others = [v for v in network.weights if "embedding" not in v.path]
    assert [v.shape for v in others] == [v.shape for v in plain.weights]
    plain.set_weights([v.numpy() for v in others])
    assert_allclose(network(X, condition=LABELS), plain(X), rtol=1e-6, atol=1e-7)


def test_gradient_in_the_embedding_is_the_features():
    """Row c of V moves with phi(x), the others do not."""
    network = DISCRIMINATORS["dcgan"](projection=True, num_classes=CLASSES)
    kernel = kernel_of(network)
    features = network.network.get_layer("features").output
    phi = keras.Model(network.network.inputs[0], features)(X[:1])
    with tf.GradientTape() as tape:
        logit = network(X[:1], condition=1)
    gradient = tape.gradient(logit, kernel.value)
    assert_allclose(gradient[1], np.ravel(phi), rtol=1e-5, atol=1e-7)
    assert_array_equal(gradient[0], np.zeros_like(gradient[0]))


def test_logit_is_affine_in_real_conditions(build):
    network = build(projection=True, condition_shape=2)
    a, b, zero = noise(4, 2, seed=1), noise(4, 2, seed=2), np.zeros((4, 2))
    of = functools.partial(network, X)
    added = of(condition=a) + of(condition=b) - of(condition=zero)
    assert_allclose(of(condition=a + b), added, rtol=1e-4, atol=1e-5)


def test_spectral_norm_normalizes_the_embedding_too():
    network = DISCRIMINATORS["dcgan spectral"](projection=True, num_classes=CLASSES)
    kernel = kernel_of(network)
    kernel.assign(noise(*kernel.shape))
    for _ in range(200):
        network(X, condition=LABELS, training=True)
    normalized = network.network.get_layer("embedding").normalized_kernel().numpy()
    largest = np.linalg.svd(kernel.numpy(), compute_uv=False)[0]
    assert_allclose(normalized, kernel.numpy() / largest, rtol=1e-3, atol=1e-5)
    phi = network.network.get_layer("features").output
    phi = keras.Model(network.network.inputs[0], phi)(X).numpy().reshape(4, -1)
    between = np.asarray(network(X, condition=1) - network(X, condition=0))[:, 0]
    assert_allclose(between, phi @ (normalized[1] - normalized[0]), rtol=1e-3, atol=1e-5)


def test_a_projection_is_saved_and_trained(build, tmp_path):
    generator = networks.mlp_generator(SHAPE, 2, width=4, num_classes=CLASSES)
    discriminator = build(projection=True, num_classes=CLASSES)
    before = kernel_of(discriminator).numpy()
    model = models.GAN(generator, discriminator, seed=0)
    model.compile("sgd", run_eagerly=True)
    model.fit(np.tanh(X), LABELS, verbose=0)
    assert np.all(np.any(kernel_of(discriminator).numpy() != before, axis=1))
    model.save(tmp_path / "gan.keras")
    loaded = models.load_model(tmp_path / "gan.keras").discriminator
    assert_array_equal(loaded(X, condition=LABELS), discriminator(X, condition=LABELS))


def test_a_projection_has_no_sigmoid_and_its_logit_is_float32():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        network = DISCRIMINATORS["dcgan spectral"](projection=True, num_classes=CLASSES)
        assert network(X, condition=LABELS).dtype == tf.float32
    finally:
        keras.config.set_dtype_policy("float32")


def test_projections_that_are_none(build):
    for condition in ({}, {"condition_shape": (2, 2)}, {"condition_shape": SHAPE}):
        with pytest.raises(ValueError, match="projection=True takes a condition that is a vector"):
            build(projection=True, **condition)
    with pytest.raises(ValueError, match="Received: projection='yes'"):
        build(projection="yes", num_classes=CLASSES)


# Conditional batch normalization.


def generator(**condition):
    keras.utils.set_random_seed(0)
    return networks.dcgan_generator(IMAGE, 3, width=2, conditional_norm=True, **condition)


def norms_of(network):
    kind = layers.ConditionalBatchNormalization
    return [layer for layer in network.network.layers if isinstance(layer, kind)]


@pytest.mark.parametrize("training", [False, True])
def test_generator_begins_as_the_one_without_a_condition(training):
    network = generator(num_classes=CLASSES)
    plain = networks.dcgan_generator(IMAGE, 3, width=2)
    kinds = keras.layers.Dense | keras.layers.Conv2DTranspose
    theirs, ours = (
        [layer for layer in layers if isinstance(layer, kinds)]
        for layers in (plain.layers, network.network.layers)
    )
    for one, other in zip(theirs, ours, strict=True):
        one.set_weights(other.get_weights())
    assert len(norms_of(network)) == 2
    z = noise(4, 3)
    found = network(z, condition=LABELS, training=training)
    assert_allclose(found, plain(z, training=training), rtol=1e-4, atol=1e-6)


def test_generator_depends_on_the_class_by_its_norms_alone():
    network = generator(num_classes=CLASSES)
    z = noise(4, 3)
    assert_array_equal(network(z, condition=0), network(z, condition=1))
    norms_of(network)[0].shift.kernel.assign_add(
        np.eye(CLASSES, norms_of(network)[0].shift.kernel.shape[1])
    )
    assert np.abs(network(z, condition=0) - network(z, condition=1)).max() > 1e-3


def test_every_weight_of_the_generator_has_a_gradient():
    network = generator(num_classes=CLASSES)
    with tf.GradientTape() as tape:
        images = network(noise(4, 3), condition=LABELS, training=True)
        loss = tf.reduce_sum(noise(*images.shape) * images)
    variables = [v.value for v in network.trainable_variables]
    assert all(np.any(g != 0) for g in tape.gradient(loss, variables))


def test_conditional_norms_that_are_none():
    for condition in ({}, {"condition_shape": (2, 2)}):
        with pytest.raises(
            ValueError, match="conditional_norm=True takes a condition that is a ve"
        ):
            generator(**condition)
    with pytest.raises(ValueError, match="Received: batch_norm=False"):
        generator(num_classes=2, batch_norm=False)
    with pytest.raises(ValueError, match="Received: conditional_norm=1"):
        networks.dcgan_generator(SHAPE, 3, width=2, conditional_norm=1, num_classes=2)
