"""A run that is really killed, and started again, ends with the weights of one that was not."""

import pathlib
import signal
import subprocess
import sys

import pytest

SCRIPT = pathlib.Path(__file__).parents[2] / "examples" / "resume.py"


def run(backup_dir, *flags):
    return subprocess.run(
        [sys.executable, SCRIPT, "--backup-dir", backup_dir, *flags], capture_output=True, text=True
    )


def digest(result):
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    return digest(run(tmp_path_factory.mktemp("whole")))


@pytest.mark.parametrize(
    "flags, kills",
    [
        # At the boundary: 12 batches are one epoch.
        pytest.param(["--save-freq", "epoch"], ["12"], marks=pytest.mark.slow, id="boundary"),
        # Inside the first epoch, then inside the second.
        pytest.param(["--save-freq", "3"], ["10", "21"], marks=pytest.mark.slow, id="twice"),
        pytest.param(["--save-freq", "3"], ["16"], id="inside"),
    ],
)
def test_killed_run_goes_on_exactly(tmp_path, uninterrupted, flags, kills):
    for batches in kills:
        assert run(tmp_path, *flags, "--kill-after", batches).returncode == -signal.SIGKILL
    resumed = run(tmp_path, *flags)
    assert digest(resumed) == uninterrupted
