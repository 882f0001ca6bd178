/* SPDX-License-Identifier: Apache-2.0 */
/* The backend of the bench, driven by commands (bench/load/README.md). */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/backend/server.h"
#include "bench/load/answer.h"
#include "bench/load/program.h"
#include "bench/load/tls.h"
#include "core/net/sock.h"

enum { OPT_CERT, OPT_KEY, OPT_LISTEN, OPT_MAX_STREAMS, OPT_MAX_RESETS, N_OPTS };

/* More streams may be reset than anybody opens. */
#define RESETS_UNLIMITED 1000000000u

static const struct option options[] = {
    {"cert", required_argument, NULL, 0},       {"key", required_argument, NULL, 0},
    {"listen", required_argument, NULL, 0},     {"max-streams", required_argument, NULL, 0},
    {"max-resets", required_argument, NULL, 0}, {NULL, 0, NULL, 0},
};

static int listen_on(const char *text)
{
    const char *what = "address";
    struct addr a;
    int fd = -1;
    enum rc rc = addr_parse(text, &a);

    if (rc == RC_OK) {
        rc = sock_listen(&a, false, &fd, &what);
    }
    if (rc != RC_OK) {
        (void)fprintf(stderr, "%s: %s: %s\n", text, what, rc_text(rc));
        return -1;
    }
    return fd;
}

static nghttp2_option *make_options(const char *max_resets)
{
    nghttp2_option *o = NULL;

    if (nghttp2_option_new(&o) != 0) {
        (void)fprintf(stderr, "out of memory\n");
        return NULL;
    }
    if (strcmp(max_resets, "unlimited") == 0) {
        nghttp2_option_set_stream_reset_rate_limit(o, RESETS_UNLIMITED, RESETS_UNLIMITED);
    }
    return o;
}

static int run(int fd, SSL_CTX *tls, nghttp2_option *h2_options, uint64_t max_streams)
{
    struct ev_loop *loop = ev_default_loop(EVFLAG_AUTO);
    struct server *s = malloc(sizeof(*s));
    struct addr local;
    struct answer a;

    if (loop == NULL || s == NULL) {
        (void)fprintf(stderr, "out of memory\n");
        free(s);
        return 1;
    }
    server_init(s, loop, fd, tls, h2_options);
    s->max_streams = (uint32_t)max_streams;
    sock_local_addr(fd, &local);
    answer_open(&a);
    answer_bool(&a, "ready", true);
    answer_int(&a, "port", local.port);
    answer_close(&a);
    commands_start(&s->commands, loop, server_commands, s);
    ev_run(loop, 0);
    server_fini(s);
    free(s);
    return 0;
}

int main(int argc, char **argv)
{
    const char *values[N_OPTS] = {
        [OPT_LISTEN] = "127.0.0.1:0", [OPT_MAX_STREAMS] = "100000", [OPT_MAX_RESETS] = "default"};
    uint64_t max_streams;
    nghttp2_option *h2_options;
    SSL_CTX *tls;
    int fd;
    int code = 1;

    if (!program_options(argc, argv, options, values) || values[OPT_CERT] == NULL ||
        values[OPT_KEY] == NULL || !word_int(values[OPT_MAX_STREAMS], 1, INT32_MAX, &max_streams) ||
        (strcmp(values[OPT_MAX_RESETS], "default") != 0 &&
         strcmp(values[OPT_MAX_RESETS], "unlimited") != 0)) {
        (void)fprintf(stderr,
                      "usage: %s --cert FILE --key FILE [--listen IP:PORT]"
                      " [--max-streams N] [--max-resets default|unlimited]\n",
                      argv[0]);
        return 2;
    }
    program_prepare();
    tls = tls_server_new(values[OPT_CERT], values[OPT_KEY]);
    h2_options = make_options(values[OPT_MAX_RESETS]);
    fd = listen_on(values[OPT_LISTEN]);
    if (tls != NULL && h2_options != NULL && fd >= 0) {
        code = run(fd, tls, h2_options, max_streams);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    nghttp2_option_del(h2_options);
    SSL_CTX_free(tls);
    return code;
}
