"""Two replicas descend the loss that one descends on the same batches, in every family of models.

The replicas are in a process of their own, `python test_mirrored.py MODE NAME...`, because devices
are fixed once TensorFlow has begun.
"""

import contextlib
import importlib.util
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen import models
from tfgen._utils import keras_private, random

# What compares the examples of a batch, in graphs; everything is compared eagerly as well.
IN_GRAPHS = ["beta_tcvae", pytest.param("dip_vae_ii", marks=pytest.mark.slow)]
# As many as share a process.
CHUNK = 8
NUM_REPLICAS, BATCH, NUM_BATCHES = 2, 20, 3
# Examples of a replica in a step, and in a step of a discriminator that takes two of them. Nothing
# else of what is drawn has an axis of these sizes.
SIZES = (BATCH // NUM_REPLICAS, BATCH // NUM_REPLICAS // 2)

# Where two replicas are not one, or the comparison would say nothing:
OPTIONS = {
    # About the mean of the KL of a dimension, so that it is above in one half and below in another.
    "vae": {"free_bits": 0.45},
    # About the mean KL, which is above it in one half and below in another.
    "beta_vae": {"capacity": 0.9},
    # Of 5, the default, the draws would have an axis as long as a share of the batch.
    "iwae": {"num_samples": 3},
    # The averages count uses in the batch of a replica.
    **dict.fromkeys(("vq_vae", "rq_vae"), {"decay": None, "restart_below": 0.0}),
}
# Logged, but no mean over examples: of the codes that a replica uses.
NOT_COMPARED = dict.fromkeys(("vq_vae", "fsq_vae", "rq_vae"), {"perplexity", "val_perplexity"})
# Their penalties grow like the fourth power of the codes.
RATES = {"dip_vae": 1e-3, "dip_vae_ii": 1e-3}


def variants():
    """Builders of what conftest.py builds in one of two ways alone."""
    return {
        "dip_vae_ii": lambda n, **kwargs: models.DIPVAE(
            n.posterior, n.decoder, kind="ii", **kwargs
        ),
        "weighted_tc": lambda n, **kwargs: models.BetaTCVAE(
            n.posterior, n.decoder, dataset_size=500, estimator="weighted", **kwargs
        ),
        "penalized": lambda n, **kwargs: models.ConstrainedVAEGAN(
            n.posterior, n.decoder, n.discriminator, bound=0.68, multiplier=5.0, **kwargs
        ),
    }


def run(mode, names):
    command = [sys.executable, __file__, mode, *names]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1:] == ["as one replica"], done.stdout + done.stderr[-3000:]


@pytest.mark.parametrize("name", IN_GRAPHS)
@pytest.mark.slow
def test_in_graphs(name):
    run("graph", [name])


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(6))
def test_every_family(chunk, model_names):
    names = [*model_names, *variants(), "mixture_em", "mixture_em_stepwise"]
    assert len(names) <= 6 * CHUNK
    run("eager", names[chunk * CHUNK : (chunk + 1) * CHUNK])


# Draws: by the place of an example in the whole batch, and not in that of its replica.


def _by_place(draw):
    def drawn(shape, seed, *args):
        context = tf.distribute.get_replica_context()
        parts = tf.nest.flatten(shape)
        if context is None or any(map(tf.is_symbolic_tensor, parts)):  # Of networks being built.
            return draw(shape, seed, *args)
        shape = [int(n) for n in np.ravel(shape)]
        axis = next((i for i, n in enumerate(shape) if n in SIZES), None)
        if context.num_replicas_in_sync == 1 or axis is None:
            return draw(shape, seed, *args)
        whole = [n * NUM_REPLICAS if i == axis else n for i, n in enumerate(shape)]
        rows = tf.range(shape[axis]) + shape[axis] * context.replica_id_in_sync_group
        return tf.gather(draw(whole, seed, *args), rows, axis=axis)

    return drawn


def _one_for_all(draw):
    """In graphs, where sizes are not known: one number for each seed."""
    return lambda shape, seed, *args: tf.fill(tf.cast(shape, tf.int32), draw((), seed, *args))


def _exchange_first_dimension(z, seed):
    """A permutation within pairs, the same for ten examples as for twenty."""
    pairs = tf.reshape(z[:, :1], (-1, 2, 1))[:, ::-1]
    return tf.concat([tf.reshape(pairs, (-1, 1)), z[:, 1:]], axis=1)


def share_draws(shared):
    """Lets replicas and one device draw the same numbers for the same examples."""
    spec = importlib.util.spec_from_file_location("unchanged", random.__file__)
    unchanged = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(unchanged)
    for name in ("normal", "uniform"):
        old, new = getattr(random, name), shared(getattr(unchanged, name))
        for module in [m for key, m in sys.modules.items() if key.startswith("tfgen.")]:
            if vars(module).get(name) is old:
                setattr(module, name, new)
    sys.modules["tfgen.models.persistent_model"].fold_in = lambda seed, replica: seed
    sys.modules["tfgen.models.factor_vae"].permute_dims = _exchange_first_dimension


# Training.


def examples():
    return np.random.default_rng(0).normal(size=(BATCH * NUM_BATCHES, 2, 2, 1)).astype("float32")


def data_for(model, num_replicas):
    x = examples()
    if num_replicas == 1 and getattr(model, "discriminator_steps", 1) == 2:
        # A discriminator's first step sees the first halves of all replicas' batches.
        quarters = x.reshape(NUM_BATCHES, 2, 2, BATCH // 4, *x.shape[1:])
        x = quarters.swapaxes(1, 2).reshape(x.shape)
    labels = (x[:, 0, 0, 0] > 0).astype("int32")
    return x, labels if getattr(model, "num_classes", 0) else None


def synchronize(model):
    """Lets batch normalization see the whole batch, by its own argument."""
    for part in keras_private.sublayers(model):
        if isinstance(part, keras.layers.BatchNormalization):
            part.synchronized = True


def built(name, run_eagerly):
    import conftest

    keras.utils.set_random_seed(0)
    networks = conftest._networks()
    model = (conftest._BUILDERS | variants())[name](networks, seed=0, **OPTIONS.get(name, {}))
    synchronize(model)
    rate = RATES.get(name, 0.05)
    model.compile(keras.optimizers.SGD(rate), jit_compile=False, run_eagerly=run_eagerly)
    return model


def mixture(name, run_eagerly):
    kappa = 0.7 if name.endswith("stepwise") else None
    model = models.MixtureEM(3, (2, 2, 1), seed=0, kappa=kappa)
    model.compile(run_eagerly=run_eagerly)
    return model


def trained(name, run_eagerly, strategy=None):
    """What is logged of training and evaluation, the model, and the weights it began with."""
    with strategy.scope() if strategy else contextlib.nullcontext():
        build = mixture if name.startswith("mixture") else built
        model = build(name, run_eagerly)
    start = [np.array(weight) for weight in model.get_weights()]
    x, y = data_for(model, strategy.num_replicas_in_sync if strategy else 1)
    options = dict(batch_size=BATCH, verbose=0)
    logs = model.fit(x, y, shuffle=False, **options).history
    values = model.evaluate(x, y, return_dict=True, **options)
    return logs | {f"val_{key}": value for key, value in values.items()}, model, start


def check(name, run_eagerly, strategy):
    one, model, start = trained(name, run_eagerly)
    two, mirrored, _ = trained(name, run_eagerly, strategy)
    assert set(one) == set(two), name
    # Float32 sums of up to 20 terms in another order, through some hundred operations and three
    # steps, whose differences at rates that train well do not grow: a few hundred times 2^-24.
    tolerance = dict(rtol=1e-4, atol=2e-5)
    for key in set(one) - NOT_COMPARED.get(name, set()):
        np.testing.assert_allclose(two[key], one[key], **tolerance, err_msg=f"{name}: {key}")
    weights = zip(model.weights, mirrored.get_weights(), model.get_weights(), start, strict=True)
    moved = 0
    for variable, ours, theirs, before in weights:
        moved += not np.array_equal(theirs, before)
        message = f"{name}: {variable.path}"
        np.testing.assert_allclose(ours, theirs, **tolerance, err_msg=message)
    assert moved > 2, name


def main(mode, *names):
    cpu = tf.config.list_physical_devices("CPU")[0]
    devices = [tf.config.LogicalDeviceConfiguration()] * NUM_REPLICAS
    tf.config.set_logical_device_configuration(cpu, devices)
    share_draws(_by_place if mode == "eager" else _one_for_all)
    strategy = tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(NUM_REPLICAS)])
    for name in names:
        check(name, mode == "eager", strategy)
        print(name, flush=True)
    print("as one replica")


if __name__ == "__main__":
    main(*sys.argv[1:])
