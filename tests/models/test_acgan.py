"""AC-GAN: all terms by NumPy, limits in closed form, a toy of three classes, errors."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import log_softmax

from tfgen import layers, networks
from tfgen.models import ACGAN, GAN
from tfgen.models.training_data import Conditioned

SHAPE, LATENT, CLASSES = (4, 4, 1), 2, 3
LABELS = np.arange(48) % CLASSES


@pytest.fixture(scope="module")
def images():
    """Images of which class k has its k-th column white."""
    x = np.zeros((48, *SHAPE), "float32")
    x[np.arange(48), :, LABELS] = 1.0
    return x


def generator(**kwargs):
    size = {"output_activation": "sigmoid", "num_classes": CLASSES, **kwargs}
    return networks.mlp_generator(SHAPE, LATENT, (32,), **size)


def build(width=32, **kwargs):
    keras.utils.set_random_seed(0)
    discriminator = networks.mlp_encoder(SHAPE, 1 + CLASSES, None, width, depth=1)
    return ACGAN(generator(dropout=0.0), discriminator, **{"seed": 0, **kwargs})


def softplus(x):
    return np.logaddexp(0, x)


def classified(outputs, labels):
    """-log p(y|x) by SciPy, and whether y is the most probable class."""
    log_p = log_softmax(np.asarray(outputs, "float64")[:, 1:], axis=1)
    return -log_p[np.arange(len(labels)), labels], log_p.argmax(axis=1) == labels


# Terms.


def test_terms_of_the_discriminator_by_numpy(images):
    model, labels = build(class_weight=0.2), np.array([2, 0, 1, 1, 0, 2])
    model.class_weight = 0.7
    x = images[:6]
    with layers.given(labels):
        model.evaluation_seed_generator.state.assign([0, 0])
        terms = model.discriminator_terms(x, training=False)
        model.evaluation_seed_generator.state.assign([0, 0])
        z = model.sample_latents(6, model.next_seed(training=False))
        fake = model.generator(z)
    real_outputs, fake_outputs = model.discriminator(x).numpy(), model.discriminator(fake).numpy()
    (real_loss, real_right), (fake_loss, fake_right) = (
        classified(outputs, labels) for outputs in (real_outputs, fake_outputs)
    )
    adversarial = softplus(-real_outputs[:, 0]) + softplus(fake_outputs[:, 0])
    expected = {
        "discriminator_loss": adversarial + 0.7 * (real_loss + fake_loss),
        "class_loss": real_loss + fake_loss,
        "real_accuracy": real_right,
        "fake_accuracy": fake_right,
        "real_logits": real_outputs[:, :1],
        "fake_logits": fake_outputs[:, :1],
    }
    assert set(terms) == set(expected)
    for name, value in expected.items():
        assert_allclose(terms[name], value, rtol=1e-5, atol=1e-6, err_msg=name)
    cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction=None)
    of_keras = cross_entropy(labels, real_outputs[:, 1:]) + cross_entropy(
        labels, fake_outputs[:, 1:]
    )
    assert_allclose(terms["class_loss"], of_keras, rtol=1e-5)


@pytest.mark.parametrize("proximity", [0.0, 2.0])
def test_terms_of_the_generator_by_numpy(proximity):
    model = build(class_weight=0.7, proximity=proximity)
    z, labels = model.sample_latents(6, [0, 1]), np.array([2, 0, 1, 1, 0, 2])
    old = np.full((6, *SHAPE), 0.25, "float32") if proximity else None
    with layers.given(labels):
        terms, fake = model.generator_terms((z, old), training=False), model.generator(z).numpy()
    outputs = model.discriminator(fake).numpy()
    class_loss, _ = classified(outputs, labels)
    distance = np.mean((fake - 0.25) ** 2, axis=(1, 2, 3))
    assert_allclose(terms["generated_class_loss"], class_loss, rtol=1e-5)
    expected = softplus(-outputs[:, 0]) + 0.7 * class_loss + proximity * distance
    assert_allclose(terms["generator_loss"], expected, rtol=1e-5)
    assert set(terms) - {"proximity"} == {"generator_loss", "generated_class_loss"}


def test_a_discriminator_that_knows_nothing_costs_ln_k_each(images):
    model = build(class_weight=2.0)
    model.discriminator.set_weights([0 * w for w in model.discriminator.get_weights()])
    model.compile("sgd", run_eagerly=True)
    logs = model.evaluate(images, LABELS, verbose=0, return_dict=True)
    assert_allclose(logs["class_loss"], 2 * np.log(3), rtol=1e-5)
    assert_allclose(logs["generated_class_loss"], np.log(3), rtol=1e-5)
    assert_allclose(logs["discriminator_loss"], 2 * np.log(2) + 4 * np.log(3), rtol=1e-5)
    assert_allclose(logs["generator_loss"], np.log(2) + 2 * np.log(3), rtol=1e-5)
    assert_allclose([logs["real_accuracy"], logs["fake_accuracy"]], 1 / 3, rtol=1e-5)


def test_without_weight_it_is_a_gan_of_the_first_logit(images):
    model = build(class_weight=0.0, loss="relativistic")
    x = keras.Input(SHAPE)
    first = keras.Model(x, model.discriminator(x)[:, :1])
    gan = GAN(model.generator, first, loss="relativistic", seed=0)
    batch = Conditioned(images[:6], LABELS[:6])
    with layers.given(batch.condition):
        ours, theirs = (
            each.discriminator_terms(images[:6], training=False) for each in (model, gan)
        )
    for name, value in theirs.items():
        assert_allclose(ours[name], value, rtol=1e-6, err_msg=name)
    ((turn, _),) = model.latents_and_old_samples(batch, training=False)
    with layers.given(batch.condition):
        ours, theirs = (each.generator_terms(turn, training=False) for each in (model, gan))
    assert_allclose(ours["generator_loss"], theirs["generator_loss"], rtol=1e-6)


def test_a_penalty_is_on_the_first_logit_alone(images):
    """Of a linear discriminator it is half the squared norm of its first column."""
    x = keras.Input(SHAPE)
    linear = keras.Model(x, keras.layers.Dense(1 + CLASSES)(keras.layers.Flatten()(x)))
    model = ACGAN(generator(), linear, r1=3.0, seed=0)
    with layers.given(LABELS[:4]):
        terms = model.discriminator_terms(images[:4], training=False)
    expected = 3.0 * np.sum(linear.get_weights()[0][:, 0] ** 2) / 2
    assert_allclose(terms["gradient_penalty"], np.full(4, expected), rtol=1e-5)


def test_the_generator_moves_towards_its_classes(images):
    """A step down `class_weight` alone makes the classes of samples more probable."""
    model = build(class_weight=1.0)
    z = model.sample_latents(48, [0, 1])
    with layers.given(LABELS):
        with tf.GradientTape() as tape:
            terms = model.generator_terms((z, None), training=False)
            loss = tf.reduce_mean(terms["generated_class_loss"])
        variables = model.generator.trainable_variables
        for v, g in zip(variables, tape.gradient(loss, [v.value for v in variables]), strict=True):
            v.assign_sub(0.1 * g)
        after = model.generator_terms((z, None), training=False)["generated_class_loss"]
    assert np.mean(after) < float(loss)


# Training.


@pytest.mark.slow
def test_generated_classes_are_right(images):
    """By the images' own columns, which no network is asked for."""
    model = build()
    model.compile(keras.optimizers.Adam(2e-3, beta_1=0.5))
    x, labels = np.tile(images, (4, 1, 1, 1)), np.tile(LABELS, 4)
    model.fit(x, labels, batch_size=32, epochs=60, verbose=0)
    drawn = np.asarray(model.sample(300, seed=0))
    columns = drawn.mean(axis=(1, 3)).argmax(axis=1)
    assert np.mean(columns == np.arange(300) % CLASSES) > 0.95
    right = model.evaluate(images, LABELS, verbose=0, return_dict=True)
    wrong = model.evaluate(images, (LABELS + 1) % CLASSES, verbose=0, return_dict=True)
    assert right["real_accuracy"] > 0.95 and right["fake_accuracy"] > 0.95
    assert wrong["real_accuracy"] < 0.05


def test_classes_of_every_kind_and_split_over_steps(images):
    histories = []
    for labels in (LABELS, np.eye(CLASSES, dtype="float32")[LABELS]):
        model = build(discriminator_steps=3, width=4)
        model.compile("sgd", run_eagerly=True)
        histories.append(model.fit(images, labels, 16, shuffle=False, verbose=0).history)
    assert histories[0] == histories[1]
    assert_array_equal(model.sample(3, seed=0), model.sample(3, seed=0, condition=[0, 1, 2]))


def test_given_a_class_it_learns_that_class(images):
    model = build()
    of_class = model.given(2)
    assert_array_equal(of_class.sample(3, seed=0), model.sample(3, seed=0, condition=2))
    for each in (model, of_class):
        each.compile("sgd", run_eagerly=True)
    x = images[LABELS == 2]
    alone = of_class.evaluate(x, verbose=0, return_dict=True)
    assert alone == pytest.approx(model.evaluate(x, [2] * 16, verbose=0, return_dict=True))


# Errors.


@pytest.mark.parametrize(
    "discriminator, message",
    [
        (lambda: networks.mlp_encoder(SHAPE, CLASSES, None, 4), r"\(None, 4\)\. Received: .*3\)"),
        (
            lambda: networks.mlp_encoder(SHAPE, 1 + CLASSES, None, 4, num_classes=CLASSES),
            r"find the class out. Received: .*number of a class in \[0, 3\)",
        ),
    ],
)
def test_discriminators_of_other_outputs(discriminator, message):
    with pytest.raises(ValueError, match=message):
        ACGAN(generator(), discriminator())


def test_generators_without_classes():
    discriminator = networks.mlp_encoder(SHAPE, 1 + CLASSES, None, 4)
    with pytest.raises(ValueError, match="generator that takes no condition. Build it with num_cl"):
        ACGAN(generator(num_classes=None), discriminator)
    with pytest.raises(ValueError, match=r"generator that takes real numbers of shape \(2,\)"):
        ACGAN(generator(num_classes=None, condition_shape=2), discriminator)


def test_a_weight_that_is_none(images):
    with pytest.raises(ValueError, match="Received: class_weight=-1"):
        build(class_weight=-1)
    model = build()
    model.class_weight = 0.5
    assert float(model.class_weight) == 0.5
    model.compile("sgd")
    with pytest.raises(ValueError, match="Received: a batch without"):
        model.fit(images, verbose=0)
