"""The command ``images``: sets of images that lie ready as files of squares."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bneck.commands.common.options import JsonOption, SeedOption, check_left_out
from bneck.commands.common.output import print_result
from bneck.errors import BneckError, UnreadableImages, UsageError
from bneck.live import TerminalProgress
from bneck.path_checks import check_folder
from bneck.proxies.data.image_spec import NAMED_SETS, check_images, place_of
from bneck.text import aligned, one_line, some_of
from bneck.units import byte_size

if TYPE_CHECKING:
    from bneck.proxies.data.squares.set_files import Squares

_NAMED = 3


def images(
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="DIR",
            help="A folder of images; with --remove, also a name that is listed.",
            show_default="list all sets",
        ),
    ] = None,
    resolution: Annotated[
        int | None,
        typer.Option(help="Side of the squares in pixels.", show_default="by the images"),
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Decode again, and compare with the squares.")
    ] = False,
    remove: Annotated[
        bool, typer.Option("--remove", help="Remove the squares of this folder, of all sides.")
    ] = False,
    skip_unreadable: Annotated[
        bool, typer.Option("--skip-unreadable", help="Skip up to 1 % unreadable files.")
    ] = False,
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Prepare, list, verify or remove decoded images.

    A folder of images is decoded once, into a file of squares. Without DIR, all sets in the cache
    are listed.
    """
    if folder is not None and not folder.exists():
        kind, place = place_of(str(folder))
        if kind in ("npz", *NAMED_SETS) and not remove:
            raise UsageError(
                f"{folder} is not a folder of images: it is prepared where --data first names it"
            )
        folder = place if kind == "folder" and place is not None else folder
    if verify and remove:
        raise UsageError("--verify and --remove exclude each other")
    if folder is None and (verify or remove):
        raise UsageError("name the folder of images whose squares are meant")
    if folder is None or remove:
        check_left_out(
            "with --remove, which removes all sides" if remove else "without DIR",
            resolution=resolution is not None,
            skip_unreadable=skip_unreadable,
            seed=seed != 0,
        )
    if folder is None:
        _list(json)
    elif remove:
        _remove(folder, json)
    else:
        _prepare(folder, resolution, seed, json, verify=verify, skip_unreadable=skip_unreadable)


def _prepare(
    folder: Path,
    resolution: int | None,
    seed: int,
    as_json: bool,
    *,
    verify: bool,
    skip_unreadable: bool,
) -> None:
    """Decode the images of a folder, unless their squares lie ready.

    Args:
        folder: of the images.
        resolution: side of the squares in pixels; None leaves it to the images.
        seed: decides the split.
        as_json: whether JSON is printed.
        verify: decode again, and compare with the squares.
        skip_unreadable: pass over up to 1 % of the files.
    """
    check_folder(folder)
    check_images(f"folder:{folder}", resolution)
    from bneck.proxies.data.folder import load_folder  # torch: after the mistakes
    from bneck.proxies.data.squares.from_folder import changed_files
    from bneck.proxies.data.squares.set_files import open_squares

    progress = TerminalProgress()
    try:
        source = load_folder(folder, resolution, seed, progress, skip_unreadable=skip_unreadable)
    except UnreadableImages as error:
        lines = map(one_line, error.files)
        print_result(as_json, {"unreadable_files": list(error.files)}, "\n".join(lines))
        raise
    assert source.train.store is not None
    one = open_squares(source.train.store)
    assert one is not None
    if verify and (changed := changed_files(one, folder, progress)):
        print_result(as_json, {"changed_files": changed}, "\n".join(map(one_line, changed)))
        raise BneckError(
            f"{len(changed)} of {one.index.count} files {'is' if len(changed) == 1 else 'are'} not "
            "what was decoded: "
            f"{some_of(changed, _NAMED)}; --remove the squares to decode them again"
        )
    result = _about(one) | {
        "summary": source.info.summary,
        "warnings": list(source.info.warnings),
        "verified": verify,
    }
    print_result(as_json, result, _in_words(one, verified=verify))


def _in_words(one: "Squares", *, verified: bool) -> str:
    """How many images of each class the parts hold, and where the squares are."""
    parts = list(one.index.parts)
    lines: list[tuple[str, ...]] = [("class", *parts)]
    lines += [
        (one_line(name), *(str(of_part[part]) for part in parts))
        for name, of_part in one.class_counts().items()
    ]
    said = [aligned(lines), "", f"{one.place}: {byte_size(one.index.size_bytes)}"]
    if verified:
        said.append(f"all {one.index.count} files are as they were decoded")
    return "\n".join(said)


def _remove(folder: Path, as_json: bool) -> None:
    """Remove all squares of a folder, which need not be there any more."""
    from bneck.proxies.data.squares import store

    found = store.squares_of(folder)
    if not found and not folder.exists():
        raise UsageError(
            f"no such folder: {folder}, and no squares of that name: `bneck images` lists all"
        )
    places = [str(old.place) for old in found]
    for old in found:
        store.remove(old.place)
    print_result(as_json, {"removed": places}, "\n".join(places) or f"no squares of {folder}")


def _list(as_json: bool) -> None:
    """All sets that lie ready, and those whose making was stopped."""
    from bneck.proxies.data.squares.store import all_squares, unfinished

    found, begun = all_squares(), unfinished()
    lines: list[tuple[str, ...]] = [("folder", "px", "images", "classes", "size", "squares")]
    lines += [
        (
            one_line(one.index.folder),
            str(one.index.side_px),
            str(one.index.count),
            str(len(one.index.class_names)),
            byte_size(one.index.size_bytes),
            f"{one.place}{' (not finished)' * (one in begun)}",
        )
        for one in [*found, *begun]
    ]
    result = {"sets": [_about(one) for one in found], "unfinished": [_index(one) for one in begun]}
    print_result(as_json, result, aligned(lines))


def _about(one: "Squares") -> dict[str, Any]:
    return _index(one) | {"unreadable": len(one.index.bad), "classes": one.class_counts()}


def _index(one: "Squares") -> dict[str, Any]:
    """What is known before any image is decoded."""
    return {
        "folder": one.index.folder,
        "squares": str(one.place),
        "resolution_px": one.index.side_px,
        "bytes": one.index.size_bytes,
        "parts": dict(one.index.parts),
    }
