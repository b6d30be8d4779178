import os
import pathlib
import re

import keras
import matplotlib.pyplot as plt
import numpy as np
import pandas
import pytest
import tensorflow as tf

from tfgen import datasets, models, networks
from tfgen.callbacks import SampleGrid


def run_epochs(callback, model, epochs, steps_per_epoch=5):
    """Calls the callback as `fit` does."""
    callback.set_model(model)
    callback.on_train_begin()
    for epoch in epochs:
        callback.on_epoch_begin(epoch)
        model.steps.assign_add(steps_per_epoch)
        callback.on_epoch_end(epoch)
    callback.on_train_end()


def names(directory):
    return sorted(path.name for path in directory.iterdir())


def logged_images(log_dir):
    """(step, image) of every picture in the event files."""
    found = []
    for path in sorted(log_dir.glob("events*")):
        for record in tf.data.TFRecordDataset(os.fspath(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                assert value.tag == "samples"
                width, height, png = value.tensor.string_val
                image = tf.io.decode_png(png).numpy()
                assert image.shape[:2] == (int(height), int(width))
                found.append((event.step, image))
    return found


def test_one_picture_every_few_epochs(fake_model, tmp_path):
    run_epochs(SampleGrid(tmp_path / "new" / "grids", every=2), fake_model, range(5))
    assert names(tmp_path / "new" / "grids") == ["samples_epoch_0002.png", "samples_epoch_0004.png"]


def test_same_latents_each_time(fake_model, tmp_path):
    run_epochs(SampleGrid(tmp_path, seed=7), fake_model, range(3))
    assert fake_model.seeds == [7, 7, 7]


def test_picture_shows_the_samples(fake_model, tmp_path):
    callback = SampleGrid(tmp_path, num_samples=4, mean=False)
    run_epochs(callback, fake_model, [0])
    picture = plt.imread(tmp_path / "samples_epoch_0001.png")[..., :3]
    # Pixels of black or white, and little else than the title and the tiles' edges between.
    share = np.isclose(picture, 0.0).mean() + np.isclose(picture, 1.0).mean()
    assert share > 0.8 and np.isclose(picture, 0.0).mean() > 0.1


def test_picture_before_the_first_step(fake_model, tmp_path):
    run_epochs(SampleGrid(tmp_path, at_start=True), fake_model, range(1))
    assert names(tmp_path) == ["samples_epoch_0000.png", "samples_epoch_0001.png"]


def test_resumed_run_leaves_the_first_picture_alone(fake_model, tmp_path):
    (tmp_path / "samples_epoch_0000.png").write_bytes(b"of the untrained model")
    fake_model.steps.assign(3)  # Killed within the first epoch.
    run_epochs(SampleGrid(tmp_path, at_start=True), fake_model, range(1))
    assert (tmp_path / "samples_epoch_0000.png").read_bytes() == b"of the untrained model"


def test_figures_are_closed(fake_model, tmp_path):
    before = plt.get_fignums()
    run_epochs(SampleGrid(tmp_path), fake_model, range(3))
    assert plt.get_fignums() == before


def test_kill_while_writing_leaves_the_old_picture(fake_model, tmp_path, monkeypatch):
    picture = tmp_path / "samples_epoch_0001.png"
    picture.write_bytes(b"old")

    def write_half(path, data):
        with open(path, "wb") as file:
            file.write(data[: len(data) // 2])
        raise KeyboardInterrupt

    monkeypatch.setattr(pathlib.Path, "write_bytes", write_half)
    with pytest.raises(KeyboardInterrupt):
        run_epochs(SampleGrid(tmp_path), fake_model, range(1))
    assert picture.read_bytes() == b"old"


def test_tensorboard_gets_the_same_pictures(fake_model, tmp_path):
    callback = SampleGrid(tmp_path / "grids", num_samples=4, log_dir=tmp_path / "logs")
    run_epochs(callback, fake_model, range(2))
    logged = logged_images(tmp_path / "logs")
    assert [step for step, _ in logged] == [1, 2]
    for epoch, image in logged:
        written = plt.imread(tmp_path / "grids" / f"samples_epoch_{epoch:04d}.png")
        # matplotlib reads 8-bit pixels as k / 255.
        np.testing.assert_allclose(image / 255, written[..., :3], atol=1e-6)


def test_nothing_is_logged_without_log_dir(fake_model, tmp_path):
    run_epochs(SampleGrid(tmp_path), fake_model, range(1))
    assert names(tmp_path) == ["samples_epoch_0001.png"]


@pytest.mark.parametrize("argument", ["num_samples", "every"])
def test_whole_numbers_from_one_on(argument, tmp_path):
    SampleGrid(tmp_path, **{argument: 1e1})
    for value in (0, 2.5):
        with pytest.raises(ValueError, match=f"{argument} must be an int.*Received: .*={value}"):
            SampleGrid(tmp_path, **{argument: value})


def test_training_is_not_disturbed(make_beta_vae, images, tmp_path):
    def weights(callbacks):
        keras.utils.set_random_seed(1)
        model = make_beta_vae()
        model.fit(images, batch_size=8, epochs=2, callbacks=callbacks, verbose=0)
        return [*model.get_weights(), model.seed_generator.state.numpy()]

    with_grid = weights([SampleGrid(tmp_path, num_samples=9, mean=False, at_start=True)])
    for changed, expected in zip(with_grid, weights([]), strict=True):
        np.testing.assert_array_equal(changed, expected)
    assert len(names(tmp_path)) == 3


def test_bad_arguments_are_refused_before_training(tmp_path):
    refused = {
        "seed": -1,
        "value_range": (1.0, 0.0),
        "mean": "no",
        "at_start": 2,
        "num_samples": 10_001,
        "log_dir": 3,
        "output_dir": __file__,
        "condition": [np.nan] * 64,
    }
    for name, value in refused.items():
        with pytest.raises(ValueError, match=f"{name} must be .*Received: {name}="):
            SampleGrid(**{"output_dir": tmp_path, name: value})


@pytest.mark.parametrize("value_range", [(), 0, False, np.array([0.0, 0.0])])
def test_a_false_value_range_is_refused_too(value_range, tmp_path):
    with pytest.raises(ValueError, match="value_range must be a pair .*Received: value_range="):
        SampleGrid(tmp_path, value_range=value_range)


def test_conditions_of_another_number_are_refused_when_training_begins(tmp_path):
    decoder = networks.mlp_decoder((2, 2, 1), 2, width=4, num_classes=3)
    model = models.VAE(networks.mlp_encoder((2, 2, 1), 2, width=4), decoder)
    callback = SampleGrid(tmp_path, condition=[0, 1, 2])
    callback.set_model(model)
    with pytest.raises(ValueError, match="for each of 64 examples.* Received: 3 conditions"):
        callback.on_train_begin()


def test_value_range_and_condition_reach_the_model(fake_model, tmp_path, monkeypatch):
    """Black is -1 for a model that says so."""
    fake_model.value_range = (-1.0, 1.0)
    fake_model.sample = lambda n, seed, condition: np.full((n, 2, 2, 1), condition, "float32")
    shown = []
    monkeypatch.setattr("tfgen.callbacks.samples._png_of", lambda fig: shown.append(fig) or b"")
    callback = SampleGrid(tmp_path, num_samples=1, condition=0)
    callback.set_model(fake_model)
    callback.on_train_begin()
    callback.on_epoch_end(0)
    np.testing.assert_allclose(shown[0].axes[0].images[0].get_array(), 0.5)


@pytest.mark.parametrize("shape", [(5,), (9, 2), (6, 6, 6, 1)], ids=["rows", "series", "volumes"])
def test_of_what_are_no_images(shape, tmp_path):
    make = (networks.mlp_encoder, networks.mlp_decoder)
    encoder, decoder = (f(shape, latent_dim=2, width=4) for f in make)
    model = models.VAE(encoder, decoder, seed=0)
    model.compile("adam")
    x = np.zeros((8, *shape), "float32")
    model.fit(x, epochs=2, verbose=0, callbacks=[SampleGrid(tmp_path, 4)])
    assert names(tmp_path) == ["samples_epoch_0001.png", "samples_epoch_0002.png"]


def model_of(shape):
    encoder, decoder = (
        make(shape, latent_dim=2, width=4) for make in (networks.mlp_encoder, networks.mlp_decoder)
    )
    model = models.VAE(encoder, decoder, seed=0)
    model.compile("adam")
    return model


NO_PICTURE = [(6, 6, 4), (6, 6, 2), (4, 6, 6, 2), (3, 4, 6, 6, 1), (2, 3, 4, 6, 6, 3)]


@pytest.mark.parametrize("at_start", [False, True])
@pytest.mark.parametrize("shape", NO_PICTURE, ids=str)
def test_data_without_a_picture_are_refused_before_the_first_step(shape, at_start, tmp_path):
    model = model_of(shape)
    message = re.escape(f"1 or 3 channels. Received: a model of data of shape {shape}. Choose")
    with pytest.raises(ValueError, match=message):
        grid = SampleGrid(tmp_path, 4, at_start=at_start)
        model.fit(np.zeros((8, *shape), "float32"), verbose=0, callbacks=[grid])
    assert int(model.steps.numpy()) == 0


def table():
    rng = np.random.default_rng(0)
    return pandas.DataFrame(
        {"size": rng.normal(170, 9, 60), "colour": rng.choice(["red", "green"], 60)}
    )


def test_rows_of_a_table_are_decoded_beside_real_ones(tmp_path, monkeypatch):
    frame = table()
    data, info = datasets.load_table(frame, "all", batch_size=20)
    shown = []
    monkeypatch.setattr("tfgen.callbacks.samples._png_of", lambda fig: shown.append(fig) or b"")
    model = model_of(info.data_shape)
    model.compile("adam")
    grid = SampleGrid(tmp_path, 50, decode=info.decode, real=frame)
    before = plt.get_fignums()
    run_epochs(grid, model, [0])
    (fig,) = shown
    assert [ax.get_xlabel() for ax in fig.axes] == ["size", "colour"]
    assert [text.get_text() for text in fig.axes[1].get_xticklabels()] == ["green", "red"]
    heights = [bar.get_height() for bar in fig.axes[1].patches[:2]]
    np.testing.assert_allclose(heights, [np.mean(frame["colour"] == c) for c in ("green", "red")])
    plt.close(fig)
    assert plt.get_fignums() == before


@pytest.mark.parametrize(
    "shape, arguments, message",
    [
        ((3,), dict(decode=3), "decode must be a function.*Received: decode=3"),
        ((3,), dict(real=np.zeros((4, 2))), "must have the same columns"),
        ((3,), dict(decode=lambda x: np.zeros((len(x), 41))), "at most 40 columns"),
        ((3,), dict(value_range=(0, 1)), "value_range is for images"),
        ((9, 2), dict(decode=np.asarray), "decode is for rows"),
        ((6, 6, 1), dict(real=np.zeros((4, 2))), "real is for rows"),
    ],
)
def test_arguments_that_do_not_fit_the_data_are_refused_before_training(
    shape, arguments, message, tmp_path
):
    grid = SampleGrid(tmp_path, 4, **arguments)
    grid.set_model(model_of(shape))
    with pytest.raises(ValueError, match=message):
        grid.on_train_begin()
