# SPDX-License-Identifier: Apache-2.0
"""Every cell of the table is one test."""

import pytest

from scenarios import TABLE, Scenario

CELLS = [pytest.param(scenario, column, id=f"{scenario.name}-{column}")
         for scenario in TABLE for column in scenario.columns]


@pytest.mark.parametrize(("scenario", "column"), CELLS)
def test_scenario(scenario: Scenario, column: str, rounds) -> None:
    error = rounds.result(scenario, column)
    if error:
        raise error


def test_edge_lives_through_all_of_it(lab) -> None:
    """After everything above xdsgate still serves, and ends when it is told to."""
    if lab.edge.process is None:
        return  # only the direct column was asked for

    assert lab.edge.running()
    assert lab.edge.stop() == 0
