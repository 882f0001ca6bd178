/* SPDX-License-Identifier: Apache-2.0 */
/* `xdsgate doctor` on a gateway, and before there is one: what is looked at, in which order. */
#include "gateway/cli/doctor_run.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/rc.h"
#include "core/doc/doc.h"
#include "gateway/cli/admin_client.h"
#include "gateway/cli/host_port.h"

/** What istiod is called, if nobody says otherwise. */
#define SERVER_NAME "istiod.istio-system.svc"

/** Of a daemon's list of VMs; each has some forty. */
#define VALUES_MAX (20U * 1000 * 1000)

/* One run. */
struct run {
    const struct command_line *line;
    const struct doctor_command *o;
    struct doctor_report *r;
    struct config *config;             /* owned; NULL: none was named */
    struct doctor_upstream *upstreams; /* owned; of the configuration, or of the command line */
    size_t n_upstreams;
    struct upstream_endpoint_name endpoints[OPTION_TEXTS_MAX]; /* hosts are owned */
    size_t n_endpoints;
    struct root_set *roots;      /* shared (ref); of the command line, or of the cluster */
    struct doctor_upstream like; /* how those without roots are asked; borrows */
    struct doctor_cluster cluster;
    struct doctor_client gate; /* its kube is owned */
    struct doctor_client look; /* the same */
    char look_name[4096];
    json_t *vms; /* owned; NULL: no daemon was asked */
    char *ns;    /* owned; of the VM that was named */
    char *vm;    /* owned; NULL: none was */
};

int doctor_complain(const struct command_line *line, int code, const char *fmt, ...)
{
    va_list args;

    (void)fprintf(line->err, "xdsgate doctor: ");
    va_start(args, fmt);
    (void)vfprintf(line->err, fmt, args);
    va_end(args);
    (void)fputc('\n', line->err);
    return code;
}

static int end(const struct run *run, enum rc rc)
{
    return rc == RC_OK ? EXIT_CODE_OK : doctor_complain(run->line, EXIT_CODE_NO, "%s", rc_text(rc));
}

/* ---- the configuration ---- */

/* The first error is a finding; the others come with the command that it names. */
static int refuse_config(const struct run *run, char *errors)
{
    errors[strcspn(errors, "\n")] = '\0';
    doctor_find(run->r, DOCTOR_CONFIGURATION, run->o->config, errors, NULL);
    if (run->o->json == 0) {
        doctor_write_text(run->line->out, run->r);
    } else if (doctor_write_json(run->line->out, run->r) != RC_OK) {
        return end(run, RC_NO_MEMORY);
    }
    return EXIT_CODE_USAGE;
}

static int load_config(struct run *run)
{
    char *text = NULL;
    size_t n = 0;

    if (run->o->config == NULL) {
        return EXIT_CODE_OK;
    }
    FILE *errors = open_memstream(&text, &n);
    if (errors == NULL) {
        return end(run, RC_NO_MEMORY);
    }
    enum rc rc = config_load(run->o->config, errors, &run->config);
    (void)fclose(errors);
    int code = rc == RC_INVALID && text != NULL ? refuse_config(run, text) : end(run, rc);
    free(text);
    return code;
}

static int take_upstreams(struct run *run)
{
    const struct config *c = run->config;

    run->upstreams = calloc(c->n_upstreams + 1, sizeof(*run->upstreams));
    if (run->upstreams == NULL) {
        return end(run, RC_NO_MEMORY);
    }
    for (size_t i = 0; i < c->n_upstreams; i++) {
        const struct upstream_opts *o = &c->upstreams[i].opts;
        run->upstreams[run->n_upstreams++] =
            (struct doctor_upstream){.name = o->name,
                                     .discovery = o->discovery.on ? &o->discovery : NULL,
                                     .endpoints = o->endpoints,
                                     .n_endpoints = o->n_endpoints,
                                     .source_v4 = o->source_v4,
                                     .source_v6 = o->source_v6,
                                     .server_name = o->server_name,
                                     .roots = c->upstreams[i].roots,
                                     .asks = c->upstreams[i].roots != NULL,
                                     .passes = config_has_route(c, i, ROUTE_PASSTHROUGH),
                                     .xfcc = o->identity == UPSTREAM_XFCC,
                                     .must_hold = o->sources_must_hold};
    }
    return EXIT_CODE_OK;
}

/* ---- the command line ---- */

static int take_source(struct run *run, struct doctor_upstream *u)
{
    for (size_t i = 0; i < run->o->sources.n; i++) {
        struct addr a;
        if (addr_parse_ip(run->o->sources.items[i], &a) != RC_OK) {
            return doctor_complain(run->line, EXIT_CODE_USAGE, "--source: '%s' is no IP address",
                                   run->o->sources.items[i]);
        }
        *(a.family == ADDR_V6 ? &u->source_v6 : &u->source_v4) = a;
    }
    return EXIT_CODE_OK;
}

static int take_endpoint(struct run *run, const char *text)
{
    struct upstream_endpoint_name *e = &run->endpoints[run->n_endpoints];
    enum rc rc = host_port_read(text, &e->host, &e->port);

    if (rc == RC_INVALID) {
        return doctor_complain(run->line, EXIT_CODE_USAGE, "--endpoints: '%s' is no HOST:PORT",
                               text);
    }
    run->n_endpoints += rc == RC_OK;
    return end(run, rc);
}

/* The roots of --roots; those of the cluster come later. */
static int take_roots(struct run *run)
{
    const char *path = run->o->roots;
    struct cert_error err;

    if (path == NULL) {
        return EXIT_CODE_OK;
    }
    enum rc rc = root_set_load(path, &run->roots, &err);
    if (rc == RC_INVALID) {
        return doctor_complain(run->line, EXIT_CODE_USAGE, "--roots: %s %s", path, err.text);
    }
    return end(run, rc);
}

static int take_line(struct run *run)
{
    struct doctor_upstream u = {.name = "istiod", .endpoints = run->endpoints, .passes = true};
    int code = EXIT_CODE_OK;

    for (size_t i = 0; i < run->o->endpoints.n && code == EXIT_CODE_OK; i++) {
        code = take_endpoint(run, run->o->endpoints.items[i]);
    }
    if (code == EXIT_CODE_OK) {
        code = take_source(run, &u);
    }
    if (code == EXIT_CODE_OK && run->n_endpoints > 0) {
        run->upstreams = calloc(1, sizeof(*run->upstreams));
        if (run->upstreams == NULL) {
            return end(run, RC_NO_MEMORY);
        }
        u.n_endpoints = run->n_endpoints;
        run->upstreams[run->n_upstreams++] = u;
    }
    return code;
}

/* ---- the cluster ---- */

static int open_kube(const struct run *run, enum rc rc, struct kube_access **access,
                     struct kube_error *err, struct kube **out)
{
    static const struct kube_opts opts = {.connect_timeout_ms = 3000, .call_timeout_ms = 5000};

    if (rc == RC_OK) {
        rc = kube_new(access, &opts, err, out);
    }
    if (rc == RC_OK || rc == RC_NO_MEMORY) {
        return end(run, rc);
    }
    return doctor_complain(run->line, EXIT_CODE_USAGE, "%s", err->text);
}

/* As the daemon does. */
static int open_gate(struct run *run)
{
    const struct config_kubernetes *k = &run->config->kubernetes;
    struct kube_access *access = NULL;
    struct kube_error err;
    enum rc rc = k->kubeconfig != NULL
                     ? kube_access_from_file(k->kubeconfig, k->context, &err, &access)
                     : kube_access_in_pod(KUBE_POD_FOLDER, &err, &access);

    run->gate.name = k->kubeconfig != NULL ? k->kubeconfig : KUBE_POD_FOLDER;
    run->gate.kubeconfig = k->kubeconfig;
    run->gate.context = k->context;
    run->cluster.gate = &run->gate;
    return open_kube(run, rc, &access, &err, &run->gate.kube);
}

/* Without a cluster, is there nothing that was asked for to look at? */
static bool needs_cluster(const struct run *run)
{
    return run->o->kubeconfig != NULL || run->o->context != NULL || run->vm != NULL ||
           (run->o->before && run->n_upstreams == 0);
}

/* As kubectl does: where a cluster is to be read, somebody with more rights than the daemon. */
static int open_look(struct run *run)
{
    struct kube_access *access = NULL;
    struct kube_error err;
    bool needed = needs_cluster(run);
    enum rc rc = RC_NOT_FOUND;

    if (needed || run->o->before) {
        rc = kube_access_find(run->o->kubeconfig, run->o->context, &err, &access);
    }
    if (rc == RC_NOT_FOUND && !needed) {
        doctor_skipped(run->r, "the objects of the cluster: --kubeconfig names somebody who may "
                               "read them");
        return EXIT_CODE_OK;
    }
    if (rc == RC_OK) {
        (void)snprintf(run->look_name, sizeof(run->look_name), "%s",
                       run->o->kubeconfig != NULL ? run->o->kubeconfig
                                                  : kube_access_origin(access));
    }
    run->look.name = run->look_name;
    run->look.kubeconfig = run->o->kubeconfig;
    run->look.context = run->o->context;
    run->cluster.look = &run->look;
    return open_kube(run, rc, &access, &err, &run->look.kube);
}

/* ---- the daemon ---- */

static enum rc read_vms(struct run *run, const struct admin_answer *a)
{
    struct doc_error err;

    if (a->status != 200) {
        doctor_skipped(run->r, "the VMs that the daemon knows: it answers with status %d",
                       a->status);
        return RC_OK;
    }
    enum rc rc = doc_parse_json_within(a->body, a->n, VALUES_MAX, &err, &run->vms);
    if (rc == RC_INVALID) {
        doctor_skipped(run->r, "the VMs that the daemon knows: its list cannot be read: %s",
                       err.text);
    }
    return rc == RC_NO_MEMORY ? rc : RC_OK;
}

/* Which VMs does it know? Of use only beside what the cluster says. */
static enum rc ask_daemon(struct run *run)
{
    const char *socket = run->config != NULL ? run->config->admin.socket : NULL;
    struct admin_answer answer;
    char why[512];

    if (socket == NULL || run->cluster.look == NULL) {
        return RC_OK;
    }
    enum rc rc = admin_client_ask(socket, "GET", "vms", &answer, why, sizeof(why));
    if (rc != RC_OK) {
        doctor_skipped(run->r, "the VMs that the daemon knows: %s", why);
        return rc == RC_NO_MEMORY ? rc : RC_OK;
    }
    rc = read_vms(run, &answer);
    free(answer.body);
    return rc;
}

/* ---- all of it ---- */

static int split_name(struct run *run)
{
    const char *text = run->line->n_args > 0 ? run->line->args[0] : NULL;
    const char *dot = text != NULL && run->o->name_space == NULL ? strrchr(text, '.') : NULL;
    const char *ns = run->o->name_space != NULL ? run->o->name_space : dot != NULL ? dot + 1 : NULL;

    if (text == NULL) {
        return EXIT_CODE_OK;
    }
    /* kubectl prints GROUP-ADDRESS: what is behind the last dot of that is no namespace. */
    if (ns == NULL || *ns == '\0' || (dot != NULL && ns[strspn(ns, "0123456789")] == '\0')) {
        return doctor_complain(run->line, EXIT_CODE_USAGE,
                               "which namespace? Say %s.NAMESPACE, or -n NAMESPACE", text);
    }
    run->ns = strdup(ns);
    run->vm = dot != NULL ? strndup(text, (size_t)(dot - text)) : strdup(text);
    return end(run, run->ns != NULL && run->vm != NULL ? RC_OK : RC_NO_MEMORY);
}

static int prepare(struct run *run)
{
    int code = split_name(run);

    if (code == EXIT_CODE_OK) {
        code = load_config(run);
    }
    if (code == EXIT_CODE_OK && run->config != NULL) {
        code = take_upstreams(run);
    } else if (code == EXIT_CODE_OK) {
        code = take_line(run);
    }
    if (code == EXIT_CODE_OK) {
        code = take_roots(run);
    }
    if (code == EXIT_CODE_OK && run->config != NULL && run->config->kubernetes.on) {
        code = open_gate(run);
    }
    return code == EXIT_CODE_OK ? open_look(run) : code;
}

/* The first whose `tls` says what answers there; NULL: none. *all: does each say it? */
static const struct doctor_upstream *find_known(const struct run *run, bool *all)
{
    const struct doctor_upstream *known = NULL;

    *all = true;
    for (size_t i = 0; i < run->n_upstreams; i++) {
        const struct doctor_upstream *u = &run->upstreams[i];
        known = known == NULL && u->roots != NULL ? u : known;
        *all = *all && u->roots != NULL;
    }
    return known;
}

/* How upstreams without `tls` are asked: as the command line says, else like another one, else by
 * the roots of the cluster. */
static enum rc find_like(struct run *run)
{
    const char *name = run->o->server_name;
    bool all = true;
    const struct doctor_upstream *known = find_known(run, &all);

    if (all) {
        return RC_OK;
    }
    run->like = known != NULL ? *known : (struct doctor_upstream){.server_name = SERVER_NAME};
    run->like.server_name = name != NULL ? name : run->like.server_name;
    if (known == NULL && run->roots == NULL) {
        TRY(doctor_mesh_roots(&run->cluster, run->r, &run->roots));
    }
    run->like.roots = run->roots != NULL ? run->roots : run->like.roots;
    if (run->config == NULL) {
        run->upstreams[0].asks = run->roots != NULL; /* --endpoints says that istiod is there */
    }
    return RC_OK;
}

static enum rc look_at_machine(struct run *run)
{
    if (run->config == NULL) {
        return RC_OK;
    }
    doctor_machine(run->config, run->r);
    return doctor_certificates(run->config, run->o->config, run->r);
}

static enum rc look_at_upstreams(struct run *run)
{
    TRY(find_like(run));
    for (size_t i = 0; i < run->n_upstreams; i++) {
        TRY(doctor_discover(&run->cluster, &run->upstreams[i], run->r));
    }
    return doctor_upstreams(run->upstreams, run->n_upstreams, &run->like, run->o->timeout, run->r);
}

static enum rc look_at_cluster(struct run *run)
{
    if (run->vm != NULL) {
        return doctor_one_vm(&run->cluster, run->ns, run->vm, run->r);
    }
    TRY(ask_daemon(run));
    run->cluster.vms = run->vms;
    TRY(doctor_rights(&run->cluster, run->r));
    TRY(doctor_members(&run->cluster, run->r));
    return doctor_istiod(&run->cluster, run->upstreams, run->n_upstreams, run->r);
}

static enum rc look(struct run *run)
{
    TRY(look_at_machine(run));
    if (run->o->no_network) {
        doctor_skipped(run->r, "istiod as it is reached from here: --no-network");
    } else {
        TRY(look_at_upstreams(run));
    }
    return look_at_cluster(run);
}

static void clean_up(struct run *run)
{
    kube_free(&run->gate.kube);
    kube_free(&run->look.kube);
    root_set_unref(&run->roots);
    for (size_t i = 0; i < run->n_endpoints; i++) {
        free(run->endpoints[i].host);
    }
    for (size_t i = 0; i < run->n_upstreams; i++) {
        free(run->upstreams[i].found);
    }
    free(run->upstreams);
    json_decref(run->vms);
    config_free(&run->config);
    free(run->ns);
    free(run->vm);
}

int doctor_run_gate(const struct command_line *line, struct doctor_report *r)
{
    struct run *run = calloc(1, sizeof(*run));

    if (run == NULL) {
        return doctor_complain(line, EXIT_CODE_NO, "%s", rc_text(RC_NO_MEMORY));
    }
    run->line = line;
    run->o = line->opts;
    run->r = r;
    doctor_report_aim(r, run->o->kubeconfig, run->o->context, run->o->istio_namespace,
                      run->o->revision);
    int code = prepare(run);
    if (code == EXIT_CODE_OK) {
        run->cluster.config = run->config;
        run->cluster.config_path = run->o->config;
        run->cluster.istio_namespace = run->o->istio_namespace;
        run->cluster.revision = run->o->revision;
        run->cluster.before = run->o->before;
        code = end(run, look(run));
    }
    clean_up(run);
    free(run);
    return code;
}
