/* SPDX-License-Identifier: Apache-2.0 */
/* Target: env_file_read(). What was read, written in single quotes, reads back the same. */
#include <stdlib.h>
#include <string.h>

#include "bootstrap/bundle_text.h"
#include "bootstrap/env_file.h"
#include "core/base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_all(json_t *all, struct text *t)
{
    for (void *i = json_object_iter(all); i != NULL; i = json_object_iter_next(all, i)) {
        const json_t *value = json_object_iter_value(i);
        const char *p = json_string_value(value);
        const char *end = p + json_string_length(value);
        text_put(t, json_object_iter_key(i));
        text_put(t, "='");
        for (; p < end; p++) {
            if (*p == '\'') {
                text_put(t, "'\"'\"'");
            } else {
                text_add(t, p, 1);
            }
        }
        text_put(t, "'\n");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char buf[200] = "";
    const struct why w = {buf, sizeof(buf)};
    json_t *all = NULL;
    json_t *again = NULL;
    struct text t;

    if (env_file_read((const char *)data, size, &w, &all) != RC_OK) {
        CHECK(strncmp(buf, "line ", 5) == 0);
        return 0;
    }
    text_init(&t);
    write_all(all, &t);
    CHECK(text_result(&t) == RC_OK);
    CHECK(env_file_read(t.n > 0 ? t.data : "", t.n, &w, &again) == RC_OK);
    CHECK(json_equal(all, again) == 1);
    text_fini(&t);
    json_decref(all);
    json_decref(again);
    return 0;
}
