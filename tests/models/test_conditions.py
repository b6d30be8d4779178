"""Conditional models: terms against NumPy, what conditions do, saving, resuming, errors."""

import contextlib
import functools
import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal

from tfgen import datasets, layers, metrics, networks, samplers
from tfgen.models import ALI, GAN, VAE, VAEGAN, LadderVAE, load_model
from tfgen.models.training_data import Conditioned

SHAPE, LATENT, CLASSES = (4, 4, 1), 2, 3
LABELS = np.arange(48) % CLASSES


def build(noisy=False, **kwargs):
    keras.utils.set_random_seed(0)
    options = {"latent_dim": LATENT, "width": 16, "num_classes": CLASSES}
    encoder = networks.mlp_encoder(SHAPE, **options)
    decoder = networks.mlp_decoder(SHAPE, **options)
    if noisy:
        noise = keras.layers.Dropout(0.2, seed=0)
        encoder = keras.Sequential([keras.Input(SHAPE), noise, encoder])
    return VAE(encoder, decoder, **{"seed": 0, **kwargs})


@pytest.fixture(scope="module")
def model():
    return build()


@pytest.fixture(scope="module")
def images():
    """Images of which class k has its k-th column white."""
    x = np.zeros((48, *SHAPE), "float32")
    x[np.arange(48), :, LABELS] = 1.0
    return x


def called(network, x, labels):
    """What the network inside returns."""
    return network.network([tf.constant(x), tf.one_hot(labels, CLASSES)])


# Terms.


def test_terms_against_numpy(model, images):
    x, labels = images[:6], LABELS[:6]
    terms = model.terms(Conditioned(x, labels), training=False)
    model.evaluation_seed_generator.state.assign([0, 0])
    q = called(model.encoder, x, labels)
    z = q.sample(seed=model.next_seed(training=False)).numpy()
    p = called(model.decoder, z, labels).mean().numpy()
    loc, scale = q.mean().numpy(), q.stddev().numpy()
    kl = 0.5 * np.sum(loc**2 + scale**2 - 1 - 2 * np.log(scale), axis=1)
    reconstruction = -np.sum(x * np.log(p) + (1 - x) * np.log1p(-p), axis=(1, 2, 3))
    assert_allclose(terms["kl"], kl, rtol=1e-4, atol=1e-6)
    assert_allclose(terms["reconstruction"], reconstruction, rtol=1e-5)
    assert_allclose(terms["loss"], reconstruction + kl, rtol=1e-5)


def test_codes_and_images_of_labels(model, images):
    x, labels = images[:6], LABELS[:6]
    q = model.encode(x, labels)
    assert_array_equal(q.mean(), called(model.encoder, x, labels).mean())
    assert_array_equal(model.encode(x, 1).mean(), model.encode(x, [1] * 6).mean())
    z = q.mean()
    decoded = called(model.decoder, z, labels).mean()
    assert_array_equal(model.decode(z, labels).mean(), decoded)
    for generated in (model.generate(z, labels), model.reconstruct(x, labels), model([x, labels])):
        assert_allclose(generated, decoded, rtol=1e-5)
    assert_allclose(model.predict([x, labels], verbose=0), decoded, rtol=1e-5)


def test_samples_of_labels(model):
    seed = tf.constant([4, 0])
    z = model.sample_latents(5, seed)
    assert_allclose(model.sample(5, condition=2, seed=4), model.generate(z, 2), rtol=1e-6)
    in_turn = model.generate(z, [0, 1, 2, 0, 1])
    assert_allclose(model.sample(5, seed=4), in_turn, rtol=1e-6)
    draws = model.sample(5, seed=4, mean=False).numpy()
    assert set(np.unique(draws)) == {0.0, 1.0}
    assert_array_equal(draws, model.sample(5, seed=4, mean=False))


def test_given_a_label_it_is_a_vae(model, images, tmp_path):
    vae, x = model.given(1), images[:4]
    assert_allclose(vae.embed(x), model.encode(x, 1).mean(), rtol=1e-5, atol=1e-6)
    assert_array_equal(vae.sample(3, seed=0), model.sample(3, condition=1, seed=0))
    path = vae.interpolate(x[:2], x[2:], num_steps=3)
    assert_allclose(path[:, 0], model.reconstruct(x[:2], 1), rtol=1e-5)
    assert_allclose(path[:, 2], model.reconstruct(x[2:], 1), rtol=1e-5)
    assert vae.traverse(x[0]).shape == (LATENT, 7, *SHAPE)
    assert vae.encoder.trainable_variables[0] is model.encoder.trainable_variables[0]
    vae.save(tmp_path / "vae.keras")
    assert_array_equal(load_model(tmp_path / "vae.keras").sample(3, seed=0), vae.sample(3, seed=0))


# Training.


@pytest.mark.parametrize("jit_compile", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_learns_what_labels_tell(images, jit_compile):
    """The label says all: the latents have nothing left to tell."""
    model = build()
    model.compile(keras.optimizers.Adam(0.02), jit_compile=jit_compile)
    x, labels = np.tile(images, (4, 1, 1, 1)), np.tile(LABELS, 4)
    model.fit(x, labels, batch_size=48, epochs=40, validation_data=(x[:48], labels[:48]), verbose=0)
    samples = model.sample(9, seed=0)
    assert_allclose(samples, images[:9], atol=0.1)
    right, wrong = (
        model.evaluate(images, y, verbose=0, return_dict=True) for y in (LABELS, (LABELS + 1) % 3)
    )
    assert right["kl"] < 0.1
    assert right["loss"] < 1 < wrong["loss"]
    assert set(right) == {"bits_per_dim", "elbo", "kl", "loss", "reconstruction"}


def test_arrays_and_data_sets_train_alike(images):
    data = tf.data.Dataset.from_tensor_slices((images, LABELS)).batch(16)
    losses = []
    for arguments in ((images, LABELS, 16), (data,)):
        model = build()
        model.compile("sgd", run_eagerly=True)
        losses.append(model.fit(*arguments, shuffle=False, verbose=0).history["loss"])
    assert losses[0] == losses[1]


def test_trains_on_loaded_data():
    data, info = datasets.load("digits", batch_size=120, labels=True)
    model = VAE(
        networks.mlp_encoder(info.image_shape, LATENT, width=16, num_classes=10),
        networks.mlp_decoder(info.image_shape, LATENT, width=16, num_classes=10),
        seed=0,
    )
    model.compile(keras.optimizers.Adam(0.01), run_eagerly=True)
    before = model.evaluate(data.take(2), verbose=0)[0]
    model.fit(data.take(8), verbose=0)
    assert model.evaluate(data.take(2), verbose=0)[0] < before


def state(model):
    variables = [*model.variables, *model.optimizer.variables]
    return [keras.ops.convert_to_numpy(v) for v in variables]


def test_resumed_and_loaded_runs_continue_exactly(images, tmp_path):
    def train():
        model = build(noisy=True)
        model.compile(keras.optimizers.Adam(0.01), run_eagerly=True, steps_per_execution=1)
        backup = keras.callbacks.BackupAndRestore(tmp_path, save_freq=4, delete_checkpoint=False)
        model.fit(images, LABELS, batch_size=16, epochs=2, callbacks=[backup], verbose=0)
        return model

    reference, resumed = train(), train()
    assert int(resumed.steps) == 6
    reference.save(tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras")
    for other in (resumed, loaded):
        for a, b in zip(state(reference), state(other), strict=True):
            assert_array_equal(a, b)
    for one in (reference, loaded):
        one.fit(images, LABELS, batch_size=16, verbose=0)
    for a, b in zip(state(reference), state(loaded), strict=True):
        assert_array_equal(a, b)


def test_mixed_precision(bfloat16, images):
    model = build()
    before = model.decoder.get_weights()
    model.compile(keras.optimizers.Adam(0.01), run_eagerly=True)
    loss = model.fit(images, LABELS, batch_size=16, verbose=0).history["loss"][0]
    assert np.isfinite(loss)
    assert not np.array_equal(before[0], model.decoder.get_weights()[0])
    assert_allclose(model.given(1).sample(2, seed=0), model.sample(2, condition=1, seed=0))


# Errors.


def test_labels_out_of_range(model, images):
    x = images[:4]
    model.compile("sgd", run_eagerly=True)
    for labels in ([0, 1, 2, 3], [0, 1, 2, -1], 3):
        message = r"Classes must be in \[0, 3\).*Received: classes from"
        with pytest.raises(ValueError, match=message):
            model.encode(x, labels)
    with pytest.raises(ValueError, match=r"Classes must be in \[0, 3\)"):
        model.fit(x, np.arange(4), verbose=0)
    with pytest.raises(ValueError, match=r"Classes must be in \[0, 3\)"):
        model.given(3)


def test_labels_out_of_range_in_a_compiled_step(model, images):
    step = tf.function(lambda x, y: model.terms(Conditioned(x, y), training=False)["loss"])
    assert step(images[:4], tf.constant(LABELS[:4])).shape == (4,)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"Classes must be in \[0, 3\)"):
        step(images[:4], tf.constant([0, 1, 2, 3], LABELS.dtype))


def pairs(*parts):
    return tf.data.Dataset.from_tensor_slices(parts).batch(16)


def test_labels_of_a_data_set_are_looked_at_before_training(model, images):
    """The first batch of all data: compiled by XLA a step would look at none."""
    before = model.get_weights()
    model.compile("sgd", jit_compile=True)
    right = pairs(images, LABELS)
    for data, message in [
        (pairs(images, LABELS + 1), r"Classes must be in \[0, 3\).*from 1 to 3"),
        (pairs(images, LABELS / 2), "number of a class.*Received: float64"),
        (pairs(images, LABELS.astype(str)), "number of a class.*Received: object"),
        (pairs(images), r"Received: a batch without. Call fit\(x, y\)"),
        (images, r"Received: a batch without. Call fit\(x, y\)"),
        (Pairs(images, labels=LABELS - 1), r"Classes must be in \[0, 3\).*from -1 to 1"),
    ]:
        for call in (
            functools.partial(model.fit, data),
            functools.partial(model.fit, right, validation_data=data),
            functools.partial(model.evaluate, data),
        ):
            with pytest.raises(ValueError, match=message):
                call(verbose=0)
    assert int(model.steps) == 0
    assert all(map(np.array_equal, before, model.get_weights()))


@pytest.mark.parametrize(
    "jit_compile, error",
    [
        (False, tf.errors.InvalidArgumentError),
        pytest.param(True, FloatingPointError, marks=pytest.mark.slow),
    ],
)
def test_labels_of_a_later_batch_stop_training(images, jit_compile, error):
    """By their name, and without a step; where XLA looks at none, by a loss of NaN."""
    model = build()
    model.compile("sgd", jit_compile=jit_compile)
    data = pairs(images[:32], np.repeat([0, 7], 16))
    with pytest.raises(error):
        model.fit(data, verbose=0)
    if not jit_compile:
        assert all(np.isfinite(weight).all() for weight in model.get_weights())


def test_conditions_of_unknown_rank(model, images):
    step = tf.function(
        lambda x, y: model.unpack((x, y)), [tf.TensorSpec(None), tf.TensorSpec(None, tf.int32)]
    )
    with pytest.raises(ValueError, match=r"known rank. Received: .*ensure_shape\(c, \(None,\)\)"):
        step(images, LABELS)


NOT_LABELS = {
    "fractions": [0.5, 1.0, 2.0, 0.0],
    "another number": [0, 1],
    "soft": [[0.5, 0.5, 0.0]] * 4,
    "two ones": [[1, 1, 0]] * 4,
    "strings": ["a", "b", "c", "a"],
    "NaN": [np.nan, 0.0, 1.0, 2.0],
    "another width": [[1, 0, 0, 0]] * 4,
}


@pytest.mark.parametrize("labels", NOT_LABELS.values(), ids=NOT_LABELS)
def test_labels_that_are_none(model, images, labels):
    with pytest.raises(ValueError, match="(number of a class|for each of 4 examples).* Received: "):
        model.encode(images[:4], labels)


# Labels of every kind mean the same.

KINDS = {
    "column": lambda y: y[:, None],
    "floats": lambda y: y.astype("float32"),
    "column of floats": lambda y: y[:, None].astype("float32"),
    "one-hot": lambda y: np.eye(CLASSES, dtype="float32")[y],
    "one-hot ints": lambda y: np.eye(CLASSES, dtype="uint8")[y],
    "list": list,
    "tensor": tf.constant,
}


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_of_labels(model, images, kind):
    labels = KINDS[kind](LABELS)
    codes = model.encode(images, LABELS).mean()
    assert_array_equal(model.encode(images, labels).mean(), codes)
    assert_array_equal(model.embed(images, labels), codes)
    step = tf.function(lambda x, y: model.terms(model.unpack((x, y)), training=False))
    model.evaluation_seed_generator.state.assign([0, 0])
    expected = model.terms(Conditioned(images, LABELS), training=False)["loss"]
    model.evaluation_seed_generator.state.assign([0, 0])
    found = step(tf.constant(images), tf.constant(labels))["loss"]
    assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("kind", ["column", "one-hot"])
def test_fits_on_data_sets_and_splits_with_labels_of_a_kind(images, kind):
    losses = []
    for labels in (LABELS, KINDS[kind](LABELS)):
        model = build()
        model.compile("sgd", run_eagerly=True)
        history = model.fit(images, labels, 16, validation_split=0.25, shuffle=False, verbose=0)
        data = tf.data.Dataset.from_tensor_slices((images, labels)).batch(16)
        model.fit(data, validation_data=data, verbose=0)
        losses.append([*history.history["val_loss"], *model.get_weights()[0].ravel()])
    assert_allclose(losses[0], losses[1], rtol=1e-6)


@pytest.mark.parametrize("labels", [[0.5, 1.0], [[0.5, 0.5, 0.0]] * 2, [[1, 1, 0]] * 2])
def test_labels_of_data_sets_that_are_none(model, labels):
    step = tf.function(lambda y: model.unpack((tf.zeros((2, *SHAPE)), y))[1])
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"Classes must be in \[0, 3\)"):
        step(tf.constant(labels))
    with pytest.raises(ValueError, match=r"\(batch, 3\), one-hot. Received: .*\(2, 7\)"):
        step(tf.zeros((2, 7)))


# Data sets of pairs.


class Pairs(keras.utils.PyDataset):
    def __init__(self, images, labels=LABELS, **kwargs):
        super().__init__(**kwargs)
        self.images, self.labels = images, labels

    def __len__(self):
        return 3

    def __getitem__(self, index):
        rows = slice(16 * index, 16 * index + 16)
        return self.images[rows], self.labels[rows]


def test_predicts_and_embeds_pairs(model, images):
    data = tf.data.Dataset.from_tensor_slices((images, LABELS)).batch(16)
    images_of, codes = model.reconstruct(images, LABELS), model.encode(images, LABELS).mean()
    for pairs in (data, Pairs(images)):
        assert_allclose(model.predict(pairs, verbose=0), images_of, rtol=1e-5)
        assert_allclose(model.embed(pairs), codes, rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match=r"takes pairs \[x, condition\]. Received: .*Tensor"):
        model.predict(images, verbose=0)
    with pytest.raises(ValueError, match="examples with conditions. Received: a batch without"):
        model.embed(data.map(lambda x, y: x))


def test_missing_labels(model, images):
    for method in (model.encode, model.embed, model.reconstruct):
        with pytest.raises(ValueError, match=r"needs a condition.*Received: none"):
            method(images[:4])
    with pytest.raises(ValueError, match=r"needs a condition.*Received: none"):
        model.traverse()
    model.compile("sgd", run_eagerly=True)
    with pytest.raises(ValueError, match=r"Received: a batch without. Call fit\(x, y\)"):
        model.fit(images, verbose=0)


def test_networks_of_other_conditions(model):
    decoder = networks.mlp_decoder(SHAPE, LATENT, condition_shape=2)
    with pytest.raises(ValueError, match=r"same condition. Received: .* of shape \(2,\)"):
        VAE(model.encoder, decoder)
    for kwargs in ({"num_classes": 3, "condition_shape": 2}, {"num_classes": 0}):
        with pytest.raises(ValueError, match="Received: num_classes"):
            networks.mlp_decoder(SHAPE, LATENT, **kwargs)
    for shape in (0, (), (2, 0), "two"):
        with pytest.raises(ValueError, match="condition_shape must be the shape"):
            networks.mlp_decoder(SHAPE, LATENT, condition_shape=shape)


def test_models_without_conditions_take_none(images):
    vae = VAE(networks.mlp_encoder(SHAPE, LATENT, width=4), networks.mlp_decoder(SHAPE, LATENT))
    assert vae.condition_shape is None and vae.num_classes is None
    for call in (
        lambda: vae.sample(3, condition=1),
        lambda: vae.encode(images, 1),
        lambda: vae.embed(images, 1),
        lambda: vae.traverse(condition=1),
        lambda: vae.interpolate(images[:2], images[2:4], condition=1),
        lambda: vae.given(1),
    ):
        with pytest.raises(ValueError, match="takes no condition: none of its networks does"):
            call()


def methods_with_conditions(model):
    """Public methods that take a condition, by name, with what else they need."""
    x, z = tf.zeros((2, *model.data_shape)), tf.zeros((2, *model.latent_shape))
    values = {"x": x, "z": z, "start": x, "end": x, "num_samples": 2}
    for name, method in inspect.getmembers(model, inspect.ismethod):
        parameters = inspect.signature(method).parameters
        if "condition" in parameters and not name.startswith("_"):
            needed = {
                key: values[key]
                for key, parameter in parameters.items()
                if parameter.default is inspect.Parameter.empty and key in values
            }
            if name == "traverse_latents":
                needed["z"] = z[0]
            elif name.endswith("_latents") and "start" in needed:
                needed |= {"start": z, "end": z}
            yield name, functools.partial(method, **needed)


@pytest.mark.one_of_each_kind
def test_no_method_of_a_model_without_conditions_takes_one(model_name, build_model, blobs):
    """Whatever it is called, and in pairs of examples and conditions too."""
    model = build_model(model_name)
    if model.conditions is not None:
        return
    names = []
    for name, method in methods_with_conditions(model):
        names.append(name)
        with pytest.raises(ValueError, match="takes no condition"), contextlib.ExitStack() as stack:
            result = method(condition=1)
            if hasattr(result, "__enter__"):
                stack.enter_context(result)
    assert {"decode", "generate", "sample", "sample_latents", "given"} <= set(names)
    assert not hasattr(model, "encode") or {"encode", "embed", "reconstruct"} <= set(names)
    if hasattr(model, "log_weights"):
        with pytest.raises(ValueError, match="takes no condition"):
            model.log_weights(Conditioned(blobs[:2], [0, 1]), 1, [0, 1])


def test_a_condition_beside_a_data_set_is_refused(model, images):
    """The data set has conditions of its own."""
    data = tf.data.Dataset.from_tensor_slices((images, LABELS)).batch(16)
    for call in (model.embed, functools.partial(samplers.Histogram().fit, model)):
        with pytest.raises(ValueError, match="A data set gives .* Received: .* condition=1"):
            call(data, condition=1)


def test_networks_of_one_condition_inside_others_are_refused(model):
    outer = keras.Sequential([keras.Input((LATENT,)), model.decoder])
    nested = VAE(model.encoder, outer)
    assert nested.sample(2, condition=1).shape == (2, *SHAPE)
    with pytest.raises(ValueError, match="Received: a VAE with such a network inside another"):
        nested.given(1)


def test_a_prior_of_posteriors_needs_its_conditions():
    with pytest.raises(ValueError, match="needs a condition.*Received: none"):
        build(prior=layers.VampPrior(SHAPE, 2, seed=0))


# Conditions that are no classes.


@pytest.mark.parametrize("shape", [(2,), (3, 2), SHAPE])
@pytest.mark.slow
def test_real_conditions(images, shape):
    """Vectors, matrices and images: x is their mean everywhere."""
    c = np.random.default_rng(0).uniform(size=(48, *shape)).astype("float32")
    x = np.broadcast_to(c.reshape(48, 1, 1, -1).mean(axis=-1, keepdims=True), (48, *SHAPE))
    keras.utils.set_random_seed(0)
    options = {"latent_dim": LATENT, "width": 16, "condition_shape": shape}
    head = functools.partial(layers.FixedScaleNormal, scale=0.1)
    decoder = networks.mlp_decoder(SHAPE, head=head, **options)
    model = VAE(networks.mlp_encoder(SHAPE, **options), decoder, seed=0)
    assert model.condition_shape == shape and model.num_classes is None
    model.compile(keras.optimizers.Adam(0.01))
    model.fit(x, c, batch_size=16, epochs=200, verbose=0)
    assert np.std(model.sample(48, seed=0, condition=c) - x) < 0.5 * np.std(x)
    assert_allclose(model.given(c[0]).sample(1, seed=0), model.sample(1, 0, condition=c[0]))
    with pytest.raises(ValueError, match="needs a condition"):
        model.sample(3)
    with pytest.raises(ValueError, match=r"real numbers of shape .* Received: .* of shape \(7,\)"):
        model.sample(3, condition=np.zeros(7))


def test_an_encoder_may_see_more_than_is_modelled(images):
    """A mask of what is missing, say: samples need no condition."""
    encoder = networks.mlp_encoder(SHAPE, LATENT, width=16, condition_shape=SHAPE)
    model = VAE(encoder, networks.mlp_decoder(SHAPE, LATENT, width=16), seed=0)
    model.compile("adam")
    model.fit(images, np.ones_like(images), verbose=0)
    assert model.sample(3).shape == (3, *SHAPE) and not model.samples_are_conditional
    assert model.interpolate(images[:2], images[2:4], 3, images[:2]).shape == (2, 3, *SHAPE)
    for call in (model.sample, lambda condition: model.decode(tf.zeros((3, 2)), condition)):
        with pytest.raises(ValueError, match="decoder of this VAE takes no condition"):
            call(condition=images[:3])
    assert_array_equal(
        model.given(np.ones(SHAPE)).embed(images), model.embed(images, np.ones(SHAPE))
    )


# Adversarial models.


def test_a_conditional_gan_draws_what_it_is_told(images):
    keras.utils.set_random_seed(0)
    generator = networks.mlp_generator(
        SHAPE, LATENT, (32,), output_activation="sigmoid", num_classes=CLASSES
    )
    model = GAN(
        generator, networks.mlp_discriminator(SHAPE, (32,), 0.0, num_classes=CLASSES), seed=0
    )
    model.compile(keras.optimizers.Adam(2e-3, beta_1=0.5))
    x, labels = np.tile(images, (4, 1, 1, 1)), np.tile(LABELS, 4)
    model.fit(x, labels, batch_size=32, epochs=60, verbose=0)
    drawn = np.asarray(model.sample(300, seed=0))
    columns = drawn.mean(axis=(1, 3)).argmax(axis=1)
    assert np.mean(columns == np.arange(300) % CLASSES) > 0.95
    assert_allclose(model.given(2).sample(4, seed=0), model.sample(4, 0, condition=2), rtol=1e-6)


def test_discriminators_see_the_condition(images):
    """Logits of a GAN with a discriminator that knows the class alone, against it."""
    x, c = keras.Input(SHAPE), keras.Input((CLASSES,))
    weights = np.array([[1.0], [2.0], [3.0]])
    dense = keras.layers.Dense(1, kernel_initializer=keras.initializers.Constant(weights))
    network = keras.Model([x, c], dense(c))
    generator = networks.mlp_generator(SHAPE, LATENT, (8,), output_activation="sigmoid")
    model = GAN(generator, layers.Conditional(network, CLASSES), seed=0)
    with layers.given(LABELS[:6]):
        terms = model.discriminator_terms(images[:6], training=False)
    assert_allclose(terms["real_logits"][:, 0], LABELS[:6] + 1.0)
    model.compile("sgd", run_eagerly=True)
    logs = model.evaluate(images, LABELS, verbose=0, return_dict=True)
    assert logs["fake_logits"] == pytest.approx(2.0)


def test_the_ali_of_one_class(images, tmp_path):
    options = {"width": (8,), "num_classes": CLASSES}
    generator = networks.mlp_generator(SHAPE, LATENT, output_activation="sigmoid", **options)
    model = ALI(
        networks.mlp_encoder(SHAPE, LATENT, **options),
        generator,
        networks.joint_discriminator(SHAPE, LATENT, dropout=0.0, **options),
        seed=0,
    )
    under = model.given(1)
    for each in (model, under):
        each.compile("sgd", run_eagerly=True)
    logs = model.evaluate(images[:6], np.ones(6), verbose=0, return_dict=True)
    expected = under.evaluate(images[:6], verbose=0, return_dict=True)
    assert logs == pytest.approx(expected, rel=1e-5)
    under.save(tmp_path / "model.keras")
    assert_array_equal(load_model(tmp_path / "model.keras").sample(2, 0), under.sample(2, 0))


def test_features_of_conditional_discriminators(images, tmp_path):
    makers = networks.mlp_encoder, networks.mlp_decoder
    options = {"width": (8,), "num_classes": CLASSES}
    model = VAEGAN(
        *(make(SHAPE, LATENT, **options) for make in makers),
        networks.mlp_discriminator(SHAPE, dropout=0.0, **options),
        feature_layer="features",
        seed=0,
    )
    model.compile("sgd", run_eagerly=True)
    logs = model.evaluate(images[::3], LABELS[::3], verbose=0, return_dict=True)
    under = model.given(0)
    under.compile("sgd", run_eagerly=True)
    expected = under.evaluate(images[::3], verbose=0, return_dict=True)
    for name, value in expected.items():
        assert logs[name] == pytest.approx(value, rel=1e-5), name
    under.save(tmp_path / "model.keras")
    assert_array_equal(load_model(tmp_path / "model.keras").sample(2, 0), under.sample(2, 0))


# Likelihoods.


def test_log_weights_are_those_of_each_class(model, images):
    """Of one class, against the VAE that is left when the label is given."""
    seed = tf.constant([0, 1])
    for label in range(CLASSES):
        x, labels = images[:4], tf.fill((4,), label)
        weights = model.log_weights(Conditioned(x, labels), 5, seed)
        expected = model.given(label).log_weights(x, 5, seed)
        assert_allclose(weights, expected, rtol=1e-5, atol=1e-5)
    mixed = model.log_weights(Conditioned(images[:4], LABELS[:4]), 5, seed)
    for i, label in enumerate(LABELS[:4]):
        one = model.log_weights(Conditioned(images[:4], tf.fill((4,), label)), 5, seed)
        assert_allclose(mixed[:, i], one[:, i], rtol=1e-5, atol=1e-5)


def test_importance_sampled_nll_of_pairs(model, images):
    result = metrics.importance_sampled_nll(model, (images, LABELS), 20, at=(1,), verbose=False)
    assert len(result.nlls) == 48
    assert result.nll < result.bounds[1]


# A ladder.


@pytest.mark.slow
def test_a_conditional_ladder(images):
    """Terms are those of the ladder of each class, and samples follow the class."""
    keras.utils.set_random_seed(0)
    sizes, widths = (2, 1), (16, 8)
    decoder = networks.mlp_decoder(SHAPE, 2, width=16, num_classes=CLASSES)
    model = LadderVAE(
        networks.ladder_encoder(SHAPE, sizes, widths, num_classes=CLASSES),
        networks.ladder_decoder(decoder, sizes),
        networks.ladder_prior(sizes, widths),
        seed=0,
    )
    for label in range(CLASSES):
        one = model.given(label)
        assert one.conditions is None
        found = model.terms(Conditioned(images, np.full(48, label)), training=False)
        expected = one.terms(images, training=False)
        model.evaluation_seed_generator.state.assign([0, 0])
        for name, value in expected.items():
            assert_allclose(found[name], value, rtol=1e-4, atol=1e-5, err_msg=name)
    model.compile(keras.optimizers.Adam(0.02))
    model.fit(np.tile(images, (4, 1, 1, 1)), np.tile(LABELS, 4), 48, epochs=40, verbose=0)
    assert_allclose(model.sample(9, seed=0), images[:9], atol=0.2)
