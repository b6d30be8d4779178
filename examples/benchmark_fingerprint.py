"""What a row of the benchmark was made by, as one hash: is a result still that of today's code?

The fingerprint of a row is the SHA-256 of

1. all it declares but its words and its guessed time, hence epochs, optimizer, data, measures;
2. the code of its builder, of `benchmark_run.fitted`, which trains, and of whatever functions,
   classes and constants of the scripts in this folder these name, and those in turn;
3. the code of the files of tfgen's areas `models`, `networks`, `layers`, `bijectors` and `losses`
   that hold what this code names (`models.VAE`, `layers.VampPrior`), and of those from which these
   files import, and so on. `_utils` is checks and files, of which `random.py` alone counts; of
   `models` not what checks, logs, saves, resumes and exports (`LEFT_OUT`).

Code is compared without comments, docstrings, and functions that save and load. Not looked at: data
sets, how scores are computed, TensorFlow and Keras, whose versions each result names. An import of
a name counts for the file in which it is defined, not for all that its area lists. A file is taken
as a whole: a new check in one of them makes the rows of all models that use it stale, a new model
those of no other.
"""

import ast
import functools
import hashlib
import importlib
import inspect
import pathlib
import textwrap
import types

AREAS = ("models", "networks", "layers", "bijectors", "losses")
FILES = ("tfgen._utils.random",)
LEFT_OUT = tuple(
    f"tfgen.models.{name}"
    for name in (
        *("checks", "compiled_model", "configured", "divergence", "endpoints", "export"),
        *("loading", "persistent_model", "resumable_model", "resume", "term_averages"),
        *("training_arguments", "training_data", "workers"),
    )
)
SCRIPTS = pathlib.Path(__file__).parent
UNTRAINED = {
    "save_own_variables",
    "load_own_variables",
    "_weights_of_0_1_0",
    "_numbered_without",
}
_VALUES = (str, int, float, bool, tuple, frozenset, type(None))
_WORDS = ("setup", "minutes")


def fingerprint(row, recipe):
    """The hash of a row.

    Args:
        row: `benchmark_rows.Row`.
        recipe: functions that train every row.

    Returns:
        String of 64 hexadecimal digits.
    """
    declared = {k: v for k, v in row._asdict().items() if k not in (*_WORDS, "build", "model")}
    code, areas = scripts_and_files([row.build, row.model, *recipe])
    files = {name: file_code(name) for name in with_imports(areas)}
    content = [sorted(declared.items()), sorted(code), sorted(files.items())]
    return hashlib.sha256(repr(content).encode()).hexdigest()


def normalized(source):
    """Code without comments, docstrings and functions that no training calls, in one layout."""
    tree = ast.parse(textwrap.dedent(source))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            kept = [item for item in body if getattr(item, "name", None) not in UNTRAINED]
            node.body = kept[1:] if len(kept) > 1 and is_docstring(kept[0]) else kept
    return ast.unparse(tree)


def is_docstring(node):
    return isinstance(node, ast.Expr) and isinstance(getattr(node.value, "value", None), str)


# Of the scripts: functions, and what they name.


def scripts_and_files(objects):
    """Names and code in the scripts, and the names of files of tfgen, that objects lead to.

    In which script a function stands makes no difference to what it trains.
    """
    code, seen, files, waiting = set(), set(), set(), list(objects)
    while waiting:
        thing = waiting.pop()
        if isinstance(thing, functools.partial):
            waiting += [thing.func, *thing.args, *thing.keywords.values()]
        elif is_of_tfgen(thing):
            files.add(thing.__module__)
        elif is_of_scripts(thing) and (key := (thing.__module__, key_of(thing))) not in seen:
            seen.add(key)
            code.add((key[1], normalized(inspect.getsource(thing))))
            for name, value in named_by(thing).items():
                if isinstance(value, _VALUES):
                    code.add((f"{key[1]}: {name.rpartition('.')[2]}", repr(value)))
                else:
                    waiting.append(value)
    return code, files


def key_of(thing):
    """A name that tells closures of one function apart by what they hold."""
    held = [repr(c) for c in closed_over(thing).values() if isinstance(c, _VALUES)]
    return f"{thing.__qualname__}({', '.join(held)})"


def is_of_tfgen(thing):
    module = getattr(thing, "__module__", None) or ""
    return is_area(module) and isinstance(thing, type | types.FunctionType)


def is_of_scripts(thing):
    if not isinstance(thing, type | types.FunctionType):
        return False
    path = getattr(importlib.import_module(thing.__module__), "__file__", None)
    return path is not None and pathlib.Path(path).parent == SCRIPTS


def named_by(thing):
    """All global names and held variables in a function, or a class, with what they stand for."""
    if isinstance(thing, type):
        methods = [m for m in vars(thing).values() if isinstance(m, types.FunctionType)]
        return {k: v for method in methods for k, v in named_by(method).items()}
    found = {**closed_over(thing), **defaults_of(thing)}
    for names in names_of_lines(thing.__code__):
        found |= {n: thing.__globals__[n] for n in names if n in thing.__globals__}
    attributes = {n for names in names_of_lines(thing.__code__) for n in names}
    for value in list(found.values()):
        if isinstance(value, types.ModuleType):
            found |= members(value, attributes)
    return found


def defaults_of(function):
    values = (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values())
    return {f"default {i}": value for i, value in enumerate(values)}


def closed_over(thing):
    cells = getattr(thing, "__closure__", None) or ()
    held = dict(zip(thing.__code__.co_freevars, cells, strict=True)) if cells else {}
    named = {name: cell.cell_contents for name, cell in held.items()}
    # Lists and dicts of options are told apart by what they print.
    return {n: repr(v) if isinstance(v, list | dict) else v for n, v in named.items()}


def names_of_lines(code):
    """Names in a function, and in the functions inside it."""
    yield code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from names_of_lines(constant)


def members(module, names):
    """What the names are in an area of tfgen or in another script; of other modules nothing."""
    file = getattr(module, "__file__", None) or ""
    if not (is_area(module.__name__) or pathlib.Path(file).parent == SCRIPTS):
        return {}
    return {f"{module.__name__}.{n}": getattr(module, n) for n in names if hasattr(module, n)}


# Of tfgen: files, and what they import.


def is_area(name):
    """Whether a module is one of those that count."""
    return name in FILES or name.startswith(tuple(f"tfgen.{area}" for area in AREAS))


def with_imports(names):
    """Files of the areas that these import, directly or not, and these themselves."""
    seen, waiting = set(), list(names)
    while waiting:
        if (name := waiting.pop()) not in seen:
            seen.add(name)
            waiting += imports_of(name)
    return seen


@functools.cache
def imports_of(name):
    """Files of the areas from which one imports."""
    tree = ast.parse(source_of(name))
    froms = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]
    found = {
        file
        for node in froms
        if node.module.split(".")[0] == "tfgen"
        for alias in node.names
        for file in defining_files(node.module, alias, tree)
    }
    return sorted(file for file in found if is_area(file) and file not in LEFT_OUT)


def defining_files(module, alias, tree):
    """Where what is imported is defined: the name itself, or what is used of an area."""
    thing = getattr(importlib.import_module(module), alias.name)
    if not isinstance(thing, types.ModuleType):
        return {getattr(thing, "__module__", None) or module}
    if not hasattr(thing, "__path__"):
        return {thing.__name__}
    used = attributes_of(tree, alias.asname or alias.name)
    return {getattr(getattr(thing, n), "__module__", thing.__name__) for n in used}


def attributes_of(tree, name):
    """All x in `name.x`."""
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    return {n.attr for n in nodes if isinstance(n.value, ast.Name) and n.value.id == name}


@functools.cache
def file_code(name):
    return normalized(source_of(name))


def source_of(name):
    path = pathlib.Path(importlib.import_module(name).__file__)
    return path.read_text(encoding="utf-8")
