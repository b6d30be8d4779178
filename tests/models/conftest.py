"""Tiny models by name, of every class that descends a gradient, for tests of all of them."""

import functools
import math
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen import bijectors, layers, models, networks

SHAPE, LATENT = (2, 2, 1), 2


def _network(inputs, num_outputs, *head, noisy=False, batch_norm=True):
    """Flatten, a hidden layer "features", and a linear one; `noisy` adds layers with state."""
    state = [keras.layers.BatchNormalization()] if batch_norm else []
    return keras.Sequential(
        [
            keras.Input(inputs),
            keras.layers.Flatten(),
            keras.layers.Dense(8, "tanh", name="features"),
            *([*state, keras.layers.Dropout(0.5, seed=0)] if noisy else []),
            keras.layers.Dense(num_outputs),
            *head,
        ]
    )


def _joint_discriminator(noisy):
    x, z = keras.Input(SHAPE), keras.Input((LATENT,))
    pair = keras.layers.Concatenate()([keras.layers.Flatten()(x), z])
    return keras.Model([x, z], _network((4 + LATENT,), 1, noisy=noisy)(pair))


def _networks(noisy=False):
    """All networks that a model may need; decoders without batch normalization."""
    normal = layers.FixedScaleNormal(SHAPE, scale=0.5)
    head = layers.IndependentNormal(LATENT)
    return types.SimpleNamespace(
        noisy=noisy,
        generator=_network((LATENT,), 4, keras.layers.Reshape(SHAPE), noisy=noisy),
        decoder=_network((LATENT,), 4, normal, noisy=noisy),
        encoder=_network(SHAPE, LATENT, noisy=noisy),
        posterior=_network(SHAPE, 2 * LATENT, head, noisy=noisy),
        discriminator=_network(SHAPE, 1, noisy=noisy),
        critic=_network(SHAPE, 1, noisy=noisy, batch_norm=False),
        code_discriminator=_network((LATENT,), 1, noisy=noisy),
        joint_discriminator=_joint_discriminator(noisy),
    )


def _comparing_critic(noisy):
    """A discriminator that looks at a whole batch, its layers normalized by singular values."""
    hidden = _network(SHAPE, 6, noisy=noisy, batch_norm=False).layers
    compare = [layers.MinibatchDiscrimination(2, 2), keras.layers.Dense(1)]
    wrap = layers.SpectralNormalization
    return keras.Sequential(
        [keras.Input(SHAPE)]
        + [part if isinstance(part, _PASS_ON) else wrap(part) for part in [*hidden, *compare]]
    )


def _flow():
    """Two couplings over images; their networks take no noise."""
    parts = [_network(SHAPE, 8, keras.layers.Reshape((2, 2, 2))) for _ in range(2)]
    masks = [bijectors.checkerboard_mask(SHAPE, invert=invert) for invert in (False, True)]
    couplings = map(bijectors.AffineCoupling, parts, masks)
    return bijectors.Chain([*couplings, bijectors.ActNorm(SHAPE)])


def _flow_posterior():
    steps = bijectors.iaf(LATENT, num_steps=2, hidden=(4,), context_size=3)
    return _network(SHAPE, 2 * LATENT + 3, layers.FlowNormal(LATENT, steps, context_size=3))


def _conditional(network, condition_shape, num_classes=None):
    """A network of x and a condition, joined behind a flattening, from one of x alone."""
    x, c = keras.Input(network.input_shape[1:]), keras.Input(condition_shape)
    vectors = [keras.layers.Flatten()(part) for part in (x, c)]
    mixed = keras.layers.Dense(math.prod(x.shape[1:]))(keras.layers.Concatenate()(vectors))
    network = keras.Model([x, c], network(keras.layers.Reshape(x.shape[1:])(mixed)))
    return layers.Conditional(network, num_classes)


def _of_classes(*networks):
    """The same of two classes."""
    return (_conditional(network, (2,), num_classes=2) for network in networks)


def _draw_networks(**condition):
    size = {"latent_dim": 1, "num_steps": 2, "width": 4, **condition}
    head = functools.partial(layers.FixedScaleNormal, scale=0.5)
    encoder = networks.DRAWEncoder(SHAPE, read_size=2, **size)
    return encoder, networks.DRAWDecoder(SHAPE, head=head, **size)


_TURNS = {"discriminator_steps": 2, "label_smoothing": 0.1, "r1": 0.1}
_PASS_ON = (keras.layers.Flatten, keras.layers.Dropout)
_SHOWN = {
    "instance_noise": 0.1,
    "augment": "color,translation,cutout",
    "generator_average": 0.9,
}

_BUILDERS = {
    "ae": lambda n, **kwargs: models.AE(n.encoder, n.generator, **kwargs),
    "vae": lambda n, **kwargs: models.VAE(n.posterior, n.decoder, **{"free_bits": 0.1, **kwargs}),
    "beta_vae": lambda n, **kwargs: models.BetaVAE(
        n.posterior, n.decoder, **{"capacity": 1.0, **kwargs}
    ),
    "beta_tcvae": lambda n, **kwargs: models.BetaTCVAE(
        n.posterior, n.decoder, **{"dataset_size": 500, **kwargs}
    ),
    "conditional_vae": lambda n, **kwargs: models.VAE(
        *_of_classes(n.posterior, n.decoder), **kwargs
    ),
    "conditional_gan": lambda n, **kwargs: models.GAN(
        *_of_classes(n.generator, n.discriminator), **{"proximity": 5.0, **kwargs}
    ),
    "conditional_vae_gan": lambda n, **kwargs: models.VAEGAN(
        *_of_classes(n.posterior, n.decoder, n.discriminator), **{**_TURNS, **kwargs}
    ),
    "semi_supervised_vae": lambda n, **kwargs: models.SemiSupervisedVAE(
        *_of_classes(n.posterior, n.decoder), _network(SHAPE, 2, noisy=n.noisy), **kwargs
    ),
    "missing_data_vae": lambda n, **kwargs: models.MissingDataVAE(
        _conditional(n.posterior, SHAPE), n.decoder, **kwargs
    ),
    "miwae": lambda n, **kwargs: models.MIWAE(
        _conditional(n.posterior, SHAPE), n.decoder, **kwargs
    ),
    "spherical_vae": lambda n, **kwargs: models.VAE(
        _network(SHAPE, LATENT + 1, layers.VonMisesFisher(LATENT), noisy=n.noisy),
        n.decoder,
        **{"prior": layers.SphericalUniform(LATENT), **kwargs},
    ),
    "poincare_vae": lambda n, **kwargs: models.VAE(
        _network(SHAPE, 2 * LATENT, layers.PoincareNormal(LATENT), noisy=n.noisy),
        keras.Sequential([keras.Input((LATENT,)), layers.PoincareLogMap(), *n.decoder.layers]),
        **{"prior": layers.PoincareNormalPrior(LATENT), **kwargs},
    ),
    "relaxed_vae": lambda n, **kwargs: models.VAE(
        _network(SHAPE, LATENT, layers.RelaxedOneHot(LATENT, 2), noisy=n.noisy),
        n.decoder,
        **{"prior": layers.RelaxedOneHotPrior(LATENT, 2), **kwargs},
    ),
    "gan": lambda n, **kwargs: models.GAN(n.generator, n.discriminator, **kwargs),
    "gan_proximity": lambda n, **kwargs: models.GAN(
        n.generator, n.discriminator, proximity=5.0, r1=0.1, label_smoothing=0.1, **kwargs
    ),
    "ac_gan": lambda n, **kwargs: models.ACGAN(
        *_of_classes(n.generator),
        _network(SHAPE, 1 + 2, noisy=n.noisy),
        **{"class_weight": 0.5, "r1": 0.1, "discriminator_steps": 2, **kwargs},
    ),
    "info_gan": lambda n, **kwargs: models.InfoGAN(
        _network((5,), 4, keras.layers.Reshape(SHAPE), noisy=n.noisy),
        n.discriminator,
        _network(SHAPE, 5, noisy=n.noisy),
        **{"prior": layers.InfoGANPrior(1, (3,), 1), "info_weight": 0.5, **kwargs},
    ),
    "gan_options": lambda n, **kwargs: models.GAN(
        n.generator,
        _comparing_critic(n.noisy),
        **{"loss": "relativistic_average", "discriminator_steps": 2, **_SHOWN, **kwargs},
    ),
    "wgan": lambda n, **kwargs: models.WGAN(
        n.generator, n.discriminator, **{"clip": 0.1, "discriminator_steps": 2, **kwargs}
    ),
    "wgan_gp": lambda n, **kwargs: models.WGANGP(
        n.generator, n.critic, **{"discriminator_steps": 2, **kwargs}
    ),
    "aae": lambda n, **kwargs: models.AAE(
        n.encoder,
        n.generator,
        n.code_discriminator,
        **{"prior": layers.MixtureOfNormals(LATENT, 3, seed=0), **kwargs},
    ),
    "ali": lambda n, **kwargs: models.ALI(n.posterior, n.decoder, n.joint_discriminator, **kwargs),
    "vae_gan": lambda n, **kwargs: models.VAEGAN(n.posterior, n.decoder, n.discriminator, **kwargs),
    "vae_gan_features": lambda n, **kwargs: models.VAEGAN(
        n.posterior, n.decoder, n.discriminator, **{"feature_layer": "features", **_TURNS, **kwargs}
    ),
    "constrained": lambda n, **kwargs: models.ConstrainedVAEGAN(
        n.posterior, n.decoder, n.discriminator, **{"bound": 0.5, "dual_rate": 0.1, **kwargs}
    ),
    "alpha_gan": lambda n, **kwargs: models.AlphaGAN(
        n.posterior, n.generator, n.discriminator, n.code_discriminator, **kwargs
    ),
    "gvae": lambda n, **kwargs: models.GVAE(n.posterior, n.decoder, n.critic, **kwargs),
    "factor_vae": lambda n, **kwargs: models.FactorVAE(
        n.posterior, n.decoder, n.code_discriminator, **kwargs
    ),
    "dip_vae": lambda n, **kwargs: models.DIPVAE(n.posterior, n.decoder, **kwargs),
    "ada_gvae": lambda n, **kwargs: models.AdaGVAE(
        n.posterior, n.decoder, **{"beta": 2.0, **kwargs}
    ),
    "info_vae": lambda n, **kwargs: models.InfoVAE(
        n.posterior, n.decoder, **{"lambda_mmd": 10.0, **kwargs}
    ),
    "rae": lambda n, **kwargs: models.RAE(n.encoder, n.generator, **kwargs),
    "rae_gradient": lambda n, **kwargs: models.RAE(
        n.encoder, n.generator, **{"kind": "gradient", "reg_weight": 0.1, **kwargs}
    ),
    "wae": lambda n, **kwargs: models.WAE(n.encoder, n.generator, **kwargs),
    "iwae": lambda n, **kwargs: models.IWAE(
        n.posterior, n.decoder, **{"estimator": "doubly_reparameterized", **kwargs}
    ),
    "iwae_partial": lambda n, **kwargs: models.IWAE(
        n.posterior, n.decoder, **{"num_samples": 3, "num_groups": 2, "partial": True, **kwargs}
    ),
    "flow_vae": lambda n, **kwargs: models.FlowVAE(_flow_posterior(), n.decoder, **kwargs),
    "hvi": lambda n, **kwargs: models.HVI(
        n.posterior,
        n.decoder,
        networks.mlp_auxiliary(SHAPE, LATENT, width=8),
        networks.mlp_auxiliary(SHAPE, LATENT, width=8),
        **{"leapfrog_steps": 2, **kwargs},
    ),
    "hvae": lambda n, **kwargs: models.HVAE(
        n.posterior, n.decoder, **{"leapfrog_steps": 2, "free_bits": 0.1, **kwargs}
    ),
    "vgp": lambda n, **kwargs: models.VGP(
        n.posterior,
        n.decoder,
        networks.GaussianProcessMapping(LATENT, SHAPE, 2, num_points=3, width=8, seed=0),
        **kwargs,
    ),
    "ladder_vae": lambda n, **kwargs: models.LadderVAE(
        n.posterior, n.decoder, networks.ladder_prior((1, 1), (4, 4), depth=1), **kwargs
    ),
    "vq_vae": lambda n, **kwargs: models.VQVAE(
        n.encoder, n.decoder, **{"num_codes": 4, "code_dim": 1, "restart_below": 0.5, **kwargs}
    ),
    "fsq_vae": lambda n, **kwargs: models.FSQVAE(
        n.encoder, n.decoder, **{"levels": (3, 2), **kwargs}
    ),
    "rq_vae": lambda n, **kwargs: models.RQVAE(
        n.encoder,
        n.decoder,
        **{"depth": 2, "num_codes": 4, "code_dim": 1, "shared": False, **kwargs},
    ),
    "draw": lambda n, **kwargs: models.DRAW(*_draw_networks(), **kwargs),
    "conditional_draw": lambda n, **kwargs: models.DRAW(*_draw_networks(num_classes=2), **kwargs),
    "flow": lambda n, **kwargs: models.NormalizingFlow(_flow(), **kwargs),
}


# One model of each way to train, for tests that take seconds a model.
_KINDS = {
    *("ae", "vae", "conditional_vae", "iwae", "wgan_gp", "gvae", "ladder_vae", "vq_vae"),
    *("draw", "flow"),
}


def pytest_generate_tests(metafunc):
    """Runs a test that asks for `model_name` once for every model in `_BUILDERS`.

    One marked `one_of_each_kind` is slow but for those in `_KINDS`.
    """
    if "model_name" not in metafunc.fixturenames:
        return
    quick = _KINDS if metafunc.definition.get_closest_marker("one_of_each_kind") else _BUILDERS
    metafunc.parametrize(
        "model_name",
        [pytest.param(name, marks=() if name in quick else pytest.mark.slow) for name in _BUILDERS],
    )


@pytest.fixture(scope="session")
def build_model():
    """Function from a name, and arguments of the model, to a new tiny model with seed 0."""

    def build(name, noisy=False, **kwargs):
        keras.utils.set_random_seed(0)
        return _BUILDERS[name](_networks(noisy), **{"seed": 0, **kwargs})

    return build


@pytest.fixture(scope="session")
def model_names():
    """Names of all models of `build_model`, for a test that takes them together."""
    return list(_BUILDERS)


@pytest.fixture(scope="session")
def blobs():
    """64 images near one of two constant ones, float32 of shape (64, 2, 2, 1)."""
    rng = np.random.default_rng(0)
    centres = rng.choice([-1.0, 1.0], size=(64, 1, 1, 1))
    return (centres + 0.2 * rng.normal(size=(64, *SHAPE))).astype("float32")


@pytest.fixture(scope="session")
def assert_step_by_hand():
    """Function that checks one training step against gradient descent written out in the test.

    Its arguments are a model, one batch, and functions without arguments, one for each forward
    pass in turn, from which it takes pairs (loss, networks that descend it). They and the model
    draw the same random numbers.
    """

    def check(model, x, *forward_passes, rate=0.1):
        variables = model.trainable_variables
        initial = [v.numpy() for v in variables]
        seed = model.seed_generator.state.numpy()
        for forward_pass in forward_passes:
            _descend(forward_pass, rate)
        expected = [v.numpy() for v in variables]
        for variable, value in zip(variables, initial, strict=True):
            variable.assign(value)
        model.seed_generator.state.assign(seed)
        model.compile(keras.optimizers.SGD(rate), run_eagerly=True)
        model.fit(x, batch_size=len(x), shuffle=False, verbose=0)
        for variable, value, start in zip(variables, expected, initial, strict=True):
            # Float32 rounding of steps of order 0.1, through a few operations.
            np.testing.assert_allclose(
                variable - start, value - start, rtol=1e-3, atol=2e-6, err_msg=variable.path
            )

    return check


@pytest.fixture
def assert_continues_exactly(tmp_path):
    """Function that trains a model, saves and loads it, and trains both on, which stay the same.

    Its arguments are a model and images; it returns the model that was loaded.
    """

    def check(model, x):
        model.compile(keras.optimizers.Adam(1e-2), run_eagerly=True)
        model.fit(x, batch_size=32, verbose=0)
        if hasattr(model, "fit_prior"):
            model.fit_prior(x)
        model.save(tmp_path / "model.keras")
        loaded = models.load_model(tmp_path / "model.keras")
        np.testing.assert_array_equal(model.sample(3, seed=0), loaded.sample(3, seed=0))
        for one in (model, loaded):
            one.fit(x, batch_size=32, verbose=0)
        for a, b in zip(model.get_weights(), loaded.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(model.sample(3, seed=0), loaded.sample(3, seed=0))
        return loaded

    return check


def _descend(forward_pass, rate):
    """One step of gradient descent for each pair that `forward_pass` returns, all from one tape."""
    with tf.GradientTape(persistent=True) as tape:
        pairs = forward_pass()
    steps = []
    for loss, *moved in pairs:
        for variable in [v for network in moved for v in network.trainable_variables]:
            steps.append((variable, tape.gradient(loss, variable.value)))
    for variable, gradient in steps:
        variable.assign_sub(rate * gradient)


@pytest.fixture
def bfloat16():
    """Mixed precision while a test runs."""
    keras.config.set_dtype_policy("mixed_bfloat16")
    yield
    keras.config.set_dtype_policy("float32")
