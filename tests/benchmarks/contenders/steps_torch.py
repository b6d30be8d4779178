"""The models of `torch_models`, trained step by step on images that lie in memory.

A batch is one index operation on a tensor, and Adam is the fused implementation. Each loss moves
its own player, and all gradients of a forward pass are taken before a step.
"""

import functools

import torch

from contenders import FLOW_WIDTH, GAN_WIDTH, LEARNING_RATE, VQ_WIDTH, in_range
from contenders import torch_models as models
from contenders import torch_networks as networks

__all__ = ["MODELS", "Training", "build", "endless_batches"]


def _conv_vae():
    outputs = 2 * models.LATENT_DIM
    return models.VAE(networks.conv_encoder(outputs), networks.conv_decoder(models.LATENT_DIM))


# Name -> function of the number of images to the model.
MODELS = {
    "vae": lambda _: models.VAE(),
    "conv-vae": lambda _: _conv_vae(),
    "iwae-5": lambda _: models.IWAE(5),
    "iwae-50": lambda _: models.IWAE(50),
    "vampprior": lambda _: models.VampPrior(),
    "planar-10": lambda _: models.FlowVAE(models.Planar(10)),
    "planar-80": lambda _: models.FlowVAE(models.Planar(80)),
    "iaf": lambda _: models.FlowVAE(models.IAF()),
    "hvi-4": lambda _: models.HVI(4),
    "hvi-16": lambda _: models.HVI(16),
    "draw": lambda _: models.DRAW(),
    "draw-attention": lambda _: models.DRAW(2, 5),
    "beta-tcvae": models.BetaTCVAE,
    "factor-vae": lambda _: models.FactorVAE(),
    "vq-vae": lambda _: models.VQVAE(width=VQ_WIDTH),
    "dcgan": lambda _: models.GAN(GAN_WIDTH),
    "wgan-gp": lambda _: models.WGANGP(GAN_WIDTH),
    "vae-gan": lambda _: models.VAEGAN(GAN_WIDTH),
    "image-flow": lambda _: models.ImageFlow(FLOW_WIDTH),
}


def build(name, images, batch_size=100, compiled=False):
    """Builds a model.

    Args:
        name: str, a name of `MODELS`.
        images: float32 array in [0, 1], shape (n, 28, 28, 1).
        batch_size: int.
        compiled: bool, `torch.compile` of losses and gradients.

    Returns:
        `Training`, the function from a number of steps to the mean loss.
    """
    return Training(MODELS[name](len(images)), in_range(name, images), batch_size, compiled)


def endless_batches(images, batch_size):
    """Batches of images, shape (batch_size, 1, 28, 28), in a new order in each epoch."""
    images = torch.from_numpy(images.transpose(0, 3, 1, 2)).contiguous()
    while True:
        for rows in torch.randperm(len(images)).split(batch_size):
            if len(rows) == batch_size:
                yield images[rows]


class Training:
    """Function from a number of steps to the mean of the first player's loss.

    Args:
        model: model of `torch_models`.
        images: float32 array, shape (n, 28, 28, 1).
        batch_size: int.
        compiled: bool.
    """

    def __init__(self, model, images, batch_size, compiled):
        self.model, self.batches = model, endless_batches(images, batch_size)
        self.turns = model.turns(batch_size)
        self.first = self.turns[0].players[0]
        self.first_turns = sum(turn.players[0] is self.first for turn in self.turns)
        self.optimizers = {player: _adam(player) for turn in self.turns for player in turn.players}
        self.losses = {turn.losses: turn.losses for turn in self.turns}
        if compiled:
            # Of several losses the graph is kept for the next.
            torch._functorch.config.donated_buffer = all(len(t.players) == 1 for t in self.turns)
            compiler = functools.partial(torch.compile, dynamic=False)
            self.losses = {losses: compiler(losses) for losses in self.losses}

    def __call__(self, num_steps):
        total = torch.zeros(())
        for _ in range(num_steps):
            batch = next(self.batches)
            for turn in self.turns:
                loss = self._take(turn, batch[turn.part])
                total += loss if turn.players[0] is self.first else 0.0
        return float(total) / (num_steps * self.first_turns)

    def _take(self, turn, batch):
        """One turn's steps; returns the first player's loss."""
        losses = self.losses[turn.losses](batch)
        optimizers = [self.optimizers[player] for player in turn.players]
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        for i, (player, loss) in enumerate(zip(turn.players, losses, strict=True), 1):
            loss.backward(inputs=list(player.parameters()), retain_graph=i < len(losses))
        for optimizer in optimizers:
            optimizer.step()
        return losses[0].detach()


def _adam(player):
    return torch.optim.Adam(player.parameters(), lr=LEARNING_RATE, fused=True)
