"""Options of VAEs in pairs: each pair trains, or is refused with the reason."""

import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose
from vaes import BUILDERS, LATENT, SHAPE, build, decoder, encoder, flow_head

from tfgen import bijectors, layers, models
from tfgen.models.training_data import Conditioned

OPTIONS = {
    "beta": lambda: {"beta": 0.5},
    "capacity": lambda: {"capacity": 1.0},
    "free_bits": lambda: {"free_bits": 0.5},
    "mixture prior": lambda: {"prior": layers.MixtureOfNormals(LATENT, 2, seed=0)},
    "vamp prior": lambda: {"prior": layers.VampPrior(SHAPE, 2, seed=0)},
    "flow prior": lambda: {"prior": layers.FlowPrior(bijectors.maf(LATENT, 1, hidden=(4,)))},
    "classes": lambda: {},
    "flow posterior": lambda: {},
}
PRIORS = ("mixture prior", "vamp prior", "flow prior")
# (class, option) -> a part of the message.
REFUSED = {
    **{(models.InfoVAE, option): "1 - alpha" for option in ("beta", "capacity", "free_bits")},
    **{(models.BetaTCVAE, option): "three weights" for option in ("capacity", "free_bits")},
    **{(models.IWAE, option): "weighed by densities" for option in ("capacity", "free_bits")},
    **{(models.LadderVAE, option): "HierarchicalNormal" for option in PRIORS},
    **{(models.DRAW, option): "standard normal" for option in PRIORS},
    (models.AdaGVAE, "classes"): "learns from pairs of images",
    (models.DRAW, "classes"): "must be a networks.DRAWEncoder",
    (models.SemiSupervisedVAE, "vamp prior"): "needs a condition",
    **{
        (cls, option): message
        for cls in (models.MissingDataVAE, models.MIWAE)
        for option, message in {
            "classes": "takes a mask",
            "flow posterior": "takes a mask",
            "vamp prior": "needs a condition",
        }.items()
    },
    **{(models.MIWAE, option): "weighed by densities" for option in ("capacity", "free_bits")},
    (models.DRAW, "flow posterior"): "must be a networks.DRAWEncoder",
    **{
        (cls, "flow posterior"): "independent normals"
        for cls in (models.BetaTCVAE, models.VGP, models.LadderVAE)
    },
    (models.DIPVAE, "flow posterior"): "whose mean is not known",
}
PAIRS = [(cls, option) for cls in BUILDERS for option in OPTIONS]
SHORT = [
    (models.IWAE, "classes"),
    (models.DRAW, "beta"),
    (models.FlowVAE, "vamp prior"),
    (models.HVI, "vamp prior"),
    (models.VAEGAN, "classes"),
]


def make(cls, option):
    """A model of `cls` with the option, or None where it is that class anyhow."""
    arguments = OPTIONS[option]()
    if option == "flow posterior":
        return None if cls is models.FlowVAE else with_networks(cls, encoder(flow_head()))
    if option == "classes":
        head = flow_head() if cls is models.FlowVAE else None
        return with_networks(cls, encoder(head, num_classes=2), decoder(num_classes=2))
    return build(cls, **arguments)


def with_networks(cls, encoder, decoder=None):
    """A model of `cls` with other networks than `BUILDERS` gives it."""

    def replaced(_, own_decoder, *networks, **kwargs):
        return cls(encoder, decoder or own_decoder, *networks, **kwargs)

    return BUILDERS[cls](replaced, seed=0)


def batch(model):
    x = np.random.default_rng(0).integers(0, 2, (6, *SHAPE)).astype("float32")
    labels = np.arange(6, dtype="int32") % 2
    return Conditioned(x, labels) if model.num_classes else x


def assert_gradients_are_finite(model):
    """Of every update, in a graph."""

    @tf.function
    def gradients(x):
        with tf.GradientTape(persistent=True) as tape:
            terms = model.terms(x)
            losses = [tf.reduce_mean(terms[update.minimise]) for update in model.updates]
        return [
            tape.gradient(loss, [v.value for v in update.variables])
            for loss, update in zip(losses, model.updates, strict=True)
        ], terms

    x = tf.nest.map_structure(tf.constant, batch(model))
    of_updates, terms = gradients(x)
    for name, value in terms.items():
        assert np.isfinite(value).all(), name
    for update, found in zip(model.updates, of_updates, strict=True):
        assert any(gradient is not None for gradient in found), update.name
        assert all(np.isfinite(g).all() for g in found if g is not None), update.name


def check(cls, option):
    if (cls, option) in REFUSED:
        with pytest.raises((ValueError, TypeError), match=REFUSED[cls, option]):
            make(cls, option)
    else:
        model = make(cls, option)
        if model is not None:
            assert_gradients_are_finite(model)


@pytest.mark.parametrize("cls, option", SHORT)
def test_some_pairs(cls, option):
    check(cls, option)


@pytest.mark.parametrize("cls, option", REFUSED)
def test_refused_pairs(cls, option):
    check(cls, option)


@pytest.mark.slow
@pytest.mark.parametrize("cls, option", PAIRS)
def test_all_pairs(cls, option):
    check(cls, option)


# What the weights of the KL divergence do.


def terms_of(model, **weights):
    """Its terms, with these values of the variables that weigh the loss."""
    for name, value in weights.items():
        getattr(model, name).assign(value)
    model.evaluation_seed_generator.state.assign([0, 0])
    return model.terms(batch(model), training=False)


OTHER_WEIGHTS = (models.InfoVAE, models.BetaTCVAE, models.IWAE)
WEIGHTED = [cls for cls in BUILDERS if not issubclass(cls, OTHER_WEIGHTS)]


def kl_in_loss(terms):
    """What the KL divergence adds to the loss, beside a constant of the other terms."""
    return terms["encoder_loss" if "encoder_loss" in terms else "loss"]


@pytest.mark.parametrize("cls", WEIGHTED)
def test_beta_capacity_and_free_bits(cls):
    model = build(cls, beta=0.0)
    without = terms_of(model)
    doubled = terms_of(model, beta=2.0)
    assert_allclose(kl_in_loss(doubled) - kl_in_loss(without), 2 * doubled["kl"], atol=1e-3)
    capacity = terms_of(build(cls, beta=1.0, capacity=50.0))
    expected = abs(np.mean(capacity["kl"]) - 50.0)
    assert_allclose(kl_in_loss(capacity) - kl_in_loss(without), expected, rtol=1e-4)
    model = build(cls, beta=1.0, free_bits=40.0)
    free = terms_of(model)
    parts = {models.LadderVAE: 2, models.DRAW: 2}
    whole = (models.FlowVAE, models.HVAE, models.HVI, models.VGP, models.SemiSupervisedVAE)
    groups = parts.get(cls, 1 if cls in whole else LATENT)
    assert_allclose(free["free_kl"], 40.0 * groups, rtol=1e-6)
    assert_allclose(kl_in_loss(free) - kl_in_loss(without), 40.0 * groups, rtol=1e-4)
    none = terms_of(model, free_bits=0.0)
    if cls not in whole:
        assert_allclose(none["free_kl"], np.mean(none["kl"]), rtol=1e-4)
    for terms in (doubled, capacity, free):  # The bound is without them.
        assert_allclose(terms["elbo"], without["elbo"], rtol=1e-5)


def test_beta_tempers_the_weights_of_an_iwae():
    """By hand, with the draws of the model's own seed."""
    model = build(models.IWAE, beta=0.5)
    model.evaluation_seed_generator.state.assign([0, 0])
    x = batch(model)
    terms = model.terms(x, training=False)
    model.evaluation_seed_generator.state.assign([0, 0])
    draw = model.infer(x, model.next_seed(training=False), training=False)
    log_ratio = draw.q.log_prob(draw.z) - draw.prior.log_prob(draw.z)
    log_likelihood = model.log_likelihood(x, draw.z)
    for name, beta in {"iw_elbo": 1.0, "tempered_iw_elbo": 0.5}.items():
        expected = np.log(np.mean(np.exp(log_likelihood - beta * log_ratio), axis=0))
        assert_allclose(terms[name], expected, rtol=1e-5)
    assert_allclose(terms["loss"], -terms["tempered_iw_elbo"])


def test_capacity_and_free_bits_together_are_refused():
    with pytest.raises(ValueError, match="choose one"):
        build(models.VAE, capacity=1.0, free_bits=1.0)
