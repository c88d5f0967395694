"""Commands with a plan of seconds, to be given again with another plan."""

from pathlib import Path

from bneck.cli import run

PLAN = {
    "data": "digits",
    "resolution": 16,
    "runtime": "macs",
    "calibration-minutes": 0.003,
    "sampler": "random",
    "evaluations": 2,
    "search-steps": 2,
    "fine-tune-steps": 1,
    "delta": 0.2,
    "epochs": 0.1,
    "workers": 1,
}
ONE, TWO = "0.85x:mobilenet_v3_small", "0.85x:mobilenet_v3_small,0.8x:mobilenet_v3_small"
SEARCH = [
    f"--{name}={value}"
    for name, value in PLAN.items()
    if name not in ("fine-tune-steps", "delta", "epochs")
]


def derive(out: Path, **changes: object) -> int:
    asked = {"target": ONE, **PLAN, **changes}
    options = [f"--{name}={value}" for name, value in asked.items() if value is not None]
    return run(["derive", *options, f"--out={out}"])


def trials(out: Path) -> list[str]:
    """Lines of the journal that say a network's accuracy."""
    return [line for line in (out / "journal.log").read_text().splitlines() if "accuracy" in line]
