"""Where compiled loops are kept."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from proxy_tasks.compilation import cache_folder, give_memory_back


def test_the_environment_chooses_the_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path))
    assert cache_folder() == tmp_path


def test_without_it_the_users_cache_folder_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("sys.platform", "linux")
    assert cache_folder() == tmp_path / "optsearch" / "compiled"


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
