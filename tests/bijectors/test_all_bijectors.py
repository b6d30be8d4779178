"""All bijectors over vectors: Jacobian, round trip, leading axes, saving, gradients, XLA."""

import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose


def inputs(bijector_name):
    """A batch of vectors, and contexts where the bijector has one."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4, 3)).astype("float32")
    context = rng.normal(size=(4, 2)).astype("float32")
    return x, context if bijector_name.endswith("context") else None


def test_battery(bijector_name, build_bijector, check_bijector):
    check_bijector(build_bijector(bijector_name), *inputs(bijector_name))


def test_initial_map(bijector_name, build_bijector):
    """The identity, but for gates that are 0.82 open, and for maps without weights."""
    bijector = build_bijector(bijector_name)
    if not bijector.weights or bijector_name == "iaf_context":
        return
    x, context = inputs(bijector_name)
    y, log_det = bijector.forward(x, context)
    if bijector_name == "maf":  # two steps, one reversal
        x = x[:, ::-1]
    assert_allclose(y, x, rtol=1e-5, atol=1e-6)
    assert_allclose(log_det, np.zeros(4), atol=1e-5)


def maps(bijector, x, context):
    """`forward`, and `inverse` where there is one."""
    try:
        bijector.inverse(x, context)
    except NotImplementedError:
        return [bijector.forward]
    return [bijector.forward, bijector.inverse]


def modes(map_, x, context):
    """Results of a map called eagerly, in a graph, and in one of unknown batch sizes."""
    signature = [tf.TensorSpec([None, *a.shape[1:]]) for a in (x, context)]
    yield map_(x, context)
    yield tf.function(map_)(tf.constant(x), tf.constant(context))
    yield tf.function(map_, input_signature=signature)(x, context)


@pytest.mark.parametrize("ours, theirs", [((4, 1), (5,)), ((1,), (5,)), ((4,), (5, 1))])
def test_axes_of_the_context(bijector_name, build_bijector, perturb, ours, theirs):
    """Shapes (..., 1, d) and (K, c), as of a mixture of posteriors, give what copies give."""
    if not bijector_name.endswith("context"):
        return
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(*ours, 3)).astype("float32")
    context = rng.normal(size=(*theirs, 2)).astype("float32")
    leading = np.broadcast_shapes(ours, theirs)
    copies = [
        np.broadcast_to(a, (*leading, a.shape[-1])).reshape(-1, a.shape[-1]) for a in (x, context)
    ]
    bijector = perturb(build_bijector(bijector_name))
    for map_ in maps(bijector, *copies):
        y, log_det = map_(*copies)
        for values, change in modes(map_, x, context):
            assert_allclose(values, np.reshape(y, (*leading, 3)), rtol=1e-5, atol=1e-5)
            assert_allclose(change, np.reshape(log_det, leading), rtol=1e-5, atol=1e-5)
