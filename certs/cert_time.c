/* SPDX-License-Identifier: Apache-2.0 */
#include "certs/cert_time.h"

#include <stdio.h>
#include <time.h>

#include "certs/cert_internal.h"

enum rc cert_read_time(const ASN1_TIME *t, int64_t *out)
{
    struct tm tm;

    if (ASN1_TIME_to_tm(t, &tm) != 1) {
        return RC_INVALID;
    }
    *out = (int64_t)timegm(&tm);
    return RC_OK;
}

void cert_format_time(int64_t at, char buf[CERT_TIME_BYTES])
{
    time_t t = (time_t)at;
    struct tm tm;

    if (gmtime_r(&t, &tm) == NULL ||
        strftime(buf, CERT_TIME_BYTES, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0) {
        snprintf(buf, CERT_TIME_BYTES, "an unknown date");
    }
}
