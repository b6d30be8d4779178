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
    from torch import nn

    from contenders.steps_pythae import Decoder, Encoder
    from contenders.torch_networks import mlp_decoder, mlp_encoder

    if network != "mlp":
        raise ValueError(f"Only 'mlp' is written here. Received: network={network!r}.")
    config = VAEConfig(input_dim=(1, 28, 28), latent_dim=LATENT_DIM, reconstruction_loss="bce")
    encoder = Encoder(mlp_encoder(2 * LATENT_DIM, 512, 512))
    decoder = Decoder(mlp_decoder(LATENT_DIM, 512, 512), nn.Sigmoid())
    model = VAE(config, encoder, decoder)
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
