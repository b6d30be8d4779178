"""Runs that diverge: the message names loss and step, and what is on disk is from before."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen.models import GAN, GenerativeModel, Update
from tfgen.models.divergence import StopOnDivergence

NUM_BATCHES = 4


class Exploding(GenerativeModel):
    """Two weights on x^2 / 2; the loss of `bad` is NaN or infinite in step `bad_step` alone."""

    def __init__(self, bad="second_loss", bad_step=10**6, value=float("nan"), **kwargs):
        super().__init__(data_shape=(1,), **kwargs)
        self.bad, self.bad_step, self.value = bad, bad_step, value
        self.first = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        self.second = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])

    @property
    def updates(self):
        return [
            Update("first", (self.first,), self.first_terms, "first_loss"),
            Update("second", (self.second,), self.second_terms, "second_loss"),
        ]

    def first_terms(self, x, training=True):
        return self.terms("first_loss", self.first(x))

    def second_terms(self, x, training=True):
        return self.terms("second_loss", self.second(x))

    def terms(self, name, output):
        loss = tf.square(output)[:, 0] / 2
        now = tf.equal(tf.convert_to_tensor(self.steps) + 1, self.bad_step)
        if name == self.bad:
            loss = loss * tf.where(now, self.value, 1.0)
        return {name: loss}


def exploding(steps_per_execution=None, rate=0.01, **kwargs):
    keras.utils.set_random_seed(0)
    model = Exploding(seed=0, **kwargs)
    sgd = keras.optimizers.SGD(rate)
    model.compile(sgd, steps_per_execution=steps_per_execution, jit_compile=False)
    return model


def fit(model, epochs=3, **kwargs):
    x = np.ones((8 * NUM_BATCHES, 1), "float32")
    return model.fit(x, batch_size=8, epochs=epochs, verbose=0, **kwargs)


def finite(model):
    return all(np.isfinite(weight).all() for weight in model.get_weights())


class Interrupt(keras.callbacks.Callback):
    def __init__(self, step):
        super().__init__()
        self.step = step

    def on_train_batch_end(self, batch, logs=None):
        if int(self.model.steps) == self.step:
            raise KeyboardInterrupt


@pytest.mark.parametrize("steps_per_execution", [1, None])
@pytest.mark.parametrize("bad_step, epoch", [(1, 1), (3, 1), (4, 1), (6, 2)])
def test_message_names_the_loss_and_the_step(bad_step, epoch, steps_per_execution):
    """One step per call of the loop, or the whole epoch of four in one call."""
    model = exploding(steps_per_execution, bad_step=bad_step)
    message = (
        rf"Exploding diverged: second_loss became NaN or infinite at step {bad_step} "
        rf"\(epoch {epoch}\)\. No callback saved a good state.*learning rate.*BackupAndRestore"
    )
    with pytest.raises(FloatingPointError, match=message):
        fit(model)


def test_32_steps_in_one_call():
    model = exploding(32, bad_step=45)
    with pytest.raises(FloatingPointError, match=r"second_loss became .* at step 45 \(epoch 2\)"):
        model.fit(np.ones((32, 1), "float32"), batch_size=1, epochs=3, verbose=0)


@pytest.mark.parametrize("bad", ["first_loss", "second_loss"])
@pytest.mark.parametrize("value", [float("inf"), -float("inf")])
def test_infinite_losses(bad, value):
    model = exploding(bad=bad, bad_step=2, value=value)
    with pytest.raises(FloatingPointError, match=f"diverged: {bad} became .* at step 2 "):
        fit(model)


def test_resumed_runs_count_on(tmp_path):
    """The step is the model's own, also where the epoch begins in its middle."""

    def run(callbacks=(), bad_step=10**6):
        backup = keras.callbacks.BackupAndRestore(tmp_path / "backup", save_freq=1)
        model = exploding(1, bad_step=bad_step)
        fit(model, callbacks=[*callbacks, backup])
        return model

    with pytest.raises(KeyboardInterrupt):
        run([Interrupt(6)])
    with pytest.raises(
        FloatingPointError, match=r"at step 7 \(epoch 2\).*good state is in .*backup"
    ):
        run(bad_step=7)
    model = run()  # The backup is from step 6: once the cause is gone the run goes on.
    assert int(model.steps) == 3 * NUM_BATCHES
    reference = exploding(1)
    fit(reference)
    for a, b in zip(model.get_weights(), reference.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("save_freq", ["epoch", 1])
def test_files_hold_the_last_good_state(save_freq, tmp_path):
    saved = tmp_path / "saved.weights.h5"
    kwargs = {"save_freq": save_freq, "save_weights_only": True}
    callbacks = [
        keras.callbacks.ModelCheckpoint(saved, **kwargs),
        keras.callbacks.BackupAndRestore(tmp_path / "backup", save_freq=save_freq),
    ]
    model = exploding(1, bad_step=7)
    message = r"step 7 \(epoch 2\)\. The last good state is in .*saved\.weights\.h5 and .*backup"
    with pytest.raises(FloatingPointError, match=message):
        fit(model, callbacks=callbacks)
    assert not finite(model)
    restored = exploding()
    restored.load_weights(saved)
    assert finite(restored)
    assert int(restored.steps) == (NUM_BATCHES if save_freq == "epoch" else 6)
    resumed = exploding(1)
    fit(resumed, callbacks=[keras.callbacks.BackupAndRestore(tmp_path / "backup")])
    assert finite(resumed)
    assert int(resumed.steps) == 3 * NUM_BATCHES


@pytest.mark.parametrize("saves_by_batches", [False, True])
def test_infinite_weights_behind_finite_losses(saves_by_batches, tmp_path):
    """The last step of an epoch may leave them: its own loss came before."""

    class Huge(Exploding):
        def first_terms(self, x, training=True):
            """The mean over 8 is finite, and its gradient of 1e38 times a rate of 10 is not."""
            last = tf.equal(tf.convert_to_tensor(self.steps) + 1, 4)
            output = self.first(x)[:, 0]
            output -= tf.stop_gradient(output)
            return {"first_loss": tf.where(last, 1e38, 1.0) * output}

    keras.utils.set_random_seed(0)
    model = Huge(seed=0)
    rates = {"first": keras.optimizers.SGD(10.0), "second": keras.optimizers.SGD(0.01)}
    model.compile(rates, steps_per_execution=1, jit_compile=False)
    path = tmp_path / "saved.weights.h5"
    checkpoint = keras.callbacks.ModelCheckpoint(
        path, save_weights_only=True, save_freq=1 if saves_by_batches else "epoch"
    )
    with pytest.raises(FloatingPointError, match=r"weights became .* by step 4 \(epoch 1\)"):
        fit(model, callbacks=[checkpoint])
    assert path.exists() == saves_by_batches
    if saves_by_batches:
        model.load_weights(path)
        assert finite(model) and int(model.steps) == 3


def test_exploding_gan():
    """Linear networks and a square loss with a rate too large by far: each step multiplies."""
    keras.utils.set_random_seed(0)
    networks = [keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)]) for _ in range(2)]
    model = GAN(*networks, loss="least_squares", seed=0)
    model.compile(keras.optimizers.SGD(1e4), jit_compile=False)
    message = r"GAN diverged: .*_loss became NaN or infinite at step 1?\d \(epoch 1\)"
    with pytest.raises(FloatingPointError, match=message):
        model.fit(np.ones((64, 1), "float32"), batch_size=1, verbose=0)


def test_a_step_counts_where_all_replicas_were_finite():
    """Of two replicas one went bad in the sixth step; the update then breaks both."""
    model = exploding()
    guard = StopOnDivergence((), model.averages, ["first_loss", "second_loss"])
    guard.set_model(model)
    guard.on_epoch_begin(0)
    model.averages.finite_steps.assign([5.5, 7.0])
    with pytest.raises(FloatingPointError, match="first_loss became .* at step 6 "):
        guard.on_train_batch_end(0, {"first_loss": float("nan"), "second_loss": 1.0})


def test_healthy_runs_are_left_alone(tmp_path):
    model = exploding()
    callbacks = [keras.callbacks.BackupAndRestore(tmp_path, save_freq=1)]
    assert len(fit(model, callbacks=callbacks).history["first_loss"]) == 3
    assert finite(model)
