/* SPDX-License-Identifier: Apache-2.0 */
/* Targets: kube_lines_feed(), kube_event_read(), and what reads the objects in events. The first
 * byte says how the rest is split; the lines must not depend on it. */
#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"
#include "kube/event.h"
#include "kube/lines.h"
#include "kube/objects.h"

/** Short, so that it is reached. */
#define LINE_MAX_BYTES 2000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct sum {
    struct kube_endpoints *endpoints;
    size_t n_lines;
    size_t n_bytes;
};

static void read_object(const json_t *object, struct kube_endpoints *endpoints)
{
    struct kube_token token = {0};
    char *value = NULL;
    uint16_t port = 0;
    size_t n = 0;
    bool allowed = false;

    (void)(kube_slice_read(object, "https-dns", endpoints) == RC_OK);
    (void)(kube_node_read(object, "InternalIP", 1, endpoints) == RC_OK);
    CHECK(kube_service_node_port(object, "15012", &port) != RC_OK || port > 0);
    (void)(kube_right_read(object, &allowed) == RC_OK);
    if (kube_token_read(object, &token) == RC_OK) {
        CHECK(token.token[0] != '\0');
        kube_token_fini(&token);
    }
    if (kube_secret_value(object, "ca-cert.pem", &value, &n) == RC_OK) {
        CHECK(value[n] == '\0');
        free(value);
    }
}

static bool on_line(void *arg, const char *line, size_t n)
{
    struct sum *s = arg;
    struct kube_event e;

    CHECK(n > 0 && n <= LINE_MAX_BYTES && memchr(line, '\n', n) == NULL);
    s->n_lines++;
    s->n_bytes += n;
    if (kube_event_read(line, n, &e) == RC_OK) {
        CHECK((e.object != NULL) == (e.change <= KUBE_DELETED));
        read_object(e.object, s->endpoints);
        kube_event_fini(&e);
    }
    return true;
}

static enum rc feed(struct sum *s, const char *bytes, size_t n, size_t piece)
{
    struct kube_lines l;
    enum rc rc = RC_OK;

    kube_lines_init(&l, LINE_MAX_BYTES);
    s->endpoints->n = 0;
    for (size_t at = 0; rc == RC_OK && at < n; at += piece) {
        rc = kube_lines_feed(&l, bytes + at, n - at < piece ? n - at : piece, on_line, s);
    }
    kube_lines_fini(&l);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct kube_endpoints endpoints;
    struct sum whole = {.endpoints = &endpoints};
    struct sum split = {.endpoints = &endpoints};

    if (size < 2) {
        return 0;
    }
    enum rc rc = feed(&whole, (const char *)data + 1, size - 1, size);
    CHECK(feed(&split, (const char *)data + 1, size - 1, (size_t)data[0] + 1) == rc);
    CHECK(split.n_lines == whole.n_lines && split.n_bytes == whole.n_bytes);
    return 0;
}
