"""alpha-GAN: the training step by hand, and its errors."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_array_equal

from tfgen import layers
from tfgen.models import AlphaGAN


def log(logits):
    """log D."""
    return tf.math.log(1 / (1 + tf.exp(-logits)))


def log_not(logits):
    """log(1 - D)."""
    return tf.math.log(1 - 1 / (1 + tf.exp(-logits)))


def ratio(logits):
    """R(D) of Rosca et al."""
    return -log(logits) + log_not(logits)


def mean(values):
    return tf.reduce_mean(values)


def dense(inputs, outputs, *more):
    return keras.Sequential([keras.Input((inputs,)), keras.layers.Dense(outputs), *more])


def test_step_by_hand(build_model, assert_step_by_hand, blobs):
    """Rosca et al., Algorithm 1; the four gradients are taken before any is applied."""
    model, x = build_model("alpha_gan", reconstruction_weight=2.0), blobs[:8]

    def all_players():
        code = model.encoder(x).sample(seed=model.next_seed())
        z = model.sample_latents(8, model.next_seed())
        reconstructed, sampled = model.decoder(code), model.decoder(z)
        error = mean(tf.reduce_sum(tf.abs(x - reconstructed), axis=[1, 2, 3]))
        real, own, prior = (model.discriminator(i) for i in (x, reconstructed, sampled))
        code_real, code_fake = (model.code_discriminator(c) for c in (z, code))
        return [
            (2.0 * error + mean(ratio(code_fake)), model.encoder),
            (2.0 * error + mean(ratio(own)) + mean(ratio(prior)), model.decoder),
            (mean(-log(real) - log_not(own) - log_not(prior)), model.discriminator),
            (mean(-log(code_real) - log_not(code_fake)), model.code_discriminator),
        ]

    assert_step_by_hand(model, x, all_players, rate=0.02)


def test_logged_reconstruction_is_the_absolute_error(build_model, blobs):
    model = build_model("alpha_gan")
    deterministic = AlphaGAN(
        keras.Sequential([keras.Input((2, 2, 1)), keras.layers.Flatten(), keras.layers.Dense(2)]),
        model.decoder,
        model.discriminator,
        model.code_discriminator,
    )
    x = blobs[:8]
    error = np.abs(x - deterministic.reconstruct(x)).sum(axis=(1, 2, 3))
    # The same networks, in another call.
    np.testing.assert_allclose(deterministic.terms(x)["reconstruction"], error, rtol=1e-5)


def test_decoder_may_return_a_distribution_whose_mean_is_the_image():
    keras.utils.set_random_seed(0)
    encoder, decoder = dense(3, 2), dense(2, 3, layers.FixedScaleNormal(3, scale=0.1))
    model = AlphaGAN(encoder, decoder, dense(3, 1), dense(2, 1), seed=0)
    assert_array_equal(model.sample(4, seed=0), decoder(model.sample_latents(4, [0, 0])).mean())
    assert model.terms(np.ones((4, 3), "float32"))["decoder_loss"].shape == (4,)


@pytest.mark.parametrize(
    "critics, message",
    [
        ((dense(4, 1), dense(2, 1)), r"The discriminator must take .*\(3,\).*\(None, 4\)"),
        ((dense(3, 1), dense(3, 1)), r"The code_discriminator must take .*\(2,\).*\(None, 3\)"),
        (
            (dense(3, 1), dense(2, 1, keras.layers.Activation("sigmoid"))),
            "The code_discriminator must return logits",
        ),
        (
            (dense(3, 1, keras.layers.Activation("sigmoid")), dense(2, 1)),
            "The discriminator must return logits",
        ),
    ],
)
def test_discriminators_that_do_not_fit(critics, message):
    with pytest.raises(ValueError, match=message):
        AlphaGAN(dense(3, 2), dense(2, 3), *critics)


def test_arguments_out_of_range():
    networks = dense(3, 2), dense(2, 3), dense(3, 1), dense(2, 1)
    with pytest.raises(
        ValueError, match="must be a finite number >= 0. Received: reconstruction_weight=-1"
    ):
        AlphaGAN(*networks, reconstruction_weight=-1.0)
    with pytest.raises(ValueError, match=r"\(2,\). Received: a prior over shape \(3,\)"):
        AlphaGAN(*networks, prior=layers.StandardNormal(3))
