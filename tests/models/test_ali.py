"""Adversarially learned inference: objectives with explicit sigmoids, and the step by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose

from tfgen import layers
from tfgen.models import ALI


def log(logits):
    """log D."""
    return tf.math.log(1 / (1 + tf.exp(-logits)))


def log_not(logits):
    """log(1 - D)."""
    return tf.math.log(1 - 1 / (1 + tf.exp(-logits)))


# Su, Eq. 41 to 43, of the logits of (x, E(x)) and of (G(z), z).
OBJECTIVES = {
    "variational": lambda encoded, generated: -log(encoded) - log(generated),
    "minimax": lambda encoded, generated: log(encoded) + log_not(generated),
    "non_saturating": lambda encoded, generated: -log_not(encoded) - log(generated),
}


def dense(inputs, outputs, *more):
    return keras.Sequential([keras.Input((inputs,)), keras.layers.Dense(outputs), *more])


def joint(data_dim=3, latent_dim=2, activation=None):
    x, z = keras.Input((data_dim,)), keras.Input((latent_dim,))
    both = keras.layers.Concatenate()([x, z])
    return keras.Model([x, z], keras.layers.Dense(1, activation)(both))


def bigan(**kwargs):
    keras.utils.set_random_seed(0)
    return ALI(dense(3, 2), dense(2, 3), joint(), seed=0, **kwargs)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_step_by_hand(objective, build_model, assert_step_by_hand, blobs):
    """Both pairs from one forward pass, samples of q(z|x) and p(x|z); Su, Eq. 38."""
    model, x = build_model("ali", objective=objective), tf.constant(blobs[:8])

    def both():
        z = model.sample_latents(8, model.next_seed())
        code = model.encoder(x).sample(seed=model.next_seed())
        image = model.decoder(z).sample(seed=model.next_seed())
        encoded, generated = model.discriminator([x, code]), model.discriminator([image, z])
        discriminator_loss = tf.reduce_mean(-log(encoded) - log_not(generated))
        autoencoder_loss = tf.reduce_mean(OBJECTIVES[objective](encoded, generated))
        return [
            (discriminator_loss, model.discriminator),
            (autoencoder_loss, model.encoder, model.decoder),
        ]

    assert_step_by_hand(model, x, both)


def test_full_variational_is_equation_40(build_model, blobs):
    """All four terms of Su's Eq. 40, with copies of the networks as those before the step."""
    model, x = build_model("ali", objective="full_variational"), tf.constant(blobs[:8])
    old_encoder, old_decoder = map(keras.models.clone_model, (model.encoder, model.decoder))
    old_encoder.set_weights(model.encoder.get_weights())
    old_decoder.set_weights(model.decoder.get_weights())
    variables = [v.value for n in (model.encoder, model.decoder) for v in n.trainable_variables]
    state = np.array(model.seed_generator.state)
    with tf.GradientTape() as tape:
        ours = tf.reduce_mean(model.terms(x)["autoencoder_loss"])
    found = tape.gradient(ours, variables)
    model.seed_generator.state.assign(state)
    with tf.GradientTape() as tape:
        z = model.sample_latents(8, model.next_seed())
        code = model.encoder(x).sample(seed=model.next_seed())
        q = model.decoder(z)
        image = q.sample(seed=model.next_seed())
        p, old_p = model.encoder(image), old_encoder(image)
        loss = -log(model.discriminator([x, code])) - log(model.discriminator([image, z]))
        kl = q.kl_divergence(old_decoder(z))
        loss = loss[:, 0] + kl + old_p.log_prob(z) - p.log_prob(z)
        whole = tf.reduce_mean(loss)
    expected = tape.gradient(whole, variables)
    for a, b in zip(found, expected, strict=True):
        assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_full_variational_needs_a_density():
    with pytest.raises(ValueError, match="needs log p.*Received: an encoder that returns"):
        bigan(objective="full_variational")


@pytest.mark.parametrize(
    "objective, encoder_raises", [("variational", 1), ("minimax", -1), ("non_saturating", -1)]
)
def test_signs(objective, encoder_raises):
    """All lift D on generated pairs; in Su's Eq. 41 the encoder lifts it on its own as well."""
    model, x = bigan(objective=objective), np.ones((4, 3), "float32")
    with tf.GradientTape(persistent=True) as tape:
        terms = model.terms(x)
        loss = tf.reduce_mean(terms["autoencoder_loss"])
        encoded = tf.reduce_mean(terms["encoded_logits"])
        generated = tf.reduce_mean(terms["generated_logits"])
    for network, logits, sign in [
        (model.encoder, encoded, encoder_raises),
        (model.decoder, generated, 1),
    ]:
        bias = network.trainable_variables[-1].value
        slope = np.sum(-tape.gradient(loss, bias) * tape.gradient(logits, bias))
        assert sign * slope > 0


def test_nothing_minimises_the_reconstruction():
    model, x = bigan(), np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
    assert "reconstruction" not in [update.minimise for update in model.updates]
    error = np.sum((x - model.reconstruct(x)) ** 2, axis=1)
    assert_allclose(model.terms(x)["reconstruction"], error, rtol=1e-5)


def test_equilibrium_has_an_encoder_that_inverts():
    """Donahue et al., Theorem 2. Data 2 z + 1: G(z) = 2 z + 1 and E(x) = (x - 1) / 2 is at rest.

    There the pairs have the same density, D = 1/2 is the best answer, and then no loss has a
    gradient in any network but for differences of batch means: 4,096 pairs, five standard errors.
    """
    z = np.random.default_rng(0).normal(size=(4096, 1)).astype("float32")
    model = ALI(dense(1, 1), dense(1, 1), joint(1, 1), objective="non_saturating", seed=0)
    model.encoder.set_weights([np.full((1, 1), 0.5), np.full(1, -0.5)])
    model.decoder.set_weights([np.full((1, 1), 2.0), np.full(1, 1.0)])
    model.discriminator.set_weights([np.zeros((2, 1)), np.zeros(1)])
    with tf.GradientTape(persistent=True) as tape:
        terms = model.terms(2 * z + 1)
        losses = [tf.reduce_mean(terms[u.minimise]) for u in model.updates]
    assert_allclose(terms["discriminator_loss"], np.full(4096, 2 * np.log(2)), rtol=1e-6)
    assert_allclose(terms["reconstruction"], np.zeros(4096), atol=1e-9)
    kernel, bias = tape.gradient(losses[0], [v.value for v in model.discriminator.weights])
    # -(E x - E G(z)) / 2 of values with standard deviation 2, and of codes with 1.
    assert np.all(np.abs(kernel[:, 0]) < 5 * np.array([2, 1]) * np.sqrt(2 / 4096) / 2)
    assert_allclose(bias, [0.0], atol=1e-6)
    for variable in (*model.encoder.weights, *model.decoder.weights):
        assert_allclose(tape.gradient(losses[1], variable.value), np.zeros(variable.shape))


# Errors.


@pytest.mark.parametrize(
    "discriminator, received",
    [
        (dense(3, 1), r"input shape \(None, 3\)"),
        (joint(3, 4), r"input shape \[\(None, 3\), \(None, 4\)\]"),
        (joint(2, 3), r"input shape \[\(None, 2\), \(None, 3\)\]"),
        (keras.Sequential([keras.layers.Dense(1)]), "input shape None"),
    ],
    ids=["one input", "other latents", "other order", "unknown"],
)
def test_discriminator_of_other_inputs(discriminator, received):
    message = rf"pairs \[x, z\] of shapes .*Received: .*{received}.*joint_discriminator\(\(3,\), 2"
    with pytest.raises(ValueError, match=message):
        ALI(dense(3, 2), dense(2, 3), discriminator)


def test_probabilities_are_refused():
    with pytest.raises(ValueError, match="must return logits.*ends in sigmoid"):
        ALI(dense(3, 2), dense(2, 3), joint(activation="sigmoid"))


def test_unknown_objective():
    with pytest.raises(ValueError, match="one of .*'variational'.*Received: objective='bigan'"):
        bigan(objective="bigan")


def test_prior_over_other_latents():
    with pytest.raises(ValueError, match=r"\(2,\). Received: a prior over shape \(3,\)"):
        bigan(prior=layers.StandardNormal(3))


@pytest.mark.parametrize("head", ["bernoulli decoder", "mixture decoder", "bernoulli encoder"])
def test_draws_that_pass_no_gradient_are_refused(head):
    """The discriminator would leave such a network where it is."""
    normal = layers.IndependentNormal
    networks = {
        "bernoulli decoder": (dense(3, 2), dense(2, 3, layers.IndependentBernoulli(3))),
        "mixture decoder": (
            dense(3, 2),
            dense(2, 14, layers.MixtureNormal(2, 3)),
        ),
        "bernoulli encoder": (dense(3, 2, layers.IndependentBernoulli(2)), dense(2, 3)),
    }
    with pytest.raises(
        ValueError, match=f"{head.split()[1]} by a gradient through draws.*Received"
    ):
        ALI(*networks[head], joint())
    ALI(dense(3, 4, normal(2)), dense(2, 6, normal(3)), joint())
