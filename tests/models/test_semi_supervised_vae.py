"""SemiSupervisedVAE: every term by enumeration, bounds by quadrature, labels that are missing."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal
from scipy import special, stats

from tfgen import layers, networks
from tfgen.models import VAE, SemiSupervisedVAE, load_model
from tfgen.models.training_data import Conditioned

SHAPE, CLASSES = (4, 4, 1), 3
LABELS = np.array([0, -1, 2, -1, 1, -1], "int32")


def build(latent_dim=2, **kwargs):
    keras.utils.set_random_seed(0)
    options = {"latent_dim": latent_dim, "width": 16, "num_classes": CLASSES}
    return SemiSupervisedVAE(
        networks.mlp_encoder(SHAPE, **options),
        networks.mlp_decoder(SHAPE, **options),
        networks.mlp_encoder(SHAPE, CLASSES, head=None, width=16),
        **{"seed": 0, **kwargs},
    )


def vivid(**kwargs):
    """A model whose networks are far from what they began with: no term is near 0."""
    model = build(**kwargs)
    rng = np.random.default_rng(1)
    for weight in model.trainable_variables:
        weight.assign_add(rng.normal(scale=0.3, size=weight.shape))
    return model


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 2, (6, *SHAPE)).astype("float32")


def called(network, x, labels):
    """What the network inside a conditional one returns."""
    return network.network([tf.constant(x), tf.one_hot(labels, CLASSES)])


# Terms.


def by_hand(model, x, labels, seed):
    """All terms by a loop over examples and classes in NumPy, at the draws of this seed."""
    tiled, classes = np.tile(x, (CLASSES, 1, 1, 1)), np.repeat(np.arange(CLASSES), len(x))
    q = called(model.encoder, tiled, classes)
    z = q.sample(seed=seed).numpy()
    p = called(model.decoder, z, classes).mean().numpy()
    loc, scale = q.mean().numpy(), q.stddev().numpy()
    error = -np.sum(tiled * np.log(p) + (1 - tiled) * np.log1p(-p), axis=(1, 2, 3))
    kl = 0.5 * np.sum(loc**2 + scale**2 - 1 - 2 * np.log(scale), axis=1)
    error, kl = error.reshape(CLASSES, -1), kl.reshape(CLASSES, -1)
    q_y = special.softmax(model.classifier(x).numpy(), axis=1)
    rows = []
    for i, y in enumerate(labels):
        if y >= 0:
            rows.append((error[y, i], kl[y, i] + np.log(CLASSES), -np.log(q_y[i, y])))
        else:
            bound = sum(q_y[i, k] * kl[k, i] for k in range(CLASSES))
            entropy = stats.entropy(q_y[i])
            rows.append((q_y[i] @ error[:, i], bound + np.log(CLASSES) - entropy, 0.0))
    return np.transpose(rows)


def test_terms_against_enumeration(images):
    model = vivid(classifier_weight=7.0, beta=0.5)
    terms = model.terms(Conditioned(images, LABELS), training=False)
    model.evaluation_seed_generator.state.assign([0, 0])
    error, kl, classification = by_hand(model, images, LABELS, model.next_seed(training=False))
    assert_allclose(terms["reconstruction"], error, rtol=1e-4)
    assert_allclose(terms["kl"], kl, rtol=1e-4, atol=1e-5)
    assert_allclose(terms["classification_loss"], classification, rtol=1e-4, atol=1e-6)
    assert_allclose(terms["elbo"], -error - kl, rtol=1e-4)
    assert_allclose(terms["loss"], error + 0.5 * kl + 7 * classification, rtol=1e-4)


def test_labels_of_all_are_those_of_a_conditional_vae(images):
    """Of class 1, against the VAE that is left: the same but for ln 3 and the classifier."""
    model = vivid(classifier_weight=0.0)
    repeated = np.repeat(images, 2000, axis=0)
    terms = model.terms(Conditioned(repeated, np.ones(12_000, "int32")), training=False)
    expected = model.given(1).terms(repeated, training=False)
    for name, shift in {"reconstruction": 0.0, "kl": np.log(CLASSES)}.items():
        found = np.asarray(terms[name], "float64").reshape(6, -1)
        other = np.asarray(expected[name], "float64").reshape(6, -1)
        error = np.sqrt((found.var(axis=1) + other.var(axis=1)) / 2000)
        difference = found.mean(axis=1) - other.mean(axis=1) - shift
        assert (np.abs(difference) <= 5 * error + 1e-4).all(), name


# Bounds, by quadrature over one latent dimension.

GRID = np.linspace(-9.0, 9.0, 4001)
STEP = GRID[1] - GRID[0]


def quadrature(model, x, y):
    """log p(x|y), and E_q(z|x,y)[log p(x, z|y) - log q(z|x, y)], of one image."""
    z = GRID[:, None].astype("float32")
    log_p = called(model.decoder, z, np.full(len(z), y)).log_prob(x).numpy()
    log_joint = log_p.astype("float64") + stats.norm.logpdf(GRID)
    q = called(model.encoder, x[None], [y])
    log_q = stats.norm.logpdf(GRID, q.mean().numpy()[0], q.stddev().numpy()[0])
    bound = np.sum(np.exp(log_q) * (log_joint - log_q)) * STEP
    return special.logsumexp(log_joint) + np.log(STEP), bound


def test_bounds_against_quadrature(images):
    """Labelled ones of log p(x, y), others of log p(x); and how much they miss, as it must be."""
    model, num = vivid(latent_dim=1), 4000
    q_y = model.classify(images).astype("float64")
    for i, x in enumerate(images):
        exact = [quadrature(model, x, y) for y in range(CLASSES)]
        log_p_of, bounds = np.transpose(exact) - np.log(CLASSES)
        log_p = special.logsumexp(log_p_of)
        divergence = np.sum(q_y[i] * (np.log(q_y[i]) - (log_p_of - log_p)))
        gap = divergence + q_y[i] @ (log_p_of - bounds)
        for label, expected, limit in [(-1, log_p - gap, log_p), (1, bounds[1], log_p_of[1])]:
            repeated = Conditioned(np.repeat(x[None], num, axis=0), np.full(num, label, "int32"))
            draws = np.asarray(model.terms(repeated, training=False)["elbo"], "float64")
            slack = 5 * draws.std() / num**0.5 + 1e-4
            assert draws.mean() == pytest.approx(expected, abs=slack)
            assert expected < limit


# Training.


def noisy_prototypes(num, seed=0):
    """Images of 16 pixels: one of three prototypes, of which a fifth of the pixels is inverted."""
    prototypes = np.random.default_rng(7).integers(0, 2, (CLASSES, *SHAPE))
    rng = np.random.default_rng(seed)
    labels = rng.integers(CLASSES, size=num)
    flipped = rng.random((num, *SHAPE)) < 0.2
    return (prototypes[labels] ^ flipped).astype("float32"), labels.astype("int32")


def accuracy(model, x, y):
    return np.mean(model.classify(x).argmax(axis=1) == y)


@pytest.mark.slow
def test_unlabelled_examples_teach_the_classifier():
    """Six labels among 600 examples, against the same classifier on the six alone."""
    x, labels = noisy_prototypes(600)
    test, truth = noisy_prototypes(1000, seed=1)
    shown = np.concatenate([np.flatnonzero(labels == k)[:2] for k in range(CLASSES)])
    few = build()
    alone = few.classifier
    alone.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    alone.fit(x[shown], labels[shown], epochs=100, verbose=0)
    supervised = np.mean(np.argmax(alone(test), axis=1) == truth)
    model = build(classifier_weight=50.0)
    model.compile(keras.optimizers.Adam(3e-3))
    y = np.full(600, -1, "int32")
    y[shown] = labels[shown]
    model.fit(x, y, batch_size=60, epochs=40, verbose=0)
    assert accuracy(model, test, truth) > supervised + 0.05


@pytest.mark.parametrize("missing", ["none", "some", "all"])
@pytest.mark.parametrize("compiled", [False, True])
def test_fits_whatever_labels_are_missing(missing, compiled):
    x, labels = noisy_prototypes(48)
    y = {"none": labels, "some": np.where(np.arange(48) % 3, -1, labels), "all": labels * 0 - 1}
    model = build()
    model.compile(keras.optimizers.Adam(0.01), run_eagerly=not compiled)
    before = model.classifier.get_weights()[0]
    logs = model.fit(x, y[missing], batch_size=16, epochs=3, verbose=0).history
    assert logs["loss"][-1] < logs["loss"][0]
    assert (logs["classification_loss"][-1] > 0) == (missing != "all")
    assert not np.array_equal(before, model.classifier.get_weights()[0])
    data = tf.data.Dataset.from_tensor_slices((x, y[missing][:, None])).batch(16)
    assert np.isfinite(model.evaluate(data, verbose=0)).all()


def test_known_labels_leave_the_classifier_to_its_own_loss(images):
    model = build(classifier_weight=0.0)
    with tf.GradientTape() as tape:
        loss = model.terms(Conditioned(images, np.abs(LABELS)))["loss"]
    for gradient in tape.gradient(loss, [v.value for v in model.classifier.trainable_variables]):
        assert_array_equal(gradient, np.zeros(gradient.shape))


# What it is besides.


def test_probabilities_of_classes(images):
    model = vivid()
    found = model.classify(images)
    assert_allclose(found, special.softmax(model.classifier(images).numpy(), axis=1), rtol=1e-5)
    data = tf.data.Dataset.from_tensor_slices((images, LABELS)).batch(4)
    for x in (data, data.map(lambda x, y: x), images.tolist()):
        assert_allclose(model.classify(x), found, rtol=1e-5)
    with pytest.raises(ValueError, match="x must have shape"):
        model.classify(images[0])


def test_samples_of_classes_and_of_one(images, tmp_path):
    model = vivid()
    vae = model.given(2)
    assert type(vae) is VAE and vae.conditions is None
    samples = model.sample(3, seed=0, condition=2)
    assert_array_equal(vae.sample(3, seed=0), samples)
    assert_allclose(model.sample(3, seed=0)[2], samples[2], rtol=1e-6)
    assert_allclose(vae.embed(images), model.embed(images, 2), rtol=1e-5, atol=1e-6)
    model.save(tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras")
    assert_array_equal(loaded.sample(3, seed=0, condition=2), samples)
    assert_array_equal(loaded.classify(images), model.classify(images))


def test_labels_of_every_kind_mean_the_same(images):
    model, y = build(), np.array([0, 2, 1, 1, 0, 2])
    losses = []
    for labels in (y, y[:, None].astype("float32"), np.eye(CLASSES)[y]):
        model.compile("sgd")
        losses.append(model.evaluate(images, labels, verbose=0)[0])
    assert_allclose(losses, losses[0], rtol=1e-6)


# Errors.


def test_what_must_be_known(images):
    model = build()
    for call in (
        lambda: model.encode(images, LABELS),
        lambda: model.sample(3, condition=-1),
        lambda: model.given(-1),
        lambda: model.log_weights(Conditioned(images, LABELS), 2, [0, 1]),
    ):
        with pytest.raises(ValueError, match=r"Classes must be in \[0, 3\).*networks. Received"):
            call()


def test_labels_out_of_range(images):
    model = build()
    model.compile("sgd", run_eagerly=True)
    message = r"Classes must be in \[0, 3\).* or -1 where they are missing. Received: classes from"
    for labels in (LABELS + 1, LABELS - 1):
        with pytest.raises(ValueError, match=message):
            model.fit(images, labels, verbose=0)
    with pytest.raises(ValueError, match="a batch without.* or -1 where it is missing"):
        model.fit(images, verbose=0)
    step = tf.function(lambda y: model.unpack((images, y))[1])
    assert_array_equal(step(tf.constant(LABELS)), LABELS)
    for labels in (LABELS + 1, LABELS - 1):
        with pytest.raises(tf.errors.InvalidArgumentError, match="or -1 where they are missing"):
            step(tf.constant(labels))


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"decoder": networks.mlp_decoder(SHAPE, 2)}, "decoder must take a class.*num_classes"),
        (
            {"classifier": networks.mlp_encoder(SHAPE, 4, head=None)},
            r"return 3 logits. Received: .* output shape \(None, 4\)",
        ),
        (
            {"classifier": networks.mlp_encoder((2, 2, 1), 3, head=None)},
            r"examples of shape \(4, 4, 1\).* input shape \(None, 2, 2, 1\)",
        ),
        (
            {
                "classifier": keras.Sequential(
                    [keras.Input(SHAPE), keras.layers.Flatten(), keras.layers.Dense(3, "softmax")]
                )
            },
            r"must return logits.*ends in softmax. End it with Dense\(3\)",
        ),
        (
            {"prior": layers.VampPrior(SHAPE, 2, seed=0)},
            "needs a condition",
        ),
        ({"classifier_weight": -1.0}, "classifier_weight .* >= 0. Received"),
    ],
)
def test_arguments_that_do_not_fit(changes, message):
    with pytest.raises(ValueError, match=message):
        build().rebuilt(**changes)
