/* SPDX-License-Identifier: Apache-2.0 */
/* What is known of the fleet: the answers of the API, made ready for filters, sorting and cells. */

const USUAL_TYPES = ["CDS", "LDS", "EDS", "RDS", "ECDS"];
const OTHER_TYPES = ["SDS", "NDS", "PCDS", "WDS", "WADS"];
const STATES = ["connected", "connecting", "disconnected", "refused", "revoked"];
const HEALTHS = ["healthy", "unhealthy", "unknown"];
const CONFIGS = ["synced", "stale", "error"];
const CERTIFICATES = ["good", "soon", "expired", "none"];

/* As `vm describe`: agents renew at half of a certificate's life, so this is late. */
const CERTIFICATE_SOON_MS = 3600 * 1000;

const fleet = {
    vms: new Map(),     // id: as ready() makes it
    types: USUAL_TYPES, // of the columns
    next: 0,            // what to ask for next; 0: everything
    at: 0,              // the daemon's time of the last answer
    heard: 0,           // ours then, performance.now()
    failing: null,      // why there is no newer answer
    upstreams: null,
    upstreams_failing: null,
    version: "",
    version_is_known: false,
};

/* The daemon's time, which stands still while it says nothing. */
function now() {
    return fleet.at + (fleet.failing === null ? performance.now() - fleet.heard : 0);
}

/* Numbers of one length, so that vm9 comes before vm10. */
function name_key(name) {
    return name.toLowerCase().replace(/\d+/g, (digits) => digits.padStart(12, "0"));
}

/* Is every connected VM's configuration as istiod wants it? What was never sent is no fault. */
function config_of(state, types) {
    if (state !== "connected") {
        return null;
    }
    const states = [...types.values()];
    return states.includes("ERROR") ? "error" : states.includes("STALE") ? "stale" : "synced";
}

const SEARCHED = ["name", "id", "identity", "state", "health", "group", "network", "cluster",
    "revision", "version", "address", "peer", "listener", "upstream", "endpoint", "istiod"];

function search_text(vm) {
    return SEARCHED.map((key) => clean(vm[key])).join("\n").toLowerCase();
}

/* What stands instead of states of types when it is not connected. */
function instead_of_types(vm, state) {
    if (state === "connected") {
        return null;
    }
    const rule = state === "refused" ? clean(vm.refused?.rule) : "";
    return rule !== "" ? `refused (${rule})` : state;
}

/* Was its refusal while it has the stream that it has now? An older one is over. As vm_refusal_of()
 * of `vm describe`. */
function is_of_now(vm) {
    const since = time_of(vm.connected_since);
    return vm.refused != null && vm.state !== "refused" && vm.state !== "revoked" && since > 0
        && time_of(vm.refused.at) >= since;
}

/* The rule that would keep it out, if it did not only report; "": none. */
function noticed_by(vm) {
    return is_of_now(vm) && vm.refused.passed === true ? clean(vm.refused.rule) : "";
}

/* The rule that has refused something else in its name; "": none. */
function another_refused_by(vm) {
    return is_of_now(vm) && vm.refused.passed !== true ? clean(vm.refused.rule) : "";
}

/* What a search finds of a refusal that does not keep it out. */
function refusal_text(vm) {
    return [noticed_by(vm) && `noticed (${noticed_by(vm)})`,
        another_refused_by(vm) && `another refused (${another_refused_by(vm)})`].join("");
}

function ready(vm) {
    const name = clean(vm.name);
    const state = STATES.includes(vm.state) ? vm.state : clean(vm.state, 20);
    const types = new Map(Object.entries(vm.types ?? {}).map(([k, v]) => [k, clean(v, 20)]));
    const instead = instead_of_types(vm, state);
    return {
        id: text_of(vm.id),
        name,
        name_key: name_key(name),
        cluster: clean(vm.cluster),
        istiod: clean(vm.istiod ?? vm.endpoint),
        version: clean(vm.version),
        state,
        instead,
        types,
        config: config_of(state, types),
        health: HEALTHS.includes(vm.health) ? vm.health : "unknown",
        group: clean(vm.group),
        since: time_of(vm.connected_since),
        expires: time_of(vm.certificate_expires),
        search: [search_text(vm), instead ?? "", refusal_text(vm)].join("\n"),
    };
}

function certificate_of(vm, at) {
    if (vm.expires === 0) {
        return "none";
    }
    return vm.expires <= at ? "expired" : vm.expires - at < CERTIFICATE_SOON_MS ? "soon" : "good";
}

/* In a few words, for a narrow screen: the worst of its types. */
function config_text(vm) {
    if (vm.instead !== null) {
        return vm.instead;
    }
    const worst = {error: "ERROR", stale: "STALE"}[vm.config];
    if (worst === undefined) {
        return "SYNCED";
    }
    const names = [...vm.types].filter(([, state]) => state === worst).map(([name]) => name);
    return `${worst} ${names.join(" ")}`;
}

/* The answer to a question for all, or for what has changed: without `gone` it has all VMs. False:
 * it knows not what is gone, so all have to be asked for. */
function take_vms(answer) {
    const is_all = answer.gone === undefined;
    if (!Array.isArray(answer.vms) || !Number.isSafeInteger(answer.next)) {
        throw new Error("its answer is not understood");
    }
    if (!is_all && !Array.isArray(answer.gone)) {
        return false;
    }
    const vms = is_all ? new Map() : fleet.vms;
    for (const id of is_all ? [] : answer.gone) {
        vms.delete(text_of(id));
    }
    for (const vm of answer.vms) { // after those that are gone: one may have come again
        vms.set(text_of(vm.id), ready(vm));
    }
    fleet.vms = vms;
    fleet.next = answer.next;
    fleet.at = time_of(answer.now);
    fleet.heard = performance.now();
    if (is_all || answer.vms.length > 0) {
        choose_types();
    }
    return true;
}

/* The usual ones, as `istioctl proxy-status`; the others when a VM asks for them. */
function choose_types() {
    const asked = new Set();
    for (const vm of fleet.vms.values()) {
        for (const type of vm.types.keys()) {
            asked.add(type);
        }
    }
    const types = [...USUAL_TYPES, ...OTHER_TYPES.filter((type) => asked.has(type))];
    if (types.join() !== fleet.types.join()) {
        fleet.types = types;
    }
}

/* How many VMs are what. */
function count_fleet() {
    const empty = (words) => new Map(words.map((each) => [each, 0]));
    const counts = {
        state: empty(STATES), health: empty(HEALTHS), config: empty(CONFIGS),
        certificate: empty(CERTIFICATES),
    };
    const add = (map, key) => map.set(key, (map.get(key) ?? 0) + 1);
    const at = now();
    for (const vm of fleet.vms.values()) {
        add(counts.state, vm.state);
        add(counts.health, vm.health);
        add(counts.certificate, certificate_of(vm, at));
        if (vm.config !== null) {
            add(counts.config, vm.config);
        }
    }
    return counts;
}

/* By its id, or by its name when nobody else has it. */
function find_vm(text) {
    const vm = fleet.vms.get(text);
    if (vm !== undefined) {
        return [vm];
    }
    return [...fleet.vms.values()].filter((each) => each.name === text);
}
