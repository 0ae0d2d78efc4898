"""Probes of known optimizers agree with theory."""

from __future__ import annotations

import math

import numpy as np
import pytest

from optsearch.dsl.functions import FUNCTIONS, LEAVES, Scope
from optsearch.dsl.library import LIBRARY
from optsearch.dsl.program import Program, Statement
from optsearch.dsl.syntax import parse
from optsearch.simplify.behaviour.lanes import TOGETHER, LanesDomain
from optsearch.simplify.behaviour.probes import (
    EVEN,
    NOISES,
    ORTHOGONAL,
    Probe,
    evenness_probe,
    noise_probe,
    probes,
    scale_probe,
    schedule_probe,
    spectrum_probe,
    spike_probe,
    turn_probe,
)
from optsearch.simplify.behaviour.similarity import (
    _replacements,
    influence_words,
    influences,
    likeness_words,
    likenesses,
)
from optsearch.simplify.behaviour.simulation import simulate
from optsearch.simplify.behaviour.stability import CURVATURES, _bisected, _midpoints, restraint, stability
from optsearch.simplify.behaviour.weights import fixed_weights

NAMES = sorted(LIBRARY)


def program(statements: str, state: str = "") -> Program:
    """A program of statements that are separated by semicolons."""
    names = f"w, g, {state}, lr" if state else "w, g, lr"
    body = statements.split("; ")
    return parse("\n".join([f"def train({names}):", *body, f"return update{', ' + state if state else ''}"]))


@pytest.mark.parametrize(
    ("name", "exponent"), [("sgd", 1), ("momentum", 1), ("lion", 0), ("signum", 0), ("adamw", 0), ("rmsprop", 0)]
)
def test_scale(name: str, exponent: int) -> None:
    assert scale_probe(LIBRARY[name]).value == pytest.approx(exponent, abs=1e-3)


def test_scale_of_what_is_no_power() -> None:
    clipped = scale_probe(program("update = clip(g, 1.0); update = update * lr"))
    assert clipped.value is None
    assert "neither" in clipped.says
    assert scale_probe(program("update = cbrt(g); update = update * lr")).value == pytest.approx(1 / 3, abs=1e-3)


def test_spike() -> None:
    """A linear average forgets with its decay: less than a tenth is left after log(0.1) / log(0.9) = 21.9 steps."""
    assert spike_probe(LIBRARY["sgd"]).value == 1
    assert spike_probe(LIBRARY["rmsprop"]).value == 1
    assert spike_probe(LIBRARY["momentum"]).value == 22
    assert spike_probe(LIBRARY["adamw"]).value == 22
    lion, signum = spike_probe(LIBRARY["lion"]).value, spike_probe(LIBRARY["signum"]).value
    assert lion is not None
    assert signum is not None
    assert lion > 3 * signum > 3 * 22, "the sign makes a spike last until noise covers it; Lion's decay is slower"
    forever = spike_probe(program("s = s + g; update = s * lr", "s"))
    assert forever.value is None
    assert "more than a tenth is left" in forever.says


def test_noise() -> None:
    """Decay b averages (1 + b) / (1 - b) gradients; a sign keeps 2 / pi of what is under it."""
    assert noise_probe(LIBRARY["sgd"]).value == pytest.approx(1.0, rel=0.1)
    assert noise_probe(LIBRARY["rmsprop"]).value == pytest.approx(1.0, rel=0.1)
    assert noise_probe(LIBRARY["momentum"]).value == pytest.approx(19.0, rel=0.1)
    assert noise_probe(LIBRARY["adamw"]).value == pytest.approx(19.0, rel=0.1)
    assert noise_probe(LIBRARY["signum"]).value == pytest.approx(19.0 * 2 / math.pi, rel=0.15)
    variance = 0.1**2 + 0.9**2 * 0.01 / 1.99  # of Lion's interpolation, for noise of variance 1
    assert noise_probe(LIBRARY["lion"]).value == pytest.approx(2 / math.pi / variance, rel=0.15)
    assert noise_probe(LIBRARY["lion"]).x == NOISES


def test_evenness() -> None:
    found = {name: evenness_probe(program).value or 0.0 for name, program in LIBRARY.items()}
    assert {name for name, value in found.items() if value < EVEN} == {"signum", "lion", "lion-raw"}
    assert found["adamw"] == pytest.approx(0.49, abs=0.01)
    assert found["adamw"] < found["rmsprop"] < found["sgd"]
    stepped = evenness_probe(program("update = tanh(g); update = update * lr"))  # a soft sign: small gradients show
    assert EVEN < (stepped.value or 0.0) < found["sgd"]
    assert list(stepped.y) == sorted(stepped.y)  # type: ignore[type-var]
    assert "equal size" in evenness_probe(LIBRARY["lion"]).says
    assert evenness_probe(program("update = w * lr")).value == pytest.approx(0.755, abs=0.05)  # of half a normal
    assert evenness_probe(program("update = w * 0.0")).value is None


def test_spectrum() -> None:
    found = {name: spectrum_probe(program) for name, program in LIBRARY.items()}
    values = {name: probe.value or 0.0 for name, probe in found.items()}
    assert {name for name, value in values.items() if value > ORTHOGONAL} == {"muon", "orthogonal-adamw"}
    assert values["sgd"] == pytest.approx(0.01, rel=0.1)  # that of the gradient
    assert "those of the averaged gradient" in found["muon"].says
    assert "others than the gradient's" in found["orthogonal-adamw"].says
    assert list(found["muon"].y) == sorted(found["muon"].y, reverse=True)  # type: ignore[type-var]
    plain = spectrum_probe(program("update = orthogonalize(g); update = update * lr"))
    assert "those of the averaged gradient" in plain.says
    signs = spectrum_probe(program("update = sign(g); update = orthogonalize(update); update = update * lr"))
    assert "others than the gradient's" in signs.says
    assert spectrum_probe(program("update = w * 0.0")).value is None


def test_turn() -> None:
    assert turn_probe(LIBRARY["sgd"]).value == 0
    assert turn_probe(LIBRARY["rmsprop"]).value == 0
    for name in ("momentum", "adamw", "signum"):
        assert turn_probe(LIBRARY[name]).value == 6  # 2 * 0.9^t < 1 from t = 6.6 on, counted from the turn's own step
    before = 1 - 0.99**200
    turns = math.log((1 + 1 / 9) / (1 + before)) / math.log(0.99)
    assert turn_probe(LIBRARY["lion"]).value == math.ceil(turns)


def test_schedule() -> None:
    for name in NAMES:
        if name != "lion-raw":  # which clips the gradient by lr
            assert schedule_probe(LIBRARY[name]).value == pytest.approx(1.0, abs=1e-3), name
    assert schedule_probe(program("update = g * 0.1")).value == 0
    assert "ignores" in schedule_probe(program("update = g * 0.1")).says
    root = schedule_probe(program("lr = sqrt(lr); update = g * lr"))
    assert root.value == pytest.approx(0.5, abs=1e-3)
    assert "controls" in root.says


def test_bounds_and_decay() -> None:
    lion = restraint(LIBRARY["lion"])
    assert (lion.bounded, lion.decay, lion.proved) == (True, "decoupled", pytest.approx(1e-4))
    assert lion.weight_bound == pytest.approx(1 / 0.1), "1 / lambda"
    assert lion.reached == pytest.approx(1.0, abs=1e-3)
    adamw = restraint(LIBRARY["adamw"])
    assert (adamw.bounded, adamw.decay, adamw.proved) == (True, "decoupled", None)
    assert adamw.share == pytest.approx(0.01 * 0.001)
    assert restraint(LIBRARY["signum"]).decay == "none"
    assert restraint(LIBRARY["sgd"]).bounded is False
    rmsprop = restraint(LIBRARY["rmsprop"])
    assert rmsprop.bounded
    assert rmsprop.largest == pytest.approx(1 / math.sqrt(0.1), rel=1e-3), "one gradient after none"
    coupled = program("d = w * 0.1; g = g + d; m = interp(g, m, 0.9); update = sign(m); update = update * lr", "m")
    assert restraint(coupled).decay == "coupled"


@pytest.mark.parametrize("update", ["u = tanh(m)", "u = sign(m)", "u = clip(m, 2.0)", "u = arctan(m)"])
def test_weights_of_lion_k_stay_within_their_bound(update: str) -> None:
    decay = program(f"{update}; m = interp(g, m, 0.9); d = w * 0.2; u = u + d; lr = lr * 0.01; update = u * lr", "m")
    found = restraint(decay)
    assert found.proved is not None
    assert found.weight_bound == pytest.approx(found.proved / (0.2 * 0.01))
    assert found.reached is not None
    assert found.reached <= 1.0 + 1e-3


def test_stability() -> None:
    """Gradient descent is stable up to 2 / curvature, what ignores the gradient's scale up to one rate for all."""
    for rate, curvature in zip(stability(LIBRARY["sgd"]).rates, CURVATURES, strict=True):
        assert rate == pytest.approx(2 / curvature, rel=0.01)
    assert stability(LIBRARY["sgd"]).exponent == pytest.approx(-1.0, abs=1e-3)
    for name in ("lion", "signum", "rmsprop", "adamw"):
        assert stability(LIBRARY[name]).exponent == pytest.approx(0.0, abs=0.01), name
    assert stability(LIBRARY["rmsprop"]).rates[3] == pytest.approx(2 * math.sqrt(0.1), rel=0.01)
    assert stability(program("update = g * 0.1")).exponent is None


@pytest.mark.parametrize("name", NAMES)
def test_every_library_program_is_nearest_to_itself(name: str) -> None:
    nearest = likenesses(LIBRARY[name])[0]
    assert nearest.name == name or nearest.distance < 1e-6
    assert nearest.distance == pytest.approx(0.0, abs=1e-9)
    assert name in likeness_words(likenesses(LIBRARY[name])) or nearest.name != name


def test_a_constant_factor_is_no_distance() -> None:
    larger = parse(str(LIBRARY["lion"]).replace("0.0001", "0.3"))
    assert likenesses(larger)[0] == likenesses(LIBRARY["lion"])[0]
    opposite = program("update = g * -1.0; update = update * lr")
    assert next(like.distance for like in likenesses(opposite) if like.name == "sgd") == pytest.approx(2.0)


def test_influence_finds_what_does_not_matter() -> None:
    idle = program("s = tanh(0.0001); h = g * 1.0001; dead = g + w; h = h + s; update = h * lr")
    rows = {row.line: row for row in influences(idle)}
    assert set(rows) == {2, 3, 5, 6}, "dead statements are left out"
    assert rows[3].change == pytest.approx(1e-4, rel=0.01)
    assert rows[6].change == pytest.approx(1 / 0.7 - 1)
    assert "line 3, 5." in influence_words(influences(idle))
    lion = {row.statement: row.change for row in influences(LIBRARY["lion"])}
    assert all(change is None or change > 0.001 for change in lion.values())


@pytest.mark.parametrize("name", [name for name, row in FUNCTIONS.items() if row.scope is not Scope.ELEMENT])
def test_functions_of_all_lanes_at_once_are_those_of_each(name: str) -> None:
    """The oracle evaluates the function's reference lane by lane; zeros and infinities are among the numbers."""
    assert set(TOGETHER) <= set(FUNCTIONS)
    assert name in TOGETHER, "lane by lane, the probes of a program that calls it take twenty times as long"
    function, rng = FUNCTIONS[name], np.random.default_rng(3)
    for shape in ((1,), (6,), (2, 3), (3, 2), (2, 2, 3)):
        count = math.prod(shape)
        x, y = rng.standard_normal((2, 5, count))
        x[1], x[2, 0], x[3] = 0.0, np.inf, 1e-200
        operands = [x if kinds == LEAVES or function.scope is Scope.MATRIX else y[:, :1] for kinds in function.operands]
        operands[1:2] = [y] if name in ("dot", "cosine_sim") else operands[1:2]
        with np.errstate(all="ignore"):
            together, alone = (LanesDomain(5, shape, forms).apply(function, list(operands)) for forms in (TOGETHER, {}))
        np.testing.assert_allclose(together, np.broadcast_to(alone, together.shape), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_replaced_statements_side_by_side_are_programs_of_their_own(name: str) -> None:
    """A lane in which a statement is replaced has the updates of the program with that replacement, to the last bit."""
    whole, rng = LIBRARY[name], np.random.default_rng(1)
    replaced = _replacements(whole, range(len(whole.body)))
    noise, weights = rng.standard_normal((8, 6)), np.repeat(rng.standard_normal((1, 6)), len(replaced), axis=0)
    together, _ = simulate(
        whole, lambda t, _: np.broadcast_to(noise[t], weights.shape), weights, 8, shape=(2, 3), replaced=replaced
    )
    for lane, (place, source) in enumerate(replaced):
        statement = Statement(whole.body[place].target, "multiply", (source, 1.0))
        changed = Program(whole.state, (*whole.body[:place], statement, *whole.body[place + 1 :]))
        alone, _ = simulate(changed, lambda t, _: noise[t][None], weights[:1], 8, shape=(2, 3))
        np.testing.assert_array_equal(together[:, lane], alone[:, 0])


def test_bisection_of_a_grid_is_bisection_by_single_rates() -> None:
    """The result is the same also where stability is not monotonic in the rate."""
    rng = np.random.default_rng(0)
    for _ in range(100):
        grid = _midpoints(1e-3, 2e-3)
        stable = dict(zip(grid, rng.random(len(grid)) < 0.5, strict=True))
        low, high = grid[0], grid[-1]
        for _ in range(4):
            middle = math.sqrt(low * high)
            low, high = (middle, high) if stable[middle] else (low, middle)
        assert _bisected(grid, [stable[rate] for rate in grid[1:-1]]) == (low, high)


def test_lanes_know_nothing_of_each_other() -> None:
    """A reduction in one lane sees that lane alone."""
    normed = program(
        "n = norm(g); t = dot(g, w); u = g / n; u = clip_by_global_norm(u, 0.5); u = u + t; update = u * lr"
    )
    rng = np.random.default_rng(0)
    gradients, weights = rng.standard_normal((3, 4)), rng.standard_normal((3, 4))
    together, _ = simulate(normed, lambda *_: gradients, weights, 2)
    for lane in range(3):
        alone, _ = simulate(normed, lambda *_, lane=lane: gradients[lane : lane + 1], weights[lane : lane + 1], 2)
        np.testing.assert_array_equal(together[:, lane], alone[:, 0])


@pytest.mark.parametrize(
    "body", ["update = exp10(g)", "update = w - w", "update = arctanh(g)", "update = reciprocal(w)"]
)
def test_wild_programs_get_sentences_too(body: str) -> None:
    wild = program(body)
    found: list[Probe] = list(probes(wild))
    assert all(probe.says and None not in (probe.x_title, probe.y_title) for probe in found)
    assert all(y is None or math.isfinite(y) for probe in found for y in probe.y)
    assert restraint(wild).says
    assert stability(wild).says
    assert likeness_words(likenesses(wild))
    assert influence_words(influences(wild))


def test_a_program_whose_steps_are_scaled_by_the_weight_is_asked_at_weights_of_one() -> None:
    """A multiplicative update is SGD with a rate for each weight: it is asked like SGD, where the weights are not 0."""
    multiplicative = program("size = abs(w); update = g * size; update = update * lr")
    assert scale_probe(multiplicative).value == pytest.approx(1.0, abs=1e-3)
    assert spike_probe(multiplicative).value == 1
    assert schedule_probe(multiplicative).value == pytest.approx(1.0)
    assert fixed_weights(multiplicative).stuck
    assert any("a weight of 0 stays 0" in sentence for sentence in restraint(multiplicative).says)
    capped = restraint(program("size = clip(w, 0.5); update = sign(g); update = update * size; update = update * lr"))
    assert capped.largest == pytest.approx(0.5)
    for name in NAMES:
        assert not fixed_weights(LIBRARY[name]).says


def test_a_program_that_is_singular_at_weights_of_zero_is_asked_elsewhere() -> None:
    """At w = 0 a division by cbrt(w) is one by 1e-8: the update is stuck there, and turns at all other weights."""
    divides = program(
        "m = interp(m, g, 0.1); root = cbrt(w); far = abs(g); far = far / root; far = far * 1e-6; "
        "update = m + far; update = update * lr",
        "m",
    )
    held_at_zero, _ = simulate(divides, lambda t, _: np.full((1, 1), 1.0 if t < 200 else -1.0), np.zeros((1, 1)), 350)
    assert (held_at_zero[200:] > 0.0).all()  # what the probe saw, and said of the program
    fixed = fixed_weights(divides)
    assert (fixed.singular, fixed.weight) == ((0.0,), 1.0)
    assert turn_probe(divides).value == turn_probe(LIBRARY["momentum"]).value
    assert "does not change sign" not in turn_probe(divides).says
    said = restraint(divides).says
    assert any("singular at weights of 0," in sentence and "at weights of 1" in sentence for sentence in said)
    assert fixed_weights(program("update = reciprocal(w); update = update * lr")).singular == (0.0,)


def test_a_turn_that_depends_on_the_weight_is_said_for_each_weight() -> None:
    """The square of a weight delays the turn: at 0 the update turns at once, at 1 it does not."""
    held = program("s = square(w); s = s * 2.0; s = s * g; s = abs(s); update = g + s")
    says = turn_probe(held).says
    assert "changes sign immediately at a weight of 0" in says
    assert "does not change sign within 150 steps at 1 and -1" in says
