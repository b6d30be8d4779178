"""The networks of Sagar's paper, Section 4.2 and Tables 1 and 2, and small DCGANs for a CPU."""

import functools

from paper_script import write_text

from tfgen import layers, networks

RESIDUAL_WIDTH = {"paper": 64, "cpu": None, "smoke": None}
DCGAN_WIDTH = {"paper": 64, "cpu": 8, "smoke": 4}
SCALE = 1.0

# The critics of all models are the same, without batch normalization.


def residual_width(run):
    """Filters of the residual networks; None for DCGANs."""
    return run.args.residual_width or run.pick(**RESIDUAL_WIDTH)


def encoder(run, image_shape, latent_dim, head=layers.IndependentNormal):
    """q(z|x), four convolutions."""
    if width := residual_width(run):
        return networks.gvae_encoder(image_shape, latent_dim, head, width)
    width = run.pick(**DCGAN_WIDTH)
    return networks.dcgan_encoder(image_shape, latent_dim, head, width, batch_norm=False)


def generator(run, image_shape, latent_dim, head=None, output_activation="tanh"):
    """Table 1."""
    kwargs = {"output_activation": output_activation, "head": head}
    if width := residual_width(run):
        return networks.residual_generator(image_shape, latent_dim, width, **kwargs)
    return networks.dcgan_generator(image_shape, latent_dim, run.pick(**DCGAN_WIDTH), **kwargs)


def normal_decoder(run, image_shape, latent_dim):
    """p(x|z): half the squared error, summed over pixels in [-1, 1], in nats."""
    head = functools.partial(layers.FixedScaleNormal, scale=SCALE)
    return generator(run, image_shape, latent_dim, head)


def bernoulli_decoder(run, image_shape, latent_dim):
    """p(x|z) of binary pixels."""
    return generator(run, image_shape, latent_dim, layers.IndependentBernoulli, None)


def critic(run, image_shape):
    """Table 2."""
    if width := residual_width(run):
        return networks.residual_discriminator(image_shape, width)
    return networks.dcgan_discriminator(image_shape, run.pick(**DCGAN_WIDTH), batch_norm=False)


def printed_networks(run):
    """Builds the residual networks for 128 x 128 images and writes down all layers."""
    size, width = run.pick(128, 128, 32), run.args.residual_width or run.pick(64, 64, 4)
    shape = (size, size, 3)
    built = {
        "generator": networks.residual_generator(shape, width=width),
        "discriminator": networks.residual_discriminator(shape, width),
        "encoder": networks.gvae_encoder(shape, 512, width=width),
    }
    lines = []
    for network in built.values():
        network.summary(line_length=110, print_fn=lines.append)
    write_text(run.folder / "layers.txt", "\n".join(lines))
    return {f"{name}_parameters": float(net.count_params()) for name, net in built.items()}
