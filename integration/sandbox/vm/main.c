/* SPDX-License-Identifier: Apache-2.0 */
/* xdsgate-sandbox-vm: command line and life of the simulated VMs. */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <grpc/grpc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "integration/sandbox/common/control.h"
#include "integration/sandbox/common/os.h"
#include "integration/sandbox/common/stop.h"
#include "integration/sandbox/vm/commands.h"
#include "integration/sandbox/vm/vm.h"

#define WHAT_IT_IS_NOT "these are SANDBOX VMs for tests and demos, they are not Istio agents"
#define ENVOY_NODE_BYTES 63000

static const char usage[] =
    "Usage: xdsgate-sandbox-vm --target HOST:PORT --roots FILE [options]\n"
    "SANDBOX VMs for tests and demos of xdsgate: N of them in one process, which behave towards a\n"
    "control plane as pilot-agent and Envoy do. They are not agents and carry no traffic.\n"
    "\n"
    "  --target HOST:PORT      where to connect (required)\n"
    "  --roots FILE            PEM roots that verify the server (required)\n"
    "  --server-name NAME      SNI, certificate name and :authority\n"
    "                          (default istiod.istio-system.svc)\n"
    "  --count N               how many VMs, default 1\n"
    "  --delta | --sotw        variant of ADS, default delta\n"
    "  --token-file FILE       token, read anew for every call; a missing file is no token\n"
    "  --token-dir DIR         one token file per VM, named as the VM\n"
    "  --token-once            send no token any more once there is a certificate\n"
    "  --cert FILE --key FILE  client certificate to begin with\n"
    "  --no-csr                never ask for a certificate\n"
    "  --cert-life SECONDS     life to ask for, default 86400\n"
    "  --rsa                   RSA-2048 as agents use (one key for all VMs, for speed);\n"
    "                          default a P-256 key each\n"
    "  --namespace NS          default vms\n"
    "  --service-account SA    default vm\n"
    "  --group NAME            register in this WorkloadGroup, default web; '' for none\n"
    "  --workload-entry NAME   health of this entry, written by hand\n"
    "  --network NAME          --cluster-id ID (Kubernetes)   --trust-domain TD (cluster.local)\n"
    "  --name-prefix NAME      VMs are NAME-1, NAME-2, ...; default vm\n"
    "  --ip-base ADDRESS       IPv4 of the first VM, default 10.99.0.1\n"
    "  --istio-version V       default 1.31.0\n"
    "  --meta KEY=VALUE        more Node metadata; repeatable\n"
    "  --header KEY=VALUE      more headers with every call; repeatable, up to 6\n"
    "  --node-bytes N          about the size of Node, default 63000 as Envoy's\n"
    "  --no-health             report no health\n"
    "  --spread-ms N           start at random moments within this time, default 0\n"
    "  --control PATH          unix socket for commands; send `help`\n"
    "  --verbose               log every stream\n"
    "  --help\n"
    "The source address cannot be chosen: gRPC core has no option for it.\n";

/** The command line. */
struct options {
    struct swarm_opts swarm;
    const char *roots;
    const char *cert;
    const char *key;
    const char *control;
    bool verbose;
};

enum option_id {
    OPT_TARGET = 1000,
    OPT_ROOTS,
    OPT_SERVER_NAME,
    OPT_COUNT,
    OPT_DELTA,
    OPT_SOTW,
    OPT_TOKEN_FILE,
    OPT_TOKEN_DIR,
    OPT_TOKEN_ONCE,
    OPT_CERT,
    OPT_KEY,
    OPT_NO_CSR,
    OPT_CERT_LIFE,
    OPT_RSA,
    OPT_NAMESPACE,
    OPT_SERVICE_ACCOUNT,
    OPT_GROUP,
    OPT_WORKLOAD_ENTRY,
    OPT_NETWORK,
    OPT_CLUSTER_ID,
    OPT_TRUST_DOMAIN,
    OPT_NAME_PREFIX,
    OPT_IP_BASE,
    OPT_ISTIO_VERSION,
    OPT_META,
    OPT_HEADER,
    OPT_NODE_BYTES,
    OPT_NO_HEALTH,
    OPT_SPREAD,
    OPT_CONTROL,
    OPT_VERBOSE,
    OPT_HELP
};

static const struct option long_options[] = {
    {"target", required_argument, NULL, OPT_TARGET},
    {"roots", required_argument, NULL, OPT_ROOTS},
    {"server-name", required_argument, NULL, OPT_SERVER_NAME},
    {"count", required_argument, NULL, OPT_COUNT},
    {"delta", no_argument, NULL, OPT_DELTA},
    {"sotw", no_argument, NULL, OPT_SOTW},
    {"token-file", required_argument, NULL, OPT_TOKEN_FILE},
    {"token-dir", required_argument, NULL, OPT_TOKEN_DIR},
    {"token-once", no_argument, NULL, OPT_TOKEN_ONCE},
    {"cert", required_argument, NULL, OPT_CERT},
    {"key", required_argument, NULL, OPT_KEY},
    {"no-csr", no_argument, NULL, OPT_NO_CSR},
    {"cert-life", required_argument, NULL, OPT_CERT_LIFE},
    {"rsa", no_argument, NULL, OPT_RSA},
    {"namespace", required_argument, NULL, OPT_NAMESPACE},
    {"service-account", required_argument, NULL, OPT_SERVICE_ACCOUNT},
    {"group", required_argument, NULL, OPT_GROUP},
    {"workload-entry", required_argument, NULL, OPT_WORKLOAD_ENTRY},
    {"network", required_argument, NULL, OPT_NETWORK},
    {"cluster-id", required_argument, NULL, OPT_CLUSTER_ID},
    {"trust-domain", required_argument, NULL, OPT_TRUST_DOMAIN},
    {"name-prefix", required_argument, NULL, OPT_NAME_PREFIX},
    {"ip-base", required_argument, NULL, OPT_IP_BASE},
    {"istio-version", required_argument, NULL, OPT_ISTIO_VERSION},
    {"meta", required_argument, NULL, OPT_META},
    {"header", required_argument, NULL, OPT_HEADER},
    {"node-bytes", required_argument, NULL, OPT_NODE_BYTES},
    {"no-health", no_argument, NULL, OPT_NO_HEALTH},
    {"spread-ms", required_argument, NULL, OPT_SPREAD},
    {"control", required_argument, NULL, OPT_CONTROL},
    {"verbose", no_argument, NULL, OPT_VERBOSE},
    {"help", no_argument, NULL, OPT_HELP},
    {NULL, 0, NULL, 0},
};

static bool set_number(int64_t min, int64_t max, int64_t *out)
{
    if (!sbx_parse_number(optarg, min, max, out)) {
        (void)fprintf(stderr, "not a number in range: %s\n", optarg);
        return false;
    }
    return true;
}

static const char **text_slot(struct options *o, int id)
{
    struct swarm_opts *s = &o->swarm;

    switch (id) {
    case OPT_TARGET:
        return &s->target;
    case OPT_ROOTS:
        return &o->roots;
    case OPT_SERVER_NAME:
        return &s->server_name;
    case OPT_TOKEN_FILE:
        return &s->token_file;
    case OPT_TOKEN_DIR:
        return &s->token_dir;
    case OPT_CERT:
        return &o->cert;
    case OPT_KEY:
        return &o->key;
    case OPT_NAMESPACE:
        return &s->name_space;
    case OPT_SERVICE_ACCOUNT:
        return &s->service_account;
    case OPT_GROUP:
        return &s->group;
    case OPT_WORKLOAD_ENTRY:
        return &s->workload_entry;
    case OPT_NETWORK:
        return &s->network;
    case OPT_CLUSTER_ID:
        return &s->cluster_id;
    case OPT_TRUST_DOMAIN:
        return &s->trust_domain;
    case OPT_NAME_PREFIX:
        return &s->name_prefix;
    case OPT_ISTIO_VERSION:
        return &s->istio_version;
    case OPT_CONTROL:
        return &o->control;
    default:
        return NULL;
    }
}

static bool set_ip_base(uint32_t *out)
{
    struct in_addr address;

    if (inet_pton(AF_INET, optarg, &address) != 1) {
        (void)fprintf(stderr, "not an IPv4 address: %s\n", optarg);
        return false;
    }
    *out = ntohl(address.s_addr);
    return true;
}

/* KEY=VALUE as two list members, the key in small letters. */
static bool add_header(struct names *list)
{
    char *key = sbx_strndup(optarg, strcspn(optarg, "="));
    const char *value = strchr(optarg, '=');
    bool ok = value != NULL && list->n < 12;

    if (ok) {
        names_add(list, key);
        names_add(list, value + 1);
    } else {
        (void)fprintf(stderr, "not KEY=VALUE, or too many: %s\n", optarg);
    }
    free(key);
    return ok;
}

static bool set_option(struct options *o, int id)
{
    const char **slot = text_slot(o, id);
    struct swarm_opts *s = &o->swarm;

    if (slot != NULL) {
        *slot = optarg;
        return true;
    }
    switch (id) {
    case OPT_COUNT:
        return set_number(1, 100000, &s->count);
    case OPT_CERT_LIFE:
        return set_number(1, 1000000000, &s->cert_life_s);
    case OPT_NODE_BYTES:
        return set_number(0, 16 * 1024 * 1024, &s->node_bytes);
    case OPT_SPREAD:
        return set_number(0, 3600000, &s->spread_ms);
    case OPT_IP_BASE:
        return set_ip_base(&s->ip_base);
    case OPT_HEADER:
        return add_header(&s->headers);
    case OPT_META:
        names_add(&s->metadata, optarg);
        break;
    case OPT_DELTA:
        s->delta = true;
        break;
    case OPT_SOTW:
        s->delta = false;
        break;
    case OPT_TOKEN_ONCE:
        s->token_once = true;
        break;
    case OPT_NO_CSR:
        s->no_csr = true;
        break;
    case OPT_RSA:
        s->rsa = true;
        break;
    case OPT_NO_HEALTH:
        s->no_health = true;
        break;
    case OPT_VERBOSE:
        o->verbose = true;
        break;
    default:
        return false;
    }
    return true;
}

static bool load(const char *path, char **out)
{
    if (path == NULL) {
        return true;
    }
    *out = file_read(path);
    if (*out == NULL) {
        (void)fprintf(stderr, "xdsgate-sandbox-vm: %s: %s\n", path, strerror(errno));
    }
    return *out != NULL;
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
    if (optind < argc || o->swarm.target == NULL || o->roots == NULL ||
        (o->cert == NULL) != (o->key == NULL)) {
        (void)fprintf(stderr, "xdsgate-sandbox-vm: --target and --roots are required, --cert and "
                              "--key go together; see --help\n");
        return 2;
    }
    if (!load(o->roots, &o->swarm.roots) || !load(o->cert, &o->swarm.cert) ||
        !load(o->key, &o->swarm.key)) {
        return 2;
    }
    return -1;
}

static void free_options(struct options *o)
{
    free(o->swarm.roots);
    free(o->swarm.cert);
    free(o->swarm.key);
    names_fini(&o->swarm.metadata);
    names_fini(&o->swarm.headers);
}

static int live(const struct options *o)
{
    struct loop loop;
    struct swarm swarm;
    struct control *control = NULL;
    int status = 1;

    loop_init(&loop);
    stop_on_signals(&loop);
    (void)pthread_mutex_lock(&loop.lock);
    swarm_open(&swarm, &loop, &o->swarm);
    (void)pthread_mutex_unlock(&loop.lock);
    if (o->control == NULL ||
        (control = control_open(o->control, &loop, swarm_command, &swarm)) != NULL) {
        log_info("%lld VMs connect to %s", (long long)o->swarm.count, o->swarm.target);
        loop_run(&loop);
        log_info("ending");
        status = 0;
    }
    control_close(control);
    (void)pthread_mutex_lock(&loop.lock);
    swarm_stop(&swarm);
    (void)pthread_mutex_unlock(&loop.lock);
    loop_fini(&loop);
    swarm_close(&swarm);
    return status;
}

int main(int argc, char **argv)
{
    struct options o = {
        .swarm = {.server_name = "istiod.istio-system.svc",
                  .name_prefix = "vm",
                  .name_space = "vms",
                  .service_account = "vm",
                  .group = "web",
                  .workload_entry = "",
                  .network = "",
                  .cluster_id = "Kubernetes",
                  .trust_domain = "cluster.local",
                  .istio_version = "1.31.0",
                  .ip_base = 0x0a630001,
                  .count = 1,
                  .node_bytes = ENVOY_NODE_BYTES,
                  .cert_life_s = 86400,
                  .delta = true},
    };
    int status = read_options(&o, argc, argv);

    if (status < 0) {
        log_open("sandbox-vm", WHAT_IT_IS_NOT, o.verbose);
        stop_block_signals();
        grpc_init();
        status = live(&o);
        grpc_shutdown();
    }
    free_options(&o);
    return status;
}
