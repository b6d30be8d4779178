"""Several optimizers move as one: rates that callbacks set, averaged weights."""

import csv

import keras
import numpy as np
import pytest
from toy import NUM_BATCHES, Toy, data, fit, toy

from tfgen.models import load_model


def two(**kwargs):
    """A toy whose optimizers have rates 0.1 and 0.02."""
    model = Toy(seed=0)
    rates = {"critic": keras.optimizers.SGD(0.1), "generator": keras.optimizers.Adam(0.02)}
    model.compile(rates, run_eagerly=True, **kwargs)
    return model


def rates(model):
    return [float(model.optimizers[name].learning_rate) for name in ("critic", "generator")]


# Learning rates.


def test_scheduled_rates_are_followed_in_proportion():
    model, seen = two(), []
    note = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append(rates(model))
    )
    callbacks = [keras.callbacks.LearningRateScheduler(lambda epoch, _: 0.1 / (epoch + 1)), note]
    history = fit(model, 3, callbacks=callbacks)
    epochs = seen[NUM_BATCHES - 1 :: NUM_BATCHES] if len(seen) > 3 else seen
    np.testing.assert_allclose(epochs, [[0.1, 0.02], [0.05, 0.01], [0.1 / 3, 0.02 / 3]], rtol=1e-6)
    np.testing.assert_allclose(history["learning_rate_critic"], np.array(epochs)[:, 0])
    np.testing.assert_allclose(history["learning_rate_generator"], np.array(epochs)[:, 1])


def test_reduced_rates_are_followed_and_logged(tmp_path):
    model = two()
    plateau = keras.callbacks.ReduceLROnPlateau("critic_loss", 0.5, patience=0, mode="max")
    plateau.min_delta = 1e9  # No epoch is an improvement.
    logger = keras.callbacks.CSVLogger(tmp_path / "log.csv")
    fit(model, 3, callbacks=[plateau, logger])
    np.testing.assert_allclose(rates(model)[1] / rates(model)[0], 0.2, rtol=1e-6)
    assert rates(model)[0] < 0.1
    with open(tmp_path / "log.csv", newline="") as file:
        assert {"learning_rate_critic", "learning_rate_generator"} <= set(next(csv.reader(file)))


def test_a_warm_up_from_zero_ends_in_the_same_proportion():
    model = two()
    fit(model, 2, callbacks=[keras.callbacks.LearningRateScheduler(lambda epoch: 0.3 * epoch)])
    np.testing.assert_allclose(rates(model), [0.3, 0.06], rtol=1e-6)


def test_a_rate_that_is_set_by_itself_keeps_its_new_proportion():
    model = two()
    model.optimizers["generator"].learning_rate = 0.05
    fit(model, 1)
    np.testing.assert_allclose(rates(model), [0.1, 0.05])
    model.optimizer.learning_rate = 0.2
    fit(model, 1)
    np.testing.assert_allclose(rates(model), [0.2, 0.1], rtol=1e-6)


def test_schedules_go_their_own_way():
    model = Toy(seed=0)
    decay = keras.optimizers.schedules.ExponentialDecay(0.1, 1, 0.5)
    model.compile({"critic": keras.optimizers.SGD(decay), "generator": "sgd"}, run_eagerly=True)
    fit(model, 1)
    np.testing.assert_allclose(rates(model), [0.1 * 0.5**NUM_BATCHES, 0.01], rtol=1e-6)


def test_rates_are_logged_with_the_callbacks_of_keras_alone():
    assert set(fit(two(), 1)) == {"critic_loss", "generator_loss"}


# What is refused.


@pytest.mark.skipif(not hasattr(keras.optimizers, "MultiOptimizer"), reason="new in Keras 3.15")
def test_a_multi_optimizer_is_refused_by_name():
    optimizers = keras.optimizers.OptimizerMap(keras.optimizers.SGD())
    with pytest.raises(ValueError, match=r"MultiOptimizer\. Give a dict with the keys \['critic'"):
        Toy().compile(keras.optimizers.MultiOptimizer(optimizers))


def test_one_optimizer_for_two_updates_is_refused():
    sgd = keras.optimizers.SGD()
    with pytest.raises(ValueError, match="one object twice"):
        Toy().compile({"critic": sgd, "generator": sgd})


@pytest.mark.parametrize(
    "arguments, options, text",
    [
        (("adam", "mse"), {}, "A Toy has its own losses.*Received: loss='mse'"),
        ((), {"loss": "mse"}, "A Toy has its own losses.*Received: loss='mse'"),
        ((), {"metrics": ["mae"]}, r"Received: metrics=\['mae'\]"),
        ((), {"loss_weights": [1.0]}, "Received: loss_weights"),
        ((), {"weighted_metrics": ["mae"]}, "Received: weighted_metrics"),
        ((), {"steps_per_execution": -3}, "at least 1. Received: steps_per_execution=-3"),
        ((), {"steps_per_execution": "4"}, "at least 1. Received: steps_per_execution='4'"),
        ((), {"jit_compile": "yes"}, "jit_compile must be one of"),
        ((), {"run_eagerly": 2}, "run_eagerly must be one of"),
    ],
)
def test_what_compile_does_not_take(arguments, options, text):
    with pytest.raises(ValueError, match=text):
        Toy().compile(*arguments, **options)


# Averaged weights.


def averaged(momentum=0.5, **kwargs):
    model = Toy(seed=0)
    sgd = keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=momentum)
    model.compile(sgd, run_eagerly=True, steps_per_execution=1, **kwargs)
    return model


def weights(model):
    return [v.numpy() for v in model.trainable_variables]


def assert_equal(a, b):
    for left, right in zip(a, b, strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("epochs", [0, 1])
def test_a_fit_that_does_nothing_leaves_the_weights(epochs):
    """Averages are zeros before the first step."""
    model = averaged()
    before = weights(model)
    fit(model, epochs, initial_epoch=1)
    assert_equal(weights(model), before)


class Weights(keras.callbacks.Callback):
    """Notes the weights when epochs end, and in evaluations."""

    def __init__(self):
        super().__init__()
        self.at_epoch_end, self.in_evaluation = [], []

    def on_epoch_end(self, epoch, logs=None):
        self.at_epoch_end.append(weights(self.model))

    def on_test_batch_end(self, batch, logs=None):
        self.in_evaluation.append(weights(self.model))


def test_restored_weights_are_those_of_the_best_epoch():
    model, noted = averaged(), Weights()
    stop = keras.callbacks.EarlyStopping(
        "critic_loss", mode="max", patience=9, restore_best_weights=True
    )
    fit(model, 3, callbacks=[noted, stop])
    assert stop.best_epoch < 2  # The last epoch would not tell.
    assert_equal(weights(model), noted.at_epoch_end[stop.best_epoch])


def test_evaluations_and_checkpoints_use_the_averages_of_every_network(tmp_path):
    """Against a twin without the callback, whose weights at the end of `fit` are the averages."""
    plain, model, noted = averaged(), averaged(), Weights()
    fit(plain, 1)
    swap = keras.callbacks.SwapEMAWeights(swap_on_epoch=True)
    checkpoint = keras.callbacks.ModelCheckpoint(tmp_path / "toy.keras")
    fit(model, 1, callbacks=[swap, noted, checkpoint], validation_data=data()[:8])
    assert_equal(noted.in_evaluation[0], weights(plain))
    assert_equal(noted.at_epoch_end[0], weights(plain))
    assert_equal(weights(load_model(tmp_path / "toy.keras")), weights(plain))
    assert_equal(weights(model), weights(plain))


def test_training_with_swapped_weights_is_training_without():
    plain, model = averaged(), averaged()
    fit(plain, 3)
    fit(model, 3, callbacks=[keras.callbacks.SwapEMAWeights(swap_on_epoch=True)])
    assert_equal(weights(model), weights(plain))


def test_averages_are_swapped_by_hand():
    model = averaged(momentum=0.9)
    fit(model, 1)
    ended = weights(model)
    model.optimizers["critic"].apply(
        [np.ones(v.shape, "float32") for v in model.critic.trainable_variables],
        model.critic.trainable_variables,
    )
    moved = weights(model)
    model.swap_averages()
    swapped = weights(model)
    assert not np.allclose(swapped[2], moved[2])
    model.swap_averages()
    assert_equal(weights(model), moved)
    assert not np.allclose(ended[2], moved[2])


def test_swapping_without_averages_is_refused():
    with pytest.raises(ValueError, match="SwapEMAWeights.*use_ema=True"):
        fit(toy(), 1, callbacks=[keras.callbacks.SwapEMAWeights()])
    with pytest.raises(ValueError, match="no averaged weights yet"):
        averaged().swap_averages()
