"""Models with one argument damaged at a time: refused by us, by the argument's name."""

import functools
import pathlib
import sys

import numpy as np
import pytest
import tensorflow as tf
from vaes import LATENT, SHAPE, critic, decoder, encoder, flow_head

from tfgen import bijectors, layers, models, networks
from tfgen._utils.constructors import KERAS_ARGUMENTS, constructor_arguments
from tfgen.models.training_data import Conditioned

sys.path.append(str(pathlib.Path(__file__).parents[1]))

from damage import Call, damaged_calls, failures, outcome  # noqa: E402

N = 3


def normal(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


X = (normal(N, *SHAPE) > 0).astype("float32")
Z = normal(N, LATENT)
SEED = np.array([1, 2], "int32")


# Constructors.

_SIZE = {"width": 8}


def _plain():
    return networks.mlp_encoder(SHAPE, LATENT, head=None, **_SIZE)


def _image():
    return networks.mlp_decoder(SHAPE, LATENT, head=None, **_SIZE)


def _pixels():
    return networks.mlp_generator(SHAPE, LATENT, width=8, output_activation="sigmoid")


def _prior():
    return layers.StandardNormal(LATENT)


def _deterministic():
    return dict(encoder=_plain(), decoder=_image())


def _networks():
    return dict(encoder=encoder(), decoder=decoder())


_KL = dict(beta=1.0, capacity=None)
_FREE = dict(beta=1.0, free_bits=0.1)
_JUDGE = dict(instance_noise=0.1, augment="color,cutout", generator_average=0.9)
_GAN = dict(proximity=1.0, generator_steps=2, r1=0.1, **_JUDGE)
_ADVERSARY = dict(discriminator_steps=2, label_smoothing=0.0, r1=0.1, **_JUDGE)


def _gan():
    return dict(generator=_image(), discriminator=critic(), prior=_prior())


def _ladder():
    return dict(
        encoder=networks.ladder_encoder(SHAPE, (2, 1), (8, 8)),
        decoder=networks.ladder_decoder(networks.mlp_decoder(SHAPE, 2, **_SIZE), (2, 1)),
        prior=networks.ladder_prior((2, 1), (8, 8)),
    )


def _draw():
    size = {"latent_dim": LATENT, "num_steps": 2, "width": 8}
    return dict(
        encoder=networks.DRAWEncoder(SHAPE, **size), decoder=networks.DRAWDecoder(SHAPE, **size)
    )


def _code_critic():
    return networks.mlp_code_discriminator(LATENT, depth=1, **_SIZE)


def _auxiliary():
    return networks.mlp_auxiliary(SHAPE, LATENT, **_SIZE)


def _mapping():
    return networks.GaussianProcessMapping(LATENT, SHAPE, 2, num_points=2, seed=0, **_SIZE)


def _constructors():
    """Arguments of each class, with every one that it takes beside those of all Keras models."""
    prior = _prior()
    vae = dict(**_networks(), prior=prior)
    auto = dict(**_deterministic(), prior=prior)
    pixels = dict(encoder=_plain(), decoder=_pixels(), prior=prior)
    return {
        "AAE": dict(
            **auto,
            **{k: v for k, v in _ADVERSARY.items() if k != "augment"},
            code_discriminator=_code_critic(),
            reconstruction_weight=1.0,
            loss="hinge",
        ),
        "ACGAN": dict(
            generator=networks.mlp_decoder(SHAPE, LATENT, head=None, num_classes=2, **_SIZE),
            discriminator=networks.mlp_encoder(SHAPE, 1 + 2, head=None, **_SIZE),
            prior=prior,
            **_GAN,
            loss="hinge",
            discriminator_steps=2,
            label_smoothing=0.0,
            class_weight=0.5,
        ),
        "AE": dict(**pixels, reconstruction_loss="ms_ssim"),
        "AdaGVAE": dict(**vae, **_KL, free_bits=None),
        "ALI": dict(
            **auto,
            discriminator=networks.joint_discriminator(SHAPE, LATENT, width=(8,)),
            objective="minimax",
            **{**_ADVERSARY, "label_smoothing": 0.1},
        ),
        "AlphaGAN": dict(
            **auto,
            discriminator=critic(),
            code_discriminator=_code_critic(),
            reconstruction_weight=1.0,
            loss="hinge",
            **_ADVERSARY,
        ),
        "BetaTCVAE": dict(
            **vae, dataset_size=100, alpha=1.0, beta=6.0, gamma=1.0, estimator="weighted"
        ),
        "BetaVAE": dict(
            encoder=encoder(num_classes=2),
            decoder=decoder(num_classes=2),
            prior=prior,
            **_FREE,
            capacity=None,
        ),
        "ConstrainedVAEGAN": dict(
            **vae,
            discriminator=critic(),
            bound=1.0,
            multiplier=1.0,
            dual_rate=0.1,
            loss="non_saturating",
            feature_layer=None,
            **_ADVERSARY,
        ),
        "DIPVAE": dict(**vae, **_FREE, kind="ii", lambda_od=1.0, lambda_d=2.0),
        "DRAW": dict(**_draw(), **_FREE),
        "FSQVAE": dict(
            encoder=_plain(),
            decoder=decoder(),
            prior=layers.CodeFrequencies(1, 2**LATENT),
            levels=[2] * LATENT,
        ),
        "FactorVAE": dict(**vae, code_discriminator=_code_critic(), gamma=2.0),
        "FlowVAE": dict(encoder=encoder(flow_head()), decoder=decoder(), prior=prior, beta=1.0),
        "GAN": dict(**_gan(), **_GAN, loss="hinge", discriminator_steps=2, label_smoothing=0.0),
        "GVAE": dict(
            **vae,
            discriminator=critic(),
            gan_weight=1.0,
            gradient_penalty=1.0,
            discriminator_steps=2,
            **_JUDGE,
        ),
        "HVAE": dict(
            **vae,
            leapfrog_steps=1,
            step_size=0.1,
            max_step_size=0.5,
            tempering="free",
            temperature=2.0,
        ),
        "HVI": dict(
            **vae,
            reverse=_auxiliary(),
            momentum=_auxiliary(),
            num_iterations=1,
            leapfrog_steps=1,
            step_size=0.1,
            max_step_size=0.5,
        ),
        "IWAE": dict(
            **vae,
            num_samples=2,
            estimator="reparameterized",
            beta=1.0,
            num_groups=2,
            elbo_weight=0.5,
            partial=True,
        ),
        "InfoGAN": dict(
            generator=_image(),
            discriminator=critic(),
            auxiliary=networks.mlp_encoder(SHAPE, 2, head=None, **_SIZE),
            prior=layers.InfoGANPrior(1, (2,)),
            **_GAN,
            loss="hinge",
            discriminator_steps=2,
            label_smoothing=0.0,
            info_weight=0.5,
        ),
        "InfoVAE": dict(**vae, alpha=0.5, lambda_mmd=2.0, kernel="gaussian"),
        "LadderVAE": dict(**_ladder(), **_FREE),
        "MIWAE": dict(
            encoder=encoder(condition_shape=SHAPE),
            decoder=decoder(),
            prior=prior,
            num_samples=2,
            estimator="doubly_reparameterized",
            beta=1.0,
            num_groups=2,
            elbo_weight=0.5,
            partial=True,
        ),
        "MissingDataVAE": dict(
            encoder=encoder(condition_shape=SHAPE), decoder=decoder(), prior=prior, **_FREE
        ),
        "MixtureEM": dict(
            num_components=2,
            data_shape=(2,),
            components="full",
            reg_covar=1e-6,
            min_probability=1e-6,
            kappa=0.9,
        ),
        "NormalizingFlow": dict(
            bijector=bijectors.ActNorm(SHAPE),
            dequantization=bijectors.UniformDequantization(SHAPE, num_values=2),
            prior=layers.StandardNormal(SHAPE),
        ),
        "VAE": dict(**vae, **_KL, free_bits=None),
        "VAEGAN": dict(
            **vae,
            **_ADVERSARY,
            discriminator=critic(),
            gan_weight=1.0,
            loss="hinge",
            feature_layer=None,
        ),
        "VGP": dict(**vae, mapping=_mapping(), beta=1.0),
        "VQVAE": dict(
            encoder=_plain(),
            decoder=decoder(),
            prior=layers.CodeFrequencies(LATENT, 4),
            num_codes=4,
            code_dim=1,
            commitment=0.25,
            decay=0.99,
            restart_below=0.1,
        ),
        "SemiSupervisedVAE": dict(
            encoder=encoder(num_classes=2),
            decoder=decoder(num_classes=2),
            classifier=networks.mlp_encoder(SHAPE, 2, head=None, **_SIZE),
            classifier_weight=1.0,
            prior=prior,
            **_KL,
            free_bits=None,
        ),
        "RAE": dict(
            **pixels,
            kind="gradient",
            embedding_weight=0.1,
            reg_weight=0.1,
            reconstruction_loss="ms_ssim",
        ),
        "RQVAE": dict(
            encoder=_plain(),
            decoder=decoder(),
            prior=layers.CodeFrequencies(2 * LATENT, 4),
            depth=2,
            shared=False,
            num_codes=4,
            code_dim=1,
            commitment=0.25,
            decay=0.99,
            restart_below=0.1,
        ),
        "WAE": dict(**pixels, lambda_mmd=1.0, kernel="gaussian", reconstruction_loss="ms_ssim"),
        "WGAN": dict(**_gan(), **_GAN, clip=0.01, discriminator_steps=2),
        "WGANGP": dict(
            **_gan(),
            **{k: v for k, v in _GAN.items() if k != "r1"},
            gradient_penalty=1.0,
            discriminator_steps=2,
            one_sided=True,
        ),
    }


CONSTRUCTORS = {
    name: Call(getattr(models, name), {**arguments, "seed": 0})
    for name, arguments in _constructors().items()
}


# Methods.

OF_CLASSES = ("ACGAN", "BetaVAE", "SemiSupervisedVAE")


@functools.cache
def model(name):
    arguments = {**CONSTRUCTORS[name].arguments}
    built = getattr(models, name)(**arguments)
    if name == "MixtureEM":
        built.set_parameters(np.eye(2), np.stack([np.eye(2)] * 2))
    return built


def _images(name):
    """Data of a model, and what it takes beside x, z and a number of samples."""
    condition = {"condition": np.array([0, 1, 0])} if name in OF_CLASSES else {}
    return (normal(N, 2) if name == "MixtureEM" else X), condition


def _latent_methods(name):
    shape = model(name).latent_shape
    z, condition = normal(N, *shape), {"condition": 1} if name in OF_CLASSES else {}
    yield "sample", dict(num_samples=N, seed=0, mean=True, **condition)
    yield "sample_latents", dict(num_samples=2, seed=0)
    yield "sample_latents", dict(num_samples=2, seed=SEED)
    yield "generate", dict(z=z, **condition)
    yield "decode", dict(z=z, **condition)
    yield "interpolate_latents", dict(start=z, end=z, num_steps=2, **condition)
    yield "traverse_latents", dict(z=z[0], dims=[0], values=[1.0, 2.0], **condition)
    if condition:
        yield "given", condition


def _data_methods(name):
    x, condition = _images(name)
    yield "embed", dict(x=x, **condition)
    yield "encode", dict(x=x, **condition)
    yield "reconstruct", dict(x=x, **condition)
    yield "interpolate", dict(start=x, end=x, num_steps=2, **condition)
    yield (
        "traverse",
        dict(x=x[0], dims=[0], values=[1.0, 2.0], **({"condition": 1} if condition else {})),
    )


def _densities(name):
    x, condition = _images(name)
    yield "log_prob", dict(x=x, num_samples=2, seed=0, **condition)
    x = Conditioned(x, *condition.values()) if condition else x
    yield "log_weights", dict(x=x, num_samples=2, seed=SEED, training=False)
    z = normal(N, *model(name).latent_shape)
    yield "log_likelihood", dict(x=x, z=z, training=False)
    yield "log_joint", dict(x=x, z=z, training=False)


def _methods(name):
    """Names of the public methods of a model for its data, with valid arguments."""
    kind = getattr(models, name)
    if hasattr(kind, "generate"):
        yield from _latent_methods(name)
    if hasattr(kind, "embed"):
        yield from _data_methods(name)
    if hasattr(kind, "log_joint"):
        yield from _densities(name)
    x = _images(name)[0]
    if name == "NormalizingFlow":
        for method in ("latent", "initialize"):
            yield method, dict(x=x)
        yield "log_weights", dict(x=x, num_samples=2, seed=SEED)
        yield "interpolate", dict(start=x, end=x, num_steps=2)
    if name == "MixtureEM":
        for method in ("log_prob", "responsibilities"):
            yield method, dict(x=x)
        yield "initialize", dict(x=normal(30, 2))
        yield "log_weights", dict(x=x, num_samples=2, seed=SEED)
        yield "sample", dict(num_samples=2, seed=0, mean=True)
        covariances = np.stack([np.eye(2)] * 2)
        yield (
            "set_parameters",
            dict(means=np.eye(2), covariances=covariances, weights=np.array([0.5, 0.5])),
        )
    if issubclass(kind, models.VQVAE):
        for method in ("indices", "fit_prior"):
            yield method, dict(x=x)
        indices = np.zeros((N, model(name).num_indices), "int32")
        yield "decoder_input", dict(indices=indices)
    if issubclass(kind, models.MissingDataVAE):
        yield "impute", dict(x=x, mask=X, num_samples=3, seed=0)
    if name == "SemiSupervisedVAE":
        yield "classify", dict(x=x)
    if name == "InfoGAN":
        yield "predict_codes", dict(x=x)
    if name == "DRAW":
        yield "canvases", dict(z=normal(N, 2, LATENT))


@functools.cache
def _trained(name):
    built = CONSTRUCTORS[name]()
    if name == "MixtureEM":
        built.set_parameters(np.eye(2), np.stack([np.eye(2)] * 2))
    else:
        built.compile("adam", run_eagerly=True)
    return built


_FIT = dict(
    batch_size=2,
    epochs=1,
    initial_epoch=0,
    shuffle=True,
    steps_per_epoch=1,
    validation_steps=1,
    validation_split=0.4,
    verbose=0,
)


def training():
    """What Keras has too, of a model of each family."""
    for name in ("AE", "BetaVAE", "MixtureEM", "NormalizingFlow", "VAE"):
        x, condition = _images(name)
        pair = {"x": x, **({"y": condition["condition"]} if condition else {})}
        x = [x, *condition.values()] if condition else x
        trained, inputs = _trained(name), x
        yield f"{name}.fit", Call(functools.partial(_fit, trained), {**pair, **_FIT})
        yield (
            f"{name}.evaluate",
            Call(trained.evaluate, {**pair, "batch_size": 2, "steps": 1, "verbose": 0}),
        )
        yield f"{name}.train_on_batch", Call(trained.train_on_batch, pair)
        yield f"{name}.test_on_batch", Call(trained.test_on_batch, pair)
        yield (
            f"{name}.predict",
            Call(trained.predict, {"x": inputs, "batch_size": 2, "steps": None, "verbose": 0}),
        )
        options = {} if name == "MixtureEM" else {"optimizer": "adam", "auto_scale_loss": True}
        yield (
            f"{name}.compile",
            Call(
                CONSTRUCTORS[name]().compile,
                {"steps_per_execution": 1, "jit_compile": False, "run_eagerly": True, **options},
            ),
        )


def _fit(model, **arguments):
    model.stop_training = False
    model.fit(**arguments)


def functions(folder):
    saved = folder / "model.keras"
    model("VAE").save(saved)
    options = dict(filepath=folder / "served", format="tf_saved_model", batch_size=2, verbose=False)
    chosen = dict(endpoints=["reconstruct"])
    return {
        "load_model": Call(models.load_model, {"filepath": saved}),
        "export_model": Call(models.export_model, {"model": model("VAE"), **chosen, **options}),
        "VAE.export": Call(model("VAE").export, {**chosen, **options}),
        "export_network": Call(
            models.export_network,
            {"network": model("VAE").encoder, "endpoints": ["mean"], **options},
        ),
    }


def _conditional_flow():
    """Methods of a flow of p(x|c), with a condition for each example."""
    flow = models.NormalizingFlow(bijectors.maf(2, 1, hidden=(4,), context_size=2), seed=0)
    x, condition = normal(N, 2), {"condition": normal(N, 2)}
    for method in ("log_prob", "latent", "initialize"):
        yield f"flow of p(x|c).{method}", Call(getattr(flow, method), dict(x=x, **condition))
    for method in ("decode", "generate"):
        yield f"flow of p(x|c).{method}", Call(getattr(flow, method), dict(z=x, **condition))
    sampling = dict(num_samples=N, seed=0, mean=True, **condition)
    yield "flow of p(x|c).sample", Call(flow.sample, sampling)
    weights = dict(x=Conditioned(x, *condition.values()), num_samples=2, seed=SEED)
    yield "flow of p(x|c).log_weights", Call(flow.log_weights, weights)


def methods():
    yield from _conditional_flow()
    for name in sorted(CONSTRUCTORS):
        for number, (method, arguments) in enumerate(_methods(name)):
            function = getattr(model(name), method)
            yield f"{name}.{method}/{number}", Call(function, arguments)


# Tests.

# Bases, records that are no calls, and what test_pretrained.py damages.
NOT_CALLED = {"AuxiliaryVAE", "Draw", "GenerativeModel", "ResumableModel", "Update"}
NOT_CALLED |= {"load_pretrained", "pretrained_models"}
# Arguments of a parent, damaged for that one.
PARENTS = {"beta", "capacity", "free_bits", "prior", "seed", "feature_layer"}


@pytest.fixture(autouse=True)
def folder_of_its_own(tmp_path, monkeypatch):
    """A damaged path may be a right one."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    return {
        "constructors": CONSTRUCTORS,
        "methods": dict(methods()),
        "functions": functions(tmp_path_factory.mktemp("files")),
        "training": dict(training()),
    }


KINDS = ("constructors", "methods", "functions", "training")


def test_all_public_callables_are_in_the_tables(tables):
    called = {*tables["constructors"], *tables["functions"]} - {"VAE.export"}
    assert called == set(models.__all__) - NOT_CALLED


@pytest.mark.parametrize("name", CONSTRUCTORS)
def test_constructors_are_called_with_all_their_arguments(name):
    taken = {*constructor_arguments(getattr(models, name))} - {*KERAS_ARGUMENTS, *PARENTS}
    assert taken - {"autocast"} <= set(CONSTRUCTORS[name].arguments) | {"generator_steps"}


@pytest.mark.parametrize("kind", KINDS)
def test_the_calls_are_valid(tables, kind):
    for call in tables[kind].values():
        call()


@pytest.mark.parametrize("kind", KINDS)
def test_a_sample_of_damaged_calls_is_refused_by_name(tables, kind):
    damaged = list(damaged_calls(tables[kind]))
    rows = np.random.default_rng(0).permutation(len(damaged))[:150]
    assert not list(failures(damaged[row] for row in rows))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_damaged_call_is_refused_by_name(tables, kind):
    assert not list(failures(damaged_calls(tables[kind])))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS[:3])
def test_few_damaged_calls_return(tables, kind):
    """Those whose damage is a right value: another weight, no examples, NaN among numbers."""
    damaged = list(damaged_calls(tables[kind]))
    returned = [each for each in damaged if outcome(each).kind == "returned"]
    # From 5 to 12 %; more would mean that an argument lost its check.
    assert len(returned) < 0.13 * len(damaged)


# What the messages say.


def networks_of(name):
    return list(CONSTRUCTORS[name].arguments.values())[:2]


@pytest.mark.parametrize(
    "build, message",
    [
        (
            lambda: models.BetaVAE(*networks_of("BetaVAE"), 4.0),
            r"Argument 3 of BetaVAE is the prior.*Received: prior=4.0.*by keyword.*beta=",
        ),
        (
            lambda: models.IWAE(*networks_of("IWAE"), 5),
            "Argument 3 of IWAE is the prior.*Received: prior=5.*num_samples=",
        ),
        (
            lambda: models.WGAN(*networks_of("GAN"), prior=0),
            "The prior of a WGAN is.*Received: prior=0",
        ),
        (
            lambda: models.VAE("a", networks_of("VAE")[1]),
            "The encoder must be a Keras model.*Received: 'a'",
        ),
        (
            lambda: models.AAE(**{**CONSTRUCTORS["AAE"].arguments, "reconstruction_weight": None}),
            "reconstruction_weight weights a term.*Received: reconstruction_weight=None",
        ),
    ],
)
def test_a_wrong_argument_of_a_constructor_is_named(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_densities_compare_each_example_with_its_own_latents():
    """Shapes that would broadcast against each other are refused."""
    vae = model("VAE")
    for x, z in [(X[0], Z), (X[None], Z), (X[:2], Z), (X, Z[0])]:
        with pytest.raises(ValueError, match="must have shape"):
            vae.log_joint(x, z)
    draws = np.stack([Z, Z + 1])
    expected = np.stack([vae.log_joint(X, z) for z in draws])
    np.testing.assert_allclose(vae.log_joint(X, draws), expected, rtol=1e-6)
    assert vae.log_likelihood(X.tolist(), Z.tolist()).shape == (N,)


@pytest.mark.parametrize("seed", [-1, "x", 0.5, [0], [0.0, 1.0], [[1], [2, 3]]])
def test_seeds_of_draws(seed):
    for draw in (model("VAE").sample_latents, model("MixtureEM").sample):
        with pytest.raises(ValueError, match="seed must be"):
            draw(2, seed=seed)


def test_steps_of_training_have_no_further_operations():
    """What is checked is known before a step runs."""

    @tf.function(input_signature=[tf.TensorSpec((None, *SHAPE))])
    def unchecked(x):
        return tf.identity(x)

    @tf.function(input_signature=[tf.TensorSpec((None, *SHAPE))])
    def checked(x):
        return tf.identity(model("VAE").inputs(model("VAE").examples(x)))

    kinds = [
        sorted(op.type for op in function.get_concrete_function().graph.get_operations())
        for function in (unchecked, checked)
    ]
    assert kinds[0] == kinds[1]
