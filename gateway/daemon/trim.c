/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/daemon/trim.h"

#include <link.h>
#include <stddef.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

/* 16 MiB went through the allocator; and a second is quiet when at most 208 KiB did. */
#define PENDING_MIN 1024
#define QUIET_MAX 13
/* Seconds from one trim to the next: pushes that follow each other do not cost one each. */
#define GAP 5

bool trim_due(struct trim *t, uint64_t work)
{
    uint64_t fresh = work - t->seen;

    t->seen = work;
    t->pending += fresh;
    t->pause -= t->pause > 0;
    if (fresh > QUIET_MAX || t->pending < PENDING_MIN || t->pause > 0) {
        return false;
    }
    t->pending = 0;
    t->pause = GAP;
    return true;
}

/* ---- code ---- */

/* Does the dynamic linker write into its code? Then its pages are not those of the file. */
static bool has_text_relocations(const struct dl_phdr_info *o, const ElfW(Phdr) * dynamic)
{
    const ElfW(Dyn) *d = (const ElfW(Dyn) *)(o->dlpi_addr + dynamic->p_vaddr);

    for (; d->d_tag != DT_NULL; d++) {
        if (d->d_tag == DT_TEXTREL || (d->d_tag == DT_FLAGS && (d->d_un.d_val & DF_TEXTREL) != 0)) {
            return true;
        }
    }
    return false;
}

static bool is_only_read(const struct dl_phdr_info *o)
{
    for (size_t i = 0; i < o->dlpi_phnum; i++) {
        if (o->dlpi_phdr[i].p_type == PT_DYNAMIC) {
            return !has_text_relocations(o, &o->dlpi_phdr[i]);
        }
    }
    return false;
}

/* What is written during relocation (RELRO) is in segments that are writable in the file. */
static int trim_object(struct dl_phdr_info *o, size_t size, void *arg)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    (void)size;
    (void)arg;
    if (o->dlpi_addr == getauxval(AT_SYSINFO_EHDR) || !is_only_read(o)) {
        return 0;
    }
    for (size_t i = 0; i < o->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &o->dlpi_phdr[i];
        if (p->p_type == PT_LOAD && (p->p_flags & PF_W) == 0) {
            uintptr_t begin = (o->dlpi_addr + p->p_vaddr) & ~(page - 1);
            uintptr_t end = o->dlpi_addr + p->p_vaddr + p->p_memsz;
            (void)madvise((void *)begin, end - begin, MADV_DONTNEED);
        }
    }
    return 0;
}

void trim_code(void)
{
    (void)dl_iterate_phdr(trim_object, NULL);
}
