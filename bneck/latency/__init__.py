"""How long a network takes on a device: timing, calibration, prediction."""
