#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks of the sources that no compiler makes: docs/internals.md says what the rules are.

    tools/check.py                  all that look at sources
    tools/check.py globals          the one that looks at the release build
    tools/check.py layers magics    some of them
    tools/check.py --list

A line that breaks a rule for a reason says so at its end or on the line above: /* allowed: WHY */
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[1]
OURS = ("core", "certs", "kube", "xds", "bootstrap", "gateway", "integration/sandbox", "bench",
        "fuzz", "tests")

MAX_FUNCTION_LINES = 80
MAX_COMPLEXITY = 20
MAX_FILE_LINES = {".c": 700, ".h": 250}
MAX_COLUMNS = 100

# Who may include whom. No arrow points up; integration/sandbox knows nothing of the daemon.
LAYERS: dict[str, set[str]] = {
    "core/base": set(),
    "core/doc": {"core/base"},
    "core/net": {"core/base"},
    "core/h2": {"core/base", "core/net"},
    "certs": {"core/base"},
    "kube": {"core/base", "core/doc"},
    "xds": {"core/base"},
    "bootstrap": {"core/base", "core/doc", "certs"},
    "gateway/upstream": {"core/base", "core/net", "core/h2", "certs"},
    "gateway/tokens": {"core/base", "core/net"},
    "gateway/vmconfig": {"core/base", "xds"},
    "gateway/registry": {"core/base", "core/doc", "core/net", "xds", "certs",
                         "gateway/vmconfig"},
    "gateway/cluster": {"core/base", "core/doc", "core/net", "certs", "kube", "gateway/tokens",
                        "gateway/upstream"},
    "gateway/relay": {"core/base", "core/net", "core/h2", "certs", "xds", "gateway/upstream",
                      "gateway/tokens", "gateway/vmconfig", "gateway/registry"},
    "gateway/probe": {"core/base", "core/net", "core/h2", "certs", "xds"},
    "gateway/doctor": {"core/base", "core/doc", "core/net", "certs", "kube", "bootstrap",
                       "gateway/config", "gateway/cluster", "gateway/probe", "gateway/upstream",
                       "gateway/relay"},
    "gateway/passthrough": {"core/base", "core/net", "gateway/upstream"},
    "gateway/config": {"core/base", "core/net", "certs", "kube", "xds", "gateway/upstream",
                       "gateway/registry", "gateway/relay"},
    "gateway/admin": {"core/base", "core/net", "core/h2", "certs", "xds",
                      "gateway/upstream", "gateway/vmconfig", "gateway/registry",
                      "gateway/relay", "gateway/passthrough"},
    "integration/sandbox": set(),
    "bench": {"core/base", "core/net"},
}
TOPS = ("gateway/cli", "gateway/daemon", "tests", "fuzz")  # these may include everything

# Third-party headers have one home, so that they can be replaced.
HOMES: dict[str, set[str]] = {
    "ev.h": {"core/net", "gateway/daemon"},
    "nghttp2/": {"core/h2"},
    "openssl/": {"bootstrap", "certs", "core/net", "gateway/daemon", "gateway/probe",
                 "gateway/upstream"},
    "curl/": {"kube"},
    "yaml.h": {"core/doc", "gateway/config"},
    "jansson.h": {"core/doc"},
    "microhttpd.h": {"gateway/admin"},
    "grpc/": {"integration/sandbox"},
    "protobuf-c/": {"integration/sandbox"},
}
FREE_OF_HOMES = ("integration/sandbox", "bench", "tests", "fuzz")

BANNED = {
    "strcpy": "snprintf()", "strcat": "snprintf()", "sprintf": "snprintf()",
    "vsprintf": "vsnprintf()", "strncpy": "snprintf() or memcpy()", "strncat": "snprintf()",
    "strtok": "strchr()", "gets": "getline()", "atoi": "strtol() with its errors",
    "atol": "strtol() with its errors", "alloca": "a bounded array or malloc()",
    "assert": "CHECK()", "system": "nothing", "popen": "nothing", "rand": "RAND_bytes()",
    "usleep": "a timer", "sleep": "a timer", "time": "core/base/clock.h",
    "localtime": "gmtime_r()", "gmtime": "gmtime_r()", "ctime": "strftime()",
}
BANNED_CALL = re.compile(r"(?<![\w.>])(" + "|".join(BANNED) + r")\s*\(")

# Folders that exist on somebody's machine only.
PRIVATE = re.compile(r"(?<![\w.$}])/(?:work|root|home/\w+|tmp/x)/")

ALLOWED = re.compile(r"/\* allowed: \S.*\*/")
INCLUDE = re.compile(r'^\s*#\s*include\s+(?:"([^"]+)"|<([^>]+)>)')
MAGIC = re.compile(r"#define\s+(\w+_MAGIC)\s+(0x[0-9a-fA-F]+)u?")


@dataclass(frozen=True)
class Source:
    """One text file: its path in the repository and its lines."""
    path: str
    lines: tuple[str, ...]

    def at(self, number: int, text: str) -> str:
        return f"{self.path}:{number}: {text}"

    def numbered(self) -> Iterator[tuple[int, str]]:
        return enumerate(self.lines, 1)

    def allows(self, number: int) -> bool:
        """Does this line, or the one above, say why it may break the rule?"""
        return any(ALLOWED.search(line) for line in self.lines[max(0, number - 2):number])

    def is_ours(self) -> bool:
        return self.path.startswith(tuple(f"{folder}/" for folder in OURS))

    def is_c(self) -> bool:
        return self.is_ours() and self.path.endswith((".c", ".h"))


def read_sources(root: Path = ROOT) -> list[Source]:
    """Every text file that is, or could be, in the repository."""
    listed = subprocess.run(["git", "ls-files", "-z", "-c", "-o", "--exclude-standard"], cwd=root,
                            check=True, capture_output=True).stdout.decode().split("\0")
    sources = []
    for path in sorted(set(filter(None, listed))):
        file = root / path
        if file.is_file() and b"\0" not in (content := file.read_bytes())[:8192]:
            sources.append(Source(path, tuple(content.decode(errors="replace").splitlines())))
    return sources


def without_comments(line: str) -> str:
    """The line without strings and without comments that start in it or that it continues."""
    line = re.sub(r'"(?:\\.|[^"\\])*"', '""', line)
    line = re.sub(r"/\*.*?(\*/|$)", "", line)
    return "" if re.match(r"\s*\*(?:\s|/|$)", line) else line


def module_of(path: str) -> str | None:
    """The row of the layer table that a file belongs to."""
    for name in (*LAYERS, *TOPS):
        if path.startswith(f"{name}/"):
            return name
    return None


# ---- the checks: each takes all sources and gives complaints ----

def check_layers(sources: list[Source]) -> Iterator[str]:
    """Includes follow the layer table, and third-party headers stay in their home."""
    for source in filter(Source.is_c, sources):
        module = module_of(source.path)
        if module is None:
            yield source.at(1, "is in no module of the layer table")
            continue
        for number, line in source.numbered():
            found = INCLUDE.match(line)
            if found and not source.allows(number):
                ours, theirs = found.groups()
                if problem := wrong_include(module, ours, theirs):
                    yield source.at(number, problem)


def wrong_include(module: str, ours: str | None, theirs: str | None) -> str | None:
    if theirs:
        homes = next((homes for name, homes in HOMES.items() if theirs.startswith(name)), None)
        if homes is not None and module not in homes and module not in FREE_OF_HOMES:
            return f"<{theirs}> belongs to {' and '.join(sorted(homes))}"
        return None
    assert ours is not None
    target = module_of(ours)
    if target is None:
        generated = module in FREE_OF_HOMES and ours.endswith(".pb-c.h")
        return None if generated else f'"{ours}" is not rooted at the repository'
    if "_internal.h" in ours and target != module and module not in TOPS:
        return f'"{ours}" is private to {target}'
    if target != module and module not in TOPS and target not in LAYERS[module]:
        return f"{module} must not include {target}"
    return None


def check_magics(sources: list[Source]) -> Iterator[str]:
    """Magic numbers are unique."""
    seen: dict[int, str] = {}
    for source in filter(Source.is_c, sources):
        for number, line in source.numbered():
            if not (found := MAGIC.match(line)):
                continue
            name, value = found.group(1), int(found.group(2), 16)
            where = f"{name} ({source.path}:{number})"
            if value in seen:
                yield source.at(number, f"{name} has the number of {seen[value]}")
            seen[value] = where


def check_banned(sources: list[Source]) -> Iterator[str]:
    """Functions that are always a mistake here; open TODOs."""
    for source in filter(Source.is_c, sources):
        for number, line in source.numbered():
            if source.allows(number):
                continue
            for name in BANNED_CALL.findall(without_comments(line)):
                if name != "time" or not source.path.startswith("core/base/clock"):
                    yield source.at(number, f"{name}(): use {BANNED[name]}")
            if re.search(r"\b(?:TODO|FIXME|XXX)\b(?!\(#\d+\))", line):
                yield source.at(number, "a TODO names its issue: TODO(#123)")


def check_sizes(sources: list[Source]) -> Iterator[str]:
    """Files, lines and functions stay small."""
    for source in filter(Source.is_c, sources):
        limit = MAX_FILE_LINES[Path(source.path).suffix]
        if len(source.lines) > limit:
            yield source.at(1, f"{len(source.lines)} lines: at most {limit}")
        for number, line in source.numbered():
            if len(line) > MAX_COLUMNS:
                yield source.at(number, f"{len(line)} columns: at most {MAX_COLUMNS}")
    files = [source.path for source in sources if source.is_c() and source.path.endswith(".c")]
    if files:
        yield from function_sizes(ROOT, files)


def function_sizes(root: Path, files: list[str]) -> Iterator[str]:
    """Length and complexity of every function, as pmccabe sees them."""
    if shutil.which("pmccabe") is None:
        yield "pmccabe is not installed"
        return
    rows = subprocess.run(["pmccabe", *files], cwd=root, check=True, text=True,
                          capture_output=True).stdout.splitlines()
    for row in rows:
        complexity, _, _, first, lines, rest = row.split(None, 5)
        where, name = rest.split(": ", 1)
        path = where.split("(")[0]
        if int(lines) > MAX_FUNCTION_LINES:
            yield f"{path}:{first}: {name} has {lines} lines: at most {MAX_FUNCTION_LINES}"
        if int(complexity) > MAX_COMPLEXITY:
            yield f"{path}:{first}: {name} has complexity {complexity}: at most {MAX_COMPLEXITY}"


def check_documented(sources: list[Source]) -> Iterator[str]:
    """Every exported prototype has a comment above; a group without blank lines shares one."""
    for source in filter(Source.is_c, sources):
        if source.path.endswith(".h") and not source.path.startswith(("tests/", "fuzz/")):
            for number, paragraph in paragraphs(source):
                if is_prototype(paragraph) and not paragraph.startswith("/*"):
                    yield source.at(number, "an exported function without its docstring")


def paragraphs(source: Source) -> Iterator[tuple[int, str]]:
    """Groups of lines outside of braces and macros, with the number of their first line."""
    depth, first, group, in_macro = 0, 0, [], False
    for number, line in source.numbered():
        at_top = depth == 0 and not in_macro
        code = without_comments(line)
        depth += code.count("{") - code.count("}")
        is_macro = in_macro or line.startswith("#")
        in_macro = is_macro and line.endswith("\\")
        if at_top and not line.strip():
            if group:
                yield first, "\n".join(group)
            group = []
        elif at_top and not is_macro:
            first = first if group else number
            group.append(line)
    if group:
        yield first, "\n".join(group)


def is_prototype(paragraph: str) -> bool:
    code = re.sub(r"/\*.*?\*/", "", paragraph, flags=re.DOTALL)
    return bool(re.search(r"^[a-z_][\w\s*]*?\b\w+\([^;{]*\)[\s\w()]*;", code, re.MULTILINE)
                and not code.strip().startswith("typedef"))


def check_private(sources: list[Source]) -> Iterator[str]:
    """Nothing of the machine it was written on is in any file."""
    for source in sources:
        for number, line in source.numbered():
            if PRIVATE.search(line) and source.path != "tools/check.py":
                yield source.at(number, f"a path of one machine: {line.strip()[:60]}")


def check_licence(sources: list[Source]) -> Iterator[str]:
    """Every source says its licence in the first lines."""
    for source in sources:
        is_code = source.is_c() or source.path.endswith((".py", ".sh"))
        is_code = is_code or bool(source.lines and source.lines[0].startswith("#!"))
        head = "\n".join(source.lines[:3])
        if is_code and source.lines and "SPDX-License-Identifier: Apache-2.0" not in head:
            yield source.at(1, "no SPDX line")


def check_format(sources: list[Source]) -> Iterator[str]:
    """clang-format decides about white space."""
    files = [source.path for source in sources if source.is_c()]
    if shutil.which("clang-format") is None:
        yield "clang-format is not installed"
    elif files:
        said = subprocess.run(["clang-format", "--dry-run", "--ferror-limit=1", *files], cwd=ROOT,
                              text=True, capture_output=True).stderr
        yield from (line for line in said.splitlines() if "clang-formatted" in line)


def check_globals(_sources: list[Source]) -> Iterator[str]:
    """Mutable file-level variables exist in gateway/daemon only (read from the release build)."""
    archives = our_archives(ROOT / "build/release")
    if not archives:
        yield "build/release has no archives: build it first"
    for archive in archives:
        yield from mutable_globals(archive)


def our_archives(build: Path) -> list[Path]:
    """All modules but the one that may have them."""
    modules = ("libcore_", "libcerts", "libkube", "libxds", "libbootstrap", "libgateway_")
    return [archive for archive in sorted(build.glob("**/lib*.a"))
            if archive.name.startswith(modules) and archive.name != "libgateway_daemon.a"]


# A function's own log_site_ is the limit of that log line; log.c's state is the log itself, which
# any thread may use; a `once` and an OpenSSL index are written once, before they are used.
MUTABLE_ALLOWED = re.compile(
    r".*:log_site_\.\d+|log\.c\.o:state|.*:(?:\w+_)?(?:once|index|method)")


def mutable_globals(archive: Path) -> Iterator[str]:
    """Symbols in .data and .bss; tables of constant pointers are in .data.rel.ro."""
    table = subprocess.run(["objdump", "-t", archive.name], cwd=archive.parent, check=True,
                           text=True, capture_output=True).stdout
    unit = ""
    for line in table.splitlines():
        if header := re.match(r"(\S+\.o):\s", line):
            unit = header.group(1)
        elif found := re.match(r"[0-9a-f]+ .{7} \.(?:data|bss)\S*\s[0-9a-f]+ (\S+)$", line):
            name = found.group(1)
            is_constant = ".data.rel.ro" in line or name.startswith(".")
            if not is_constant and not MUTABLE_ALLOWED.fullmatch(f"{unit}:{name}"):
                yield f"{archive.name}({unit}): {name} is a mutable global"


CHECKS = {name.removeprefix("check_"): function for name, function in list(globals().items())
          if name.startswith("check_")}
OF_BUILD = {"globals"}  # there may be none yet, so they are asked for by name


def write_junit(path: Path, results: dict[str, list[str]]) -> None:
    suite = ElementTree.Element("testsuite", name="checks", tests=str(len(results)))
    for name, problems in results.items():
        case = ElementTree.SubElement(suite, "testcase", classname="check", name=name)
        if problems:
            ElementTree.SubElement(case, "failure").text = "\n".join(problems)
    ElementTree.ElementTree(suite).write(path)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="CHECK", help=", ".join(CHECKS))
    parser.add_argument("--list", action="store_true", help="say what each checks")
    parser.add_argument("--junit", type=Path, metavar="FILE", help="write the results there, too")
    options = parser.parse_args()
    if unknown := set(options.names) - set(CHECKS):
        parser.error(f"no such check: {', '.join(sorted(unknown))}")
    if options.list:
        for name, check in CHECKS.items():
            print(f"{name:12} {check.__doc__}")
        return 0
    sources = read_sources()
    names = options.names or [name for name in CHECKS if name not in OF_BUILD]
    results = {name: list(CHECKS[name](sources)) for name in names}
    for name, problems in results.items():
        for problem in problems:
            print(f"{problem} [{name}]")
    if options.junit:
        write_junit(options.junit, results)
    print(f"{sum(map(len, results.values()))} problems in {len(sources)} files")
    return 1 if any(results.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
