import keras
import numpy as np
import pytest

from tfgen import plotting

VAE_LOGS = {
    "loss": [200.0, 110.0, 105.0],
    "elbo": [-200.0, -110.0, -105.0],
    "kl": [10.0, 20.0, 22.0],
    "bits_per_dim": [0.4, 0.2, 0.19],
    "val_elbo": [-150.0, -112.0, -108.0],
    "beta": [0.0, 0.5, 1.0],
}


def lines(axes):
    """Lines by label."""
    return {line.get_label(): line for line in axes.lines}


def units(axes):
    return [ax.get_ylabel() for ax in axes]


def test_one_axes_for_each_unit():
    _, axes = plotting.training_curves(VAE_LOGS)
    assert units(axes) == ["nats per example", "bits per dimension", "beta"]
    assert set(lines(axes[0])) == {"loss", "elbo", "kl", "val_elbo"}
    assert set(lines(axes[1])) == {"bits_per_dim"}


def test_curves_hold_the_values_over_epochs_from_one():
    _, axes = plotting.training_curves(VAE_LOGS)
    line = lines(axes[0])["val_elbo"]
    np.testing.assert_array_equal(line.get_xdata(), [1, 2, 3])
    np.testing.assert_array_equal(line.get_ydata(), VAE_LOGS["val_elbo"])
    assert axes[-1].get_xlabel() == "epoch"


def test_validation_is_dashed_in_the_colour_of_training():
    _, axes = plotting.training_curves(VAE_LOGS)
    training, validation = lines(axes[0])["elbo"], lines(axes[0])["val_elbo"]
    assert (training.get_linestyle(), validation.get_linestyle()) == ("-", "--")
    assert training.get_color() == validation.get_color()
    assert lines(axes[0])["kl"].get_color() != training.get_color()
    assert axes[0].get_title() == "Training (solid) and validation (dashed)"


def test_title_without_validation():
    _, axes = plotting.training_curves({"elbo": [-1.0]})
    assert axes[0].get_title() == "Training"


def test_loss_without_elbo_is_not_in_nats():
    _, axes = plotting.training_curves({"loss": [3.0, 2.0], "reconstruction": [3.0, 2.0]})
    assert units(axes) == ["loss"]


def test_units_of_the_caller_come_first():
    logs = {"critic_loss": [1.0], "generator_loss": [2.0], "elbo": [-1.0]}
    given = {"critic_loss": "Wasserstein", "generator_loss": "Wasserstein"}
    _, axes = plotting.training_curves(logs, units=given)
    assert units(axes) == ["Wasserstein", "nats per example"]
    assert set(lines(axes[0])) == {"critic_loss", "generator_loss"}


def test_adversarial_losses_share_axes():
    _, axes = plotting.training_curves({"discriminator_loss": [1.0], "generator_loss": [2.0]})
    assert units(axes) == ["adversarial loss"]


def test_validation_only_metric_is_drawn():
    _, axes = plotting.training_curves({"elbo": [-1.0], "val_fid": [9.0]})
    assert units(axes) == ["nats per example", "fid"]
    assert set(lines(axes[1])) == {"val_fid"}


def test_keras_history_of_a_resumed_run_keeps_its_epochs():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(loss="mse")
    x = np.zeros((4, 1))
    history = model.fit(x, x, initial_epoch=3, epochs=5, verbose=0)
    _, axes = plotting.training_curves(history)
    np.testing.assert_array_equal(lines(axes[0])["loss"].get_xdata(), [4, 5])


@pytest.mark.parametrize("values", [[-3.0], [-3.0, -2.0]])
def test_epoch_ticks_are_whole_numbers(values):
    fig, axes = plotting.training_curves({"elbo": values})
    fig.canvas.draw()
    ticks = axes[-1].get_xticks()
    np.testing.assert_array_equal(ticks, np.round(ticks))


@pytest.mark.parametrize("history", [{}, keras.callbacks.History()])
def test_empty_history_is_refused(history):
    with pytest.raises(ValueError, match="Received: an empty history"):
        plotting.training_curves(history)


def test_values_of_unknown_epochs_are_refused():
    logs = {"elbo": [-3.0, -2.0, -1.0, -1.0], "val_elbo": [-2.0, -1.0]}
    with pytest.raises(ValueError, match="'val_elbo' for each of 4 epochs. Received: 2"):
        plotting.training_curves(logs)
