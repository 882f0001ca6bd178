/* SPDX-License-Identifier: Apache-2.0 */
/* xdsgate-sandbox-istiod: command line and life of the sandbox control plane. */
#include <getopt.h>
#include <grpc/grpc.h>
#include <stdio.h>
#include <sys/stat.h>

#include "integration/sandbox/common/control.h"
#include "integration/sandbox/common/os.h"
#include "integration/sandbox/common/stop.h"
#include "integration/sandbox/istiod/commands.h"
#include "integration/sandbox/istiod/server.h"

#define WHAT_IT_IS_NOT "this is a SANDBOX control plane for tests and demos, it is not istiod"

static const char usage[] =
    "Usage: xdsgate-sandbox-istiod --dir DIR [options]\n"
    "A SANDBOX control plane for tests and demos of xdsgate. It is not istiod: it speaks ADS and\n"
    "CreateCertificate by istiod's rules, with a CA of its own, and keeps everything in memory.\n"
    "\n"
    "  --dir DIR                   root, keys, tokens and certificates are kept here (required)\n"
    "  --listen ADDRESS:PORT       default 127.0.0.1:15012; port 0 picks one (see status)\n"
    "  --control PATH              unix socket for commands; send `help`\n"
    "  --identity NS/SA            mint token and client certificate; repeatable\n"
    "                              (default vms/vm; the first also as DIR/token, DIR/vm.*)\n"
    "  --group NS/NAME             a WorkloadGroup; repeatable (default vms/web)\n"
    "  --entry NS/NAME             a WorkloadEntry written by hand; repeatable\n"
    "  --server-name NAME          SAN of the serving certificates; repeatable\n"
    "                              (default istiod.istio-system.svc)\n"
    "  --trusted-gateway-cidr CIDR who may send x-forwarded-client-cert; repeatable\n"
    "  --trust-domain TD           default cluster.local\n"
    "  --cluster-id ID             default Kubernetes\n"
    "  --audience AUD              of tokens, default istio-ca\n"
    "  --token-key FILE            verify and mint tokens with this key (PEM: P-256 or RSA)\n"
    "  --token-ttl SECONDS         of the tokens in DIR, default 3600\n"
    "  --cert-ttl SECONDS          life of issued certificates, whatever is asked for\n"
    "  --grace SECONDS             before a gone VM's entry is deleted, default 10\n"
    "  --rate N                    new ADS streams a second, default 25; 0 for no limit\n"
    "  --max-connection-age SECS   end connections at this age (grace 10 s); default none\n"
    "  --push-bytes N              size of each pushed response, default 4096\n"
    "  --verbose                   log every stream\n"
    "  --help\n";

/** The command line. Lists owned, the rest borrowed from argv. */
struct options {
    struct server_opts server;
    const char *dir;
    const char *control;
    const char *token_key;
    struct names identities;
    struct names groups;
    struct names entries;
    struct names server_names;
    int64_t token_ttl_s;
    int64_t grace_s;
    int64_t rate;
    bool verbose;
};

enum option_id {
    OPT_DIR = 1000,
    OPT_LISTEN,
    OPT_CONTROL,
    OPT_IDENTITY,
    OPT_GROUP,
    OPT_ENTRY,
    OPT_SERVER_NAME,
    OPT_GATEWAY,
    OPT_TRUST_DOMAIN,
    OPT_CLUSTER_ID,
    OPT_AUDIENCE,
    OPT_TOKEN_KEY,
    OPT_TOKEN_TTL,
    OPT_CERT_TTL,
    OPT_GRACE,
    OPT_RATE,
    OPT_AGE,
    OPT_PUSH_BYTES,
    OPT_VERBOSE,
    OPT_HELP
};

static const struct option long_options[] = {
    {"dir", required_argument, NULL, OPT_DIR},
    {"listen", required_argument, NULL, OPT_LISTEN},
    {"control", required_argument, NULL, OPT_CONTROL},
    {"identity", required_argument, NULL, OPT_IDENTITY},
    {"group", required_argument, NULL, OPT_GROUP},
    {"entry", required_argument, NULL, OPT_ENTRY},
    {"server-name", required_argument, NULL, OPT_SERVER_NAME},
    {"trusted-gateway-cidr", required_argument, NULL, OPT_GATEWAY},
    {"trust-domain", required_argument, NULL, OPT_TRUST_DOMAIN},
    {"cluster-id", required_argument, NULL, OPT_CLUSTER_ID},
    {"audience", required_argument, NULL, OPT_AUDIENCE},
    {"token-key", required_argument, NULL, OPT_TOKEN_KEY},
    {"token-ttl", required_argument, NULL, OPT_TOKEN_TTL},
    {"cert-ttl", required_argument, NULL, OPT_CERT_TTL},
    {"grace", required_argument, NULL, OPT_GRACE},
    {"rate", required_argument, NULL, OPT_RATE},
    {"max-connection-age", required_argument, NULL, OPT_AGE},
    {"push-bytes", required_argument, NULL, OPT_PUSH_BYTES},
    {"verbose", no_argument, NULL, OPT_VERBOSE},
    {"help", no_argument, NULL, OPT_HELP},
    {NULL, 0, NULL, 0},
};

static bool set_number(const char *text, int64_t min, int64_t max, int64_t *out)
{
    if (!sbx_parse_number(text, min, max, out)) {
        (void)fprintf(stderr, "not a number in range: %s\n", text);
        return false;
    }
    return true;
}

static bool set_text(struct options *o, int id)
{
    const char **slot = id == OPT_DIR            ? &o->dir
                        : id == OPT_LISTEN       ? &o->server.listen
                        : id == OPT_CONTROL      ? &o->control
                        : id == OPT_TRUST_DOMAIN ? &o->server.trust_domain
                        : id == OPT_CLUSTER_ID   ? &o->server.cluster_id
                        : id == OPT_AUDIENCE     ? &o->server.audience
                        : id == OPT_TOKEN_KEY    ? &o->token_key
                                                 : NULL;
    struct names *list = id == OPT_IDENTITY      ? &o->identities
                         : id == OPT_GROUP       ? &o->groups
                         : id == OPT_ENTRY       ? &o->entries
                         : id == OPT_SERVER_NAME ? &o->server_names
                                                 : NULL;

    if (slot != NULL) {
        *slot = optarg;
    } else if (list != NULL) {
        names_add(list, optarg);
    }
    return slot != NULL || list != NULL;
}

static bool set_option(struct options *o, int id)
{
    int64_t n = 0;

    switch (id) {
    case OPT_GATEWAY:
        if (!cidr_add(&o->server.gateways, optarg)) {
            (void)fprintf(stderr, "not ADDRESS/BITS: %s\n", optarg);
            return false;
        }
        return true;
    case OPT_TOKEN_TTL:
        return set_number(optarg, -1000000, 100000000, &o->token_ttl_s);
    case OPT_CERT_TTL:
        return set_number(optarg, 1, CA_MAX_TTL_S, &o->server.cert_ttl_s);
    case OPT_GRACE:
        return set_number(optarg, 0, 86400, &o->grace_s);
    case OPT_RATE:
        return set_number(optarg, 0, 1000000, &o->rate);
    case OPT_AGE:
        if (!set_number(optarg, 1, 1000000, &n)) {
            return false;
        }
        o->server.max_connection_age_ms = n * 1000;
        return true;
    case OPT_PUSH_BYTES:
        if (!set_number(optarg, 0, 64 * 1024 * 1024, &n)) {
            return false;
        }
        o->server.push_bytes = (size_t)n;
        return true;
    case OPT_VERBOSE:
        o->verbose = true;
        return true;
    default:
        return set_text(o, id);
    }
}

/* Returns -1 to go on, else the exit code. */
static int read_options(struct options *o, int argc, char **argv)
{
    int id;

    while ((id = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        if (id == OPT_HELP) {
            (void)fputs(usage, stdout);
            return 0;
        }
        if (id == '?' || !set_option(o, id)) {
            return 2;
        }
    }
    if (optind < argc || o->dir == NULL) {
        (void)fprintf(stderr, "xdsgate-sandbox-istiod: --dir is required; see --help\n");
        return 2;
    }
    if (o->identities.n == 0) {
        names_add(&o->identities, "vms/vm");
    }
    if (o->groups.n == 0) {
        names_add(&o->groups, "vms/web");
    }
    if (o->server_names.n == 0) {
        names_add(&o->server_names, "istiod.istio-system.svc");
    }
    return -1;
}

static void free_options(struct options *o)
{
    names_fini(&o->identities);
    names_fini(&o->groups);
    names_fini(&o->entries);
    names_fini(&o->server_names);
    cidr_fini(&o->server.gateways);
}

static bool fill_registry(struct server *s, const struct options *o)
{
    for (size_t i = 0; i < o->groups.n; i++) {
        if (!registry_add_group(&s->registry, o->groups.v[i])) {
            log_info("--group %s is not NAMESPACE/NAME", o->groups.v[i]);
            return false;
        }
    }
    for (size_t i = 0; i < o->entries.n; i++) {
        if (!registry_add_entry(&s->registry, o->entries.v[i])) {
            log_info("--entry %s is not NAMESPACE/NAME", o->entries.v[i]);
            return false;
        }
    }
    return true;
}

static int serve(const struct options *o, struct loop *l, struct ca *ca)
{
    struct server s;
    struct control *control = NULL;
    int status = 1;

    if (!server_open(&s, l, &o->server, ca, o->grace_s * 1000, o->rate)) {
        return 1;
    }
    if (fill_registry(&s, o) &&
        (o->control == NULL ||
         (control = control_open(o->control, l, istiod_command, &s)) != NULL)) {
        log_info("listening on %s, port %d, material in %s", o->server.listen, s.port, o->dir);
        loop_run(l);
        log_info("ending");
        status = 0;
    }
    control_close(control);
    (void)pthread_mutex_lock(&l->lock);
    server_shutdown(&s);
    (void)pthread_mutex_unlock(&l->lock);
    loop_drain(l, &s.shut_down);
    loop_fini(l);
    server_close(&s);
    return status;
}

int main(int argc, char **argv)
{
    struct options o = {
        .server = {.listen = "127.0.0.1:15012",
                   .trust_domain = "cluster.local",
                   .cluster_id = "Kubernetes",
                   .audience = "istio-ca",
                   .push_bytes = 4096},
        .token_ttl_s = 3600,
        .grace_s = REGISTRY_GRACE_MS / 1000,
        .rate = 25,
    };
    struct ca ca = {0};
    struct loop loop;
    int status = read_options(&o, argc, argv);

    if (status < 0) {
        struct ca_material m = {
            .dir = o.dir,
            .trust_domain = o.server.trust_domain,
            .audience = o.server.audience,
            .identities = &o.identities,
            .server_names = &o.server_names,
            .token_key_file = o.token_key,
            .token_ttl_s = o.token_ttl_s,
        };

        log_open("sandbox-istiod", WHAT_IT_IS_NOT, o.verbose);
        stop_block_signals();
        (void)mkdir(o.dir, 0700);
        grpc_init();
        loop_init(&loop);
        stop_on_signals(&loop);
        status = ca_open(&ca, &m) ? serve(&o, &loop, &ca) : 1;
        ca_close(&ca);
        grpc_shutdown();
    }
    free_options(&o);
    return status;
}
