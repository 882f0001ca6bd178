/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules of one subscription, as istiod has them: an error is recorded and not answered, an
 * old nonce is ignored, an empty or unknown one subscribes anew, an ACK clears the error and is
 * answered only when it adds names. CDS and LDS are wildcard types, EDS and RDS go by name.
 */
#include "integration/sandbox/istiod/watch.h"

#include <stdlib.h>
#include <string.h>

static bool is_wildcard(enum xds_type type)
{
    return type == XDS_CDS || type == XDS_LDS;
}

static void set_str(char **slot, const char *value)
{
    free(*slot);
    *slot = value == NULL ? NULL : sbx_strdup(value);
}

static void respond_all(struct watch *w)
{
    w->pending = true;
    w->pending_all = true;
    names_fini(&w->added);
}

static void respond_added(struct watch *w, const char *name)
{
    w->pending = true;
    if (!w->pending_all && !names_has(&w->added, name)) {
        names_add(&w->added, name);
    }
}

static void on_nack(struct watch *w, const struct watch_request *rq)
{
    w->nacks++;
    set_str(&w->error, rq->error);
    w->error_code = rq->error_code;
}

/* Is the nonce the last one sent? Records the ACK when it is. */
static bool on_ack(struct watch *w, const char *nonce)
{
    if (w->nonce_sent == NULL || strcmp(nonce, w->nonce_sent) != 0) {
        w->stale++;
        return false;
    }
    w->acks++;
    set_str(&w->nonce_acked, nonce);
    set_str(&w->error, NULL);
    return true;
}

static void add_names(struct watch *w, const struct watch_request *rq, bool respond)
{
    for (size_t i = 0; i < rq->n_subscribe; i++) {
        if (names_has(&w->names, rq->subscribe[i])) {
            continue;
        }
        names_add(&w->names, rq->subscribe[i]);
        if (respond) {
            respond_added(w, rq->subscribe[i]);
        }
    }
}

/* SotW: names that the request no longer lists are gone. */
static void drop_unlisted(struct watch *w, const struct watch_request *rq)
{
    for (size_t i = 0; i < w->names.n;) {
        bool listed = false;

        for (size_t k = 0; k < rq->n_subscribe; k++) {
            listed = listed || strcmp(rq->subscribe[k], w->names.v[i]) == 0;
        }
        if (listed) {
            i++;
        } else {
            char *name = sbx_strdup(w->names.v[i]);

            (void)names_remove(&w->names, name);
            free(name);
        }
    }
}

void watch_on_sotw(struct watch *w, enum xds_type type, const struct watch_request *rq)
{
    if (rq->is_nack) {
        on_nack(w, rq);
        return;
    }
    if (!is_wildcard(type) && rq->n_subscribe == 0) {
        w->subscribed = false;
        names_fini(&w->names);
        return;
    }
    if (!w->subscribed || rq->nonce[0] == '\0') {
        w->subscribed = true;
        names_fini(&w->names);
        add_names(w, rq, false);
        respond_all(w);
        return;
    }
    if (!on_ack(w, rq->nonce)) {
        return;
    }
    drop_unlisted(w, rq);
    add_names(w, rq, true);
}

void watch_on_delta(struct watch *w, enum xds_type type, const struct watch_request *rq)
{
    (void)type;
    if (rq->is_nack) {
        on_nack(w, rq);
        return;
    }
    if (!w->subscribed) {
        w->subscribed = true;
        add_names(w, rq, false);
        respond_all(w);
        return;
    }
    if (rq->nonce[0] != '\0' && !on_ack(w, rq->nonce)) {
        return;
    }
    for (size_t i = 0; i < rq->n_unsubscribe; i++) {
        (void)names_remove(&w->names, rq->unsubscribe[i]);
    }
    add_names(w, rq, true);
}

void watch_on_sent(struct watch *w, const char *version, const char *nonce, size_t n_resources)
{
    set_str(&w->version_sent, version);
    set_str(&w->nonce_sent, nonce);
    w->n_resources = n_resources;
    w->sent++;
    w->pending = false;
    w->pending_all = false;
    names_fini(&w->added);
}

const char *watch_state(const struct watch *w)
{
    if (!w->subscribed) {
        return "IGNORED";
    }
    if (w->error != NULL) {
        return "ERROR";
    }
    if (w->nonce_sent == NULL) {
        return "NOT SENT";
    }
    if (w->nonce_acked != NULL && strcmp(w->nonce_acked, w->nonce_sent) == 0) {
        return "SYNCED";
    }
    return "STALE";
}

bool watch_wants(const struct watch *w, enum xds_type type, const char *name)
{
    if (!w->pending_all) {
        return names_has(&w->added, name);
    }
    return is_wildcard(type) || names_has(&w->names, name);
}

void watch_fini(struct watch *w)
{
    names_fini(&w->names);
    names_fini(&w->added);
    free(w->version_sent);
    free(w->nonce_sent);
    free(w->nonce_acked);
    free(w->error);
    *w = (struct watch){0};
}
