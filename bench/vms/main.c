/* SPDX-License-Identifier: Apache-2.0 */
/* The load generator: many VMs in one process, driven by commands (bench/load/README.md). */
#include <stdio.h>
#include <stdlib.h>

#include "bench/load/answer.h"
#include "bench/load/program.h"
#include "bench/load/tls.h"
#include "bench/vms/fleet.h"

enum {
    OPT_CONNECT,
    OPT_CA,
    OPT_CERT,
    OPT_KEY,
    OPT_SNI,
    OPT_ALPN,
    OPT_CA_KEY,
    OPT_NODE_BYTES,
    OPT_FIRST,
    N_OPTS
};

static const struct option options[] = {
    {"connect", required_argument, NULL, 0}, {"ca", required_argument, NULL, 0},
    {"cert", required_argument, NULL, 0},    {"key", required_argument, NULL, 0},
    {"sni", required_argument, NULL, 0},     {"alpn", required_argument, NULL, 0},
    {"ca-key", required_argument, NULL, 0},  {"node-bytes", required_argument, NULL, 0},
    {"first", required_argument, NULL, 0},   {NULL, 0, NULL, 0},
};

/* What follows from the options. */
struct setup {
    struct addr peer;
    SSL_CTX *tls;          /* owned */
    struct issuer *issuer; /* owned */
    const char *sni;
    uint64_t node_bytes;
    uint64_t first;
};

static int run(const struct setup *with)
{
    struct ev_loop *loop = ev_default_loop(EVFLAG_AUTO);
    struct fleet *f = malloc(sizeof(*f));
    struct answer a;

    if (loop == NULL || f == NULL) {
        (void)fprintf(stderr, "out of memory\n");
        free(f);
        return 1;
    }
    fleet_init(f, loop);
    f->first = (uint32_t)with->first;
    f->home.tls = with->tls;
    f->home.issuer = with->issuer;
    f->home.peer = with->peer;
    f->home.sni = with->sni;
    message_home_init(&f->home.messages, (uint32_t)with->node_bytes);
    answer_open(&a);
    answer_bool(&a, "ready", true);
    answer_close(&a);
    commands_start(&f->commands, loop, fleet_commands, f);
    ev_run(loop, 0);
    fleet_fini(f);
    free(f);
    return 0;
}

static bool read_options(int argc, char **argv, const char **values, struct setup *out)
{
    return program_options(argc, argv, options, values) && values[OPT_CONNECT] != NULL &&
           values[OPT_CA] != NULL && values[OPT_CERT] != NULL && values[OPT_KEY] != NULL &&
           addr_parse(values[OPT_CONNECT], &out->peer) == RC_OK &&
           word_int(values[OPT_NODE_BYTES], NODE_BYTES_MIN, NODE_BYTES_MAX, &out->node_bytes) &&
           word_int(values[OPT_FIRST], 0, FLEET_VMS_MAX - 1, &out->first);
}

int main(int argc, char **argv)
{
    const char *values[N_OPTS] = {[OPT_SNI] = "istiod.istio-system.svc",
                                  [OPT_ALPN] = "h2",
                                  [OPT_NODE_BYTES] = "5000",
                                  [OPT_FIRST] = "0"};
    struct setup with = {.tls = NULL};
    int code = 1;

    if (!read_options(argc, argv, values, &with)) {
        (void)fprintf(stderr,
                      "usage: %s --connect IP:PORT --ca FILE --cert FILE --key FILE"
                      " [--ca-key FILE] [--sni NAME] [--alpn NAME] [--node-bytes N] [--first N]\n",
                      argv[0]);
        return 2;
    }
    program_prepare();
    with.sni = values[OPT_SNI];
    with.tls = tls_client_new(values[OPT_CA], values[OPT_CERT], values[OPT_KEY], values[OPT_ALPN]);
    if (values[OPT_CA_KEY] != NULL) {
        with.issuer = issuer_new(values[OPT_CA], values[OPT_CA_KEY], values[OPT_CERT]);
    }
    if (with.tls != NULL && (with.issuer != NULL || values[OPT_CA_KEY] == NULL)) {
        code = run(&with);
    }
    issuer_free(&with.issuer);
    SSL_CTX_free(with.tls);
    return code;
}
