# SPDX-License-Identifier: Apache-2.0
"""Tokens as VMs have them, signed by nobody."""

from __future__ import annotations

import base64
import json


def part(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def vm_token(expires: float, account: str = "web", **more: object) -> str:
    """Of this account in namespace vms, until then; more: other claims."""
    claims = {"exp": int(expires), "aud": ["istio-ca"],
              "sub": f"system:serviceaccount:vms:{account}", **more}
    return ".".join(part(json.dumps(row).encode()) for row in ({"alg": "RS256"}, claims)) + ".c2ln"
