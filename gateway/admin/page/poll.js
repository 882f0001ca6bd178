/* SPDX-License-Identifier: Apache-2.0 */
/* Asking the daemon, again and again: for what has changed, and for everything after a failure. */

const PAUSE_MS = 2000;
const ANSWER_MS = 30000; // a large fleet through a slow tunnel
const LATE_MS = 7000;    // no news for so long are worth a word

async function ask(path) {
    const response = await fetch(path, {
        cache: "no-store", redirect: "error", signal: AbortSignal.timeout(ANSWER_MS),
    }).catch((error) => {
        throw new Error(error.name === "TimeoutError"
            ? `no answer within ${ANSWER_MS / 1000} s` : "no connection");
    });
    if (!response.ok) {
        throw new Error(`it answers with status ${response.status}`);
    }
    return response.json().catch(() => {
        throw new Error("its answer cannot be read");
    });
}

async function ask_vms() {
    const since = fleet.next;
    if (since > 0 && take_vms(await ask(`api/v1/vms?since=${since}`))) {
        return;
    }
    if (!take_vms(await ask("api/v1/vms"))) {
        throw new Error("its answer is not understood");
    }
}

async function ask_upstreams() {
    try {
        const answer = await ask("api/v1/upstreams");
        fleet.upstreams = Array.isArray(answer.upstreams) ? answer.upstreams : [];
        fleet.upstreams_failing = null;
    } catch (error) {
        fleet.upstreams_failing = error.message;
    }
}

async function ask_version() {
    if (!fleet.version_is_known) {
        const answer = await ask("api/v1/version").catch(() => ({}));
        fleet.version = clean(answer.version, 40);
        fleet.version_is_known = true;
    }
}

async function ask_all(also) {
    try {
        await ask_vms();
        fleet.failing = null;
        await Promise.all([ask_upstreams(), ask_version(), also()]);
    } catch (error) {
        fleet.failing = error.message;
        fleet.next = 0;
        fleet.version_is_known = false; // who comes back may be another one
    }
}

/* also: what else to ask for, a function; then: to be called after each round. */
function poll(also, then) {
    let timer = 0;
    let asking = false;
    const round = async () => {
        clearTimeout(timer);
        if (asking) {
            return;
        }
        asking = true;
        await ask_all(also);
        asking = false;
        then();
        timer = setTimeout(round, PAUSE_MS);
    };
    document.addEventListener("visibilitychange", () => document.hidden || round());
    void round();
}

/* How new is what is shown: {tone, text, said}. `said` is what a screen reader is told. */
function freshness() {
    const last = fleet.at > 0 ? `since ${clock(fleet.at)}` : "";
    const silent = performance.now() - fleet.heard;
    if (fleet.failing === null && (fleet.at === 0 || silent < LATE_MS)) {
        return fleet.at === 0 ? {tone: "idle", text: "asking xdsgate …", said: ""}
            : {tone: "ok", text: `live ${clock(fleet.at)}`, said: "live"};
    }
    const why = fleet.failing ?? `no answer for ${span(silent)}`;
    if (fleet.at === 0) {
        return {tone: "bad", text: `xdsgate cannot be reached: ${why}`, said: "xdsgate cannot be reached"};
    }
    return {
        tone: "bad", text: `xdsgate cannot be reached: stale ${last} (${span(silent)}), ${why}`,
        said: `xdsgate cannot be reached, data is stale ${last}`,
    };
}
