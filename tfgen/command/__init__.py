"""The command `tfgen`: training, evaluation, pictures and files of models without a script.

Each subcommand is a few lines of Python over the other areas, which `--show-code` prints. Nothing
here imports TensorFlow before the arguments are read.
"""

from tfgen.command.program import main

__all__ = ["main"]
