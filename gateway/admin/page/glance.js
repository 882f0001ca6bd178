/* SPDX-License-Identifier: Apache-2.0 */
/* The fleet at a glance: how many VMs are what. Each count is a button that shows those VMs. */

/* What the list shows, and in which order. Also in the address, so that it can be sent on. */
const view = {
    query: "",
    chosen: new Map(), // group of the glance: word
    sort: "name",
    down: false,
};

const GROUPS = [
    {key: "state", title: "State", words: STATES},
    {key: "health", title: "Health", words: HEALTHS},
    {key: "config", title: "Configuration", words: CONFIGS},
    {key: "certificate", title: "Certificates", words: CERTIFICATES,
        labels: {soon: "within 1 h", none: "none shown"}},
];

const counters = []; // {key, word, button, count}

function make_counter(group, each, choose) {
    const count = make("b", {}, "–");
    const button = make("button", {type: "button", class: "count", "aria-pressed": "false",
        "data-tone": tone_of(each), "data-group": group.key, "data-word": each},
    make("span", {class: "mark", "aria-hidden": "true"}, MARKS[tone_of(each)]),
    make("span", {class: "label"}, group.labels?.[each] ?? each), " ", count);
    button.addEventListener("click", () => choose(group.key, each));
    counters.push({key: group.key, word: each, button, count});
    return button;
}

/* choose(group, word): somebody wants to see just these, or all again. */
function build_glance(choose) {
    for (const group of GROUPS) {
        const id = `glance-${group.key}`;
        find("glance").append(make("div", {role: "group", "aria-labelledby": id, class: "counts"},
            make("h2", {id}, group.title),
            ...group.words.map((each) => make_counter(group, each, choose))));
    }
    find("glance").append(make("div", {role: "group", "aria-labelledby": "glance-istiods",
        class: "counts"}, make("h2", {id: "glance-istiods"}, "Istiods"),
    make("div", {id: "glance-upstreams"})));
}

function draw_glance() {
    const counts = fleet.at > 0 ? count_fleet() : null;
    for (const {key, word: each, button, count} of counters) {
        const n = counts === null ? 0 : counts[key].get(each);
        set_text(count, counts === null ? "–" : number(n));
        set_attribute(button, "aria-pressed", String(view.chosen.get(key) === each));
        button.classList.toggle("zero", n === 0);
    }
    refill(find("glance-upstreams"), [fleet.upstreams, fleet.upstreams_failing], glance_upstreams);
}

const GLANCE_UPSTREAMS = 5;

function glance_upstreams() {
    if (fleet.upstreams === null || fleet.upstreams_failing !== null) {
        return [make("p", {class: "muted"}, fleet.upstreams_failing ?? "–")];
    }
    const rows = fleet.upstreams.slice(0, GLANCE_UPSTREAMS).map((upstream) =>
        make("a", {class: "count", href: "#/istiods"}, marked(upstream_state(upstream)), " ",
            make("span", {class: "label"}, clean(upstream.name, 40)), " ",
            make("b", {}, number(upstream_vms(upstream)))));
    const more = fleet.upstreams.length - rows.length;
    return more > 0 ? [...rows, make("a", {class: "count", href: "#/istiods"}, `and ${more} more`)]
        : rows;
}

/* ---- which VMs are shown ---- */

function matches(vm, words, at) {
    for (const [key, each] of view.chosen) {
        if ((key === "certificate" ? certificate_of(vm, at) : vm[key]) !== each) {
            return false;
        }
    }
    return words.every((each) => vm.search.includes(each));
}

const TYPE_RANKS = new Map(["ERROR", "STALE", "NOT SENT", "SYNCED", "IGNORED"].map((s, i) => [s, i]));
const CONFIG_RANKS = new Map(["error", "stale", "synced"].map((s, i) => [s, i]));

/* What is wrong comes first. */
function type_rank(vm, type) {
    return vm.instead !== null ? 10 + STATES.indexOf(vm.state)
        : TYPE_RANKS.get(vm.types.get(type) ?? "IGNORED") ?? 9;
}

/* The key of one VM in a column; null comes last either way. */
function sort_key(vm, column) {
    switch (column) {
    case "name": return vm.name_key;
    case "age": return vm.since > 0 ? -vm.since : null;
    case "cert": return vm.expires > 0 ? vm.expires : null;
    case "health": return 2 - ["unknown", "healthy", "unhealthy"].indexOf(vm.health);
    case "config": return vm.config !== null ? CONFIG_RANKS.get(vm.config)
        : 10 + STATES.indexOf(vm.state);
    case "cluster": case "istiod": case "version": case "group":
        return vm[column] !== "" ? vm[column] : null;
    default: return type_rank(vm, column);
    }
}

function compare(a, b) {
    return a < b ? -1 : a > b ? 1 : 0;
}

function choose_vms() {
    const words = view.query.toLowerCase().split(/\s+/).filter((each) => each !== "");
    const at = now();
    const found = [];
    for (const vm of fleet.vms.values()) {
        if (matches(vm, words, at)) {
            found.push([sort_key(vm, view.sort), vm]);
        }
    }
    const sign = view.down ? -1 : 1;
    found.sort(([x, a], [y, b]) => {
        const by_key = x === null || y === null ? Number(x === null) - Number(y === null)
            : sign * compare(x, y);
        return by_key || compare(a.name_key, b.name_key) || compare(a.id, b.id);
    });
    return found.map(([, vm]) => vm);
}
