/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The forms in which a bundle leaves: a folder with its files, a tar archive of them, or one text
 * that installs them on the VM: a shell script, cloud-init user data or an Ansible playbook. The
 * last two only carry the script, so there is one way to install. docs/vm-install.md says how each
 * is used.
 *
 * Every form but the folder is one file. All hold the token, so a file gets mode 0600, the script
 * 0700.
 */
#pragma once

#include <stdint.h>

#include "bootstrap/bundle.h"
#include "bootstrap/bundle_text.h"
#include "core/base/rc.h"

enum bundle_format {
    FORMAT_DIR,
    FORMAT_TAR,
    FORMAT_SCRIPT,
    FORMAT_CLOUD_INIT,
    FORMAT_ANSIBLE,
};

/** Roots, and perhaps a token, for VMs that have the rest. Which VMs that are; all borrowed. */
struct format_renewal {
    const char *account; /**< theirs, as "/ns/NAMESPACE/sa/ACCOUNT" */
    const char *gateway; /**< what they call, as "NAME:PORT"; NULL: whatever it is */
};

struct format_opts {
    const char *title; /**< borrowed; for people: "web in vms". Odd characters become '?' */
    int64_t now_s;     /**< seconds since 1970: when the bundle was made */
    const struct format_renewal *renewal; /**< borrowed; NULL: a whole bundle */
};

/** Room for every reason that is given here. */
#define FORMAT_WHY_BYTES 320

/** Its name on the command line, such as "cloud-init". Static storage. */
const char *format_name(enum bundle_format f);

/**
 * Render everything but FORMAT_DIR into t.
 *
 * b          borrowed; with mesh.yaml, cluster.env, root-cert.pem, hosts and perhaps istio-token,
 *            gateway-root.pem; to renew, with root-cert.pem, and perhaps istio-token and
 *            gateway-root.pem, only.
 * t          initialised; holds the token afterwards: text_fini().
 * why        gets the reason of RC_INVALID, with the file's name.
 * Returns    RC_OK; RC_INVALID: a file is missing or unknown, the token is more than one word (it
 *            was pasted over several lines), the root certificates are none, hosts has no line;
 *            RC_NO_MEMORY; RC_FULL: over TEXT_MAX_BYTES.
 */
enum rc format_render(enum bundle_format f, const struct bundle *b, const struct format_opts *o,
                      struct text *t, char *why, size_t why_bytes) MUST_USE;

/**
 * Render and write. FORMAT_DIR makes the folder output with mode 0700 where there is none; its
 * files are replaced one by one, each in one piece; what else is in the folder stays. A renewal is
 * refused where an older bundle is in the folder that it is not for.
 *
 * output     borrowed; a path, or "-" for standard output (not for FORMAT_DIR). Where a file is to
 *            be, a link or a folder is refused.
 * why        gets the reason of every failure, with the path.
 * Returns    RC_OK; as format_render(); RC_SYSTEM.
 */
enum rc format_write(enum bundle_format f, const struct bundle *b, const struct format_opts *o,
                     const char *output, char *why, size_t why_bytes) MUST_USE;
