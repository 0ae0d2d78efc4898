"""The ladders of targets. A run sees each training example once."""

from __future__ import annotations

from optsearch.proxy_tasks.ladder import ladder
from optsearch.proxy_tasks.models.coordinates import CoordinateMLP
from optsearch.proxy_tasks.models.tabular import RowTransformer
from optsearch.proxy_tasks.models.transformer import Blocks, CharacterTransformer
from optsearch.proxy_tasks.objectives import Classification, MaskedClassification, Regression
from optsearch.proxy_tasks.targets import code, flights, land, pronunciation
from optsearch.proxy_tasks.task import Task


def _language(width: int, layers: int, heads: int, places: int) -> CharacterTransformer:
    return CharacterTransformer(code.SYMBOLS, Blocks(width, layers, heads, places, causal=True))


def _speller(width: int, layers: int, heads: int) -> CharacterTransformer:
    blocks = Blocks(width, layers, heads, pronunciation.PLACES, causal=True)
    return CharacterTransformer(pronunciation.SYMBOLS, blocks)


def _table(width: int, layers: int, heads: int) -> RowTransformer:
    places = len(flights.CATEGORIES) + flights.NUMBERS
    blocks = Blocks(width, layers, heads, places, causal=False)
    return RowTransformer(flights.CATEGORIES, flights.NUMBERS, 1, blocks)


def _map(width: int) -> CoordinateMLP:
    return CoordinateMLP(3, 6, (width,) * 4, 2)


TARGETS: tuple[Task, ...] = (
    *ladder(
        "code",
        "Transformer that predicts the next character of SymPy's source code.",
        Classification(),
        (code.next_characters(32, 12 * 2010, 3.314995), _language(48, 1, 4, 32), 12, 2010),
        (code.next_characters(64, 16 * 2450, 3.328385), _language(64, 2, 4, 64), 16, 2450),
        (code.next_characters(64, 32 * 3900, 3.328288), _language(96, 3, 4, 64), 32, 3900),
    ),
    *ladder(
        "flights",
        "Transformer over the columns of a table: a flight's delay on arrival.",
        Regression(),
        (flights.arrivals(32 * 2000, 0.7321844), _table(32, 1, 2), 32, 2000),
        (flights.arrivals(32 * 3400, 0.7321901), _table(56, 2, 4), 32, 3400),
        (flights.arrivals(32 * 7600, 0.7322143), _table(96, 3, 4), 32, 7600),
    ),
    *ladder(
        "land",
        "Coordinate network that tells land from sea.",
        Classification(),
        (land.points(256 * 3600, 0.5997241), _map(120), 256, 3600),
        (land.points(512 * 5700, 0.5997227), _map(216), 512, 5700),
        (land.points(1024 * 9000, 0.5997234), _map(384), 1024, 9000),
    ),
    *ladder(
        "pronunciation",
        "Transformer that pronounces English words from their spelling.",
        MaskedClassification(),
        (pronunciation.phonemes(16 * 2050, 3.259199), _speller(36, 1, 2), 16, 2050),
        (pronunciation.phonemes(32 * 2500, 3.259118), _speller(56, 2, 4), 32, 2500),
        (pronunciation.phonemes(32 * 3400, 3.259112), _speller(128, 3, 4), 32, 3400),
    ),
)
"""Tasks whose data come from the packages of the extra ``targets``."""
