# SPDX-License-Identifier: Apache-2.0
"""Runs the table of scenarios: one test for each cell, all columns of a row at the same time."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path

import pytest

import report
from harness import netns, wait
from harness.istio import Istiod
from harness.kind_mesh import KindMesh
from harness.lab import Column, Lab, remove_old_folders
from harness.process_mesh import ProcessMesh
from harness.site import COLUMNS
from scenarios import Scenario

HERE = Path(__file__).resolve().parent
RUNS = HERE.parents[1] / "build/mesh"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--columns", default=",".join(COLUMNS), help="comma list of columns to run")
    parser.addoption("--losses", action="store_true",
                     help="what is lost when, at 303 VMs, instead of the usual scenarios")
    parser.addoption("--grace", help="PILOT_WORKLOAD_ENTRY_GRACE_PERIOD of istiod, with --losses")


def pytest_configure(config: pytest.Config) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    unknown = set(config.getoption("columns").split(",")) - set(COLUMNS)
    if unknown:
        raise pytest.UsageError(f"no such column: {', '.join(sorted(unknown))}")
    if grace := config.getoption("grace"):
        if not config.getoption("losses"):
            raise pytest.UsageError("the usual scenarios know istiod's usual grace")
        Istiod.environment["PILOT_WORKLOAD_ENTRY_GRACE_PERIOD"] = grace


def interrupt(number: int, frame: object) -> None:
    """Ends the run tidily: those who wait give up, and pytest takes everything down."""
    for again in (signal.SIGINT, signal.SIGTERM):
        signal.signal(again, signal.SIG_IGN)
    wait.interrupted.set()
    raise KeyboardInterrupt


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    wanted = config.getoption("columns").split(",")
    rows = report.rows(config)
    left_out = [item for item in items if column_of(item) not in (None, *wanted)
                or column_of(item) and item.callspec.params["scenario"] not in rows]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def column_of(item: pytest.Item) -> str | None:
    return item.callspec.params.get("column") if hasattr(item, "callspec") else None


@pytest.fixture(scope="session")
def selected(request: pytest.FixtureRequest) -> dict[str, list[str]]:
    """The columns of each scenario that this run is asked for, by the scenario's name."""
    chosen: dict[str, list[str]] = {}
    for item in request.session.items:
        if column := column_of(item):
            chosen.setdefault(item.callspec.params["scenario"].name, []).append(column)
    return chosen


@pytest.fixture(scope="session")
def lab(request: pytest.FixtureRequest, selected: dict[str, list[str]]) -> Lab:
    owner = os.environ.get("XDSGATE_MESH_OWNER", str(os.getpid()))
    programs = Path(os.environ["XDSGATE_MESH_PROGRAMS"])
    folder = RUNS / f"run-{owner}"
    remove_old_folders(RUNS, folder)
    lab = Lab(make_mesh(programs, folder, netns.prefix_of(int(owner))), programs, folder)
    request.config.stash[report.LAB] = lab
    try:
        lab.start(sorted({column for columns in selected.values() for column in columns}))
        yield lab
    finally:
        wait.interrupted.clear()
        lab.close()


def make_mesh(programs: Path, folder: Path, prefix: str) -> ProcessMesh | KindMesh:
    """Processes on this machine, or the kind cluster that integration/kind/run has made."""
    if cluster := os.environ.get("XDSGATE_MESH_KIND"):
        return KindMesh(programs, folder, prefix, cluster)
    return ProcessMesh(programs, folder, prefix)


class Rounds:
    """Runs each scenario once, in all its columns together, and keeps how each of them ended."""

    def __init__(self, lab: Lab, selected: dict[str, list[str]]) -> None:
        self.lab = lab
        self.selected = selected
        self.ended: dict[str, dict[str, Exception | None]] = {}

    def result(self, scenario: Scenario, column: str) -> Exception | None:
        if scenario.name not in self.ended:
            columns = [self.lab.columns[name] for name in self.selected[scenario.name]]
            try:
                self.ended[scenario.name] = self._run(scenario, columns)
            except Exception as error:  # what is shared failed: so did every column
                self.ended[scenario.name] = {column.name: error for column in columns}
        return self.ended[scenario.name][column]

    def _run(self, scenario: Scenario, columns: list[Column]) -> dict[str, Exception | None]:
        shared = scenario.around(self.lab, columns) if scenario.around else nullcontext()

        def attempt(column: Column) -> Exception | None:
            try:
                if column.broken:
                    raise column.broken
                scenario.run(column, *([given] if scenario.around else []))
            except Exception as error:
                return error
            return None

        with shared as given, ThreadPoolExecutor(max_workers=len(columns)) as pool:
            return dict(zip([column.name for column in columns], pool.map(attempt, columns)))


@pytest.fixture(scope="session")
def rounds(lab: Lab, selected: dict[str, list[str]]) -> Rounds:
    return Rounds(lab, selected)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item):
    outcome = yield
    report.remember(item, outcome.get_result())


def pytest_terminal_summary(terminalreporter, config: pytest.Config) -> None:
    report.print_table(terminalreporter, config)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if exitstatus == 0 and not report.complete(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
