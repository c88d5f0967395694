"""A surrogate, scored on a table whose order is known."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from bneck.proxies import score_surrogate as score_surrogate_module
from bneck.proxies.score_surrogate import score_surrogate
from bneck.proxies.surrogate.surrogate import Surrogate
from bneck.proxies.surrogate.table import Table
from bneck.space import spaces
from bneck.space.cost import cost


def test_a_split_is_judged_by_what_was_not_learnt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 20 labels that say little, against SciPy's rank correlation."""
    space = spaces.build("v3-small", resolution_px=16, classes=10)
    archs = [space.decode(space.sample(seed)) for seed in range(45)]
    draw = np.random.default_rng(0)
    truth = np.array([1 - 1e5 / (cost(a).params + 1e5) for a in archs])
    truth = np.clip(truth + draw.normal(0, 0.1, 45), 0.01, 0.99)
    band_of = dict(zip(archs, draw.permutation(45), strict=True))
    monkeypatch.setattr(score_surrogate_module, "LABELS", (20,))
    monkeypatch.setattr(score_surrogate_module, "SPLITS", 1)
    table = Table("made up", space, dict(zip(archs, truth.tolist(), strict=True)), {})
    found = score_surrogate(table, band=band_of.__getitem__, seed=4)[20]
    order = np.random.default_rng((4, 0)).permutation(45)
    learnt, rest = order[:20], order[20:]
    guess, std = Surrogate([archs[i] for i in learnt], truth[learnt]).predict(
        [archs[i] for i in rest]
    )
    bands = np.array_split(sorted(range(25), key=lambda i: band_of[archs[rest[i]]]), 2)
    in_band = np.mean([spearmanr(guess[band], truth[rest][band]).statistic for band in bands])
    assert found is not None
    assert found.spearman == pytest.approx(spearmanr(guess, truth[rest]).statistic)
    assert found.in_band == pytest.approx(in_band)
    assert found.within_2_std == (abs(guess - truth[rest]) <= 2 * std).mean()
    assert found.within_2_std > (abs(guess - truth[rest]) <= std).mean()


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
