"""Calibration: which networks are timed on a device, how good the fit is, and what is kept."""
