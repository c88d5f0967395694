"""What every sampler keeps to, modelled on Optuna's own contract suite for samplers."""

import math
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from optuna.samplers import NSGAIISampler

from bneck.errors import ProxyFailed
from bneck.executors.serial import Serial
from bneck.results.record import Record
from bneck.search.objectives import Objectives, Target
from bneck.search.reward import Soft
from bneck.search.samplers import SAMPLERS
from bneck.search.search import search
from bneck.search.study import Study
from bneck.space import codec, spaces
from bneck.space.architecture import Architecture
from bneck.space.choices import Space, Value, Values
from bneck.space.cost import cost
from tests.closed_form import MacsDevice
from tests.search.simulated import Simulated, lognormal

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")

NAMES = [*SAMPLERS, "optuna.samplers:QMCSampler"]
SMALL_POPULATION = f"{__name__}:small_population"
"""NSGA-II that reaches its second generation, and notes on the study who its parents are."""
BANDS = {"nas-bench-macro": (20.0, 40.0), "v3-small": (1.0, 1.5)}
"""Floor and ceiling in million multiply-adds: a minority of each space lies between."""


@pytest.fixture(params=NAMES)
def sampler(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=BANDS)
def space(request: pytest.FixtureRequest) -> Space:
    """One without and one with choices that are live only sometimes."""
    return built(request.param)


@cache
def built(name: str) -> Space:
    return spaces.build(name, resolution_px=32, classes=10)


@cache
def in_band(name: str, front: bool) -> Objectives:
    """What all searches of a space aim at; its fastest and slowest network are looked for once."""
    floor_ms, ceiling_ms = BANDS[name]
    target = Target(None if front else Soft(1.0), ceiling_ms, ceiling_ms, floor_ms)
    return Objectives(built(name), MacsDevice(), [target])


def small_population(seed: int) -> NSGAIISampler:
    return NSGAIISampler(population_size=4, seed=seed)


def reduced(choices: int) -> Space:
    """NAS-Bench-Macro with its first few choices alone, and the identity elsewhere."""
    large = spaces.build("nas-bench-macro", resolution_px=32, classes=10)

    names = list(large.choices)[:choices]

    @cache  # these few are asked for thousands of times
    def of(*words: Value) -> Architecture:
        return large.decode(
            dict.fromkeys(large.choices, "identity") | dict(zip(names, words, strict=True))
        )

    def decode(values: Values) -> Architecture:
        return of(*(values[name] for name in names))

    return Space("tiny", dict.fromkeys(names, ("identity", "k3e3", "k5e6")), decode)


def accuracy(arch: Architecture) -> float:
    """Larger with more parameters, give or take what the architecture's key says."""
    share = 1 / (1 + math.exp(13.5 - math.log(cost(arch).params)))
    return 0.9 * share + int(codec.key(arch)[:6], 16) % 1000 / 1e5


def fails_sometimes(arch: Architecture) -> float:
    if int(codec.key(arch)[:8], 16) % 3 == 0:
        raise ProxyFailed("the loss is nan at step 7")
    return accuracy(arch)


def run(
    folder: Path,
    space: Space,
    sampler: str,
    evaluations: int = 24,
    *,
    evaluate: Callable[[Architecture], float] = accuracy,
    executor: object = None,
    seed: int = 3,
    parallel: int = 4,
    front: bool = False,
) -> list[Record]:
    folder.mkdir(exist_ok=True)
    journal = folder / "journal.log"
    study = Study(journal, space, sampler=sampler, seed=seed, parallel=parallel, front=front)
    anywhere = Objectives(space, MacsDevice(), [Target(Soft(1.0))])
    return search(
        study,
        evaluate,
        objectives=in_band(space.name, front) if space.name in BANDS else anywhere,
        evaluations=evaluations,
        executor=executor or Serial(),
    )


def networks(records: list[Record]) -> list[Architecture]:
    return [record.arch for record in records]


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Space, str], list[Record]]:
    """What an undisturbed search of 24 evaluations finds; each is run once for all tests."""

    @cache
    def found(name: str, sampler: str) -> list[Record]:
        return run(tmp_path_factory.mktemp("searched"), built(name), sampler)

    return lambda space, sampler: found(space.name, sampler)


def test_networks_are_new_and_allowed(
    searched: Callable[[Space, str], list[Record]], space: Space, sampler: str
) -> None:
    records = searched(space, sampler)
    assert len(set(networks(records))) == len(records) == 24
    floor_ms, ceiling_ms = BANDS[space.name]
    assert all(floor_ms <= record.latency_ms <= ceiling_ms for record in records)


def test_the_seed_decides(
    searched: Callable[[Space, str], list[Record]], tmp_path: Path, space: Space, sampler: str
) -> None:
    one, same = searched(space, sampler), run(tmp_path / "same", space, sampler, 12)
    other = run(tmp_path / "other", space, sampler, 4, seed=4)
    assert networks(one)[:12] == networks(same)
    assert networks(one)[:4] != networks(other)


def test_trials_are_the_same_on_any_number_of_workers(
    tmp_path: Path, space: Space, sampler: str
) -> None:
    """Their results come in another order, and some networks fail."""

    def found(name: str, executor: object = None) -> list[tuple[object, ...]]:
        asked = {"evaluate": fails_sometimes, "executor": executor}
        records = run(tmp_path / name, space, sampler, 14, **asked)
        return [(record.arch, record.reward, record.error) for record in records]

    alone = found("alone")
    for workers in (2, 3, 64):
        assert found(str(workers), Simulated(workers, lognormal)) == alone
    errors = {error for *_, error in alone}
    assert errors == {None, "ProxyFailed: the loss is nan at step 7"}


def test_a_search_resumes_from_any_line(tmp_path: Path, space: Space, sampler: str) -> None:
    """Whatever prefix of its lines is on the disk, and where the last one is cut."""
    whole = run(tmp_path / "whole", space, sampler, 16, executor=Simulated(3))
    lines = (tmp_path / "whole" / "journal.log").read_bytes().splitlines(keepends=True)
    for place, count in enumerate(range(0, len(lines), 15)):
        folder = tmp_path / str(count)
        folder.mkdir()
        torn = lines[count][: len(lines[count]) * place // 5]
        (folder / "journal.log").write_bytes(b"".join(lines[:count]) + torn)
        resumed = run(folder, space, sampler, 16)
        assert [(r.arch, r.reward) for r in resumed] == [(r.arch, r.reward) for r in whole]


def test_more_evaluations_continue_from_where_it_ended(
    searched: Callable[[Space, str], list[Record]], tmp_path: Path, space: Space, sampler: str
) -> None:
    run(tmp_path, space, sampler, 9, executor=Simulated(5))
    assert networks(run(tmp_path, space, sampler, 16)) == networks(searched(space, sampler))[:16]


def test_accuracy_and_latency_may_be_two_objectives(
    tmp_path: Path, space: Space, sampler: str
) -> None:
    records = run(tmp_path, space, sampler, 14, front=True)
    assert [record.accuracy for record in records] == [accuracy(arch) for arch in networks(records)]


def test_a_finished_space_ends_the_search(tmp_path: Path, sampler: str) -> None:
    """Nine networks, each of them evaluated once."""
    records = run(tmp_path, reduced(2), sampler, 20)
    assert len(set(networks(records))) == len(records) == 9


@pytest.mark.parametrize("sampler", [*NAMES, SMALL_POPULATION])
def test_a_search_resumes_where_one_of_two_targets_has_no_network_left(
    tmp_path: Path, sampler: str
) -> None:
    """Five of 27 networks are for the first target; its turns come again and again."""
    space = reduced(3)
    macs = sorted(MacsDevice().predict(space.decode(values)).ms for values in space.all())
    targets = [Target(Soft(1.0), macs[4], macs[4]), Target(Soft(1.0), macs[-1], floor_ms=macs[5])]

    def found(folder: Path) -> list[tuple[object, ...]]:
        study = Study(folder / "journal.log", space, sampler=sampler, seed=3, parallel=4)
        objectives = Objectives(space, MacsDevice(), targets)
        records = search(study, accuracy, objectives=objectives, evaluations=16, executor=Serial())
        return [(record.number, record.arch, record.reward) for record in records]

    whole = found(tmp_path)
    lines = (tmp_path / "journal.log").read_bytes().splitlines(keepends=True)
    for count in range(len(lines) // 2, len(lines), 8):
        folder = tmp_path / str(count)
        folder.mkdir()
        (folder / "journal.log").write_bytes(b"".join(lines[:count]))
        assert found(folder) == whole
