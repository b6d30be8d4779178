"""What all models share, on a toy with two updates: seeds, data, the loop, saving."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from toy import NUM_BATCHES, Toy, assert_same_state, data, fit, toy

from tfgen.models import load_model


def test_same_seed_gives_the_same_weights_bit_for_bit():
    a, b = toy(), toy()
    assert fit(a, 2) == fit(b, 2)
    assert_same_state(a, b)


def test_another_seed_gives_other_weights():
    a, b = Toy(seed=1), Toy(seed=2)
    for model in (a, b):
        model.compile("sgd")
        fit(model, 1)
    assert not np.array_equal(a.generator.get_weights()[0], b.generator.get_weights()[0])


def test_training_goes_on_after_keras_saving_as_if_never_interrupted(tmp_path):
    model = toy()
    fit(model, 2)
    model.save(tmp_path / "toy.keras")
    loaded = load_model(tmp_path / "toy.keras", safe_mode=True)
    assert_same_state(model, loaded)
    assert isinstance(loaded.optimizers["critic"], keras.optimizers.SGD)
    assert loaded.optimizer is loaded.optimizers["critic"]
    assert fit(model, 2) == fit(loaded, 2)
    assert_same_state(model, loaded)


def test_evaluation_is_repeatable_and_leaves_training_alone():
    model, undisturbed = toy(), toy()
    first = model.evaluate(data(), verbose=0)
    assert model.evaluate(data(), verbose=0) == first
    fit(model, 2, validation_data=data())
    fit(undisturbed, 2)
    for a, b in zip(model.get_weights(), undisturbed.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("steps_per_epoch", [1, 3, 4])
def test_steps_per_epoch_are_kept(steps_per_epoch):
    model = toy()
    x = tf.data.Dataset.from_tensor_slices(data()).batch(8).repeat()
    model.fit(x, steps_per_epoch=steps_per_epoch, epochs=2, verbose=0)
    assert int(model.steps) == 2 * steps_per_epoch


def test_steps_of_data_of_unknown_length():
    model = toy()
    x = tf.data.Dataset.from_tensor_slices(data()).batch(8).filter(lambda _: True)
    model.compile(dict(model.optimizers), steps_per_execution=1)
    model.fit(x, epochs=3, verbose=0)
    assert int(model.steps) == 3 * NUM_BATCHES


def test_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    model = toy()
    path = tmp_path / "toy.keras"
    model.save(path)
    before = path.read_bytes()
    monkeypatch.setattr(keras.Model, "save", lambda self, *a, **k: (_ for _ in ()).throw(OSError))
    with pytest.raises(OSError):
        model.save(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["toy.keras"]


def test_uncompiled_models_save_too(tmp_path):
    model = Toy(seed=5)
    model.save(tmp_path / "toy.keras")
    loaded = load_model(tmp_path / "toy.keras")
    np.testing.assert_array_equal(
        model.generator.get_weights()[0], loaded.generator.get_weights()[0]
    )


# The hook `prepare`.


class Prepared(Toy):
    """Notes what it is given, and trains on twice of it."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.given = []

    def prepare(self, x, y, training):
        self.given.append((x, y, training))
        return 2 * x, None


def prepared():
    model = Prepared(seed=0)
    model.compile("sgd", run_eagerly=True)
    return model


def test_data_are_prepared_once_after_they_were_checked(monkeypatch):
    model, checked = prepared(), []
    monkeypatch.setattr(model, "check_batch", lambda x: checked.append(len(x)))
    x, y = data(), np.arange(len(data()))
    model.fit(x, y, batch_size=8, epochs=2, verbose=0, validation_data=(x[:8], y[:8]))
    assert checked == [8, 32]
    (validation, labels, training), (given, given_labels, also) = model.given
    assert (len(validation), len(labels), training) == (8, 8, False)
    assert given is x and given_labels is y and also is True


def test_the_parts_of_a_split_are_prepared_apart():
    model, x = prepared(), data()
    model.fit(x, 7, batch_size=8, verbose=0, validation_split=0.25)
    assert [(len(x), y, training) for x, y, training in model.given] == [
        (8, 7, False),
        (24, 7, True),
    ]
    model.given.clear()
    model.fit(x, list(range(32)), batch_size=8, verbose=0, validation_split=0.25)
    assert [list(y) for _, y, _ in model.given] == [list(range(24, 32)), list(range(24))]


def test_what_was_prepared_is_trained_and_evaluated_on():
    """SGD on the doubled data, against a toy that is given them."""
    model, plain = prepared(), Toy(seed=0)
    plain.compile("sgd", run_eagerly=True)
    fit(model, 1)
    plain.fit(2 * data(), batch_size=8, verbose=0)
    assert_same_state(model, plain)
    assert model.evaluate(data(), verbose=0) == plain.evaluate(2 * data(), verbose=0)


def test_bad_data_are_not_prepared():
    model = prepared()
    with pytest.raises(ValueError, match="Received: an empty data set"):
        model.fit(data()[:0], verbose=0)
    assert model.given == []


# Frozen layers.


def moves(model, network, train):
    before = [v.numpy() for v in network.weights if "seed" not in v.path]
    train()
    after = [v.numpy() for v in network.weights if "seed" not in v.path]
    return not all(map(np.array_equal, before, after))


@pytest.mark.parametrize("on_batch", [False, True])
def test_layers_that_are_frozen_after_training_in_a_graph_stay(on_batch):
    """The compiled function of what was trainable before is there again when it is again."""
    model = toy()

    def train():
        return model.train_on_batch(data()) if on_batch else fit(model, 1)

    assert moves(model, model.critic, train)
    (first,) = model._functions["train"].values()
    model.critic.trainable = False
    assert not moves(model, model.critic, train) and moves(model, model.generator, train)
    model.critic.trainable = True
    assert moves(model, model.critic, train)
    assert model.train_function is first and len(model._functions["train"]) == 2


def test_a_callback_that_freezes_layers_is_obeyed_in_the_same_epoch():
    model, seen = toy(), []

    def freeze(epoch, logs):
        model.critic.trainable = epoch != 1
        seen.append(model.critic.get_weights()[0])

    fit(model, 3, callbacks=[keras.callbacks.LambdaCallback(on_epoch_begin=freeze)])
    assert [np.array_equal(a, b) for a, b in zip(seen, seen[1:], strict=False)] == [False, True]


@pytest.mark.slow
def test_layers_that_become_others_are_computed_with():
    """Keras rounds the weights to 8 bits, and forgets its compiled functions."""
    model = toy()
    exact = model.evaluate(data(), verbose=0)
    model.quantize("int8")
    rounded = model.evaluate(data(), verbose=0)
    assert rounded != exact
    np.testing.assert_allclose(rounded, exact, rtol=0.2)
    model.run_eagerly = True
    np.testing.assert_allclose(model.evaluate(data(), verbose=0), rounded, rtol=1e-5)


# Batches of callbacks.


class Notes(keras.callbacks.Callback):
    """Notes when it hears of batches."""

    def __init__(self):
        super().__init__()
        self.train, self.test = [], []

    def on_train_batch_end(self, batch, logs=None):
        self.train.append(batch)

    def on_test_batch_begin(self, batch, logs=None):
        self.test.append(batch)


@pytest.mark.parametrize("given", [list, keras.callbacks.CallbackList])
def test_a_callback_that_acts_on_batches_hears_of_each(given):
    notes = Notes()
    fit(toy(), 2, callbacks=given([notes]), validation_data=data(), validation_batch_size=16)
    assert (notes.train, notes.test) == ([0, 1, 2, 3] * 2, [0, 1] * 2)
    model, notes = toy(), Notes()
    model.evaluate(data(), batch_size=8, verbose=0, callbacks=notes)
    assert notes.test == [0, 1, 2, 3]


def test_other_callbacks_leave_the_loop_as_it_is(tmp_path):
    callbacks = [
        keras.callbacks.TensorBoard(tmp_path),
        keras.callbacks.TerminateOnNaN(),
        keras.callbacks.BackupAndRestore(tmp_path / "backup"),
        keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: None),
    ]
    model = toy()
    fit(model, 1, callbacks=callbacks)
    assert model.steps_per_execution == NUM_BATCHES
    fit(model, 1, callbacks=[keras.callbacks.BackupAndRestore(tmp_path / "other", save_freq=2)])
    assert model.steps_per_execution == 2


def test_a_number_of_batches_that_was_compiled_with_is_kept():
    model, notes = toy(), Notes()
    model.compile(dict(model.optimizers), steps_per_execution=2)
    fit(model, 1, callbacks=[notes])
    assert notes.train == [1, 3]


# Metrics.


class Sizes(keras.layers.Layer):
    """Keeps the average size of what passes."""

    def __init__(self):
        super().__init__()
        self.size = keras.metrics.Mean("size")

    def call(self, x):
        self.size.update_state(tf.reduce_mean(tf.square(x)))
        return x


@keras.saving.register_keras_serializable("tfgen-tests")
class Counting(Toy):
    """A toy with a metric of its own, and one in a layer, which sees the data alone."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.count, self.sizes = keras.metrics.Sum("count"), Sizes()

    def critic_terms(self, x, training=True):
        self.count.update_state(1.0)
        return super().critic_terms(self.sizes(x), training)


@pytest.mark.parametrize("run_eagerly", [False, True])
def test_metrics_of_layers_and_models_are_logged_each_epoch_anew(run_eagerly):
    model = Counting(seed=0)
    model.compile("sgd", run_eagerly=run_eagerly)
    assert model.metrics_names == ["critic_loss", "generator_loss", "count", "size"]
    history = fit(model, 2, validation_data=data()[:16], validation_batch_size=8)
    assert history["count"] == [4.0, 4.0] and history["val_count"] == [2.0, 2.0]
    np.testing.assert_allclose(history["size"], 2 * [np.mean(data() ** 2)], rtol=1e-5)
    np.testing.assert_allclose(history["val_size"], 2 * [np.mean(data()[:16] ** 2)], rtol=1e-5)
    logs = model.train_on_batch(data()[:8], return_dict=True)
    assert logs["count"] == 1.0 and set(logs) == set(model.metrics_names)
