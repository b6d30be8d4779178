"""How Keras and TensorFlow are loaded: on which backend, how loudly, and whether at once."""

import contextlib
import faulthandler
import os
import pathlib
import re
import sys
import tempfile
from collections.abc import Iterator

__all__ = ["STARTS_LATE", "import_keras", "keep_lines", "log_level_kept", "starts_late"]

# What `python -m` may be given that loads TensorFlow by itself, when it has read its arguments.
STARTS_LATE = ("tfgen", "tfgen.command", "tfgen.quickstart")

# The head of a line of TensorFlow's log: severity, month and day, time.
_HEAD = re.compile(r"([IWEF])\d{4} \d\d:\d\d")
# Lines without a severity: one before the first, and the end of one on the processor.
_WITHOUT_HEAD = ("WARNING: All log messages before absl::", "To enable the following instructions:")
_NO_DRIVER = "Could not find cuda drivers on your machine"
_SEVERITIES = "IWEF"


def starts_late() -> bool:
    """Whether this process is a command of tfgen, which loads TensorFlow when it needs it.

    `tfgen --help` must not wait seconds for TensorFlow. In any other process, `import tfgen` loads
    all that holds Keras classes at once.
    """
    program = sys.argv[0] if getattr(sys, "argv", None) else ""
    if program != "-m":
        return pathlib.Path(program).stem == "tfgen"
    # While `python -m` looks for a module, that stands in its place; the arguments come after it.
    return sys.orig_argv[-len(sys.argv)].removeprefix("-m") in STARTS_LATE


def import_keras(list_devices: bool = False) -> None:
    """Imports Keras with TensorFlow, as loudly as TF_CPP_MIN_LOG_LEVEL says.

    Args:
        list_devices: bool, whether TensorFlow also looks for GPUs, which it has a line to say of.
            Variables such as CUDA_VISIBLE_DEVICES have no effect afterwards.

    Raises:
        ImportError: if Keras is configured for another backend.
    """
    with log_level_kept():
        import keras

        if list_devices:
            import tensorflow as tf

            tf.config.list_physical_devices()
    if keras.config.backend() != "tensorflow":
        raise ImportError(
            "tfgen needs Keras with the TensorFlow backend. "
            f"Received: backend {keras.config.backend()!r}. Set the environment variable "
            "KERAS_BACKEND=tensorflow (or the backend in ~/.keras/keras.json) before importing "
            "keras."
        )


@contextlib.contextmanager
def log_level_kept() -> Iterator[None]:
    """Holds lines back that TensorFlow prints in spite of TF_CPP_MIN_LOG_LEVEL.

    Its libraries write to standard error before they read the variable: here what they write is
    kept in a file, and what the variable lets pass is written when all are loaded. Without the
    variable, or once TensorFlow is loaded, nothing happens.
    """
    level = os.environ.get("TF_CPP_MIN_LOG_LEVEL", "0")
    if level not in ("1", "2", "3") or "tensorflow" in sys.modules:
        yield
        return
    with _standard_error_in_file(int(level)):
        yield


@contextlib.contextmanager
def _standard_error_in_file(level):
    """Lets the file descriptor of standard error be a file, of which `keep_lines` are written."""
    sys.stderr.flush()
    real = os.dup(2)
    with tempfile.TemporaryFile() as file, _crash_reported(real):
        os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(real, 2)
            file.seek(0)
            os.write(2, keep_lines(file.read().decode(errors="replace"), level).encode())
    os.close(real)


@contextlib.contextmanager
def _crash_reported(descriptor):
    """Says where the process was if it dies, as with a processor that TensorFlow is not for."""
    if faulthandler.is_enabled():
        yield
        return
    faulthandler.enable(descriptor)
    try:
        yield
    finally:
        faulthandler.disable()


def keep_lines(text: str, level: int) -> str:
    """What TF_CPP_MIN_LOG_LEVEL lets pass of what was written to standard error.

    Lines that are not of TensorFlow's log pass. Without a driver of NVIDIA there is no GPU, which
    the failure of CUDA then says once more.

    Args:
        text: str, lines.
        level: int, 1 for warnings and errors, 2 for errors, 3 for what ends the process.

    Example:
        >>> noise = "I0000 00:00:17.5 port.cc:153] oneDNN operations are on." + chr(10)
        >>> print(keep_lines(noise + "E0000 00:00:17.5 dso.cc:1] No cuDNN." + chr(10), 2), end="")
        E0000 00:00:17.5 dso.cc:1] No cuDNN.
        >>> keep_lines(noise, 1)
        ''
    """
    has_driver = _NO_DRIVER not in text
    return "".join(
        line for line in text.splitlines(keepends=True) if _passes(line, level, has_driver)
    )


def _passes(line, level, has_driver):
    if not (head := _HEAD.match(line)):
        return not line.startswith(_WITHOUT_HEAD)
    in_vain = "failed call to cuInit" in line and not has_driver
    return _SEVERITIES.index(head[1]) >= level and not in_vain
