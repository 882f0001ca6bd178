/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/cert_istiod.h"

#include <netdb.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

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

/* "HOST:PORT" to the first of its addresses. */
static int find_peer(const struct command_line *line, const char *text, struct addr *out)
{
    const char *colon = strrchr(text, ':');
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;

    if (addr_parse(text, out) == RC_OK && out->port != 0) {
        return EXIT_CODE_OK;
    }
    if (colon == NULL || colon == text || colon[1] == '\0') {
        return complain(line, EXIT_CODE_USAGE,
                        "--from-istiod %s is not HOST:PORT: write 10.0.0.11:15012", text);
    }
    char *host = strndup(text, (size_t)(colon - text));
    int rc = host == NULL ? EAI_MEMORY : getaddrinfo(host, colon + 1, &hints, &found);
    free(host);
    if (rc != 0) {
        return complain(line, EXIT_CODE_UNREACHABLE, "%s: %s", text, gai_strerror(rc));
    }
    addr_from_sockaddr(found->ai_addr, out);
    freeaddrinfo(found);
    return EXIT_CODE_OK;
}

static int find_source(const struct command_line *line, const char *text, struct addr *out)
{
    if (text == NULL || addr_parse_ip(text, out) == RC_OK) {
        return EXIT_CODE_OK;
    }
    return complain(line, EXIT_CODE_USAGE, "--source %s is no address: write 10.77.0.2", text);
}

static int code_of(enum rc rc)
{
    return rc == RC_INVALID       ? EXIT_CODE_USAGE
           : rc == RC_UNREACHABLE ? EXIT_CODE_UNREACHABLE
                                  : EXIT_CODE_NO;
}

static int ask(const struct command_line *line, const struct cert_authority_opts *o,
               const struct istiod_sign_opts *opts, struct ca_issued *out)
{
    char why[ISTIOD_SIGN_WHY_BYTES];
    enum rc rc = istiod_sign(opts, out, why);

    return rc == RC_OK ? EXIT_CODE_OK : complain(line, code_of(rc), "%s: %s", o->from_istiod, why);
}

int cert_istiod_sign(const struct command_line *line, const struct cert_authority_opts *o,
                     const struct cert_istiod_request *request, struct ca_issued *out)
{
    struct addr peer;
    char name[300];
    struct istiod_sign_opts opts = {.way = {.peer = &peer, .timeout_s = TIMEOUT_S},
                                    .names = request->names,
                                    .n_names = request->n_names,
                                    .key = request->key,
                                    .validity_s = request->validity_s};
    struct cert_error err;

    if (opts.validity_s > VALIDITY_MAX_S) {
        opts.validity_s = VALIDITY_MAX_S;
    }
    (void)snprintf(name, sizeof(name), "istiod.%s.svc", o->istio_namespace);
    opts.way.server_name = name;
    int code = find_peer(line, o->from_istiod, &peer);
    if (code == EXIT_CODE_OK) {
        code = find_source(line, o->source, &opts.way.source);
    }
    if (code != EXIT_CODE_OK) {
        return code;
    }
    if (root_set_load(o->root_cert, &opts.way.roots, &err) != RC_OK) {
        return complain(line, EXIT_CODE_NO, "%s %s", o->root_cert, err.text);
    }
    code = ask(line, o, &opts, out);
    root_set_unref(&opts.way.roots);
    return code;
}
