/* SPDX-License-Identifier: Apache-2.0 */
/* Target: pb_scan_feed(). However a message is cut into pieces, it tells the same; what it tells
 * has a beginning and an end, and the lengths that were said. */
#include <stdlib.h>

#include "core/base/check.h"
#include "core/base/hash.h"
#include "xds/pb_scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct told {
    uint32_t hash;
    uint32_t depth; /* of the open message */
    bool taking;
    uint64_t left; /* bytes to come of what is taken */
};

static enum pb_do on_field(void *arg, const struct pb_field *f)
{
    struct told *t = arg;
    const uint64_t told[] = {f->number, f->value, (uint64_t)f->wire, f->depth};
    enum pb_do what = (enum pb_do)(f->number % 3);

    CHECK(!t->taking && f->depth == t->depth && f->depth < PB_SCAN_DEPTH);
    CHECK(f->number > 0 && f->number < 1U << 29);
    t->hash = hash_bytes(t->hash, told, sizeof(told));
    if (f->wire == PB_BYTES && what == PB_TAKE) {
        t->taking = true;
        t->left = f->value;
    } else if (f->wire == PB_BYTES && what == PB_ENTER && t->depth + 1 < PB_SCAN_DEPTH) {
        t->depth++; /* else it is refused */
    }
    return what;
}

static void on_bytes(void *arg, const uint8_t *data, size_t n)
{
    struct told *t = arg;

    CHECK(t->taking && n > 0 && n <= t->left);
    t->left -= n;
    t->hash = hash_bytes(t->hash, data, n);
}

static void on_end(void *arg, uint32_t depth)
{
    struct told *t = arg;

    if (t->taking) {
        CHECK(t->left == 0 && depth == t->depth);
        t->taking = false;
    } else {
        CHECK(t->depth > 0 && depth == t->depth - 1);
        t->depth--;
    }
    t->hash = hash_bytes(t->hash, &depth, sizeof(depth));
}

static enum rc feed(const uint8_t *data, size_t size, size_t piece, struct told *t, bool *over)
{
    static const struct pb_ops ops = {on_field, on_bytes, on_end};
    struct pb_scan s;
    enum rc rc = RC_OK;

    *t = (struct told){.hash = HASH_START};
    pb_scan_begin(&s, (uint32_t)size);
    for (size_t at = 0; at < size && rc == RC_OK; at += piece) {
        rc = pb_scan_feed(&s, &ops, t, data + at, size - at < piece ? size - at : piece);
    }
    *over = pb_scan_is_over(&s);
    CHECK(rc == RC_OK || !*over);
    CHECK(!*over || (t->depth == 0 && !t->taking));
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t piece = size > 0 ? data[size - 1] % 16 + 1 : 1;
    struct told once;
    struct told often;
    bool over_once;
    bool over_often;

    enum rc a = feed(data, size, size + 1, &once, &over_once);
    enum rc b = feed(data, size, piece, &often, &over_often);
    CHECK(a == b && over_once == over_often && once.hash == often.hash);
    CHECK(a != RC_OK || over_once); /* of a message that ends where it says */
    return 0;
}
