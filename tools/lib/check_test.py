# SPDX-License-Identifier: Apache-2.0
"""Every check of tools/check.py finds what it is for, and leaves good code alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import check  # noqa: E402
from check import Source  # noqa: E402

LONG_FUNCTION = ["int f(int x);", "int f(int x)", "{", *["    x++;"] * 80, "    return x;", "}"]
BRANCHES = ["int f(int x);", "int f(int x)", "{", *["    if (x == 1) { x++; }"] * 21,
            "    return x;", "}"]


def source(path: str, *lines: str) -> Source:
    return Source(path, lines)


def complaints(name: str, *sources: Source) -> list[str]:
    return list(check.CHECKS[name](list(sources)))


@pytest.mark.parametrize("bad", [
    source("xds/a.c", '#include "gateway/relay/relay.h"'),
    source("core/base/a.c", '#include "core/net/conn.h"'),
    source("gateway/relay/a.c", '#include "gateway/passthrough/passthrough.h"'),
    source("gateway/relay/a.c", "#include <nghttp2/nghttp2.h>"),
    source("gateway/daemon/a.c", "#include <grpc/grpc.h>"),
    source("gateway/relay/a.c", '#include "core/h2/h2_internal.h"'),
    source("integration/sandbox/vm/a.c", '#include "core/base/rc.h"'),
    source("core/net/a.c", '#include "conn.h"'),
    source("gateway/unheard/a.c", "int x;"),
])
def test_layers__include_upwards_or_sideways__is_named(bad: Source):
    assert len(complaints("layers", bad)) == 1


def test_layers__downwards_or_with_a_reason__is_fine():
    good = source("gateway/relay/a.c", '#include "core/h2/session.h"', "#include <string.h>",
                  "/* allowed: the test of this rule */", "#include <nghttp2/nghttp2.h>")
    assert complaints("layers", good) == []


def test_magics__same_number_twice__is_named():
    one = source("core/net/a.c", "#define A_MAGIC 0x12345678u")
    two = source("core/net/b.c", "#define B_MAGIC 0x12345678u")
    assert complaints("magics", one) == []
    assert len(complaints("magics", one, two)) == 1


@pytest.mark.parametrize("line", ["    strcpy(a, b);", "    x = atoi(s);", "    assert(x);",
                                  "    t = time(NULL);", "    /* TODO: later */"])
def test_banned__call__is_named(line: str):
    assert len(complaints("banned", source("core/net/a.c", line))) == 1


@pytest.mark.parametrize("line", [
    "    uptime(x);", "    /* strcpy() is banned */", '    log("call sleep(1)");', "    o->time(x);",
    "    static_assert(sizeof(x) == 1, \"\");", "    strcpy(a, b); /* allowed: a test */"])
def test_banned__only_looks_like_it__is_fine(line: str):
    assert complaints("banned", source("core/net/a.c", line)) == []


@pytest.mark.parametrize("bad", [
    source("core/net/a.h", *["int x;"] * 251), source("core/net/a.h", "x" * 101)])
def test_sizes__long_file_or_line__is_named(bad: Source):
    assert len(complaints("sizes", bad)) == 1


@pytest.mark.parametrize("lines", [LONG_FUNCTION, BRANCHES], ids=["long", "branches"])
def test_sizes__large_function__is_named(lines: list[str], tmp_path: Path):
    (tmp_path / "a.c").write_text("\n".join(lines) + "\n")
    assert len(list(check.function_sizes(tmp_path, ["a.c"]))) == 1


def test_documented__bare_prototype__is_named():
    bad = source("core/net/a.h", "/** About f. */", "int f(int x);", "", "int g(int x,", "      y);")
    assert complaints("documented", bad) == [
        "core/net/a.h:4: an exported function without its docstring"]


def test_documented__comment_macro_struct_callback__are_fine():
    good = source("core/net/a.h", "/** f and g. */", "int f(int x);", "int g(int x);", "",
                  "struct s {", "    int (*call)(int x);", "};", "", "#define M(x) \\", "    f(x);",
                  "", "typedef int (*fn)(int x);", "", "extern const struct s table;")
    assert complaints("documented", good) == []


def test_private__path_of_a_machine__is_named():
    assert len(complaints("private", source("docs/a.md", "see " + "/ro" + "ot/x"))) == 1
    assert complaints("private", source("docs/a.md", "/etc/xdsgate and framework/x")) == []


def test_licence__missing__is_named():
    assert len(complaints("licence", source("core/net/a.c", "int x;"))) == 1


def test_globals__mutable__is_named(tmp_path: Path):
    unit = tmp_path / "a.c"
    unit.write_text("static int hidden; int shown = 1; const int constant = 1;\n"
                    "static const char *const table[] = {\"a\"};\n"
                    "const char *f(void); const char *f(void) { return table[hidden++]; }\n")
    subprocess.run(["gcc", "-fPIE", "-c", "a.c"], cwd=tmp_path, check=True)
    subprocess.run(["ar", "rc", "liba.a", "a.o"], cwd=tmp_path, check=True)

    found = list(check.mutable_globals(tmp_path / "liba.a"))

    assert sorted(line.split()[1] for line in found) == ["hidden", "shown"]


def test_globals__nothing_is_built__is_no_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(check, "ROOT", tmp_path)

    assert len(complaints("globals")) == 1
