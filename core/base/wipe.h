/* SPDX-License-Identifier: Apache-2.0 */
/* Secrets are overwritten before their memory is free for others. Pure. */
#pragma once

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/** Overwrite n bytes, and free them. NULL is fine. */
static inline void wipe_free(void *secret, size_t n)
{
    if (secret != NULL) {
        explicit_bzero(secret, n);
        free(secret);
    }
}

/** The same for a zero-terminated text; the pointer is set to NULL. NULL inside is fine. */
static inline void wipe_text(char **secret)
{
    wipe_free(*secret, *secret != NULL ? strlen(*secret) : 0);
    *secret = NULL;
}
