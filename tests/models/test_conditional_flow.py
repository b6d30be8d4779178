"""NormalizingFlow of p(x|c): a linear Gaussian in closed form, integrals, data, files, errors."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from tfgen import bijectors, layers, metrics, models, networks, samplers
from tfgen.models.training_data import Conditioned

SHAPE, SEED = (1, 2, 1), tf.constant([0, 1])
C = np.array([[0.5, -1.0], [2.0, 0.3], [-1.0, 0.0]], "float32")

# x = A c + b + L z: p(x|c) = N(A c + b, L L^T).
A = np.array([[1.0, -0.5], [0.3, 2.0]])
B = np.array([0.2, -1.0])
L = np.array([[0.8, 0.0], [-0.6, 1.5]])


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def perturb(layer, size=0.3):
    rng = np.random.default_rng(1)
    for weight in layer.trainable_variables:
        weight.assign_add(size * rng.normal(size=weight.shape))
    return layer


def density(c):
    return stats.multivariate_normal(A @ c + B, L @ L.T)


def linear_flow(**kwargs):
    """One autoregressive step whose shifts are linear in the condition and in the elements."""
    return bijectors.MaskedAutoregressive(
        2, hidden=(3,), activation="linear", context_size=2, max_log_scale=None, **kwargs
    )


def known_flow():
    """The linear Gaussian: hidden units are c_1, c_2, which both elements see, and x_1."""
    flow, slope = linear_flow(), L[1, 0] / L[0, 0]
    shift_of_first, shift_of_second = A[0], A[1] - slope * A[0]
    last = np.zeros((3, 4))
    last[:2, 0], last[:2, 1], last[2, 1] = shift_of_first, shift_of_second, slope
    bias = [B[0], B[1] - slope * B[0], np.log(L[0, 0]), np.log(L[1, 1])]
    seen = np.array([[0.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    flow.made.dense[0].set_weights([seen, np.zeros(3)])
    flow.made.context_dense[0].set_weights([np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])])
    flow.made.last.set_weights([last, np.array(bias)])
    return flow


def coupling_flow(known=True):
    """Scales of their own about A c + b: a coupling that maps all elements."""
    x, c = keras.Input((2,)), keras.Input((2,))
    shift, log_scale = keras.layers.Dense(2), keras.layers.Dense(2)
    outputs = [log_scale(keras.ops.zeros_like(c)), shift(c)]
    network = keras.Model([x, c], keras.layers.Concatenate()(outputs))
    if known:
        shift.set_weights([A.T, B])
        log_scale.set_weights([np.zeros((2, 2)), np.arctanh([0.5, -0.2])])
    return bijectors.AffineCoupling(network, np.zeros(2))


def linear_pairs(num, seed=0):
    rng = np.random.default_rng(seed)
    c = rng.normal(size=(num, 2))
    return (c @ A.T + B + rng.normal(size=(num, 2)) @ L.T).astype("float32"), c.astype("float32")


# Likelihoods.


def test_log_prob_of_a_linear_gaussian():
    model, x = models.NormalizingFlow(known_flow()), normal(3, 2)
    assert model.condition_shape == (2,)
    expected = [density(c).logpdf(x_c) for x_c, c in zip(x, C, strict=True)]
    assert_allclose(model.log_prob(x, condition=C), expected, rtol=1e-5)
    assert_allclose(model.log_prob(x, C[0]), density(C[0]).logpdf(x), rtol=1e-5)
    pairs = Conditioned(x, C)
    assert_array_equal(model.log_weights(pairs, 2, SEED), np.tile(model.log_prob(x, C), (2, 1)))
    assert_array_equal(model.terms(pairs)["loss"], -model.log_prob(x, C))


def test_log_prob_of_a_coupling_that_sees_the_condition_alone():
    model, x = models.NormalizingFlow(coupling_flow()), normal(3, 2)
    normals = stats.norm(C @ A.T + B, np.exp([0.5, -0.2]))
    assert_allclose(model.log_prob(x, C), normals.logpdf(x).sum(axis=1), rtol=1e-5)


@pytest.mark.parametrize(
    "build",
    [
        lambda: bijectors.maf(2, 2, hidden=(8,), activation="tanh", context_size=2),
        lambda: bijectors.Invert(bijectors.iaf(2, 1, hidden=(8,), context_size=2)),
        lambda: networks.vector_flow(2, 2, hidden=(8,), context_size=2),
        lambda: bijectors.Radial(2, 2, context_size=2),
    ],
    ids=["maf", "inverse_iaf", "vector_flow", "radial"],
)
def test_density_integrates_to_one_for_each_condition(build):
    """Midpoints of squares of 0.06; kinks of splines and of radii leave an error below 1 %."""
    keras.utils.set_random_seed(0)
    model, axis = models.NormalizingFlow(perturb(build())), np.arange(-12, 12, 0.06) + 0.03
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2).astype("float32")
    densities = [np.exp(model.log_prob(grid, condition=c), dtype="float64") for c in C[:2]]
    for each in densities:
        assert each.sum() * 0.06**2 == pytest.approx(1, abs=0.01)
    assert np.abs(densities[0] - densities[1]).sum() * 0.06**2 > 0.05  # c matters


def image_flow():
    keras.utils.set_random_seed(0)
    flow = networks.simple_flow(SHAPE, 2, width=4, num_layers=1, context_size=2)
    return models.NormalizingFlow(
        perturb(flow, 0.2), bijectors.UniformDequantization(SHAPE, 3), seed=0
    )


def all_data():
    """Every image of two pixels of three values."""
    return np.array(list(itertools.product(range(3), repeat=2)), "float32").reshape(-1, *SHAPE)


def test_probabilities_of_all_images_sum_to_one_for_each_condition():
    model, x, num = image_flow(), all_data(), 10_000
    totals = []
    for c in C[:2]:
        weights = np.exp(model.log_weights(Conditioned(x, c[None]), num, SEED))
        # Independent draws for each image: 5 standard errors of the sum; alpha leaves out 1e-4.
        tolerance = 5 * np.sqrt(np.sum(weights.var(axis=0)) / num) + 1e-4
        assert tolerance < 0.1
        assert abs(weights.mean(axis=0).sum() - 1) < tolerance
        totals.append(weights.mean(axis=0))
    assert np.abs(totals[0] - totals[1]).max() > 0.02


def test_importance_sampling_takes_pairs():
    model, (x, c) = models.NormalizingFlow(known_flow()), linear_pairs(7)
    for data in ((x, c), tf.data.Dataset.from_tensor_slices((x, c)).batch(4)):
        result = metrics.importance_sampled_nll(model, data, 2, verbose=False)
        assert_allclose(result.nlls, -model.log_prob(x, c), rtol=1e-5)


# Latents and samples.


def test_latents_lead_back_to_data():
    model, x = models.NormalizingFlow(known_flow()), normal(3, 2)
    z = model.latent(x, C)
    assert_allclose(z, np.linalg.solve(L, (x - C @ A.T - B).T).T, rtol=1e-4, atol=1e-5)
    assert_allclose(model.generate(z, C), x, rtol=1e-4, atol=1e-5)
    assert_allclose(model.predict([x, C], verbose=0), z, rtol=1e-4, atol=1e-5)
    pairs = tf.data.Dataset.from_tensor_slices((x, C)).batch(2)
    assert_allclose(model.predict(pairs, verbose=0), z, rtol=1e-4, atol=1e-5)


def test_samples_follow_the_density():
    model, num = models.NormalizingFlow(known_flow()), 20_000
    samples = model.sample(num, seed=0, condition=C[0]).numpy()
    scatter = np.cov(samples.T)
    # 5 standard errors of means, and of the elements of a covariance of normals.
    errors = np.sqrt(np.diag(L @ L.T) / num)
    assert np.all(np.abs(samples.mean(axis=0) - A @ C[0] - B) < 5 * errors)
    covariance = L @ L.T
    spread = np.outer(np.diag(covariance), np.diag(covariance)) + covariance**2
    assert np.all(np.abs(scatter - covariance) < 5 * np.sqrt(spread / num))


def test_samples_have_their_own_conditions():
    """Beyond the 500 that are decoded at a time too."""
    model, num = models.NormalizingFlow(known_flow()), 1001
    c = normal(num, 2, seed=1)
    z = model.sample_latents(num, model.sampling_seed(3))
    expected = c @ A.T + B + z.numpy() @ L.T
    assert_allclose(model.sample(num, seed=3, condition=c), expected, rtol=1e-4, atol=1e-5)
    assert model.sample(0, condition=C[0]).shape == (0, 2)


def test_the_flow_of_one_condition():
    """It shares all weights, and interpolates, which needs a condition."""
    model, x = image_flow(), all_data()
    other = model.given(C[0])
    assert other.condition_shape is None
    assert_allclose(
        other.log_weights(x, 2, SEED), model.log_weights(Conditioned(x, C[:1]), 2, SEED), rtol=1e-5
    )
    assert_array_equal(other.sample(5, seed=1), model.sample(5, seed=1, condition=C[0]))
    ends = other.interpolate(x[:2], x[2:4], 3).numpy()[:, [0, -1]]
    assert_array_equal(ends, np.stack([x[:2], x[2:4]], axis=1))
    assert {id(v) for v in other.trainable_variables} == {id(v) for v in model.trainable_variables}
    for condition in (C, C[0, :1]):
        with pytest.raises(ValueError, match="condition.*Received"):
            model.given(condition)
    with pytest.raises(ValueError, match="takes no condition.*Received: condition"):
        other.given(C[0])
    for context in (C, [1.0], 0.0):
        with pytest.raises(ValueError, match=r"has shape \(2,\). Received: context of shape"):
            bijectors.Given(model.bijector, context)


def test_the_flow_of_one_condition_is_saved(tmp_path):
    model, x = models.NormalizingFlow(known_flow()).given(C[0]), normal(3, 2)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    assert_array_equal(loaded.log_prob(x), model.log_prob(x))
    assert_allclose(loaded.log_prob(x), density(C[0]).logpdf(x), rtol=1e-5)


# Training.


def test_training_finds_the_maximum_of_the_likelihood():
    """Between its value by least squares, which is the least loss, and that of the truth."""
    keras.utils.set_random_seed(0)
    rng, num = np.random.default_rng(0), 512
    c = rng.normal(size=(num, 2)).astype("float32")
    x = (c @ A.T + B + [0.5, 1.5] * rng.normal(size=(num, 2))).astype("float32")
    model = models.NormalizingFlow(coupling_flow(known=False), seed=0)
    rate = keras.optimizers.schedules.CosineDecay(0.1, 320)
    model.compile(keras.optimizers.Adam(rate), jit_compile=False)
    copies = [np.tile(values, (320, 1)) for values in (x, c)]
    model.fit(*copies, batch_size=num, epochs=1, shuffle=False, verbose=0)
    design = np.column_stack([c, np.ones(num)])
    coefficients, *_ = np.linalg.lstsq(design, x, rcond=None)
    least = np.sum(0.5 * np.log(2 * np.pi * np.e * np.var(x - design @ coefficients, axis=0)))
    truth = -stats.norm(c @ A.T + B, [0.5, 1.5]).logpdf(x).sum(axis=1).mean()
    loss = model.evaluate(x, c, batch_size=num, verbose=0, return_dict=True)["loss"]
    assert least - 1e-5 < loss < truth  # 8 parameters: some 8 / (2 * 512) nats between these.
    # A loss d above the least has means within sqrt(2 d) scales, in the mean over the data.
    means = model.decode(np.zeros((num, 2)), c)
    errors = np.mean(np.square((means - design @ coefficients) / [0.5, 1.5]))
    assert errors < 2 * 1.1 * (truth - least)


def norm_flow():
    keras.utils.set_random_seed(0)
    return models.NormalizingFlow(perturb(bijectors.maf(2, 2, hidden=(4,), context_size=2)), seed=0)


def initialized(x, c):
    """What the first batch sets, by hand."""
    model = norm_flow()
    model.initialize(x, c)
    return [weight.numpy() for weight in model.bijector.weights]


def test_every_kind_of_data_sets_the_scales_with_its_conditions():
    x, c = linear_pairs(32)
    pairs = tf.data.Dataset.from_tensor_slices((x, c))
    expected = initialized(x, c)
    assert any(
        not np.allclose(a, b) for a, b in zip(expected, initialized(x, c[::-1]), strict=True)
    )
    for data in [(x, c), (x.tolist(), c.astype("float64")), (pairs.batch(32),)]:
        model = norm_flow()
        model.compile(keras.optimizers.SGD(0.0), run_eagerly=True)
        model.fit(*data, verbose=0)
        for weight, value in zip(model.bijector.weights, expected, strict=True):
            assert_allclose(weight, value, rtol=1e-5, atol=1e-6)


def test_all_ways_to_train_and_evaluate_see_the_conditions():
    x, c = linear_pairs(64)
    model = models.NormalizingFlow(known_flow(), seed=0)
    model.compile(keras.optimizers.SGD(0.0), run_eagerly=True)
    loss = -float(np.mean(model.log_prob(x, c)))
    pairs = tf.data.Dataset.from_tensor_slices((x, c)).batch(16)
    for data in ((x, c), (pairs,)):
        assert model.fit(*data, verbose=0).history["loss"][0] == pytest.approx(loss, rel=1e-5)
        assert model.evaluate(*data, verbose=0, return_dict=True)["loss"] == pytest.approx(
            loss, rel=1e-5
        )
    logs = [
        model.train_on_batch(x, c, return_dict=True),
        model.test_on_batch(x, c, return_dict=True),
    ]
    assert [log["loss"] for log in logs] == pytest.approx([loss] * 2, rel=1e-5)
    for data in ((x, c), pairs):
        history = model.fit(x[:16], c[:16], validation_data=data, verbose=0).history
        assert history["val_loss"][0] == pytest.approx(loss, rel=1e-5)
    history = model.fit(x, c, validation_split=0.5, verbose=0).history
    last = -float(np.mean(model.log_prob(x[32:], c[32:])))
    assert history["val_loss"][0] == pytest.approx(last, rel=1e-5)


# Files.


def state(model):
    optimizers = [v for optimizer in model.optimizers.values() for v in optimizer.variables]
    return [keras.ops.convert_to_numpy(v) for v in [*model.variables, *optimizers]]


def test_resumed_and_loaded_runs_continue_exactly(tmp_path):
    x = np.random.default_rng(0).integers(0, 3, (24, *SHAPE))
    c = normal(24, 2)

    def train():
        model = image_flow()
        model.compile(keras.optimizers.Adam(1e-2), steps_per_execution=1, run_eagerly=True)
        backup = keras.callbacks.BackupAndRestore(tmp_path, save_freq=4, delete_checkpoint=False)
        model.fit(x, c, batch_size=8, epochs=2, callbacks=[backup], verbose=0)
        return model

    reference, resumed = train(), train()
    assert int(reference.steps) == 6
    reference.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    assert loaded.condition_shape == (2,)
    for model in (resumed, loaded):
        for left, right in zip(state(reference), state(model), strict=True):
            assert_array_equal(left, right)
    assert_array_equal(
        loaded.sample(2, seed=0, condition=C[0]), reference.sample(2, seed=0, condition=C[0])
    )


def test_flows_of_conditions_are_served(tmp_path):
    model, x = models.NormalizingFlow(known_flow()), normal(3, 2)
    written = models.export_model(model, tmp_path)
    assert set(written) == {"latent", "log_prob", "generate", "sample"}
    served = tf.saved_model.load(tmp_path)
    assert_allclose(served.log_prob(x, C), model.log_prob(x, C), rtol=1e-5)
    assert_allclose(served.latent(x, C), model.latent(x, C), rtol=1e-5)
    assert_allclose(served.generate(x, C), model.generate(x, C), rtol=1e-5)
    samples = model.sample(3, seed=3, condition=C)
    assert_allclose(served.sample(3, C, [3, 0]), samples, rtol=1e-5)


def test_multiscale_flows_of_conditions_are_saved(tmp_path):
    """Vectors are given to every pixel of every scale."""
    flow = networks.multiscale_flow((4, 4, 1), width=2, num_layers=1, context_size=3)
    model, x, c = models.NormalizingFlow(perturb(flow)), normal(2, 4, 4, 1), normal(2, 3, seed=1)
    assert flow.context_shape == (3,)
    kernels = [v.shape for v in flow.trainable_variables if len(v.shape) == 4 and v.shape[0] == 3]
    assert {shape[-2] for shape in kernels[::3]} == {8 + 3, 4 + 3, 1 + 3}
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    assert_array_equal(loaded.log_prob(x, c), model.log_prob(x, c))
    assert_allclose(model.generate(model.latent(x, c), c), x, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("num_bins", [None, 4])
def test_glow_of_conditions_trains_and_is_saved(num_bins, tmp_path):
    """The first batch sets its scales; the loss falls from there."""
    keras.utils.set_random_seed(0)
    shape, c = (4, 4, 1), normal(32, 2, seed=1)
    x = np.clip(np.round(8 + 2 * c[:, 0, None, None, None] + normal(32, *shape)), 0, 15)
    flow = networks.glow(shape, 2, 1, width=4, num_bins=num_bins, context_size=2)
    model = models.NormalizingFlow(flow, bijectors.UniformDequantization(shape, 16), seed=0)
    assert model.condition_shape == (2,)
    model.compile(keras.optimizers.Adam(1e-2), jit_compile=False)
    losses = model.fit(x, c, batch_size=32, epochs=20, verbose=0).history["bits_per_dim"]
    assert losses[-1] < losses[0] - 0.1
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    pairs = Conditioned(x, c)
    assert_array_equal(loaded.log_weights(pairs, 1, SEED), model.log_weights(pairs, 1, SEED))
    assert_array_equal(model.generate(model.latent(x, c), c), x)


# Errors.


def test_conditions_that_do_not_fit_are_refused():
    model, x = models.NormalizingFlow(known_flow()), normal(3, 2)
    for method in (model.log_prob, model.latent, model.decode, model.generate, model.initialize):
        for condition in (None, C[:2], C[:, :1], C[0, 0], "abc"):
            with pytest.raises(ValueError, match="condition.*Received"):
                method(x, condition=condition)
    for condition in (None, C[:2]):
        with pytest.raises(ValueError, match="condition.*Received"):
            model.sample(3, condition=condition)
    with pytest.raises(ValueError, match=r"needs a condition, .*Received: none"):
        model.log_weights(x, 2, SEED)
    with pytest.raises(ValueError, match=r"needs a condition, .*\(2,\). Received: none"):
        model.interpolate(x, x)
    with pytest.raises(ValueError, match="Received: a decoder that returns .*mean=True"):
        model.sample(3, mean=False, condition=C)


def test_a_density_without_condition_takes_none():
    model, x = models.NormalizingFlow(bijectors.ActNorm(2)), normal(3, 2)
    assert model.condition_shape is None
    for call in (model.log_prob, model.latent, model.decode, model.initialize):
        with pytest.raises(ValueError, match="takes no condition.*Received: condition"):
            call(x, condition=C)
    with pytest.raises(ValueError, match="takes no condition"):
        model.sample(3, condition=C)


def test_data_without_conditions_are_refused():
    model, (x, c) = models.NormalizingFlow(linear_flow(), seed=0), linear_pairs(8)
    model.compile("adam", run_eagerly=True)
    bad = c.copy()
    bad[1, 1] = np.nan
    slices = tf.data.Dataset.from_tensor_slices
    for data, message in [
        ((x,), "Received: a batch without"),
        ((x, c[:5]), "each of 8 examples.* Received: 5 conditions"),
        ((x, c[:, :1]), r"real numbers of shape \(2,\).* Received: float32 of shape \(8, 1\)"),
        ((x, bad), r"real numbers of shape \(2,\)"),
        ((x, slices(c).batch(8)), "y goes with arrays"),
        ((slices((x, c)).batch(8), c), "y goes with arrays"),
        ((slices(x).batch(8),), "Received: a batch without"),
        ((slices((x, c[:, :1])).batch(8),), r"real numbers of shape \(2,\).* Received: "),
        ((slices((x, {"c": c})).batch(8),), "real numbers of shape.* Received: .* of type dict"),
    ]:
        with pytest.raises(ValueError, match=message):
            model.fit(*data, verbose=0)
    with pytest.raises(ValueError, match="Received: a batch without"):
        model.evaluate(x, verbose=0)


def test_bijectors_with_contexts_are_refused_where_there_are_none():
    with pytest.raises(ValueError, match=r"no context. Received: .* context_shape=\(2,\)"):
        layers.FlowPrior(linear_flow())
    with pytest.raises(ValueError, match=r"contexts of shapes \[\(2,\), \(3,\)\]"):
        bijectors.Chain([linear_flow(), bijectors.Planar(2, context_size=3)])
    sampler = samplers.NormalizingFlow(linear_flow())
    vae = models.VAE(networks.mlp_encoder((2, 2, 1), 2), networks.mlp_decoder((2, 2, 1), 2))
    with pytest.raises(ValueError, match="no context"):
        sampler.fit(vae, np.zeros((8, 2, 2, 1)), verbose=False)
