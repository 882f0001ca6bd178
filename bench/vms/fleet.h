/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All VMs of the program, and what is going on with them: at most one of a rush and a ping, which
 * are commands that take time, and one push that is waited for.
 */
#pragma once

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "bench/load/commands.h"
#include "bench/load/tally.h"
#include "bench/load/times.h"
#include "bench/vms/vm.h"

#define FLEET_MAGIC 0xf1ee7b3cu

/** 127.16.0.0 to 127.255.0.0 hold more; open files end before. */
#define FLEET_VMS_MAX 1000000u

/** VMs that connect, few or all at a time. */
struct rush {
    bool running;
    bool starting;        /**< in the loop that starts them */
    uint32_t next;        /**< index of the first that has not been started */
    uint32_t end;         /**< behind the index of the last */
    uint32_t in_flight;   /**< connecting now */
    uint32_t at_most;     /**< how many may be in flight */
    bool from_instant;    /**< times count from began, not from each connect */
    double began;         /**< monotonic seconds */
    struct tally reasons; /**< of those that failed */
    uint32_t up;
    uint32_t failed;
    struct times times;
    ev_timer deadline;
};

/** A push that is expected. */
struct expected {
    bool armed;
    bool waiting; /**< the command `wait` runs */
    double began;
    double last;      /**< when the last message was complete */
    uint32_t wanted;  /**< messages */
    uint32_t done;    /**< messages that came */
    uint32_t left;    /**< VMs that could still get theirs */
    uint32_t stalled; /**< VMs left out */
    struct times times;
    ev_timer deadline;
};

/** Echo messages. */
struct pinging {
    bool running;
    bool is_over;    /**< no more are sent, answers are awaited */
    struct vm **vms; /**< owned list of borrowed VMs; NULL where one was lost */
    uint32_t n_vms;
    uint32_t next; /**< with a rate: who sends next */
    uint32_t bytes;
    double rate; /**< messages a second; 0: each VM at once when its answer is there */
    uint64_t sent;
    uint64_t answered;
    uint32_t waiting; /**< VMs without their answer */
    double began;
    double last; /**< of the last answer */
    struct times times;
    ev_timer end;  /**< of sending, then of waiting for answers */
    ev_timer tick; /**< sends at a rate */
};

struct fleet {
    uint32_t magic; /**< FLEET_MAGIC */
    struct ev_loop *loop;
    struct commands commands;
    struct vm_home home;
    struct vm **vms; /**< owned; VM i has number first + i */
    uint32_t first;
    uint32_t n_vms;
    uint32_t room; /**< of vms */
    uint32_t n_up;
    uint64_t pushes;
    struct tally lost_reasons;
    uint64_t lost;
    struct rush rush;
    struct expected expected;
    struct pinging pinging;
};

/** Make it empty; home's tls, peer and sni are set by the caller. Never fails. */
void fleet_init(struct fleet *f, struct ev_loop *loop);

/** Cut everything. */
void fleet_fini(struct fleet *f);

/** The commands; arg is the fleet. */
extern const struct command fleet_commands[];

/** Add n closed VMs at the end. false: no memory, the fleet is as before. */
bool fleet_grow(struct fleet *f, uint32_t n);

/* Each returns false when a number is wrong, see struct command. */

/** open N [INFLIGHT] */
bool rush_open(void *arg, const struct words *w);

/** reconnect N [INFLIGHT] */
bool rush_reconnect(void *arg, const struct words *w);

/** A VM is up, or its connection is over without that. */
void rush_note_up(struct fleet *f, const struct vm *v);
void rush_note_failed(struct fleet *f, const char *why);

/** expect BYTES [N] */
bool expected_arm(void *arg, const struct words *w);

/** wait SECONDS */
bool expected_wait(void *arg, const struct words *w);

/** A push came in full, or a VM is gone. */
void expected_note_push(struct fleet *f, struct vm *v, uint32_t bytes);
void expected_note_gone(struct fleet *f, struct vm *v);

/** ping N SECONDS BYTES [RATE] */
bool ping_run(void *arg, const struct words *w);

/** An echo came back, or a VM is gone. */
void ping_note_echo(struct fleet *f, struct vm *v);
void ping_note_gone(struct fleet *f, struct vm *v);
