/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/cli/bundle_output.h"

#include <string.h>

#include "core/base/clock.h"

const struct option_word bundle_output_formats[] = {
    {"dir", FORMAT_DIR},         {"tar", FORMAT_TAR},
    {"script", FORMAT_SCRIPT},   {"cloud-init", FORMAT_CLOUD_INIT},
    {"ansible", FORMAT_ANSIBLE}, {NULL, 0}};

int bundle_output_write(const struct command_line *line, const struct bundle_output *o,
                        const struct bundle *b, const struct bundle_inputs *in,
                        const struct format_renewal *renewal)
{
    char why[FORMAT_WHY_BYTES] = "";
    char title[600];
    enum bundle_format f = (enum bundle_format)o->format;
    const struct format_opts opts = {.title = title, .now_s = clock_wall(), .renewal = renewal};
    bool has_token = bundle_find(b, BUNDLE_TOKEN) != NULL;
    const char *what = has_token ? " with a new token" : " with new roots";

    (void)snprintf(title, sizeof(title), "%s in %s", in->group_name, in->group_ns);
    enum rc rc = format_write(f, b, &opts, o->path, why, sizeof(why));
    if (rc != RC_OK) {
        return bundle_complain(line, EXIT_CODE_NO, "%s", why[0] != '\0' ? why : rc_text(rc));
    }
    if (strcmp(o->path, "-") != 0) {
        (void)fprintf(line->out, "%s: %s%s for VMs of %s%s\n", o->path, format_name(f),
                      renewal != NULL ? what : "", title,
                      has_token ? "; it holds a token: keep it secret until it is used" : "");
    }
    return EXIT_CODE_OK;
}
