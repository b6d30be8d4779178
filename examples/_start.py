"""Imported before Keras: what TensorFlow says while it loads is of no use to who runs a script."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # Errors; 0 for everything.

import tfgen  # noqa: E402, F401  # Loads TensorFlow.
