"""The block and the space that docs/extending.md shows go through the whole derivation."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from bneck import records
from bneck.cli import run
from bneck.results.record import Step
from bneck.space import codec, spaces
from bneck.space.blocks import BLOCKS
from tests.command_line import json_of

pytestmark = pytest.mark.usefixtures("forks_have_torch")

PAGE = Path(__file__).resolve().parents[1] / "docs" / "extending.md"
FILES = ("large_kernel.py", "large_space.py", "own_bneck.py")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A working directory with the page's files; tables are as before afterwards."""
    folder = tmp_path_factory.mktemp("own_block")
    shown = re.findall(r"```python\n# file: (\w+\.py)\n(.*?)```", PAGE.read_text(), re.DOTALL)
    for name, code in shown:
        if name in FILES:
            (folder / name).write_text(code)
    before = dict(BLOCKS), dict(spaces.SPACES)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(str(folder))
        yield folder
    for table, kept in zip((BLOCKS, spaces.SPACES), before, strict=True):
        table.clear()  # type: ignore[attr-defined]
        table.update(kept)  # type: ignore[attr-defined]
    for name in FILES:
        sys.modules.pop(name.removesuffix(".py"), None)


@pytest.fixture(scope="module")
def derived(few_random_networks: None, folder: Path) -> Any:
    """What a derivation by two workers prints, with longer trainings and a teacher."""
    derive = (
        "derive --space=large_space:large_kernels --target=0.8x:mobilenet_v3_small --data=digits "
        "--resolution=16 --runtime=macs --calibration-minutes=0.003 --evaluations=2 --folds=1 "
        "--search-steps=2 --fine-tune-steps=1 --delta=0.1 --epochs=0.05 --workers=2 "
        "--promote --teacher=seed --sampler=random --out=run --json"
    )
    with Path("stdout.json").open("w") as stdout, redirect_stdout(stdout):
        assert run(derive.split()) == 0
    return json.loads(Path("stdout.json").read_text())


@pytest.mark.usefixtures("derived")
def test_a_block_of_ones_own_is_derived_narrowed_exported_and_reported(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    steps = records.read_lines(folder / "run" / "steps.jsonl", Step)
    tried = {one.move.partition(" ")[0] for step in steps for one in step.proposals}
    assert {"s1.b1.expand", "s2.b2.expand", "s3.b1.expand", "s3.bottleneck"} <= tried
    shown = json_of(capsys, "show", "run")
    assert shown["blocks"][1]["operator"] == "large kernel"
    assert run(["export", "run", "net.py", "--to=pytorch"]) == 0
    assert run(["export", "run", "net.onnx"]) == 0
    assert run(["likeness", "run", "--networks=20", "--space=large_space:large_kernels"]) == 0
    assert run(["report", "run"]) == 0
    assert "large kernel" in (folder / "run" / "report.html").read_text()


def test_workers_know_the_block(derived: Any, folder: Path) -> None:
    """They name checkpoints by a network's JSON, and teachers; one worker is no process."""
    assert "test_accuracy" in derived
    trained = [
        json.loads(line)
        for line in (folder / "run" / "journal.log").read_text().splitlines()
        if '"rung"' in line
    ]
    assert [line["user_attrs"]["rung"] for line in trained] == [1, 1, 2, 2]


def test_other_commands_know_the_block_where_they_are_started_by_a_file_of_ones_own(
    folder: Path,
) -> None:
    """In processes of their own: in this one the table would hold the block."""
    spaces.load_own("large_space:large_kernels")
    space = spaces.build("large_space:large_kernels", resolution_px=16, classes=10)
    (folder / "net.json").write_text(json.dumps(codec.to_json(space.decode(space.sample(0)))))

    def show(*start: str) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, *start, "show", "net.json"]
        return subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)

    unknown = show("-c", "from bneck.cli import main; main()")
    assert unknown.returncode == 2
    assert "blocks of your own that are imported first" in unknown.stderr
    known = show("own_bneck.py")
    assert known.returncode == 0
    assert "large kernel" in known.stdout
