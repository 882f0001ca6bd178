#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What vm_json writes fits docs/api.schema.json, the schema knows no more than docs/api.md says, and
a body that does not fit is refused.

    api_schema_test.py VM_JSON_SAMPLE DOCS
"""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

ROOT = Path(__file__).resolve().parents[3]


def validator(schema: dict[str, Any], name: str) -> Draft202012Validator:
    return Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": schema["$defs"]})


def bodies(program: str) -> Iterator[tuple[str, Any]]:
    text = subprocess.run([program], check=True, capture_output=True, text=True).stdout
    for line in text.splitlines():
        name, body = line.split(" ", 1)
        yield name, json.loads(body)


def spoiled(vm: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """An object that is wrong in one place, for each key."""
    for key in vm:
        without = copy.deepcopy(vm)
        del without[key]
        yield without
        yield {**copy.deepcopy(vm), key: 1.5}
    yield {**vm, "unknown": 1}


def keys_of(schema: Any) -> Iterator[str]:
    """All names of properties anywhere in it."""
    if isinstance(schema, dict):
        yield from schema.get("properties", {})
        for value in schema.values():
            yield from keys_of(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from keys_of(value)


def column(table: str, macro: str, number: int) -> list[str]:
    """The n-th argument of each row of a .def file, a string."""
    rows = re.findall(rf"^{macro}\((.*)$", (ROOT / table).read_text(), re.MULTILINE)
    return [row.split(",")[number].strip().strip('"') for row in rows]


def parts(name: str, body: Any) -> Iterator[tuple[Any, Any]]:
    """The objects in a body that each must be right, with where they are: a container and a key."""
    if name in ("list", "found"):
        yield from ((body["vms"], i) for i in range(len(body["vms"])))
        return
    about = body["xdsgate"] if name == "config" else body
    yield from ((about["types"], i) for i in range(len(about["types"])))
    if name == "config":
        yield body, "xdsgate"
        return
    for i, change in enumerate(body["changes"]):
        yield body["changes"], i
        yield from ((change["resources"], k) for k in range(len(change["resources"])))


def check_bodies(schema: dict[str, Any], program: str) -> None:
    seen: dict[str, int] = {}
    for name, body in bodies(program):
        check = validator(schema, name)
        check.validate(body)
        for container, key in parts(name, body):
            seen[name] = seen.get(name, 0) + 1
            right = container[key]
            for wrong in spoiled(right):
                container[key] = wrong
                assert not check.is_valid(body), f"the schema lets pass {wrong}"
            container[key] = right
    assert seen.keys() == {"list", "found", "config", "changes"}, seen
    last = [body for name, body in bodies(program) if name == "list"][-1]
    assert len(last["gone"]) == 3 and len(last["vms"]) == 1, last


def check_words(schema: dict[str, Any]) -> None:
    """What the schema lists is what the tables of the source have."""
    words = schema["$defs"]
    assert words["rule"]["enum"] == column("gateway/registry/rule.def", "RULE", 1)
    assert words["type"]["enum"] == column("xds/xds_type.def", "XDS_TYPE", 1)
    pattern = re.compile(words["end_reason"]["pattern"])
    assert all(map(pattern.match, column("core/base/end_reason.def", "END", 1)))


def check_page(schema: dict[str, Any], page: str) -> None:
    missing = {key for key in keys_of(schema) if f"`{key}`" not in page and f'"{key}"' not in page}
    assert not missing, f"docs/api.md does not say what {missing} means"


def main(program: str, docs: str) -> None:
    schema = json.loads((Path(docs) / "api.schema.json").read_text())
    Draft202012Validator.check_schema(schema)
    check_bodies(schema, program)
    check_words(schema)
    check_page(schema, (Path(docs) / "api.md").read_text())
    example = re.search(r"```json\n(\{\"version\".*?)```", (Path(docs) / "api.md").read_text(), re.DOTALL)
    validator(schema, "deny_list").validate(json.loads(example.group(1)))


if __name__ == "__main__":
    main(*sys.argv[1:])
