/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The dimensions of HTTP/2 here, in one place.
 *
 * Memory of a connection is bounded by open streams x stream window (a stream window is credited
 * only when its bytes left on the other side), plus one message that is still incomplete for each
 * stream of a VM, plus CONN_OUT_MAX_BYTES. The connection window is credited on receipt, so one
 * slow stream never stops the others.
 */
#pragma once

/** Bytes the peer may send on a stream before the other side has taken them. A first request of an
 * agent is 64 KB; a stalled VM costs at most this much. */
#define H2_STREAM_WINDOW_BYTES (256 * 1024)

/** Connection window towards istiod: 50 streams of it and room; never a limit while bytes are
 * credited on receipt. */
#define H2_UP_CONN_WINDOW_BYTES (16 * 1024 * 1024)

/** Connection window towards a VM. */
#define H2_DOWN_CONN_WINDOW_BYTES (4 * 1024 * 1024)

/** What a DATA frame of ours holds at most; also one TLS record. */
#define H2_FRAME_BYTES 16384

/** ACKs (SETTINGS, PING) that may wait before nghttp2 ends the connection. */
#define H2_MAX_OUTBOUND_ACKS 200

/** Frames that may wait for a peer that does not read. */
#define H2_MAX_QUEUED_FRAMES 2000

/** PING of a peer that should be alive, and how long its answer may take (istio
 * pkg/keepalive/options.go). */
#define H2_PING_INTERVAL_S 30.0
#define H2_PING_TIMEOUT_S 10.0

/** The time over which control frames are counted for frame_flood. */
#define H2_FLOOD_WINDOW_S 10.0

/** What a header block of a VM may have beyond its limit, decoded, and still be answered. HPACK
 * makes 4 KB out of each byte, so a block of one frame can stand for 60 MB, all of which nghttp2
 * looks at: a VM that sends such a thing is cut off. */
#define H2_HEADER_EXCESS_BYTES (64 * 1024)

/** What a frame of a VM takes off the bytes that are read in one turn of the loop
 * (WORKER_READ_BURST_BYTES), besides its own: any frame, and one that is counted for frame_flood or
 * opens a stream. A quarter of a megabyte of small frames would keep the others waiting for
 * milliseconds. */
#define H2_FRAME_COST_BYTES 256
#define H2_DEAR_FRAME_COST_BYTES 4096

/** The same for each header, which may be a byte of a frame. */
#define H2_HEADER_COST_BYTES 64

/** Bytes that nghttp2 ignores (DATA of a stream that is over) and of which no callback hears, or of
 * headers beyond the limit: so many count as one frame for frame_flood. A window may be on its way
 * when a stream is reset. What one of them costs in a turn: they may be frames of a byte. */
#define H2_IGNORED_BYTES 1024
#define H2_IGNORED_COST_BYTES (H2_FRAME_COST_BYTES / 10)

/** RFC 9113 4.1. */
#define H2_FRAME_HEAD_BYTES 9

/** How long a finished connection waits for the peer's FIN. */
#define H2_LINGER_S 2.0
