"""Two processes train one model over loopback, as on two machines."""

import json
import os
import pathlib
import socket
import subprocess
import sys
import textwrap
import time

import keras
import numpy as np
import pytest

SCRIPT = '''
import json
import os
import pathlib
import signal
import sys

import numpy as np
import tensorflow as tf

folder, task, *names = sys.argv[2:]
folder = pathlib.Path(folder)
if "TF_CONFIG" in os.environ:
    rank = json.loads(os.environ["TF_CONFIG"])["task"]["index"]
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
else:
    rank, cpu = "mirrored", tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
import keras
from tfgen import callbacks, models

sys.path.insert(0, sys.argv[1])
import conftest

x = np.random.default_rng(0).normal(size=(64, 2, 2, 1)).astype("float32")


def build(name, optimizer, **kwargs):
    keras.utils.set_random_seed(0)
    with strategy.scope():
        if name == "em":
            return models.MixtureEM(2, (2, 2, 1), seed=0)
        model = conftest._BUILDERS[name](conftest._networks(), seed=0)
        model.compile(optimizer, jit_compile="auto", **kwargs)
    return model


def write(name, model, history):
    arrays = {f"w{i}": v for i, v in enumerate(model.get_weights())}
    logs = {key: np.asarray(values) for key, values in history.items()}
    np.savez(folder / f"{name}.{rank}.npz", **arrays, **logs)


def families():
    for name in names:
        model = build(name, keras.optimizers.SGD(0.05))
        history = model.fit(x, batch_size=16, epochs=2, verbose=0, validation_data=x[:24]).history
        write(name, model, history)


class Stop(keras.callbacks.Callback):
    """Kills this process after a step."""

    def on_train_batch_end(self, batch, logs=None):
        if [str(rank), str(int(self.model.steps.numpy()))] == names[1:3]:
            os.kill(os.getpid(), getattr(signal, names[3]))


def files():
    """Each worker names files of its own, but for the backup."""
    model = build(names[0], "adam")
    backup = keras.callbacks.BackupAndRestore(
        folder / "backup", save_freq=3, delete_checkpoint=False
    )
    checkpoint = keras.callbacks.ModelCheckpoint(folder / f"{rank}.keras")
    table = keras.callbacks.CSVLogger(folder / f"{rank}.csv", append=True)
    grid = callbacks.SampleGrid(folder / f"{rank}.samples", num_samples=4, every=3)
    board = keras.callbacks.TensorBoard(folder / f"{rank}.board", write_graph=False)
    given = [Stop(), backup, checkpoint, table, grid, board]
    history = model.fit(x, batch_size=16, epochs=3, verbose=0, callbacks=given).history
    write("files", model, history)
    if rank == 0:
        model.save(folder / "by_chief.keras")
    model.fit(x, batch_size=16, verbose=0)
    assert checkpoint.filepath == str(folder / f"{rank}.keras")


def refused(message, call):
    try:
        call()
    except ValueError as error:
        assert message in str(error), error
    else:
        raise AssertionError(message)


def refusals():
    for message, options in {
        "steps_per_execution=2": {"steps_per_execution": 2},
        "jit_compile=True": {"jit_compile": True},
    }.items():
        model = build("vae", "sgd")
        model.compile("sgd", **options)
        refused(message, lambda: model.fit(x, verbose=0))
    model = build("vae", "sgd")
    refused("a batch of 1 examples", lambda: model.fit(x[:33], batch_size=16, verbose=0))
    data = x[: 32 * (rank + 1)]
    refused("batches_of_an_epoch [2, 4]", lambda: model.fit(data, batch_size=16, verbose=0))
    model.steps.assign(rank)
    refused("step [0, 1]", lambda: model.fit(x, batch_size=16, verbose=0))


{"families": families, "files": files, "refusals": refusals}[task]()
print("done", flush=True)
'''
FOLDER = pathlib.Path(__file__).parent
# An epoch's sums, of the same float32 numbers in another order.
ROUNDING = {"rtol": 1e-4, "atol": 1e-6}


def start(folder, *args, **environment):
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT), str(FOLDER), str(folder), *args]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", **environment}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, **pipes, text=True, env=environment)


def free_ports(number):
    sockets = [socket.create_server(("localhost", 0)) for _ in range(number)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def start_cluster(folder, *args, size=2):
    """Processes that know each other."""
    cluster = {"worker": [f"localhost:{port}" for port in free_ports(size)]}
    tasks = [{"cluster": cluster, "task": {"type": "worker", "index": i}} for i in range(size)]
    return [start(folder, *args, TF_CONFIG=json.dumps(task)) for task in tasks]


def run(*processes):
    for process in processes:
        out, err = process.communicate(timeout=300)
        assert out.endswith("done\n"), err[-3000:]


def arrays(folder, name, rank):
    with np.load(folder / f"{name}.{rank}.npz") as file:
        return dict(file)


def assert_equal(got, expected, **tolerance):
    assert got.keys() == expected.keys()
    for key, value in expected.items():
        np.testing.assert_allclose(got[key], value, err_msg=key, **tolerance)


@pytest.mark.slow
def test_two_workers_are_one_process(tmp_path, build_model):
    """And each of them has the same weights and logs, bit for bit; only the chief writes files."""
    run(*start_cluster(tmp_path, "files", "flow"))
    workers = [arrays(tmp_path, "files", rank) for rank in range(2)]
    assert_equal(*workers, rtol=0)
    x = np.random.default_rng(0).normal(size=(64, 2, 2, 1)).astype("float32")
    model = build_model("flow")
    model.compile("adam")
    history = model.fit(x, batch_size=16, epochs=3, verbose=0).history
    expected = {f"w{i}": v for i, v in enumerate(model.get_weights())} | history
    assert_equal(workers[0], expected, **ROUNDING)
    assert {path.name for path in tmp_path.iterdir()} == {
        *("files.0.npz", "files.1.npz"),
        *("backup", "0.keras", "0.csv", "0.samples", "0.board", "by_chief.keras"),
    }
    assert (tmp_path / "0.csv").read_text(encoding="utf-8").count("\n") == 4
    for name in ("0.keras", "by_chief.keras"):
        saved = keras.models.load_model(tmp_path / name)
        assert_equal(
            {f"w{i}": v for i, v in enumerate(saved.get_weights())},
            {k: v for k, v in workers[0].items() if k[0] == "w"},
            rtol=0,
        )


FAMILIES = ["vae", "gan", "wgan_gp", "flow", "vq_vae", "hvi", "draw", "aae", "beta_tcvae", "em"]


@pytest.mark.slow
def test_every_family_is_one_process_of_two_replicas(tmp_path):
    """Which draws the same numbers: each replica has its own."""
    run(*start_cluster(tmp_path, "families", *FAMILIES))
    run(start(tmp_path, "families", *FAMILIES))
    for name in FAMILIES:
        workers = [arrays(tmp_path, name, rank) for rank in range(2)]
        assert_equal(*workers, rtol=0)
        assert_equal(workers[0], arrays(tmp_path, name, "mirrored"), **ROUNDING)
        assert any(key.startswith("val_") for key in workers[0]), name


@pytest.mark.slow
@pytest.mark.parametrize(
    "rank, step, signal", [(1, 8, "SIGKILL"), (0, 5, "SIGKILL"), (1, 6, "SIGSTOP")]
)
def test_a_lost_worker_ends_the_run_which_goes_on_later(tmp_path, rank, step, signal):
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    run(*start_cluster(tmp_path / "whole", "files", "vae"))
    processes = start_cluster(tmp_path / "killed", "files", "vae", str(rank), str(step), signal)
    begin = time.monotonic()
    _, err = processes[1 - rank].communicate(timeout=120)
    processes[rank].kill()
    processes[rank].communicate()
    assert time.monotonic() - begin < 90
    assert "another worker of the cluster no longer answers" in err, err[-3000:]
    run(*start_cluster(tmp_path / "killed", "files", "vae"))
    resumed, whole = (arrays(tmp_path / name, "files", 0) for name in ("killed", "whole"))
    weights = [{k: v for k, v in a.items() if k[0] == "w"} for a in (resumed, whole)]
    assert_equal(*weights, rtol=0)
    assert_equal(arrays(tmp_path / "killed", "files", 1), resumed, rtol=0)
    rows = [
        (tmp_path / name / "0.csv").read_text(encoding="utf-8").splitlines()
        for name in ("whole", "killed")
    ]
    assert len(rows[0]) == len(rows[1]) == 4


@pytest.mark.slow
def test_a_cluster_may_have_one_worker(tmp_path):
    run(*start_cluster(tmp_path, "files", "vae", size=1))
    assert (tmp_path / "files.0.npz").exists()


@pytest.mark.slow
def test_what_workers_cannot_do_is_refused_by_all(tmp_path):
    run(*start_cluster(tmp_path, "refusals"))
