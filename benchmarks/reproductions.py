"""Tables and figures of the README and the documentation as data, with their commands and expected results.

After changing an entry, update docs/reproduce.md with ``python benchmarks/reproduce.py --write``.
"""

from __future__ import annotations

from dataclasses import dataclass

from optsearch.runs.library.discovery import DISCOVERED

HOURS = "hours, never in one go; every run is kept"
"""Time of entries that cannot be timed separately, because their training runs are shared."""

ONE_TUNING = "another result: the table was measured with one tuning of each contender, by an earlier release"
"""Expectation of entries whose commands now compare replicates."""

STUDY = tuple(f"study-seed{seed}" for seed in range(5))
"""Runs of the study in docs/evidence.md."""

MEASURED_WITH = ("hurdle.factor=1.5", "race=null")
"""Settings of `quickstart` and `study` when their tables were measured."""

AS_MEASURED = " ".join(f"--set {setting}" for setting in MEASURED_WITH)
"""The same as options of a command."""

SETS = tuple(f"set-seed{seed}" for seed in range(4))
"""Additional searches on several tasks."""

SETS_FOUND = tuple(
    f"optsearch search search-set --seed {seed} --set controls=[] --out optsearch-runs/{run}"
    for seed, run in enumerate(SETS)
)
"""Commands that create these runs."""

_RUNS = " ".join(f"optsearch-runs/{run}" for run in STUDY)
_SETS = " ".join(f"optsearch-runs/{run}" for run in SETS)
_FIVE = " ".join(f"optsearch-runs/rediscovery-seed{seed}" for seed in range(5))


@dataclass(frozen=True, slots=True)
class Entry:
    """A reproducible result.

    Attributes:
        name: name of the entry.
        shows: tables and figures, as ``FILE: heading``.
        commands: commands in order; the output of the last one, or its last line, is the JSON result.
        takes: time on two idle cores of an AMD EPYC.
        expect: description of the expected result of an entry without a digest, such as ratios of wall-clock times;
            empty if ``digests.json`` has its digests.
        small: commands of a version with a small budget, without ``optsearch-runs/``; empty if nothing is compared.
        near: dotted keys of the small version's JSON whose values are approximately equal on other kinds of machines.
    """

    name: str
    shows: tuple[str, ...]
    commands: tuple[str, ...]
    takes: str = "not measured"
    expect: str = ""
    small: tuple[str, ...] = ()
    near: tuple[str, ...] = ()


def _search(campaign: str, out: str, *options: str) -> tuple[str, ...]:
    """Commands of a search of about 100 evaluations, without controls by default."""
    small = ("budget.evaluations=60", "population={size: 20, tournament: 4}", "look_ahead=16", "controls=[]")
    small += ("finalists={count: 2, seeds: 2}", "fresh_seeds=3", "first_stage=~", "training_seeds=[0]", *options)
    settings = " ".join(f"--set '{setting}'" for setting in small)
    return (f"optsearch search {campaign} {settings} --workers 0 --out {out} --json",)


_STAGES = (
    "[{name: fresh, tasks: [search], trials: 0, seeds: 3, baselines: [], keep: {best: 2}}, "
    "{name: larger, tasks: [digits], trials: 2, replicates: 2, seeds: 3, baselines: [adamw], keep: {beats: [adamw]}}]"
)
_FEW = "--optimizers sgd adamw lion"
_ELEMENTWISE = (
    "functions=[abs, sign, square, sqrt, cbrt, exp, log1p, tanh, negative, reciprocal, norm, cosine_sim, add, "
    "subtract, multiply, divide, power, maximum, minimum, clip, interp]"
)
"""Setting of the campaign matrices without its functions of rows, columns and matrices."""

_OF_MATRICES = _ELEMENTWISE.removesuffix("]") + ", orthogonalize, row_norm, row_mean, column_norm, column_mean]"
"""The functions of the campaign matrices."""

_WITH = " ".join(f"optsearch-runs/with/seed{seed}" for seed in range(1, 6))
_WARM, _FIRST_LOSS = ("warm_start.fitness",), ("rows.0.test_loss", "rows.6.test_loss")

ENTRIES: tuple[Entry, ...] = (
    Entry(
        "quickstart",
        ("README.md: Quick start",),
        ("optsearch search quickstart --json",),
        takes="3 min",
        small=_search("quickstart", "run"),
        near=_WARM,
    ),
    Entry(
        "study",
        ("README.md: What it has found", "docs/evidence.md: Evolution beside tuning alone"),
        (
            *(f"optsearch search study --seed {seed} --set control_budget=1 {AS_MEASURED}" for seed in range(5)),
            f"python benchmarks/evidence.py {_RUNS}",
        ),
        takes="75 min",
        expect="of each search the digest beside its seed in docs/evidence.md; the rows of 6,000 evaluations",
        small=(
            *_search("study", "study-seed0", "controls=[constants]", "control_budget=1", *MEASURED_WITH),
            *_search("study", "study-seed1", "controls=[constants]", "control_budget=1", "seed=1", *MEASURED_WITH),
            "python benchmarks/evidence.py study-seed0 study-seed1 --seeds 2",
        ),
        near=("controls.0.equal_loss.0",),
    ),
    Entry(
        "study-4x",
        ("docs/evidence.md: Evolution beside tuning alone",),
        (
            *(
                f"optsearch search study --seed {seed} --set controls=[constants,random] {AS_MEASURED}"
                for seed in range(5)
            ),
            f"python benchmarks/evidence.py {_RUNS}",
        ),
        takes="some 2 hours, not timed in one go",
        expect="the rows of 24,000 evaluations in docs/evidence.md",
    ),
    Entry(
        "rediscovery",
        ("docs/evidence.md: On a task where sign momentum is ahead", "README.md: What it has found"),
        (
            *(f"optsearch search rediscovery --seed {seed} --set controls=[]" for seed in range(5)),
            f"python benchmarks/rediscovery.py {_FIVE} --distil",
        ),
        takes="some 40 min, not timed in one go",
        small=(
            *_search("rediscovery", "run"),
            "python benchmarks/rediscovery.py run --top 5",
        ),
    ),
    Entry(
        "matrices",
        ("docs/evidence.md: Functions of matrices",),
        (
            "optsearch search matrices --seed 1 --seeds 5 --out optsearch-runs/with",
            f"optsearch search matrices --seed 1 --seeds 5 --set '{_ELEMENTWISE}' --set controls=[] "
            "--out optsearch-runs/without",
            f"python benchmarks/rediscovery.py {_WITH} --kind orthogonal --distil",
        ),
        takes="90 min",
        small=(
            *_search("matrices", "run"),
            "python benchmarks/rediscovery.py run --kind orthogonal --top 5",
        ),
    ),
    Entry(
        "matrices-tuned",
        ("docs/evidence.md: Functions of matrices", "README.md: What it has found"),
        (
            "optsearch search matrices --seed 1 --seeds 5 --out optsearch-runs/with",
            "optsearch evaluate with/seed1:best with/seed2:best with/seed3:best with/seed4:best with/seed5:best "
            "orthogonal-adamw --task lm --baseline adamw --baseline nadamw --baseline clipped --baseline cautious "
            "--baseline free-schedule --baseline lion --baseline muon --baseline soap --tune 48 --replicates 5 "
            "--seeds 16 --json",
        ),
        takes="60 min; 16 min after the search",
    ),
    Entry(
        "path",
        ("docs/evidence.md: On a task where sign momentum is ahead",),
        (
            "optsearch search rediscovery --seed 10 --set budget.evaluations=2000 --set controls=[]",
            "python benchmarks/rediscovery.py optsearch-runs/rediscovery-seed10 --path --distil",
        ),
        takes="6 min",
    ),
    Entry(
        "sign-elsewhere",
        ("docs/evidence.md: On short proxies", "docs/evidence.md: What the programs are"),
        (*SETS_FOUND, f"python benchmarks/rediscovery.py {_RUNS} {_SETS}"),
        takes="30 min after `study`",
        small=(*_search("study", "run", *MEASURED_WITH), "python benchmarks/rediscovery.py run --top 5 --path"),
    ),
    Entry(
        "funnel",
        ("docs/evidence.md: Several domains at once",),
        (*SETS_FOUND, f"optsearch select {' '.join((*STUDY, *SETS))} --funnel domains --json"),
        takes="45 min after `study`",
        expect=ONE_TUNING,
        small=(
            *_search("study", "run", *MEASURED_WITH),
            "optsearch select run --funnel domains --set 'candidates={per_run: 4, most: 3}' "
            f"--set 'stages={_STAGES}' --kept-in . --workers 0 --json",
        ),
    ),
    Entry(
        "distilled",
        ("docs/evidence.md: Distilling",),
        tuple(
            f"optsearch simplify {name} --task ae --task teach --task lmmlp --json"
            for name in ("bounded-root", "leaky-max", "root-scale")
        ),
        takes="3 min",
        small=("optsearch simplify bounded-root --steps prune,rewrite --json",),
        near=("statements",),
    ),
    Entry(
        "seven-tasks",
        ("docs/evidence.md: What one tuning made of them",),
        (
            *SETS_FOUND,
            "optsearch evaluate study-seed0:8692 set-seed0:8402 set-seed3:3209 --task digits --task cnn "
            "--task diffusion --task contrastive --task finetune --task vit --task mlm --baseline adamw "
            "--baseline lion --baseline nadam --baseline cautious --baseline clipped --baseline free-schedule "
            "--tune 48 --replicates 1 --seeds 64 --skip-seeds 32 --json",
        ),
        takes="35 min after `study`",
        expect=ONE_TUNING,
    ),
    Entry(
        "held-out",
        (
            "docs/evidence.md: Tasks that share no data with a search",
            *(f"optsearch show {name}" for name in DISCOVERED),
        ),
        tuple(dict.fromkeys(f"{one.record.held_out.command} --json" for one in DISCOVERED.values())),
        takes="65 min",
        small=(
            *_search("root-scale", "run"),
            "optsearch evaluate run:best lion --task digits --baseline adamw --tune 2 --replicates 2 --seeds 3 "
            "--workers 0 --kept-in . --json",
        ),
    ),
    Entry(
        "jitter",
        ("docs/evidence.md: Tasks that share no data with a search",),
        ("python benchmarks/jitter.py",),
        takes="40 min",
        expect="no verdict over all tasks differs (else it fails)",
        small=(
            "python benchmarks/jitter.py root-scale --tasks digits --baselines adamw --trials 2 --seeds 3 --workers 0 "
            "--kept-in .",
        ),
    ),
    Entry(
        "shared-data",
        ("docs/evidence.md: Tasks that share data with a search", "docs/evidence.md: On larger rungs"),
        tuple(dict.fromkeys(f"{more.command} --json" for one in DISCOVERED.values() for more in one.record.further)),
        takes="3 h",
        expect="the losses of the record within their intervals, and its verdicts; the digest has not been recorded",
    ),
    Entry(
        "recompute",
        (
            "docs/evidence.md: Tasks that share no data with a search",
            "docs/evidence.md: Tasks that share data with a search",
            "docs/evidence.md: On larger rungs",
        ),
        ("python benchmarks/recompute.py",),
        takes="10 s",
        expect="every number agrees (else it fails)",
    ),
    Entry(
        "cost",
        ("docs/evidence.md: What it cost",),
        (f"python benchmarks/cost.py {_RUNS}",),
        takes="1 min after `study`",
        expect="core-hours follow the machine; fingerprint about 2 and hurdle about 1.2 whatever it is",
    ),
    Entry(
        "batch-size",
        ("docs/selection.md: Batch size",),
        ("optsearch evaluate lion --task digits --batch 16,64,256 --baseline adamw --json",),
        takes="3 min",
        small=(
            "optsearch evaluate lion --task digits --batch 64,256 --baseline adamw --tune 2 --replicates 2 --seeds 3 "
            "--workers 0 --kept-in . --json",
        ),
        near=_FIRST_LOSS,
    ),
    Entry(
        "lion",
        ("docs/distil.md: An example: Lion",),
        ("optsearch simplify lion-raw --json",),
        takes="15 s",
        small=("optsearch simplify lion-raw --steps prune,rewrite --json",),
        near=("statements",),
    ),
    *(
        Entry(
            f"search-{name}",
            (f"optsearch show {name}",),
            (f"{one.commands[0]} --json",),
            takes="8 min",
            small=_search(name, "run"),
            near=_WARM,
        )
        for name, one in DISCOVERED.items()
    ),
    Entry(
        "adamw",
        ("docs/tasks.md: Families and ladders",),
        ("python benchmarks/tasks.py adamw",),
        takes=HOURS,
        expect="the losses and the noise that `optsearch tasks` shows: proxy_tasks/data/measured.json stays as it is",
    ),
    Entry(
        "targets",
        ("docs/targets.md: Measurements",),
        (
            "python benchmarks/tasks.py adamw code flights land pronunciation",
            "optsearch evaluate muon --task flights --task land --baseline adamw "
            "--tune 4 --replicates 2 --seeds 2 --json",
        ),
        expect="AdamW's losses and noise as in proxy_tasks/data/measured.json; those of the comparison as in the table",
    ),
    Entry(
        "hurdle",
        ("docs/evaluator.md: Runs that stop early",),
        (
            f"optsearch search quickstart {AS_MEASURED}",
            "python benchmarks/hurdle.py optsearch-runs/quickstart-seed0",
        ),
        takes="4 min",
        small=(*_search("quickstart", "run", *MEASURED_WITH), "python benchmarks/hurdle.py run --sample 10"),
    ),
    Entry(
        "ranks",
        ("docs/tasks.md: What was measured",),
        ("python benchmarks/tasks.py ranks", "python benchmarks/tasks.py ranks --rungs x100"),
        takes=HOURS,
        small=(f"python benchmarks/tasks.py ranks digits {_FEW}",),
    ),
    Entry(
        "headroom",
        ("docs/tasks.md: What was measured",),
        ("python benchmarks/tasks.py headroom ae teach lmmlp lm",),
        takes=HOURS,
        small=(f"python benchmarks/tasks.py headroom digits --trials 20 {_FEW}",),
        near=("digits.adamw",),
    ),
    Entry(
        "search-set",
        ("docs/tasks.md: What was measured",),
        ("python benchmarks/tasks.py search-set ae teach lmmlp lm diffusion contrastive finetune",),
        takes=HOURS,
        small=(f"python benchmarks/tasks.py search-set digits quadratic {_FEW}",),
    ),
    Entry(
        "sweep",
        ("docs/tasks.md: What was measured",),
        ("python benchmarks/tasks.py sweep ae lmmlp teach",),
        takes=HOURS,
        small=(f"python benchmarks/tasks.py sweep digits {_FEW}",),
    ),
    Entry(
        "paper-size",
        ("docs/speed.md: Speed",),
        ("python benchmarks/campaign.py --workers 2 --restart",),
        takes="12 min",
        small=("python benchmarks/campaign.py --programs 200 --workers 0",),
    ),
    Entry(
        "workers",
        ("docs/speed.md: Speed",),
        ("python benchmarks/campaign.py --programs 20000 --workers 2 --compare",),
        expect="speed_2_over_1 above 1.6, speed_1_over_0 above 0.9; the same population for each (else it fails)",
    ),
    Entry(
        "scale",
        ("docs/cluster.md: How many workers",),
        ("python benchmarks/scale.py --seconds 0.02 1 60 --workers 10 100 1000 --evaluations 3000",),
        takes="90 s",
        expect="as many fed workers as the speed of the core allows; the same order of rows",
    ),
    Entry(
        "extensions",
        ("docs/evidence.md: Which extensions find more for the same training",),
        (
            "python benchmarks/search_study.py --out optsearch-runs/extensions --seeds 5 "
            "--factors archive adaptation cross race refinement",
            "python benchmarks/search_study.py --out optsearch-runs/hurdles --seeds 10 "
            "--factors hurdle elite rotate parsimony",
            "python benchmarks/search_study.py --out optsearch-runs/arms --seeds 10 "
            "--arms rotate+hurdle median+hurdle rotate+small+hurdle rotate+greedy+hurdle",
            *(
                f"python benchmarks/search_study.py --out optsearch-runs/arms-{task} --task {task} --steps {steps} "
                f"--tuning 400 --seeds 10 --arms median+hurdle --set '{_OF_MATRICES}' --set mutation.wrap=5 "
                "--set 'rate_sweep={factors: [0.1, 3.0, 10.0, 30.0], trial: 0.1}'"
                for task, steps in (("lmmlp", 300_000), ("lm", 200_000))
            ),
            "python benchmarks/restarts.py",
        ),
        takes="6 h, under load",
        expect="every effect within its interval",
    ),
    Entry(
        "calibration",
        ("docs/selection.md: How often an optimizer is told from itself",),
        ("python benchmarks/calibration.py",),
        takes="75 min, under load",
        expect="shares of false verdicts whose intervals contain the level or lie below it",
    ),
    Entry(
        "tuner",
        ("docs/selection.md: Tuning",),
        (
            "python benchmarks/tuner.py --samplers product random tpe cmaes handover --replicates 2 --random 256 "
            "--contenders adamw nadamw lion free-schedule root-scale --figures docs/figures",
        ),
        takes="70 min, under load",
        expect="regrets within the stated standard errors",
    ),
    Entry(
        "evaluator",
        (
            "docs/speed.md: Speed",
            "docs/evaluator.md: Against compiling, and against the floor",
            "docs/evaluator.md: Where compiling wins",
            "docs/evaluator.md: Functions of matrices",
        ),
        ("python benchmarks/evaluator.py",),
        takes="6 min",
        expect="speedup_over_compiling about 100, time_over_floor about 1.2, adamw_over_floor about 1.1; "
        "of matrices, with_opcodes about 1 and orthogonalize_over_hand below 1.3",
    ),
    Entry(
        "roofline",
        ("docs/evaluator.md: Predicted throughput on GPUs",),
        ("python benchmarks/roofline.py --json",),
        expect="the tables, which are predictions: they follow from what JAX 0.10.2 lowers, on any machine",
    ),
    Entry(
        "peers",
        ("benchmarks/peers.md: Peers",),
        ("python benchmarks/peers.py",),
        takes="2 min",
        expect="our column: the counts of pairs and of the walk exactly, times in their ratios to AdamW by hand",
    ),
    Entry(
        "report",
        ("docs/speed.md: Speed",),
        ("optsearch search paper-size", "optsearch report optsearch-runs/paper-size-seed0"),
        takes="12 min",
        expect="about 10 s and under 2 MB for 300,000 programs",
    ),
)
"""All reproducible results."""

BY_NAME = {entry.name: entry for entry in ENTRIES}
