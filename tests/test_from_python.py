"""bneck in a script: cheap to import, and not run again by its workers."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import bneck
from bneck.space.presets import PRESETS


def test_import_is_cheap_and_lazy() -> None:
    code = (
        "import sys; import bneck; new = {'torch', 'numpy', 'pandas', 'bneck.notebook'}; "
        "print(new & {*sys.modules}, bneck.presets.__name__, bneck.__version__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["set()", "bneck.space.presets", bneck.__version__]
    assert bneck.presets.PRESETS is PRESETS
    assert {*bneck.__all__} <= {*dir(bneck)}  # which notebooks complete names by
    with pytest.raises(AttributeError, match="module 'bneck' has no attribute 'derve'"):
        bneck.derve  # noqa: B018


def test_workers_of_a_plain_script_do_not_run_it_again(tmp_path: Path) -> None:
    """Without ``if __name__ == "__main__"``, as in a notebook; Python's own workers run it.

    Ray tells a script from a notebook by whether there is a ``__file__``, and takes no None.
    """
    script = tmp_path / "script.py"
    script.write_text(
        "from bneck.executors.processes import processes, script_kept_out\n"
        "print('begun', flush=True)\n"
        "with script_kept_out():\n"
        "    executor = processes(1)\n"
        "    print(*executor.map_unordered(abs, [-2]))\n"
        "    executor.close()\n"
        "    print('__file__' in globals())\n"
        "print('__file__' in globals())\n"
    )
    root = str(Path(__file__).resolve().parents[1])
    done = subprocess.run(
        [sys.executable, script], env=os.environ | {"PYTHONPATH": root},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout == "begun\n(-2, 2)\nFalse\nTrue\n", done.stderr
