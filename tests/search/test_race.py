"""In a race, programs that are not better than the gate in their first case are not trained in the others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from optsearch.dsl.fingerprint import fingerprint
from optsearch.dsl.library import LIBRARY
from optsearch.runs.summary.searches import reference_rule
from optsearch.search.budget import Budget
from optsearch.search.config import load_campaign
from optsearch.search.events import Candidate
from optsearch.search.evolution import Evolution
from optsearch.search.population.breeding import Methods
from optsearch.search.population.population import PopulationConfig
from optsearch.search.scoring.evaluate import Trainers, evaluate, evaluate_all
from optsearch.search.scoring.fitness import Fitness, FurtherTask, Gate, Job, Reference, Setting
from optsearch.search.scoring.reference import RaceConfig, ReferenceRule
from optsearch.search.variation.mutate import Mutator
from optsearch.search.variation.mutation_config import MutationWeights

SEEDS = Setting("ae", (0, 1, 2))
ADAMW, LION = LIBRARY["adamw"], LIBRARY["lion"]


def race(gate: float | None, losses: tuple[float, ...] = ()) -> Reference:
    return Reference(None, losses, race_below=gate)


def test_a_program_below_the_gate_is_trained_on_all_seeds(ae_trainer: Trainers) -> None:
    whole = evaluate(ae_trainer, SEEDS, Job(1, LION, race(None)))
    raced = evaluate(ae_trainer, SEEDS, Job(1, LION, race(1e9)))
    assert raced == replace(whole, seconds=raced.seconds)
    assert raced.steps == 900


def test_a_program_that_is_not_below_the_gate_keeps_its_loss_on_the_first_seed(ae_trainer: Trainers) -> None:
    first = evaluate(ae_trainer, replace(SEEDS, seeds=(0,)), Job(1, LION, race(None)))
    assert first.value is not None
    for gate in (first.value, 0.0):
        raced = evaluate(ae_trainer, SEEDS, Job(1, LION, race(gate)))
        assert raced == replace(first, seconds=raced.seconds)
        assert raced.steps == 300


def test_with_several_tasks_the_gate_is_a_score_on_the_first(ae_trainer: Trainers) -> None:
    both = replace(SEEDS, further=(FurtherTask(task="digits"),))
    losses = evaluate(ae_trainer, both, Job(0, ADAMW)).losses
    lost, won = (evaluate(ae_trainer, both, Job(1, LION, race(gate, losses))) for gate in (-2.0, 2.0))
    assert (len(lost.losses), len(won.losses)) == (1, 2)
    first = evaluate(ae_trainer, replace(SEEDS, seeds=(0,)), Job(1, LION)).value or 0.0
    assert lost.value == pytest.approx((first - losses[0]) / losses[0])
    assert won == replace(evaluate(ae_trainer, both, Job(1, LION, race(None, losses))), seconds=won.seconds)


def test_a_gate_of_its_own_only_lowers_that_of_the_campaign() -> None:
    assert race(0.5).gated(Gate(0.4)) == race(0.4)
    assert race(0.5).gated(Gate(0.6, (1.0, 2.0))) == race(0.5)
    assert race(0.5).gated(None) == race(0.5)
    assert race(None).gated(Gate(0.4)) == race(None), "without a race there is no gate"
    assert race(0.5).gated(Gate(0.4, (1.0, 2.0))) == replace(race(0.4), race_losses=(1.0, 2.0))


def test_with_several_tasks_a_score_counts_relative_to_that_of_the_population(ae_trainer: Trainers) -> None:
    both = replace(SEEDS, further=(FurtherTask(task="digits"),))
    losses = evaluate(ae_trainer, both, Job(0, ADAMW)).losses
    first = evaluate(ae_trainer, replace(SEEDS, seeds=(0,)), Job(1, LION)).value
    assert first is not None
    reference = race(0.0, losses)
    for typical, wins in ((first + 1e-6, True), (first, False), (first - 0.01, False)):
        gate = Gate(-0.3, (typical, 0.1))
        found = evaluate(ae_trainer, both, Job(1, LION, reference.gated(gate)))
        assert (len(found.losses) == 2) == wins
        if not wins:
            assert found.value == pytest.approx(-0.3 + (first - typical) / losses[0])
    unknown = reference.gated(Gate(-0.3, (np.inf, np.inf)))
    assert len(evaluate(ae_trainer, both, Job(1, LION, unknown)).losses) == 2, "too few are known to judge by"


@pytest.mark.parametrize("tasks", [1, 2])
def test_the_gate_of_a_child_is_a_quantile_of_the_population_it_comes_from(tasks: int) -> None:
    rng = np.random.default_rng(1)
    evolution = Evolution(
        ADAMW,
        name="search",
        seed=1,
        population=PopulationConfig(size=10, tournament=3),
        look_ahead=4,
        variation=Mutator(MutationWeights()),
        budget=Budget(programs=120),
        methods=Methods(gate=0.3),
    )
    told: dict[int, tuple[float, ...]] = {}
    candidates: list[Candidate] = []
    while not evolution.finished:
        candidate = evolution.ask()
        assert candidate is not None
        candidates.append(candidate)
        if candidate.evaluate:
            failed, lost = candidate.ticket > 0 and rng.random() < 0.4, candidate.ticket > 0 and rng.random() < 0.4
            value, *losses = rng.random(3)
            losses = [] if tasks == 1 or failed else losses[:1] if lost else losses
            told[candidate.ticket] = (np.inf if failed else value, *losses)
            fitness = Fitness(None if failed else value, "diverged" if failed else "ok", 1, 0.0, losses=tuple(losses))
            evolution.tell(candidate.ticket, fitness)
    gates = 0
    for candidate in candidates[1:]:
        joined = [candidates[max(ticket, 0)] for ticket in range(candidate.ticket - 13, candidate.ticket - 3)]
        values = [(*told[member.owner], np.inf, np.inf)[:3] for member in joined]
        third, *losses = (sorted(each)[2] for each in zip(*values, strict=True))
        expected = Gate(third, tuple(losses) if tasks == 2 else ())
        assert candidate.gate == (expected if candidate.evaluate else None)
        gates += candidate.evaluate
    assert gates > 50


def test_raced_jobs_are_what_each_is_alone(ae_trainer: Trainers) -> None:
    jobs = [Job(number, program, race(gate)) for number, (program, gate) in enumerate([(ADAMW, 1e9), (LION, 0.0)])]
    together = evaluate_all(ae_trainer, SEEDS, jobs)
    for one, job in zip(together, jobs, strict=True):
        assert one == replace(evaluate(ae_trainer, SEEDS, job), seconds=one.seconds)


def test_the_gate_follows_from_the_warm_start() -> None:
    warm = Fitness(0.5, "ok", 600, 0.1, ((0.6,) * 10,) * 2)
    rule = ReferenceRule(checkpoints=(tuple(range(30, 301, 30)),), seeds=2, race=RaceConfig(within=0.1))
    assert rule.derive(warm).race_below == pytest.approx(0.55)
    assert rule.derive(replace(warm, value=0.0, losses=(0.5, 0.7))).race_below == pytest.approx(0.1)
    assert rule.derive(Fitness(None, "non_finite", 3, 0.1)).race_below is None


def rotating(gate: float, cases: tuple[float, ...] = (0.4, 0.5, 0.9)) -> Reference:
    return Reference(None, (), race_below=gate, cases=cases)


def test_a_rotating_race_trains_each_program_on_the_seed_of_its_fingerprint_first(ae_trainer: Trainers) -> None:
    seen: set[int] = set()
    for program in (ADAMW, LION, LIBRARY["sgd"], LIBRARY["rmsprop"], LIBRARY["momentum"]):
        case = int(fingerprint(program), 16) % 3
        alone = evaluate(ae_trainer, replace(SEEDS, seeds=(case,)), Job(1, program, race(None)))
        assert alone.value is not None
        raced = evaluate(ae_trainer, SEEDS, Job(1, program, rotating(-1e9)))
        assert raced.value == pytest.approx(alone.value + 0.6 - (0.4, 0.5, 0.9)[case])
        assert raced.steps == alone.steps
        seen.add(case)
    assert len(seen) > 1


def test_a_rotating_race_gives_those_that_pass_the_fitness_of_all_seeds(ae_trainer: Trainers) -> None:
    whole = evaluate(ae_trainer, SEEDS, Job(1, LION, race(None)))
    raced = evaluate(ae_trainer, SEEDS, Job(1, LION, rotating(1e9)))
    assert raced.value == pytest.approx(whole.value)
    assert raced.steps == 900


def test_the_hurdle_of_a_seed_goes_with_it(ae_trainer: Trainers) -> None:
    case = int(fingerprint(LION), 16) % 3
    limits = tuple(((30, 1e-9),) if number == case else ((30, 1e9),) for number in range(3))
    stopped = evaluate(ae_trainer, SEEDS, Job(1, LION, replace(rotating(-1e9), limits=limits)))
    assert (stopped.outcome, stopped.steps) == ("hurdle", 30)


def test_a_race_over_several_tasks_begins_with_the_task_of_the_fingerprint(ae_trainer: Trainers) -> None:
    """The score in the first case, of any task and seed, counts the warm start's loss in this case as zero."""
    both = replace(SEEDS, seeds=(0, 1), further=(FurtherTask(task="digits", scale=0.1),))
    warm = evaluate(ae_trainer, both, Job(0, ADAMW, keep_curves=True))
    assert len(warm.cases) == 4
    assert warm.losses == pytest.approx((sum(warm.cases[:2]) / 2, sum(warm.cases[2:]) / 2))
    reference = Reference(None, warm.losses, race_below=-1e9, cases=warm.cases)
    seen: set[int] = set()
    for program in (ADAMW, LION, LIBRARY["sgd"], LIBRARY["rmsprop"], LIBRARY["momentum"]):
        case = int(fingerprint(program), 16) % 4
        task, scale = (("ae", abs(warm.losses[0])), ("digits", 0.1))[case // 2]
        alone = evaluate(ae_trainer, Setting(task, (case % 2,)), Job(1, program))
        raced = evaluate(ae_trainer, both, Job(1, program, reference))
        assert alone.value is not None
        expected = (alone.value - warm.cases[case]) / scale
        assert raced.value == pytest.approx(min(max(expected, -2.0), 2.0))
        assert raced.steps == alone.steps
        mean = alone.value - warm.cases[case] + warm.losses[0]
        assert raced.losses == ((pytest.approx(mean),) if case < 2 else ()), "as if on both seeds"
        seen.add(case // 2)
    assert seen == {0, 1}


def test_a_race_over_several_tasks_gives_those_that_pass_the_fitness_of_all_cases(ae_trainer: Trainers) -> None:
    both = replace(SEEDS, seeds=(0, 1), further=(FurtherTask(task="digits"),))
    reference = Reference(None, (0.6, 0.1), race_below=1e9, cases=(0.5, 0.7, 0.08, 0.12))
    for program in (LION, LIBRARY["momentum"]):
        whole = evaluate(ae_trainer, both, Job(1, program, Reference(None, (0.6, 0.1))))
        raced = evaluate(ae_trainer, both, Job(1, program, reference))
        assert raced == replace(whole, seconds=raced.seconds)


def test_tasks_behind_a_gate_are_never_the_first_case() -> None:
    text = "name: x\ntask: ae\nbudget: {programs: 10}\nrace: {rotate: true}\ntraining_seeds: [0, 1]\n"
    gated = "further_tasks: [{task: teach}, {task: lmmlp, if_below: 0}, {task: lm, if_below: 0}]\n"
    warm = Fitness(0.0, "ok", 600, 0.1, losses=(1.0, 2.0, 3.0, 4.0), cases=tuple(map(float, range(8))))
    assert reference_rule(load_campaign(text + gated, "x.yaml")).derive(warm).cases == warm.cases[:4]
    free = "further_tasks: [{task: teach}, {task: lmmlp}]\n"
    assert reference_rule(load_campaign(text + free, "x.yaml")).derive(warm).cases == warm.cases[:6]


def test_the_warm_start_gives_the_loss_of_each_seed(ae_trainer: Trainers) -> None:
    warm = evaluate(ae_trainer, SEEDS, Job(0, ADAMW, keep_curves=True))
    assert warm.value == pytest.approx(sum(warm.cases) / 3)
    assert evaluate(ae_trainer, SEEDS, Job(0, ADAMW)).cases == ()
    assert evaluate(ae_trainer, replace(SEEDS, seeds=(0,)), Job(0, ADAMW, keep_curves=True)).cases == ()
    for rotate in (False, True):
        rule = ReferenceRule(checkpoints=(tuple(range(30, 301, 30)),), seeds=3, race=RaceConfig(rotate=rotate))
        assert rule.derive(warm).cases == (warm.cases if rotate else ())


def test_without_a_second_case_there_is_no_race() -> None:
    text = "name: x\ntask: ae\nbudget: {programs: 10}\nrace: {rotate: true, share: 0.5}\n"
    alone = load_campaign(text, "x.yaml")
    assert alone.methods.gate is None
    warm = Fitness(0.5, "ok", 300, 0.1, cases=(0.5,))
    assert reference_rule(alone).derive(warm) == reference_rule(load_campaign(text, "x", ["race=~"])).derive(warm)
    for more in ("training_seeds: [0, 1]\n", "further_tasks: [{task: teach}]\n"):
        raced = load_campaign(text + more, "x.yaml")
        assert raced.methods.gate == 0.5
        assert reference_rule(raced).derive(replace(warm, cases=(0.4, 0.6))).race_below == 0.5
