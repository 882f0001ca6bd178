# SPDX-License-Identifier: Apache-2.0
"""The documents keep their word: every configuration and what is typed for it in README.md is tried,
and every path, function and metric that the documents name exists.

kubectl is a stand-in that answers with a CA of our own, in the two forms in which keys are kept.
"""

from __future__ import annotations

import os
import re
import ssl
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("XDSGATE_BIN") or ROOT / "build/release/xdsgate").resolve()
README = ROOT / "README.md"
DOCUMENTS = [README, ROOT / "CONTRIBUTING.md", ROOT / "bench/README.md",
             *sorted((ROOT / "docs").glob("*.md"))]
CODE_READERS = ("internals", "threat-model")
SERVER_NAME = "istiod.istio-system.svc"

# What istiod's self-signed CA looks like; its key is RSA in PKCS#1.
KUBECTL = """\
#!/bin/sh
case "$*" in
*"get secret istio-ca-secret"*ca-cert.pem*) cat "$MESH_CA/ca-cert.pem" ;;
*"get secret istio-ca-secret"*ca-key.pem*) cat "$MESH_CA/ca-key.pem" ;;
*"get secret xdsgate-token"*'"token"'*) printf %s "$GATEWAY_TOKEN" | base64 ;;
*"get secret xdsgate-token"*'"ca.crt"'*) base64 -w0 "$MESH_CA/ca-cert.pem" ;;
"apply -f deploy/rbac-tokens.yaml -f deploy/rbac-roots.yaml") ;;
*) echo "kubectl: not expected: $*" >&2; exit 1 ;;
esac
"""


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README.read_text(), re.S | re.M)


def configurations() -> list[str]:
    return [block for block in blocks("yaml") if block.startswith("version:")]


def at(home: Path, text: str) -> str:
    """The configuration with its files, and those that it writes, in this folder."""
    return text.replace("/etc/xdsgate", str(home)).replace("/var/lib/xdsgate", str(home))


def run(*command: str | Path, cwd: Path, **env: str) -> str:
    done = subprocess.run(command, cwd=cwd, env={**os.environ, **env}, capture_output=True,
                          text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def make_mesh_ca(folder: Path, form: str) -> None:
    folder.mkdir()
    run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/O=cluster.local",
        "-days", "3650", "-addext", "keyUsage=critical,keyCertSign", "-keyout", "pkcs8.pem",
        "-out", "ca-cert.pem", cwd=folder)
    traditional = ["-traditional"] if form == "RSA PRIVATE KEY" else []
    run("openssl", "rsa", "-in", "pkcs8.pem", *traditional, "-out", "ca-key.pem", cwd=folder)
    assert f"-----BEGIN {form}-----" in (folder / "ca-key.pem").read_text()


@pytest.fixture(scope="module", params=["RSA PRIVATE KEY", "PRIVATE KEY"])
def serving(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the README's commands for a serving certificate were typed."""
    home = tmp_path_factory.mktemp("readme")
    make_mesh_ca(home / "mesh-ca", request.param)
    (home / "bin").mkdir()
    (home / "bin/kubectl").write_text(KUBECTL)
    (home / "bin/kubectl").chmod(0o755)
    typed = [block for block in blocks("sh") if "istio-ca-secret" in block]
    (home / "bin/xdsgate").symlink_to(BINARY)
    (home / "deploy").symlink_to(ROOT / "deploy")
    typed += [block for block in blocks("sh") if "rbac-tokens.yaml" in block]
    assert len(typed) == 2
    for block in typed:
        run("bash", "-euo", "pipefail", "-c", block, cwd=home, MESH_CA=str(home / "mesh-ca"),
            GATEWAY_TOKEN="aaaa.bbbb.cccc", PATH=f"{home / 'bin'}:{os.environ['PATH']}")
    return home


# ---- what a reader types ----


def test_there_are_two_configurations() -> None:
    assert ["mode: terminate" in text for text in configurations()] == [False, True]


def test_configuration_of_the_first_vm__the_same_as_in_five_minutes() -> None:
    shipped = (ROOT / "deploy/passthrough.yaml").read_text()
    assert shipped.endswith("\n" + configurations()[0])


@pytest.mark.parametrize("index", [0, 1])
def test_configuration_passes_check(serving: Path, index: int) -> None:
    path = serving / f"readme-{index}.yaml"
    path.write_text(at(serving, configurations()[index]))
    assert run(BINARY, "check", "--config", path, cwd=serving) == ""


def test_back_again_passes_check(serving: Path) -> None:
    """Without its first route, the grown configuration passes everything through."""
    text = re.sub(r"  - from:.*?(?=  - sni: \[\"\*\"\])", "", configurations()[1], flags=re.S)
    assert "mode: terminate" not in text
    path = serving / "back.yaml"
    path.write_text(at(serving, text))
    assert run(BINARY, "check", "--config", path, cwd=serving) == ""


def test_listener_of_two_networks_passes_check(tmp_path: Path) -> None:
    page = (ROOT / "docs/networks.md").read_text()
    fragment = re.search(r"^```yaml\n(listeners:\n.*?)^```$", page, re.S | re.M)[1]
    path = tmp_path / "networks.yaml"
    path.write_text("version: 1\n" + fragment)
    assert run(BINARY, "check", "--config", path, cwd=tmp_path) == ""


def with_xfcc() -> str:
    """The README's configuration with the upstreams of docs/xfcc.md."""
    page = (ROOT / "docs/xfcc.md").read_text()
    upstreams = re.search(r"^```yaml\n(upstreams:\n.*?)^```$", page, re.S | re.M)[1]
    text = re.sub(r"^upstreams:\n.*?(?=^metrics:)", lambda _: upstreams, configurations()[1],
                  flags=re.S | re.M)
    return re.sub(r"^kubernetes:\n.*?(?=^listeners:)", "", text, flags=re.S | re.M)


def test_xfcc_passes_check(serving: Path) -> None:
    path = serving / "xfcc.yaml"
    path.write_text(at(serving, with_xfcc()))
    assert run(BINARY, "check", "--config", path, cwd=serving) == ""


def test_gateway_with_a_name_of_its_own_passes_check(serving: Path) -> None:
    """The README's configuration with the listener of docs/certificates.md."""
    page = (ROOT / "docs/certificates.md").read_text()
    listeners = re.search(r"^```yaml\n(listeners:\n.*?)^```$", page, re.S | re.M)[1]
    text = re.sub(r"^listeners:\n.*?(?=^upstreams:)", lambda _: listeners, configurations()[1],
                  flags=re.S | re.M)
    path = serving / "named.yaml"
    path.write_text(at(serving, text))
    (serving / "mesh-root.pem").write_text((serving / "tls/root-cert.pem").read_text())
    assert run(BINARY, "check", "--config", path, cwd=serving) == ""


@pytest.mark.parametrize("edit", [("10.77.0.3", "10.77.0.2"), ('  source_address: ["10.77.0.3"]\n', "")])
def test_xfcc_refused_without_two_addresses(serving: Path, edit: tuple[str, str]) -> None:
    text = at(serving, with_xfcc()).replace(*edit)
    path = serving / "refused.yaml"
    path.write_text(text)
    done = subprocess.run([BINARY, "check", "--config", path], capture_output=True, text=True)
    assert done.returncode == 2
    assert "source_address" in done.stderr or "the two different addresses" in done.stderr


def test_kubeconfig__nobody_else_reads_its_token(serving: Path) -> None:
    assert (serving / "kubeconfig").stat().st_mode & 0o777 == 0o600


def test_kubeconfig__without_a_token__refused(serving: Path) -> None:
    done = subprocess.run([ROOT / "deploy/kubeconfig.sh", "https://10.0.0.11:6443"],
                          capture_output=True, text=True,
                          env={**os.environ, "PATH": f"{serving / 'bin'}:{os.environ['PATH']}",
                               "MESH_CA": str(serving / "mesh-ca"), "GATEWAY_TOKEN": ""})
    assert done.returncode == 1
    assert "try again" in done.stderr
    assert done.stdout == ""


def test_serving_certificate_convinces_a_vm(serving: Path) -> None:
    """A TLS client that knows the mesh's root accepts it under istiod's name."""
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context(
        cafile=str(serving / "tls/root-cert.pem"))
    server.load_cert_chain(serving / "tls/tls.crt", serving / "tls/tls.key")
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [client.wrap_bio(down, up, server_hostname=SERVER_NAME), server.wrap_bio(up, down,
                                                                                 server_side=True)]
    pending = ends
    for _ in range(8):
        pending = [end for end in pending if not shaken(end)]
    assert not pending


def shaken(end: ssl.SSLObject) -> bool:
    try:
        end.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True


def test_the_key_of_the_mesh_does_not_stay(serving: Path) -> None:
    assert not (serving / "ca-key.pem").exists()
    assert (serving / "tls/tls.key").stat().st_mode & 0o077 == 0


def unit_setting(key: str) -> str:
    unit = (ROOT / "deploy/systemd/xdsgate.service").read_text()
    return re.search(rf"^{key}=(.+)$", unit, re.M)[1]


@pytest.mark.parametrize("index", [0, 1])
def test_configuration__the_commands_find_the_daemon(index: int) -> None:
    """Its socket is where they look, in a folder that the unit makes."""
    header = (ROOT / "gateway/cli/admin_client.h").read_text()
    wanted = re.search(r'ADMIN_CLIENT_DEFAULT "(.*)"', header)[1]
    assert yaml.safe_load(configurations()[index])["admin"]["socket"] == wanted
    assert Path(wanted).parent == Path("/run") / unit_setting("RuntimeDirectory")


def test_configuration_that_terminates__what_a_fleet_may_break_only_reports() -> None:
    page = (ROOT / "docs/registration.md").read_text()
    careful = re.search(r"all but `(\w+)`, `(\w+)` and those of `allow`", page).groups()
    registration = yaml.safe_load(configurations()[1])["listeners"][0]["registration"]
    assert registration == {"rules": dict.fromkeys(careful, "report")}


def test_configuration_that_terminates__a_revocation_outlives_the_process() -> None:
    deny_list = Path(yaml.safe_load(configurations()[1])["registry"]["deny_list"])
    assert deny_list.parent == Path("/var/lib") / unit_setting("StateDirectory")


def test_packages_are_those_of_the_build() -> None:
    scripts = (ROOT / "tools/lib/packages.sh").read_text()
    wanted = re.search(r"packages_build=\((.*?)\)", scripts, re.S)
    typed = next(block for block in blocks("sh") if "apt-get install" in block)
    names = typed.replace("\\\n", " ").splitlines()[0].split()[3:]
    assert wanted and sorted(names) == sorted(wanted[1].split())


def test_packages_on_another_machine_are_those_of_the_image() -> None:
    image = (ROOT / "Dockerfile").read_text().split("FROM debian:12-slim")[1]
    wanted = re.search(r"install -y --no-install-recommends \\\n(.*?) &&", image, re.S)[1]
    typed = [block for block in blocks("sh") if "apt-get install" in block][1]
    assert sorted(typed.split()[3:]) == sorted(wanted.split())


def test_install_puts_things_where_the_unit_wants_them(tmp_path: Path) -> None:
    typed = next(block for block in blocks("sh") if "xdsgate.service" in block)
    lines = [line for line in typed.splitlines() if line.startswith("install ")]
    script = "\n".join(lines).replace("build/hand/xdsgate", str(BINARY))
    run("sh", "-euc", re.sub(r" /(usr|etc)/", rf" {tmp_path}/\1/", script), cwd=ROOT)
    unit = (tmp_path / "etc/systemd/system/xdsgate.service").read_text()
    program, config = re.search(r"^ExecStart=(\S+) run --config (\S+)", unit, re.M).groups()
    assert os.access(tmp_path / program.lstrip("/"), os.X_OK)
    assert (tmp_path / config.lstrip("/")).parent.is_dir()
    user = re.search(r"^User=(\w+)", unit, re.M)[1]
    assert f"u {user} " in (tmp_path / "usr/lib/sysusers.d/xdsgate.conf").read_text()


# ---- what the documents name ----


def sources() -> str:
    listed = run("git", "ls-files", "-c", "-o", "--exclude-standard", "*.c", "*.h", "*.def", "*.py",
                 cwd=ROOT).split()
    return "\n".join((ROOT / name).read_text() for name in listed if (ROOT / name).is_file())


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_paths_exist(document: Path) -> None:
    text = document.read_text()
    links = [link.split("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text)]
    named = re.findall(r"`((?:core|certs|xds|gateway|integration|tests|tools|deploy|docs)/[\w./-]*)",
                       text)
    wanted = [document.parent / link for link in links if link and not link.startswith("http")]
    wanted += [ROOT / name for name in named]
    assert wanted
    assert [str(path) for path in wanted if not path.exists()] == []


@pytest.mark.parametrize("document", [path for path in DOCUMENTS if path.stem in CODE_READERS],
                         ids=lambda path: path.name)
def test_functions_and_constants_exist(document: Path) -> None:
    code = sources()
    named = set(re.findall(r"`([a-z_0-9]+)\(\)`", document.read_text()))
    named |= set(re.findall(r"`([A-Z][A-Z0-9]*_[A-Z0-9_]+)`", document.read_text()))
    assert named
    assert sorted(name for name in named if not re.search(rf"\b{name}\b", code)) == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_metrics_exist(document: Path) -> None:
    code = (ROOT / "core/base/counter.def").read_text() + "".join(
        path.read_text() for path in (ROOT / "gateway/admin").glob("metrics*.c"))
    named = re.findall(r"\bxdsgate_([a-z_]+)\b", document.read_text())
    assert [name for name in named if f'"{name}"' not in code] == []


def test_lines_and_reasons_of_the_log_exist() -> None:
    code = sources()
    text = (ROOT / "docs/operating.md").read_text()
    rows = re.findall(r"^\| `([\w ]+)`(?:, reason `(\w+)`)? \|", text, re.M)
    assert len(rows) > 5
    assert [line for line, _ in rows if f'"{line}"' not in code] == []
    assert [reason for _, reason in rows if reason and f'"{reason}"' not in code] == []


def test_modules_are_those_of_the_layer_table() -> None:
    """docs/internals.md has the table of modules that tools/check.py enforces."""
    text = (ROOT / "docs/internals.md").read_text()
    script = (ROOT / "tools/check.py").read_text()
    table = re.search(r"^LAYERS.*?^}", script, re.S | re.M)
    assert table
    modules = re.findall(r'^    "([\w/]+)":', table[0], re.M)
    assert modules and [name for name in modules if f"`{name}`" not in text] == []


def test_modules__each_file_is_in_the_row_of_its_module() -> None:
    """By its name, or by what its name begins with: `keys` stands for keys_upstream.c, too."""
    text = (ROOT / "docs/internals.md").read_text()
    folders = "core|certs|kube|xds|bootstrap|gateway"
    rows = dict(re.findall(rf"^\| `((?:{folders})[\w/]*)` \| ([^|]*)", text, re.M))
    del rows["gateway/cli"]  # has a file for each command
    missing = []
    for module, row in rows.items():
        words = set(re.findall(r"\w+", row))
        for path in sorted((ROOT / module).glob("*.c")):
            parts = path.stem.split("_")
            if not words & {"_".join(parts[:n + 1]) for n in range(len(parts))}:
                missing.append(f"{module}/{path.name}")
    assert len(rows) > 15 and missing == []
