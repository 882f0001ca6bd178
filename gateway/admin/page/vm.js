/* SPDX-License-Identifier: Apache-2.0 */
/* One VM. Each part is made anew only when what it shows has changed. */

const one = {
    wanted: "",    // what the address names: an id, or a name
    detail: null,  // the API's answer; null: it has not answered, or there is no such VM
    missing: "",   // why there is nothing to show
    others: [],    // VMs of that name, when there are several
};

function want_vm(text) {
    if (one.wanted !== text) {
        Object.assign(one, {wanted: text, detail: null, missing: "", others: []});
    }
}

/* Of those that are known only, so that no question is answered with 404 day in, day out. */
async function ask_vm() {
    const wanted = one.wanted;
    if (wanted === "" || fleet.at === 0) {
        return;
    }
    const found = find_vm(wanted);
    if (found.length !== 1) {
        Object.assign(one, {detail: null, others: found, missing: found.length > 1
            ? "Several VMs have this name:" : "There is no such VM, or it was forgotten."});
        return;
    }
    const answer = await ask(`api/v1/vms/${encodeURIComponent(found[0].id)}`)
        .catch((error) => ({failed: error.message}));
    if (wanted !== one.wanted) {
        return; // meanwhile somebody went on
    }
    const detail = Array.isArray(answer.vms)
        ? answer.vms.find((each) => text_of(each.id) === found[0].id) : undefined;
    if (detail !== undefined) {
        Object.assign(one, {detail, missing: "", others: []});
    } else if (one.detail === null) {
        one.missing = answer.failed === undefined ? "There is no such VM, or it was forgotten."
            : `It cannot be shown: ${answer.failed}`;
    }
}

/* ---- facts ---- */

function or_dash(value) {
    const text = clean(value, 1000);
    return text !== "" ? text : "–";
}

function code(value) {
    return make("span", {class: "code"}, or_dash(value));
}

function list_of(values) {
    return Array.isArray(values) && values.length > 0 ? values.map((each) => clean(each)).join(", ")
        : "–";
}

function pairs_of(object, between) {
    const pairs = Object.entries(object ?? {});
    return pairs.length === 0 ? ["–"] : pairs.map(([key, value]) =>
        make("span", {class: "pair"}, `${clean(key)}${between}${clean(value)}`));
}

/* [term, child, ...]: built by a function, so that nothing is made for a part that stays. */
function facts(list, data, rows) {
    refill(list, data, () => rows().map(([term, ...children]) =>
        make("div", {}, make("dt", {}, term), make("dd", {}, ...children))));
}

function draw_who(vm) {
    const {identity, verified, id, namespace, group, network, cluster, workload, version, revision,
        node_id, labels, locality} = vm;
    const data = {identity, verified, id, namespace, group, network, cluster, workload, version,
        revision, node_id, labels, locality};
    facts(find("who"), data, () => [
        ["Identity", code(identity), ` ${verified === true ? "by its certificate" : "by its token, which istiod verifies"}`],
        ["Id", code(id)],
        ["Node", code(node_id)],
        ["WorkloadGroup", or_dash(group)],
        ["Workload", or_dash(workload)],
        ["Namespace", or_dash(namespace)],
        ["Network", or_dash(network)],
        ["Cluster", or_dash(cluster)],
        ["Locality", or_dash(locality)],
        ["Istio", `${or_dash(version)}, revision ${or_dash(revision)}`],
        ["Labels", ...pairs_of(labels, "=")],
    ]);
}

function draw_link(vm) {
    const {state, connected_since, last_seen, endpoint, istiod, upstream, listener, address,
        addresses, peer, variant, reconnects, reconnect_reasons, last_end} = vm;
    const data = {state, connected_since, last_seen, endpoint, istiod, upstream, listener, address,
        addresses, peer, variant, reconnects, reconnect_reasons, last_end};
    facts(find("link"), data, () => [
        ["State", marked(clean(state))],
        ["Connected since", moment(time_of(connected_since))],
        ["Last seen", moment(time_of(last_seen))],
        ["Istiod", or_dash(istiod ?? endpoint)],
        ["Endpoint", `${or_dash(endpoint)}, upstream ${or_dash(upstream)}`],
        ["Address", or_dash(address)],
        ["All addresses", list_of(addresses)],
        ["Comes from", `${or_dash(peer)}, listener ${or_dash(listener)}`],
        ["xDS", or_dash(variant)],
        ["Reconnects", number(reconnects)],
        ["By reason", ...pairs_of(reconnect_reasons, " ")],
        ["Last end", or_dash(last_end)],
    ]);
}

function draw_trust(vm) {
    const {certificate, certificate_expires, token_expires, health, health_since,
        health_message} = vm;
    const data = {certificate, certificate_expires, token_expires, health, health_since,
        health_message};
    facts(find("trust"), data, () => [
        ["Certificate expires", moment(time_of(certificate_expires))],
        ["Serial", code(certificate?.serial)],
        ["Public key", code(certificate?.key)],
        ["Token expires", moment(time_of(token_expires))],
        ["Health", marked(clean(health))],
        ["Health since", moment(time_of(health_since))],
        ["Health message", clean(health_message, LONG_MAX) || "–"],
    ]);
}

/* ---- types ---- */

const SYNC_HEAD = ["TYPE", "STATE", "SENT", "ACKED", "BYTES", "TOTAL", "RESOURCES", "RESPONSES",
    "NACKS"];

function sync_row(row, total) {
    const n = (text) => make("td", {class: "n"}, text);
    return make("tr", {},
        make("th", {scope: "row", title: clean(row.url)}, or_dash(row.type)),
        make("td", {}, word(clean(row.state, 20))),
        make("td", {}, moment(time_of(row.sent))),
        make("td", {}, moment(time_of(row.acked))),
        n(bytes(row.bytes)),
        make("td", {class: "n"}, bytes(row.all_bytes), share_bar(Number(row.all_bytes) || 0, total)),
        n(number(row.resources)), n(number(row.responses)), n(number(row.nacks)));
}

function draw_sync(vm) {
    const rows = Array.isArray(vm.sync) ? vm.sync : [];
    const {bytes_up, bytes_down, messages_up, messages_down, unread} = vm;
    refill(find("sync"), {rows, bytes_up, bytes_down, messages_up, messages_down, unread}, () => {
        const total = rows.reduce((sum, row) => sum + (Number(row.all_bytes) || 0), 0);
        const sums = `In all ${bytes(bytes_down)} in ${number(messages_down)} messages from istiod, ` +
            `${bytes(bytes_up)} in ${number(messages_up)} messages to it; ` +
            `${number(unread)} could not be read.`;
        return [
            make("caption", {}, sums),
            make("thead", {}, make("tr", {}, ...SYNC_HEAD.map((title, i) =>
                make("th", {scope: "col", class: i > 3 ? "n" : ""}, title)))),
            make("tbody", {}, ...rows.map((row) => sync_row(row, total))),
        ];
    });
}

/* ---- rejections and events ---- */

function draw_nack(vm) {
    const errors = (Array.isArray(vm.sync) ? vm.sync : []).filter((row) => row.error);
    refill(find("nack"), {last: vm.last_nack, errors, n: vm.nacks}, () => {
        if (!vm.last_nack && errors.length === 0) {
            return [make("p", {class: "muted"}, "It has rejected nothing.")];
        }
        const last = vm.last_nack;
        const parts = last ? [make("p", {}, word(clean(last.type), "bad"), ", ",
            moment(time_of(last.at)), `, ${number(vm.nacks)} in all`), nack_text(last.text)] : [];
        for (const row of errors.filter(({type, error}) => type !== last?.type || error !== last?.text)) {
            parts.push(make("p", {}, word(clean(row.type), "bad"), " as it is now"), nack_text(row.error));
        }
        return parts;
    });
}

function nack_text(text) {
    return make("pre", {tabindex: "0", "aria-label": "What its Envoy says"}, clean_lines(text));
}

const EVENT_TEXTS = new Map(Object.entries({
    connected: "connected", disconnected: "disconnected", push: "istiod sent", nack: "rejected",
    healthy: "healthy", unhealthy: "unhealthy", refused: "refused", issued: "certificate issued",
}));

function event_row(event) {
    const what = clean(event.what, 40);
    const text = EVENT_TEXTS.get(what) ?? what;
    const tone = tone_of(what);
    return make("li", {}, moment(time_of(event.at)), " ", marked(text, tone), ` ${clean(event.detail)}`);
}

function draw_events(vm) {
    const events = Array.isArray(vm.events) ? vm.events : [];
    refill(find("events"), events, () => events.length > 0 ? [...events].reverse().map(event_row)
        : [make("li", {class: "muted"}, "Nothing has happened yet.")]);
}

/* ---- all of it ---- */

function draw_missing() {
    const is_asking = one.detail === null && one.missing === "";
    find("vm-body").hidden = one.detail === null;
    find("vm-missing").hidden = one.detail !== null;
    refill(find("vm-missing"), [one.missing, one.others.map(({id}) => id), is_asking], () => [
        is_asking ? "Asking xdsgate …" : one.missing,
        ...one.others.slice(0, 50).flatMap((vm) => [" ", make("a", {href: `#/vm/${encodeURIComponent(vm.id)}`},
            `${vm.name} (${vm.id})`)]),
    ]);
}

function draw_vm() {
    const vm = one.detail;
    const name = vm !== null ? or_dash(vm.name) : find_vm(one.wanted)[0]?.name ?? clean(one.wanted);
    set_text(find("vm-name"), name);
    document.title = `${name} – xdsgate`;
    draw_missing();
    if (vm === null) {
        return;
    }
    const rows = stands_out(vm);
    refill(find("stands-out"), rows, () => rows.map(({tone, text}) =>
        make("li", {"data-tone": tone}, marked(text, tone))));
    draw_who(vm);
    draw_link(vm);
    draw_trust(vm);
    draw_sync(vm);
    draw_nack(vm);
    draw_events(vm);
    tick_moments(find("vm"));
}
