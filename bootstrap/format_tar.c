/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A POSIX ustar archive. Written by hand: a handful of small regular files with short names need
 * one header of 512 bytes each, and a library for it would be larger than everything here.
 */
#include <stdio.h>
#include <string.h>

#include "bootstrap/formats_internal.h"

#define BLOCK 512

/** An archive is a multiple of this long: 20 blocks. */
#define RECORD (20 * BLOCK)

/* POSIX.1-2017, pax, "ustar Interchange Format". Numbers are octal text. */
struct header {
    char name[100];
    char mode[8];
    char uid[8];
    char gid[8];
    char size[12];
    char mtime[12];
    char checksum[8];
    char type;
    char link_name[100];
    char magic[6];
    char version[2];
    char user[32];
    char group[32];
    char device[16];
    char prefix[155];
    char padding[12];
};
_Static_assert(sizeof(struct header) == BLOCK, "a header is one block");

static void sign(struct header *h)
{
    const unsigned char *p = (const unsigned char *)h;
    unsigned sum = 0;

    memset(h->checksum, ' ', sizeof(h->checksum));
    for (size_t i = 0; i < sizeof(*h); i++) {
        sum += p[i];
    }
    /* Six digits, NUL, blank. */
    (void)snprintf(h->checksum, sizeof(h->checksum) - 1, "%06o", sum);
}

static void add_file(struct text *t, const struct bundle_file *f, int64_t now_s)
{
    struct header h = {.type = '0', .magic = "ustar", .version = {'0', '0'}};

    (void)snprintf(h.name, sizeof(h.name), "%s", f->name);
    (void)snprintf(h.mode, sizeof(h.mode), "%07o", (unsigned)f->mode & 07777U);
    (void)snprintf(h.uid, sizeof(h.uid), "%07o", 0U);
    (void)snprintf(h.gid, sizeof(h.gid), "%07o", 0U);
    (void)snprintf(h.size, sizeof(h.size), "%011llo", (unsigned long long)f->n & 077777777777ULL);
    (void)snprintf(h.mtime, sizeof(h.mtime), "%011llo",
                   (unsigned long long)now_s & 077777777777ULL);
    (void)snprintf(h.user, sizeof(h.user), "root");
    (void)snprintf(h.group, sizeof(h.group), "root");
    sign(&h);
    text_add(t, &h, sizeof(h));
    text_add(t, f->data, f->n);
    text_zeros(t, (BLOCK - f->n % BLOCK) % BLOCK);
}

void format_tar(const struct bundle *b, const struct format_opts *o, struct text *t)
{
    size_t start = t->n;

    for (size_t i = 0; i < b->n; i++) {
        add_file(t, &b->files[i], o->now_s);
    }
    text_zeros(t, 2 * BLOCK);
    text_zeros(t, (RECORD - (t->n - start) % RECORD) % RECORD);
}
