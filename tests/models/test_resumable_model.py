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
