"""A bare TensorFlow loop on images that lie in memory: no Keras, no tf.data, one compiled step."""

from contenders import BATCH_SIZE, LATENT_DIM, LEARNING_RATE, load_images

__all__ = ["train"]

_SIZES = {
    "encoder": (784, 512, 512, 2 * LATENT_DIM),
    "decoder": (LATENT_DIM, 512, 512, 784),
}


def train(recorder, network, epochs, images_path, jit_compile=True, graph_epoch=False):
    """Trains the fully connected VAE.

    Args:
        recorder: `Recorder`.
        network: "mlp".
        epochs: int.
        images_path: path of the images.
        jit_compile: bool, compile the step with XLA.
        graph_epoch: bool, run an epoch's steps inside one graph instead of a Python loop.
    """
    import tensorflow as tf

    if network != "mlp":
        raise ValueError(f"Only 'mlp' is written here. Received: network={network!r}.")
    images = tf.constant(load_images(images_path).reshape(-1, 784))
    parameters = {name: _initial_layers(sizes) for name, sizes in _SIZES.items()}
    step = _compiled_step(images, parameters, jit_compile)
    epoch = _graph_epoch(step) if graph_epoch else _python_epoch(step)
    recorder.start()
    for _ in range(epochs):
        order = tf.random.shuffle(tf.range(len(images)))
        recorder.end_epoch(epoch(order) / len(images))


def _python_epoch(step):
    def epoch(order):
        starts = range(0, len(order), BATCH_SIZE)
        return sum(step(order[start : start + BATCH_SIZE]) for start in starts)

    return epoch


def _graph_epoch(step):
    import tensorflow as tf

    @tf.function
    def epoch(order):
        full = len(order) // BATCH_SIZE
        total = tf.zeros(())
        for rows in tf.reshape(order[: full * BATCH_SIZE], (full, BATCH_SIZE)):
            total += step(rows)
        return total + step(order[full * BATCH_SIZE :])

    return epoch


def _initial_layers(sizes):
    """Glorot weights and zero biases."""
    import tensorflow as tf

    glorot = tf.initializers.GlorotUniform()
    return [
        (tf.Variable(glorot((inputs, outputs))), tf.Variable(tf.zeros(outputs)))
        for inputs, outputs in zip(sizes[:-1], sizes[1:], strict=True)
    ]


def _apply(dense_layers, x):
    import tensorflow as tf

    *hidden, (out_weights, out_bias) = dense_layers
    for weights, bias in hidden:
        x = tf.nn.relu(x @ weights + bias)
    return x @ out_weights + out_bias


def _negative_elbo(parameters, images):
    """Sum over the batch, in nats."""
    import tensorflow as tf

    loc, log_scale = tf.split(_apply(parameters["encoder"], images), 2, axis=1)
    scale = tf.exp(log_scale)
    logits = _apply(parameters["decoder"], loc + scale * tf.random.normal(tf.shape(scale)))
    reconstruction = tf.nn.sigmoid_cross_entropy_with_logits(images, logits)
    kl = 0.5 * (tf.square(loc) + tf.square(scale) - 1) - log_scale
    return tf.reduce_sum(reconstruction) + tf.reduce_sum(kl)


def _compiled_step(images, parameters, jit_compile):
    """Function from the rows of a batch to its summed loss, with one Adam step as side effect."""
    import tensorflow as tf

    variables = tf.nest.flatten(parameters)
    adam = _Adam(variables)

    @tf.function(jit_compile=jit_compile)
    def step(rows):
        batch = tf.gather(images, rows)
        with tf.GradientTape() as tape:
            total = _negative_elbo(parameters, batch)
            loss = total / tf.cast(tf.shape(batch)[0], tf.float32)
        adam.apply(tape.gradient(loss, variables))
        return total

    return step


class _Adam:
    """Adam (Kingma & Ba, arXiv:1412.6980v9, Algorithm 1) with TensorFlow's own kernel."""

    def __init__(self, variables):
        import tensorflow as tf

        self.variables = variables
        self.moments = [(_zeros_like(v), _zeros_like(v)) for v in variables]
        self.powers = tf.Variable(0.9), tf.Variable(0.999)

    def apply(self, gradients):
        import tensorflow as tf

        for variable, (m, v), gradient in zip(self.variables, self.moments, gradients, strict=True):
            tf.raw_ops.ResourceApplyAdam(
                var=variable.handle, m=m.handle, v=v.handle,
                beta1_power=self.powers[0], beta2_power=self.powers[1],
                lr=LEARNING_RATE, beta1=0.9, beta2=0.999, epsilon=1e-7, grad=gradient,
            )  # fmt: skip
        for power, beta in zip(self.powers, (0.9, 0.999), strict=True):
            power.assign(power * beta)


def _zeros_like(variable):
    import tensorflow as tf

    return tf.Variable(tf.zeros_like(variable))
