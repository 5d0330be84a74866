"""Rows made up for the judges."""

import pytest


@pytest.fixture
def made_rows():
    """made_rows({name: mean}, noise): ten rows, every number +- noise around its mean.

    The signs differ from name to name, so that paired differences have an error too.
    """

    def made_rows(means, noise):
        def number(seed, k, mean):
            return mean + noise * (-1) ** (seed // (k + 1))

        return [
            {name: number(seed, k, mean) for k, (name, mean) in enumerate(means.items())}
            for seed in range(10)
        ]

    return made_rows
