"""Which of a reproduction's factors a benchmark goes through, and their targets."""

from bneck.derivation.target import kept_targets
from bneck.errors import UsageError, unknown
from bneck.reproduction.plan import numbers
from bneck.reproduction.results import ReproductionResults, plan_of
from bneck.results.run import Run
from bneck.space.presets import MOBILENET_V3_SMALL


def factors_of(repro: Run, asked: str | None) -> tuple[float, ...]:
    """The factors that ``asked`` lists, or all of the reproduction's.

    Raises:
        UsageError: the reproduction has none such.
    """
    known = numbers("factors", plan_of(repro).factors)
    factors = known if asked is None else numbers("factors", asked)
    for factor in factors:
        if factor not in known:
            raise unknown("factor", f"{factor:g}", (f"{one:g}" for one in known))
    return factors


def targets_of(repro: Run, asked: str) -> dict[float, float]:
    """The targets in ms of the factors that ``asked`` lists, as the reproduction measured them.

    Raises:
        UsageError: the reproduction has none such factor, or has not measured its targets yet.
    """
    factors = factors_of(repro, asked)
    targets_ms = kept_targets(Run(repro.folder / "search-paper", {}))
    if not targets_ms:
        raise UsageError(f"{repro.folder} has no targets yet: its stage search-paper measures them")
    known = dict(zip(factors_of(repro, None), targets_ms, strict=True))
    return {factor: known[factor] for factor in factors}


def check_measured(repro: Run) -> None:
    """See that the reproduction has measured MobileNetV3-Small.

    Raises:
        UsageError: it has not, yet.
    """
    if all(
        one.name != MOBILENET_V3_SMALL
        for one in ReproductionResults(repro, plan_of(repro)).compared()
    ):
        raise UsageError(f"{repro.folder} has no trainings yet: finish its bneck reproduce first")
