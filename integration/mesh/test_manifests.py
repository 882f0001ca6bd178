# SPDX-License-Identifier: Apache-2.0
"""Every manifest of the project is one that a real API server accepts, word for word."""

from pathlib import Path

import pytest

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
FILES = sorted(DEPLOY.rglob("*.yaml"))
MANIFESTS = [file for file in FILES if "\nkind: " in file.read_text()]


def test_every_file_is_a_manifest_or_a_configuration() -> None:
    """Or rules of Prometheus, which integration/process/test_monitoring.py tries."""
    assert MANIFESTS
    for file in set(FILES) - set(MANIFESTS):
        text = file.read_text()
        assert "\nversion: 1\n" in text or "\ngroups:\n" in text, f"{file}: what is it?"


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda path: path.name)
def test_manifest_is_applied(manifest: Path, lab) -> None:
    lab.kube.kubectl("apply", "--server-side", "--validate=strict", "-f", manifest)
