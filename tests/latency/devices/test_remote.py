"""What comes over a connection to another device, and what is made of it."""

import io
import json
from pathlib import Path
from typing import Any

import onnx
import pytest

from bneck.errors import BneckError, UsageError
from bneck.latency.device_load import QUIET, Load
from bneck.latency.devices import Graph, remote
from bneck.latency.devices.remote import TRIES, Connection, Cut, RemoteDevice, file_of
from bneck.latency.measure import reference
from bneck.latency.runtimes import open_runtime
from bneck.latency.timing import Effort
from bneck.space import presets
from bneck.space.backends.onnx_int8 import is_quantised
from tests.latency.test_onnx_graph import convolution

SMALL = Graph(presets.build("mobilenet_v3_small", width=0.35, resolution_px=16).layers())
ABOUT = {"cpu": "x", "cores": 4, "runtime": "onnxruntime", "version": "1", "threads": 1}
TIMED = {"ratio": 0.5, "spread": 0.0, "reference_ms": 1.0, "reference_spread": 0.0, "pairs": 2}


class Board(RemoteDevice):
    """Gives these answers, one for each request, over each connection; "word" is what it is."""

    word = "ssh:board"

    def __init__(self, *answers: dict[str, Any]) -> None:
        super().__init__(runtime="onnxruntime", threads=1, batch_size=1)
        self.answers = b"".join(json.dumps(one).encode() + b"\n" for one in (ABOUT, *answers))
        self.made = 0

    def connect(self) -> Connection:
        self.made += 1
        return Connection(io.BytesIO(), io.BytesIO(self.answers))

    def close(self) -> None:
        pass


@pytest.mark.parametrize("line", [b"", b"\n", b"Welcome!\n", b"5\n", b"null\n", b"[1]\n", b'{"a":'])
def test_what_is_no_answer_counts_as_a_cut(line: bytes) -> None:
    """A login script may print anything before the device's own script does."""
    with pytest.raises(Cut):
        Connection(io.BytesIO(), io.BytesIO(line)).ask({"threads": 1})
    assert Connection(io.BytesIO(), io.BytesIO(b'{"a": 1}\n')).ask({}) == {"a": 1}


def test_a_boards_load_is_of_the_seconds_that_it_measured_and_of_its_cores() -> None:
    """Two networks in 10 s of four cores: others used 6 s of them, 2 s were stolen."""
    timed = {**TIMED, "quiet": True}
    board = Board({}, {**timed, "load": [4.0, 5.0, 2.0]}, {**timed, "load": [6.0, 1.0, 0.0]})
    watch = board.watch()
    assert watch() == QUIET
    found = list(board.time([SMALL] * 2, reference(16, 10), Effort()))
    assert [timing.ratio for timing, _ in found] == [0.5, 0.5]
    assert watch() == Load(pytest.approx(0.6), pytest.approx(0.05))
    assert board.made == 1


def test_a_look_at_an_idle_board_is_of_what_its_counters_moved() -> None:
    board = Board({"load": [100.0, 50.0, 7.0]}, {"load": [110.0, 65.0, 9.0]})
    assert board.watch_idle()() == Load(pytest.approx(1.5), pytest.approx(0.05))


def test_the_reference_is_sent_again_for_every_tenth_network_and_connection() -> None:
    """Of eleven networks: before the first and the eleventh; an answer too few is a cut."""
    timed = {**TIMED, "quiet": True}
    board = Board({}, *[timed] * 10, {}, timed)
    assert len(list(board.time([SMALL] * 11, reference(16, 10), Effort()))) == 11
    assert board.made == 1


def test_a_cut_connection_is_waited_for_twice_as_long_each_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(remote.time, "sleep", waited.append)
    board = Board({})  # the reference's, and none of the network's
    with pytest.raises(BneckError, match=r"cannot be reached any more: .*run the same command"):
        list(board.time([SMALL], reference(16, 10), Effort()))
    assert board.made == TRIES == 8
    assert waited == [1, 2, 4, 8, 16, 32, 64]


def test_a_file_in_floats_is_sent_in_8_bits_where_the_runtime_is(tmp_path: Path) -> None:
    graph = Graph(onnx=convolution(tmp_path / "a.onnx", [1, 3, 16, 16]).read_bytes())
    assert file_of(graph, open_runtime("onnxruntime")) == graph.onnx
    sent = file_of(graph, open_runtime("onnxruntime-int8"))
    assert is_quantised(onnx.load_from_string(sent))
    with pytest.raises(UsageError, match="'torch' cannot run ONNX files; use onnxruntime"):
        file_of(graph, open_runtime("torch"))
