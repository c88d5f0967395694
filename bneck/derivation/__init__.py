"""A whole derivation: plan, calibrate, search, NetAdapt, train, export, report."""
