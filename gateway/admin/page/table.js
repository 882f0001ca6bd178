/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of VMs. However many there are, only the rows in sight exist, between two spacers; a
 * row's element shows another VM when the page is scrolled. So the focus is the table's, and
 * aria-activedescendant names the row that the arrows are on.
 */

const OVERSCAN = 8;

const table = {
    order: [],     // the VMs that are shown
    columns: [],   // {key, title, kind, head}
    slots: [],     // {row, cells, vm}
    active: "",    // id of the VM that the arrows are on
    above: make("tr", {class: "space", role: "presentation", "aria-hidden": "true"}, make("td")),
    below: make("tr", {class: "space", role: "presentation", "aria-hidden": "true"}, make("td")),
    sort_by: null, // function (column)
    open: null,    // function (vm)
};

function column_list() {
    const plain = (key, title) => ({key, title, kind: "text"});
    return [
        plain("name", "NAME"), plain("cluster", "CLUSTER"), plain("istiod", "ISTIOD"),
        plain("version", "VERSION"),
        ...fleet.types.map((type) => ({key: type, title: type, kind: "type"})),
        {key: "config", title: "CONFIG", kind: "config"},
        {key: "health", title: "HEALTH", kind: "health"}, plain("group", "GROUP"),
        {key: "age", title: "AGE", kind: "age"}, {key: "cert", title: "CERT", kind: "cert"},
    ];
}

function make_head(column) {
    const arrow = make("span", {class: "arrow", "aria-hidden": "true"});
    const button = make("button", {type: "button"}, column.title, arrow);
    button.addEventListener("click", () => table.sort_by(column.key));
    column.head = make("th", {scope: "col", class: `c-${column.kind} k-${column.key}`}, button);
    column.arrow = arrow;
    return column.head;
}

/* Anew, when there is another type. */
function build_columns() {
    table.columns = column_list();
    find("columns").replaceChildren(...table.columns.map(make_head));
    table.slots = [];
    find("rows").replaceChildren(table.above, table.below);
    set_attribute(find("vms"), "aria-colcount", String(table.columns.length));
    fit_columns();
}

/* One column for all types where there is no room for one each. Widths in pixels as in page.css. */
function fit_columns() {
    const room = document.documentElement.clientWidth;
    find("vms").classList.toggle("compact", room < 786 + 72 * fleet.types.length);
}

function draw_head() {
    for (const {key, head, arrow} of table.columns) {
        const is_sorted = view.sort === key;
        set_attribute(head, "aria-sort",
            is_sorted ? view.down ? "descending" : "ascending" : null);
        set_text(arrow, is_sorted ? view.down ? "▼" : "▲" : "");
    }
}

/* ---- rows ---- */

function make_slot() {
    const cells = table.columns.map(({key, kind}) =>
        make("td", {role: "gridcell", class: `c-${kind} k-${key}`}));
    const link = make("a", {tabindex: "-1", dir: "ltr"});
    cells[0].append(link);
    const slot = {row: make("tr", {}, ...cells), cells, link, vm: null};
    slot.row.addEventListener("click", (event) => on_row_click(slot, event));
    return slot;
}

function on_row_click(slot, event) {
    const is_plain = event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey;
    if (slot.vm === null || !is_plain || !getSelection().isCollapsed) {
        return; // a link in another tab, or a text that is being marked
    }
    event.preventDefault();
    table.active = slot.vm.id;
    table.open(slot.vm);
}

function cell_text(vm, column, at) {
    switch (column.kind) {
    case "type": return vm.instead ?? vm.types.get(column.key) ?? "IGNORED";
    case "config": return config_text(vm);
    case "health": return vm.health;
    case "age": return vm.since > 0 ? span(at - vm.since) : "";
    case "cert": return vm.expires === 0 ? "" : vm.expires > at ? span(vm.expires - at) : "expired";
    default: return vm[column.key];
    }
}

function cell_tone(vm, column, at) {
    switch (column.kind) {
    case "type": return tone_of(vm.instead !== null ? vm.state : vm.types.get(column.key));
    case "config": return tone_of(vm.config ?? vm.state);
    case "health": return tone_of(vm.health);
    case "cert": return tone_of(certificate_of(vm, at));
    default: return null;
    }
}

function draw_cell(vm, column, cell, first_type, at) {
    if (column.kind === "type") { // who is not connected has one cell for all of them
        const spans = vm.instead !== null;
        cell.hidden = spans && column !== first_type;
        cell.colSpan = spans && column === first_type ? fleet.types.length : 1;
    }
    const text = cell_text(vm, column, at);
    set_text(column.key === "name" ? cell.firstChild : cell, text === "" ? "–" : text);
    set_attribute(cell, "data-tone", cell_tone(vm, column, at));
    set_attribute(cell, "title", text.length > 8 ? text : null);
}

function draw_slot(slot, vm, index, at) {
    const first_type = table.columns.find(({kind}) => kind === "type");
    slot.vm = vm;
    set_attribute(slot.row, "id", `row-${vm.id}`);
    set_attribute(slot.row, "aria-rowindex", String(index + 2)); // the head is the first
    set_attribute(slot.row, "aria-selected", String(vm.id === table.active));
    slot.row.classList.toggle("even", index % 2 === 0);
    set_attribute(slot.link, "href", `#/vm/${encodeURIComponent(vm.id)}`);
    table.columns.forEach((column, i) => draw_cell(vm, column, slot.cells[i], first_type, at));
}

function row_height() {
    return parseFloat(getComputedStyle(document.documentElement).getPropertyValue("--row"));
}

/* Which rows are in sight, and some more. */
function rows_in_sight() {
    const height = row_height();
    const top = find("rows").getBoundingClientRect().top;
    const first = Math.max(0, Math.floor(-top / height) - OVERSCAN);
    const end = Math.ceil((innerHeight - top) / height) + OVERSCAN;
    return {first: Math.min(first, table.order.length), end: Math.max(0, Math.min(end, table.order.length)), height};
}

function draw_rows() {
    const {first, end, height} = rows_in_sight();
    const n = Math.max(0, end - first);
    const at = now();
    while (table.slots.length < n) {
        const slot = make_slot();
        table.slots.push(slot);
        table.below.before(slot.row);
    }
    while (table.slots.length > n) {
        table.slots.pop().row.remove();
    }
    table.slots.forEach((slot, i) => draw_slot(slot, table.order[first + i], first + i, at));
    table.above.firstChild.style.height = `${first * height}px`;
    table.below.firstChild.style.height = `${(table.order.length - end) * height}px`;
    const is_drawn = table.slots.some(({vm}) => vm.id === table.active);
    set_attribute(find("vms"), "aria-activedescendant", is_drawn ? `row-${table.active}` : null);
}

function draw_none() {
    const text = fleet.at === 0 ? "" : fleet.vms.size === 0
        ? "No VM has come yet." : "No VM is like this. Escape clears the filter.";
    find("none").hidden = table.order.length > 0 || text === "";
    set_text(find("none"), text);
}

/* Everything, after the VMs, the filter or the order have changed. */
function draw_table() {
    if (table.columns.filter(({kind}) => kind === "type").map(({key}) => key).join() !==
        fleet.types.join()) {
        build_columns();
    }
    table.order = choose_vms();
    const [n, all] = [number(table.order.length), number(fleet.vms.size)];
    set_text(find("shown"), fleet.at === 0 ? "" : n === all ? `${all} VMs` : `${n} of ${all} VMs`);
    set_attribute(find("vms"), "aria-rowcount", String(table.order.length + 1));
    draw_head();
    draw_rows();
    draw_none();
}

/* ---- keys ---- */

function index_of_active() {
    return table.order.findIndex(({id}) => id === table.active);
}

/* Where rows come in sight: below the head's cells, which stay at the top; their row does not. */
function head_bottom() {
    return find("columns").firstChild.getBoundingClientRect().bottom;
}

/* Below what stays at the top, above the end of the window. */
function scroll_to(index) {
    const height = row_height();
    const head = head_bottom();
    const top = find("rows").getBoundingClientRect().top + index * height;
    if (top < head) {
        scrollBy(0, top - head);
    } else if (top + height > innerHeight) {
        scrollBy(0, top + height - innerHeight);
    }
}

function go_to(index) {
    if (table.order.length === 0) {
        return;
    }
    const at = Math.max(0, Math.min(index, table.order.length - 1));
    table.active = table.order[at].id;
    scroll_to(at);
    draw_rows();
}

function on_table_key(event) {
    if (event.target.closest("thead, a") !== null || event.altKey || event.ctrlKey ||
        event.metaKey) {
        return; // they have keys of their own
    }
    const at = index_of_active();
    const page = Math.max(1, Math.floor(innerHeight / row_height()) - 6);
    const goals = {ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + page, PageUp: at - page,
        Home: 0, End: table.order.length - 1};
    if (Object.hasOwn(goals, event.key)) {
        event.preventDefault();
        go_to(goals[event.key]);
    } else if (event.key === "Enter" && at >= 0) {
        event.preventDefault();
        table.open(table.order[at]);
    }
}

function build_table(sort_by, open) {
    table.sort_by = sort_by;
    table.open = open;
    find("vms").addEventListener("keydown", on_table_key);
    find("vms").addEventListener("focus", on_table_focus);
    build_columns();
}

/* The arrows begin where one looks. A click says itself which row it means. */
function on_table_focus() {
    if (index_of_active() >= 0 || !find("vms").matches(":focus-visible")) {
        return;
    }
    const top = find("rows").getBoundingClientRect().top;
    go_to(Math.max(0, Math.ceil((head_bottom() - top) / row_height())));
}
