"""The base model, on a toy with two updates: optimizers, seeds, metrics, saving, resuming."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen.models import GenerativeModel, Update, load_model

NUM_BATCHES = 4


@keras.saving.register_keras_serializable("tfgen-tests")
class Toy(GenerativeModel):
    """A generator against a critic, with Dropout, so that every kind of randomness is there."""

    def __init__(self, repeats=1, shared=False, **kwargs):
        super().__init__(data_shape=(3,), **kwargs)
        self.repeats, self.shared = repeats, shared
        self.generator = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
        self.critic = keras.Sequential(
            [
                keras.Input((3,)),
                keras.layers.Dense(4, "tanh"),
                keras.layers.Dropout(0.5, seed=0),
                keras.layers.Dense(1),
            ]
        )
        for i, variable in enumerate(self.trainable_variables):
            variable.assign(keras.random.normal(variable.shape, seed=i))

    @property
    def updates(self):
        terms = [self.both] * 2 if self.shared else [self.critic_terms, self.generator_terms]
        return [
            Update("critic", (self.critic,), terms[0], "critic_loss", self.turns),
            Update("generator", (self.generator,), terms[1], "generator_loss", self.turns),
        ]

    def turns(self, x, training):
        return [x] * self.repeats

    def fakes(self, x, training):
        seed = self.next_seed(training)
        z = tf.random.stateless_normal((tf.shape(x)[0], 2), seed)
        return self.generator(z, training=training)

    def critic_terms(self, x, training=True):
        fake = self.critic(self.fakes(x, training), training=training)
        real = self.critic(x, training=training)
        return {"critic_loss": (tf.square(real - 1) + tf.square(fake))[:, 0]}

    def generator_terms(self, x, training=True):
        fake = self.critic(self.fakes(x, training), training=training)
        return {"generator_loss": tf.square(fake - 1)[:, 0]}

    def both(self, x, training=True):
        return self.critic_terms(x, training) | self.generator_terms(x, training)

    def get_config(self):
        return {**super().get_config(), "repeats": self.repeats, "shared": self.shared}


def data():
    return np.random.default_rng(0).normal(size=(8 * NUM_BATCHES, 3)).astype("float32")


def toy(**kwargs):
    model = Toy(seed=1, **kwargs)
    optimizers = {"generator": keras.optimizers.Adam(0.1), "critic": keras.optimizers.SGD(0.1, 0.9)}
    model.compile(optimizers)
    return model


def fit(model, epochs, **kwargs):
    return model.fit(data(), batch_size=8, epochs=epochs, verbose=0, **kwargs).history


def state(model):
    """Everything a `.keras` file must bring back: weights, seeds, optimizers."""
    variables = [
        *model.variables,
        *model.optimizers["critic"].variables,
        *model.optimizers["generator"].variables,
    ]
    return [keras.ops.convert_to_numpy(v) for v in variables]


def assert_same_state(a, b):
    assert len(state(a)) == len(state(b))
    for left, right in zip(state(a), state(b), strict=True):
        np.testing.assert_array_equal(left, right)


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


class Interrupt(keras.callbacks.Callback):
    def __init__(self, step):
        super().__init__()
        self.step = step

    def on_train_batch_end(self, batch, logs=None):
        if int(self.model.steps) >= self.step:
            raise KeyboardInterrupt


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


def test_each_update_moves_only_its_own_networks():
    model = Toy(seed=0)
    model.compile({"critic": keras.optimizers.SGD(0.1), "generator": keras.optimizers.SGD(0.0)})
    before = model.generator.get_weights(), model.critic.get_weights()
    fit(model, 1)
    for old, new in zip(before[0], model.generator.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert not np.array_equal(before[1][0], model.critic.get_weights()[0])


def test_update_follows_its_own_loss_only():
    """One step of SGD against the gradient of that update's loss, taken by hand."""
    model, twin = Toy(seed=3, shared=True), Toy(seed=3, shared=True)
    model.compile(keras.optimizers.SGD(0.1))
    x = tf.constant(data()[:8])
    with tf.GradientTape(persistent=True) as tape:
        terms = twin.both(x)
        losses = {name: tf.reduce_mean(value) for name, value in terms.items()}
    model.fit(x, batch_size=8, shuffle=False, verbose=0)
    for network, loss in (("critic", "critic_loss"), ("generator", "generator_loss")):
        old = getattr(twin, network).trainable_variables
        new = getattr(model, network).trainable_variables
        gradients = tape.gradient(losses[loss], [v.value for v in old])
        for before, after, gradient in zip(old, new, gradients, strict=True):
            # Float32 rounding of one multiplication and one addition.
            np.testing.assert_allclose(after, before - 0.1 * gradient, rtol=1e-5, atol=1e-6)


def test_updates_with_the_same_terms_share_a_forward_pass(monkeypatch):
    calls = []
    original = Toy.both
    monkeypatch.setattr(Toy, "both", lambda *args, **kw: calls.append(1) or original(*args, **kw))
    model = Toy(seed=0, shared=True)
    model.compile("sgd", run_eagerly=True, steps_per_execution=1)
    calls.clear()
    model.fit(data()[:8], batch_size=8, verbose=0)
    assert len(calls) == 1


def test_turns_within_one_step():
    model = Toy(seed=0, repeats=3)
    model.compile("sgd")
    fit(model, 1)
    assert int(model.steps) == NUM_BATCHES
    assert int(model.optimizers["critic"].iterations) == 3 * NUM_BATCHES


def test_one_optimizer_is_copied_for_each_update():
    model = Toy(seed=0)
    model.compile(keras.optimizers.Adam(0.01, beta_1=0.5))
    critic, generator = model.optimizers["critic"], model.optimizers["generator"]
    assert critic is not generator
    assert generator.get_config() == critic.get_config()


def test_optimizers_by_wrong_names():
    with pytest.raises(ValueError, match=r"updates \['critic', 'generator'\].*Received.*'disc"):
        Toy().compile({"discriminator": "adam", "generator": "adam"})


def test_logs_average_over_examples_not_batches():
    """The last batch is smaller: its examples count as much as the others'."""
    model = toy()
    x = data()[:12]
    logs = model.evaluate(x, batch_size=8, verbose=0, return_dict=True)
    assert set(logs) == {"critic_loss", "generator_loss"}
    model.evaluation_seed_generator.state.assign([0, 0])
    values = [model.both(part, training=False)["critic_loss"] for part in (x[:8], x[8:])]
    np.testing.assert_allclose(logs["critic_loss"], np.mean(np.concatenate(values)), rtol=1e-5)


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


def test_second_fit_begins_at_its_own_first_epoch(tmp_path):
    model = toy()
    backup = keras.callbacks.BackupAndRestore(tmp_path)
    fit(model, 2, callbacks=[backup])
    assert len(fit(model, 3)["critic_loss"]) == 3


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


def test_base_class_says_what_a_subclass_gives():
    model = GenerativeModel((3,))
    with pytest.raises(NotImplementedError):
        model.compile()
    with pytest.raises(NotImplementedError):
        model.sample(3)


def test_averaged_weights_replace_those_of_each_update():
    """Keras' `use_ema`, with momentum 0.5, followed by hand for both networks."""
    model = Toy(seed=0)
    model.compile(keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5))
    variables = model.generator.trainable_variables + model.critic.trainable_variables
    averages = []

    class Average(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            values = [v.numpy() for v in variables]
            old = averages.pop() if averages else values  # Keras begins with the first step's.
            averages.append([(a + b) / 2 for a, b in zip(old, values, strict=True)])

    model.compile(model.optimizers, steps_per_execution=1)
    fit(model, 1, callbacks=[Average()])
    for variable, average in zip(variables, averages[0], strict=True):
        np.testing.assert_allclose(variable, average, rtol=1e-5, atol=1e-6)


@pytest.fixture
def mixed_float16():
    keras.config.set_dtype_policy("mixed_float16")
    yield
    keras.config.set_dtype_policy("float32")


def test_scaled_losses_of_several_optimizers_are_saved_and_go_on(mixed_float16, tmp_path):
    model = toy()
    assert isinstance(model.optimizers["critic"], keras.optimizers.LossScaleOptimizer)
    fit(model, 2)
    model.save(tmp_path / "toy.keras")
    loaded = load_model(tmp_path / "toy.keras")
    assert_same_state(model, loaded)
    assert fit(model, 1) == fit(loaded, 1)
    assert_same_state(model, loaded)


# Compiling.


@pytest.mark.parametrize(
    "width, convolution, options, expected",
    [
        (600, False, {}, True),
        (600, False, {"jit_compile": False}, False),
        (600, False, {"run_eagerly": True}, False),
        (60, False, {}, False),
        (60, False, {"jit_compile": True}, True),
        (600, True, {}, False),
    ],
)
def test_xla_where_it_pays_on_a_cpu(width, convolution, options, expected):
    model = Toy()
    model.critic = keras.Sequential([keras.Input((600,)), keras.layers.Dense(width)])
    if convolution:
        model.generator = keras.Sequential([keras.Input((8, 1)), keras.layers.Conv1D(2, 3)])
    model._log_names = list  # These networks fit no data.
    model.compile("sgd", **options)
    assert model.jit_compile == expected
    assert model.get_compile_config()["jit_compile"] == options.get("jit_compile", "auto")
