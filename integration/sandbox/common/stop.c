/* SPDX-License-Identifier: Apache-2.0 */
/* A thread that waits for SIGTERM and SIGINT, as gRPC core has threads of its own. */
#include "integration/sandbox/common/stop.h"

#include <signal.h>

static void *wait_for_signal(void *arg)
{
    struct loop *l = arg;
    sigset_t set;
    int sig;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    if (sigwait(&set, &sig) == 0) {
        (void)pthread_mutex_lock(&l->lock);
        loop_stop(l);
        (void)pthread_mutex_unlock(&l->lock);
    }
    return NULL;
}

void stop_on_signals(struct loop *l)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, wait_for_signal, l) == 0) {
        (void)pthread_detach(thread);
    }
}

void stop_block_signals(void)
{
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
}
