#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The systemd files are understood by systemd, and the unit keeps its sandbox; what the Dockerfile
# builds is in its context.
set -eu
cd "$(dirname "$0")/../.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# verify wants the program of ExecStart= to exist.
sed "s|/usr/bin/xdsgate|$PWD/build/release/xdsgate|; /^User=/d; /^Group=/d" \
    deploy/systemd/xdsgate.service >"$folder/xdsgate.service"
systemd-analyze verify --man=no "$folder/xdsgate.service" 2>&1 | tee "$folder/said"
if grep -q 'xdsgate.service' "$folder/said"; then
    echo "systemd-analyze verify complains"
    exit 1
fi

sed "s|/usr/bin/xdsgate|$PWD/build/release/xdsgate|; /^User=/d; /^Group=/d" \
    deploy/systemd/xdsgate-cert.service >"$folder/xdsgate-cert.service"
cp deploy/systemd/xdsgate-cert.timer "$folder/"
systemd-analyze verify --man=no "$folder/xdsgate-cert.timer" 2>&1 | tee "$folder/said"
if grep -q 'xdsgate-cert' "$folder/said"; then
    echo "systemd-analyze verify complains"
    exit 1
fi

# Exposure from 0 (good) to 100; network, readable files, its user and the names of other users (for the
# audit log) are what is left.
systemd-analyze security --no-pager --offline=true --threshold=13 deploy/systemd/xdsgate.service

# Who has given an order is told by the user of its socket, which a namespace of users would hide.
grep -qx 'PrivateUsers=no' deploy/systemd/xdsgate.service ||
    { echo "the audit log would say uid 65534 of every operator"; exit 1; }

said=$(systemd-sysusers --dry-run "$PWD/deploy/systemd/xdsgate.sysusers.conf" 2>&1) || true
case $said in
*"user 'xdsgate'"*) ;;
*) echo "systemd-sysusers would not make the user: $said" && exit 1 ;;
esac

# All that the image's build reads is let in by .dockerignore: ninja finds the inputs of every step.
mkdir "$folder/context"
sed -n 's/^!//p' .dockerignore | while read -r name; do
    cp -a "$name" "$folder/context/"
done
configure=$(sed -n 's/^RUN \(cmake --preset .*\) && \\$/\1/p' Dockerfile)
(cd "$folder/context" && sh -c "$configure" >/dev/null && ninja -C build/release -n xdsgate >/dev/null)
