"""How long a stage still takes."""

from dataclasses import replace

from bneck.stage_progress import StageProgress


def test_less_than_a_second_is_not_worth_a_word() -> None:
    stage = StageProgress(0.0, 0, 0, 4, "", advanced_s=0.0, now_s=0.9)
    assert [replace(stage, now_s=now_s).time for now_s in (0.9, 1.0)] == ["", "1 s so far"]


def test_what_is_left_is_counted_down_while_an_item_is_under_way() -> None:
    """One of 48 after 130 s leaves 47 x 130 s; what is under way meanwhile takes none longer."""
    stage = StageProgress(0.0, 0, 1, 48, "", advanced_s=130.0, now_s=130.0)
    left_s = [replace(stage, now_s=now_s).left_s for now_s in (130.0, 190.0, 250.0)]
    assert left_s == [6110.0, 6050.0, 5990.0]
    assert replace(stage, now_s=6239.0).time == "1 s left"
    assert replace(stage, now_s=6600.0).time == "1 h 50 min so far"  # something takes longer


def test_a_last_second_that_is_only_expected_is_not_counted_down() -> None:
    """915 of 916 s are said for as long as the last stage takes longer than it was to take."""
    stage = StageProgress(0.0, 0, 914, 916, "", 900.0, now_s=915.0, in_seconds=True, told_s=914.0)
    assert stage.time == "1 s left"
    for now_s in (915.0, 1320.0):
        late = replace(stage, done=915, advanced_s=915.0, told_s=now_s, now_s=now_s)
        assert late.left_s is None
    assert late.time == "22 min so far"
    short = StageProgress(0.0, 0, 0, 1, "", 0.0, now_s=0.0, in_seconds=True, told_s=0.0)
    assert short.left_s == 1.0  # all of a run that takes no longer
