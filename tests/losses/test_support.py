"""Which data a likelihood can explain, and what is said of other data."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen import layers, models
from tfgen.losses import check_support
from tfgen.losses.support import BLOCK

tfd, tfb = tfp.distributions, tfp.bijectors

ONES = tf.ones((1, 3))
PAIRS = tf.ones((1, 2, 3))  # Two components of three elements each.
CHOICE = tfd.Categorical(tf.zeros((1, 2)))


def each(distribution):
    return tfd.Independent(distribution, 1)


def tanh_normal(loc):
    return tfd.TransformedDistribution(tfd.Normal(loc, 1.0), tfb.Tanh())


def count_of(z):
    return each(tfd.Poisson(tf.exp(z)))


def below(b):
    """Uniform up to the value of another part, and one more."""
    return each(tfd.Uniform(0.0, b + 1.0))


# A likelihood of one batch, an event that it explains, one that it does not, and what it needs.
CASES = {
    "Bernoulli": (each(tfd.Bernoulli(ONES)), [0, 1, 1], [0, 1, 2], r"data in \[0, 1\]"),
    "tfgen": (layers.IndependentBernoulli(3)(ONES), [0, 1, 1], [0, 1, -1], r"data in \[0, 1\]"),
    "ContinuousBernoulli": (
        each(tfd.ContinuousBernoulli(ONES)),
        [0, 0.5, 1],
        [0, 0.5, -1.5],
        r"data in \[0, 1\]",
    ),
    "Categorical": (
        each(tfd.Categorical(tf.zeros((1, 3, 4)))),
        [0, 1, 3],
        [0, 1, 4],
        r"data in \{0, ..., 3\}",
    ),
    "Categorical, fraction": (
        each(tfd.Categorical(tf.zeros((1, 3, 4)), dtype=tf.float32)),
        [0, 1, 3],
        [0, 1, 0.5],
        r"data in \{0, ..., 3\}",
    ),
    "OneHotCategorical": (tfd.OneHotCategorical(ONES), [0, 1, 0], [0, 0.5, 0.5], "one-hot rows"),
    "OneHotCategorical, none": (
        tfd.OneHotCategorical(ONES),
        [0, 1, 0],
        [0, 0, 0],
        "one-hot rows.*Give tf.one_hot.labels, 3",
    ),
    "OneHotCategorical, pixels": (
        each(tfd.OneHotCategorical(tf.ones((1, 3, 2)))),
        [[0, 1], [1, 0], [1, 0]],
        [[0, 1], [1, 1], [1, 0]],
        r"one-hot rows.*such as \[1. 1.\]",
    ),
    "Poisson": (each(tfd.Poisson(ONES)), [0, 1, 7], [0, 1, 0.5], r"data in \{0, 1, ...\}.*as 0.5"),
    "Poisson, negative": (each(tfd.Poisson(ONES)), [0, 1, 7], [0, 1, -1], "such as -1"),
    "NegativeBinomial": (
        each(tfd.NegativeBinomial(ONES, ONES)),
        [0, 1, 7],
        [0, 1, -1],
        r"\{0, 1, ...\}",
    ),
    "Geometric": (each(tfd.Geometric(ONES)), [0, 1, 7], [0, 1, 0.5], r"\{0, 1, ...\}"),
    "Binomial": (each(tfd.Binomial(7 * ONES, ONES)), [0, 1, 7], [0, 1, 8], r"\{0, ..., 7\}"),
    "Multinomial": (tfd.Multinomial([5.0], ONES), [0, 1, 4], [0, 1, 5], "sum to total_count=5"),
    "Multinomial, fraction": (tfd.Multinomial([5.0], ONES), [0, 1, 4], [0, 1.5, 3.5], "counts"),
    "Beta": (each(tfd.Beta(2 * ONES, ONES)), [0.1, 0.5, 0.9], [0.1, 0.5, 1.5], r"data in \(0, 1\)"),
    "Beta, end": (each(tfd.Beta(2 * ONES, ONES)), [0.1, 0.5, 0.9], [0.1, 0.5, 0], r"\(0, 1\)"),
    "Dirichlet": (tfd.Dirichlet(ONES), [0.1, 0.5, 0.4], [0.1, 0.5, 0.5], "sum to 1.*Divide each"),
    "Gamma": (
        each(tfd.Gamma(2 * ONES, ONES)),
        [0.1, 5, 0.9],
        [0.1, 0.5, -1],
        r"data in \(0, inf\)",
    ),
    "LogNormal": (each(tfd.LogNormal(ONES, ONES)), [0.1, 5, 1], [0.1, 0.5, 0], r"\(0, inf\)"),
    "Exponential": (
        each(tfd.Exponential(ONES)),
        [0.1, 0, 1],
        [0.1, 0.5, -1],
        r"data in \[0, inf\)",
    ),
    "HalfNormal": (each(tfd.HalfNormal(ONES)), [0.1, 0, 0.9], [0.1, 0.5, -1], r"\[0, inf\)"),
    "HalfCauchy": (
        each(tfd.HalfCauchy(ONES, ONES)),
        [1.5, 2, 3],
        [0.1, 2, 3],
        "finite log-density",
    ),
    "Uniform": (each(tfd.Uniform(-ONES, ONES)), [0.1, -1, 1], [0.1, 0.5, -2], r"data in \[-1, 1\]"),
    "TruncatedNormal": (
        each(tfd.TruncatedNormal(ONES, ONES, -1.0, 1.0)),
        [0.1, -1, 1],
        [0.1, 0.5, -2],
        r"data in \[-1, 1\]",
    ),
    "steps": (
        layers.IndependentDiscretizedLogistic(3, num_values=5)(tf.zeros((1, 6))),
        [0, 0.25, 1],
        [0, 0.2, 1],
        r"one of 5 values in equal steps from 0 to 1.*such as 0.2.*x / 255",
    ),
    "steps, colours": (
        layers.MixtureDiscretizedLogistic(2, 3, num_values=5)(tf.zeros((1, 20))),
        [0, 0.25, 1],
        [0, 1, 1.25],
        "one of 5 values",
    ),
    "Quantized": (
        each(tfd.QuantizedDistribution(tfd.Normal(ONES, 1.0), 0.0, 255.0)),
        [0, 255, 1],
        [0, 256, 1],
        r"\{0, ..., 255\}",
    ),
    "Quantized, no bounds": (
        each(tfd.QuantizedDistribution(tfd.Normal(ONES, 1.0))),
        [0, -255, 1],
        [0, 0.5, 1],
        "whole numbers",
    ),
    "Skellam": (each(tfd.Skellam(ONES, ONES)), [0, -2, 1], [0, 0.5, 1], "whole numbers"),
    "Tanh": (each(tanh_normal(ONES)), [0.5, -0.5, 0.9], [0.5, -0.5, 1], "finite log-density"),
    "FiniteDiscrete": (
        each(tfd.FiniteDiscrete([0, 1], logits=tf.zeros((1, 3, 2)))),
        [1, 0, 1],
        [1, 0.5, 1],
        "finite log-density",
    ),
    "same family": (
        tfd.MixtureSameFamily(CHOICE, each(tfd.Poisson(PAIRS))),
        [0, 2, 1],
        [0.5, 0, 0],
        "A Poisson likelihood",
    ),
    "same family, wider": (
        tfd.MixtureSameFamily(CHOICE, each(tfd.Uniform(tf.zeros((1, 2, 3)), [[[1.0], [2.0]]]))),
        [0, 2, 1],
        [3, 0, 0],
        r"\[0, 2\]",
    ),
    "same family, Tanh": (
        tfd.MixtureSameFamily(CHOICE, each(tanh_normal(PAIRS))),
        [0.5, -0.5, 0.9],
        [0.5, -0.5, 1],
        "finite log-density",
    ),
    "Mixture": (
        tfd.Mixture(CHOICE, [each(tfd.Poisson(ONES)), each(tfd.Gamma(ONES, ONES))]),
        [0.5, 2, 1],
        [-1, 0, 0],
        r"A Mixture likelihood needs data in \{0, 1, ...\} or data in \(0, inf\)",
    ),
    "Mixture of pixels": (
        each(
            tfd.Mixture(
                tfd.Categorical(tf.zeros((1, 3, 2))), [tfd.Poisson(ONES), tfd.Geometric(ONES)]
            )
        ),
        [0, 2, 1],
        [0.5, 0, 0],
        r"needs data in \{0, 1, ...\}. Received: .* such as 0.5",
    ),
    "zero-inflated": (
        each(tfd.ZeroInflatedNegativeBinomial(0.3 * ONES, total_count=3.0, probs=0.5 * ONES)),
        [0, 2, 1],
        [0.5, 0, 0],
        r"\{0, 1, ...\}",
    ),
    "Sample": (tfd.Sample(tfd.Poisson([1.0]), 3), [0, 2, 1], [0.5, 0, 0], "A Poisson"),
    "Sample of rows": (
        tfd.Sample(tfd.OneHotCategorical([[1.0, 2.0]]), 3),
        [[0, 1], [1, 0], [1, 0]],
        [[0, 1], [1, 1], [1, 0]],
        "one-hot rows",
    ),
    "Blockwise": (
        tfd.Blockwise([each(tfd.Normal(ONES, 1.0)), each(tfd.Poisson(ONES))]),
        [-3, 0.5, 0.5, 1, 2, 0],
        [-3, 0.5, 0.5, 1, 2.5, 0],
        "A Poisson.*such as 2.5",
    ),
    "Blockwise of a joint": (
        tfd.Blockwise(tfd.JointDistributionSequential([each(tfd.Normal(ONES, 1.0)), count_of])),
        [-3, 0.5, 0.5, 1, 2, 0],
        [-3, 0.5, 0.5, 1, 2.5, 0],
        "A Poisson.*such as 2.5",
    ),
    "Blockwise of a named joint": (
        tfd.Blockwise(tfd.JointDistributionNamed({"b": each(tfd.Poisson(ONES)), "a": below})),
        [0.5, 1.5, 0.5, 0, 1, 7],  # In the order of the names.
        [0.5, 1.5, 0.5, 0, 0, 7],
        r"A Uniform.*such as 1.5",
    ),
    "BatchBroadcast": (
        each(tfd.BatchBroadcast(tfd.Poisson(1.0), [1, 3])),
        [1, 0, 1],
        [1, 1, -2],
        "A Poisson",
    ),
    "Masked": (
        each(tfd.Masked(tfd.HalfNormal(ONES), [[True, False, True]])),
        [0.5, -0.5, 0.9],
        [-0.5, 0.5, 0.9],
        "finite log-density",
    ),
}


def events(*rows):
    return np.asarray(rows, "float32")


@pytest.mark.parametrize("name", CASES)
def test_examples_in_the_support_pass_and_others_do_not(name):
    distribution, good, bad, message = CASES[name]
    check_support(distribution, events(*[good] * 4))
    with pytest.raises(ValueError, match=message):
        check_support(distribution, events(*[good] * 4, bad, good))


# TFP does not look into a `Blockwise`, and would be given whole numbers.
@pytest.mark.parametrize(
    "name", [name for name in CASES if not name.startswith(("Blockwise", "FiniteDiscrete"))]
)
def test_tfp_says_so_too(name):
    """Good events have a finite density; bad ones have none, or are refused by `validate_args`."""
    distribution, good, bad, _ = CASES[name]
    assert np.all(np.isfinite(distribution.log_prob(tf.cast(events(good), distribution.dtype))))
    checked = _with_checks(distribution)
    try:
        log_prob = checked.log_prob(tf.cast(events(bad), distribution.dtype))
    except (tf.errors.InvalidArgumentError, ValueError):
        return
    assert not np.all(np.isfinite(log_prob))


def _with_checks(distribution):
    """A copy with `validate_args`, and so for all that it is made of."""
    names = ("distribution", "components_distribution", "components")
    made_of = {name: getattr(distribution, name) for name in names if hasattr(distribution, name)}
    if isinstance(distribution, tfd.TransformedDistribution | tfd.QuantizedDistribution):
        made_of = {}
    if isinstance(distribution, tfd.Inflated):
        return tfd.Mixture(distribution.cat, [_with_checks(p) for p in distribution.components])
    copies = {
        name: [_with_checks(p) for p in part] if name == "components" else _with_checks(part)
        for name, part in made_of.items()
    }
    return distribution.copy(validate_args=True, **copies)


def test_message_is_whole():
    with pytest.raises(ValueError) as error:
        check_support(layers.IndependentBernoulli(2)(tf.zeros((1, 2))), events([0, 255], [0, -1]))
    assert str(error.value) == (
        "A Bernoulli likelihood needs data in [0, 1]. Received: values from -1 to 255, such as 255."
        " Rescale the data (uint8 images: divide by 255), or end the decoder with FixedScaleNormal "
        "or IndependentNormal."
    )


def test_grey_values_pass_for_bernoulli():
    check_support(layers.IndependentBernoulli(2)(tf.zeros((1, 2))), events([0.0, 0.3]))


def test_densities_on_all_numbers_take_all():
    x = events([-1e30, 0, 1e30])
    for distribution in (
        layers.IndependentNormal(3)(tf.ones((1, 6))),
        layers.MixtureNormal(2, 3)(tf.ones((1, 14))),
        layers.MultivariateNormalTriL(3)(tf.ones((1, 9))),
        tfd.Mixture(CHOICE, [each(tfd.Cauchy(ONES, 1.0)), each(tfd.Logistic(ONES, 1.0))]),
    ):
        check_support(distribution, x)


def test_all_examples_are_looked_at():
    x = np.zeros((BLOCK + 2, 1), "float32")
    x[-1] = 0.5
    with pytest.raises(ValueError, match="Received: values from 0 to 0.5, such as 0.5"):
        check_support(layers.IndependentPoisson(1)(tf.zeros((1, 1))), x)
    check_support(layers.IndependentPoisson(1)(tf.zeros((1, 1))), x[:-1])


def test_extremes_are_looked_at_where_the_density_must_tell():
    x = np.zeros((100, 3), "float32")
    x[77, 1] = 1.0
    with pytest.raises(ValueError, match=r"such as 1\."):
        check_support(each(tanh_normal(ONES)), x)


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float64", bool])
def test_any_dtype(dtype):
    x = np.array([[0, 1, 1], [1, 0, 0]], dtype)
    check_support(layers.IndependentPoisson(3)(tf.zeros((1, 3))), x)
    check_support(tfd.Multinomial([1.0], ONES), x[1:])
    with pytest.raises(ValueError, match="one-hot rows"):
        check_support(tfd.OneHotCategorical(ONES), x)


def test_bounds_of_each_example():
    distribution = tfd.Uniform([0.0, 5.0], [1.0, 6.0])
    check_support(distribution, np.array([0.5, 5.5]))
    with pytest.raises(ValueError, match="Received"):
        check_support(distribution, np.array([5.5, 0.5]))
    with pytest.raises(ValueError, match="such as 0.25"):
        check_support(distribution, np.array([0.5, 0.25]))


PARTS = [each(tfd.Normal(ONES, 1.0)), each(tfd.Poisson(ONES))]


@pytest.mark.parametrize(
    "joint",
    [
        tfd.JointDistributionSequential(PARTS),
        tfd.JointDistributionNamed(dict(zip("ab", PARTS, strict=True))),
        tfd.Blockwise(tfd.JointDistributionSequential([tfd.JointDistributionSequential(PARTS)])),
    ],
    ids=["sequential", "named", "nested"],
)
def test_events_of_several_tensors_are_refused(joint):
    with pytest.raises(ValueError, match=r"Received: a Joint.*over several. Use tfd.Blockwise"):
        check_support(joint, np.zeros((2, 6)))


# Joint distributions as networks of models.


def gaussian(num_inputs, num_outputs):
    return keras.Sequential(
        [
            keras.Input((num_inputs,)),
            keras.layers.Dense(2 * num_outputs),
            layers.IndependentNormal(num_outputs),
        ]
    )


def in_two_parts(num_inputs, num_outputs, make, **kwargs):
    """A network that ends in a distribution of two parts."""

    def joint(t):
        return make([each(tfd.Normal(part, 1.0)) for part in tf.split(t, 2, axis=-1)])

    head = layers.DistributionLambda(joint, **kwargs)
    dense = keras.layers.Dense(num_outputs)
    return keras.Sequential([keras.Input((num_inputs,)), dense, head])


def concatenated(joint):
    return tf.concat(tf.nest.flatten(joint.sample()), axis=-1)


@pytest.mark.parametrize("model", [models.VAE, models.IWAE, models.ALI])
@pytest.mark.parametrize("role", ["encoder", "decoder"])
def test_models_refuse_joint_distributions_when_they_are_built(model, role):
    sizes = {"encoder": (4, 2), "decoder": (2, 4)}
    networks = {name: gaussian(*size) for name, size in sizes.items()}
    networks[role] = in_two_parts(
        *sizes[role], tfd.JointDistributionSequential, convert_to_tensor_fn=concatenated
    )
    if model is models.ALI:
        networks["discriminator"] = None  # Looked at later.
    with pytest.raises(ValueError, match="Received: the network .*a JointDistributionSequential"):
        model(**networks)


def test_a_vae_trains_with_a_blockwise_likelihood():
    def make(parts):
        return tfd.Blockwise(tfd.JointDistributionSequential(parts))

    keras.utils.set_random_seed(0)
    model = models.VAE(gaussian(4, 2), in_two_parts(2, 4, make))
    model.compile(keras.optimizers.Adam(0.05))
    x = np.random.default_rng(0).normal(loc=3.0, size=(32, 4)).astype("float32")
    losses = model.fit(x, epochs=20, verbose=0).history["loss"]
    assert losses[-1] < losses[0] - 5  # Of 23 nats at first, 18 are those of the mean.
    assert model.sample(2).shape == (2, 4)


def test_distribution_without_log_prob_is_not_checked():
    class Shift(tfb.Bijector):
        def __init__(self):
            super().__init__(forward_min_event_ndims=0, is_constant_jacobian=True)

        def _forward(self, x):
            return x + 1.0

    shifted = each(tfd.TransformedDistribution(tfd.Normal(ONES, 1.0), Shift()))
    check_support(shifted, events([1, 2, 3]))
