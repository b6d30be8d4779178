"""Public callables with one argument damaged at a time: refused by us, by the argument's name."""

import pathlib
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfgen import bijectors, layers

sys.path.append(str(pathlib.Path(__file__).parents[1]))

from damage import Call, damaged_calls, failures_among, outcome  # noqa: E402


def normal(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def to_normal(inputs):
    return tfd.Normal(inputs, 1.0)


def encoder(size=4, head=2):
    return keras.Sequential(
        [keras.Input((size,)), keras.layers.Dense(2 * head), layers.IndependentNormal(head)]
    )


def of_classes():
    """A network of x and one of three classes."""
    x, c = keras.Input((2,)), keras.Input((3,))
    return keras.Model([x, c], keras.layers.Concatenate()([x, c]))


CONVERT = dict(convert_to_tensor_fn="mean", seed=0)
OPTIONS = dict(validate_args=False, **CONVERT)
KL = dict(
    use_exact_kl=False,
    test_points_reduce_axis=0,
    test_points_fn=tf.convert_to_tensor,
    weight=1.0,
)
INDEPENDENT = dict(event_shape=2, **OPTIONS)
LOC_SCALE = dict(scale_activation="softplus", **INDEPENDENT)
MIXTURE = dict(num_components=2, **INDEPENDENT)

CONSTRUCTORS = dict(
    Blockwise=dict(event_shape=2, parts=[layers.IndependentNormal(2)], **OPTIONS),
    CategoricalMixtureOfOneHotCategorical=dict(
        event_size=3, num_components=2, sample_dtype="float32", **OPTIONS
    ),
    CodeFrequencies=dict(num_positions=2, num_codes=3),
    Conditional=dict(network=of_classes(), num_classes=3),
    ConditionalBatchNormalization=dict(momentum=0.9, epsilon=1e-3),
    ConditionalPrior=dict(network=encoder(3), num_classes=3),
    DistributionLambda=dict(make_distribution_fn=to_normal, **CONVERT),
    FiniteScalarQuantizer=dict(levels=[3, 2]),
    FixedScaleNormal=dict(scale=1.0, **INDEPENDENT),
    FlowDistribution=dict(
        base=layers.StandardNormal(2).as_distribution(),
        bijector=bijectors.ActNorm(2),
        context=normal(3, 2),
    ),
    FlowNormal=dict(event_shape=2, bijector=bijectors.ActNorm(2), context_size=0, **CONVERT),
    FlowPrior=dict(bijector=bijectors.ActNorm(2)),
    HierarchicalDistribution=dict(
        density=layers.HierarchicalNormal([encoder()]).density, latent_dims=(2, 4)
    ),
    HierarchicalNormal=dict(networks=[encoder()]),
    IndependentBernoulli=dict(sample_dtype="float32", **INDEPENDENT),
    IndependentBeta=INDEPENDENT,
    IndependentCategorical=dict(num_classes=3, **INDEPENDENT),
    IndependentContinuousBernoulli=INDEPENDENT,
    IndependentDiscretizedLogistic=dict(num_values=4, **INDEPENDENT),
    IndependentGamma=INDEPENDENT,
    IndependentLaplace=LOC_SCALE,
    IndependentLogNormal=LOC_SCALE,
    IndependentLogistic=LOC_SCALE,
    IndependentNegativeBinomial=INDEPENDENT,
    IndependentNormal=LOC_SCALE,
    IndependentPoisson=INDEPENDENT,
    IndependentStudentT=LOC_SCALE,
    IndependentTruncatedNormal=dict(bounds=(-1.0, 1.0), **INDEPENDENT),
    InfoGANPrior=dict(noise_dim=1, categories=[3], num_continuous=1),
    KLDivergenceAddLoss=dict(distribution_b=layers.StandardNormal(2), **KL),
    KLDivergenceRegularizer=dict(distribution_b=layers.StandardNormal(2), **KL),
    MinibatchDiscrimination=dict(num_kernels=2, kernel_dim=3),
    MixtureDiscretizedLogistic=dict(num_values=4, **MIXTURE),
    MixtureLogistic=MIXTURE,
    MixtureNormal=MIXTURE,
    MixtureOfNormals=dict(event_shape=2, num_components=2, seed=0),
    MixtureSameFamily=dict(
        num_components=2, component_layer=layers.IndependentNormal(2), **OPTIONS
    ),
    MultivariateNormalTriL=dict(event_size=2, **OPTIONS),
    OneHotCategorical=dict(event_size=2, sample_dtype="float32", **OPTIONS),
    PoincareLogMap=dict(curvature=0.5),
    PoincareNormal=dict(event_size=2, curvature=0.5, **OPTIONS),
    PoincareNormalPrior=dict(event_size=2, curvature=0.5, scale=2.0),
    Prior=dict(),
    RelaxedOneHot=dict(event_size=4, num_classes=2, temperature=0.5, **CONVERT),
    RelaxedOneHotPrior=dict(event_size=4, num_classes=2, temperature=0.5),
    SharedScaleNormal=dict(scale=1.0, **INDEPENDENT),
    SphericalUniform=dict(event_size=2),
    ResidualVectorQuantizer=dict(
        num_codes=3, code_dim=2, depth=2, shared=False, decay=0.9, restart_below=0.1, seed=0
    ),
    SpectralNormalization=dict(layer=keras.layers.Dense(2), power_iterations=1),
    StandardNormal=dict(event_shape=2),
    VampPrior=dict(input_shape=4, num_components=2, activation="sigmoid", seed=0),
    VectorQuantizer=dict(num_codes=3, code_dim=2, decay=0.9, restart_below=0.1, seed=0),
    VonMisesFisher=dict(event_size=3, **OPTIONS),
    ZeroInflatedNegativeBinomial=INDEPENDENT,
    ZeroInflatedPoisson=INDEPENDENT,
)

# Of `new` and `params_size` of the classes of TFP, and of the numbers of parameters of one event.
SIZES = dict(
    Blockwise=(4, dict(event_shape=2, parts=[layers.IndependentNormal(2)])),
    CategoricalMixtureOfOneHotCategorical=(8, dict(event_size=3, num_components=2)),
    FixedScaleNormal=(2, dict(event_shape=2)),
    IndependentBernoulli=(2, dict(event_shape=2)),
    IndependentBeta=(4, dict(event_shape=2)),
    IndependentCategorical=(6, dict(event_shape=2, num_classes=3)),
    IndependentContinuousBernoulli=(2, dict(event_shape=2)),
    IndependentDiscretizedLogistic=(4, dict(event_shape=2)),
    IndependentGamma=(4, dict(event_shape=2)),
    IndependentLaplace=(4, dict(event_shape=2)),
    IndependentLogNormal=(4, dict(event_shape=2)),
    IndependentLogistic=(4, dict(event_shape=2)),
    IndependentNegativeBinomial=(4, dict(event_shape=2)),
    IndependentNormal=(4, dict(event_shape=2)),
    IndependentPoisson=(2, dict(event_shape=2)),
    IndependentStudentT=(6, dict(event_shape=2)),
    IndependentTruncatedNormal=(4, dict(event_shape=2)),
    MixtureDiscretizedLogistic=(12, dict(num_components=2, event_shape=2)),
    MixtureLogistic=(10, dict(num_components=2, event_shape=2)),
    MixtureNormal=(10, dict(num_components=2, event_shape=2)),
    MultivariateNormalTriL=(5, dict(event_size=2)),
    OneHotCategorical=(2, dict(event_size=2)),
    PoincareNormal=(4, dict(event_size=2)),
    SharedScaleNormal=(2, dict(event_shape=2)),
    VonMisesFisher=(4, dict(event_size=3)),
    ZeroInflatedNegativeBinomial=(6, dict(event_shape=2)),
    ZeroInflatedPoisson=(4, dict(event_shape=2)),
)


def functions_of_classes():
    for name, (size, arguments) in SIZES.items():
        kind = getattr(layers, name)
        constructor = CONSTRUCTORS[name]
        more = {"validate_args": False} | {
            key: constructor[key]
            for key in ("bounds", "num_values", "scale", "scale_activation")
            if key in constructor
        }
        more |= {"dtype": "float32"} if "sample_dtype" in constructor else {}
        yield f"{name}.new", Call(kind.new, {"params": normal(3, size), **arguments, **more})
        yield f"{name}.params_size", Call(kind.params_size, arguments)
        layer = kind(**arguments)
        yield f"{name}()", Call(layer, {"inputs": normal(3, size)})
    mixture = dict(num_components=2, component_layer=layers.IndependentNormal(2))
    yield (
        "MixtureSameFamily.new",
        Call(layers.MixtureSameFamily.new, {"params": normal(3, 10), **mixture}),
    )
    yield (
        "MixtureSameFamily.params_size",
        Call(layers.MixtureSameFamily.params_size, dict(num_components=2, component_params_size=4)),
    )
    yield (
        "MixtureSameFamily()",
        Call(layers.MixtureSameFamily(**mixture), {"inputs": normal(3, 10)}),
    )
    yield (
        "RelaxedOneHot.params_size",
        Call(layers.RelaxedOneHot.params_size, dict(event_size=4)),
    )
    yield "RelaxedOneHot()", Call(layers.RelaxedOneHot(4, 2), {"inputs": normal(3, 4)})
    flow = bijectors.Planar(2, context_size=3)
    yield (
        "FlowNormal.params_size",
        Call(layers.FlowNormal.params_size, dict(event_shape=2, context_size=3)),
    )
    yield (
        "FlowNormal()",
        Call(layers.FlowNormal(2, flow, context_size=3), {"inputs": normal(3, 7)}),
    )


def quantizer_methods(name, quantizer):
    """Of codes of two numbers."""
    indices = np.array([[0, 1], [2, 0]])
    return {
        f"{name}()": Call(quantizer, dict(inputs=normal(3, 2))),
        f"{name}.indices": Call(quantizer.indices, dict(vectors=normal(3, 2))),
        f"{name}.lookup": Call(quantizer.lookup, dict(indices=indices)),
        f"{name}.use_counts": Call(quantizer.use_counts, dict(indices=indices)),
    }


def methods():
    """Of priors, and of what quantizes."""
    hierarchy = layers.HierarchicalNormal([encoder()])
    vamp = layers.VampPrior(4, num_components=2)
    quantizer = layers.VectorQuantizer(3, 2, restart_below=0.1)
    residual = layers.ResidualVectorQuantizer(3, 2, depth=2)
    indices = np.array([[0, 1], [2, 0]])
    kl = layers.KLDivergenceRegularizer(layers.StandardNormal(2))
    q = encoder()(normal(3, 4))
    return {
        "HierarchicalNormal.density": Call(
            hierarchy.density, dict(level=0, above=normal(3, 4), training=False)
        ),
        "InfoGANPrior.code_posterior": Call(
            layers.InfoGANPrior(1, (3,), 1).code_posterior, dict(params=normal(2, 5))
        ),
        "VampPrior.as_distribution": Call(vamp.as_distribution, dict(encoder=encoder())),
        **quantizer_methods("FiniteScalarQuantizer", layers.FiniteScalarQuantizer([3, 2])),
        **quantizer_methods("ResidualVectorQuantizer", residual),
        "ResidualVectorQuantizer.stages": Call(
            residual.stages, dict(vectors=normal(2, 2), indices=indices)
        ),
        **quantizer_methods("VectorQuantizer", quantizer),
        "VectorQuantizer.follow": Call(
            quantizer.follow,
            dict(vectors=normal(2, 2, 2), indices=indices, seed=np.array([0, 1])),
        ),
        "CodeFrequencies.fit": Call(layers.CodeFrequencies(2, 3).fit, dict(batches=[indices])),
        "KLDivergenceRegularizer()": Call(kl, dict(distribution_a=q)),
        "KLDivergenceAddLoss()": Call(
            layers.KLDivergenceAddLoss(layers.StandardNormal(2)), dict(distribution_a=q)
        ),
    }


CALLS = (
    {name: Call(getattr(layers, name), arguments) for name, arguments in CONSTRUCTORS.items()}
    | dict(functions_of_classes())
    | methods()
)


def test_all_public_classes_are_in_the_table():
    """But for a record of what conditions are."""
    classes = {name for name in layers.__all__ if isinstance(getattr(layers, name), type)}
    assert classes - {"Condition"} == set(CONSTRUCTORS)


def test_the_calls_are_valid():
    for call in CALLS.values():
        call()


@pytest.fixture(scope="module")
def ends():
    """Each damaged call, and how it ended."""
    return [(each, outcome(each)) for each in damaged_calls(CALLS)]


def test_every_damaged_call_is_refused_by_name(ends):
    assert not list(failures_among(ends))


def test_few_damaged_calls_return(ends):
    """Those whose damage is a right value, such as another size, or NaN in data."""
    returned = [each for each, end in ends if end.kind == "returned"]
    assert len(returned) < 0.12 * len(ends), returned
