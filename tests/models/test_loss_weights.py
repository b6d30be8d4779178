"""Setting a weight of a model's loss: training, evaluation and files follow, or it is refused."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from vaes import build

from tfgen import callbacks, layers, models
from tfgen._utils.constructors import constructor_arguments
from tfgen.models.training_data import parted

# Left out of the loss of a model that is built with 0.
OPTIONAL = {"instance_noise", "proximity", "r1"}


@keras.saving.register_keras_serializable("tests")
class Penalised(models.VAE):
    """With a weight whose term is left out for good where it is 0 at first."""

    def __init__(self, *args, penalty=0.0, **kwargs):
        super().__init__(*args, **kwargs)
        self.penalty = self.add_loss_weight("penalty", penalty, optional=True)


def weights_in_use(model):
    """Names of those in the loss. `proximity` has no effect on a generator that stands still."""
    names = set(model.initial_loss_weights) & set(constructor_arguments(type(model)))
    names -= {"proximity"}
    first = {name: model.initial_loss_weights[name] for name in sorted(names)}
    return [n for n, value in first.items() if value or (value == 0 and n not in OPTIONAL)]


def data_for(model, x):
    labels = (np.mean(x, axis=(1, 2, 3)) > 0).astype("int32")
    return x, labels if getattr(model, "num_classes", None) else None


def changed(name, value):
    """Another value; of capacities and free bits beyond what the KL divergence is."""
    return -0.5 if name == "alpha" and not value else 0.7 * value + 60.0


def stored(model):
    store = {}
    model.save_own_variables(store)
    return store


def minimised(model, x):
    """What the updates minimise, on the same draws each time."""
    model.evaluation_seed_generator.state.assign([0, 0])
    values = []
    for update in model.updates:
        inputs = update.inputs(model.unpack(data_for(model, x)), training=False)[-1]
        inputs, condition = parted(inputs)
        with layers.given(condition):
            values.append(np.mean(update.terms(inputs, training=False)[update.minimise]))
    return values


@pytest.mark.one_of_each_kind
def test_setting_assigns_to_the_variable_in_the_loss(model_name, build_model, blobs):
    model, x = build_model(model_name), tf.constant(blobs[:8])
    names = weights_in_use(model)
    first = minimised(model, x) if names else None
    for name in names:
        variable, value = getattr(model, name), float(getattr(model, name))
        setattr(model, name, changed(name, value))
        assert getattr(model, name) is variable
        assert float(stored(model)[f"weight_{name}"]) == float(variable) != value
        assert not np.allclose(minimised(model, x), first, rtol=1e-5), name
        setattr(model, name, value)
        np.testing.assert_array_equal(minimised(model, x), first)


def assert_compiled_steps_follow(model, x):
    """One batch of `fit` and of `evaluate`, with a rate of 0, by what was traced at first."""
    model.compile(keras.optimizers.SGD(0.0), steps_per_execution=1, jit_compile=False)
    x, y = data_for(model, x)
    weights = model.get_weights()

    def losses(**values):
        model.set_weights(weights)
        model.seed_generator.state.assign([3, 0])
        for name, value in values.items():
            setattr(model, name, value)
        fitted = model.fit(x, y, batch_size=len(x), shuffle=False, verbose=0).history
        evaluated = model.evaluate(x, y, batch_size=len(x), verbose=0, return_dict=True)
        names = [update.minimise for update in model.updates]
        return [[fitted[name][0] for name in names], [evaluated[name] for name in names]]

    first = losses()
    for name in weights_in_use(model):
        changes = {name: changed(name, float(getattr(model, name)))}
        for old, new in zip(first, losses(**changes), strict=True):
            assert not np.allclose(old, new, rtol=1e-5), name
        assert losses() == first


@pytest.mark.parametrize("name", ["vae", "wgan_gp"])
def test_compiled_steps_follow(name, build_model, blobs):
    assert_compiled_steps_follow(build_model(name), blobs[:16])


@pytest.mark.slow
def test_compiled_steps_of_every_model_follow(model_name, build_model, blobs):
    assert_compiled_steps_follow(build_model(model_name), blobs[:16])


def test_values_of_every_kind():
    model = build(models.VAE)
    for value in (2, np.float32(2), np.array(2.0), tf.constant(2.0), keras.Variable(2.0)):
        model.beta = 0.0
        model.beta = value
        assert float(model.beta) == 2.0
    model.beta = model.beta
    tf.function(lambda: setattr(model, "beta", tf.constant(3.0)))()
    assert float(model.beta) == 3.0
    assert model.get_config()["beta"] == 1.0  # What the constructor was given.


@pytest.mark.parametrize(
    "value", [-1.0, float("nan"), float("inf"), "1", [1.0], np.ones(2), True.__class__, None]
)
def test_values_that_are_no_weight(value):
    model = build(models.VAE)
    with pytest.raises(ValueError, match="Received: (model.)?beta ?="):
        model.beta = value
    assert float(model.beta) == 1.0


def test_a_term_that_the_loss_does_not_have():
    model = build(models.VAE)
    with pytest.raises(ValueError, match=r"without capacity.*VAE\(\.\.\., capacity=0.0\)"):
        model.capacity = 5.0
    model = build(models.VAE, Penalised)
    model.penalty = 0.0
    with pytest.raises(ValueError, match="with penalty=0, and its loss leaves that term out"):
        model.penalty = 1.0
    model = build(models.VAE, Penalised, penalty=2.0)
    for value in (0.0, 1.0):
        model.penalty = value


def test_a_weight_that_its_class_does_not_take():
    """InfoVAE is a VAE without its beta."""
    model = build(models.InfoVAE)
    with pytest.raises(ValueError, match="InfoVAE takes no beta: .*1 - alpha"):
        model.beta = 2.0
    model.compile("sgd", run_eagerly=True)
    with pytest.raises(ValueError, match="InfoVAE takes no beta"):
        schedule = callbacks.BetaSchedule(lambda step: 1.0)
        model.fit(np.zeros((4, 4, 4, 1), "float32"), callbacks=[schedule], verbose=0)


def test_an_alpha_may_be_negative_and_its_schedule_too():
    model = build(models.InfoVAE)
    model.alpha = -2.0
    model.compile("sgd", run_eagerly=True, steps_per_execution=1)
    x = np.zeros((4, 4, 4, 1), "float32")
    schedule = callbacks.WeightSchedule("alpha", lambda step: -1.0 - step)
    model.fit(x, batch_size=2, callbacks=[schedule], verbose=0)
    assert float(model.alpha) == -2.0  # At the second step, number 1.
    with pytest.raises(ValueError, match="alpha at step 2: alpha weights .* finite number"):
        bad = callbacks.WeightSchedule("alpha", lambda step: float("-inf"))
        model.fit(x, callbacks=[bad], verbose=0)
    with pytest.raises(ValueError, match="lambda_mmd at step 2: lambda_mmd weights .* >= 0"):
        bad = callbacks.WeightSchedule("lambda_mmd", lambda step: -1.0)
        model.fit(x, callbacks=[bad], verbose=0)


def test_a_callback_that_sets_beta_is_obeyed():
    """Training, evaluation and file have one value."""

    class Off(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                self.model.beta = 0.0

    model = build(models.VAE)
    model.compile(keras.optimizers.SGD(0.0))
    x = np.random.default_rng(0).uniform(size=(32, 4, 4, 1)).astype("float32")
    logs = model.fit(x, epochs=2, callbacks=[Off()], validation_data=x, verbose=0).history
    for prefix in ("", "val_"):
        loss, reconstruction = logs[prefix + "loss"], logs[prefix + "reconstruction"]
        assert loss[0] > reconstruction[0] + 1e-3
        assert loss[1] == pytest.approx(reconstruction[1], rel=1e-6)
    assert float(stored(model)["weight_beta"]) == 0.0


@pytest.mark.parametrize("name", ["vae_gan", "constrained", "gvae", "aae", "alpha_gan"])
def test_file_of_before_a_weight_was_added(name, build_model):
    """Keras numbers variables: without r1 all behind it have other numbers in the file."""

    def build(value):
        model = build_model(name)
        own = model.add_weight(shape=(), initializer="ones", name="own", trainable=False)
        own.assign(value)
        return model, own

    old, _ = build(5.0)
    for weight in old.initial_loss_weights:
        if weight != "r1" and getattr(old, weight) is not None:
            getattr(old, weight).assign(0.7)
    saved = {}
    old.save_own_variables(saved)
    (number,) = (key for key, v in saved.items() if v is old.r1 and key.isdigit())
    behind = [key for key in saved if key.isdigit() and int(key) > int(number)]
    for key in ["weight_r1", number]:
        saved.pop(key)
    for key in behind:
        saved[str(int(key) - 1)] = saved.pop(key)
    store = {key: keras.ops.convert_to_numpy(value) for key, value in saved.items()}
    new, own = build(1.0)
    before = float(new.r1)
    new.load_own_variables(store)
    assert float(own) == 5.0 and float(new.r1) == before
    for weight in new.initial_loss_weights:
        if weight != "r1" and getattr(new, weight) is not None:
            assert float(getattr(new, weight)) == pytest.approx(0.7), weight
