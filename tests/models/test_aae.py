"""Adversarial autoencoder: the training step by hand, priors, and an aggregate posterior."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal

from tfgen import layers, networks
from tfgen.models import AAE


def log_sigmoid(logits):
    return tf.math.log(1 / (1 + tf.exp(-logits)))


def mean(values):
    return tf.reduce_mean(values)


def dense(inputs, outputs, *more):
    return keras.Sequential([keras.Input((inputs,)), keras.layers.Dense(outputs), *more])


def test_step_by_hand(build_model, assert_step_by_hand, blobs):
    """Su, Eq. 30 and 34, from one forward pass: the prior's draws are what is real."""
    model, x = build_model("aae", reconstruction_weight=2.0), blobs[:8]
    encoder, decoder, critic = model.encoder, model.decoder, model.code_discriminator

    def both():
        model.next_seed()  # For the draw of an encoder that returns a distribution.
        z = model.sample_latents(8, model.next_seed())
        code = encoder(x)
        discriminator_loss = mean(-log_sigmoid(critic(z)) - log_sigmoid(-critic(code)))
        error = tf.reduce_sum((x - decoder(code)) ** 2, axis=[1, 2, 3])
        autoencoder_loss = mean(-log_sigmoid(critic(code))) + 2.0 * mean(error)
        return [(discriminator_loss, critic), (autoencoder_loss, encoder, decoder)]

    prior = [np.array(weight) for weight in model.prior.get_weights()]
    assert_step_by_hand(model, x, both, rate=0.02)
    for old, new in zip(prior, model.prior.get_weights(), strict=True):
        assert_array_equal(old, new)  # It is sampled, not trained.


def test_reconstruction_is_a_log_likelihood_where_there_is_one():
    """With -log N(x | m, s^2 I), s^2 = 1/2, it is the squared error and a constant."""
    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
    normal = layers.FixedScaleNormal(3, scale=np.sqrt(0.5))
    encoder, decoder = dense(3, 2), dense(2, 3)
    errors = []
    for head in ([], [normal]):
        network = keras.Sequential([keras.Input((2,)), decoder, *head])
        model = AAE(encoder, network, dense(2, 1), reconstruction_weight=3.0, seed=0)
        terms = model.terms(x)
        errors.append(terms["reconstruction"])
        total = terms["encoder_loss"] + 3.0 * terms["reconstruction"]
        assert_allclose(terms["autoencoder_loss"], total, rtol=1e-6)
    assert_allclose(errors[1] - errors[0], np.full(8, 1.5 * np.log(np.pi)), rtol=1e-4)


def test_posterior_is_sampled_by_reparameterization():
    """The code is loc + scale * noise, so that its gradient reaches loc and scale."""
    encoder = dense(3, 4, layers.IndependentNormal(2))
    model = AAE(encoder, dense(2, 3), dense(2, 1), seed=0)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(model.terms(np.ones((8, 3), "float32"))["encoder_loss"])
    kernel, _ = tape.gradient(loss, [v.value for v in encoder.trainable_variables])
    assert np.all(np.abs(kernel) > 0)
    first, second = (model.terms(np.ones((8, 3), "float32"))["encoder_loss"] for _ in range(2))
    assert not np.array_equal(first, second)


def test_codes_come_to_follow_the_prior():
    """Linear networks on N(0, 1): codes that begin at N(2, 0.3^2) end near N(0, 1).

    An adversary without a penalty circles around the prior; within half a standard deviation of it
    is a quarter of where it begins.
    """
    x = np.random.default_rng(0).normal(size=(2048, 1)).astype("float32")
    keras.utils.set_random_seed(0)
    hidden = [keras.layers.Dense(16, "tanh") for _ in range(2)]
    critic = keras.Sequential([keras.Input((1,)), *hidden, keras.layers.Dense(1)])
    model = AAE(dense(1, 1), dense(1, 1), critic, reconstruction_weight=0.1, seed=0)
    model.encoder.set_weights([np.full((1, 1), 0.3), np.full(1, 2.0)])
    model.compile(
        {
            "code_discriminator": keras.optimizers.Adam(0.01, beta_1=0.5),
            "autoencoder": keras.optimizers.Adam(0.005, beta_1=0.5),
        }
    )
    logs = model.fit(x, batch_size=64, epochs=25, verbose=0).history
    codes = model.embed(x)
    assert abs(codes.mean()) < 0.5
    assert abs(codes.std() - 1) < 0.5
    assert logs["reconstruction"][-1] < 0.1 < logs["reconstruction"][0]


# Errors.


def test_code_discriminator_of_another_shape():
    message = r"The code_discriminator must take examples of shape \(2,\).*input shape \(None, 3\)"
    with pytest.raises(ValueError, match=message):
        AAE(dense(3, 2), dense(2, 3), dense(3, 1))


def test_code_discriminator_of_probabilities():
    sigmoid = keras.layers.Activation("sigmoid")
    with pytest.raises(ValueError, match="The code_discriminator must return logits.*sigmoid"):
        AAE(dense(3, 2), dense(2, 3), dense(2, 1, sigmoid))


@pytest.mark.parametrize(
    "kwargs, message",
    [
        (
            {"reconstruction_weight": -1.0},
            "must be a finite number >= 0. Received: reconstruction_weight=-1",
        ),
        ({"loss": "total_variation"}, "one of .*Received: .*'total_variation'"),
        ({"prior": layers.StandardNormal(3)}, r"\(2,\). Received: a prior over shape \(3,\)"),
    ],
)
def test_arguments_out_of_range(kwargs, message):
    with pytest.raises(ValueError, match=message):
        AAE(dense(3, 2), dense(2, 3), dense(2, 1), **kwargs)


def test_networks_that_do_not_fit():
    with pytest.raises(ValueError, match="same latent_dim"):
        AAE(dense(3, 2), dense(4, 3), dense(2, 1))
    with pytest.raises(ValueError, match="same image_shape"):
        AAE(dense(3, 2), dense(2, 4), dense(2, 1))


def test_data_outside_the_support_of_a_bernoulli_decoder():
    encoder = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten()])
    decoder = networks.mlp_decoder((4, 4, 1), latent_dim=16, width=4)
    model = AAE(encoder, decoder, networks.mlp_code_discriminator(16, width=4))
    model.compile()
    with pytest.raises(ValueError, match=r"Bernoulli likelihood needs data in \[0, 1\].*to 2"):
        model.fit(np.full((8, 4, 4, 1), 2.0, "float32"), verbose=0)
