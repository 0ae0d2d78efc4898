"""CIFAR-10 and WikiText from small data of the same format; nothing is downloaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optsearch.proxy_tasks import hub
from optsearch.proxy_tasks.contract import LAWS, Subject
from optsearch.proxy_tasks.datasets.text import ALPHABET
from optsearch.proxy_tasks.registry import import_tasks
from optsearch.proxy_tasks.task import Task, TaskError


def pictures() -> dict[str, list[dict[str, Any]]]:
    rng = np.random.default_rng(0)
    return {
        name: [{"img": rng.integers(0, 256, (32, 32, 3), np.uint8), "label": int(rng.integers(10))} for _ in range(n)]
        for name, n in (("train", 90), ("test", 20))
    }


def paragraphs() -> dict[str, list[dict[str, Any]]]:
    rng = np.random.default_rng(1)
    return {
        name: [{"text": "".join(rng.choice(list(ALPHABET), 1300)) + "\n"}, {"text": ""}, {"text": " = Títle 夏 =\n"}]
        for name in ("train", "validation", "test")
    }


def keeps_the_laws_of_data(task: Task) -> None:
    subject = Subject(task)
    for law in LAWS:
        if law.name in ("splits", "no leak", "parameters"):
            assert law.check(subject) is None, law.sentence
    batch = tuple(jnp.asarray(array[:4]) for array in task.data.train)
    assert jax.eval_shape(task.loss, task.init(jax.random.key(0)), batch).shape == ()


def test_cifar10() -> None:
    task = hub.cifar10_task(pictures(), counts=(70, 15, 20))
    assert [split[0].shape for split in task.data.splits] == [(70, 3072), (15, 3072), (20, 3072)]
    assert task.data.splits[0][1].dtype == np.int32
    np.testing.assert_allclose([task.data.train[0].mean(), task.data.train[0].std()], [0.0, 1.0], atol=1e-3)
    keeps_the_laws_of_data(task)


def test_wikitext() -> None:
    task = hub.wikitext_task(paragraphs())
    keeps_the_laws_of_data(task)
    inputs, labels = task.data.train
    assert inputs.shape == labels.shape == (20, hub.CONTEXT)
    np.testing.assert_array_equal(inputs[:, 1:], labels[:, :-1])


def test_before_the_download_the_command_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr("optsearch.proxy_tasks.registry._IMPORTED", {})
    with pytest.raises(
        TaskError, match=r"cifar10 has not been downloaded: python -m optsearch\.proxy_tasks\.hub cifar10"
    ):
        import_tasks(["optsearch.proxy_tasks.hub:cifar10"])


def test_what_is_kept_is_read_by_the_loader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr("optsearch.proxy_tasks.registry._IMPORTED", {})
    rows = datasets.DatasetDict({name: datasets.Dataset.from_list(split) for name, split in paragraphs().items()})
    monkeypatch.setattr(datasets, "load_dataset", lambda *source: rows)
    assert hub.download("wikitext") == tmp_path / "datasets" / "wikitext"
    (task,) = import_tasks(["optsearch.proxy_tasks.hub:wikitext"])
    assert task.version == hub.wikitext_task(paragraphs()).version
