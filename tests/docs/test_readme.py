"""The README: a minute to read, with a first block that installs and runs the main job."""

from __future__ import annotations

import re

from blocks import ROOT, blocks

README = ROOT / "README.md"
TEXT = README.read_text(encoding="utf-8")


def section(heading: str) -> str:
    return TEXT.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def test_it_is_a_minute_to_read() -> None:
    assert len(TEXT.splitlines()) <= 100
    (example,) = [block.text for block in blocks(README) if block.language == "python"]
    assert len(example.strip().splitlines()) <= 12


def test_the_first_block_installs_and_runs() -> None:
    assert (
        section("Quick start")
        .lstrip()
        .startswith("```bash\npython -m pip install .\noptsearch search quickstart\n```\n")
    )
    assert 'python -m pip install -e ".[dev]"\npython -m pytest\n' in section("Run the tests")


def test_limits_come_before_results() -> None:
    assert section("What it has found").lstrip().startswith("**Limits first:**")


def test_all_links_lead_somewhere() -> None:
    """The site's strict build checks the links between pages; those of the README are checked here."""
    for page in (README, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"):
        for target, anchor in re.findall(
            r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)", page.read_text(encoding="utf-8")
        ):
            path = page.parent / target if target else page
            assert path.exists(), f"{page.name}: {target}"
            if anchor:
                headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
                assert anchor in [re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in headings], anchor


def test_the_four_doors_are_linked() -> None:
    for door in (
        "docs/tutorial.md",
        "docs/index.md#how-to-guides",
        "docs/index.md#reference",
        "docs/index.md#explanation",
    ):
        assert f"]({door})" in section("Documentation")
