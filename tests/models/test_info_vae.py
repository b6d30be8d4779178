"""InfoVAE: the training step by hand, special cases, and its errors."""

import keras
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose

from tfgen import layers
from tfgen.losses import squared_mmd
from tfgen.models import InfoVAE


def mean(values):
    return tf.reduce_mean(values)


def dense(inputs, outputs, *more):
    return keras.Sequential([keras.Input((inputs,)), keras.layers.Dense(outputs), *more])


def test_step_by_hand(build_model, assert_step_by_hand, blobs):
    """Zhao et al., Eq. 6."""
    model, x = build_model("info_vae", alpha=0.25, lambda_mmd=10.0), blobs[:8]

    def forward_pass():
        q = model.encoder(x)
        z = q.sample(seed=model.next_seed())
        kl = 0.5 * tf.reduce_sum(
            q.mean() ** 2 + q.variance() - 1 - tf.math.log(q.variance()), axis=1
        )
        draws = model.sample_latents(8, model.next_seed())
        loss = mean(-model.decoder(z).log_prob(x)) + 0.75 * mean(kl)
        return [(loss + 9.25 * squared_mmd(z, draws, "gaussian"), model.encoder, model.decoder)]

    assert_step_by_hand(model, x, forward_pass, rate=0.02)


def test_special_cases(build_model, blobs):
    vae = build_model("info_vae", alpha=0.0, lambda_mmd=1.0).terms(blobs)
    assert_allclose(vae["loss"], vae["reconstruction"] + vae["kl"], rtol=1e-5)
    mmd_vae = build_model("info_vae", alpha=1.0, lambda_mmd=7.0).terms(blobs)
    expected = mmd_vae["reconstruction"] + 7.0 * mmd_vae["squared_mmd"]
    assert_allclose(mmd_vae["loss"], expected, rtol=1e-5)


@pytest.mark.parametrize(
    "kwargs, message",
    [
        ({"alpha": 1.5}, r">= 0. Received: alpha=1.5, lambda_mmd=1000"),
        ({"alpha": 0.5, "lambda_mmd": 0.2}, r"Received: alpha=0.5, lambda_mmd=0.2"),
        ({"kernel": "cubic"}, "one of .*Received: .*'cubic'"),
    ],
)
def test_arguments_out_of_range(kwargs, message):
    encoder = dense(3, 4, layers.IndependentNormal(2))
    decoder = dense(2, 3, layers.FixedScaleNormal(3, scale=1.0))
    with pytest.raises(ValueError, match=message):
        InfoVAE(encoder, decoder, **kwargs)
