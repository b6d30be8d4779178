"""Files of the paper scripts, written aside and renamed, so that a kill leaves none half."""

import json
import os


def write_json(path, content):
    """Writes a JSON file aside and renames it."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def read_json(path):
    """What a JSON file holds."""
    return json.loads(path.read_text(encoding="utf-8"))


def write_text(path, text):
    """Writes a text file aside and renames it."""
    aside = path.with_name(f".writing.{path.name}")
    aside.write_text(text, encoding="utf-8")
    os.replace(aside, path)


def save_in_few_colours(image, path):
    """Writes a picture of grey images, of PIL, at a third of its size."""
    image.convert("RGB").quantize(32).save(path, optimize=True)


def save_figure(fig, path):
    """Writes a figure and forgets it."""
    import matplotlib.pyplot as plt

    fig.savefig(path, dpi=110)
    plt.close(fig)
