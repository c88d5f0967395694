"""``adb:[SERIAL][/BENCHMARK_MODEL]``: an Android phone, by Google's ``benchmark_model`` on it.

Networks are pushed by the system's own ``adb`` and timed by LiteRT's prebuilt binary, one process
for each chunk of warm runs, on the phone's fastest core.
"""

import hashlib
import re
import shutil
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from statistics import median

from bneck.errors import BneckError, UsageError
from bneck.latency.device_load import Load
from bneck.latency.devices import Device, Graph
from bneck.latency.devices.adb_client import AdbClient
from bneck.latency.devices.remote import file_of
from bneck.latency.fingerprint import Fingerprint
from bneck.latency.runtimes import open_runtime
from bneck.latency.timing import Effort, Timing, alternated
from bneck.machine import cpu_of

PATTERN = re.compile(r"(?P<serial>[\w.:-]*)(?P<path>/\S+)?")
FOLDER = "/data/local/tmp/bneck"
PLACES = (f"{FOLDER}/benchmark_model", "/data/local/tmp/benchmark_model")
"""Where the binary is looked for on the phone."""
LITERTS = ("litert", "litert-int8")
CHUNK = "--warmup_runs=3 --warmup_min_secs=0.05 --num_runs=10 --min_secs=0.2 --max_secs=20"
PAUSE_S = 0.3
"""Pause between chunks, so that the phone stays cool."""
COOLING_S = 20.0
"""Pause where the reference has become slower."""
HOT = 1.1
"""Chunk of the reference, relative to its shortest one, beyond which that pause follows."""
PAUSES = 3
"""Such pauses in a row after which the phone counts as slower for good."""
RECENT = 5
"""Chunks of the reference whose median tells how fast the phone is: single ones scatter."""
FOREIGN = ("not executable", "Exec format error", "exec format error", "CANNOT LINK")
NUMBER = r"([\d.]+(?:e\+\d+)?)"
FIGURES = re.compile(rf"count=\d+ .*?\bcurr={NUMBER}(?:.*\bavg={NUMBER})?(?:.*\bmedian={NUMBER})?")
"""The last run, the mean and the median: the last two may be left out, runs that took the same all
leave out the second."""
CORES = (
    "for c in /sys/devices/system/cpu/cpu[0-9]*; do "
    "echo ${c##*cpu} $(cat $c/cpufreq/cpuinfo_max_freq 2>/dev/null || echo 0); done"
)


class AdbDevice(Device):
    """A phone, with LiteRT in float32 or 8 bits."""

    def __init__(self, name: str, *, runtime: str, threads: int, batch_size: int) -> None:
        found = PATTERN.fullmatch(name)
        if not found or name.startswith("-"):
            raise UsageError(f"expected adb:[SERIAL][/BENCHMARK_MODEL], got adb:{name}")
        if runtime not in LITERTS:
            raise UsageError(
                f"a phone is measured with --runtime litert or litert-int8, not with {runtime}"
            )
        if shutil.which("adb") is None:
            raise UsageError("there is no adb on this machine: install Android's platform-tools")
        self.word = f"adb:{name}"
        self.runtime = open_runtime(runtime, batch_size=batch_size)
        self.threads = threads
        self.batch_size = batch_size
        self.phone = AdbClient(self.word, found["serial"])
        self.binary = found["path"] or ""
        self.cores = ""
        self._about: Fingerprint | None = None
        self._recent_ns: deque[float] = deque(maxlen=RECENT)
        self._fastest_ns = self._latest_ns = 0.0
        self._cool_ns: dict[str, float] = {}
        self._pauses = 0

    def fingerprint(self) -> Fingerprint:
        if self._about is None:
            self.phone.find()
            self.binary = self._found_binary()
            told = self.phone.shell("getprop ro.product.model; getprop ro.soc.model").split("\n")
            name = " ".join(dict.fromkeys(one.strip() for one in told if one.strip()))
            found = re.findall(r"^(\d+) (\d+)$", self.phone.shell(CORES), re.MULTILINE)
            fastest = sorted(((int(kHz), int(core)) for core, kHz in found), reverse=True)
            self.cores = f"{sum(1 << core for _, core in fastest[: self.threads]):x}"
            digest = self.phone.shell(f"md5sum {self.binary}")
            cpu = cpu_of(self.phone.shell("cat /proc/cpuinfo"), name) or name or "Android phone"
            self._about = Fingerprint(
                cpu, len(fastest), self.runtime.word, digest[:12], self.threads, self.batch_size
            )
        return self._about

    def watch(self) -> Callable[[], Load]:
        """Return a call that tells whether the reference has become slower since: by heat."""
        self._fastest_ns = self._latest_ns = 0.0
        self._recent_ns.clear()
        return lambda: Load(0.0, 0.0, max(0.0, self._latest_ns / (self._fastest_ns or 1.0) - 1.0))

    def time(
        self, graphs: Iterable[Graph], reference: Graph, effort: Effort
    ) -> Iterator[tuple[Timing, float]]:
        self.fingerprint()
        standard = self._pushed(reference)
        for graph in graphs:
            begun = time.monotonic()
            file = self._pushed(graph)
            timing = alternated(
                lambda file=file: self._chunk_ns(file),  # type: ignore[misc]
                lambda: self._reference_chunk_ns(standard),
                effort,
            )
            if file != standard:
                self.phone.shell(f"rm -f {file}")
            yield timing, time.monotonic() - begun

    def _reference_chunk_ns(self, file: str) -> float:
        """A chunk of the reference; where it tells of heat, a pause follows."""
        found = self._chunk_ns(file)
        self._recent_ns.append(found)
        self._latest_ns = median(self._recent_ns)
        self._fastest_ns = min(self._fastest_ns or self._latest_ns, self._latest_ns)
        cool_ns = self._cool_ns[file] = min(self._cool_ns.get(file, found), found)
        if found <= HOT * cool_ns:
            self._pauses = 0
        elif self._pauses < PAUSES:
            self._pauses += 1
            time.sleep(COOLING_S)
        else:
            self._cool_ns[file] = found
        return found

    def _chunk_ns(self, file: str) -> float:
        """Median nanoseconds of warm runs of a network on the phone."""
        time.sleep(PAUSE_S)
        code, said = self.phone.run(
            f"taskset {self.cores} {self.binary} --graph={file} --num_threads={self.threads} "
            f"--use_xnnpack=true {CHUNK} 2>&1"
        )
        figures = [match for line in said.split("\n") if (match := FIGURES.search(line))]
        if code or not figures:  # one that was killed has told of its warm-up alone
            last = said.strip().split("\n")[-1]
            failed = f"failed with exit code {code}" if code else "gave no timings"
            raise BneckError(f"{self.word}: {self.binary} {failed}: {last:.200}")
        last_run, mean, middle = figures[-1].groups()
        return 1e3 * float(middle or mean or last_run)

    def _pushed(self, graph: Graph) -> str:
        """Copy a network to the phone; returns its path."""
        content = file_of(graph, self.runtime)
        path = f"{FOLDER}/{hashlib.sha256(content).hexdigest()[:16]}.tflite"
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "network.tflite")
            file.write_bytes(content)
            self.phone.push(file, path)
        return path

    def _found_binary(self) -> str:
        """The path of benchmark_model on the phone; one on this machine is pushed there."""
        places: tuple[str, ...] = (self.binary,) if self.binary else PLACES
        if self.binary and Path(self.binary).is_file():
            places = PLACES[:1]
            self.phone.push(Path(self.binary), places[0])
            self.phone.shell(f"chmod 755 {places[0]}")
        path = next((one for one in places if not self.phone.run(f"ls {one}")[0]), "")
        if not path:
            raise BneckError(
                f"{self.word}: no {self.binary or 'benchmark_model'} on the phone or here: "
                "download LiteRT's benchmark_model for its architecture and name it as "
                "adb:[SERIAL]/PATH/TO/benchmark_model"
            )
        said = self.phone.shell(f"{path} --help 2>&1")
        if any(words in said for words in FOREIGN):
            abi = self.phone.shell("getprop ro.product.cpu.abi").strip()
            raise BneckError(
                f"{self.word}: {path} does not run on this phone ({abi}): "
                f"{said.strip().split(chr(10))[0]:.200}"
            )
        return path
