/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/doctor/vm_rules.h"

#include <stdio.h>
#include <string.h>

/** All of them begin so (Istio: tools/istio-iptables/pkg/constants). */
#define CHAIN "ISTIO_"

/* The word that begins at text: up to a space or the end. */
static int word_length(const char *text)
{
    return (int)strcspn(text, " \t");
}

static bool begins(const char *line, const char *with)
{
    return strncmp(line, with, strlen(with)) == 0;
}

static void take_chain(struct vm_rules *s, const char *name)
{
    bool better =
        s->chain[0] == '\0' || (strcmp(s->now, "nat") == 0 && strcmp(s->table, "nat") != 0);

    if (begins(name, CHAIN) && better) {
        (void)snprintf(s->chain, sizeof(s->chain), "%.*s", word_length(name), name);
        (void)snprintf(s->table, sizeof(s->table), "%s", s->now);
    }
}

/* "table ip nat {" */
static void take_nft_table(struct vm_rules *s, const char *family)
{
    const char *name = family + word_length(family);

    name += strspn(name, " ");
    (void)snprintf(s->now, sizeof(s->now), "%.*s", word_length(name), name);
}

static void take_line(struct vm_rules *s)
{
    const char *line = s->line + strspn(s->line, " \t");

    if (line[0] == '*') { /* iptables-save(8) */
        (void)snprintf(s->now, sizeof(s->now), "%s", line + 1);
    } else if (line[0] == ':') {
        take_chain(s, line + 1);
    } else if (begins(line, "table ")) { /* nft(8) */
        take_nft_table(s, line + strlen("table "));
    } else if (begins(line, "chain ")) {
        take_chain(s, line + strlen("chain "));
    }
}

void vm_rules_feed(struct vm_rules *s, const char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (bytes[i] == '\n') {
            s->line[s->n_line] = '\0';
            take_line(s);
            s->n_line = 0;
        } else if (s->n_line + 1 < sizeof(s->line)) {
            s->line[s->n_line++] = bytes[i];
        }
    }
}

bool vm_rules_found(const struct vm_rules *s)
{
    return s->chain[0] != '\0';
}
