"""Grids of samples, written while a model trains."""

import io
import os
import pathlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfgen import plotting
from tfgen._utils.arguments import as_int, as_numbers, as_pair, check_flags, check_seed
from tfgen._utils.extras import require
from tfgen._utils.files import written_aside
from tfgen._utils.typing import TensorLike
from tfgen.plotting.grids import check_samples_of
from tfgen.plotting.images import check_num_images

__all__ = ["SampleGrid"]


def _png_of(fig):
    """The figure as PNG bytes; closes it."""
    plt = require("matplotlib.pyplot", extra="plot")
    buffer = io.BytesIO()
    fig.savefig(buffer, format="png")
    plt.close(fig)
    return buffer.getvalue()


def _as_path(**values):
    """The one value as the path of a folder, which need not exist."""
    ((name, value),) = values.items()
    if not isinstance(value, str | os.PathLike) or os.path.isfile(value):
        raise ValueError(f"{name} must be a path of a folder. Received: {name}={value!r}.")
    return pathlib.Path(value)


def _as_num_images(num_samples):
    num_samples = as_int(num_samples=num_samples)
    check_num_images(num_samples=num_samples)
    return num_samples


def _as_condition(condition):
    """An array, or None of none."""
    array = None if condition is None else as_numbers(condition=condition)
    if array is not None and not np.isfinite(array).all():
        raise ValueError(f"condition must be finite. Received: condition={condition!r}.")
    return array


class SampleGrid(keras.callbacks.Callback):
    """Writes a figure of samples as PNG while the model trains, and to TensorBoard.

    Images and middle slices of volumes stand in a grid; series are lines, rows of tables
    histograms: see `tfgen.plotting.samples`.

    Every grid decodes the same latent draws, since the seed is the same; training's own random
    state is not touched. Files are named by epoch, `samples_epoch_0010.png`.

    Args:
        output_dir: str or path, made if it is missing.
        num_samples: int from 1 to 10,000, images in a grid.
        every: int >= 1, epochs between two grids.
        at_start: bool, also a grid before the model's first step, `samples_epoch_0000.png`.
        log_dir: str, path or None, TensorBoard directory for the same pictures, tag "samples".
        mean: bool, True for the means E[x|z], False for pixels drawn from p(x|z).
        seed: int >= 0, seed of the draws.
        value_range: (low, high), the values shown black and white; None for those that the model
            says it returns (`model.value_range`), or else (0, 1). Of images and volumes only.
        condition: of a conditional model, one for all or one for each sample.
        decode: function from rows to what is drawn of them, such as `info.decode` of
            `datasets.load_table`; None for the rows as they are. Of rows only.
        real: data frame or array of rows to draw beside them, with the columns of what is drawn;
            None for none. Of rows only.

    Raises:
        ValueError: if `num_samples` or `every` is not an int >= 1, `seed` is negative,
            `value_range` is not a pair, a folder is not a path, or a `condition` is not finite;
            when training begins, if the model takes no conditions or others, its data have no
            picture, such as images of 4 channels, or no use for one of these arguments, or `real`
            has other columns; and later, if the model draws no pixels.

    Example:
        >>> callback = SampleGrid("samples", num_samples=16, every=5)
        >>> # model.fit(x, epochs=20, callbacks=[callback]) writes samples/samples_epoch_0005.png
        >>> # Of a table: SampleGrid("samples", 1000, mean=False, decode=info.decode, real=frame)
    """

    def __init__(
        self,
        output_dir: str | os.PathLike,
        num_samples: int = 64,
        every: int = 1,
        at_start: bool = False,
        log_dir: str | os.PathLike | None = None,
        mean: bool = True,
        seed: int = 0,
        value_range: tuple[float, float] | None = None,
        condition: TensorLike | None = None,
        decode: Callable[[np.ndarray], Any] | None = None,
        real: Any = None,
    ) -> None:
        super().__init__()
        check_seed(seed=seed)
        check_flags(at_start=at_start, mean=mean)
        num_samples = _as_num_images(num_samples)
        self.output_dir = _as_path(output_dir=output_dir)
        self.every = as_int(every=every)
        self.at_start = at_start
        self.log_dir = None if log_dir is None else _as_path(log_dir=log_dir)
        self.arguments: dict[str, Any] = {
            "num_samples": num_samples,
            "mean": mean,
            "seed": seed,
            "value_range": None if value_range is None else as_pair(value_range=value_range),
            "condition": _as_condition(condition),
            "decode": decode,
            "real": real,
        }
        self._writer: Any = None

    def on_train_begin(self, logs: dict | None = None) -> None:
        if self.arguments["condition"] is not None and hasattr(self.model, "checked_condition"):
            self.model.checked_condition(self.arguments["condition"], self.arguments["num_samples"])
        names = ("value_range", "decode", "real")
        check_samples_of(self.model, **{name: self.arguments[name] for name in names})
        self.output_dir.mkdir(parents=True, exist_ok=True)
        if self.log_dir is not None:
            self._writer = tf.summary.create_file_writer(os.fspath(self.log_dir))

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        # Here and not when training begins: only now is a checkpoint surely restored.
        if self.at_start and int(self.model.steps.numpy()) == 0:
            self._write(0)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        if (epoch + 1) % self.every == 0:
            self._write(epoch + 1)

    def on_train_end(self, logs: dict | None = None) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _write(self, epoch):
        fig, axes = plotting.samples(self.model, **self.arguments)
        if isinstance(axes, np.ndarray):  # Of series and rows.
            fig.suptitle(f"{self.arguments['num_samples']} samples, epoch {epoch}", fontsize=10)
        else:
            axes.set_title(f"{axes.get_title()}, epoch {epoch}")
        png = _png_of(fig)
        with written_aside(self.output_dir / f"samples_epoch_{epoch:04d}.png") as aside:
            aside.write_bytes(png)
        if self._writer is not None:
            self._log(png, epoch)

    def _log(self, png, epoch):
        with self._writer.as_default():
            tf.summary.image("samples", tf.io.decode_png(png, channels=3)[None], step=epoch)
        self._writer.flush()
