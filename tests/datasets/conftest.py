"""How much memory a script takes, which images are decoded, and whether data sets are the same."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from tfgen.datasets import image_files

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


@pytest.fixture
def decoded(monkeypatch):
    """Names of the images that are decoded, in no order."""
    names, read = [], image_files.read_image

    def counted(path, image_size=None):
        names.append(path.name)
        return read(path, image_size)

    monkeypatch.setattr(image_files, "read_image", counted)
    return names


@pytest.fixture
def assert_same():
    """A function that compares two results of `load`: description and two epochs."""

    def check(found, expected):
        assert found[1] == expected[1]
        for _ in range(2):
            a, b = list(found[0]), list(expected[0])
            assert len(a) == len(b) > 0
            keras.tree.map_structure(np.testing.assert_array_equal, a, b)

    return check
