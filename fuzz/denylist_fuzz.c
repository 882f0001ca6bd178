/* SPDX-License-Identifier: Apache-2.0 */
/* Functions under test: denylist_set_read(), denylist_set_write(): what is read and written again
 * is read as the same. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"
#include "gateway/registry/denylist_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_again(const struct denylist_set *set, const char *text, size_t n)
{
    struct denylist_set again = {.n = 0};
    char why[DENYLIST_WHY_BYTES] = "";
    char *written = NULL;
    size_t n_written = 0;

    CHECK(denylist_set_read(text, n, &again, why) == RC_OK);
    CHECK(again.n == set->n);
    CHECK(denylist_set_write(&again, &written, &n_written) == RC_OK);
    CHECK(n_written == n && memcmp(written, text, n) == 0);
    free(written);
    denylist_set_fini(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct denylist_set set = {.n = 0};
    char why[DENYLIST_WHY_BYTES] = "";
    char *text = NULL;
    size_t n = 0;
    enum rc rc = denylist_set_read((const char *)data, size, &set, why);

    CHECK((rc == RC_INVALID) == (why[0] != '\0'));
    CHECK(rc == RC_OK || (set.n == 0 && set.of == NULL));
    if (rc == RC_OK) {
        CHECK(denylist_set_write(&set, &text, &n) == RC_OK);
        check_again(&set, text, n);
        free(text);
    }
    denylist_set_fini(&set);
    return 0;
}
