"""What is left of a run, as it is said after each stage and meanwhile."""

from bneck.derivation.schedule import MEASUREMENT_S, MEASURING, Schedule
from tests.clock import Clock


def test_what_is_left_is_said_after_each_stage() -> None:
    said: list[tuple[str, int, int, str]] = []

    def progress(what: str, done: int, total: int, note: str = "") -> None:
        said.append((what, done, total, note))

    schedule = Schedule()
    schedule.say(progress)
    schedule.finish("search", progress)
    assert said == []
    schedule.expect({"calibration": 120.0, "search": 480.0}, {})
    schedule.say(progress)
    schedule.finish("calibration", progress)
    schedule.finish("calibration", progress)
    schedule.finish("search", progress)
    what = "whole run (s)"
    assert said == [
        (what, 0, 600, "to come: calibration 2 min, search 8 min"),
        (what, 120, 600, "to come: search 8 min"),
        (what, 600, 600, ""),
    ]


def test_a_stage_that_ends_once_for_each_target_is_not_done_after_the_first() -> None:
    said: list[str] = []

    def progress(what: str, done: int, total: int, note: str = "") -> None:
        said.append(f"{done}/{total} {note}".strip())

    schedule = Schedule()
    schedule.expect({"NetAdapt": 600.0, "final training": 60.0}, {"NetAdapt": 2})
    for stage in ("NetAdapt", "NetAdapt", "NetAdapt", "final training"):
        schedule.finish(stage, progress)
    assert said == [
        "300/660 to come: NetAdapt 5 min, final training 60 s",
        "600/660 to come: final training 60 s",
        "660/660",
    ]


def test_what_is_left_never_says_less_than_the_stages_to_come() -> None:
    """Of a search that was to take 100 s and is at work for 45, then 130."""
    said: list[str] = []

    def progress(what: str, done: int, total: int, note: str = "") -> None:
        said.append(f"{what}: {done}/{total} {note}".strip())

    clock = Clock()
    schedule = Schedule(clock=clock)
    told = schedule.beside(progress)
    schedule.expect({"search": 100.0, "final training": 60.0}, {})
    schedule.say(told)
    schedule.begin("search")
    for at_s in (5.0, 45.0, 60.0, 130.0):
        clock.now = at_s
        told("search", 1, 24)
    schedule.finish("search", told)
    news, whole = "search: 1/24", "whole run (s):"
    assert said == [
        f"{whole} 0/160 to come: search 1 min 40 s, final training 60 s",
        news,
        news,
        f"{whole} 45/160 to come: search 55 s, final training 60 s",
        news,
        news,
        f"{whole} 99/160 to come: search 1 s, final training 60 s",
        f"{whole} 100/160 to come: final training 60 s",
    ]


def test_the_last_stage_is_not_called_done_while_it_is_at_work() -> None:
    said: list[tuple[int, int]] = []
    clock = Clock()
    schedule = Schedule(clock=clock)
    told = schedule.beside(lambda what, done, total, note="": said.append((done, total)))
    schedule.expect({"NetAdapt": 100.0, "final training": 60.0}, {"NetAdapt": 2})
    for stage in ("NetAdapt", "NetAdapt", "final training"):
        schedule.begin(stage)
        clock.now += 500
        told("training", 1, 4)
        schedule.finish(stage, told)
    of_whole = [news for news in said if news[1] == 160]
    assert of_whole == [(49, 160), (50, 160), (99, 160), (100, 160), (159, 160), (160, 160)]


def test_a_last_stage_that_takes_longer_than_estimated_is_said_to() -> None:
    said: list[str] = []
    clock = Clock()
    schedule = Schedule(clock=clock)
    told = schedule.beside(lambda what, done, total, note="": said.append(f"{done}/{total} {note}"))
    schedule.expect({"search": 100.0, "final training": 60.0}, {})
    for stage in ("search", "final training"):
        schedule.begin(stage)
        clock.now += 45
        told("training", 1, 4)
        clock.now += 500
        told("training", 2, 4)
        schedule.finish(stage, told)
    assert [line for line in said if "/160" in line] == [
        "45/160 to come: search 55 s, final training 60 s",
        "99/160 to come: search 1 s, final training 60 s",
        "100/160 to come: final training 60 s",
        "145/160 to come: final training 15 s",
        "159/160 final training takes longer than estimated",
        "160/160 ",
    ]


def test_what_measurements_took_is_expected_of_those_to_come() -> None:
    """On a noisy machine one takes 25 s: that of the search, and the two in the end."""
    said: list[str] = []

    def progress(what: str, done: int, total: int, note: str = "") -> None:
        said.append(f"{done}/{total} {note}".strip())

    clock = Clock()
    schedule = Schedule(clock=clock)
    schedule.measurements.update({"search": 1, MEASURING: 2})
    schedule.expect({"search": 100.0, "final training": 60.0}, {MEASURING: 2})
    assert MEASUREMENT_S == 5.0
    schedule.say(progress)
    schedule.begin("search")
    clock.now = 100.0
    with schedule.measuring():
        clock.now = 125.0
    schedule.finish("search", progress)
    schedule.finish("final training", progress)
    for took_s in (25.0, 31.0):
        schedule.begin(MEASURING)
        with schedule.measuring():
            clock.now += took_s
        schedule.finish(MEASURING, progress)
    assert said == [
        "0/175 to come: search 1 min 45 s, final training 60 s, measuring 10 s",
        "125/235 to come: final training 60 s, measuring 50 s",
        "185/235 to come: measuring 50 s",
        "210/235 to come: measuring 25 s",
        "241/241",
    ]
