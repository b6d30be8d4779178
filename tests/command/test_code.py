"""Code as text is the Python that it looks like."""

import ast
import pathlib

import pytest

from tfgen.command.code import Name, call, execute, text_of


@pytest.mark.parametrize(
    "value",
    [
        "a",
        "it's",
        'say "a"',
        "back\\slash",
        "both ' and \"",
        0.1,
        None,
        (1,),
        [1, "b"],
        (),
        {"a": "b"},
    ],
)
def test_literals_are_read_back(value):
    assert ast.literal_eval(text_of(value)) == value


def test_paths_are_texts():
    assert text_of(pathlib.Path("a", "b.png")) == repr("a/b.png").replace("'", '"')


def test_long_calls_take_several_lines():
    code = call("f", *range(20), name=Name("x"), text="t" * 40)
    assert code.count("\n") == 23
    names = {"f": lambda *args, **kwargs: (args, kwargs), "x": 3}
    execute(f"found = {code}", names)
    assert names["found"] == (tuple(range(20)), {"name": 3, "text": "t" * 40})
