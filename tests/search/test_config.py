"""Errors in a campaign file are reported all at once, with line numbers and the nearest valid name."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optsearch.search.config import CampaignConfig, load_campaign, load_campaign_file
from optsearch.search.settings.config_errors import ConfigError
from optsearch.search.settings.yaml_text import read_yaml

GOOD = """\
name: test
task: ae
warm_start: adamw
budget: {programs: 100}
"""


def faults(text: str, *overrides: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load_campaign(text, "c.yaml", overrides)
    return caught.value.faults


def test_defaults_fill_what_is_not_given() -> None:
    config = load_campaign(GOOD, "c.yaml")
    assert config == CampaignConfig.model_validate(config.model_dump())
    assert config.population.size == 1000
    assert config.hurdle is None
    assert not set(config.fresh_seed_values) & set(config.training_seeds)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("populaton: {size: 3}", r"c\.yaml:5: populaton: unknown key; did you mean 'population'\?"),
        ("population: {sise: 3}", r"c\.yaml:5: population\.sise: unknown key; did you mean 'size'\?"),
        ("population:\n  size: many", r"c\.yaml:6: population\.size: must be a whole number, got 'many'"),
        ("population:\n  size: 0", r"c\.yaml:6: population\.size: must be at least 1, got 0"),
        ("population: 7", r"c\.yaml:5: population: must be a mapping of keys to values, got 7"),
        ("population: {size: 5, tournament: 6}", r"population: tournament is 6, but the population has only 5"),
        ("task: ae", r"c\.yaml:5: task: duplicate key, first in line 2"),
        ("training_seeds: 3", r"c\.yaml:5: training_seeds: must be a list, got 3"),
        ("training_seeds:\n  - 0\n  - x", r"c\.yaml:7: training_seeds\.1: must be a whole number, got 'x'"),
        ("training_seeds: [1, 1]", r"a value is listed twice"),
        ("training_seeds: []", r"must have at least 1 entries"),
        ("seed: no", r"c\.yaml:5: seed: must be a whole number, got false \(yes, no"),
        ("description: no", r"c\.yaml:5: description: must be a string, got false \(yes, no"),
        ("seed: 1e3", r"c\.yaml:5: seed: must be a whole number, got 1000\.0 \(write 1000\)"),
        ("mutation: {insert: .nan}", r"mutation\.insert: must be a finite number, got nan|at least 0"),
        ("mutation: {insert: '1'}", r"mutation\.insert: must be a number, got '1'"),
        ("functions: [sqr]", r"c\.yaml:5: functions: unknown function 'sqr'; did you mean 'sqrt'\?"),
        ("functions: [dot]", r"at least one function that takes operands of any kind"),
        ("controls: [constant]", r"controls\.0: must be 'constants', 'schedule' or 'random', got 'constant'"),
        ("algorithm: evolve", r"algorithm: must be 'evolution', 'constants', 'schedule' or 'random', got 'evolve'"),
        ("algorithm: constants", r"the search itself uses 'constants': remove it from controls"),
        ("extra_state: [m]", r"c\.yaml:5: extra_state: parameter 'm' appears twice"),
        ("extra_state: [sqrt]", r"extra_state: 'sqrt' is a function"),
        ("constants: {spred: 1}", r"constants\.spred: unknown key; did you mean 'spread'\?"),
        ("constants: {spread: 0}", r"constants\.spread: must be above 0"),
        ("further_tasks:\n  - {task: aee}", r"c\.yaml:5: further_tasks: unknown task 'aee'"),
        ("further_tasks: [{task: digits}]", r"further_tasks: task 'digits' is held out"),
        ("further_tasks: [{task: ae}]", r"a task is listed twice in the fitness: ae, ae"),
        ("further_tasks: [{tsk: ae, task: ae}]", r"further_tasks\.0\.tsk: unknown key; did you mean 'task'\?"),
        ("task_scale: 2.0", r"c\.yaml:5: task_scale: task_scale requires further_tasks"),
        ("first_stage: {searches: 0, budget: {programs: 3}}", r"first_stage\.searches: must be at least 1, got 0"),
        ("first_stage: {searches: 2}", r"first_stage\.budget: this key is required"),
        ("meta_validation: {task: ae}", r"meta_validation\.task is 'ae', which is part of the fitness"),
        ("meta_validation: {task: X_ea}", r"meta_validation: unknown task 'X_ea': did you mean 'X_ae'\?"),
        ("hurdle: {factor: 0.5}", r"c\.yaml:5: hurdle\.factor: must be at least 1\.0, got 0\.5"),
        ("hurdle: {at: [2]}", r"hurdle\.at\.0: must be at most 1\.0, got 2"),
        ("limits: {statements: 3}", r"the warm start has 9 statements, but limits\.statements is 3"),
        ("seed: &a 3", r"^$"),
        (
            "limits: {statements: 200}\nalgorithm: schedule\nfirst_stage: {budget: {programs: 3}}",
            r"'schedule' starts with one more than its first stage finds: at most 199",
        ),
        ("functions: [sqrt]\ncontrols: [random]", r"c\.yaml:5: functions: 'random' cannot draw programs: their last"),
        ("functions: [sqrt]\nalgorithm: random", r"c\.yaml:5: functions: 'random' cannot draw programs: their last"),
        ("constants: {step: 100}", r"c\.yaml:5: constants\.step: must be at most 8\.0, got 100"),
        ("seed: 1_", r"c\.yaml:5: seed: must be a whole number, got '1_'"),
        ("rate_sweep: {}\nlimits: {statements: 200}", r"c\.yaml:6: limits\.statements: .* rate_sweep can add one"),
        ("description: !!python/name:os.system x", r"c\.yaml:5: description: tags are not allowed"),
        ("training_seeds: &a [1]\ncontrols: *a", r"aliases \(\*name\) are not allowed"),
        ("description: [", r"c\.yaml:\d: not valid YAML"),
    ],
)
def test_each_fault_is_said_with_its_line(line: str, said: str) -> None:
    if said == r"^$":
        load_campaign(f"{GOOD}{line}\n", "c.yaml")
        return
    found = faults(f"{GOOD}{line}\n")
    assert len(found) == 1
    assert re.search(said, found[0]), found[0]


def test_names_are_checked() -> None:
    assert "did you mean 'ae'" in faults(GOOD.replace("ae", "aee"))[0]
    assert "held out" in faults(GOOD.replace("ae", "digits"))[0]
    assert "in further_tasks" in faults(GOOD.replace("ae", "teach"))[0]
    assert load_campaign(f"{GOOD}further_tasks: [{{task: teach}}]\n", "c.yaml").further_tasks[0].task == "teach"
    assert "did you mean 'adamw'" in faults(GOOD.replace("adamw", "adanw"))[0]
    bad = GOOD.replace("adamw", "|\n  def train(w, g, lr):\n    update = sqr(g)\n    return update")
    assert re.search(r"c\.yaml:3: warm_start: the program is not valid: line 2: unknown function 'sqr'", faults(bad)[0])
    assert "no constants" in faults(GOOD.replace("adamw", "sgd"))[0]
    load_campaign(GOOD.replace("adamw", "sgd") + "controls: []\n", "c.yaml")


def test_all_faults_at_once_in_the_order_of_the_file() -> None:
    text = "name: n\ntask: aee\nbugdet: {programs: 3}\nseed: -1\nseed: 2\npopulation: {size: x, sice: 2}\n"
    found = faults(text, "hurdle.factor=0", "nonsense", "name.x=2")
    lines = [int(m[1]) for m in (re.match(r"c\.yaml:(\d+):", fault) for fault in found) if m]
    assert lines == sorted(lines) == [2, 3, 4, 5, 6, 6]
    assert "c.yaml: budget: this key is required" in found
    assert [fault for fault in found if fault.startswith("--set")] == list(found[-3:])


def test_overrides_replace_and_add() -> None:
    config = load_campaign(GOOD, "c.yaml", ["budget.programs=7", "hurdle.factor=2", "mutation.insert=1e-3", "seed=5"])
    assert (config.budget.programs, config.seed, config.mutation.insert) == (7, 5, 1e-3)
    assert config.hurdle is not None
    assert config.hurdle.factor == 2
    assert faults(GOOD, "population.sze=3") == (
        "--set population.sze=3: population.sze: unknown key; did you mean 'size'?",
    )
    assert faults(GOOD, "seed=1_") == ("--set seed=1_: seed: must be a whole number, got '1_'",)
    assert faults(GOOD, "functions=[sqrt]", "controls=[random]")[0].startswith("--set functions=[sqrt]: functions: ")
    assert faults(GOOD, "seed") == ("--set seed: write it as key=value or key.sub=value",)
    assert faults(GOOD, "name.x=1") == ("--set name.x=1: name is 'test', not a mapping",)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 1e-3), ("1E5", 1e5), ("-.5", -0.5), ("1_000", 1000), ("0123", 123),
        ("1_", "1_"), ("1__0", "1__0"), ("1_.5", "1_.5"), ("1_0.5", 10.5), ("1:30", "1:30"),
        ("2020-01-01", "2020-01-01"), ("0x1F", "0x1F"), ("yes", True), ("off", False), ("'no'", "no"), ('"1"', "1"),
        ("~", None), ("", None), ("y", "y"), (".inf", float("inf")), ("-.inf", float("-inf")), ("adam", "adam"),
        ("1.2.3", "1.2.3"), ("+3", 3), ("|\n  a\n  b", "a\nb\n"),
    ],
)  # fmt: skip
def test_scalars_mean_what_people_mean(text: str, value: object) -> None:
    data = read_yaml(f"key: {text}\n").data["key"]
    assert data == value
    assert type(data) is type(value)


@given(st.text(max_size=200))
def test_any_text_gives_settings_or_faults(text: str) -> None:
    for whole in (text, GOOD + text):
        with contextlib.suppress(ConfigError):
            load_campaign(whole, "c.yaml")


def test_monsters_are_refused_quickly() -> None:
    for text in ("[" * 5000, "{a: " * 3000, "a: " + "9" * 100_000, "a" * 2_000_000, "\x00", "- 1\n- 2\n"):
        assert faults(text)


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load_campaign_file(tmp_path / "none.yaml")
    (tmp_path / "bytes.yaml").write_bytes(b"name: \xff")
    with pytest.raises(ConfigError, match="byte 6 is not UTF-8"):
        load_campaign_file(tmp_path / "bytes.yaml")
    (tmp_path / "good.yaml").write_text(GOOD)
    config, text = load_campaign_file(tmp_path / "good.yaml")
    assert (config.name, text) == ("test", GOOD)


def test_reading_settings_imports_neither_jax_nor_ray() -> None:
    code = (
        "import sys; from optsearch.search.config import load_campaign; "
        f"load_campaign({GOOD!r}, 'c'); sys.exit('jax' in sys.modules or 'ray' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
