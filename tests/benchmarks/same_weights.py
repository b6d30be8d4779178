"""Whether two commits train one model of each family to the same weights, bit for bit.

    PYTHONPATH=OLD python tests/benchmarks/same_weights.py --write old.npz
    python tests/benchmarks/same_weights.py --compare old.npz

Each model takes 20 steps of Adam on a CPU with fixed seeds. A commit that changes formulas or the
order of operations on purpose shows here which models it reached, and by how much. On a compared
line the first number is the largest difference of a weight, the second that weight's size.
"""

import argparse
import hashlib
import os
import sys

if __name__ == "__main__":
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

import tfgen
from tfgen import bijectors, layers, models, networks

SHAPE, LATENT, CLASSES = (4, 4, 1), 2, 3
BATCH_SIZE, STEPS = 16, 20


def encoder(shape=SHAPE, **kwargs):
    return networks.mlp_encoder(shape, LATENT, width=8, **kwargs)


def decoder(latent_dim=LATENT, **kwargs):
    return networks.mlp_decoder(SHAPE, latent_dim, width=8, **kwargs)


def generator():
    return networks.mlp_generator(SHAPE, LATENT, width=(8,), output_activation="sigmoid")


def discriminator():
    return networks.mlp_discriminator(SHAPE, width=(8,))


def code_discriminator():
    return networks.mlp_code_discriminator(LATENT, width=8)


def point_encoder():
    return encoder(head=None)


def flow_vae():
    steps = bijectors.iaf(LATENT, num_steps=2, hidden=(4,), context_size=3)
    network = keras.Sequential(
        [keras.Input(SHAPE), keras.layers.Flatten(), keras.layers.Dense(8, "tanh")]
        + [keras.layers.Dense(2 * LATENT + 3), layers.FlowNormal(LATENT, steps, context_size=3)]
    )
    return models.FlowVAE(network, decoder(), seed=0)


def draw():
    return models.DRAW(
        networks.DRAWEncoder(SHAPE, latent_dim=2, num_steps=2, width=4, read_size=2),
        networks.DRAWDecoder(SHAPE, latent_dim=2, num_steps=2, width=4, write_size=2),
        seed=0,
    )


def normalizing_flow():
    flow = bijectors.Chain(
        [*networks.simple_flow(SHAPE, 2, width=2, num_layers=1).bijectors]
        + [bijectors.ActNorm(SHAPE)]
    )
    return models.NormalizingFlow(flow, bijectors.UniformDequantization(SHAPE, 2), seed=0)


def hvi():
    auxiliaries = [networks.mlp_auxiliary(SHAPE, LATENT, width=8) for _ in range(2)]
    return models.HVI(encoder(), decoder(), *auxiliaries, leapfrog_steps=2, seed=0)


def vgp():
    mapping = networks.GaussianProcessMapping(LATENT, SHAPE, 2, num_points=3, width=8, seed=0)
    return models.VGP(encoder(), decoder(), mapping, seed=0)


def ladder_vae():
    return models.LadderVAE(
        networks.ladder_encoder(SHAPE, (2, 2), (8, 4), depth=1),
        networks.ladder_decoder(decoder(), (2, 2)),
        networks.ladder_prior((2, 2), (8, 4), depth=1),
        seed=0,
    )


def vq_vae():
    coder = networks.vq_encoder(SHAPE, code_dim=2, width=4, num_blocks=1)
    back = networks.vq_decoder(SHAPE, code_dim=2, width=4, num_blocks=1)
    return models.VQVAE(coder, back, num_codes=4, code_dim=2, seed=0)


BUILDERS = {
    "AE": lambda: models.AE(point_encoder(), generator(), seed=0),
    "VAE": lambda: models.VAE(encoder(), decoder(), seed=0),
    "VAE, VampPrior": lambda: models.VAE(
        encoder(), decoder(), prior=layers.VampPrior(SHAPE, 3, seed=0), seed=0
    ),
    "BetaVAE": lambda: models.BetaVAE(encoder(), decoder(), beta=4.0, capacity=1.0, seed=0),
    "BetaTCVAE": lambda: models.BetaTCVAE(encoder(), decoder(), dataset_size=320, seed=0),
    "DIPVAE": lambda: models.DIPVAE(encoder(), decoder(), seed=0),
    "InfoVAE": lambda: models.InfoVAE(encoder(), decoder(), lambda_mmd=10.0, seed=0),
    "WAE": lambda: models.WAE(point_encoder(), generator(), seed=0),
    "FactorVAE": lambda: models.FactorVAE(encoder(), decoder(), code_discriminator(), seed=0),
    "IWAE": lambda: models.IWAE(encoder(), decoder(), seed=0),
    "IWAE, doubly reparameterized": lambda: models.IWAE(
        encoder(), decoder(), estimator="doubly_reparameterized", seed=0
    ),
    "FlowVAE": flow_vae,
    "HVI": hvi,
    "VGP": vgp,
    "LadderVAE": ladder_vae,
    "DRAW": draw,
    "VQVAE": vq_vae,
    "GAN": lambda: models.GAN(generator(), discriminator(), seed=0),
    "WGAN": lambda: models.WGAN(generator(), discriminator(), clip=0.1, seed=0),
    "WGANGP": lambda: models.WGANGP(generator(), discriminator(), seed=0),
    "AAE": lambda: models.AAE(point_encoder(), generator(), code_discriminator(), seed=0),
    "ALI": lambda: models.ALI(
        encoder(), generator(), networks.joint_discriminator(SHAPE, LATENT, width=(8,)), seed=0
    ),
    "AlphaGAN": lambda: models.AlphaGAN(
        encoder(), generator(), discriminator(), code_discriminator(), seed=0
    ),
    "VAEGAN": lambda: models.VAEGAN(encoder(), decoder(), discriminator(), seed=0),
    "ConstrainedVAEGAN": lambda: models.ConstrainedVAEGAN(
        encoder(), decoder(), discriminator(), bound=0.5, dual_rate=0.1, seed=0
    ),
    "GVAE": lambda: models.GVAE(encoder(), decoder(), discriminator(), seed=0),
    "NormalizingFlow": normalizing_flow,
    "MixtureEM": lambda: models.MixtureEM(3, SHAPE, "diagonal", reg_covar=0.01, seed=0),
    "MixtureEM, stepwise": lambda: models.MixtureEM(
        3, SHAPE, "bernoulli", kappa=0.7, min_probability=0.01, seed=0
    ),
}


def data():
    """Binary images around three templates, and which one."""
    rng = np.random.default_rng(0)
    templates = rng.uniform(0.1, 0.9, size=(CLASSES, *SHAPE))
    labels = rng.integers(CLASSES, size=BATCH_SIZE * STEPS)
    x = rng.uniform(size=(len(labels), *SHAPE)) < templates[labels]
    return x.astype("float32"), labels


def train(name):
    """Weights of the model after 20 steps, optimizers' and seeds' excluded."""
    keras.utils.set_random_seed(0)
    model = BUILDERS[name]()
    if not isinstance(model, models.MixtureEM):
        model.compile(keras.optimizers.Adam(1e-2))
    x, _ = data()
    model.fit(x, batch_size=BATCH_SIZE, verbose=0)
    return [weight for weight in model.get_weights() if weight.dtype.kind == "f"]


def draw_as_tensorflow_does():
    """Replaces `tfgen._utils.random.normal`, equal to TensorFlow's draw but for rounding."""
    original = sys.modules["tfgen._utils.random"].normal

    def normal(shape, seed, dtype=tf.float32):
        return tf.cast(tf.random.stateless_normal(shape, seed, alg="philox"), dtype)

    for name, module in list(sys.modules.items()):
        if name.startswith("tfgen"):
            for key, value in list(vars(module).items()):
                if value is original:
                    setattr(module, key, normal)


def digest(weights):
    return hashlib.sha256(b"".join(w.tobytes() for w in weights)).hexdigest()[:12]


def verdict(old, new):
    """One line on two lists of weights."""
    if len(old) != len(new):  # A commit may add a scalar, such as a KL weight that can be set.
        old, new = ([w for w in weights if w.shape] for weights in (old, new))
    if [w.shape for w in old] != [w.shape for w in new]:
        return f"other weights: {[w.shape for w in old]} before, {[w.shape for w in new]} now"
    if all(np.array_equal(a, b) for a, b in zip(old, new, strict=True)):
        return "bit-equal"
    pairs = [
        (np.abs(a - b).max(), np.abs(a).max()) for a, b in zip(old, new, strict=True) if a.size
    ]
    difference, size = max(pairs)
    return f"differs by {difference:.1e} of {size:.1e}"


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--write", help="npz file to write the weights to")
    parser.add_argument("--compare", help="npz file that another commit wrote")
    parser.add_argument("--only", nargs="+", choices=BUILDERS, default=list(BUILDERS))
    parser.add_argument(
        "--tensorflow-normals",
        action="store_true",
        help="draw normals by tf.random.stateless_normal, as commits without tfgen._utils did",
    )
    args = parser.parse_args(argv)
    if args.tensorflow_normals:
        draw_as_tensorflow_does()
    before = dict(np.load(args.compare)) if args.compare else {}
    print(f"tfgen {tfgen.__version__} in {os.path.dirname(tfgen.__file__)}")
    written = {}
    for name in args.only:
        try:
            weights = train(name)
        except Exception as error:  # One that fails must not hide the others.
            print(f"{name:30} failed: {type(error).__name__}: {str(error)[:100]}", flush=True)
            continue
        written.update({f"{name}/{i:03d}": weight for i, weight in enumerate(weights)})
        old = [before[key] for key in sorted(before) if key.rpartition("/")[0] == name]
        result = verdict(old, weights) if args.compare else ""
        print(f"{name:30} {digest(weights)} {result}", flush=True)
    if args.write:
        np.savez(args.write, **written)


if __name__ == "__main__":
    main()
