/* SPDX-License-Identifier: Apache-2.0 */
/* Target: config_load(). A file that gives no config gives at least one error line. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/base/check.h"
#include "gateway/config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    char *text = NULL;
    size_t n = 0;
    struct config *c = NULL;
    int fd = memfd_create("config", 0);
    FILE *errors = open_memstream(&text, &n);

    CHECK(fd >= 0 && errors != NULL && write(fd, data, size) == (ssize_t)size);
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    enum rc rc = config_load(path, errors, &c);
    (void)fclose(errors);
    CHECK((rc == RC_OK) == (c != NULL) && (rc == RC_OK || n > 0));
    config_free(&c);
    free(text);
    close(fd);
    return 0;
}
