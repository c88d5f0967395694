import pytest

from bneck.text import harmless, one_line


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
