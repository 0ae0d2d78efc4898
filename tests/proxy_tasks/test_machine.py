"""Machine records distinguish exactly the machines that round differently."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from optsearch.proxy_tasks import machine
from optsearch.proxy_tasks.machine import environment, numerics, processor
from optsearch.runs.store.environment import machine_changes, made_with

EPYC = """processor\t: 0
vendor_id\t: AuthenticAMD
cpu family\t: 25
model\t\t: 17
model name\t: AMD EPYC
stepping\t: 1
microcode\t: 0xa101148
cpu MHz\t\t: 2596.136
flags\t\t: fpu sse sse2 fma avx avx2 avx512f avx512_bf16 xgetbv1

processor\t: 1
cpu MHz\t\t: 2600.000
"""
ARM = """processor\t: 0
BogoMIPS\t: 2100.00
Features\t: fp asimd aes sve bf16
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x1
CPU part\t: 0xd40
CPU revision\t: 1
"""


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("JAX_", "XLA_"))]:
        monkeypatch.delenv(name)


def named(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "cpuinfo").write_text(text)
    monkeypatch.setattr(machine, "CPU_INFO", tmp_path / "cpuinfo")
    return processor()


def test_a_processor_is_told_by_more_than_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = named(EPYC, tmp_path, monkeypatch)
    assert name == "AMD EPYC, family 25 model 17 stepping 1, avx avx2 avx512_bf16 avx512f fma"
    others = [("family\t: 25", "family\t: 26"), ("model\t\t: 17", "model\t\t: 1"), ("stepping\t: 1", "stepping\t: 2")]
    others += [("avx512f ", ""), ("fma ", ""), ("AMD EPYC", "AMD Ryzen")]
    assert len({named(EPYC.replace(*change), tmp_path, monkeypatch) for change in others} | {name}) == len(others) + 1
    for change in (("2596.136", "3100.2"), ("0xa101148", "0xa101150"), ("xgetbv1", "xgetbv1 smap")):
        assert named(EPYC.replace(*change), tmp_path, monkeypatch) == name
    arm = named(ARM, tmp_path, monkeypatch)
    assert "implementer 0x41 architecture 8 variant 0x1 part 0xd40 revision 1, asimd bf16 sve" in arm
    monkeypatch.setattr(machine, "CPU_INFO", tmp_path / "none")
    assert processor()


def test_kept_trainings_are_keyed_by_processor_and_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {made_with()}
    for text in (EPYC, EPYC.replace("17", "1")):
        named(text, tmp_path, monkeypatch)
        keys.add(made_with())
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=true")
    keys.add(made_with())
    assert len(keys) == 4
    was = numerics()
    monkeypatch.setenv("XLA_FLAGS", "")
    (changed,) = machine_changes(was, numerics())
    assert changed == "environment was XLA_FLAGS=--xla_cpu_enable_fast_math=true and is unset"
    assert machine_changes({key: value for key, value in numerics().items() if key != "environment"}, numerics()) == []


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({}, ""),
        ({"XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false"}, ""),
        ({"XLA_FLAGS": "--b=1  --xla_cpu_multi_thread_eigen=false --a=2"}, "XLA_FLAGS='--a=2 --b=1'"),
        ({"JAX_PLATFORMS": "cpu", "JAX_ENABLE_X64": "1", "JAX_DEFAULT_PRNG_IMPL": "rbg"}, ""),
        ({"JAX_COMPILATION_CACHE_DIR": "x", "XLA_PYTHON_CLIENT_MEM_FRACTION": ".5"}, ""),
        ({"JAX_PLATFORMS": "cuda"}, "JAX_PLATFORMS=cuda"),
        ({"JAX_NEW_SETTING": "1", "JAX_EMPTY": ""}, "JAX_NEW_SETTING=1"),
    ],
)
def test_the_environment_is_what_decides_results(
    variables: dict[str, str], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert environment() == says
