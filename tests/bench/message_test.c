/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/load/message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bench/load/inbox.h"
#include "xds/xds_request.h"
#include "xds/xds_response.h"

/** Longer than the pattern, so that it begins again inside of a message. */
#define LONG_BYTES (MESSAGE_PATTERN_BYTES * 2 + 1000)

#define VM 62501 /* 127.17.0.2 */
#define SOME_NONCE 0x1234u
#define NODE_BYTES 5000

static struct message_home *home;
static uint32_t nonces;

static const struct message first = {.kind = MESSAGE_FIRST, .type = MESSAGE_CDS};
static const struct message endpoints = {.kind = MESSAGE_SUBSCRIBE, .type = MESSAGE_EDS};
static const struct message listeners = {.kind = MESSAGE_SUBSCRIBE, .type = MESSAGE_LDS};
static const struct message ack = {.kind = MESSAGE_ACK, .type = MESSAGE_CDS, .nonce = SOME_NONCE};
static const struct message echo = {
    .kind = MESSAGE_ECHO, .type = MESSAGE_EDS, .nonce = SOME_NONCE, .bytes = 200};

static int setup(void **state)
{
    (void)state;
    home = malloc(sizeof(*home));
    message_home_init(home, NODE_BYTES);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(home);
    return 0;
}

static struct message push_of(uint32_t bytes)
{
    return (struct message){.kind = MESSAGE_PUSH, .type = MESSAGE_CDS, .bytes = bytes};
}

static void of_vm(struct outbox *o)
{
    outbox_init(o, home, VM, NULL);
}

static void of_backend(struct outbox *o)
{
    nonces = 0;
    outbox_init(o, home, 0, &nonces);
}

/* Everything that o has to say, read in steps. Owned by the caller. */
static uint8_t *read_all(struct outbox *o, size_t step, size_t *n)
{
    size_t total = (size_t)o->bytes;
    uint8_t *out = malloc(total + step);

    *n = 0;
    for (size_t got = 1; got > 0; *n += got) {
        got = outbox_read(o, out + *n, step);
    }
    assert_int_equal(*n, total);
    assert_int_equal(o->bytes, 0);
    return out;
}

/* One message, with its framing. Owned by the caller. */
static uint8_t *make(const struct message *m, bool is_request, size_t *n)
{
    struct outbox o;

    is_request ? of_vm(&o) : of_backend(&o);
    assert_true(outbox_add(&o, m));
    return read_all(&o, 16384, n);
}

/* ---- what the daemon makes of them ---- */

static void read_request(const struct message *m, struct xds_request *out)
{
    size_t n;
    uint8_t *bytes = make(m, true, &n);
    const struct xds_piece piece = {bytes + MESSAGE_FRAMING_BYTES, n - MESSAGE_FRAMING_BYTES};

    assert_int_equal(xds_request_read(XDS_DELTA, &piece, 1, out), RC_OK);
    assert_false(out->odd);
    free(bytes);
}

static void test_requests__read_by_the_daemon__are_what_they_say(void **state)
{
    char nonce[MESSAGE_TEXT_BYTES];
    struct xds_request q;

    (void)state;
    read_request(&first, &q);
    assert_int_equal(q.type, XDS_CDS);
    assert_string_equal(q.nonce, "");
    assert_string_equal(q.node->text[XDS_NODE_ID],
                        "sidecar~127.17.0.2~vm-62501.vms~vms.svc.cluster.local");
    assert_string_equal(q.node->text[XDS_NODE_INSTANCE_IPS], "127.17.0.2");
    assert_string_equal(q.node->text[XDS_NODE_NAMESPACE], "vms");
    assert_string_equal(q.node->text[XDS_NODE_SERVICE_ACCOUNT], "vm");
    assert_string_equal(q.node->text[XDS_NODE_NETWORK], "vm-net");
    assert_string_equal(q.node->text[XDS_NODE_LOCALITY], "eu-central-1/eu-central-1b/rack-17");
    assert_string_equal(xds_node_label(q.node, "version"), "v2");
    assert_int_equal(q.node->n_labels, 10);
    assert_true(q.node->has_proxy_config);
    assert_false(q.node->cut || q.node->odd);
    free(q.node);

    read_request(&endpoints, &q);
    assert_int_equal(q.type, XDS_EDS);
    assert_int_equal(q.n_subscribe, 60);
    assert_null(q.node);
    read_request(&listeners, &q);
    assert_int_equal(q.type, XDS_LDS);
    assert_int_equal(q.n_subscribe, 0);
    read_request(&echo, &q);
    assert_int_equal(q.n_subscribe, 2);
    read_request(&ack, &q);
    assert_int_equal(q.n_subscribe, 0);
    assert_string_equal(q.nonce, message_nonce_text(SOME_NONCE, nonce));
    assert_true(strlen(q.nonce) >= 60);
}

struct seen {
    unsigned n;
    struct xds_response last;
    char nonce[XDS_NONCE_BYTES];
};

static void on_response(void *arg, const struct xds_response *r)
{
    struct seen *s = arg;

    s->n++;
    s->last = *r;
    memcpy(s->nonce, r->nonce, strlen(r->nonce) + 1);
}

static void on_unread(void *arg, bool compressed, uint64_t bytes)
{
    (void)arg;
    (void)compressed;
    (void)bytes;
    fail();
}

static void test_response__read_by_the_daemon__has_resources_type_and_nonce(void **state)
{
    static const struct xds_response_ops ops = {.on_response = on_response, .on_unread = on_unread};
    struct xds_response_scan scan;
    struct seen seen = {.n = 0};
    char nonce[MESSAGE_TEXT_BYTES];
    struct message m = push_of(100000);
    size_t n;
    uint8_t *bytes = make(&m, false, &n);

    (void)state;
    xds_response_init(&scan, XDS_DELTA);
    xds_response_feed(&scan, &ops, &seen, bytes, n);

    assert_int_equal(seen.n, 1);
    assert_int_equal(seen.last.type, XDS_CDS);
    assert_int_equal(seen.last.bytes, 100000);
    assert_int_equal(seen.last.n_resources, 67);
    assert_int_equal(seen.last.n_removed, 0);
    assert_string_equal(seen.nonce, message_nonce_text(nonces | MESSAGE_NONCE_PUSH, nonce));
    free(bytes);
}

/* ---- the Node ---- */

static void test_node__of_a_length__is_nearly_as_long_and_the_same_again(void **state)
{
    static uint8_t node[NODE_BYTES_MAX];
    static uint8_t again[NODE_BYTES_MAX];
    uint32_t whose;

    (void)state;
    for (size_t bytes = NODE_BYTES_MIN; bytes <= NODE_BYTES_MAX; bytes += 347) {
        size_t n = node_write(VM, bytes, node);
        assert_in_range(n, bytes - 150, bytes);
        assert_int_equal(node_write(VM, n, again), n);
        assert_memory_equal(node, again, n);
        assert_true(node_whose(node, &whose));
        assert_int_equal(whose, VM);
    }
    node[3] ^= 1;
    assert_false(node_whose(node, &whose));
}

static void test_node__any_vm__is_known_again(void **state)
{
    static const uint32_t vms[] = {0, 1, 249, 250, 62499, 62500, 999999};
    static uint8_t node[NODE_BYTES_MAX];
    uint32_t whose;

    (void)state;
    for (size_t i = 0; i < sizeof(vms) / sizeof(vms[0]); i++) {
        (void)node_write(vms[i], NODE_BYTES_MIN, node);
        assert_true(node_whose(node, &whose));
        assert_int_equal(whose, vms[i]);
    }
}

/* ---- the outbox ---- */

static void test_outbox__sizes__are_as_wanted(void **state)
{
    (void)state;
    for (uint32_t bytes = MESSAGE_MIN_BYTES; bytes < 5000; bytes++) {
        struct message m = push_of(bytes);
        struct inbox in;
        size_t n;
        uint8_t *made = make(&m, false, &n);
        const uint8_t *data = made;

        assert_int_equal(n, bytes + MESSAGE_FRAMING_BYTES);
        inbox_init(&in, home, false);
        assert_int_equal(inbox_feed(&in, &data, &n), INBOX_COMPLETE);
        assert_int_equal(in.message.bytes, bytes);
        assert_int_equal(in.message.kind, MESSAGE_PUSH);
        free(made);
    }
}

static void test_outbox__read_in_any_steps__is_the_same(void **state)
{
    const struct message all[] = {first, endpoints, listeners, ack, echo, ack};
    const size_t n_all = sizeof(all) / sizeof(all[0]);

    (void)state;
    for (size_t step = 1; step < 400; step += step < 70 ? 1 : 37) {
        struct outbox o;
        struct inbox in;
        size_t n;

        of_vm(&o);
        for (size_t i = 0; i < n_all; i++) {
            assert_true(outbox_add(&o, &all[i]));
        }
        uint8_t *bytes = read_all(&o, step, &n);

        const uint8_t *data = bytes;
        inbox_init(&in, home, true);
        for (size_t i = 0; i < n_all; i++) {
            assert_int_equal(inbox_feed(&in, &data, &n), INBOX_COMPLETE);
            assert_int_equal(in.message.kind, all[i].kind);
            assert_int_equal(in.message.type, all[i].type);
            assert_int_equal(in.message.nonce, all[i].nonce);
        }
        assert_int_equal(inbox_feed(&in, &data, &n), INBOX_MORE);
        assert_int_equal(n, 0);
        free(bytes);
    }
}

static void test_outbox__responses__have_a_nonce_each_that_says_which_are_pushes(void **state)
{
    const struct message hello = {.kind = MESSAGE_HELLO, .type = MESSAGE_LDS, .bytes = 200};
    const struct message push = push_of(300);
    struct outbox o;
    struct inbox in;
    size_t n;

    (void)state;
    of_backend(&o);
    assert_true(outbox_add(&o, &push));
    assert_true(outbox_add(&o, &push));
    assert_true(outbox_add(&o, &hello));
    assert_int_equal(o.n_runs, 2);
    uint8_t *bytes = read_all(&o, 100, &n);

    const uint8_t *data = bytes;
    inbox_init(&in, home, false);
    for (uint32_t i = 1; i <= 3; i++) {
        assert_int_equal(inbox_feed(&in, &data, &n), INBOX_COMPLETE);
        assert_int_equal(in.message.nonce, 2 * i + (i < 3 ? MESSAGE_NONCE_PUSH : 0));
    }
    assert_int_equal(in.message.kind, MESSAGE_HELLO);
    assert_int_equal(in.message.type, MESSAGE_LDS);
    free(bytes);
}

static void test_outbox__too_many_different__says_so_and_keeps_the_rest(void **state)
{
    const uint32_t last = MESSAGE_MIN_BYTES + OUTBOX_RUNS - 1;
    struct message m;
    struct outbox o;

    (void)state;
    of_backend(&o);
    for (uint32_t i = MESSAGE_MIN_BYTES; i <= last; i++) {
        m = push_of(i);
        assert_true(outbox_add(&o, &m));
    }
    uint64_t bytes = o.bytes;

    m = push_of(MESSAGE_MIN_BYTES);
    assert_false(outbox_add(&o, &m));
    m = push_of(last);
    assert_true(outbox_add(&o, &m));

    assert_int_equal(o.bytes, bytes + last + MESSAGE_FRAMING_BYTES);
}

static void test_outbox__dropped__ends_with_the_message_that_has_begun(void **state)
{
    const struct message a = push_of(200);
    const struct message b = push_of(300);
    const size_t whole = 200 + MESSAGE_FRAMING_BYTES;
    uint8_t bytes[1024];

    (void)state;
    for (size_t read = 0; read <= 2 * whole; read++) {
        struct outbox o;
        of_backend(&o);
        assert_true(outbox_add(&o, &a));
        assert_true(outbox_add(&o, &a));
        assert_true(outbox_add(&o, &b));
        assert_int_equal(outbox_read(&o, bytes, read), read);

        outbox_drop(&o);

        size_t left = (whole - read % whole) % whole;
        assert_int_equal(o.bytes, left);
        assert_int_equal(outbox_read(&o, bytes, sizeof(bytes)), left);
        assert_int_equal(outbox_read(&o, bytes, sizeof(bytes)), 0);
    }
}

/* ---- the inbox ---- */

static void check_cuts(const struct message *m, bool is_request)
{
    size_t n;
    uint8_t *bytes = make(m, is_request, &n);

    for (size_t cut = 0; cut < n; cut++) {
        struct inbox in;
        const uint8_t *data = bytes;
        size_t before = cut;
        size_t after = n - cut;

        inbox_init(&in, home, is_request);
        assert_int_equal(inbox_feed(&in, &data, &before), INBOX_MORE);
        assert_int_equal(inbox_feed(&in, &data, &after), INBOX_COMPLETE);
        assert_int_equal(after, 0);
        assert_int_equal(in.message.kind, m->kind);
    }
    free(bytes);
}

static void test_inbox__cut_anywhere__is_complete_with_the_last_byte(void **state)
{
    const struct message push = push_of(3300);

    (void)state;
    check_cuts(&first, true);
    check_cuts(&endpoints, true);
    check_cuts(&echo, true);
    check_cuts(&push, false);
}

static void test_inbox__long_message__passes_the_end_of_the_pattern(void **state)
{
    const struct message m = push_of(LONG_BYTES);
    size_t n;
    uint8_t *bytes = make(&m, false, &n);
    const uint8_t *data = bytes;
    struct inbox in;

    (void)state;
    inbox_init(&in, home, false);
    assert_int_equal(inbox_feed(&in, &data, &n), INBOX_COMPLETE);
    assert_int_equal(in.message.bytes, LONG_BYTES);
    free(bytes);
}

/* Each byte changed, left out, and there twice; the length stays. */
static void check_damage(const struct message *m, bool is_request)
{
    size_t n;
    uint8_t *bytes = make(m, is_request, &n);
    uint8_t *bad = malloc(n);

    for (size_t at = MESSAGE_FRAMING_BYTES; at < n - 1; at++) {
        for (unsigned how = 0; how < 3; how++) {
            struct inbox in;
            const uint8_t *data = bad;
            size_t left = n;

            memcpy(bad, bytes, n);
            if (how == 0) {
                bad[at] ^= 1;
            } else if (how == 1) {
                memmove(bad + at, bytes + at + 1, n - at - 1);
            } else {
                memmove(bad + at + 1, bytes + at, n - at - 1);
            }
            if (memcmp(bad, bytes, n) == 0) {
                continue; /* the same byte again */
            }
            inbox_init(&in, home, is_request);
            assert_int_equal(inbox_feed(&in, &data, &left), INBOX_WRONG);
        }
    }
    free(bad);
    free(bytes);
}

static void test_inbox__one_byte_wrong_missing_or_twice__is_noticed(void **state)
{
    const struct message push = push_of(3300);

    (void)state;
    check_damage(&first, true);
    check_damage(&endpoints, true);
    check_damage(&ack, true);
    check_damage(&echo, true);
    check_damage(&push, false);
}

static void test_inbox__message_of_the_other_side__is_wrong(void **state)
{
    const struct message push = push_of(300);

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        size_t n;
        uint8_t *bytes = i == 0 ? make(&push, false, &n) : make(&ack, true, &n);
        const uint8_t *data = bytes;
        struct inbox in;

        inbox_init(&in, home, i == 0);
        assert_int_equal(inbox_feed(&in, &data, &n), INBOX_WRONG);
        free(bytes);
    }
}

static void test_inbox__bad_framing__is_wrong(void **state)
{
    static const uint8_t heads[][MESSAGE_FRAMING_BYTES] = {
        {1, 0, 0, 0, 200}, {0, 0, 0, 0, 0}, {0, 0x40, 0, 0, 1}};

    (void)state;
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        struct inbox in;
        const uint8_t *data = heads[i];
        size_t n = MESSAGE_FRAMING_BYTES;

        inbox_init(&in, home, false);
        assert_int_equal(inbox_feed(&in, &data, &n), INBOX_WRONG);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests__read_by_the_daemon__are_what_they_say),
        cmocka_unit_test(test_response__read_by_the_daemon__has_resources_type_and_nonce),
        cmocka_unit_test(test_node__of_a_length__is_nearly_as_long_and_the_same_again),
        cmocka_unit_test(test_node__any_vm__is_known_again),
        cmocka_unit_test(test_outbox__sizes__are_as_wanted),
        cmocka_unit_test(test_outbox__read_in_any_steps__is_the_same),
        cmocka_unit_test(test_outbox__responses__have_a_nonce_each_that_says_which_are_pushes),
        cmocka_unit_test(test_outbox__too_many_different__says_so_and_keeps_the_rest),
        cmocka_unit_test(test_outbox__dropped__ends_with_the_message_that_has_begun),
        cmocka_unit_test(test_inbox__cut_anywhere__is_complete_with_the_last_byte),
        cmocka_unit_test(test_inbox__long_message__passes_the_end_of_the_pattern),
        cmocka_unit_test(test_inbox__one_byte_wrong_missing_or_twice__is_noticed),
        cmocka_unit_test(test_inbox__message_of_the_other_side__is_wrong),
        cmocka_unit_test(test_inbox__bad_framing__is_wrong),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
