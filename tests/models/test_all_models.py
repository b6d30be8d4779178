"""What all models have in common: training, sampling, saving, resuming."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal

from tfgen import layers, models, samplers
from tfgen._utils import keras_private
from tfgen.models import autoencoding, outputs
from tfgen.models.training_data import parted


def optimizers(model):
    """One of another kind for each update."""
    kinds = [
        lambda: keras.optimizers.Adam(1e-2, beta_1=0.5),
        lambda: keras.optimizers.RMSprop(1e-2),
        lambda: keras.optimizers.SGD(1e-2, momentum=0.9),
        lambda: keras.optimizers.Nadam(1e-2),
    ]
    return {update.name: kind() for update, kind in zip(model.updates, kinds, strict=False)}


def labels_of(images):
    return (np.mean(images, axis=(1, 2, 3)) > 0).astype("int32")


def data_for(model, images):
    """The x and y that a model is trained on."""
    return images, labels_of(images) if getattr(model, "num_classes", None) else None


def fit(model, images, epochs, **kwargs):
    x, y = data_for(model, images[:48])
    return model.fit(x, y, batch_size=16, epochs=epochs, verbose=0, **kwargs).history


def state(model):
    """Everything that training depends on."""
    variables = [*model.variables]
    for optimizer in model.optimizers.values():
        variables += optimizer.variables
    return [keras.ops.convert_to_numpy(v) for v in variables]


def assert_same_state(a, b):
    for left, right in zip(state(a), state(b), strict=True):
        assert_array_equal(left, right)


class StepsAtBegin(keras.callbacks.Callback):
    """Notes how many steps were done when training began, after backups are restored."""

    def on_train_begin(self, logs=None):
        self.steps = int(self.model.steps)


# Training, evaluation, sampling.


@pytest.mark.one_of_each_kind
def test_trains_evaluates_and_samples(model_name, build_model, blobs):
    """As a compiled loop; the two autoencoding losses that are minimised fall."""
    model = build_model(model_name)
    model.compile(optimizers(model), jit_compile=False)
    x = np.tile(blobs[:48], (4, 1, 1, 1))
    x, y = data_for(model, x)
    history = model.fit(x, y, batch_size=48, epochs=10, verbose=0).history
    assert all(np.isfinite(values).all() for values in history.values())
    reconstruction = history.get("reconstruction")
    if reconstruction and model_name != "ali":
        assert reconstruction[-1] < reconstruction[0]
    first, second = (model.evaluate(x, y, batch_size=96, verbose=0, return_dict=True) for _ in "ab")
    assert first == second
    assert set(first) == set(history)
    if getattr(model, "num_classes", None):
        model = model.given(1)
    check_samples(model)
    if isinstance(model, autoencoding.AutoencodingModel):
        check_codes(model, blobs)


def check_samples(model):
    assert model.sample(5, seed=1).shape == (5, 2, 2, 1)
    assert_array_equal(model.sample(5, seed=1), model.sample(5, seed=1))
    assert not np.array_equal(model.sample(5, seed=1), model.sample(5, seed=2))
    z = model.sample_latents(3, [0, 1])
    assert_array_equal(model.sample_latents(3, [0, 1]), z)
    assert_allclose(model.generate(z), outputs.mean_of(model.decode(z)))
    images = model.interpolate_latents(z[:1], z[1:2], num_steps=3)
    assert_allclose(images[0, 1], model.generate((z[:1] + z[1:2]) / 2)[0], rtol=1e-4, atol=1e-5)


def check_codes(model, x):
    codes = model.embed(x[:6])
    assert_array_equal(codes, outputs.mean_of(model.encode(x[:6])))
    images = model.generate(codes)
    assert_allclose(model.reconstruct(x[:6]), images, rtol=1e-4, atol=1e-5)
    assert_allclose(model.predict(x[:6], verbose=0), images, rtol=1e-4, atol=1e-5)
    path = model.interpolate(x[:2], x[2:4], num_steps=4)
    assert_allclose(
        path.numpy()[:, [0, -1]], np.stack([images[:2], images[2:4]], 1), rtol=1e-4, atol=1e-5
    )
    grid = model.traverse(x[0], dims=[1], values=[np.ravel(codes[0])[1], 2.0])
    assert_allclose(grid[0, 0], images[0], rtol=1e-4, atol=1e-5)


# Saving and resuming, with Dropout and BatchNormalization in all networks that may have them.


@pytest.mark.one_of_each_kind
def test_resumed_and_loaded_runs_continue_exactly(model_name, build_model, blobs, tmp_path):
    """From a backup in the middle of the second epoch, and from a file at its end."""

    def train():
        model = build_model(model_name, noisy=True)
        model.compile(optimizers(model), run_eagerly=True, steps_per_execution=1)
        backup = keras.callbacks.BackupAndRestore(tmp_path, save_freq=4, delete_checkpoint=False)
        started = StepsAtBegin()
        fit(model, blobs, 2, callbacks=[backup, started])
        return model, started.steps

    reference, steps = train()
    assert steps == 0
    resumed, steps = train()
    assert steps == 4
    assert_same_state(reference, resumed)
    reference.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    assert type(loaded) is type(reference)
    assert_same_state(reference, loaded)
    for model in (reference, loaded):
        model.fit(*data_for(model, blobs[:16]), batch_size=16, verbose=0)
    assert_same_state(reference, loaded)


# Precision and XLA.


@pytest.mark.one_of_each_kind
def test_mixed_precision(model_name, bfloat16, build_model, blobs):
    model = build_model(model_name)
    assert any(part.compute_dtype == "bfloat16" for part in keras_private.sublayers(model.decoder))
    assert all(v.dtype == "float32" for v in model.trainable_variables)
    before = model.decoder.get_weights()
    model.compile(keras.optimizers.Adam(1e-2), run_eagerly=True)
    x, y = data_for(model, blobs[:16])
    history = model.fit(x, y, batch_size=16, verbose=0).history
    assert all(np.isfinite(values).all() for values in history.values())
    for old, new in zip(before, model.decoder.get_weights(), strict=True):
        assert not np.array_equal(old, new)
    for update in model.updates:
        batch = model.unpack((tf.constant(x), None if y is None else tf.constant(y)))
        inputs, condition = parted(update.inputs(batch, training=False)[-1])
        with layers.given(condition):
            assert update.terms(inputs, training=False)[update.minimise].dtype == tf.float32


def test_xla_trains_as_without(build_model, blobs):
    for name in ("wgan_gp", "vae"):
        assert_xla_trains_as_without(name, build_model, blobs)


@pytest.mark.slow
def test_xla_trains_every_model_as_without(model_name, build_model, blobs):
    assert_xla_trains_as_without(model_name, build_model, blobs)


def assert_xla_trains_as_without(name, build_model, blobs):
    """XLA draws the same noise from the same seed: losses and weights agree."""
    losses, weights = {}, {}
    for jit_compile in (False, True):
        model = build_model(name)
        model.compile(keras.optimizers.SGD(1e-3), jit_compile=jit_compile, steps_per_execution=1)
        x, y = data_for(model, blobs)
        losses[jit_compile] = model.fit(x, y, batch_size=32, epochs=2, verbose=0).history
        weights[jit_compile] = model.get_weights()
    assert set(losses[False]) == set(losses[True])
    for key, value in losses[False].items():
        # Four steps, each of some hundred operations that float32 rounds in another order.
        assert losses[True][key] == pytest.approx(value, rel=1e-3, abs=1e-4), key
    for plain, compiled in zip(weights[False], weights[True], strict=True):
        assert_allclose(plain, compiled, rtol=1e-3, atol=1e-5)


# Priors.


def test_trained_priors(build_model, blobs):
    """The encoder's update moves the prior of a VAE-GAN; that of a GAN's family is given."""
    for name, moves in {"vae_gan": True, "gvae": True, "alpha_gan": False}.items():
        prior = layers.MixtureOfNormals(2, 3, seed=0)
        before = [np.array(weight) for weight in prior.get_weights()]
        model = build_model(name, prior=prior)
        model.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
        fit(model, blobs, 1)
        pairs = zip(before, prior.get_weights(), strict=True)
        assert [not np.array_equal(a, b) for a, b in pairs] == [moves] * 3, name


@pytest.mark.one_of_each_kind
def test_a_sampler_takes_the_place_of_the_prior(model_name, build_model, blobs):
    """Of every model with codes of one kind; the others say why not."""
    model = build_model(model_name)
    discrete = isinstance(model, models.VQVAE)
    if discrete:
        sampler = samplers.Autoregressive(width=8, depth=1, num_heads=2, epochs=1)
    else:
        sampler = samplers.GaussianMixture(2, covariance="diag")
    x, condition = data_for(model, blobs)
    if not hasattr(model, "encode"):
        with pytest.raises(ValueError, match="has no encode"):
            sampler.fit(model, x, verbose=False)
        return
    sampler.fit(model, x, verbose=False, condition=condition)
    images = model.sample(3, seed=0, prior=sampler)
    own_space = model_name in ("spherical_vae", "poincare_vae", "relaxed_vae")
    if own_space or isinstance(model, (models.LadderVAE, models.DRAW)):
        message = "HierarchicalNormal|standard normal priors|densities over the same vectors"
        with pytest.raises(ValueError, match=message):
            model.with_prior(sampler)
        return
    other = model.with_prior(sampler)
    assert_array_equal(other.sample(3, seed=0), images)
    assert other.decoder is model.decoder and other.prior is sampler
    other.compile()
    logs = other.evaluate(x, condition, verbose=0, return_dict=True)
    if "elbo" in logs and discrete:
        expected = -np.mean(sampler.log_prob(model.indices(blobs)))
        assert_allclose(logs["kl"], expected, rtol=1e-4)
    assert all(np.isfinite(value) for value in logs.values())


def test_pipelines_that_do_not_say_the_shape(model_name, build_model, blobs):
    """As those of `tf.numpy_function`: a step of any model knows the shape of its data."""
    model = build_model(model_name)
    x = tf.TensorSpec(None)
    batch = (x,) if model.num_classes is None else (x, tf.TensorSpec((None,), tf.int32))
    unpack = tf.function(lambda *batch: tf.nest.flatten(model.unpack(batch))[0], batch)
    labels = [np.zeros(len(blobs), "int32")] * (len(batch) - 1)
    found = unpack.get_concrete_function().structured_outputs
    assert found.shape.as_list() == [None, *model.data_shape]
    np.testing.assert_array_equal(unpack(blobs, *labels), blobs)
