"""Pixels of any range become 8 bits."""

import numpy as np

from bneck.proxies.data.white import scaled


def test_16_bits_lose_their_lower_eight() -> None:
    """As in libpng, and so in Pillow's pictures of three 16-bit channels."""
    values = np.array([0, 0x12FF, 0xFF00, 0xFFFF], np.uint16)
    assert scaled(values, 65535).tolist() == [0, 0x12, 0xFF, 0xFF]
