/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "integration/sandbox/common/text.h"

/**
 * Read an x-forwarded-client-cert header value as istiod's parser does: elements split by ',',
 * pairs by ';', key=value with the keys By Hash Cert Chain Subject URI DNS (case-sensitive, no
 * blank before a key); a value may be "quoted", an unquoted one needs a backslash before = ; ,.
 *
 * identities  gets, for every element, all URI and DNS values and Subject's CN ("" for a Subject
 *             without one); only touched on success.
 * Returns     NULL on success, else a constant text that says why the whole header is refused.
 */
const char *xfcc_parse(const char *header, struct names *identities);
