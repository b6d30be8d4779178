"""Exported models compute, in a process without tfgen, what the models do."""

import json
import re
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal
from tensorflow_probability import distributions as tfd

from tfgen import bijectors, layers, models, networks
from tfgen.losses.mixtures import COMPONENTS
from tfgen.models.autoencoding import AutoencodingModel
from tfgen.models.endpoints import Endpoint, data_spec, network_endpoints, parameters_of
from tfgen.models.export import export_model, export_network
from tfgen.models.outputs import mean_of

# The graph adds up float32 numbers in another order.
ROUNDING = dict(rtol=1e-5, atol=1e-5)
SEED = 3

# Loads every folder beside calls.json, calls all endpoints, and keeps what they return.
SERVE = """
import json, sys
import numpy as np
import tensorflow as tf

folder, results = sys.argv[1], {}
for name, calls in json.load(open(folder + "/calls.json")).items():
    served = tf.saved_model.load(folder + "/" + name)
    for endpoint, arguments in calls.items():
        arguments = [np.array(values, dtype) for values, dtype in arguments]
        results[name + "/" + endpoint] = getattr(served, endpoint)(*arguments).numpy()
np.savez(folder + "/results.npz", **results)
loaded = {"tfgen", "tensorflow_probability"} & set(sys.modules)
assert not loaded, loaded
"""


@pytest.fixture(scope="module")
def build(build_model):
    """Function from the name of a model of the battery, or "em_<components>", to that model.

    The networks have layers that differ in training.
    """

    def build(name):
        if not name.startswith("em_"):
            return build_model(name, noisy=True)
        components = name.removeprefix("em_")
        model = models.MixtureEM(2, (2, 2, 1), components, seed=0)
        covariances = {"full": [np.eye(4)] * 2, "diagonal": np.ones((2, 4)), "spherical": [1, 2]}
        model.set_parameters(
            [[0.1] * 4, [0.8] * 4], covariances.get(components), weights=[0.25, 0.75]
        )
        return model

    return build


def arguments_of(endpoint):
    """Examples of what an endpoint is given, by name, in their order."""
    rng = np.random.default_rng(0)
    given = {
        "condition": np.array([0, 1, 1, 0, 1], "int32"),
        "mask": np.resize([1.0, 1.0, 0.0], (5, 2, 2, 1)).astype("float32"),
        "num_samples": np.array(5, "int32"),
        "seed": np.array([SEED, 0], "int32"),
    }
    names = {
        spec: "mask" if spec.name == "condition" and len(spec.shape) > 1 else spec.name
        for spec in endpoint.signature
    }
    return {
        spec.name: given[names[spec]]
        if names[spec] in given
        else rng.uniform(-2, 2, size=(5, *spec.shape[1:])).astype("float32")
        for spec in endpoint.signature
    }


def expected(model, name, arguments):
    """What the model's own method returns."""
    if name == "sample":
        return model.sample(**{**arguments, "num_samples": 5, "seed": SEED})
    if name == "embed":  # It returns arrays, a data set at a time.
        return mean_of(model.encode(*arguments.values()))
    return getattr(model, name)(*arguments.values())


def assert_served_as_computed(names, build, folder):
    """Exports models, serves all of them in one process, and compares every endpoint."""
    computed, calls = {}, {}
    for name in names:
        model = build(name)
        written = export_model(model, folder / name)
        endpoints = model.endpoints()
        assert written == tuple(endpoints)
        assert {"reconstruct", "embed"} <= set(written) or not isinstance(model, AutoencodingModel)
        calls[name] = {}
        for endpoint, value in endpoints.items():
            arguments = arguments_of(value)
            computed[f"{name}/{endpoint}"] = expected(model, endpoint, arguments)
            calls[name][endpoint] = [(v.tolist(), v.dtype.name) for v in arguments.values()]
    (folder / "calls.json").write_text(json.dumps(calls))
    command = [sys.executable, "-c", SERVE, str(folder)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert not result.returncode, result.stderr
    served = np.load(folder / "results.npz")
    assert set(served) == set(computed)
    for name, value in computed.items():
        assert np.ptp(value), name  # Of something that depends on its arguments.
        assert_allclose(served[name], value, err_msg=name, **ROUNDING)


# SavedModel.


def test_models_of_each_kind_are_served(build, tmp_path):
    assert_served_as_computed(["conditional_vae", "miwae", "em_full"], build, tmp_path)


def test_a_class_serves_what_it_adds(build, tmp_path):
    class Scored(models.AE):
        def endpoints(self):
            def error(x):
                return tf.reduce_sum(tf.square(x - self.reconstruct(x)), axis=[1, 2, 3])

            return {**super().endpoints(), "error": Endpoint(error, [data_spec(self)])}

    parent = build("ae")
    model = Scored(parent.encoder, parent.decoder)
    assert model.export(tmp_path, endpoints=["error"]) == ("error",)
    x = tf.ones((3, *model.data_shape))
    loss = tf.reduce_sum(tf.square(x - parent(x)), axis=[1, 2, 3])
    served = tf.saved_model.load(tmp_path)
    assert_allclose(served.error(x), loss, rtol=1e-5)


@pytest.mark.slow
def test_all_models_are_served(model_names, build, tmp_path):
    em = [f"em_{components}" for components in COMPONENTS]
    assert_served_as_computed([*model_names, *em], build, tmp_path)


def test_a_model_is_exported_after_whatever_was_done_with_it(build, blobs, tmp_path):
    """Keras' own export asks for a call, and does not see one in fit or predict."""
    model = build("vae")
    export_model(model, tmp_path / "built", endpoints=["embed"])
    model.compile(keras.optimizers.Adam(0.1), run_eagerly=True)
    model.fit(blobs, verbose=0)
    model.predict(blobs, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = models.load_model(tmp_path / "model.keras")
    state = [v.numpy() for v in model.variables]
    for name, trained in {"trained": model, "loaded": loaded}.items():
        trained.export(tmp_path / name, endpoints=["embed"])
        served = tf.saved_model.load(tmp_path / name)
        assert_allclose(served.embed(blobs), model.embed(blobs), **ROUNDING)
        assert list(served.signatures) == ["embed", "serving_default"]
    untrained = tf.saved_model.load(tmp_path / "built")
    assert not np.allclose(untrained.embed(blobs), model.embed(blobs), atol=1e-3)
    for value, now in zip(state, model.variables, strict=True):
        assert_array_equal(now, value)


def test_discriminators_stay_at_home(build, tmp_path):
    model = build("gan")
    export_model(model, tmp_path, endpoints=["generate"])
    saved = tf.train.load_checkpoint(tmp_path / "variables" / "variables")
    shapes = saved.get_variable_to_shape_map()
    sizes = [np.prod(shape) for key, shape in shapes.items() if key.startswith("_all_variables")]
    assert sum(sizes) == model.generator.count_params()


def test_batches_of_any_length_and_python_numbers(build, tmp_path):
    model = build("vae")
    export_model(model, tmp_path)
    served = tf.saved_model.load(tmp_path)
    for n in (0, 1, 7):
        assert served.sample(n, [SEED, 0]).shape == (n, 2, 2, 1)
        assert served.reconstruct(tf.zeros((n, 2, 2, 1))).shape == (n, 2, 2, 1)
    by_name = served.signatures["generate"](z=tf.ones((2, 2)))
    assert_allclose(*by_name.values(), served.generate(tf.ones((2, 2))))


def test_labels_are_checked_where_they_are_served(build, tmp_path):
    export_model(build("conditional_vae"), tmp_path)
    served = tf.saved_model.load(tmp_path)
    with pytest.raises(tf.errors.InvalidArgumentError, match="Classes must be in"):
        served.generate(tf.zeros((2, 2)), [0, 2])


def test_a_flow_of_whole_numbers_has_no_exact_density(tmp_path):
    shape = (2, 2, 1)
    flow = networks.simple_flow(shape, num_couplings=1, width=4)
    model = models.NormalizingFlow(flow, bijectors.UniformDequantization(shape, num_values=4))
    assert export_model(model, tmp_path) == ("latent", "generate", "sample")


# Networks alone.


def head(layer, num_outputs, name="hidden"):
    dense = keras.layers.Dense(num_outputs, kernel_initializer=keras.initializers.RandomNormal(1.0))
    return keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(4, "tanh", name=name), dense, layer]
    )


def rebuilt(loc, scale, **_):
    return tfd.Independent(tfd.Normal(loc, scale), 1)


HEADS = {
    "normal": (lambda: layers.IndependentNormal(2), 4, rebuilt),
    "bernoulli": (
        lambda: layers.IndependentBernoulli((2, 1)),
        2,
        lambda logits: tfd.Independent(tfd.Bernoulli(logits=logits), 2),
    ),
    "fixed_scale": (lambda: layers.FixedScaleNormal(2, scale=0.5), 2, rebuilt),
    "tril": (lambda: layers.MultivariateNormalTriL(2), 5, tfd.MultivariateNormalTriL),
    "mixture": (
        lambda: layers.MixtureNormal(3, 2),
        15,
        lambda mixture_distribution_logits, components_distribution_loc, **parts: (
            tfd.MixtureSameFamily(
                tfd.Categorical(mixture_distribution_logits),
                rebuilt(components_distribution_loc, parts["components_distribution_scale"]),
            )
        ),
    ),
}


@pytest.mark.parametrize("name", HEADS)
def test_a_network_gives_the_mean_and_all_parameters(name, tmp_path):
    """A distribution made anew of the parameters has the network's densities."""
    layer, num_outputs, rebuild = HEADS[name]
    network = head(layer(), num_outputs)
    assert export_network(network, tmp_path) == ("mean", "parameters")
    served, x = tf.saved_model.load(tmp_path), tf.constant(np.eye(3, dtype="float32"))
    assert_allclose(served.mean(x), network(x).mean(), **ROUNDING)
    points = tf.round(network(x).sample(seed=0))
    parameters = {key: value for key, value in served.parameters(x).items()}
    assert_allclose(rebuild(**parameters).log_prob(points), network(x).log_prob(points), **ROUNDING)


def test_keras_export_of_a_distribution_says_what_to_do(tmp_path):
    """The type of TensorFlow's error is its own; it quotes the distribution's type."""
    network = head(layers.IndependentNormal(2), 4)
    with pytest.raises(Exception, match="Independent, a distribution, .*models.export_network"):
        network.export(tmp_path, verbose=False)


def test_parameters_of_a_flow_are_those_of_its_base():
    flow = bijectors.iaf(2, num_steps=1, hidden=(4,), context_size=1)
    q = head(layers.FlowNormal(2, flow, context_size=1), 5)(tf.ones((4, 3)))
    found = parameters_of(q)
    assert set(found) == {"base_loc", "base_scale", "context"}
    assert_array_equal(found["base_loc"], q.base.mean())


def test_other_networks_are_served_as_they_are(build, tmp_path):
    """Of several inputs too, and with a name that TensorFlow does not save."""
    model = build("ali")
    assert export_network(model.discriminator, tmp_path / "pairs") == ("serve",)
    x, z = tf.ones((4, 2, 2, 1)), tf.ones((4, 2))
    served = tf.saved_model.load(tmp_path / "pairs")
    assert_allclose(served.serve(x, z), model.discriminator([x, z]), **ROUNDING)
    network = head(keras.layers.Identity(), 2, name="_hidden")
    export_network(network, tmp_path / "named")
    served = tf.saved_model.load(tmp_path / "named")
    assert_allclose(served.serve(tf.ones((4, 3))), network(tf.ones((4, 3))), **ROUNDING)


def test_a_network_of_unknown_inputs_is_refused(tmp_path):
    encoder = networks.DRAWEncoder((4, 4, 1), latent_dim=1, num_steps=2, width=4, read_size=2)
    for network in (keras.Sequential([keras.layers.Dense(1)]), encoder, keras.layers.Dense(1)):
        with pytest.raises(ValueError, match="Received: .*(Sequential|DRAWEncoder|Dense)"):
            export_network(network, tmp_path)


# Other formats.


def litert(path, endpoint, arguments):
    interpreter = tf.lite.Interpreter(str(path))
    (result,) = interpreter.get_signature_runner(endpoint)(**arguments).values()
    return result


def onnx(path, endpoint, arguments):
    runtime = pytest.importorskip("onnxruntime")
    (result,) = runtime.InferenceSession(path).run(None, arguments)
    return result


def assert_converted(name, build, folder, format, ending, run):
    """Every endpoint but `sample` computes what the model does."""
    model = build(name)
    endpoints = {k: v for k, v in model.endpoints().items() if k != "sample"}
    written = [[name] for name in endpoints] if format == "onnx" else [None]
    for i, names in enumerate(written):
        path = folder / f"{i}{ending}"
        for endpoint in export_model(model, path, format, names):
            arguments = arguments_of(endpoints.pop(endpoint))
            computed = expected(model, endpoint, arguments)
            assert_allclose(run(path, endpoint, arguments), computed, err_msg=endpoint, **ROUNDING)
    assert not endpoints


LITERT = ("litert", ".tflite", litert)
ONNX = ("onnx", ".onnx", onnx)
ignore_deprecation = pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated")


@ignore_deprecation
def test_litert_computes_what_a_model_does(build, tmp_path):
    assert_converted("conditional_vae", build, tmp_path, *LITERT)


@pytest.mark.slow
@ignore_deprecation
def test_litert_computes_what_all_models_do(model_name, build, tmp_path):
    if model_name == "vgp":
        assert_unknown_operation(build, tmp_path / "vgp.tflite", "litert")
    else:
        assert_converted(model_name, build, tmp_path, *LITERT)


def test_onnx_computes_what_a_model_does(build, tmp_path):
    pytest.importorskip("tf2onnx")
    assert_converted("conditional_vae", build, tmp_path, *ONNX)


@pytest.mark.slow
def test_onnx_computes_what_all_models_do(model_name, build, tmp_path):
    pytest.importorskip("tf2onnx")
    if model_name == "vgp":
        assert_unknown_operation(build, tmp_path / "vgp.onnx", "onnx")
    else:
        assert_converted(model_name, build, tmp_path, *ONNX)


IMAGE = (16, 16, 1)
NETWORKS = {
    "conv_decoder": lambda: networks.conv_decoder((28, 28, 1), 2),
    "conv64_encoder": lambda: networks.conv64_encoder((64, 64, 1), 2, width=8),
    "conv64_decoder": lambda: networks.conv64_decoder((64, 64, 1), 2, width=8),
    "dcgan_generator": lambda: networks.dcgan_generator(IMAGE, 2, width=4),
    "dcgan_discriminator": lambda: networks.dcgan_discriminator(IMAGE, 4, spectral_norm=True),
    "larsen_encoder": lambda: networks.larsen_encoder(IMAGE, 2, width=4),
    "larsen_decoder": lambda: networks.larsen_decoder(IMAGE, 2, width=4),
    "residual_generator": lambda: networks.residual_generator(IMAGE, 2, width=4),
    "residual_discriminator": lambda: networks.residual_discriminator(IMAGE, width=4),
    "causal_encoder": lambda: networks.causal_encoder((8, 2), 2, width=4),
    "causal_decoder": lambda: networks.causal_decoder((8, 2), 2, width=4),
    "vq_encoder": lambda: networks.vq_encoder(IMAGE, 2, width=4),
    "vq_decoder": lambda: networks.vq_decoder(IMAGE, 2, width=4),
    "mlp_generator": lambda: networks.mlp_generator(IMAGE, 2, width=4),
    "joint_discriminator": lambda: networks.joint_discriminator(IMAGE, 2, width=4),
}


@ignore_deprecation
def test_litert_finds_its_gelu(tmp_path):
    """It has no erf, of which ours is made, for batches of any length."""
    network = networks.mlp_encoder((4,), 2, head=None, width=8, activation="gelu")
    x = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    export_network(network, tmp_path / "gelu.tflite", "litert")
    served = litert(tmp_path / "gelu.tflite", "serve", {"inputs": x})
    assert_allclose(served, network(x), **ROUNDING)


@pytest.mark.slow
@ignore_deprecation
@pytest.mark.parametrize("name", NETWORKS)
def test_every_format_computes_what_a_network_does(name, tmp_path):
    pytest.importorskip("tf2onnx")
    network = NETWORKS[name]()
    endpoint, value = next(iter(network_endpoints(network).items()))
    arguments = arguments_of(value)
    computed = value.function(*arguments.values())
    for format, ending, run in (LITERT, ONNX):
        path = tmp_path / f"a{ending}"
        # LiteRT has no convolution of maps that were enlarged in batches of any length.
        export_network(network, path, format, [endpoint], batch_size=5)
        assert_allclose(run(path, endpoint, arguments), computed, err_msg=format, **ROUNDING)


def test_onnx_has_the_activation_that_tensorflow_makes_of_erfc(tmp_path):
    pytest.importorskip("tf2onnx")
    network = keras.Sequential([keras.Input((101,)), keras.layers.Activation("gelu")])
    export_network(network, tmp_path / "gelu.onnx", "onnx")
    x = np.linspace(-6, 6, 101, dtype="float32")[None]
    served = onnx(tmp_path / "gelu.onnx", "serve", {"inputs": x})
    assert_allclose(served, x * tfd.Normal(0.0, 1.0).cdf(x), **ROUNDING)


def test_a_file_for_batches_of_one_size(build, tmp_path):
    build("vae").export(tmp_path, endpoints=["embed", "sample"], batch_size=2)
    served = tf.saved_model.load(tmp_path)
    assert served.embed(tf.zeros((2, 2, 2, 1))).shape == (2, 2)
    with pytest.raises((TypeError, ValueError)):  # By version of TensorFlow.
        served.embed(tf.zeros((3, 2, 2, 1)))
    assert served.sample(3, [SEED, 0]).shape == (3, 2, 2, 1)
    with pytest.raises(ValueError, match="Received: batch_size=0"):
        build("vae").export(tmp_path, batch_size=0)


@pytest.mark.slow
@pytest.mark.parametrize("components", COMPONENTS)
def test_onnx_computes_what_mixtures_do(components, build, tmp_path):
    pytest.importorskip("tf2onnx")
    if components == "full":
        with pytest.raises(ValueError, match="cannot hold .*MatrixTriangularSolve"):
            build("em_full").export(tmp_path / "a.onnx", "onnx", ["log_prob"])
    else:
        assert_converted(f"em_{components}", build, tmp_path, *ONNX)


def assert_unknown_operation(build, path, format):
    """The posterior of a Gaussian process solves equations; its decoder does not."""
    model = build("vgp")
    with pytest.raises(ValueError, match=r"cannot hold .*MatrixTriangularSolve"):
        export_model(model, path, format, ["embed"])
    assert not path.exists()
    assert export_model(model, path, format, ["generate"]) == ("generate",)


def test_a_missing_converter_is_named(build, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tf2onnx.convert", None)
    with pytest.raises(ImportError, match=r"tf2onnx.convert .* pip install 'tfgen\[export\]'"):
        export_model(build("gan"), tmp_path / "gan.onnx", "onnx")


# What is refused.


@pytest.mark.parametrize(
    "filepath, format, message",
    [
        ("a", "keras", "format must be one of ['tf_saved_model', 'litert', 'onnx']"),
        ("", "tf_saved_model", "writes a folder. Received: filepath=''. Choose"),
        ("a.keras", "tf_saved_model", "'a.keras'. That ending is for save."),
        ("a.tflite", "tf_saved_model", "'a.tflite'. That ending is for format='litert'."),
        ("a", "litert", "writes a .tflite file. Received: filepath='a'. Choose"),
        ("a.onnx", "litert", "'a.onnx'. That ending is for format='onnx'."),
        (__file__, "tf_saved_model", "test_export.py'. Choose another path."),
    ],
)
def test_a_path_of_something_else_is_refused(build_model, filepath, format, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        export_model(build_model("gan"), filepath, format)


@pytest.mark.parametrize(
    "path, format, endpoints, message",
    [
        ("a", "tf_saved_model", ["embed"], "list of names of ['generate', 'sample']"),
        ("a", "tf_saved_model", "sample", "Received: endpoints='sample'"),
        ("a", "tf_saved_model", [], "Received: endpoints=[]"),
        ("a.tflite", "litert", ["sample"], "list of names of ['generate'], which format='litert'"),
    ],
)
def test_unknown_endpoints_are_refused(build_model, tmp_path, path, format, endpoints, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        export_model(build_model("gan"), tmp_path / path, format, endpoints)


def test_a_file_for_each_endpoint_of_onnx(build_model, tmp_path):
    for endpoints in (None, ["embed", "generate"]):
        with pytest.raises(ValueError, match="a list of one of .'reconstruct', 'embed', 'generate"):
            export_model(build_model("vae"), tmp_path / "vae.onnx", "onnx", endpoints)


def test_mixed_precision_is_in_saved_models_only(bfloat16, build_model, tmp_path):
    model = build_model("ae")
    for format, ending in {"litert": ".tflite", "onnx": ".onnx"}.items():
        with pytest.raises(ValueError, match="Received: layers that compute in bfloat16"):
            model.export(tmp_path / f"ae{ending}", format, ["generate"])
    model.export(tmp_path, endpoints=["generate"])
    served, z = tf.saved_model.load(tmp_path), tf.ones((3, 2))
    # bfloat16 has 8 bits; the graph rounds less often.
    assert_allclose(
        tf.cast(served.generate(z), "float32"), tf.cast(model.generate(z), "float32"), atol=0.02
    )


def test_models_without_endpoints_or_parameters_are_refused(tmp_path):
    with pytest.raises(ValueError, match="Received: ResumableModel. Write a method endpoints"):
        export_model(models.ResumableModel((2,)), tmp_path)
    with pytest.raises(ValueError, match="no parameters before fit"):
        export_model(models.MixtureEM(2, (2,)), tmp_path)
