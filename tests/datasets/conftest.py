"""How much memory a script takes."""

import os
import subprocess
import sys

import pytest

# What is freed goes back to the system at once, so that a process has what it holds and no more.
# By itself glibc keeps some of it, more after larger arrays: 20 to 70 MiB here, as it happens.
GIVES_BACK = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": "65536",
    "MALLOC_TRIM_THRESHOLD_": "65536",
}


@pytest.fixture
def measured():
    """A function that runs a script and returns the numbers that it printed last, in MiB."""
    if not sys.platform.startswith("linux"):
        pytest.skip("reads /proc/self/status")

    def run(script, *arguments):
        command = [sys.executable, "-c", script, *map(str, arguments)]
        environment = os.environ | GIVES_BACK
        result = subprocess.run(command, capture_output=True, text=True, env=environment)
        assert result.returncode == 0, result.stderr[-3000:]
        return [float(number) for number in result.stdout.splitlines()[-1].split()]

    return run
