"""Killed runs go on exactly where their last backup was, on a toy with two updates."""

import csv

import keras
import numpy as np
import pytest
from toy import NUM_BATCHES, Interrupt, assert_same_state, data, fit, toy

from tfgen import callbacks, layers, models, networks


@pytest.mark.parametrize("save_freq, steps_per_execution", [("epoch", 1), (1, 1), (3, 1), (2, 2)])
def test_backup_and_restore_resumes_exactly(tmp_path, save_freq, steps_per_execution):
    """Also with Keras' own loop over single steps, which runs past the end of the data."""

    def run(folder, interrupts):
        model = toy()
        model.compile(dict(model.optimizers), steps_per_execution=steps_per_execution)
        backup = keras.callbacks.BackupAndRestore(folder, save_freq=save_freq)
        fit(model, 3, callbacks=[*interrupts, backup])
        return model

    reference = run(tmp_path / "a", [])
    for step in (NUM_BATCHES + 2, 2 * NUM_BATCHES + 3):
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "b", [Interrupt(step)])
    resumed = run(tmp_path / "b", [])
    assert int(resumed.steps) == 3 * NUM_BATCHES
    assert_same_state(reference, resumed)


# What an uninterrupted run leaves behind: logs, files, decisions.


class Kill(keras.callbacks.Callback):
    """Interrupts at the n-th call of a method, which comes after or before a backup was written."""

    def __init__(self, hook, n):
        super().__init__()
        self.calls = 0
        setattr(self, hook, self.count)
        self.n = n

    def count(self, *args, **kwargs):
        self.calls += 1
        if self.calls == self.n:
            raise KeyboardInterrupt


def decided_run(folder, kill=(), epochs=6):
    """A run with all callbacks that decide; its model, and those that have a say."""
    folder.mkdir(exist_ok=True)
    model = toy()
    optimizers = {"critic": "sgd", "generator": keras.optimizers.Adam(0.2)}
    model.compile(optimizers, steps_per_execution=1, run_eagerly=True)
    stop = keras.callbacks.EarlyStopping("val_critic_loss", patience=2, restore_best_weights=True)
    stop.mode = "min"
    plateau = keras.callbacks.ReduceLROnPlateau("critic_loss", 0.5, patience=1, mode="min")
    best = keras.callbacks.ModelCheckpoint(
        folder / "best.weights.h5", "val_generator_loss", save_best_only=True, mode="min",
        save_weights_only=True,
    )  # fmt: skip
    logger = keras.callbacks.CSVLogger(folder / "log.csv", append=True)
    backup = keras.callbacks.BackupAndRestore(folder / "backup", save_freq=1)
    everyone = [*kill, backup, stop, plateau, best, logger]
    fit(model, epochs, callbacks=everyone, validation_data=data()[:8])
    return model, stop, best


def rows(folder):
    with open(folder / "log.csv", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reference")
    return folder, *decided_run(folder)


@pytest.mark.parametrize(
    "hook, n",
    [
        ("on_train_batch_begin", 2 * NUM_BATCHES + 3),  # In the middle of the third epoch.
        ("on_test_begin", 3),  # After its last batch, before validation.
        ("on_epoch_end", 3),  # After validation, before any callback has decided.
        ("on_epoch_begin", 4),  # After all decided and the backup was written.
    ],
)
def test_an_interrupted_run_logs_and_decides_as_if_it_were_none(tmp_path, undisturbed, hook, n):
    reference, model, stop, best = undisturbed
    with pytest.raises(KeyboardInterrupt):
        decided_run(tmp_path, [Kill(hook, n)])
    resumed, stop_again, best_again = decided_run(tmp_path)
    assert_same_state(model, resumed)
    assert rows(tmp_path) == rows(reference)
    assert stop_again.best_epoch == stop.best_epoch and stop_again.best == stop.best
    assert stop_again.stopped_epoch == stop.stopped_epoch
    assert best_again.best == best.best
    loaded = toy(), toy()
    for twin, folder in zip(loaded, (tmp_path, reference), strict=True):
        twin.load_weights(folder / "best.weights.h5")
    assert_same_state(*loaded)


def test_a_row_that_was_written_before_the_backup_comes_once(tmp_path, undisturbed):
    """Killed between the callbacks of an epoch's end and the backup, which is written last."""
    reference, *_ = undisturbed
    folder = tmp_path

    class AfterLogger(keras.callbacks.CSVLogger):
        def on_epoch_end(self, epoch, logs=None):
            super().on_epoch_end(epoch, logs)
            if epoch == 2:
                raise KeyboardInterrupt

    original, keras.callbacks.CSVLogger = keras.callbacks.CSVLogger, AfterLogger
    try:
        with pytest.raises(KeyboardInterrupt):
            decided_run(folder)
    finally:
        keras.callbacks.CSVLogger = original
    assert len(rows(folder)) == 3
    decided_run(folder)
    assert rows(folder) == rows(reference)


def test_em_keeps_its_m_step(tmp_path):
    """Killed after the last batch of an epoch, whose M step then still is to come."""
    x = np.random.default_rng(0).normal(size=(40, 2)).astype("float32")

    def run(folder, kill=()):
        model = models.MixtureEM(3, (2,), seed=0)
        model.compile(steps_per_execution=1)
        backup = keras.callbacks.BackupAndRestore(folder, save_freq=1)
        history = model.fit(
            x, epochs=4, batch_size=8, verbose=0, validation_data=x, callbacks=[*kill, backup]
        )
        return model, history.history

    reference, history = run(tmp_path / "a")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "b", [Kill("on_test_begin", 2)])
    resumed, rest = run(tmp_path / "b")
    for a, b in zip(reference.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert rest == {name: values[1:] for name, values in history.items()}


@pytest.mark.slow
def test_scheduled_weights_are_where_they_would_have_been(tmp_path):
    """At the end of a resumed epoch, which Keras begins once too often, and in validation."""
    x = np.full((48, 2, 2, 1), 0.5, "float32")

    def run(folder, kill=()):
        networks_of_vae = (
            networks.mlp_encoder((2, 2, 1), 2, width=4),
            networks.mlp_decoder((2, 2, 1), 2, width=4),
        )
        model = models.VAE(*networks_of_vae, seed=0)
        model.compile("sgd", run_eagerly=True, steps_per_execution=2)
        warm_up = callbacks.KLWarmUp(num_steps=40)
        backup = keras.callbacks.BackupAndRestore(folder, save_freq=1)
        return model.fit(
            x,
            epochs=3,
            batch_size=8,
            verbose=0,
            validation_data=x,
            callbacks=[warm_up, *kill, backup],
        ).history

    keras.utils.set_random_seed(0)
    history = run(tmp_path / "a")
    keras.utils.set_random_seed(0)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "b", [Kill("on_train_batch_begin", 5)])
    rest = run(tmp_path / "b")
    assert rest == {name: values[1:] for name, values in history.items()}
    np.testing.assert_allclose(history["beta"], [4 / 40, 10 / 40, 16 / 40], rtol=1e-6)


def test_unreadable_notes_of_a_backup_do_not_matter(tmp_path):
    reference, model = toy(), toy()
    fit(reference, 2)
    with pytest.raises(KeyboardInterrupt):
        fit(
            model,
            2,
            callbacks=[Interrupt(NUM_BATCHES + 1), keras.callbacks.BackupAndRestore(tmp_path)],
        )
    (tmp_path / "training_metadata.json").write_text('{"epo')  # Killed while writing.
    model = toy()
    fit(model, 2, callbacks=[keras.callbacks.BackupAndRestore(tmp_path)])
    assert_same_state(reference, model)


# Other calls of `fit`.


def test_second_fit_begins_at_its_own_first_epoch(tmp_path):
    model = toy()
    backup = keras.callbacks.BackupAndRestore(tmp_path)
    fit(model, 2, callbacks=[backup])
    assert len(fit(model, 3)["critic_loss"]) == 3


@pytest.mark.parametrize("counted", [False, True])
def test_fits_of_one_epoch_each_are_one_fit(counted):
    """The same order and noise, whether the user counts epochs with `initial_epoch` or not."""
    one, many = toy(), toy()
    expected = fit(one, 3)["critic_loss"]
    logs = [
        fit(many, i + 1, initial_epoch=i) if counted else fit(many, 1) for i in range(3)
    ]  # fmt: skip
    assert [log["critic_loss"][0] for log in logs] == expected
    assert_same_state(one, many)


def test_a_loop_of_fits_goes_on_after_loading(tmp_path):
    one, many = toy(), toy()
    fit(one, 3)
    fit(many, 2)
    many.save(tmp_path / "toy.keras")
    loaded = models.load_model(tmp_path / "toy.keras")
    fit(loaded, 1)
    assert_same_state(one, loaded)


# Backups of something else.


def interrupted(folder, step, **kwargs):
    with pytest.raises(KeyboardInterrupt):
        model = toy()
        backup = keras.callbacks.BackupAndRestore(folder)
        model.fit(data(), epochs=6, verbose=0, callbacks=[Interrupt(step), backup], **kwargs)


@pytest.mark.parametrize("batch_size, examples", [(16, 32), (2, 32), (8, 16)])
def test_other_data_are_said_and_training_goes_on_at_the_same_epoch(tmp_path, batch_size, examples):
    interrupted(tmp_path, 3 * NUM_BATCHES + 1, batch_size=8)
    model = toy()
    with pytest.warns(UserWarning, match=r"in epoch 4, of 4 batches\. Received: an epoch of"):
        history = model.fit(
            data()[:examples],
            batch_size=batch_size,
            epochs=6,
            verbose=0,
            callbacks=[keras.callbacks.BackupAndRestore(tmp_path)],
        )
    assert history.epoch == [3, 4, 5]
    assert int(model.steps) == 3 * NUM_BATCHES + 3 * examples // batch_size


def test_a_backup_of_another_model_is_refused(tmp_path):
    interrupted(tmp_path, NUM_BATCHES + 1, batch_size=8)
    em = models.MixtureEM(2, (3,), seed=0)
    with pytest.raises(ValueError, match=f"backup in {tmp_path} is of another model.*'Toy' there"):
        em.fit(data(), verbose=0, callbacks=[keras.callbacks.BackupAndRestore(tmp_path)])
    model = toy()
    model.compile("sgd")
    with pytest.raises(ValueError, match="is of another model.*optimizers.*Adam"):
        fit(model, 1, callbacks=[keras.callbacks.BackupAndRestore(tmp_path)])


def test_a_backup_of_another_likelihood_is_refused(tmp_path):
    """The networks have the same weights."""
    x = np.full((8, 2, 2, 1), 0.5, "float32")

    def run(head, kill=()):
        decoder = networks.mlp_decoder((2, 2, 1), 2, head, width=4)
        model = models.VAE(networks.mlp_encoder((2, 2, 1), 2, width=4), decoder, seed=0)
        model.compile("sgd", run_eagerly=True)
        backup = keras.callbacks.BackupAndRestore(tmp_path, save_freq=1)
        model.fit(x, epochs=2, verbose=0, callbacks=[*kill, backup])

    with pytest.raises(KeyboardInterrupt):
        run(layers.IndependentBernoulli, [Kill("on_epoch_begin", 2)])
    with pytest.raises(ValueError, match="decoder's output '.*Bernoulli' there, '.*Normal' here"):
        run(layers.FixedScaleNormal)
    run(layers.IndependentBernoulli)


def test_a_backup_folder_belongs_to_one_run(tmp_path):
    class Second(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            with pytest.raises(ValueError, match="one run at a time"):
                fit(toy(), 1, callbacks=[keras.callbacks.BackupAndRestore(tmp_path)])

    fit(toy(), 1, callbacks=[Second(), keras.callbacks.BackupAndRestore(tmp_path)])
    fit(toy(), 1, callbacks=[keras.callbacks.BackupAndRestore(tmp_path)])
