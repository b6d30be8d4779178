"""What a search was of, in words."""

from collections.abc import Callable
from typing import Any

__all__ = ["settings"]

DIRECTIONS = {"max": "as high as possible", "min": "as low as possible"}
TUNERS = {
    "grid": "all combinations",
    "random": "random choices",
    "bayesian": "Bayesian optimisation",
    "hyperband": "Hyperband",
}
NETWORKS = {
    "mlp": "fully connected",
    "conv": "convolutional",
    "conv64": "convolutional, for images of 64 x 64",
}
PIXELS = {
    "stochastic": "binarized, drawn anew in each epoch",
    "fixed": "binarized, drawn once",
    "threshold": "binarized at 0.5",
}
KEPT = {
    "best": "of the best trial",
    "best_and_worst": "of the best and the worst trial",
    "few": "of the three best and the worst trial",
    "all": "of all trials",
}


def settings(search: dict[str, Any]) -> dict[str, str]:
    """The settings of a search, each with a heading.

    What is searched stands apart from what was fixed. A setting of an unknown name keeps it.

    Args:
        search: dict, the contents of search.json.

    Returns:
        Dict from heading to text.

    Example:
        >>> settings({"space": {"beta": [1.0, 4.0], "width": [256]}, "tuner": "grid"})
        {'Searched': 'beta 1, 4', 'Fixed': 'width 256', 'Tuner': 'all combinations'}
    """
    found = dict(search)
    space = found.pop("space", {})
    space = space if isinstance(space, dict) else {"space": space}
    fixed = {name: values for name, values in space.items() if _is_fixed(values)}
    searched = {name: values for name, values in space.items() if name not in fixed}
    texts = {"Searched": _listed(searched), "Fixed": _listed(fixed)}
    for name, (heading, text) in WORDS.items():
        if name in found:
            texts[heading] = text(found.pop(name))
    return {k: v for k, v in {**texts, **{k: _text(v) for k, v in found.items()}}.items() if v}


def _is_fixed(values):
    return isinstance(values, list) and len(values) == 1


def _listed(space):
    return "; ".join(f"{name} {_text(values)}" for name, values in space.items())


def _text(value):
    """A value as a reader writes it: no brackets, no quotes, no decimals that say nothing."""
    if isinstance(value, dict):
        return _of_dict(value)
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    if isinstance(value, float):
        return f"{value:g}"
    return "" if value is None else str(value)


def _of_dict(value):
    if {"low", "high"} <= set(value):
        scale = " on a logarithmic scale" if value.get("sampling") == "log" else ""
        return f"{_text(value['low'])} to {_text(value['high'])}{scale}"
    return ", ".join(f"{name} {_text(part)}" for name, part in value.items())


def _objective(value):
    if not isinstance(value, dict) or "name" not in value:
        return _text(value)
    direction = DIRECTIONS.get(str(value.get("direction")))
    return f"{value['name']}, {direction}" if direction else str(value["name"])


def _named(names):
    return lambda value: names.get(value, _text(value)) if isinstance(value, str) else _text(value)


# Headings in the order of the page, each with the function from the value to its text.
WORDS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "objective": ("Objective", _objective),
    "tuner": ("Tuner", _named(TUNERS)),
    "max_trials": ("At most", lambda value: f"{value} trials" if value else ""),
    "epochs": ("Epochs of a trial", _text),
    "model": ("Model", _text),
    "network": ("Networks", _named(NETWORKS)),
    "dataset": ("Data", _text),
    "splits": ("Trained and validated on", _text),
    "binarize": ("Pixels", lambda value: _named(PIXELS)(value) if value else "not binarized"),
    "metrics": ("Further metrics", _text),
    "model_seed": ("Seed of the models", _text),
    "seed": ("Seed of the tuner", _text),
    "save_models": ("Models kept", _named(KEPT)),
    "command": ("Command", _text),
    "versions": ("Versions", _text),
}
