"""The words of a recipe's augmentation, which can be checked without the heavy libraries."""

from bneck.errors import UsageError, unknown

AUGMENTATION = "crop-and-flip"
"""The default: cheap, and right for small images."""
CROPS = (AUGMENTATION, "random-resized-crop")
MIXES = ("mixup", "cutmix")
AUGMENTATIONS = (*CROPS, "trivial-augment", "random-erasing", *MIXES)


def check_augmentation(words: str) -> tuple[str, ...]:
    """Return the words of a recipe's augmentation, which are joined by "+".

    Raises:
        UsageError: an unknown word, one said twice, or not exactly one way to crop.
    """
    found = tuple(words.split("+"))
    for place, word in enumerate(found):
        if word not in AUGMENTATIONS:
            raise unknown("augmentation", word, AUGMENTATIONS, more=", joined by +")
        if word in found[:place]:
            raise UsageError(f"augmentation {words!r} names {word} twice")
    if sum(word in CROPS for word in found) != 1:
        raise UsageError(f"augmentation {words!r} must name one of {', '.join(CROPS)}")
    return found
