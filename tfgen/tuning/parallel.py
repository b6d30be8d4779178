"""Chief and workers of one search, as processes; and the settings of a GPU.

KerasTuner's own protocol: the chief proposes trials, workers ask it for them. It is set up by three
environment variables, in each process of the same command:

| variable | chief | worker |
| --- | --- | --- |
| KERASTUNER_TUNER_ID | chief | a name of its own, such as worker0 |
| KERASTUNER_ORACLE_IP | address of the chief | the same |
| KERASTUNER_ORACLE_PORT | a free port | the same |

On one machine `run_workers`, or the command

    python -m tfgen.tuning.parallel --workers 2 -- python script.py --arguments

sets them and starts everything. On several machines set them by hand, with an output folder on a
file system that all machines share.
"""

import argparse
import contextlib
import functools
import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence

import keras
import tensorflow as tf

from tfgen._utils.arguments import check_ints, check_one_of

try:
    import fcntl
except ImportError:  # Windows, where workers outlive a parent that is killed.
    fcntl = None  # type: ignore[assignment]

__all__ = ["configure_devices", "is_chief", "is_worker", "run_workers", "worker_environments"]

_ID, _IP, _PORT = (f"KERASTUNER_{name}" for name in ("TUNER_ID", "ORACLE_IP", "ORACLE_PORT"))
# The file that `run_workers` keeps locked.
_LOCK = "TFGEN_SEARCH_LOCK"
_POLL_SECONDS = 0.5
_PATIENCE_SECONDS = 10
_MOST_WORKERS = 1024


def is_worker() -> bool:
    """Whether this process is the chief or a worker of a parallel search."""
    return _IP in os.environ


def is_chief() -> bool:
    """Whether this process is the chief of a parallel search, which trains nothing."""
    return is_worker() and "chief" in os.environ.get(_ID, "")


def worker_environments(
    num_workers: int,
    gpus: Sequence[str] = (),
    address: str = "127.0.0.1",
    port: int | None = None,
) -> list[dict[str, str]]:
    """The environment variables of a chief and its workers on one machine.

    Args:
        num_workers: int >= 1.
        gpus: sequence of string, names for CUDA_VISIBLE_DEVICES; workers take turns in them. If
            empty, the variable is left as it is.
        address: string, where the chief listens.
        port: int, or None for a free one.

    Returns:
        List of dicts of strings, the chief's first. The chief sees no GPU; workers share the
        cores of the CPU, and take memory of their GPU as they need it.

    Raises:
        ValueError: if there is no worker, or an argument is of another kind.

    Example:
        >>> chief, first, second = worker_environments(2, gpus=["0"], port=8000)
        >>> chief["KERASTUNER_TUNER_ID"], second["KERASTUNER_TUNER_ID"]
        ('chief', 'worker1')
        >>> first["CUDA_VISIBLE_DEVICES"], second["CUDA_VISIBLE_DEVICES"]
        ('0', '0')
    """
    _check_environments(num_workers, gpus, address, port)
    chief = {_IP: address, _PORT: str(port or _free_port(address)), _ID: "chief"}
    threads = str(max(1, (os.cpu_count() or 1) // num_workers))
    worker = {
        **chief,
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
        "TF_NUM_INTRAOP_THREADS": threads,
        "OMP_NUM_THREADS": threads,
    }
    workers = [{**worker, _ID: f"worker{i}"} for i in range(num_workers)]
    for i, environment in enumerate(workers if gpus else ()):
        environment["CUDA_VISIBLE_DEVICES"] = gpus[i % len(gpus)]
    return [{**chief, "CUDA_VISIBLE_DEVICES": ""}, *workers]


def _check_environments(num_workers, gpus, address, port):
    check_ints(num_workers=num_workers)
    if num_workers > _MOST_WORKERS:
        raise ValueError(
            f"num_workers must be at most {_MOST_WORKERS}. Received: num_workers={num_workers}. "
            "More run on several machines."
        )
    if not isinstance(gpus, list | tuple) or not all(isinstance(name, str) for name in gpus):
        raise ValueError(
            "gpus must be a list of str, names for CUDA_VISIBLE_DEVICES. Received: "
            f"gpus={gpus!r}. Pass for example ['0', '1']."
        )
    if not isinstance(address, str) or not address:
        raise ValueError(
            f"address must be a str, where the chief listens. Received: address={address!r}. Use "
            "'127.0.0.1' for one machine."
        )
    if port is not None:
        check_ints(port=port)
        if port > 65535:
            raise ValueError(
                f"port must be at most 65535. Received: port={port}. Use None for a free one."
            )


def _free_port(address):
    with socket.socket() as server:
        server.bind((address, 0))
        return server.getsockname()[1]


def visible_gpus() -> list[str]:
    """Names of the GPUs that this process may use, for CUDA_VISIBLE_DEVICES."""
    if os.environ.get("CUDA_VISIBLE_DEVICES"):
        return os.environ["CUDA_VISIBLE_DEVICES"].split(",")
    return [str(i) for i in range(len(tf.config.list_physical_devices("GPU")))]


def run_workers(command: Sequence[str], num_workers: int, max_restarts: int = 3) -> None:
    """Runs a command that calls `search` as a chief and several workers on this machine.

    A worker that dies is started again and takes up its trial; the chief ends when all workers
    have. If this process is interrupted or killed, all of them end, and the same call goes on.

    Args:
        command: list of string, such as `[sys.executable, *sys.argv]`.
        num_workers: int >= 1. With GPUs each worker uses one, in turns; else all share the CPU.
        max_restarts: int >= 0, how many deaths of workers are put up with in all.

    Raises:
        ValueError: if there is no worker or command, or an argument is of another kind.
        RuntimeError: if the chief died, or more workers than `max_restarts`.

    Example:
        >>> import sys
        >>> code = "from tfgen import tuning; assert tuning.is_worker()"
        >>> run_workers([sys.executable, "-c", code], num_workers=1)  # doctest: +SKIP
    """
    if not isinstance(command, list | tuple) or not all(isinstance(c, str) for c in command or [0]):
        raise ValueError(
            "command must be a list of str, a program and its arguments. Received: command="
            f"{command!r}. Pass for example [sys.executable, 'script.py']."
        )
    check_ints(0, max_restarts=max_restarts)
    environments = worker_environments(num_workers, visible_gpus())
    processes: list[subprocess.Popen] = []
    with _lock() as lock:
        variables = [{**os.environ, **environment, **lock} for environment in environments]
        start = [functools.partial(subprocess.Popen, command, env=env) for env in variables]
        try:
            processes += (start_one() for start_one in start)
            _watch(processes, start, command, max_restarts)
        finally:
            _end(processes)


def _watch(processes, start, command, max_restarts):
    """Waits for the workers, and starts those again that die."""
    while any(process.poll() is None for process in processes[1:]):
        time.sleep(_POLL_SECONDS)
        if processes[0].poll():
            raise RuntimeError(_failure("The chief", processes[0], command))
        for i, process in enumerate(processes[1:], start=1):
            if process.poll():  # Ended, and not with 0.
                if not max_restarts:
                    raise RuntimeError(_failure(f"Worker {i - 1}", process, command))
                max_restarts -= 1
                processes[i] = start[i]()


@contextlib.contextmanager
def _lock() -> Iterator[dict[str, str]]:
    """The variable that names a file which is locked until this process ends, however it ends."""
    if fcntl is None:
        yield {}
        return
    with tempfile.NamedTemporaryFile(prefix="tfgen-search-") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield {_LOCK: file.name}


def end_with_parent() -> None:
    """Ends this process as soon as the `run_workers` that started it has ended."""
    if fcntl is not None and _LOCK in os.environ:
        threading.Thread(target=_wait_for_parent, args=(os.environ[_LOCK],), daemon=True).start()


def _wait_for_parent(path):
    with contextlib.suppress(FileNotFoundError), open(path) as file:  # It has ended before.
        fcntl.flock(file, fcntl.LOCK_SH)
        pathlib.Path(path).unlink(missing_ok=True)
    os.kill(os.getpid(), signal.SIGKILL)  # Whatever the main thread waits for.


def _failure(who, process, command):
    return (
        f"{who} of a parallel search ended. Received: exit status {process.returncode} of "
        f"{' '.join(command)}; its own messages are above. The same call goes on with the search."
    )


def _end(processes):
    for process in processes:
        if process.poll() is None:
            process.terminate()
    for process in processes:
        try:
            process.wait(_PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def configure_devices(mixed_precision: bool = False, memory_growth: bool = True) -> int:
    """Settings for training on GPUs, to be called first; a CPU alone is left as it is.

    Args:
        mixed_precision: bool, compute in bfloat16 with float32 weights; the Keras policy
            "mixed_bfloat16", for this process.
        memory_growth: bool, take memory of a GPU as needed instead of all of it.

    Returns:
        int, number of GPUs.

    Example:
        >>> configure_devices() >= 0
        True
    """
    check_one_of((True, False), mixed_precision=mixed_precision, memory_growth=memory_growth)
    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, memory_growth)
    if mixed_precision and gpus:
        keras.config.set_dtype_policy("mixed_bfloat16")
    return len(gpus)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Runs a command as chief and workers.")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--max-restarts", type=int, default=3)
    parser.add_argument("command", nargs=argparse.REMAINDER, help="-- python script.py ...")
    args = parser.parse_args(argv)
    command = args.command[1:] if args.command[:1] == ["--"] else args.command
    if not command:
        parser.error("Name the command: --workers 2 -- python script.py")
    run_workers(command, args.workers, args.max_restarts)


# When it is imported and not when it searches: data may take long to load before.
end_with_parent()

if __name__ == "__main__":
    main()
