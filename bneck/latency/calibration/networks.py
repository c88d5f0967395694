"""Which networks to time: random ones of the spaces, as they are and narrowed at random."""

import random
from collections.abc import Sequence
from itertools import count

from bneck.errors import UsageError
from bneck.space import presets, spaces
from bneck.space.architecture import Architecture
from bneck.space.choices import Choices, Space, Values
from bneck.space.edits import narrow, narrowables

HELD_OUT_EVERY = 8
"""One turn in this many is held out, and another leans to the expensive end."""
FOLDS = 5
"""Folds of a cross-validation: each has every fifth network to fit."""
LEANS = (0.2, 0.4, 0.6, 0.8)
"""``lean`` of one network in eight: sums of many random choices stay close to their mean, and what
a search for a slow target finds lies far above it."""
STEPS = ((8, 0.95), (1, 0.05))
"""Widths are multiples of 8 or any, with these odds: calibration finds what the runtime likes."""
NARROWINGS = ((0.5, 0.35), (0.9, 0.05))
"""(share of the widths that are narrowed, to what share of themselves at least): where NetAdapt
begins, and where it ends."""
HALF_BLOCKS = 0.2
"""Share of the narrowed networks that have all of these widths half-way between two multiples of 8:
one such width is lost in the noise, many show whether the runtime pays for the next 8."""

PUBLISHED_WIDTHS = (35, 40, 45, 55, 60, 65, 70, 80, 85, 90, 95, 105, 110, 115, 120, 125, 130)
"""Percent; the published networks at 0.5, 0.75 and 1.0 are left for others to judge by."""


def spaces_called(text: str, *, resolution_px: int, classes: int) -> list[Space]:
    """The spaces of a text.

    Args:
        text: names like "v3-small,mnasnet", or "all": every space, and the published networks' kin.
        resolution_px: the networks' input side.
        classes: the networks' class count.
    """
    names = spaces.SPACES if text == "all" else text.split(",")
    found = [spaces.build(name, resolution_px=resolution_px, classes=classes) for name in names]
    if text == "all":
        found.append(published(resolution_px, classes))
    return found


def published(resolution_px: int, classes: int) -> Space:
    """The published networks at widths that are not the usual ones."""

    def build(values: Values) -> Architecture:
        width = int(values["width"]) / 100
        return presets.build(
            str(values["preset"]), width=width, resolution_px=resolution_px, classes=classes
        )

    choices: Choices = {
        "preset": tuple(name for name in presets.PRESETS if not name.endswith("_075")),
        "width": PUBLISHED_WIDTHS,
    }
    return Space("published", choices, build)


def side_and_classes(archs: Sequence[Architecture]) -> tuple[int, int]:
    """Return the input side and the class count of networks that are timed together.

    Raises:
        UsageError: they have several, so that no one reference is like all of them.
    """
    for field, what in (("resolution_px", "input side"), ("classes", "class count")):
        found = sorted({getattr(arch, field) for arch in archs})
        if len(found) != 1:
            raise UsageError(f"calibration needs spaces of one {what}, got {found}")
    return archs[0].resolution_px, archs[0].classes


def calibration_network(
    spaces: Sequence[Space], number: int, seed: int
) -> tuple[str, Architecture]:
    """Return the name and network of item ``number``; names begin with "fit" or "held-out".

    Spaces take turns, in an order that moves on with each turn where the folds of a
    cross-validation would be a space each. Networks to fit are narrowed every other time, as
    NetAdapt will do, and one in eight leans to the space's expensive end; those held out are left
    as the space makes them.

    Args:
        spaces: what the networks are drawn from.
        number: of the item, counted from 0.
        seed: of all networks of a calibration.
    """
    turn, place = divmod(number, len(spaces))
    if len(spaces) % FOLDS == 0:
        place = (place + turn) % len(spaces)
    space = spaces[place]
    lean = LEANS[turn // HELD_OUT_EVERY % len(LEANS)] if turn % HELD_OUT_EVERY == 0 else 0.0
    arch = space.decode(space.sample(seed * 1_000_003 + number, lean))
    if turn % HELD_OUT_EVERY == HELD_OUT_EVERY // 2:
        return f"held-out {number}", arch
    if turn % 2:
        arch = narrowed(arch, seed * 1_000_003 + number)
    return f"fit {number}", arch


def narrowed(arch: Architecture, seed: int) -> Architecture:
    """Some of the network's widths narrowed, or nearly all and far."""
    draw = random.Random(f"narrowed {seed}")  # the seed itself drew the network that is narrowed
    share, least = draw.choice(NARROWINGS)
    between = 4 if draw.random() < HALF_BLOCKS else 0
    for item in narrowables(arch):
        if draw.random() >= share:
            continue
        (step,) = draw.choices([step for step, _ in STEPS], [odds for _, odds in STEPS])
        step = 8 if between else step
        width = max(step, round(item.width * draw.uniform(least, 1.0) / step) * step) - between
        for wider in count(width, step):
            if wider >= item.width:
                break
            try:
                arch = narrow(arch, item.what, wider)
            except UsageError:  # an expansion as wide as its input: the layer would vanish
                continue
            break
    return arch
