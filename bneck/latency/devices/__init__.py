"""What latency is measured on: one file per kind of device, one word in DEVICES.

Three machines may take part in a run: the one that drives it, those that train, and the target
device, whose latency counts. A calibration and the naming of a network measure through ``Device``;
everything between asks the latency model.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from bneck.errors import UsageError, no_effect, unknown
from bneck.latency.device_load import QUIET, Load, is_told
from bneck.latency.fingerprint import Fingerprint
from bneck.latency.timing import Effort, Timing
from bneck.space.layers import Layer

if TYPE_CHECKING:
    from bneck.latency.predictor import Predictor
    from bneck.latency.runtimes.weights import Array


@dataclass(frozen=True, eq=False)
class Graph:
    """Something that a device can time.

    Attributes:
        layers: of a network, or any run of layers; empty where ``onnx`` is given.
        weights: arrays by the torch module's state names; None takes random ones.
        onnx: a serialised ONNX model.
    """

    layers: tuple[Layer, ...] = ()
    weights: "Mapping[str, Array] | None" = None
    onnx: bytes | None = None


class Device(ABC):
    """A machine, a runtime on it and its settings; made by ``open_device``.

    Attributes:
        word: what it was asked for by: "local", "table:FILE".
        published: latencies that are known without measuring; None where the device is measured.
        synthetic: whether its clock is its own, so that measuring again says nothing new.
        by_hand: whether networks are measured by someone who carries a kit to it.
        batch_size: images that one run takes.
    """

    word: str
    published: "Predictor | None" = None
    synthetic: bool = False
    by_hand: bool = False
    batch_size: int = 1

    @abstractmethod
    def fingerprint(self) -> Fingerprint:
        """Return what identifies the device; a model of another one does not hold here.

        Raises:
            BneckError: the device cannot be reached.
        """

    def watch(self) -> Callable[[], Load]:
        """Return a call that tells what else kept the device busy since, if that is known."""
        return lambda: QUIET

    def watch_idle(self) -> Callable[[], Load]:
        """Return what ``watch`` does, for a time in which nothing is measured."""
        return self.watch()

    @abstractmethod
    def time(
        self, graphs: Iterable[Graph], reference: Graph, effort: Effort
    ) -> Iterator[tuple[Timing, float]]:
        """Time each of ``graphs`` in turns with ``reference``, in order.

        Args:
            graphs: asked for as they are needed, so they may depend on what was yielded; a device
                may ask for some in advance.
            reference: what every time is given as a ratio to.
            effort: how long to time each.

        Yields:
            The timing, and the seconds that it took.

        Raises:
            UsageError: the runtime cannot run one of them.
            BneckError: the device cannot be reached.
        """

    def close(self) -> None:  # noqa: B027  (most devices hold nothing open)
        """End the connection to the device, if there is one; nothing is measured after that."""


DEVICES = {
    "adb": "bneck.latency.devices.adb:AdbDevice",
    "file": "bneck.latency.devices.file:FileDevice",
    "local": "bneck.latency.devices.local:LocalDevice",
    "ssh": "bneck.latency.devices.ssh:SshDevice",
    "table": "bneck.latency.devices.table:TableDevice",
}
"""Word before the colon -> "module:class", imported when first asked for.

The class takes the text behind the colon, ``runtime``, ``threads`` and ``batch_size``.
"""

WATCHED = ("local", "ssh")
"""Devices that tell what else keeps them busy."""


def open_device(
    word: str = "local", *, runtime: str = "onnxruntime", threads: int = 1, batch_size: int = 1
) -> Device:
    """Return the target device that ``word`` names.

    Args:
        word: "local" (this machine), "ssh:USER@HOST[:PORT][/PYTHON]" (another one),
            "adb:[SERIAL][/BENCHMARK_MODEL]" (a phone), "file:DIR" (one that a kit is carried to)
            or "table:FILE" (published latencies).
        runtime: a word of RUNTIMES, or ``package.module:attr``.
        threads: threads of the runtime.
        batch_size: images that one run takes.

    Raises:
        UsageError: an unknown word or runtime, or a file that cannot be read.
    """
    kind, name = _kind_and_name(word)
    module, _, attribute = DEVICES[kind].partition(":")
    made = getattr(import_module(module), attribute)
    device: Device = made(name, runtime=runtime, threads=threads, batch_size=batch_size)
    device.word = word
    return device


def check_device_word(word: str) -> None:
    """Raise UsageError unless ``word`` names a device, or a table that can be read."""
    kind, name = _kind_and_name(word)
    if kind == "table":
        open_device(word)
    if name == "" and kind not in ("local", "adb"):
        raise UsageError(f"target device {word!r} names no device; expected {kind}:NAME")


def _kind_and_name(word: str) -> tuple[str, str]:
    """A key of ``DEVICES``, and what is behind the colon."""
    kind, _, name = word.partition(":")
    if kind not in DEVICES:
        raise unknown("target device", word, DEVICES)
    return kind, name


def check_wait(word: str, minutes: float) -> None:
    """Refuse to wait for a device to become quiet that does not tell how busy it is.

    Args:
        word: the device's.
        minutes: to wait.

    Raises:
        UsageError: any minutes, for a phone, a kit or a table, or for this machine where its system
            does not tell.
    """
    kind, _, _ = word.partition(":")
    if minutes and kind not in WATCHED:
        raise no_effect("wait-quiet", f"on the target device {word}, which is not watched")
    if minutes and kind == "local" and not is_told():
        raise no_effect("wait-quiet", "on this system, which does not tell how busy it is")
