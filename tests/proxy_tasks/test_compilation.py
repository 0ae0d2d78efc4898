"""Where compiled loops are kept."""

from __future__ import annotations

import os
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from proxy_tasks.compilation import CHECKED, cache_folder, drop_damaged, give_memory_back


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
from proxy_tasks.compilation import prepare_process
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
