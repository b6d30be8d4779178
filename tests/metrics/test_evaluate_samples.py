"""All scores at once: against single calls, real data, collapse and noise; sizes, seeds, errors."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.datasets import load_digits

from tfgen import metrics, models, networks
from tfgen.metrics.evaluate_samples import SampleJudge

# In random order any two parts are alike.
ORDER = np.random.default_rng(0).permutation(1797)
IMAGES = (load_digits().images[ORDER, ..., None] / 16).astype("float32")
LABELS = load_digits().target[ORDER]
JUDGE, TRAIN, TEST, FRESH = IMAGES[:597], IMAGES[597:997], IMAGES[997:1397], IMAGES[1397:]
N = 400


class Sampler:
    """Delivers given images one after the other, and keeps what it was asked for."""

    def __init__(self, images):
        self.images, self.calls = images, []

    def sample(self, num_samples, seed=None):
        start = sum(size for size, _ in self.calls)
        self.calls.append((num_samples, seed))
        return tf.constant(self.images[start : start + num_samples])


class Noise:
    def sample(self, num_samples, seed=None):
        return np.random.default_rng(seed).uniform(size=(num_samples, 8, 8, 1))


def evaluate(model, train_data=TRAIN, test_data=TEST, num_samples=N, **kwargs):
    kwargs = {"verbose": False, **kwargs}
    return metrics.evaluate_samples(model, train_data, test_data, num_samples, **kwargs)


@pytest.fixture(scope="module")
def judge(tmp_path_factory):
    return metrics.classifier(
        JUDGE, LABELS[:597], steps=400, cache_dir=tmp_path_factory.mktemp("cache"), verbose=False
    )


@pytest.fixture(scope="module")
def fresh(judge):
    return evaluate(Sampler(FRESH), classifier=judge)


@pytest.fixture(scope="module")
def collapsed(judge):
    return evaluate(Sampler(np.repeat(FRESH[:1], N, axis=0)), classifier=judge)


@pytest.fixture(scope="module")
def noise(judge):
    return evaluate(Noise(), classifier=judge)


# Values.


def single_calls(judge, images):
    """Every score by its own function, with the settings written out."""
    test, x = (metrics.classifier_outputs(judge, part) for part in (TEST, images))
    bandwidths = metrics.median_bandwidth(TEST) * np.array([0.25, 0.5, 1, 2, 4])
    mean, error = metrics.pairwise_ms_ssim(images, num_pairs=200, seed=0)
    return {
        "squared_mmd": metrics.squared_mmd(TEST, images, "gaussian", bandwidths),
        "ms_ssim": mean,
        "ms_ssim_standard_error": error,
        "class_entropy": metrics.class_entropy(x.probabilities),
        "image_entropy": metrics.image_entropies(x.probabilities).mean(),
        "mode_count": metrics.mode_count(x.probabilities, 0.01),
        "classifier_squared_mmd": metrics.squared_mmd(test.features, x.features, "polynomial"),
        "classifier_frechet_distance": metrics.frechet_distance(test.features, x.features),
        **metrics.precision_recall(test.features, x.features, 5)._asdict(),
    }


def test_both_columns_are_those_of_single_calls(judge, fresh):
    for column, images in ((fresh.generated, FRESH), (fresh.real, TRAIN)):
        expected = single_calls(judge, images)
        assert list(column) == list(expected)
        for name, value in expected.items():
            assert column[name] == pytest.approx(value, rel=1e-6, abs=1e-9), name
            assert isinstance(column[name], (int, float)), name


def test_fresh_real_images_score_as_the_floor(fresh, collapsed, noise):
    for name in set(fresh.real) - {"ms_ssim_standard_error", "mode_count"}:
        worst = max(abs(bad.generated[name] - bad.real[name]) for bad in (collapsed, noise))
        # Both columns are draws of one distribution; bad samples differ by far more.
        assert abs(fresh.generated[name] - fresh.real[name]) < 0.2 * worst, name
    assert fresh.generated["mode_count"] == fresh.real["mode_count"] == 10
    # Means of 200 pairs each: 5 standard errors of their difference.
    errors = np.hypot(*(c["ms_ssim_standard_error"] for c in fresh[:2]))
    assert fresh.generated["ms_ssim"] == pytest.approx(fresh.real["ms_ssim"], abs=5 * errors)


def test_collapse_shows(collapsed):
    scores = collapsed.generated
    assert scores["class_entropy"] == 0.0
    assert scores["mode_count"] == 1
    assert scores["recall"] == 0.0
    assert scores["coverage"] < 0.1
    assert scores["ms_ssim"] == pytest.approx(1.0)
    assert scores["ms_ssim_standard_error"] == pytest.approx(0.0, abs=1e-6)
    assert collapsed.real["class_entropy"] == pytest.approx(np.log(10), abs=0.05)


def test_noise_shows(noise):
    assert noise.generated["precision"] < 0.05
    assert noise.generated["squared_mmd"] > 100 * abs(noise.real["squared_mmd"])


def test_scores_do_not_depend_on_the_range(judge, fresh, tmp_path):
    signed_judge = metrics.classifier(
        2 * JUDGE - 1,
        LABELS[:597],
        steps=400,
        value_range=(-1, 1),
        cache_dir=tmp_path,
        verbose=False,
    )
    signed = evaluate(
        Sampler(2 * FRESH - 1),
        2 * TRAIN - 1,
        2 * TEST - 1,
        classifier=signed_judge,
        value_range=(-1, 1),
    )
    for name, value in fresh.generated.items():
        assert signed.generated[name] == pytest.approx(value, rel=1e-3, abs=1e-5), name
    with pytest.raises(ValueError, match=r"in \(0.0, 1.0\). Received: value_range=\(-1, 1\)"):
        evaluate(Sampler(FRESH), 2 * TRAIN - 1, 2 * TEST - 1, classifier=judge, value_range=(-1, 1))


# Which images are scored.


def test_samples_come_in_chunks_of_their_own_seeds():
    images = np.random.default_rng(0).uniform(size=(2100, 3, 3, 1))
    samplers = [Sampler(images) for _ in range(3)]
    results = [
        evaluate(sampler, images, images[::-1], 2100, seed=seed)
        for sampler, seed in zip(samplers, [0, 0, 1], strict=True)
    ]
    assert [size for size, _ in samplers[0].calls] == [1000, 1000, 100]
    assert samplers[0].calls == samplers[1].calls
    assert results[0] == results[1]
    seeds = [seed for sampler in (samplers[0], samplers[2]) for _, seed in sampler.calls]
    assert len(set(seeds)) == 6
    assert all(type(seed) is int and 0 <= seed < 2**31 for seed in seeds)


@pytest.mark.parametrize("labels", [True, False])
def test_pipelines_are_read_as_arrays(labels):
    def pipeline(images):
        data = (images, np.zeros(len(images))) if labels else images
        return tf.data.Dataset.from_tensor_slices(data).batch(64)

    expected = evaluate(Sampler(FRESH), IMAGES[:997], TEST)
    assert evaluate(Sampler(FRESH), pipeline(IMAGES[:997]), pipeline(TEST)) == expected
    assert expected != evaluate(Sampler(FRESH))  # 400 of 997 images were drawn.


@pytest.mark.slow
def test_every_image_is_equally_likely_to_be_drawn():
    from tfgen.metrics.evaluate_samples import _draw_images

    images = np.arange(20.0).reshape(20, 1, 1, 1) / 20
    for data in (images, tf.data.Dataset.from_tensor_slices(images).batch(3)):
        counts = np.zeros(20)
        for seed in range(300):
            drawn = _draw_images(data, 8, (0, 1), seed, "data").ravel()
            rows = np.round(drawn * 20).astype(int)
            assert len(set(rows)) == 8  # Without replacement.
            counts[rows] += 1
        # Binomial with p = 8/20: 5 standard deviations of 8.5 around 120.
        np.testing.assert_allclose(counts, 120, atol=5 * np.sqrt(300 * 0.4 * 0.6))


def test_a_model_of_the_package():
    model = models.GAN(
        networks.mlp_generator((8, 8, 1), 4, (8,)), networks.mlp_discriminator((8, 8, 1), (8,))
    )
    first, second = (
        evaluate(model, 2 * TRAIN - 1, 2 * TEST - 1, value_range=(-1, 1)) for _ in range(2)
    )
    assert first == second
    assert first.generated["squared_mmd"] > 0.01 > abs(first.real["squared_mmd"])


def test_clip():
    wide = FRESH * 1.5 - 0.25
    with pytest.raises(ValueError, match=r"values from -0.25 to 1.25. Pass clip=True"):
        evaluate(Sampler(wide))
    clipped = evaluate(Sampler(wide), clip=True)
    assert clipped.generated == evaluate(Sampler(np.clip(wide, 0, 1))).generated
    assert clipped.settings["clip"] is True


# What is reported.


def test_without_a_classifier_its_scores_are_left_out(fresh):
    scores = evaluate(Sampler(FRESH))
    assert list(scores.generated) == ["squared_mmd", "ms_ssim", "ms_ssim_standard_error"]
    for name, value in scores.generated.items():
        assert value == fresh.generated[name]


def test_settings_say_what_the_numbers_are_of(judge, fresh):
    settings = fresh.settings
    assert settings["num_samples"] == 400
    assert settings["squared_mmd"]["bandwidths"] == pytest.approx(
        metrics.median_bandwidth(TEST) * np.array([0.25, 0.5, 1, 2, 4])
    )
    # At 8 x 8 a window of 3 fits at 8 and at 4 pixels, no other at two scales and 2 pixels.
    assert (settings["ms_ssim"]["filter_size"], settings["ms_ssim_scales"]) == (3, 2)
    assert (settings["classifier"], settings["num_features"]) == ("mlp_classifier", 128)
    assert not any("fid" in name or "inception" in name for name in fresh.generated)


def test_markdown():
    scores = metrics.SampleScores(
        {"a": 1.0, "b": 0.123456}, {"a": 3, "b": 1e-7}, {"a": {"s": (0.5, 2.0), "k": "x"}, "n": 9}
    )
    assert scores.to_markdown().splitlines() == [
        "| score | generated | real |",
        "| --- | --- | --- |",
        "| a | 1 | 3 |",
        "| b | 0.1235 | 1e-07 |",
        "",
        "- a: s=(0.5, 2), k=x",
        "- n: 9",
    ]


def test_progress_bar(capsys):
    evaluate(Sampler(FRESH), verbose=True)
    assert "5/5" in capsys.readouterr().out  # One chunk, two scores of two sets.
    evaluate(Sampler(FRESH))
    assert capsys.readouterr().out == ""


def judge_of(classifier):
    options = {"value_range": (0, 1), "clip": False, "num_neighbours": None, "seed": 0}
    return SampleJudge(TRAIN, TEST, N, classifier=classifier, **options)


def test_a_judge_scores_each_model_as_if_it_were_the_first(judge, fresh, noise):
    judged = judge_of(judge)
    assert judged(Noise()) == noise
    assert judged(Sampler(FRESH)) == fresh
    assert judged(Noise()) == noise


def test_directions_are_those_of_the_scores(judge, fresh, noise):
    directions = judge_of(judge).directions
    assert list(directions) == list(fresh.generated)
    assert list(judge_of(None).directions) == list(evaluate(Sampler(FRESH)).generated)
    for name, direction in directions.items():
        if direction is not None:
            better = {"min": np.less, "max": np.greater}[direction]
            assert better(fresh.generated[name], noise.generated[name]), name


# Errors.


def broken(value):
    images = FRESH.copy()
    images[3, 2, 1] = value
    return Sampler(images)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (
            {"model": IMAGES},
            r"sample\(num_samples, seed\), which returns images x, .* Received: nd",
        ),
        ({"num_samples": 9}, "at least 10. Received: num_samples=9"),
        ({"num_neighbours": 5}, "Received: num_neighbours=5 without a classifier. Pass"),
        (
            {"num_samples": 401},
            "test_data must hold at least num_samples=401 images. Received: 400",
        ),
        ({"train_data": TRAIN[:99]}, "train_data must.*Received: 99. Pass num_samples=99 or less"),
        ({"value_range": (1, 1)}, r"Received: value_range=\(1, 1\)"),
        ({"value_range": (0, 0.5)}, "test_data must have pixels in.*Received: values from 0 to 1"),
        ({"test_data": TEST[..., 0]}, r"test_data must have shape.*Received: shape \(400, 8, 8\)"),
        ({"train_data": TRAIN[:, :7]}, r"Received: \(400, 8, 8, 1\) and \(400, 7, 8, 1\)"),
        ({"model": Sampler(FRESH[:5])}, r"and \(5, 8, 8, 1\)"),
        ({"model": broken(np.nan)}, "Samples must be finite. Received: 1 values of 25600"),
        ({"model": broken(np.inf), "clip": True}, "Samples must be finite"),
        ({"model": broken(-1.0)}, "Samples must have pixels.*Received: values from -1 to 1. Pass"),
    ],
)
def test_unusable_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        evaluate(**{"model": Sampler(FRESH), **arguments})


def test_as_many_neighbours_as_samples(judge):
    with pytest.raises(ValueError, match="below .* Received: num_neighbours=10, num_samples=10"):
        evaluate(Sampler(FRESH), classifier=judge, num_samples=10, num_neighbours=10)


def test_a_network_without_features():
    network = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(name="flat")])
    with pytest.raises(ValueError, match=r'"features". Received: layers \[\'flat\'\]'):
        evaluate(Sampler(FRESH), classifier=network)
