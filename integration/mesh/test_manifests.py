# SPDX-License-Identifier: Apache-2.0
"""Every manifest of the project is one that a real API server accepts, word for word."""

from pathlib import Path

import pytest

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
MANIFESTS = sorted(DEPLOY.rglob("*.yaml"))


def test_there_are_manifests() -> None:
    assert MANIFESTS


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda path: path.name)
def test_manifest_is_applied(manifest: Path, lab) -> None:
    lab.kube.kubectl("apply", "--server-side", "--validate=strict", "-f", manifest)
