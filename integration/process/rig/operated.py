# SPDX-License-Identifier: Apache-2.0
"""A gateway with VMs, and what an operator does there."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

from .gateway import BINARY, Gateway
from .sandbox import Istiod, Vms
from .wait import until

if TYPE_CHECKING:
    from conftest import Rig


class Site:
    """One gateway, one control plane, some VMs, and the commands of an operator."""

    def __init__(self, rig: Rig, count: int = 3, *vm_options: object, keep_config: object = 0,
                 **listener: object) -> None:
        self.rig = rig
        self.istiod: Istiod = rig.istiod()
        self.deny_list = rig.folder / "deny.json"
        self.config = {**rig.terminate(self.istiod, listener=listener or None),
                       "registry": {"deny_list": str(self.deny_list),
                                    "keep_config": keep_config}}
        self.gateway: Gateway = rig.gateway(self.config)
        self.socket = self.gateway.folder / "admin.sock"
        self.vms: Vms = rig.vms("--count", count, *vm_options)

    def run(self, *words: object, code: int = 0, admin: object = None) -> str:
        command = [BINARY, *map(str, words), "--admin", str(admin or self.socket)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == code, (command, done.returncode, done.stdout, done.stderr)
        return done.stdout if code == 0 else done.stderr

    def one(self, *words: object, admin: object = None) -> dict:
        """The JSON that a command prints."""
        return json.loads(self.run(*words, "-o", "json", admin=admin))

    def list(self) -> dict[str, dict]:
        return {vm["name"]: vm for vm in self.one("vm", "list")["vms"]}

    def await_state(self, name: str, state: str) -> dict:
        return until(lambda: next((vm for n, vm in self.list().items()
                                   if n == name and vm["state"] == state), None),
                     f"{name} is {state}")

    def await_listed(self, n: int) -> None:
        """So many VMs are well at istiod and in the daemon's list."""
        self.istiod.await_synced(n)

        def look() -> bool:
            vms = self.list().values()
            return len(vms) == n and all(
                vm["state"] == "connected" and vm["health"] == "healthy" and
                set(vm["types"].values()) == {"SYNCED"} for vm in vms)

        until(look, f"{n} VMs are listed as well")

    def reregister(self, name: str) -> dict:
        """Until it has come back and was refused, and then was let in: how it is then. A machine
        that has no time for that gets a longer hold."""
        for hold in (1, 2, 4, 8, 16, 32):
            before = self.await_state(name, "connected")["connected_since"]
            self.run("vm", "reregister", name, "--hold", f"{hold}s")
            held = until(lambda: self._held_or_back(name, before), f"{name} comes back")
            if held == "held":
                return self.await_state(name, "connected")
        raise AssertionError(f"{name} was never refused by the rule `held`")

    def _held_or_back(self, name: str, before: str) -> str | None:
        vm = self.list()[name]
        if (vm["refused"] or {}).get("rule") == "held":
            return "held"
        return "back" if vm["state"] == "connected" and vm["connected_since"] > before else None
