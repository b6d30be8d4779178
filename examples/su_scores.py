"""What scores the samples of Su's script: a classifier of the data at hand, and its features."""

import numpy as np

from tfgen import metrics

PIXELS = (-1.0, 1.0)
NUM_SCORED = {"paper": 5_000, "cpu": 2_000, "smoke": 150}


def load_images(run, split, batch_size=1000, image_size=None, **options):
    """Images in [-1, 1], and the description of the data."""
    return run.load(split, batch_size, value_range=PIXELS, image_size=image_size, **options)


def in_memory(run, split, image_size):
    """Images and classes of a split, as arrays; of CelebA part of them."""
    if run.args.dataset == "celeb_a":
        split = {"train": "train[:40000]", "test": "test[:10000]"}[split]
    batches = load_images(run, split, image_size=image_size, labels=True, shuffle=False)[0]
    images, labels = zip(*batches.as_numpy_iterator(), strict=True)
    return np.concatenate(images), classes(np.concatenate(labels))


def classes(labels):
    """Classes; of the 40 attributes of a face, the four of "Male" and "Smiling"."""
    return labels if labels.ndim == 1 else 2 * labels[:, MALE] + labels[:, SMILING]


MALE, SMILING = 20, 31  # Of CelebA's attributes in alphabetical order.


class Judge:
    """A classifier of the data at hand, test images, and the scores of images beside them.

    `real` has the scores of other test images, of as many as are taken of a model's samples.
    """

    def __init__(self, run, size=None):
        self.classifier = classifier(run, size)
        images, labels = in_memory(run, "test", size)
        half = min(run.pick(**NUM_SCORED), len(images) // 2)
        self.images, others = images[:half], images[half : 2 * half]
        self.features, probabilities = self.outputs(self.images)
        self.accuracy = float(np.mean(probabilities.argmax(1) == labels[:half]))
        self.real = self.scores(others)
        self.real_mmd = self.squared_mmd(others)

    def outputs(self, images):
        """Features and class probabilities."""
        images = np.clip(images, *PIXELS)
        return metrics.classifier_outputs(self.classifier, images, batch_size=500)

    def scores(self, images):
        """Of as many images as `self.images`."""
        features, probabilities = self.outputs(images)
        return {
            "class_entropy": metrics.class_entropy(probabilities),
            "frechet": metrics.frechet_distance(self.features, features),
        }

    def squared_mmd(self, images):
        """Unbiased, Gaussian kernels of 1/4 to 4 times the median distance of real features."""
        return 1e4 * metrics.squared_mmd(self.features, self.outputs(images).features)

    def facts(self):
        """What the scores are for real images, and how good the classifier is."""
        real = {f"real_{name}": value for name, value in self.real.items()}
        return {**real, "classifier_accuracy": self.accuracy}


def classifier(run, size):
    """Trained once for a data set, on its training images."""
    return metrics.classifier(
        *in_memory(run, "train", size),
        kind="conv",
        value_range=PIXELS,
        steps=run.pick(paper=2500, cpu=400, smoke=50),
        cache_dir=run.args.output_dir,
        verbose=False,
    )
