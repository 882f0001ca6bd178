#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# init.sh ROOT NAME: the first process of a machine whose disk is the folder ROOT. It is alone in
# new namespaces of mounts, processes and names: when it is killed, all the rest is gone, too.
#
# Of the host the machine has /usr, for reading, and /dev; /usr/local is its own, and /run is
# empty at each boot. Then what systemd does at boot, as far as an agent needs it.
set -eu
root=$1
hostname "$2"
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin

mount --rbind /usr "$root/usr"
mount -o remount,bind,ro "$root/usr"
mount --bind "$root/local" "$root/usr/local"
mount --bind /etc/alternatives "$root/etc/alternatives"
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=755 tmpfs "$root/run"

cd "$root"
exec chroot . /bin/sh -c '
    systemd-tmpfiles --create --remove --boot --exclude-prefix=/dev >/var/log/tmpfiles.log 2>&1 || :
    mkdir -p /run/systemd/system
    systemctl boot
    echo booted
    while :; do sleep 3600 & wait; done'
