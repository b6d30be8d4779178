"""WAE: the training step by hand, codes that follow the prior, and its errors."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen import layers
from tfgen.losses import squared_mmd
from tfgen.models import WAE


def mean(values):
    return tf.reduce_mean(values)


def dense(inputs, outputs, *more):
    return keras.Sequential([keras.Input((inputs,)), keras.layers.Dense(outputs), *more])


def test_step_by_hand(build_model, assert_step_by_hand, blobs):
    """Tolstikhin et al., Algorithm 2."""
    model, x = build_model("wae", lambda_mmd=5.0), blobs[:8]

    def forward_pass():
        z = model.encoder(x)
        draws = model.sample_latents(8, model.next_seed())
        error = mean(tf.reduce_sum((x - model.decoder(z)) ** 2, axis=[1, 2, 3]))
        mmd = squared_mmd(z, draws, "inverse_multiquadratic")
        return [(error + 5.0 * mmd, model.encoder, model.decoder)]

    assert_step_by_hand(model, x, forward_pass, rate=0.02)


def test_codes_come_to_follow_the_prior():
    """Linear networks on N(0, 1): codes that begin at N(2, 0.3^2) end at N(0, 1)."""
    x = np.random.default_rng(0).normal(size=(2048, 1)).astype("float32")
    model = WAE(dense(1, 1), dense(1, 1), lambda_mmd=100.0, seed=0)
    model.encoder.set_weights([np.full((1, 1), 0.3), np.full(1, 2.0)])
    model.compile(keras.optimizers.Adam(0.02))
    logs = model.fit(x, batch_size=128, epochs=15, verbose=0).history
    codes = model.embed(x)
    # Five times what the last steps of Adam leave of the noise of a batch, about 0.02.
    assert abs(codes.mean()) < 0.1
    assert abs(codes.std() - 1) < 0.1
    assert logs["reconstruction"][-1] < 0.1 < logs["reconstruction"][0]


@pytest.mark.parametrize(
    "kwargs, message",
    [
        ({"kernel": "cubic"}, "one of .*Received: .*'cubic'"),
        ({"lambda_mmd": -1.0}, "must be a finite number >= 0. Received: lambda_mmd=-1"),
    ],
)
def test_arguments_out_of_range(kwargs, message):
    with pytest.raises(ValueError, match=message):
        WAE(dense(3, 2), dense(2, 3), **kwargs)


def test_networks_are_deterministic():
    encoder = dense(3, 4, layers.IndependentNormal(2))
    with pytest.raises(ValueError, match="deterministic. Received: .*returns a distribution"):
        WAE(encoder, dense(2, 3))
