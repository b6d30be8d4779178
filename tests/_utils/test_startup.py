"""TensorFlow's start-up lines are held back as TF_CPP_MIN_LOG_LEVEL says, and others are not."""

import os
import subprocess
import sys

import pytest

from tfgen._utils import startup

INFORMATION = "I0000 00:00:1796070585.02 port.cc:153] oneDNN custom operations are on.\n"
WARNING = "W0000 00:00:1796070585.02 cpu.cc:1] Slow.\n"
ERROR = "E0000 00:00:1796070585.02 dso.cc:2] No cuDNN.\n"
NO_DRIVER = "I0000 00:00:1.0 cudart_stub.cc:31] Could not find cuda drivers on your machine, GPU\n"
NO_CUDA = "E0000 00:00:1.0 cuda_platform.cc:52] failed call to cuInit: UNKNOWN ERROR (303)\n"
HEADER = "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\n"
OF_PROCESSOR = "To enable the following instructions: AVX2, rebuild TensorFlow.\n"
OF_PYTHON = "x.py:1: UserWarning: something else\n"
# A package in place of TensorFlow, so that nothing heavy is loaded.
LOADS = """
import os, sys, types
sys.argv = ["tfgen"]
from tfgen._utils import startup
with startup.log_level_kept():
    os.write(2, {text!r}.encode())
    {then}
"""


@pytest.mark.parametrize(
    ("level", "kept"),
    [(1, WARNING + ERROR + OF_PYTHON), (2, ERROR + OF_PYTHON), (3, OF_PYTHON)],
)
def test_lines_below_the_level_are_left_out(level, kept):
    text = HEADER + INFORMATION + OF_PROCESSOR + WARNING + ERROR + OF_PYTHON
    assert startup.keep_lines(text, level) == kept


def test_failure_of_cuda_is_an_error_where_there_is_a_driver():
    assert startup.keep_lines(NO_CUDA, 2) == NO_CUDA
    assert startup.keep_lines(NO_DRIVER + NO_CUDA, 2) == ""


def run(level, then="pass"):
    environment = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    if level is not None:
        environment["TF_CPP_MIN_LOG_LEVEL"] = level
    code = LOADS.format(text=INFORMATION + ERROR, then=then)
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    return done.stderr


@pytest.mark.parametrize(
    ("level", "printed"), [(None, INFORMATION + ERROR), ("0", INFORMATION + ERROR), ("2", ERROR)]
)
def test_standard_error_has_what_the_variable_lets_pass(level, printed):
    assert run(level) == printed


def test_nothing_is_lost_with_an_exception():
    printed = run("2", then="raise ImportError('no TensorFlow')")
    assert printed.startswith(ERROR) and "ImportError: no TensorFlow" in printed


def test_a_crash_is_reported():
    assert "Fatal Python error: Aborted" in run("2", then="os.abort()")


@pytest.mark.parametrize(
    ("argv", "original", "late"),
    [
        (["/usr/bin/tfgen", "train"], [], True),
        (["C:/Scripts/tfgen.exe"], [], True),
        (["-m", "train"], ["python", "-m", "tfgen", "train"], True),
        (["-m"], ["python", "-X", "dev", "-m", "tfgen.quickstart"], True),
        (["-m"], ["python", "-mtfgen"], True),
        (["-m", "tfgen"], ["python", "-m", "pytest", "tfgen"], False),
        (["examples/quickstart.py"], [], False),
        (["-c"], [], False),
        ([""], [], False),
        ([], [], False),
    ],
)
def test_only_commands_of_tfgen_load_tensorflow_late(argv, original, late, monkeypatch):
    monkeypatch.setattr(sys, "argv", argv)
    monkeypatch.setattr(sys, "orig_argv", original)
    assert startup.starts_late() == late
