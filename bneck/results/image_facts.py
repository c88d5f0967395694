"""What a run's folder says about the images it was made from."""

from dataclasses import dataclass, fields
from pathlib import PurePath
from typing import Any

from bneck import records
from bneck.errors import UsageError
from bneck.files import is_written, naming, read_json
from bneck.results.run import Run
from bneck.space.architecture import IMAGE_CHANNELS


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What of ``images.json`` exports, reports and comparisons need; None where it is not said.

    Attributes:
        name: as the plan names the set, such as ``folder:photos``; it may hold a local path.
        fingerprint: hexadecimal digest of the content.
        class_names: one for each label, in the labels' order.
        mean, std: what pixels are normalised with, by channel, on the scale 0 to 1; empty for a
            table of accuracies.
        training, validation, test: number of images in each part.
        training_left_out, validation_left_out: images of these parts whose pictures judge networks
            in another part, so that nothing is trained on or chosen by them.
        summary, warnings: the images in one line, and what speaks against trusting them.
    """

    name: str
    fingerprint: str
    class_names: tuple[str, ...]
    resolution_px: int | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    training: int | None = None
    validation: int | None = None
    test: int = 0
    summary: str = ""
    warnings: tuple[str, ...] = ()
    training_left_out: int = 0
    validation_left_out: int = 0

    def __post_init__(self) -> None:
        channels = 0 if self.name.startswith("table:") else IMAGE_CHANNELS
        for name, values in (("mean", self.mean), ("std", self.std)):
            if values is not None and len(values) != channels:
                raise UsageError(f"{name} must be {channels} numbers, got {values!r:.60}")
        if self.std and min(self.std) <= 0:
            raise UsageError(f"std must be numbers above 0, got {self.std!r:.60}")

    @property
    def trained_on(self) -> int | None:
        """Number of images that networks are trained on."""
        return None if self.training is None else self.training - self.training_left_out

    @property
    def validated_on(self) -> int | None:
        """Number of validation images that accuracies are counted on."""
        return None if self.validation is None else self.validation - self.validation_left_out

    @property
    def public_name(self) -> str:
        """The set's name without the folders it lies in, which are nobody else's business."""
        kind, colon, place = self.name.partition(":")
        return f"{kind}{colon}{PurePath(place).name or place}"

    @property
    def notes(self) -> tuple[str, ...]:
        """The summary, if there is one, and the warnings."""
        return ((self.summary,) if self.summary else ()) + self.warnings

    @property
    def counted_on(self) -> str:
        """What accuracies are counted on: the set's public name, and in brackets its digest."""
        return f"{self.public_name} ({self.fingerprint})"


def read_image_facts(run: Run) -> ImageFacts | None:
    """Return what the run says about its images, or None where it does not say yet.

    Raises:
        UsageError: the file makes no sense.
    """
    if not is_written(run.images):
        return None
    return image_facts(read_json(run.images), run.images)


def kept_image_facts(run: Run) -> ImageFacts:
    """Return what a run that has begun its work says about its images.

    Raises:
        UsageError: the file is missing, as in a partial copy, or makes no sense.
    """
    facts = read_image_facts(run)
    if facts is None:
        raise UsageError(f"{run.images} is missing: copy all files of the run")
    return facts


def image_facts(content: Any, where: object) -> ImageFacts:
    """Take from the content of an ``images.json`` what is needed here; the rest may be anything.

    Raises:
        UsageError: something needed is missing or of the wrong type.
    """
    with naming(where):
        if not isinstance(content, dict):
            raise UsageError(f"the facts of images must be an object, got {content!r:.40}")
        known = {item.name for item in fields(ImageFacts)}
        return records.from_json(ImageFacts, {k: v for k, v in content.items() if k in known})
