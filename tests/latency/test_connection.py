"""What comes over a connection to another device, where it is not what was asked for."""

import io

import pytest

from bneck.latency.devices.remote import Connection, Cut


@pytest.mark.parametrize("line", [b"", b"\n", b"Welcome!\n", b"5\n", b"null\n", b"[1]\n", b'{"a":'])
def test_what_is_no_answer_counts_as_a_cut(line: bytes) -> None:
    """A login script may print anything before the device's own script does."""
    with pytest.raises(Cut):
        Connection(io.BytesIO(), io.BytesIO(line)).ask({"threads": 1})
    assert Connection(io.BytesIO(), io.BytesIO(b'{"a": 1}\n')).ask({}) == {"a": 1}
