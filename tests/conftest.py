"""Settings for all tests: strict JAX, and property tests with deterministic examples in CI."""

from __future__ import annotations

import os
import signal
from importlib.util import find_spec

import jax
import pytest
from hypothesis import HealthCheck, settings

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_platforms", "cpu")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # in the background of a shell; commands of tests inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile(
    "default", deadline=None, derandomize="CI" in os.environ, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("default")


@pytest.fixture(autouse=True)
def width_of_pipes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables have the width of a pipe, whatever terminal the tests run in; notebooks leave theirs behind."""
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture
def torch_in_metadata(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Interpreters list torch among their packages, for scripts that only read the text of the optimizer's module."""
    if find_spec("torch") is None:
        about = tmp_path_factory.mktemp("metadata") / "torch-2.13.0.dist-info" / "METADATA"
        about.parent.mkdir()
        about.write_text("Metadata-Version: 2.1\nName: torch\nVersion: 2.13.0\n", encoding="utf-8")
        monkeypatch.setenv("PYTHONPATH", str(about.parent.parent), prepend=os.pathsep)
