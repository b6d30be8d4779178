"""Part 3 of the assignment: flows in the setup of the course, on whole-numbered pixels."""

import keras
import numpy as np
import paper_script
import tensorflow as tf
from paper_script import Experiment

from tfgen import bijectors, metrics, models, networks, plotting

BATCH_SIZE = 128
LEARNING_RATE = 1e-3
FLOW_EPOCHS = {
    "mnist": {"paper": 200, "cpu": 2, "smoke": 1},
    "digits": {"paper": 400, "cpu": 200, "smoke": 1},
}
FLOW_WIDTH = {"paper": 32, "cpu": 8, "smoke": 4}
FLOW_SAMPLES = 8


def flow_data(run, split, **options):
    """Pipeline and description of pixels 0 to 255, of digits 0 to 16."""
    largest = 16 if run.args.dataset == "digits" else 255
    return run.load(split, BATCH_SIZE, value_range=(0, largest), **options)


def simple(run, shape):
    """Couplings with checkerboard masks: 8 of width 32; cpu: 4 of width 8."""
    couplings, layers = run.pick(8, 4, 2), run.pick(3, 2, 1)
    return networks.simple_flow(shape, couplings, run.pick(**FLOW_WIDTH), layers)


def multiscale(run, shape):
    return networks.multiscale_flow(shape, run.pick(**FLOW_WIDTH), run.pick(3, 2, 1))


def uniform(run, shape, num_values):
    return bijectors.UniformDequantization(shape, num_values)


def variational(run, shape, num_values):
    """Four couplings of half the width; cpu: two."""
    couplings, layers = run.pick(4, 2, 2), run.pick(3, 2, 1)
    width = run.pick(**FLOW_WIDTH) // 2
    return networks.variational_dequantization(shape, couplings, width, layers, num_values)


def flow_experiment(bijector, dequantization):
    """Trains a flow; bits/dim of test images with 8 draws of the noise, as in the course."""

    def experiment(run):
        train_data, info = flow_data(run, "train", drop_remainder=True)
        test_data, _ = flow_data(run, "test")
        num_values = 17 if run.args.dataset == "digits" else 256
        model = models.NormalizingFlow(
            bijector(run, info.image_shape),
            dequantization(run, info.image_shape, num_values),
            seed=run.seed,
        )
        times = train_flow(model, run, train_data, test_data.take(8))
        flow_figures(model, run, test_data)
        nll = metrics.importance_sampled_nll(
            model, test_data, FLOW_SAMPLES, at=(1,), batch_size=100, samples_per_batch=FLOW_SAMPLES
        )
        np.save(run.folder / "nlls.npy", nll.nlls)
        in_bits = metrics.bits_per_dim(1.0, model.data_shape)
        return {
            "bits_per_dim": nll.bits_per_dim,
            "standard_error": in_bits * nll.standard_error,
            "bits_per_dim_one_draw": in_bits * nll.bounds[1],
            **times,
        }

    return experiment


def train_flow(model, run, train_data, validation_data):
    """Fits with the course's optimizer: Adam 1e-3, 1 % less each epoch, gradients of norm 1."""
    rate = keras.optimizers.schedules.ExponentialDecay(
        LEARNING_RATE, int(train_data.cardinality()), 0.99, staircase=True
    )
    model.compile(keras.optimizers.Adam(rate, global_clipnorm=1.0))
    epochs = run.pick(**FLOW_EPOCHS.get(run.args.dataset, FLOW_EPOCHS["mnist"]))
    times = paper_script.train(model, run, train_data, epochs, validation_data)[1]
    parameters = sum(v.shape.num_elements() for v in model.trainable_variables)
    return {
        "parameters": float(parameters),
        "epochs": float(epochs),
        "seconds_per_epoch": times["seconds_per_epoch"],
    }


def flow_figures(model, run, test_data):
    """64 samples, and images between four pairs of test images, in latent space."""
    largest = 16 if run.args.dataset == "digits" else 255
    run.draw("samples", plotting.image_grid(model.sample(64, seed=run.seed) / largest, 8))
    images = next(iter(test_data))
    rows = model.interpolate(images[:4], images[4:8], num_steps=8) / largest
    grid = plotting.image_grid(tf.reshape(rows, (-1, *model.data_shape)), 8)
    run.draw("interpolations", grid)


def flow_gap(run):
    """What variational dequantization gains on uniform: of each test image, in bits/dim."""
    nlls = [
        np.load(run.of(name).folder / "nlls.npy") for name in ("flow-uniform", "flow-variational")
    ]
    info = flow_data(run, "test")[1]
    gains = metrics.bits_per_dim(nlls[0] - nlls[1], info.image_shape)
    return {
        "gap_bits_per_dim": float(gains.mean()),
        "gap_standard_error": float(gains.std(ddof=1) / np.sqrt(len(gains))),
        "share_of_images_that_gain": float((gains > 0).mean()),
    }


FLOW_FIGURES = ("samples.png", "interpolations.png", "curves.png")
FLOW_SETUP = (
    "8-bit pixels (digits: 17 values), the course's gated networks; paper: width 32; cpu: width 8, "
    "4 couplings, 2 for the noise, 2 gated blocks; batch 128, Adam 1e-3 falling by 1 % an epoch, "
    "gradients of norm 1; 8 draws of the noise at test"
)

FLOWS = [
    Experiment(
        "flow-uniform",
        "Part 3: uniform dequantization",
        flow_experiment(simple, uniform),
        {},
        f"simple flow, uniform dequantization; {FLOW_SETUP}",
        figures=FLOW_FIGURES,
    ),
    Experiment(
        "flow-variational",
        "Part 3: variational dequantization",
        flow_experiment(simple, variational),
        {},
        f"simple flow, variational dequantization; {FLOW_SETUP}",
        figures=FLOW_FIGURES,
    ),
    Experiment(
        "flow-multiscale",
        "beside: three scales",
        flow_experiment(multiscale, variational),
        {},
        f"multi-scale flow, variational dequantization; {FLOW_SETUP}",
        figures=FLOW_FIGURES,
    ),
    Experiment(
        "flow-gap",
        "Part 3: uniform less variational",
        flow_gap,
        {},
        "flow-uniform and flow-variational, the same test images and seed",
    ),
]
