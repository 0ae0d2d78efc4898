"""Known optimizers as programs, shipped as text files in ``dsl/programs/``.

As in Chen et al. 2023, none of them applies bias correction; ``adagrad`` initialises its sum at zero. In all other
respects each equals the optax optimizer of the same name (tested). ``muon`` and ``orthogonal-adamw`` scale the step of
every array to a root mean square of 1 before decay, as `orthogonalize` does. ``adafactor`` has a constant decay, clips
the root mean square of its step at 1, and scales it by that of the weights.

>>> print(LIBRARY["momentum"], end="")
def train(w, g, m, lr):
  m = m * 0.9
  m = m + g
  update = m * lr
  return update, m
>>> LIBRARY["lyon"]
Traceback (most recent call last):
    ...
optsearch.dsl.program.ProgramError: unknown library program 'lyon'; did you mean 'lion'?
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files

from optsearch.dsl.program import Program, ProgramError
from optsearch.dsl.syntax import parse
from optsearch.dsl.verify import nearest

DESCRIPTIONS: Mapping[str, str] = {
    "sgd": "stochastic gradient descent",
    "momentum": "heavy-ball momentum, decay 0.9 (Polyak 1964)",
    "nesterov": "Nesterov momentum, decay 0.9 (Sutskever et al. 2013)",
    "rmsprop": "gradient over the root of its mean square (Tieleman and Hinton 2012)",
    "adagrad": "gradient over the root of its summed squares (Duchi et al. 2011)",
    "adam": "momentum over the root of the mean square (Kingma and Ba 2015)",
    "adamw": "Adam with decoupled weight decay (Loshchilov and Hutter 2019): the search's warm start",
    "signum": "sign of the momentum (Bernstein et al. 2018)",
    "lion": "sign of interpolated momentum, decoupled weight decay (Chen et al. 2023)",
    "normalized-sgd": "gradient over its norm over all parameters (Nesterov 1984; Hazan et al. 2015)",
    "muon": "orthogonalised Nesterov momentum (Jordan et al. 2024); vectors over their root mean square",
    "orthogonal-adamw": "AdamW whose step is orthogonalised before weight decay",
    "adafactor": "gradient over a root mean square from one number per row and column (Shazeer and Stern 2018)",
    "lion-raw": "the program found by the published search, before simplification by hand (Chen et al. 2023)",
}


class _Library(Mapping[str, Program]):
    """The library by name; files are read lazily."""

    def __getitem__(self, name: str) -> Program:
        if name not in DESCRIPTIONS:
            raise ProgramError(f"unknown library program '{name}'{nearest(name, DESCRIPTIONS)}")
        return _read(name)

    def __iter__(self) -> Iterator[str]:
        return iter(DESCRIPTIONS)

    def __len__(self) -> int:
        return len(DESCRIPTIONS)

    def __contains__(self, name: object) -> bool:
        return name in DESCRIPTIONS


@cache
def _read(name: str) -> Program:
    return parse((files("optsearch.dsl.programs") / f"{name}.txt").read_text(encoding="utf-8"))


LIBRARY: Mapping[str, Program] = _Library()
"""Every shipped program by name. An unknown name raises ``ProgramError`` that suggests the nearest name."""
