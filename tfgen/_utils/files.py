"""Files that are whole or not there, whatever happens to the process that writes them."""

import contextlib
import os
import pathlib
from collections.abc import Iterator

__all__ = ["written_aside"]


@contextlib.contextmanager
def written_aside(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Yields a path beside `path` to write to; renames it to `path` when all went well.

    Readers, and a kill at any moment, see the old file or the new one.

    Args:
        path: path of the file; its folder exists.

    Example:
        >>> import tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp(), "notes.txt")
        >>> with written_aside(path) as aside:
        ...     _ = aside.write_text("done")
        >>> path.read_text(), [file.name for file in path.parent.iterdir()]
        ('done', ['notes.txt'])
    """
    path = pathlib.Path(path)
    # With the name of the process, so that two of them do not write the same file. What is
    # written keeps the end of its name, by which Keras and NumPy tell formats.
    aside = path.with_name(f".writing.{os.getpid()}.{path.name}")
    try:
        yield aside
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)
