"""The pages of the API: what docs/conf.py lists for them, without building them."""

import pathlib
import re
import runpy

import pytest

import tfgen

for package in ("sphinx", "ziamath", "math_core", "furo"):
    pytest.importorskip(package, reason="needs the extra docs")

DOCS = pathlib.Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def conf():
    return runpy.run_path(str(DOCS / "conf.py"))


def test_index_lists_every_area_and_shared_parent(conf):
    text = (DOCS / "api" / "index.md").read_text(encoding="utf-8")
    entries = re.findall(r"^   ~?(tfgen\.\S+)$", text, re.MULTILINE)
    areas = [f"tfgen.{name}" for name in tfgen.__all__]
    assert sorted(entries) == sorted(areas + conf["api_members"].PARENTS)


def test_every_public_name_is_listed_once(conf):
    context = conf["autosummary_context"]
    for area in tfgen.__all__:
        groups = context["listed"][f"tfgen.{area}"]
        listed = [*sum(groups.values(), []), *context["constants"][f"tfgen.{area}"]]
        assert sorted(listed) == sorted(getattr(tfgen, area).__all__)


def test_files_differ_in_more_than_capitals(conf):
    context = conf["autosummary_context"]
    names = [
        f"{area}.{name}"
        for area, groups in context["listed"].items()
        for name in sum(groups.values(), [])
    ]
    files = [conf["autosummary_filename_map"].get(name, name).lower() for name in names]
    assert len(files) > 300
    assert sorted(files) == sorted(set(files))


def test_inherited_methods_are_those_of_the_nearest_parent(conf):
    inherited = dict(conf["autosummary_context"]["parents"]["tfgen.models.IWAE"])
    assert "encode" in inherited["tfgen.models.VAE"]
    assert "infer" not in inherited["tfgen.models.VAE"]  # IWAE has its own.
    assert "traverse" in inherited["tfgen.models.autoencoding.AutoencodingModel"]
    assert "fit" in inherited["tfgen.models.resumable_model.ResumableModel"]
