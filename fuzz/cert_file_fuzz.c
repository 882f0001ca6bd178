/* SPDX-License-Identifier: Apache-2.0 */
/* Target: cert_file_parse(), cert_file_info(), cert_file_verify(). What is written for people is
 * printable ASCII, whatever a certificate says. */
#include <stdlib.h>
#include <string.h>

#include "certs/cert_file.h"
#include "core/base/check.h"

/** Verifying is slow; the first ones of a file say enough. */
#define SEEN 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_printable(const char *text)
{
    for (; *text != '\0'; text++) {
        CHECK(*text >= 0x20 && *text < 0x7f);
    }
}

static void look_at(const struct cert_file *f, size_t i)
{
    struct cert_info info;
    char anchor[CERT_SUBJECT_BYTES] = "";
    char why[200] = "";

    if (cert_file_info(f, i, &info) == RC_OK) {
        check_printable(info.subject);
        check_printable(info.issuer);
        check_printable(info.key);
        for (size_t n = 0; n < info.n_names; n++) {
            check_printable(info.names[n]);
        }
        cert_info_fini(&info);
    }
    (void)cert_file_fits(f, f, i);
    if (cert_file_verify(f, i, f, anchor, why, sizeof(why)) == RC_OK) {
        check_printable(anchor);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cert_file *f = NULL;
    struct cert_error err;
    uint8_t *copy = malloc(size > 0 ? size : 1);

    CHECK(copy != NULL);
    memcpy(copy, data, size);
    const struct cert_bytes pem = {copy, size};
    enum rc rc = cert_file_parse(&pem, &f, &err);
    CHECK(rc == RC_OK || (rc == RC_INVALID && err.text[0] != '\0'));
    for (size_t i = 0; rc == RC_OK && i < cert_file_count(f) && i < SEEN; i++) {
        look_at(f, i);
    }
    cert_file_free(&f);
    free(copy);
    return 0;
}
