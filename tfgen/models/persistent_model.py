"""What a model keeps: its configuration, random states and progress, and files of these."""

import math
import os
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import keras
import numpy as np
import tensorflow as tf
from typing_extensions import Unpack

from tfgen._utils import keras_private
from tfgen._utils.arguments import as_event_shape
from tfgen._utils.constructors import check_no_activity
from tfgen._utils.files import written_aside
from tfgen._utils.random import fold_in
from tfgen._utils.saved_files import add_checksum, check_saved_file
from tfgen._utils.typing import LayerOptions, Shape
from tfgen.models.checks import check_seed
from tfgen.models.configured import ConfiguredModel
from tfgen.models.export import export_model
from tfgen.models.resume import Progress

__all__ = ["PersistentModel", "check_saved_name"]


class PersistentModel(ConfiguredModel):
    """A `keras.Model` whose files hold all that training depends on, and are whole.

    Args:
        data_shape: tuple, shape of one example.
        seed: int or None, for every draw of training.
        **kwargs: arguments of `keras.Model`.
    """

    # Of the policies that a model may have.
    variable_dtypes: ClassVar[tuple[str, ...]] = ("float32",)

    def __init__(
        self, data_shape: Shape, seed: int | None = None, **kwargs: Unpack[LayerOptions]
    ) -> None:
        data_shape = as_event_shape(data_shape=data_shape)
        check_seed(seed)
        super().__init__(**kwargs)
        check_no_activity(self, "A model")
        self._check_precision()
        self.data_shape = data_shape
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.evaluation_seed_generator = keras.random.SeedGenerator(0)
        self.steps = self.add_weight(
            shape=(),
            dtype="int64",
            initializer="zeros",
            trainable=False,
            name="steps",
            aggregation="only_first_replica",
        )
        self.progress = Progress()
        # Of a `fit` that a file was saved in: what the file had, and what a file would get now.
        self.fit_state: dict[str, np.ndarray] = {}
        self.gather_fit_state: Callable[[], dict[str, np.ndarray]] = dict
        self._fitting = False
        self.built = True

    def _check_precision(self):
        """Raises ValueError for a dtype policy in which densities cannot be computed."""
        if self.variable_dtype not in self.variable_dtypes:
            raise ValueError(
                f"Weights and densities of a {type(self).__name__} are float32, and with mixed "
                "precision its networks compute in float16 or bfloat16. Received: dtype policy "
                f"{self.dtype_policy.name!r}. Use 'float32', 'mixed_bfloat16' or 'mixed_float16', "
                "for the networks too: keras.config.set_dtype_policy."
            )

    # Randomness.

    def next_seed(self, training: bool = True) -> tf.Tensor:
        """A stateless seed for one random draw, int32 tensor of shape (2,)."""
        generator = self.seed_generator if training else self.evaluation_seed_generator
        seed, context = tf.cast(generator.next(), tf.int32), tf.distribute.get_replica_context()
        if context is None or context.num_replicas_in_sync == 1:
            return seed
        return fold_in(seed, context.replica_id_in_sync_group)  # One added would be another draw's.

    def sampling_seed(self, seed: int | None = None) -> tf.Tensor:
        """`next_seed` outside of training, or the stateless seed that the int `seed` stands for."""
        return self.next_seed(training=False) if seed is None else tf.constant([seed, 0])

    # Saving.

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "PersistentModel":
        return cls(**{k: keras.saving.deserialize_keras_object(v) for k, v in config.items()})

    def save(self, filepath: str | os.PathLike, overwrite: bool = True, **kwargs: Any) -> None:
        """Saves the whole model as a `.keras` file, written aside and renamed.

        Raises:
            ValueError: for a `.h5` file, which no loader could read.
        """
        check_saved_name(filepath)
        _save_whole(super().save, filepath, overwrite, **kwargs)

    def save_weights(
        self, filepath: str | os.PathLike, overwrite: bool = True, **kwargs: Any
    ) -> None:
        """Saves weights, optimizers and seeds as `.weights.h5`, written aside and renamed."""
        _save_whole(super().save_weights, filepath, overwrite, **kwargs)

    def load_weights(self, filepath: str | os.PathLike, *args: Any, **kwargs: Any) -> None:
        """Loads what `save_weights` wrote; as `keras.Model.load_weights`, with whole files only.

        Raises:
            ValueError: if the file is damaged.
            OSError: in `fit` instead, where a `BackupAndRestore` then takes the backup before it.
        """
        if "://" not in str(filepath):
            try:
                check_saved_file(filepath)
            except ValueError as error:
                raise (OSError(str(error)) if self._fitting else error) from None
        super().load_weights(filepath, *args, **kwargs)

    def _seed_states(self):
        """Every random state of the model and its networks by its key in a file."""
        return {f"seed_{i}": state for i, state in enumerate(keras_private.seed_states(self))}

    def identity(self) -> dict[str, str]:
        """What a backup of the model is of, in words; one of something else is not restored."""
        sizes = [math.prod(v.shape) for v in self.variables]
        weights = f"{sum(sizes)} values in {len(sizes)} variables"
        return {"class": type(self).__name__, "data": str(self.data_shape), "weights": weights}

    def save_own_variables(self, store: Any) -> None:
        super().save_own_variables(store)
        store["progress"] = np.array(self.progress)
        fit_state = {f"fit.{key}": value for key, value in self.gather_fit_state().items()}
        for key, value in {**self._seed_states(), **fit_state}.items():
            store[key] = value

    def load_own_variables(self, store: Any) -> None:
        """Loads what `save_own_variables` saved, of version 0.1.0 too, which knew no progress."""
        super().load_own_variables({k: store[k] for k in store.keys() if k.isdigit()})
        for key, state in self._seed_states().items():
            state.assign(store[key])
        if "progress" in store.keys():
            self.progress = Progress(*np.asarray(store["progress"]).tolist())
        fit_state = [key for key in store.keys() if key.startswith("fit.")]
        self.fit_state = {key.removeprefix("fit."): np.asarray(store[key]) for key in fit_state}

    def export(
        self,
        filepath: str | os.PathLike,
        format: str = "tf_saved_model",
        endpoints: Sequence[str] | None = None,
        batch_size: int | None = None,
        verbose: bool = False,
    ) -> tuple[str, ...]:
        """Writes what the model does with data, for processes without tfgen.

        Arguments, result and errors are those of `tfgen.models.export_model`.
        """
        return export_model(self, filepath, format, endpoints, batch_size, verbose)


def check_saved_name(filepath: str | os.PathLike) -> None:
    """Raises ValueError for a name under which Keras saves what no loader reads."""
    name = os.fspath(filepath)
    if name.endswith((".h5", ".hdf5")) and not name.endswith(".weights.h5"):
        raise ValueError(
            "Models are saved as .keras files: nothing reads an .h5 file of a whole model. "
            f"Received: filepath={name!r}. Call save('model.keras'), or "
            "save_weights('model.weights.h5') for the weights alone."
        )


def _save_whole(save, filepath, overwrite, **kwargs):
    many_files = kwargs.get("max_shard_size") or not kwargs.get("zipped", True)
    if not overwrite or many_files or "://" in str(filepath):
        return save(filepath, overwrite=overwrite, **kwargs)
    with written_aside(filepath) as aside:
        save(aside, overwrite=True, **kwargs)
        if aside.name.endswith(".weights.h5"):
            add_checksum(aside)
