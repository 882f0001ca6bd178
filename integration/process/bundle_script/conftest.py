# SPDX-License-Identifier: Apache-2.0
"""Shells, a mesh's root, a bundle and a VM for the tests of the script."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from rig.bundle_script import Bundle, Shell
from rig.pki import NEW_KEY, openssl
from rig.vm_image import VmImage


@pytest.fixture(scope="session")
def applets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("applets")
    subprocess.run(["busybox", "--install", "-s", folder], check=True)
    (folder / "openssl").symlink_to("/usr/bin/openssl")
    return folder


@pytest.fixture(params=["dash", "bash", "busybox"])
def shell(request: pytest.FixtureRequest, applets: Path) -> Shell:
    if request.param == "busybox":
        return Shell(str(applets / "sh"), str(applets))
    return Shell(f"/bin/{request.param}", "/usr/sbin:/usr/bin")


@pytest.fixture
def dash() -> Shell:
    return Shell("/bin/dash", "/usr/sbin:/usr/bin")


@pytest.fixture(scope="session")
def mesh_root(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("mesh")
    openssl("req", "-x509", *NEW_KEY, "-subj", "/O=mesh", "-days", "2", "-keyout",
            folder / "ca.key", "-out", folder / "root.pem", "-addext",
            "keyUsage=critical,keyCertSign")
    return folder / "root.pem", folder / "ca.key"


@pytest.fixture
def bundle(tmp_path: Path, mesh_root: tuple[Path, Path]) -> Bundle:
    return Bundle(tmp_path, mesh_root[0])


@pytest.fixture
def vm(tmp_path: Path) -> VmImage:
    return VmImage(tmp_path / "vm")
