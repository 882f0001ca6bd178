/* SPDX-License-Identifier: Apache-2.0 */
/* What stands out about one VM, in the order in which one would look at it; `vm describe` also
 * says what to do. Rows of {tone, text}. */

const STUCK_MS = 60 * 1000; // istiod answers within its push slots and the VM within a moment

/* A rule that does not keep it out. */
function rule_stands_out(vm, detail) {
    const noticed = noticed_by(vm);
    if (noticed !== "") {
        return [{tone: "warn", text: `Noticed by the rule ${noticed}, which only reports: ${detail}`}];
    }
    const other = another_refused_by(vm);
    if (other === "") {
        return [];
    }
    const what = ["readable", "type", "nack"].includes(other) ? "a request of its"
        : "another one that says it is this VM";
    return [{
        tone: "warn",
        text: `While it is connected, ${what} was refused by the rule ${other}: ${detail}`,
    }];
}

function state_stands_out(vm) {
    const rule = clean(vm.refused?.rule);
    const detail = clean(vm.refused?.detail, LONG_MAX);
    if (vm.state === "revoked") {
        return [{tone: "bad", text: "An operator has revoked it."}];
    }
    const times = Number(vm.refused?.times) > 1 ? `, ${number(vm.refused.times)} times` : "";
    if (vm.state === "refused" && rule === "revoked") {
        return [{tone: "warn", text: "It was revoked and may come back; it has not tried since."}];
    }
    if (vm.state === "refused") {
        return [{tone: "bad", text: `Refused by the rule ${rule}${times}: ${detail}`}];
    }
    const noticed = rule_stands_out(vm, detail);
    if (vm.state === "connecting") {
        return [{tone: "warn", text: "istiod has not answered its stream yet."}, ...noticed];
    }
    if (vm.state === "disconnected") {
        const why = clean(vm.last_end) || "none";
        return [{tone: "warn", text: `It has no stream to istiod; the last one ended with ${why}.`}];
    }
    return noticed;
}

function type_stands_out(row) {
    const type = clean(row.type);
    if (row.state === "ERROR") {
        return [{tone: "bad", text: `Its Envoy rejected ${type}; the text is below.`}];
    }
    const waits = now() - time_of(row.sent);
    if (row.state === "STALE" && waits > STUCK_MS) {
        return [{tone: "warn", text: `It has not answered ${type} for more than a minute.`}];
    }
    return [];
}

function certificate_stands_out(vm) {
    switch (certificate_of({expires: time_of(vm.certificate_expires)}, now())) {
    case "expired": return [{tone: "bad", text: "Its certificate has expired."}];
    case "soon": return [{
        tone: "warn",
        text: "Its certificate expires within the hour; agents renew at half of its life.",
    }];
    default: return [];
    }
}

function stands_out(vm) {
    const is_connected = vm.state === "connected";
    const rows = state_stands_out(vm);
    if (is_connected) {
        rows.push(...(vm.sync ?? []).flatMap(type_stands_out));
    }
    if (is_connected && vm.health === "unhealthy") {
        const why = clean(vm.health_message, LONG_MAX) || "without a reason";
        rows.push({tone: "bad", text: `It reports that it is unhealthy: ${why}`});
    }
    rows.push(...certificate_stands_out(vm));
    if (vm.cut === true) {
        rows.push({tone: "warn", text: "It has claimed more, or longer texts, than are kept."});
    }
    return rows.length > 0 ? rows : [{tone: "ok", text: "Nothing."}];
}
