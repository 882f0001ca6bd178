/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/registry/shared_text.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"
#include "core/base/utf8.h"

struct shared_text *shared_text_new(const char *text, size_t n)
{
    size_t len = strnlen(text, n);

    if (text[len] != '\0') {
        len = utf8_whole_bytes(text, len);
    }
    struct shared_text *t = malloc(sizeof(*t) + len + 1);
    if (t != NULL) {
        t->refs = 1;
        memcpy(t->text, text, len);
        t->text[len] = '\0';
    }
    return t;
}

struct shared_text *shared_text_ref(struct shared_text *t)
{
    if (t != NULL) {
        __atomic_fetch_add(&t->refs, 1, __ATOMIC_RELAXED);
    }
    return t;
}

void shared_text_unref(struct shared_text **pt)
{
    struct shared_text *t = *pt;

    *pt = NULL;
    if (t == NULL) {
        return;
    }
    CHECK(__atomic_load_n(&t->refs, __ATOMIC_RELAXED) > 0);
    if (__atomic_sub_fetch(&t->refs, 1, __ATOMIC_ACQ_REL) == 0) {
        free(t);
    }
}

const char *shared_text_get(const struct shared_text *t)
{
    return t != NULL ? t->text : "";
}
