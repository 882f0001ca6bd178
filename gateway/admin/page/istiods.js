/* SPDX-License-Identifier: Apache-2.0 */
/* The upstreams: where istiod is, how it stands, and how many VMs each endpoint has. */

function upstream_state(upstream) {
    return upstream.unsafe ? "unsafe" : upstream.usable === true ? "usable" : "unusable";
}

function endpoints_of(upstream) {
    return Array.isArray(upstream.endpoints) ? upstream.endpoints : [];
}

function endpoint_vms(endpoint) {
    return Number(endpoint.vms ?? endpoint.streams) || 0;
}

function upstream_vms(upstream) {
    return endpoints_of(upstream).reduce((sum, each) => sum + endpoint_vms(each), 0);
}

function rate_text(n) {
    return `${(Number(n) || 0).toLocaleString("en", {maximumFractionDigits: 1})} new streams a second`;
}

function endpoint_row(endpoint, most) {
    const vms = endpoint_vms(endpoint);
    return make("tr", {},
        make("td", {class: "code"}, clean(endpoint.address) || "–"),
        make("td", {}, clean(endpoint.istiod) || "–"),
        make("td", {class: "n"}, number(vms), share_bar(vms, most)));
}

function upstream_part(upstream, most) {
    const state = upstream_state(upstream);
    const facts = [`identity ${clean(upstream.identity) || "–"}`,
        rate_text(upstream.new_streams_per_second)];
    if (upstream.waiting !== undefined) {
        facts.push(`${number(upstream.waiting)} waiting`);
    }
    const endpoints = endpoints_of(upstream);
    return make("section", {class: "upstream"},
        make("h3", {}, `${clean(upstream.name)} `, marked(state)),
        make("p", {class: "muted"}, facts.join(" · ")),
        upstream.unsafe ? make("p", {"data-tone": "bad"}, clean(upstream.unsafe, LONG_MAX)) : "",
        endpoints.length === 0 ? make("p", {}, "No endpoint is known.") : make("table", {},
            make("thead", {}, make("tr", {}, make("th", {scope: "col"}, "ENDPOINT"),
                make("th", {scope: "col"}, "ISTIOD"), make("th", {scope: "col", class: "n"}, "VMS"))),
            make("tbody", {}, ...endpoints.map((each) => endpoint_row(each, most)))));
}

function draw_istiods() {
    document.title = "Istiods – xdsgate";
    refill(find("upstreams"), [fleet.upstreams, fleet.upstreams_failing], () => {
        if (fleet.upstreams === null) {
            return [make("p", {class: "muted"}, fleet.upstreams_failing ?? "Asking xdsgate …")];
        }
        const most = Math.max(1, ...fleet.upstreams.flatMap((each) =>
            endpoints_of(each).map(endpoint_vms)));
        const failing = fleet.upstreams_failing === null ? []
            : [make("p", {"data-tone": "bad"}, `Not of now: ${fleet.upstreams_failing}`)];
        return [...failing, ...fleet.upstreams.map((each) => upstream_part(each, most))];
    });
}
