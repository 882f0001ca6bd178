/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A folder with the files of a bundle, written in one of the formats; for the process tests.
 *
 *   pack_bundle FORMAT DIR OUTPUT NOW [ACCOUNT [GATEWAY]]
 *
 * NOW: seconds since 1970. ACCOUNT: only the token and the roots, for this account; GATEWAY: and
 * for VMs that call this, NAME:PORT. Exit 1 and the reason on stderr.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bootstrap/formats.h"

static int read_file(const char *folder, const char *name, struct bundle *b)
{
    static char data[1 << 20];
    char path[4096];

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *in = fopen(path, "rb");
    if (in == NULL) {
        return 0;
    }
    size_t n = fread(data, 1, sizeof(data), in);
    (void)fclose(in);
    return bundle_add(b, name, data, n, strcmp(name, BUNDLE_TOKEN) == 0 ? 0600 : 0644) == RC_OK
               ? 0
               : -1;
}

static int format_of(const char *name, enum bundle_format *out)
{
    for (enum bundle_format f = FORMAT_DIR; f <= FORMAT_ANSIBLE; f++) {
        if (strcmp(format_name(f), name) == 0) {
            *out = f;
            return 0;
        }
    }
    return -1;
}

int main(int argc, char **argv)
{
    static const char *const names[] = {"mesh.yaml",   "cluster.env", "root-cert.pem",
                                        "istio-token", "hosts",       "gateway-root.pem"};
    struct bundle b;
    enum bundle_format f;
    char why[FORMAT_WHY_BYTES];

    bundle_init(&b);
    if (argc < 5 || argc > 7 || format_of(argv[1], &f) != 0) {
        return 2;
    }
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        bool runs_out = i == 2 || i == 3 || i == 5;
        if ((argc == 5 || runs_out) && read_file(argv[2], names[i], &b) != 0) {
            return 2;
        }
    }
    const struct format_renewal renewal = {argv[5], argc == 7 ? argv[6] : NULL};
    struct format_opts o = {.title = "web in vms",
                            .now_s = strtoll(argv[4], NULL, 10),
                            .renewal = argc > 5 ? &renewal : NULL};
    enum rc rc = format_write(f, &b, &o, argv[3], why, sizeof(why));
    if (rc != RC_OK) {
        (void)fprintf(stderr, "%s\n", why);
    }
    bundle_fini(&b);
    return rc == RC_OK ? 0 : 1;
}
