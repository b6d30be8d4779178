"""Models of MNIST's size, from the networks that `benchmark_rows.py` gives all of them

Each builder is a function (run, image_shape) to a model, or makes one; `run.pick` has the size of a
smoke run last. Autoencoders have one layer of 400 ReLU units each way and 40 latent variables if
not said otherwise, GANs and their hybrids DCGAN's networks.
"""

import functools

import keras

from tfgen import bijectors, layers, models, networks

NUM_IMAGES = 55_000
LATENT_DIM, WIDTH = 40, 400
CONTEXT_SIZE = 64

# Filters of the networks of GANs and hybrids, of VQ-VAE, and of the flows over images: between 0.3
# and 0.6 million parameters each, as the networks of 400 units have 0.7.
GAN_WIDTH, VQ_WIDTH, FLOW_WIDTH = 24, 64, 16
GLOW_WIDTH = 96


# VAEs, and the models of Sagar's Table 7.


def encoder(run, shape, head=layers.IndependentNormal, **condition):
    """q(z|x)."""
    width, latent_dim = run.pick(WIDTH, WIDTH, 32), run.pick(LATENT_DIM, LATENT_DIM, 4)
    return networks.mlp_encoder(shape, latent_dim, head, width, depth=1, **condition)


def decoder(run, shape, **condition):
    """p(x|z)."""
    width, latent_dim = run.pick(WIDTH, WIDTH, 32), run.pick(LATENT_DIM, LATENT_DIM, 4)
    return networks.mlp_decoder(shape, latent_dim, width=width, depth=1, **condition)


def vae(run, shape):
    return models.VAE(encoder(run, shape), decoder(run, shape), seed=run.seed)


def spherical_vae(run, shape):
    posterior = encoder(run, shape, layers.VonMisesFisher)
    prior = layers.SphericalUniform(posterior.output_shape[-1])
    return models.VAE(posterior, decoder(run, shape), prior, seed=run.seed)


def poincare_vae(run, shape):
    """Of 10 codes, in whose hyperbolic space float32 has room."""
    size = run.pick(10, 10, 2)
    options = {"width": width(run), "depth": 1}
    pixels = networks.mlp_decoder(shape, size, **options)
    return models.VAE(
        networks.mlp_encoder(shape, size, layers.PoincareNormal, **options),
        keras.Sequential([keras.Input((size,)), layers.PoincareLogMap(), pixels]),
        layers.PoincareNormalPrior(size),
        seed=run.seed,
    )


def relaxed_vae(run, shape):
    """20 variables of 10 classes."""
    variables, classes = run.pick((20, 10), (20, 10), (2, 3))
    size = variables * classes
    head = functools.partial(layers.RelaxedOneHot, num_classes=classes, temperature=0.5)
    return models.VAE(
        networks.mlp_encoder(shape, size, head, width(run), depth=1),
        networks.mlp_decoder(shape, size, width=width(run), depth=1),
        layers.RelaxedOneHotPrior(size, classes, temperature=0.5),
        seed=run.seed,
    )


def vamp_prior(run, shape):
    prior = layers.VampPrior(shape, num_components=50, seed=run.seed)
    return models.VAE(encoder(run, shape), decoder(run, shape), prior, seed=run.seed)


def conv_networks(run, shape):
    latent_dim = run.pick(LATENT_DIM, LATENT_DIM, 4)
    return networks.conv_encoder(shape, latent_dim), networks.conv_decoder(shape, latent_dim)


def conv_vae(run, shape):
    return models.VAE(*conv_networks(run, shape), seed=run.seed)


def iwae(num_samples, **options):
    """IWAE of so many samples."""
    return lambda run, shape: models.IWAE(
        encoder(run, shape), decoder(run, shape), num_samples=num_samples, seed=run.seed, **options
    )


def flow_vae(run, shape, flow):
    """VAE with a flow posterior whose parameters, or inputs, come from the encoder."""
    head = functools.partial(layers.FlowNormal, bijector=flow, context_size=CONTEXT_SIZE)
    return models.FlowVAE(encoder(run, shape, head), decoder(run, shape), seed=run.seed)


def planar(num_steps):
    """VAE + NF."""

    def build(run, shape):
        latent_dim = run.pick(LATENT_DIM, LATENT_DIM, 4)
        steps = run.pick(num_steps, num_steps, 2)
        return flow_vae(run, shape, bijectors.Planar(latent_dim, steps, CONTEXT_SIZE))

    return build


def sylvester(run, shape):
    """VAE + orthogonal Sylvester flow."""
    latent_dim, rank = run.pick(LATENT_DIM, LATENT_DIM, 4), run.pick(8, 8, 2)
    steps = run.pick(4, 4, 2)
    return flow_vae(run, shape, bijectors.Sylvester(latent_dim, rank, steps, CONTEXT_SIZE))


def hamiltonian(run, shape, encoder_and_decoder, leapfrog_steps):
    """HVI with networks of 300 softplus units for the velocities, forwards and back."""
    latent_dim, width = run.pick(LATENT_DIM, LATENT_DIM, 4), run.pick(300, 300, 16)
    reverse, momentum = (networks.mlp_auxiliary(shape, latent_dim, width=width) for _ in range(2))
    return models.HVI(
        *encoder_and_decoder, reverse, momentum, leapfrog_steps=leapfrog_steps, seed=run.seed
    )


def hvi(leapfrog_steps):
    """VAE + HVI."""

    def build(run, shape):
        parts = encoder(run, shape), decoder(run, shape)
        return hamiltonian(run, shape, parts, run.pick(leapfrog_steps, leapfrog_steps, 2))

    return build


def hvae(run, shape):
    """Hamiltonian VAE of 4 leapfrog steps."""
    steps = run.pick(4, 4, 2)
    return models.HVAE(
        encoder(run, shape), decoder(run, shape), leapfrog_steps=steps, seed=run.seed
    )


def iaf(run, shape):
    """VAE + IAF."""
    latent_dim, units = run.pick(LATENT_DIM, LATENT_DIM, 4), run.pick(128, 128, 8)
    return flow_vae(run, shape, bijectors.iaf(latent_dim, 4, (units, units), CONTEXT_SIZE))


def vgp(run, shape):
    """VAE + VGP."""
    latent_dim, width = run.pick(LATENT_DIM, LATENT_DIM, 4), run.pick(300, 300, 16)
    mapping = networks.GaussianProcessMapping(latent_dim, shape, width=width, seed=run.seed)
    return models.VGP(encoder(run, shape), decoder(run, shape), mapping, seed=run.seed)


def vgp_two_layers(run, shape):
    """VAE + VGP (2hl): two layers of latent variables, warped together."""
    sizes, widths = run.pick(((40, 20), (400, 200)), ((40, 20), (400, 200)), ((4, 2), (16, 8)))
    options = {"width": run.pick(WIDTH, WIDTH, 32), "depth": 1}
    pixels = networks.mlp_decoder(shape, sizes[0], **options)
    return models.VGP(
        networks.mlp_encoder(shape, sum(sizes), **options),
        networks.ladder_decoder(pixels, sizes),
        networks.GaussianProcessMapping(sum(sizes), shape, width=run.pick(300, 300, 16)),
        networks.ladder_prior(sizes, widths, depth=1, activation="relu"),
        seed=run.seed,
    )


def draw(read_size=None, write_size=None, with_vgp=False):
    """DRAW, of 64 steps; cpu: 10."""

    def build(run, shape):
        size = {
            "latent_dim": run.pick(100, 10, 2),
            "num_steps": run.pick(64, 10, 2),
            "width": run.pick(256, 256, 16),
        }
        posterior = None
        if with_vgp:
            posterior = networks.VGPPosterior(size["latent_dim"], size["width"], seed=run.seed)
        return models.DRAW(
            networks.DRAWEncoder(shape, read_size=read_size, posterior=posterior, **size),
            networks.DRAWDecoder(shape, write_size=write_size, **size),
            seed=run.seed,
        )

    return build


def ladder(run, shape):
    """Beside the table: two levels of latent variables."""
    sizes, widths = run.pick(((40, 20), (400, 200)), ((40, 20), (400, 200)), ((4, 2), (16, 8)))
    options = {"depth": 1, "activation": "relu"}
    pixels = networks.mlp_decoder(shape, sizes[0], width=widths[0], depth=1)
    return models.LadderVAE(
        networks.ladder_encoder(shape, sizes, widths, **options),
        networks.ladder_decoder(pixels, sizes),
        networks.ladder_prior(sizes, widths, **options),
        seed=run.seed,
    )


def conv_hvi(run, shape):
    """conv VAE + HVI: 16 leapfrog steps; cpu: 4."""
    return hamiltonian(run, shape, conv_networks(run, shape), run.pick(16, 4, 2))


# Autoencoders with other objectives or none.


def latent_size(run):
    return run.pick(LATENT_DIM, LATENT_DIM, 4)


def width(run):
    return run.pick(WIDTH, WIDTH, 32)


def point_encoder(run, shape):
    """z = f(x)."""
    return encoder(run, shape, head=None)


def code_discriminator(run, units=1000):
    units = run.pick(units, units, 16)
    return networks.mlp_code_discriminator(latent_size(run), units, activation="leaky_relu")


def vae_variant(model, **options):
    """Builder of a VAE with another objective, from the same two networks."""

    def build(run, shape):
        return model(encoder(run, shape), decoder(run, shape), seed=run.seed, **options)

    return build


def point_decoder(run, shape):
    """x = g(z), in (0, 1)."""
    return networks.mlp_generator(
        shape,
        latent_size(run),
        (width(run),),
        dropout=0.0,
        activation="relu",
        output_activation="sigmoid",
    )


def point_model(model, **options):
    """Builder of an autoencoder without distributions."""
    return lambda run, shape: model(
        point_encoder(run, shape), point_decoder(run, shape), seed=run.seed, **options
    )


def aae(run, shape):
    parts = point_encoder(run, shape), decoder(run, shape), code_discriminator(run)
    return models.AAE(*parts, seed=run.seed)


def factor_vae(run, shape):
    parts = encoder(run, shape), decoder(run, shape), code_discriminator(run)
    return models.FactorVAE(*parts, gamma=10.0, seed=run.seed)


def beta_tcvae(run, shape):
    size = run.pick(NUM_IMAGES, NUM_IMAGES, 1437)
    return vae_variant(models.BetaTCVAE, beta=6.0, dataset_size=size)(run, shape)


def conditional_vae(run, shape):
    parts = (make(run, shape, num_classes=10) for make in (encoder, decoder))
    return models.VAE(*parts, seed=run.seed)


def flow_prior(run, shape):
    units = run.pick(128, 128, 8)
    prior = layers.FlowPrior(bijectors.maf(latent_size(run), 4, (units, units)))
    return models.VAE(encoder(run, shape), decoder(run, shape), prior, seed=run.seed)


def vq_networks(run, shape, code_dim=64, **options):
    sizes = {"code_dim": code_dim, "width": run.pick(VQ_WIDTH, VQ_WIDTH, 8)}
    return networks.vq_encoder(shape, **sizes, **options), networks.vq_decoder(shape, **sizes)


def vq_vae(run, shape):
    return models.VQVAE(*vq_networks(run, shape), num_codes=run.pick(512, 512, 16), seed=run.seed)


def fsq_vae(run, shape):
    levels = run.pick((8, 8, 8), (8, 8, 8), (4, 4))
    parts = vq_networks(run, shape, code_dim=len(levels), normalize=True)
    return models.FSQVAE(*parts, levels=levels, seed=run.seed)


def rq_vae(run, shape):
    sizes = {"depth": run.pick(4, 4, 2), "num_codes": run.pick(512, 512, 16)}
    return models.RQVAE(*vq_networks(run, shape), **sizes, seed=run.seed)


# Densities of pixels without an encoder.


def mixture(run, shape):
    components = run.pick(500, 500, 10)
    return models.MixtureEM(components, shape, "bernoulli", min_probability=1e-3, seed=run.seed)


def image_flow(run, shape):
    flow = networks.multiscale_flow(shape, run.pick(FLOW_WIDTH, FLOW_WIDTH, 4))
    noise = bijectors.UniformDequantization(shape, run.pick(256, 256, 17))
    return models.NormalizingFlow(flow, noise, seed=run.seed)


def glow(run, shape):
    """Two scales: 28 pixels halve twice."""
    flow = networks.glow(shape, 2, run.pick(8, 8, 1), run.pick(GLOW_WIDTH, GLOW_WIDTH, 4))
    noise = bijectors.UniformDequantization(shape, run.pick(256, 256, 17))
    return models.NormalizingFlow(flow, noise, seed=run.seed)


# GANs and hybrids of DCGAN's networks, z 40, pixels in [-1, 1].


def gan_width(run):
    return run.pick(GAN_WIDTH, GAN_WIDTH, 4)


def generator(run, shape, head=None):
    return networks.dcgan_generator(shape, latent_size(run), gan_width(run), head=head)


def discriminator(run, shape, batch_norm=True):
    return networks.dcgan_discriminator(shape, gan_width(run), batch_norm)


def image_encoder(run, shape, batch_norm=False):
    return networks.dcgan_encoder(
        shape, latent_size(run), width=gan_width(run), batch_norm=batch_norm
    )


def normal_decoder(run, shape):
    """p(x|z): half the squared error, summed over pixels, in nats."""
    return generator(run, shape, layers.FixedScaleNormal)


def gan(model, batch_norm=True, **options):
    """Builder of a generator and its adversary."""

    def build(run, shape):
        parts = generator(run, shape), discriminator(run, shape, batch_norm)
        return model(*parts, seed=run.seed, **options)

    return build


def spectral_gan(run, shape):
    judge = networks.dcgan_discriminator(shape, gan_width(run), False, spectral_norm=True)
    return models.GAN(generator(run, shape), judge, loss="hinge", seed=run.seed)


# GANs that are given the class.


def class_generator(run, shape, **options):
    options = {"num_classes": 10, **options}
    return networks.dcgan_generator(shape, latent_size(run), gan_width(run), **options)


def conditional_gan(run, shape):
    judge = networks.dcgan_discriminator(shape, gan_width(run), num_classes=10)
    return models.GAN(class_generator(run, shape), judge, seed=run.seed)


def projection_gan(run, shape):
    judge = networks.dcgan_discriminator(
        shape, gan_width(run), False, spectral_norm=True, projection=True, num_classes=10
    )
    made = class_generator(run, shape, conditional_norm=True)
    return models.GAN(made, judge, loss="hinge", seed=run.seed)


def ac_gan(run, shape):
    judge = networks.dcgan_encoder(shape, 1 + 10, None, gan_width(run))
    return models.ACGAN(class_generator(run, shape), judge, seed=run.seed)


def info_gan(run, shape):
    """Of 40 latents as the others have, ten are categories and two continuous."""
    prior = layers.InfoGANPrior(
        run.pick(28, 28, 1), (run.pick(10, 10, 2),), num_continuous=run.pick(2, 2, 1)
    )
    auxiliary = networks.dcgan_encoder(shape, prior.num_parameters, None, gan_width(run))
    parts = generator(run, shape), discriminator(run, shape), auxiliary
    return models.InfoGAN(*parts, prior, seed=run.seed)


def hybrid(model, batch_norm=False, **options):
    """Builder of a VAE whose images an adversary judges."""

    def build(run, shape):
        parts = image_encoder(run, shape), normal_decoder(run, shape)
        return model(*parts, discriminator(run, shape, batch_norm), seed=run.seed, **options)

    return build


def ali(run, shape):
    """Batch normalization holds the codes back, which otherwise leave the prior for good."""
    features = networks.dcgan_encoder(
        shape, run.pick(128, 128, 8), head=None, width=gan_width(run), batch_norm=True
    )
    judge = networks.joint_discriminator(
        shape, latent_size(run), (run.pick(256, 256, 16),), dropout=0.0, image_network=features
    )
    pair = image_encoder(run, shape, batch_norm=True), generator(run, shape)
    return models.ALI(*pair, judge, seed=run.seed)


def alpha_gan(run, shape):
    return models.AlphaGAN(
        image_encoder(run, shape),
        generator(run, shape),
        discriminator(run, shape, batch_norm=False),
        code_discriminator(run, units=256),
        reconstruction_weight=0.1,
        seed=run.seed,
    )
