/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/doctor/vm_clusters.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- lines of the page ---- */

static bool is_known(const struct vm_clusters *c, const struct addr *a)
{
    for (size_t i = 0; i < c->n; i++) {
        if (addr_same_ip(&c->list[i], a)) {
            return true;
        }
    }
    return false;
}

/* "outbound|80||NAME::ADDRESS:PORT::..."; other lines say nothing here. */
static void read_page_line(struct vm_clusters *c)
{
    struct addr a;
    char *address = strstr(c->line, "::");

    if (strncmp(c->line, "outbound|", strlen("outbound|")) != 0 || address == NULL ||
        c->n == VM_CLUSTERS_MAX) {
        return;
    }
    address += 2;
    /* "[v6]:port" has "::" in it. */
    char *from = *address == '[' ? strchr(address, ']') : address;
    char *end = from != NULL ? strstr(from, "::") : NULL;
    if (end == NULL) {
        return;
    }
    *end = '\0';
    if (addr_parse(address, &a) == RC_OK && a.port != 0 && !addr_is_loopback(&a) &&
        !is_known(c, &a)) {
        c->list[c->n++] = a;
    }
}

static void feed_page(struct vm_clusters *c, char byte)
{
    if (byte != '\n') {
        if (c->n_line < sizeof(c->line) - 1) {
            c->line[c->n_line++] = byte;
        }
        return;
    }
    c->line[c->n_line] = '\0';
    read_page_line(c);
    c->n_line = 0;
}

/* ---- HTTP ---- */

static void read_head_line(struct vm_clusters *c)
{
    static const char encoding[] = "transfer-encoding:";

    if (c->n_line == 0) {
        c->in_body = true;
    } else if (strncmp(c->line, "HTTP/1.1 ", 9) == 0) {
        c->ok = strncmp(c->line + 9, "200", 3) == 0;
    } else if (strncasecmp(c->line, encoding, strlen(encoding)) == 0) {
        c->chunked = strstr(c->line, "chunked") != NULL;
    }
}

/* A line of the head, or one that says how long the next chunk is; byte by byte. True: it is
 * complete, without its end. */
static bool feed_line(struct vm_clusters *c, char byte)
{
    if (byte != '\n') {
        if (c->n_line < sizeof(c->line) - 1) {
            c->line[c->n_line++] = byte;
        }
        return false;
    }
    if (c->n_line > 0 && c->line[c->n_line - 1] == '\r') {
        c->n_line--;
    }
    c->line[c->n_line] = '\0';
    return true;
}

/* Lines of the page go on over chunks, so those that say a chunk's length are read apart. */
static void feed_chunks(struct vm_clusters *c, char byte)
{
    if (c->in_chunk > 0) {
        feed_page(c, byte);
        c->in_chunk--;
        c->after = c->in_chunk == 0;
        return;
    }
    if (c->after) {
        c->after = byte != '\n';
        return;
    }
    if (c->n_size < sizeof(c->size) - 1 && byte != '\n') {
        c->size[c->n_size++] = byte;
    } else if (byte == '\n') {
        c->size[c->n_size] = '\0';
        c->in_chunk = strtoul(c->size, NULL, 16);
        c->over = c->in_chunk == 0;
        c->n_size = 0;
    } else {
        c->over = true;
    }
}

void vm_clusters_feed(struct vm_clusters *c, const char *bytes, size_t n)
{
    for (size_t i = 0; i < n && !c->over; i++) {
        if (!c->in_body) {
            if (feed_line(c, bytes[i])) {
                read_head_line(c);
                c->n_line = 0;
            }
        } else if (c->chunked) {
            feed_chunks(c, bytes[i]);
        } else {
            feed_page(c, bytes[i]);
        }
    }
}

bool vm_clusters_answered(const struct vm_clusters *c)
{
    return c->in_body && c->ok;
}
