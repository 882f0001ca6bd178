/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/failing_malloc.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <nghttp2/nghttp2.h>

#include "tests/support/gateway_scope.h"

static uint64_t count;
static uint64_t fail_at;
static bool fail_rest;
static bool hit;

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
char *__real_strdup(const char *s);
int __real_nghttp2_option_new(nghttp2_option **out);
int __real_nghttp2_session_callbacks_new(nghttp2_session_callbacks **out);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
char *__wrap_strdup(const char *s);
int __wrap_nghttp2_option_new(nghttp2_option **out);
int __wrap_nghttp2_session_callbacks_new(nghttp2_session_callbacks **out);

static void arm(uint64_t n, bool rest)
{
    count = 0;
    fail_at = n;
    fail_rest = rest;
    hit = false;
}

void failing_malloc_arm(uint64_t n)
{
    arm(n, false);
}

void failing_malloc_arm_from(uint64_t n)
{
    arm(n, true);
}

uint64_t failing_malloc_count(void)
{
    return count;
}

bool failing_malloc_hit(void)
{
    return hit;
}

static bool fails(void)
{
    if (gateway_depth == 0) {
        return false;
    }
    count++;
    if (fail_at == 0 || (fail_rest ? count < fail_at : count != fail_at)) {
        return false;
    }
    hit = true;
    return true;
}

void *__wrap_malloc(size_t n)
{
    return fails() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
    return fails() ? NULL : __real_realloc(p, n);
}

char *__wrap_strdup(const char *s)
{
    return fails() ? NULL : __real_strdup(s);
}

int __wrap_nghttp2_option_new(nghttp2_option **out)
{
    return fails() ? NGHTTP2_ERR_NOMEM : __real_nghttp2_option_new(out);
}

int __wrap_nghttp2_session_callbacks_new(nghttp2_session_callbacks **out)
{
    return fails() ? NGHTTP2_ERR_NOMEM : __real_nghttp2_session_callbacks_new(out);
}
