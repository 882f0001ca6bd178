# SPDX-License-Identifier: Apache-2.0
"""The closing table: every scenario, every column, and what it took.

A cell is PASS, FAIL, SKIP, "no run" (it should have run and did not), "-" (left out by --only or
--columns) or blank (the scenario does not exist in that column). Anything but PASS, "-" and blank
makes the run fail.
"""

from __future__ import annotations

import pytest

from harness.lab import Lab
from harness.site import COLUMNS
from scenarios import TABLE

LAB: pytest.StashKey[Lab] = pytest.StashKey()
RESULTS: pytest.StashKey[dict[tuple[str, str], str]] = pytest.StashKey()

MISSING, LEFT_OUT = "no run", "-"


def remember(item: pytest.Item, said: pytest.TestReport) -> None:
    """Takes down how a test ended; a later failure (at teardown) overrules an earlier pass."""
    if "scenario" not in getattr(item, "fixturenames", ()):
        return
    results = item.config.stash.setdefault(RESULTS, {})
    cell = item.callspec.params["scenario"].name, item.callspec.params["column"]
    if said.failed:
        results[cell] = "FAIL"
    elif said.skipped:
        results[cell] = "SKIP"
    elif said.when == "call":
        results.setdefault(cell, "PASS")


def cells(config: pytest.Config) -> dict[tuple[str, str], str]:
    """Every cell of the table with its result."""
    results = config.stash.get(RESULTS, {})
    partial = is_partial(config)
    return {(scenario.name, column): results.get((scenario.name, column),
                                                 LEFT_OUT if partial else MISSING)
            for scenario in TABLE for column in scenario.columns}


def is_partial(config: pytest.Config) -> bool:
    return bool(config.option.keyword or config.option.file_or_dir[1:]
                or config.getoption("columns") != ",".join(COLUMNS))


def complete(config: pytest.Config) -> bool:
    return all(result in ("PASS", LEFT_OUT) for result in cells(config).values())


def print_table(out, config: pytest.Config) -> None:
    table = cells(config)
    out.section("scenarios of the real mesh")
    width = max(len(scenario.title) for scenario in TABLE)
    out.write_line(" ".join([" " * width, *(f"{column:>12}" for column in COLUMNS)]))
    for scenario in TABLE:
        row = [table.get((scenario.name, column), "") for column in COLUMNS]
        out.write_line(" ".join([scenario.title.ljust(width), *(f"{one:>12}" for one in row)]))
    _print_times(out, config.stash.get(LAB, None), width)
    passed = sum(result == "PASS" for result in table.values())
    kind = " (a part of it, as asked for)" if is_partial(config) else ""
    out.write_line(f"\n{passed} of {len(table)} cells passed{kind}")
    if (lab := config.stash.get(LAB, None)) and not complete(config):
        out.write_line(f"logs of every process: {lab.folder}")


def _print_times(out, lab: Lab | None, width: int) -> None:
    if not lab:
        return
    times = {column.name: dict(column.times) for column in lab.columns.values()}
    labels = list(dict.fromkeys(what for column in times.values() for what in column))
    if labels:
        out.write_line("\nseconds measured")
    for what in labels:
        row = [f"{times[column][what]:.1f}" if what in times[column] else "" for column in COLUMNS]
        out.write_line(" ".join([what.ljust(width), *(f"{one:>12}" for one in row)]))
