"""What a package index and an installed package show."""

import configparser
import importlib.util
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[1]
URL = "https://host.invalid/tfgen/"


@pytest.fixture(scope="module")
def long_description():
    spec = importlib.util.spec_from_file_location("setup", ROOT / "setup.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.long_description


def test_links_outside_the_repository(long_description):
    readme = "![a](docs/a.png) [b](docs/b.md#c) [d](https://x.invalid) [e](#f)"
    assert long_description(readme, URL) == (
        f"![a]({URL}raw/main/docs/a.png) [b]({URL}blob/main/docs/b.md#c) "
        "[d](https://x.invalid) [e](#f)"
    )
    assert long_description(readme, "") == " b [d](https://x.invalid) [e](#f)"


def test_a_picture_that_is_a_link(long_description):
    readme = "[![a](b.png)](c.md) [![a](https://x.invalid/d.png)](e.md)"
    assert long_description(readme, "") == " ![a](https://x.invalid/d.png)"
    assert long_description(readme, "https://y.invalid") == (
        "[![a](https://y.invalid/raw/main/b.png)](https://y.invalid/blob/main/c.md) "
        "[![a](https://x.invalid/d.png)](https://y.invalid/blob/main/e.md)"
    )


@pytest.mark.parametrize("url", [URL, ""])
def test_no_link_of_the_readme_stays_relative(long_description, url):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)]+)\)", long_description(readme, url))
    assert not [link for link in links if not link.startswith(("https://", "#"))]


def test_badges_say_what_is_required():
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg", encoding="utf-8")
    options, required = settings["options"], settings["options"]["install_requires"]
    keras = re.search(r"keras >= (3\.\d+), < 3\.(\d+)", required)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    badges = re.findall(r"img\.shields\.io/badge/([^)]+)-0072b2\)", readme)
    assert badges == [
        f"python-{options['python_requires'].removeprefix('>=')}_or_later",
        f"keras-{keras[1]}_to_3.{int(keras[2]) - 1}",
        f"tensorflow-{re.search(r'tensorflow >= ([0-9.]+)', required)[1]}_or_later",
        f"licence-{settings['metadata']['license'].replace('-', '--')}",
    ]


def test_every_extra_is_explained():
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg", encoding="utf-8")
    page = (ROOT / "docs" / "installation.md").read_text(encoding="utf-8")
    assert set(settings["options.extras_require"]) == set(re.findall(r"^\| `(\w+)` \|", page, re.M))
