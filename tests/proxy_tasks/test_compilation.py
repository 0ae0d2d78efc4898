"""Cache of compiled loops; results do not depend on JAX's settings."""

from __future__ import annotations

import os
import subprocess
import sys
import zlib
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import pytest

from optsearch.dsl.library import LIBRARY
from optsearch.dsl.syntax import parse
from optsearch.proxy_tasks.compilation import CHECKED, cache_folder, drop_damaged, give_memory_back
from optsearch.proxy_tasks.outcome import TrainingResult
from optsearch.proxy_tasks.registry import get_task
from optsearch.proxy_tasks.trainer import Trainer

SETTINGS: dict[str, tuple[str, Callable[[], AbstractContextManager[Any]]]] = {
    "JAX_ENABLE_X64": ("1", lambda: jax.enable_x64(True)),
    "JAX_DEFAULT_PRNG_IMPL": ("rbg", lambda: jax.default_prng_impl("rbg")),
    "JAX_THREEFRY_PARTITIONABLE": ("0", lambda: jax.threefry_partitionable(False)),
    "JAX_NUMPY_DTYPE_PROMOTION": ("strict", lambda: jax.numpy_dtype_promotion("strict")),
    "JAX_DEFAULT_MATMUL_PRECISION": ("bfloat16", lambda: jax.default_matmul_precision("bfloat16")),
    "JAX_DEBUG_NANS": ("1", lambda: jax.debug_nans(True)),
    "JAX_DEBUG_INFS": ("1", lambda: jax.debug_infs(True)),
    "JAX_DISABLE_JIT": ("1", jax.disable_jit),
}
"""Variables of the environment that would change a result or end it, with the same setting for a block."""


def results() -> list[TrainingResult]:
    """Of a program, of one that ends as non-finite, and of an optimizer of optax."""
    import optax

    trainer = Trainer(replace(get_task("ae"), steps=10))
    made = [trainer.run(LIBRARY["adamw"], 3), trainer.run(LIBRARY["sgd"], 3, rate=1e30)]
    return [*made, trainer.run_optax(lambda schedule: optax.sgd(schedule), 3, rate=0.1)]


@pytest.fixture(scope="module")
def undisturbed() -> list[TrainingResult]:
    return results()


@pytest.mark.parametrize(
    "names", [tuple(SETTINGS), *(pytest.param((name,), marks=pytest.mark.slow) for name in SETTINGS)], ids=" ".join
)
def test_no_setting_of_jax_decides_a_result(names: tuple[str, ...], undisturbed: list[TrainingResult]) -> None:
    with ExitStack() as stack:
        for name in names:
            stack.enter_context(SETTINGS[name][1]())
        assert results() == undisturbed
    assert not jax.config.jax_enable_x64


@pytest.mark.slow
@pytest.mark.parametrize("name", SETTINGS)
def test_no_variable_of_the_environment_decides_a_result(name: str, undisturbed: list[TrainingResult]) -> None:
    code = "from test_compilation import results; print(results())"
    place = {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    environment = os.environ | place | {name: SETTINGS[name][0], "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(undisturbed)


@pytest.mark.parametrize(
    ("command", "variable"),
    [
        (["evaluate", "lion", "--task", "ae"], "JAX_PLATFORMS"),
        pytest.param(["search", "quickstart", "--out", "run"], "JAX_ENABLE_X64", marks=pytest.mark.slow),
    ],
)
def test_an_environment_without_jax_is_said_in_a_sentence(command: list[str], variable: str, tmp_path: Path) -> None:
    code = (
        "import sys; from optsearch.runs.cli.app import main; sys.argv[1:] = "
        + repr([*command, "--workers", "0"])
        + "; main()"
    )
    environment = os.environ | {variable: "bogus", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 2
    assert "error: JAX cannot start: " in done.stderr
    assert f"{variable}=bogus" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_environment_chooses_the_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path))
    assert cache_folder() == tmp_path


def test_without_it_the_users_cache_folder_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("sys.platform", "linux")
    assert cache_folder() == tmp_path / "optsearch" / "compiled"


def test_damaged_entries_are_dropped_and_the_others_kept(tmp_path: Path) -> None:
    good = zlib.compress(b"an executable" * 1000)
    flipped = bytes([*good[:-3], good[-3] ^ 1, *good[-2:]])
    entries = {"good": good, "zstd": b"\x28\xb5\x2f\xfd...", "cut": good[:-5], "empty": b"", "zeros": bytes(99)}
    for name, data in (entries | {"flipped": flipped}).items():
        (tmp_path / f"{name}-cache").write_bytes(data)
    (tmp_path / "cut").write_bytes(b"of somebody else")
    drop_damaged(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"good-cache", "zstd-cache", "cut"}
    drop_damaged(tmp_path / "nowhere")


COMPILE = """
import jax
from optsearch.proxy_tasks.compilation import prepare_process
prepare_process()
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
jax.jit(lambda x: jax.numpy.sin(x) @ x)(jax.numpy.ones((3, 3))).block_until_ready()
"""


@pytest.mark.slow
def test_a_damaged_cache_is_replaced(tmp_path: Path) -> None:
    """JAX alone would warn about the damaged entries for ever."""
    environment = {k: v for k, v in os.environ.items() if k != "JAX_COMPILATION_CACHE_DIR"} | {
        "XDG_CACHE_HOME": str(tmp_path)
    }

    def compiled() -> dict[str, int]:
        done = subprocess.run(
            [sys.executable, "-c", COMPILE], env=environment, capture_output=True, text=True, check=True
        )
        assert "Error reading" not in done.stderr
        return {path.name: path.stat().st_size for path in tmp_path.rglob("*-cache")}

    whole = compiled()
    assert 0 < len(whole) <= CHECKED
    for number, path in enumerate(sorted(tmp_path.rglob("*-cache"))):
        path.write_bytes(path.read_bytes()[: 20 * (number % 2)])
    again = compiled()
    assert again.keys() == whole.keys()
    assert min(again.values()) > 20


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc gives memory back when asked")
def test_freed_memory_goes_back_to_the_system() -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1])

    blocks = [bytearray(64 * 1024) for _ in range(2000)]  # below the size that malloc maps one by one
    keep = blocks[-1]  # so that what is freed does not lie at the end of the heap
    full = resident()
    del blocks
    give_memory_back()
    assert full - resident() > 0.8 * 2000 * 16
    assert len(keep) == 64 * 1024


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory mappings are limited on Linux")
def test_a_process_does_not_run_out_of_memory_mappings(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the system's limit XLA aborts the process, after some 300 compiled loops."""
    maps = Path("/proc/self/maps")
    programs = [parse(str(LIBRARY["adamw"]).replace("lr * 0.001", f"lr * {0.001 * n}")) for n in range(1, 6)]
    task = replace(get_task("digits"), steps=10)
    kept = Trainer(task, method="compile")
    expected = [kept.run(program, 0) for program in programs]
    few = len(maps.read_text().splitlines())
    monkeypatch.setattr("optsearch.proxy_tasks.compilation.MAPPINGS", 0.0)
    crowded = Trainer(task, method="compile")
    assert [crowded.run(program, 0) for program in programs] == expected
    assert crowded.compilations == len(programs)
    assert len(maps.read_text().splitlines()) < few  # the earlier trainer's loops are dropped too
    assert [kept.run(program, 0) for program in programs] == expected
    assert kept.compilations == 2 * len(programs)
