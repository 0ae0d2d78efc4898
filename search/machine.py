"""The kind of machine that evaluates: another one may round differently, so it is recorded with the results."""

from __future__ import annotations

import platform


def processor() -> str:
    """Name of this machine's processor."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


def accelerator() -> str:
    """Kind of the device that JAX computes on, such as ``NVIDIA H100``; starts JAX."""
    import jax

    return str(jax.devices()[0].device_kind)
