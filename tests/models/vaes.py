"""A tiny VAE of every class, for tests that hold for all of them."""

import functools

import keras

from tfgen import bijectors, layers, models, networks

SHAPE, LATENT = (4, 4, 1), 3
SIZE = {"width": 8}


def encoder(head=None, **condition):
    return networks.mlp_encoder(
        SHAPE, LATENT, **({"head": head} if head else {}), **SIZE, **condition
    )


def decoder(**condition):
    return networks.mlp_decoder(SHAPE, LATENT, **SIZE, **condition)


def critic():
    return networks.mlp_encoder(SHAPE, 1, head=None, **SIZE)


def flow_head(make=bijectors.iaf):
    steps = make(LATENT, num_steps=1, hidden=(4,), context_size=2)
    return functools.partial(layers.FlowNormal, bijector=steps, context_size=2)


def plain(cls, **fixed):
    return lambda base=cls, **kwargs: base(encoder(), decoder(), **{**fixed, **kwargs})


def flow(base=models.FlowVAE, **kwargs):
    return base(encoder(flow_head()), decoder(), **kwargs)


def semi_supervised(base=models.SemiSupervisedVAE, **kwargs):
    classifier = networks.mlp_encoder(SHAPE, 2, head=None, **SIZE)
    return base(encoder(num_classes=2), decoder(num_classes=2), classifier, **kwargs)


def of_missing_data(cls):
    return lambda base=cls, **kwargs: base(encoder(condition_shape=SHAPE), decoder(), **kwargs)


def factor(base=models.FactorVAE, **kwargs):
    return base(
        encoder(), decoder(), networks.mlp_code_discriminator(LATENT, depth=1, **SIZE), **kwargs
    )


def hvi(base=models.HVI, **kwargs):
    auxiliary = networks.mlp_auxiliary(SHAPE, LATENT, **SIZE)
    return base(encoder(), decoder(), auxiliary, **{"leapfrog_steps": 1, **kwargs})


def vgp(base=models.VGP, **kwargs):
    mapping = networks.GaussianProcessMapping(LATENT, SHAPE, 2, num_points=2, seed=0, **SIZE)
    return base(encoder(), decoder(), mapping, **kwargs)


def ladder(base=models.LadderVAE, **kwargs):
    return base(
        networks.ladder_encoder(SHAPE, (2, 1), (8, 8)),
        networks.ladder_decoder(networks.mlp_decoder(SHAPE, 2, **SIZE), (2, 1)),
        **{"prior": networks.ladder_prior((2, 1), (8, 8)), **kwargs},
    )


def draw(base=models.DRAW, **kwargs):
    size = {"latent_dim": LATENT, "num_steps": 2, "width": 8}
    return base(networks.DRAWEncoder(SHAPE, **size), networks.DRAWDecoder(SHAPE, **size), **kwargs)


def adversarial(cls):
    return lambda base=cls, **kwargs: base(encoder(), decoder(), critic(), **kwargs)


BUILDERS = {
    models.VAE: plain(models.VAE),
    models.BetaVAE: plain(models.BetaVAE),
    models.AdaGVAE: plain(models.AdaGVAE),
    models.BetaTCVAE: plain(models.BetaTCVAE, dataset_size=100),
    models.FactorVAE: factor,
    models.DIPVAE: plain(models.DIPVAE),
    models.InfoVAE: plain(models.InfoVAE, lambda_mmd=10.0),
    models.IWAE: plain(models.IWAE, num_samples=3),
    models.FlowVAE: flow,
    models.SemiSupervisedVAE: semi_supervised,
    models.MissingDataVAE: of_missing_data(models.MissingDataVAE),
    models.MIWAE: of_missing_data(models.MIWAE),
    models.HVAE: plain(models.HVAE, leapfrog_steps=1),
    models.HVI: hvi,
    models.VGP: vgp,
    models.LadderVAE: ladder,
    models.DRAW: draw,
    models.VAEGAN: adversarial(models.VAEGAN),
    models.ConstrainedVAEGAN: adversarial(models.ConstrainedVAEGAN),
    models.GVAE: adversarial(models.GVAE),
}


def build(cls, base=None, **kwargs):
    """A model of a class, or of `base`, a class derived from it."""
    keras.utils.set_random_seed(0)
    return BUILDERS[cls](base or cls, **{"seed": 0, **kwargs})
