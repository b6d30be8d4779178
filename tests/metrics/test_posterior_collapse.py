"""Parts of the ELBO and mutual information: linear Gaussian model, extremes, all pairs by hand."""

import functools

import keras
import matplotlib.pyplot as plt
import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen import bijectors, layers, models
from tfgen.metrics._likelihood import seed_of
from tfgen.metrics.posterior_collapse import active_units, posterior_collapse_report

tfd = tfp.distributions


class OneLatent:
    """x is a number; q(z|x) = N(slope x, SCALE^2), p(x|z) = N(z, 1)."""

    def __init__(self, slope, scale, prior=None):
        self.slope, self.scale = slope, scale
        self.prior = prior or tfd.Independent(tfd.Normal([0.0], 1.0), 1)

    def encode(self, x):
        return tfd.Independent(tfd.Normal(self.slope * x[:, None], self.scale), 1)

    def prior_distribution(self):
        return self.prior

    def log_joint(self, x, z):
        x = tf.cast(x, tf.float32)
        return tfd.Normal(z[..., 0], 1.0).log_prob(x) + self.prior.log_prob(z)


def report_on(model, data, **kwargs):
    return posterior_collapse_report(model, data, verbose=False, **kwargs)


@pytest.fixture(scope="module")
def report(linear_gaussian):
    return report_on(linear_gaussian.exact, linear_gaussian.x, batch_size=128, seed=5)


@pytest.fixture
def figure(report):
    fig, axes = report.plot()
    yield axes
    plt.close(fig)


def test_active_units_of_a_linear_encoder(linear_gaussian, report):
    units = active_units(linear_gaussian.exact, (linear_gaussian.x, np.zeros(300, "int32")))
    means = linear_gaussian.posterior().mean().numpy()
    np.testing.assert_allclose(units.variances, means.var(axis=0, ddof=1), rtol=1e-4, atol=1e-12)
    # In expectation 1 - posterior variance, for a latent of variance 1; the third is unused. The
    # relative error of a variance of 300 normal values is sqrt(2 / 299).
    expected = 1 - linear_gaussian.scale**2
    np.testing.assert_allclose(units.variances, expected, rtol=5 * np.sqrt(2 / 299), atol=1e-12)
    assert units.active.tolist() == [True, True, False] and units.num_active == 2
    np.testing.assert_array_equal(report.active_units.variances, units.variances)
    threshold = 1.001 * units.variances[1]
    assert active_units(linear_gaussian.exact, linear_gaussian.x, threshold).num_active == 1


def test_deterministic_encoders_have_active_units():
    class Deterministic(OneLatent):
        def encode(self, x):
            return tf.stack([x, tf.zeros_like(x)], axis=1)

    units = active_units(Deterministic(1.0, 1.0), np.array([0.0, 1.0, 2.0]))
    np.testing.assert_allclose(units.variances, [1, 0])
    with pytest.raises(ValueError, match="Received: one that returns"):
        report_on(Deterministic(1.0, 1.0), np.arange(3.0))


def test_parts_of_the_elbo(linear_gaussian, report):
    value, loc, scale = report.value, linear_gaussian.posterior().mean(), linear_gaussian.scale
    kl = 0.5 * (loc.numpy() ** 2 + scale**2 - 1 - 2 * np.log(scale))
    np.testing.assert_allclose(report.kl_per_dimension, kl.mean(axis=0), rtol=1e-4, atol=1e-6)
    assert value["kl"] == pytest.approx(kl.sum(axis=1).mean(), rel=1e-4)
    error = kl.sum(axis=1).std(ddof=1) / np.sqrt(300)
    assert report.standard_error["kl"] == pytest.approx(error, rel=1e-3)
    assert value["elbo"] == pytest.approx(-value["reconstruction"] - value["kl"], rel=1e-6)
    # With the exact posterior the ELBO is log p(x), but for the draw of z, whose error is part of
    # that of the reconstruction.
    tolerance = 5 * report.standard_error["reconstruction"]
    assert value["elbo"] == pytest.approx(linear_gaussian.log_p.mean(), abs=tolerance)


def test_mutual_information_is_that_of_all_pairs(linear_gaussian, report):
    model, x, scale = linear_gaussian.exact, linear_gaussian.x, linear_gaussian.scale
    padded = x[np.minimum(np.arange(384), 299)]
    z = np.concatenate(
        [model.encode(padded[i * 128 :][:128]).sample(seed=seed_of(5, i)) for i in range(3)]
    )[:300]
    loc = linear_gaussian.posterior().mean().numpy()
    pairs = scipy.stats.norm.logpdf(z[:, None], loc, scale).sum(axis=-1)
    values = np.diag(pairs) - scipy.special.logsumexp(pairs, axis=1) + np.log(300)
    assert report.value["mutual_information"] == pytest.approx(values.mean(), rel=1e-4)
    error = values.std(ddof=1) / np.sqrt(300)
    assert report.standard_error["mutual_information"] == pytest.approx(error, rel=1e-3)
    split = report.value["mutual_information"] + report.value["marginal_kl"]
    assert split == pytest.approx(report.value["kl"], rel=1e-6)
    # Of all x, q(z) is the prior and I is known. 300 of them know less: about 300 / e^I points lie
    # near each z, so that KL(q(z) || p(z)) is of the order of a tenth.
    bias = linear_gaussian.mutual_information - report.value["mutual_information"]
    assert -5 * error < bias < 0.2 + 5 * error


def test_extremes_of_mutual_information():
    """Posteriors far apart tell all N examples; a collapsed posterior tells nothing."""
    x = np.arange(1500.0)  # More than are compared at a time.
    apart = report_on(OneLatent(slope=1.0, scale=0.05), x)
    # Float32 rounding of z / scale, up to 30,000, is 1e-3 for each example.
    assert apart.value["mutual_information"] == pytest.approx(np.log(1500), abs=1e-3)
    assert apart.standard_error["mutual_information"] == pytest.approx(0, abs=1e-3)
    collapsed = report_on(OneLatent(slope=0.0, scale=1.0), x[:50], batch_size=20)
    assert collapsed.value["mutual_information"] == pytest.approx(0, abs=1e-6)
    assert collapsed.value["kl"] == collapsed.value["marginal_kl"] == pytest.approx(0, abs=1e-6)
    assert collapsed.active_units.num_active == 0


def test_prior_that_does_not_factorize():
    prior = tfd.MixtureSameFamily(
        tfd.Categorical([0.0, 0.0]), tfd.Independent(tfd.Normal([[-1.0], [1.0]], 1.0), 1)
    )
    model, x = OneLatent(0.5, 0.8, prior), np.linspace(-2, 2, 40)
    report = report_on(model, x)
    assert report.kl_per_dimension is None
    # Quadrature of q log(q / p); a draw of each z errs by the standard error of the KL.
    z = np.linspace(-10, 10, 4001)[:, None, None].astype("float32")
    q = model.encode(tf.constant(x, tf.float32))
    log_q = q.log_prob(z).numpy()
    exact = (np.exp(log_q) * (log_q - prior.log_prob(z).numpy())).sum(axis=0) * 0.005
    tolerance = 5 * report.standard_error["kl"]
    assert report.value["kl"] == pytest.approx(exact.mean(), abs=tolerance)
    with pytest.raises(ValueError, match="Received: kl_per_dimension=None"):
        report.plot()


def flow_vae(bijector):
    """A FlowVAE of 4 numbers with 2 latents, whose flow depends on x."""
    head = layers.FlowNormal(2, bijector, context_size=3)
    encoder = keras.Sequential([keras.Input((4,)), keras.layers.Dense(7), head])
    normal = layers.FixedScaleNormal((4,))
    decoder = keras.Sequential([keras.Input((2,)), keras.layers.Dense(4), normal])
    return models.FlowVAE(encoder, decoder, seed=0)


FLOWS = {
    "radial": functools.partial(bijectors.Radial, num_steps=2),
    "iaf": bijectors.iaf,
    "maf": bijectors.maf,
}


@pytest.mark.parametrize("name", FLOWS)
def test_report_of_a_flow_posterior(linear_gaussian, name):
    keras.utils.set_random_seed(1)
    model, x = flow_vae(FLOWS[name](2, context_size=3)), linear_gaussian.x[:10]
    report = report_on(model, x, batch_size=4, seed=3)
    padded = x[np.minimum(np.arange(12), 9)].reshape(3, 4, 4)
    posteriors = [model.encode(part) for part in padded]
    draws = [q.sample(seed=seed_of(3, i)) for i, q in enumerate(posteriors)]
    pairs = zip(posteriors, draws, strict=True)
    kl = np.concatenate([model.kl_divergence(q, model.prior_distribution(), z) for q, z in pairs])
    assert report.value["kl"] == pytest.approx(kl[:10].mean(), rel=1e-5)
    # Of one posterior at a time, by the flow's inverse.
    z = np.concatenate(draws)[:10]
    columns = [model.encode(np.tile(example, (10, 1))).log_prob(z) for example in x]
    densities = np.stack(columns, axis=1)
    values = np.diag(densities) - scipy.special.logsumexp(densities, axis=1) + np.log(10)
    assert report.value["mutual_information"] == pytest.approx(values.mean(), abs=1e-3)
    split = report.value["mutual_information"] + report.value["marginal_kl"]
    assert split == pytest.approx(report.value["kl"], rel=1e-6)
    assert report.kl_per_dimension is None
    units = active_units(model, x, batch_size=4)
    centers = np.concatenate([q.center() for q in posteriors])[:10]
    np.testing.assert_allclose(units.variances, centers.var(axis=0, ddof=1), rtol=1e-4)
    np.testing.assert_array_equal(units.variances, report.active_units.variances)


def test_flow_without_an_inverse_has_no_mutual_information(linear_gaussian):
    model = flow_vae(bijectors.Planar(2, num_steps=2, context_size=3))
    report = report_on(model, linear_gaussian.x[:10])
    assert list(report.value) == ["elbo", "reconstruction", "kl"] == list(report.standard_error)
    assert "- mutual_information: not known" in report.to_markdown()


def test_collapsed_flow_has_no_active_units(linear_gaussian):
    """A flow that bends the prior, the same for all x."""
    model = flow_vae(bijectors.Radial(2, num_steps=2, context_size=3))
    dense = model.encoder.layers[0]
    dense.set_weights([np.zeros((4, 7)), np.full(7, 0.5)])
    report = report_on(model, linear_gaussian.x[:30])
    assert report.active_units.num_active == 0
    assert report.value["mutual_information"] == pytest.approx(0, abs=1e-5)
    assert report.value["marginal_kl"] == pytest.approx(report.value["kl"], rel=1e-3)


def test_density_without_a_mean():
    class Bent(OneLatent):
        def encode(self, x):
            return tfd.TransformedDistribution(super().encode(x), tfp.bijectors.Sinh())

    with pytest.raises(
        ValueError, match=r"has mean\(\) or, of a flow, center\(\). Received: Trans"
    ):
        active_units(Bent(1.0, 1.0), np.arange(3.0))


def test_data_sets_give_what_arrays_give():
    x = np.linspace(-1, 1, 8)
    expected = report_on(OneLatent(1.0, 0.5), x, batch_size=3)
    labelled = tf.data.Dataset.from_tensor_slices((x, np.arange(8))).batch(5)
    for data in (labelled, (x, np.arange(8))):
        assert report_on(OneLatent(1.0, 0.5), data, batch_size=3).value == expected.value


def test_seeds(linear_gaussian):
    x = linear_gaussian.x[:50]
    first, again, other = (report_on(linear_gaussian.exact, x, seed=seed) for seed in (0, 0, 1))
    assert first.value == again.value
    assert first.value["mutual_information"] != other.value["mutual_information"]
    assert first.value["kl"] == other.value["kl"]


def test_table(report):
    lines = report.to_markdown().splitlines()
    kl, error = report.value["kl"], report.standard_error["kl"]
    assert f"| kl | {kl:.2f} | {error:.2g} |" in lines
    assert "- active units: 2 of 3" in lines and "- log_num_points: 5.7" in lines


def test_plot_ranks_the_dimensions(report, figure):
    bars = {bar.get_x() + bar.get_width() / 2: bar.get_height() for bar in figure.patches}
    ranked = np.sort(report.kl_per_dimension)[::-1]
    np.testing.assert_allclose([bars[place] for place in sorted(bars)], ranked)
    legend = [text.get_text() for text in figure.get_legend().get_texts()]
    assert legend == ["active", "inactive"]
    assert figure.patches[-1].get_height() == ranked[-1]  # The unused one is drawn as inactive.


@pytest.mark.parametrize(
    "kwargs, message",
    [
        ({"data": np.zeros(1)}, "Received: data of 1 examples"),
        ({"threshold": -1}, "threshold must be .* Received: threshold=-1"),
        ({"batch_size": 0}, "Received: batch_size=0"),
        ({"model": object()}, "needs a model with the method"),
    ],
)
@pytest.mark.parametrize("function", [active_units, posterior_collapse_report])
def test_errors(function, kwargs, message):
    with pytest.raises(ValueError, match=message):
        function(**{"model": OneLatent(1.0, 1.0), "data": np.arange(3.0), **kwargs})
