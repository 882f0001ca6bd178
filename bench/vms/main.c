/* SPDX-License-Identifier: Apache-2.0 */
/* The load generator: many VMs in one process, driven by commands (bench/load/README.md). */
#include <stdio.h>
#include <stdlib.h>

#include "bench/load/answer.h"
#include "bench/load/program.h"
#include "bench/load/tls.h"
#include "bench/vms/fleet.h"

enum { OPT_CONNECT, OPT_CA, OPT_CERT, OPT_KEY, OPT_SNI, OPT_ALPN, N_OPTS };

static const struct option options[] = {
    {"connect", required_argument, NULL, 0},
    {"ca", required_argument, NULL, 0},
    {"cert", required_argument, NULL, 0},
    {"key", required_argument, NULL, 0},
    {"sni", required_argument, NULL, 0},
    {"alpn", required_argument, NULL, 0},
    {NULL, 0, NULL, 0},
};

static int run(const struct addr *peer, SSL_CTX *tls, const char *sni)
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
    f->home.tls = tls;
    f->home.peer = *peer;
    f->home.sni = sni;
    answer_open(&a);
    answer_bool(&a, "ready", true);
    answer_close(&a);
    commands_start(&f->commands, loop, fleet_commands, f);
    ev_run(loop, 0);
    fleet_fini(f);
    free(f);
    return 0;
}

int main(int argc, char **argv)
{
    const char *values[N_OPTS] = {[OPT_SNI] = "istiod.istio-system.svc", [OPT_ALPN] = "h2"};
    struct addr peer;
    SSL_CTX *tls;
    int code;

    if (!program_options(argc, argv, options, values) || values[OPT_CONNECT] == NULL ||
        values[OPT_CA] == NULL || values[OPT_CERT] == NULL || values[OPT_KEY] == NULL ||
        addr_parse(values[OPT_CONNECT], &peer) != RC_OK) {
        (void)fprintf(stderr,
                      "usage: %s --connect IP:PORT --ca FILE --cert FILE --key FILE"
                      " [--sni NAME] [--alpn NAME]\n",
                      argv[0]);
        return 2;
    }
    program_prepare();
    tls = tls_client_new(values[OPT_CA], values[OPT_CERT], values[OPT_KEY], values[OPT_ALPN]);
    if (tls == NULL) {
        return 1;
    }
    code = run(&peer, tls, values[OPT_SNI]);
    SSL_CTX_free(tls);
    return code;
}
