"""Do Keras' and PyTorch's initialisation train the same VAE? That of the benchmark, MNIST.

    python tests/benchmarks/initialisation.py --seeds 3 --data-dir DIR

Both have weights W ~ U(-a, a): Keras a = sqrt(6 / (inputs + outputs)) and biases 0, PyTorch a = 1 /
sqrt(inputs) for weights and biases. NLL by 200 importance samples of the first 2,000 test images.
"""

import argparse
import json
import math
import os
import pathlib
import sys

import keras
import numpy as np
from train_speed import describe_machine

from tfgen import datasets, metrics

sys.path.append(str(pathlib.Path(__file__).parents[2] / "examples"))

import benchmark_models  # noqa: E402
import paper_script  # noqa: E402


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--data-dir", default=os.environ.get("TFDS_DATA_DIR"))
    parser.add_argument("--json", type=pathlib.Path, default=pathlib.Path("initialisation.json"))
    args = parser.parse_args()
    report = {"machine": describe_machine(os.getloadavg()[0]), "runs": []}
    for seed in range(args.seeds):
        for initialisation in ("keras", "torch"):
            run = measure(seed, initialisation, args)
            print(run, flush=True)
            report["runs"].append(run)
            args.json.write_text(json.dumps(report, indent=1) + "\n")


def measure(seed, initialisation, args):
    keras.utils.set_random_seed(seed)
    data, info = load("train[:55000]", args, drop_remainder=True)
    run = paper_script.Run(argparse.Namespace(smoke=False, scale="cpu"), pathlib.Path(), seed)
    model = benchmark_models.vae(run, info.image_shape)
    if initialisation == "torch":
        initialise(model, np.random.default_rng(seed))
    model.compile(keras.optimizers.Adam(1e-3))
    model.fit(data, epochs=args.epochs, verbose=0)
    elbo = model.evaluate(load("test", args, batch_size=500)[0], verbose=0, return_dict=True)[
        "elbo"
    ]
    nll = metrics.importance_sampled_nll(model, load("test[:2000]", args)[0], 200, verbose=False)
    return {
        "variant": initialisation,
        "seed": seed,
        "epochs": args.epochs,
        "elbo": elbo,
        "nll": nll.nll,
        "se": nll.standard_error,
    }


def load(split, args, **kwargs):
    options = {"batch_size": 100, "binarize": "fixed", "seed": 0, "data_dir": args.data_dir}
    return datasets.load("mnist", split, **{**options, **kwargs})


def initialise(model, rng):
    """As torch.nn.Linear does."""
    for network in (model.encoder, model.decoder):
        for layer in network.layers:
            if isinstance(layer, keras.layers.Dense):
                most = 1 / math.sqrt(layer.kernel.shape[0])
                for variable in (layer.kernel, layer.bias):
                    variable.assign(rng.uniform(-most, most, variable.shape))


if __name__ == "__main__":
    main()
