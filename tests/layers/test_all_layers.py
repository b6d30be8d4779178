"""What every distribution layer can do, and that TFP's own layers compute the same."""

import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen import layers, models, networks
from tfgen.losses import expected_value

tfd = tfp.distributions

# One float32 rounding per operation in sums of at most 15 terms.
ROUNDING = dict(rtol=1e-5, atol=1e-5)


def tfp_model(case, weights):
    """The same network in Keras 2, ending in TFP's layer."""
    import tf_keras

    model = tf_keras.Sequential([tf_keras.layers.Dense(case.num_params), case.layer(tfp.layers)])
    model.build((None, weights[0].shape[0]))
    model.set_weights(weights)
    return model


def statistics(distribution):
    """All of mean, mode, stddev and entropy that the distribution implements."""
    values = {}
    for name in ("mean", "mode", "stddev", "entropy"):
        try:
            values[name] = getattr(distribution, name)().numpy()
        except NotImplementedError:
            continue
    return values


def test_parameters_and_densities_are_tfps(tfp_case, features):
    model = tfp_case.model()
    ours, theirs = model(features), tfp_model(tfp_case, model.get_weights())(features)
    assert ours.batch_shape == theirs.batch_shape
    assert ours.event_shape == theirs.event_shape == tfp_case.event_shape
    assert ours.dtype == theirs.dtype
    expected = statistics(theirs)
    assert "mean" in expected
    for name, value in statistics(ours).items():
        np.testing.assert_allclose(value, expected.pop(name), err_msg=name, **ROUNDING)
    assert not expected
    points = theirs.sample(3, seed=0)
    np.testing.assert_allclose(ours.log_prob(points), theirs.log_prob(points), **ROUNDING)


def test_params_size_is_tfps(tfp_case):
    arguments = list(tfp_case.arguments)
    if tfp_case.name == "MixtureSameFamily":
        arguments[1] = 4
    size = getattr(layers, tfp_case.name).params_size(*arguments)
    assert size == getattr(tfp.layers, tfp_case.name).params_size(*arguments)
    assert size == tfp_case.num_params


def test_new_makes_the_same_distribution(tfp_case):
    arguments = [getattr(layers, a)(2) if isinstance(a, str) else a for a in tfp_case.arguments]
    params = np.random.default_rng(0).normal(size=(2, tfp_case.num_params)).astype("float32")
    made = getattr(layers, tfp_case.name).new(params, *arguments)
    called = tfp_case.layer()(params)
    points = called.sample(seed=0)
    np.testing.assert_allclose(made.log_prob(points), called.log_prob(points), **ROUNDING)


def test_symbolic_output_has_the_events_shape(case):
    assert case.model().output_shape == (None, *case.event_shape)


def test_unknown_batch_size(case, features):
    model = case.model()

    @tf.function(input_signature=[tf.TensorSpec((None, 3))])
    def mean_and_log_prob(x):
        distribution = model(x)
        assert distribution.batch_shape.as_list() == [None]
        return expected_value(distribution), distribution.log_prob(
            tf.ones((2, 1, *case.event_shape))
        )

    for size in (1, 4):
        mean, log_prob = mean_and_log_prob(features[:size])
        assert mean.shape == (size, *case.event_shape)
        expected = model(features[:size]).log_prob(tf.ones((2, 1, *case.event_shape)))
        np.testing.assert_allclose(log_prob, expected, **ROUNDING)


def test_distribution_leaves_a_tf_function_with_its_value(case, features):
    model = case.model()

    @tf.function
    def distribution_and_value(x):
        distribution = model(x)
        return distribution, tf.convert_to_tensor(distribution)

    distribution, value = distribution_and_value(features)
    assert isinstance(distribution, tfd.Distribution)
    np.testing.assert_array_equal(distribution, value)
    np.testing.assert_allclose(
        distribution.log_prob(value), model(features).log_prob(value), **ROUNDING
    )


def test_xla_gives_the_same_density(case, features):
    model = case.model()
    value = model(features).sample(seed=0)
    compiled = tf.function(lambda x, y: model(x).log_prob(y), jit_compile=True)
    # XLA fuses and reorders; the terms are of order 1.
    np.testing.assert_allclose(
        compiled(features, value), model(features).log_prob(value), rtol=1e-4, atol=1e-4
    )


def test_mixed_precision_leaves_densities_in_float32(case, features, mixed_precision):
    model = case.model()
    assert model.layers[0].compute_dtype in mixed_precision
    distribution = model(features)
    assert distribution.dtype == tf.float32
    assert expected_value(distribution).dtype == tf.float32
    assert distribution.log_prob(tf.ones((5, *case.event_shape))).dtype == tf.float32


def test_saved_and_loaded(case, features, reloaded):
    model = case.model()
    loaded = reloaded(model)
    assert type(loaded.layers[-1]) is getattr(layers, case.name)
    value = model(features).sample(seed=0)
    np.testing.assert_allclose(
        loaded(features).log_prob(value), model(features).log_prob(value), **ROUNDING
    )


def test_arguments_survive_the_config(case):
    layer = case.layer(
        convert_to_tensor_fn="mean", validate_args=True, seed=7, name="head", trainable=False
    )
    config = layer.get_config()
    copy = type(layer).from_config(config)
    assert copy.get_config() == config
    assert (config["convert_to_tensor_fn"], config["seed"], config["name"]) == ("mean", 7, "head")
    assert config["validate_args"] is True and config["trainable"] is False


def test_validate_args_reaches_the_distribution(case, features):
    distribution = case.model(validate_args=True)(features)
    assert distribution.validate_args
    assert np.all(np.isfinite(distribution.log_prob(distribution.sample(seed=0))))


@pytest.mark.parametrize("dtype", ["int32", tf.int32])
@pytest.mark.parametrize(
    "name, arguments",
    [
        ("IndependentBernoulli", (2,)),
        ("OneHotCategorical", (2,)),
        ("CategoricalMixtureOfOneHotCategorical", (2, 1)),
    ],
)
def test_sample_dtype(name, arguments, dtype, reloaded):
    layer = getattr(layers, name)(*arguments, sample_dtype=dtype)
    size = layer.params_size(*arguments)
    model = keras.Sequential([keras.Input((size,)), layer])
    assert model(tf.zeros((1, size))).sample().dtype == tf.int32
    assert reloaded(model)(tf.zeros((1, size))).sample().dtype == tf.int32


def _with_random_weights(layer):
    rng = np.random.default_rng(0)
    layer.set_weights([rng.normal(size=weight.shape) for weight in layer.get_weights()])
    return layer


def _encoder(prior):
    regularizer = layers.KLDivergenceRegularizer(prior)
    head = layers.IndependentNormal(2, activity_regularizer=regularizer)
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(4), head])


def _vae(prior):
    encoder = networks.mlp_encoder((2, 2, 1), 2, width=4)
    return models.VAE(encoder, networks.mlp_decoder((2, 2, 1), 2, width=4), prior)


LOAD_AND_SCORE = """
    import glob, sys
    import keras, numpy as np
    import tfgen

    folder, values = sys.argv[1], {}
    for path in glob.glob(folder + "/*.keras"):
        name = path.split("/")[-1].removesuffix(".keras")
        model = keras.models.load_model(path, safe_mode=True)
        if hasattr(model, "prior_distribution"):
            density = model.prior_distribution()
        elif name.startswith("prior"):
            density = model.layers[-1].prior.as_distribution()
        else:
            density = model(np.load(folder + "/features.npy"))
        values[name] = density.log_prob(np.ones(density.event_shape, "float32"))
    np.savez(folder + "/scores.npz", **values)
"""


def test_files_load_in_a_new_process_with_import_tfgen_alone(all_cases, features, tmp_path):
    np.save(tmp_path / "features.npy", features)
    expected = {}

    def save(name, model, density):
        model.save(tmp_path / f"{name}.keras")
        expected[name] = density.log_prob(tf.ones(density.event_shape))

    for case in all_cases:
        model = case.model()
        save(case.name, model, model(features))
    for prior in (layers.StandardNormal(2), layers.MixtureOfNormals(2, 3)):
        prior = _with_random_weights(prior)
        save(f"prior-{prior.name}", _encoder(prior), prior.as_distribution())
    vae = _vae(_with_random_weights(layers.VampPrior((2, 2, 1), num_components=3)))
    save("vamp", vae, vae.prior_distribution())

    script = tmp_path / "load.py"
    script.write_text(textwrap.dedent(LOAD_AND_SCORE))
    subprocess.run([sys.executable, script, tmp_path], check=True, capture_output=True, text=True)
    scores = np.load(tmp_path / "scores.npz")
    assert set(scores.files) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(scores[name], value, err_msg=name, **ROUNDING)
