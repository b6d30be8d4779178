"""GANs: the training step by hand, how batches and samples are shared, and a Gaussian."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal

from tfgen import layers, losses, models
from tfgen.models import GAN


def log_sigmoid(logits):
    return tf.math.log(1 / (1 + tf.exp(-logits)))


def mean(values):
    return tf.reduce_mean(values)


def line(inputs=1, outputs=1, *more):
    return keras.Sequential([keras.Input((inputs,)), keras.layers.Dense(outputs), *more])


def numbers(num, dim=1):
    """Examples that name themselves: example i holds i."""
    return np.tile(np.arange(num, dtype="float32")[:, None], (1, dim))


class Recording(GAN):
    """Notes what its turns are given, and counts forward passes of the generator."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.shown, self.generator_turns, self.num_generated = [], [], []

    def discriminator_terms(self, x, training=True):
        if training:
            self.shown.append(x.numpy())
        return super().discriminator_terms(x, training)

    def generator_terms(self, latents_and_old_samples, training=True):
        if training:
            self.generator_turns.append(latents_and_old_samples)
        return super().generator_terms(latents_and_old_samples, training)

    def generate_in_training(self, z, training):
        if training:
            self.num_generated.append(len(z))
        return super().generate_in_training(z, training)


def record(num_examples=12, batch_size=12, **kwargs):
    model = Recording(line(), line(), seed=0, **kwargs)
    model.compile(keras.optimizers.SGD(0.01), run_eagerly=True)
    model.fit(numbers(num_examples), batch_size=batch_size, shuffle=False, verbose=0)
    return model


# The training step.


def test_step_by_hand(build_model, assert_step_by_hand, blobs):
    """Goodfellow et al., Algorithm 1, with the loss of Sec. 3: a new z for the generator."""
    model, x = build_model("gan"), blobs[:8]
    generator, discriminator = model.generator, model.discriminator

    def discriminator_pass():
        fake = generator(model.sample_latents(8, model.next_seed()))
        real, fake = discriminator(x), discriminator(fake)
        return [(mean(-log_sigmoid(real)) + mean(-log_sigmoid(-fake)), discriminator)]

    def generator_pass():
        fake = generator(model.sample_latents(8, model.next_seed()))
        return [(mean(-log_sigmoid(discriminator(fake))), generator)]

    assert_step_by_hand(model, x, discriminator_pass, generator_pass)


def test_step_with_proximity_smoothing_and_r1_by_hand(build_model, assert_step_by_hand, blobs):
    """Su, Eq. 26: both generator steps on one z, near the samples from before the first."""
    model, x = build_model("gan_proximity"), blobs[:8]
    generator, discriminator = model.generator, model.discriminator
    frozen = {}

    def discriminator_pass():
        fake = generator(model.sample_latents(8, model.next_seed()))
        with tf.GradientTape() as tape:
            images = tf.constant(x)
            tape.watch(images)
            real = discriminator(images)
        r1 = tf.reduce_sum(tape.gradient(real, images) ** 2, axis=[1, 2, 3]) / 2
        fake = discriminator(fake)
        cross_entropy = -0.9 * log_sigmoid(real) - 0.1 * log_sigmoid(-real)
        return [(mean(cross_entropy) + mean(-log_sigmoid(-fake)) + 0.1 * mean(r1), discriminator)]

    def generator_pass():
        if not frozen:
            frozen["z"] = model.sample_latents(8, model.next_seed())
            frozen["old"] = generator(frozen["z"]).numpy()
        fake = generator(frozen["z"])
        distance = mean((fake - frozen["old"]) ** 2)
        return [(mean(-log_sigmoid(discriminator(fake))) + 5.0 * distance, generator)]

    assert_step_by_hand(model, x, discriminator_pass, generator_pass, generator_pass)


@pytest.mark.parametrize("average", [False, True])
def test_relativistic_step_by_hand(average, build_model, assert_step_by_hand, blobs):
    """The generator sees the data too, as many as it generates."""
    name = "relativistic_average" if average else "relativistic"
    model, x = build_model("gan", loss=name), blobs[:8]
    generator, discriminator = model.generator, model.discriminator

    def loss(these, those):
        these, those = discriminator(these), discriminator(those)
        if not average:
            return mean(-log_sigmoid(these - those))
        above, below = these - mean(those), those - mean(these)
        return mean(-log_sigmoid(above)) + mean(-log_sigmoid(-below))

    def generated():
        return generator(model.sample_latents(8, model.next_seed()))

    def judge():
        fake = generated()
        return [(loss(x, fake), discriminator)]

    assert_step_by_hand(model, x, judge, lambda: [(loss(generated(), x), generator)])


@pytest.mark.slow
def test_relativistic_turns_with_several_steps_proximity_and_noise(build_model, blobs):
    model = build_model(
        "gan_options", loss="relativistic", discriminator_steps=3, proximity=1.0, r1=0.1
    )
    ((z, old, x), _) = model.latents_and_old_samples(tf.constant(blobs[:10]), training=False)
    assert len(z) == len(old) == 3
    assert_array_equal(x, blobs[:3])
    model.compile("adam")
    history = model.fit(blobs, batch_size=10, verbose=0).history
    assert all(np.isfinite(values).all() for values in history.values())


@pytest.mark.parametrize("loss", losses.ADVERSARIAL_LOSSES)
def test_signs(loss, build_model, blobs):
    """The discriminator parts data from samples, the generator closes the gap."""
    model = build_model("gan", loss=loss)
    z = model.sample_latents(64, [0, 0])
    for variable in model.discriminator.trainable_variables:
        variable.assign(0.1 * variable)  # Logits near 0, below all targets for data.

    def logits():
        return mean(model.discriminator(blobs)), mean(model.discriminator(model.generator(z)))

    def descend(terms, name, network):
        with tf.GradientTape() as tape:
            value = mean(terms[0](terms[1])[name])
        variables = network.trainable_variables
        gradients = tape.gradient(value, [v.value for v in variables])
        for variable, gradient in zip(variables, gradients, strict=True):
            variable.assign_sub(0.05 * gradient)

    real, fake = logits()
    descend((model.discriminator_terms, blobs), "discriminator_loss", model.discriminator)
    new_real, new_fake = logits()
    assert new_real - new_fake > real - fake
    descend((model.generator_terms, (z, None)), "generator_loss", model.generator)
    assert logits()[1] > new_fake


def test_default_is_a_hand_written_loop_bit_for_bit():
    """Nothing of proximity, penalties or smoothing is left in the graph where it is not used."""
    data = np.random.default_rng(0).normal(size=(32, 3)).astype("float32")

    def build():
        keras.utils.set_random_seed(0)
        hidden = keras.layers.Dense(8, "tanh")
        discriminator = keras.Sequential([keras.Input((3,)), hidden, keras.layers.Dense(1)])
        return GAN(line(2, 3), discriminator, seed=0)

    model, twin = build(), build()
    optimizers = [keras.optimizers.SGD(0.1, momentum=0.9) for _ in range(2)]
    networks = [twin.discriminator, twin.generator]
    for optimizer, network in zip(optimizers, networks, strict=True):
        optimizer.build(network.trainable_variables)

    def train(x):
        for optimizer, network in zip(optimizers, networks, strict=True):
            with tf.GradientTape() as tape:
                fake = twin.discriminator(
                    twin.generator(twin.sample_latents(tf.shape(x)[0], twin.next_seed()))
                )
                loss = tf.nn.softplus(-fake)
                if network is twin.discriminator:
                    loss = tf.nn.softplus(-twin.discriminator(x)) + tf.nn.softplus(fake)
                loss = tf.reduce_mean(loss[:, 0])
            gradients = tape.gradient(loss, [v.value for v in network.trainable_variables])
            optimizer.apply(gradients, network.trainable_variables)

    for _ in range(3):
        for batch in np.split(data, 4):
            train(tf.constant(batch))
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), run_eagerly=True)
    model.fit(data, batch_size=8, epochs=3, shuffle=False, verbose=0)
    for a, b in zip(model.get_weights(), twin.get_weights(), strict=True):
        if a.shape:  # All but the count of steps.
            assert_array_equal(a, b)


# Turns.


def test_batch_is_split_over_the_discriminators_steps():
    model = record(12, discriminator_steps=3)
    shown = [x[:, 0].tolist() for x in model.shown]
    assert shown == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    # As many samples as data in each step, and in the generator's.
    assert model.num_generated == [4, 4, 4, 4]


def test_uneven_batches_lose_no_example():
    model = record(19, batch_size=8, discriminator_steps=3)
    assert sorted(np.concatenate(model.shown)[:, 0].tolist()) == list(range(19))
    assert [len(x) for x in model.shown] == [2, 3, 3, 2, 3, 3, 1, 1, 1]


def test_a_batch_of_fewer_examples_than_steps_gives_each_step_one():
    model = record(10, batch_size=8, discriminator_steps=4)
    shown = [x[:, 0].tolist() for x in model.shown[4:]]
    assert shown == [[8], [8], [9], [9]]
    assert model.num_generated[-5:] == [1] * 5
    # In evaluation every example counts once.
    parts = model.shares(tf.range(2), training=False)
    assert [part.numpy().tolist() for part in parts] == [[], [0], [], [1]]


def test_without_proximity_the_generator_runs_once_for_its_step():
    model = record()
    assert len(model.num_generated) == 2  # The discriminator's samples, the generator's.
    assert [old for _, old in model.generator_turns] == [None]
    assert set(model.averages.names) == {
        "discriminator_loss",
        "generator_loss",
        "real_logits",
        "fake_logits",
    }


def test_steps_on_one_z():
    model = record(proximity=1.0)
    assert model.generator_steps == 2
    (z, old), (z_again, old_again) = model.generator_turns
    assert z is z_again and old is old_again
    assert len(record(generator_steps=3).generator_turns) == 3


def test_logged_values_are_means_over_examples(build_model, blobs):
    model = build_model("gan_proximity")
    model.compile("sgd", run_eagerly=True)
    logs = model.evaluate(blobs, batch_size=64, verbose=0, return_dict=True)
    model.evaluation_seed_generator.state.assign([0, 0])
    fake = model.generator(model.sample_latents(64, model.next_seed(training=False)))
    assert logs["real_logits"] == pytest.approx(float(mean(model.discriminator(blobs))), rel=1e-4)
    assert logs["fake_logits"] == pytest.approx(float(mean(model.discriminator(fake))), rel=1e-4)
    assert logs["proximity"] == 0
    assert logs["gradient_penalty"] > 0


# What it is for.


def test_learns_a_gaussian():
    """x = w z + b against data from N(2, 0.5^2); at the equilibrium the two densities agree.

    R1 damps the circling around it. What is left comes from batches of 64, whose mean and scale
    have standard errors of 0.06 and 0.04: three of these are allowed. It begins 2 from the mean.
    """
    data = np.random.default_rng(0).normal(2.0, 0.5, size=(2048, 1)).astype("float32")
    keras.utils.set_random_seed(0)
    hidden = [keras.layers.Dense(16, "tanh") for _ in range(2)]
    discriminator = keras.Sequential([keras.Input((1,)), *hidden, keras.layers.Dense(1)])
    model = GAN(line(), discriminator, r1=0.1, seed=0)
    model.compile(
        {
            "discriminator": keras.optimizers.Adam(0.02, beta_1=0.5),
            "generator": keras.optimizers.Adam(0.01, beta_1=0.5),
        }
    )
    model.fit(data, batch_size=64, epochs=30, verbose=0)
    samples = model.sample(4000, seed=0).numpy()
    assert abs(samples.mean() - 2.0) < 0.18
    assert abs(samples.std() - 0.5) < 0.12


def test_predict_generates():
    model = GAN(line(2, 3), line(3), seed=0)
    z = np.random.default_rng(0).normal(size=(10, 2)).astype("float32")
    assert_allclose(model.predict(z, batch_size=4, verbose=0), model.generator(z), rtol=1e-6)


def test_prior_is_sampled_but_not_trained():
    prior = layers.MixtureOfNormals(1, 2, seed=0)
    before = [np.array(weight) for weight in prior.get_weights()]
    model = record(prior=prior)
    assert_array_equal(model.sample(3, seed=0), model.generator(model.sample_latents(3, [0, 0])))
    for old, new in zip(before, prior.get_weights(), strict=True):
        assert_array_equal(old, new)


def test_generator_that_returns_a_distribution():
    generator = line(2, 3, layers.FixedScaleNormal(3, scale=0.1))
    model = GAN(generator, line(3), seed=0)
    z = model.sample_latents(4, [0, 0])
    assert_array_equal(model.generate_in_training(z, training=True), generator(z).mean())
    assert not np.array_equal(model.sample(4, seed=0, mean=False), model.sample(4, seed=0))


# Errors.


@pytest.mark.parametrize(
    "end",
    [
        keras.layers.Dense(1, activation="sigmoid"),
        keras.layers.Activation("sigmoid"),
        keras.Sequential([keras.Input((1,)), keras.layers.Dense(2, activation="softmax")]),
    ],
    ids=["activation", "layer", "nested"],
)
def test_probabilities_are_refused(end):
    message = r"must return logits.*Received: .* ends in (sigmoid|softmax). End it with Dense\(1\)"
    with pytest.raises(ValueError, match=message):
        GAN(line(), line(1, 1, end))


def test_discriminator_of_another_shape():
    message = r"examples of shape \(3,\). Received: a discriminator of input shape \(None, 4\)"
    with pytest.raises(ValueError, match=message):
        GAN(line(2, 3), line(4))


@pytest.mark.parametrize("unknown", ["generator", "discriminator"])
def test_networks_of_unknown_shape(unknown):
    networks = {"generator": line(2, 3), "discriminator": line(3)}
    networks[unknown] = keras.Sequential([keras.layers.Dense(3)])
    with pytest.raises(ValueError, match=rf"The {unknown} must be .* known shape.*keras\.Input\("):
        GAN(**networks)


@pytest.mark.parametrize(
    "kwargs, message",
    [
        ({"loss": "bce"}, "one of .*'non_saturating'.*Received: .*'bce'"),
        ({"loss": "wasserstein", "label_smoothing": 0.1}, "'wasserstein' has no labels"),
        ({"loss": "relativistic", "label_smoothing": 0.1}, "no labels to smooth"),
        ({"proximity": -1.0}, "must be a finite number >= 0. Received: proximity=-1"),
        ({"r1": -1.0}, "must be a finite number >= 0. Received: r1=-1"),
        ({"discriminator_steps": 0}, "at least 1. Received: discriminator_steps=0"),
        ({"generator_steps": 0}, "at least 1. Received: generator_steps=0"),
        ({"generator_steps": 1.5}, "must be an int.*generator_steps=1.5"),
        ({"prior": layers.StandardNormal(5)}, r"shape \(1,\). Received: a prior over shape \(5,\)"),
        ({"prior": layers.VampPrior((1,), 2)}, "Received: encoder=None"),
    ],
)
def test_arguments_out_of_range(kwargs, message):
    with pytest.raises(ValueError, match=message):
        GAN(line(), line(), **kwargs)


def test_data_that_the_generator_cannot_reach():
    model = GAN(line(2, 3, keras.layers.Activation("tanh")), line(3))
    model.compile("sgd")
    with pytest.raises(ValueError, match=r"ends in tanh .*-1 to 1. Received: data from 4 to 4"):
        model.fit(np.full((8, 3), 4.0, "float32"), verbose=0)


def test_no_encoder():
    model = GAN(line(), line())
    assert not isinstance(model, models.autoencoding.AutoencodingModel)
    assert not hasattr(model, "encode")
