"""Recipes of CONTRIBUTING.md: each one, followed in a copy, changes only the files it names, and works."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from optsearch.search.workers.cluster import PACKAGES, staged_package

ROOT = Path(__file__).parent.parent
PATH = re.compile(r"`((?:\w+/)+[\w.-]*)`")
VERSION = re.compile(r"`([A-Z]+_VERSION)` in\s+`([\w/.]+)`")


@dataclass(frozen=True)
class Recipe:
    """What one recipe says.

    Attributes:
        files: paths that it names; a folder stands for new files in it.
        versions: name and file of each version that it may ask to raise.
    """

    files: frozenset[str]
    versions: tuple[tuple[str, str], ...]

    def allows(self, path: str) -> bool:
        files = self.files | {file for _, file in self.versions}
        return path in files or f"{path.rpartition('/')[0]}/" in self.files


def read_recipes() -> dict[str, Recipe]:
    """The recipes by title."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("## Recipes")[2]
    found: dict[str, Recipe] = {}
    for entry in re.split(r"^- ", text, flags=re.MULTILINE)[1:]:
        title, files, versions = re.fullmatch(
            r"\*\*(.*?)\.?\*\*.*^  Files: (.*?)^  Versions: (.*?)", entry, re.DOTALL | re.MULTILINE
        ).groups()  # pyright: ignore[reportOptionalMemberAccess]
        named = VERSION.findall(versions)
        assert named or versions.strip() == "none.", f"{title}: name a version and its file, or write 'none.'"
        found[title] = Recipe(frozenset(PATH.findall(files)), tuple(named))
    return found


RECIPES = read_recipes()


@pytest.mark.parametrize("title", RECIPES)
def test_what_a_recipe_names_is_there(title: str) -> None:
    recipe = RECIPES[title]
    assert recipe.files
    for path in recipe.files:
        assert (ROOT / path).is_dir() if path.endswith("/") else (ROOT / path).is_file(), path
    for name, path in recipe.versions:
        assert re.search(rf"^{name} = \d+$", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE), name


def test_the_table_of_versions_is_complete() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    listed = dict(re.findall(r"^\| `(\w+_VERSION)` \| `([\w/.]+)` \|", text, re.MULTILINE))
    known: dict[str, str] = {}
    for path in (file for package in PACKAGES for file in (ROOT / package).rglob("*.py")):
        for name in re.findall(r"^(\w+_VERSION) = \d+$", path.read_text(encoding="utf-8"), re.MULTILINE):
            known[name] = str(path.relative_to(ROOT))
    assert listed == known


class Copy:
    """A copy of the installed package that a recipe is followed in.

    Args:
        folder: where the copy is put.
        recipe: the only files that may be changed are those that it names.
    """

    def __init__(self, folder: Path, recipe: Recipe):
        self._folder, self._recipe = folder, recipe
        self._package = staged_package(folder)
        self._before = self._contents()

    def _contents(self) -> dict[str, bytes]:
        files = (path for path in self._package.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
        return {str(path.relative_to(self._package)): path.read_bytes() for path in files}

    def insert(self, path: str, before: str, text: str) -> None:
        """Puts a text before another, which stands in the file once."""
        file = self._package / path
        source = file.read_text(encoding="utf-8")
        assert source.count(before) == 1, f"{path} has {source.count(before)} times {before!r}"
        file.write_text(source.replace(before, text + before), encoding="utf-8")

    def add(self, path: str, text: str) -> None:
        """Writes a new file."""
        assert not (self._package / path).exists()
        (self._package / path).write_text(text, encoding="utf-8")

    def raise_versions(self) -> None:
        for name, path in self._recipe.versions:
            file = self._package / path
            source = file.read_text(encoding="utf-8")
            raised = re.sub(rf"(?m)^({name} = )(\d+)$", lambda m: f"{m[1]}{int(m[2]) + 1}", source)
            assert raised != source
            file.write_text(raised, encoding="utf-8")

    def shows(self, code: str) -> None:
        """Runs a script with assertions in a process that imports the copy, and looks at what was changed."""
        after = self._contents()
        changed = {path for path in {*after, *self._before} if after.get(path) != self._before.get(path)}
        assert changed
        for path in changed:
            assert self._recipe.allows(path), f"CONTRIBUTING.md does not name {path}"
        helpers = [ROOT / "tests" / "runs", ROOT / "tests" / "selection"]
        search = os.pathsep.join(map(str, [self._folder, *helpers]))
        environment = {**os.environ, "PYTHONPATH": search, "JAX_PLATFORMS": "cpu"}
        code = f"import optsearch; assert optsearch.__file__.startswith({str(self._folder)!r})\n{code}"
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=self._folder, capture_output=True, text=True, env=environment
        )
        assert done.returncode == 0, done.stderr


@pytest.fixture
def copy(request: pytest.FixtureRequest, tmp_path: Path) -> Copy:
    return Copy(tmp_path, RECIPES[request.param])


def recipe(title: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("copy", [title], indirect=True)


FUNCTION_WORKS = """
import jax, jax.numpy as jnp, numpy as np
from optsearch.dsl.execute import reference_step, step
from optsearch.dsl.export.optax import to_optax_source
from optsearch.dsl.export.text import to_json, to_latex, to_pseudocode
from optsearch.dsl.export.torch import to_torch_source
from optsearch.dsl.fingerprint import fingerprint
from optsearch.dsl.functions import FUNCTIONS
from optsearch.dsl.generate import random_program
from optsearch.dsl.reference import with_table
from optsearch.dsl.syntax import parse
from optsearch.dsl.verify import verify

row = FUNCTIONS["toy"]
program = parse('''def train(w, g, m, lr):
  m = interp(g, m, 0.9)
  x = toy(m)
  x = x * m
  update = x * lr
  return update, m''')
verify(program)
assert len(fingerprint(program)) == 16
rng = np.random.default_rng(0)
w, g, m = ({"a": rng.standard_normal((3, 2)), "b": rng.standard_normal(2)} for _ in range(3))
small = [jax.tree.map(jnp.float32, tree) for tree in (w, g, m)]
flat = [jax.tree.leaves(tree) for tree in (w, g, m)]
expected = jax.tree.unflatten(jax.tree.structure(w), reference_step(program, flat[0], flat[1], [flat[2]], 0.1)[0])
got, _ = step(program, small[0], small[1], [small[2]], 0.1)
jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), got, expected)
exported = {}
exec(to_optax_source(program), exported)
optimizer = exported["optimizer"](0.1)
state = optimizer.init(small[0])._replace(m=small[2])
updates, _ = optimizer.update(small[1], state, small[0])
jax.tree.map(lambda a, b: np.testing.assert_allclose(-a, b, rtol=1e-5), updates, expected)
compile(to_torch_source(program), "torch", "exec")
assert to_latex(program) and "toy" in to_pseudocode(program) + to_json(program)
drawn = (random_program(np.random.default_rng(seed)) for seed in range(100))
assert any(line.function == "toy" for one in drawn for line in one.body)
table = with_table(TEXT)
assert "`toy" in table and "`toy" not in TEXT
"""


def function_works() -> str:
    text = (ROOT / "docs" / "language.md").read_text(encoding="utf-8")
    return f"TEXT = {text!r}\n{FUNCTION_WORKS}"


@recipe("A function of the language")
def test_a_function(copy: Copy) -> None:
    copy.insert(
        "dsl/functions.py",
        "    # Exponentials and logarithms\n",
        """    unary("toy", (lambda jnp, x: x / (1.0 + jnp.abs(x)), lambda x: x / (1.0 + np.abs(x))),
        "{0} / (1.0 + jnp.abs({0}))", _word("toy"), parity=ODD, operation=_DIVISION, range=_UNIT, keeps_sign=True),
""",
    )
    copy.raise_versions()
    copy.shows(
        function_works()
        + "from optsearch.proxy_tasks.execution.instructions import STEP_FORMS\n"
        + "assert 'toy' in STEP_FORMS, 'the interpreter knows it'\n"
    )


@recipe("A function of the language")
def test_a_function_of_the_whole_tree(copy: Copy) -> None:
    copy.insert(
        "dsl/functions.py",
        ")  # fmt: skip\n\nFUNCTIONS",
        """    reduction("toy", (LEAVES,), Kind.SCALAR, lambda jnp, xs: sum(jnp.sum(jnp.abs(x)) for x in xs),
        lambda xs: sum(np.sum(np.abs(x)) for x in xs), _word("toy"), parity=(EVEN,), degree=(1.0,), range=_POSITIVE,
        definitions=(
            "def toy(x):\\n    return sum(jnp.sum(jnp.abs(a)) for a in jax.tree.leaves(x))\\n",
            "def toy(x):\\n    return sum(torch.sum(torch.abs(a)).to(home(x)) for a in x)\\n",
        )),
""",
    )
    copy.shows(function_works())


@recipe("A mutation")
def test_a_mutation(copy: Copy) -> None:
    copy.insert(
        "search/variation/mutation_config.py",
        "    retune: float = Field(",
        "    swap: float = Field(default=1.0, ge=0.0, allow_inf_nan=False)\n",
    )
    copy.insert(
        "search/variation/mutate.py", '            "retune": tune.retune,\n', '            "swap": self._swap,\n'
    )
    copy.insert(
        "search/variation/mutate.py",
        "    def _cross(",
        """    def _swap(self, rng: np.random.Generator, program: Program) -> Change | None:
        places = [place for place, line in enumerate(program.body) if len(line.args) == 2]
        if not places:
            return None
        place = places[pick(rng, places)]
        old = program.body[place]
        new = Statement(old.target, old.function, old.args[::-1])
        body = (*program.body[:place], new, *program.body[place + 1 :])
        if new == old or not is_valid_from(Program(program.state, body), place, scope_before(program, place)):
            return INVALID
        return body, Mutation("swap", place + 2, str(old), str(new))

""",
    )
    copy.raise_versions()
    copy.shows(
        """
import numpy as np
from optsearch.dsl.library import LIBRARY
from optsearch.dsl.verify import verify
from optsearch.search.config import load_campaign
text = "{name: x, task: ae, budget: {programs: 10}, mutation: {swap: 2.0}}"
config = load_campaign(text, "x.yaml")
mutator, rng, drawn = config.variation("evolution"), np.random.default_rng(0), []
for _ in range(200):
    child, mutation = mutator.mutate(rng, LIBRARY["adamw"])
    verify(child)
    drawn.append(mutation.name)
assert 20 < drawn.count("swap") < 180, drawn
"""
    )


@recipe("A control")
def test_a_control(copy: Copy) -> None:
    copy.insert("search/algorithms.py", '"schedule", "random"]\nControlName', '"insertions", ')
    copy.insert("search/algorithms.py", '"schedule", "random"]\n"""Names', '"insertions", ')
    copy.insert(
        "search/algorithms.py",
        "_ROWS = (",
        """def _inserting(settings: VariationSettings) -> Mutator:
    only = {name: float(name == "insert") for name in MutationWeights.model_fields}
    return Mutator(MutationWeights(**only), settings.functions, settings.limits, settings.constants)


""",
    )
    row = 'Algorithm("insertions", "inserts", _inserting, search="insertions", prefix="i", label="insertions alone")'
    copy.insert("search/algorithms.py", '    Algorithm(\n        "random",', f"    {row},\n")
    copy.shows(
        """
from pathlib import Path
from made_up_run import made_up_run
from optsearch.runs.report.findings import read_findings
from optsearch.runs.report.html import _shared_charts
from optsearch.runs.store.writer import RunStore
from optsearch.runs.summary.searches import controls, evaluations_of
from optsearch.runs.summary.run import summary
from optsearch.runs.text.phrasing import control_name
folder = made_up_run(Path("run"), "controls=[constants,insertions]", programs=60)
with RunStore.read(folder) as store:
    found = controls(store)
    assert [search.name for search in found] == ["control", "insertions"]
    assert evaluations_of(store, found[1]) == evaluations_of(store, found[0]) > 0
    assert found[1].program_id(1) == "i1"
    view = summary(store)
    assert [row.control for row in view.comparison] == ["warm start", "constants", "insertions"]
    assert control_name("insertions", "adamw") == "insertions alone"
    (progress,) = [chart for chart in _shared_charts([read_findings(store, "run")]) if chart.name == "progress"]
assert "insertions alone" in {row.get("series") for row in progress.rows}
"""
    )


@recipe("A chart")
def test_a_chart(copy: Copy) -> None:
    copy.insert(
        "runs/report/search_charts.py",
        "def mutations_chart(",
        '''def lengths_chart(windows: Sequence[Window]) -> Chart:
    """Best fitness of each window."""
    encoding = {"x": axis("programs", PROGRAMS), "y": axis("best", "fitness", scale=NOT_ZERO)}
    rows = [row_of(window) for window in windows]
    return Chart("toy", "A toy", "Made up.", {"mark": {"type": "line"}, "encoding": encoding}, rows)


''',
    )
    copy.insert(
        "runs/report/findings.py",
        "    return shown\n\n\ndef fitness_range(",
        "    shown.append(charts.lengths_chart(population))\n",
    )
    copy.shows(
        """
from pathlib import Path
from made_up_run import made_up_run
from optsearch.runs.report.findings import read_findings
from optsearch.runs.report.render import to_svg
from optsearch.runs.store.writer import RunStore
with RunStore.read(made_up_run(Path("run"), programs=60)) as store:
    (chart,) = [chart for chart in read_findings(store, "run").charts if chart.name == "toy"]
assert to_svg(chart).startswith("<svg") and chart.rows
"""
    )


@recipe("A baseline")
def test_a_baseline(copy: Copy) -> None:
    copy.insert(
        "selection/baselines/table.py",
        '    _optax("sgd", 1e-1,',
        '    Baseline("toy", 1e-2, lambda o, lr, v: o.sign_sgd(lr), description="a toy"),\n',
    )
    copy.shows(
        """
import jax.numpy as jnp
from invented import Invented
from optsearch.selection.baselines.table import get_baseline
from optsearch.selection.contender import baseline
from optsearch.selection.problem import Problem
from optsearch.selection.tuning.tuner import TuningBudget, tune
optimizer, params = get_baseline("toy").optimizer(lambda count: 0.5), {"w": jnp.asarray([1.0, -2.0])}
updates, _ = optimizer.update(params, optimizer.init(params), params)
assert updates["w"].tolist() == [-0.5, 0.5]
pool, tuning, answers = Invented({"toy": 0.03}), tune(baseline("toy"), [Problem("ae")], TuningBudget(trials=12)), None
try:
    while True:
        answers = list(map(pool, next(tuning) if answers is None else tuning.send(answers)))
except StopIteration as end:
    (found,) = end.value
assert 0.003 < dict(found.values)["rate"] < 0.3
"""
    )


@recipe("A library optimizer")
def test_a_library_optimizer(copy: Copy) -> None:
    copy.add(
        "dsl/programs/toy.txt", "def train(w, g, lr):\n  update = sign(g)\n  update = update * lr\n  return update\n"
    )
    copy.insert("dsl/library.py", '    "lion-raw": "', '    "toy": "sign of the gradient",\n')
    copy.shows(
        """
from optsearch.dsl.library import LIBRARY
from optsearch.runs.library.catalog import library
from optsearch.search.config import load_campaign
assert LIBRARY["toy"].body[0].function == "sign"
assert "toy" in [entry.name for entry in library()]
campaign = "{name: x, task: ae, warm_start: toy, controls: [], budget: {programs: 1}}"
assert load_campaign(campaign, "x.yaml").warm_start == "toy"
"""
    )


@recipe("A campaign")
def test_a_campaign(copy: Copy) -> None:
    copy.add("runs/commands/campaigns/toy.yaml", "name: toy\ntask: ae\nbudget: {programs: 10}\n")
    copy.shows(
        "from optsearch.runs.library.catalog import campaigns\nassert 'toy' in [one.name for one in campaigns()]\n"
    )


def test_a_file_that_a_recipe_does_not_name_is_noticed(tmp_path: Path) -> None:
    copy = Copy(tmp_path, RECIPES["A baseline"])
    copy.insert("selection/statistics/ranks.py", "from __future__", "# more\n")
    with pytest.raises(AssertionError, match=r"does not name selection/statistics/ranks\.py"):
        copy.shows("")
