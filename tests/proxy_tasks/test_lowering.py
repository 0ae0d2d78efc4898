"""The batched training loop can be made for accelerators: no such device is needed to lower it, only to run it."""

from __future__ import annotations

import pytest
from jax import export as jax_export

from optsearch.proxy_tasks.lowering import loop_function, loop_inputs, trace_loop
from optsearch.proxy_tasks.registry import TASKS

LANES = 4


@pytest.mark.parametrize(
    ("task", "matrices"),
    [
        ("ae", True),
        ("lm", True),
        *(pytest.param(*case, marks=pytest.mark.slow) for case in (("ae", False), ("lmmlp", True), ("vit", True))),
    ],
)
def test_the_loop_of_many_lanes_is_lowered_for_accelerators(task: str, matrices: bool) -> None:
    trace = trace_loop(TASKS[task], LANES, matrices=matrices)
    for platform in ("cuda", "tpu"):
        text = trace.lower(lowering_platforms=(platform,)).as_text()
        assert "stablehlo.while" in text
        assert "stablehlo.case" in text
        # Custom calls are what could lack an implementation on a device: the loop has none.
        assert "stablehlo.custom_call" not in text


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_the_loop_can_be_exported_for_accelerators(platform: str) -> None:
    """`jax.export` also gives every operation its stable serialised form."""
    inputs = loop_inputs(TASKS["ae"], LANES, matrices=True)
    exported = jax_export.export(loop_function(TASKS["ae"], matrices=True), platforms=[platform])(*inputs)
    assert exported.platforms == (platform,)
    assert len(exported.mlir_module_serialized) > 0


def test_matrices_are_multiplied_in_their_own_loop_alone() -> None:
    def products(matrices: bool) -> int:
        lowered = trace_loop(TASKS["ae"], LANES, matrices=matrices).lower(lowering_platforms=("cuda",))
        return lowered.as_text().count("stablehlo.dot_general")

    assert products(True) > products(False)
