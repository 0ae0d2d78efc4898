"""The site of the documentation is built strictly: a broken link or anchor is an error."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from blocks import ROOT

SOURCES = ("mkdocs.yml", "docs", "examples", "README.md", "CONTRIBUTING.md", "CHANGELOG.md", "benchmarks/peers.md")


def build(source: Path, site: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", source / "mkdocs.yml", "-d", site]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"})


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = build(ROOT, folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_every_page_is_in_the_navigation(site: Path) -> None:
    """Pages outside the navigation are warnings, so that the build has failed for one."""
    for page in (ROOT / "docs").glob("*.md"):
        name = "index.html" if page.stem == "index" else f"{page.stem}/index.html"
        assert (site / name).is_file()


def test_files_outside_the_folder_are_there(site: Path) -> None:
    assert 'href="../examples/gpt_torch.py"' in (site / "scripts" / "index.html").read_text()
    assert (site / "examples" / "gpt_torch.py").is_file()
    assert (site / "benchmarks" / "peers" / "index.html").is_file()
    assert (site / "look-at-a-run.ipynb").is_file()
    assert not (site / "site_hooks.py").exists()


def test_formulas_are_drawn_and_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    language = (site / "language" / "index.html").read_text()
    assert language.count("<math") >= 50
    for page in site.rglob("*.html"):
        loaded = re.findall(r'<(?:script|link|img)[^>]*(?:src|href)="?(https?://[^">\s]+)', page.read_text())
        assert loaded == [], page


def test_broken_links_fail_the_build(tmp_path: Path) -> None:
    for name in SOURCES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    broken = ("tasks.md#no-such-heading", "no-such-page.md", "../NO_SUCH_FILE.md", "/absolute.md")
    with (tmp_path / "docs" / "speed.md").open("a", encoding="utf-8") as page:
        page.write("".join(f"\n[x]({link})\n" for link in broken))
    done = build(tmp_path, tmp_path / "site")
    assert done.returncode != 0
    warnings = [line for line in done.stderr.splitlines() if line.startswith("WARNING")]
    assert len(warnings) == len(broken)
    for link in broken:
        assert any(link in line for line in warnings), link


def test_the_navigation_has_four_doors() -> None:
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    nav = yaml.safe_load(text[text.index("\nnav:") : text.index("\nvalidation:")])["nav"]
    doors = [next(iter(entry)) for entry in nav][1:]
    assert doors == ["Tutorial", "How-to guides", "Reference", "Explanation"]
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (.*)$", index, re.MULTILINE) == doors
    for section in nav[1:]:
        for entry in next(iter(section.values())):
            target = next(iter(entry.values()))
            assert f"({target}" in index or f"(../{target}" in index, f"docs/index.md does not list {target}"
