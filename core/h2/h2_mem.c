/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory of nghttp2's sessions. Each session has a buffer of 16 KiB in which it builds one
 * frame, which is empty between two calls: nghttp2_session_mem_send() fills it and hands it out
 * within the same call, and we copy it at once. So the sessions of a worker share one
 * (worker->frame), a third of what an idle connection would cost. Frames that need more than one
 * buffer (header blocks with CONTINUATION) get the others from malloc(). Not for the dialled role:
 * nghttp2 puts the client's preface into the buffer when the session is made.
 */
#include "core/h2/h2_internal.h"

#include <stdlib.h>
#include <string.h>

static void *on_realloc(void *p, size_t n, void *user)
{
    struct h2_session *s = user;

    if (p == NULL && s->making && s->role == H2_ACCEPTED && !s->shares_frame &&
        n > H2_FRAME_BYTES && n <= WORKER_FRAME_BYTES) {
        s->shares_frame = true;
        return s->worker->frame;
    }
    if (p != s->worker->frame || p == NULL) {
        return realloc(p, n);
    }
    void *own = malloc(n); /* a nghttp2 that lets it grow: its own from now on */
    if (own != NULL) {
        memcpy(own, p, n < WORKER_FRAME_BYTES ? n : WORKER_FRAME_BYTES);
    }
    return own;
}

static void *on_malloc(size_t n, void *user)
{
    return on_realloc(NULL, n, user);
}

static void *on_calloc(size_t n, size_t size, void *user)
{
    (void)user;
    return calloc(n, size);
}

static void on_free(void *p, void *user)
{
    const struct h2_session *s = user;

    if (p != s->worker->frame) {
        free(p);
    }
}

nghttp2_mem h2_mem(struct h2_session *s)
{
    return (nghttp2_mem){.mem_user_data = s,
                         .malloc = on_malloc,
                         .free = on_free,
                         .calloc = on_calloc,
                         .realloc = on_realloc};
}
