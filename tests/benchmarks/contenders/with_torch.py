"""A hand-written PyTorch loop on images that lie in memory.

No DataLoader: a batch is one index operation on a tensor. The options are what one would try to
make it faster.
"""

from contenders import BATCH_SIZE, LATENT_DIM, LEARNING_RATE, load_images

__all__ = ["train"]


def train(recorder, network, epochs, images_path, fused=True, compiled=False, channels_last=False):
    """Trains the VAE.

    Args:
        recorder: `Recorder`.
        network: "mlp" or "conv".
        epochs: int.
        images_path: path of the images.
        fused: bool, the optimizer's fused implementation.
        compiled: bool, `torch.compile` of loss and gradients.
        channels_last: bool, memory format of images and convolutions.
    """
    import torch

    memory_format = torch.channels_last if channels_last else torch.contiguous_format
    images = torch.from_numpy(load_images(images_path)).permute(0, 3, 1, 2)
    images = images.contiguous(memory_format=memory_format)
    encoder, decoder = (n.to(memory_format=memory_format) for n in _NETWORKS[network]())
    optimizer = torch.optim.Adam(
        [*encoder.parameters(), *decoder.parameters()], lr=LEARNING_RATE, fused=fused
    )

    def loss_fn(batch):
        return _negative_elbo(encoder, decoder, batch)

    loss_fn = torch.compile(loss_fn, dynamic=False) if compiled else loss_fn
    recorder.start()
    for _ in range(epochs):
        recorder.end_epoch(_epoch(images, loss_fn, optimizer))


def _epoch(images, loss_fn, optimizer):
    """One pass over the images; returns the mean loss."""
    import torch

    total = torch.zeros(())
    for rows in torch.randperm(len(images)).split(BATCH_SIZE):
        optimizer.zero_grad(set_to_none=True)
        loss = loss_fn(images[rows])
        loss.backward()
        optimizer.step()
        total += loss.detach() * len(rows)
    return total / len(images)


def _negative_elbo(encoder, decoder, images):
    """Mean over the batch, in nats."""
    import torch
    from torch.nn import functional

    loc, log_scale = encoder(images).chunk(2, dim=1)
    scale = log_scale.exp()
    logits = decoder(loc + scale * torch.randn_like(scale))
    reconstruction = functional.binary_cross_entropy_with_logits(
        logits.view_as(images), images, reduction="sum"
    )
    kl = (0.5 * (loc.square() + scale.square() - 1) - log_scale).sum()
    return (reconstruction + kl) / len(images)


def _mlp():
    from torch import nn

    encoder = nn.Sequential(
        nn.Flatten(),
        nn.Linear(784, 512),
        nn.ReLU(),
        nn.Linear(512, 512),
        nn.ReLU(),
        nn.Linear(512, 2 * LATENT_DIM),
    )
    decoder = nn.Sequential(
        nn.Linear(LATENT_DIM, 512),
        nn.ReLU(),
        nn.Linear(512, 512),
        nn.ReLU(),
        nn.Linear(512, 784),
    )
    return encoder, decoder


def _conv():
    from torch import nn

    def conv(inputs, filters, stride=1):
        return [nn.Conv2d(inputs, filters, 3, stride, padding=1), nn.GELU()]

    def transposed(inputs, filters, output_padding=1):
        return nn.ConvTranspose2d(
            inputs, filters, 3, stride=2, padding=1, output_padding=output_padding
        )

    encoder = nn.Sequential(
        *conv(1, 32, stride=2),
        *conv(32, 32),
        *conv(32, 64, stride=2),
        *conv(64, 64),
        *conv(64, 64, stride=2),
        nn.Flatten(),
        nn.Linear(4 * 4 * 64, 2 * LATENT_DIM),
    )
    decoder = nn.Sequential(
        nn.Linear(LATENT_DIM, 4 * 4 * 64),
        nn.GELU(),
        nn.Unflatten(1, (64, 4, 4)),
        transposed(64, 64, output_padding=0),
        nn.GELU(),
        *conv(64, 64),
        transposed(64, 32),
        nn.GELU(),
        *conv(32, 32),
        transposed(32, 1),
    )
    return encoder, decoder


_NETWORKS = {"mlp": _mlp, "conv": _conv}
