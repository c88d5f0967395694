"""Networks measured in turns, each with its weights."""

from bneck.latency.measure import Measured
from bneck.reproduction.measuring import measured_in_turns


def test_every_network_once_then_all_again_and_the_median_counts() -> None:
    asked: list[tuple[str, str]] = []
    found_ms = iter((1.0, 2.0, 1.04, 2.2, 1.02, 2.0))

    def measure(network: str, state: str) -> Measured:
        asked.append((network, state))
        return Measured(next(found_ms), 0.03)

    fast, slow = measured_in_turns({"fast": ("a", "its"), "slow": ("b", "own")}, measure)
    assert asked == 3 * [("a", "its"), ("b", "own")]
    assert (fast.name, fast.measured.ms, fast.measured.std_ms) == ("fast", 1.02, 0.03)
    assert (slow.measured.ms, round(slow.measured.std_ms or 0, 9)) == (2.0, 0.1)  # half the range


def test_a_doubt_about_one_turn_is_one_about_the_network() -> None:
    notes = iter(("", "", "the clock changed", "", "it was busy", ""))

    def measure(network: str, state: str) -> Measured:
        note = next(notes)
        return Measured(1.0, 0.0, note)

    doubtful, sure = measured_in_turns({"doubtful": ("a", "its"), "sure": ("b", "own")}, measure)
    assert (doubtful.note, sure.note) == ("the clock changed", "")
