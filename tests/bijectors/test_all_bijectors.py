"""All bijectors over vectors: Jacobian, round trip, leading axes, saving, gradients, XLA."""

import numpy as np
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
