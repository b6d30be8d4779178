"""A run that is really killed, and started again, ends with the weights of one that was not."""

import json
import pathlib
import signal
import subprocess
import sys

import pytest

SCRIPT = pathlib.Path(__file__).parents[2] / "examples" / "resume.py"
# Starts the script once for each list of flags, in a fork of a process that has imported Keras
# and TFP, which takes longer than the runs; says how each ended.
FORKS = """
import json, os, runpy, sys
import keras, tensorflow_probability
_, script, runs = sys.argv
for flags in json.loads(runs):
    if not os.fork():
        sys.argv = [script, *flags]
        runpy.run_path(script, run_name="__main__")
        sys.stdout.flush()
        os._exit(0)
    _, status = os.wait()
    print("ended with", os.waitstatus_to_exitcode(status), flush=True)
"""


def run(*runs):
    """Exit statuses of runs one after the other, and the last lines of those that end."""
    command = [sys.executable, "-c", FORKS, str(SCRIPT), json.dumps(runs)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-3000:]
    lines = result.stdout.splitlines()
    ends = [int(line.split()[-1]) for line in lines if line.startswith("ended with")]
    assert len(ends) == len(runs), result.stderr[-3000:]
    return ends, [line for line in lines if line.startswith("after ")]


@pytest.mark.parametrize(
    "flags, kills",
    [
        # At the boundary: 12 batches are one epoch.
        pytest.param(["--save-freq", "epoch"], ["12"], marks=pytest.mark.slow, id="boundary"),
        # Inside the first epoch, then inside the second.
        pytest.param(["--save-freq", "3"], ["10", "21"], id="inside"),
    ],
)
def test_killed_run_goes_on_exactly(tmp_path, flags, kills):
    killed = [str(tmp_path / "killed"), *flags]
    ends, digests = run(
        ["--backup-dir", str(tmp_path / "whole")],
        *(["--backup-dir", *killed, "--kill-after", batches] for batches in kills),
        ["--backup-dir", *killed],
    )
    assert ends == [0, *[-signal.SIGKILL] * len(kills), 0]
    uninterrupted, resumed = digests
    assert resumed == uninterrupted
