"""What the paper scripts share: progress, times, reports, and a run that is killed."""

import argparse
import importlib
import json
import os
import pathlib
import re
import signal
import subprocess
import sys

import pytest

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"
KINGMA = EXAMPLES / "kingma_2014_semi_supervised.py"


@pytest.fixture
def module(monkeypatch):
    """Function to a module of the scripts, for a script named "script"."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    monkeypatch.setattr(sys, "argv", ["script.py"])
    return importlib.import_module


@pytest.fixture
def paper_script(module):
    return module("paper_script")


@pytest.fixture
def known(module, monkeypatch):
    """Function that sets the known times, from name to seconds at the paper's scale."""

    def set_times(**seconds):
        times = {"script": {name: {"paper": s, "cpu": s / 10} for name, s in seconds.items()}}
        facts = {"what": "Invented.", "hardware": "a table", "date": "today"}
        monkeypatch.setattr(module("paper_times"), "known_times", lambda: {**times, **facts})

    return set_times


def experiment(paper_script, name, run=lambda run: {"x": 1.5}, **kwargs):
    return paper_script.Experiment(name, "Table 1", run, {"x": 2.0}, "a setup", **kwargs)


def args_of(paper_script, experiments, *flags):
    return paper_script.parse_args("A paper\n", experiments, ["mnist"], flags)


@pytest.mark.parametrize("seconds, scale", [(1800, "paper"), (1801, "cpu")])
def test_scale_is_the_papers_where_that_takes_an_hour_at_most(paper_script, known, seconds, scale):
    known(a=1800, b=seconds)
    experiments = [experiment(paper_script, name) for name in "ab"]
    assert args_of(paper_script, experiments).scale == scale
    assert args_of(paper_script, experiments, "--scale", "paper").scale == "paper"


def test_scale_is_for_cpus_where_a_time_is_not_known(paper_script, known):
    known(a=1)
    experiments = [experiment(paper_script, name) for name in "ab"]
    assert args_of(paper_script, experiments).scale == "cpu"


def test_list_has_times_of_both_scales(paper_script, known, capsys):
    known(a=36_000, b=1200)
    chosen = [experiment(paper_script, "a"), experiment(paper_script, "b")]
    paper_script.main("A paper\n", chosen, 0, ["mnist"], ["--list"])
    header, first, second, total, *_ = capsys.readouterr().out.splitlines()
    assert header.split() == ["experiment", "stands", "for", "cpu", "paper"]
    assert first.split("  ")[-1].strip() == "10 h" and " 60 min " in first
    assert " 2 min " in second and second.endswith("20 min")
    assert total.startswith("all") and total.endswith("10 h") and "62 min" in total


def test_a_text_stands_where_no_time_is_known(paper_script, known, capsys):
    known(b=1)
    chosen = [experiment(paper_script, "a", times={"cpu": "an evening"})]
    paper_script.main("A paper\n", chosen, 0, ["mnist"], ["--list"])
    assert "an evening" in capsys.readouterr().out


def test_the_time_of_all_is_a_bound_where_one_is_not_known(paper_script, known, capsys):
    known(b=1200)
    chosen = [experiment(paper_script, "a"), experiment(paper_script, "b")]
    paper_script.main("A paper\n", chosen, 0, ["mnist"], ["--list"])
    assert "over 20 min" in capsys.readouterr().out


def test_no_seed_is_refused(paper_script, known, capsys):
    known()
    with pytest.raises(SystemExit):
        args_of(paper_script, [experiment(paper_script, "a")], "--seeds", "0")
    assert "--seeds must be at least 1. Received: 0." in capsys.readouterr().err


@pytest.mark.parametrize(
    "seconds, text",
    [
        (0.4, "0 s"),
        (89, "89 s"),
        (90, "2 min"),
        (5340, "89 min"),
        (7260, "2 h 1 min"),
        (36e3, "10 h"),
    ],
)
def test_duration(module, seconds, text):
    assert module("paper_times").duration(seconds) == text


def test_known_times_are_corrected_by_measured_ones(
    module, paper_script, known, monkeypatch, tmp_path
):
    known(a=10, b=10, c=30)
    paper_times, now = module("paper_times"), iter([0.0, 20.0, 20.0, 21.0, 21.0, 22.0])
    monkeypatch.setattr(paper_times.time, "perf_counter", lambda: next(now))
    args = argparse.Namespace(scale="paper", smoke=False)
    jobs = [
        (experiment(paper_script, name), paper_script.Run(args, tmp_path / name, 0))
        for name in "abc"
    ]
    later = [run.later for _, run in paper_times.Clock(jobs, paper_script.is_done).timed()]
    # The first took 20 s in place of 10: the 30 s of the last count twice.
    assert later == [40.0, 60.0, 0.0]


def test_an_experiment_says_how_long_those_behind_it_take(paper_script, known, tmp_path, capsys):
    known(a=10, b=36_000)
    chosen = [experiment(paper_script, "a"), experiment(paper_script, "b")]
    flags = ["--scale", "paper", "--output-dir", str(tmp_path)]
    paper_script.main("A paper\n", chosen, 0, ["mnist"], flags)
    output = capsys.readouterr().out
    assert "a, seed 0: Table 1 (10 h for those that follow)" in output
    assert "b, seed 0: Table 1\n" in output


def test_a_stop_says_how_to_go_on(paper_script, known, tmp_path):
    def stopped(run):
        raise KeyboardInterrupt

    known(a=1)
    chosen = [experiment(paper_script, "a", stopped)]
    with pytest.raises(SystemExit, match="Stopped. The same command goes on"):
        paper_script.main("A paper\n", chosen, 0, ["mnist"], ["--output-dir", str(tmp_path)])


def test_report_puts_the_papers_numbers_beside_ours_but_not_in_smoke_runs(
    paper_script, known, tmp_path, capsys
):
    known(a=1)
    chosen = [experiment(paper_script, "a"), experiment(paper_script, "b")]
    for flags in (["--seeds", "2"], ["--smoke"]):
        flags += ["--run", "a", "--output-dir", str(tmp_path)]
        paper_script.main("A paper\n", chosen, 0, ["mnist"], flags)
    report = (tmp_path / "mnist-cpu" / "report.html").read_text(encoding="utf-8")
    assert "<h1>A paper</h1>" in report and "Not run: b." in report
    assert report.count("<td>x</td><td>2</td><td>1.5 ± 0 (2 seeds)</td>") == 2
    smoke = (tmp_path / "digits-smoke" / "report.html").read_text(encoding="utf-8")
    assert "<h1>SMOKE: A paper</h1>" in smoke and "<td>x</td><td>1.5</td>" in smoke
    assert "<td>2</td>" not in smoke and "Beside the paper" not in smoke
    assert capsys.readouterr().out.count("SMOKE") == 2


def test_index_has_all_papers(paper_script, known, tmp_path, monkeypatch):
    known(a=1)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["soons_2020_vae_gan_flow.py"])
    chosen = [experiment(paper_script, "a"), experiment(paper_script, "b")]
    paper_script.main("A paper\n", chosen, 0, ["mnist"], ["--run", "a", "--scale", "paper"])
    index = (tmp_path / "outputs" / "index.html").read_text(encoding="utf-8")
    assert 'href="soons_2020_vae_gan_flow/mnist-paper/report.html"' in index
    assert "<td>mnist-paper</td><td>1 of 2</td>" in index
    for script in EXAMPLES.glob("*_20*.py"):
        assert f"python examples/{script.name}" in index
    assert index.count("not run yet") == len(list(EXAMPLES.glob("*_20*.py"))) - 1


def test_an_output_folder_of_ones_own_gets_no_index_outside(paper_script, known, tmp_path):
    known(a=1)
    folder = tmp_path / "mine"
    flags = ["--output-dir", str(folder)]
    paper_script.main("A paper\n", [experiment(paper_script, "a")], 0, ["mnist"], flags)
    assert list(tmp_path.iterdir()) == [folder]


def start(folder):
    """A process of the script of M2 on few digits."""
    command = [sys.executable, str(KINGMA), "--smoke", "--run", "m2", "--output-dir", str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


@pytest.mark.slow
def test_a_killed_run_goes_on_at_the_epoch_that_it_had_begun(tmp_path):
    killed = start(tmp_path)
    for line in killed.stdout:
        if line.startswith("epoch  4/30"):
            os.kill(killed.pid, signal.SIGKILL)
            break
    killed.stdout.close()
    killed.wait()
    lines, _ = start(tmp_path).communicate()
    epochs = [int(number) for number in re.findall(r"^epoch +(\d+)/30  ", lines, re.MULTILINE)]
    # The kill came while a later epoch ran, or its state was written.
    assert epochs == list(range(epochs[0], 31)) and epochs[0] >= 4
    assert f"\nGoes on at epoch {epochs[0]} of 30.\n" in lines
    log = (tmp_path / "digits-smoke" / "m2" / "seed_0" / "epochs.csv").read_text(encoding="utf-8")
    assert {int(row.split(",")[0]) for row in log.splitlines()[1:]} == set(range(30))
    whole, _ = start(tmp_path / "whole").communicate()
    metrics = [
        json.loads((folder / "digits-smoke" / "results.json").read_text(encoding="utf-8"))
        for folder in (tmp_path, tmp_path / "whole")
    ]
    assert metrics[0]["m2"][0]["metrics"] == metrics[1]["m2"][0]["metrics"]
