"""Change the files of a finished run at random and let every reading command look at it.

    python benchmarks/fuzz_runs.py RUN [--mutations 300] [--seed 0] [--resume COMMAND]

Each mutation is on a fresh copy. A command may succeed, or fail with one line and exit code 1 or 2;
what counts as a fault is a traceback. Exits 1 where there was one.
"""

import argparse
import contextlib
import io
import json
import random
import shutil
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

from bneck.cli import exit_code_of, run, whole_from_zero, whole_number
from bneck.results.run import Run

READING = (
    "runs {folder}",
    "runs {folder} --json",
    "runs {folder} --check",
    "report {run}",
    "compare {run} mobilenet_v3_small --no-measure",
    "show {run}",
    "likeness {run} --networks 10",
    "latency {run} --model {run}/latency.json",
    "predict {run} {picture}",
    "evaluate {run} --json",
    "export {run} {folder}/net.onnx",
    "export {run} {folder}/net.py --to pytorch",
)
WORDS = ("", "x", "\x1b[2J", "package.module:attr", "../..", "NaN", "-1", "9" * 400)
VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 1e308, 10**30, "", "x", [], {}, [None], {"a": None}, [[[]]],
)  # fmt: skip


def mutate(file: Path, rng: random.Random) -> str:
    """Change one file, and say how."""
    ways: list[Callable[[Path, random.Random], None]] = [cut, empty, flip, zeros, remove]
    if file.suffix in (".json", ".jsonl"):
        ways += 4 * [change_json]
    if file.suffix == ".toml":
        ways += 4 * [change_toml]
    way = rng.choice(ways)
    way(file, rng)
    return f"{way.__name__} {file.name}"


def cut(file: Path, rng: random.Random) -> None:
    """End it anywhere."""
    content = file.read_bytes()
    file.write_bytes(content[: rng.randrange(len(content) + 1)])


def empty(file: Path, rng: random.Random) -> None:
    """Leave nothing in it."""
    file.write_bytes(b"")


def zeros(file: Path, rng: random.Random) -> None:
    """Leave as many zeros, as a power loss may."""
    file.write_bytes(bytes(file.stat().st_size))


def remove(file: Path, rng: random.Random) -> None:
    """Take it away."""
    file.unlink()


def flip(file: Path, rng: random.Random) -> None:
    """Change a few bytes."""
    content = bytearray(file.read_bytes())
    for _ in range(rng.randint(1, 4) if content else 0):
        content[rng.randrange(len(content))] = rng.randrange(256)
    file.write_bytes(content)


def change_json(file: Path, rng: random.Random) -> None:
    """Put another value somewhere, or take a key away."""
    lines = file.read_text().splitlines() if file.suffix == ".jsonl" else [file.read_text()]
    place = rng.randrange(len(lines))
    try:
        value = json.loads(lines[place])
    except ValueError:
        return
    holder = value
    while True:
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        if not keys:
            break
        key = rng.choice(keys)
        if isinstance(holder[key], dict | list) and holder[key] and rng.random() < 0.7:
            holder = holder[key]
            continue
        if rng.random() < 0.25 and isinstance(holder, dict):
            del holder[key]
        else:
            holder[key] = rng.choice((*VALUES, *WORDS))
        break
    lines[place] = json.dumps(value, allow_nan=True)
    file.write_text("\n".join(lines) + ("\n" if file.suffix == ".jsonl" else ""))


def change_toml(file: Path, rng: random.Random) -> None:
    """Put another value behind a key, or take the line away."""
    lines = file.read_text().splitlines()
    place = rng.randrange(len(lines))
    name = lines[place].partition(" = ")[0]
    lines[place] = rng.choice(
        ("", *(f"{name} = {json.dumps(v)}" for v in (*WORDS, True, -1, 0, 1e300, [], [1])))
    )
    file.write_text("\n".join(lines) + "\n")


def look(command: str) -> str:
    """Run a command; its traceback, or ""."""
    noise = io.StringIO()
    try:
        with contextlib.redirect_stdout(noise), contextlib.redirect_stderr(noise):
            code = run(command.split())
    except BaseException:  # also what a command should never raise
        return traceback.format_exc()
    if code not in (0, 1, 2):
        return f"exit code {code}"
    return "an escape sequence\n" if "\x1b" in noise.getvalue() else ""


def main() -> int:
    """Print each fault; 1 where there was one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--mutations", type=whole_number, default=300)
    parser.add_argument("--seed", type=whole_from_zero, default=0)
    parser.add_argument("--resume", help="The command that made RUN, without --out: run it too.")
    asked = parser.parse_args()
    Run.read(asked.run)
    found: dict[str, int] = {}
    for number in range(asked.mutations):
        rng = random.Random(f"{asked.seed} {number}")
        with tempfile.TemporaryDirectory() as folder:
            copy, picture = Path(folder, "runs", "one"), Path(folder, "picture.png")
            without = None if asked.resume else shutil.ignore_patterns("checkpoints")
            shutil.copytree(asked.run, copy, ignore=without)
            Image.new("RGB", (20, 20), (90, 60, 30)).save(picture)
            files = sorted(file for file in copy.rglob("*") if file.is_file())
            told = ", ".join(mutate(file, rng) for file in rng.sample(files, rng.randint(1, 2)))
            commands = READING if number % 10 == 0 else rng.sample(READING, 4)
            if asked.resume:
                commands = [f"{asked.resume} --out {{run}}"]
            for command in commands:
                words = command.format(run=copy, folder=copy.parent, picture=picture)
                if fault := look(words):
                    last = fault.strip().splitlines()[-1][:100]
                    where = [line for line in fault.splitlines() if "bneck/" in line][-1:]
                    key = f"{last} {''.join(where).strip()}"
                    found[key] = found.get(key, 0) + 1
                    if found[key] == 1:
                        print(f"{number}: {told}: {command}\n  {key}", flush=True)
    faults = sum(found.values())
    print(f"{asked.mutations} mutations, {faults} faults of {len(found)} kinds")
    return int(faults > 0)


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
