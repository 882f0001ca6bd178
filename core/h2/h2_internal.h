/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of core/h2 share. Included inside this folder only. */
#pragma once

#include <nghttp2/nghttp2.h>

#include "core/h2/limits.h"
#include "core/h2/session.h"

#define H2_SESSION_MAGIC 0x42a5e551u
#define H2_STREAM_MAGIC 0x42a57e4au

/** The callbacks table and options of a role, made once and kept. NULL: out of memory. */
nghttp2_session *h2_ng_new(struct h2_session *s);

/** nghttp2's allocator for a session, while s->making is set and afterwards. */
nghttp2_mem h2_mem(struct h2_session *s);

/** A stream of s with that identifier, on its list; NULL: out of memory. */
struct h2_stream *h2_stream_new(struct h2_session *s, int32_t id);

/** Take it off the session and queue it for freeing; tells its user. */
void h2_stream_close(struct h2_stream *st, uint32_t error);

/** Ask for a flush before the loop sleeps. */
void h2_session_mark(struct h2_session *s);

/** May the data source frame more now? Else the stream is noted and resumed by h2_resume_blocked().
 */
bool h2_out_has_room(const struct h2_session *s);
void h2_resume_blocked(struct h2_session *s);

/** The next look at the peer's life in so many seconds. */
void h2_arm_ping(struct h2_session *s, double after);

/** Append to the worker's output buffer, written through when it is full. */
void h2_out_put(struct h2_session *s, const uint8_t *data, size_t n);

/** The data provider's read callback. */
ssize_t h2_stream_read(nghttp2_session *ng, int32_t id, uint8_t *buf, size_t length,
                       uint32_t *flags, nghttp2_data_source *source, void *user);

/** The callback that moves a framed piece from the stream's queue to the output. */
int h2_stream_send_data(nghttp2_session *ng, nghttp2_frame *frame, const uint8_t *framehd,
                        size_t length, nghttp2_data_source *source, void *user);
