"""tfgen as its README shows it: `datasets.load`, `compile`, `fit`."""

import functools

from contenders import BATCH_SIZE, LATENT_DIM, LEARNING_RATE, load_images

__all__ = ["train"]


def train(recorder, network, epochs, images_path, pipeline="load", fused=True, **compile_options):
    """Trains `tfgen.models.VAE`.

    Args:
        recorder: `Recorder`.
        network: "mlp", "mlp-64" (layers of 64 units) or "conv".
        epochs: int.
        images_path: path of the images, for the pipelines that do not read them by name.
        pipeline: str, a name of `PIPELINES`.
        fused: bool, whether Adam updates a variable in one operation.
        **compile_options: arguments of `compile`, such as `steps_per_execution`.
    """
    import keras

    from tfgen import models
    from tfgen.models import fused_adam

    if not fused:
        fused_adam.fuse = lambda optimizer: None
    model = models.VAE(*_networks(network))
    model.compile(keras.optimizers.Adam(LEARNING_RATE), **compile_options)
    report = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: recorder.end_epoch(logs["loss"])
    )
    dataset = PIPELINES[pipeline](images_path)
    recorder.start()
    model.fit(dataset, epochs=epochs, callbacks=[report])


def _networks(network):
    from tfgen import networks

    kind, *width = network.split("-")
    size = {"width": int(width[0])} if width else {}
    encoder = getattr(networks, f"{kind}_encoder")
    decoder = getattr(networks, f"{kind}_decoder")
    return encoder((28, 28, 1), LATENT_DIM, **size), decoder((28, 28, 1), LATENT_DIM, **size)


def _load(_):
    """The default."""
    from tfgen import datasets

    return datasets.load("mnist", "train", batch_size=BATCH_SIZE)[0]


def _tfds(_, cache=False, prefetch=False):
    """What one would write with tensorflow_datasets alone: every epoch decodes the images."""
    import tensorflow as tf
    import tensorflow_datasets as tfds

    dataset = tfds.load("mnist", split="train").map(
        lambda example: tf.cast(example["image"], tf.float32) / 255
    )
    dataset = dataset.cache() if cache else dataset
    dataset = dataset.shuffle(60_000).batch(BATCH_SIZE)
    return dataset.prefetch(tf.data.AUTOTUNE) if prefetch else dataset


def _slices(images_path):
    """Images in memory, cut, shuffled and batched by tf.data."""
    import tensorflow as tf

    images = tf.data.Dataset.from_tensor_slices(load_images(images_path))
    return images.shuffle(60_000).batch(BATCH_SIZE)


PIPELINES = {
    "load": _load,
    "tfds": _tfds,
    "tfds, cache": functools.partial(_tfds, cache=True),
    "tfds, prefetch": functools.partial(_tfds, prefetch=True),
    "tfds, cache, prefetch": functools.partial(_tfds, cache=True, prefetch=True),
    "slices": _slices,
}
