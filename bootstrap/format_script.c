/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The installer, and the two forms that carry it. bootstrap/install.sh is a complete script with an
 * empty bundle between two marks; here a real one takes its place: the files in base64 with their
 * SHA-256, and the dates that the script compares with the VM's clock, so that it needs no openssl
 * there.
 */
#include <string.h>

#include <openssl/evp.h>

#include "bootstrap/formats_internal.h"
#include "certs/jwt.h"
#include "core/base/check.h"
#include "core/base/hex.h"

static const char mark_begin[] = "# >>> bundle\n";
static const char mark_end[] = "# <<< bundle\n";

/** No line of base64 looks like it. */
#define DATA_END "END-OF-FILE"

static enum rc put_sum(struct text *t, const struct bundle_file *f)
{
    unsigned char sum[EVP_MAX_MD_SIZE];
    char hex[HEX_BYTES(EVP_MAX_MD_SIZE)];
    unsigned n = 0;

    if (EVP_Digest(f->data, f->n, sum, &n, EVP_sha256(), NULL) != 1) {
        return RC_NO_MEMORY;
    }
    text_printf(t, "%s %s", hex_write(hex, sum, n), f->name);
    return RC_OK;
}

/* When the token runs out; 0: it does not say, then the script does not look. */
static int64_t token_until(const struct bundle *b)
{
    const struct bundle_file *f = bundle_find(b, BUNDLE_TOKEN);
    int64_t until = 0;
    const char *why = NULL;

    if (f == NULL) {
        return 0;
    }
    enum rc rc = jwt_read_expiry(f->data, bundle_token_length(f->data, f->n), &until, &why);
    return rc == RC_OK && until > 0 ? until : 0;
}

static void put_file(struct text *t, const struct bundle_file *f)
{
    text_printf(t, "    %s) cat <<'" DATA_END "' ;;\n", f->name);
    text_base64(t, f->data, f->n);
    text_put(t, DATA_END "\n");
}

/* When one of the roots in a file is valid; 0 where there is no such file. */
static enum rc put_dates(const char *variable, const struct bundle_file *pem, struct text *t,
                         const struct why *w)
{
    struct format_dates dates = {0, 0};

    if (pem != NULL) {
        TRY(format_roots(pem, &dates, w));
    }
    text_printf(t, "%s_from=%lld\n", variable, (long long)dates.from);
    text_printf(t, "%s_until=%lld\n", variable, (long long)dates.until);
    return RC_OK;
}

/* Whose VMs a renewal is for. */
static void put_renewal(const struct format_renewal *r, struct text *t)
{
    text_put(t, "bundle_renews='");
    format_plain(t, r != NULL ? r->account : "");
    text_put(t, "'\nbundle_gateway='");
    format_plain(t, r != NULL && r->gateway != NULL ? r->gateway : "");
    text_put(t, "'\n");
}

/* The lines between the marks. */
static enum rc put_bundle(const struct bundle *b, const struct format_opts *o, struct text *t,
                          const struct why *w)
{
    text_put(t, "bundle_title='");
    format_plain(t, o->title);
    text_put(t, "'\n");
    put_renewal(o->renewal, t);
    text_printf(t, "bundle_created=%lld\n", (long long)o->now_s);
    TRY(put_dates("bundle_roots", bundle_find(b, BUNDLE_ROOT), t, w));
    TRY(put_dates("bundle_gateway_roots", bundle_find(b, BUNDLE_GATEWAY_ROOT), t, w));
    text_printf(t, "bundle_token_until=%lld\n", (long long)token_until(b));
    text_put(t, "bundle_sums='");
    for (size_t i = 0; i < b->n; i++) {
        text_put(t, i > 0 ? "\n" : "");
        TRY(put_sum(t, &b->files[i]));
    }
    text_put(t, "'\nbundle_file() {\n    case $1 in\n");
    for (size_t i = 0; i < b->n; i++) {
        put_file(t, &b->files[i]);
    }
    text_put(t, "    esac\n}\n");
    return RC_OK;
}

enum rc format_script(const struct bundle *b, const struct format_opts *o, struct text *t,
                      const struct why *w)
{
    const char *begin = strstr(install_sh, mark_begin);
    const char *end = strstr(install_sh, mark_end);

    CHECK(begin != NULL && end != NULL && begin < end);
    begin += strlen(mark_begin);
    text_add(t, install_sh, (size_t)(begin - install_sh));
    TRY(put_bundle(b, o, t, w));
    text_add(t, end, install_sh_bytes - (size_t)(end - install_sh));
    return text_result(t);
}

/* ---- the forms that carry it ---- */

void format_cloud_init(const struct text *script, const struct format_opts *o, struct text *t)
{
    text_put(t, "#cloud-config\n# Makes this VM a member of an Istio mesh: ");
    format_plain(t, o->title);
    text_put(t, ".\n"
                "# Istio's sidecar package has to be in the image, or installed before by the same "
                "user data.\n"
                "# It holds a token: see docs/vm-install.md.\n"
                "write_files:\n"
                "- path: /run/xdsgate-bundle.sh\n"
                "  owner: root:root\n"
                "  permissions: '0700'\n"
                "  content: |\n");
    text_indented(t, script->data, script->n, 4);
    text_put(t, "runcmd:\n"
                "- - sh\n"
                "  - -c\n"
                "  - sh /run/xdsgate-bundle.sh; code=$?; rm -f /run/xdsgate-bundle.sh; "
                "exit $code\n");
}

void format_ansible(const struct text *script, const struct format_opts *o, struct text *t)
{
    text_put(t, "---\n- name: \"Make VMs members of an Istio mesh: ");
    format_plain(t, o->title);
    text_put(t, "\"\n"
                "  hosts: all\n"
                "  become: true\n"
                "  gather_facts: false\n"
                "  tasks:\n"
                "  - name: Install the bundle\n"
                "    ansible.builtin.command:\n"
                "      cmd: sh -s -- {{ '--dry-run' if ansible_check_mode else '' }}\n"
                "      stdin: !unsafe |\n");
    text_indented(t, script->data, script->n, 8);
    text_put(t, "    register: bundle\n"
                "    changed_when: (bundle.stdout_lines | last | default('')) in ['changed', "
                "'would be changed']\n"
                "    failed_when: false\n"
                "    check_mode: false\n"
                "    no_log: true # it holds the token; the next task shows what it said\n"
                "  - name: Show what was done\n"
                "    ansible.builtin.debug:\n"
                "      msg: \"{{ bundle.stdout_lines + bundle.stderr_lines }}\"\n"
                "    failed_when: bundle.rc != 0\n");
}
