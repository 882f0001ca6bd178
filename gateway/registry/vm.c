/* SPDX-License-Identifier: Apache-2.0 */
/* One VM: its life, its streams, and what passes on the one that speaks for it. */
#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"
#include "gateway/registry/registry_internal.h"

/* What a VM that is not well says about it; istiod shows it in the WorkloadEntry. */
#define HEALTH_MESSAGE_BYTES 512

/* ---- life ---- */

struct vm *vm_new(struct registry *r, uint64_t id, struct vm_claim *claim)
{
    struct vm *vm = calloc(1, sizeof(*vm));

    if (vm == NULL) {
        return NULL;
    }
    vm->magic = VM_MAGIC;
    vm->refs = 1;
    vm->registry = r;
    vm->id = id;
    vm->claim = vm_claim_ref(claim);
    vm->shown = VM_NO_KEY;
    vm->certificate_key = VM_NO_KEY;
    vm->last_nack = XDS_TYPES;
    vm->refused_rule = RULES;
    list_init(&vm->node);
    pthread_mutex_init(&vm->lock, NULL);
    return vm;
}

struct vm *vm_ref(struct vm *vm)
{
    CHECK_MAGIC(vm, VM_MAGIC);
    __atomic_fetch_add(&vm->refs, 1, __ATOMIC_RELAXED);
    return vm;
}

static void free_vm(struct vm *vm)
{
    CHECK(vm->streams == NULL && !vm->in_table && list_empty(&vm->node));
    for (size_t i = 0; vm->nacks != NULL && i < XDS_TYPES; i++) {
        shared_text_unref(&vm->nacks->of[i].text);
    }
    free(vm->nacks);
    vm_config_free(&vm->config);
    vm_rows_fini(&vm->rows);
    shared_text_unref(&vm->pod);
    shared_text_unref(&vm->health_message);
    shared_text_unref(&vm->refused_detail);
    vm_claim_unref(&vm->claim);
    pthread_mutex_destroy(&vm->lock);
    vm->magic = 0;
    free(vm);
}

void vm_unref(struct vm **pvm)
{
    struct vm *vm = *pvm;

    *pvm = NULL;
    if (vm == NULL) {
        return;
    }
    CHECK_MAGIC(vm, VM_MAGIC);
    if (__atomic_sub_fetch(&vm->refs, 1, __ATOMIC_ACQ_REL) == 0) {
        free_vm(vm);
    }
}

void vm_touch(struct vm *vm)
{
    /* A reader raises the epoch before it looks at any VM, and looks under the VM's lock: what
     * comes after its look has the new one. */
    vm->changed = __atomic_load_n(&vm->registry->epoch, __ATOMIC_RELAXED);
}

void vm_note(struct vm *vm, enum vm_what what, unsigned detail, int64_t now_ms)
{
    vm_events_add(&vm->events, what, detail, now_ms);
    vm_touch(vm);
}

/* ---- streams ---- */

struct vm_stream *vm_find_stream(const struct vm *vm, uint64_t stream)
{
    struct vm_stream *s = vm->streams;

    while (s != NULL && s->stream != stream) {
        s = s->next;
    }
    return s;
}

/* The newest one that is trusted; when there is none, the newest. */
static struct vm_stream *find_speaker(const struct vm *vm)
{
    for (struct vm_stream *s = vm->streams; s != NULL; s = s->next) {
        if (s->trusted) {
            return s;
        }
    }
    return vm->streams;
}

void vm_choose(struct vm *vm)
{
    struct vm_stream *s = find_speaker(vm);

    /* What a stranger claims is not shown as what a VM that was believed has claimed. */
    if (s != NULL && s->claim != vm->claim && (s->trusted || !vm->known)) {
        vm_claim_unref(&vm->claim);
        vm->claim = vm_claim_ref(s->claim);
    }
    if (s != vm->current && s != NULL) {
        vm_rows_reset(&vm->rows);
        shared_text_unref(&vm->pod);
        vm->endpoint = (struct addr){.family = ADDR_NONE};
    }
    bool is_other = s != vm->current;
    vm->current = s;
    vm->speaker = s != NULL ? s->stream : 0;
    vm->variant = s != NULL ? s->claim->variant : 0;
    vm->has_begun = s != NULL && s->has_begun;
    vm_config_follow(vm, is_other);
    vm_touch(vm);
}

/* ---- what passes ---- */

/* Something to log when the lock is no longer held. */
enum notice_kind { NOTICE_NONE, NOTICE_REJECTED, NOTICE_HEALTH };

struct notice {
    enum notice_kind kind;
    struct vm_claim *claim; /* owned reference */
};

static void announce(const struct vm *vm, struct notice *n, enum notice_kind kind)
{
    n->kind = kind;
    n->claim = vm_claim_ref(vm->current->claim);
}

static void log_notice(struct notice *n, const struct xds_request *q)
{
    if (n->kind == NOTICE_REJECTED) {
        vm_log_rejected(n->claim, q->type, q->error_text);
    } else if (n->kind == NOTICE_HEALTH) {
        vm_log_health(n->claim, !q->has_error, q->error_text);
    }
    vm_claim_unref(&n->claim);
}

static bool same_message(const struct vm *vm, const char *text)
{
    return strncmp(shared_text_get(vm->health_message), text, HEALTH_MESSAGE_BYTES) == 0;
}

/* Only changes are sent, but also at the beginning of each stream. */
static void take_health(struct vm *vm, const struct xds_request *q, int64_t now_ms,
                        struct notice *n)
{
    enum vm_health health = q->has_error ? VM_UNHEALTHY : VM_HEALTHY;
    const char *text = q->has_error ? q->error_text : "";

    if (!vm->has_begun) {
        return; /* istiod ignores it as the first message of a stream */
    }
    if (health != vm->health) {
        vm->health = (uint8_t)health;
        vm->health_since_ms = now_ms;
        vm_note(vm, q->has_error ? VM_WHAT_UNHEALTHY : VM_WHAT_HEALTHY, 0, now_ms);
        announce(vm, n, NOTICE_HEALTH);
    }
    if (!same_message(vm, text)) {
        shared_text_unref(&vm->health_message);
        vm->health_message = text[0] != '\0' ? shared_text_new(text, HEALTH_MESSAGE_BYTES) : NULL;
    }
}

static void keep_nack(struct vm *vm, const struct xds_request *q, int64_t now_ms)
{
    if (vm->nacks == NULL) {
        vm->nacks = calloc(1, sizeof(*vm->nacks));
    }
    if (vm->nacks != NULL) {
        struct shared_text *text = shared_text_new(q->error_text, XDS_ERROR_BYTES);
        shared_text_unref(&vm->nacks->of[q->type].text);
        vm->nacks->of[q->type].text = text;
        vm->nacks->of[q->type].at_ms = now_ms;
        vm->last_nack = (uint8_t)q->type;
    }
    vm->n_nacks++;
    vm_note(vm, VM_WHAT_NACK, (unsigned)q->type, now_ms);
}

static struct vm_heard take_request(struct vm *vm, const struct xds_request *q, int64_t now_ms,
                                    struct notice *n)
{
    struct vm_heard heard = {.event = XDS_SUBSCRIBED};
    struct xds_sync s;

    /* Before istiod has answered, a VM has nothing to report or reject; a stranger might. */
    if ((q->type == XDS_HEALTH || q->has_error) && !vm->current->trusted) {
        return heard;
    }
    if (q->type >= XDS_TYPES) {
        if (q->type == XDS_HEALTH) {
            take_health(vm, q, now_ms, n);
        }
        return heard;
    }
    bool is_there = vm_rows_load(&vm->rows, q->type, &s);
    heard.event = xds_sync_request(&s, (enum xds_variant)vm->variant, q, now_ms);
    if (is_there || s.state != XDS_IGNORED) {
        heard.row = vm_rows_store(&vm->rows, &s);
    }
    if (heard.event == XDS_NACKED) {
        keep_nack(vm, q, now_ms);
        announce(vm, n, NOTICE_REJECTED);
    }
    if (s.sent_ms != 0 && now_ms > s.sent_ms) { /* a NACK may come before anything was sent */
        heard.waited_ms = now_ms - s.sent_ms;
    }
    return heard;
}

#define CACHE_LINE_BYTES 64

static void prefetch(const void *from, size_t n)
{
    for (size_t i = 0; i < n; i += CACHE_LINE_BYTES) {
        __builtin_prefetch((const char *)from + i, 1);
    }
}

void vm_expect(const struct vm *vm, const void *row)
{
    prefetch(vm, offsetof(struct vm, events) + 1);
    if (row != NULL) {
        prefetch(row, offsetof(struct xds_sync, nonce) + CACHE_LINE_BYTES);
    }
}

bool vm_speaks(const struct vm *vm, uint64_t stream)
{
    return vm->speaker == stream;
}

struct vm_heard vm_request(struct vm *vm, uint64_t stream, const struct xds_request *q,
                           uint64_t bytes, int64_t now_ms)
{
    struct notice n = {NOTICE_NONE, NULL};
    struct vm_heard heard = {.event = XDS_LATE};

    CHECK_MAGIC(vm, VM_MAGIC);
    pthread_mutex_lock(&vm->lock);
    vm->messages_up++;
    vm->bytes_up += bytes;
    vm->last_seen_ms = now_ms;
    if (vm_speaks(vm, stream)) {
        heard = take_request(vm, q, now_ms, &n);
        if (!vm->has_begun) {
            vm->has_begun = true;
            vm->current->has_begun = true;
        }
    }
    vm_touch(vm);
    pthread_mutex_unlock(&vm->lock);
    log_notice(&n, q);
    return heard;
}

const void *vm_response(struct vm *vm, uint64_t stream, const struct xds_response *p,
                        int64_t now_ms)
{
    struct xds_sync s;
    const void *row = NULL;

    CHECK_MAGIC(vm, VM_MAGIC);
    pthread_mutex_lock(&vm->lock);
    vm->messages_down++;
    vm->bytes_down += p->bytes;
    if (p->type < XDS_TYPES && vm_speaks(vm, stream)) {
        if (vm_rows_load(&vm->rows, p->type, &s)) {
            xds_sync_response(&s, p, now_ms);
            row = vm_rows_store(&vm->rows, &s);
        }
        vm_events_add(&vm->events, VM_WHAT_PUSH, (unsigned)p->type, now_ms);
    }
    vm_touch(vm);
    pthread_mutex_unlock(&vm->lock);
    return row;
}

void vm_unread(struct vm *vm, uint64_t stream, bool compressed, uint64_t bytes)
{
    (void)stream;
    (void)compressed; /* both are only counted */
    CHECK_MAGIC(vm, VM_MAGIC);
    pthread_mutex_lock(&vm->lock);
    vm->messages_down++;
    vm->bytes_down += bytes;
    vm->unread++;
    vm_touch(vm);
    pthread_mutex_unlock(&vm->lock);
}
