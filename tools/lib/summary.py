#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The closing table of tools/test.

    summary.py FOLDER

FOLDER/steps holds one line for each step that ran: its place in the table, name, exit code and
seconds, tab-separated. FOLDER/NAME.xml, when it is there, has the step's single tests (JUnit, by
ctest or pytest); a step without it counts as one. FOLDER/planned names the steps that should have
run. The exit code is 0 when all of them ran and nothing failed.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree


@dataclass
class Row:
    name: str
    passed: int
    failed: int
    skipped: int
    seconds: str
    broken: tuple[str, ...] = ()


def read_junit(path: Path) -> tuple[int, int, int, tuple[str, ...]]:
    """Passed, failed, skipped, and the names of what failed."""
    passed = skipped = 0
    broken: list[str] = []
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        kinds = {child.tag for child in case}
        if kinds & {"failure", "error"} or case.get("status") == "fail":
            broken.append(case.get("name", "?"))
        elif "skipped" in kinds or case.get("status") in ("notrun", "disabled"):
            skipped += 1
        else:
            passed += 1
    return passed, len(broken), skipped, tuple(broken)


def row_of(folder: Path, name: str, code: int, seconds: str) -> Row:
    xml = folder / f"{name}.xml"
    if not xml.is_file() or not xml.stat().st_size:
        return Row(name, int(code == 0), int(code != 0), 0, seconds)
    try:
        passed, failed, skipped, broken = read_junit(xml)
    except ElementTree.ParseError:
        return Row(name, 0, 1, 0, seconds, ("its results cannot be read",))
    if passed + failed == 0 or (code != 0 and failed == 0):
        failed += 1
        broken = (*broken, f"the step itself (exit code {code})")
    return Row(name, passed, failed, skipped, seconds, broken)


def read_rows(folder: Path) -> list[Row]:
    ended = {}
    for line in (folder / "steps").read_text().splitlines():
        name, code, seconds = line.split("\t")
        ended[name] = row_of(folder, name, int(code), seconds)
    never = ("it did not run",)
    return [ended.get(name) or Row(name, 0, 1, 0, "", never)
            for name in (folder / "planned").read_text().split()]


def mesh_table(folder: Path) -> str:
    """What integration/mesh/run printed at its end: every scenario in its three columns."""
    log = folder / "mesh.log"
    text = log.read_text(errors="replace") if log.is_file() else ""
    _, found, table = text.rpartition("scenarios of the real mesh")
    end = table.find(" cells passed")
    table = table[:table.find("\n", end)] if end >= 0 else table
    return f"\nThe real mesh{table.lstrip(' =-')}" if found else ""


def main() -> int:
    folder = Path(sys.argv[1])
    rows = read_rows(folder)
    print(mesh_table(folder))
    print(f"\n{'step':24} {'passed':>8} {'failed':>8} {'skipped':>8} {'seconds':>8}")
    for row in rows:
        print(f"{row.name:24} {row.passed:8} {row.failed:8} {row.skipped:8} {row.seconds:>8}")
    for row in rows:
        for broken in row.broken:
            print(f"FAILED {row.name}: {broken}")
    failed = sum(row.failed for row in rows)
    print(f"\n{sum(row.passed for row in rows)} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
