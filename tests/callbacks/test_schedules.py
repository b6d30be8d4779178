import keras
import numpy as np
import pytest

import tfgen
from tfgen.callbacks import (
    BetaSchedule,
    CapacitySchedule,
    CyclicalKLWarmUp,
    KLWarmUp,
    WeightSchedule,
)


class Recorder(keras.callbacks.Callback):
    """Writes down beta before each execution; may die at a step, as a killed process does."""

    def __init__(self, die_at=None):
        super().__init__()
        self.die_at = die_at
        self.betas = {}

    def on_train_batch_begin(self, batch, logs=None):
        step = int(self.model.steps)
        if step == self.die_at:
            raise KeyboardInterrupt
        self.betas[step] = float(self.model.beta)


def values(callback, model, steps, name="beta"):
    """Values that the callback sets at each of `steps`."""
    callback.set_model(model)
    callback.on_train_begin()
    found = []
    for step in steps:
        model.steps.assign(step)
        callback.on_train_batch_begin(0)
        found.append(float(getattr(model, name)))
        callback.on_train_batch_end(0)
    return found


def test_beta_follows_the_function(fake_model):
    callback = BetaSchedule(lambda step: 1 / (1 + step))
    # A float32 variable rounds to 6e-8 of the value.
    np.testing.assert_allclose(values(callback, fake_model, range(4)), [1, 1 / 2, 1 / 3, 1 / 4])


def test_warm_up_is_linear_and_then_constant(fake_model):
    callback = KLWarmUp(num_steps=10, start=1.0, end=3.0)
    assert values(callback, fake_model, [0, 5, 10, 11, 1000]) == [1.0, 2.0, 3.0, 3.0, 3.0]


def test_warm_up_may_go_down(fake_model):
    assert values(KLWarmUp(4, start=8.0, end=4.0), fake_model, [0, 1, 4]) == [8.0, 7.0, 4.0]


def test_warm_up_ends_at_the_models_own_beta(fake_model):
    assert values(KLWarmUp(num_steps=10), fake_model, [0, 5, 10]) == [0.0, 2.0, 4.0]


def test_own_beta_is_not_the_half_warmed_one(fake_model):
    fake_model.beta.assign(0.4)  # As restored from a checkpoint at a tenth of the way.
    assert values(KLWarmUp(num_steps=10), fake_model, [1, 10]) == [np.float32(0.4), 4.0]


def test_warm_up_of_an_unregularized_model_stays_at_zero(fake_model):
    fake_model.config["beta"] = 0.0
    assert values(KLWarmUp(num_steps=10), fake_model, [0, 10]) == [0.0, 0.0]


def test_numbers_of_steps_may_be_whole_floats(fake_model):
    assert values(KLWarmUp(num_steps=1e1), fake_model, [5, 10]) == [2.0, 4.0]


def test_cycles_as_in_the_paper(fake_model):
    callback = CyclicalKLWarmUp(num_steps=100, num_cycles=4, ratio=0.5, end=1.0)
    # Fu et al., with T = 100, M = 4, R = 0.5, f linear and t = step + 1.
    taus = [((t - 1) % np.ceil(100 / 4)) / (100 / 4) for t in range(1, 101)]
    expected = [tau / 0.5 if tau <= 0.5 else 1.0 for tau in taus]
    np.testing.assert_allclose(values(callback, fake_model, range(100)), expected, rtol=1e-6)


def test_cycles_of_uneven_length_start_where_the_paper_has_them(fake_model):
    callback = CyclicalKLWarmUp(num_steps=10, num_cycles=3, ratio=1.0, end=1.0)
    found = values(callback, fake_model, range(12))
    assert [step for step in range(12) if found[step] == 0.0] == [0, 4, 8]
    assert found[10:] == [1.0, 1.0]


def test_cycles_start_and_end_where_told(fake_model):
    callback = CyclicalKLWarmUp(num_steps=8, num_cycles=2, start=1.0)
    assert values(callback, fake_model, [0, 1, 2, 3, 4, 8]) == [1.0, 2.5, 4.0, 4.0, 1.0, 4.0]


def test_capacity_rises_from_zero(fake_model):
    callback = CapacitySchedule(max_capacity=25.0, num_steps=100)
    assert values(callback, fake_model, [0, 50, 100, 200], "capacity") == [0.0, 12.5, 25.0, 25.0]
    assert float(fake_model.beta) == 4.0


def test_log_of_the_epoch_has_the_value(fake_model):
    callback = KLWarmUp(num_steps=10)
    values(callback, fake_model, [5])
    logs = {"loss": 1.0}
    callback.on_epoch_end(0, logs)
    assert logs == {"loss": 1.0, "beta": 2.0}


def test_checkpoint_restored_after_the_callback_began_is_seen(fake_model):
    callback = KLWarmUp(num_steps=10)
    callback.set_model(fake_model)
    callback.on_train_begin()
    fake_model.steps.assign(5)  # As BackupAndRestore does, when it comes later in the list.
    callback.on_epoch_begin(0)
    assert float(fake_model.beta) == 2.0


def test_any_weight_can_be_scheduled(fake_model):
    fake_model.gamma = keras.Variable(1.0, dtype="float32", trainable=False)
    callback = WeightSchedule("gamma", lambda step: 2 * step)
    assert values(callback, fake_model, [0, 3], "gamma") == [0.0, 6.0]
    callback.on_epoch_end(0, logs := {})
    assert logs == {"gamma": 6.0} and float(fake_model.beta) == 4.0


@pytest.mark.parametrize("callback", [KLWarmUp(10), BetaSchedule(float), CapacitySchedule(5.0, 10)])
def test_model_built_without_the_weight_is_refused(callback, fake_model):
    setattr(fake_model, callback.name, None)
    callback.set_model(fake_model)
    remedy = rf"Received: {callback.name}=None.*FakeModel\(\.\.\., {callback.name}=0.0\)"
    with pytest.raises(ValueError, match=remedy):
        callback.on_train_begin()


@pytest.mark.parametrize("name", ["gama", "steps", "seeds", "trained", "matrix", "summary"])
def test_what_is_no_weight_of_the_loss_is_refused(name, fake_model):
    fake_model.trained = keras.Variable(1.0, dtype="float32")
    fake_model.matrix = keras.Variable([1.0], dtype="float32", trainable=False)
    callback = WeightSchedule(name, float)
    callback.set_model(fake_model)
    received = rf"sets model.{name}. Received: name='{name}' for a FakeModel"
    message = rf"{received} .*it has, \['beta', 'capacity'\]"
    with pytest.raises(ValueError, match=message):
        callback.on_train_begin()


@pytest.mark.parametrize("value", [-1.0, float("nan"), None, "much"])
def test_bad_values_of_a_function_are_refused(fake_model, value):
    callback = BetaSchedule(lambda step: value)
    callback.set_model(fake_model)
    with pytest.raises(
        ValueError, match=f"beta at step 0: .*finite number >= 0. Received: .*={value!r}"
    ):
        callback.on_train_begin()


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: KLWarmUp(0), "num_steps must be an int of at least 1. Received: num_steps=0"),
        (lambda: KLWarmUp(10, start=-1.0), "start .* must be a finite number >= 0"),
        (lambda: KLWarmUp(10, end=-1.0), "end .* must be a finite number >= 0"),
        (lambda: CyclicalKLWarmUp(10, num_cycles=0), "num_cycles must be an int of at least 1"),
        (lambda: CyclicalKLWarmUp(10, num_cycles=11), "one step for each cycle.*num_cycles=11"),
        (lambda: CyclicalKLWarmUp(10, ratio=0.0), "Received: ratio=0.0"),
        (lambda: CyclicalKLWarmUp(10, ratio=1.1), "Received: ratio=1.1"),
        (lambda: CapacitySchedule(-1.0, 10), "max_capacity .* must be a finite number >= 0"),
        (lambda: KLWarmUp(2.5), "num_steps must be an int of at least 1. Received: num_steps=2.5"),
        (lambda: CapacitySchedule(1.0, 0), "num_steps must be an int of at least 1"),
    ],
)
def test_arguments_out_of_range_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_resumed_training_sees_the_betas_of_an_uninterrupted_run(make_beta_vae, images, tmp_path):
    def train(recorder):
        model = make_beta_vae(steps_per_execution=2, beta=4.0)
        # The schedule comes first: it must not depend on when the checkpoint is restored.
        backup = keras.callbacks.BackupAndRestore(tmp_path / "backup", save_freq=2)
        model.fit(
            images,
            batch_size=8,
            epochs=3,
            callbacks=[KLWarmUp(num_steps=10), backup, recorder],
            verbose=0,
        )

    killed, resumed, uninterrupted = Recorder(die_at=10), Recorder(), Recorder()
    with pytest.raises(KeyboardInterrupt):
        train(killed)
    train(resumed)
    train(uninterrupted)
    assert min(resumed.betas) > 0
    assert {**killed.betas, **resumed.betas} == uninterrupted.betas
    # 4 * step / 10, held for the two steps of an execution.
    assert list(uninterrupted.betas) == [0, 2, 4, 6, 8, 10]
    np.testing.assert_allclose(uninterrupted.betas[6], 2.4)


def test_schedule_reaches_the_compiled_loss(make_beta_vae, images):
    model = make_beta_vae(beta=4.0)
    schedule = BetaSchedule(lambda step: 0.0 if step < 4 else 3.0)
    logs = model.fit(images, batch_size=8, epochs=2, callbacks=[schedule], verbose=0).history
    expected = np.array(logs["reconstruction"]) + [0.0, 3.0] * np.array(logs["kl"])
    # Means of float32 sums over 64 pixels.
    np.testing.assert_allclose(logs["loss"], expected, rtol=1e-5)
    assert logs["beta"] == [0.0, 3.0]


def test_capacity_schedule_of_a_real_model(make_beta_vae, images):
    model = make_beta_vae(beta=4.0, capacity=0.0)
    schedule = CapacitySchedule(max_capacity=5.0, num_steps=8)
    logs = model.fit(images, batch_size=8, epochs=2, callbacks=[schedule], verbose=0).history
    # The last steps of the two epochs are steps 3 and 7 of 8.
    assert logs["capacity"] == [5.0 * 3 / 8, 5.0 * 7 / 8]


def test_real_model_without_capacity_is_refused(make_beta_vae, images):
    with pytest.raises(ValueError, match=r"Give it a first value .* BetaVAE\(..., capacity=0.0\)"):
        make_beta_vae().fit(images, callbacks=[CapacitySchedule(5.0, 8)], verbose=0)


def test_weight_of_a_real_model_changes_its_loss_and_not_its_config(images):
    networks = tfgen.networks
    encoder = networks.mlp_encoder(images.shape[1:], latent_dim=2, width=8)
    decoder = networks.mlp_decoder(images.shape[1:], latent_dim=2, width=8)
    model = tfgen.models.DIPVAE(encoder, decoder, lambda_od=3.0, lambda_d=2.0, seed=0)
    model.compile("adam", steps_per_execution=1)
    schedule = WeightSchedule("lambda_d", lambda step: 7.0 * (step >= 4))
    logs = model.fit(images, batch_size=8, epochs=2, callbacks=[schedule], verbose=0).history
    assert logs["lambda_d"] == [0.0, 7.0]
    assert model.get_config()["lambda_d"] == 2.0
