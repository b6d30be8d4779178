"""Scores of samples while a model trains, and its weights where they were best."""

import operator
import os
from collections.abc import Callable
from typing import Any, ClassVar, Literal

import keras
import tensorflow as tf

from tfgen._utils.arguments import as_int, check_flags, check_one_of
from tfgen._utils.files import as_path, written_aside
from tfgen._utils.typing import TensorLike

__all__ = ["SampleEvaluation"]

_ENDINGS = (".weights.h5", ".keras")
_BETTER: dict[str, Callable[[float, float], bool]] = {"min": operator.lt, "max": operator.gt}


def _as_filepath(filepath, restore_best):
    """The path as a str, which the callbacks of Keras have too; None without one."""
    check_flags(restore_best=restore_best)
    if filepath is None and restore_best:
        raise ValueError(
            "The best weights are restored from a file. Received: restore_best=True, "
            "filepath=None. Give the filepath as well."
        )
    if filepath is None:
        return None
    path = os.fspath(as_path(filepath=filepath))
    if not path.endswith(_ENDINGS) or os.path.isdir(path):
        raise ValueError(
            "filepath must be the path of a file that ends in .weights.h5, for the weights alone, "
            f"or .keras. Received: filepath={filepath!r}."
        )
    return path


def _direction(monitor, mode, directions):
    """ "min" or "max", as given or as the score has it."""
    check_one_of(directions, "Give a classifier for the scores in it.", monitor=monitor)
    check_one_of(("auto", "min", "max"), mode=mode)
    direction = directions[monitor] if mode == "auto" else mode
    if direction is None:
        raise ValueError(
            f"mode must say whether {monitor} is to fall or to rise, since its best value is that "
            f"of real images. Received: mode={mode!r}. Give 'min' or 'max', or another monitor."
        )
    return direction


class SampleEvaluation(keras.callbacks.Callback):
    """Scores samples by `tfgen.metrics.evaluate_samples` during training, and keeps the best model.

    The scores are in the logs of each epoch under their names: `History`, the progress bar, and
    callbacks that come later in the list (`CSVLogger`, `TensorBoard`, `EarlyStopping`) see them.
    Epochs between two evaluations have the scores of the last one.

    All evaluations take the same draws and the same real images, which are read when the callback
    is made; training's own random state is not touched. A run that goes on from a
    `keras.callbacks.BackupAndRestore` remembers the best score. As that of `ModelCheckpoint` it
    holds over several calls of `fit`: make a new callback for another model.

    The best of many evaluations is the best partly by luck, and test data that choose the weights
    are not test data any more: give validation data here, and score the end on others.

    Args:
        train_data: as of `evaluate_samples`, and so are `test_data`, `num_samples`, `classifier`,
            `value_range`, `clip`, `num_neighbours` and `seed`. They take the memory of at most
            4 `num_samples` images.
        test_data: images of the same shape.
        num_samples: int >= 10, samples of each evaluation.
        monitor: name of the score that says what is best. Those in a classifier need one.
        mode: "min" or "max", whether it is to fall or to rise. "auto" knows that of `squared_mmd`,
            `classifier_squared_mmd`, `classifier_frechet_distance` ("min"), `mode_count`,
            `precision`, `recall`, `density` and `coverage` ("max").
        every: int >= 1, epochs between two evaluations. The first is that of the first epoch, the
            others come after each multiple of `every`.
        filepath: path of the best weights (`.weights.h5`) or the best model (`.keras`), written
            aside and renamed, in a folder that is made if it is missing; None for no file.
        restore_best: bool, whether the model gets the state in this file when training ends: with
            its optimizers, random states and count of steps.
        classifier: `keras.Model` as `tfgen.metrics.classifier` returns, or None.
        value_range: (low, high), what black and white are.
        clip: bool, cut samples off at `value_range`.
        num_neighbours: int >= 1, of precision, recall, density and coverage, which need a
            classifier; None for 5.
        seed: int >= 0.

    Attributes:
        best: float, the best value of `monitor`; None before the first evaluation.
        best_epoch: int, when that was, as `fit` counts epochs, from 0.
        real: dict from names to the scores of real images in place of the samples; empty before
            the first evaluation.

    Raises:
        ValueError: if an argument is out of range, a score has no direction of its own, or the
            images are too few or unusable; in training, if the model has no `sample`, or samples
            have another shape, or values that are not finite or leave the range.

    Example:
        >>> import numpy as np
        >>> from tfgen import models, networks
        >>> shape = (8, 8, 1)
        >>> x = np.random.default_rng(0).uniform(size=(40, *shape)).astype("float32")
        >>> model = models.VAE(networks.mlp_encoder(shape, 2), networks.mlp_decoder(shape, 2))
        >>> model.compile("adam")
        >>> evaluation = SampleEvaluation(x, x[::-1], num_samples=20, monitor="squared_mmd")
        >>> history = model.fit(x, epochs=2, callbacks=[evaluation], verbose=0).history
        >>> min(history["squared_mmd"]) == evaluation.best
        True
    """

    # What a resumed run must know.
    decisions: ClassVar[tuple[str, ...]] = ("best", "best_epoch", "latest")

    def __init__(
        self,
        train_data: TensorLike | tf.data.Dataset,
        test_data: TensorLike | tf.data.Dataset,
        num_samples: int = 1000,
        *,
        monitor: str = "squared_mmd",
        mode: Literal["auto", "min", "max"] = "auto",
        every: int = 1,
        filepath: str | os.PathLike | None = None,
        restore_best: bool = False,
        classifier: keras.Model | None = None,
        value_range: tuple[float, float] = (0.0, 1.0),
        clip: bool = False,
        num_neighbours: int | None = None,
        seed: int = 0,
    ) -> None:
        # Here, since `import tfgen` loads this file, and is to load no metrics.
        from tfgen.metrics.evaluate_samples import SampleJudge

        super().__init__()
        self.every = as_int(every=every)
        self.filepath = _as_filepath(filepath, restore_best)
        self.restore_best = restore_best
        self.judge = SampleJudge(
            train_data,
            test_data,
            num_samples,
            classifier=classifier,
            value_range=value_range,
            clip=clip,
            num_neighbours=num_neighbours,
            seed=seed,
        )
        self.monitor = monitor
        self.direction = _direction(monitor, mode, self.judge.directions)
        self.real: dict[str, float] = {}
        self.best: float | None = None
        self.best_epoch = 0
        self.latest: list[Any] = []  # The scores, in the order of their names.

    def on_train_begin(self, logs: dict | None = None) -> None:
        self.judge.check_model(self.model)
        if self.filepath is not None:
            os.makedirs(os.path.dirname(self.filepath) or ".", exist_ok=True)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        if not self.latest or (epoch + 1) % self.every == 0:
            self._evaluate(epoch)
        if logs is not None:
            logs.update(zip(self.judge.directions, map(float, self.latest), strict=True))

    def on_train_end(self, logs: dict | None = None) -> None:
        if self.restore_best and self.best is not None:
            self.model.load_weights(self.filepath)

    def _evaluate(self, epoch):
        generated, self.real, _ = self.judge(self.model)
        self.latest = list(generated.values())
        value = float(generated[self.monitor])
        if self.best is None or _BETTER[self.direction](value, self.best):
            self.best, self.best_epoch = value, epoch
            self._save()

    def _save(self):
        if self.filepath is None:
            return
        weights_alone = self.filepath.endswith(".weights.h5")
        with written_aside(self.filepath) as aside:
            (self.model.save_weights if weights_alone else self.model.save)(aside)
