"""Changes formulas one at a time, and looks whether a test fails.

    python tests/benchmarks/mutants.py --areas losses bijectors --num 100 --json mutants.json

Each change is a sign, a product for a quotient, a comparison turned, a half for a double: one
place in the code of an area, drawn with a seed. It is made in a copy of the checkout, where the
tests of the same file run, and if none fails those of its area. What survives is a formula
that no test holds, or a change that changes nothing: look at each. The file of results grows with
every change, and a call with the same arguments goes on where an earlier one was stopped.

Paper for the idea: DeMillo, Lipton & Sayward, "Hints on test data selection", Computer 1978.
"""

import argparse
import ast
import copy
import json
import os
import pathlib
import random
import shutil
import signal
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).parents[2]
AREAS = ("losses", "layers", "bijectors", "networks", "metrics", "models")
# Files that hold no formulas.
LEFT_OUT = ("__init__", "checks", "protocols", "classifier", "base", "compiled_model")
LEFT_OUT += ("resumable_model", "resume", "training_arguments")
OPERATORS = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.Lt: ast.GtE,
    ast.GtE: ast.Lt,
    ast.Gt: ast.LtE,
    ast.LtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
}
TIMEOUT = 900
# What runs after a file's own tests, if not all tests of its area.
FURTHER = {
    "models": ["tests/models/test_all_models.py", "tests/models/test_hooks.py"],
    "metrics": ["tests/metrics/test_disentanglement_report.py", "tests/metrics/test_protocols.py"],
}


# Changes.


def places(tree):
    """Nodes that can be changed, outside of messages and of shapes' own arithmetic."""
    skipped = {
        id(child)
        for node in ast.walk(tree)
        if isinstance(node, (ast.JoinedStr, ast.Raise, ast.AnnAssign, ast.arguments))
        for child in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) not in skipped and change(copy.deepcopy(node)) is not None:
            yield node


def change(node):
    """Changes a node in place; returns what was changed to what, or None where it cannot."""
    before = ast.unparse(node)
    if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
        if any(
            isinstance(side, ast.Constant) and isinstance(side.value, str)
            for side in (node.left, node.right)
        ):
            return None
        node.op = OPERATORS[type(node.op)]()
    elif isinstance(node, ast.Compare) and type(node.ops[0]) in OPERATORS:
        node.ops[0] = OPERATORS[type(node.ops[0])]()
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        if isinstance(node.operand, ast.Constant):  # -1 is mostly an axis.
            return None
        node.op = ast.UAdd()
    elif isinstance(node, ast.Constant) and isinstance(node.value, float) and node.value:
        node.value = 2 * node.value
    else:
        return None
    return before, ast.unparse(node)


def all_changes(areas):
    """Pairs (path, index of a place) of all files of the areas."""
    for area in areas:
        for path in sorted((ROOT / "tfgen" / area).glob("*.py")):
            if path.stem.strip("_") not in LEFT_OUT and path.stem not in LEFT_OUT:
                tree = ast.parse(path.read_text(encoding="utf-8"))
                for index, _ in enumerate(places(tree)):
                    yield str(path.relative_to(ROOT)), index


def changed(path, index):
    """The changed source, and a description."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    node = list(places(tree))[index]
    before, after = change(node)
    description = {"path": path, "index": index, "line": node.lineno}
    return ast.unparse(tree), {**description, "before": before, "after": after}


# Tests.


def tests_of(path):
    """The test file of a file and those of its area, as far as there are such."""
    _, area, name = pathlib.Path(path).parts
    own = pathlib.Path("tests", area, f"test_{name.lstrip('_')}")
    return [str(own)] * (ROOT / own).exists(), FURTHER.get(area, [f"tests/{area}"])


def run_tests(folder, paths):
    """Whether they pass, in a fork of this process, which has imported TensorFlow already."""
    pid = os.fork()
    if not pid:
        os.setsid()
        os.chdir(folder)
        sys.path.insert(0, str(folder))
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        import pytest

        options = ["-q", "-x", "-n", "0", "-p", "no:cacheprovider"]
        os._exit(int(pytest.main([*options, *paths])))
    end = time.monotonic() + TIMEOUT
    while time.monotonic() < end:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status) == 0
        time.sleep(0.1)
    os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return False


def judge(folder, path, index):
    """The description of a change, and whether it survived."""
    source, record = changed(path, index)
    target = folder / path
    target.write_text(source)
    start = time.perf_counter()
    try:
        own, area = tests_of(path)
        survived = (not own or run_tests(folder, own)) and run_tests(folder, area)
    finally:
        shutil.copy(ROOT / path, target)
    return {**record, "survived": survived, "seconds": round(time.perf_counter() - start, 1)}


def main(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--areas", nargs="+", choices=AREAS, default=list(AREAS))
    parser.add_argument("--num", type=int, default=300, help="changes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=pathlib.Path, default=pathlib.Path("mutants.json"))
    args = parser.parse_args(argv)
    drawn = list(all_changes(args.areas))
    random.Random(args.seed).shuffle(drawn)
    results = json.loads(args.json.read_text(encoding="utf-8")) if args.json.exists() else []
    import keras  # noqa: F401  Once, for all forks.
    import tensorflow_probability  # noqa: F401

    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary, "checkout")
        for name in ("tfgen", "tests", "setup.cfg", "examples"):
            copying = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            folder.mkdir(exist_ok=True)
            copying(ROOT / name, folder / name)
        passed = set()
        for path, index in drawn[len(results) : args.num]:
            own, area = tests_of(path)
            unchanged = own or area
            if path not in passed and not run_tests(folder, unchanged):
                raise SystemExit(f"{unchanged} fail without any change")
            passed.add(path)
            results.append(judge(folder, path, index))
            args.json.write_text(json.dumps(results, indent=1))
            print("SURVIVED" if results[-1]["survived"] else "killed", results[-1], flush=True)
    survivors = sum(result["survived"] for result in results)
    print(f"{len(results)} changes of {len(drawn)} possible, {survivors} survived")


if __name__ == "__main__":
    main()
