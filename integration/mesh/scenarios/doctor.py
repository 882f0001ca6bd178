# SPDX-License-Identifier: Apache-2.0
"""`xdsgate doctor` beside the real istiod and the real API server: what it says is so."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from harness import edge
from harness.lab import Column
from harness.processes import IP
from harness.wait import until


GONE_S = 60  # a stream that was ended may still be on istiod's page


@dataclass(frozen=True)
class Said:
    code: int
    findings: list[dict]
    looked_at: list[str]

    def ids(self) -> set[str]:
        return {row["id"] for row in self.findings}

    def has(self, cause: str, text: str) -> None:
        assert any(row["id"] == cause and text in row["text"] for row in self.findings), \
            f"no {cause} with {text!r}: {self.findings}"

    def looks(self, text: str) -> bool:
        return any(text in row for row in self.looked_at)


def doctor(netns: str | None, *options: object) -> Said:
    inside = [IP, "netns", "exec", netns] if netns else []
    return said_by(*inside, edge.binary(), "doctor", "-o", "json", *map(str, options))


def said_by(*command: str | Path) -> Said:
    done = subprocess.run(command, text=True, capture_output=True, timeout=120, check=False)
    assert done.stderr == "" and done.returncode in (0, 1), done.stderr + done.stdout
    answer = json.loads(done.stdout)
    return Said(done.returncode, answer["findings"], answer["looked_at"])


def whom_istiod_believes(column: Column) -> None:
    """From the trusted address and from no other; and with the addresses the wrong way round."""
    gate = column.lab.edge
    trusted, untrusted = gate.values["trusted"], gate.values["untrusted"]

    said = doctor(gate.netns, "--config", gate.config)

    # One of the istiods that the edge knows does not run.
    away = [str(one.end) for one in column.lab.istiods if not one.running()]
    assert all(row["id"] == "upstream-unreachable" and any(end in row["text"] for end in away)
               for row in said.findings), said.findings
    assert said.looks(f"upstream istiod: it believes x-forwarded-client-cert from {trusted}")
    assert said.looks(f"upstream istiod-raw: it does not believe x-forwarded-client-cert from "
                      f"{untrusted}")

    swapped = gate.folder / "swapped.yaml"
    swapped.write_text(gate.config.read_text().replace(trusted, "TRUSTED")
                       .replace(untrusted, trusted).replace("TRUSTED", untrusted))
    said = doctor(gate.netns, "--config", swapped)

    said.has("xfcc-not-trusted", f"from {untrusted}")
    said.has("xfcc-believed", f"from {trusted}, from which upstream istiod-raw passes on")


def leaves_nothing_behind(column: Column) -> None:
    """Those who do not exist are nobody in istiod, and in the cluster."""
    gate = column.lab.edge

    doctor(gate.netns, "--config", gate.config)

    until(lambda: not [node for one in column.lab.istiods if one.running()
                       for node in one.nodes() if "nobody" in node], GONE_S,
          "istiod has forgotten who asked")
    entries = column.lab.kube.kubectl("get", "workloadentries", "-A", "-o", "name")
    assert "nobody" not in entries


def one_vm(column: Column) -> None:
    """A VM that is well, by its real WorkloadEntry; and one that is not there."""
    kube, gate = column.lab.kube, column.lab.edge
    name = column.vm("client").entry_name.partition("/")[2]
    options = ("--config", gate.config, "--no-network", "--kubeconfig", kube.kubeconfig)

    said = doctor(kube.netns, f"{name}.{column.name}", *options)

    assert said.looks(f"WorkloadEntry {name} of namespace {column.name}"), said
    assert said.looks(f"a token of service account client in namespace {column.name}")
    # The configuration is that of another machine than the one that reaches the API server.
    assert said.ids() <= {"source-not-local", "port-in-use"}, said.findings
    doctor(kube.netns, "nobody", "-n", column.name, *options).has("vm-unknown", "nobody")
