/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/registry/json_value.h"

#include <stdlib.h>

#include "core/base/clock.h"
#include "core/base/show.h"

json_t *json_value_text(const char *text, size_t n)
{
    if (n == 0) {
        return json_null();
    }
    char *clean = malloc(SHOW_CLEAN_BYTES(n));
    if (clean == NULL) {
        return NULL;
    }
    size_t len = show_clean(text, n, clean);
    json_t *v = json_stringn(clean, len);
    free(clean);
    return v;
}

json_t *json_value_kept(const char *text, size_t n)
{
    return n > 0 ? json_value_text(text, n) : json_string("");
}

json_t *json_value_time(int64_t ms)
{
    char buf[CLOCK_TEXT_BYTES];

    return ms > 0 && clock_text_ms(ms, buf) ? json_string(buf) : json_null();
}
