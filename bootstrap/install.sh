#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Makes this VM a member of an Istio mesh: installs what `xdsgate bundle create` has made for it,
# on top of Istio's sidecar package. Made by `xdsgate bundle renew` it installs a new token and root
# certificates, on a VM that has the rest. Everything it needs is in this one file. Run it as root:
#
#   sh FILE               install; a second run finds nothing to do
#   sh FILE --dry-run     say what would be done, change nothing
#   sh FILE --no-start    do not touch the service "istio"
#   sh FILE --root DIR    install into the file system under DIR, an image; no service is touched
#   sh FILE --undo        put back what was there before the first run
#
# The last line of the output is "changed", "unchanged" or "would be changed". Exit codes: 0 done;
# 1 refused, nothing was changed; 2 wrong usage; 3 it failed half way: run it again, or with --undo.
#
# POSIX shell (dash, busybox, bash). All code is in functions, and the last line calls main: of a
# file that was cut off nothing is run. The token is never in a variable or an argument.

set -eu
umask 077

# ---- the bundle; xdsgate puts it between the two marks ----
# >>> bundle
bundle_title='an empty bundle' # the group and its namespace
bundle_renews=''               # whose token it renews: "/ns/NAMESPACE/sa/ACCOUNT"; or nothing
bundle_gateway=''              # and what those VMs call the gateway: "NAME:PORT"; or nothing
bundle_created=0               # when it was made; seconds since 1970, as the other ones
bundle_roots_from=0            # from when on one of its root certificates is valid
bundle_roots_until=0           # until when
bundle_gateway_roots_from=0    # the same of the gateway's own roots; 0: it has none
bundle_gateway_roots_until=0
bundle_token_until=0           # when its token runs out; 0: nobody knows
bundle_sums=''                 # "SHA256 NAME" for each file
bundle_file() { :; }           # bundle_file NAME: its content
# <<< bundle

state=/var/lib/xdsgate-bundle # what was there before, and the copy of the token
istio=/etc/istio              # and where it is when that is a link: find_folders()
run=/var/run
gateway_root=/var/lib/istio/envoy/gateway-root.pem
chain=/etc/certs/cert-chain.pem # the agent's certificate
key=/etc/certs/key.pem
tmpfiles=/etc/tmpfiles.d/xdsgate-bundle.conf
max_clock_error_s=300

root=''
dry_run=no
no_start=no
undo=no
work=''        # a folder of this run, gone at its end
new=''         # a folder with a file that is not in its place yet
phase=checking # checking, then changing
changed=no
restart=no # is the service to be restarted?

# ---- talking ----

say() { printf '%s\n' "$*"; }
warn() { printf 'warning: %s\n' "$*" >&2; }

# fail TEXT: end; at_end() gives it the exit code of the phase, as to a tool that fails.
fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# step TEXT: say what is done now. False when it is only to be said.
step() {
    changed=yes
    if [ "$dry_run" = yes ]; then
        say "would $*"
        return 1
    fi
    say "$*"
}

usage() {
    say "usage: sh FILE [--dry-run] [--no-start] [--root DIR] [--undo]"
    say "$(is_renewal && echo Renews || echo Installs) the bundle for $bundle_title." \
        "Its first lines tell the rest."
}

is_renewal() { [ -n "$bundle_renews" ]; }

# ---- checks, before anything is changed ----

read_options() {
    while [ $# -gt 0 ]; do
        case $1 in
        --dry-run) dry_run=yes ;;
        --no-start) no_start=yes ;;
        --undo) undo=yes ;;
        --root)
            [ -d "${2:-}" ] || { warn "--root needs a folder that exists" && usage >&2 && exit 2; }
            root=$(cd "$2" && pwd -P)
            root=${root%/}
            shift
            ;;
        --help | -h) usage && exit 0 ;;
        *) warn "unknown option: $1" && usage >&2 && exit 2 ;;
        esac
        shift
    done
}

check_tools() {
    missing=''
    for tool in awk base64 cat chmod chown cmp cp cut date grep id mkdir mktemp mv readlink rm \
        rmdir sed sha256sum sleep stat tr; do
        command -v "$tool" >/dev/null 2>&1 || missing="$missing $tool"
    done
    [ -z "$missing" ] || fail "these programs are missing:$missing (install coreutils and awk)"
    [ "$(id -u)" = 0 ] || fail "only root may do this: run it with sudo"
}

# Links that are usual are followed here: in an image they would lead out of it.
find_folders() {
    case $(readlink "$root$istio" || :) in
    /var/lib/istio | ../var/lib/istio) istio=/var/lib/istio ;;
    esac
    case $(readlink "$root$run" || :) in
    /run | ../run) run=/run ;;
    esac
    if [ -L "$root/etc/hosts" ]; then
        fail "/etc/hosts is a symbolic link: put a file in its place"
    fi
}

# The package: its programs, its user. Sets uid and gid.
check_package() {
    [ -x "$root/usr/local/bin/pilot-agent" ] ||
        fail "there is no $root/usr/local/bin/pilot-agent: install Istio's sidecar package first" \
            "(istio-sidecar.deb or .rpm of your Istio release)"
    # With --root, the number that the user has in the image.
    if [ -n "$root" ]; then
        ids=$(sed -n 's/^istio-proxy:[^:]*:\([0-9]*\):\([0-9]*\):.*/\1 \2/p' "$root/etc/passwd")
    else
        ids=$(id -u istio-proxy 2>/dev/null && id -g istio-proxy) || ids=''
    fi
    # shellcheck disable=SC2086 # two numbers
    set -- $ids
    [ $# = 2 ] || fail "there is no user istio-proxy: install Istio's sidecar package first"
    uid=$1
    gid=$2
    [ -n "$root" ] && return
    for tool in bash hostname sudo iptables; do
        command -v "$tool" >/dev/null 2>&1 ||
            warn "istio-start.sh needs the program $tool, which is not installed"
    done
}

check_clock() {
    now=$(date +%s)
    if [ "$now" -lt $((bundle_created - max_clock_error_s)) ]; then
        fail "the clock of this machine is $((bundle_created - now)) s behind: set it and try again"
    fi
    check_roots "the root certificate" "$bundle_roots_from" "$bundle_roots_until"
    check_roots "the gateway's root" "$bundle_gateway_roots_from" "$bundle_gateway_roots_until"
}

# check_roots WHAT FROM UNTIL
check_roots() {
    if [ "$now" -lt "$2" ]; then
        fail "$1 is not valid yet: is the clock right? ($(date -u))"
    fi
    if [ "$3" -gt 0 ] && [ "$now" -gt "$3" ]; then
        fail "$1 has expired: is the clock right? ($(date -u))" \
            "If it is, make a new bundle"
    fi
}

# A renewal is for a VM that has everything else, for its account and for its gateway only.
check_installed() {
    env=$root/var/lib/istio/envoy/cluster.env
    [ -s "$env" ] || fail "nothing was installed on this machine yet: it needs a whole bundle" \
        "(xdsgate bundle create)"
    here=$(account_of "$env")
    [ "$here" = "$bundle_renews" ] ||
        fail "this is for ${bundle_renews#/}, but this machine is ${here#/}"
    calls=$(called)
    if [ -n "$bundle_gateway" ] && [ "$calls" != "$bundle_gateway" ]; then
        fail "this is for machines that call $bundle_gateway, but this one calls $calls:" \
            "another name takes a whole bundle (xdsgate bundle create)"
    fi
    check_gateway_root
}

# The gateway's root comes along only where somebody has said it: the cluster does not know it.
check_gateway_root() {
    case " $(sourced XDS_ROOT_CA) $(sourced CA_ROOT_CA) " in
    *" $gateway_root "*)
        if [ ! -f "$work/gateway-root.pem" ] && ! has_valid_root "$root$gateway_root"; then
            warn "$gateway_root is missing or has expired, so this machine believes no gateway:" \
                "xdsgate bundle renew --gateway-root FILE brings another"
        fi
        ;;
    *)
        [ ! -f "$work/gateway-root.pem" ] ||
            fail "this machine has no root for the gateway: the first one takes a whole bundle" \
                "(xdsgate bundle create --gateway-root)"
        ;;
    esac
}

# has_valid_root FILE: has one of its certificates not expired? Without openssl they all count.
has_valid_root() {
    [ -f "$1" ] || return 1
    command -v openssl >/dev/null 2>&1 || return 0
    awk -v path="$work/one-root." '/-BEGIN CERTIFICATE-/ { n++ } n { print > (path n) }' "$1"
    for one in "$work"/one-root.*; do
        if openssl x509 -in "$one" -noout -checkend 0 >/dev/null 2>&1; then
            return 0
        fi
    done
    return 1
}

# account_of FILE: the account in a cluster.env, as in its certificate. The file is only read.
account_of() {
    echo "/ns/$(value_of ISTIO_NAMESPACE "$1")/sa/$(value_of SERVICE_ACCOUNT "$1")"
}

# called: the NAME:PORT that the agent calls. Usually only the mesh's configuration says it, as YAML
# of any form, or nothing does.
called() {
    address=$(sourced CA_ADDR)
    mesh=$root$istio/config/mesh
    if [ -z "$address" ] && [ -f "$mesh" ]; then
        address=$(sed -n "s/^#.*//; s/[[:space:]]#.*//
            s/.*discoveryAddress[\"']\{0,1\}[[:space:]]*:[[:space:]]*[\"']\{0,1\}/=/
            s/^=\([][A-Za-z0-9._:-]*\).*/\1/p" "$mesh" | sed 1q)
    fi
    echo "${address:-istiod.istio-system.svc:15012}"
}

# sourced NAME: what istio-start.sh has, which sources an administrator's sidecar.env before
# cluster.env.
sourced() {
    file=$env
    if ! grep -q "^$1=" "$env" && [ -f "${env%/*}/sidecar.env" ]; then
        file=${env%/*}/sidecar.env
    fi
    value_of "$1" "$file"
}

# value_of NAME FILE: of what is set twice the last, as to a shell; nothing where that is not plain.
value_of() {
    sed -n "s/^$1=//p" "$2" | sed -n '$p' |
        sed -n "s%^\([\"']\{0,1\}\)\([A-Za-z0-9._:/-]*\)\1\$%\2%p"
}

# A token that has run out replaces none; without any the VM could not show who it is.
check_token() {
    token=no
    [ -f "$work/istio-token" ] || return 0
    token=yes
    if [ "$bundle_token_until" -gt 0 ] && [ "$now" -gt "$bundle_token_until" ]; then
        token=no
        if is_renewal || {
            [ ! -s "$root$state/istio-token" ] && [ ! -s "$root$chain" ]
        }; then
            fail "the token of this bundle ran out $(((now - bundle_token_until) / 60)) minutes" \
                "ago: make a new one with xdsgate bundle renew"
        fi
        warn "the token of this bundle has run out and is not installed" \
            "(xdsgate bundle renew makes a new one)"
    fi
}

# A renewal without a token leaves the VM with what it can show by itself: a certificate, which
# would speak louder than a token, or else a token.
check_shows_something() {
    [ "$token" = no ] || return 0
    why=''
    if has_certificate; then
        why=$(wrong_certificate "$root$chain")
    elif ! has_valid_token; then
        why="it is missing"
    fi
    [ -z "$why" ] ||
        fail "the certificate of this machine is of no use ($why): it needs a token, too:" \
            "xdsgate bundle renew without --no-token"
}

has_certificate() { [ -s "$root$chain" ] && [ -e "$root$key" ]; }

# has_valid_token: on this machine, or in the copy that a reboot brings back. One that does not say
# when it runs out counts.
has_valid_token() {
    for path in "$root$run/secrets/tokens/istio-token" "$root$state/istio-token"; do
        if [ -f "$path" ] && [ -s "$path" ]; then
            ends=$(token_until "$path")
            if [ -z "$ends" ] || [ "$now" -le "$ends" ]; then
                return 0
            fi
        fi
    done
    return 1
}

# token_until FILE: what the token in it, a JWT, says; seconds since 1970, or nothing.
token_until() {
    cut -s -d . -f 2 <"$1" | tr -- '-_' '+/' |
        awk '{ while (length($0) % 4) $0 = $0 "="; print }' | base64 -d 2>/dev/null |
        sed -n 's/.*"exp": *\([0-9]\{1,18\}\).*/\1/p'
}

# Unpack the files into the work folder. Of a damaged one nothing is installed.
unpack() {
    [ -n "$bundle_sums" ] || fail "there is no bundle in this file"
    while read -r sum name; do
        bundle_file "$name" | base64 -d >"$work/$name" 2>/dev/null || : # the sum tells
        [ "$(sum_of "$work/$name")" = "$sum" ] ||
            fail "$name is damaged in this file: copy it to this machine again"
    done <<SUMS
$bundle_sums
SUMS
    if is_renewal; then
        needed='root-cert.pem'
    else
        needed='mesh.yaml cluster.env root-cert.pem hosts'
    fi
    for name in $needed; do
        [ -f "$work/$name" ] || fail "there is no $name in this bundle"
    done
}

sum_of() { sha256sum <"$1" | cut -d ' ' -f 1; }

# ---- the work folder and the lock ----

open_state() {
    if [ "$dry_run" = yes ]; then
        work=$(mktemp -d "${TMPDIR:-/tmp}/xdsgate.XXXXXX")
        return
    fi
    must_be_inside "$state"
    mkdir -p "$root$state"
    chmod 700 "$root$state"
    if ! mkdir "$root$state/lock" 2>/dev/null; then
        lock=$(cat "$root$state/lock/pid" 2>/dev/null || :)
        pid=${lock%% *}
        if [ -n "$pid" ] && [ "$pid $(started "$pid")" = "$lock" ]; then
            fail "another run is not over yet (process $pid; if it is, remove $state/lock)"
        fi
        mkdir -p "$root$state/lock" # of a run that was killed
    fi
    echo "$$ $(started $$)" >"$root$state/lock/pid"
    sweep_all
    work=$(mktemp -d "$root$state/work.XXXXXX")
}

# started PID: when, in the machine's own ticks (proc(5), field 22 of stat). Another process that got
# its number, after a reboot for one, has another start.
started() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f 20; }

# What a run that was killed could not take away: the token, and files beside their places.
sweep_all() {
    rm -rf "$root$state"/work.*
    [ -f "$root$state/list" ] || return 0
    while read -r kind owner group mode path; do
        if [ "$kind" != service ]; then
            sweep "${path%/*}"
        fi
    done <"$root$state/list"
}

close_state() {
    if [ -n "$work" ]; then
        rm -rf "$work" || :
        [ -z "$new" ] || sweep "$new" || :
        if [ "$dry_run" = no ]; then
            rm -rf "$root$state/lock" || :
            rmdir "$root$state" 2>/dev/null || : # nothing was installed
        fi
    fi
}

# sweep FOLDER: away with what has not come into its place.
sweep() { rm -rf "$root$1"/.xdsgate.*; }

# However it ends.
at_end() {
    code=$?
    close_state
    if [ "$code" = 0 ]; then
        return
    fi
    if [ "$phase" = changing ]; then
        say "It failed half way: run it again, or with --undo." >&2
        exit 3
    fi
    exit 1
}

# ---- what was there before ----

# $state/list has a line "KIND UID GID MODE PATH" for each path that was changed, in the order of
# the changes; $state/before has the files and links.

# Not those of a link: they mean nothing.
owner_and_mode() { stat -L -c '%u %g %a' "$1"; }

# must_be_inside PATH: no link leads out of the image.
must_be_inside() {
    inside=$root${1%/*}
    while [ ! -d "$inside/" ]; do
        inside=${inside%/*}
    done
    case $(cd "$inside/" && pwd -P)/ in
    "$root"/*) ;;
    *) fail "$1 is outside of $root: a folder on the way to it is a link" ;;
    esac
}

# remember PATH: keep what is there, once.
remember() {
    must_be_inside "$1"
    if [ -f "$root$state/list" ] &&
        awk -v path="$1" '$5 == path { found = 1 } END { exit !found }' "$root$state/list"; then
        return
    fi
    if [ -d "$root$1" ]; then
        before="folder $(owner_and_mode "$root$1")"
    elif [ -e "$root$1" ] || [ -L "$root$1" ]; then
        mkdir -p "$root$state/before${1%/*}"
        rm -f "$root$state/before$1" # of a run that was killed before it was in the list
        cp -pP "$root$1" "$root$state/before$1"
        # Of what was copied: a name may be another file's by now.
        if [ -L "$root$state/before$1" ]; then
            before="link 0 0 0"
        else
            before="file $(owner_and_mode "$root$state/before$1")"
        fi
    else
        before="absent 0 0 0"
    fi
    printf '%s %s\n' "$before" "$1" >>"$root$state/list"
}

# was_installed PATH: the sum of the file that an earlier run put there.
was_installed() {
    [ ! -f "$root$state/installed" ] ||
        awk -v path="$1" '$2 == path { print $1 }' "$root$state/installed"
}

# note_installed PATH
note_installed() {
    if [ -f "$root$state/installed" ]; then
        awk -v path="$1" '$2 != path' "$root$state/installed" >"$work/installed"
    fi
    printf '%s %s\n' "$(sum_of "$root$1")" "$1" >>"$work/installed"
    mv -f "$work/installed" "$root$state/installed"
}

# keep_edits PATH: a file that somebody else has changed since is kept before it is replaced.
keep_edits() {
    case $1 in */hosts | */hosts.*.tmpl) return ;; esac # edits stay in these
    last=$(was_installed "$1")
    if [ -n "$last" ] && [ -f "$root$1" ] && [ "$last" != "$(sum_of "$root$1")" ]; then
        mkdir -p "$root$state/edited${1%/*}"
        cp -p "$root$1" "$root$state/edited$1"
        say "  it was edited since; that version is now $state/edited$1"
    fi
}

# ---- changing things ----

# need_restart: something has changed that the agent reads at its start only. After a run that has
# failed, the next one has to know, too.
need_restart() {
    restart=yes
    if [ "$dry_run" = no ]; then
        : >"$root$state/restart"
    fi
}

# enter FOLDER: go there, and be there whatever becomes of its name. A link is followed only where the
# folder above is root's: another one's owner could put it there at any time.
enter() {
    cd -P "$root${1%/*}/"
    above=''
    if [ "$(stat -c %u .)" != 0 ]; then
        above=$(stat -c %d:%i .)
    fi
    cd -P "./${1##*/}"
    if [ -n "$above" ] && [ "$(stat -c %d:%i ..)" != "$above" ]; then
        fail "$1 is a link that somebody else than root may have made: remove it"
    fi
}

# enter_new: make a folder here that is nobody's but root's, and go there. Its name may have become
# another one's before we are there, the one that is above it may not.
enter_new() {
    above=$(stat -c %d:%i .)
    cd -P "$(mktemp -d ./.xdsgate.XXXXXX)"
    case $(stat -c '%u %a' .)\ $(stat -c %d:%i ..) in
    "0 700 $above" | "0 2700 $above") ;;
    *) fail "somebody changes $(cd .. && pwd -P) while this is running" ;;
    esac
}

# place FILE PATH UID GID MODE: in one piece. Where the folder is not root's, its owner could put a
# link in the place of whatever is opened there by its name; so the file is made in a folder of
# root's within, and renamed.
place() {
    [ ! -d "$root$2" ] || fail "$2 is a folder"
    new=${2%/*}
    (
        enter "${2%/*}"
        owner=$(stat -c %u .)
        enter_new
        cat "$1" >new
        chown "$3:$4" new
        chmod "$5" new
        if ! mv -fT new "../${2##*/}" 2>/dev/null; then
            [ "$owner" = 0 ] || fail "cannot write $2"
            cat "$1" >"../${2##*/}" || fail "cannot write $2" # a mount point, as in containers
        fi
    )
    sweep "$new"
    new=''
    if [ -z "$root" ] && command -v restorecon >/dev/null 2>&1; then
        restorecon "$2" 2>/dev/null || :
    fi
}

# put FILE PATH UID GID MODE
put() {
    if [ -f "$root$2" ] && [ ! -L "$root$2" ] && cmp -s "$1" "$root$2" &&
        [ "$(owner_and_mode "$root$2")" = "$3 $4 $5" ]; then
        # Of this bundle, too: what replaces it later is newer.
        if [ "$dry_run" = no ] && [ "$(was_installed "$2")" != "$(sum_of "$1")" ]; then
            note_installed "$2"
        fi
        return
    fi
    case $2 in
    */istio-token | "$tmpfiles" | *.tmpl) ;;
    *) need_restart ;;
    esac
    step "write $2" || return 0
    remember "$2"
    keep_edits "$2"
    place "$@"
    note_installed "$2"
}

# folder PATH UID GID MODE: there, and owned by them. The mode of one that exists stays.
folder() {
    if [ -d "$root$1" ]; then
        own "$1" "$2" "$3"
        return
    fi
    step "make the folder $1" || return 0
    remember "$1"
    mkdir -m "$4" "$root$1" # at once: a run may be killed
    chown -h "$2:$3" "$root$1"
}

# own PATH UID GID: theirs. A link is followed only where its folder is root's: another one's owner
# could put it there at any time.
own() {
    follow=-L
    if [ "$(stat -L -c %u "$root${1%/*}")" != 0 ]; then
        follow=''
    fi
    # shellcheck disable=SC2086 # an option, or none
    if [ ! -e "$root$1" ] || [ "$(stat $follow -c '%u %g' "$root$1")" = "$2 $3" ]; then
        return
    fi
    step "give $1 to the user $([ "$2" = 0 ] && echo root || echo istio-proxy)" || return 0
    remember "$1"
    if [ -n "$follow" ]; then
        chown "$2:$3" "$root$1"
    else
        chown -h "$2:$3" "$root$1"
    fi
}

# take_away PATH WHY
take_away() {
    need_restart
    step "set aside $1: $2" || return 0
    remember "$1"
    rm -f "$root$1"
}

# ---- the steps ----

# What the package makes, in case that somebody has installed the programs by hand.
install_folders() {
    folder /var/lib/istio 0 0 755
    if [ ! -e "$root/etc/istio" ] && [ ! -L "$root/etc/istio" ]; then
        istio=/var/lib/istio
        if step "make the link /etc/istio"; then
            remember /etc/istio
            ln -s /var/lib/istio "$root/etc/istio"
        fi
    fi
    for path in "$istio/config" "$istio/proxy" /etc/certs /var/log/istio; do
        folder "$path" "$uid" "$gid" 755
    done
    # Root runs what is in here: istio-start.sh reads both files. The package gives it away.
    folder /var/lib/istio/envoy 0 0 755
    own /var/lib/istio/envoy/sidecar.env 0 0
    folder "$run/secrets" "$uid" "$gid" 755
    folder "$run/secrets/tokens" "$uid" "$gid" 700
}

install_files() {
    # Whom the agent believes at a gateway with a root of its own. cluster.env names it, and without
    # it the agent does not start: so it comes first.
    if [ -f "$work/gateway-root.pem" ]; then
        put "$work/gateway-root.pem" "$gateway_root" 0 0 644
    fi
    if ! is_renewal; then
        put "$work/cluster.env" /var/lib/istio/envoy/cluster.env 0 0 644
        put "$work/mesh.yaml" "$istio/config/mesh" 0 0 644
    fi
    install_root_cert
    if [ "$token" = yes ]; then
        put "$work/istio-token" "$state/istio-token" 0 0 600
        put "$work/istio-token" "$run/secrets/tokens/istio-token" "$uid" "$gid" 600
    fi
}

# The agent replaces this file with what the mesh's CA says. So the one that was installed once is
# not installed again over a newer one.
install_root_cert() {
    path=/etc/certs/root-cert.pem
    if [ "$(was_installed $path)" = "$(sum_of "$work/root-cert.pem")" ] &&
        grep -q 'BEGIN CERTIFICATE' "$root$path" 2>/dev/null; then
        return
    fi
    put "$work/root-cert.pem" $path "$uid" "$gid" 644
}

# The token lies on a tmpfs, empty after a reboot.
install_tmpfiles() {
    {
        echo "# Made by xdsgate: brings back Istio's token, whose folder a reboot empties."
        echo "d $run/secrets 0755 istio-proxy istio-proxy -"
        echo "d $run/secrets/tokens 0700 istio-proxy istio-proxy -"
        echo "C $run/secrets/tokens/istio-token 0600 istio-proxy istio-proxy - $state/istio-token"
    } >"$work/tmpfiles"
    folder "${tmpfiles%/*}" 0 0 755
    put "$work/tmpfiles" $tmpfiles 0 0 644
    if [ -z "$root" ] && ! command -v systemd-tmpfiles >/dev/null 2>&1; then
        warn "there is no systemd-tmpfiles here: run this file again after each reboot"
    fi
}

# A certificate of another account, or one that has run out, would speak louder than the token.
# Where no token takes its place it stays: the clock may be wrong.
set_old_certificate_aside() {
    has_certificate || return 0
    why=$(wrong_certificate "$root$chain")
    if [ -n "$why" ] && { [ "$token" = yes ] || has_valid_token; }; then
        take_away $chain "$why"
        take_away $key "its certificate is"
        return
    fi
    for path in $chain $key; do
        own "$path" "$uid" "$gid"
    done
}

# wrong_certificate FILE: why it is of no use here; nothing when it is, or when openssl is missing.
wrong_certificate() {
    command -v openssl >/dev/null 2>&1 || return 0
    wanted=$bundle_renews
    is_renewal || wanted=$(account_of "$work/cluster.env")
    shown=$(openssl x509 -in "$1" -noout -text 2>/dev/null |
        sed -n 's/.*URI:\(spiffe:[^, ]*\).*/\1/p')
    case $shown in
    '') ;;
    *"$wanted")
        openssl x509 -in "$1" -noout -checkend 0 >/dev/null 2>&1 || echo "it has expired"
        ;;
    *) echo "it is for $shown" ;;
    esac
}

# ---- hosts ----

# pairs FILE: "ADDRESS NAME" for each of our names in a hosts file, in its order.
pairs() {
    awk -v names="$names" '
        BEGIN { n = split(names, list, " "); for (i = 1; i <= n; i++) ours[list[i]] = 1 }
        { sub(/#.*/, ""); for (i = 2; i <= NF; i++)
            if (tolower($i) in ours) print tolower($1), tolower($i) }' "$1"
}

# without_names FILE: the file without our names; other names of the same line stay.
without_names() {
    awk -v names="$names" '
        BEGIN { n = split(names, list, " "); for (i = 1; i <= n; i++) ours[list[i]] = 1 }
        {
            comment = ""
            if (at = index($0, "#")) comment = " " substr($0, at)
            count = split(substr($0, 1, at ? at - 1 : length($0)), field, " ")
            kept = ""; found = 0
            for (i = 2; i <= count; i++)
                if (tolower(field[i]) in ours) found = 1; else kept = kept " " field[i]
            if (!found) print; else if (kept != "") print field[1] kept comment
        }' "$1"
}

# names_of FILE: the names of a hosts file, in one line.
names_of() {
    awk '{ sub(/#.*/, ""); for (i = 2; i <= NF; i++) printf "%s ", tolower($i) }' "$1"
}

# edit_hosts PATH LINES: the names of LINES, a file, stand there with these addresses only.
edit_hosts() {
    names=$(names_of "$2")
    old=/dev/null
    rights='0 0 644'
    if [ -f "$root$1" ]; then
        old=$root$1
        rights=$(owner_and_mode "$old")
    fi
    was=$(pairs "$old")
    if [ "$was" = "$(pairs "$2")" ]; then
        return
    fi
    if [ -n "$was" ]; then
        say "$1 has: $(printf '%s' "$was" | tr '\n' ';')"
    fi
    if [ "$dry_run" = no ]; then
        printf '%s\n' "$names" >>"$root$state/names"
    fi
    without_names "$old" >"$work/new-hosts"
    cat "$2" >>"$work/new-hosts"
    # shellcheck disable=SC2086 # three numbers
    put "$work/new-hosts" "$1" $rights
}

# Where cloud-init writes /etc/hosts anew at each boot, its template has to say the same.
hosts_template() {
    grep -Eqs '^[[:space:]]*manage_etc_hosts:[[:space:]]*"?(true|True|template)' \
        "$root/etc/cloud/cloud.cfg" "$root"/etc/cloud/cloud.cfg.d/*.cfg \
        "$root/var/lib/cloud/instance/cloud-config.txt" || return 0
    [ -f "$root/etc/os-release" ] || return 0
    family=$(sed -n 's/"//g; s/^ID=//p; s/^ID_LIKE=//p' "$root/etc/os-release")
    for name in $family; do
        case $name in
        ubuntu) name=debian ;;
        rhel | fedora | centos) name=redhat ;;
        esac
        if [ -f "$root/etc/cloud/templates/hosts.$name.tmpl" ]; then
            echo "/etc/cloud/templates/hosts.$name.tmpl"
            return
        fi
    done
}

install_hosts() {
    sed 's/[[:space:]]*#.*//; /^[[:space:]]*$/d; s/$/ # xdsgate/' "$work/hosts" >"$work/hosts-lines"
    edit_hosts /etc/hosts "$work/hosts-lines"
    template=$(hosts_template)
    if [ -n "$template" ]; then
        edit_hosts "$template" "$work/hosts-lines"
    fi
}

# ---- what an older agent has left ----

# same_world PID: a process of this machine, not of a container on it.
same_world() {
    [ "$(readlink "/proc/$1/ns/mnt")" = "$(readlink /proc/self/ns/mnt)" ] &&
        [ "$(readlink "/proc/$1/ns/net")" = "$(readlink /proc/self/ns/net)" ]
}

runs_by_systemd() { [ -d /run/systemd/system ] && command -v systemctl >/dev/null 2>&1; }

# is_agent PID; is_envoy PID: one that Istio's agent has started.
is_agent() {
    case $(readlink "/proc/$1/exe" 2>/dev/null) in
    */pilot-agent | */pilot-agent' (deleted)') ;;
    *) return 1 ;;
    esac
}
is_envoy() {
    case $(readlink "/proc/$1/exe" 2>/dev/null) in
    */envoy | */envoy' (deleted)') grep -qs 'istio/proxy/envoy-rev' "/proc/$1/cmdline" ;;
    *) return 1 ;;
    esac
}

# is_leftover PID: an Envoy whose agent has ended; what xdsgate doctor calls one. Where it belongs
# in systemd's eyes says nothing: istio-start.sh runs the agent by sudo, which may open a session.
is_leftover() {
    is_envoy "$1" && same_world "$1" &&
        ! is_agent "$(awk '/^PPid:/ { print $2 }' "/proc/$1/status" 2>/dev/null)"
}

# end_process PID: by TERM, and by KILL when it is still there 10 s later.
end_process() {
    kill "$1" 2>/dev/null || return 0
    tries=0
    while [ -d "/proc/$1" ] && ! grep -q '^State:.Z' "/proc/$1/status" 2>/dev/null; do
        tries=$((tries + 1))
        if [ $tries -gt 10 ]; then
            kill -KILL "$1" 2>/dev/null || return 0
        fi
        sleep 1
    done
}

clean_processes() {
    for process in /proc/[0-9]*; do
        pid=${process#/proc/}
        if is_leftover "$pid"; then
            need_restart
            if step "end process $pid, $(readlink "$process/exe"): its agent has ended"; then
                end_process "$pid"
            fi
        fi
    done
}

# A socket that nobody listens on; the kernel has the names in use, as they were given to bind().
clean_sockets() {
    for socket in "$root$istio"/proxy/* "$root$run"/secrets/workload-spiffe-uds/socket; do
        tail=${socket#"$root${istio%/*}/"}
        tail=${tail#"$root$run/"}
        # A link to a socket has another name there.
        if [ -S "$socket" ] && [ ! -L "$socket" ] && ! grep -qs "$tail\$" /proc/net/unix; then
            if step "remove ${socket#"$root"}: nobody listens on it"; then
                rm -f "$socket"
            fi
        fi
    done
}

# ---- the service ----

# has_service: does systemd manage the agent here?
has_service() {
    [ -z "$root" ] && runs_by_systemd && systemctl cat istio.service >/dev/null 2>&1
}

# Remember how the service was, once: "service ACTIVE ENABLED - -".
remember_service() {
    if ! grep -qs '^service ' "$root$state/list"; then
        printf 'service %s %s - -\n' "$(systemctl is-active istio.service || :)" \
            "$(systemctl is-enabled istio.service || :)" >>"$root$state/list"
    fi
}

start_service() {
    if [ "$no_start" = yes ] || [ -n "$root" ]; then
        return
    fi
    if ! has_service; then
        if [ -e "$state/restart" ]; then
            say "There is no systemd service istio here: start the agent, anew if it runs:" \
                "/usr/local/bin/istio-start.sh"
            rm -f "$state/restart"
        fi
        return
    fi
    if ! systemctl is-enabled istio.service >/dev/null 2>&1 && step "enable the service istio"; then
        remember_service
        systemctl enable istio.service >/dev/null 2>&1 || fail "systemctl enable istio failed"
    fi
    if [ -e "$state/restart" ] || [ "$restart" = yes ] ||
        ! systemctl is-active istio.service >/dev/null 2>&1; then
        if step "restart the service istio"; then
            remember_service
            systemctl restart istio.service || fail "systemctl restart istio failed:" \
                "systemctl status istio and journalctl -u istio say why"
            rm -f "$state/restart"
        fi
    fi
}

# ---- the way back ----

undo_all() {
    if [ ! -f "$root$state/list" ]; then
        say "Nothing was installed by this file."
        [ "$dry_run" = yes ] || rm -f "$root$state/installed"
        return
    fi
    # The last one first, so that a folder is empty when its turn comes.
    awk '{ line[NR] = $0 } END { for (i = NR; i > 0; i--) print line[i] }' "$root$state/list" \
        >"$work/undo"
    service=''
    while read -r kind owner group mode path; do
        if [ "$kind" = service ]; then
            service="$owner $group"
        else
            undo_one "$kind" "$owner" "$group" "$mode" "$path"
        fi
    done <"$work/undo"
    [ -z "$service" ] || undo_service "${service% *}" "${service#* }"
    if [ "$dry_run" = no ]; then
        (cd "$root$state" && rm -rf before list installed names restart)
    fi
    [ ! -d "$root$state/edited" ] || say "Files that others had edited are in $state/edited."
}

# undo_one KIND UID GID MODE PATH
undo_one() {
    if [ "$1" = absent ] && [ ! -e "$root$5" ] && [ ! -L "$root$5" ]; then
        return # gone already, as what was on a tmpfs
    fi
    step "$([ "$1" = absent ] && echo remove || echo restore) $5" || return 0
    if [ -f "$root$5" ] && [ "$1" != folder ]; then
        case $5 in
        /etc/certs/*) ;; # the agent's to change
        */hosts | */hosts.*.tmpl)
            split_hosts "$1" "$5"
            if ! cmp -s "$work/others-before" "$work/others-now"; then
                undo_hosts "$5"
                return
            fi
            ;;
        *) keep_edits "$5" ;;
        esac
    fi
    case $1 in
    absent) undo_absent "$5" ;;
    file)
        mkdir -p "$root${5%/*}"
        cp -p "$root$state/before$5" "$work/before"
        place "$work/before" "$5" "$2" "$3" "$4"
        ;;
    link)
        mkdir -p "$root${5%/*}"
        (
            enter "${5%/*}"
            rm -f "./${5##*/}"
            cp -P "$root$state/before$5" "./${5##*/}"
        )
        ;;
    folder)
        if [ -d "$root$5" ]; then
            (
                enter "$5"
                chown "$2:$3" .
                chmod "$4" .
            )
        fi
        ;;
    esac
}

undo_absent() {
    if [ -d "$root$1" ] && [ ! -L "$root$1" ]; then
        rmdir "$root$1" 2>/dev/null || say "  it stays: it is not empty"
    else
        rm -f "$root$1"
    fi
}

# hosts_before KIND PATH: where the hosts file is that was there before the first run.
hosts_before() {
    case $1 in
    file) echo "$root$state/before$2" ;;
    link)
        target=$(readlink "$root$state/before$2")
        case $target in
        /*) ;;
        *) target=$root${2%/*}/$target ;;
        esac
        if [ -f "$target" ]; then echo "$target"; else echo /dev/null; fi
        ;;
    absent) echo /dev/null ;;
    esac
}

# split_hosts KIND PATH: what is not about our names, before the first run and now. Others may have
# edited the file between two runs: then the file of the last run has their lines, too.
split_hosts() {
    before=$(hosts_before "$1" "$2")
    names=$(tr '\n' ' ' <"$root$state/names")
    without_names "$before" >"$work/others-before"
    without_names "$root$2" >"$work/others-now"
}

# undo_hosts PATH: others have edited the file since, so only our names are put back.
undo_hosts() {
    say "  it was edited since: only our names are put back"
    pairs "$before" >>"$work/others-now"
    # shellcheck disable=SC2046 # three numbers
    place "$work/others-now" "$1" $(owner_and_mode "$root$1")
}

# undo_service ACTIVE ENABLED, as they were
undo_service() {
    if [ "$no_start" = yes ] || ! has_service; then
        return
    fi
    if [ "$2" != enabled ] && step "disable the service istio"; then
        systemctl disable istio.service >/dev/null 2>&1 || warn "systemctl disable istio failed"
    fi
    verb=stop
    if [ "$1" = active ]; then
        verb=restart
    fi
    if step "$verb the service istio"; then
        systemctl $verb istio.service || warn "systemctl $verb istio failed"
    fi
}

# ---- main ----

install_bundle() {
    unpack
    check_package
    check_clock
    if is_renewal; then
        check_installed
    fi
    check_token
    if is_renewal; then
        check_shows_something
    fi
    [ "$dry_run" = yes ] || phase=changing
    say "$(is_renewal && echo Renewing || echo Installing) the bundle for" \
        "$bundle_title${root:+ under $root}."
    install_folders
    install_files
    if [ "$token" = yes ] || ! is_renewal; then
        install_tmpfiles
    fi
    set_old_certificate_aside
    if ! is_renewal; then
        install_hosts
    fi
    if [ -z "$root" ]; then
        clean_processes
    fi
    clean_sockets
    start_service
}

main() {
    read_options "$@"
    check_tools
    find_folders
    trap at_end EXIT
    trap 'fail "stopped by a signal"' HUP INT TERM
    open_state
    if [ "$undo" = yes ]; then
        phase=changing
        undo_all
    else
        install_bundle
    fi
    case $changed$dry_run in
    no*) say "unchanged" ;;
    yesyes) say "would be changed" ;;
    *) say "changed" ;;
    esac
}

main "$@" </dev/null
