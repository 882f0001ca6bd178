/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Agents send each label twice, in LABELS and in STATIC_LABELS; it is kept once. The two may
 * disagree about a value, then both are kept, because istiod reads either of them
 * (SetWorkloadLabels of pilot/pkg/model/context.go).
 */
#include <stdio.h>
#include <string.h>

#include "core/base/utf8.h"
#include "xds/xds_internal.h"

/** Labels that are compared with all that are there; a message has room for a million. */
#define READ_MAX (16 * XDS_NODE_LABELS)

void xds_labels_init(struct xds_labels *s)
{
    s->n = 0;
    s->n_kept = 0;
    s->n_read = 0;
    s->cut = false;
    s->odd = false;
    s->new_cut = false;
    s->new_odd = false;
}

/* Where the next text goes. */
static uint16_t end_of_texts(const struct xds_labels *s)
{
    if (s->n == 0) {
        return 0;
    }
    const struct xds_label *last = &s->label[s->n - 1];
    return (uint16_t)(last->at + last->n + 1);
}

static bool has_same_key(const struct xds_labels *s, const struct xds_label *a,
                         const struct xds_label *b)
{
    return a->n_key == b->n_key && memcmp(s->text + a->at, s->text + b->at, a->n_key) == 0;
}

static bool is_same(const struct xds_labels *s, const struct xds_label *a,
                    const struct xds_label *b)
{
    return a->n == b->n && memcmp(s->text + a->at, s->text + b->at, a->n) == 0;
}

/* The new map has this label, too: marks the one there is. False: there is none. */
static bool mark_same(struct xds_labels *s, const struct xds_label *l)
{
    bool found = false;

    for (uint32_t i = 0; i < s->n; i++) {
        struct xds_label *other = &s->label[i];
        if (has_same_key(s, other, l)) {
            s->new_odd |= other->is_new; /* a key twice in one map */
            bool same = is_same(s, other, l);
            other->is_new |= same;
            found |= same;
        }
    }
    return found;
}

/* "KEY=VALUE" behind the texts that are there; always with the "=". False: the key is too long. */
static bool write_label(struct xds_labels *s, const char *key, const char *value,
                        struct xds_label *out)
{
    uint16_t at = end_of_texts(s);
    int n = snprintf(s->text + at, XDS_LABEL_BYTES, "%s=%s", key, value);
    size_t n_key = strlen(key);

    if (n_key + 1 >= XDS_LABEL_BYTES) {
        s->new_cut = true;
        return false;
    }
    if (n >= XDS_LABEL_BYTES) {
        n = (int)utf8_whole_bytes(s->text + at, XDS_LABEL_BYTES - 1);
        s->text[at + n] = '\0';
        s->new_cut = true;
    }
    *out = (struct xds_label){.at = at, .n = (uint16_t)n, .n_key = (uint16_t)n_key, .is_new = true};
    return true;
}

void xds_labels_add(struct xds_labels *s, const char *key, const char *value)
{
    struct xds_label l;

    if (strchr(key, '=') != NULL) {
        s->new_odd = true; /* "a=b" is "c", or "a" is "b=c" */
        return;
    }
    if (s->n_read == READ_MAX) {
        s->new_cut = true;
        return;
    }
    s->n_read++;
    if (!write_label(s, key, value, &l) || mark_same(s, &l)) {
        return;
    }
    if (s->n == XDS_NODE_LABELS || l.at + l.n + 1 > XDS_LABELS_BYTES) {
        s->new_cut = true;
        return;
    }
    s->label[s->n++] = l;
}

/* Is there a label of the map `from` with this key and another value? */
static bool is_disputed(const struct xds_labels *s, const struct xds_label *l, unsigned from)
{
    for (uint32_t i = 0; i < s->n; i++) {
        const struct xds_label *other = &s->label[i];
        if (other != l && (other->from & from) != 0 && has_same_key(s, other, l)) {
            return true;
        }
    }
    return false;
}

/* The new map ends, and with it what was found in it. */
static void end_map(struct xds_labels *s)
{
    for (uint32_t i = 0; i < s->n; i++) {
        s->label[i].is_new = false;
    }
    s->new_cut = false;
    s->new_odd = false;
}

void xds_labels_keep(struct xds_labels *s, unsigned from)
{
    for (uint32_t i = 0; i < s->n; i++) {
        struct xds_label *l = &s->label[i];
        if (l->is_new) {
            s->odd |= is_disputed(s, l, from);
            l->from = (uint8_t)(l->from | from);
        }
    }
    s->cut |= s->new_cut;
    s->odd |= s->new_odd;
    s->n_kept = s->n;
    end_map(s);
}

void xds_labels_drop(struct xds_labels *s)
{
    s->n = s->n_kept;
    end_map(s);
}

bool xds_labels_pack(const struct xds_labels *s, char *to, size_t room, uint32_t *n,
                     uint32_t *n_bytes)
{
    size_t at = 0;

    *n = 0;
    for (int turn = 0; turn < 2; turn++) {
        for (uint32_t i = 0; i < s->n_kept; i++) {
            const struct xds_label *l = &s->label[i];
            bool is_turn = ((l->from & XDS_OF_LABELS) != 0) == (turn == 0);
            if (is_turn && at + l->n + 1U <= room) {
                memcpy(to + at, s->text + l->at, l->n + 1U);
                at += l->n + 1U;
                (*n)++;
            }
        }
    }
    *n_bytes = (uint32_t)at;
    return *n == s->n_kept;
}
