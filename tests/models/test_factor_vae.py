"""FactorVAE: the training step by hand, who moves on what, and a known total correlation."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal

from tfgen import layers
from tfgen.losses import permute_dims
from tfgen.models import FactorVAE


def mean(values):
    return tf.reduce_mean(values)


def probability(logits):
    return 1 / (1 + tf.exp(-logits))


def test_step_by_hand(build_model, assert_step_by_hand, blobs):
    """Kim & Mnih, Algorithm 2 on one batch; both gradients are taken before any is applied."""
    model, x = build_model("factor_vae", gamma=3.0), blobs[:8]
    encoder, decoder, critic = model.encoder, model.decoder, model.code_discriminator

    def both():
        q = encoder(x)
        z = q.sample(seed=model.next_seed())
        shuffled = permute_dims(z, model.next_seed())
        kl = 0.5 * tf.reduce_sum(
            q.mean() ** 2 + q.variance() - 1 - tf.math.log(q.variance()), axis=1
        )
        d = probability(critic(z))
        total_correlation = mean(tf.math.log(d) - tf.math.log(1 - d))
        loss = mean(-decoder(z).log_prob(x)) + mean(kl) + 3.0 * total_correlation
        # Algorithm 2: the mean over the 2 m codes.
        critic_loss = -mean(tf.math.log(d)) - mean(tf.math.log(1 - probability(critic(shuffled))))
        return [(loss, encoder, decoder), (critic_loss / 2, critic)]

    assert_step_by_hand(model, x, both, rate=0.02)


def train_one(model, moving, x):
    """Trains with a rate of 0 for all updates but `moving`."""
    model.compile(
        {u.name: keras.optimizers.SGD(0.05 * (u.name == moving)) for u in model.updates},
        run_eagerly=True,
    )
    model.fit(x, batch_size=len(x), epochs=4, shuffle=False, verbose=0)


def test_each_player_moves_only_its_own_networks(build_model, blobs):
    """And in its own direction: the discriminator's loss falls, or the total correlation does."""
    names = {"code_discriminator": "code_discriminator_loss", "vae": "total_correlation"}
    for moving, falls in names.items():
        model = build_model("factor_vae", gamma=100.0)
        players = {
            "vae": model.encoder.get_weights() + model.decoder.get_weights(),
            "code_discriminator": model.code_discriminator.get_weights(),
        }
        before = np.mean(model.terms(blobs, training=False)[falls])
        train_one(model, moving, blobs)
        model.evaluation_seed_generator.state.assign([0, 0])
        assert np.mean(model.terms(blobs, training=False)[falls]) < before
        after = {
            "vae": model.encoder.get_weights() + model.decoder.get_weights(),
            "code_discriminator": model.code_discriminator.get_weights(),
        }
        for player, weights in players.items():
            same = [np.array_equal(a, b) for a, b in zip(weights, after[player], strict=True)]
            assert same == [player != moving] * len(same), (player, moving)


def test_updates_hold_the_variables_of_their_networks(build_model):
    vae, critic = build_model("factor_vae").updates
    assert [vae.name, vae.minimise] == ["vae", "loss"]
    assert [critic.name, critic.minimise] == ["code_discriminator", "code_discriminator_loss"]
    assert not {id(v) for v in vae.variables} & {id(v) for v in critic.variables}


# A bivariate normal q(z), whose total correlation is known.

CORRELATION = 0.8


class LogRatio(keras.layers.Layer):
    """log q(z) - log q(z_1) q(z_2) for unit variances: the best discriminator's logit."""

    def call(self, z):
        rest = 1 - CORRELATION**2
        squares = tf.reduce_sum(tf.square(z), axis=1, keepdims=True)
        product = tf.reduce_prod(z, axis=1, keepdims=True)
        exponent = (squares - 2 * CORRELATION * product) / rest - squares
        return -0.5 * (exponent + np.log(rest))


def bivariate(discriminator):
    """A model whose codes are the data, up to a little noise."""
    normal = layers.FixedScaleNormal(2, scale=1e-3)
    encoder = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2), normal])
    encoder.set_weights([np.eye(2), np.zeros(2)])
    decoder = keras.Sequential([keras.Input((2,)), layers.FixedScaleNormal(2, scale=1.0)])
    network = keras.Sequential([keras.Input((2,)), discriminator])
    return FactorVAE(encoder, decoder, network, gamma=2.0, seed=0)


def test_best_discriminator_gives_the_total_correlation():
    rng = np.random.default_rng(0)
    covariance = [[1, CORRELATION], [CORRELATION, 1]]
    x = rng.multivariate_normal([0, 0], covariance, size=20_000).astype("float32")
    terms = {k: v.numpy() for k, v in bivariate(LogRatio()).terms(x).items()}
    values = terms["total_correlation"]
    expected = -0.5 * np.log(1 - CORRELATION**2)
    # 5 standard errors, and what noise of 0.001 changes.
    assert abs(values.mean() - expected) < 5 * values.std() / np.sqrt(len(x)) + 1e-3
    assert terms["code_discriminator_loss"].mean() < np.log(2) - 0.05
    assert_allclose(terms["loss"], -terms["elbo"] + 2.0 * values, rtol=1e-4, atol=1e-4)


def test_discriminator_that_cannot_tell():
    model = bivariate(keras.layers.Dense(1, kernel_initializer="zeros"))
    terms = model.terms(np.ones((4, 2), "float32"))
    assert_array_equal(terms["total_correlation"], np.zeros(4))
    assert_allclose(terms["code_discriminator_loss"], np.full(4, np.log(2)), rtol=1e-6)


# Errors.


def test_arguments_out_of_range(build_model):
    with pytest.raises(ValueError, match="must be a finite number >= 0. Received: gamma=-1"):
        build_model("factor_vae", gamma=-1.0)
    model = build_model("factor_vae")
    wide = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    with pytest.raises(ValueError, match=r"code_discriminator must take .*\(2,\).*\(None, 3\)"):
        FactorVAE(model.encoder, model.decoder, wide)


@pytest.mark.parametrize("name", ["factor_vae", "dip_vae", "info_vae", "wae"])
def test_batch_of_one(build_model, blobs, name):
    model = build_model(name)
    model.compile()
    with pytest.raises(ValueError, match="at least 2 examples. Received: a batch of 1. Use a"):
        model.fit(blobs[:5], batch_size=4, verbose=0)
