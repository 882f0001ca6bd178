/* SPDX-License-Identifier: Apache-2.0 */
/* Source: tools/packaging/common/istio-start.sh of Istio, in its versions with su and with sudo. */
#include "bootstrap/variables.h"

#include <stddef.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

/* What the script hands to `bash -c "..."`, unquoted. */
static const char *const expanded[] = {
    "EXEC_USER", "ISTIO_BIN_BASE", "ISTIO_LOG_DIR", "ISTIO_SVC_IP", "POD_NAME",
};

/* Here it splits at blanks first. */
static const char flags[] = "ISTIO_AGENT_FLAGS";

/* Who the agent runs as, files that root sources or (pilot-agent istio-iptables) writes, and what
 * bash, sudo and the C library listen to. */
static const char *const for_root[] = {
    "CDPATH",
    "ENV",
    "EUID",
    "FUNCNEST",
    "GLOBIGNORE",
    "HOME",
    "IFS",
    "ISTIO_CLUSTER_CONFIG",
    "ISTIO_INBOUND_INTERCEPTION_MODE",
    "ISTIO_SIDECAR_CONFIG",
    "LOCPATH",
    "LOGNAME",
    "NLSPATH",
    "OLDPWD",
    "PATH",
    "POSIXLY_CORRECT",
    "PPID",
    "PS4",
    "PWD",
    "SHELL",
    "SHELLOPTS",
    "TMPDIR",
    "UID",
    "USER",
};

/* Families of the same kind. */
static const char *const prefixes[] = {
    "BASH", "DRY_RUN", "GCONV_", "GLIBC_", "LD_", "MALLOC_", "SUDO_", "XTABLES_",
};

static bool is_one_of(const char *name, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(name, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_expanded(const char *name)
{
    return strcmp(name, flags) == 0 || is_one_of(name, expanded, COUNT(expanded));
}

bool variable_is_for_root(const char *name)
{
    for (size_t i = 0; i < COUNT(prefixes); i++) {
        if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0) {
            return true;
        }
    }
    return is_expanded(name) || is_one_of(name, for_root, COUNT(for_root));
}

bool variable_takes(const char *name, const char *value)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                "._:/,=@%+-";

    for (const char *p = value; is_expanded(name) && *p != '\0'; p++) {
        if (strchr(plain, *p) == NULL && (*p != ' ' || strcmp(name, flags) != 0)) {
            return false;
        }
    }
    return true;
}
