"""Files that decide what a command computes: those that it names, and the modules of the user that they import.

Imports are read from the source, without running it. A module counts if it is found beside the file that the command
names, or in its packages; installed packages are identified by their versions instead.
"""

from __future__ import annotations

import ast
import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

HASHED_BYTES = 2**26
"""Largest size of a file whose content is hashed; of a larger one the size and the time of its last change count."""

MOST_FILES = 10_000


def sources(words: Sequence[str], folder: Path) -> tuple[tuple[str, str], ...]:
    """Returns each file with a hash of its content, by paths relative to the folder, in order.

    Args:
        words: the command; a module after ``-m`` is one of its files.
        folder: folder in which it runs.
    """
    found: dict[Path, None] = {}
    for place, word in enumerate(words[1:], start=1):
        if words[place - 1] == "-m":
            waiting = [(path, folder) for path in _modules(word, folder)]
        else:
            path = folder / word
            waiting = [(path, path.parent)] if word and digest(path) else []
        while waiting and len(found) < MOST_FILES:
            path, root = waiting.pop()
            path = Path(os.path.normpath(path))
            if path in found:
                continue
            found[path] = None
            if path.suffix == ".py":
                waiting += [(other, root) for other in _imported(path, root)]
    return tuple(sorted((os.path.relpath(path, folder), digest(path)) for path in found))


def digest(path: Path) -> str:
    """Hash of a file; empty if there is no such file."""
    try:
        if not path.is_file():
            return ""
        about = path.stat()
        if about.st_size > HASHED_BYTES:
            return f"{about.st_size} bytes of {about.st_mtime_ns}"
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


def _imported(path: Path, root: Path) -> Iterator[Path]:
    """Files below a folder that a file imports; none if it is not the Python of this process."""
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _modules(alias.name, root)
        elif isinstance(node, ast.ImportFrom):
            start = root if not node.level else path.parents[min(node.level, len(path.parents)) - 1]
            names = [node.module] if node.module else []
            for alias in node.names:
                yield from _modules(".".join([*names, alias.name]), start)


def _modules(name: str, root: Path) -> Iterator[Path]:
    """Files of a module and of the packages that contain it; a name in a module is taken for a module."""
    folder = root
    for part in name.split("."):
        for path in (folder / f"{part}.py", folder / part / "__init__.py", folder / part / "__main__.py"):
            if path.is_file():
                yield path
        folder = folder / part
