#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The main job of xdsgate on an embedded default: a SANDBOX control plane (not istiod), xdsgate,
and SANDBOX VMs (not agents) that connect through it. Started by tools/demo."""
from __future__ import annotations

import argparse
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
from sandbox_harness import Istiod, Program, SandboxError, Vms, build_dir, free_port, wait_for  # noqa: E402

SOURCE = "127.0.0.2"  # what istiod trusts; xdsgate's address towards it
TYPES = ("CDS", "EDS", "LDS", "RDS")

CONFIG = """\
version: 1
trust_domain: cluster.local
listeners:
- name: istiod
  bind: ["127.0.0.1:{port}"]
  tls:
    certificates:
    - certificate: {dir}/xdsgate.crt
      private_key: {dir}/xdsgate.key
    client_roots: [{dir}/root-cert.pem]
  vm_identities: ["ns/vms/sa/*"]
  registration:
    address_networks: ["10.99.0.0/16"] # what the VMs say; all of them come from this machine
  routes:
  - sni: ["istiod.istio-system.svc"]
    mode: terminate
    upstream: istiod
upstreams:
- name: istiod
  endpoints: ["127.0.0.1:{istiod_port}"]
  tls:
    server_name: istiod.istio-system.svc
    roots: [{dir}/root-cert.pem]
  identity: xfcc
  source_address: ["{source}"]
workers: 1
admin:
  socket: {work}/admin.sock
  bind: 127.0.0.1:{admin_port}
metrics:
  bind: 127.0.0.1:{metrics_port}
log:
  format: text
  level: info
"""


class Interrupted(Exception):
    """SIGTERM."""


def http_get(url: str) -> tuple[int, str]:
    """Status and body; status 0 when nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=30) as r:
            return r.status, r.read().decode(errors="replace")
    except urllib.error.HTTPError as e:
        return e.code, e.read().decode(errors="replace")
    except OSError as e:
        return 0, str(e)


class Demo:
    """The three parts and what a user looks at."""

    def __init__(self, build: Path, work: Path, count: int, sotw: bool):
        self.build, self.work, self.count, self.sotw = build, work, count, sotw
        self.programs: list[Program] = []

    def start(self) -> None:
        self.istiod = Istiod(self.build, self.work, "--trusted-gateway-cidr", f"{SOURCE}/32")
        self.programs.append(self.istiod)
        print(f"sandbox control plane (not istiod) on 127.0.0.1:{self.istiod.port}")
        self.start_gate()
        variant = ["--sotw"] if self.sotw else ["--delta"]
        self.vms = Vms(self.build, self.work, f"127.0.0.1:{self.port}", self.istiod.dir, *variant,
                       count=self.count)
        self.programs.append(self.vms)
        print(f"{self.count} sandbox VMs (not agents) connect to 127.0.0.1:{self.port}")

    def start_gate(self) -> None:
        self.port, self.admin, self.metrics = free_port(), free_port(), free_port()
        config = self.work / "xdsgate.yaml"
        config.write_text(CONFIG.format(
            port=self.port, dir=self.istiod.dir, istiod_port=self.istiod.port, source=SOURCE,
            work=self.work, admin_port=self.admin, metrics_port=self.metrics))
        self.gate = Program([self.build / "xdsgate", "run", "--config", config],
                            self.work / "xdsgate.log")
        self.programs.append(self.gate)
        wait_for("xdsgate is ready", self.gate_ready)
        print(f"xdsgate on 127.0.0.1:{self.port}, configuration {config}")

    def gate_ready(self) -> bool:
        self.gate.check_running()
        return http_get(f"http://127.0.0.1:{self.metrics}/healthz/ready")[0] == 200

    def check(self) -> None:
        for p in self.programs:
            p.check_running()

    def settled(self) -> bool:
        self.check()
        return not self.complaints()

    def complaints(self) -> list[str]:
        """Why not every VM is registered, healthy and synced through xdsgate."""
        seen = {v["name"]: v for v in self.istiod.vms()}
        out = []
        for vm in self.vms.vms():
            v = seen.get(f"{vm['name']}.vms")
            if v is None:
                out.append(f"{vm['name']}: istiod has no stream of it; certificate: "
                           f"{end_of(vm['last_csr'])}; ADS: {end_of(vm['last_end'])}")
                continue
            faults = [text for bad, text in (
                (not v["entry"], "not registered"),
                (v["health"] != "True", f"health {v['health']}"),
                (not v["synced"] or not vm["synced"], "not synced"),
                (not v["peer"].startswith(f"{SOURCE}:"), f"came from {v['peer']}, not by xdsgate"),
                (vm["certificate"] is None, "has no certificate"),
            ) if bad]
            if faults:
                out.append(f"{vm['name']}: {', '.join(faults)}")
        return out

    def show(self) -> None:
        rows = [("NAME", "IDENTITY", "AUTHENTICATED BY", "WORKLOADENTRY", "HEALTHY", *TYPES)]
        vms = self.istiod.vms()
        rows += [row_of(v) for v in vms[:20]]
        widths = [max(len(r[i]) for r in rows) for i in range(len(rows[0]))]
        print()
        for r in rows:
            print("  ".join(c.ljust(w) for c, w in zip(r, widths)).rstrip())
        if len(vms) > 20:
            print(f"... and {len(vms) - 20} more, {len(vms)} in all")
        self.show_vms()
        self.show_http()

    def show_vms(self) -> None:
        """The table that a user of xdsgate looks at."""
        command = ["xdsgate", "vm", "list", "--admin", str(self.work / "admin.sock")]
        said = subprocess.run([self.build / "xdsgate", *command[1:]], capture_output=True,
                              text=True, check=False)
        lines = (said.stdout + said.stderr).splitlines()
        print(f"\n$ {' '.join(command)}")
        print("\n".join(lines[:21]))
        if len(lines) > 21:
            print(f"... and {len(lines) - 21} more")
        print(f"\nThe same as a page: http://127.0.0.1:{self.admin}/")

    def show_http(self) -> None:
        base = f"http://127.0.0.1:{self.metrics}"
        status, body = http_get(f"{base}/healthz/ready")
        print(f"\n$ curl {base}/healthz/ready\n{body.strip() or status}")
        status, body = http_get(f"{base}/metrics")
        lines = [s for s in body.splitlines() if s.startswith("xdsgate_") and not s.endswith(" 0")]
        print(f"\n$ curl -s {base}/metrics | grep ^xdsgate_ | grep -v ' 0$'")
        print("\n".join(lines[:25]))

    def stop(self) -> None:
        for p in reversed(self.programs):
            p.stop()


def end_of(outcome: dict[str, Any] | None) -> str:
    return "nothing yet" if outcome is None else f"{outcome['code']} {outcome['text']}"


def row_of(v: dict[str, Any]) -> tuple[str, ...]:
    identity = ",".join(i.removeprefix("spiffe://") for i in v["identities"])
    return (v["name"], identity, v["authenticated_by"], v["entry"] or "-", v["health"],
            *(v["types"][t]["state"] for t in TYPES))


def stay(demo: Demo) -> None:
    print(f"\nLook around: xdsgate-sandbox-ctl {demo.istiod.socket_path} status")
    print(f"             xdsgate-sandbox-ctl {demo.vms.socket_path} health 1 off")
    print("Ctrl-C ends it.")
    while True:
        time.sleep(0.5)
        demo.check()


def run(demo: Demo, once: bool, seconds: float) -> int:
    began = time.monotonic()
    try:
        demo.start()
        wait_for("all VMs registered, healthy and synced", demo.settled, seconds)
        print(f"all {demo.count} registered, healthy and synced through xdsgate after "
              f"{time.monotonic() - began:.1f} s")
        demo.show()
        if not once:
            stay(demo)
        return 0
    except SandboxError as e:
        print(f"\nFAILED: {e}", file=sys.stderr)
        explain(demo)
        return 1


def explain(demo: Demo) -> None:
    """What is missing, and the end of xdsgate's log."""
    try:
        for line in demo.complaints()[:20]:
            print(f"  {line}", file=sys.stderr)
    except (SandboxError, OSError, AttributeError):
        pass  # a part is not there; the error above has said so
    if hasattr(demo, "gate"):
        print(f"end of xdsgate's log:\n{demo.gate.log_tail()}", file=sys.stderr)


def interrupt(_number: int, _frame: object) -> None:
    raise Interrupted


def main() -> int:
    p = argparse.ArgumentParser(prog="tools/demo", description=__doc__)
    p.add_argument("--once", action="store_true",
                   help="end after showing it; 0 only when every VM is registered, healthy and "
                        "synced through xdsgate")
    p.add_argument("--vms", type=int, default=5, metavar="N", help="how many VMs, default 5")
    p.add_argument("--sotw", action="store_true", help="state-of-the-world ADS instead of delta")
    p.add_argument("--build", type=lambda s: Path(s).resolve(), default=build_dir(), help=argparse.SUPPRESS)
    args = p.parse_args()
    if args.vms < 1:
        p.error("--vms: at least 1")
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    signal.signal(signal.SIGTERM, interrupt)
    work = Path(tempfile.mkdtemp(prefix="xdsgate-demo."))
    demo = Demo(args.build, work, args.vms, args.sotw)
    try:
        return run(demo, args.once, 60 + args.vms * 0.5)
    except (KeyboardInterrupt, Interrupted):
        print("\nending")
        return 0 if not args.once else 1
    finally:
        demo.stop()
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
