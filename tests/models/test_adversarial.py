"""Several steps, label smoothing and R1 of the discriminators of autoencoders, by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen import callbacks, losses, models
from tfgen._utils import random

OPTIONS = {"discriminator_steps": 2, "label_smoothing": 0.1, "r1": 0.3}
NOISE = {"instance_noise": 0.2}
SHOWN = {"augment": "color,cutout", **NOISE}
HYBRIDS = ["vae_gan", "constrained", "gvae", "alpha_gan", "aae", "ali"]


def log_sigmoid(logits):
    return tf.math.log(1 / (1 + tf.exp(-logits)))


def mean(values):
    return tf.reduce_mean(values)


def smoothed(logits):
    """Cross-entropy with a target of 0.9."""
    return mean(-0.9 * log_sigmoid(logits) - 0.1 * log_sigmoid(-logits))


def r1(discriminator, *real):
    """Half the squared norm of the gradient by all inputs together, times 0.3."""
    inputs = [tf.constant(part) for part in real]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        logits = discriminator(inputs if inputs[1:] else inputs[0])
    gradients = tape.gradient(logits, inputs)
    squares = [tf.reduce_sum(tf.reshape(g, (len(g), -1)) ** 2, axis=1) for g in gradients]
    return 0.3 * mean(sum(squares)) / 2


def halves(x, judge):
    """The passes of two steps, each on its half of the batch."""
    return [lambda: judge(x[:4]), lambda: judge(x[4:])]


def noisy(model, *inputs):
    """Inputs of a discriminator with noise of the next seed, where there is any."""
    if not float(model.instance_noise):
        return inputs
    seed = model.next_seed()
    return [part + 0.2 * random.normal(part.shape, seed) for part in inputs]


def shown(model, *images):
    """Images with the noise, and before it the augmentation, of the next seeds."""
    if model.augment:
        seed = model.next_seed()
        images = [losses.diff_augment(part, model.augment, seed) for part in images]
    return noisy(model, *images)


def images_of(model, x):
    """q(z|x), a reconstruction and a sample from the prior, drawn as the model draws."""
    q = model.encoder(x)
    reconstructed = model.decoder(q.sample(seed=model.next_seed())).mean()
    return q, reconstructed, model.decoder(model.sample_latents(len(x), model.next_seed())).mean()


@pytest.mark.parametrize("more", [{}, SHOWN], ids=["plain", "shown"])
def test_vae_gan_by_hand(more, build_model, assert_step_by_hand, blobs):
    model, x = build_model("vae_gan", **OPTIONS, **more), blobs[:8]
    discriminator = model.discriminator

    def autoencoder():
        q, reconstructed, sampled = images_of(model, x)
        loc, scale = q.mean(), q.stddev()
        kl = mean(tf.reduce_sum(loc**2 + scale**2 - 1 - 2 * tf.math.log(scale), axis=1) / 2)
        nll = 2 * mean(tf.reduce_sum((x - reconstructed) ** 2, axis=[1, 2, 3]))
        own, prior = map(discriminator, shown(model, reconstructed, sampled))
        generator_loss = (mean(-log_sigmoid(own)) + mean(-log_sigmoid(prior))) / 2
        return [(nll + kl, model.encoder), (nll + generator_loss, model.decoder)]

    def judge(share):
        share, *fakes = shown(model, share, *images_of(model, share)[1:])
        fake = [mean(-log_sigmoid(-discriminator(i))) for i in fakes]
        loss = smoothed(discriminator(share)) + sum(fake) / 2 + r1(discriminator, share)
        return [(loss, discriminator)]

    assert_step_by_hand(model, x, autoencoder, *halves(x, judge), rate=0.01)


@pytest.mark.parametrize("more", [{}, SHOWN], ids=["plain", "shown"])
def test_alpha_gan_by_hand(more, build_model, assert_step_by_hand, blobs):
    model, x = build_model("alpha_gan", loss="non_saturating", **OPTIONS, **more), blobs[:8]
    discriminator, critic = model.discriminator, model.code_discriminator

    def images(x):
        code = model.encoder(x).sample(seed=model.next_seed())
        z = model.sample_latents(len(x), model.next_seed())
        return code, z, model.decoder(code), model.decoder(z)

    def autoencoder():
        code, _, reconstructed, sampled = images(x)
        error = mean(tf.reduce_sum(tf.abs(x - reconstructed), axis=[1, 2, 3]))
        fakes = shown(model, reconstructed, sampled)
        fooled = [mean(-log_sigmoid(discriminator(i))) for i in fakes]
        (code,) = noisy(model, code)
        return [
            (error + mean(-log_sigmoid(critic(code))), model.encoder),
            (error + sum(fooled), model.decoder),
        ]

    def judge(share):
        code, z, reconstructed, sampled = images(share)
        share, *fakes = shown(model, share, reconstructed, sampled)
        z, code = noisy(model, z, code)
        fake = [mean(-log_sigmoid(-discriminator(i))) for i in fakes]
        loss = smoothed(discriminator(share)) + sum(fake) + r1(discriminator, share)
        return [
            (loss, discriminator),
            (smoothed(critic(z)) + mean(-log_sigmoid(-critic(code))), critic),
        ]

    assert_step_by_hand(model, x, autoencoder, *halves(x, judge), rate=0.02)


@pytest.mark.parametrize("more", [{}, NOISE], ids=["plain", "shown"])
def test_aae_by_hand(more, build_model, assert_step_by_hand, blobs):
    """The discriminator's turns come first, as its step does."""
    model, x = build_model("aae", **OPTIONS, **more), blobs[:8]
    critic = model.code_discriminator

    def judge(share):
        model.next_seed()  # For the draw of an encoder that returns a distribution.
        z = model.sample_latents(len(share), model.next_seed())
        z, code = noisy(model, z, model.encoder(share))
        fake = mean(-log_sigmoid(-critic(code)))
        return [(smoothed(critic(z)) + fake + r1(critic, z), critic)]

    def autoencoder():
        model.next_seed(), model.next_seed()
        code = model.encoder(x)
        error = mean(tf.reduce_sum((x - model.decoder(code)) ** 2, axis=[1, 2, 3]))
        (code,) = noisy(model, code)
        return [(mean(-log_sigmoid(critic(code))) + error, model.encoder, model.decoder)]

    assert_step_by_hand(model, x, *halves(x, judge), autoencoder, rate=0.02)


@pytest.mark.parametrize("more", [{}, SHOWN], ids=["plain", "shown"])
def test_ali_by_hand(more, build_model, assert_step_by_hand, blobs):
    """The penalty is on the gradient by image and code, and moves the discriminator alone."""
    model, x = build_model("ali", **OPTIONS, **more), tf.constant(blobs[:8])
    discriminator = model.discriminator

    def pairs(x):
        z = model.sample_latents(len(x), model.next_seed())
        code = model.encoder(x).sample(seed=model.next_seed())
        images = shown(model, x, model.decoder(z).sample(seed=model.next_seed()))
        return map(list, zip(images, noisy(model, code, z), strict=True))

    def judge(share):
        real, fake = pairs(share)
        loss = smoothed(discriminator(real)) + mean(-log_sigmoid(-discriminator(fake)))
        return [(loss + r1(discriminator, *real), discriminator)]

    def autoencoder():
        encoded, generated = (discriminator(pair) for pair in pairs(x))
        loss = mean(-log_sigmoid(-encoded)) + mean(-log_sigmoid(generated))
        return [(loss, model.encoder, model.decoder)]

    assert_step_by_hand(model, x, *halves(x, judge), autoencoder, rate=0.02)


def test_gan_by_hand(build_model, assert_step_by_hand, blobs):
    """Both players' turns; the penalty at the images that are shown."""
    model, x = build_model("gan", r1=0.3, **SHOWN), blobs[:8]
    generator, discriminator = model.generator, model.discriminator

    def judge():
        fake = generator(model.sample_latents(8, model.next_seed()))
        real, fake = shown(model, x, fake)
        both = mean(-log_sigmoid(discriminator(real))) + mean(-log_sigmoid(-discriminator(fake)))
        return [(both + r1(discriminator, real), discriminator)]

    def generate():
        (fake,) = shown(model, generator(model.sample_latents(8, model.next_seed())))
        return [(mean(-log_sigmoid(discriminator(fake))), generator)]

    assert_step_by_hand(model, x, judge, generate)


@pytest.mark.parametrize("name", ["wgan_gp", "gvae"])
def test_gradient_penalty_is_between_images_that_are_shown(name, build_model, blobs, monkeypatch):
    model, seen = build_model(name, **NOISE), []
    monkeypatch.setattr(type(model), "discriminator_penalty", lambda self, *args: seen.append(args))
    terms = model.terms if name == "gvae" else model.discriminator_terms
    terms(blobs[:8], training=False)
    noise = np.asarray(seen[0][0]) - blobs[:8]
    # Of 32 draws of 0.2, whose deviation is known to an eighth; more than three of these.
    assert 0.12 < np.std(noise) < 0.28


# What holds for all.


class Noise(keras.callbacks.Callback):
    """Notes the standard deviation of what is added to zeros in each step."""

    def on_train_batch_end(self, batch, logs=None):
        (noise,) = self.model.noisy(False, tf.zeros((4000,)))
        self.model.noted.append(float(np.std(noise)))


def test_instance_noise_is_annealed_by_a_schedule(build_model, blobs):
    model = build_model("gan", instance_noise=1.0)
    model.compile("sgd", steps_per_execution=1)
    model.noted = []
    schedule = callbacks.WeightSchedule("instance_noise", lambda step: 1.0 - step / 4)
    model.fit(blobs, batch_size=16, verbose=0, callbacks=[schedule, Noise()])
    # A standard deviation of 4000 draws is known to 1.1 %; five of these.
    np.testing.assert_allclose(model.noted, [1.0, 0.75, 0.5, 0.25], rtol=0.06)
    plain = build_model("gan")
    with pytest.raises(ValueError, match="built with instance_noise=0"):
        plain.instance_noise = 0.1


def test_nothing_is_drawn_where_nothing_is_asked_for(build_model, blobs):
    """So that the numbers of a plain model stay what they were."""
    model = build_model("gan")
    before = model.seed_generator.state.numpy()
    assert model.as_shown(True, blobs)[0] is blobs
    np.testing.assert_array_equal(model.seed_generator.state, before)


def test_codes_and_vectors_are_not_augmented(build_model):
    with pytest.raises(ValueError, match="AAE takes no augment: Its discriminator sees codes"):
        build_model("aae", augment="color")
    line = [keras.Sequential([keras.Input((3,)), keras.layers.Dense(n)]) for n in (3, 1)]
    with pytest.raises(ValueError, match=r"Received: augment='color' for examples of shape \(3,\)"):
        models.GAN(*line, augment="color")


class Louder(models.VAEGAN):
    """Whose discriminator has another term."""

    def regularizers(self, draw):
        terms = super().regularizers(draw)
        return {**terms, "discriminator_loss": terms["discriminator_loss"] + 100.0}


@pytest.mark.parametrize("steps", [1, 2])
def test_terms_of_a_child_reach_the_discriminator(steps, build_model, blobs):
    parts = build_model("vae_gan")
    networks = (parts.encoder, parts.decoder, parts.discriminator)
    model = Louder(*networks, discriminator_steps=steps, seed=0)
    model.compile("adam")
    history = model.fit(blobs, batch_size=32, verbose=0).history
    assert 100 < history["discriminator_loss"][0] < 110


@pytest.mark.parametrize(
    "name", [HYBRIDS[0], *(pytest.param(name, marks=pytest.mark.slow) for name in HYBRIDS[1:])]
)
def test_turns(name, build_model, blobs):
    """Discriminators take three steps a batch, others one; the logs are those of one step."""
    logs = []
    for steps in (1, 3):
        model = build_model(name, discriminator_steps=steps)
        model.compile("adam")
        logs.append(set(model.fit(blobs, batch_size=32, verbose=0).history))
        judges = {n: int(o.iterations) for n, o in model.optimizers.items() if "discrim" in n}
        others = {n: int(o.iterations) for n, o in model.optimizers.items() if n not in judges}
        assert set(judges.values()) == {2 * steps} and set(others.values()) == {2}
        assert set(model.evaluate(blobs, verbose=0, return_dict=True)) == logs[-1]
    assert logs[0] == logs[1]


@pytest.mark.slow
def test_multiplier_rises_once_a_batch(build_model, blobs):
    """Not in the discriminator's turns: with a loss held at ln 2, by the same for any steps."""
    rises = []
    for steps in (1, 4):
        model = build_model("constrained", discriminator_steps=steps, dual_rate=0.5, bound=0.0)
        for variable in model.discriminator.trainable_variables:
            variable.assign(tf.zeros_like(variable))
        model.compile({name: "sgd" for name in ("encoder", "decoder", "discriminator")})
        model.optimizers["discriminator"].learning_rate = 0.0
        model.fit(blobs[:8], batch_size=8, verbose=0)
        rises.append(float(model.multiplier) - 1.0)
    np.testing.assert_allclose(rises, 0.5 * np.log(2), rtol=1e-6)


@pytest.mark.parametrize("name", HYBRIDS)
def test_batch_smaller_than_the_steps(name, build_model, blobs):
    """Each step sees an example, also where the networks have batch normalization."""
    model = build_model(name, noisy=name != "gvae", discriminator_steps=4)
    model.compile("adam", run_eagerly=True)
    data = tf.data.Dataset.from_tensor_slices(blobs[:7]).batch(4)
    for arguments in ((blobs[:7], None, 4), (data,)):
        logs = model.fit(*arguments, validation_data=blobs[:1], verbose=0).history
        assert np.isfinite(list(logs.values())).all()
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


@pytest.mark.parametrize("name", HYBRIDS)
@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"discriminator_steps": 0}, "at least 1. Received: discriminator_steps=0"),
        ({"label_smoothing": 1.0}, "label_smoothing"),
        ({"r1": -1.0}, "r1"),
        ({"instance_noise": -1.0}, "Received: instance_noise=-1.0"),
        ({"augment": "colour"}, "augment"),
    ],
)
def test_arguments_out_of_range(name, kwargs, message, build_model):
    with pytest.raises(ValueError, match=message):
        build_model(name, **kwargs)


@pytest.mark.parametrize("name", ["label_smoothing", "r1"])
def test_what_a_penalized_critic_has_not(name, build_model):
    with pytest.raises(ValueError, match=name):
        build_model("gvae", **{name: 0.1})


@pytest.mark.parametrize("name", ["vae_gan", "constrained", "alpha_gan", "aae"])
def test_relativistic_losses_are_refused_without_pairs(name, build_model):
    kind = type(build_model(name)).__name__
    with pytest.raises(
        ValueError, match=f"a {kind} judges each alone.*Received: loss='relativistic'"
    ):
        build_model(name, loss="relativistic")


@pytest.mark.parametrize("loss", losses.ADVERSARIAL_LOSSES)
def test_alpha_gan_takes_any_loss(loss, build_model, blobs):
    """Where both discriminators say 0, each network's loss is that of a logit of 0."""
    model = build_model("alpha_gan", loss=loss)
    for network in (model.discriminator, model.code_discriminator):
        for variable in network.trainable_variables:
            variable.assign(tf.zeros_like(variable))
    terms, at = model.terms(blobs[:8], training=False), losses.adversarial_loss(loss)
    zeros, error = tf.zeros((8, 1)), terms["reconstruction"]
    expected = {
        "encoder_loss": error + at.generator(zeros),
        "decoder_loss": error + 2 * at.generator(zeros),
        "discriminator_loss": at.real(zeros) + 2 * at.fake(zeros),
        "code_discriminator_loss": at.real(zeros) + at.fake(zeros),
    }
    for name, value in expected.items():
        np.testing.assert_allclose(terms[name], value, rtol=1e-6, err_msg=name)
