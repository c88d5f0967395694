"""A plan, for tests that ask nothing of it."""

PLAN = {"command": "derive", "target": 2.0, "space": "v3-small", "seed": 0, "layers": [1, 2]}
