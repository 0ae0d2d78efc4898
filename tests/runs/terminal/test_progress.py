"""The live view fits 80 columns; piped output consists of plain lines."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from made_up_run import made_up_run
from rich.console import Console

from optsearch.dsl.library import LIBRARY
from optsearch.dsl.program import Program
from optsearch.runs.store.writer import RunStore
from optsearch.runs.summary.glance import glance, rivals
from optsearch.runs.terminal import search_view as progress_view
from optsearch.runs.terminal import watch as watching
from optsearch.runs.terminal.search_view import SPARK_CELLS, SPARKS, Glance, ProgressView, counted_view, sparkline
from optsearch.runs.text.highlight import html_lines, terminal_text, tokens
from optsearch.search.events import Best, Progress

WIDTH = 80
OUTCOMES = {"ok": 123_456, "hurdle": 23_456, "non_finite": 3_456, "diverged": 4_567, "time_limit": 5}
HALF = Progress(150_000, 45_000, 105_000, OUTCOMES, Best(141_234, 0.53123), 0.69738)


def drawn(view_of: ProgressView, *updates: Progress, width: int = WIDTH) -> str:
    for update in updates:
        view_of.update(update)
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    console.print(view_of._block(updates[-1]))
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def view(console: Console, program: Program | None = None) -> ProgressView:
    seen = Glance(0.42, program, "X_ae: latest 0.53204, best program 792")
    rivals = {"first-1": 0.6, "first-2": 0.59}
    return ProgressView(
        console, "search", ("programs", 300_000), glance=lambda _: seen, rivals=rivals, workers="16 workers"
    )


def quiet() -> Console:
    return Console(file=io.StringIO(), width=WIDTH, force_terminal=False)


def test_the_block_says_everything_in_80_columns() -> None:
    text = drawn(view(quiet(), LIBRARY["lion-raw"]), Progress(1, 1, 0, {"ok": 1}, Best(0, 0.69738), 0.69738), HALF)
    lines = text.splitlines()
    assert max(map(len, lines)) <= WIDTH
    for said in ("50%", "150,000 of 300,000 programs", "0.53123", "program 141234", "warm start 0.69738", "ETA"):
        assert said in text, said
    for said in ("first-2 0.59", "16 workers", "cache hits 70%", "redundant statements 42%", "X_ae: latest 0.53204"):
        assert said in text, said
    assert "m * lr" in text, "the best program"
    assert "cosh" not in text, "without dead statements"
    assert any(character in SPARKS for character in text)
    assert max(map(len, drawn(view(quiet(), LIBRARY["adamw"]), HALF, width=40).splitlines())) <= 40


def test_the_text_is_that_of_the_program_whose_number_stands_above_it() -> None:
    """The best program changes between two glances: the text keeps its own number, and the last block is up to date."""
    programs = {7: LIBRARY["lion"], 9: LIBRARY["adamw"]}
    asked: list[int] = []

    def look(progress: Progress) -> Glance:
        assert progress.best is not None
        asked.append(progress.best.ticket)
        return Glance(None, programs[progress.best.ticket], "", progress.best.ticket)

    first, second = (Progress(t, t, 0, {"ok": t}, Best(t, 1.0 / t), 0.7) for t in (7, 9))
    console = Console(file=io.StringIO(), width=WIDTH, force_terminal=True)
    shown = ProgressView(console, "control", ("programs", 10), glance=look, program_id=lambda ticket: f"c{ticket}")
    with shown:
        shown.update(first)
        shown.update(second)
        text = shown._block(second).plain
        assert "program c9\n" in text, "the number of the best program"
        heading, _, below = text.partition("program c7:")
        assert heading
        assert "def train(w, g, m, lr)" in below, "the text of Lion stands below Lion's number"
    assert asked == [7, 9]
    last = shown._block(second).plain
    assert "program c9:\n" in last
    assert "v, lr)" in last, "after the end the text is that of the best program"


def test_long_programs_are_cut() -> None:
    program = LIBRARY["adamw"]
    long = Program(program.state, program.body[:-1] * 4 + program.body[-1:])
    text = drawn(view(quiet(), long), HALF)
    assert "more lines" in text
    assert len(text.splitlines()) <= 24, "a terminal's height"


def test_plain_lines_when_piped(monkeypatch: pytest.MonkeyPatch) -> None:
    console = quiet()
    with view(console) as shown:
        shown.update(HALF)
        shown.update(HALF)
    file = console.file
    assert isinstance(file, io.StringIO)
    lines = file.getvalue().splitlines()
    assert len(lines) == 1, "one line now and then, and the last state once"
    assert lines[0].startswith("search:  50%")
    assert "\x1b" not in lines[0]
    assert "X_ae" in lines[0]
    monkeypatch.setattr(progress_view, "PLAIN_INTERVAL_S", 0.0)
    with view(console) as shown:
        shown.update(HALF)
        shown.update(Progress(200_000, 50_000, 150_000, OUTCOMES, HALF.best, 0.69738))
    assert len(file.getvalue().splitlines()) == 3


def test_no_colour_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    console = Console(file=io.StringIO(), width=WIDTH, force_terminal=True)
    view_of = view(console, LIBRARY["lion"])
    view_of.update(HALF)
    console.print(view_of._block(HALF))
    file = console.file
    assert isinstance(file, io.StringIO)
    codes = set(re.findall(r"\x1b\[([0-9;]*)m", file.getvalue()))
    assert not {code for code in codes if re.search(r"(^|;)(3[0-7]|38|9[0-7])($|;)", code)}, "no colours, bold may stay"


def test_a_sparkline_falls() -> None:
    line = sparkline([(0, 0.7), (10, 0.65), (50, 0.6), (90, 0.5)], 100)
    assert len(line) == SPARK_CELLS
    levels = [SPARKS.index(cell) for cell in line]
    assert levels == sorted(levels, reverse=True)
    assert (line[0], line[-1]) == ("█", "▁")
    assert sparkline([(0, 0.7)], 100) == ""


def test_counted_work_in_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    console, clock = quiet(), iter(range(100))
    monkeypatch.setattr("optsearch.runs.terminal.search_view.time.monotonic", lambda: 0.5 * next(clock))
    with counted_view(console) as show:
        for done in range(1, 61):
            show("tuning: lion", done, 60)
    file = console.file
    assert isinstance(file, io.StringIO)
    left = {1: "", 21: ", about 0:20 left", 41: ", about 0:10 left", 60: ""}
    lines = [f"tuning: lion: {done} of 60 training runs done{words}" for done, words in left.items()]
    assert file.getvalue().splitlines() == lines


def test_watch_knows_what_came_before(tmp_path: Path) -> None:
    folder = made_up_run(tmp_path / "run", programs=60)
    console = quiet()
    with RunStore.read(folder) as store:
        search = store.search("search")
        progress = store.progress(search)
        seen = glance(store, search, progress, 0.5)
        assert progress.best is not None
        assert seen.program == store.ticket(search, progress.best.ticket).candidate.program
        assert seen.validation.startswith("X_ae: latest ")
        assert rivals(store, search) == {}
        assert rivals(store, store.search("control")) == {"search": progress.best.fitness}
        shown = drawn(watching._view(console, store, search), progress)
    assert 4 * SPARKS[0] in shown.splitlines()[1], "the sparkline is there at once"


@pytest.mark.parametrize("name", sorted(LIBRARY))
def test_highlighting_changes_no_character(name: str) -> None:
    text = str(LIBRARY[name])
    for line in text.split("\n"):
        assert "".join(token.text for token in tokens(line, LIBRARY[name].state)) == line
    assert terminal_text(LIBRARY[name], "").plain == text.rstrip("\n")
    bare = [re.sub(r"<[^>]*>", "", line) for line in html_lines(LIBRARY[name])]
    assert "\n".join(bare) == text.rstrip("\n")
