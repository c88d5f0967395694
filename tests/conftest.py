"""What all tests share: one thread, Ctrl-C, real data, a device known in closed form."""

import gc
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bneck.locks import locked
from bneck.machine import wait_passively
from bneck.space import spaces
from bneck.space.architecture import Architecture
from bneck.space.choices import Space

if TYPE_CHECKING:
    from bneck.latency.model import LatencyModel
    from tests.closed_form import MacsDevice

# Libraries read these once, when they are first imported; subprocesses inherit them.
for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[variable] = "1"
# As the command does, which most tests call in this process: where a test asks for two threads, one
# would spin until the other, whose core another test has, is done.
wait_passively()

# A shell's background jobs, which these tests may be, ignore Ctrl-C, and so would what they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Let garbage collections pass over what the tests import, which stays to the end."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A cache of the tests' own, so that none finds what a user's commands left there."""
    os.environ["BNECK_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session", autouse=True)
def terminal_outlived_alone() -> None:
    """Under nohup, outlive a closed terminal by a handler, which what tests start does not inherit.

    Pytest's workers have begun before, so that they outlive it too.
    """
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda *_: None)


@pytest.fixture(scope="session")
def forks_have_torch() -> None:
    """Let all that these tests fork come from one process that has PyTorch.

    It is the first fork that decides what they have: after one for a task without PyTorch, each
    worker of every later test would import it for itself.
    """
    from bneck.executors.processes import processes
    from tests.processes import PRELOADED

    with closing(processes(1, imported=PRELOADED)) as executor:
        list(executor.map_unordered(abs, [0]))


@pytest.fixture(autouse=True)
def independent_of_earlier_tests() -> None:
    """Undo what an earlier test set or drew; torch is not imported for tests that do without it."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
        sys.modules["torch"].manual_seed(0)


@pytest.fixture(scope="module", autouse=True)
def spaces_of_this_module_alone() -> Iterator[None]:
    """Forget the spaces of its own that a module has loaded: tables list all that are known."""
    before = dict(spaces.SPACES)
    yield
    spaces.SPACES.clear()
    spaces.SPACES.update(before)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of published tables and real images, from BNECK_DATA or beside the repository."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("BNECK_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"no data folder at {folder}; name one in BNECK_DATA")
    return folder


@pytest.fixture
def model() -> "MacsDevice":
    """A million multiply-adds a millisecond."""
    from tests.closed_form import MacsDevice  # numpy: after the threads are set

    return MacsDevice()


@pytest.fixture(scope="session")
def space() -> Space:
    return spaces.build("v3-small", resolution_px=32, classes=10)


@pytest.fixture(scope="session")
def digits_latency(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A calibration of the device that counts multiply-adds: v3-small, 16 px, 10 classes.

    Commands that take it by ``--latency`` need not calibrate, which takes seconds.
    """
    return calibrated_by_macs(tmp_path_factory, resolution_px=16, minutes=0.003) / "latency.json"


@pytest.fixture(scope="session")
def macs_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A calibration of the device that counts multiply-adds: v3-small, 64 px, 10 classes."""
    return calibrated_by_macs(tmp_path_factory, resolution_px=64, minutes=0.014)


def calibrated_by_macs(
    tmp_path_factory: pytest.TempPathFactory, *, resolution_px: int, minutes: float
) -> Path:
    """A calibration's folder; of several workers of pytest the first one to need it calibrates."""
    from bneck.latency.calibration.calibrate import calibrate
    from bneck.latency.devices import open_device

    base = tmp_path_factory.getbasetemp()  # a worker's own, inside that of all
    whole = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = whole / f"calibrated_{resolution_px}px"
    with locked(folder):
        if not (folder / "latency.json").exists():
            space = spaces.build("v3-small", resolution_px=resolution_px, classes=10)
            device = open_device(runtime="macs")
            model = calibrate([space], device, folder=folder, minutes=minutes)
            model.save(folder / "latency.json")
    return folder


@pytest.fixture(scope="session")
def macs_model(macs_folder: Path) -> "LatencyModel":
    from bneck.latency.model import load

    return load(macs_folder / "latency.json")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, ``runs/done``, beside one that has only begun and an ONNX file."""
    from tests.finished_run import finished_run  # torch: after the threads are set

    return finished_run(tmp_path_factory.mktemp("finished"))


@pytest.fixture
def two_repetitions(monkeypatch: pytest.MonkeyPatch) -> None:
    """For what is said of a measurement; how sure it is does not count, and would take seconds."""
    from bneck.latency import measure

    monkeypatch.setattr(measure, "MIN_REPETITIONS", 2)
    monkeypatch.setattr(measure, "MAX_REPETITIONS", 2)
    monkeypatch.setattr(measure, "MAX_PAIRS", 6)


@pytest.fixture(scope="module")
def few_random_networks() -> Iterator[None]:
    """For derivations whose similarity nothing is asked of: 200 networks take a second of a core.

    They are for each target, in this process; ``test_real_defaults`` has all of them.
    """
    from bneck.derivation.stages import outcome

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outcome, "RANDOM_NETWORKS", 10)
        yield


@pytest.fixture
def by_macs() -> Callable[[Architecture], float]:
    """An accuracy that grows with the multiply-adds, from 0 to 1."""
    from tests.closed_form import accuracy

    return accuracy
