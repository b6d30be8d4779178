"""What Keras does not document is still there, and does what tfgen needs of it.

A test that fails here says that a release of Keras changed something, and which public behaviour of
tfgen depends on it: see whether that still holds, and mend the one function of
tfgen/_utils/keras_private.py.
"""

import json
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen._utils import keras_private
from tfgen._utils.pipeline import resumable_dataset


def changed(name, behaviour):
    """The message of a failure."""
    return f"Keras {keras.__version__} changed {name}. Check that {behaviour}."


class Inner(keras.layers.Layer):
    """A layer, no model, with a layer inside."""

    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(1)


def regression(units=1):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(units)])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    return model


X, Y = np.ones((8, 2), "float32"), np.zeros((8, 1), "float32")


def fit(model, epochs=1, x=X, **kwargs):
    return model.fit(x, Y[: len(x)], batch_size=2, epochs=epochs, verbose=0, **kwargs)


def test_sublayers_are_found_at_any_depth():
    inner = Inner()
    model = keras.Sequential([keras.Sequential([inner, keras.layers.Dropout(0.5)])])
    found = keras_private.sublayers(model)
    message = changed(
        "Layer._flatten_layers",
        "WGANGP refuses batch normalization and NormalizingFlow finds ActNorm inside bijectors",
    )
    assert found[0] is model and inner in found and inner.dense in found, message
    assert len(found) == len({id(layer) for layer in found}), message


def test_a_layer_takes_what_it_is_given():
    class Kind(keras.layers.Layer):
        def call(self, value):
            return type(value).__name__

        def compute_output_spec(self, value):
            return "unknown"

    layer = Kind()
    keras_private.take_unconverted(layer)
    distribution = tfp.distributions.Normal(0.0, 1.0)
    assert layer(distribution) == "Normal", changed(
        "Layer._convert_input_args or Layer._allow_non_tensor_positional_args",
        "KLDivergenceAddLoss sees a distribution and not a draw of it",
    )


def test_seed_states_are_those_of_all_generators():
    inner = keras.Sequential([keras.Input((2,)), keras.layers.Dropout(0.5), keras.layers.Dense(1)])
    model = keras.Sequential([inner, keras.layers.GaussianNoise(1.0)])
    model.build((None, 2))
    states = keras_private.seed_states(model)
    assert len(states) == 2 and all(state.shape == (2,) for state in states), changed(
        "the name of the state of a SeedGenerator, or whether it is among Layer.variables",
        "a saved model with Dropout trains on bit for bit as if never interrupted",
    )


def test_fit_begins_at_an_epoch_given_in_on_train_begin():
    model, seen = regression(), []
    callback = keras.callbacks.LambdaCallback(
        on_train_begin=lambda logs: keras_private.begin_at_epoch(model, 2),
        on_epoch_begin=lambda epoch, logs: seen.append(epoch),
    )
    fit(model, epochs=4, callbacks=[callback])
    message = changed(
        "Model._initial_epoch", "a run resumes at the epoch of its backup (test_base.py, backup)"
    )
    assert seen == [2, 3], message
    keras_private.begin_at_epoch(model, None)
    seen.clear()
    fit(
        model,
        epochs=2,
        callbacks=[
            keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: seen.append(epoch))
        ],
    )
    assert seen == [0, 1], message


def test_batches_per_call_of_the_loop_can_be_set_after_compile():
    model, calls = regression(), []
    keras_private.set_steps_per_execution(model, 3)
    model.make_train_function(force=True)
    callback = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: calls.append(batch)
    )
    fit(model, callbacks=[callback])
    message = changed(
        "Model.steps_per_execution or make_train_function",
        "fit runs up to 32 batches per call, and keeps steps_per_epoch exactly",
    )
    assert keras_private.steps_per_execution(model) == 3, message
    assert len(calls) == 2, message


def test_replicas_of_the_strategy_that_built_the_model():
    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        model = regression()
    assert keras_private.num_replicas(model) == 1, changed(
        "Model.distribute_strategy", "models train under MirroredStrategy"
    )


def test_the_strategy_that_built_the_model():
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    with strategy.scope():
        model = regression()
    assert keras_private.strategy(model) is strategy, changed(
        "Model.distribute_strategy", "models train under MultiWorkerMirroredStrategy"
    )


def test_fit_under_a_strategy_takes_no_batch_to_look_at():
    taken = []

    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 1

        def __getitem__(self, index):
            taken.append(index)
            return X, Y

    def batches_taken(skip):
        with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
            model = regression()
        if skip:
            keras_private.skip_symbolic_build(model)
        taken.clear()
        model.fit(Batches(), verbose=0)
        return len(taken)

    assert batches_taken(skip=True) < batches_taken(skip=False), changed(
        "Model._maybe_symbolic_build",
        "pairs of data and labels train under MultiWorkerMirroredStrategy, or do without this",
    )


def test_metrics_of_replicas_are_summed_when_read():
    with tf.distribute.MirroredStrategy(["CPU:0"]).scope(), keras_private.summed_when_read():
        metric = keras.metrics.Mean()
    metric.update_state([1.0, 3.0])
    message = changed(
        "how a metric makes its tf.Variables", "several replicas log averages over all examples"
    )
    ways = {variable.value.synchronization for variable in metric.variables}
    assert ways == {tf.VariableSynchronization.ON_READ}, message
    assert float(metric.result()) == 2.0, message
    metric.reset_state()
    assert float(metric.result()) == 0.0, message


def fit_half_an_epoch():
    """On a pipeline that says that it has four batches, and delivers two."""
    data = resumable_dataset(lambda _, i: (tf.gather(X, i), tf.gather(Y, i)), 8, 2)
    data.seek(epoch=0, step=2)
    regression().fit(data, verbose=0, shuffle=False)


def test_short_epochs_are_silent():
    message = changed(
        "its warning of an epoch that ran out of data",
        "a run that resumes inside an epoch says nothing of it",
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit_half_an_epoch()
    assert any(str(w.message).startswith("Your input ran out of data") for w in caught), message
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        keras_private.ignore_short_epochs()
        fit_half_an_epoch()
    assert not any("ran out of data" in str(w.message) for w in caught), message


def test_averaged_weights_of_each_optimizer():
    """`fit` calls the first optimizer alone; both networks get the averages of their own."""
    model = regression(units=2)
    kernel, bias = model.trainable_variables
    first, second = (keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5) for _ in range(2))
    model.compile(first, "mse")
    for optimizer, variable in ((first, bias), (second, kernel)):
        optimizer.build([variable])
        optimizer.apply([tf.ones(variable.shape)], [variable])
        variable.assign(tf.fill(variable.shape, 7.0))
        optimizer.apply([tf.zeros(variable.shape)], [variable])
    keras_private.finalize_each(first, [(first, [bias]), (second, [kernel])])
    model.optimizer.finalize_variable_values(model.trainable_variables)
    message = changed(
        "Optimizer.finalize_variable_values",
        "SGD(use_ema=True) leaves the averages of each network's weights after fit",
    )
    for variable in (kernel, bias):
        assert np.all(variable.numpy() != 7.0) and np.all(np.isfinite(variable)), message


def test_averages_of_an_optimizer():
    variable = keras.Variable([1.0])
    for optimizer in (
        keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5),
        keras.optimizers.LossScaleOptimizer(
            keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5)
        ),
    ):
        optimizer.build([variable])
        assert keras_private.averages(optimizer) == []
        for value in (1.0, 3.0):
            variable.assign([value])
            optimizer.apply([tf.zeros(1)], [variable])
        ((same, average),) = keras_private.averages(optimizer)
        message = changed(
            "Optimizer._trainable_variables or _model_variables_moving_average",
            "GenerativeModel.swap_averages exchanges the weights of each network with its averages",
        )
        assert same is variable and float(average[0]) == 2.0, message
    assert keras_private.averages(keras.optimizers.SGD()) == []


def test_averages_of_an_optimizer_in_graphs():
    """The weight itself before the first step, in a graph that was made before it."""
    variable = keras.Variable([1.0])
    optimizer = keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5)
    optimizer.build([variable])
    current = tf.function(lambda: keras_private.averages_or_weights(optimizer)[0][1])
    assert float(current()[0]) == 1.0
    for value in (1.0, 3.0):
        variable.assign([value])
        optimizer.apply([tf.zeros(1)], [variable])
    message = changed(
        "Optimizer._trainable_variables or _model_variables_moving_average",
        "GAN(generator_average=0.999) samples from averages of its generator's weights",
    )
    assert float(current()[0]) == 2.0, message


def test_swapping_is_ours():
    """The callback exchanges weights around each evaluation, and finalizes at the end of `fit`."""
    calls, model = [], regression()
    callback = keras.callbacks.SwapEMAWeights(swap_on_epoch=True)
    swap, finalize = (lambda: calls.append("swap")), (lambda: calls.append("finalize"))
    keras_private.swap_by(callback, swap, finalize)
    fit(model, callbacks=[callback])
    assert calls == ["swap", "finalize"], changed(
        "SwapEMAWeights._swap_variables or _finalize_ema_values",
        "SwapEMAWeights exchanges the weights of every network",
    )


def test_shapes_are_asked_for_in_a_scope():
    seen = []

    class Recorder(keras.layers.Layer):
        def call(self, inputs):
            seen.append(keras_private.is_symbolic())
            return inputs

    layer = Recorder()
    layer(keras.Input((2,)))
    layer(np.ones((1, 2)))
    tf.function(layer)(np.ones((1, 2)))
    assert seen == [True, False, False] and not keras_private.is_symbolic(), changed(
        "keras.SymbolicScope or its original_scope",
        "a network written as a class may end in a distribution layer, and compile with "
        "NegativeLogLikelihood",
    )


def test_callbacks_that_decide_keep_it_where_they_did(tmp_path):
    model = regression()
    sgd = keras.optimizers.SGD(0.1, use_ema=True)
    model.compile(sgd, "mse")
    callbacks = [
        keras.callbacks.EarlyStopping("loss", restore_best_weights=True),
        keras.callbacks.ReduceLROnPlateau("loss"),
        keras.callbacks.ModelCheckpoint(tmp_path / "best.keras", "loss", save_best_only=True),
        keras.callbacks.SwapEMAWeights(swap_on_epoch=True),
    ]
    fit(model, callbacks=callbacks)
    assert {type(callback) for callback in callbacks} == set(keras_private.DECISIONS)
    for callback in callbacks:
        for name in keras_private.DECISIONS[type(callback)]:
            assert getattr(callback, name, None) is not None, changed(
                f"{type(callback).__name__}.{name}",
                "a run that was killed decides as one that was not (tests/models/test_resume.py)",
            )


@pytest.mark.parametrize("mode, falls", [("auto", True), ("max", False)])
def test_checkpoints_that_cannot_be_told_a_direction(tmp_path, mode, falls):
    checkpoint = keras.callbacks.ModelCheckpoint(
        tmp_path / "a.keras", "val_elbo", mode=mode, save_best_only=True
    )
    can_be_told = hasattr(checkpoint, "mode")  # Not in Keras 3.8.
    assert keras_private.falls_by_default(checkpoint) == (falls and not can_be_told), changed(
        "ModelCheckpoint.monitor_op",
        "a checkpoint of the best elbo keeps the highest, or is refused",
    )


def test_losses_of_a_layer_add_up_over_its_calls():
    layer = keras.layers.Dense(1, kernel_initializer="ones", activity_regularizer="l2")
    network = keras.Sequential([keras.Input((1,)), layer])
    message = changed(
        "Layer._clear_losses",
        "activity regularizers of a discriminator count for real and for generated data",
    )
    with keras_private.losses_of_all_calls([network]):
        assert network.losses == [], message
        for value in (1.0, 2.0):
            network(tf.fill((1, 1), value))
        assert [float(loss) for loss in network.losses] == pytest.approx([0.01, 0.04]), message
    assert network.losses == [], message
    network(tf.ones((1, 1)))
    network(tf.ones((1, 1)))
    assert len(network.losses) == 1, message


def test_fit_finalizes_the_first_optimizer():
    model, calls = regression(), []

    class Recorder(keras.optimizers.SGD):
        def finalize_variable_values(self, var_list):
            calls.append(list(var_list))

    first, second = Recorder(0.1), Recorder(0.1)
    model.compile(first, "mse")
    kernel, bias = model.trainable_variables
    keras_private.finalize_each(first, [(first, [bias]), (second, [kernel])])
    for optimizer in (first, second):
        optimizer.iterations.assign(1)
    fit(model)
    assert [[id(v) for v in variables] for variables in calls] == [[id(bias)], [id(kernel)]], (
        changed(
            "when fit calls Optimizer.finalize_variable_values",
            "SGD(use_ema=True) leaves the averages of each network's weights after fit",
        )
    )


def test_state_of_adam():
    optimizer, variable = keras.optimizers.Adam(0.1), keras.Variable([1.0])
    other = keras.Variable([1.0])
    optimizer.build([other, variable])
    optimizer.apply([tf.zeros(1), tf.constant([2.0])], [other, variable])
    momentum, velocity = keras_private.adam_state(optimizer, variable)
    message = changed("Adam._momentums or Adam._velocities", "fused_adam takes the steps of Adam")
    np.testing.assert_allclose(momentum, [0.1 * 2], rtol=1e-5, err_msg=message)
    np.testing.assert_allclose(velocity, [0.001 * 4], rtol=1e-5, err_msg=message)


def test_callbacks_that_save(tmp_path):
    backup = keras.callbacks.BackupAndRestore(tmp_path, save_freq=2)
    checkpoint = keras.callbacks.ModelCheckpoint(tmp_path / "model.keras")
    message = changed(
        "backup_dir, filepath or save_freq of its callbacks",
        "a diverged run says where its last good state is, and never saves a bad one",
    )
    assert keras_private.saved_paths(backup) == [str(tmp_path)], message
    assert keras_private.saved_paths(checkpoint) == [str(tmp_path / "model.keras")], message
    assert keras_private.saved_paths(keras.callbacks.History()) == []
    assert keras_private.saves_by_batches(backup), message
    assert not keras_private.saves_by_batches(checkpoint), message
    assert not keras_private.saves_by_batches(keras.callbacks.History())


def test_callbacks_that_act_inside_epochs(tmp_path):
    message = changed(
        "save_freq of its callbacks, or update_freq or _start_batch of TensorBoard",
        "callbacks act at the batches that they were told",
    )
    between = keras_private.batches_between_saves
    assert between(keras.callbacks.BackupAndRestore(tmp_path, save_freq=2)) == 2, message
    assert between(keras.callbacks.ModelCheckpoint(tmp_path / "model.keras")) == 0, message
    boards = [{}, {"update_freq": 5}, {"update_freq": "batch"}, {"profile_batch": 3}]
    records = [
        keras_private.records_batches(keras.callbacks.TensorBoard(tmp_path, **board))
        for board in boards
    ]
    assert records == [False, True, True, True], message
    assert not keras_private.records_batches(keras.callbacks.History())


def test_variables_of_an_optimizer():
    variables = [keras.Variable([1.0]), keras.Variable([2.0])]
    message = changed(
        "Optimizer._trainable_variables or LossScaleOptimizer.inner_optimizer",
        "variables that an optimizer cannot move are named before training",
    )
    inner, other = keras.optimizers.SGD(), keras.optimizers.SGD()
    keras.optimizers.LossScaleOptimizer(inner).build(variables)
    other.build(variables)
    for optimizer in (inner, other):
        found = keras_private.trained_by(optimizer)
        assert [id(v) for v in found] == [id(v) for v in variables], message


def test_metrics_are_found_at_any_depth():
    layer = keras.layers.Dense(1)
    layer.size = keras.metrics.Mean("size")
    model = keras.Sequential([keras.Sequential([layer])])
    model.own = keras.metrics.Mean("own")
    message = changed("Layer._metrics", "metrics of networks are logged")
    assert keras_private.metrics_in(model) == [model.own, layer.size], message


def test_notes_of_a_backup_are_where_they_were(tmp_path):
    backup = keras.callbacks.BackupAndRestore(tmp_path, delete_checkpoint=False)
    model = regression()
    fit(model, callbacks=[backup])
    notes = tmp_path / "training_metadata.json"
    message = changed(
        "the file of notes of BackupAndRestore", "a run killed while writing them resumes"
    )
    assert notes.exists() and json.loads(notes.read_text(encoding="utf-8")), message
    keras_private.forget_unreadable_notes(backup)
    assert notes.exists()
    notes.write_text('{"epo')  # Killed while writing.
    keras_private.forget_unreadable_notes(backup)
    assert not notes.exists()
    fit(model, callbacks=[keras.callbacks.BackupAndRestore(tmp_path)])


def test_a_backup_can_be_saved_elsewhere(tmp_path):
    model, backup = regression(), keras.callbacks.BackupAndRestore(tmp_path / "own")
    backup.set_model(model)
    before = dict(vars(backup))
    (tmp_path / "other").mkdir()
    with keras_private.saving_in(str(tmp_path / "other"), backup):
        backup.on_epoch_end(0)
    message = changed(
        "where BackupAndRestore keeps its paths", "only the chief of several workers writes backups"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["other"], message
    assert len(list((tmp_path / "other").iterdir())) == 2, message
    assert {k: vars(backup)[k] for k in before if "path" in k or "dir" in k} == {
        k: before[k] for k in before if "path" in k or "dir" in k
    }, message


def test_gradients_that_were_traced_are_forgotten():
    from tensorflow.python.framework import ops

    def trace():
        double = tf.custom_gradient(lambda x: (2.0 * x, lambda upstream: 2.0 * upstream))
        tf.function(double).get_concrete_function(tf.TensorSpec(()))

    message = changed("the registry of gradients", "memory does not grow with the trials of search")
    before = set(ops.gradient_registry._registry)
    trace()
    kept = set(ops.gradient_registry._registry)
    assert len(kept) > len(before), "TensorFlow registers them no more: delete the function"
    with keras_private.gradients_forgotten():
        trace()
    assert set(ops.gradient_registry._registry) == kept, message


def test_oracle_forgets_its_tuners():
    kt = pytest.importorskip("keras_tuner")
    from keras_tuner.src.distribute.oracle_chief import exit_chief

    oracle = kt.oracles.RandomSearchOracle(kt.Objective("loss", "min"), max_trials=1)
    oracle.tuner_ids.add("worker0")
    message = f"KerasTuner {kt.__version__} changed Oracle.tuner_ids. Check that a continued "
    assert not exit_chief(oracle), message + "parallel search ends"
    keras_private.forget_tuners(oracle)
    assert exit_chief(oracle), message + "parallel search ends"
