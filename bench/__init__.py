"""Benchmarks: ratios of two things measured in the same run. `python -m bench` runs all, `python -m bench page` one."""
