"""What generators and discriminators share: outputs, heads, features, saving, gradients, dtypes."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen import layers, models, networks

SHAPE = (12, 16, 2)
LATENT_DIM = 3

partial = functools.partial
GENERATORS = {
    "mlp": partial(networks.mlp_generator, width=(8, 9)),
    "dcgan": partial(networks.dcgan_generator, width=4),
    "dcgan plain": partial(networks.dcgan_generator, width=4, batch_norm=False),
    "larsen": partial(networks.larsen_decoder, width=4, head=None),
    "residual": partial(networks.residual_generator, width=4),
}
DISCRIMINATORS = {
    "mlp": partial(networks.mlp_discriminator, width=(8, 9)),
    "dcgan": partial(networks.dcgan_discriminator, width=4),
    "dcgan spectral": partial(
        networks.dcgan_discriminator, width=4, batch_norm=False, spectral_norm=True
    ),
    "mlp minibatch": partial(networks.mlp_discriminator, width=(8,), minibatch_discrimination=3),
    "dcgan minibatch": partial(
        networks.dcgan_discriminator, width=4, spectral_norm=True, minibatch_discrimination=3
    ),
    "larsen": partial(networks.larsen_discriminator, width=4),
    "residual": partial(networks.residual_discriminator, width=4),
}
ENCODERS = {
    "dcgan": partial(networks.dcgan_encoder, width=4),
    "larsen": partial(networks.larsen_encoder, width=4),
    "gvae": partial(networks.gvae_encoder, width=4),
}


def noise(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def joint_discriminator():
    encoder = networks.dcgan_encoder(SHAPE, 5, head=None, width=2)
    return networks.joint_discriminator(SHAPE, LATENT_DIM, width=8, image_network=encoder)


IMAGES, CODES = noise(8, *SHAPE), noise(8, LATENT_DIM)
# name -> (function that builds the network, its inputs)
NETWORKS = {
    **{f"{k} generator": (partial(v, SHAPE, LATENT_DIM), CODES) for k, v in GENERATORS.items()},
    **{f"{k} discriminator": (partial(v, SHAPE), IMAGES) for k, v in DISCRIMINATORS.items()},
    **{f"{k} encoder": (partial(v, SHAPE, 2, head=None), IMAGES) for k, v in ENCODERS.items()},
    "code discriminator": (partial(networks.mlp_code_discriminator, LATENT_DIM, 8), CODES),
    "joint discriminator": (joint_discriminator, [IMAGES, CODES]),
}


@pytest.fixture(params=GENERATORS)
def generator(request):
    """Function of a generator's other arguments."""
    return partial(GENERATORS[request.param], SHAPE, LATENT_DIM)


@pytest.fixture(params=DISCRIMINATORS)
def discriminator(request):
    keras.utils.set_random_seed(0)
    return DISCRIMINATORS[request.param](SHAPE)


@pytest.fixture(params=NETWORKS)
def build(request):
    """Function that builds a network, and its inputs."""
    keras.utils.set_random_seed(0)
    return NETWORKS[request.param]


@pytest.fixture
def bfloat16():
    keras.config.set_dtype_policy("mixed_bfloat16")
    yield
    keras.config.set_dtype_policy("float32")


def test_generator_gives_a_bounded_image_of_each_latent_vector(generator):
    images = generator()(1e3 * CODES).numpy()
    assert images.shape == (8, *SHAPE)
    assert np.abs(images).max() <= 1
    assert np.all(np.any(images[1:] != images[:-1], axis=(1, 2, 3)))


def test_generators_head_takes_the_bounded_image(generator):
    plain = generator()
    decoder = generator(head=partial(layers.FixedScaleNormal, scale=0.5))
    decoder.set_weights(plain.get_weights())
    np.testing.assert_array_equal(decoder(CODES).mean(), plain(CODES))
    np.testing.assert_array_equal(decoder(CODES).stddev(), np.full((8, *SHAPE), 0.5))


@pytest.mark.parametrize(
    "head", [layers.IndependentNormal, layers.IndependentBernoulli, layers.IndependentPoisson]
)
def test_head_of_more_than_a_loc_takes_no_activation(generator, head):
    decoder = generator(head=head, output_activation=None)
    assert decoder(CODES).log_prob(np.zeros((8, *SHAPE), "float32")).shape == (8,)
    text = f"Received: output_activation='tanh', .* a {head.__name__} .* output_activation=None"
    with pytest.raises(ValueError, match=text):
        generator(head=head)


@pytest.mark.parametrize("encoder", ENCODERS.values(), ids=ENCODERS)
def test_encoder_ends_in_a_density(encoder):
    posterior = encoder(SHAPE, 2)(IMAGES)
    assert posterior.event_shape == (2,)
    assert posterior.log_prob(posterior.sample(seed=0)).shape == (8,)


def test_discriminator_gives_one_logit_per_image(discriminator):
    logits = discriminator(IMAGES).numpy()
    assert logits.shape == (8, 1)
    assert len(np.unique(logits)) == 8
    last = discriminator.layers[-1]
    assert getattr(last, "layer", last).activation is keras.activations.linear


def test_features_are_reachable_and_lead_to_the_logit(discriminator):
    features = discriminator.get_layer("features").output
    model = keras.Model(discriminator.input, [features, discriminator.output])
    values, logits = model(IMAGES)
    assert np.any(values[0] != values[1])
    np.testing.assert_array_equal(logits, discriminator(IMAGES))


def test_saved_network_is_the_same(build, tmp_path):
    make, inputs = build
    network = make()
    network(inputs, training=True)  # Moves averages and the spectral norm's vectors.
    network.save(tmp_path / "network.keras")
    loaded = keras.saving.load_model(tmp_path / "network.keras", safe_mode=True)
    np.testing.assert_array_equal(loaded(inputs), network(inputs))


def test_gradient_reaches_every_weight(build):
    make, inputs = build
    network = make()
    variables = [v.value for v in network.trainable_variables]
    with tf.GradientTape() as tape:
        outputs = network(inputs, training=True)
        loss = tf.reduce_sum(noise(*outputs.shape) * outputs)
    for variable, gradient in zip(variables, tape.gradient(loss, variables), strict=True):
        assert np.isfinite(gradient).all() and np.any(gradient != 0), variable.name


def test_generator_learns_through_the_discriminator(discriminator):
    generator = networks.mlp_generator(SHAPE, LATENT_DIM, width=8)
    variables = [v.value for v in generator.trainable_variables]
    with tf.GradientTape() as tape:
        logits = discriminator(generator(CODES, training=True), training=True)
        loss = tf.reduce_sum(noise(8, 1) * logits)
    assert all(np.any(gradient != 0) for gradient in tape.gradient(loss, variables))


def test_gradient_penalty_has_a_gradient(discriminator):
    kernel = discriminator.trainable_variables[0].value
    images = tf.constant(IMAGES)
    with tf.GradientTape() as tape:
        with tf.GradientTape() as inner:
            inner.watch(images)
            logits = discriminator(images, training=True)
        penalty = tf.reduce_sum(tf.square(inner.gradient(logits, images)))
    gradient = tape.gradient(penalty, kernel)
    assert np.isfinite(gradient).all() and np.any(gradient != 0)


@pytest.mark.parametrize("name", ["mlp", "dcgan"])
def test_minibatch_discrimination_sees_the_others(name):
    """The logit of an image among equal ones is another than among others."""
    compared = DISCRIMINATORS[f"{name} minibatch"](SHAPE)
    among_others, among_equals = compared(IMAGES)[0], compared(np.tile(IMAGES[:1], (8, 1, 1, 1)))[0]
    assert abs(float(among_others[0] - among_equals[0])) > 1e-4
    with pytest.raises(ValueError, match="each example alone. Received: .* minibatch discrim"):
        generator = networks.mlp_generator(SHAPE, LATENT_DIM, width=8)
        models.WGANGP(generator, networks.mlp_discriminator(SHAPE, minibatch_discrimination=3))
    with pytest.raises(ValueError, match="Received: minibatch_discrimination=-1"):
        getattr(networks, f"{name}_discriminator")(SHAPE, minibatch_discrimination=-1)


def test_spectral_norm_compiles():
    network = DISCRIMINATORS["dcgan spectral"](SHAPE)
    training = tf.function(lambda x: network(x, training=True), jit_compile=True)(IMAGES)
    inference = network(IMAGES)
    # The weights that the training call left behind; float32 sums in another order.
    np.testing.assert_allclose(training, inference, rtol=1e-4, atol=1e-5)


def test_outputs_are_float32_under_mixed_precision(bfloat16, build):
    make, inputs = build
    network = make()
    assert network(inputs, training=True).dtype == tf.float32
    assert any(layer.compute_dtype == "bfloat16" for layer in network.layers if layer.weights)
