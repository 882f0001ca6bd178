#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# sudo -E -u USER -s SHELL -c COMMAND, which is how istio-start.sh becomes istio-proxy.
set -eu
[ "$1 $2 $4 $6" = "-E -u -s -c" ] || { echo "sudo: not expected: $*" >&2 && exit 1; }
exec setpriv --reuid "$3" --regid "$3" --clear-groups "$5" -c "$7"
