/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS peers that misuse the protocol: nobody else on the worker suffers, and the loop rests when
 * there is nothing to do. Connections are real, over socket pairs; the test turns the worker's loop
 * and plays the peers, all in one thread.
 */
#include "core/net/conn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/sslerr.h>

#include "core/net/tls13.h"
#include "tests/certs/cert_fixture.h"

/* Records of a flood: small enough for a socket's buffer, far too many for one turn. */
#define FLOOD_RECORDS 2000

/* KeyUpdates that are no flood yet. */
#define KEY_UPDATES 100

/* Turns in which anything here that moves at all has come to rest. */
#define TURNS_MAX 1000

/* More than is read in one turn, and than a socket's small buffer takes. */
#define BULK_BYTES (320 * 1024)

/* The largest TLS record, and a little more: a burst may end with one. */
#define RECORD_BYTES (17 * 1024)

/* A connection of the worker, and its peer. */
struct link {
    struct worker *worker;
    struct conn *conn; /* NULL: it is dead */
    int fd;            /* the worker's end, borrowed */
    bool opened;
    uint8_t *got; /* owned; what the worker heard */
    size_t n_got;
    size_t charge; /* for each call of on_bytes() */
    enum end_reason why;
    char detail[128];
    SSL *peer;
    int peer_fd;
};

static unsigned n_events;

/* ---- the worker's side ---- */

static void on_open(struct conn *c)
{
    ((struct link *)conn_user(c))->opened = true;
}

static void on_bytes(struct conn *c, const uint8_t *data, size_t n)
{
    struct link *l = conn_user(c);

    l->got = realloc(l->got, l->n_got + n);
    assert_non_null(l->got);
    memcpy(l->got + l->n_got, data, n);
    l->n_got += n;
    conn_charge(l->conn, l->charge);
}

static void on_drained(struct conn *c)
{
    (void)c;
}

static void on_dead(struct conn *c, enum end_reason why)
{
    struct link *l = conn_user(c);

    l->conn = NULL;
    l->why = why;
    snprintf(l->detail, sizeof(l->detail), "%s", conn_detail(c));
}

static const struct conn_ops ops = {on_open, on_bytes, on_drained, on_dead};

static void count_events(struct ev_loop *loop)
{
    n_events += ev_pending_count(loop);
    ev_invoke_pending(loop);
}

static struct worker *start(void)
{
    struct worker *w;

    assert_int_equal(worker_new(0, &w), RC_OK);
    ev_set_invoke_pending_cb(w->loop, count_events);
    return w;
}

/* One turn; how many sockets and timers had something to say. */
static unsigned turn(struct worker *w)
{
    n_events = 0;
    ev_run(w->loop, EVRUN_NOWAIT);
    return n_events - 2; /* each turn has the events of the prepare phase and of its end */
}

/* Turn until nothing happens any more. False: it never comes to rest. */
static bool comes_to_rest(struct worker *w)
{
    for (int i = 0; i < TURNS_MAX; i++) {
        if (turn(w) == 0 && turn(w) == 0) {
            return true;
        }
    }
    return false;
}

static size_t waiting_bytes(const struct link *l)
{
    int n;

    assert_int_equal(ioctl(l->fd, FIONREAD, &n), 0);
    return (size_t)n;
}

/* ---- the peer's side ---- */

/* Connect and shake hands. send_buffer: bytes of the worker's socket, 0: as it comes. */
static void link_open(struct link *l, const struct cert_fixture *f, struct worker *w,
                      int send_buffer)
{
    static const struct client_opts tls13 = {.sni = "istiod.istio-system.svc",
                                             .min_version = TLS1_3_VERSION};
    const struct addr nobody = {.family = ADDR_NONE};
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    if (send_buffer > 0) {
        assert_int_equal(
            setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &send_buffer, sizeof(send_buffer)), 0);
    }
    *l = (struct link){.worker = w, .fd = fds[0], .peer_fd = fds[1]};
    SSL *ssl = cert_set_new_ssl(f->set);
    assert_int_equal(conn_accept(w, fds[0], &nobody, ssl, NULL, 0, 60, &ops, l, &l->conn), RC_OK);
    l->peer = cert_fixture_client(&tls13);
    assert_int_equal(SSL_set_fd(l->peer, fds[1]), 1);
    for (int i = 0; i < TURNS_MAX && !l->opened; i++) {
        (void)SSL_do_handshake(l->peer);
        turn(w);
    }
    assert_true(l->opened && SSL_is_init_finished(l->peer));
    assert_true((cert_fixture_on_secret == NULL) == (conn_ssl(l->conn) != NULL));
}

static void link_close(struct link *l)
{
    if (l->conn != NULL) {
        conn_kill(l->conn, END_DRAIN);
        turn(l->worker);
    }
    assert_null(l->conn);
    SSL_free(l->peer);
    close(l->peer_fd);
    free(l->got);
}

static void say(struct link *l, const char *text)
{
    assert_int_equal(SSL_write(l->peer, text, (int)strlen(text)), (int)strlen(text));
}

/* What the peer reads until the socket is empty. */
static size_t hear(struct link *l, uint8_t *buf, size_t size)
{
    size_t total = 0;
    int n;

    while ((n = SSL_read(l->peer, buf + total, (int)(size - total))) > 0) {
        total += (size_t)n;
    }
    assert_int_equal(SSL_get_error(l->peer, n), SSL_ERROR_WANT_READ);
    return total;
}

static void update_key(struct link *l)
{
    assert_int_equal(SSL_key_update(l->peer, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
    assert_int_equal(SSL_do_handshake(l->peer), 1);
}

static void request_key_update(struct link *l)
{
    assert_int_equal(SSL_key_update(l->peer, SSL_KEY_UPDATE_REQUESTED), 1);
    assert_int_equal(SSL_do_handshake(l->peer), 1);
}

static void say_one_byte(struct link *l)
{
    say(l, "x");
}

/* Make n records and send them all at once, so that they are all there when the loop looks. */
static void flood(struct link *l, void (*make_record)(struct link *), int n)
{
    BIO *out = BIO_new(BIO_s_mem());
    char *data;

    assert_non_null(out);
    BIO_up_ref(out);
    SSL_set0_wbio(l->peer, out);
    for (int i = 0; i < n; i++) {
        make_record(l);
    }
    long left = BIO_get_mem_data(out, &data);
    while (left > 0) {
        ssize_t done = send(l->peer_fd, data, (size_t)left, MSG_NOSIGNAL);
        assert_true(done > 0);
        data += done;
        left -= done;
    }
    BIO_free(out);
    SSL_set0_wbio(l->peer, BIO_new_socket(l->peer_fd, BIO_NOCLOSE));
}

static void assert_heard(const struct link *l, const char *text)
{
    assert_non_null(l->conn);
    assert_int_equal(l->n_got, strlen(text));
    assert_memory_equal(l->got, text, l->n_got);
}

/* ---- floods ---- */

/* Each turn takes a part of the flood and hears the other connection; in the end all was taken. */
static void check_shares_the_loop(const struct cert_fixture *f, void (*make_record)(struct link *),
                                  size_t bytes)
{
    struct worker *w = start();
    struct link bad;
    struct link good;
    link_open(&bad, f, w, 0);
    link_open(&good, f, w, 0);
    flood(&bad, make_record, FLOOD_RECORDS);
    say(&bad, "z");
    size_t turns = 0;

    for (; turns < TURNS_MAX && bad.n_got < bytes + 1; turns++) {
        say(&good, "y");
        turn(w);
        assert_int_equal(good.n_got, turns + 1);
    }

    assert_true(turns > 3);
    assert_int_equal(bad.n_got, bytes + 1);
    link_close(&bad);
    link_close(&good);
    worker_free(&w);
}

static void test_conn__flood_of_key_updates__ends_it_and_others_go_on(void **state)
{
    struct worker *w = start();
    struct link bad;
    struct link good;
    size_t turns = 0;
    link_open(&bad, *state, w, 0);
    link_open(&good, *state, w, 0);
    flood(&bad, update_key, FLOOD_RECORDS);

    for (; turns < TURNS_MAX && bad.conn != NULL; turns++) {
        say(&good, "y");
        turn(w);
        assert_int_equal(good.n_got, turns + 1);
    }

    assert_true(turns > 1);
    assert_int_equal(bad.why, END_FLOOD);
    assert_string_equal(bad.detail, "KeyUpdates");
    link_close(&bad);
    link_close(&good);
    worker_free(&w);
}

static void test_conn__flood_of_records_of_one_byte__others_go_on(void **state)
{
    check_shares_the_loop(*state, say_one_byte, FLOOD_RECORDS);
}

static void test_conn__bulk__no_more_than_a_burst_in_a_turn(void **state)
{
    struct worker *w = start();
    struct link l;
    const int buffer = 212992; /* what the kernel allows everybody; it takes twice as much */
    uint8_t *data = calloc(1, BULK_BYTES);
    size_t sent = 0;
    int n;
    link_open(&l, *state, w, 0);
    assert_int_equal(setsockopt(l.peer_fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer)), 0);
    while (sent < BULK_BYTES &&
           (n = SSL_write(l.peer, data + sent, (int)(BULK_BYTES - sent))) > 0) {
        sent += (size_t)n;
    }
    size_t before = waiting_bytes(&l);
    assert_true(before > WORKER_READ_BURST_BYTES + 2 * RECORD_BYTES); /* else nothing is shown */

    turn(w);
    size_t taken = before - waiting_bytes(&l);

    assert_true(taken > WORKER_READ_BURST_BYTES / 2 &&
                taken < WORKER_READ_BURST_BYTES + RECORD_BYTES);
    assert_true(comes_to_rest(w));
    assert_int_equal(l.n_got, sent);
    free(data);
    link_close(&l);
    worker_free(&w);
}

static void test_conn__what_came_is_dear__the_turn_ends_early(void **state)
{
    struct worker *w = start();
    struct link l;
    link_open(&l, *state, w, 0);
    l.charge = WORKER_READ_BURST_BYTES / 4;
    flood(&l, say_one_byte, FLOOD_RECORDS);

    turn(w);

    assert_int_equal(l.n_got, 4);
    l.charge = 0;
    assert_true(comes_to_rest(w));
    assert_int_equal(l.n_got, FLOOD_RECORDS);
    link_close(&l);
    worker_free(&w);
}

/* ---- a peer that does not read ---- */

static void test_conn__key_updates_requested_and_nothing_read__loop_rests(void **state)
{
    struct worker *w = start();
    struct link l;
    uint8_t buf[64];
    link_open(&l, *state, w, 4096);
    flood(&l, request_key_update, KEY_UPDATES);

    assert_true(comes_to_rest(w));
    assert_non_null(l.conn);
    say(&l, "still here");
    assert_true(comes_to_rest(w));

    assert_heard(&l, "still here");
    for (int i = 0; i < TURNS_MAX && comes_to_rest(w); i++) {
        assert_int_equal(hear(&l, buf, sizeof(buf)), 0); /* KeyUpdates only */
    }
    link_close(&l);
    worker_free(&w);
}

static void test_conn__key_updates_requested_for_ever_and_nothing_read__ends(void **state)
{
    struct worker *w = start();
    struct link l;
    link_open(&l, *state, w, 4096);

    for (int i = 0; i < TURNS_MAX && l.conn != NULL; i++) {
        flood(&l, request_key_update, FLOOD_RECORDS);
        assert_true(comes_to_rest(w));
    }

    assert_null(l.conn);
    assert_string_equal(end_label(l.why), "frame_flood");
    link_close(&l);
    worker_free(&w);
}

static void test_conn__key_update_requested_while_output_waits__all_arrives(void **state)
{
    struct worker *w = start();
    struct link l;
    uint8_t *data = malloc(BULK_BYTES);
    uint8_t *heard = malloc(BULK_BYTES + 1);
    size_t n = 0;
    for (size_t i = 0; i < BULK_BYTES; i++) {
        data[i] = (uint8_t)(i >> 8 ^ i);
    }
    link_open(&l, *state, w, 4096);
    conn_send(l.conn, data, BULK_BYTES);
    assert_true(conn_out_full(l.conn));

    request_key_update(&l);
    request_key_update(&l);
    say(&l, "more");
    assert_true(comes_to_rest(w));
    assert_heard(&l, "more"); /* what we cannot send does not keep us from reading */
    for (int i = 0; i < TURNS_MAX && n < BULK_BYTES; i++) {
        n += hear(&l, heard + n, BULK_BYTES + 1 - n);
        assert_true(comes_to_rest(w));
    }

    assert_int_equal(n, BULK_BYTES);
    assert_memory_equal(heard, data, BULK_BYTES);
    free(data);
    free(heard);
    link_close(&l);
    worker_free(&w);
}

/* ---- ends ---- */

static void test_conn__garbage_instead_of_a_record__io_error_with_openssls_reason(void **state)
{
    static const uint8_t garbage[] = {0x17, 3,   3,   0,   32,  'z', 'z', 'z', 'z', 'z',
                                      'z',  'z', 'z', 'z', 'z', 'z', 'z', 'z', 'z', 'z',
                                      'z',  'z', 'z', 'z', 'z', 'z', 'z', 'z', 'z', 'z',
                                      'z',  'z', 'z', 'z', 'z', 'z', 'z'};
    struct worker *w = start();
    struct link l;
    link_open(&l, *state, w, 0);

    assert_int_equal(send(l.peer_fd, garbage, sizeof(garbage), 0), sizeof(garbage));
    assert_true(comes_to_rest(w));

    assert_null(l.conn);
    assert_string_equal(end_label(l.why), "io_error");
    assert_string_equal(l.detail, ERR_reason_error_string(ERR_PACK(
                                      ERR_LIB_SSL, 0, SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC)));
    link_close(&l);
    worker_free(&w);
}

static void check_close_is_the_vms(const struct cert_fixture *f, bool close_notify)
{
    struct worker *w = start();
    struct link l;
    link_open(&l, f, w, 0);

    if (close_notify) {
        (void)SSL_shutdown(l.peer);
    }
    assert_int_equal(shutdown(l.peer_fd, SHUT_WR), 0);
    assert_true(comes_to_rest(w));

    assert_null(l.conn);
    assert_string_equal(end_label(l.why), "vm_closed");
    link_close(&l);
    worker_free(&w);
}

static void test_conn__peer_leaves__vm_closed(void **state)
{
    check_close_is_the_vms(*state, true);
    check_close_is_the_vms(*state, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conn__flood_of_key_updates__ends_it_and_others_go_on),
        cmocka_unit_test(test_conn__flood_of_records_of_one_byte__others_go_on),
        cmocka_unit_test(test_conn__bulk__no_more_than_a_burst_in_a_turn),
        cmocka_unit_test(test_conn__what_came_is_dear__the_turn_ends_early),
        cmocka_unit_test(test_conn__key_updates_requested_and_nothing_read__loop_rests),
        cmocka_unit_test(test_conn__key_update_requested_while_output_waits__all_arrives),
        cmocka_unit_test(test_conn__key_updates_requested_for_ever_and_nothing_read__ends),
        cmocka_unit_test(test_conn__garbage_instead_of_a_record__io_error_with_openssls_reason),
        cmocka_unit_test(test_conn__peer_leaves__vm_closed),
    };
    /* both kinds of records behave alike */
    cert_fixture_on_secret = tls13_on_keylog;
    int failed =
        cmocka_run_group_tests_name("ours", tests, cert_fixture_setup, cert_fixture_teardown);
    cert_fixture_on_secret = NULL;
    return failed + cmocka_run_group_tests_name("OpenSSL's", tests, cert_fixture_setup,
                                                cert_fixture_teardown);
}
