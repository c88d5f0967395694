"""What commands print to stdout."""

import os
import subprocess
import sys
from pathlib import Path


def test_stdout_may_be_closed_from_the_start() -> None:
    code = "from bneck import stdout\nwith stdout.stdout_for_results(): print('said')"
    command = ["sh", "-c", 'exec "$0" -c "$1" >&-', sys.executable, code]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=True)
    assert done.stderr == "said\n"


def test_what_libraries_and_children_print_is_not_among_results() -> None:
    script = """
import os, sys
from bneck.stdout import results, stdout_for_results
with stdout_for_results():
    print("a library")
    os.system("echo a child")
    print("the result", file=results(), flush=True)
print("afterwards", file=results())
"""
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert ended.stdout.splitlines() == ["the result", "afterwards"]
    assert sorted(ended.stderr.splitlines()) == ["a child", "a library"]


def test_what_the_terminals_encoding_lacks_is_spelt_out(tmp_path: Path) -> None:
    (tmp_path / "été").mkdir()
    (tmp_path / "été" / "plan.toml").write_text("target = 1.0\n")
    ended = subprocess.run(
        [sys.executable, "-m", "bneck.cli", "runs", "."],
        cwd=tmp_path,
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.splitlines()[1].startswith(r"\xe9t\xe9 ")
