"""Networks laid over each other, block by block: where they differ, and in what."""

from collections.abc import Sequence
from dataclasses import dataclass

from bneck.results.table import Row, block_in_words, rows
from bneck.space.architecture import Architecture


@dataclass(frozen=True, slots=True)
class Difference:
    """One trait of one block; a value for each network, "–" where it has no such block."""

    path: str
    trait: str
    values: tuple[str, ...]


ABSENT = "–"


def differences(networks: Sequence[Architecture]) -> tuple[Difference, ...]:
    """Every trait in which the networks are not all alike, in the order of their blocks.

    A block that some networks do not have is one difference, told in words.
    """
    known = [_by_path(arch) for arch in networks]
    found = []
    paths = dict.fromkeys(path for rows_of in known for path in rows_of)
    for path in sorted(paths, key=_order):
        blocks = [rows_of.get(path) for rows_of in known]
        whole = [block for block in blocks if block is not None]
        if len(whole) < len(blocks):
            words = (ABSENT if block is None else block_in_words(block) for block in blocks)
            found.append(Difference(path, "block", tuple(words)))
            continue
        traits = [_traits(block) for block in whole]
        for trait in dict.fromkeys(name for of_one in traits for name in of_one):
            values = tuple(of_one.get(trait, ABSENT) for of_one in traits)
            if len(set(values)) > 1:
                found.append(Difference(path, trait, values))
    sides = tuple(f"{arch.resolution_px} px" for arch in networks)
    classes = tuple(str(arch.classes) for arch in networks)
    whole_network = (Difference("input", "side", sides), Difference("head", "classes", classes))
    return (*(d for d in whole_network if len(set(d.values)) > 1), *found)


def _by_path(arch: Architecture) -> dict[str, Row]:
    """Rows by path, without those that follow from others."""
    derived = ("head.pool", "head.classifier")
    return {row.path: row for row in rows(arch) if row.path not in derived}


def _traits(row: Row) -> dict[str, str]:
    """Value by trait."""
    if row.path.startswith("head"):
        return {"width": str(row.out), "activation": row.activation or "none"}
    words = {"block": row.operator, "kernel": "+".join(map(str, row.kernel)) or "1"}
    if row.expansion is not None:
        words["expansion"] = str(row.expansion)
    words |= {"out": str(row.out), "SE": "yes" if row.se else "no"}
    return words | {"activation": row.activation or "none", "stride": str(row.stride)}


def _order(path: str) -> tuple[int, list[int]]:
    """Stem, stages and blocks by number, head."""
    place = 0 if path == "stem" else 2 if path.startswith("head") else 1
    return place, [int("".join(filter(str.isdigit, part)) or 0) for part in path.split(".")]
