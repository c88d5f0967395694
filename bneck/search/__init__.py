"""Which network: reward, study, NetAdapt and the whole derivation."""
