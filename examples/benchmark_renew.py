"""Renews results of the benchmark whose code has changed, but not what it computes

    python examples/benchmark_renew.py docs/results/benchmark outputs/benchmark

A row is stale when the files of its model have changed, if only by a check or a new option. For
each stale result this trains the row for five batches, with the code of the result's commit and
with today's, on this machine: if all weights of networks and logged values then agree bit for bit,
the result gets today's fingerprint, and says under `renewed` at which commit that was found. Other
results are left alone, to be run again. Commits must be in this clone, and what is checked must be
committed.
"""

import argparse
import contextlib
import hashlib
import os
import pathlib
import subprocess
import sys
import tempfile

import benchmark
import benchmark_run
import numpy as np
import paper_script

REPOSITORY, NAME = pathlib.Path(__file__).resolve().parents[1], pathlib.Path(__file__).name
NUM_IMAGES = 500  # Five batches.


def main(argv=None):
    args = parse_args(argv)
    if args.digest:
        benchmark_run.NUM_IMAGES = NUM_IMAGES  # In a process of its own, of which this is all.
        print(digest_of(*args.digest, args.data_dir))
        return
    check_committed()
    for path in [path for folder in args.folders for path in stale(folder)]:
        result = paper_script.read_json(path)
        name = f"{result['name']}, {result['dataset']}, seed {result['seed']}"
        same = computes_the_same(result, args.data_dir)
        print(f"{name}: {'the same, renewed' if same else 'not the same'}", flush=True)
        if same:
            renew(path, result)


def parse_args(argv):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="*", type=pathlib.Path, help="records, output folders")
    parser.add_argument("--data-dir", default=os.environ.get("TFDS_DATA_DIR"))
    parser.add_argument("--digest", nargs=3, help=argparse.SUPPRESS)  # In one of the two trees.
    return parser.parse_args(argv)


def check_committed():
    """Ends the command if today's code has no commit to name."""
    git = ["git", "-C", str(REPOSITORY), "status", "--porcelain", "--", "tfgen", "examples/*.py"]
    changed = subprocess.run(git, check=True, capture_output=True, text=True).stdout
    if changed:
        sys.exit(f"Commit first: a renewed result names the commit that it agreed with.\n{changed}")


def stale(folder):
    """Paths of results whose row is still declared, by other code."""
    names = {row.name for row in benchmark.ROWS}
    for path in sorted(folder.glob(benchmark.RESULTS)):
        result = paper_script.read_json(path)
        if result["name"] not in names:
            continue
        if result["fingerprint"] != benchmark.fingerprint_of(result["name"]):
            yield path


def renew(path, result):
    """Puts today's fingerprint into a result."""
    found = {"commit": paper_script.commit(), "date": benchmark_run.today()}
    print_of = benchmark.fingerprint_of(result["name"])
    paper_script.write_json(path, {**result, "fingerprint": print_of, "renewed": found})
    noted = path.with_name("fingerprint.txt")
    if noted.exists():
        paper_script.write_text(noted, print_of)


def computes_the_same(result, data_dir):
    """Whether the code of a result's commit and today's do the same to the bit."""
    row = (result["name"], result["dataset"], str(result["seed"]))
    with worktree(result["commit"]) as then:
        digests = {run_in(tree, row, data_dir) for tree in (then, REPOSITORY)}
    return len(digests) == 1


@contextlib.contextmanager
def worktree(commit):
    """A folder with the files of a commit."""
    git = ["git", "-C", str(REPOSITORY), "worktree"]
    with tempfile.TemporaryDirectory() as folder:
        tree = pathlib.Path(folder, "tree")
        add = [*git, "add", "--detach", str(tree), commit]
        subprocess.run(add, check=True, capture_output=True)
        try:
            yield tree
        finally:
            subprocess.run([*git, "remove", "--force", str(tree)], check=True)


def run_in(tree, row, data_dir):
    """The digest of a row by the code of a tree, this script aside; or that it failed there."""
    flags = ["--data-dir", os.path.abspath(data_dir)] if data_dir else []
    # Run by its path, a script has the folder it is in before all others.
    script = REPOSITORY / "examples" / NAME
    start = f"import runpy; runpy.run_path({str(script)!r}, {{}}, '__main__')"
    done = subprocess.run(
        [sys.executable, "-c", start, *flags, "--digest", *row],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tree), str(tree / "examples")])},
        stdout=subprocess.PIPE,
        text=True,
    )
    return f"failed in {tree}" if done.returncode else done.stdout.split()[-1]


def digest_of(name, dataset, seed, data_dir):
    """SHA-256 of all weights of networks, and of logged values, after the first batches."""
    row = benchmark.row_of(name)._replace(epochs=1)
    with tempfile.TemporaryDirectory() as folder:
        smoke = ["--smoke"] if dataset == "digits" else ["--dataset", dataset]
        flags = ["--data-dir", data_dir] if data_dir else []
        args = benchmark.parse_args([*smoke, *flags, "--output-dir", folder])
        run = benchmark.run_of(benchmark.job_of(row, dataset, int(seed), args), args)
        run.folder.mkdir(parents=True)
        model, history = benchmark_run.fitted(row, run, [])
    networks = [network for update in getattr(model, "updates", ()) for network in update.networks]
    variables = [v for network in networks for v in network.variables] or model.variables
    values = [np.asarray(variable) for variable in variables]
    values += [np.asarray(history[k]) for k in sorted(history) if k != "seconds"]
    return hashlib.sha256(b"".join(value.tobytes() for value in values)).hexdigest()


if __name__ == "__main__":
    main()
