"""Custom tasks: the documented example, all data formats, and errors that name the cause and the fix."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optsearch.proxy_tasks.contract import LAWS, Subject
from optsearch.proxy_tasks.custom_task import own_task
from optsearch.proxy_tasks.registry import get_task, import_tasks
from optsearch.proxy_tasks.task import TaskError

DOCS = Path(__file__).parent.parent.parent / "docs" / "tasks.md"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working folder, forgotten afterwards with all modules that were imported from it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr("optsearch.proxy_tasks.registry._IMPORTED", {})
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


def documented() -> str:
    (example,) = re.findall(r"```python\n(# my_tasks\.py\n.*?)```", DOCS.read_text(encoding="utf-8"), flags=re.DOTALL)
    return example


def test_the_documented_task_keeps_every_law(folder: Path) -> None:
    (folder / "my_tasks.py").write_text(documented())
    (task,) = import_tasks(["my_tasks:Spirals"])
    assert get_task("spirals") is task
    assert import_tasks(["my_tasks:Spirals"]) == (task,)
    assert (task.name, task.description) == ("Spirals", "Which of two spirals a point lies on.")
    assert task.use == "search"
    assert task.parameters == 96
    subject = Subject(task)
    assert [law.check(subject) for law in LAWS] == [None] * len(LAWS)


def test_the_documented_class_is_short() -> None:
    body = documented().split("class Spirals")[1].split("\n\n\n")[0]
    assert len([line for line in body.splitlines() if line.strip()]) <= 25


def test_the_version_follows_data_settings_and_code(folder: Path) -> None:
    versions: set[str] = set()
    for number, (old, new) in enumerate([("", ""), ("300", "301"), ("range(3)", "(0, 1, 3)"), ("/ 6}", "/ 5}")]):
        (folder / f"spirals{number}.py").write_text(documented().replace(old, new))
        versions.add(own_task(f"spirals{number}:Spirals").version)
    assert len(versions) == 4


MODULE = """
import jax.numpy as jnp
import numpy as np
from optsearch.proxy_tasks.registry import TASKS

class Line:
    batch_size, steps = 4, 10
    def __init__(self):
        rng = np.random.default_rng(0)
        self.train, self.validation, self.test = (DATA for _ in range(3))
    def init(self, key):
        return jnp.zeros(3)
    def loss(self, params, batch):
        return LOSS

class Unfinished:
    batch_size = 4

class Fraction(Line):
    steps = 0.5

class Brief(Line):
    steps = 9

class Whole(Line):
    def init(self, key):
        return jnp.zeros(3, jnp.int32)

class Weightless(Line):
    def init(self, key):
        return {}

class Vector(Line):
    def loss(self, params, batch):
        return batch @ params

def shipped():
    return TASKS["ae"]

def made():
    return Line()

broken = 3
"""

FORMS = {
    "array": ("rng.normal(size=(8, 3))", "jnp.mean((batch @ params - 1.0) ** 2)"),
    "list of arrays": ("list(rng.normal(size=(8, 3)))", "jnp.mean((batch @ params - 1.0) ** 2)"),
    "tuples": ("[(x, 1) for x in rng.normal(size=(8, 3))]", "jnp.mean((batch[0] @ params - batch[1]) ** 2)"),
    "dictionaries": (
        "[{'x': x, 'y': np.float64(2)} for x in rng.normal(size=(8, 3))]",
        "jnp.mean((batch['x'] @ params - batch['y']) ** 2)",
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_examples_have_any_form_and_a_batch_has_it_too(folder: Path, form: str) -> None:
    data, loss = FORMS[form]
    (folder / "forms.py").write_text(MODULE.replace("DATA", data).replace("LOSS", loss))
    task = own_task("forms:made")
    assert task.name == "made"
    assert {array.dtype for array in task.data.train} <= {np.dtype(np.float32), np.dtype(np.int32)}
    batch = tuple(jnp.asarray(array[:4]) for array in task.data.train)
    assert jax.eval_shape(task.loss, task.init(jax.random.key(0)), batch).shape == ()


class Source:
    """As grain's and TFDS's data sources: a length, and examples by number."""

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        return {"x": np.full(3, index, np.uint8)}


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ("(np.ones((8, 3)), np.ones(8))", r"train is a tuple; give examples, such as list\(zip\(x, y\)\)"),
        ("[]", "train is empty"),
        ("iter([1.0])", "train has no __len__ and __getitem__"),
        ("['a', 'b']", "train holds <U1, not numbers"),
        ("[np.ones(3), np.ones(2)]", "the examples of train differ in shape"),
        ("[np.ones(3), (np.ones(3), 1)]", r"train\[1\] has the structure"),
        ("[[1, 2], [3]]", r"train\[1\] has the structure"),
        ("[None, None]", "train has examples without numbers: None"),
        ("np.ones((8, 0))", r"train has examples without numbers, of shape \(0,\)"),
        ("np.array(3)", "train has no __len__ and __getitem__"),
        ("np.array(['a', 'b'])", "train holds <U1, not numbers"),
        ("'text'", "train holds <U1, not numbers"),
        ("{'x': np.ones((8, 3))}", r"train is a mapping; give examples, such as list\(zip\(x, y\)\)"),
        ("np.ones((3, 2))", "task 'Line': train has 3 examples, fewer than a batch of 4"),
        ("[(np.ones(3), 2**31)] * 8", "train holds 2147483648, but whole numbers are kept as int32"),
        ("[(np.ones(3), -(2**40))] * 8", "train holds -1099511627776, but whole numbers are kept as int32"),
        ("np.full((8, 3), 2**63, np.uint64)", "train holds 9223372036854775808, but whole numbers"),
        ("np.full((8, 3), 1e39)", "train has a number that is not finite in float32"),
        ("np.full((8, 3), np.nan)", "train has a number that is not finite in float32"),
    ],
)
def test_data_of_no_use_are_refused(folder: Path, data: str, says: str) -> None:
    (folder / "bad.py").write_text(MODULE.replace("DATA", data).replace("LOSS", "0.0"))
    with pytest.raises(TaskError, match=f"import bad:Line: {says}"):
        own_task("bad:Line")


@pytest.mark.parametrize(
    ("reference", "says"),
    [
        ("tasks", "write it as module:object"),
        ("my tasks:Line", "write it as module:object"),
        ("nowhere:Line", "there is no module 'nowhere', neither in .* nor installed"),
        ("good:Lines", "module 'good' has no 'Lines'; did you mean 'Line'"),
        ("good:Unfinished", "it has no train, validation, test, steps, init, loss"),
        ("good:broken", "it has no train, validation, test, batch_size"),
        ("good:Fraction", "task 'Fraction': steps is 0.5; it must be a whole number of 10 or more"),
        ("good:Brief", "task 'Brief': steps is 9; it must be a whole number of 10 or more, since a run has 10"),
        ("good:Whole", "init returns int32; the parameters must be arrays of float32"),
        ("good:Weightless", "init returns nothing; the parameters must be arrays of float32"),
        ("good:Vector", r"loss returns an array of shape \(4,\); it must be one number"),
        ("needy:Line", "'needy' needs module 'nowhere', which is not installed"),
    ],
)
def test_a_bad_import_names_the_thing(folder: Path, reference: str, says: str) -> None:
    (folder / "good.py").write_text(MODULE.replace("DATA", "np.ones((8, 3))").replace("LOSS", "0.0"))
    (folder / "needy.py").write_text("import nowhere\n")
    with pytest.raises(TaskError, match=f"import {reference}: {says}"):
        own_task(reference)


def test_names_are_taken_once(folder: Path) -> None:
    for name in ("one", "two"):
        (folder / f"{name}.py").write_text(
            "from optsearch.proxy_tasks.registry import TASKS\nmine = ae = TASKS['ae']\n"
        )
    with pytest.raises(TaskError, match="'ae' is the name of a shipped task"):
        import_tasks(["one:ae"])
    assert import_tasks(["one:mine"])[0].name == "mine"
    with pytest.raises(TaskError, match="task 'mine' is already imported from one:mine"):
        import_tasks(["two:mine"])


def test_what_the_users_code_raises_is_said_with_its_line(folder: Path) -> None:
    whole = MODULE.replace("DATA", "np.ones((8, 3))").replace("LOSS", "jnp.sum(params)")
    for number, (old, new, says) in enumerate([
        ("import numpy as np", "import numpy as np\n1 / 0", r"ZeroDivisionError: .* \(line \d+ of .*: `1 / 0`\)"),
        ("import numpy as np", "import numpy as np\nx = (", r"SyntaxError: '\(' was never closed \(line \d+ of"),
        ("jnp.sum(params)", "batch['pont']", r"TypeError: .* \(line \d+ of .*: `return batch\['pont'\]`\)"),
    ]):  # fmt: skip
        assert old in whole
        (folder / f"raising{number}.py").write_text(whole.replace(old, new, 1))
        with pytest.raises(TaskError, match=f"^import raising{number}:Line: {says}") as caught:
            own_task(f"raising{number}:Line")
        assert len(str(caught.value).splitlines()) == 1


def test_a_function_among_the_parameters_is_said(folder: Path) -> None:
    """An Equinox module holds its activation as a leaf."""
    module = MODULE.replace("DATA", "np.ones((8, 3))").replace("LOSS", "0.0")
    module += (
        "\nclass Module(Line):\n    def init(self, key):\n"
        "        return {'weight': jnp.zeros(3), 'activation': jnp.tanh}\n"
    )
    (folder / "modules.py").write_text(module)
    with pytest.raises(TaskError, match=r"init returns .*tanh.* which is no array: .*eqx\.partition"):
        own_task("modules:Module")


DROPOUT = """
import jax, jax.numpy as jnp, numpy as np

class Dropout:
    batch_size, steps = 8, 20
    def __init__(self):
        rng = np.random.default_rng(0)
        self.train, self.validation, self.test = (
            [(x, x.sum() + 0.1 * rng.normal()) for x in rng.normal(size=(64, 3))] for _ in range(3)
        )
    def init(self, key):
        return {"slope": jnp.zeros(3)}
    def loss(self, params, batch, key):
        x, y = batch
        if key is not None:
            x = x * jax.random.bernoulli(key, 0.5, x.shape) / 0.5
        return jnp.mean((x @ params["slope"] - y) ** 2)

class Plain(Dropout):
    def loss(self, params, batch):
        return super().loss(params, batch, None)

class Normalised(Plain):
    def init(self, key):
        return {"slope": jnp.asarray([1.0, 0.5, 0.1]), "size": jnp.ones(()), "shift": jnp.zeros(())}
    def loss(self, params, batch):
        x, y = batch
        z = x @ params["slope"]
        z = (z - z.mean()) / jnp.sqrt(z.var() + 1e-5)
        return jnp.mean((params["size"] * z + params["shift"] - y) ** 2)
"""


def test_a_loss_that_takes_a_key_drops_out_in_training_alone(folder: Path) -> None:
    (folder / "drops.py").write_text(DROPOUT)
    dropout, plain = own_task("drops:Dropout"), own_task("drops:Plain")
    params = {"slope": jax.numpy.ones(3)}
    assert float(dropout.loss(params, dropout.data.test)) == float(plain.loss(params, plain.data.test))
    first, second = (tuple(column[k : k + 8] for column in dropout.data.train) for k in (0, 8))
    at_first = {float(dropout.loss(params, first)) for _ in range(3)}
    assert len(at_first) == 1, "the same batch has the same key"
    assert at_first != {float(plain.loss(params, first[:-1]))}
    swapped = tuple(column[::-1] for column in first)
    assert at_first != {float(dropout.loss(params, swapped))}, "another order has another key"
    assert float(dropout.loss(params, second)) not in at_first
    subject = Subject(dropout)
    assert [law.check(subject) for law in LAWS] == [None] * len(LAWS)
    assert dropout.compute == plain.compute, "the measured loss is not counted with the trained one"


def test_batch_norm_uses_the_statistics_of_the_batch_and_of_the_whole_split(folder: Path) -> None:
    (folder / "drops.py").write_text(DROPOUT)
    task = own_task("drops:Normalised")
    x, y = task.data.test
    z = x @ [1.0, 0.5, 0.1]
    expected = np.mean(((z - z.mean()) / np.sqrt(z.var() + 1e-5) - y) ** 2)
    assert float(task.loss(task.init(jax.random.key(0)), task.data.test)) == pytest.approx(expected, rel=1e-4)
    assert [law.check(Subject(task)) for law in LAWS] == [None] * len(LAWS)


def test_a_data_source_is_read_by_length_and_number(folder: Path) -> None:
    (folder / "sourced.py").write_text(
        "from test_own import Source\n" + MODULE.replace("DATA", "Source()").replace("LOSS", "jnp.sum(params)")
    )
    task = own_task("sourced:Line")
    np.testing.assert_array_equal(task.data.train[0], np.repeat(np.arange(8), 3).reshape(8, 3))
    assert task.data.train[0].dtype == np.int32


def test_compute_counts_the_products_of_the_loss(folder: Path) -> None:
    """A model that uses its weights many times is costlier than its number of parameters says."""
    (folder / "mine.py").write_text(
        "import jax.numpy as jnp\n"
        "class Deep:\n"
        "    batch_size, steps = 8, 20\n"
        "    train, validation, test = ([[float(i + 64 * s)] * 16 for i in range(16)] for s in range(3))\n"
        "    def init(self, key):\n"
        "        return {'w': jnp.eye(16), 'b': jnp.zeros(16)}\n"
        "    def loss(self, params, batch):\n"
        "        x = jnp.stack(batch, axis=1)\n"
        "        for _ in range(10):\n"
        "            x = jnp.tanh(x @ params['w']) + params['b'][None]\n"
        "        return jnp.mean(x**2)\n"
    )
    (task,) = import_tasks(["mine:Deep"])
    assert task.model.multiply_adds == 10 * 16 * 16
    assert task.compute == 3 * 10 * 16 * 16 * 8 * 20
