"""A device that is measured by a script of its own, over a connection that may be cut."""

import json
import time
import zlib
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import fields
from importlib.resources import files
from typing import IO, Any

from bneck import records
from bneck.errors import BneckError, UsageError
from bneck.json_text import parse_json
from bneck.latency.device_load import QUIET, Load
from bneck.latency.devices import Device, Graph
from bneck.latency.devices.local import REFERENCE_SERVES
from bneck.latency.fingerprint import Fingerprint
from bneck.latency.runtimes import Runtime, open_portable
from bneck.latency.runtimes.weights import norm_free
from bneck.latency.timing import Effort, Timing

PERIOD = 127
"""Numbers after which random weights repeat, so that a network takes some 90 kB to send."""
TRIES = 8
WAIT_S = 1.0
"""Wait before the first new try; twice as long before each further one."""


class Cut(Exception):
    """A connection that broke; ``args`` say why, in the words of what made it."""


class Connection:
    """Two pipes to the script ``on_device/measure.py``, running in its ``serve``."""

    def __init__(self, requests: IO[bytes], answers: IO[bytes]) -> None:
        self._requests = requests
        self._answers = answers

    def ask(self, request: dict[str, Any], content: bytes = b"") -> dict[str, Any]:
        """Send a request and return the answer.

        Other lines, such as those of a login script, are passed over.

        Raises:
            Cut: the connection broke.
        """
        other = b""
        with suppress(OSError, ValueError):  # what ended says why in the lines that it left
            self._requests.write(json.dumps(request).encode() + b"\n" + content)
            self._requests.flush()
        with suppress(OSError, ValueError):
            while line := self._answers.readline():
                if (found := _answer_in(line)) is not None:
                    return found
                other = line.strip() or other
        raise Cut(other[:200].decode(errors="replace"))


def _answer_in(line: bytes) -> dict[str, Any] | None:
    """What the script answers in a line; None where the line is not a whole answer."""
    try:
        found = parse_json(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


class RemoteDevice(Device):
    """A device whose connection is made by ``connect``, again where it is cut."""

    def __init__(self, *, runtime: str, threads: int, batch_size: int) -> None:
        self.runtime = open_portable(runtime, batch_size=batch_size)
        self.threads = threads
        self.batch_size = batch_size
        self._connection: Connection | None = None
        self._about: Fingerprint | None = None
        self._load: tuple[float, ...] = (0.0, 0.0, 0.0)

    @abstractmethod
    def connect(self) -> Connection:
        """Start the script on the device.

        Raises:
            BneckError: the device refuses, so that trying again would not help.
            Cut: the connection could not be made or broke.
        """

    @abstractmethod
    def close(self) -> None: ...

    def fingerprint(self) -> Fingerprint:
        if self._about is None:
            self._connected()
        assert self._about is not None
        return self._about

    def watch(self) -> Callable[[], Load]:
        """Return a call that tells what else the device did while it measured since."""
        begun = self._load
        return lambda: self._load_between(begun, self._load)

    def watch_idle(self) -> Callable[[], Load]:
        begun = self._counters()
        return lambda: self._load_between(begun, self._counters())

    def _load_between(self, begun: Iterable[float], ended: Iterable[float]) -> Load:
        seconds, used, stolen = (b - a for a, b in zip(begun, ended, strict=True))
        if seconds <= 0:
            return QUIET
        cores = self.fingerprint().cores
        return Load(max(0.0, used) / seconds, max(0.0, stolen) / seconds / cores)

    def _counters(self) -> Iterable[float]:
        """Seconds of the device: of its wall, in use by other programs, stolen."""
        load: Iterable[float] = self._reply(({"look": True}, b""))["load"]
        return load

    def time(
        self, graphs: Iterable[Graph], reference: Graph, effort: Effort
    ) -> Iterator[tuple[Timing, float]]:
        standard = self._request(reference, reference=True)
        for number, graph in enumerate(graphs):
            begun = time.monotonic()
            asked = {"pairs": [effort.min_pairs, effort.max_pairs], "wanted": effort.wanted}
            request = self._request(graph, reference=False, **asked)
            answer = self._reply(request, standard, renew=number % REFERENCE_SERVES == 0)
            spent = answer.get("load", (0.0, 0.0, 0.0))
            self._load = tuple(a + b for a, b in zip(self._load, spent, strict=True))
            known = {item.name for item in fields(Timing)}
            timing = records.from_json(Timing, {n: v for n, v in answer.items() if n in known})
            yield timing, time.monotonic() - begun

    def _reply(
        self, request: tuple[dict[str, Any], bytes], standard: Any = None, *, renew: bool = False
    ) -> dict[str, Any]:
        """The answer to a request; made again from where the connection was cut."""
        reason = ""
        for attempt in range(TRIES):
            if attempt:
                time.sleep(WAIT_S * 2 ** (attempt - 1))
            try:
                fresh = self._connection is None
                connection = self._connected()
                if standard and (fresh or renew):
                    self._answered(connection.ask(*standard))
                return self._answered(connection.ask(*request))
            except Cut as cut:
                reason = self._ended(cut)
                self._connection = None
        raise BneckError(
            f"{self.word} cannot be reached any more: {reason}; run the same command to resume"
        )

    def _ended(self, cut: Cut) -> str:
        """Close the connection; returns why it broke, or raises where it will break again."""
        try:
            return self.last_words(str(cut)) or "the connection was cut"
        finally:
            self.close()

    def last_words(self, printed: str) -> str:
        """Return what the connection said when it ended.

        Args:
            printed: the last line that the device printed in place of an answer.

        Raises:
            BneckError: trying again would not help.
        """
        return printed

    def _answered(self, answer: dict[str, Any]) -> dict[str, Any]:
        if "error" in answer:
            raise UsageError(f"{self.word}: {self.runtime.word} cannot run it: {answer['error']}")
        return answer

    def _connected(self) -> Connection:
        if self._connection is None:
            try:
                connection = self.connect()
                about = connection.ask(
                    {
                        "runtime": self.runtime.word,
                        "threads": self.threads,
                        "batch_size": self.batch_size,
                    }
                )
            except Cut as cut:
                reason = self._ended(cut)
                if self._about is not None:
                    raise Cut(reason) from None
                raise BneckError(f"{self.word} cannot be reached: {reason}") from None
            if "missing" in about:
                self.close()
                raise BneckError(
                    f"{self.word} lacks what is needed ({about['error']}); there: "
                    f"pip install numpy {about['missing']}"
                )
            found = records.from_json(Fingerprint, about)
            if self._about not in (None, found):
                raise BneckError(f"{self.word} was [{self._about}] and is now [{found}]")
            self._about, self._connection = found, connection
        return self._connection

    def _request(
        self, graph: Graph, *, reference: bool, **asked: Any
    ) -> tuple[dict[str, Any], bytes]:
        content = zlib.compress(file_of(graph, self.runtime), 1)
        return {"size": len(content), "reference": reference, **asked}, content


def file_of(graph: Graph, runtime: Runtime) -> bytes:
    """Return the file by which another device runs a graph.

    Raises:
        UsageError: the runtime cannot run it there.
    """
    if graph.onnx is None:
        return runtime.model(*norm_free(graph.layers, graph.weights, period=PERIOD))
    return runtime.onnx_file(graph.onnx)


def script() -> bytes:
    """Return the source of what runs on the device."""
    return files("bneck.latency").joinpath("on_device", "measure.py").read_bytes()
