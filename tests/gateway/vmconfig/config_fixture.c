/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/gateway/vmconfig/config_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Of a value: a field that no type has first. */
#define VALUE_TEXT 200

void config_start(struct config_fixture *f, enum xds_variant variant, uint64_t budget)
{
    *f = (struct config_fixture){.variant = variant, .now_ms = 1000};
    assert_int_equal(config_store_new(&f->s), RC_OK);
    assert_int_equal(config_store_set_budget(f->s, budget), RC_OK);
    f->c = vm_config_new(f->s, true);
}

void config_stop(struct config_fixture *f)
{
    struct config_store_stats stats;

    vm_config_free(&f->c);
    assert_int_equal(config_store_set_budget(f->s, 0), RC_OK);
    config_store_stats(f->s, &stats);
    assert_int_equal(stats.bytes, 0);
    assert_int_equal(stats.blobs, 0);
    assert_int_equal(stats.vms, 0);
    config_store_free(&f->s);
}

/* ---- messages ---- */

/* The next word, in buf; false: there is none. *words moves on. */
static bool next_word(const char **words, char *buf, size_t room)
{
    const char *at = *words + strspn(*words, " ");
    size_t n = strcspn(at, " ");

    assert_true(n < room);
    memcpy(buf, at, n);
    buf[n] = '\0';
    *words = at + n;
    return n > 0;
}

/* What stands behind the mark, which is cut off. */
static const char *behind(char *word, char mark)
{
    char *at = strchr(word, mark);

    if (at == NULL) {
        return "";
    }
    *at = '\0';
    return at + 1;
}

static void put_any(struct pb_out *o, uint32_t number, enum xds_type type, const char *name,
                    const char *text)
{
    struct pb_out any = {0};
    struct pb_out value = {0};

    if (type != XDS_NDS) {
        pb_text(&value, 1, name);
    }
    pb_text(&value, VALUE_TEXT, text);
    pb_text(&any, 1, xds_type_url(type));
    pb_message(&any, 2, &value);
    pb_message(o, number, &any);
}

static void put_resource(struct pb_out *o, enum xds_variant variant, enum xds_type type, char *word)
{
    struct pb_out resource = {0};
    const char *text = behind(word, '=');

    if (variant == XDS_SOTW) {
        put_any(o, 2, type, word, text);
        return;
    }
    put_any(&resource, 2, type, word, text);
    pb_text(&resource, 3, word);
    pb_message(o, 2, &resource);
}

void config_response(struct pb_out *o, enum xds_variant variant, enum xds_type type,
                     const char *version, const char *nonce, const char *words)
{
    const char *at = words;
    char word[1024];

    pb_text(o, 1, version);
    while (next_word(&at, word, sizeof(word))) {
        if (word[0] != '-') {
            put_resource(o, variant, type, word);
        }
    }
    pb_text(o, 4, xds_type_url(type));
    pb_text(o, 5, nonce);
    for (at = words; next_word(&at, word, sizeof(word));) {
        if (word[0] == '-') {
            assert_int_equal(variant, XDS_DELTA);
            pb_text(o, 6, word + 1);
        }
    }
}

/* ---- responses ---- */

struct taking {
    struct config_store *s;
    enum xds_variant variant;
    struct config_intake *i;
    struct config_push **push;
    enum config_loss *why;
    enum config_taken taken;
};

static void on_begin(void *arg, uint32_t bytes)
{
    struct taking *t = arg;

    t->i = config_intake_new(t->s, t->variant, bytes);
    assert_non_null(t->i);
}

static void on_payload(void *arg, const uint8_t *data, size_t n)
{
    config_intake_feed(((struct taking *)arg)->i, data, n);
}

static void on_response(void *arg, const struct xds_response *r)
{
    struct taking *t = arg;

    t->taken = config_intake_end(&t->i, r, t->push, t->why);
    assert_null(t->i);
}

static void on_unread(void *arg, bool compressed, uint64_t bytes)
{
    struct taking *t = arg;

    (void)compressed, (void)bytes;
    config_intake_free(&t->i);
    t->taken = CONFIG_LOST;
    *t->why = CONFIG_LOSS_UNREADABLE;
}

enum config_taken config_take_in(struct config_store *s, enum xds_variant variant,
                                 const struct pb_out *message, size_t piece,
                                 struct config_push **push, enum config_loss *why)
{
    static const struct xds_response_ops ops = {on_response, on_unread, on_begin, on_payload};
    struct taking t = {.s = s, .variant = variant, .push = push, .why = why};
    struct xds_response_scan scan;
    struct pb_out frame = {0};

    t.taken = CONFIG_LOST;
    *why = CONFIG_LOSSES;
    pb_frame(&frame, 0, message->data, message->n);
    xds_response_init(&scan, variant);
    for (size_t at = 0; at < frame.n; at += piece) {
        size_t n = frame.n - at < piece ? frame.n - at : piece;
        uint8_t *copy = malloc(n); /* a read behind its end is seen by the sanitizer */
        assert_non_null(copy);
        memcpy(copy, frame.data + at, n);
        xds_response_feed(&scan, &ops, &t, copy, n);
        free(copy);
    }
    pb_free(&frame);
    return t.taken;
}

void config_push(struct config_fixture *f, enum xds_type type, const char *nonce, const char *words)
{
    struct pb_out o = {0};
    struct config_push *push = NULL;
    enum config_loss why;
    char version[64];

    snprintf(version, sizeof(version), "v%s", nonce);
    config_response(&o, f->variant, type, version, nonce, words);
    enum config_taken taken = config_take_in(f->s, f->variant, &o, o.n + 5, &push, &why);
    if (taken == CONFIG_TAKEN) {
        vm_config_push(f->c, &push);
        assert_null(push);
    } else if (taken == CONFIG_LOST) {
        vm_config_lose(f->c, type, why);
    }
    pb_free(&o);
}

/* ---- requests ---- */

static void put_words(struct pb_out *o, enum xds_variant variant, const char *words)
{
    char word[1024];

    while (next_word(&words, word, sizeof(word))) {
        if (word[0] == '?') {
            const char *version = behind(word, '@');
            struct pb_out entry = {0};
            pb_text(&entry, 1, word + 1);
            pb_text(&entry, 2, version);
            pb_message(o, 5, &entry);
        } else if (word[0] == '-') {
            pb_text(o, 4, word + 1);
        } else {
            pb_text(o, 3, word); /* in both */
        }
        assert_true(variant == XDS_DELTA || strchr("?-", word[0]) == NULL);
    }
}

static void send_request(struct config_fixture *f, const struct pb_out *o)
{
    const struct xds_piece piece = {o->data, o->n};
    struct xds_request q;
    struct vm_config_request request = {
        .variant = f->variant, .request = &q, .message = o->data, .n = o->n};

    assert_int_equal(xds_request_read(f->variant, &piece, 1, &q), RC_OK);
    f->now_ms++;
    vm_config_request(f->c, &request, f->now_ms);
}

void config_ask(struct config_fixture *f, enum xds_type type, const char *nonce,
                const char *version, const char *words)
{
    struct pb_out o = {0};

    if (f->variant == XDS_SOTW) {
        pb_text(&o, 1, version);
    }
    put_words(&o, f->variant, words);
    pb_text(&o, f->variant == XDS_SOTW ? 4 : 2, xds_type_url(type));
    pb_text(&o, f->variant == XDS_SOTW ? 5 : 6, nonce);
    send_request(f, &o);
    pb_free(&o);
}

void config_ack(struct config_fixture *f, enum xds_type type, const char *nonce, const char *words)
{
    config_ask(f, type, nonce, "v", words);
}

void config_nack(struct config_fixture *f, enum xds_type type, const char *nonce)
{
    struct pb_out status = {0};
    struct pb_out o = {0};

    pb_text(&status, 2, "no");
    pb_text(&o, f->variant == XDS_SOTW ? 4 : 2, xds_type_url(type));
    pb_text(&o, f->variant == XDS_SOTW ? 5 : 6, nonce);
    pb_message(&o, f->variant == XDS_SOTW ? 6 : 7, &status);
    send_request(f, &o);
    pb_free(&o);
}

void config_reconnect(struct config_fixture *f)
{
    vm_config_stream(&f->c, false, false); /* the old one is over */
    vm_config_stream(&f->c, true, false);
}

/* ---- readers ---- */

const struct vm_config_type_view *config_view(struct config_fixture *f, struct vm_config_view *v,
                                              enum xds_type type)
{
    vm_config_take(f->c, true, v);
    return &v->types[type];
}

/* The text of a value that put_any() has made: behind its tag and length, at the end. */
static void write_text(char *to, size_t room, const struct vm_config_resource *r)
{
    size_t at = 0;

    if (r->n_value > 0 && r->value[0] == 0x0a) {
        at = 2 + (size_t)r->value[1];
    }
    at += 3; /* a tag of two bytes, and the length */
    assert_true(at <= r->n_value && r->value[at - 1] == r->n_value - at);
    (void)snprintf(to, room, "%.*s", (int)(r->n_value - at), (const char *)r->value + at);
}

static void add(struct config_fixture *f, size_t *n, const char *mark, const char *name,
                const struct vm_config_resource *before, const struct vm_config_resource *after)
{
    char text[2][256] = {"", ""};
    const char *arrow = before != NULL && after != NULL ? ">" : "";

    if (before != NULL) {
        write_text(text[0], sizeof(text[0]), before);
    }
    if (after != NULL) {
        write_text(text[1], sizeof(text[1]), after);
    }
    *n += (size_t)snprintf(f->text + *n, sizeof(f->text) - *n, "%s%s%s=%s%s%s", *n > 0 ? " " : "",
                           mark, name, text[0], arrow, text[1]);
    assert_true(*n < sizeof(f->text));
}

const char *config_shown(struct config_fixture *f, enum xds_type type)
{
    struct vm_config_view v;
    const struct vm_config_type_view *t = config_view(f, &v, type);
    size_t n = 0;

    f->text[0] = '\0';
    if (t->state != VM_CONFIG_KEPT) {
        assert_int_equal(t->n_resources, 0);
        snprintf(f->text, sizeof(f->text), "%s", vm_config_state_name(t->state));
    }
    for (size_t i = 0; i < t->n_resources; i++) {
        struct vm_config_resource r;
        vm_config_view_resource(t, i, &r);
        add(f, &n, "", r.name, NULL, &r);
    }
    vm_config_view_fini(&v);
    return f->text;
}

const char *config_changed(struct config_fixture *f, enum xds_type type)
{
    static const char *const marks[] = {
        [VM_CONFIG_ADDED] = "+", [VM_CONFIG_CHANGED] = "~", [VM_CONFIG_REMOVED] = "-"};
    struct vm_config_view v;
    const struct vm_config_type_view *t = config_view(f, &v, type);
    size_t n = 0;

    f->text[0] = '\0';
    for (size_t i = 0; i < t->n_changes; i++) {
        struct vm_config_change c;
        vm_config_view_change(t, i, &c);
        add(f, &n, marks[c.what], c.name, c.what != VM_CONFIG_ADDED ? &c.before : NULL,
            c.what != VM_CONFIG_REMOVED ? &c.after : NULL);
    }
    vm_config_view_fini(&v);
    return f->text;
}
