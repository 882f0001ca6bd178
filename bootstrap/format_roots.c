/* SPDX-License-Identifier: Apache-2.0 */
/* The dates of the root certificates, for the script to compare with the VM's clock. */
#include "bootstrap/formats_internal.h"
#include "certs/cert_file.h"

static enum rc read_dates(const char *name, const struct cert_file *f, struct format_dates *out,
                          const struct why *w)
{
    struct format_dates dates = {INT64_MAX, 0};

    for (size_t i = 0; i < cert_file_count(f); i++) {
        struct cert_info info;
        enum rc rc = cert_file_info(f, i, &info);
        if (rc == RC_INVALID) {
            return why_set(w, "%s has a malformed certificate", name);
        }
        TRY(rc);
        dates.from = info.from < dates.from ? info.from : dates.from;
        dates.until = info.to > dates.until ? info.to : dates.until;
        cert_info_fini(&info);
    }
    *out = dates;
    return RC_OK;
}

static enum rc look(const char *name, const struct cert_file *f, struct format_dates *out,
                    const struct why *w)
{
    if (cert_file_key(f) != CERT_FILE_NO_KEY) {
        return why_set(w, "%s has a private key in it; no VM may get one", name);
    }
    if (cert_file_count(f) == 0) {
        return why_set(w, "%s has no certificate in it", name);
    }
    return read_dates(name, f, out, w);
}

enum rc format_roots(const struct bundle_file *pem, struct format_dates *out, const struct why *w)
{
    const struct cert_bytes bytes = {(uint8_t *)pem->data, pem->n};
    struct cert_file *f = NULL;
    struct cert_error error;

    enum rc rc = cert_file_parse(&bytes, &f, &error);
    if (rc == RC_INVALID) {
        return why_set(w, "%s %s", pem->name, error.text);
    }
    TRY(rc);
    rc = look(pem->name, f, out, w);
    cert_file_free(&f);
    return rc;
}
