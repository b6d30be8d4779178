"""RAE: the training step by hand, penalties in closed form, and its errors."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen._utils.random import normal
from tfgen.models import RAE


def dense(inputs, outputs):
    return keras.Sequential([keras.Input((inputs,)), keras.layers.Dense(outputs)])


def parts_of(model, x):
    z = model.encoder(x)
    error = tf.reduce_mean(tf.reduce_sum((x - model.decoder(z)) ** 2, axis=[1, 2, 3]))
    return z, error + 0.5 * tf.reduce_mean(tf.reduce_sum(z**2, axis=1)) / 2


def test_step_by_hand_with_weights(build_model, assert_step_by_hand, blobs):
    model, x = build_model("rae", embedding_weight=0.5, reg_weight=0.1), blobs[:8]

    def forward_pass():
        _, loss = parts_of(model, x)
        squares = sum(tf.reduce_sum(w * w) for w in model.decoder.trainable_variables)
        return [(loss + 0.1 * squares, model.encoder, model.decoder)]

    assert_step_by_hand(model, x, forward_pass, rate=0.02)


def test_step_by_hand_with_gradients(build_model, assert_step_by_hand, blobs):
    model, x = build_model("rae_gradient", embedding_weight=0.5, reg_weight=0.1), blobs[:8]

    def forward_pass():
        z, loss = parts_of(model, x)
        noise = normal((8, 2, 2, 1), model.next_seed())
        with tf.GradientTape() as tape:
            tape.watch(z)
            along = tf.reduce_sum(noise * model.decoder(z))
        penalty = tf.reduce_mean(tf.reduce_sum(tape.gradient(along, z) ** 2, axis=1))
        return [(loss + 0.1 * penalty, model.encoder, model.decoder)]

    assert_step_by_hand(model, x, forward_pass, rate=0.02)


def test_gradient_penalty_is_that_of_the_jacobian():
    """Of a linear decoder it is the sum of squares of its matrix, wherever z is."""
    model = RAE(dense(3, 2), dense(2, 3), kind="gradient", seed=0)
    matrix = np.array([[1.0, 2.0, -1.0], [0.5, 0.0, 3.0]])
    model.decoder.set_weights([matrix, np.ones(3)])
    x = tf.random.stateless_normal((20_000, 3), (0, 0))
    found = np.asarray(model.terms(x)["decoder_penalty"], "float64")
    slack = 5 * float(found.std()) / len(found) ** 0.5
    assert found.mean() == pytest.approx((matrix**2).sum(), abs=slack)


def test_gradient_penalty_is_that_of_automatic_differentiation(build_model, blobs):
    model = build_model("rae_gradient")
    z = model.encoder(blobs[:4])
    with tf.GradientTape() as tape:
        tape.watch(z)
        output = model.decoder(z)
    jacobian = np.asarray(tape.batch_jacobian(output, z))
    exact = (jacobian**2).reshape(4, -1).sum(1)
    draws = np.stack([model.terms(blobs[:4])["decoder_penalty"] for _ in range(400)])
    slack = 5 * draws.std(0) / 400**0.5
    assert (np.abs(draws.mean(0) - exact) < slack).all()


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"kind": "l1"}, "one of .*Received: .*'l1'"),
        ({"reg_weight": -1.0}, "must be a finite number >= 0. Received: reg_weight=-1"),
        ({"embedding_weight": -1.0}, "must be a finite number >= 0"),
    ],
)
def test_arguments_out_of_range(kwargs, message):
    with pytest.raises(ValueError, match=message):
        RAE(dense(3, 2), dense(2, 3), **kwargs)
