"""KerasTuner hypermodels of the package's models: beta, latent size and what else is asked for."""

import functools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, TypeAlias

import keras
import keras_tuner as kt
import numpy as np

from tfgen import layers, models, networks
from tfgen._utils.arguments import as_pair, check_ints, check_one_of, check_weights
from tfgen._utils.constructors import constructor_arguments
from tfgen.tuning.objectives import metrics_after_training

__all__ = ["AdversarialHyperModel", "BetaLatentHyperModel", "HyperModel", "Range"]

LIKELIHOODS = {
    "bernoulli": layers.IndependentBernoulli,
    "fixed_normal": layers.FixedScaleNormal,
    "normal": layers.IndependentNormal,
}
# What a hypermodel makes itself.
NETWORKS = ("encoder", "decoder", "generator", "discriminator", "code_discriminator")
OWN = {*NETWORKS, "dataset_size", "seed"}
_LARGEST_SIZE = 2**20
PLAIN = (bool, int, float, str)


class _Interval(NamedTuple):
    low: float
    high: float
    sampling: str = "linear"


class Range(_Interval):
    """An interval to search; of integers if both ends are.

    Attributes:
        low: float or int, least value.
        high: float or int, greatest value, included.
        sampling: "linear" or "log".

    Raises:
        ValueError: unless low < high, both finite, and low > 0 with "log".
    """

    def __new__(cls, low: float, high: float, sampling: str = "linear") -> "Range":
        as_pair(range=(low, high))
        check_one_of(("linear", "log"), sampling=sampling)
        if sampling == "log" and low <= 0:
            raise ValueError(
                f'low must be above 0 for sampling="log". Received: low={low!r}. Use "linear".'
            )
        return super().__new__(cls, low, high, sampling)


Values: TypeAlias = bool | int | float | str | Sequence[Any] | Range
"""A plain value, which is fixed; a list or tuple of them; or an interval."""


def _choices(values):
    """Values of one type, which KerasTuner asks for."""
    if any(isinstance(value, float) for value in values):
        return [float(value) for value in values]
    return list(values)


def declare(hp: kt.HyperParameters, name: str, values: Values) -> Any:
    """One hyperparameter's value: fixed, one of several or from a `Range`."""
    if isinstance(values, Range):
        whole = isinstance(values.low, int) and isinstance(values.high, int)
        number = hp.Int if whole else hp.Float
        return number(name, values.low, values.high, sampling=values.sampling)
    if isinstance(values, list | tuple):
        return hp.Choice(name, _choices(values))
    return hp.Fixed(name, values)


def _describe(values):
    """The values of one hyperparameter, for search.json."""
    if isinstance(values, Range):
        return values._asdict()
    return list(values) if isinstance(values, list | tuple) else [values]


def _is_plain(values):
    several = values if isinstance(values, list | tuple) else [values]
    return bool(several) and all(isinstance(value, PLAIN) for value in several)


def _check_model_class(model_class):
    if not (isinstance(model_class, type) and issubclass(model_class, keras.Model)):
        raise ValueError(
            f"model_class must be a class of tfgen.models. Received: model_class={model_class!r}."
        )


def _check_fixed(data, model_class, network, splits, optimizer, jit_compile, seed):
    """Checks what is not searched."""
    for name, value in {"data": data, "optimizer": optimizer}.items():
        if not callable(value):
            raise ValueError(
                f"{name} must be a function. Received: {name}={value!r}. Pass for example "
                'functools.partial(tfgen.datasets.load, "mnist") as data, keras.optimizers.Adam as '
                "optimizer."
            )
    _check_model_class(model_class)
    check_one_of((None, "mlp", "conv", "conv64"), network=network)
    check_one_of((True, False, "auto"), jit_compile=jit_compile)
    check_ints(0, seed=seed)
    pair = isinstance(splits, list | tuple) and len(splits) == 2
    if not pair or not all(isinstance(split, str) for split in splits):
        raise ValueError(
            f"splits must be two texts (training, validation). Received: splits={splits!r}. Pass "
            'for example ("train[:90%]", "train[90%:]").'
        )


def _check_values(name, values):
    """Checks that values of a hyperparameter can be what its name says."""
    several = values[:2] if isinstance(values, Range) else values
    several = several if isinstance(several, list | tuple) else [several]
    for value in several:
        if name in ("latent_dim", "width", "batch_size"):
            check_ints(1, **{name: value})
            if name != "batch_size" and value > _LARGEST_SIZE:
                raise ValueError(
                    f"{name} must be at most {_LARGEST_SIZE}. Received: {name}={value}."
                )
        elif name == "learning_rate":
            check_weights(learning_rate=value)
        elif isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{name} must be finite. Received: {name}={value!r}.")


class HyperModel(kt.HyperModel):
    """Hypermodel over one model class: data, networks, model, training, metrics."""

    def __init__(
        self,
        data: Callable[..., tuple[Any, Any]],
        model_class: type[keras.Model],
        *,
        latent_dim: Values,
        width: Values | None = None,
        learning_rate: Values = 1e-3,
        batch_size: Values = 128,
        likelihood: Values = "bernoulli",
        network: str | None = None,
        splits: Sequence[str] = ("train[:90%]", "train[90%:]"),
        optimizer: Callable[[float], keras.optimizers.Optimizer] = keras.optimizers.Adam,
        jit_compile: bool | str = False,
        seed: int = 0,
        **weights: Values,
    ) -> None:
        super().__init__()
        _check_fixed(data, model_class, network, splits, optimizer, jit_compile, seed)
        self.model_class, self.network, self.splits = model_class, network, tuple(splits)
        self.optimizer, self.jit_compile, self.seed = optimizer, jit_compile, seed
        self.space: dict[str, Values] = {
            **weights,
            "latent_dim": latent_dim,
            "learning_rate": learning_rate,
            "batch_size": batch_size,
            "likelihood": likelihood,
        }
        if width is not None:
            self.space["width"] = width
        self._takes = constructor_arguments(model_class)
        self._check(weights)
        self.load = functools.cache(data)
        self.info = self.load(self.splits[0], 1)[1]

    def _check(self, weights):
        searchable = sorted(set(self._takes) - OWN)
        unknown = sorted(set(weights) - set(searchable))
        if unknown:
            raise ValueError(
                f"{self.model_class.__name__} has no such arguments to search. Received: "
                f"{unknown}. Expected some of {searchable}."
            )
        for name, values in self.space.items():
            if not isinstance(values, Range) and not _is_plain(values):
                raise ValueError(
                    f"{name} must be a number, bool or string, a tuple or list of some, or a "
                    f"Range. Received: {name}={values!r}. Leave it out for its default."
                )
            _check_values(name, values)
        likelihoods: Any = self.space["likelihood"]
        several = isinstance(likelihoods, list | tuple)
        for likelihood in likelihoods if several else [likelihoods]:
            check_one_of(sorted(LIKELIHOODS), likelihood=likelihood)

    def values(self, hp: kt.HyperParameters) -> dict[str, Any]:
        """Dict of all hyperparameters, those that are fixed included."""
        return {name: declare(hp, name, values) for name, values in self.space.items()}

    def describe(self) -> dict[str, Any]:
        """Dict for search.json: model, data and the space that is searched."""
        return {
            "model": self.model_class.__name__,
            "dataset": self.info.name,
            "splits": list(self.splits),
            "binarize": self.info.binarize,
            "network": self._network(),
            "model_seed": self.seed,
            "space": {name: _describe(values) for name, values in self.space.items()},
        }

    # Building.

    def _network(self):
        """ "mlp", "conv" or "conv64"."""
        height = self.info.image_shape[0]
        return self.network or ("conv64" if height >= 64 else "conv" if height >= 28 else "mlp")

    def build(self, hp: kt.HyperParameters) -> keras.Model:
        """The compiled model. Equal hyperparameters give equal weights, whatever ran before.

        Args:
            hp: `keras_tuner.HyperParameters`.

        Returns:
            Compiled model of `model_class`.
        """
        values = self.values(hp)
        keras.utils.set_random_seed(self.seed)
        settings = {"latent_dim", "learning_rate", "batch_size", "likelihood", "width"}
        weights = {name: value for name, value in values.items() if name not in settings}
        if "dataset_size" in self._takes:
            weights["dataset_size"] = self.info.num_examples
        model = self.model_class(**self.build_networks(values), **weights, seed=self.seed)
        model.compile(self.optimizer(values["learning_rate"]), jit_compile=self.jit_compile)
        return model

    def build_networks(self, values: dict[str, Any]) -> dict[str, keras.Model]:
        """Dict of the networks that the model class takes; override it for others."""
        width = {"width": values["width"]} if "width" in values else {}
        build = {name: getattr(self, f"_{name}") for name in NETWORKS if name in self._takes}
        return {name: build_one(values, width) for name, build_one in build.items()}

    def _encoder(self, values, width):
        encoder = getattr(networks, f"{self._network()}_encoder")
        return encoder(self.info.image_shape, values["latent_dim"], **width)

    def _decoder(self, values, width):
        if issubclass(self.model_class, models.ALI) and values["likelihood"] == "bernoulli":
            return self._generator(values, width)  # No gradient passes draws of a Bernoulli.
        decoder = getattr(networks, f"{self._network()}_decoder")
        head = LIKELIHOODS[values["likelihood"]]
        return decoder(self.info.image_shape, values["latent_dim"], head, **width)

    def _generator(self, values, width):
        dense = self._network() == "mlp"
        generator = networks.mlp_generator if dense else networks.dcgan_generator
        activation = "tanh" if self.info.value_range == (-1.0, 1.0) else "sigmoid"
        return generator(
            self.info.image_shape, values["latent_dim"], output_activation=activation, **width
        )

    def _discriminator(self, values, width):
        shape = self.info.image_shape
        if issubclass(self.model_class, models.ALI):
            return networks.joint_discriminator(shape, values["latent_dim"], **width)
        if self._network() == "mlp":
            return networks.mlp_discriminator(shape, **width)
        # Gradient penalties are per example, which batch normalization is not.
        batch_norm = "gradient_penalty" not in self._takes
        return networks.dcgan_discriminator(shape, batch_norm=batch_norm, **width)

    def _code_discriminator(self, values, width):
        return networks.mlp_code_discriminator(values["latent_dim"], **width)

    # Training.

    def fit(
        self,
        hp: kt.HyperParameters,
        model: keras.Model,
        epochs: int = 1,
        metrics: Sequence[str] = (),
        verbose: int = 0,
        **kwargs: Any,
    ) -> dict[str, float]:
        """Trains the model, then measures it on the validation split.

        Args:
            hp: `keras_tuner.HyperParameters`, those that the model was built with.
            model: what `build` returned.
            epochs: int, epoch at which training ends.
            metrics: names of `AFTER_TRAINING`.
            verbose: as in `keras.Model.fit`.
            **kwargs: further arguments of `fit`, such as `initial_epoch` and `callbacks`.

        Returns:
            Dict from metric to float: those of `evaluate` with the prefix "val_", and `metrics`.
            All are those of the last epoch.
        """
        batch_size = self.values(hp)["batch_size"]
        train_data, _ = self.load(self.splits[0], batch_size)
        validation_data, _ = self.load(self.splits[1], batch_size, shuffle=False)
        model.fit(train_data, epochs=epochs, verbose=verbose, **kwargs)
        logs = model.evaluate(validation_data, verbose=0, return_dict=True)
        measured = {f"val_{name}": float(value) for name, value in logs.items()}
        if metrics:
            arrays = self._validation_arrays(labels="mig" in metrics)
            measured |= metrics_after_training(metrics, model, *arrays)
        return measured

    def _validation_arrays(self, labels):
        """Up to 10,000 images of the validation split, followed by their labels if asked for."""
        data, _ = self.load(self.splits[1], 1000, shuffle=False, labels=labels)
        batches = [batch if labels else (batch,) for batch in data.take(10)]
        return [np.concatenate(arrays) for arrays in zip(*batches, strict=True)]

    def check_metrics(self, names: Iterable[str]) -> None:
        """Raises ValueError if the data or the model class lack what a metric needs."""
        if "mig" not in names:
            return
        if not hasattr(self.model_class, "embed"):
            raise ValueError(
                "The metric 'mig' needs an encoder. Received: model_class="
                f"{self.model_class.__name__}. Choose another metric, such as 'mmd'."
            )
        self.load(self.splits[1], 1000, shuffle=False, labels=True)  # Raises without labels.


class BetaLatentHyperModel(HyperModel):
    """Hypermodel of a VAE class: the weight of its KL term, and its latent size.

    Every searched argument is a plain value, which is fixed, a tuple or list of values, or a
    `Range`. The published ranges of beta differ by their data: Higgins et al., ICLR 2017, find 4
    best for 2-D shapes and 250 for faces; Locatello et al., arXiv:1811.12359v4, search 1, 2, 4, 6,
    8 and 16 at 10 latents, the default here.

    Args:
        data: function of split, batch_size and options to (dataset, info), as
            `functools.partial(tfgen.datasets.load, "mnist", binarize="threshold")`.
        model_class: a VAE class of `tfgen.models`.
        beta: weight of the KL term, or of the total correlation in `BetaTCVAE`; left out where the
            class has no such argument.
        latent_dim: latent dimensions.
        width: width of the networks; None for their default.
        learning_rate: of the optimizer.
        batch_size: of training and evaluation.
        likelihood: "bernoulli", "fixed_normal" (unit scale) or "normal" (learned scale).
            Probabilities of pixels and densities do not compare by ELBO.
        network: "mlp", "conv" or "conv64"; None for the one that fits the height of the images.
        splits: (training, validation), in the syntax of `data`.
        optimizer: callable from a learning rate to a Keras optimizer.
        jit_compile: bool or "auto", as in `compile`. XLA keeps the compiled code of every trial in
            memory, so it is off unless asked for.
        seed: int, of weights and draws, the same in all trials.
        **weights: further arguments of the class to search or fix, by name, such as
            `gamma=(10.0, 35.0)` of `FactorVAE`.

    Raises:
        ValueError: if the class has no such argument, or a likelihood is unknown.

    Example:
        >>> from tfgen import datasets
        >>> data = functools.partial(datasets.load, "digits", binarize="threshold")
        >>> hypermodel = BetaLatentHyperModel(data, beta=(1.0, 4.0), latent_dim=2)
        >>> type(hypermodel.build(kt.HyperParameters())).__name__
        'BetaVAE'
    """

    def __init__(
        self,
        data: Callable[..., tuple[Any, Any]],
        model_class: type[keras.Model] = models.BetaVAE,
        *,
        beta: Values = (1.0, 2.0, 4.0, 6.0, 8.0, 16.0),
        latent_dim: Values = (2, 5, 10, 20),
        **kwargs: Any,
    ) -> None:
        _check_model_class(model_class)
        if "beta" in constructor_arguments(model_class):
            kwargs = {"beta": beta, **kwargs}
        super().__init__(data, model_class, latent_dim=latent_dim, **kwargs)


def adam_of_gans(learning_rate: float) -> keras.optimizers.Optimizer:
    """Adam with beta_1 = 0.5, after Radford et al., arXiv:1511.06434v2, Sec. 4."""
    return keras.optimizers.Adam(learning_rate, beta_1=0.5)


class AdversarialHyperModel(HyperModel):
    """Hypermodel of a GAN, or of a model that has a discriminator and an encoder.

    The default latent sizes are those of Sagar, GVAE, Table 5. The weights of the class are
    searched by name: `multiplier` (lambda) and `bound` (d) of `ConstrainedVAEGAN`, L. Mi et al.,
    arXiv:1812.05676v2, Sec. 4.1; `proximity` of `GAN`, Su, "Variational Inference: A Unified
    Framework", Eq. 26; `gan_weight` of `VAEGAN` and `GVAE`. A GAN has no likelihood: choose
    the objective "mmd".

    Args:
        data: as in `BetaLatentHyperModel`. A generator without likelihood ends in tanh for pixels
            in [-1, 1] and in a sigmoid for others.
        model_class: a class of `tfgen.models`.
        latent_dim: latent dimensions.
        learning_rate: of `optimizer`, by default Adam with beta_1 = 0.5.
        network: "mlp", "conv" or "conv64"; the last two with the discriminator of DCGAN.
        **kwargs: other arguments of `BetaLatentHyperModel`, and weights by name.

    Raises:
        ValueError: if the class has no such argument, or a likelihood is unknown.

    Example:
        >>> from tfgen import datasets
        >>> data = functools.partial(datasets.load, "digits")
        >>> AdversarialHyperModel(data, models.ConstrainedVAEGAN, multiplier=(1.0, 10.0),
        ...                       bound=1.0, latent_dim=8).space["multiplier"]
        (1.0, 10.0)
    """

    def __init__(
        self,
        data: Callable[..., tuple[Any, Any]],
        model_class: type[keras.Model] = models.GVAE,
        *,
        latent_dim: Values = (100, 500, 1000, 2000),
        learning_rate: Values = 2e-4,
        optimizer: Callable[[float], keras.optimizers.Optimizer] = adam_of_gans,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            data,
            model_class,
            latent_dim=latent_dim,
            learning_rate=learning_rate,
            optimizer=optimizer,
            **kwargs,
        )
