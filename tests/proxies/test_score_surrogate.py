"""A surrogate, scored on a table whose order is known."""

from bneck.proxies.score_surrogate import score_surrogate
from bneck.proxies.surrogate.table import Table
from bneck.space import spaces
from bneck.space.cost import cost


def test_a_surrogate_learns_what_a_table_holds() -> None:
    """Accuracy rises with the number of parameters."""
    space = spaces.build("v3-small", resolution_px=16, classes=10)
    archs = [space.decode(space.sample(seed)) for seed in range(40)]
    table = Table("made up", space, {a: 1 - 1e5 / (cost(a).params + 1e5) for a in archs}, {})
    told: list[tuple[int, int]] = []
    learnt = score_surrogate(
        table, progress=lambda what, done, total, note="": told.append((done, total))
    )
    assert told[-1] == (10, 10)  # the splits of 20 labels, all that there are networks for
    assert learnt[50] is None
    assert learnt[100] is None
    assert learnt[20] is not None
    assert learnt[20].spearman > 0.9
    assert 0.5 < learnt[20].within_2_std <= 1
