"""What a plan says that was edited by hand, or is somebody else's."""

from pathlib import Path

import pytest

from bneck.errors import UsageError
from bneck.results.run import Run


@pytest.mark.parametrize("value", ['"many"', "true", "1.5", "0", "-3", "[1]"])
def test_what_a_run_settled_is_a_count(tmp_path: Path, value: str) -> None:
    (tmp_path / "plan.toml").write_text(f"layer_macs = {value}\n")
    run = Run.read(tmp_path)
    for settled in (lambda: run.settled("layer_macs"), lambda: run.settle("layer_macs", 1)):
        with pytest.raises(
            UsageError, match=r"plan\.toml: layer-macs must be a whole number from 1 on, got"
        ):
            settled()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"seed = {'9' * 5000}", "plan.toml is not valid TOML: Exceeds the limit"),
        (f"seed = {'[' * 100_000}", "plan.toml is not valid TOML: "),
        (
            "space = 1979-05-27",
            "plan.toml: space must be text, a number, true or false, got a date",
        ),
        ("[data]\nx = 1", "plan.toml: data must be text, a number, true or false, got a dict"),
        (f"layers = [{{x{'.x' * 5000} = 1}}]", "plan.toml: layers must be text"),
    ],
)
def test_a_plan_of_what_no_plan_holds_is_named(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "plan.toml").write_text(text)
    with pytest.raises(UsageError) as caught:
        Run.read(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path}/{words}")


def test_a_plan_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    """As an editor of Windows leaves one."""
    (tmp_path / "plan.toml").write_text("seed = 1\n", encoding="utf-8-sig")
    assert Run.read(tmp_path).plan == {"seed": 1}


def test_a_plan_that_is_not_toml(tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_text("target = ")
    with pytest.raises(UsageError, match=r"plan.toml is not valid TOML"):
        Run.read(tmp_path)


def test_a_plan_of_version_0_1_0_is_read_in_todays_words(tmp_path: Path) -> None:
    file = tmp_path / "plan.toml"
    old = 'start = "net"\nresolution = 32\naccuracy = "macs"\nweight = -0.1\nmultiple = 8\n'
    file.write_text(old)
    today = {
        "seed_network": "net", "resolution_px": 32, "proxy": "macs", "reward_exponent": -0.1
    }  # fmt: skip
    assert Run.read(tmp_path).plan == today
    Run.open(tmp_path, today).close()
    with pytest.raises(UsageError, match="--resolution was 32, now 64; use another --out"):
        Run.open(tmp_path, {**today, "resolution_px": 64})
    file.write_text("multiple = 1\n")
    with pytest.raises(UsageError, match="with another --multiple than 8, which no longer exists"):
        Run.read(tmp_path)
