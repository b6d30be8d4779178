"""Public callables with one argument damaged at a time: refused by us, by the argument's name."""

import functools
import inspect
import pathlib
import sys

import numpy as np
import pytest
from sklearn.tree import DecisionTreeClassifier

import tfgen
from tfgen import bijectors, layers, metrics, models, networks
from tfgen.datasets import Column

sys.path.append(str(pathlib.Path(__file__).parent))

from damage import Call, Damaged, damaged_calls, failures, outcome  # noqa: E402

SHAPE = (8, 8, 1)
LARGE = (16, 16, 1)


def normal(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def uniform(*shape):
    return np.random.default_rng(0).uniform(size=shape).astype("float32")


FACTORS = np.indices((2, 3, 10)).reshape(3, -1).T[:, :2]
CODES = normal(60, 2)


@functools.cache
def vae():
    return models.VAE(
        networks.mlp_encoder(SHAPE, 2, width=4), networks.mlp_decoder(SHAPE, 2, width=4), seed=0
    )


def in_the_vae(function, **arguments):
    return Call(lambda **kwargs: function(**{"model": vae(), **kwargs}), arguments)


def network(num_parameters=2):
    return bijectors.coupling_network(2, (4,), num_parameters=num_parameters)


def of(area, name, **arguments):
    return Call(getattr(area, name), arguments)


def table(area, **calls):
    return {name: of(area, name, **arguments) for name, arguments in calls.items()}


BIJECTORS = table(
    bijectors,
    ActNorm=dict(event_shape=2),
    AffineCoupling=dict(network=network(), mask=np.array([1.0, 0.0])),
    Chain=dict(bijectors=[bijectors.Permute(2)]),
    Given=dict(bijector=bijectors.Planar(2, context_size=14), context=np.zeros(14, "float32")),
    Invert=dict(bijector=bijectors.Permute(2)),
    Invertible1x1Conv=dict(event_shape=(2, 2, 2), seed=0),
    MaskedAutoregressive=dict(
        event_shape=2, hidden=(4,), activation="relu", context_size=2, gated=True, max_log_scale=2.0
    ),
    Permute=dict(event_shape=2, permutation=np.array([1, 0])),
    Planar=dict(event_shape=2, num_steps=2, context_size=2),
    Radial=dict(event_shape=2, num_steps=2, context_size=2),
    Sigmoid=dict(event_shape=2, alpha=0.1),
    SplineCoupling=dict(
        network=network(3 * 4 - 1),
        mask=np.array([1.0, 0.0]),
        num_bins=4,
        bound=2.0,
        max_slope_ratio=4.0,
    ),
    Split=dict(bijector=bijectors.ActNorm((2, 2, 1))),
    Squeezed=dict(bijector=bijectors.ActNorm((2, 2, 4))),
    Sylvester=dict(event_shape=3, rank=2, num_steps=2, context_size=2),
    UniformDequantization=dict(event_shape=(2, 2, 1), num_values=4, alpha=0.1),
    VariationalDequantization=dict(bijector=bijectors.ActNorm((2, 2, 1)), num_values=4, alpha=0.1),
    alternating_mask=dict(size=3, first=1),
    channel_mask=dict(num_channels=4, invert=False),
    checkerboard_mask=dict(image_shape=(2, 2, 1), invert=False),
    coupling_network=dict(size=2, hidden=(4,), activation="relu", context_size=1, num_parameters=2),
    iaf=dict(event_shape=2, num_steps=1, hidden=(4,), context_size=1, activation="relu"),
    maf=dict(
        event_shape=2,
        num_steps=1,
        hidden=(4,),
        context_size=1,
        activation="relu",
        normalize=True,
        max_log_scale=2.0,
    ),
)


def maps():
    """`forward` and `inverse` of each kind, with their tensors."""
    flows = {
        "MaskedAutoregressive": bijectors.MaskedAutoregressive(2, (4,), context_size=2),
        "Planar": bijectors.Planar(2, context_size=2),
        "AffineCoupling": bijectors.AffineCoupling(
            bijectors.coupling_network(2, (4,), context_size=2), [1, 0]
        ),
        "ActNorm": bijectors.ActNorm(2),
        "Chain": bijectors.Chain([bijectors.Permute(2), bijectors.Sigmoid(2)]),
    }
    for name, flow in flows.items():
        arguments = {"context": normal(3, 2)} if name in list(flows)[:3] else {}
        yield f"{name}.forward", Call(flow.forward, {"x": normal(3, 2), **arguments})
        if name != "Planar":
            yield f"{name}.inverse", Call(flow.inverse, {"y": uniform(3, 2), **arguments})


BIJECTORS |= dict(maps())

_DENSE = dict(data_shape=SHAPE, latent_dim=2, width=4)
_SERIES = dict(data_shape=(4, 2), latent_dim=2, width=4, depth=1)
_CONV = dict(image_shape=SHAPE, latent_dim=2, width=4)
_LADDER = dict(latent_dims=(3, 2), widths=(4, 4), depth=1, batch_norm=True, activation="relu")
NETWORKS = table(
    networks,
    DRAWDecoder=dict(**_CONV, num_steps=2, write_size=2, head=layers.IndependentBernoulli),
    DRAWEncoder=dict(**_CONV, num_steps=2, decoder_width=4, read_size=2, posterior=None),
    GaussianProcessMapping=dict(
        latent_dim=2, feature_shape=(4,), input_dim=2, num_points=3, width=4, seed=0
    ),
    VGPPosterior=dict(latent_dim=2, num_features=4, input_dim=2, num_points=3, width=4, seed=0),
    causal_decoder=dict(
        **{**_SERIES, "depth": 2},
        head=layers.FixedScaleNormal,
        kernel_size=3,
        activation="relu",
        per_step=False,
    ),
    causal_encoder=dict(
        **{**_SERIES, "depth": 2},
        head=layers.IndependentNormal,
        kernel_size=3,
        activation="relu",
        per_step=False,
    ),
    conv64_decoder={**_CONV, "image_shape": (64, 64, 1), "head": layers.FixedScaleNormal},
    conv64_encoder={**_CONV, "image_shape": (64, 64, 1), "head": layers.IndependentNormal},
    conv_decoder=dict(**_DENSE, head=layers.IndependentBernoulli, activation="relu"),
    conv_encoder=dict(**_DENSE, head=layers.IndependentNormal, activation="relu"),
    dcgan_discriminator=dict(
        data_shape=LARGE,
        width=4,
        batch_norm=True,
        spectral_norm=True,
        dropout=0.1,
        minibatch_discrimination=2,
        projection=True,
        num_classes=2,
    ),
    dcgan_encoder=dict(
        data_shape=LARGE, latent_dim=2, head=layers.IndependentNormal, width=4, batch_norm=True
    ),
    dcgan_generator=dict(
        data_shape=LARGE,
        latent_dim=2,
        width=4,
        batch_norm=True,
        output_activation="tanh",
        head=None,
        conditional_norm=True,
        num_classes=2,
    ),
    gated_conv_net=dict(
        image_shape=SHAPE, num_outputs=2, width=4, num_layers=1, context_shape=SHAPE
    ),
    glow=dict(image_shape=SHAPE, num_levels=1, num_steps=1, width=4, num_bins=4, context_size=2),
    glow_net=dict(image_shape=SHAPE, num_outputs=2, width=4, context_shape=SHAPE),
    gvae_encoder=dict(
        image_shape=LARGE, latent_dim=2, head=layers.IndependentNormal, width=4, batch_norm=True
    ),
    joint_discriminator=dict(
        image_shape=SHAPE,
        latent_dim=2,
        width=(4,),
        dropout=0.1,
        activation="relu",
        image_network=None,
    ),
    ladder_decoder=dict(decoder=networks.mlp_decoder(SHAPE, 3, width=4), latent_dims=(3, 2)),
    ladder_encoder=dict(image_shape=SHAPE, **_LADDER),
    ladder_prior=_LADDER,
    larsen_decoder={
        **_CONV,
        "image_shape": LARGE,
        "head": layers.FixedScaleNormal,
        "output_activation": "tanh",
    },
    larsen_discriminator=dict(image_shape=LARGE, width=4),
    larsen_encoder={**_CONV, "image_shape": LARGE, "head": layers.IndependentNormal},
    mlp_auxiliary=dict(
        data_shape=SHAPE,
        latent_dim=2,
        output_dim=2,
        head=layers.IndependentNormal,
        width=4,
        depth=1,
        activation="relu",
    ),
    mlp_code_discriminator=dict(latent_dim=2, width=4, depth=1, dropout=0.1, activation="relu"),
    mlp_decoder=dict(**_DENSE, head=layers.IndependentBernoulli, depth=1, activation="relu"),
    mlp_discriminator=dict(
        data_shape=SHAPE,
        width=(4,),
        dropout=0.1,
        activation="relu",
        minibatch_discrimination=2,
        projection=True,
        condition_shape=2,
    ),
    mlp_encoder=dict(**_DENSE, head=layers.IndependentNormal, depth=1, activation="relu"),
    mlp_generator=dict(
        data_shape=SHAPE,
        latent_dim=2,
        width=(4,),
        dropout=0.1,
        activation="relu",
        output_activation="tanh",
        head=None,
    ),
    mlp_prior=dict(
        latent_dim=2,
        head=layers.IndependentNormal,
        width=4,
        depth=1,
        activation="relu",
        num_classes=3,
    ),
    multiscale_flow=dict(image_shape=SHAPE, width=4, num_layers=1, num_bins=4),
    recurrent_decoder=dict(**_SERIES, head=layers.FixedScaleNormal),
    recurrent_encoder=dict(**_SERIES, head=layers.IndependentNormal),
    residual_discriminator=dict(image_shape=LARGE, width=4, batch_norm=True, dropout=0.1),
    residual_generator=dict(
        image_shape=LARGE,
        latent_dim=2,
        width=4,
        batch_norm=True,
        dropout=0.1,
        output_activation="tanh",
        head=None,
    ),
    table_head=dict(
        columns=[Column("a", "number"), Column("b", "class", (0, 1))],
        number=layers.IndependentNormal,
        count=layers.IndependentPoisson,
    ),
    series_flow=dict(
        data_shape=(4, 2),
        num_couplings=1,
        width=4,
        depth=1,
        num_bins=4,
        bound=4.0,
        context_size=0,
    ),
    simple_flow=dict(image_shape=SHAPE, num_couplings=1, width=4, num_layers=1),
    variational_dequantization=dict(
        image_shape=SHAPE, num_couplings=1, width=4, num_layers=1, num_values=4
    ),
    vector_flow=dict(size=2, num_couplings=1, hidden=(4,), num_bins=4, bound=2.0),
    vq_decoder=dict(
        data_shape=SHAPE, code_dim=2, head=layers.IndependentBernoulli, width=4, num_blocks=1
    ),
    vq_encoder=dict(data_shape=SHAPE, code_dim=2, width=4, num_blocks=1, normalize=True),
)

_COUNTS = dict(seed=0, num_train=40, num_test=20, batch_size=4)
_BINARY = (uniform(6, *SHAPE) > 0.5).astype("float32")
METRICS = table(
    metrics,
    beta_vae_score=dict(codes=CODES, factors=FACTORS, **_COUNTS),
    factor_vae_score=dict(codes=CODES, factors=FACTORS, **_COUNTS),
    class_entropy=dict(probabilities=np.full((4, 2), 0.5)),
    image_entropies=dict(probabilities=np.full((4, 2), 0.5)),
    mode_count=dict(probabilities=np.full((4, 2), 0.5)),
    closest_records=dict(generated=normal(9, 2), train=normal(8, 2) + 1, held_out=normal(7, 2) - 1),
    correlation_matrix=dict(rows=normal(9, 2), classes=[1]),
    dci=dict(codes=CODES, factors=FACTORS, seed=0),
    entropies=dict(factors=FACTORS),
    explicitness=dict(codes=CODES, factors=FACTORS, seed=0),
    fid=dict(real=normal(9, 2), generated=normal(8, 2)),
    frechet_distance=dict(x=normal(9, 2), y=normal(8, 2)),
    gaussian_total_correlation=dict(codes=CODES),
    inception_score=dict(probabilities=np.full((4, 2), 0.5), num_splits=2),
    intra_class_frechet_distance=dict(
        real=normal(8, 2),
        real_labels=np.array([0, 1] * 4),
        generated=normal(6, 2),
        generated_labels=np.array([0, 1] * 3),
    ),
    irs=dict(codes=CODES, factors=FACTORS),
    kid=dict(real=normal(9, 2), generated=normal(8, 2), num_subsets=2, subset_size=4, seed=0),
    median_bandwidth=dict(samples=CODES, num_samples=20, seed=0),
    mig=dict(codes=CODES, factors=FACTORS, num_bins=4),
    mig_by_samples=dict(loc=CODES, scale=np.exp(CODES), factors=FACTORS),
    modularity=dict(codes=CODES, factors=FACTORS, num_bins=4),
    ms_ssim=dict(
        a=uniform(2, 16, 16, 1), b=uniform(2, 16, 16, 1), value_range=(0.0, 1.0), filter_size=3
    ),
    mutual_information_matrix=dict(codes=CODES, factors=FACTORS, num_bins=4),
    pairwise_ms_ssim=dict(
        images=uniform(3, 16, 16, 1),
        num_pairs=4,
        seed=0,
        value_range=(0.0, 1.0),
        filter_size=3,
    ),
    precision_recall=dict(real=normal(9, 2), generated=normal(8, 2), num_neighbours=2),
    sap_score=dict(codes=CODES, factors=FACTORS, seed=0, continuous=True),
    squared_mmd=dict(
        x=normal(9, 2),
        y=normal(8, 2),
        kernel="gaussian",
        bandwidths=1.0,
        biased=False,
        block_size=4,
        verbose=False,
    ),
    train_on_samples=dict(
        generated=normal(8, 2),
        generated_labels=np.array([0, 1] * 4),
        real=normal(6, 2),
        real_labels=np.array([0, 1] * 3),
        test=normal(4, 2),
        test_labels=np.array([0, 1] * 2),
        classifier=DecisionTreeClassifier(),
    ),
    udr=dict(codes=[CODES, CODES], kl=[np.ones(2), np.ones(2)], method="spearman"),
) | {
    "active_units": in_the_vae(metrics.active_units, data=_BINARY, threshold=0.01, batch_size=3),
    "disentanglement_report": in_the_vae(
        metrics.disentanglement_report,
        dataset=(uniform(60, *SHAPE), FACTORS),
        num_points=60,
        factor_names=None,
        seeds=(0,),
        verbose=False,
    ),
    "evaluate_samples": in_the_vae(
        metrics.evaluate_samples,
        train_data=uniform(12, *SHAPE),
        test_data=uniform(12, *SHAPE),
        num_samples=10,
        classifier=None,
        value_range=(0.0, 1.0),
        clip=False,
        num_neighbours=None,
        seed=0,
        verbose=False,
    ),
    "importance_sampled_nll": in_the_vae(
        metrics.importance_sampled_nll,
        data=_BINARY,
        num_samples=4,
        at=(1, 2),
        samples_per_batch=4,
        batch_size=3,
        seed=0,
        verbose=False,
    ),
    "outlier_scores": in_the_vae(
        metrics.outlier_scores,
        data=_BINARY,
        kind="typicality",
        reference=_BINARY,
        num_samples=2,
        batch_size=3,
        seed=0,
        verbose=False,
    ),
    "posterior_collapse_report": in_the_vae(
        metrics.posterior_collapse_report,
        data=_BINARY,
        threshold=0.01,
        batch_size=3,
        seed=0,
        verbose=False,
    ),
    "annealed_importance_sampling": in_the_vae(
        metrics.annealed_importance_sampling,
        data=_BINARY,
        num_chains=2,
        num_steps=2,
        num_leapfrog_steps=1,
        start="prior",
        step_size=0.1,
        batch_size=3,
        seed=0,
        verbose=False,
    ),
}

TABLES = {"bijectors": BIJECTORS, "networks": NETWORKS, "metrics": METRICS}

# Public names that are not called, or not by a user, and those that need what a test has not.
NOT_CALLED = {
    "bijectors": {"Bijector"},
    "networks": set(),
    "metrics": {
        *(name for name in metrics.__all__ if not inspect.isroutine(getattr(metrics, name))),
        "bits_per_dim",  # Of tfgen.losses.
        "is_discrete",
        "classification_accuracy_score",  # Trains a classifier.
        "classifier",  # Trained on data that are downloaded, or read from a cache.
        "classifier_outputs",
        "inception_features",  # Takes 90 MB of weights.
        "inception_outputs",
    },
}


@pytest.mark.parametrize("area", TABLES)
def test_all_public_callables_are_in_the_tables(area):
    public = set(getattr(tfgen, area).__all__) - NOT_CALLED[area]
    assert public == {name for name in TABLES[area] if "." not in name}


@pytest.mark.parametrize("area", TABLES)
def test_the_calls_are_valid(area):
    for call in TABLES[area].values():
        call()


@pytest.mark.parametrize("area", TABLES)
def test_a_sample_of_damaged_calls_is_refused_by_name(area):
    damaged = list(damaged_calls(TABLES[area]))
    rows = np.random.default_rng(0).permutation(len(damaged))[:150]
    assert not list(failures(damaged[row] for row in rows))


@pytest.mark.slow
@pytest.mark.parametrize("area", TABLES)
def test_every_damaged_call_is_refused_by_name(area):
    assert not list(failures(damaged_calls(TABLES[area])))


@pytest.mark.slow
@pytest.mark.parametrize("area", TABLES)
def test_few_damaged_calls_return(area):
    """Those whose damage is a right value, such as a list that is empty, or another size."""
    damaged = list(damaged_calls(TABLES[area]))
    returned = [each for each in damaged if outcome(each).kind == "returned"]
    # From 3 to 11 % of each area; more would mean that an argument lost its check.
    assert len(returned) < 0.12 * len(damaged)


# The instrument.


def _refuses(size):
    raise ValueError(f"size must be an int. Received: {size}.")


def _takes(size):
    return np.ones(size)


def _forever(size):
    while size:
        pass


@pytest.mark.parametrize(
    "function, size, kind",
    [
        (networks.mlp_code_discriminator, -1, "refused"),
        (_refuses, -1, "raised inside"),  # Of another file than the package's.
        (_takes, -1, "raised inside"),
        (_takes, 10**10, "no end"),
        (_takes, 3, "returned"),
        (_forever, 1, "no end"),
    ],
)
def test_outcomes(function, size, kind, monkeypatch):
    monkeypatch.setattr("damage.TIME_LIMIT", 1)
    name = "size" if function.__module__ == __name__ else "latent_dim"
    assert outcome(Damaged("f", name, "", Call(function, {name: size}))).kind == kind
