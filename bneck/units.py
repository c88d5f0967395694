"""Numbers as people read them."""

from math import floor, log10

from bneck.quantities import Accuracy, Latency


def decimals(ms: float) -> int:
    """Decimal places that give ``ms`` three significant digits, for a column of its like."""
    return 3 if ms <= 0 else min(6, max(0, 2 - floor(log10(ms))))


def with_spread(value: float, spread: float | None, places: int) -> str:
    """A number like "1.48 ± 0.03", or "1.48" where no spread is known.

    Args:
        value: the number.
        spread: in the number's unit; None where it is not known.
        places: decimal places; a spread that would read as 0 gets more.
    """
    text = f"{value:.{places}f}"
    return text if spread is None else f"{text} ± {spread_alone(spread, places)}"


def spread_alone(spread: float, places: int) -> str:
    """A spread in as many places; one that would read as 0 gets those of its first digit."""
    hidden = 0 < spread < 0.5 * 10**-places
    return f"{spread:.{-floor(log10(spread)) if hidden else places}f}"


def milliseconds(latency: Latency | float | None, places: int | None = None) -> str:
    """Ms like "1.48 ± 0.03" without their unit, to three significant digits; "–" for None."""
    if latency is None:
        return "–"
    known = latency if isinstance(latency, Latency) else Latency(latency)
    return with_spread(known.ms, known.std_ms, decimals(known.ms) if places is None else places)


def percent(accuracy: Accuracy | float | None) -> str:
    """A percentage like "93.1 ± 0.4 %", from a fraction; "–" for None."""
    if accuracy is None:
        return "–"
    known = accuracy if isinstance(accuracy, Accuracy) else Accuracy(accuracy)
    spread = None if known.stderr is None else 100 * known.stderr
    return with_spread(100 * known.value, spread, 1) + " %"


def count(number: int) -> str:
    """A count like "5.48 M", "954 k" or "12"."""
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if (value := number / size) >= 0.9995:  # which reads as 1.00
            return f"{value:.{decimals(max(1, value))}f}{unit}"
    return str(number)


def as_percent(share: float, places: int = 0) -> str:
    """Return a share of 1 like "52 %"."""
    return f"{100 * share:.{places}f} %"


def byte_size(count: int) -> str:
    """Return a number of bytes like "1.5 GB", "61.4 kB" or "192 B"."""
    for unit, bytes_each in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= bytes_each:
            return f"{count / bytes_each:.1f} {unit}"
    return f"{count} B"


def duration(seconds: float) -> str:
    """Return a time like "1 h 12 min", "5 min 3 s", "45 s" or "2.5 s"."""
    if seconds < 9.95:
        return f"{seconds:.2g} s"
    whole = round(seconds)
    if whole <= 90:
        return f"{whole} s"
    large, small, units = (*divmod(whole, 60), ("min", "s"))
    if large >= 60:
        large, small, units = (*divmod(large, 60), ("h", "min"))
    return f"{large} {units[0]} {small} {units[1]}" if small else f"{large} {units[0]}"
