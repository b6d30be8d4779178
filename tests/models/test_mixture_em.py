"""EM: both steps by hand, scikit-learn from the same start, and what may go wrong."""

import warnings

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from mixtures import (
    DIM,
    ROUNDING,
    SKLEARN,
    K,
    as_matrices,
    binary,
    gaussian,
    mixture,
    overlapping,
    start,
    started,
)
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from tfgen.models import load_model
from tfgen.models.mixture_em import MixtureEM
from tfgen.models.training_data import as_dataset


def test_density_far_from_the_origin():
    """The same as at the origin, to the rounding of x and of the means at 1e6."""
    x = overlapping(30)
    for components in SKLEARN:
        near, far = (mixture(K, (DIM,), components, seed=0) for _ in "ab")
        histories = [
            model.fit(data, batch_size=30, epochs=3, verbose=0).history["log_likelihood"]
            for model, data in ((near, x), (far, x + 1e6))
        ]
        assert_allclose(*histories, rtol=0, atol=1e-6)


# EM on whole epochs.


def sklearn_curve(x, num_epochs, **kwargs):
    """scikit-learn's mean log p(x) before each of its M steps, and its mixture after them."""
    mixture = GaussianMixture(K, tol=0, max_iter=1, warm_start=True, **kwargs)
    curve = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for _ in range(num_epochs):
            curve.append(mixture.fit(x).lower_bound_)
    return curve, mixture


@gaussian
@pytest.mark.parametrize("reg_covar", [0.0, 0.05])
def test_equals_scikit_learn_from_the_same_start(components, reg_covar):
    x = overlapping()
    means, covariances, weights = start(components)
    precisions = np.linalg.inv(covariances) if components == "full" else 1 / covariances
    curve, mixture = sklearn_curve(
        x,
        num_epochs=8,
        covariance_type=SKLEARN[components],
        reg_covar=reg_covar,
        means_init=means,
        weights_init=weights,
        precisions_init=precisions,
    )
    model = started(components, reg_covar=reg_covar)
    history = model.fit(x, batch_size=80, epochs=8, verbose=0).history
    # Both are float64 and sum in another order; 8 steps of EM amplify that little.
    assert_allclose(history["log_likelihood"], curve, rtol=0, atol=1e-9)
    assert_array_equal(history["loss"], np.negative(history["log_likelihood"]))
    assert_allclose(model.mixture_weights, mixture.weights_, rtol=0, atol=1e-8)
    assert_allclose(model.means, mixture.means_, rtol=0, atol=1e-8)
    assert_allclose(model.covariances, mixture.covariances_, rtol=0, atol=1e-8)
    assert_allclose(model.predict(x, verbose=0), mixture.predict_proba(x), rtol=0, atol=1e-5)
    assert model.evaluate(x, verbose=0, return_dict=True)["log_likelihood"] == pytest.approx(
        mixture.score(x),
        abs=1e-6,  # Keras rounds arrays to float32.
    )
    if reg_covar == 0:  # Where EM is exact nothing falls, to rounding.
        assert np.all(np.diff(history["log_likelihood"]) >= -ROUNDING)


@pytest.mark.parametrize(
    "components, kappa", [("full", None), ("diagonal", 0.7), ("bernoulli", None)]
)
def test_compiled_steps_are_the_eager_ones(components, kappa):
    x = binary(64, dim=3)
    curves = []
    for kwargs in ({"run_eagerly": True}, {"jit_compile": False}, {"jit_compile": True}):
        model = MixtureEM(2, (3,), components, reg_covar=0.1, kappa=kappa, seed=0)
        model.compile(**kwargs)
        curves.append(model.fit(x, epochs=2, verbose=0).history["log_likelihood"])
    assert_allclose(curves[1:], [curves[0]] * 2, rtol=1e-12)


def test_starts_by_k_means_as_scikit_learn_does():
    x = overlapping()
    curve, _ = sklearn_curve(x, 3, random_state=4)
    history = mixture(K, (DIM,), seed=4).fit(x, epochs=3, verbose=0).history
    assert_allclose(history["log_likelihood"], curve, rtol=0, atol=1e-9)


def test_bernoulli_step_by_hand():
    x, probs, weights = binary(), np.array([[0.6, 0.5, 0.4, 0.3], [0.2, 0.4, 0.6, 0.7]]), [0.4, 0.6]
    model = mixture(2, (4,), "bernoulli")
    model.set_parameters(probs, weights=weights)
    history = model.fit(x, batch_size=7, verbose=0).history
    joint = np.array(
        [
            [w * np.prod(np.where(row == 1, p, 1 - p)) for w, p in zip(weights, probs, strict=True)]
            for row in x
        ]
    )
    r = joint / joint.sum(axis=1, keepdims=True)
    assert history["log_likelihood"] == [pytest.approx(np.log(joint.sum(axis=1)).mean(), rel=1e-12)]
    assert_allclose(model.mixture_weights, r.mean(axis=0), rtol=1e-12)
    for k in range(2):
        assert_allclose(model.means[k], np.average(x, axis=0, weights=r[:, k]), rtol=1e-12)


def test_bernoulli_likelihood_never_falls_and_bounds_hold():
    """Pixels that are always 0 or 1 reach the bound, which is part of the maximisation."""
    x = np.concatenate([binary(), np.zeros((60, 1)), np.ones((60, 1))], axis=1)
    model = mixture(3, (6,), "bernoulli", min_probability=0.01, seed=0)
    history = model.fit(x, batch_size=60, epochs=30, verbose=0).history["log_likelihood"]
    assert np.all(np.diff(history) >= -ROUNDING)
    assert history[-1] > history[0] + 1e-3
    assert_allclose(model.means[:, 4:], np.tile([0.01, 0.99], (3, 1)), rtol=1e-12)


def test_validation_sees_the_m_step_of_its_epoch():
    x = overlapping(48).astype("float32")
    history = started("diagonal").fit(x, epochs=3, validation_data=x, verbose=0).history
    assert_allclose(history["val_log_likelihood"][:-1], history["log_likelihood"][1:], rtol=1e-12)


def test_validation_split_is_not_trained_on():
    x = overlapping(48).astype("float32")
    split, rest = started("full"), started("full")
    history = split.fit(x, validation_split=0.25, verbose=0).history
    rest.fit(x[:36], verbose=0)
    assert_array_equal(split.means, rest.means)
    assert history["val_loss"] == [pytest.approx(rest.evaluate(x[36:], verbose=0)[0])]


# Stepwise EM.


def raw_moments(x, weights, means, covariances):
    """Average sufficient statistics around 0, with responsibilities from SciPy."""
    joint = np.transpose(
        [
            w * scipy.stats.multivariate_normal(m, c).pdf(x)
            for w, m, c in zip(weights, means, covariances, strict=True)
        ]
    )
    r = joint / joint.sum(axis=1, keepdims=True)
    return [
        r.mean(axis=0),
        np.einsum("nk,nd->kd", r, x) / len(x),
        np.einsum("nk,nd,ne->kde", r, x, x) / len(x),
    ]


@gaussian
def test_stepwise_em_by_hand(components):
    """Liang & Klein: the statistics move by (t + 2)^-kappa, the M step follows."""
    x, kappa = overlapping(90), 0.7
    model = started(components, kappa=kappa, reg_covar=0.01)
    model.fit(x, batch_size=30, epochs=1, shuffle=False, verbose=0)
    means, covariances, weights = start(components)
    covariances = np.array(as_matrices(components, covariances))
    outer = means[:, :, None] * means[:, None]
    reg = 0.01 * np.eye(DIM)
    s = [weights, weights[:, None] * means, weights[:, None, None] * (covariances - reg + outer)]
    for t in range(3):
        rate, batch = (t + 2) ** -kappa, x[30 * t : 30 * (t + 1)]
        new = raw_moments(batch, weights, means, covariances)
        s = [(1 - rate) * a + rate * b for a, b in zip(s, new, strict=True)]
        weights, means = s[0], s[1] / s[0][:, None]
        covariances = s[2] / s[0][:, None, None] - means[:, :, None] * means[:, None]
        if components != "full":
            variances = np.diagonal(covariances, axis1=1, axis2=2)
            if components == "spherical":
                variances = variances.mean(axis=1, keepdims=True)
            covariances = np.array(as_matrices("diagonal", variances))
        covariances = covariances + reg
    assert_allclose(model.mixture_weights, weights, rtol=1e-9)
    assert_allclose(model.means, means, rtol=1e-9)
    assert_allclose(as_matrices(components, model.covariances), covariances, rtol=1e-8, atol=1e-12)


def test_stepwise_em_is_ahead_of_em_in_the_first_epoch():
    """Liang & Klein: many M steps an epoch. Of binary data as they have."""
    x = binary(2000)
    final = {}
    for kappa in (None, 0.7):
        model = mixture(2, (4,), "bernoulli", kappa=kappa)
        model.set_parameters([[0.45, 0.5, 0.5, 0.5], [0.55, 0.5, 0.5, 0.5]])
        model.fit(x, batch_size=100, epochs=1, verbose=0)
        final[kappa] = model.evaluate(x, batch_size=2000, verbose=0)[0]
    assert final[0.7] < final[None]


# Saving and resuming.


class Kill(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if int(self.model.steps) == 6:
            raise KeyboardInterrupt


def interrupted_and_resumed(tmp_path, data, kappa):
    """Killed after 6 of 4 batches an epoch; the last backup is that of the 5th."""

    def fit(*callbacks):
        model = started("full", kappa=kappa, seed=3)
        backup = keras.callbacks.BackupAndRestore(tmp_path, save_freq=5, delete_checkpoint=False)
        history = model.fit(data(), epochs=3, verbose=0, callbacks=[*callbacks, backup])
        return model, history.history["log_likelihood"]

    with pytest.raises(KeyboardInterrupt):
        fit(Kill())
    return fit()


@pytest.mark.parametrize("kappa", [None, 0.7])
def test_resumes_inside_an_epoch_and_loads(tmp_path, kappa):
    x = overlapping(128)
    reference = started("full", kappa=kappa, seed=3)
    curve = reference.fit(x, epochs=3, verbose=0).history["log_likelihood"]

    model, resumed_curve = interrupted_and_resumed(
        tmp_path, lambda: as_dataset(x, 32, shuffle=True, seed=3), kappa
    )
    for left, right in zip(reference.variables, model.variables, strict=True):
        assert_array_equal(left, right)
    # The interrupted epoch's likelihood is that of all its batches.
    assert_allclose(resumed_curve, curve[1:], rtol=1e-15)
    reference.save(tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras", safe_mode=True)
    assert loaded.get_config() == reference.get_config()
    assert_array_equal(loaded.log_prob(x), reference.log_prob(x))
    for continued in (reference, loaded):  # Without a new start by k-means.
        continued.fit(x, verbose=0)
    assert_array_equal(loaded.means, reference.means)


def test_an_epoch_that_begins_anew_is_counted_once(tmp_path):
    x = overlapping(128)
    reference = started("full")
    curve = reference.fit(x, epochs=3, shuffle=False, verbose=0).history["log_likelihood"]
    with pytest.warns(UserWarning, match="cannot be moved"):
        model, resumed = interrupted_and_resumed(
            tmp_path, lambda: tf.data.Dataset.from_tensor_slices(x).batch(32), None
        )
    assert_allclose(resumed, curve[1:], rtol=1e-12)
    assert_allclose(model.means, reference.means, rtol=1e-10)


def test_a_killed_fit_leaves_no_batches_behind():
    x = overlapping(128)
    model = started("full")
    before = model.means.numpy()
    with pytest.raises(KeyboardInterrupt):
        model.fit(np.tile(x, (3, 1)), batch_size=32, verbose=0, callbacks=[Kill()])
    assert_array_equal(model.means, before)
    again = started("full")
    for fitted in (model, again):
        fitted.fit(x, shuffle=False, verbose=0)
    assert_array_equal(model.means, again.means)


# Components that are lost.


def test_empty_components_stay_and_are_named():
    x = overlapping(64)
    model = mixture(2, (DIM,), "diagonal")
    model.set_parameters([[0.0] * DIM, [1e3] * DIM], np.ones((2, DIM)))
    with pytest.warns(UserWarning, match=r"components \[1\] explain no example"):
        history = model.fit(x, epochs=3, verbose=0).history["log_likelihood"]
    assert_array_equal(model.means[1], [1e3] * DIM)
    assert_allclose(model.mixture_weights, [1.0, 0.0], atol=1e-14)
    assert_allclose(model.means[0], x.mean(axis=0), rtol=1e-10)
    assert_allclose(model.covariances[0], x.var(axis=0) + 1e-6, rtol=1e-10)
    assert np.all(np.diff(history) >= -ROUNDING)


@gaussian
def test_collapsing_components_are_named(components):
    """A component on two equal examples; with reg_covar 0 it keeps the covariance it had."""
    x = np.concatenate([overlapping(64), np.full((2, DIM), 30.0)])
    means = [[0.0] * DIM, [30.0] * DIM]
    covariances = {"full": np.tile(np.eye(DIM), (2, 1, 1)), "diagonal": np.ones((2, DIM))}
    for reg_covar, what in ((0.0, "singular covariance"), (1e-3, "collapsed onto a point")):
        model = mixture(2, (DIM,), components, reg_covar=reg_covar)
        model.set_parameters(means, covariances.get(components, np.ones(2)))
        with pytest.warns(UserWarning, match=rf"components \[1\] .*{what}"):
            history = model.fit(x, epochs=3, verbose=0).history["log_likelihood"]
        expected = np.eye(DIM) * (reg_covar or 1.0)
        assert_allclose(
            as_matrices(components, model.covariances)[1], expected, rtol=1e-6, atol=1e-9
        )
        assert_allclose(model.mixture_weights[1], 2 / 66, rtol=1e-8)
        assert np.all(np.diff(history) >= -ROUNDING)


def test_likelihood_that_is_not_finite_stops():
    model, x = started("diagonal"), overlapping(64)
    x[40, 1] = np.nan
    data = tf.data.Dataset.from_tensor_slices(x).batch(32)
    with pytest.raises(FloatingPointError, match="by step 2. Look for NaN"):
        model.fit(data, verbose=0)


# The start, precision, and what is refused.


def test_streams_and_large_arrays_start_from_a_part(monkeypatch):
    monkeypatch.setattr("tfgen.models.mixture_em.INITIAL_EXAMPLES", 50)
    x = overlapping(150).astype("float32")
    first, stream, sample = (MixtureEM(K, (DIM,), "spherical", seed=0) for _ in "abc")
    first.initialize(x[:50])
    stream.initialize(tf.data.Dataset.from_tensor_slices((x, x[:, 0])).batch(20))
    assert_array_equal(stream.means, first.means)
    sample.initialize(x)
    assert sample.initialized and not np.array_equal(sample.means, first.means)


@pytest.mark.parametrize(
    "kwargs, message",
    [
        (
            {"num_components": 0},
            "num_components must be an int of at least 1. Received: num_components=0",
        ),
        ({"components": "tied"}, "components must be one of .* Received: components='tied'"),
        ({"reg_covar": -1.0}, "reg_covar must be at least 0. Received: reg_covar=-1.0"),
        (
            {"min_probability": 0.0},
            "min_probability must be within .* Received: min_probability=0.0",
        ),
        ({"kappa": 0.5}, "kappa must be None, or within .* Received: kappa=0.5"),
    ],
)
def test_arguments_are_checked(kwargs, message):
    with pytest.raises(ValueError, match=message):
        MixtureEM(**{"num_components": 2, "data_shape": (1,), **kwargs})


def test_data_and_starts_are_checked():
    model = mixture(3, (2,), "bernoulli")
    with pytest.raises(ValueError, match=r"data in \[0, 1\]. Received: values from 0 to 2"):
        model.fit(np.array([[0.0, 2.0]]))
    with pytest.raises(ValueError, match="needs 3 distinct examples.* Received: 2 among 40"):
        with pytest.warns(ConvergenceWarning):
            model.fit(np.repeat(np.eye(2), 20, axis=0))
    with pytest.raises(ValueError, match="Received: generator. Call initialize"):
        model.fit(np.zeros((1, 2)) for _ in range(3))
    flat = np.concatenate([overlapping(20)[:, :1], np.zeros((20, 1))], axis=1)
    with pytest.raises(ValueError, match="singular covariance: .* Received: reg_covar=0"):
        MixtureEM(2, (2,), "diagonal", reg_covar=0).fit(flat)


def test_compile_is_checked():
    with pytest.raises(ValueError, match="EM needs no optimizer.* Received: 'adam'"):
        MixtureEM(2, (2,)).compile("adam")
    with pytest.raises(ValueError, match="steps_per_execution 1 or None. Received: 4"):
        MixtureEM(2, (2,), kappa=0.6).compile(steps_per_execution=4)


@pytest.mark.parametrize("method", ["responsibilities", "log_prob", "predict", "__call__"])
def test_a_mixture_without_parameters_has_no_densities(method):
    model, x = MixtureEM(2, (2,), seed=0), np.zeros((3, 2))
    for call in (lambda: getattr(model, method)(x), model.sample, model.as_distribution):
        with pytest.raises(ValueError, match="no parameters before fit.*Received: a MixtureEM"):
            call()


@pytest.mark.parametrize(
    "callback",
    [
        keras.callbacks.LearningRateScheduler(lambda epoch: 0.1),
        keras.callbacks.ReduceLROnPlateau("loss"),
        keras.callbacks.SwapEMAWeights(),
    ],
)
def test_callbacks_for_optimizers_are_refused(callback):
    with pytest.raises(ValueError, match=f"EM has no optimizer.*{type(callback).__name__}"):
        MixtureEM(1, (2,), seed=0).fit(np.eye(2), verbose=0, callbacks=[callback])


def test_weights_are_not_rounded():
    with pytest.raises(ValueError, match="no layers"):
        MixtureEM(1, (2,), seed=0).quantize("int8")
