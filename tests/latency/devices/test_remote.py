"""What comes over a connection to another device, and what is made of it."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from bneck.errors import BneckError, UsageError
from bneck.latency.device_load import QUIET, Load
from bneck.latency.devices import Graph, remote
from bneck.latency.devices.remote import TRIES, Connection, Cut, RemoteDevice, file_of
from bneck.latency.measure import reference
from bneck.latency.runtimes import open_runtime
from bneck.latency.runtimes.weights import norm_free
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

    def __init__(self, *answers: dict[str, Any], threads: int = 1, batch_size: int = 1) -> None:
        super().__init__(runtime="onnxruntime", threads=threads, batch_size=batch_size)
        self.answers = b"".join(json.dumps(one).encode() + b"\n" for one in (ABOUT, *answers))
        self.made = 0
        self.asked = io.BytesIO()

    def connect(self) -> Connection:
        self.made += 1
        return Connection(self.asked, io.BytesIO(self.answers))

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


def test_a_board_is_asked_for_what_was_asked_of_its_device() -> None:
    board = Board({}, {**TIMED, "quiet": True}, threads=2, batch_size=3)
    list(board.time([SMALL], reference(16, 10), Effort(0.02, min_pairs=4, max_pairs=9)))
    board.asked.seek(0)
    assert json.loads(board.asked.readline()) == {
        "runtime": "onnxruntime",
        "threads": 2,
        "batch_size": 3,
    }
    standard = json.loads(board.asked.readline())
    assert standard.pop("reference")
    board.asked.seek(standard["size"], io.SEEK_CUR)
    request = json.loads(board.asked.readline())
    assert len(board.asked.read()) == request.pop("size")
    assert request == {"reference": False, "pairs": [4, 9], "wanted": 0.02}


def test_a_board_that_is_another_one_after_a_cut_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its ratios are to another machine's reference."""
    monkeypatch.setattr(remote, "WAIT_S", 0.0)
    board = Board({}, {**TIMED, "quiet": True})
    times = board.time([SMALL] * 2, reference(16, 10), Effort())
    next(times)
    board.answers = board.answers.replace(b'"cores": 4', b'"cores": 8')
    with pytest.raises(BneckError, match=r"board was \[x, 4 cores, .*\] and is now \[x, 8 cores, "):
        next(times)


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


def test_a_file_holds_a_networks_own_weights() -> None:
    plain, weights = norm_free(SMALL.layers)
    own = {name: np.full_like(array, 0.25) for name, array in weights.items()}
    sent = onnx.load_from_string(file_of(Graph(plain, own), open_runtime("onnxruntime")))
    arrays = [onnx.numpy_helper.to_array(one) for one in sent.graph.initializer]
    assert sum(array.size for array in arrays) == sum(array.size for array in own.values())
    assert all((array == 0.25).all() for array in arrays)


def test_a_file_in_floats_is_sent_in_8_bits_where_the_runtime_is(tmp_path: Path) -> None:
    graph = Graph(onnx=convolution(tmp_path / "a.onnx", [1, 3, 16, 16]).read_bytes())
    assert file_of(graph, open_runtime("onnxruntime")) == graph.onnx
    sent = file_of(graph, open_runtime("onnxruntime-int8"))
    assert is_quantised(onnx.load_from_string(sent))
    with pytest.raises(UsageError, match="'torch' cannot run ONNX files; use onnxruntime"):
        file_of(graph, open_runtime("torch"))
