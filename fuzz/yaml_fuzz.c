/* SPDX-License-Identifier: Apache-2.0 */
/* Targets: doc_parse_yaml_all(), doc_write_yaml(). What is read can be written, and reads back the
 * same. */
#include <stdlib.h>

#include "core/base/check.h"
#include "core/doc/doc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct doc_error err = {.line = 0};
    json_t *all = NULL;
    json_t *again = NULL;
    char *text = NULL;
    size_t n = 0;

    enum rc rc = doc_parse_yaml_all((const char *)data, size, &err, &all);
    if (rc != RC_OK) {
        CHECK(rc == RC_INVALID && err.line > 0 && err.column > 0 && err.text[0] != '\0');
        return 0;
    }
    CHECK(doc_write_yaml(all, &text, &n) == RC_OK);
    if (n <= DOC_MAX_BYTES) {
        rc = doc_parse_yaml(text, n, &err, &again);
        /* The list around the documents is one level and one value more. */
        CHECK(rc == RC_OK ? json_equal(all, again) == 1 : err.text[0] == 'n' || err.text[0] == 'm');
        json_decref(again);
    }
    free(text);
    json_decref(all);
    return 0;
}
