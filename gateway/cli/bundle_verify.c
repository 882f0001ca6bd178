/* SPDX-License-Identifier: Apache-2.0 */
/* `xdsgate bundle verify`: is everything there that a VM needs, and does the control plane answer?
 */
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include "bootstrap/verify.h"
#include "core/base/clock.h"
#include "core/base/protect.h"
#include "core/doc/doc.h"
#include "gateway/cli/commands.h"
#include "gateway/doctor/vm_network.h"

/** Agents' own user. */
#define AGENT "istio-proxy"

struct verify_command {
    bool installed;
    bool no_network;
    double timeout;
    int json;
};

/* ---- the answer ---- */

static const char *level_name(enum verify_level level)
{
    static const char *const names[] = {
        [VERIFY_GOOD] = "good", [VERIFY_WARN] = "warning", [VERIFY_BAD] = "bad"};
    return names[level];
}

static void write_text(FILE *out, const struct verify_report *r)
{
    static const char *const ends[] = {
        [VERIFY_GOOD] = "good", [VERIFY_WARN] = "good, with warnings", [VERIFY_BAD] = "not good"};

    for (size_t i = 0; i < r->n; i++) {
        const struct verify_finding *f = &r->findings[i];
        (void)fprintf(out, "%-8s %s: %s\n", level_name(f->level), f->what, f->text);
        if (f->cure[0] != '\0') {
            (void)fprintf(out, "         -> %s\n", f->cure);
        }
    }
    (void)fprintf(out, "%s\n", ends[verify_worst(r)]);
}

static bool write_json(FILE *out, const struct verify_report *r)
{
    json_t *all = json_pack("{s:s, s:[]}", "verdict", level_name(verify_worst(r)), "findings");
    char *text = NULL;
    bool ok = all != NULL;

    for (size_t i = 0; ok && i < r->n; i++) {
        const struct verify_finding *f = &r->findings[i];
        json_t *row = json_pack("{s:s, s:s, s:s, s:s}", "level", level_name(f->level), "what",
                                f->what, "text", f->text, "cure", f->cure);
        ok = json_array_append_new(json_object_get(all, "findings"), row) == 0;
    }
    ok = ok && doc_write_json(all, &text, NULL) == RC_OK;
    if (ok) {
        (void)fprintf(out, "%s\n", text);
    }
    free(text);
    json_decref(all);
    return ok;
}

static enum rc look(const struct command_line *line, struct verify_report *r)
{
    const struct verify_command *o = line->opts;
    const struct passwd *agent = getpwnam(AGENT);
    const struct verify_opts v = {.folder = o->installed ? NULL : line->args[0],
                                  .root = "",
                                  .agent_uid = agent != NULL ? agent->pw_uid : VERIFY_NO_USER,
                                  .agent_gid = agent != NULL ? agent->pw_gid : (gid_t)-1,
                                  .now_s = clock_wall()};

    TRY(verify_files(&v, r));
    return o->no_network ? RC_OK : vm_network_try(r, o->installed ? &v : NULL, o->timeout);
}

static int verify(const struct command_line *line)
{
    const struct verify_command *o = line->opts;
    struct verify_report *r = calloc(1, sizeof(*r));

    if (o->installed == (line->n_args == 1)) {
        (void)fprintf(line->err, "xdsgate bundle verify: name the folder of a bundle, or say "
                                 "--installed\n");
        free(r);
        return EXIT_CODE_USAGE;
    }
    protect_memory();
    enum rc rc = RC_NO_MEMORY;
    int code = EXIT_CODE_NO;
    if (r != NULL) {
        verify_init(r);
        rc = look(line, r);
        code = verify_worst(r) == VERIFY_BAD ? EXIT_CODE_NO : EXIT_CODE_OK;
    }
    if (rc == RC_OK && o->json == 0) {
        write_text(line->out, r);
    } else if (rc == RC_OK && !write_json(line->out, r)) {
        rc = RC_NO_MEMORY;
    }
    if (rc != RC_OK) {
        (void)fprintf(line->err, "xdsgate bundle verify: %s\n", rc_text(rc));
        code = EXIT_CODE_NO;
    }
    if (r != NULL) {
        verify_fini(r);
    }
    free(r);
    return code;
}

static void set_defaults(void *opts)
{
    struct verify_command *o = opts;

    o->timeout = 5;
}

static const struct option_word outputs[] = {{"text", 0}, {"json", 1}, {NULL, 0}};

static const struct option_row rows[] = {
    {.name = "installed",
     .kind = OPTION_FLAG,
     .offset = offsetof(struct verify_command, installed),
     .help = "what is installed on this machine, a VM"},
    {.name = "no-network",
     .kind = OPTION_FLAG,
     .offset = offsetof(struct verify_command, no_network),
     .help = "look at the files only"},
    {.name = "timeout",
     .value = "TIME",
     .kind = OPTION_SECONDS,
     .offset = offsetof(struct verify_command, timeout),
     .help = "for each attempt to connect: 5s",
     .min = 1,
     .max = 300},
    {.name = "output",
     .letter = 'o',
     .value = "FORMAT",
     .kind = OPTION_WORD,
     .offset = offsetof(struct verify_command, json),
     .help = "text (the default) or json",
     .words = outputs},
};

const struct command command_bundle_verify = {
    .name = "bundle verify",
    .usage = "DIR | --installed",
    .summary = "is a VM's bundle complete and good, and does xdsgate answer",
    .max_args = 1,
    .args_name = "DIR",
    .rows = rows,
    .n_rows = sizeof(rows) / sizeof(*rows),
    .opts_bytes = sizeof(struct verify_command),
    .init = set_defaults,
    .run = verify,
    .more = "\nLooks at every file, its dates, owner and mode, and whether the files fit together; "
            "then\nconnects to the control planes that they name, as the agent would. Run it on "
            "the VM as\nroot. Exit code 0: good, perhaps with warnings; 1: not good; 2: wrong "
            "usage.\n",
};
