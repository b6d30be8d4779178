"""Negative log-likelihood by annealed importance sampling. Wu et al., arXiv:1611.04273."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen._utils.arguments import (
    check_ints,
    check_one_of,
    check_positive,
    check_seed,
    check_size,
    check_verbose,
)
from tfgen._utils.progress import ProgressBar
from tfgen._utils.random import ALGORITHM
from tfgen.metrics._likelihood import (
    NO_LIKELIHOOD,
    bits_of,
    compiled_as,
    conditioned_on,
    encode,
    open_batches,
    seed_of,
    standard_error,
)
from tfgen.metrics.importance_sampling import effective_sample_size, log_mean_exp_of_groups
from tfgen.metrics.protocols import Data, HasElbo, HasJointDensity, require

tfd = tfp.distributions

__all__ = ["AnnealedNLL", "annealed_importance_sampling"]

# Share of moves to accept, as in Wu et al.
_ACCEPTANCE = 0.65
# Steps of Hamiltonian Monte Carlo that tune it, and the first value that they try.
_PILOT_STEPS = 100
_FIRST_STEP_SIZE = 0.1


class AnnealedNLL(NamedTuple):
    """An upper bound on the negative log-likelihood, in nats per example.

    Attributes:
        nll: float, mean over examples of -log (1/c sum_i w_i).
        standard_error: float, of `nll`, over examples; NaN for a single one.
        num_chains: int c, chains for each example.
        num_steps: int, intermediate distributions.
        effective_sample_size: float in [1, c], mean over examples: how far the chains agree.
        acceptance: float in [0, 1], share of moves that the last step accepted.
        step_size: float, mean over examples, in units of z.
        bits_per_dim: float, `nll` in bits per dimension; None where data have a density.
        nlls: float64 array, shape (num_examples,).
    """

    nll: float
    standard_error: float
    num_chains: int
    num_steps: int
    effective_sample_size: float
    acceptance: float
    step_size: float
    bits_per_dim: float | None
    nlls: np.ndarray


def annealed_importance_sampling(
    model: HasJointDensity,
    data: Data,
    num_chains: int = 16,
    num_steps: int = 1000,
    num_leapfrog_steps: int = 10,
    *,
    start: Literal["prior", "posterior"] = "prior",
    step_size: float | None = None,
    batch_size: int = 50,
    seed: int = 0,
    verbose: bool = True,
) -> AnnealedNLL:
    """Negative log-likelihood of data under a model, by annealed importance sampling.

    Chains of z go from p(z) to p(z|x) by way of densities proportional to p0(z)^(1 - t) p(x, z)^t,
    t = 1/n, 2/n, ..., 1, with a step of Hamiltonian Monte Carlo at each; the product of their
    incremental weights is an unbiased estimate of p(x). It needs no encoder, and so it separates
    the error of q(z|x) from that of the model: if importance sampling gives a far higher value, the
    encoder is poor. The value falls towards the exact one with the number of steps; compare the
    values of two numbers of steps.

    Source: Neal, "Annealed importance sampling", Statistics and Computing 11, 2001; Wu, Burda,
    Salakhutdinov & Grosse, arXiv:1611.04273 (16 chains, 10 leapfrog steps), by
    `tfp.mcmc.sample_annealed_importance_chain`. Deviations: t grows evenly, not along a sigmoid;
    the step size is not adapted along the chain but tuned before it to accept 65 % of moves under
    p(z|x), for each example on its own, by `tfp.mcmc.DualAveragingStepSizeAdaptation` on as many
    chains that are not used again: adapting on the chains themselves would bias their weights.

    An example costs `num_chains * num_steps * num_leapfrog_steps` gradients of the decoder, each
    about three passes through it. It is compiled as `model` is.

    Args:
        model: anything with `log_joint(x, z)` and `prior_distribution()`, such as
            `tfgen.models.VAE`; z must be continuous.
        data: as in `importance_sampled_nll`; some hundred examples are usual.
        num_chains: int c >= 1, chains for each example.
        num_steps: int n >= 1, intermediate distributions. The paper takes 10,000.
        num_leapfrog_steps: int >= 1, of each step of Hamiltonian Monte Carlo.
        start: "prior", or "posterior" to start from q(z|x) = `model.encode(x)`, which needs far
            fewer steps where the encoder is good.
        step_size: float > 0, in units of z; None to tune it.
        batch_size: int, examples at a time, all chains of each.
        seed: int, of all draws; the same arguments give the same value.
        verbose: bool, whether to show a progress bar.

    Returns:
        `AnnealedNLL`.

    Raises:
        ValueError: if the model has no joint density, or codes on a sphere; an argument is out of
            range, or the data are unusable, as in `importance_sampled_nll`.

    Example:
        >>> from tfgen import models, networks
        >>> shape = (8, 8, 1)
        >>> model = models.VAE(networks.mlp_encoder(shape, 2), networks.mlp_decoder(shape, 2))
        >>> images = np.random.default_rng(0).integers(2, size=(5, *shape))
        >>> result = annealed_importance_sampling(model, images, 4, num_steps=20, verbose=False)
        >>> result.nlls.shape, 0 <= result.acceptance <= 1
        ((5,), True)
    """
    check_ints(batch_size=batch_size)
    check_seed(seed=seed)
    check_verbose(verbose=verbose)
    chain = _Chain(model, num_chains, num_steps, num_leapfrog_steps, start, step_size)
    _check_chain(chain)
    anneal = compiled_as(model, _run, *chain[1:])
    batches, num_batches = open_batches(model, data, batch_size)
    bar = ProgressBar(num_batches, verbose)
    columns = []
    for step, (x, num_examples) in enumerate(batches):
        log_weights, acceptance, step_sizes = anneal(x, seed_of(seed, step))
        log_weights = log_weights.numpy().astype("float64")
        rows = [
            -log_mean_exp_of_groups(log_weights, num_chains),
            effective_sample_size(log_weights),
            acceptance.numpy(),
            step_sizes.numpy(),
        ]
        columns.append(np.stack(rows)[:, :num_examples])
        bar.add(1)
    nlls, sample_sizes, acceptances, step_sizes = np.concatenate(columns, axis=1)
    return AnnealedNLL(
        nll=float(nlls.mean()),
        standard_error=standard_error(nlls),
        num_chains=num_chains,
        num_steps=num_steps,
        effective_sample_size=float(sample_sizes.mean()),
        acceptance=float(acceptances.mean()),
        step_size=float(step_sizes.mean()),
        bits_per_dim=bits_of(model, x, nlls.mean()),
        nlls=nlls,
    )


def _check_chain(chain):
    check_one_of(("prior", "posterior"), start=chain.start)
    protocol = HasElbo if chain.start == "posterior" else HasJointDensity
    require(chain.model, protocol, "annealed_importance_sampling", NO_LIKELIHOOD)
    check_ints(num_chains=chain.num_chains, num_steps=chain.num_steps)
    check_ints(num_leapfrog_steps=chain.num_leapfrog_steps)
    check_size(num_chains=chain.num_chains, num_leapfrog_steps=chain.num_leapfrog_steps)
    if chain.step_size is not None:
        check_positive("None tunes it.", step_size=chain.step_size)


def _check_is_flat(prior):
    """Raises ValueError if codes are on a sphere, which the moves of a chain leave."""
    if isinstance(prior, tfd.SphericalUniform | tfd.VonMisesFisher | tfd.PowerSpherical):
        raise ValueError(
            "Annealed importance sampling moves codes in all directions, so that they must not be "
            f"on a sphere. Received: a model whose prior is a {type(prior).__name__}. Use "
            "importance_sampled_nll, which draws from the encoder alone."
        )


class _Chain(NamedTuple):
    """Annealed chains: the arguments of `annealed_importance_sampling`."""

    model: Any
    num_chains: int
    num_steps: int
    num_leapfrog_steps: int
    start: str
    step_size: float | None

    def run(self, x: Any, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Log weights, shape (num_chains, batch), and of each example acceptance and step size."""
        draw_seed, pilot_seed, chain_seed = tf.unstack(tf.random.split(seed, 3, alg=ALGORITHM))
        step_sizes = self._step_sizes(x, pilot_seed)
        start, z = self._first_draws(x, draw_seed)
        _, log_weights, results = tfp.mcmc.sample_annealed_importance_chain(
            self.num_steps,
            proposal_log_prob_fn=start.log_prob,
            target_log_prob_fn=lambda z: self.model.log_joint(x, z),
            current_state=z,
            make_kernel_fn=lambda log_density: _Fresh(self._kernel(log_density, step_sizes)),
            seed=chain_seed,
        )
        accepted = tf.cast(results.inner_results.is_accepted, tf.float32)
        return log_weights, tf.reduce_mean(accepted, axis=0), tf.reshape(step_sizes, (-1,))

    def _first_draws(self, x: Any, seed: tf.Tensor) -> tuple[Any, tf.Tensor]:
        """The density that chains start from, and z, shape (num_chains, batch, *latent_shape)."""
        prior = self.model.prior_distribution()
        _check_is_flat(prior)
        if self.start == "prior":
            return prior, prior.sample((self.num_chains, _batch_size(x)), seed=seed)
        start = encode(self.model, x)
        return start, start.sample((self.num_chains,), seed=seed)

    def _kernel(self, log_density: Callable, step_sizes: tf.Tensor) -> tfp.mcmc.TransitionKernel:
        return tfp.mcmc.HamiltonianMonteCarlo(log_density, step_sizes, self.num_leapfrog_steps)

    def _step_sizes(self, x: Any, seed: tf.Tensor) -> tf.Tensor:
        """One for each example, shape (1, batch, 1, ...), from draws of its own."""
        draw_seed, tuning_seed = tf.unstack(tf.random.split(seed, 2, alg=ALGORITHM))
        _, z = self._first_draws(x, draw_seed)
        latent_rank = len(z.shape) - 2
        shape = (1, _batch_size(x), *[1] * latent_rank)
        if self.step_size:
            return tf.fill(shape, float(self.step_size))
        kernel = self._kernel(
            lambda z: self.model.log_joint(x, z), tf.fill(shape, _FIRST_STEP_SIZE)
        )
        return _tuned_step_sizes(kernel, z, tuning_seed)


def _run(model: Any, *arguments: Any) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """`_Chain.run` of a model, given the other arguments of a chain, x and a seed."""
    *settings, x, seed = arguments
    with conditioned_on(model, x):
        return _Chain(model, *settings).run(x, seed)


def _batch_size(x: Any) -> int:
    return tf.nest.flatten(x)[0].shape[0]


class _Fresh(tfp.mcmc.TransitionKernel):
    """A kernel that evaluates its density anew at the start of a step.

    TFP 0.25 passes on the value and gradient of the distribution before, against which the next
    one then accepts: such chains stand still where the likelihood is far from 0
    (tensorflow/probability#1429 tells of bad results).
    """

    def __init__(self, kernel: tfp.mcmc.TransitionKernel) -> None:
        self.kernel = kernel

    is_calibrated = True

    def bootstrap_results(self, state: tf.Tensor) -> Any:
        return self.kernel.bootstrap_results(state)

    def one_step(
        self, state: tf.Tensor, previous_kernel_results: Any, seed: Any = None
    ) -> tuple[tf.Tensor, Any]:
        return self.kernel.one_step(state, self.bootstrap_results(state), seed=seed)


def _tuned_step_sizes(
    kernel: tfp.mcmc.TransitionKernel, z: tf.Tensor, seed: tf.Tensor
) -> tf.Tensor:
    """A step size for each example, at which its chains accept 65 % of moves in the mean."""
    adaptive = tfp.mcmc.DualAveragingStepSizeAdaptation(
        kernel, _PILOT_STEPS, target_accept_prob=_ACCEPTANCE
    )
    _, step_sizes = tfp.mcmc.sample_chain(
        num_results=1,
        current_state=z,
        kernel=adaptive,
        num_burnin_steps=_PILOT_STEPS,
        trace_fn=lambda _, results: results.new_step_size,
        seed=seed,
    )
    return step_sizes[0]
