"""An average of the generator's weights: followed by hand, used by samples, and never trained."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal

from tfgen import models

ALL = ["gan", "wgan", "wgan_gp", "aae", "ali", "vae_gan", "constrained", "alpha_gan", "gvae"]
MOMENTUM = 0.6


class Follow(keras.callbacks.Callback):
    """The average by its definition: the weights of the first step, then a share of each."""

    average = None

    def on_train_batch_end(self, batch, logs=None):
        weights = [v.numpy().astype("float64") for v in self.model.decoder.trainable_variables]
        old = self.average or weights
        pairs = zip(old, weights, strict=True)
        self.average = [MOMENTUM * a + (1 - MOMENTUM) * w for a, w in pairs]


def trained(build_model, blobs, name, epochs=1, optimizer="adam", **kwargs):
    """A model after two steps an epoch, and what followed it."""
    model, follow = build_model(name, **kwargs), Follow()
    model.compile(optimizer, steps_per_execution=1)
    model.fit(blobs, batch_size=32, epochs=epochs, verbose=0, callbacks=[follow])
    return model, follow.average


def with_weights(model, weights, function):
    """What a function returns while the decoder has other trained weights."""
    variables = model.decoder.trainable_variables
    before = [v.numpy() for v in variables]
    for variable, value in zip(variables, weights, strict=True):
        variable.assign(value)
    result = function()
    for variable, value in zip(variables, before, strict=True):
        variable.assign(value)
    return result


@pytest.mark.parametrize("name", ALL)
@pytest.mark.slow
def test_samples_are_those_of_the_average_and_training_of_the_weights(name, build_model, blobs):
    model, average = trained(build_model, blobs, name, generator_average=MOMENTUM)
    twin, _ = trained(build_model, blobs, name)
    for ours, others in zip(model.get_weights(), twin.get_weights(), strict=True):
        assert_array_equal(ours, others)
    z = model.sample_latents(5, [0, 1])
    plain = twin.generate(z)
    expected = with_weights(twin, average, lambda: twin.generate(z))
    assert np.abs(expected - plain).max() > 1e-4
    # Float32 rounding of averages and of two layers.
    assert_allclose(model.generate(z), expected, rtol=1e-4, atol=1e-6)
    assert_array_equal(model.sample(5, seed=3), model.generate(model.sample_latents(5, [3, 0])))
    if hasattr(model, "reconstruct"):
        expected = with_weights(twin, average, lambda: twin.reconstruct(blobs[:4]))
        assert_allclose(model.reconstruct(blobs[:4]), expected, rtol=1e-4, atol=1e-6)
    # The players' losses are those of the weights.
    assert model.evaluate(blobs, verbose=0) == twin.evaluate(blobs, verbose=0)


def test_before_the_first_step_it_is_the_weights(build_model, blobs):
    model = build_model("gan", generator_average=MOMENTUM)
    z = model.sample_latents(3, [0, 1])
    expected = model.generator(z)
    assert_array_equal(model.generate(z), expected)
    model.compile("adam")
    assert_array_equal(model.generate(z), expected)
    assert_allclose(model.predict(z, verbose=0), expected, rtol=1e-5)
    model.fit(blobs, batch_size=32, verbose=0)
    assert_allclose(model.predict(z, verbose=0), model.generate(z), rtol=1e-5)


def test_several_steps_of_the_generator_count_alike(build_model, blobs):
    """Weights that stand still are their own average, also after several steps."""
    model = build_model("gan", generator_average=MOMENTUM, generator_steps=2)
    model.compile({"discriminator": "sgd", "generator": keras.optimizers.SGD(0.0)})
    before = model.generator.get_weights()
    model.fit(blobs, batch_size=64, verbose=0)
    assert int(model.optimizers["generator"].iterations) == 2
    z = model.sample_latents(3, [0, 1])
    assert_allclose(model.generate(z), model.generator(z), rtol=1e-6)
    assert_array_equal(before[0], model.generator.get_weights()[0])


@pytest.mark.parametrize("name", ["gan", "vae_gan", "gvae"])
@pytest.mark.slow
def test_files_hold_both(name, build_model, blobs, tmp_path):
    model, _ = trained(build_model, blobs, name, generator_average=MOMENTUM)
    model.save(tmp_path / "model.keras")
    loaded = models.load_model(tmp_path / "model.keras")
    assert loaded.generator_average == MOMENTUM
    for _ in range(2):
        assert_array_equal(loaded.sample(4, seed=0), model.sample(4, seed=0))
        for ours, others in zip(loaded.get_weights(), model.get_weights(), strict=True):
            assert_array_equal(ours, others)
        for one in (model, loaded):
            one.fit(blobs, batch_size=32, shuffle=False, verbose=0)
    z = model.sample_latents(4, [0, 1])
    raw = models.load_model(tmp_path / "model.keras", compile=False)
    assert_allclose(raw.generate(z), models.outputs.mean_of(raw.decoder(z)), rtol=1e-6)


def test_interrupted_runs_go_on_exactly(build_model, blobs, tmp_path):
    def run(folder, *callbacks):
        model = build_model("gan", generator_average=MOMENTUM)
        model.compile("adam", steps_per_execution=1)
        backup = keras.callbacks.BackupAndRestore(tmp_path / folder, save_freq=3)
        model.fit(blobs, batch_size=16, epochs=2, verbose=0, callbacks=[backup, *callbacks])
        return model

    class Interrupt(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if int(self.model.steps) == 5:
                raise KeyboardInterrupt

    whole = run("one")
    with pytest.raises(KeyboardInterrupt):
        run("other", Interrupt())
    resumed = run("other")
    assert_array_equal(resumed.sample(6, seed=0), whole.sample(6, seed=0))
    z = whole.sample_latents(6, [0, 1])
    assert np.abs(whole.generate(z) - whole.generator(z)).max() > 1e-4


def test_exported_samples_are_those_of_the_average(build_model, blobs, tmp_path):
    model, _ = trained(build_model, blobs, "gan", generator_average=MOMENTUM)
    model.export(tmp_path / "served")
    z = model.sample_latents(3, [0, 1])
    served = tf.saved_model.load(tmp_path / "served")
    assert_allclose(served.generate(z), model.generate(z), rtol=1e-5, atol=1e-6)


def test_scaled_losses(build_model, blobs):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model, average = trained(build_model, blobs, "gan", generator_average=MOMENTUM)
    finally:
        keras.config.set_dtype_policy("float32")
    z = model.sample_latents(3, [0, 1])
    expected = with_weights(model, average, lambda: model.generator(z))
    assert_allclose(model.generate(z), tf.cast(expected, "float32"), atol=1e-2)


# Errors.


@pytest.mark.parametrize("value", [1.0, -0.1, "0.9", None])
def test_what_is_no_momentum(value, build_model):
    with pytest.raises(ValueError, match="generator_average must be .*Received: generator_av"):
        build_model("gan", generator_average=value)


def test_averages_of_two_kinds(build_model, blobs):
    model = build_model("gan", generator_average=MOMENTUM)
    with pytest.raises(ValueError, match="momentum of 0.6.*Received: .*ema_momentum=0.5"):
        model.compile(keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5))
    used = keras.optimizers.SGD(0.1)
    build_model("gan").compile({"discriminator": "sgd", "generator": used})
    with pytest.raises(ValueError, match="built=True. Give a new one"):
        model.compile({"discriminator": "sgd", "generator": used})
    model.compile({"discriminator": keras.optimizers.SGD(0.1, use_ema=True), "generator": "sgd"})
    with pytest.raises(ValueError, match="Samples come from the averages already"):
        model.fit(blobs, callbacks=[keras.callbacks.SwapEMAWeights()], verbose=0)
    with pytest.raises(ValueError, match="Samples come from the averages already"):
        model.swap_averages()


def test_averages_of_conditional_generators(build_model, blobs):
    model = build_model("conditional_gan", generator_average=MOMENTUM, proximity=0.0)
    model.compile("adam", steps_per_execution=1)
    follow, labels = Follow(), np.arange(len(blobs)) % 2
    model.fit(blobs, labels, batch_size=32, verbose=0, callbacks=[follow])
    twin = models.GAN(model.generator, model.discriminator)
    expected = with_weights(twin, follow.average, lambda: twin.sample(4, seed=1, condition=1))
    sample = model.sample(4, seed=1, condition=1)
    assert_allclose(sample, expected, rtol=1e-4, atol=1e-6)
    assert np.abs(sample - twin.sample(4, seed=1, condition=1)).max() > 1e-4
