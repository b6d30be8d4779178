"""What a compiled training step is made of: its products, and what else takes its time."""

import collections
import glob
import tempfile
import time

import tensorflow as tf

# Operations of matrix products and convolutions, as TensorFlow and oneDNN name them.
PRODUCTS = ("MatMul", "Conv2D", "Einsum")
RANDOM = ("Random", "Threefry", "Philox", "StatelessMultinomial")
ADAM = ("Apply", "Assign")
FLOW = ("While", "If", "Call", "Switch", "Merge", "Iterator", "Optional", "Retval", "Arg", "Const")


def products(function, x):
    """Milliseconds of a function's products of matrices alone, and 1e9 multiplications, additions.

    Each product of the graph, of the same shapes, is computed on noise, one after the other.
    """
    graph = tf.function(function).get_concrete_function(x).graph
    found = [op for op in graph.get_operations() if op.type in _ALONE]
    inputs, flops = [], 0.0
    for op in found:
        inputs.append([_like(tensor) for tensor in op.inputs])
        flops += _count(op)

    @tf.function(autograph=False)
    def alone(inputs):
        total = 0.0
        for op, operands in zip(found, inputs, strict=True):
            kind = getattr(tf.raw_ops, op.type)
            names = _ALONE[op.type]
            attributes = {name: op.get_attr(name) for name in _ATTRIBUTES[op.type]}
            result = kind(**dict(zip(names, operands, strict=True)), **attributes)
            total += tf.reshape(result, [-1])[0]
        return total

    alone(inputs)
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        for _ in range(10):
            alone(inputs).numpy()
        seconds.append((time.perf_counter() - start) / 10)
    return min(seconds) * 1e3, flops / 1e9


def matrix_rate(size=2048):
    """1e9 multiplications and additions in a second, of a product of square matrices."""
    x = tf.random.normal((size, size))
    product = tf.function(lambda: tf.matmul(x, x))
    return 2.0 * size**3 / fastest(product, 5) / 1e9


def fastest(call, repeats):
    """Seconds of the fastest of some calls, after one that compiles."""
    call()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


_CONVOLUTION = ("strides", "padding", "data_format", "dilations", "explicit_paddings")
_ALONE = {
    "MatMul": ("a", "b"),
    "BatchMatMulV2": ("x", "y"),
    "Conv2D": ("input", "filter"),
    "Conv2DBackpropInput": ("input_sizes", "filter", "out_backprop"),
    "Conv2DBackpropFilter": ("input", "filter_sizes", "out_backprop"),
}
# What of them changes the result.
_ATTRIBUTES = {
    "MatMul": ("transpose_a", "transpose_b"),
    "BatchMatMulV2": ("adj_x", "adj_y"),
    **{name: _CONVOLUTION for name in _ALONE if name.startswith("Conv")},
}


def _like(tensor):
    if tensor.dtype.is_integer:
        value = tf.get_static_value(tensor)
        return tf.constant(value if value is not None else _sizes(tensor))
    return tf.random.normal(tensor.shape, dtype=tensor.dtype)


def _sizes(tensor):
    """Shape of images that a gradient is asked for, which follows from what it is given."""
    (gradient,) = tensor.consumers()
    return gradient.outputs[0].shape.as_list()


def _count(op):
    """Multiplications and additions of a product."""
    if op.type == "MatMul":
        rows = op.inputs[0].shape[0 if op.get_attr("transpose_a") else 1]
        return 2.0 * rows * op.outputs[0].shape.num_elements()
    if op.type == "BatchMatMulV2":
        inner = op.inputs[0].shape[-2 if op.get_attr("adj_x") else -1]
        return 2.0 * inner * op.outputs[0].shape.num_elements()
    if op.type == "Conv2D":
        kernel, images = op.inputs[1].shape, op.outputs[0].shape
    elif op.type == "Conv2DBackpropInput":
        kernel, images = op.inputs[1].shape, op.inputs[2].shape
    else:
        kernel, images = op.outputs[0].shape, op.inputs[2].shape
    return 2.0 * kernel.num_elements() * images.num_elements() / images[-1]


def shares(run):
    """Dict from a kind of operation to its share of the time of all, as TensorFlow's profiler says.

    Waiting and Python between operations are in none of them.
    """
    with tempfile.TemporaryDirectory() as folder:
        with tf.profiler.experimental.Profile(folder):
            run()
        times = _times(glob.glob(f"{folder}/**/*.xplane.pb", recursive=True)[0])
    total = sum(times.values())
    return {kind: time / total for kind, time in times.most_common()}


def _times(path):
    """Counter from a kind of operation to picoseconds."""
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    space = xplane_pb2.XSpace.FromString(open(path, "rb").read())
    times = collections.Counter()
    for plane in space.planes:
        for line in plane.lines:
            for event in line.events:
                name = plane.event_metadata[event.metadata_id].name.rsplit(":", 1)[-1]
                if hasattr(tf.raw_ops, name) or name.startswith(("_Mkl", "_Fused")):
                    times[_kind(name)] += event.duration_ps
    return times


def _kind(operation):
    kinds = {"products": PRODUCTS, "random": RANDOM, "optimizer": ADAM, "control": FLOW}
    for kind, names in kinds.items():
        if any(name in operation for name in names):
            return kind
    return "elementwise"
