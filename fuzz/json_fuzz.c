/* SPDX-License-Identifier: Apache-2.0 */
/* Targets: doc_parse_json(), doc_write_json(), doc_write_yaml(). What is read can be written, and
 * reads back the same. */
#include <stdlib.h>

#include "core/base/check.h"
#include "core/doc/doc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct doc_error err = {.line = 0};
    json_t *v = NULL;
    json_t *again = NULL;
    char *text = NULL;
    size_t n = 0;

    enum rc rc = doc_parse_json((const char *)data, size, &err, &v);
    if (rc != RC_OK) {
        CHECK(rc == RC_INVALID && err.line > 0 && err.column > 0 && err.text[0] != '\0');
        return 0;
    }
    CHECK(doc_write_json(v, &text, &n) == RC_OK);
    CHECK(doc_parse_json(text, n, &err, &again) == RC_OK && json_equal(v, again) == 1);
    json_decref(again);
    free(text);
    CHECK(doc_write_yaml(v, &text, &n) == RC_OK);
    if (!json_is_null(v)) {
        CHECK(doc_parse_yaml(text, n, &err, &again) == RC_OK && json_equal(v, again) == 1);
        json_decref(again);
    }
    free(text);
    json_decref(v);
    return 0;
}
