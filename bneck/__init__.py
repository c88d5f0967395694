"""Derives a mobile network for your device, your latency target and your images.

The way MobileNetV3 was derived: a block-wise search with the reward ``ACC * (LAT / TAR) ** w``, a
latency model calibrated on the device, and a NetAdapt pass that shrinks expansions and bottlenecks.
"""

import os
from importlib import import_module
from typing import Any

__version__ = "0.2.0"

__all__ = ["__version__", "calibrate", "derive", "open_run", "presets"]

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
"""ONNX Runtime would send what it runs to its makers, from threads beside those that are timed."""

_NOTEBOOK = ("calibrate", "derive", "open_run")


def __getattr__(name: str) -> Any:
    """What notebooks use, imported when it is first asked for: ``import bneck`` stays cheap."""
    if name == "presets":
        return import_module("bneck.space.presets")
    if name in _NOTEBOOK:
        return getattr(import_module("bneck.notebook"), name)
    raise AttributeError(f"module 'bneck' has no attribute {name!r}")


def __dir__() -> list[str]:
    """What a notebook completes: also what is not imported yet."""
    return sorted({*globals(), *__all__})
