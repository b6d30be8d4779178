"""Chief and workers: their environments, restarts, and a whole search over loopback."""

import os
import pathlib
import re
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from tfgen import tuning
from tfgen.tuning import parallel


def test_environments_name_one_chief_and_its_address():
    chief, *workers = tuning.worker_environments(3, port=8000)
    assert chief["KERASTUNER_TUNER_ID"] == "chief"
    assert [w["KERASTUNER_TUNER_ID"] for w in workers] == ["worker0", "worker1", "worker2"]
    addresses = {
        (e["KERASTUNER_ORACLE_IP"], e["KERASTUNER_ORACLE_PORT"]) for e in [chief, *workers]
    }
    assert addresses == {("127.0.0.1", "8000")}


def test_each_worker_has_one_gpu_in_turns_and_the_chief_none():
    chief, *workers = tuning.worker_environments(3, gpus=["0", "2"])
    assert chief["CUDA_VISIBLE_DEVICES"] == ""
    assert [w["CUDA_VISIBLE_DEVICES"] for w in workers] == ["0", "2", "0"]
    assert {w["TF_FORCE_GPU_ALLOW_GROWTH"] for w in workers} == {"true"}


def test_workers_share_the_cores(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    assert tuning.worker_environments(3)[1]["TF_NUM_INTRAOP_THREADS"] == "2"
    assert tuning.worker_environments(20)[1]["OMP_NUM_THREADS"] == "1"


def test_no_worker():
    with pytest.raises(
        ValueError, match="num_workers must be an int of at least 1. Received: num_workers=0"
    ):
        tuning.worker_environments(0)


def test_gpus_that_the_process_may_use(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    assert parallel.visible_gpus() == ["3", "5"]


def test_roles(monkeypatch):
    assert not tuning.is_worker() and not parallel.is_chief()
    monkeypatch.setenv("KERASTUNER_ORACLE_IP", "127.0.0.1")
    monkeypatch.setenv("KERASTUNER_TUNER_ID", "chief")
    assert tuning.is_worker() and parallel.is_chief()
    monkeypatch.setenv("KERASTUNER_TUNER_ID", "worker0")
    assert tuning.is_worker() and not parallel.is_chief()


# Processes that import nothing: what becomes of those that die.

FAILS_ONCE = """
    import os, pathlib, sys, time
    name = os.environ["KERASTUNER_TUNER_ID"]
    if name == "chief":
        time.sleep({chief})
        sys.exit(1)
    path = pathlib.Path(sys.argv[1], name)
    path.write_text(path.read_text(encoding="utf-8") + "x" if path.exists() else "x")
    sys.exit(len(path.read_text(encoding="utf-8")) < {runs})
"""


def command(folder, chief=600, runs=2):
    code = textwrap.dedent(FAILS_ONCE.format(chief=chief, runs=runs))
    return [sys.executable, "-S", "-c", code, str(folder)]


def test_a_worker_that_dies_is_started_again_and_the_chief_ends_with_the_workers(tmp_path):
    tuning.run_workers(command(tmp_path), 2)
    assert {p.name: p.read_text(encoding="utf-8") for p in tmp_path.iterdir()} == {
        "worker0": "xx",
        "worker1": "xx",
    }


def test_workers_that_keep_dying_end_the_run(tmp_path):
    with pytest.raises(RuntimeError, match="Worker 0 .*Received: exit status 1"):
        tuning.run_workers(command(tmp_path, runs=9), 1, max_restarts=1)
    assert (tmp_path / "worker0").read_text(encoding="utf-8") == "xx"


def test_without_its_chief_the_run_ends(tmp_path):
    waits = command(tmp_path, chief=0)
    waits[3] = waits[3].replace("path.write_text", "time.sleep(600); path.write_text")
    with pytest.raises(RuntimeError, match="The chief .*Received: exit status 1"):
        tuning.run_workers(waits, 1)


def test_a_process_that_does_not_end_when_asked_to_is_killed(monkeypatch):
    code = (
        "import signal, time; signal.signal(15, signal.SIG_IGN); print(flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-S", "-c", code], stdout=subprocess.PIPE)
    process.stdout.readline()
    monkeypatch.setattr(parallel, "_PATIENCE_SECONDS", 0.1)
    parallel._end([process])
    assert process.returncode == -9


LOCKS = """
    import fcntl, sys, time
    file = open(sys.argv[1])
    fcntl.flock(file, fcntl.LOCK_EX)
    print(flush=True)
    time.sleep(60)
"""


def test_a_worker_ends_when_the_lock_of_its_parent_does(tmp_path, monkeypatch):
    pytest.importorskip("fcntl")
    path, ended, kill = tmp_path / "lock", threading.Event(), os.kill
    path.touch()

    def noted_kill(pid, number):
        ended.set() if pid == os.getpid() else kill(pid, number)

    monkeypatch.setenv("TFGEN_SEARCH_LOCK", str(path))
    monkeypatch.setattr("os.kill", noted_kill)
    locks = [sys.executable, "-S", "-c", textwrap.dedent(LOCKS), str(path)]
    with subprocess.Popen(locks, stdout=subprocess.PIPE) as parent:
        parent.stdout.readline()
        parallel.end_with_parent()
        assert not ended.wait(0.2)
        parent.kill()
        assert ended.wait(10)
    assert not path.exists()
    ended.clear()
    parallel.end_with_parent()  # The parent has ended before its worker began.
    assert ended.wait(10)


def test_a_lock_is_held_as_long_as_the_workers_run(tmp_path):
    fcntl = pytest.importorskip("fcntl")
    with parallel._lock() as variables, open(variables["TFGEN_SEARCH_LOCK"]) as file:
        with pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)


def test_command_line(tmp_path, capsys):
    parallel.main(["--workers", "1", "--", *command(tmp_path, runs=1)])
    assert (tmp_path / "worker0").read_text(encoding="utf-8") == "x"
    with pytest.raises(SystemExit):
        parallel.main(["--workers", "1"])
    assert "Name the command" in capsys.readouterr().err


def test_a_cpu_alone_keeps_its_precision():
    import keras

    before = keras.config.dtype_policy().name
    if tuning.configure_devices(mixed_precision=True) == 0:
        assert keras.config.dtype_policy().name == before


SEARCH = """
    import functools, os, pathlib, sys
    from tfgen import datasets, tuning

    class Model(tuning.BetaLatentHyperModel):
        def fit(self, hp, model, **kwargs):
            path = pathlib.Path(sys.argv[1], os.environ["KERASTUNER_TUNER_ID"] + ".txt")
            with open(path, "a") as file:
                print(self.values(hp)["beta"], self.values(hp)["latent_dim"], file=file)
            return super().fit(hp, model, **kwargs)

    data = functools.partial(datasets.load, "digits", binarize="threshold")
    hypermodel = Model(data, beta=(0.1, 1.0, 4.0), latent_dim=(2, 3), learning_rate=(1e-3, 3e-3),
                       width=8, splits=("test", "test"))
    tuning.search(hypermodel, sys.argv[1], epochs=1, verbose=0, tuner="grid")
"""


@pytest.mark.slow
def test_chief_and_two_workers_share_a_grid_over_loopback(tmp_path):
    """Twelve trials, each trained once, by both workers; the parent then only reads them."""
    tuning.run_workers([sys.executable, "-c", textwrap.dedent(SEARCH), str(tmp_path)], 2)
    shares = {
        path.stem: path.read_text(encoding="utf-8").splitlines() for path in tmp_path.glob("*.txt")
    }
    assert set(shares) == {"worker0", "worker1"}
    assert all(shares.values())
    assert sum(map(len, shares.values())) == 12
    trials = tuning.load_trials(tmp_path)
    assert [t.status for t in trials] == ["COMPLETED"] * 12
    names = ("beta", "latent_dim", "learning_rate")
    assert len({tuple(t.hyperparameters[name] for name in names) for t in trials}) == 12
    kept = [t for t in tuning.ranked(trials) if t.model_path]
    assert len(kept) == 4
    assert {kept[0], kept[-1]} == {tuning.best_trial(trials), tuning.worst_trial(trials)}


PARENT = """
    import sys
    from tfgen import tuning
    tuning.run_workers([sys.executable, "-c", sys.argv[1], sys.argv[2]], 2)
"""


@pytest.mark.slow
def test_when_the_parent_is_killed_all_end_and_the_next_call_goes_on(tmp_path):
    """Chief and workers hold the parent's standard output open for as long as they run."""
    parent = [sys.executable, "-c", textwrap.dedent(PARENT), textwrap.dedent(SEARCH), str(tmp_path)]
    process = subprocess.Popen(parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while len(list(tmp_path.glob("trials/*/trial.json"))) < 2:
        assert process.poll() is None, process.stderr.read().decode()
        time.sleep(0.05)
    process.kill()
    process.communicate(timeout=5)
    ended = {t.trial_id: t for t in tuning.load_trials(tmp_path)}
    assert 2 <= len(ended) < 12
    subprocess.run(parent, check=True, capture_output=True)
    trials = tuning.load_trials(tmp_path)
    assert [t.status for t in trials] == ["COMPLETED"] * 12
    assert {t.trial_id: t for t in trials if t.trial_id in ended} == ended


PAGE = pathlib.Path(__file__).parents[2] / "docs" / "tuning.md"
# What a cluster would do, on one machine: three tasks, each with its number; a host is this one.
SRUN = """#!/bin/bash
shift
for task in 0 1 2; do SLURM_PROCID=$task "$@" & pids="$pids $!"; done
for pid in $pids; do wait "$pid" || exit 1; done
"""
SSH = """#!/bin/bash
exec bash -c "$2"
"""


@pytest.mark.slow
@pytest.mark.parametrize("script, hosts", [(0, []), (1, ["127.0.0.1", "node1 node2"])])
def test_the_scripts_for_several_machines(script, hosts, tmp_path):
    blocks = re.findall(r"```bash\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    (tmp_path / "search.sh").write_text(blocks[script])
    (tmp_path / "my_search.py").write_text(textwrap.dedent(SEARCH))
    programs = {
        "srun": SRUN,
        "ssh": SSH,
        "hostname": "#!/bin/bash\necho 127.0.0.1\n",
        "python": f'#!/bin/bash\nexec {sys.executable} "$@"\n',
    }
    for name, text in programs.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
        "SLURM_JOB_ID": str(os.getpid()),
        "SLURM_CPUS_PER_TASK": "1",
    }
    results = tmp_path / "results"
    results.mkdir()
    command = ["bash", "search.sh", *hosts, "my_search.py", str(results)]
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, timeout=600)
    shares = {
        path.stem: len(path.read_text(encoding="utf-8").splitlines())
        for path in results.glob("*.txt")
    }
    assert set(shares) == ({"node1", "node2"} if hosts else {"worker1", "worker2"})
    assert all(shares.values()) and sum(shares.values()) == 12
    assert [t.status for t in tuning.load_trials(results)] == ["COMPLETED"] * 12
