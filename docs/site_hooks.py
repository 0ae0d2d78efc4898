"""Hooks of MkDocs: files outside this folder that pages link to, and formulas.

The pages are written for GitHub. On the site, a file of the repository that a page links to, such as
``../CONTRIBUTING.md`` or an example, becomes a page or a file of the site, and links to it are adapted. Formulas
between dollar signs become MathML, which browsers draw without a script.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent
LINK = re.compile(r"(?<=\]\()([^)#\s]+)(?=(?:#[^)\s]*)?\))")
FORMULA = re.compile(r"(?<![\\$`\w])\$([^$`\n]+)\$(?![$`\w])")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the files outside ``docs/`` that the navigation names or that a page links to."""
    waiting = [file.src_uri for file in files.documentation_pages()]
    waiting += [place for place in _named(config.nav) if files.get_file_from_path(place) is None]
    seen = set(waiting)
    while waiting:
        place = waiting.pop()
        path = _path(place)
        if files.get_file_from_path(place) is None and path.is_file():
            files.append(File.generated(config, place, abs_src_path=str(path)))
        if path.suffix == ".md":
            found = {_place(target, place) for target in LINK.findall(path.read_text(encoding="utf-8"))} - seen
            waiting += sorted(name for name in found if _path(name).is_file())
            seen |= found
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Adapts links to files that stand elsewhere on the site than in the repository, and converts formulas."""

    def link(match: re.Match[str]) -> str:
        place = _place(match[0], page.file.src_uri)
        if files.get_file_from_path(place) is None:
            return match[0]
        return posixpath.relpath(place, posixpath.dirname(page.file.src_uri))

    return FORMULA.sub(lambda match: convert(match[1]), LINK.sub(link, markdown))


def _named(nav: object) -> list[str]:
    """The files that the navigation names."""
    if isinstance(nav, str):
        return [nav]
    inner = nav.values() if isinstance(nav, dict) else nav if isinstance(nav, list) else ()
    return [name for entry in inner for name in _named(entry)]


def _path(place: str) -> Path:
    """The file of the repository that stands at a place on the site."""
    inside = ROOT / "docs" / place
    return inside if inside.exists() else ROOT / place


def _place(target: str, page: str) -> str:
    """The place on the site of what a page links to: that in the repository, less the folder ``docs``."""
    folder = _path(page).relative_to(ROOT).parent.as_posix()
    path = posixpath.normpath(posixpath.join(folder, target))
    return path.removeprefix("docs/")
