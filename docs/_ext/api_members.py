"""What the pages of the API list: the names of each area, and what a class has from its parents."""

import importlib
import inspect

from sphinx.ext.autosummary import autosummary_toc

# Parents that no area lists, and that have pages all the same.
PARENTS = [
    "tfgen.models.resumable_model.ResumableModel",
    "tfgen.models.latent.LatentVariableModel",
    "tfgen.models.autoencoding.AutoencodingModel",
    "tfgen.models.adversarial.AdversarialModel",
    "tfgen.models.leapfrog.LeapfrogVAE",
    "tfgen.models.mixture.Mixture",
]


def by_kind(module):
    """Names in the `__all__` of a module, by the heading under which its page lists them."""
    members = {name: getattr(module, name) for name in module.__all__}
    kinds = {
        "Classes": inspect.isclass,
        "Functions": inspect.isroutine,
        "Modules": inspect.ismodule,
    }
    return {
        kind: [name for name, member in members.items() if is_kind(member)]
        for kind, is_kind in kinds.items()
    }


def constants(module):
    """Values of what else is in the `__all__` of a module, by name."""
    named = set().union(*by_kind(module).values())
    return {name: repr(getattr(module, name)) for name in module.__all__ if name not in named}


def page_name(cls):
    """The full name under which a class has a page, or None."""
    area, own = ".".join(cls.__module__.split(".")[:2]), f"{cls.__module__}.{cls.__name__}"
    if own in PARENTS:
        return own
    is_listed = area.startswith("tfgen.") and cls.__name__ in importlib.import_module(area).__all__
    return f"{area}.{cls.__name__}" if is_listed else None


def documented_methods(cls):
    """Names of the public methods and properties that a class itself defines and describes."""
    return {
        name
        for name, member in vars(cls).items()
        if not name.startswith("_") and not inspect.isclass(member) and member.__doc__
        if callable(member) or isinstance(member, property | classmethod | staticmethod)
    }


def inherited(cls):
    """Pairs of a parent of a class that has a page, and the methods that come from there."""
    seen = documented_methods(cls)
    for parent in filter(page_name, cls.__mro__[1:]):
        if methods := sorted(documented_methods(parent) - seen):
            yield page_name(parent), methods
        seen |= set(methods)


def classes(module):
    """The public classes of a module, by full name."""
    return {
        f"{module.__name__}.{name}": getattr(module, name) for name in by_kind(module)["Classes"]
    }


def template_context(modules):
    """The variables `listed`, `constants` and `parents` of the templates, by full names."""
    return {
        "listed": {module.__name__: by_kind(module) for module in modules},
        "constants": {module.__name__: constants(module) for module in modules},
        "parents": {
            name: list(inherited(cls))
            for module in modules
            for name, cls in classes(module).items()
        },
    }


def leave_out_of_sidebar(app, doctree):
    """Areas are in the sidebar, their names are not: 350 entries on each page would be too many."""
    if app.env.docname.startswith("api/tfgen."):
        for entries in list(doctree.findall(autosummary_toc)):
            entries.parent.remove(entries)


def setup(app):
    """Before the entries are collected, at priority 500."""
    app.connect("doctree-read", leave_out_of_sidebar, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
