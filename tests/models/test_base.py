"""The base model, on a toy with two updates: turns, optimizers, compiling, logs."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from toy import NUM_BATCHES, Toy, assert_same_state, data, fit, toy

from tfgen.models import GenerativeModel, load_model


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
    "options, expected",
    [({}, False), ({"jit_compile": False}, False), ({"jit_compile": True}, True)],
)
def test_xla_is_used_on_a_cpu_where_it_is_asked_for(options, expected):
    model = Toy()
    model.compile("sgd", **options)
    assert model.jit_compile == expected
    assert model.get_compile_config()["jit_compile"] == options.get("jit_compile", "auto")


@pytest.mark.parametrize(
    "epochs, convolutions, expected", [(1, False, False), (2, False, True), (2, True, False)]
)
def test_a_long_fit_of_some_models_takes_xla(epochs, convolutions, expected, monkeypatch):
    """Of none with convolutions, which XLA makes slower."""
    monkeypatch.setattr(Toy, "xla_pays_after", 2 * NUM_BATCHES)
    made = {}
    for run in ("train", "test"):
        name = f"make_{run}_function"
        make = getattr(Toy, name)

        def spy(self, force=False, run=run, make=make):
            if force:  # Keras asks again, and takes what there is.
                made[run] = self.jit_compile
            return make(self, force)

        monkeypatch.setattr(Toy, name, spy)
    model = toy()
    if convolutions:
        model.convolution = keras.layers.Conv1D(1, 1)
        model.convolution.build((None, 4, 1))
    fit(model, epochs, validation_data=data())
    assert made == {"train": expected, "test": False} and not model.jit_compile
    model.compile("sgd", jit_compile=False)
    fit(model, epochs)
    assert made["train"] is False


@pytest.mark.parametrize(
    "argument, text",
    [
        ({"dtype": "float64"}, "Received: dtype policy 'float64'.*'mixed_bfloat16'"),
        ({"dtype": "bfloat16"}, "Received: dtype policy 'bfloat16'"),
        ({"activity_regularizer": "l2"}, "no activity of its own.*Give it to a layer"),
    ],
)
def test_arguments_of_keras_that_no_model_can_obey(model_name, build_model, argument, text):
    with pytest.raises(ValueError, match=text):
        build_model(model_name, **argument)
