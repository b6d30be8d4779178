"""MMD as a loss against double loops, the metric of that name, a closed form and its gradients."""

import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose

from tfgen import metrics
from tfgen.losses import squared_mmd

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(6, 2, 2)), 0.5 + 2.0 * RNG.normal(size=(9, 2, 2))
KERNELS = {
    "gaussian": lambda square, d, s: np.exp(-square / (2 * d * s**2)),
    "inverse_multiquadratic": lambda square, d, s: 2 * d * s**2 / (2 * d * s**2 + square),
}


@pytest.mark.parametrize("kernel", KERNELS)
def test_against_double_loops(kernel):
    def mean(a, b, same):
        values = [
            KERNELS[kernel](np.sum((p - q) ** 2), 4, 1.5)
            for i, p in enumerate(a)
            for j, q in enumerate(b)
            if not (same and i == j)
        ]
        return np.mean(values)

    expected = mean(X, X, True) + mean(Y, Y, True) - 2 * mean(X, Y, False)
    assert_allclose(squared_mmd(X, Y, kernel, scale=1.5), expected, rtol=1e-12)


def test_agrees_with_the_metric():
    expected = metrics.squared_mmd(X, Y, bandwidths=1.5 * np.sqrt(4))
    # The metric computes in float32.
    assert_allclose(squared_mmd(X, Y, scale=1.5), expected, atol=1e-6)


def test_is_unbiased():
    """Of N(0, I) and N(m, I) in d dimensions, E k(x, y) = (d / (d + 2))^(d / 2) exp(...)."""
    d, shift = 2, np.array([1.0, 0.5])
    same = (d / (d + 2)) ** (d / 2)
    expected = 2 * same * (1 - np.exp(-np.sum(shift**2) / (2 * (d + 2))))
    draws = RNG.normal(size=(400, 2, 8, d))
    draws[:, 1] += shift
    mmds = tf.function(lambda pairs: tf.map_fn(lambda pair: squared_mmd(*tf.unstack(pair)), pairs))
    values = mmds(draws).numpy()
    # 5 standard errors of the mean.
    assert abs(np.mean(values) - expected) < 5 * np.std(values) / np.sqrt(len(values))


def gradient(kernel, shift):
    codes = tf.Variable(X.astype("float32") + np.float32(shift))
    with tf.GradientTape() as tape:
        distance = squared_mmd(codes, RNG.normal(size=(64, 2, 2)).astype("float32"), kernel)
    return tape.gradient(distance, codes).numpy()


def test_gradients_pull_codes_to_the_prior():
    for kernel in KERNELS:
        assert np.all(gradient(kernel, 3.0).mean(axis=0) > 0)
        assert np.all(gradient(kernel, -3.0).mean(axis=0) < 0)
    # Equal codes, where a gradient of a distance would be NaN.
    equal = tf.Variable(tf.ones((4, 3)))
    with tf.GradientTape() as tape:
        distance = squared_mmd(equal, equal + 1.0)
    assert np.isfinite(tape.gradient(distance, equal)).all()


def test_gradient_of_the_second_kernel_reaches_farther():
    reach = {kernel: np.abs(gradient(kernel, 100.0).mean(axis=0)).min() for kernel in KERNELS}
    assert reach["inverse_multiquadratic"] > reach["gaussian"] == 0.0


@pytest.mark.parametrize(
    "kwargs, message",
    [
        (
            {"kernel": "cubic"},
            r"one of \['gaussian', 'inverse_multiquadratic'\]. Received: kernel='cubic'",
        ),
        ({"scale": 0.0}, "number > 0. Received: scale=0.0"),
    ],
)
def test_errors(kwargs, message):
    with pytest.raises(ValueError, match=message):
        squared_mmd(X, Y, **kwargs)
