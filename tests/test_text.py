"""Text as terminals and people read it."""

import re
from pathlib import Path

import pytest

import bneck
from bneck.latency.fingerprint import Fingerprint
from bneck.text import aligned, columns, distinct, harmless, in_list, number_of, one_line

PACKAGE = Path(bneck.__file__).parent
SOURCES = (".py", ".html", ".md")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a dog", "a dog"),
        ("Bär, 犬, ± 0.3\u00a0%", "Bär, 犬, ± 0.3\u00a0%"),
        ("two\nlines", "two\nlines"),
        ("\x1b]0;title\x07\x1b[2J", r"\x1b]0;title\x07\x1b[2J"),
        ("gpj.\u202etac", r"gpj.\u202etac"),
        ("\u200dfamily \u200d", "\u200dfamily \u200d"),
        ("a\rb\x9b1A", r"a\rb\x9b1A"),
        ("\udcff", r"\udcff"),
    ],
)
def test_what_a_terminal_would_obey_is_spelt_out(text: str, shown: str) -> None:
    assert harmless(text) == shown


def test_one_line() -> None:
    assert one_line("cat\n\tdog\x1b[0m\r\n") == r"cat dog\x1b[0m"


def test_names_that_are_alike_get_their_marks() -> None:
    assert distinct(["a", "b", "a"], "xyz") == ("a (x)", "b", "a (z)")
    assert len(set(distinct(["a", "a", "a (x)"], "xyz"))) == 3


def test_a_name_with_a_comma_is_one_of_a_list() -> None:
    """As ImageNet has them."""
    assert ", ".join(map(in_list, ["tench, Tinca tinca", "coho"])) == '"tench, Tinca tinca", coho'


def test_one_is_counted_in_the_singular() -> None:
    assert [number_of(count, "step") for count in (0, 1, 1200)] == [
        "0 steps",
        "1 step",
        "1,200 steps",
    ]
    assert [number_of(count, "process") for count in (1, 2)] == ["1 process", "2 processes"]
    device = Fingerprint("Cortex-A72", 1, "onnxruntime", "1.20.0", 1)
    assert str(device) == "Cortex-A72, 1 core, onnxruntime 1.20.0, 1 thread"


def test_wide_characters_take_two_columns_of_a_terminal() -> None:
    """As Unicode's annex 11 has it: ideographs are wide, a combining accent has no width."""
    assert [columns(text) for text in ("Käse", "Ka\u0308se", "日本", "ｱﾎﾞ")] == [4, 4, 4, 3]
    assert aligned([("日本", "1"), ("Käse", "2")]) == "日本  1\nKäse  2"


def test_a_line_end_in_a_cell_ends_no_line() -> None:
    assert aligned([("run\nfirst", "1"), ("last", "2")]) == "run\\nfirst  1\nlast        2"


def test_percentages_and_spreads_look_alike_everywhere() -> None:
    """A share is "52 %", by ``as_percent`` or ``units.percent``, and a spread is "1.48 ± 0.03"."""
    scripts = (PACKAGE.parent / "benchmarks").rglob("*.py")
    files = {
        one.name: one.read_text(encoding="utf-8") for one in [*PACKAGE.rglob("*.py"), *scripts]
    }
    other = re.compile(r"""\{[^{}"']*:[<>^+]?[\d.]*%\}| \+- \{""")
    assert [name for name, text in files.items() if other.search(text)] == []
    assert other.search('f"{share:.1%} of it"')
    assert other.search('f"{ms} +- {spread}"')


def test_a_percentage_has_one_percent_sign() -> None:
    """``units.percent`` writes it, in sentences and as a filter of the report's."""
    files = [one for one in PACKAGE.rglob("*.*") if one.suffix in SOURCES]
    doubled = re.compile(r"\bpercent(\([^{}]*\))? ?\}+ ?%")
    assert [one.name for one in files if doubled.search(one.read_text(encoding="utf-8"))] == []
    assert doubled.search("{percent(figures.confidence)} %")
    assert doubled.search("{{ out.test_accuracy | percent }} % on")
