"""Order, noise and position of resumable pipelines."""

import gc
import subprocess
import sys
import threading

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen._utils.pipeline import Position, plan_epoch, resumable_dataset

NUM_EXAMPLES = 11
BATCH_SIZE = 4
# Keras warns that it cannot shuffle a dataset, which its default asks for.
QUIET = {"shuffle": False, "verbose": 0}


def positions(batch):
    return batch.numpy().tolist()


def noisy(seed, examples):
    """A batch of the examples' positions and of noise."""
    return examples, tf.random.stateless_uniform(tf.shape(examples), seed)


def make(load_batch=lambda seed, examples: examples, **options):
    return resumable_dataset(load_batch, NUM_EXAMPLES, BATCH_SIZE, **options)


def epochs_of(dataset, count=1):
    return [[positions(batch) for batch in dataset] for _ in range(count)]


def test_each_epoch_has_every_example_once_in_a_new_order():
    first, second = epochs_of(make(), 2)
    assert sorted(sum(first, [])) == sorted(sum(second, [])) == list(range(NUM_EXAMPLES))
    assert first != second
    assert [len(batch) for batch in first] == [4, 4, 3]


def test_order_depends_on_the_seed():
    assert epochs_of(make(seed=3)) == epochs_of(make(seed=3))
    assert epochs_of(make(seed=3)) != epochs_of(make(seed=4))


def test_all_orders_are_equally_likely():
    plans = [plan_epoch(3, 3, 1, seed=0, epoch=epoch, shuffle=True) for epoch in range(600)]
    orders = np.concatenate([examples for _, examples, _ in plans])
    counts = np.unique(orders, axis=0, return_counts=True)[1]
    # Chi-squared with 5 degrees of freedom exceeds 25.7 with probability 1e-4; the seed is fixed.
    assert len(counts) == 6
    assert ((counts - 100) ** 2 / 100).sum() < 25.7


def test_seeds_of_noise_do_not_repeat():
    plans = [
        plan_epoch(40, 4, 10, seed=seed, epoch=epoch, shuffle=True)
        for seed in range(3)
        for epoch in range(4)
    ]
    seeds = np.concatenate([seeds for seeds, _, _ in plans])
    assert len(np.unique(seeds, axis=0)) == 3 * 4 * 10


def test_unshuffled_epochs_are_equal():
    first, second = epochs_of(make(shuffle=False), 2)
    assert first == second == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10]]


def test_unshuffled_noise_is_the_same_in_each_epoch():
    dataset = make(noisy, shuffle=False)
    first, second = ([noise.numpy() for _, noise in dataset] for _ in range(2))
    np.testing.assert_array_equal(np.concatenate(first), np.concatenate(second))


def test_noise_differs_between_batches_and_epochs():
    dataset = make(noisy, drop_remainder=True)
    noise = np.stack([noise.numpy() for _ in range(2) for _, noise in dataset])
    assert len(np.unique(noise)) == noise.size


@pytest.mark.parametrize("epoch", [0, 1, 5])
@pytest.mark.parametrize("step", [0, 1, 2, 3])
def test_seek_delivers_the_rest_of_an_epoch_bit_for_bit(epoch, step):
    dataset = make(noisy)
    uninterrupted = [[batch for batch in dataset] for _ in range(6)]
    resumed = make(noisy)
    resumed.seek(epoch, step)
    rest = list(resumed)
    assert len(rest) == len(uninterrupted[epoch]) - step
    for (examples, noise), (expected_examples, expected_noise) in zip(
        rest, uninterrupted[epoch][step:], strict=True
    ):
        np.testing.assert_array_equal(examples, expected_examples)
        np.testing.assert_array_equal(noise, expected_noise)


def test_the_epoch_after_a_sought_one_is_whole():
    dataset = make()
    expected = epochs_of(dataset, 4)
    dataset.seek(2, 1)
    assert epochs_of(dataset, 2) == [expected[2][1:], expected[3]]


def test_seeking_the_end_of_an_epoch_leaves_no_batch():
    dataset = make()
    dataset.seek(0, 3)
    assert epochs_of(dataset) == [[]]


def test_cardinality_is_known_and_survives_seek_and_map():
    dataset = make()
    assert len(dataset) == 3
    assert len(make(drop_remainder=True)) == 2
    dataset.seek(0, 2)
    assert len(dataset.map(lambda examples: (examples, examples))) == 3


def test_iterators_that_deliver_nothing_use_up_no_epoch():
    dataset = make()
    expected = epochs_of(make(), 2)
    unused = [iter(dataset) for _ in range(3)]
    assert epochs_of(dataset, 2) == expected
    assert len(unused) == 3


def test_concurrent_iterators_keep_their_own_epochs():
    expected = epochs_of(make(), 2)
    dataset = make()
    first, second = iter(dataset), iter(dataset)
    pairs = [(positions(next(first)), positions(next(second))) for _ in range(3)]
    assert [list(epoch) for epoch in zip(*pairs, strict=True)] == expected


def test_seek_leaves_a_running_iterator_alone():
    dataset = make()
    expected = epochs_of(make())[0]
    iterator = iter(dataset)
    delivered = [positions(next(iterator))]
    dataset.seek(9, 2)
    assert delivered + [positions(batch) for batch in iterator] == expected


def test_derived_datasets_follow_the_position():
    dataset = make()
    expected = epochs_of(make(), 3)
    derived = dataset.map(lambda examples: examples)
    dataset.seek(2, 1)
    assert epochs_of(derived) == [expected[2][1:]]


def test_position_outlives_the_dataset_it_was_made_for():
    derived = make().map(lambda examples: examples)
    gc.collect()
    assert epochs_of(derived, 2) == epochs_of(make(), 2)


def test_batch_shape_is_static_without_remainder():
    assert make(drop_remainder=True).element_spec.shape == (BATCH_SIZE,)
    assert make().element_spec.shape == (None,)


class Recorder(keras.Model):
    """Notes the batches that it is trained on."""

    def __init__(self):
        super().__init__()
        self.seen = []
        self.built = True

    def train_step(self, data):
        self.seen.append(positions(data))
        return {"loss": 0.0}


@pytest.mark.parametrize("steps_per_execution", [1, 2])
def test_keras_fit_sees_one_epoch_after_the_other(steps_per_execution):
    model = Recorder()
    model.compile(run_eagerly=True, steps_per_execution=steps_per_execution)
    model.fit(make(drop_remainder=True), epochs=3, **QUIET)
    assert model.seen == sum(epochs_of(make(drop_remainder=True), 3), [])


def test_keras_fit_starts_at_the_position_sought_at_an_epoch_begin():
    dataset = make()
    model = Recorder()
    model.compile(run_eagerly=True)
    seek = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: dataset.seek(epoch, 1 if epoch == 2 else 0)
    )
    with pytest.warns(UserWarning, match="ran out of data"):
        model.fit(dataset, epochs=4, initial_epoch=2, callbacks=[seek], **QUIET)
    third, fourth = epochs_of(make(), 4)[2:]
    assert model.seen == third[1:] + fourth


MIRRORED = """
import gc
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from tfgen._utils.pipeline import resumable_dataset

strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
load_batch = lambda seed, examples: examples

def distribute():
    dataset = resumable_dataset(load_batch, 11, 4)
    return strategy.experimental_distribute_dataset(dataset), dataset.seek

def epoch(distributed):
    batches = [strategy.experimental_local_results(batch) for batch in distributed]
    return [[part.numpy().tolist() for part in batch] for batch in batches]

single = resumable_dataset(load_batch, 11, 4)
expected = [[batch.numpy().tolist() for batch in single] for _ in range(2)]
distributed, seek = distribute()
gc.collect()
unused = iter(distributed)
for batches in expected:
    assert [sum(batch, []) for batch in epoch(distributed)] == batches
seek(0, 1)
parts = epoch(distributed)
assert [sum(batch, []) for batch in parts] == expected[0][1:]
assert [len(part) for part in parts[0]] == [2, 2]
print("as expected")
"""


def test_two_replicas_share_the_batches_of_one_pipeline():
    # In a process of its own: devices must be set up before TensorFlow first uses them.
    result = subprocess.run([sys.executable, "-c", MIRRORED], capture_output=True, text=True)
    assert "as expected" in result.stdout, result.stderr


def test_position_counts_each_taker_once_across_threads():
    position = Position(num_batches=1)
    taken = []
    threads = [
        threading.Thread(target=lambda: taken.extend(position.take()[0] for _ in range(200)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == list(range(800))


@pytest.mark.parametrize(("epoch", "step"), [(-1, 0), (0, -1), (0, 4)])
def test_seek_refuses_positions_outside_the_data(epoch, step):
    with pytest.raises(
        ValueError, match=rf"step in \[0, 3\].*Received: epoch={epoch}, step={step}"
    ):
        make().seek(epoch, step)


def test_negative_seeds_are_refused():
    with pytest.raises(ValueError, match="at least 0. Received: seed=-1"):
        make(seed=-1)
