# SPDX-License-Identifier: Apache-2.0
"""The closing table: every scenario, every column, and what it took.

A cell is PASS, FAIL, SKIP, "no run" (it should have run and did not), "-" (left out by --only or
--columns) or blank (the scenario does not exist in that column). Anything but PASS, "-" and blank
makes the run fail.
"""

from __future__ import annotations

import pytest

from harness.lab import Lab, Loss
from harness.site import COLUMNS
from scenarios import TABLE, Scenario

LAB: pytest.StashKey[Lab] = pytest.StashKey()
RESULTS: pytest.StashKey[dict[tuple[str, str], str]] = pytest.StashKey()

MISSING, LEFT_OUT = "no run", "-"


def rows(config: pytest.Config) -> list[Scenario]:
    """The scenarios of this kind of run."""
    losses = config.getoption("losses")
    return [one for one in TABLE if (one.in_losses if losses else one.by_default)]


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
            for scenario in rows(config) for column in scenario.columns}


def is_partial(config: pytest.Config) -> bool:
    return bool(config.option.keyword or config.option.file_or_dir[1:]
                or config.getoption("columns") != ",".join(COLUMNS))


def complete(config: pytest.Config) -> bool:
    return all(result in ("PASS", LEFT_OUT) for result in cells(config).values())


def print_table(out, config: pytest.Config) -> None:
    table = cells(config)
    out.section("scenarios of the real mesh")
    width = max(len(scenario.title) for scenario in rows(config))
    out.write_line(" ".join([" " * width, *(f"{column:>12}" for column in COLUMNS)]))
    for scenario in rows(config):
        row = [table.get((scenario.name, column), "") for column in COLUMNS]
        out.write_line(" ".join([scenario.title.ljust(width), *(f"{one:>12}" for one in row)]))
    if lab := config.stash.get(LAB, None):
        _print_times(out, lab, width)
        if (longest := lab.standstills.longest()) > 0:
            out.write_line(f"this machine stood still, or its clock was set: up to {longest:.1f} s")
        _print_losses(out, [loss for column in lab.columns.values() for loss in column.losses])
    passed = sum(result == "PASS" for result in table.values())
    kind = " (a part of it, as asked for)" if is_partial(config) else ""
    out.write_line(f"\n{passed} of {len(table)} cells passed{kind}")
    if lab and not complete(config):
        out.write_line(f"logs of every process: {lab.folder}")


def _print_times(out, lab: Lab, width: int) -> None:
    times = {column.name: dict(column.times) for column in lab.columns.values()}
    labels = list(dict.fromkeys(what for column in times.values() for what in column))
    if labels:
        out.write_line("\nseconds measured")
    for what in labels:
        row = [f"{times[column][what]:.1f}" if what in times[column] else "" for column in COLUMNS]
        out.write_line(" ".join([what.ljust(width), *(f"{one:>12}" for one in row)]))


def _print_losses(out, losses: list[Loss]) -> None:
    """What README.md's table is made of. Seconds from the beginning of each event."""
    if not losses:
        return
    width = max(len(loss.what) for loss in losses)
    columns = ("VMs", "deleted", "unhealthy", "anew", "tries", "event s", "half s", "all s")
    out.write_line("\n" + " ".join(["what is lost when".ljust(width),
                                    *(f"{one:>9}" for one in columns)]))
    for loss in losses:
        row = (str(loss.vms), str(loss.deleted), str(loss.unhealthy), str(loss.again),
               f"{loss.tries:.1f}", f"{loss.ended_s:.1f}", f"{loss.half_s:.1f}",
               f"{loss.back_s:.1f}")
        out.write_line(" ".join([loss.what.ljust(width), *(f"{one:>9}" for one in row)]))
