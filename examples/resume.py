"""Kills a training run at any moment and goes on with it: the weights come out the same.

    python examples/resume.py --backup-dir a                  # uninterrupted
    python examples/resume.py --backup-dir b --kill-after 10  # killed with SIGKILL after 10 batches
    python examples/resume.py --backup-dir b                  # the rest of that run

The first and the last command print the same digest of all weights. Backups are those of
`keras.callbacks.BackupAndRestore`, after each epoch or every --save-freq batches.
"""

import argparse
import hashlib
import os
import signal

import keras

from tfgen import datasets, models, networks


class KillAfter(keras.callbacks.Callback):
    """Ends the process, without any warning to it, once the model has seen so many batches."""

    def __init__(self, num_batches):
        super().__init__()
        self.num_batches = num_batches

    def on_train_batch_end(self, batch, logs=None):
        if self.num_batches and int(self.model.steps) >= self.num_batches:
            os.kill(os.getpid(), signal.SIGKILL)


def save_freq(text):
    """ "epoch" or a number of batches."""
    return text if text == "epoch" else int(text)


def digest(model):
    """SHA-256 of all weights, as hexadecimal digits."""
    return hashlib.sha256(b"".join(w.tobytes() for w in model.get_weights())).hexdigest()


def main(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backup-dir", required=True)
    parser.add_argument("--save-freq", type=save_freq, default="epoch", help="epoch, or batches")
    parser.add_argument("--kill-after", type=int, help="batches")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument(
        "--steps-per-execution",
        type=int,
        default=2,
        help="batches between moments at which a backup is possible",
    )
    args = parser.parse_args(argv)
    data, info = datasets.load("digits", binarize="stochastic")
    model = models.VAE(
        networks.mlp_encoder(info.image_shape, latent_dim=4, width=32),
        networks.mlp_decoder(info.image_shape, latent_dim=4, width=32),
        seed=0,
    )
    for i, weight in enumerate(model.trainable_variables):  # The same start in every process.
        weight.assign(keras.random.normal(weight.shape, stddev=0.1, seed=i))
    model.compile("adam", steps_per_execution=args.steps_per_execution)
    model.fit(
        data,
        epochs=args.epochs,
        verbose=2,
        callbacks=[
            KillAfter(args.kill_after),
            keras.callbacks.BackupAndRestore(args.backup_dir, save_freq=args.save_freq),
        ],
    )
    print(f"after {int(model.steps)} batches: {digest(model)}")


if __name__ == "__main__":
    main()
