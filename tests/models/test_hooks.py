"""What a subclass of a VAE overrides is obeyed, or the class says that it cannot be."""

import functools

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from numpy.testing import assert_allclose
from vaes import BUILDERS, LATENT, SHAPE, build

from tfgen import models
from tfgen.models.training_data import Conditioned, parted

tfd = tfp.distributions
# What a class cannot obey; it says so when a child is defined.
REFUSED = {
    models.IWAE: {"kl_divergence"},
    models.VGP: {"kl_divergence"},
    models.DRAW: {"posterior", "likelihood", "kl_divergence"},
}


def every_vae():
    """All classes of tfgen.models that are VAEs and can be built."""
    classes = [getattr(models, name) for name in models.__all__]
    vaes = [c for c in classes if isinstance(c, type) and issubclass(c, models.VAE)]
    return [c for c in vaes if c is not models.AuxiliaryVAE]


def batch(cls, num=6):
    x = np.random.default_rng(0).integers(0, 2, (num, *SHAPE)).astype("float32")
    return Conditioned(x, np.arange(num) % 2) if cls is models.SemiSupervisedVAE else x


def evaluate(model, cls):
    model.evaluation_seed_generator.state.assign([0, 0])
    return model.terms(batch(cls), training=False)


@functools.cache
def parent_of(cls):
    """A model of the class itself, which no test changes."""
    return build(cls)


@functools.cache
def parents_terms(cls):
    return evaluate(parent_of(cls), cls)


@functools.cache
def parents_weights(cls):
    return log_weights(parent_of(cls), cls)


def log_weights(model, cls):
    return np.asarray(model.log_weights(batch(cls), 2, tf.constant([0, 1])))


def narrower(q):
    return tfd.Independent(tfd.Normal(q.mean() + 1.0, 0.1 * q.stddev()), 1)


def test_all_vaes_are_in_the_battery():
    assert set(BUILDERS) == set(every_vae())


def losses(terms):
    """What is minimised by the networks that the VAE's objective is for."""
    return terms["encoder_loss" if "encoder_loss" in terms else "loss"]


@pytest.mark.parametrize("cls", BUILDERS)
def test_objective_is_obeyed(cls):
    child = build(cls, children_of(cls, "objective"))
    difference = losses(evaluate(child, cls)) - losses(parents_terms(cls))
    assert_allclose(difference, 3.0, atol=1e-4)


@pytest.mark.parametrize("cls", BUILDERS)
def test_a_new_term_is_logged_and_minimised(cls):
    terms = evaluate(build(cls, children_of(cls, "regularizers")), cls)
    before = parents_terms(cls)
    assert np.min(terms["size"]) > 0
    assert_allclose(losses(terms) - losses(before), terms["size"], rtol=1e-3, atol=1e-3)


def obeying(hook):
    """The classes that obey it."""
    refusing = tuple(cls for cls, hooks in REFUSED.items() if hook in hooks)
    return [cls for cls in BUILDERS if not issubclass(cls, refusing)]


def parent_and_child(cls, hook, name):
    """Both models, whose term of this name and whose importance weights differ."""
    child = build(cls, children_of(cls, hook))
    assert np.all(np.abs(parents_terms(cls)[name] - evaluate(child, cls)[name]) > 1e-2)
    assert not np.allclose(parents_weights(cls), log_weights(child, cls), atol=1e-2)
    return parent_of(cls), child


# The posterior of a FlowVAE is no normal, and has its own test.
@pytest.mark.parametrize("cls", [c for c in obeying("posterior") if c is not models.FlowVAE])
def test_posterior_is_obeyed(cls):
    parent, child = parent_and_child(cls, "posterior", "kl")
    x = batch(cls)
    assert not np.allclose(*(codes(model, x, cls) for model in (parent, child)), atol=1e-2)


def codes(model, x, cls):
    q = model.encode(*parted(x))
    return q.sample(seed=[0, 1]) if hasattr(q, "sample") else q


def test_posterior_of_a_flow_is_obeyed():
    class Child(models.FlowVAE):
        def posterior(self, x, training):
            return super().posterior(x + 1.0, training)

    after = evaluate(build(models.FlowVAE, Child), models.FlowVAE)
    assert not np.allclose(parents_terms(models.FlowVAE)["kl"], after["kl"], atol=1e-3)


@pytest.mark.parametrize("cls", obeying("likelihood"))
def test_likelihood_is_obeyed(cls):
    parent, child = parent_and_child(cls, "likelihood", "reconstruction")
    assert np.mean(child.sample(8, seed=0)) > np.mean(parent.sample(8, seed=0)) + 0.1


@pytest.mark.parametrize("cls", obeying("kl_divergence"))
def test_kl_divergence_is_obeyed(cls):
    child = build(cls, children_of(cls, "kl_divergence"))
    difference = evaluate(child, cls)["kl"] - parents_terms(cls)["kl"]
    parts = 2 if cls is models.LadderVAE else 1
    assert_allclose(difference, 7.0 * parts, atol=1e-4)


def test_kl_divergence_is_obeyed_with_free_bits():
    """Their parts are those of the closed form, unless somebody has another KL in mind."""
    child = build(models.VAE, children_of(models.VAE, "kl_divergence"), free_bits=100.0)
    assert_allclose(evaluate(child, models.VAE)["free_kl"], 100.0)
    parent = build(models.VAE, free_bits=100.0)
    assert_allclose(evaluate(parent, models.VAE)["free_kl"], 100.0 * LATENT)


@pytest.mark.parametrize("cls, hooks", REFUSED.items())
def test_other_overrides_are_refused_when_the_class_is_defined(cls, hooks):
    for hook in hooks:
        with pytest.raises(TypeError, match=f"cannot override {hook}, which {cls.__name__}"):
            type("Child", (cls,), {hook: lambda self, *args: None})


@pytest.mark.parametrize("hook", ["compute_loss", "compute_metrics"])
@pytest.mark.parametrize("cls", [models.VAE, models.AE, models.GenerativeModel, models.MixtureEM])
def test_losses_of_keras_are_refused_but_beside_a_step_that_may_use_them(cls, hook):
    child = {hook: lambda self, *args, **kwargs: 0.0}
    with pytest.raises(TypeError, match=f"Child cannot override {hook}.*train_step"):
        type("Child", (cls,), child)
    type("Child", (cls,), {**child, "train_step": lambda self, data: {}})


@pytest.mark.parametrize("cls", BUILDERS)
def test_terms_are_final(cls):
    with pytest.raises(TypeError, match="cannot override terms.*override infer"):
        type("Child", (cls,), {"terms": lambda self, x, training=True: {}})


def children_of(cls, hook):
    """The child of `cls` that overrides a hook; the others may be refused."""
    makers = {
        "objective": lambda: type(
            "Child", (cls,), {"objective": lambda self, terms: cls.objective(self, terms) + 3.0}
        ),
        "regularizers": lambda: type(
            "Child",
            (cls,),
            {"regularizers": _with_size(cls), "objective": _objective_with_size(cls)},
        ),
        "posterior": lambda: type("Child", (cls,), {"posterior": _narrower_posterior(cls)}),
        "likelihood": lambda: type("Child", (cls,), {"likelihood": _brighter_likelihood(cls)}),
        "kl_divergence": lambda: type(
            "Child",
            (cls,),
            {"kl_divergence": lambda self, *args: cls.kl_divergence(self, *args) + 7.0},
        ),
    }
    return makers[hook]()


def _with_size(cls):
    def regularizers(self, draw):
        size = tf.reduce_sum(tf.square(draw.z), range(-len(self.latent_shape), 0))
        size = tf.reduce_mean(tf.reshape(size, (-1, tf.shape(draw.kl)[0])), axis=0)
        return {**cls.regularizers(self, draw), "size": size}

    return regularizers


def _objective_with_size(cls):
    return lambda self, terms: cls.objective(self, terms) + terms["size"]


def _narrower_posterior(cls):
    return lambda self, x, training: narrower(cls.posterior(self, x, training))


def _brighter_likelihood(cls):
    def likelihood(self, z, x, training):
        logits = cls.likelihood(self, z, x, training).distribution.logits_parameter()
        return tfd.Independent(tfd.Bernoulli(logits=logits + 5.0), len(SHAPE))

    return likelihood
