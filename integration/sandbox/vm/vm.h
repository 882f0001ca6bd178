/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "envoy/config/core/v3/base.pb-c.h"
#include "integration/sandbox/common/loop.h"
#include "integration/sandbox/common/text.h"
#include "integration/sandbox/common/wire.h"
#include "integration/sandbox/vm/dial.h"

/** What all VMs of a process have in common, from the command line. Borrowed unless said. */
struct swarm_opts {
    const char *target;
    const char *server_name;
    char *roots;            /* owned; PEM */
    char *cert;             /* owned; PEM or NULL */
    char *key;              /* owned; PEM or NULL */
    const char *token_file; /* read for every call; NULL for none */
    const char *token_dir;  /* one file per VM name; NULL for none */
    const char *name_prefix;
    const char *name_space;
    const char *service_account;
    const char *group;          /* "" for no auto-registration */
    const char *workload_entry; /* "" for none */
    const char *network;
    const char *cluster_id;
    const char *trust_domain;
    const char *istio_version;
    struct names metadata; /* owned; KEY=VALUE */
    struct names headers;  /* owned; key, value, key, value ...: sent with every call */
    uint32_t ip_base;      /* address of the first VM, host order */
    int64_t count;
    int64_t node_bytes;  /* about the size of Node */
    int64_t spread_ms;   /* VMs start at a random moment within this time */
    int64_t cert_life_s; /* asked for */
    bool delta;
    bool no_csr;     /* never ask for a certificate */
    bool no_health;  /* never report */
    bool token_once; /* no token any more once there is a certificate */
    bool rsa;        /* one RSA-2048 key for all; else a P-256 key for each request */
};

/** What a call ended with. */
struct outcome {
    int code;      /* gRPC status; -1 while there was none */
    char *text;    /* owned; NULL while there was none */
    int64_t at_ms; /* os_now_ms() */
};

/** One xDS type at a VM. Strings owned. */
struct vm_type {
    bool subscribed;    /* on this stream */
    bool nack;          /* answer everything with an error, by command */
    struct names names; /* asked for by name (EDS, RDS) */
    struct names held;  /* delta: known on the last stream, told to the next one */
    char *version;      /* of the last response; NULL for none on this stream */
    char *nonce;        /* of the last response; NULL for none on this stream */
    char *nonce_acked;  /* NULL for none on this stream */
    size_t n_resources; /* in the last response */
    uint64_t received;  /* responses since the process began */
    uint64_t bytes;     /* of their resources */
    uint64_t acks;
    uint64_t nacks;
    uint64_t malformed; /* resources that could not be read */
};

/** One simulated VM: agent and Envoy in one. Loop thread or lock held. */
struct vm {
    struct swarm *swarm; /* borrowed */
    int64_t n;           /* 1 .. count */
    char *name;          /* owned; PREFIX-N */
    char *address;       /* owned */
    bool running;
    int64_t started_ms;

    char *roots; /* owned PEM; the CA's root once there was a certificate, as agents do */
    char *cert;  /* owned PEM chain; NULL for none */
    char *key;   /* owned PEM; NULL for none */
    int64_t cert_not_after_s;
    char *csr_key;            /* owned PEM; of the request under way */
    grpc_channel *ca_channel; /* owned */
    struct dialled_call *csr; /* borrowed until its end */
    struct timer csr_timer;
    int csr_attempt;
    int64_t csr_backoff_ms;
    uint64_t csr_ok;
    uint64_t csr_failed;
    struct outcome csr_outcome;

    grpc_channel *ads_channel; /* owned; one per stream */
    struct dialled_call *ads;  /* borrowed until its end */
    struct timer ads_timer;
    int64_t backoff_ms;       /* upper bound of the next wait */
    int64_t dialled_ms;       /* os_now_ms() when the stream was begun */
    bool redialled;           /* and nobody answered for the first half of an agent's patience */
    uint64_t ads_opened;      /* streams begun */
    uint64_t ads_established; /* streams that got a response */
    struct outcome ads_outcome;
    struct vm_type types[XDS_TYPES];
    bool established;   /* this stream got a response */
    bool paused;        /* by command: messages are not read */
    bool lds_requested; /* on this stream: health may be sent */

    bool app_healthy;  /* by command */
    bool proxy_ready;  /* CDS and LDS have come since the VM started */
    int health_stored; /* -1 none, 0 unhealthy, 1 healthy: what the agent would send */
    uint64_t health_sent;
    int64_t cert_after_ms;   /* since the start; -1 not yet */
    int64_t synced_after_ms; /* since the start; -1 not yet */
    int64_t established_ms;  /* os_now_ms() of the last established stream */
};

/** All VMs of a process. */
struct swarm {
    struct loop *loop;                               /* borrowed */
    const struct swarm_opts *opts;                   /* borrowed */
    struct vm *vms;                                  /* owned array of opts->count */
    char *rsa_key;                                   /* owned PEM; NULL without opts->rsa */
    Envoy__Config__Core__V3__Extension **extensions; /* owned; pads every Node */
    size_t n_extensions;
};

/** Make the VMs and start them. Lock held. */
void swarm_open(struct swarm *s, struct loop *loop, const struct swarm_opts *opts);

/** Drop every call and channel. Lock held; before loop_fini(). */
void swarm_stop(struct swarm *s);

/** Release the VMs; after loop_fini(). */
void swarm_close(struct swarm *s);

/** Start a VM: certificate first, then ADS. Nothing when it runs. */
void vm_start(struct vm *v);

/** Stop a VM as if it were killed; its certificate stays on its disk. */
void vm_stop(struct vm *v);

/** The application of the VM changes its health; reported if it is a change. */
void vm_set_health(struct vm *v, bool healthy);

/** Answer this type with errors from now on, beginning with the last response; or stop that. */
void vm_set_nack(struct vm *v, enum xds_type type, bool nack);

/** Stop reading what the control plane sends, or go on. */
void vm_set_paused(struct vm *v, bool paused);

/** Is everything that was asked for received and acknowledged? */
bool vm_synced(const struct vm *v);

/** Remember how a call ended. */
void outcome_set(struct outcome *o, int code, const char *text);

/** Fill the headers an agent sends. Returns how many; *bearer is owned by the caller. */
size_t vm_headers(const struct vm *v, struct dialled_header *out, size_t n_max, char **bearer);

/** How to dial, with what the VM has. */
struct dial vm_dial(const struct vm *v);

/* csr.c */

/** Ask for a certificate; vm_ads_open() follows when the VM has no stream. */
void vm_csr_begin(struct vm *v);

/* ads.c */

/** Open an ADS stream on a new connection. */
void vm_ads_open(struct vm *v);

/** Report the stored health, if the stream is that far. */
void vm_health_send(struct vm *v);

/** Look whether the health to report has changed. */
void vm_health_update(struct vm *v);

/** Answer the last response of a type again, as vm->types[type].nack says. */
void vm_ads_answer(struct vm *v, enum xds_type type);

/* node.c */

/** Make the extensions that pad a Node to opts->node_bytes. */
void swarm_pad(struct swarm *s);

/** Release them. */
void swarm_unpad(struct swarm *s);

/** Build the Node of a VM. Returns owned by the caller; vm_node_free() it. */
Envoy__Config__Core__V3__Node *vm_node_new(const struct vm *v);

/** Release a Node of vm_node_new(). */
void vm_node_free(Envoy__Config__Core__V3__Node *node);
