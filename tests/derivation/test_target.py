"""What a target may be."""

import pytest

from bneck.derivation.target import parse, resolve
from bneck.errors import UsageError


def measured_ms(network: str, side_px: int | None) -> float:
    return {"mobilenet_v3_small": 2.5, "runs/a:b": 4.0}[network] * (side_px or 64) / 64


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("2", 2.0),
        ("0.75", 0.75),
        ("1e-1", 0.1),
        ("0.8x:mobilenet_v3_small", 2.0),
        ("1.5x:runs/a:b", 6.0),
        ("0.8x:mobilenet_v3_small@96", 3.0),
        ("1.5x:runs/a:b@32", 3.0),
    ],
)
def test_targets(text: str, ms: float) -> None:
    assert resolve(text, measured_ms) == pytest.approx(ms)


def test_a_network_in_the_home_folder_is_found_behind_the_colon(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    assert parse("0.8x:~/net.json@96") == (0.8, "/home/ada/net.json", 96)


@pytest.mark.parametrize("side", ["", "abc", "64px", "-64", "64.5"])
def test_a_side_that_is_no_number_is_not_taken_for_a_network(side: str) -> None:
    with pytest.raises(UsageError, match=f"side in px, as @64, not by {side!r}"):
        parse(f"0.8x:mobilenet_v3_small@{side}")


@pytest.mark.parametrize("text", ["", "fast", "0", "-1", "nan", "1e9", "0.8x", "0.8:net", "2 ms"])
def test_nonsense_is_named(text: str) -> None:
    with pytest.raises(
        UsageError, match=r"target must be ms above 0 and below 1e\+06 like 2\.0, or"
    ):
        resolve(text, measured_ms)
