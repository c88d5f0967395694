"""bneck in a script: cheap to import, and not run again by its workers."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import bneck
from bneck.space.presets import PRESETS
from tests.contracts import tasks
from tests.processes import started

ROOT = str(Path(__file__).resolve().parents[1])


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


def ran(script: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, script], env=os.environ | {"PYTHONPATH": ROOT},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


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
    done = ran(script)
    assert done.stdout == "begun\n(-2, 2)\nFalse\nTrue\n", done.stderr


def test_a_script_that_each_worker_would_begin_again_is_told_so_in_one_line(tmp_path: Path) -> None:
    """Where nothing keeps it out, as its own tasks need it; Python's hint has ten lines each."""
    script = tmp_path / "script.py"
    script.write_text(
        "from bneck.executors.processes import processes\n"
        "print(*processes(1).map_unordered(abs, [-2]))\n"
    )
    done = ran(script)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("Traceback") == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"bneck.errors.UsageError: no worker can import {script}: Assertion")
    assert last.endswith('what it does must be below `if __name__ == "__main__":`')


def test_a_worker_that_still_imports_the_script_ends_with_its_driver(tmp_path: Path) -> None:
    """As one without the guard that does its work again: it went on for minutes."""
    script = tmp_path / "script.py"
    script.write_text(
        "import time\n"
        "from pathlib import Path\n"
        "from bneck.executors.processes import processes\n"
        "if __name__ != '__main__':\n"
        "    Path('importing').touch()\n"
        "    time.sleep(600)\n"
        "print(*processes(1).map_unordered(abs, [-2]))\n"
    )
    environment = os.environ | {"PYTHONPATH": ROOT}
    with started([sys.executable, str(script)], cwd=tmp_path, env=environment) as driver:
        while not (tmp_path / "importing").exists():
            assert driver.poll() is None
            time.sleep(0.02)
        family = tasks.descendants(driver.pid)
        driver.send_signal(signal.SIGTERM)
        driver.wait()
    assert tasks.all_end(family)
