"""The models of the PyTorch contenders, as one would write them by hand: losses as tfgen has them.

`steps_tfgen` builds the same in tfgen. Images have the shape (batch, 1, 28, 28).
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from contenders import torch_networks as networks

__all__ = [
    "DRAW",
    "GAN",
    "HVI",
    "IAF",
    "IWAE",
    "VAE",
    "VAEGAN",
    "VQVAE",
    "WGANGP",
    "BetaTCVAE",
    "FactorVAE",
    "FlowVAE",
    "ImageFlow",
    "Planar",
    "Turn",
    "VampPrior",
]

LATENT_DIM, WIDTH = 40, 400
CONTEXT_SIZE = 64
# softplus(_SHIFT) = 1
_SHIFT = math.log(math.e - 1)


class Turn(NamedTuple):
    """One forward pass and the steps that follow it.

    Attributes:
        losses: function from images to a tuple of losses.
        players: tuple of modules, what each of the losses moves.
        part: slice of the batch that `losses` is given.
    """

    losses: Callable
    players: tuple
    part: slice = slice(None)


class Model(nn.Module):
    """A model with one loss, unless it has other turns."""

    def turns(self, batch_size):
        """List of `Turn`."""
        return [Turn(self.losses, (self,))]

    def losses(self, x):
        """One loss for each player."""
        return (self.loss(x),)

    def loss(self, x):
        """Mean over the batch, in nats."""
        raise NotImplementedError


# Densities, in nats. A normal is a pair (loc, scale).


def normal(parameters):
    """A diagonal normal of a network's output."""
    loc, raw = parameters.chunk(2, dim=-1)
    return loc, functional.softplus(raw)


def draw(loc, scale):
    """One reparameterized draw."""
    return loc + scale * torch.randn_like(scale)


def log_normal(z, loc, scale):
    """Log-density, of each dimension."""
    return -0.5 * ((z - loc) / scale).square() - scale.log() - 0.5 * math.log(2 * math.pi)


def log_prior(z):
    """Log-density of the standard normal."""
    return (-0.5 * z.square() - 0.5 * math.log(2 * math.pi)).sum(-1)


def kl_to_prior(loc, scale):
    """KL divergence of a diagonal normal to the standard one."""
    return (0.5 * (loc.square() + scale.square() - 1) - scale.log()).sum(-1)


def bernoulli_nll(logits, images):
    """Negative log-likelihood of each image."""
    nll = functional.binary_cross_entropy_with_logits(logits, images, reduction="none")
    return nll.flatten(1).sum(1)


def differentiable_gradient(function, x):
    """Gradient of a function in x, to be differentiated once more."""
    if torch.compiler.is_compiling():  # It cannot do so with the faster way.
        return torch.func.grad(function)(x)
    x = x if x.requires_grad else x.requires_grad_()
    return torch.autograd.grad(function(x), x, create_graph=True)[0]


# VAEs.


class VAE(Model):
    """Kingma & Welling, arXiv:1312.6114v10."""

    def __init__(self, encoder=None, decoder=None, num_outputs=2 * LATENT_DIM):
        super().__init__()
        self.encoder = encoder or networks.mlp_encoder(num_outputs, WIDTH)
        self.decoder = decoder or networks.mlp_decoder(LATENT_DIM, WIDTH)

    def loss(self, x):
        loc, scale = normal(self.encoder(x))
        z = draw(loc, scale)
        return (bernoulli_nll(self.decoder(z), x) + self.kl(z, loc, scale)).mean()

    def kl(self, z, loc, scale):
        return kl_to_prior(loc, scale)


class VampPrior(VAE):
    """Tomczak & Welling, arXiv:1705.07120v5."""

    def __init__(self, num_components=50):
        super().__init__()
        self.pseudo_inputs = nn.Parameter(torch.randn(num_components, 1, 28, 28))

    def kl(self, z, loc, scale):
        locs, scales = normal(self.encoder(self.pseudo_inputs.sigmoid()))
        log_components = log_normal(z[:, None], locs, scales).sum(-1)
        log_mixture = log_components.logsumexp(1) - math.log(len(locs))
        return log_normal(z, loc, scale).sum(-1) - log_mixture


class IWAE(VAE):
    """Burda et al., arXiv:1509.00519v4."""

    def __init__(self, num_samples):
        super().__init__()
        self.num_samples = num_samples

    def loss(self, x):
        loc, scale = normal(self.encoder(x))
        z = draw(loc, scale.expand(self.num_samples, *scale.shape))
        nll = bernoulli_nll(self.decoder(z.flatten(0, 1)), x.repeat(self.num_samples, 1, 1, 1))
        kl = log_normal(z, loc, scale).sum(-1) - log_prior(z)
        log_weights = -nll.view_as(kl) - kl
        return (math.log(self.num_samples) - log_weights.logsumexp(0)).mean()


class BetaTCVAE(VAE):
    """Chen et al., arXiv:1802.04942v5, with the stratified weights averaged over orders."""

    def __init__(self, dataset_size, beta=6.0):
        super().__init__()
        self.dataset_size, self.beta = dataset_size, beta

    def kl(self, z, loc, scale):
        log_weights = self._log_weights(len(z), z.device)
        pairs = log_normal(z[:, None], loc, scale)
        log_qz = (pairs.sum(-1) + log_weights).logsumexp(1)
        log_product = (pairs + log_weights[..., None]).logsumexp(1).sum(-1)
        total_correlation = log_qz - log_product
        return kl_to_prior(loc, scale) + (self.beta - 1) * total_correlation

    def _log_weights(self, batch_size, device):
        others = (self.dataset_size - 1) / (self.dataset_size * (batch_size - 1))
        weights = torch.full((batch_size, batch_size), math.log(others), device=device)
        return weights.fill_diagonal_(-math.log(self.dataset_size))


class FactorVAE(VAE):
    """Kim & Mnih, arXiv:1802.05983v3, with both losses from one batch."""

    def __init__(self, gamma=10.0):
        super().__init__()
        self.gamma = gamma
        sizes = LATENT_DIM, *5 * (1000,), 1
        self.discriminator = networks.mlp(*sizes, activation=lambda: nn.LeakyReLU(0.2))

    def turns(self, batch_size):
        vae = nn.ModuleList([self.encoder, self.decoder])
        return [Turn(self.losses, (vae, self.discriminator))]

    def losses(self, x):
        loc, scale = normal(self.encoder(x))
        z = draw(loc, scale)
        orders = torch.rand_like(z).argsort(0)
        logits, shuffled = self.discriminator(z), self.discriminator(z.detach().gather(0, orders))
        elbo = (bernoulli_nll(self.decoder(z), x) + kl_to_prior(loc, scale)).mean()
        told_apart = (functional.softplus(-logits) + functional.softplus(shuffled)).mean() / 2
        return elbo + self.gamma * logits.mean(), told_apart


# Posteriors through flows.


class FlowVAE(VAE):
    """Rezende & Mohamed, arXiv:1505.05770v6: z through a flow with a context from the encoder."""

    def __init__(self, flow):
        super().__init__(num_outputs=CONTEXT_SIZE + 2 * LATENT_DIM)
        self.flow = flow

    def loss(self, x):
        context, parameters = self.encoder(x).split([CONTEXT_SIZE, 2 * LATENT_DIM], dim=1)
        loc, scale = normal(parameters)
        z, log_det = self.flow(draw(loc, scale), context)
        entropy = (scale.log() + 0.5 * math.log(2 * math.pi * math.e)).sum(-1)
        return (bernoulli_nll(self.decoder(z), x) - entropy - log_det - log_prior(z)).mean()


class Planar(nn.Module):
    """Planar steps whose parameters are linear in the context."""

    def __init__(self, num_steps):
        super().__init__()
        self.num_steps = num_steps
        self.parameters_of_steps = nn.Linear(CONTEXT_SIZE, num_steps * (2 * LATENT_DIM + 1))
        nn.init.zeros_(self.parameters_of_steps.weight)
        u, w, b = torch.zeros(2 * LATENT_DIM + 1, num_steps).split([LATENT_DIM, LATENT_DIM, 1])
        w.normal_(std=LATENT_DIM**-0.5)
        self.parameters_of_steps.bias.data.copy_(torch.cat([u, w, b]).T.flatten())

    def forward(self, z, context):
        values = self.parameters_of_steps(context).view(len(z), self.num_steps, -1)
        u, w, b = values.transpose(0, 1).split([LATENT_DIM, LATENT_DIM, 1], dim=-1)
        product = (u * w).sum(-1, keepdim=True)
        slope = functional.softplus(product + _SHIFT)
        u = u + (slope - 1 - product) / w.square().sum(-1, keepdim=True) * w
        activations = []
        for t in range(self.num_steps):
            activations.append(torch.tanh((w[t] * z).sum(-1, keepdim=True) + b[t]))
            z = z + u[t] * activations[-1]
        squares = torch.stack(activations).square()
        return z, (squares + (1 - squares) * slope).log().sum((0, 2))


class _MADE(nn.Module):
    """Masked layers of 128 units with a context: means and gates of each element."""

    def __init__(self, hidden=(128, 128)):
        super().__init__()
        degrees = [torch.arange(1, LATENT_DIM + 1)]
        degrees += [torch.linspace(0, LATENT_DIM - 1, units).round() for units in hidden]
        degrees.append(torch.arange(LATENT_DIM).repeat(2))
        self.layers = nn.ModuleList()
        for i, (before, after) in enumerate(zip(degrees[:-1], degrees[1:], strict=True)):
            self.layers.append(networks.dense(len(before), len(after)))
            self.register_buffer(f"mask_{i}", (before <= after[:, None]).float())
        nn.init.zeros_(self.layers[-1].weight)
        self.contexts = nn.ModuleList(
            networks.dense(CONTEXT_SIZE, units, bias=False) for units in hidden
        )

    def _masked(self, i, x):
        layer = self.layers[i]
        return functional.linear(x, layer.weight * getattr(self, f"mask_{i}"), layer.bias)

    def forward(self, z, context):
        for i, of_context in enumerate(self.contexts):
            z = functional.elu(self._masked(i, z) + of_context(context))
        return self._masked(len(self.contexts), z).chunk(2, dim=-1)


class IAF(nn.Module):
    """Kingma et al., arXiv:1606.04934v2: gated steps, the order of elements reversed between."""

    def __init__(self, num_steps=4):
        super().__init__()
        self.steps = nn.ModuleList(_MADE() for _ in range(num_steps))

    def forward(self, z, context):
        log_det = 0.0
        for t, step in enumerate(self.steps):
            z = z.flip(-1) if t else z
            shift, raw = step(z, context)
            logit = 5.0 * torch.tanh(raw / 5.0) + 1.5
            gate = logit.sigmoid()
            z = gate * z + (1 - gate) * shift
            log_det = log_det + functional.logsigmoid(logit).sum(-1)
        return z, log_det


class HVI(VAE):
    """Salimans et al., arXiv:1410.6460v4: one iteration of leapfrog steps."""

    def __init__(self, leapfrog_steps, width=300):
        super().__init__()
        self.reverse = networks.auxiliary(LATENT_DIM, width)
        self.momentum = networks.auxiliary(LATENT_DIM, width)
        steps = torch.full((leapfrog_steps, LATENT_DIM), math.log(0.1 / 0.4))
        self.logits_of_steps = nn.Parameter(steps)

    def loss(self, x):
        pixels = x.flatten(1)
        loc, scale = normal(self.encoder(x))
        z_0 = draw(loc, scale)
        q = normal(self.momentum(torch.cat([pixels, z_0], 1)))
        velocity_0 = draw(*q)
        z, velocity = self._leapfrog(x, z_0, velocity_0)
        r = normal(self.reverse(torch.cat([pixels, z], 1)))
        log_ratio = (log_normal(velocity_0, *q) - log_normal(velocity, *r)).sum(-1)
        kl = kl_to_prior(loc, scale) + log_prior(z_0) - log_prior(z) + log_ratio
        return (bernoulli_nll(self.decoder(z), x) + kl).mean()

    def _leapfrog(self, x, z, velocity):
        slope = self._slope(x, z)
        for step in 0.5 * self.logits_of_steps.sigmoid():
            velocity = velocity + 0.5 * step * slope
            z = z + step * velocity
            slope = self._slope(x, z)
            velocity = velocity + 0.5 * step * slope
        return z, velocity

    def _slope(self, x, z):
        """Gradient of log p(x, z) in z."""

        def log_joint(z):
            return (log_prior(z) - bernoulli_nll(self.decoder(z), x)).sum()

        return differentiable_gradient(log_joint, z)


# DRAW.


class _LSTM(nn.Module):
    """LSTM with learned initial state."""

    def __init__(self, units, num_inputs):
        super().__init__()
        self.gates = networks.dense(num_inputs + units, 4 * units)
        nn.init.ones_(self.gates.bias.data[units : 2 * units])
        self.initial = nn.Parameter(torch.zeros(2, units))

    def begin(self, batch_size):
        return self.initial[:, None].expand(-1, batch_size, -1)

    def forward(self, inputs, output, carry, weighted=0.0):
        gates = self.gates(torch.cat([*inputs, output], 1)) + weighted
        take, keep, new, show = gates.chunk(4, dim=1)
        carry = keep.sigmoid() * carry + take.sigmoid() * new.tanh()
        return show.sigmoid() * carry.tanh(), carry


class _Window(nn.Module):
    """Attention filters of an output, for images of 28 by 28 pixels."""

    def __init__(self, width, size):
        super().__init__()
        self.size = size
        self.parameters_of_window = networks.dense(width, 5)
        self.register_buffer("offsets", torch.arange(size) - (size - 1) / 2)
        self.register_buffer("pixels", torch.arange(1.0, 29.0))

    def forward(self, output):
        """Filters down and across, (batch, size, 28), and intensity."""
        parameters = self.parameters_of_window(output).clamp(-20, 20)
        stride = 27 / max(self.size - 1, 1) * parameters[:, 3:4].exp()
        centers = parameters[:, :2].flip(1)[..., None]
        locs = 14.5 * (centers + 1) + (self.offsets * stride)[:, None]
        distances = (self.pixels - locs[..., None]).square()
        precision = (-parameters[:, 2]).exp()[:, None, None, None]
        down, across = (-0.5 * precision * distances).softmax(-1).unbind(1)
        return down, across, parameters[:, 4].exp()[:, None, None]


class DRAW(Model):
    """Gregor et al., arXiv:1502.04623v2, with attention if there are sizes to read and write."""

    def __init__(self, read_size=None, write_size=None, latent_dim=10, num_steps=10, width=256):
        super().__init__()
        self.num_steps, self.write_size = num_steps, write_size
        num_inputs, num_outputs = networks.NUM_PIXELS, networks.NUM_PIXELS
        if read_size:
            self.read_window, num_inputs = _Window(width, read_size), 2 * read_size**2
            self.write_window, num_outputs = _Window(width, write_size), write_size**2
        else:
            self.image_gates = networks.dense(networks.NUM_PIXELS, 4 * width, bias=False)
        self.encoder = _LSTM(width, num_inputs + width)
        self.decoder = _LSTM(width, latent_dim)
        self.posterior = networks.dense(width, 2 * latent_dim)
        self.write = networks.dense(width, num_outputs)
        self.initial_canvas = nn.Parameter(torch.zeros(networks.NUM_PIXELS))

    def loss(self, x):
        pixels = x.flatten(1)
        h, carry = self.encoder.begin(len(x))
        output, decoder_carry = self.decoder.begin(len(x))
        weighted = 0.0 if self.write_size else self.image_gates(pixels)
        canvas, kl = self.initial_canvas.expand(len(x), -1), 0.0
        for _ in range(self.num_steps):
            seen = self._read(pixels, pixels - canvas.sigmoid(), output)
            h, carry = self.encoder([seen, output], h, carry, weighted)
            loc, log_scale = self.posterior(h).chunk(2, dim=1)
            kl = kl + kl_to_prior(loc, log_scale.exp())
            z = draw(loc, log_scale.exp())
            output, decoder_carry = self.decoder([z], output, decoder_carry)
            canvas = canvas + self._written(output)
        return (bernoulli_nll(canvas, pixels) + kl).mean()

    def _read(self, pixels, error, output):
        if not self.write_size:
            return error
        down, across, intensity = self.read_window(output)
        images = torch.stack([pixels, error], 1).view(-1, 2, 28, 28)
        patches = down[:, None] @ images @ across[:, None].mT
        return (intensity[:, None] * patches).flatten(1)

    def _written(self, output):
        written = self.write(output)
        if not self.write_size:
            return written
        down, across, intensity = self.write_window(output)
        patch = written.view(-1, self.write_size, self.write_size)
        return (down.mT @ patch @ across / intensity).flatten(1)


# Codes.


class VQVAE(Model):
    """van den Oord et al., arXiv:1711.00937v2, with codes that follow moving averages."""

    def __init__(self, num_codes=512, code_dim=64, width=64, commitment=0.25, decay=0.99):
        super().__init__()
        self.encoder = networks.vq_encoder(code_dim, width)
        self.decoder = networks.vq_decoder(code_dim, width)
        self.commitment, self.decay = commitment, decay
        limit = code_dim**-0.5
        self.register_buffer("sums", torch.empty(num_codes, code_dim).uniform_(-limit, limit))
        self.register_buffer("counts", torch.ones(num_codes))

    def loss(self, x):
        vectors = self.encoder(x).permute(0, 2, 3, 1)
        codebook = self.sums / (self.counts + 1e-5)[:, None]
        distances = codebook.square().sum(1) - 2 * vectors @ codebook.T
        indices = distances.argmin(-1)
        codes = codebook[indices]
        through = vectors + (codes - vectors).detach()
        nll = bernoulli_nll(self.decoder(through.permute(0, 3, 1, 2)), x)
        distance = (vectors - codes).square().sum(-1).mean((1, 2))
        self._follow(vectors.detach().flatten(0, 2), indices.flatten())
        return (nll + self.commitment * distance).mean()

    def _follow(self, vectors, indices):
        sums = torch.zeros_like(self.sums).index_add_(0, indices, vectors)
        counts = torch.zeros_like(self.counts).index_add_(
            0, indices, torch.ones_like(vectors[:, 0])
        )
        self.sums.lerp_(sums, 1 - self.decay)
        self.counts.lerp_(counts, 1 - self.decay)


# Adversaries. Images lie in [-1, 1].


class GAN(Model):
    """Goodfellow et al., arXiv:1406.2661v1, non-saturating, with the networks of DCGAN."""

    def __init__(self, width, batch_norm=True):
        super().__init__()
        self.generator = networks.dcgan_generator(width)
        self.discriminator = networks.dcgan_discriminator(width, batch_norm)

    def turns(self, batch_size):
        return [
            Turn(self.discriminator_loss, (self.discriminator,)),
            Turn(self.generator_loss, (self.generator,)),
        ]

    def generate(self, x):
        """As many samples as images."""
        z = torch.randn(len(x), networks.GAN_LATENT_DIM, device=x.device)
        return self.generator(z)

    def discriminator_loss(self, x):
        with torch.no_grad():
            fake = self.generate(x)
        real_logits, fake_logits = self.discriminator(x), self.discriminator(fake)
        return ((functional.softplus(-real_logits) + functional.softplus(fake_logits)).mean(),)

    def generator_loss(self, x):
        return (functional.softplus(-self.discriminator(self.generate(x))).mean(),)


class WGANGP(GAN):
    """Gulrajani et al., arXiv:1704.00028v3; the critic's steps share a batch."""

    def __init__(self, width, critic_steps=5):
        super().__init__(width, batch_norm=False)
        self.critic_steps = critic_steps

    def turns(self, batch_size):
        size = batch_size // self.critic_steps
        parts = [slice(i * size, (i + 1) * size) for i in range(self.critic_steps)]
        critic = [Turn(self.discriminator_loss, (self.discriminator,), part) for part in parts]
        return [*critic, Turn(self.generator_loss, (self.generator,), parts[0])]

    def discriminator_loss(self, x):
        with torch.no_grad():
            fake = self.generate(x)
        loss = (self.discriminator(fake) - self.discriminator(x)).mean()
        return (loss + 10.0 * self._penalty(x, fake),)

    def generator_loss(self, x):
        return (-self.discriminator(self.generate(x)).mean(),)

    def _penalty(self, x, fake):
        position = torch.rand(len(x), 1, 1, 1, device=x.device)
        between = x + position * (fake - x)
        slopes = differentiable_gradient(lambda images: self.discriminator(images).sum(), between)
        norms = (slopes.flatten(1).square().sum(1) + 1e-12).sqrt()
        return (norms - 1).square().mean()


class VAEGAN(Model):
    """Larsen et al., arXiv:1512.09300v2, with the networks of DCGAN."""

    def __init__(self, width):
        super().__init__()
        self.encoder = networks.dcgan_encoder(2 * networks.GAN_LATENT_DIM, width)
        self.decoder = networks.dcgan_generator(width)
        self.discriminator = networks.dcgan_discriminator(width)

    def turns(self, batch_size):
        return [Turn(self.losses, (self.encoder, self.decoder, self.discriminator))]

    def losses(self, x):
        loc, scale = normal(self.encoder(x))
        z = draw(loc, scale)
        (features, real), (own_features, own), (_, sampled) = (
            self._judged(images)
            for images in (x, self.decoder(z), self.decoder(torch.randn_like(z)))
        )
        reconstruction = 0.5 * (features - own_features).square().sum(1).mean()
        fooled = (functional.softplus(-own) + functional.softplus(-sampled)).mean() / 2
        caught = (functional.softplus(own) + functional.softplus(sampled)).mean() / 2
        return (
            reconstruction + kl_to_prior(loc, scale).mean(),
            reconstruction + fooled,
            functional.softplus(-real).mean() + caught,
        )

    def _judged(self, images):
        """Features and logit."""
        features = self.discriminator[:-1](images)
        return features, self.discriminator[-1](features)


# A flow over images, whole numbers from 0 to 255.


class _Coupling(nn.Module):
    """Affine coupling, from data to latents; 1 in the mask is what passes."""

    def __init__(self, mask, width):
        super().__init__()
        channels = mask.shape[1]
        self.network = networks.gated_conv_net(channels, width)
        self.log_bound = nn.Parameter(torch.zeros(channels, 1, 1))
        self.register_buffer("mask", mask)

    def forward(self, y):
        raw, shift = self.network(self.mask * y).chunk(2, dim=1)
        bound = self.log_bound.clamp(-5.0, 2.0).exp()
        log_scale = (1 - self.mask) * bound * torch.tanh(raw / bound)
        z = (y - (1 - self.mask) * shift) * torch.exp(-log_scale)
        return z, -log_scale.flatten(1).sum(1)


def _checkerboard(i):
    rows, columns = torch.arange(28)[:, None], torch.arange(28)
    return ((rows + columns + i) % 2).float()[None, None]


def _half_of_channels(channels, i):
    first = torch.arange(channels) < channels // 2
    return (first != bool(i)).float()[None, :, None, None]


class ImageFlow(Model):
    """`tfgen.networks.multiscale_flow` with uniform dequantization."""

    def __init__(self, width=8):
        super().__init__()
        masks = [_checkerboard(i) for i in range(2)]
        self.full_size = nn.ModuleList(_Coupling(mask, width) for mask in masks)
        masks = [_half_of_channels(4, i) for i in range(2)]
        self.half_size = nn.ModuleList(_Coupling(mask, 3 * width // 2) for mask in masks)
        masks = [_half_of_channels(8, i % 2) for i in range(4)]
        self.quarter_size = nn.ModuleList(_Coupling(mask, 2 * width) for mask in masks)

    def loss(self, x):
        y, log_det = self._dequantized(x)
        y, log_det = self._through(self.full_size, y, log_det)
        y, log_det = self._through(self.half_size, functional.pixel_unshuffle(y, 2), log_det)
        y, final = y.chunk(2, dim=1)
        y, log_det = self._through(self.quarter_size, functional.pixel_unshuffle(y, 2), log_det)
        latents = torch.cat([y.flatten(1), final.flatten(1)], 1)
        return -(log_prior(latents) + log_det).mean()

    def _through(self, couplings, y, log_det):
        for coupling in couplings:
            y, change = coupling(y)
            log_det = log_det + change
        return y, log_det

    def _dequantized(self, x, alpha=1e-5):
        """Logits of pixels with uniform noise, and log|dy/du|."""
        x, scale, u = x.round(), (1 - alpha) / 256, torch.rand_like(x)
        log_below = (alpha / 2 + scale * (x + u)).log()
        log_above = (alpha / 2 + scale * (255 - x + 1 - u)).log()
        log_slope = math.log(scale) - log_below - log_above
        return log_below - log_above, log_slope.flatten(1).sum(1)
