# SPDX-License-Identifier: Apache-2.0
"""`xdsgate check`: good files pass in silence, every mistake is named with its line and column.

The mistakes are made from tests/gateway/config/full.yaml, which has every key: each key misspelt,
left out and written twice, each value given every wrong type. XDSGATE_BIN names the program; the
default is build/release/xdsgate.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("XDSGATE_BIN") or ROOT / "build/release/xdsgate").resolve()
EXAMPLES = ROOT / "tests/gateway/config"
REFERENCE = ROOT / "docs/configuration.md"
REGISTRATION = ROOT / "docs/registration.md"
SOURCES = ROOT / "gateway/config"
COUNTERS = ROOT / "core/base/counter.def"
RULES = ROOT / "gateway/registry/rule.def"

LEAF = """
basicConstraints = critical,CA:false
keyUsage = critical,digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = DNS:istiod.istio-system.svc
"""


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    errors: list[tuple[int, int, str]]  # line, column, what is wrong


def openssl(*command: str, cwd: Path) -> None:
    subprocess.run(["openssl", *command], cwd=cwd, check=True, capture_output=True)


KUBECONFIG = """\
current-context: mesh
clusters:
- {name: c, cluster: {server: "https://10.0.0.1:6443"}}
users:
- {name: u, user: {token: abc}}
contexts:
- {name: mesh, context: {cluster: c, user: u}}
"""


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("check")
    (home / "leaf.cnf").write_text(LEAF)
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl("req", "-x509", *key, "-subj", "/O=check", "-days", "2", "-keyout", "ca.key",
            "-out", "root.pem", "-addext", "keyUsage=critical,keyCertSign", cwd=home)
    openssl("req", *key, "-subj", "/", "-keyout", "tls.key", "-out", "tls.csr", cwd=home)
    openssl("x509", "-req", "-in", "tls.csr", "-CA", "root.pem", "-CAkey", "ca.key",
            "-CAcreateserial", "-days", "1", "-extfile", "leaf.cnf", "-out", "tls.crt", cwd=home)
    (home / "kubeconfig").write_text(KUBECONFIG)
    (home / "root-cert.pem").write_bytes((home / "root.pem").read_bytes())
    return home


def check_file(path: Path, *arguments: str) -> Answer:
    done = subprocess.run([BINARY, "check", *(arguments or ("--config", str(path)))],
                          capture_output=True, text=True, timeout=60)
    errors = []
    for line in done.stderr.splitlines():
        match = re.fullmatch(re.escape(str(path)) + r":(\d+):(\d+): (.+)", line)
        assert match, f"not FILE:LINE:COLUMN: TEXT: {line}"
        errors.append((int(match[1]), int(match[2]), match[3]))
    return Answer(done.returncode, done.stdout, errors)


def check(folder: Path, text: str, name: str = "config.yaml") -> Answer:
    path = folder / name
    path.write_text(text)
    return check_file(path)


# ---- good files ----


@pytest.mark.parametrize("name", ["small.yaml", "full.yaml"])
def test_example_passes(folder: Path, name: str) -> None:
    text = (EXAMPLES / name).read_text().replace("@", str(folder))
    assert check(folder, text) == Answer(0, "", [])


def reference_examples() -> list[str]:
    blocks = re.findall(r"```yaml\n(.*?)```", REFERENCE.read_text(), re.S)
    return [block for block in blocks if block.startswith("version:")]


def test_reference_has_its_examples() -> None:
    assert len(reference_examples()) == 3


@pytest.mark.parametrize("index", [0, 1, 2])
def test_example_of_the_reference_passes(folder: Path, index: int) -> None:
    text = reference_examples()[index].replace("/etc/xdsgate/tls", str(folder))
    text = text.replace("/etc/xdsgate/kubeconfig", str(folder / "kubeconfig"))
    assert check(folder, text) == Answer(0, "", [])


def registration_examples() -> list[str]:
    """What the pages write below a listener."""
    text = REFERENCE.read_text() + REGISTRATION.read_text()
    return re.findall(r"```yaml\n(registration:.*?)```", text, re.S)


def test_registration_has_its_examples() -> None:
    assert len(registration_examples()) == 3


@pytest.mark.parametrize("index", [0, 1, 2])
def test_example_of_registration_passes(folder: Path, index: int) -> None:
    example = registration_examples()[index]
    lines = "".join(f"  {line}\n" for line in example.splitlines())
    text = (EXAMPLES / "small.yaml").read_text().replace("  routes:\n", lines + "  routes:\n")
    assert "registration" in text
    assert check(folder, text) == Answer(0, "", [])


def test_error_that_the_reference_shows_is_what_is_said(folder: Path) -> None:
    shown = re.search(r"^```\n/etc/xdsgate/xdsgate.yaml:\d+:\d+: (.*)\n```$",
                      REFERENCE.read_text(), re.M)
    text = full_text(folder)
    before = re.search(r"^  identity: .*$", text, re.M)[0]
    answer = check(folder, text.replace(before, "  identity: both"))
    assert [error[2] for error in answer.errors] == [shown[1]]


def test_example_of_the_reference_without_its_files_fails(folder: Path) -> None:
    text = reference_examples()[1].replace("/etc/xdsgate/tls", str(folder / "none"))
    answer = check(folder, text)
    assert answer.code == 2
    assert len(answer.errors) == 4  # certificate, key, roots of the clients, roots of the upstream
    assert all("No such file or directory" in error[2] for error in answer.errors)


# ---- mistakes made from the full file ----


@dataclass(frozen=True)
class Mistake:
    name: str
    text: str
    line: int
    column: int
    what: str = ""


def full_text(folder: Path) -> str:
    return (EXAMPLES / "full.yaml").read_text().replace("@", str(folder))


def pairs(node: yaml.Node, path: str = "") -> Iterator[tuple[str, yaml.ScalarNode, yaml.Node]]:
    """All keys with their values."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield f"{path}.{key.value}", key, value
            yield from pairs(value, f"{path}.{key.value}")
    if isinstance(node, yaml.SequenceNode):
        for i, item in enumerate(node.value):
            yield from pairs(item, f"{path}[{i}]")


def values(node: yaml.Node, path: str = "") -> Iterator[tuple[str, yaml.Node]]:
    """All values: of keys and of lists."""
    yield path, node
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from values(value, f"{path}.{key.value}")
    if isinstance(node, yaml.SequenceNode):
        for i, item in enumerate(node.value):
            yield from values(item, f"{path}[{i}]")


def at(mark: yaml.Mark) -> tuple[int, int]:
    return mark.line + 1, mark.column + 1


def misspellings(word: str) -> list[str]:
    middle = len(word) // 2
    return [word + "x", word[:middle] + word[middle + 1:] + "_", word.upper(), "zzzzzz"]


def is_of_the_user(path: str) -> bool:
    """Labels have whatever keys the user gives them."""
    return ".labels." in path


def misspelt_keys(text: str) -> Iterator[Mistake]:
    for path, key, _ in pairs(yaml.compose(text)):
        if is_of_the_user(path):
            continue
        line, column = at(key.start_mark)
        for word in misspellings(key.value):
            changed = text[:key.start_mark.index] + word + text[key.end_mark.index:]
            yield Mistake(f"{path} as {word}", changed, line, column, f'unknown key "{word}"')


def doubled_keys(text: str) -> Iterator[Mistake]:
    for path, key, _ in pairs(yaml.compose(text)):
        line, column = at(key.start_mark)
        before = f"{key.value}: 1\n" + " " * (column - 1)
        changed = text[:key.start_mark.index] + before + text[key.start_mark.index:]
        yield Mistake(f"{path} twice", changed, line + 1, column, f'duplicate key "{key.value}"')


def is_number(node: yaml.Node) -> bool:
    return node.tag == "tag:yaml.org,2002:int"


def wrong_words(node: yaml.Node) -> list[str]:
    """Flow-style values of any type but the right one."""
    words = ["5.5", "true", "~", '""', "[]", "-1", '"\\0"']
    if isinstance(node, yaml.SequenceNode):
        return [*words, "{a: b}", "{}", "text", '"text"', "7"]
    if isinstance(node, yaml.MappingNode):
        return [*words, "[[x]]", "[{a: b}]", "text", "[a]", "7"]
    words += ["[[x]]", "[{a: b}]", "{a: b}", "{}", "[text]"]
    if node.tag == "tag:yaml.org,2002:bool":
        words.remove("true")
        words += ['"true"', "1", "yes"]
    elif is_number(node):
        words += [f'"{node.value}"', f"{node.value}.0", f"{node.value}x", f"0{node.value}"]
    else:
        words += ["7"]
    return words


def is_block(node: yaml.Node) -> bool:
    return not isinstance(node, yaml.ScalarNode) and not node.flow_style


def replaced(text: str, node: yaml.Node, word: str) -> str:
    """text with word in place of node."""
    start, end = node.start_mark, node.end_mark
    if is_block(node):  # it ends at the next token; a list may stand in its key's column
        word = f" {word}\n" + " " * end.column
    return text[:start.index] + word + text[end.index:]


# No network, and a label without a value.
MAY_BE_EMPTY = re.compile(r"\.(networks|labels\.\w+)\[\d+\]$")
MAY_BE_SEVEN = re.compile(r"\.keep_config$")  # bytes


def wrong_types(text: str) -> Iterator[Mistake]:
    for path, node in values(yaml.compose(text)):
        line, column = at(node.start_mark)
        for word in wrong_words(node):
            if path and not (word == '""' and MAY_BE_EMPTY.search(path)
                             or word == "7" and MAY_BE_SEVEN.search(path)):
                changed = replaced(text, node, word)
                yield Mistake(f"{path} = {word}", changed, line, column + is_block(node))


def missing_keys(text: str) -> Iterator[Mistake]:
    """A required key that is left out is an error at its mapping."""
    required = {"version", "listeners", "upstreams", "name", "bind", "routes", "sni", "mode",
                "upstream", "endpoints", "certificates", "client_roots", "certificate",
                "private_key", "server_name", "roots", "identity"}
    root = yaml.compose(text)
    maps = [node for _, node in values(root) if isinstance(node, yaml.MappingNode)]
    for node in maps:
        for key, _ in node.value:
            others = {k.value for k, _ in node.value}
            optional = (key.value == "bind" and "socket" in others
                        or key.value == "identity" and "endpoints" in others)
            if key.value in required and not optional:
                line, column = at(node.start_mark)
                changed = text[:key.start_mark.index] + "qqqqqqqqqqqq" + text[key.end_mark.index:]
                yield Mistake(f"no {key.value} at {line}:{column}", changed, line, column,
                              f"needs the key `{key.value}`")


def failures(folder: Path, mistakes: list[Mistake]) -> list[str]:
    """The mistakes that were not named at their place."""

    def try_one(numbered: tuple[int, Mistake]) -> str | None:
        i, mistake = numbered
        answer = check(folder, mistake.text, f"mistake-{i % 8}-{i}.yaml")
        (folder / f"mistake-{i % 8}-{i}.yaml").unlink()
        found = any(error[:2] == (mistake.line, mistake.column) and mistake.what in error[2]
                    for error in answer.errors)
        if answer.code == 2 and answer.out == "" and found:
            return None
        place = f"{mistake.line}:{mistake.column}"
        return f"{mistake.name}: wanted {place} {mistake.what}, got {answer}"

    with ThreadPoolExecutor(2) as pool:
        return [text for text in pool.map(try_one, enumerate(mistakes)) if text]


@pytest.mark.parametrize("make", [misspelt_keys, doubled_keys, wrong_types, missing_keys])
def test_every_mistake_is_named_at_its_place(folder: Path, make) -> None:
    mistakes = list(make(full_text(folder)))
    assert len(mistakes) > 20
    assert failures(folder, mistakes) == []


def test_full_file_has_every_key() -> None:
    """Else the mistakes above are not made with all keys."""
    known = keys_of_the_code() | set(re.findall(r"^PARAM_\w+\((\w+),", source("params.def"), re.M))
    known |= rules().keys()
    used = {key.value for path, key, _ in pairs(yaml.compose(full_text(Path("x"))))
            if not is_of_the_user(path)}
    assert len(known) > 40
    assert known == used


def source(pattern: str) -> str:
    return "\n".join(path.read_text() for path in sorted(SOURCES.glob(pattern)))


def keys_of_the_code() -> set[str]:
    """The rows of the tables, but for those that come from params.def."""
    row = r'\{"([a-z0-9_]+)",\s+(?:schema|keys|read)_'
    return set(re.findall(row, source("keys*.c")))


def rules() -> dict[str, str]:
    """Those that can be switched off, and what they say."""
    rows = re.findall(r'^RULE\(\w+, "(\w+)", "(.*)"\)', RULES.read_text(), re.M)
    labels = [label for label, _ in rows]
    return dict(rows[:labels.index("revoked")])


# ---- the command ----


def test_missing_file_is_named(folder: Path) -> None:
    answer = check_file(folder / "none.yaml")
    assert answer.code == 2
    assert answer.errors[0][:2] == (1, 1)
    assert "No such file or directory" in answer.errors[0][2]


def test_no_name_is_resolved_and_no_address_needed(folder: Path) -> None:
    text = (EXAMPLES / "small.yaml").read_text()
    text = text.replace("10.0.0.11:31512", "does.not.exist.invalid:1")
    text = text.replace("0.0.0.0:15012", "192.0.2.1:15012")
    assert check(folder, text) == Answer(0, "", [])


@pytest.mark.parametrize("line", ["check", "check --config", "check x", "chek", "", "version -o x"])
def test_wrong_usage_is_2(line: str) -> None:
    done = subprocess.run([BINARY, *line.split()], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr != ""


def test_version_as_json() -> None:
    command = [BINARY, "version", "-o", "json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert yaml.safe_load(done.stdout).keys() == {"version"}


# ---- the reference says what the code does ----

NUMBER = r"([\d.]+)"
PARAM = re.compile(
    rf'PARAM_(TOP|UPSTREAM|REGISTRY|LIMIT)\((\w+), (\w+), {NUMBER}, {NUMBER}, {NUMBER}, "(.*)"\)')


def written(kind: str, value: str) -> str:
    """A number as the reference writes it."""
    number = float(value)
    if kind == "TIME":
        for unit, seconds in (("h", 3600), ("m", 60), ("s", 1)):
            if number % seconds == 0 and (unit != "m" or number > 60):
                return f"{number / seconds:.0f}{unit}"
        return f"{number * 1000:.0f}ms"
    if kind == "BYTES":
        for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
            if number and number % size == 0:
                return f"{number / size:.0f}{unit}"
    return f"{number:.0f}"


def test_reference_has_every_number() -> None:
    params = re.sub(r",\n\s+", ", ", source("params.def"))
    rows = PARAM.findall(params)
    reference = REFERENCE.read_text()
    assert len(rows) == len(re.findall(r"^PARAM_", params, re.M))
    for section, name, kind, default, low, high, text in rows:
        value, least, most = (written(kind, number) for number in (default, low, high))
        row = f"| `{name}` | {value} | {least} to {most} |"
        assert row in reference, row
        if section == "REGISTRY":
            assert f"{row} {text} |" in reference, name
        if section == "LIMIT":
            assert f'{row} {text} | `{{limit="{name}"}}` |' in reference, name
            assert f'"limit=\\"{name}\\""' in COUNTERS.read_text(), name


def test_reference_has_every_key() -> None:
    reference = REFERENCE.read_text()
    for name in keys_of_the_code():
        assert f"| `{name}` |" in reference, name


def test_reference_has_every_rule() -> None:
    reference = REFERENCE.read_text().replace("`address_networks`", "address_networks")
    assert len(rules()) == 11
    for name, text in rules().items():
        assert f"| `{name}` | {text} |" in reference, name
