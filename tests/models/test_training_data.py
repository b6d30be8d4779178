"""Bad data are refused before training begins, with a message that says what to do."""

import pathlib
import tempfile

import h5py
import keras
import numpy as np
import pandas
import pytest
import scipy.sparse
import tensorflow as tf

from tfgen import datasets, layers, models, networks
from tfgen.models import training_data

SHAPE = (4, 4, 1)


@pytest.fixture(scope="module")
def model():
    model = models.VAE(
        networks.mlp_encoder(SHAPE, 2, width=8), networks.mlp_decoder(SHAPE, 2, width=8)
    )
    model.compile("adam")
    return model


def images(value=0.5, num=6):
    return np.full((num, *SHAPE), value, "float32")


def as_given(x):
    return x


def as_pipeline(x):
    return tf.data.Dataset.from_tensor_slices(x).batch(4)


@pytest.mark.parametrize("form", [as_given, as_pipeline])
@pytest.mark.parametrize(
    "value, text",
    [
        (1.5, r"Bernoulli likelihood needs data in \[0, 1\]\. Received: values from 0\.5 to 1\.5"),
        (-0.1, r"needs data in \[0, 1\]\. Received: values from -0\.1 to 0\.5.*divide by 255"),
        (np.nan, r"finite data\. Received: 1 values that are NaN or infinite"),
        (np.inf, r"finite data\. Received: 1 values"),
    ],
)
def test_bad_pixel(model, form, value, text):
    x = images()
    x[0, 0, 0, 0] = value
    with pytest.raises(ValueError, match=text):
        model.fit(form(x), verbose=0)


def test_nan_anywhere_in_an_array(model):
    x = images(num=100)
    x[-1] = np.nan
    with pytest.raises(ValueError, match="Received: 16 values that are NaN"):
        model.fit(x, batch_size=4, verbose=0)


@pytest.mark.parametrize("form", [as_given, as_pipeline])
def test_wrong_shape(model, form):
    x = np.zeros((4, 5, 5, 1), "float32")
    with pytest.raises(
        ValueError, match=r"\(batch, 4, 4, 1\)\. Received: x of shape \(4, 5, 5, 1\)"
    ):
        model.fit(form(x), verbose=0)


@pytest.mark.parametrize("form", [as_given, as_pipeline])
def test_empty(model, form):
    with pytest.raises(ValueError, match="Received: an empty data set"):
        model.fit(form(np.zeros((0, *SHAPE), "float32")), verbose=0)


def test_sample_weights(model):
    x = tf.data.Dataset.from_tensor_slices((images(), np.zeros(6), np.ones(6))).batch(4)
    with pytest.raises(ValueError, match="take no sample_weight"):
        model.fit(x, verbose=0)


def test_normal_likelihood_takes_any_finite_value():
    from tfgen.layers import FixedScaleNormal

    model = models.VAE(
        networks.mlp_encoder(SHAPE, 2, width=8),
        networks.mlp_decoder(SHAPE, 2, FixedScaleNormal, width=8),
    )
    model.compile("adam")
    logs = model.fit(images(-3.0), verbose=0).history
    assert np.isfinite(logs["loss"][0])


def test_labels_are_ignored(model):
    labelled = tf.data.Dataset.from_tensor_slices((images(), np.arange(6))).batch(4)
    plain = model.evaluate(images(), verbose=0, batch_size=4)
    assert model.evaluate(labelled, verbose=0) == plain


@pytest.fixture(scope="module")
def eager():
    """A model for one step or none, without a graph."""
    model = models.VAE(
        networks.mlp_encoder(SHAPE, 2, width=8), networks.mlp_decoder(SHAPE, 2, width=8), seed=0
    )
    model.compile(keras.optimizers.SGD(0.0), run_eagerly=True)
    return model


def test_labels_are_said_to_be_ignored(eager):
    with pytest.warns(UserWarning, match=r"VAE takes no labels: y of shape \(6,\) is ignored"):
        eager.fit(images(), np.arange(6), verbose=0)
    with pytest.warns(UserWarning, match=r"VAE takes no labels: y of shape \(6, 5\) is ignored"):
        eager.fit(images(), np.zeros((6, 5), "int32"), verbose=0)
    with pytest.warns(UserWarning, match=r"VAE takes no labels: y of shape \(.*\) is ignored"):
        eager.evaluate(
            tf.data.Dataset.from_tensor_slices((images(), np.arange(6))).batch(4), verbose=0
        )


# Targets.


def random_images(seed, num=6):
    return np.random.default_rng(seed).uniform(size=(num, *SHAPE)).astype("float32")


def as_pairs(x, y):
    return tf.data.Dataset.from_tensor_slices((x, y)).batch(6)


def test_what_is_seen_and_what_is_explained(eager):
    """The encoder sees x, the likelihood is that of y, in arrays and in data sets."""
    noisy, clean = random_images(0), random_images(1)
    logs = eager.evaluate(noisy, clean, batch_size=6, verbose=0, return_dict=True)
    q = eager.encode(noisy)
    z = q.sample(seed=[0, 0])
    eager.evaluation_seed_generator.state.assign([0, 0])
    terms = eager.terms(noisy, training=False)
    eager.evaluation_seed_generator.state.assign([0, 0])
    z = q.sample(seed=eager.next_seed(training=False))
    expected = -np.mean(eager.decode(z).log_prob(clean))
    assert logs["reconstruction"] == pytest.approx(expected, rel=1e-5)
    assert logs["kl"] == pytest.approx(np.mean(terms["kl"]), rel=1e-5)
    assert eager.evaluate(as_pairs(noisy, clean), verbose=0, return_dict=True) == logs
    plain = eager.evaluate(noisy, batch_size=6, verbose=0, return_dict=True)
    assert eager.evaluate(noisy, noisy, batch_size=6, verbose=0, return_dict=True) == plain != logs


CHAINS = ("hvi", "hvae")  # They follow p(x, z), which is that of y.


@pytest.mark.parametrize(
    "name",
    ["ae", "wae", "vq_vae", "iwae", *CHAINS, "vgp", "draw", "ladder_vae", "vae_gan", "flow_vae"],
)
def test_targets_change_the_reconstruction_alone(name, build_model, blobs):
    model = build_model(name)
    model.compile(keras.optimizers.SGD(0.0), run_eagerly=True)
    noisy, clean = blobs[:16], blobs[16:32]
    plain, mixed, flat = (
        model.test_on_batch(noisy, y, return_dict=True) for y in (None, clean, 0.5 * noisy)
    )
    key = "reconstruction" if "reconstruction" in plain else "loss"
    assert len({float(logs[key]) for logs in (plain, mixed, flat)}) == 3
    if "kl" in plain and name not in CHAINS:
        assert plain["kl"] == mixed["kl"]


def test_denoising_in_training_and_validation():
    """What is trained on pairs explains the clean ones, and so says validation."""
    model = models.AE(
        networks.mlp_encoder(SHAPE, 4, head=None, width=16),
        networks.mlp_decoder(SHAPE, 4, head=None, width=16),
        seed=0,
    )
    model.compile(keras.optimizers.Adam(1e-2), jit_compile=False)
    clean = np.tile(images(0.9, 32), (2, 1, 1, 1))
    noisy = clean + np.random.default_rng(0).normal(size=clean.shape).astype("float32")
    logs = model.fit(
        noisy, clean, epochs=30, verbose=0, validation_split=0.25, batch_size=16
    ).history
    assert logs["val_reconstruction"][-1] < 0.05 * logs["val_reconstruction"][0]
    np.testing.assert_allclose(model.reconstruct(noisy), clean, atol=0.4)


@pytest.mark.parametrize(
    "y, text",
    [
        (np.zeros((5, *SHAPE), "float32"), "6 examples and a y of 5"),
        (np.zeros((6, 3), "float32"), r"takes targets of shape \(batch, 4, 4, 1\) instead.*\(6, 3"),
        (np.zeros(6, "float32"), "ignores labels that are ints. Received: y of dtype float32"),
        (np.full((6, *SHAPE), np.nan, "float32"), "Received: 96 values that are NaN"),
        (np.full((6, *SHAPE), 3.0, "float32"), "Bernoulli.*from 3 to 3"),
        (np.array(["a"] * 6), "Expected numbers.*y of dtype <U1"),
        (np.array([object()] * 6), "Expected numbers.*y of dtype object"),
        ({"label": np.zeros(6, "int32")}, "Expected numbers.*y of dtype object.*type dict"),
        (tf.sparse.from_dense(images()), r"tf.sparse.to_dense\(y\)"),
        (tf.data.Dataset.range(6), "y goes with arrays, and is one.*y of type _RangeDataset"),
    ],
)
def test_what_is_neither_target_nor_label(eager, y, text):
    with pytest.raises(ValueError, match=text):
        eager.fit(images(), y, verbose=0)
    with pytest.raises(ValueError, match=text):
        eager.evaluate(images(), y, verbose=0)


def one_batch_generator(x, y):
    yield x, y


PAIRS = {
    "arrays": lambda x, y: (x, y),
    "tf.data": lambda x, y: (as_pairs(x, y),),
    "PyDataset": lambda x, y: (OneBatch((x, y)),),
    "generator": lambda x, y: (one_batch_generator(x, y),),
}
every_kind_of_pair = pytest.mark.parametrize("pairs", PAIRS.values(), ids=PAIRS)


@every_kind_of_pair
@pytest.mark.parametrize(
    "value, text", [(np.nan, "Received: 96 values that are NaN"), (3.0, "Bernoulli.*from 3 to 3")]
)
def test_targets_are_checked_however_they_come(model, pairs, value, text):
    for call in (model.fit, model.evaluate):
        with pytest.raises(ValueError, match=text):
            call(*pairs(images(), images(value)), verbose=0)
    if pairs is not PAIRS["arrays"]:
        with pytest.raises(ValueError, match=text):
            model.fit(images(), validation_data=pairs(images(), images(value))[0], verbose=0)


@every_kind_of_pair
def test_a_mask_is_no_target(pairs, recwarn):
    """A VAE of tables explains it all the same, since targets may be zeros and ones."""
    model = models.VAE(
        networks.mlp_encoder((3,), 2, width=8),
        networks.mlp_decoder((3,), 2, head=layers.IndependentNormal, width=8),
    )
    model.compile("adam")
    x = np.random.default_rng(0).normal(size=(6, 3)).astype("float32")
    with pytest.warns(UserWarning, match="Should y be a mask of what is observed.*MissingDataVAE"):
        model.evaluate(*pairs(x, (x > 0).astype("float32")), verbose=0)
    recwarn.clear()
    model.evaluate(*pairs((x > 0).astype("float32"), (x > 1).astype("float32")), verbose=0)
    assert not [w for w in recwarn if "mask" in str(w.message)]


def test_bad_targets_of_batches(eager, model):
    with pytest.raises(ValueError, match="takes targets of shape"):
        eager.fit(as_pairs(images(), np.zeros((6, 10), "float32")), verbose=0)
    unknown = as_pairs(images(), images()).map(
        lambda x, y: (x, tf.ensure_shape(tf.py_function(lambda v: v, [y], tf.float32), None))
    )
    with pytest.raises(ValueError, match="y of unknown rank.*tf.ensure_shape"):
        model.fit(unknown, verbose=0)


@pytest.mark.parametrize(
    "y",
    [{"label": np.arange(6)}, (np.arange(6), np.arange(6)), tf.sparse.from_dense(images())],
    ids=["dict", "tuple", "sparse"],
)
def test_batches_of_several_targets(eager, model, y):
    for one in (eager, model):
        with pytest.raises(ValueError, match="A batch has one y, an array or dense tensor"):
            one.evaluate(as_pairs(images(), y), verbose=0)


def test_models_without_targets_refuse_them(build_model, blobs):
    for name in ("gan", "aae", "ali", "alpha_gan", "flow"):
        model = build_model(name)
        model.compile("sgd", run_eagerly=True)
        with pytest.raises(ValueError, match="takes no targets, and ignores labels"):
            model.fit(blobs, blobs, verbose=0)


# Weights of examples.


@pytest.mark.parametrize("name", ["vae", "gan", "mixture"])
def test_weights_are_refused_everywhere(name, build_model, blobs):
    if name == "mixture":
        model = models.MixtureEM(2, (2, 2, 1), seed=0)
        model.initialize(blobs)
    else:
        model = build_model(name)
        model.compile("sgd", run_eagerly=True)
    x, w = blobs[:8], np.ones(8)
    triples = tf.data.Dataset.from_tensor_slices((x, np.zeros(8, "int32"), w)).batch(4)
    for call in (
        lambda: model.fit(x, sample_weight=w, verbose=0),
        lambda: model.fit(x, np.zeros(8, "int32"), class_weight={0: 2.0}, verbose=0),
        lambda: model.fit(triples, verbose=0),
        lambda: model.fit(x, validation_data=(x, None, w), verbose=0),
        lambda: model.evaluate(x, sample_weight=w, verbose=0),
        lambda: model.evaluate(triples, verbose=0),
        lambda: model.train_on_batch(x, sample_weight=w),
        lambda: model.train_on_batch(x, np.zeros(8, "int32"), class_weight={0: 2.0}),
        lambda: model.test_on_batch(x, sample_weight=w),
    ):
        with pytest.raises(ValueError, match="take no sample_weight or class_weight"):
            call()
    assert int(model.steps) == 0


# Kinds of data.


def kinds(x, folder):
    """The same examples in every form that `fit` takes, and how many batches they have."""
    np.save(folder / "x.npy", x)
    file = h5py.File(folder / f"{id(x)}.h5", "w")
    file["x"] = x
    dataset = tf.data.Dataset.from_tensor_slices(x).batch(2)

    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return len(x) // 2

        def __getitem__(self, index):
            return x[2 * index : 2 * index + 2]

    return {
        "tensor": tf.constant(x),
        "list": list(x),
        "nested list": x.tolist(),
        "memmap": np.load(folder / "x.npy", mmap_mode="r"),
        "h5py": file["x"],
        "float64": x.astype("float64"),
        "dataset": dataset,
        "unknown length": dataset.filter(lambda _: True),
        "PyDataset": Batches(),
        "generator": ((x[i : i + 2], None) for i in range(0, len(x), 2)),
    }


KINDS = list(kinds(images(), pathlib.Path(tempfile.mkdtemp())))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_data_trains_and_is_checked(eager, kind, tmp_path):
    x = kinds(random_images(0), tmp_path)[kind]
    options = {} if kind in KINDS[6:] else {"batch_size": 2}
    before = int(eager.steps)
    history = eager.fit(x, verbose=0, shuffle=False, **options).history
    assert int(eager.steps) == before + 3 and np.isfinite(history["loss"]).all()
    bad = random_images(0)
    bad[0, 0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="Received: 1 values that are NaN"):
        eager.fit(kinds(bad, tmp_path)[kind], verbose=0, **options)
    if kind in KINDS[6:]:
        with pytest.raises(ValueError, match="Only arrays are cut into batches"):
            eager.fit(kinds(random_images(0), tmp_path)[kind], batch_size=2, verbose=0)


def test_data_frames(tmp_path):
    """Rows are examples."""
    model = models.MixtureEM(2, (3,), seed=0)
    x = np.random.default_rng(0).normal(size=(20, 3))
    model.fit(pandas.DataFrame(x), verbose=0)
    again = models.MixtureEM(2, (3,), seed=0)
    again.fit(x, verbose=0)
    np.testing.assert_array_equal(model.means, again.means)


def test_masked_arrays_without_a_mask(eager):
    eager.evaluate(np.ma.masked_less(random_images(0), -1.0), verbose=0)


@pytest.mark.parametrize(
    "batch, text",
    [
        ({"image": images()}, "type dict"),
        (((images(), images()), np.arange(6)), "type tuple"),
        (images().astype("complex64"), "dtype complex64"),
        (images().astype(str), "dtype object|dtype <U"),
        (tf.sparse.from_dense(images()), "type SparseTensor"),
        (tf.RaggedTensor.from_tensor(images()), "type RaggedTensor"),
    ],
)
def test_batches_that_are_no_array_of_numbers(eager, batch, text):
    text = f"Expected batches of one array of numbers.*{text}"
    for data in (tf.data.Dataset.from_tensors(batch), OneBatch(batch)):
        with pytest.raises(ValueError, match=text):
            eager.fit(data, verbose=0)
        with pytest.raises(ValueError, match=text):
            eager.fit(images(), validation_data=data, verbose=0)
    with pytest.raises(ValueError, match=text):
        eager.fit((part for part in [batch]), verbose=0)


class OneBatch(keras.utils.PyDataset):
    def __init__(self, batch):
        super().__init__()
        self.batch = batch

    def __len__(self):
        return 1

    def __getitem__(self, index):
        return self.batch


def test_batches_of_bfloat16(eager):
    """Are numbers too."""
    x = tf.data.Dataset.from_tensors(tf.cast(images(), "bfloat16"))
    same = eager.evaluate(images(), verbose=0)
    assert eager.evaluate(x, verbose=0) == pytest.approx(same, rel=1e-6)


def test_generators_of_arrays_and_lists(eager):
    """Seen as (x,) and (x, y)."""
    x, y = random_images(0), random_images(1)
    logs = eager.evaluate((batch for batch in [x]), verbose=0)
    assert logs == eager.evaluate(x, verbose=0)
    logs = eager.evaluate((batch for batch in [[x, y]]), verbose=0)
    assert logs == eager.evaluate(x, y, verbose=0)


def test_validation_data_of_other_lengths(eager):
    for data in ((), (images(), None, None, None), list(images())):
        with pytest.raises(ValueError, match=f"are x, or a pair.*{len(data)} parts"):
            eager.fit(images(), validation_data=data, verbose=0)


@pytest.mark.parametrize("kind", ["tensor", "list", "memmap", "h5py"])
def test_every_kind_of_array_gives_the_same_batches(kind, tmp_path):
    """In the order of the epoch, whatever they are read from."""
    x = random_images(0)
    seen = {}
    for name, data in {"array": x, kind: kinds(x, tmp_path)[kind]}.items():
        pipeline = training_data.as_dataset(training_data.as_given(data), 4, True, seed=3)
        seen[name] = np.concatenate([batch.numpy() for batch in pipeline])
    np.testing.assert_array_equal(seen["array"], seen[kind])
    assert sorted(seen[kind].ravel()) == sorted(x.ravel()) and not np.array_equal(seen[kind], x)


def test_splits_of_lists_and_files(eager, tmp_path):
    for kind in ("list", "memmap", "h5py"):
        x = kinds(random_images(0), tmp_path)[kind]
        history = eager.fit(x, validation_split=0.5, batch_size=3, verbose=0).history
        assert "val_loss" in history


@pytest.mark.parametrize(
    "x, text",
    [
        (None, "Received: x=None"),
        ([[1.0], [1.0, 2.0]], "of which NumPy makes no array"),
        (np.array(["a", "b"]), "Expected numbers"),
        (np.array([object(), None]), "Expected numbers"),
        (images().astype("complex64"), "Expected numbers"),
        (3.0, "with one row for each example"),
        ((images(), np.arange(6)), "give labels or targets apart, as fit"),
        ({"x": images()}, "Expected numbers.*of type dict"),
        pytest.param(
            images().astype("longdouble"),
            "dtype float128.*np.asarray",
            marks=pytest.mark.skipif(np.dtype("longdouble").itemsize == 8, reason="is float64"),
        ),
        (np.ma.masked_less(random_images(0), 0.5), r"MaskedArray.*x.filled\(\)"),
        (scipy.sparse.csr_matrix(np.eye(4)), r"of type csr_matrix.*x.toarray\(\)"),
        (tf.sparse.from_dense(images()), r"SparseTensor.*tf.sparse.to_dense\(x\)"),
        (tf.RaggedTensor.from_tensor(images()), r"RaggedTensor.*x.to_tensor\(\)"),
        ("mnist", "Expected numbers"),
    ],
)
def test_what_is_no_data(eager, x, text):
    for call in (eager.fit, eager.evaluate):
        with pytest.raises(ValueError, match=text):
            call(x, verbose=0)
    for call in (eager.train_on_batch, eager.test_on_batch):
        with pytest.raises(ValueError, match=text):
            call(x)


@pytest.mark.parametrize(
    "options",
    [
        {"batch_size": 0},
        {"batch_size": -2},
        {"batch_size": 2.5},
        {"epochs": -1},
        {"epochs": 1.5},
        {"initial_epoch": -1},
        {"steps_per_epoch": 0},
        {"validation_steps": 0, "validation_data": images()},
        {"validation_batch_size": 0, "validation_data": images()},
        {"validation_split": 1.5},
        {"validation_split": -0.5},
        {"validation_split": 1.0},
    ],
)
def test_counts_out_of_range(eager, options):
    name = next(iter(options))
    with pytest.raises(ValueError, match=f"{name}.*Received: .*{name}="):
        eager.fit(images(), verbose=0, **options)
    if name in ("batch_size", "steps"):
        with pytest.raises(ValueError, match=f"{name} must be"):
            eager.evaluate(images(), verbose=0, **options)


# Single batches.


def test_steps_on_batches(build_model, blobs):
    """A step of `train_on_batch` is one of `fit`, and gives the same logs."""
    for name in ("vae", "gan", "flow"):
        one, many = build_model(name), build_model(name)
        for model in (one, many):
            model.compile(keras.optimizers.SGD(1e-2), steps_per_execution=1, run_eagerly=True)
        for i in (0, 1):
            x = blobs[16 * i : 16 * (i + 1)]
            expected = one.fit(x, batch_size=16, shuffle=False, verbose=0).history
            logs = many.train_on_batch(x, return_dict=True)
            assert logs == pytest.approx({key: value[0] for key, value in expected.items()})
        for a, b in zip(one.get_weights(), many.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)
        assert many.test_on_batch(blobs) == pytest.approx(
            one.evaluate(blobs, batch_size=64, verbose=0), rel=1e-5
        )


def test_a_compiled_step_on_a_batch(model):
    before = int(model.steps)
    losses = [model.train_on_batch(images(num=4)) for _ in range(2)]
    assert len(losses[0]) == len(model.metrics_names) and int(model.steps) == before + 2


# What `evaluate` returns, and callbacks that watch it.


def test_the_loss_comes_first(build_model, blobs):
    for name, first in (("vae", "loss"), ("gan", "discriminator_loss"), ("vq_vae", "loss")):
        model = build_model(name)
        model.compile("sgd", run_eagerly=True)
        values = model.evaluate(blobs, verbose=0)
        named = model.evaluate(blobs, verbose=0, return_dict=True)
        assert model.metrics_names[0] == first and values[0] == named[first]
        assert dict(zip(model.metrics_names, values, strict=True)) == named


@pytest.mark.parametrize(
    "monitor, mode",
    [("val_elbo", "max"), ("val_loss", "min"), ("kl", "auto"), ("fake_accuracy", "max")],
)
def test_directions_of_what_is_watched(eager, monitor, mode, tmp_path):
    stop = keras.callbacks.EarlyStopping(monitor)
    best = keras.callbacks.ModelCheckpoint(tmp_path / "model.keras", monitor, save_best_only=True)
    if not hasattr(best, "mode"):  # Keras 3.8; see test_keras_private.py.
        best = keras.callbacks.EarlyStopping(monitor)
    plateau = keras.callbacks.ReduceLROnPlateau(monitor)
    told = keras.callbacks.EarlyStopping(monitor, mode="min")
    callbacks = [stop, best, plateau, told]
    if mode == "auto":
        with pytest.raises(ValueError, match="isn't able to automatically determine"):
            eager.fit(images(), validation_data=images(), verbose=0, callbacks=callbacks)
    else:
        eager.fit(images(), validation_data=images(), verbose=0, callbacks=callbacks)
    assert [c.mode for c in callbacks] == [mode, mode, mode, "min"]


@pytest.fixture
def tcvae():
    model = models.BetaTCVAE(
        networks.mlp_encoder(SHAPE, 2, width=8),
        networks.mlp_decoder(SHAPE, 2, width=8),
        dataset_size=5,
    )
    model.compile("adam")
    return model


def test_batch_of_one_has_no_total_correlation(tcvae):
    """Found before training, though only the last batch is too small."""
    with pytest.raises(ValueError, match="needs at least 2.*batch of 1"):
        tcvae.fit(images(num=5), batch_size=4, verbose=0)
    with pytest.raises(ValueError, match="needs at least 2.*batch of 1"):
        tcvae.fit(datasets.load(images(num=5), batch_size=2)[0], verbose=0)
    with pytest.raises(ValueError, match="needs at least 2.*batch of 1"):
        tcvae.fit(images(num=4), batch_size=4, validation_data=images(num=5), verbose=0)
    with pytest.raises(ValueError, match="needs at least 2.*batch of 1"):
        tcvae.evaluate(images(num=5), batch_size=4, verbose=0)
    assert int(tcvae.steps) == 0


def test_batch_of_one_that_shows_only_in_training(tcvae):
    data = tf.data.Dataset.from_tensor_slices(images(num=5)).batch(4)
    with pytest.raises(tf.errors.InvalidArgumentError, match="needs at least 2"):
        tcvae.fit(data, verbose=0)


def test_bad_validation_and_evaluation_data(model):
    with pytest.raises(ValueError, match="values from 2 to 2"):
        model.fit(images(), validation_data=images(2.0), verbose=0)
    with pytest.raises(ValueError, match="values from 2 to 2"):
        model.fit(images(), validation_data=(images(2.0), np.zeros(6)), verbose=0)
    with pytest.raises(ValueError, match="values from 2 to 2"):
        model.evaluate(images(2.0), verbose=0)


def test_fit_before_compile():
    model = models.VAE(networks.mlp_encoder(SHAPE, 2), networks.mlp_decoder(SHAPE, 2))
    with pytest.raises(ValueError, match=r"Call compile\(optimizer\) first"):
        model.fit(images(), verbose=0)


def test_validation_split(model):
    history = model.fit(images(num=8), validation_split=0.25, batch_size=3, verbose=0).history
    assert "val_loss" in history
    assert (
        model.fit(images(num=8), validation_split=0.25, batch_size=2, verbose=0).params["steps"]
        == 3
    )


@pytest.mark.parametrize("x, fraction", [(as_pipeline(images()), 0.5), (images(num=1), 0.5)])
def test_validation_split_of_what_cannot_be_split(model, x, fraction):
    with pytest.raises(ValueError, match="validation_split needs an array"):
        model.fit(x, validation_split=fraction, verbose=0)


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 3

    def __getitem__(self, index):
        return images(num=2)


def generator():
    for _ in range(3):
        yield (images(num=2),)


@pytest.mark.parametrize("make", [Batches, generator], ids=["PyDataset", "generator"])
def test_other_kinds_of_data(model, make):
    before = int(model.steps)
    model.fit(make(), verbose=0)
    assert int(model.steps) == before + 3


def test_evaluation_inside_a_callback_leaves_validation_alone():
    """Both see all of their data, though they have different numbers of batches."""
    model = models.VAE(
        networks.mlp_encoder(SHAPE, 2, width=8), networks.mlp_decoder(SHAPE, 2, width=8), seed=0
    )
    model.compile(keras.optimizers.SGD(0.0))
    x = np.random.default_rng(0).uniform(size=(40, *SHAPE)).astype("float32")
    expected = model.evaluate(as_pipeline(x), verbose=0, return_dict=True)
    inside = []

    class Evaluate(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            inside.append(model.evaluate(as_pipeline(x[:8]), verbose=0))

    history = model.fit(
        x, epochs=3, validation_data=as_pipeline(x), verbose=0, callbacks=[Evaluate()]
    ).history
    for name, value in expected.items():
        np.testing.assert_allclose(history[f"val_{name}"], 3 * [value], rtol=1e-6)
    assert inside[0] == inside[1] == inside[2] == model.evaluate(as_pipeline(x[:8]), verbose=0)


@pytest.mark.parametrize(
    "activation, value, text",
    [
        ("sigmoid", -0.5, r"ends in sigmoid gives values from 0 to 1\. Received: data from -0.5"),
        ("tanh", 2.0, r"ends in tanh gives values from -1 to 1.*to 2.*value_range=\(-1, 1\)"),
        ("linear", 2.0, None),
        ("tanh", -1.0, None),
    ],
)
def test_values_that_the_generator_cannot_reach(activation, value, text):
    output = [keras.layers.Dense(3, activation), keras.layers.Reshape((3,))]
    generator = keras.Sequential([keras.Input((2,)), *output])
    discriminator = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    gan = models.GAN(generator, discriminator)
    x = np.full((4, 3), value, "float32")
    if text is None:
        training_data.check(x, gan)
        return
    with pytest.raises(ValueError, match=text):
        training_data.check(x, gan)


def test_values_behind_a_layer_that_rescales():
    output = [keras.layers.Dense(3, "tanh"), keras.layers.Rescaling(127.5, offset=127.5)]
    generator = keras.Sequential([keras.Input((2,)), *output])
    discriminator = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    training_data.check(np.full((4, 3), 255.0, "float32"), models.GAN(generator, discriminator))


@pytest.mark.parametrize(
    "call, text",
    [
        (
            lambda m: m.fit(
                images(), validation_data=as_pipeline(images()), validation_batch_size=2
            ),
            "validation_batch_size=2 with data of type",
        ),
        (lambda m: m.predict(as_pipeline(images()), batch_size=2), "batch_size=2 with data of"),
        (lambda m: m.train_on_batch(as_pipeline(images())), "Expected one batch, an array"),
        (lambda m: m.test_on_batch(iter([images()])), "Received: x"),
        (lambda m: m.train_on_batch(images()[:1] for _ in range(2)), "type generator"),
        (lambda m: m.predict_on_batch(pandas.DataFrame({"a": ["b"]})), "Expected numbers"),
    ],
)
def test_sizes_and_batches_that_have_no_effect_are_refused(model, call, text):
    with pytest.raises(ValueError, match=text):
        call(model)


def test_tensors_of_pytorch_are_taken_as_arrays():
    torch = pytest.importorskip("torch")
    x = np.arange(6.0, dtype="float32").reshape(3, 2)
    np.testing.assert_array_equal(training_data.as_given(torch.tensor(x)), x)
    with pytest.raises(ValueError, match="Expected numbers"):
        training_data.as_given(torch.tensor(x, dtype=torch.complex64))
