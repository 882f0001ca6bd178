# SPDX-License-Identifier: Apache-2.0
"""tools/demo: says 0 only when every VM is registered, healthy and synced through xdsgate."""
from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
from sandbox_harness import build_dir, wait_for  # noqa: E402

DEMO = Path(__file__).resolve().parent / "demo.py"
PROGRAMS = ("xdsgate-sandbox-istiod", "xdsgate-sandbox-vm")


def command(build: Path, *flags: str) -> list[str]:
    return [sys.executable, "-B", str(DEMO), "--build", str(build), *flags]


def run_demo(build: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(build, *flags), capture_output=True, text=True, timeout=300,
                          check=False)


@pytest.fixture
def built() -> Path:
    assert (build_dir() / "xdsgate").exists(), f"{build_dir() / 'xdsgate'} is not built"
    return build_dir()


@pytest.mark.parametrize("variant", [[], ["--sotw"]])
def test_once_shows_every_vm_and_says_0(built: Path, variant: list[str]) -> None:
    done = run_demo(built, "--once", "--vms", "3", *variant)

    assert done.returncode == 0, done.stdout + done.stderr
    table = done.stdout.partition("\n$ ")[0]  # before the first command that is shown
    rows = [s.split() for s in table.splitlines() if s.startswith("vm-")]
    assert rows == [[f"vm-{n}.vms", "cluster.local/ns/vms/sa/vm", "xfcc", f"web-10.99.0.{n}", "True",
                     "SYNCED", "SYNCED", "SYNCED", "SYNCED"] for n in (1, 2, 3)]
    assert "/healthz/ready" in done.stdout
    assert "xdsgate_streams 3" in done.stdout


def test_once_without_a_working_xdsgate_says_1_and_why(built: Path, tmp_path: Path) -> None:
    for name in PROGRAMS:
        (tmp_path / name).symlink_to(built / name)
    broken = tmp_path / "xdsgate"
    broken.write_text("#!/bin/sh\necho no such luck\nexit 7\n")
    broken.chmod(0o755)

    done = run_demo(tmp_path, "--once")

    assert done.returncode == 1
    assert "xdsgate ended with 7" in done.stderr
    assert "no such luck" in done.stderr


def heed_interrupts() -> None:
    """As at a terminal: what a shell starts in the background ignores them."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_without_once_it_stays_until_it_is_interrupted(built: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("w") as out:
        demo = subprocess.Popen(command(built, "--vms", "1"), stdout=out, stderr=out,
                                env={**os.environ, "TMPDIR": str(tmp_path)},
                                preexec_fn=heed_interrupts)
    try:
        wait_for("it stays", lambda: "Ctrl-C ends it" in log.read_text(), 60)
        assert demo.poll() is None
        demo.send_signal(signal.SIGINT)
        assert demo.wait(60) == 0
    finally:
        demo.kill()
        demo.wait()
    assert list(tmp_path.glob("xdsgate-demo.*")) == []
