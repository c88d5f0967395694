"""Text for terminals and pages: made harmless where it comes from files, and lists of words."""

import re
from collections import Counter
from collections.abc import Sequence
from unicodedata import category, combining, east_asian_width

_KEPT = "\n\u00ad\u200c\u200d"
"""Line ends; the soft hyphen and the joiners of scripts and emoji, which move nothing."""


def harmless(text: str) -> str:
    r"""Return the text with every character that a terminal or page would obey spelt out.

    Such are escape sequences (``\x1b``), what moves the cursor, and what turns the direction of
    writing around. Line ends stay.
    """
    if text.isprintable():
        return text
    return "".join(
        c.encode("unicode_escape").decode() if c not in _KEPT and _obeyed(c) else c for c in text
    )


def one_line(text: str) -> str:
    """Return the text harmless and on one line."""
    return harmless(" ".join(text.split()))


def spelt_out(name: str) -> str:
    r"""Return a file's name as text: what of it is not UTF-8 is spelt out (``\udcff``)."""
    return name.encode("utf-8", "backslashreplace").decode()


def columns(text: str) -> int:
    """Return how many columns of a terminal a line takes: wide characters two, accents none."""
    if text.isascii():
        return len(text)
    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in text)


def ends_spelt_out(text: str) -> str:
    r"""Return a name as a line of output holds it: its line ends are spelt out (``\n``)."""
    return text.replace("\n", r"\n")


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """Cells as columns for a terminal, left-aligned, two spaces apart, each on its line."""
    lines = [[ends_spelt_out(cell) for cell in line] for line in lines]
    widths = [max(map(columns, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell + " " * (width - columns(cell)) for cell, width in zip(line, widths, strict=True)
        ).rstrip()
        for line in lines
    )


def distinct(names: Sequence[str], marks: Sequence[str]) -> tuple[str, ...]:
    """Return names of which no two are alike: those that are get their own marks: "crane (n01)".

    Args:
        names: any.
        marks: one for each name, all different.
    """
    times = Counter(names)
    found = [n if times[n] == 1 else f"{n} ({mark})" for n, mark in zip(names, marks, strict=True)]
    return tuple(found) if len(set(found)) == len(found) else distinct(found, marks)


def option_name(field: str) -> str:
    """Return what the command line calls a field: "batch-size", or "resolution" of a side in px."""
    return re.sub("_(px|s)$", "", field).replace("_", "-")


def one_of(*words: str) -> str:
    """Return words as a sentence lists them: "a, b or c"."""
    return _listed(words, "or")


def all_of(*words: str) -> str:
    """Return words as a sentence lists them: "a, b and c"."""
    return _listed(words, "and")


def in_list(name: str) -> str:
    """Return a name as it stands between commas: in quotes where it holds one itself."""
    return f'"{name}"' if "," in name else name


def number_of(count: int, noun: str) -> str:
    """Return a count with what is counted, by its word for one: "1 step", "1,200 processes"."""
    plural = noun + ("es" if noun.endswith("s") else "s")
    return f"{count:,} {noun if count == 1 else plural}"


def some_of(words: Sequence[str], most: int) -> str:
    """Return at most ``most`` words with commas between them: "a, b and 4 more"."""
    more = f" and {len(words) - most} more" if len(words) > most else ""
    return ", ".join(words[:most]) + more


def _listed(words: Sequence[str], before_last: str) -> str:
    *most, last = words
    return f"{', '.join(most)} {before_last} {last}" if most else last


def _obeyed(character: str) -> bool:
    return category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")
