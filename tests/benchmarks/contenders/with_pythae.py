"""pythae's VAE, trained by its own pipeline with its default trainer."""

import tempfile

from contenders import BATCH_SIZE, LATENT_DIM, LEARNING_RATE, load_images

__all__ = ["train"]


def train(recorder, network, epochs, images_path):
    """Trains `pythae.models.VAE`.

    Args:
        recorder: `Recorder`.
        network: "mlp".
        epochs: int.
        images_path: path of the images.
    """
    from pythae.models import VAE, VAEConfig
    from pythae.pipelines import TrainingPipeline
    from pythae.trainers import BaseTrainerConfig

    if network != "mlp":
        raise ValueError(f"Only 'mlp' is written here. Received: network={network!r}.")
    config = VAEConfig(input_dim=(1, 28, 28), latent_dim=LATENT_DIM, reconstruction_loss="bce")
    model = VAE(config, _encoder(config), _decoder(config))
    with tempfile.TemporaryDirectory() as output_dir:
        training = BaseTrainerConfig(
            output_dir=output_dir,
            num_epochs=epochs,
            per_device_train_batch_size=BATCH_SIZE,
            learning_rate=LEARNING_RATE,
        )
        images = load_images(images_path).transpose(0, 3, 1, 2)
        pipeline = TrainingPipeline(training_config=training, model=model)
        pipeline(train_data=images, callbacks=[_report(recorder)])


def _report(recorder):
    """Callback that tells the recorder."""
    from pythae.trainers.training_callbacks import TrainingCallback

    class Report(TrainingCallback):
        def on_train_begin(self, training_config, **kwargs):
            recorder.start()

        def on_log(self, training_config, logs, **kwargs):
            recorder.end_epoch(logs["train_epoch_loss"])

    return Report()


def _encoder(config):
    import torch
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseEncoder
    from torch import nn

    class Encoder(BaseEncoder):
        def __init__(self):
            super().__init__()
            self.hidden = nn.Sequential(
                nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU()
            )
            self.parameters_of_z = nn.Linear(512, 2 * config.latent_dim)

        def forward(self, images):
            loc, log_variance = torch.chunk(self.parameters_of_z(self.hidden(images)), 2, dim=1)
            return ModelOutput(embedding=loc, log_covariance=log_variance)

    return Encoder()


def _decoder(config):
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder
    from torch import nn

    class Decoder(BaseDecoder):
        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(
                nn.Linear(config.latent_dim, 512),
                nn.ReLU(),
                nn.Linear(512, 512),
                nn.ReLU(),
                nn.Linear(512, 784),
                nn.Sigmoid(),
                nn.Unflatten(1, config.input_dim),
            )

        def forward(self, z):
            return ModelOutput(reconstruction=self.layers(z))

    return Decoder()
