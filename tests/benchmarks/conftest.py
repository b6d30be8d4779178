"""Benchmarks are run by hand: pytest imports none of their modules."""

collect_ignore_glob = ["*.py", "*/*.py"]
