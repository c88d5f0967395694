"""The surrogate: closed forms of its regression, and how it ranks networks it never saw."""

import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from scipy.stats import multivariate_normal, norm
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import (
    ConstantKernel,
    DotProduct,
    RationalQuadratic,
    WhiteKernel,
)

from bneck.errors import UsageError
from bneck.proxies.surrogate import features, stacking, table
from bneck.proxies.surrogate.correlation import in_band, spearman
from bneck.proxies.surrogate.gaussian_process import GaussianProcess, Relevance, learn
from bneck.proxies.surrogate.stacking import Stacking, stacked
from bneck.proxies.surrogate.surrogate import Surrogate
from bneck.space import presets, spaces
from bneck.space.architecture import Architecture
from bneck.space.cost import cost


def data(count: int = 40) -> tuple[dict, np.ndarray]:
    random = np.random.default_rng(0)
    columns = {"coarse": random.normal(size=(count, 2)), "fine": random.normal(size=(count, 5))}
    return columns, np.sin(columns["coarse"][:, 0]) + 0.1 * random.normal(size=count)


@pytest.mark.parametrize("linear", [None, -0.5])
def test_the_posterior_is_scikit_learns(linear: float | None) -> None:
    columns, targets = data()
    relevance = Relevance({"coarse": -1.0, "fine": -2.0}, signal=0.3, noise=-2.0, linear=linear)
    train = {name: values[:30] for name, values in columns.items()}
    new = {name: values[30:] for name, values in columns.items()}
    ours = GaussianProcess(train, targets[:30], relevance)

    def scaled(of: dict) -> np.ndarray:
        parts = []
        for name, log_weight in relevance.groups.items():
            part = (of[name] - train[name].mean(axis=0)) / train[name].std(axis=0)
            parts.append(part * np.exp(log_weight / 2) / np.sqrt(part.shape[1]))
        return np.concatenate(parts, axis=1)

    kernel = ConstantKernel(np.exp(0.3)) * RationalQuadratic(1.0, 1.0) + WhiteKernel(np.exp(-2.0))
    if linear is not None:
        kernel += ConstantKernel(np.exp(linear)) * DotProduct(1e-9)
    theirs = GaussianProcessRegressor(kernel, optimizer=None, normalize_y=True)
    theirs.fit(scaled(train), targets[:30])
    mean, std = theirs.predict(scaled(new), return_std=True)
    found_mean, found_std = ours.predict(new)
    assert found_mean == pytest.approx(mean, abs=1e-6)
    assert found_std == pytest.approx(std, abs=1e-6)
    assert (ours.predict(new, noise=False)[1] < found_std).all()


@pytest.mark.parametrize("linear", [False, True])
def test_relevances_are_where_the_posterior_is_largest(linear: bool) -> None:
    columns, targets = data()
    found = learn(columns, targets, {"coarse": -1.0, "fine": -2.0}, linear=linear)
    wanted = (targets - targets.mean()) / targets.std()

    def posterior(vector: np.ndarray) -> float:
        groups, (signal, noise, *line) = np.split(np.exp(vector), [2])
        rows = np.concatenate(
            [
                np.sqrt(weight / part.shape[1]) * (part - part.mean(0)) / part.std(0)
                for weight, part in zip(groups, columns.values(), strict=True)
            ],
            axis=1,
        )
        squares = ((rows[:, None] - rows) ** 2).sum(-1)
        covariance = signal / (1 + squares / 2) + noise * np.eye(40) + sum(line) * rows @ rows.T
        centre = [-1.0, -2.0, np.log(1.5), np.log(0.1), *(0.0 for _ in line)]
        spread = [2.0, 2.0, 1.0, 1.0, *(1.5 for _ in line)]
        likelihood = multivariate_normal(np.zeros(40), covariance).logpdf(wanted)
        return float(likelihood + norm(centre, spread).logpdf(vector).sum())

    slope = approx_fprime(found.vector(), posterior, 1e-5)
    assert slope == pytest.approx(np.zeros(len(slope)), abs=0.02)


def test_labels_left_out_are_predicted_as_without_them() -> None:
    columns, targets = data(12)
    targets = (targets - targets.mean()) / targets.std()
    relevance = Relevance({"coarse": -1.0, "fine": -2.0}, noise=-2.0, linear=0.0)
    process = GaussianProcess(columns, targets, relevance)
    # The joint density of all labels by the definition of a conditional one.
    rows = np.concatenate(
        [
            np.exp(log_weight / 2) * (part - part.mean(0)) / part.std(0) / np.sqrt(part.shape[1])
            for log_weight, part in zip((-1.0, -2.0), columns.values(), strict=True)
        ],
        axis=1,
    )
    squares = ((rows[:, None] - rows) ** 2).sum(-1)
    covariance = 1.5 / (1 + squares / 2) + np.exp(-2.0) * np.eye(12) + rows @ rows.T
    joint = multivariate_normal(np.zeros(12), covariance).logpdf(targets)
    for i, density in enumerate(process.left_out()):
        rest = np.delete(np.arange(12), i)
        others = multivariate_normal(np.zeros(11), covariance[np.ix_(rest, rest)])
        assert density == pytest.approx(joint - others.logpdf(targets[rest]))


def test_models_are_weighed_by_what_they_predict() -> None:
    good, bad = np.full(98, -1.0), np.full(98, -3.0)
    # All labels speak for one model, and one imagined label for each: 99 of 100, but for e^-2.
    assert stacked(np.array([good, bad]))[0] == pytest.approx(0.99, abs=0.002)
    assert stacked(np.array([good, good])) == pytest.approx([0.5, 0.5])


def test_a_stack_has_the_mean_and_deviation_of_the_mixture() -> None:
    columns, targets = data()
    model = Stacking(columns, targets, dict.fromkeys(columns, -2.0))
    model.weights = np.array([0.3, 0.7])
    (m1, s1), (m2, s2) = (each.predict(columns) for each in model._processes)
    mean, std = model.predict(columns)
    assert mean == pytest.approx(0.3 * m1 + 0.7 * m2)
    square = 0.3 * (m1**2 + s1**2) + 0.7 * (m2**2 + s2**2)
    assert std**2 == pytest.approx(square - mean**2)
    assert (abs(m1 - m2) > 0.1 * s1).any()


def test_many_labels_do_not_fill_the_memory_with_their_square(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stacking, "LEARN_ROWS", 50)
    monkeypatch.setattr(stacking, "MOST_ROWS", 200)
    columns, targets = data(2000)
    tracemalloc.start()
    try:
        model = Stacking(columns, targets, dict.fromkeys(columns, -2.0))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2000**2 * 8  # bytes of one covariance matrix of all labels
    mean, _ = model.predict(columns)
    assert spearman(mean, np.sin(columns["coarse"][:, 0])) > 0.9


@pytest.mark.parametrize("best_first", [False, True])
def test_labels_in_order_of_their_size_teach_as_others_do(
    monkeypatch: pytest.MonkeyPatch, best_first: bool
) -> None:
    monkeypatch.setattr(stacking, "LEARN_ROWS", 50)
    columns, targets = data(400)
    order = np.argsort(-targets[:200] if best_first else targets[:200])
    known = {name: values[order] for name, values in columns.items()}
    model = Stacking(known, targets[order], dict.fromkeys(columns, -2.0))
    mean, std = model.predict({name: values[200:] for name, values in columns.items()})
    assert np.std(mean - targets[200:]) < 0.12
    assert std.mean() == pytest.approx(0.1, abs=0.03)  # the noise of a label


def test_relevance_goes_to_the_group_that_decides() -> None:
    columns, targets = data(80)
    found = learn(columns, targets, {"coarse": -4.0, "fine": -4.0})
    assert found.groups["coarse"] > found.groups["fine"] + 2
    swapped = learn(dict(reversed(columns.items())), targets, {"coarse": -4.0, "fine": -4.0})
    assert swapped.groups["coarse"] == pytest.approx(found.groups["coarse"], abs=0.05)


def test_features_count_what_the_network_costs() -> None:
    archs = [presets.build(name) for name in presets.PRESETS]
    found = features.groups(archs, features.Shape.of(archs))["cost"]
    expected = [(np.log(cost(arch).macs), np.log(cost(arch).params)) for arch in archs]
    assert found == pytest.approx(np.array(expected))
    assert list(features.macs(archs)) == [cost(arch).macs for arch in archs]


def test_features_count_the_blocks_of_mobilenet_v3_small() -> None:
    """Howard et al. 2019, table 2: of 11 blocks 8 have 5x5 kernels, 9 SE and 8 h-swish."""
    arch = presets.build("mobilenet_v3_small")
    found = features.groups([arch], features.Shape.of([arch]))
    sums = {name: float(found[name][0, 0]) for name in ("depth", "kernel", "se", "hswish")}
    assert sums == {"depth": 11, "kernel": 8, "se": 9, "hswish": 8}


def test_features_of_a_network_do_not_depend_on_the_others() -> None:
    space = spaces.build("v3-small", resolution_px=64, classes=10)
    archs = [space.decode(space.sample(seed)) for seed in range(20)]
    shape = features.Shape.of(archs)
    together = features.groups(archs, shape)
    for i, arch in enumerate(archs):
        alone = features.groups([arch], shape)
        for name, columns in together.items():
            assert alone[name][0] == pytest.approx(columns[i], abs=1e-9), name


def by_depth(arch: Architecture) -> float:
    """An accuracy that grows with the number of blocks."""
    return 1 / (1 + np.exp(-0.3 * sum(len(stage) for stage in arch.stages)))


def test_it_learns_and_says_how_well() -> None:
    space = spaces.build("v3-small", resolution_px=64, classes=10)
    archs = [space.decode(space.sample(seed)) for seed in range(60)]
    labels = [by_depth(arch) for arch in archs]
    surrogate = Surrogate(archs[:40], labels[:40])
    mean, std = surrogate.predict(archs[40:])
    assert mean == pytest.approx(labels[40:], abs=0.01)
    assert ((std > 0) & (std < 0.05)).all()
    assert [one.shape for one in surrogate.predict([])] == [(0,), (0,)]
    assert surrogate.cross_validated() > 0.9
    assert surrogate.cross_validated(seed=1) == surrogate.cross_validated(seed=1)


def test_a_label_does_not_predict_itself_in_cross_validation() -> None:
    """Labels that are chance alone cannot be foretold from others."""
    space = spaces.build("v3-small", resolution_px=64, classes=10)
    archs = [space.decode(space.sample(seed)) for seed in range(30)]
    labels = np.random.default_rng(0).uniform(0.2, 0.9, 30)
    surrogate = Surrogate(archs, labels)
    themselves, _ = surrogate.predict(archs)
    assert in_band(themselves, labels, features.macs(archs)) > 0.5
    assert surrogate.cross_validated() < 0.4


def test_accuracies_of_0_and_1_can_be_learnt_from() -> None:
    space = spaces.build("v3-small")
    archs = [space.decode(space.sample(seed)) for seed in range(8)]
    mean, std = Surrogate(archs, [0, 1, 0.5, 0.6, 0.7, 0.6, 0.7, 0.6]).predict(archs)
    assert ((mean > 0) & (mean < 1) & (std > 0)).all()


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0.5] * 4, "needs at least 5 labels, got 4"),
        ([0.5, 0.6, float("nan"), 0.6, 0.7], "accuracy 3 must be from 0 to 1, got nan"),
        ([0.5, 0.6, 61.0, 0.6, 0.7], "accuracy 3 must be from 0 to 1, got 61"),
    ],
)
def test_labels_that_cannot_be(labels: list[float], message: str) -> None:
    space = spaces.build("v3-small")
    archs = [space.decode(space.sample(seed)) for seed in range(len(labels))]
    with pytest.raises(UsageError, match=message):
        Surrogate(archs, labels)


@pytest.mark.parametrize(
    ("name", "reached"),
    [
        ("nas_bench_macro.csv", {20: 0.85, 50: 0.93, 100: 0.95}),
        ("accel_nasbench_sample.csv", {20: 0.80, 50: 0.92, 100: 0.945}),
    ],
)
def test_ranking_in_band_on_published_tables(
    shared_data: Path, name: str, reached: dict[int, float]
) -> None:
    """Medians of three splits, so a little under what the benchmark's twenty must reach."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        truth = table.load(shared_data / name)
    archs, labels = list(truth.accuracies), np.array(list(truth.accuracies.values()))
    macs = features.macs(archs)
    for count, least in reached.items():
        ranked, covered = [], []
        for seed in range(500, 503):
            order = np.random.default_rng(seed).permutation(len(archs))
            known, rest = order[:count], order[count : count + 800]
            surrogate = Surrogate([archs[i] for i in known], labels[known])
            mean, std = surrogate.predict([archs[i] for i in rest])
            ranked.append(in_band(mean, labels[rest], macs[rest]))
            covered.append(np.mean(np.abs(mean - labels[rest]) <= 2 * std))
        assert np.median(ranked) >= least
        assert count < 50 or 0.9 <= np.median(covered) <= 0.97
