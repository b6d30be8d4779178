"""Which area may import which, and where private names of Keras may stand.

docs/contributing.md has the same table, for people.
"""

import ast
import functools
import pathlib
import re
from typing import NamedTuple

import pytest

ROOT = pathlib.Path(__file__).parents[1] / "tfgen"
PAGE = ROOT.parent / "docs" / "contributing.md"
# Each area and those that it may import.
ROOMS = {
    "_utils": "",
    "losses": "_utils",
    "datasets": "_utils",
    "plotting": "_utils",
    "metrics": "_utils losses",
    "layers": "_utils losses",
    "bijectors": "_utils layers",
    "networks": "_utils losses layers bijectors",
    "callbacks": "_utils plotting metrics",
    "models": "_utils losses layers bijectors networks callbacks",
    "samplers": "_utils layers bijectors models",
    "tuning": "_utils layers networks models metrics plotting",
    "command": "_utils datasets models samplers",
}
PRIVATE_NAMES = "_utils/keras_private.py"
# Named with an underscore only so that they do not collide with the fields of a named tuple.
NAMED_TUPLE = {"_asdict", "_fields", "_make", "_replace"}
# Private names of TensorFlow: what a value that leaves a `tf.function` must have.
TENSORFLOWS = {("layers/tensor_coercible.py", "_type_spec")}


class Import(NamedTuple):
    """One name that a file imports, at any depth: in functions too."""

    path: str
    line: int
    module: str
    name: str

    @property
    def where(self):
        return f"{self.path}:{self.line}"

    @property
    def target(self):
        """Full name of what is imported."""
        return f"{self.module}.{self.name}" if self.name else self.module


@functools.cache
def sources():
    """Text of each file of the package by its path in it."""
    paths = sorted(ROOT.rglob("*.py"))
    return {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in paths}


@functools.cache
def trees():
    """Pairs of a path in the package and its syntax tree."""
    return [(path, ast.parse(source)) for path, source in sources().items()]


def imports_of(path, tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (Import(path, node.lineno, alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}:{node.lineno}: write imports with their full names"
            yield from (Import(path, node.lineno, node.module, alias.name) for alias in node.names)


def all_imports():
    return [found for path, tree in trees() for found in imports_of(path, tree)]


def area(dotted):
    """Area of a full name, such as "layers" of "tfgen.layers.flow"; None outside tfgen."""
    names = dotted.split(".")
    return names[1] if names[0] == "tfgen" and len(names) > 1 else None


def area_of_file(path):
    return path.split("/")[0] if "/" in path else None


def test_every_area_is_in_the_table():
    assert set(ROOMS) == {path.parent.name for path in ROOT.glob("*/__init__.py")}


@pytest.mark.parametrize("room", ROOMS)
def test_area_imports_only_what_it_may(room):
    allowed = {room, *ROOMS[room].split()}
    beyond = {
        f"{found.where} imports {found.target}"
        for found in all_imports()
        if area_of_file(found.path) == room and area(found.target)
        if area(found.target) not in allowed
    }
    assert not beyond, f"{room} may import {sorted(allowed)}"


def test_table_has_no_circle():
    order = list(ROOMS)
    assert all(order.index(o) < order.index(room) for room in ROOMS for o in ROOMS[room].split())


def test_page_has_the_same_table():
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    table = {room: others for room, others in rows if room in ROOMS}
    assert {room: set(re.findall(r"`(\w+)`", others)) for room, others in table.items()} == {
        room: set(others.split()) for room, others in ROOMS.items()
    }


def is_private(name):
    return name.startswith("_") and not re.fullmatch(r"__\w+__", name)


def test_private_files_and_names_stay_at_home():
    """A file named with an underscore is its area's own; such a name is its file's own."""
    abroad = set()
    for found in all_imports():
        if found.module.split(".")[0] != "tfgen":
            continue
        inside = f"tfgen.{area_of_file(found.path)}"
        for name in found.target.split(".")[2:]:
            is_file = (ROOT / area(found.target) / f"{name}.py").exists()
            at_home = is_file and found.module.startswith(inside)
            if is_private(name) and not at_home:
                abroad.add(f"{found.where} imports {found.target}")
    assert not abroad


def is_own(node):
    """Whether an expression is `self`, `cls` or `super()`."""
    if isinstance(node, ast.Call):
        node = node.func
    return isinstance(node, ast.Name) and node.id in ("self", "cls", "super")


def private_attributes(tree):
    """Pairs (line, name) of private names of others: attributes and `getattr` with such a name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr) and not is_own(node.value):
            yield node.lineno, node.attr
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") in (
            "delattr",
            "getattr",
            "hasattr",
            "setattr",
        ):
            name = node.args[1]
            if isinstance(name, ast.Constant) and is_private(name.value):
                yield node.lineno, name.value


def names_given(tree):
    """Names that a file gives to attributes, methods, functions and variables, or spells out."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr
        elif isinstance(node, ast.keyword):
            yield node.arg
        elif isinstance(node, ast.Constant):
            yield node.value


def test_private_names_of_others_stand_in_one_file():
    found = {
        f"{path}:{line}: {name}"
        for path, tree in trees()
        if path != PRIVATE_NAMES
        for line, name in private_attributes(tree)
        if name not in NAMED_TUPLE | set(names_given(tree)) or name == "_type_spec"
        if (path, name) not in TENSORFLOWS
    }
    assert not found, f"belongs into {PRIVATE_NAMES}"


def dotted_names(tree):
    """Names such as `keras.src`, of imports and of attributes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield ast.unparse(node)
    yield from (found.target for found in imports_of("", tree))


def test_undocumented_modules_stand_in_one_file():
    undocumented = re.compile(r"(keras\.src|(tf|tensorflow)\.python|(kt|keras_tuner)\.engine)\b")
    found = {path for path, tree in trees() if any(map(undocumented.match, dotted_names(tree)))}
    assert found == {PRIVATE_NAMES}


def own_private_names(tree):
    """Pairs (line, name) of private attributes of `self`, `cls`, `super()`, and of methods."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr) and is_own(node.value):
            yield node.lineno, node.attr
        elif isinstance(node, ast.ClassDef):
            methods = (part for part in node.body if isinstance(part, ast.FunctionDef))
            yield from ((part.lineno, part.name) for part in methods if is_private(part.name))


def private_names_of_keras():
    """Private names of Keras' or KerasTuner's objects, as an area derives from them."""
    import keras
    import keras_tuner

    model = keras.Sequential([keras.layers.Identity()])
    optimizer = keras.optimizers.SGD()
    model.compile(optimizer, loss="mse", jit_compile=False)
    model.build((None, 1))
    objects = {
        "models": [model, optimizer, keras.metrics.Mean()],
        "callbacks": [keras.callbacks.Callback()],
        "tuning": [keras_tuner.oracles.BayesianOptimizationOracle(), keras_tuner.RandomSearch],
    }
    objects |= dict.fromkeys(("layers", "bijectors", "networks"), [model.layers[0]])
    return {
        area: {name for thing in things for name in dir(thing) if is_private(name)}
        for area, things in objects.items()
    }


def test_private_names_of_self_are_tfgens_own():
    """`self._name` of a Keras object may be Keras' name: read as private, or taken by accident."""
    theirs = private_names_of_keras()
    assert "_tracker" in theirs["models"]
    own = {name for _, tree in trees() for name in names_given(tree)}
    found = {
        f"{path}:{line}: {name}"
        for path, tree in trees()
        if path != PRIVATE_NAMES
        for line, name in own_private_names(tree)
        if name not in own or name in theirs.get(area_of_file(path), ())
    }
    assert not found, f"belongs into {PRIVATE_NAMES}"


def test_private_names_are_found():
    tree = ast.parse("model._tracker; self._mine; getattr(model, '_hidden'); record._replace()")
    assert [name for _, name in private_attributes(tree)] == ["_tracker", "_hidden", "_replace"]
    assert [name for _, name in own_private_names(tree)] == ["_mine"]
