/* SPDX-License-Identifier: Apache-2.0 */
#include "bootstrap/bundle.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"

#define BUNDLE_MAGIC 0x1c97a3e5u

static void free_file(struct bundle_file *f)
{
    if (f->data != NULL) {
        explicit_bzero(f->data, f->n);
    }
    free(f->data);
    free(f->name);
    *f = (struct bundle_file){.name = NULL};
}

void bundle_init(struct bundle *b)
{
    *b = (struct bundle){.magic = BUNDLE_MAGIC};
}

void bundle_fini(struct bundle *b)
{
    CHECK_MAGIC(b, BUNDLE_MAGIC);
    while (b->n > 0) {
        free_file(&b->files[--b->n]);
    }
}

enum rc bundle_add(struct bundle *b, const char *name, const void *data, size_t n, mode_t mode)
{
    CHECK_MAGIC(b, BUNDLE_MAGIC);
    CHECK(bundle_find(b, name) == NULL);
    if (b->n == BUNDLE_FILES_MAX) {
        return RC_FULL;
    }
    struct bundle_file f = {.name = strdup(name), .data = malloc(n + 1), .n = n, .mode = mode};
    if (f.name == NULL || f.data == NULL) {
        f.n = 0;
        free_file(&f);
        return RC_NO_MEMORY;
    }
    (void)mempcpy(f.data, data, n);
    f.data[n] = '\0';
    b->files[b->n++] = f;
    return RC_OK;
}

size_t bundle_token_length(const char *token, size_t n)
{
    return n > 0 && token[n - 1] == '\n' ? n - 1 : n;
}

const struct bundle_file *bundle_find(const struct bundle *b, const char *name)
{
    CHECK_MAGIC(b, BUNDLE_MAGIC);
    for (size_t i = 0; i < b->n; i++) {
        if (strcmp(b->files[i].name, name) == 0) {
            return &b->files[i];
        }
    }
    return NULL;
}
