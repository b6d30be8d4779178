"""VAE-GANs: which loss moves which network, by hand; the constraint; the penalized one."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen import layers
from tfgen.models import GVAE, VAEGAN, ConstrainedVAEGAN

IMAGE = (2, 2, 1)
VAEGANS = ["vae_gan", "vae_gan_features", "constrained", "gvae"]


def log_sigmoid(logits):
    return tf.math.log(1 / (1 + tf.exp(-logits)))


def mean(values):
    return tf.reduce_mean(values)


def dense(inputs, outputs, *more):
    flat = [keras.Input(inputs), keras.layers.Flatten()]
    return keras.Sequential([*flat, keras.layers.Dense(outputs), *more])


def networks(end=()):
    keras.utils.set_random_seed(0)
    encoder = dense(IMAGE, 4, layers.IndependentNormal(2))
    decoder = dense((2,), 4, layers.FixedScaleNormal(IMAGE, scale=0.5))
    return encoder, decoder, dense(IMAGE, 1, *end)


def vae_parts(model, x):
    """-log p(x|z) with scale 1/2, KL(q(z|x) || N(0, I)), both images, each by its formula."""
    q = model.encoder(x)
    loc, scale = q.mean(), q.stddev()
    reconstructed = model.decoder(q.sample(seed=model.next_seed())).mean()
    sampled = model.decoder(model.sample_latents(len(x), model.next_seed())).mean()
    error = tf.reduce_sum((x - reconstructed) ** 2, axis=[1, 2, 3])
    nll = 2 * error + 4 * (np.log(0.5) + 0.5 * np.log(2 * np.pi))
    kl = tf.reduce_sum(loc**2 + scale**2 - 1 - 2 * tf.math.log(scale), axis=1) / 2
    return mean(nll), mean(kl), reconstructed, sampled


def non_saturating(model, x, reconstructed, sampled):
    """Losses of discriminator and generator."""
    real, own, prior = (model.discriminator(images) for images in (x, reconstructed, sampled))
    fake_loss = (mean(-log_sigmoid(-own)) + mean(-log_sigmoid(-prior))) / 2
    generator_loss = (mean(-log_sigmoid(own)) + mean(-log_sigmoid(prior))) / 2
    return mean(-log_sigmoid(real)) + fake_loss, generator_loss


# The training steps.


def test_step_by_hand(build_model, assert_step_by_hand, blobs):
    """The generator's loss moves the decoder alone; the discriminator's none of the VAE."""
    model, x = build_model("vae_gan", gan_weight=3.0), blobs[:8]

    def all_players():
        nll, kl, reconstructed, sampled = vae_parts(model, x)
        discriminator_loss, generator_loss = non_saturating(model, x, reconstructed, sampled)
        return [
            (nll + kl, model.encoder),
            (nll + 3.0 * generator_loss, model.decoder),
            (discriminator_loss, model.discriminator),
        ]

    assert_step_by_hand(model, x, all_players, rate=0.01)


def test_step_in_features_by_hand(build_model, assert_step_by_hand, blobs):
    """Larsen et al., Algorithm 1: what images are compared in is not moved by the comparison."""
    options = {"discriminator_steps": 1, "label_smoothing": 0.0, "r1": 0.0, "gan_weight": 0.5}
    model, x = build_model("vae_gan_features", **options), blobs[:8]
    hidden = model.discriminator.get_layer("features")

    def features(images):
        return hidden(tf.reshape(images, (8, 4)))

    def all_players():
        _, kl, reconstructed, sampled = vae_parts(model, x)
        discriminator_loss, generator_loss = non_saturating(model, x, reconstructed, sampled)
        squares = tf.reduce_sum((features(x) - features(reconstructed)) ** 2, axis=1) / 2
        return [
            (mean(squares) + kl, model.encoder),
            (mean(squares) + 0.5 * generator_loss, model.decoder),
            (discriminator_loss, model.discriminator),
        ]

    assert_step_by_hand(model, x, all_players, rate=0.05)


@pytest.mark.parametrize("bound, active", [(0.1, True), (5.0, False)])
def test_step_with_fixed_multiplier_by_hand(bound, active, build_model, assert_step_by_hand, blobs):
    """Mi et al., Sec. 4.1: L_vae + lambda max(L_gan - d, 0), here with lambda = 7."""
    kwargs = {"bound": bound, "multiplier": 7.0, "dual_rate": 0.0}
    model, x = build_model("constrained", **kwargs), blobs[:8]

    def all_players():
        nll, kl, reconstructed, sampled = vae_parts(model, x)
        discriminator_loss, generator_loss = non_saturating(model, x, reconstructed, sampled)
        assert (generator_loss > bound) == active
        return [
            (nll + kl, model.encoder),
            (nll + 7.0 * tf.maximum(generator_loss - bound, 0.0), model.decoder),
            (discriminator_loss, model.discriminator),
        ]

    assert_step_by_hand(model, x, all_players, rate=0.01)
    assert float(model.multiplier) == 7.0


@pytest.mark.parametrize("bound", [0.1, 5.0])
def test_dual_ascent_by_hand(bound, build_model, assert_step_by_hand, blobs):
    """The decoder descends L_vae + lambda (L_gan - d) with the old lambda, which then ascends."""
    kwargs = {"bound": bound, "multiplier": 0.3, "dual_rate": 0.1}
    model, x = build_model("constrained", **kwargs), blobs[:8]
    gan_loss = []

    def all_players():
        nll, kl, reconstructed, sampled = vae_parts(model, x)
        discriminator_loss, generator_loss = non_saturating(model, x, reconstructed, sampled)
        gan_loss.append(float(generator_loss))
        return [
            (nll + kl, model.encoder),
            (nll + 0.3 * (generator_loss - bound), model.decoder),
            (discriminator_loss, model.discriminator),
        ]

    assert_step_by_hand(model, x, all_players, rate=0.01)
    expected = max(0.0, 0.3 + 0.1 * (gan_loss[0] - bound))
    assert float(model.multiplier) == pytest.approx(expected, rel=1e-5)
    before = float(model.multiplier)
    logs = model.evaluate(x, verbose=0, return_dict=True)
    assert logs["multiplier"] == pytest.approx(before) == float(model.multiplier)


def test_generative_vae_step_by_hand(build_model, assert_step_by_hand, blobs):
    """Encoder and decoder as one network: the critic's opinion moves the encoder as well."""
    model = build_model("gvae", gan_weight=4.0, gradient_penalty=2.0)
    x, critic = blobs[:8], model.discriminator

    def both():
        nll, kl, reconstructed, sampled = vae_parts(model, x)
        either = tf.random.stateless_uniform((8, 1, 1, 1), model.next_seed()) < 0.5
        position = tf.random.stateless_uniform((8, 1, 1, 1), model.next_seed())
        fake = tf.where(either, reconstructed, sampled)
        with tf.GradientTape() as tape:
            between = (1 - position) * x + position * fake
            tape.watch(between)
            logits = critic(between)
        norm = tf.norm(tf.reshape(tape.gradient(logits, between), (8, -1)), axis=1)
        score = (mean(critic(reconstructed)) + mean(critic(sampled))) / 2
        critic_loss = score - mean(critic(x)) + 2.0 * mean((norm - 1) ** 2)
        return [(nll + kl - 4.0 * score, model.encoder, model.decoder), (critic_loss, critic)]

    assert_step_by_hand(model, x, both, rate=0.01)


# What is logged.


@pytest.mark.parametrize("name", VAEGANS)
def test_logged_terms(name, build_model, blobs):
    model, x = build_model(name), blobs[:8]
    model.seed_generator.state.assign([0, 0])
    terms = {key: float(mean(value)) for key, value in model.terms(x).items()}
    model.seed_generator.state.assign([0, 0])
    nll, kl, reconstructed, sampled = vae_parts(model, x)
    real, own, prior = (mean(model.discriminator(i)) for i in (x, reconstructed, sampled))
    expected = {
        "reconstruction": nll,
        "kl": kl,
        "elbo": -nll - kl,
        "real_logits": real,
        "fake_logits": (own + prior) / 2,
    }
    for key, value in expected.items():
        assert terms[key] == pytest.approx(float(value), rel=1e-4, abs=1e-6), key


def test_discrete_likelihood_logs_bits():
    encoder, _, discriminator = networks()
    decoder = dense((2,), 4, layers.IndependentBernoulli(IMAGE))
    model = VAEGAN(encoder, decoder, discriminator)
    assert "bits_per_dim" in model.terms(np.ones((2, *IMAGE), "float32"))


def test_patches(blobs):
    patches = keras.Sequential([keras.Input(IMAGE), keras.layers.Conv2D(1, 1)])
    model = VAEGAN(*networks()[:2], patches, seed=0)
    assert model.terms(blobs[:8])["discriminator_loss"].shape == (8,)
    model.compile("sgd", run_eagerly=True)
    logs = model.fit(blobs, batch_size=64, verbose=0).history
    assert np.isfinite(logs["real_logits"]).all()


# Errors.


@pytest.mark.parametrize(
    "cls, kwargs, message",
    [
        (VAEGAN, {"gan_weight": -1.0}, "must be a finite number >= 0. Received: gan_weight=-1"),
        (VAEGAN, {"loss": "bce"}, "one of .*Received: .*'bce'"),
        (VAEGAN, {"feature_layer": "conv9"}, r"one of \[.*dense.*\]. Received: .*'conv9'"),
        (VAEGAN, {"prior": layers.StandardNormal(3)}, r"Received: a prior over shape \(3,\)"),
        (
            ConstrainedVAEGAN,
            {"multiplier": -1.0},
            "must be a finite number >= 0. Received: multiplier=-1",
        ),
        (
            ConstrainedVAEGAN,
            {"dual_rate": -1.0},
            "must be a finite number >= 0. Received: dual_rate=-1",
        ),
        (
            GVAE,
            {"gradient_penalty": -1.0},
            "must be a finite number >= 0. Received: gradient_penalty=-1",
        ),
        (GVAE, {"gan_weight": -1.0}, "must be a finite number >= 0. Received: gan_weight=-1"),
    ],
)
def test_arguments_out_of_range(cls, kwargs, message):
    with pytest.raises(ValueError, match=message):
        cls(*networks(), **kwargs)


@pytest.mark.parametrize("cls, name", [(ConstrainedVAEGAN, "gan_weight"), (GVAE, "loss")])
def test_arguments_that_the_variant_fixes(cls, name):
    with pytest.raises(ValueError, match=f"{cls.__name__} takes no {name}: .*Leave it out"):
        cls(*networks(), **{name: 1.0})


def test_batch_normalization_is_refused_under_a_penalty():
    with pytest.raises(ValueError, match="each example alone.*'norm'"):
        GVAE(*networks([keras.layers.BatchNormalization(name="norm")]))


def test_probabilities_are_refused():
    with pytest.raises(ValueError, match="must return logits.*ends in sigmoid"):
        VAEGAN(*networks([keras.layers.Activation("sigmoid")]))


def test_discriminator_of_another_shape():
    message = r"shape \(2, 2, 1\). Received: a discriminator of input shape \(None, 3\)"
    with pytest.raises(ValueError, match=message):
        VAEGAN(*networks()[:2], dense((3,), 1))


def test_deterministic_networks_are_refused():
    encoder, decoder, discriminator = networks()
    with pytest.raises(ValueError, match=r"must return q\(z\|x\), a distribution"):
        VAEGAN(dense(IMAGE, 2), decoder, discriminator)
    plain = dense((2,), 4, keras.layers.Reshape(IMAGE))
    with pytest.raises(ValueError, match=r"must return p\(x\|z\), a distribution"):
        VAEGAN(encoder, plain, discriminator)


def test_feature_network_is_not_saved_twice(build_model):
    plain, features = (build_model(name) for name in ("vae_gan", "vae_gan_features"))
    assert [v.shape for v in plain.variables] == [v.shape for v in features.variables]


def test_features_come_from_the_same_pass_as_the_logits_also_when_loaded(tmp_path, blobs):
    """One pass moves averages of batch normalization before the features once."""
    norm = keras.layers.BatchNormalization(name="norm")
    features = keras.layers.Dense(4, name="features")
    discriminator = keras.Sequential(
        [keras.Input(IMAGE), keras.layers.Flatten(), norm, features, keras.layers.Dense(1)]
    )
    model = VAEGAN(*networks()[:2], discriminator, feature_layer="features")
    model.save(tmp_path / "model.keras")
    for one in (model, keras.models.load_model(tmp_path / "model.keras")):
        one._discriminate(blobs, training=True)
        average = one.discriminator.get_layer("norm").moving_mean
        expected = 0.01 * blobs.reshape(64, 4).mean(axis=0)
        np.testing.assert_allclose(average, expected, rtol=1e-4)
