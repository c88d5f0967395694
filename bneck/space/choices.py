"""A space of networks: named choices, and the function that turns values into an architecture."""

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import isfinite, prod

from bneck.errors import BneckError, UsageError, unknown
from bneck.space.architecture import Architecture

Value = int | bool | str | float
Values = dict[str, Value]
"""One value for every choice that is live; choices that are not live are left out."""
Allowed = tuple[Value, ...]
"""The values that a choice may take."""
Choices = dict[str, Allowed]
Parents = dict[str, tuple[str, Allowed]]
"""What a ``Space`` is given as its ``choices`` and ``parents``."""


@dataclass(frozen=True)
class Space:
    """Named choices around a skeleton.

    Attributes:
        choices: allowed values by name; parents come before their children.
        parents: for a choice that is live only sometimes, its parent and the parent's values at
            which it is ("s3.b4.kernel": ("s3.depth", (4,))).
        build: decodes live values, already checked, into an architecture.
    """

    name: str
    choices: Mapping[str, Allowed]
    build: Callable[[Values], Architecture]
    parents: Mapping[str, tuple[str, Allowed]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raise UsageError for choices that no search could make or write down."""
        for name in self.parents:
            if name not in self.choices:
                raise unknown(f"choice of space {self.name} with a parent:", name, self.choices)
        before: set[str] = set()
        for name, allowed in self.choices.items():
            _check_allowed(f"space {self.name}: the values of {name!r}", allowed)
            if name in self.parents:
                self._check_parent(name, before)
            before.add(name)

    def _check_parent(self, name: str, before: set[str]) -> None:
        """Raise UsageError for a condition that is never met: ``name`` would never be chosen."""
        parent, at = self.parents[name]
        if parent not in before:
            raise UsageError(
                f"space {self.name}: {name!r} must come after the choice that it depends on, "
                f"{parent!r}"
            )
        what = f"space {self.name}: the values of {parent!r} at which {name!r} is a choice"
        _check_allowed(what, at)
        for value in at:
            if not _listed(value, self.choices[parent]):
                raise unknown(f"value of {parent} for {name}:", value, self.choices[parent])

    @cached_property
    def size(self) -> int:
        """Number of different value sets."""
        roots = [name for name in self.choices if name not in self.parents]
        return prod(self._count(name) for name in roots)

    def live(self, name: str, values: Mapping[str, Value]) -> bool:
        """Return whether the choice is used, given the values of those before it."""
        if name not in self.parents:
            return True
        parent, at = self.parents[name]
        return parent in values and values[parent] in at

    def live_choices(self, chosen: Values) -> Iterator[tuple[str, Allowed]]:
        """Yield each live choice and what it allows; ``chosen`` gets its value before the next."""
        for name, allowed, parent, at in self._rows:
            if parent is None or chosen.get(parent) in at:
                yield name, allowed

    def check(self, values: Mapping[str, Value]) -> Values:
        """Return the live values in order.

        Raises:
            UsageError: a name is unknown, a live choice is missing or a value is not allowed.
        """
        for name in values:
            if name not in self.choices:
                raise unknown(f"choice of space {self.name}:", name, self.choices)
        checked: Values = {}
        for name, allowed in self.live_choices(checked):
            if name not in values:
                raise UsageError(f"space {self.name}: no value for the choice {name!r}")
            value = values[name]
            if not _listed(value, allowed):
                raise unknown(f"value of {name}:", value, allowed)
            checked[name] = value
        return checked

    def decode(self, values: Mapping[str, Value]) -> Architecture:
        """Return the network of the values; those of choices that are not live are ignored.

        Raises:
            UsageError: values that are not allowed, or that ``build`` makes no network of.
        """
        checked = self.check(values)
        try:
            return self.build(checked)
        except BneckError:
            raise
        except Exception as error:  # of a user's own function
            raise UsageError(
                f"space {self.name} cannot build a network: {type(error).__name__}: {error}"
            ) from error

    def all(self) -> Iterator[Values]:
        """Yield every value set; ``size`` is their number."""
        names = list(self.choices)

        def extend(values: Values, at: int) -> Iterator[Values]:
            if at == len(names):
                yield dict(values)
            elif not self.live(names[at], values):
                yield from extend(values, at + 1)
            else:
                for value in self.choices[names[at]]:
                    yield from extend({**values, names[at]: value}, at + 1)

        return extend({}, 0)

    def sample(self, seed: int, lean: float = 0.0) -> Values:
        """Draw each live choice uniformly, or with the probability ``lean`` take its last value.

        Spaces list values from the cheapest on, so leaning samples are expensive.
        """
        draw = random.Random(seed)

        def pick(allowed: Allowed) -> Value:
            return allowed[-1] if lean and draw.random() < lean else draw.choice(allowed)

        return self._fill({}, pick)

    def neighbours(self, values: Mapping[str, Value], *, of: str | None = None) -> Iterator[Values]:
        """Yield value sets that differ in one choice; newly live choices take their first value.

        Args:
            values: of the live choices.
            of: the only choice to change, a live one; None changes each in turn.
        """
        current = self.check(values)
        for name, here in current.items() if of is None else [(of, current[of])]:
            for value in self.choices[name]:
                if value != here:
                    yield self.changed(current, name, value)

    def changed(self, values: Mapping[str, Value], name: str, value: Value) -> Values:
        """Return live values with one choice changed; newly live choices take their first value.

        Args:
            values: of the live choices.
            name: the choice to change.
            value: what it changes to.
        """
        return self._fill({**values, name: value}, _first)

    def mutate(self, values: Mapping[str, Value], seed: int) -> Values:
        """Redraw one live choice to another value; newly live choices are drawn as well.

        Raises:
            UsageError: values outside the space, or a space of a single network.
        """
        current = self.check(values)
        draw = random.Random(seed)
        names = [name for name in current if len(self.choices[name]) > 1]
        if not names:
            raise UsageError(f"space {self.name} holds a single network")
        name = draw.choice(names)
        others = [value for value in self.choices[name] if value != current[name]]
        return self._fill({**current, name: draw.choice(others)}, draw.choice)

    def least(self, measure: Callable[[Architecture], float]) -> Architecture:
        """Return the network of least ``measure``, as far as single changes lead."""
        return self.decode(self.minimise(measure)[0])

    def minimise(self, measure: Callable[[Architecture], float]) -> tuple[Values, float]:
        """Return the values of least ``measure``, as far as single changes lead, and its value."""
        values = self._fill({}, _first)
        least, settled = measure(self.decode(values)), False
        while not settled:
            settled = True
            for name, allowed in self.choices.items():
                for value in allowed:
                    if name not in values or value == values[name]:
                        continue
                    changed = self.changed(values, name, value)
                    if (lesser := measure(self.decode(changed))) < least:
                        values, least, settled = changed, lesser, False
        return values, least

    def _fill(self, values: Values, pick: Callable[[Allowed], Value]) -> Values:
        """Keep what is live, and pick what is missing."""
        filled: Values = {}
        for name, allowed in self.live_choices(filled):
            filled[name] = values[name] if name in values else pick(allowed)
        return filled

    @cached_property
    def _rows(self) -> tuple[tuple[str, Allowed, str | None, Allowed], ...]:
        """(name, allowed, parent, the parent's values at which it is live), as searches need it."""
        nothing: tuple[None, Allowed] = (None, ())
        return tuple(
            (name, allowed, *self.parents.get(name, nothing))
            for name, allowed in self.choices.items()
        )

    def _count(self, name: str) -> int:
        children = [child for child, (parent, _) in self.parents.items() if parent == name]
        return sum(
            prod(self._count(child) for child in children if value in self.parents[child][1])
            for value in self.choices[name]
        )


def _check_allowed(what: str, allowed: object) -> None:
    """Raise UsageError unless they are some different plain values: a journal holds no others."""
    if not isinstance(allowed, tuple | list) or not allowed:
        raise UsageError(f"{what} must be a tuple of at least one, got {allowed!r:.80}")
    for place, value in enumerate(allowed):
        plain = type(value) in (int, bool, str, float)
        if not plain or (isinstance(value, float) and not isfinite(value)):
            raise UsageError(
                f"{what} must be finite numbers, text, True or False of Python's own, "
                f"got {value!r:.80} of type {type(value).__name__}"
            )
        if value in allowed[:place]:
            raise UsageError(f"{what} must differ, got {value!r:.80} twice")


def _listed(value: Value, allowed: Allowed) -> bool:
    """Whether it is one of them, and of its type: 1 is not taken for True."""
    return value in allowed and type(value) is type(allowed[allowed.index(value)])


def _first(allowed: Allowed) -> Value:
    return allowed[0]
