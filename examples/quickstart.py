"""Trains a model on real digits, and shows what it has learnt.

    python examples/quickstart.py
    python examples/quickstart.py --dataset mnist --model beta-vae --beta 4
    python examples/quickstart.py --smoke

Writes figures, metrics.json and model.keras into --output-dir. The default data are the 1,797
digits that come with scikit-learn, so nothing is downloaded.
"""

import argparse
import pathlib

import keras
import paper_script

from tfgen import datasets, models, networks, plotting

EPOCHS = {"digits": 150, "mnist": 5, "fashion_mnist": 5, "sprites": 1}
CLASSES = {
    "ae": models.AE,
    "vae": models.VAE,
    "beta-vae": models.BetaVAE,
    "beta-tcvae": models.BetaTCVAE,
}


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dataset", choices=list(EPOCHS), default="digits")
    parser.add_argument("--model", choices=list(CLASSES), default="vae")
    parser.add_argument("--epochs", type=int, help="default depends on the data set")
    parser.add_argument("--latent-dim", type=int, default=10)
    parser.add_argument("--beta", type=float, default=4.0, help="for beta-vae and beta-tcvae")
    parser.add_argument("--data-dir", help="TensorFlow Datasets folder; default TFDS_DATA_DIR")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output-dir", type=pathlib.Path, default="outputs/quickstart")
    parser.add_argument("--smoke", action="store_true", help="a few seconds: shows that it works")
    return parser.parse_args(argv)


def load_data(args):
    """Training and test pipelines. A Bernoulli likelihood wants pixels in {0, 1}."""
    binarize = None if args.model == "ae" or args.dataset == "sprites" else "stochastic"
    return [
        datasets.load(
            args.dataset,
            split,
            binarize=binarize,
            data_dir=args.data_dir,
            seed=args.seed,
            labels=split.startswith("test"),
        )
        for split in ("train", "test[:2000]" if args.dataset == "sprites" else "test")
    ]


def build_model(args, info):
    """Encoder, decoder and model for images of this size."""
    height = info.image_shape[0]
    kind = "conv64" if height >= 64 else "conv" if height >= 28 else "mlp"
    heads = {"head": None} if args.model == "ae" else {}
    encoder = getattr(networks, f"{kind}_encoder")(info.image_shape, args.latent_dim, **heads)
    decoder = getattr(networks, f"{kind}_decoder")(info.image_shape, args.latent_dim, **heads)
    kwargs = {"beta": args.beta} if args.model.startswith("beta") else {}
    if args.model == "beta-tcvae":
        kwargs["dataset_size"] = info.num_examples
    return CLASSES[args.model](encoder, decoder, seed=args.seed, **kwargs)


def write_figures(model, history, test_data, info, folder):
    """The pictures people look at first."""
    images, labels = next(iter(test_data.unbatch().batch(1000)))
    classes = labels if len(labels.shape) == 1 else labels[:, 0]  # Sprites: the shape.
    figures = {
        "samples": plotting.samples(model),
        "reconstructions": plotting.reconstructions(model, images[:10]),
        "traversals": plotting.traversals(model, images[0]),
        "latents": plotting.latent_scatter(model, images, classes, info.class_names or None),
        "curves": plotting.training_curves(history),
    }
    for name, (fig, _) in figures.items():
        paper_script.save_figure(fig, folder / f"{name}.png")
    return [folder / f"{name}.png" for name in figures]


def main(argv=None):
    args = parse_args(argv)
    keras.utils.set_random_seed(args.seed)
    args.output_dir.mkdir(parents=True, exist_ok=True)
    # 1. Data: images of shape (height, width, channels).
    (train_data, info), (test_data, _) = load_data(args)
    if args.smoke:
        train_data, test_data = train_data.take(2), test_data.take(1)
    # 2. Model.
    model = build_model(args, info)
    model.compile(keras.optimizers.Adam(1e-3))
    # 3. Training.
    epochs = 1 if args.smoke else args.epochs or EPOCHS[args.dataset]
    test_images = test_data.map(lambda images, labels: images)
    history = model.fit(train_data, epochs=epochs, validation_data=test_images)
    # 4. Results.
    metrics = model.evaluate(test_images, verbose=0, return_dict=True)
    model.save(args.output_dir / "model.keras")
    paper_script.write_json(
        args.output_dir / "metrics.json",
        {
            **metrics,
            "epochs": epochs,
            **paper_script.machine(),
            "arguments": {k: str(v) for k, v in vars(args).items()},
        },
    )
    figures = write_figures(model, history, test_data, info, args.output_dir)
    units = "squared error" if args.model == "ae" else "nats, bits_per_dim in bits"
    print(f"\nTest set, mean over examples ({units})")
    for name, value in metrics.items():
        print(f"  {name:<20} {value:10.4f}")
    print("\nWritten")
    for path in [*figures, args.output_dir / "metrics.json", args.output_dir / "model.keras"]:
        print(f"  {path}")


if __name__ == "__main__":
    main()
