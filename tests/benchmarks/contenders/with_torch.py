"""A hand-written PyTorch loop on images that lie in memory.

No DataLoader: a batch is one index operation on a tensor. The options are what one would try to
make it faster.
"""

from contenders import BATCH_SIZE, LATENT_DIM, LEARNING_RATE, load_images

__all__ = ["negative_elbo", "train", "train_epoch"]


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

    from contenders import torch_networks

    memory_format = torch.channels_last if channels_last else torch.contiguous_format
    images = torch.from_numpy(load_images(images_path)).permute(0, 3, 1, 2)
    images = images.contiguous(memory_format=memory_format)
    parts = _NETWORKS[network](torch_networks)
    encoder, decoder = (part.to(memory_format=memory_format) for part in parts)
    optimizer = torch.optim.Adam(
        [*encoder.parameters(), *decoder.parameters()], lr=LEARNING_RATE, fused=fused
    )

    def loss_fn(batch):
        return negative_elbo(encoder, decoder, batch)

    loss_fn = torch.compile(loss_fn, dynamic=False) if compiled else loss_fn
    recorder.start()
    for _ in range(epochs):
        recorder.end_epoch(train_epoch(images, loss_fn, optimizer))


def train_epoch(images, loss_fn, optimizer):
    """One pass over the images, on whatever device; returns the mean loss."""
    import torch

    total = torch.zeros((), device=images.device)
    for rows in torch.randperm(len(images), device=images.device).split(BATCH_SIZE):
        optimizer.zero_grad(set_to_none=True)
        loss = loss_fn(images[rows])
        loss.backward()
        optimizer.step()
        total += loss.detach() * len(rows)
    return total / len(images)


def negative_elbo(encoder, decoder, images):
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


def _mlp(networks):
    encoder = networks.mlp_encoder(2 * LATENT_DIM, 512, 512)
    return encoder, networks.mlp_decoder(LATENT_DIM, 512, 512)


def _conv(networks):
    return networks.conv_encoder(2 * LATENT_DIM), networks.conv_decoder(LATENT_DIM)


_NETWORKS = {"mlp": _mlp, "conv": _conv}
