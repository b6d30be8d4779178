"""What setup.cfg cannot say: which files a source distribution has, and the README for an index.

On a page of a package index relative links lead nowhere. With an address under `url` in setup.cfg
those of the README lead to the files there; without one their text stays, and pictures go.
"""

import configparser
import pathlib
import re

from setuptools import setup
from setuptools.command.sdist import sdist

FOLDERS = ("docs", "examples", "tests")
FILES = ("CHANGELOG.md", "conftest.py", ".ruff.toml")
PICTURE = r"!\[[^\]]*\]\([^)]+\)"
RELATIVE = r"\((?!https?:|#)([^)]+)\)"
# Pictures first: the text of a link may be one.
LINKS = [
    re.compile(r"(!)\[([^\]]*)\]" + RELATIVE),
    re.compile(rf"(?<!!)()\[((?:{PICTURE}|[^\]])*)\]" + RELATIVE),
]


class FullSdist(sdist):
    """With the documentation, the examples and the tests."""

    def make_distribution(self):
        for folder in FOLDERS:
            self.filelist.graft(folder)
        for file in FILES:
            self.filelist.include(file)
        self.filelist.prune("docs/_build")
        self.filelist.recursive_exclude("docs/api", "*.rst")  # Generated.
        self.filelist.global_exclude("*.py[cod]")
        super().make_distribution()


def long_description(readme, url):
    """The README, its relative links made absolute, or taken out where there is no address."""

    def replace(link):
        mark, text, path = link.groups()
        if url:
            return f"{mark}[{text}]({url.rstrip('/')}/{'raw' if mark else 'blob'}/main/{path})"
        return "" if mark else text

    for link in LINKS:
        readme = link.sub(replace, readme)
    return readme


def main():
    here = pathlib.Path(__file__).parent
    settings = configparser.ConfigParser()
    settings.read(here / "setup.cfg", encoding="utf-8")
    readme = (here / "README.md").read_text(encoding="utf-8")
    url = settings.get("metadata", "url", fallback="")
    setup(long_description=long_description(readme, url), cmdclass={"sdist": FullSdist})


if __name__ == "__main__":
    main()
