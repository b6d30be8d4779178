"""Scores during training, on a model whose scores are known: its samples are shifted images.

The Frechet distance of pixels between images and the same ones shifted by c is d c^2, exactly.
"""

import csv

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen import metrics, models, networks
from tfgen.callbacks import SampleEvaluation

SHAPE, NUM_BATCHES = (8, 8, 1), 4
IMAGES = np.random.default_rng(0).uniform(0.3, 0.6, size=(32, *SHAPE)).astype("float32")
SHIFTS = np.array([0.3, 0.1, 0.2, 0.05, 0.05, 0.4])  # After each epoch.
DISTANCES = 64 * SHIFTS**2
# Of float32 pixels.
ROUNDING = {"rtol": 1e-4, "atol": 1e-6}
NAME = "classifier_frechet_distance"


@keras.saving.register_keras_serializable("tfgen-tests")
class Shifted(models.VAE):
    """A VAE that pretends to sample shifted images."""

    def sample(self, num_samples=1, seed=None, **kwargs):
        epoch = max(int(self.steps) - 1, 0) // NUM_BATCHES
        return IMAGES[:num_samples] + SHIFTS[epoch].astype("float32")


def shifted():
    keras.utils.set_random_seed(0)
    encoder = networks.mlp_encoder(SHAPE, latent_dim=2, width=4)
    decoder = networks.mlp_decoder(SHAPE, latent_dim=2, width=4)
    model = Shifted(encoder, decoder, seed=0)
    model.compile("adam", steps_per_execution=1, run_eagerly=True)  # Tracing would take longer.
    return model


@pytest.fixture(scope="module")
def pixels():
    """A classifier whose features are pixels."""
    layers = [keras.Input(SHAPE), keras.layers.Flatten(name="features"), keras.layers.Softmax()]
    return keras.Sequential(layers)


@pytest.fixture
def make(pixels):
    def make(**kwargs):
        arguments = {"num_samples": 32, "monitor": NAME, "classifier": pixels, **kwargs}
        return SampleEvaluation(IMAGES, IMAGES, **arguments)

    return make


def fit(model, *callbacks, epochs=6, **kwargs):
    options = {"batch_size": 8, "epochs": epochs, "verbose": 0, **kwargs}
    return model.fit(IMAGES, callbacks=list(callbacks), **options).history


class Recorder(keras.callbacks.Callback):
    """Notes all variables after each epoch."""

    def __init__(self):
        super().__init__()
        self.states = []

    def on_epoch_end(self, epoch, logs=None):
        self.states.append(state(self.model))


def state(model):
    variables = [*model.variables, *model.optimizer.variables, model.seed_generator.state]
    return [keras.ops.convert_to_numpy(v) for v in variables]


def assert_same(a, b):
    for left, right in zip(a, b, strict=True):
        np.testing.assert_array_equal(left, right)


# Scores.


@pytest.mark.slow
def test_logs_have_the_known_distances(make):
    evaluation = make()
    history = fit(shifted(), evaluation)
    np.testing.assert_allclose(history[NAME], DISTANCES, **ROUNDING)
    assert evaluation.best == min(history[NAME])
    assert evaluation.best_epoch in (3, 4)  # Which are equal but for rounding.
    assert evaluation.real[NAME] == pytest.approx(0.0, abs=1e-6)


def test_scores_are_those_of_evaluate_samples(pixels, images):
    """Of a model that draws, with fewer samples than images, in every score."""
    model = models.VAE(
        networks.mlp_encoder(SHAPE, latent_dim=2, width=4),
        networks.mlp_decoder(SHAPE, latent_dim=2, width=4),
        seed=0,
    )
    model.compile("adam")
    options = {"num_samples": 12, "classifier": pixels, "num_neighbours": 3, "seed": 5}
    evaluation = SampleEvaluation(images, IMAGES, **options)
    history = model.fit(images, epochs=2, callbacks=[evaluation], verbose=0).history
    expected = metrics.evaluate_samples(model, images, IMAGES, verbose=False, **options)
    assert {name: history[name][-1] for name in expected.generated} == expected.generated
    assert evaluation.real == expected.real
    assert history["squared_mmd"][0] != history["squared_mmd"][1]


def test_every_evaluation_takes_the_same_draws(fake_model, images):
    evaluation = SampleEvaluation(images, images, num_samples=20, seed=3)
    evaluation.set_model(fake_model)
    evaluation.on_train_begin()
    found = [{}, {}]
    for epoch, logs in enumerate(found):
        evaluation.on_epoch_end(epoch, logs)
    assert len(set(fake_model.seeds)) == 1
    assert found[0] == found[1] and evaluation.best_epoch == 0


def test_a_pipeline_is_read_once(fake_model):
    reads = []

    def batches():
        reads.append(1)
        yield from np.split(IMAGES, 4)

    spec = tf.TensorSpec((None, *SHAPE))
    train = tf.data.Dataset.from_generator(batches, output_signature=spec)
    evaluation = SampleEvaluation(train, IMAGES, num_samples=20)
    evaluation.set_model(fake_model)
    for epoch in range(3):
        evaluation.on_epoch_end(epoch)
    assert len(reads) == 1


def test_between_evaluations_logs_have_the_last_scores(make):
    history = fit(shifted(), make(every=2))
    seen = [0, 1, 1, 3, 3, 5]
    np.testing.assert_allclose(history[NAME], DISTANCES[seen], **ROUNDING)


def test_later_callbacks_see_the_scores(make, tmp_path):
    stop = keras.callbacks.EarlyStopping(NAME, patience=1)  # Which way is better tfgen knows.
    table = keras.callbacks.CSVLogger(tmp_path / "log.csv")
    board = keras.callbacks.TensorBoard(tmp_path / "board", write_graph=False)
    history = fit(shifted(), make(), stop, table, board)
    assert len(history["loss"]) == 3 and stop.best == history[NAME][1]
    with open(tmp_path / "log.csv", newline="") as file:
        assert [float(row[NAME]) for row in csv.DictReader(file)] == history[NAME]
    logged = {}
    for path in (tmp_path / "board" / "train").glob("events*"):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            values = [v for v in event.summary.value if v.tag == f"epoch_{NAME}"]
            for value in values:
                logged[event.step] = float(tf.make_ndarray(value.tensor))
    np.testing.assert_allclose([logged[epoch] for epoch in range(3)], history[NAME], rtol=1e-6)


@pytest.mark.parametrize("monitor", ["precision", "recall", "density", "coverage", "mode_count"])
def test_a_score_that_rises_stops_training_when_it_does_not(monitor):
    model, logs = shifted(), []

    class Rise(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs[monitor] = [0.1, 0.2, 0.15, 0.1][epoch]

    stop = keras.callbacks.EarlyStopping(monitor, patience=1)
    logs = fit(model, Rise(), stop)
    assert len(logs["loss"]) == 3 and stop.best == 0.2


def test_training_is_not_disturbed(make, tmp_path):
    plain, scored = Recorder(), Recorder()
    fit(shifted(), plain)
    fit(shifted(), make(filepath=tmp_path / "best.weights.h5"), scored)
    for a, b in zip(plain.states, scored.states, strict=True):
        assert_same(a, b)


def test_training_of_a_model_that_samples_is_not_disturbed(make_beta_vae, images, make):
    def weights(callbacks):
        keras.utils.set_random_seed(1)
        model = make_beta_vae()
        model.fit(images, batch_size=8, epochs=3, callbacks=callbacks, verbose=0)
        return state(model)

    assert_same(weights([make()]), weights([]))


# The best.


@pytest.mark.parametrize("ending", [".weights.h5", ".keras"])
@pytest.mark.parametrize("mode, best", [("auto", 1), ("max", 0)])
def test_file_and_restored_model_are_those_of_the_best_epoch(make, tmp_path, ending, mode, best):
    path, recorder, model = tmp_path / "new" / f"best{ending}", Recorder(), shifted()
    evaluation = make(filepath=path, restore_best=True, mode=mode)
    fit(model, recorder, evaluation, epochs=3)
    assert evaluation.best_epoch == best
    assert_same(state(model), recorder.states[best])
    loaded = shifted() if ending == ".weights.h5" else models.load_model(path)
    if ending == ".weights.h5":
        loaded.load_weights(path)
    assert_same(state(loaded), recorder.states[best])
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_without_restore_best_the_model_is_the_last(make, tmp_path):
    recorder, model = Recorder(), shifted()
    fit(model, make(filepath=tmp_path / "best.keras"), recorder, epochs=3)
    assert_same(state(model), recorder.states[2])


def test_the_first_of_equal_scores_is_kept(fake_model, images, tmp_path):
    saved = []
    fake_model.save_weights = lambda path: saved.append(path.write_text("weights"))
    path = tmp_path / "best.weights.h5"
    evaluation = SampleEvaluation(images, images, num_samples=20, filepath=path)
    evaluation.set_model(fake_model)
    evaluation.on_train_begin()
    for epoch in range(3):
        evaluation.on_epoch_end(epoch)
    assert len(saved) == 1 and evaluation.best_epoch == 0


def test_kill_while_writing_leaves_the_old_file(fake_model, images, tmp_path):
    def half(path):
        path.write_text("half")
        raise KeyboardInterrupt

    path = tmp_path / "best.weights.h5"
    path.write_text("old")
    fake_model.save_weights = half
    evaluation = SampleEvaluation(images, images, num_samples=20, filepath=path)
    evaluation.set_model(fake_model)
    with pytest.raises(KeyboardInterrupt):
        evaluation.on_epoch_end(0)
    assert path.read_text() == "old" and [file.name for file in tmp_path.iterdir()] == [path.name]


class Kill(keras.callbacks.Callback):
    """Interrupts at a step, or after the other callbacks at the end of an epoch."""

    def __init__(self, step=None, epoch=None):
        super().__init__()
        self.step, self.epoch = step, epoch

    def on_train_batch_begin(self, batch, logs=None):
        if int(self.model.steps) == self.step:
            raise KeyboardInterrupt

    def on_epoch_end(self, epoch, logs=None):
        if epoch == self.epoch:
            raise KeyboardInterrupt


@pytest.mark.slow
def test_a_resumed_run_remembers_the_best(make, tmp_path):
    def run(folder, *kill):
        model, path = shifted(), folder / "best.weights.h5"
        backup = keras.callbacks.BackupAndRestore(folder / "backup", save_freq=1)
        evaluation = make(filepath=path, restore_best=True, mode="max", every=2)
        table = keras.callbacks.CSVLogger(folder / "log.csv", append=True)
        folder.mkdir(exist_ok=True)
        fit(model, backup, evaluation, table, *kill, epochs=4)
        best = evaluation.best, evaluation.best_epoch
        return state(model), best, (folder / "log.csv").read_text()

    expected = run(tmp_path / "a")
    # After the best file was written and before the backup, and between two evaluations.
    for kill in (Kill(epoch=0), Kill(step=9)):
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "b", kill)
    found = run(tmp_path / "b")
    assert_same(found[0], expected[0])
    assert found[1] == expected[1] and found[2] == expected[2]
    assert found[1][1] == 0


# Errors.


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"monitor": "fid"}, "monitor must be one of .*Received: monitor='fid'"),
        ({"monitor": NAME, "classifier": None}, "monitor must be one of .*Give a classifier"),
        ({"monitor": "ms_ssim"}, "whether ms_ssim is to fall or to rise.*Received: mode='auto'"),
        ({"mode": "down"}, "mode must be one of .*Received: mode='down'"),
        ({"every": 0}, "every must be an int of at least 1. Received: every=0"),
        ({"restore_best": True}, "Received: restore_best=True, filepath=None"),
        ({"filepath": "best.h5"}, r"ends in .weights.h5.*Received: filepath='best.h5'"),
        ({"num_samples": 33}, "must hold at least num_samples=33 images. Received: 32"),
        ({"value_range": (0.0, 0.5)}, r"pixels in value_range=\(0.0, 0.5\)"),
    ],
)
def test_bad_arguments_are_refused_before_training(make, arguments, message):
    with pytest.raises(ValueError, match=message):
        make(**arguments)


def test_a_direction_may_be_given(make):
    evaluation = make(monitor="ms_ssim", mode="min")
    logs = fit(shifted(), evaluation, epochs=2)
    assert evaluation.best == min(logs["ms_ssim"])


def test_models_that_cannot_be_scored_are_refused_before_training(make):
    evaluation = make()
    evaluation.set_model(keras.Sequential())
    with pytest.raises(ValueError, match=r"sample\(num_samples, seed\).*Received: Sequential"):
        evaluation.on_train_begin()
    others = np.random.default_rng(0).uniform(size=(12, 9, 9, 1))
    large = SampleEvaluation(others, others, num_samples=10)
    large.set_model(shifted())
    with pytest.raises(ValueError, match=r"shape \(9, 9, 1\) for a Shifted of shape \(8, 8, 1\)"):
        large.on_train_begin()


def test_models_that_draw_nothing_by_themselves_are_refused_before_training(make):
    """Such as one that needs conditions of which there is no list."""
    options = {"latent_dim": 2, "width": 4, "condition_shape": 3}
    model = models.VAE(
        networks.mlp_encoder(SHAPE, **options), networks.mlp_decoder(SHAPE, **options), seed=0
    )
    model.compile("sgd", run_eagerly=True)
    with pytest.raises(ValueError, match="needs a condition.*take the model of one: model.given"):
        model.fit(IMAGES, np.zeros((len(IMAGES), 3)), callbacks=[make()], verbose=0)
    assert int(model.steps) == 0
