"""``file:DIR``: a device that nothing reaches; a kit is carried to it and its measurements back."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from shlex import quote

from bneck.errors import BneckError, UsageError
from bneck.files import path_of
from bneck.latency.device_load import QUIET, Load
from bneck.latency.devices import Device, Graph
from bneck.latency.fingerprint import Fingerprint
from bneck.latency.kit import add_to_kit, write_kit
from bneck.latency.kit_content import KIT, MEASURED, TIMES, final_name, is_final, read_kit
from bneck.latency.kit_measurements import measured_by_kit, model_of_kit
from bneck.latency.measurements import Measurement, load_of
from bneck.latency.model import LatencyModel
from bneck.latency.runtimes import PORTABLE, as_options, here_only, open_runtime
from bneck.latency.runtimes.weights import Array
from bneck.latency.timing import Effort, Timing, pooled
from bneck.path_checks import check_new_folder
from bneck.progress import Progress, silent
from bneck.space.architecture import Architecture
from bneck.space.choices import Space
from bneck.space.layers import Layer, input_shape, output_shape


class FileDevice(Device):
    """The folder of a kit (``bneck latency kit``), and ``measurements.json`` once it is back."""

    by_hand = True

    def __init__(self, name: str, *, runtime: str, threads: int, batch_size: int) -> None:
        if not name:
            raise UsageError("name the folder of the kit: file:DIR")
        self.word = f"file:{name}"
        self.folder = path_of(name)
        check_new_folder(self.folder)
        if runtime not in PORTABLE:
            raise here_only(open_runtime(runtime).word)
        self.runtime = runtime
        self.threads = threads
        self.batch_size = batch_size
        self.file = self.folder / MEASURED
        self._load = QUIET

    def watch(self) -> Callable[[], Load]:
        """Return a call that tells what else the device did while it timed what was asked for."""
        return lambda: self._load

    def fingerprint(self) -> Fingerprint:
        return self._measured()[0]

    def calibrated(
        self,
        spaces: Sequence[Space],
        *,
        seed: int = 0,
        progress: Progress = silent,
        any_classes: bool = False,
    ) -> LatencyModel:
        """Return the model of what was measured; without measurements, write the kit.

        Args:
            spaces: what the kit's networks are drawn from.
            seed: of these networks.
            progress: told about every network.
            any_classes: whether a kit of another class count than the spaces' will do.

        Raises:
            UsageError: a kit of another runtime, batch size, side or number of classes, or one that
                only measures a run's network.
            BneckError: nothing was measured yet: says what to do.
        """
        kit = read_kit(self.folder)
        if kit is not None:
            kit.check_calibrates()
            kit.check_takes(
                spaces[0].decode(spaces[0].sample(seed)),
                runtime=self.runtime,
                batch_size=self.batch_size,
                any_classes=any_classes,
            )
        else:
            write_kit(
                spaces,
                self.folder,
                runtime=self.runtime,
                batch_size=self.batch_size,
                seed=seed,
                progress=progress,
            )
        return model_of_kit(self.file, *self._measured())

    def time(
        self, graphs: Iterable[Graph], reference: Graph, effort: Effort
    ) -> Iterator[tuple[Timing, float]]:
        """Look up what was measured there; raises BneckError for what was not, or cannot be."""
        for graph in graphs:
            if graph.onnx is not None:
                raise UsageError(f"{self.word} measures networks of our own only, not ONNX files")
            own, other = _side_and_classes(graph.layers), _side_and_classes(reference.layers)
            if own != other:  # which the network was not timed against
                raise UsageError(
                    f"{self.word} timed it against a reference of {own}, and the latency model's "
                    f"is of {other}: leave the model out, or give one of {own}"
                )
            found = self._final(graph.layers, graph.weights)
            self._load = load_of(found)
            if len(found) < TIMES:
                raise BneckError(
                    f"{self.word} has no measurement of this network yet: {self._kit_of_run()}, "
                    f"then {self.steps()}"
                )
            yield pooled([item.timing for item in found], effort.wanted), 0.0

    def is_measured(
        self, layers: tuple[Layer, ...], weights: Mapping[str, Array] | None = None
    ) -> bool:
        """Return whether a final network was measured as often as it is to be.

        Args:
            layers: the network's.
            weights: its own, by the torch module's state names; None takes it with any.
        """
        return len(self._final(layers, weights)) >= TIMES

    def _final(
        self, layers: tuple[Layer, ...], weights: Mapping[str, Array] | None
    ) -> list[Measurement]:
        """The measurements of a final network so far."""
        return [
            item
            for item in self._measured()[1]
            if is_final(item.name)
            and item.arch.layers() == layers
            and (weights is None or item.name.startswith(final_name(item.arch, weights)))
        ]

    def check_takes(self, arch: Architecture) -> None:
        """Raise UsageError where a network like ``arch`` could not be offered in the end."""
        kit = read_kit(self.folder)
        if kit is not None:
            kit.check_takes(arch, runtime=self.runtime, batch_size=self.batch_size)
        elif self.file.exists():
            raise UsageError(
                f"{self.folder} holds {MEASURED} without its {KIT}: copy it back there"
            )

    def offer(self, arch: Architecture, weights: Mapping[str, Array]) -> None:
        """Add a network with its weights to the kit, to be measured next time."""
        add_to_kit(self.folder, arch, weights, runtime=self.runtime, batch_size=self.batch_size)

    def _measured(self) -> tuple[Fingerprint, list[Measurement]]:
        if not self.file.exists() and not (self.folder / KIT).exists():
            raise UsageError(
                f"{self.folder} holds neither a kit nor its measurements: {self._kit_of_run()} "
                "writes a kit"
            )
        if not self.file.exists():
            raise BneckError(f"{self.file} is not there yet: {self.steps()}")
        device, items = measured_by_kit(self.file)
        found, asked = (
            f"--runtime {one.runtime} --threads {one.threads} --batch-size {one.batch_size}"
            for one in (device, self)
        )
        if found != asked:
            raise UsageError(f"{self.file} was measured with {found}, not with {asked}")
        return device, items

    def _kit_of_run(self) -> str:
        """The command that writes a run's network into the kit, with the device's settings."""
        settings = as_options(self.runtime, batch_size=self.batch_size)
        return f"`bneck latency kit --network RUN --out {quote(str(self.folder))} {settings}`"

    def steps(self) -> str:
        """Return what is to be done for the device to measure what the kit holds."""
        threads = "" if self.threads == 1 else f" --threads {self.threads}"
        return (
            f"copy {self.folder} to the device, run `python measure.py{threads}` in it, copy its "
            "measurements.json back there, and run the same command again"
        )


def _side_and_classes(layers: tuple[Layer, ...]) -> str:
    """What a network's reference has in common with it."""
    _, side_px, _ = input_shape(layers[0])
    classes, _, _ = output_shape(layers[-1])
    return f"{side_px} px and {classes} classes"
