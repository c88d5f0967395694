"""What is said of errors that other libraries raise."""

import pytest

from bneck.errors import first_line
from bneck.executors import reason


@pytest.mark.parametrize(
    ("error", "line", "with_type"),
    [
        (ValueError("no such layer\nin block 3"), "no such layer", "ValueError: no such layer"),
        (RuntimeError("\nCUDA error"), "CUDA error", "RuntimeError: CUDA error"),
        (NotImplementedError(), "NotImplementedError", "NotImplementedError"),
    ],
)
def test_an_error_is_said_in_one_line_also_where_it_says_nothing(
    error: Exception, line: str, with_type: str
) -> None:
    assert first_line(error) == line
    assert reason(error) == with_type
