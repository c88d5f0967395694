"""Which network: objectives, samplers, the study in virtual time, and what it selects."""
