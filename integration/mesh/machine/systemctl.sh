#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# systemctl of a machine without systemd: what the installer of a bundle asks of it, for units in
# /etc/systemd/system. They are started as their files say, and not again when they end.
set -eu
units=/etc/systemd/system

# setting_of UNIT KEY
setting_of() { sed -n "s/^$2=+*//p" "$units/$1"; }

is_active() { [ -s "/run/$1.pid" ] && [ -d "/proc/$(cat "/run/$1.pid")" ]; }

start() {
    for folder in $(setting_of "$1" RuntimeDirectory); do
        mkdir -p "/run/$folder"
    done
    before=$(setting_of "$1" ExecStartPre)
    ${before:-true}
    # shellcheck disable=SC2046 # words
    (cd / && exec setsid $(setting_of "$1" ExecStart)) </dev/null >>"/var/log/$1.log" 2>&1 &
    echo $! >"/run/$1.pid"
}

# stop UNIT: its process group, as KillMode=control-group would; who has just been started may not
# have it yet, and who ends by itself has it no more
stop() {
    is_active "$1" || return 0
    until kill -TERM "-$(cat "/run/$1.pid")" 2>/dev/null || ! is_active "$1"; do
        sleep 0.1
    done
    while is_active "$1"; do
        sleep 0.1
    done
}

unit=${2:-}
unit=${unit%.service}.service
case $1 in
boot)
    for link in "$units"/multi-user.target.wants/*.service; do
        [ ! -e "$link" ] || start "${link##*/}"
    done
    ;;
cat) cat "$units/$unit" ;;
enable)
    mkdir -p "$units/multi-user.target.wants"
    ln -sf "$units/$unit" "$units/multi-user.target.wants/$unit"
    ;;
is-active) is_active "$unit" ;;
is-enabled) [ -e "$units/multi-user.target.wants/$unit" ] ;;
restart) stop "$unit" && start "$unit" ;;
stop) stop "$unit" ;;
*) echo "systemctl: not expected: $*" >&2 && exit 1 ;;
esac
