"""The images that a run was made with, and whether they are still the same."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from bneck.errors import UsageError
from bneck.files import is_written, read_json
from bneck.live import warn
from bneck.progress import Progress
from bneck.results.image_facts import image_facts, read_image_facts
from bneck.results.run import Run

if TYPE_CHECKING:
    from bneck.proxies.data.image_info import ImageInfo
    from bneck.proxies.data.image_source import ImageSource


def images_of(
    run: Run,
    resolution_px: int,
    progress: Progress,
    accept: Callable[["ImageInfo"], object] | None = None,
) -> "ImageSource":
    """Load the images that a run was made with, split as they were.

    Args:
        run: the run.
        resolution_px: the side that they are brought to.
        progress: told how far that is.
        accept: as ``loading.load`` takes it.

    Raises:
        UsageError: as ``loading.load``; of images that are not where the run names them, what
            helps: a path may be relative, and a run is moved without its images.
    """
    from bneck.proxies.data import loading
    from bneck.proxies.data.image_spec import place_of

    asked = run.images_asked()
    try:
        return loading.load(**asked, resolution_px=resolution_px, progress=progress, accept=accept)
    except UsageError as error:
        _, place = place_of(asked["spec"])
        if place is None or place.exists():
            raise
        way = "put them back" if place.is_absolute() else "run this where that path begins"
        raise UsageError(
            f"{error}, whose images {run.folder} was made with: {way}; `bneck evaluate` takes "
            "others by --data"
        ) from None


def warn_if_changed(run: Run, images: "ImageInfo", but: str) -> None:
    """Say on stderr where images that a run names are no longer what it began with.

    At another side than the run's that cannot be told.

    Args:
        run: the run.
        images: what they are now.
        but: what to bear in mind then.
    """
    if not is_written(run.images):
        return
    kept = read_json(run.images)
    then = image_facts(kept, run.images)
    if then.resolution_px == images.resolution_px and not images.is_what(kept):
        warn(
            f"{images.name} has changed: {but} (fingerprint {images.fingerprint} now, "
            f"{then.fingerprint} then)"
        )


def are_own(run: Run, spec: str, images: "ImageInfo") -> bool | None:
    """Return whether images are those that a run was made with; None where it does not tell.

    They are where they lie at the same place, whatever they are now, and where they are the same
    at another place, split by the run's seed, which the digest of an earlier version cannot tell.

    Args:
        run: the run.
        spec: the images, as the plan would name them.
        images: what they are.
    """
    from bneck.proxies.data.image_spec import place_of

    (kind, place), (own_kind, own_place) = map(place_of, (spec, run.images_asked()["spec"]))
    if kind == own_kind and (place and place.resolve()) == (own_place and own_place.resolve()):
        return True
    kept = read_image_facts(run)
    if kept is None or len(kept.fingerprint) != len(images.fingerprint):
        return None
    return kept.fingerprint == images.fingerprint
