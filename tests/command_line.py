"""Commands as a user gives them, and what they say."""

import json
from typing import Any

import pytest

from bneck.cli import run


def said(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """A command's exit code, and what it wrote to stdout and stderr."""
    capsys.readouterr()
    code = run([str(argument) for argument in arguments])
    output = capsys.readouterr()
    return code, output.out, output.err


def json_of(capsys: pytest.CaptureFixture[str], *arguments: object) -> Any:
    """What a command that succeeds prints with --json."""
    code, out, err = said(capsys, *arguments, "--json")
    assert code == 0, err
    return json.loads(out)
