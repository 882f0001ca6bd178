/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/cert_istiod.h"

#include <netdb.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/cli/host_port.h"
#include "gateway/probe/istiod_sign.h"

/* istiod's own limit (security/pkg/cmd/constants.go, DefaultMaxWorkloadCertTTL). */
#define VALIDITY_MAX_S (90 * 86400)

#define TIMEOUT_S 15.0

static int complain(const struct command_line *line, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static int complain(const struct command_line *line, int code, const char *fmt, ...)
{
    va_list args;

    (void)fputs("xdsgate cert issue: ", line->err);
    va_start(args, fmt);
    (void)vfprintf(line->err, fmt, args);
    va_end(args);
    (void)fputc('\n', line->err);
    return code;
}

static int find_source(const struct command_line *line, const char *text, struct addr *out)
{
    if (text == NULL || addr_parse_ip(text, out) == RC_OK) {
        return EXIT_CODE_OK;
    }
    return complain(line, EXIT_CODE_USAGE, "--source %s is no address: write 10.77.0.2", text);
}

/* ---- where it is ---- */

static int family_of(const struct addr *source)
{
    switch ((enum addr_family)source->family) {
    case ADDR_V4:
        return AF_INET;
    case ADDR_V6:
        return AF_INET6;
    default:
        return AF_UNSPEC;
    }
}

/* Addresses that can be reached from the source. out: freeaddrinfo(). */
static int look_up(const struct command_line *line, const char *host, uint16_t port,
                   const struct addr *source, struct addrinfo **out)
{
    const struct addrinfo hints = {
        .ai_family = family_of(source), .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    char service[8];
    struct addr literal;

    if (source->family != ADDR_NONE && addr_parse_ip(host, &literal) == RC_OK &&
        literal.family != source->family) {
        return complain(line, EXIT_CODE_USAGE,
                        "%s cannot be reached from --source: one of them is "
                        "an IPv6 address, the other is not",
                        host);
    }
    (void)snprintf(service, sizeof(service), "%u", port);
    int rc = getaddrinfo(host, service, &hints, out);
    return rc == 0 ? EXIT_CODE_OK
                   : complain(line, EXIT_CODE_UNREACHABLE, "%s: %s", host, gai_strerror(rc));
}

static int find_peers(const struct command_line *line, const char *text, const struct addr *source,
                      struct addrinfo **out)
{
    char *host = NULL;
    uint16_t port = 0;
    enum rc rc = host_port_read(text, &host, &port);

    if (rc == RC_INVALID) {
        return complain(line, EXIT_CODE_USAGE,
                        "--from-istiod %s is not HOST:PORT: write 10.0.0.11:15012", text);
    }
    if (rc != RC_OK) {
        return complain(line, EXIT_CODE_NO, "%s", rc_text(rc));
    }
    int code = look_up(line, host, port, source, out);
    free(host);
    return code;
}

/* ---- asking ---- */

static int code_of(enum rc rc)
{
    return rc == RC_INVALID       ? EXIT_CODE_USAGE
           : rc == RC_UNREACHABLE ? EXIT_CODE_UNREACHABLE
                                  : EXIT_CODE_NO;
}

/* One after the other, until one is reached. */
static int ask(const struct command_line *line, const struct cert_authority_opts *o,
               const struct addrinfo *peers, struct istiod_sign_opts *opts, struct ca_issued *out)
{
    char why[ISTIOD_SIGN_WHY_BYTES] = "";
    enum rc rc = RC_UNREACHABLE;

    for (; rc == RC_UNREACHABLE && peers != NULL; peers = peers->ai_next) {
        struct addr peer;
        addr_from_sockaddr(peers->ai_addr, &peer);
        opts->way.peer = &peer;
        rc = istiod_sign(opts, out, why);
        opts->way.peer = NULL;
    }
    return rc == RC_OK ? EXIT_CODE_OK : complain(line, code_of(rc), "%s: %s", o->from_istiod, why);
}

static int ask_as(const struct command_line *line, const struct cert_authority_opts *o,
                  struct istiod_sign_opts *opts, struct ca_issued *out)
{
    struct addrinfo *peers = NULL;
    struct cert_error err;
    int code = find_peers(line, o->from_istiod, &opts->way.source, &peers);

    if (code != EXIT_CODE_OK) {
        return code;
    }
    enum rc rc = root_set_load(o->root_cert, &opts->way.roots, &err);
    code = rc == RC_OK ? ask(line, o, peers, opts, out)
                       : complain(line, EXIT_CODE_NO, "%s %s", o->root_cert,
                                  rc == RC_INVALID ? err.text : rc_text(rc));
    root_set_unref(&opts->way.roots);
    freeaddrinfo(peers);
    return code;
}

int cert_istiod_sign(const struct command_line *line, const struct cert_authority_opts *o,
                     const struct cert_istiod_request *request, struct ca_issued *out)
{
    char name[300];
    struct istiod_sign_opts opts = {.way = {.timeout_s = TIMEOUT_S},
                                    .names = request->names,
                                    .n_names = request->n_names,
                                    .key = request->key,
                                    .validity_s = request->validity_s};

    if (opts.validity_s > VALIDITY_MAX_S) {
        opts.validity_s = VALIDITY_MAX_S;
    }
    (void)snprintf(name, sizeof(name), "istiod.%s.svc", o->istio_namespace);
    opts.way.server_name = name;
    int code = find_source(line, o->source, &opts.way.source);
    return code == EXIT_CODE_OK ? ask_as(line, o, &opts, out) : code;
}
