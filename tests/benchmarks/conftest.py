"""Collects bench_*.py, so that `pytest tests/benchmarks` runs all benchmarks."""

import pytest


def pytest_collect_file(file_path, parent):
    named = parent.session.isinitpath(file_path)  # then pytest collects it anyway
    if file_path.match("bench_*.py") and not named:
        return pytest.Module.from_parent(parent, path=file_path)
    return None
