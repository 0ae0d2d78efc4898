"""Training scripts for tests: a good one of the standard library alone, and bad ones, each with one fault."""

from __future__ import annotations

import textwrap
from pathlib import Path

from optsearch.selection.scripts.execution import ScriptRun
from optsearch.selection.scripts.script import TrainingScript, load_script

STEPS = 20

HEAD = """
import json, math, os, random, re, signal, subprocess, sys, time

steps, seed = int(os.environ["OPTSEARCH_STEPS"]), int(os.environ["OPTSEARCH_SEED"])
with open(os.environ["OPTSEARCH_OPTIMIZER"]) as file:
    text = file.read()
rate = float(re.search(r"make_optimizer\\(\\w+(?:=None)?, lr=([^,)]+)", text)[1])
if own := re.search(r"def (?:__init__|optimizer)\\([^=]*=([^,)]+)", text):
    rate /= float(own[1])
random.seed(seed)
noise = 0.01 * random.random()


def report(step, **losses):
    gap = abs(math.log10(rate / (1e-3 if "torch.optim." in text.split("import torch")[0] else 1.0)))
    loss = 1.0 + noise + (0.1 + gap) * step / steps + math.exp(-5 * step / steps)
    print(json.dumps({"step": step, "train_loss": loss, "validation_loss": loss + 0.1, **losses}))
"""
"""A loss that falls most at the contender's own rate: 0.001 for baselines; a program's rate is in multiples of it."""

BODIES = {
    "good": """
        for step in range(0, steps + 1, max(1, steps // 10)):
            report(step)
        print(json.dumps({"test_loss": 1.0 + noise + abs(math.log10(rate)) / 10}))
    """,
    "silent": "print('training ...')",
    "crash_at_once": "raise RuntimeError('no data set at /nowhere')",
    "crash": """
        report(0)
        report(steps // 2)
        raise RuntimeError("CUDA error: an illegal memory access was encountered")
    """,
    "nan": """
        report(0)
        report(steps // 2, train_loss=float("nan"))
        time.sleep(60)
    """,
    "null": "report(0, validation_loss=None)",
    "hang": """
        report(0)
        time.sleep(60)
    """,
    "hang_at_once": "time.sleep(60)",
    "ignores_sigterm": """
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        sleep = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
        other = subprocess.Popen([sys.executable, "-c", sleep])
        gone = subprocess.Popen([sys.executable, "-c", sleep], start_new_session=True)
        with open("pids.txt", "w") as file:
            file.write(f"{os.getpid()} {other.pid} {gone.pid}")
        print("folder", os.environ["OPTSEARCH_FOLDER"])
        report(0)
        time.sleep(60)
    """,
    "fills_the_disk": """
        report(0)
        while True:
            print("x" * 65_536)
    """,
    "endless_line": """
        report(0)
        while True:
            sys.stdout.write("{" * 65_536)
    """,
    "ends_early": "report(0)",
    "no_test_loss": """
        for step in range(steps + 1):
            report(step)
    """,
    "ignores_the_budget": """
        for step in range(0, 10 * steps, steps // 2):
            report(step)
    """,
    "half_the_budget": """
        report(steps // 2)
        print(json.dumps({"test_loss": 1.0}))
    """,
    "steps_twice": """
        report(1)
        report(1)
    """,
    "no_validation_loss": 'print(json.dumps({"step": 1, "train_loss": 1.0}))',
    "no_number": 'report(1, train_loss="1.0")',
    "hangs_at_its_end": """
        report(steps)
        print(json.dumps({"test_loss": 1.0}))
        time.sleep(60)
    """,
    "crashes_at_its_end": """
        report(steps)
        print(json.dumps({"test_loss": 1.0}))
        os.abort()
    """,
    "other_lines": """
        print("{not json")
        print('{"lr": 0.1}')
        print("[1, 2]")
        print("epoch 1", file=sys.stderr)
        report(steps)
        print('{"test_loss": 1.5, "accuracy": 0.75}', end="")
    """,
    "ignores_the_rate": """
        rate = 1.0
        for step in range(steps + 1):
            report(step)
        print(json.dumps({"test_loss": 1.0}))
    """,
    "ignores_the_seed": """
        noise = 0.0
        for step in range(steps + 1):
            report(step)
        print(json.dumps({"test_loss": 1.0}))
    """,
    "not_deterministic": """
        noise = random.SystemRandom().random()
        for step in range(steps + 1):
            report(step)
        print(json.dumps({"test_loss": 1.0}))
    """,
    "never_decays": """
        for step in range(steps + 1):
            report(step, train_loss=1.0 + noise + rate, validation_loss=1.0 + noise + rate)
        print(json.dumps({"test_loss": 1.0}))
    """,
    "no_adamw": """
        if "torch.optim.AdamW" in text:
            raise RuntimeError("out of memory")
        for step in range(steps + 1):
            report(step)
        print(json.dumps({"test_loss": 1.0}))
    """,
    "crashes_at_low_rates": """
        if rate < 0.1:
            raise RuntimeError("no report at all")
        report(steps)
        print(json.dumps({"test_loss": 1.0}))
    """,
    "slow": """
        with open(f"started-{os.getpid()}", "w"):
            pass
        for step in range(steps + 1):
            report(step)
            time.sleep(0.05)
        print(json.dumps({"test_loss": 1.0 + noise}))
    """,
}


def write(folder: Path, name: str) -> Path:
    """Writes a script to a folder."""
    path = folder / f"{name}.py"
    path.write_text(HEAD + textwrap.dedent(BODIES[name]))
    return path


def script(folder: Path, name: str = "good", time_limit_s: float = 20.0, stop: tuple[str, ...] = ()) -> TrainingScript:
    """A script in a folder, as a target."""
    path = write(folder, name)
    return load_script(
        path.name, steps=STEPS, time_limit_s=time_limit_s, stop=stop, logs=folder / "kept", folder=folder
    )


def run_of(target: TrainingScript, *, seed: int = 1, is_own: bool = False, is_fresh: bool = False) -> ScriptRun:
    """A run of a script with an optimizer that no script here calls."""
    module = "import torch\n\ndef make_optimizer(params, lr=1.0): ...\n"
    return ScriptRun(target, module, "mine at rate 1", "mine", seed, is_fresh, is_own)
