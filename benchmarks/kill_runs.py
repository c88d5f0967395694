"""Kill a derivation at random moments, resume it, and compare its end with that of one left alone.

    python benchmarks/kill_runs.py [--kills 100] [--seed 0] [--folder FOLDER]

Nine of ten times the driver and its workers are killed at once, else the driver alone is sent
SIGINT or SIGHUP. Trials, steps of NetAdapt, accuracies and weights must be equal, and no traceback
printed. Exits 1 where something differs. The runs are kept in ``bneck-kills`` below FOLDER until
the next call.
"""

import argparse
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import onnx

from bneck import records
from bneck.cli import exit_code_of, new_folder, whole_from_zero, whole_number
from bneck.results.record import Outcome, Step
from bneck.results.run import Run
from bneck.search.trial_attributes import read_records
from bneck.space import spaces
from bneck.text import number_of

COMMAND = [sys.executable, "-c", "from bneck.cli import main; main()", "derive"]
PLAN = (
    "--target=0.85x:mobilenet_v3_small --data=digits --resolution=16 --runtime=macs --workers=2 "
    "--calibration-minutes=0.003 --evaluations=8 --parallel=2 --search-steps=12 "
    "--fine-tune-steps=2 --delta=0.08 --epochs=1"
)
SPACE = spaces.build("v3-small", resolution_px=16, classes=10)


def start(out: Path, log: Path) -> "subprocess.Popen[bytes]":
    """Begin or resume the derivation, in a process group of its own."""
    with log.open("ab") as stderr:
        return subprocess.Popen(
            [*COMMAND, *PLAN.split(), "--out", str(out)],
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            start_new_session=True,
        )


def ending(out: Path) -> dict[str, object]:
    """What a finished run came to, without times."""
    run = Run.read(out)
    outcome = records.read(run.result, Outcome)
    return {
        "trials": [
            (one.number, one.arch, one.accuracy, one.error)
            for one in read_records(run.journal, SPACE)
        ],
        "steps": [(one.move, one.accuracy) for one in records.read_lines(run.steps, Step)],
        "outcome": (outcome.arch, outcome.accuracy, outcome.test_accuracy),
        "weights": hashlib.sha256(run.weights.read_bytes()).hexdigest(),
        "onnx": onnx.load(run.onnx).graph,  # its metadata names the run
    }


def main() -> int:
    """Print each difference; 1 where there was one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=whole_number, default=100)
    parser.add_argument("--seed", type=whole_from_zero, default=0)
    parser.add_argument("--folder", type=new_folder, default=tempfile.gettempdir())
    asked = parser.parse_args()
    place = asked.folder / "bneck-kills"  # which is removed first; FOLDER is the user's
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    begun = time.monotonic()
    whole = start(place / "whole", place / "whole.log")
    assert whole.wait() == 0, (place / "whole.log").read_text()
    alone_s = time.monotonic() - begun
    expected = ending(place / "whole")
    rng, kills, ended, faults = random.Random(asked.seed), 0, 0, 0
    while kills < asked.kills or ended == 0:
        out, log = place / f"run-{ended}", place / f"run-{ended}.log"
        while True:
            process = start(out, log)
            try:
                last = kills >= asked.kills
                code = process.wait(None if last else rng.uniform(0.5, 0.4 * alone_s))
                break
            except subprocess.TimeoutExpired:
                how = rng.choice((signal.SIGINT, signal.SIGHUP)) if rng.random() < 0.1 else None
                if how is None:
                    os.killpg(process.pid, signal.SIGKILL)
                else:
                    process.send_signal(how)
                process.wait()
                kills += 1
                print(f"\r{kills}/{asked.kills} kills, {ended} runs ended", end="", flush=True)
        ended += 1
        found = ending(out) if code == 0 else {}
        wrong = [name for name, value in expected.items() if found.get(name) != value]
        if wrong or "Traceback" in log.read_text(errors="replace"):
            faults += 1
            print(f"\n{out}: exit code {code}, differs in {', '.join(wrong) or 'a traceback'}")
    runs = number_of(ended, "run")
    print(f"\n{number_of(kills, 'kill')} in {runs} of {alone_s:.0f} s: {faults} ended otherwise")
    return int(faults > 0)


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
