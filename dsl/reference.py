"""The function table as Markdown, for ``docs/language.md``.

    python -m optsearch.dsl.reference docs/language.md

writes the table between the two markers in the file. A test checks that the file is up to date.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

from optsearch.dsl.functions import EVEN, FUNCTIONS, ODD, Function

BEGIN, END = "<!-- functions: begin (python -m optsearch.dsl.reference docs/language.md) -->", "<!-- functions: end -->"


def function_table() -> str:
    """Returns a Markdown table with one line per function."""
    lines = ["| function | meaning | operands and result | range | laws |", "|---|---|---|---|---|"]
    for row in FUNCTIONS.values():
        names = "xya"[: row.arity]
        call = f"{names[0]} {row.infix} {names[1]}" if row.infix else f"{row.name}({', '.join(names)})"
        meaning = row.latex.format(*names).replace(r"\|", r"\Vert ").replace("|", r"\vert ")
        cells = (f"`{call}`", f"${meaning}$", row.signature.replace("|", " or "), _range(row), _laws(row))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def with_table(text: str) -> str:
    """Replaces the table between the markers of a document.

    Raises:
        ValueError: a marker is missing.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the document needs the lines {BEGIN!r} and {END!r}")
    return f"{before}{BEGIN}\n{function_table()}\n{END}{after}"


def _range(row: Function) -> str:
    low, high = row.laws.range
    if not row.arity:
        return f"{low:.6g}"
    if math.isinf(low) and math.isinf(high):
        return ""
    return f"{'(' if math.isinf(low) else '['}{_number(low)}, {_number(high)}{')' if math.isinf(high) else ']'}"


def _number(value: float) -> str:
    known = {math.inf: "∞", -math.inf: "-∞", math.pi: "π", math.pi / 2: "π/2", -math.pi / 2: "-π/2"}
    return known.get(value, f"{value:g}")


def _laws(row: Function) -> str:
    laws = row.laws
    words = [name for name in ("commutative", "associative", "idempotent") if getattr(laws, name)]
    for name, parity in (("odd", ODD), ("even", EVEN)):
        places = [operand for operand, own in zip("xya", laws.parity, strict=False) if own == parity]
        words += [f"{name} in {' and '.join(places)}" if row.arity > 1 else name] if places else []
    for operand, degree in zip("xya", laws.degree, strict=False):
        if degree is not None:
            words.append(f"degree {degree:.3g}" + (f" in {operand}" if row.arity > 1 else ""))
    if laws.identity is not None:
        words.append(f"identity {laws.identity:g}")
    if laws.absorbing is not None:
        words.append(f"absorbing {laws.absorbing:g}")
    if laws.cancels is not None:
        words.append(f"f(x, x) = {laws.cancels:g}")
    if laws.inverse is not None:
        words.append(f"undone by `{laws.inverse}`")
    if laws.keeps_sign:
        words.append("keeps the sign")
    if row.arity and not laws.total:
        words.append("not total")
    return ", ".join(words)


def main() -> None:
    """Rewrites the file named on the command line."""
    path = Path(sys.argv[1])
    path.write_text(with_table(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
