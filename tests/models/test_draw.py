"""DRAW: one run against NumPy, its bound against quadrature, canvases, training, saving."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal
from scipy import special, stats

from tfgen import layers, models, networks
from tfgen.models import DRAW
from tfgen.models.training_data import Conditioned
from tfgen.networks import DRAWDecoder, DRAWEncoder

SHAPE = (2, 3, 1)
ATTENTION = dict(read_size=2, write_size=2)
KINDS = {"whole": {}, "attention": ATTENTION, "vgp": dict(with_vgp=True)}
CLASSES = {"num_classes": 3}


def build(
    latent_dim=2,
    num_steps=3,
    read_size=None,
    write_size=None,
    with_vgp=False,
    spread=0.0,
    head=layers.IndependentBernoulli,
    num_classes=None,
    condition_shape=None,
    **kwargs,
):
    """A tiny model; with `spread`, that is the size of all its weights."""
    keras.utils.set_random_seed(0)
    size = dict(latent_dim=latent_dim, num_steps=num_steps, width=6)
    size |= dict(num_classes=num_classes, condition_shape=condition_shape)
    sizes_of_vgp = dict(input_dim=2, num_points=3, width=4, seed=0)
    posterior = networks.VGPPosterior(latent_dim, 6, **sizes_of_vgp) if with_vgp else None
    encoder = DRAWEncoder(SHAPE, read_size=read_size, posterior=posterior, **size)
    decoder = DRAWDecoder(SHAPE, write_size=write_size, head=head, **size)
    model = DRAW(encoder, decoder, **{"seed": 0, **kwargs})
    rng = np.random.default_rng(0)
    for weight in model.trainable_variables if spread else []:
        weight.assign(spread * rng.normal(size=weight.shape))
    return model


def pixels(num=16, seed=0):
    return np.random.default_rng(seed).integers(0, 2, (num, *SHAPE)).astype("float32")


def sigmoid(values):
    return 1 / (1 + np.exp(-values))


# The bound.


def rows_of_condition(network):
    """The weights of the gates that a condition has."""
    return network.condition_gates.trainable_variables[0].numpy()


def lstm(layer, inputs, output, carry, c, rows_of_c):
    kernel, bias = (w.numpy() for w in layer.gates.weights)
    gates = np.concatenate([inputs, output, c]) @ np.concatenate([kernel, rows_of_c]) + bias
    take, keep, new, show = np.split(gates, 4)
    carry = sigmoid(keep) * carry + sigmoid(take) * np.tanh(new)
    return sigmoid(show) * np.tanh(carry), carry


def bound_in_numpy(model, x, z, c=()):
    """Eq. 3 to 11 without attention, for one image and its z_1..z_T: log p(x|z), KL, log q / p.

    A condition c is appended to what both LSTMs see.
    """
    encoder, decoder = model.encoder, model.decoder
    of_c = [np.zeros((0, 24)) if not len(c) else rows_of_condition(n) for n in (encoder, decoder)]
    # [read, h_dec, h_enc] with read = [x, error]: the rows of x are stored apart.
    rows_of_x = encoder.image_gates.kernel.numpy()
    kernel, bias = (w.numpy() for w in encoder.lstm.gates.weights)
    h_enc, carry_enc = encoder.lstm.initial_output.numpy(), encoder.lstm.initial_carry.numpy()
    h_dec, carry_dec = decoder.lstm.initial_output.numpy(), decoder.lstm.initial_carry.numpy()
    canvas, x = decoder.initial_canvas.numpy(), x.ravel()
    kl = log_ratio = 0.0
    for z_step in z:
        seen = np.concatenate([x - sigmoid(canvas), h_dec, h_enc, x, c])
        gates = seen @ np.concatenate([kernel, rows_of_x, of_c[0]]) + bias
        take, keep, new, show = np.split(gates, 4)
        carry_enc = sigmoid(keep) * carry_enc + sigmoid(take) * np.tanh(new)
        h_enc = sigmoid(show) * np.tanh(carry_enc)
        head = encoder.posterior.parameters
        loc, log_scale = np.split(h_enc @ head.kernel.numpy() + head.bias.numpy(), 2)
        kl += 0.5 * np.sum(loc**2 + np.exp(2 * log_scale) - 2 * log_scale - 1)
        log_q = stats.norm.logpdf(z_step, loc, np.exp(log_scale))
        log_ratio += np.sum(log_q - stats.norm.logpdf(z_step))
        h_dec, carry_dec = lstm(decoder.lstm, z_step, h_dec, carry_dec, c, of_c[1])
        canvas = canvas + h_dec @ decoder.write.kernel.numpy() + decoder.write.bias.numpy()
    return (
        np.sum(np.where(x == 1, np.log(sigmoid(canvas)), np.log(sigmoid(-canvas)))),
        kl,
        log_ratio,
    )


@pytest.mark.parametrize("kind", ["alone", "of classes", "of vectors"])
def test_a_run_against_numpy(kind):
    options = {"of classes": CLASSES, "of vectors": {"condition_shape": 2}}.get(kind, {})
    model, x = build(spread=0.7, **options), pixels(4)
    labels, vectors = [0, 1, 2, 1], np.random.default_rng(1).normal(size=(4, 2))
    given = {"of classes": labels, "of vectors": vectors}.get(kind)
    rows = {"of classes": np.eye(3)[labels], "of vectors": vectors}.get(kind, np.zeros((4, 0)))
    with layers.given(given):
        check_run(model, x, rows)


def check_run(model, x, rows):
    inference = model.infer(tf.constant(x), tf.constant([3, 4]), training=True)
    assert inference.z.shape == (4, 3, 2)
    for image, z, c, *ours in zip(
        x,
        inference.z.numpy(),
        rows,
        inference.likelihood.log_prob(x),
        inference.kl,
        inference.log_ratio,
        strict=True,
    ):
        # Float32 rounding through three steps.
        assert_allclose(ours, bound_in_numpy(model, image, z, c), rtol=1e-4, atol=1e-4)
    log_weights = model.log_weights(x, 1, tf.constant([3, 4]))
    expected = inference.likelihood.log_prob(x) - inference.log_ratio
    assert_allclose(log_weights[0], expected, rtol=1e-5)


def test_terms_are_those_of_a_vae():
    model, x = build(spread=0.7), pixels(4)
    terms = model.terms(x, training=False)
    model.evaluation_seed_generator.state.assign([0, 0])
    inference = model.infer(x, model.next_seed(training=False), training=False)
    reconstruction = -inference.likelihood.log_prob(x)
    assert_allclose(terms["kl"], inference.kl)
    assert_allclose(terms["loss"], reconstruction + inference.kl, rtol=1e-6)
    assert_allclose(terms["elbo"], -terms["loss"], rtol=1e-6)
    assert_allclose(terms["bits_per_dim"], terms["loss"] / (6 * np.log(2)), rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_importance_weights_are_unbiased_and_the_bound_is_below(kind):
    """p(x) by quadrature over z_1 and z_2, which are one number each."""
    # Random auxiliary networks of larger weights make the weights' tail too heavy to average.
    spread = 0.3 if kind == "vgp" else 0.6
    model, x = build(1, 2, spread=spread, **KINDS[kind]), pixels(2)
    axis = np.linspace(-7, 7, 121, dtype="float32")
    z = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2, 1)
    likelihood = model.decode(z)
    log_prior = stats.norm.logpdf(z).sum(axis=(1, 2)) + 2 * np.log(axis[1] - axis[0])
    log_px = [special.logsumexp(likelihood.log_prob(image) + log_prior) for image in x]
    num_samples = 20_000
    log_weights = model.log_weights(x, num_samples, tf.constant([0, 1])).numpy()
    ratios = np.exp(log_weights - log_px)
    # 5 standard errors of the mean of p(x, z) / (q(z|x) p(x)).
    tolerance = 5 * ratios.std(axis=0) / np.sqrt(num_samples)
    assert np.all(tolerance < 0.2)
    assert np.all(np.abs(ratios.mean(axis=0) - 1) < tolerance)
    # The bound with KL divergences in closed form has the same mean as log w, below log p(x).
    terms = model.terms(np.repeat(x[:1], num_samples, axis=0))
    difference = np.array(terms["elbo"]) - log_weights[:, 0]
    assert abs(difference.mean()) < 5 * difference.std() / np.sqrt(num_samples)
    assert np.mean(terms["elbo"]) < log_px[0]


@pytest.mark.parametrize("kind", KINDS)
def test_every_weight_has_a_gradient(kind):
    model = build(spread=0.5, **KINDS[kind])
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(model.terms(pixels())["loss"])
    variables = model.trainable_variables
    for variable, gradient in zip(variables, tape.gradient(loss, variables), strict=True):
        assert gradient is not None and np.all(np.any(np.array(gradient) != 0)), variable.path


# Codes and canvases.


def test_codes_are_the_draws_of_a_posterior_without_spread():
    model, x = build(spread=0.7), pixels(4)
    head = model.encoder.posterior.parameters
    head.kernel.assign(tf.concat([head.kernel[:, :2], tf.zeros((6, 2))], axis=1))
    head.bias.assign([0.3, -0.2, -20.0, -20.0])
    codes = model.encode(x)
    assert codes.shape == (4, 3, 2)
    # Scales of exp(-20).
    assert_allclose(model.infer(x, tf.constant([0, 1]), False).z, codes, atol=1e-6)
    assert_array_equal(model.embed(x), codes)
    assert_allclose(model.reconstruct(x), model.generate(codes), rtol=1e-5)
    assert_allclose(model.predict(x, verbose=0), model.reconstruct(x), rtol=1e-5)
    path = model.interpolate(x[:1], x[1:2], num_steps=3)
    assert_allclose(path[0, 0], model.reconstruct(x[:1])[0], rtol=1e-5)
    assert model.traverse(x[0], dims=[5], values=[0.0, 1.0]).shape == (1, 2, *SHAPE)


@pytest.mark.parametrize("kind", ["whole", "attention"])
def test_canvases_end_in_the_sample_and_depend_on_the_past_only(kind):
    model = build(spread=0.7, **KINDS[kind])
    z = model.sample_latents(5, tf.constant([1, 0])).numpy()
    canvases = model.canvases(z)
    assert canvases.shape == (5, 3, *SHAPE)
    assert_allclose(canvases[:, -1], model.sample(5, seed=1), rtol=1e-5)
    z[:, 1] += 1.0
    changed = np.any(np.array(model.canvases(z) != canvases), axis=(0, 2, 3, 4))
    assert list(changed) == [False, True, True]


# Conditions.


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_of_one_class_is_one_without_classes(kind, tmp_path):
    """Terms, weights, codes and images are those of the class, and the file holds it."""
    model, x = build(spread=0.5, **KINDS[kind], **CLASSES), pixels(6)
    seed = tf.constant([0, 1])
    for label in range(3):
        one = model.given(label)
        assert one.conditions is None and type(one.encoder) is DRAWEncoder
        assert [v.path for v in one.trainable_variables] == [
            v.path for v in model.trainable_variables
        ]
        pair = Conditioned(x, np.full(6, label))
        weights = model.log_weights(pair, 5, seed)
        assert_allclose(weights, one.log_weights(x, 5, seed), rtol=1e-4, atol=1e-5)
        assert_allclose(model.embed(x, label), one.embed(x), rtol=1e-5, atol=1e-6)
        assert_allclose(model.reconstruct(x, label), one.reconstruct(x), rtol=1e-5, atol=1e-6)
        samples = model.sample(4, seed=0, condition=label)
        assert_allclose(one.sample(4, seed=0), samples, rtol=1e-5, atol=1e-6)
        z = model.sample_latents(4, tf.constant([0, 0]))
        assert_allclose(one.canvases(z)[:, -1], samples, rtol=1e-5, atol=1e-6)
        assert_array_equal(model.canvases(z, label), one.canvases(z))
    assert not np.allclose(model.sample(4, seed=0, condition=0), samples, atol=0.01)
    one.save(tmp_path / "model.keras")
    loaded = models.load_model(tmp_path / "model.keras")
    assert loaded.conditions is None
    assert_array_equal(loaded.sample(4, seed=0), one.sample(4, seed=0))
    loaded.decoder.condition_gates.trainable_variables[0].assign_add(tf.ones((3, 24)))
    assert not np.allclose(loaded.sample(4, seed=0), one.sample(4, seed=0), atol=0.01)


def test_it_draws_what_it_is_told():
    """Images of which class k has its k-th column white: the latents have nothing to tell."""
    model = build(latent_dim=1, num_steps=2, **CLASSES)
    labels = np.arange(96) % 3
    x = np.zeros((96, *SHAPE), "float32")
    x[np.arange(96), :, labels] = 1.0
    model.compile(keras.optimizers.Adam(0.03), jit_compile=False)
    model.fit(x, labels, batch_size=32, epochs=60, verbose=0)
    assert_allclose(model.sample(9, seed=0), x[:9], atol=0.15)
    with pytest.raises(ValueError, match="needs a condition"):
        model.encode(x)


def test_conditions_that_do_not_fit():
    model = build()
    for call in (lambda: model.encode(pixels(), 1), lambda: model.canvases(np.zeros((1, 3, 2)), 1)):
        with pytest.raises(ValueError, match="takes no condition: none of its networks does"):
            call()
    for network in (model.encoder, model.decoder, build(**CLASSES).given(1).decoder):
        with pytest.raises(ValueError, match=f"This {type(network).__name__} takes no condition"):
            network.under(1)
    with pytest.raises(ValueError, match="give num_classes or condition_shape"):
        build(num_classes=2, condition_shape=2)


# Training and saving.


def fit(model, **kwargs):
    """Trains on two white rows of one black pixel each, which the canvas learns at once."""
    x = np.ones((16, *SHAPE), "float32")
    x[:, :, 1] = 0.0
    return model.fit(x, batch_size=8, verbose=0, **kwargs).history


@pytest.mark.parametrize("jit_compile", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_attention_trains_compiled(jit_compile):
    model = build(num_steps=2, **ATTENTION)
    model.compile(keras.optimizers.Adam(3e-2), jit_compile=jit_compile, steps_per_execution=1)
    losses = fit(model, epochs=10)["loss"]
    assert losses[-1] < 0.8 * losses[0]


def test_learned_scale_reads_what_the_mean_lacks():
    head = functools.partial(layers.IndependentNormal, scale_activation="exponential")
    model = build(head=head, **ATTENTION)
    model.compile(keras.optimizers.Adam(3e-2), run_eagerly=True)
    losses = fit(model, epochs=3)
    assert losses["loss"][-1] < losses["loss"][0]
    assert "bits_per_dim" not in losses


@pytest.mark.parametrize("kind", ["attention", "vgp"])
def test_saved_models_continue_exactly(kind, assert_continues_exactly):
    assert_continues_exactly(build(num_steps=2, **KINDS[kind]), pixels(8))


def test_mixed_precision(bfloat16, tmp_path):
    model = build(**ATTENTION)
    assert model.encoder.lstm.gates.compute_dtype == "bfloat16"
    assert model.decoder.write.compute_dtype == "bfloat16"
    model.compile(keras.optimizers.Adam(1e-2), run_eagerly=True)
    losses = fit(model, epochs=3)["loss"]
    assert losses[-1] < losses[0]
    assert model.evaluate(pixels(8), verbose=0) == model.evaluate(pixels(8), verbose=0)
    terms = model.terms(pixels())
    assert all(value.dtype == tf.float32 for value in terms.values())
    model.save(tmp_path / "model.keras")
    keras.config.set_dtype_policy("float32")
    loaded = models.load_model(tmp_path / "model.keras")
    assert loaded.encoder.posterior.parameters.compute_dtype == "bfloat16"
    assert_array_equal(loaded.sample(4, seed=0), model.sample(4, seed=0))


# Errors.


def test_other_networks():
    with pytest.raises(ValueError, match="networks.DRAWEncoder .*Received: Functional and DRAWDec"):
        DRAW(networks.mlp_encoder(SHAPE, 2), DRAWDecoder(SHAPE, 2, num_steps=3, width=6))


@pytest.mark.parametrize(
    "arguments, message",
    [
        (dict(width=5), "decoder_width=6 and a decoder of width=5. Give both the same"),
        (dict(width=6, num_steps=4), r"shape \(None, 3, 2\) .* shape \(None, 4, 2\)"),
    ],
)
def test_networks_that_do_not_fit(arguments, message):
    encoder = DRAWEncoder(SHAPE, 2, num_steps=3, width=6)
    with pytest.raises(ValueError, match=message):
        DRAW(encoder, DRAWDecoder(SHAPE, 2, **{"num_steps": 3, **arguments}))


def test_other_priors():
    with pytest.raises(ValueError, match="standard normal priors.*Received: a prior Mixture"):
        build(prior=layers.MixtureOfNormals((3, 2), 2))
