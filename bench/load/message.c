/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/load/message.h"

#include <string.h>

#include "core/base/check.h"

void message_pattern_init(struct message_pattern *p)
{
    for (size_t i = 0; i < sizeof(p->bytes); i++) {
        p->bytes[i] = (uint8_t)(i % MESSAGE_PERIOD);
    }
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Bytes of the pattern for the position `at` that are there in one piece. */
static const uint8_t *pattern_at(const struct message_pattern *p, uint32_t at, size_t *n)
{
    uint32_t offset = at % MESSAGE_PERIOD;
    *n = sizeof(p->bytes) - offset;
    return p->bytes + offset;
}

/* ---- sending ---- */

void outbox_init(struct outbox *o, const struct message_pattern *pattern)
{
    *o = (struct outbox){.pattern = pattern};
}

static struct message_run *run_at(struct outbox *o, uint32_t i)
{
    return &o->runs[(o->first + i) % OUTBOX_RUNS];
}

bool outbox_add(struct outbox *o, enum message_kind kind, uint32_t bytes)
{
    struct message_run *last = o->n_runs == 0 ? NULL : run_at(o, o->n_runs - 1);

    CHECK(bytes > 0 && bytes <= MESSAGE_MAX_BYTES);
    if (last != NULL && last->kind == kind && last->bytes == bytes && last->count < UINT32_MAX) {
        last->count++;
    } else if (o->n_runs < OUTBOX_RUNS) {
        o->n_runs++;
        *run_at(o, o->n_runs - 1) = (struct message_run){(uint8_t)kind, bytes, 1};
    } else {
        return false;
    }
    o->bytes += (uint64_t)bytes + MESSAGE_FRAMING_BYTES;
    return true;
}

void outbox_drop(struct outbox *o)
{
    struct message_run *first = run_at(o, 0);
    bool begun = o->n_runs > 0 && o->sent > 0;

    o->n_runs = begun ? 1 : 0;
    o->bytes = 0;
    if (begun) {
        first->count = 1;
        o->bytes = (uint64_t)first->bytes + MESSAGE_FRAMING_BYTES - o->sent;
    }
}

static size_t write_head(const struct message_run *run, uint32_t from, uint8_t *buf, size_t max)
{
    uint32_t n = run->bytes;
    const uint8_t head[MESSAGE_HEAD_BYTES] = {
        0, (uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n, run->kind};
    size_t wrote = least(max, MESSAGE_HEAD_BYTES - from);

    for (size_t i = 0; i < wrote; i++) {
        buf[i] = head[from + i];
    }
    return wrote;
}

static size_t write_body(const struct outbox *o, const struct message_run *run, uint8_t *buf,
                         size_t max)
{
    uint32_t at = o->sent - MESSAGE_FRAMING_BYTES;
    size_t there;
    const uint8_t *from = pattern_at(o->pattern, at, &there);
    size_t wrote = least(least(max, run->bytes - at), there);

    memcpy(buf, from, wrote);
    return wrote;
}

size_t outbox_read(struct outbox *o, uint8_t *buf, size_t max)
{
    size_t wrote = 0;

    while (wrote < max && o->n_runs > 0) {
        struct message_run *run = run_at(o, 0);
        size_t n = o->sent < MESSAGE_HEAD_BYTES ? write_head(run, o->sent, buf + wrote, max - wrote)
                                                : write_body(o, run, buf + wrote, max - wrote);
        wrote += n;
        o->sent += (uint32_t)n;
        if (o->sent == run->bytes + MESSAGE_FRAMING_BYTES) {
            o->sent = 0;
            if (--run->count == 0) {
                o->first = (o->first + 1) % OUTBOX_RUNS;
                o->n_runs--;
            }
        }
    }
    o->bytes -= wrote;
    return wrote;
}

/* ---- receiving ---- */

void inbox_init(struct inbox *in, const struct message_pattern *pattern)
{
    *in = (struct inbox){.pattern = pattern};
}

/* The framing and the kind, which may come in pieces. */
static enum inbox_result feed_head(struct inbox *in, uint8_t byte)
{
    in->head[in->n_head++] = byte;
    if (in->n_head != MESSAGE_FRAMING_BYTES) {
        return INBOX_MORE;
    }
    in->bytes = (uint32_t)in->head[1] << 24 | (uint32_t)in->head[2] << 16 |
                (uint32_t)in->head[3] << 8 | in->head[4];
    in->at = 1;
    return in->head[0] == 0 && in->bytes > 0 && in->bytes <= MESSAGE_MAX_BYTES ? INBOX_MORE
                                                                               : INBOX_WRONG;
}

static enum inbox_result feed_body(struct inbox *in, const uint8_t **data, size_t *n)
{
    while (in->at<in->bytes && * n> 0) {
        size_t there;
        const uint8_t *expected = pattern_at(in->pattern, in->at, &there);
        size_t took = least(least(*n, in->bytes - in->at), there);
        if (memcmp(*data, expected, took) != 0) {
            return INBOX_WRONG;
        }
        *data += took;
        *n -= took;
        in->at += (uint32_t)took;
    }
    if (in->at < in->bytes) {
        return INBOX_MORE;
    }
    in->n_head = 0;
    return INBOX_COMPLETE;
}

enum inbox_result inbox_feed(struct inbox *in, const uint8_t **data, size_t *n)
{
    while (in->n_head < MESSAGE_HEAD_BYTES) {
        if (*n == 0) {
            return INBOX_MORE;
        }
        if (feed_head(in, **data) == INBOX_WRONG) {
            return INBOX_WRONG;
        }
        ++*data;
        --*n;
    }
    return feed_body(in, data, n);
}
