/* SPDX-License-Identifier: Apache-2.0 */
/* Which view is shown, what keys do, and the start. The address is #/?q=…&sort=…, #/vm/ID or
 * #/istiods. */

const page = {
    view: "",            // fleet | vm | istiods
    list_hash: "#/",     // how the list was left
    list_scroll: 0,
    drawing: null,       // the function that draws the next picture
};

/* ---- drawing ---- */

function draw_freshness() {
    const {tone, text, said} = freshness();
    set_attribute(find("freshness"), "data-tone", tone);
    set_text(find("mark"), MARKS[tone]);
    set_text(find("fresh"), text);
    set_text(find("announce"), said);
    set_text(find("version"), fleet.version);
    document.body.classList.toggle("stale", tone === "bad");
}

function draw() {
    draw_freshness();
    if (page.view === "fleet") {
        document.title = "Fleet – xdsgate";
        draw_glance();
        draw_table();
    } else if (page.view === "vm") {
        draw_vm();
    } else {
        draw_istiods();
    }
}

/* Once for whatever happens before the next picture; everything, if anybody wants that. */
function draw_soon(what = draw) {
    if (page.drawing === null) {
        requestAnimationFrame(() => {
            const draw_it = page.drawing;
            page.drawing = null;
            draw_it();
        });
    }
    page.drawing = page.drawing === draw ? draw : what;
}

/* Each second: ages and "ago" go on. */
function tick() {
    draw_freshness();
    if (page.view === "fleet") {
        draw_rows();
    } else if (page.view === "vm") {
        tick_moments(find("vm"));
    }
}

/* ---- addresses ---- */

function list_address() {
    const words = new URLSearchParams();
    if (view.query !== "") {
        words.set("q", view.query);
    }
    for (const [key, each] of view.chosen) {
        words.set(key, each);
    }
    if (view.sort !== "name" || view.down) {
        words.set("sort", (view.down ? "-" : "") + view.sort);
    }
    return words.toString() !== "" ? `#/?${words}` : "#/";
}

/* What the list shows has changed. */
function on_list_change() {
    history.replaceState(null, "", list_address());
    page.list_hash = location.hash;
    find("clear").disabled = view.query === "" && view.chosen.size === 0;
    draw_soon();
}

function read_list_address(query) {
    const words = new URLSearchParams(query);
    const sort = words.get("sort") ?? "name";
    const column = sort.replace(/^-/, "");
    view.query = (words.get("q") ?? "").slice(0, 200);
    view.chosen.clear();
    for (const {key, words: allowed} of GROUPS) {
        if (allowed.includes(words.get(key))) {
            view.chosen.set(key, words.get(key));
        }
    }
    const columns = [...column_list().map(({key}) => key), ...OTHER_TYPES];
    view.sort = columns.includes(column) ? column : "name";
    view.down = sort.startsWith("-") && columns.includes(column);
    find("filter").value = view.query;
    find("clear").disabled = view.query === "" && view.chosen.size === 0;
}

function decoded(text) {
    try {
        return decodeURIComponent(text);
    } catch {
        return text;
    }
}

function show_view(name) {
    const before = page.view;
    if (before === "fleet" && name !== "fleet") {
        page.list_scroll = scrollY;
    }
    page.view = name;
    for (const each of ["fleet", "vm", "istiods"]) {
        find(each).hidden = each !== name;
    }
    set_attribute(find("to-fleet"), "aria-current", name === "fleet" ? "page" : null);
    set_attribute(find("to-istiods"), "aria-current", name === "istiods" ? "page" : null);
    draw();
    if (before === "" || before === name) {
        return;
    }
    if (name === "fleet") {
        scrollTo(0, page.list_scroll);
        draw_rows();
        find("vms").focus({preventScroll: true});
    } else {
        scrollTo(0, 0);
        find(name === "vm" ? "vm-name" : "h-istiods").focus();
    }
}

function follow_address() {
    const [path, query] = location.hash.replace(/^#/, "").split(/\?(.*)/s);
    const vm = /^\/vm\/(.+)$/.exec(path);
    want_vm(vm !== null ? decoded(vm[1]) : "");
    if (vm !== null) {
        table.active = find_vm(one.wanted)[0]?.id ?? table.active;
        show_view("vm");
        void ask_vm().then(() => draw_soon());
    } else if (path === "/istiods") {
        show_view("istiods");
    } else {
        read_list_address(query ?? "");
        page.list_hash = location.hash;
        show_view("fleet");
    }
    set_attribute(find("back"), "href", page.list_hash || "#/");
    set_attribute(find("to-fleet"), "href", page.list_hash || "#/");
}

/* ---- what people do ---- */

function on_choice(key, each) {
    if (view.chosen.get(key) === each) {
        view.chosen.delete(key);
    } else {
        view.chosen.set(key, each);
    }
    on_list_change();
}

function on_sort(column) {
    view.down = view.sort === column && !view.down;
    view.sort = column;
    on_list_change();
}

function clear_filter() {
    view.query = "";
    view.chosen.clear();
    find("filter").value = "";
    on_list_change();
}

function go_to_filter() {
    if (page.view !== "fleet") {
        location.hash = page.list_hash;
        follow_address();
    }
    find("filter").focus();
    find("filter").select();
}

function go_to_table() {
    if (page.view !== "fleet") {
        location.hash = page.list_hash;
        follow_address();
    }
    find("vms").focus({preventScroll: true});
}

function on_escape(event) {
    if (page.view !== "fleet") {
        location.hash = page.list_hash || "#/";
    } else if (!find("clear").disabled) {
        event.preventDefault();
        clear_filter();
    }
}

function on_key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || event.isComposing) {
        return;
    }
    if (event.key === "Escape") {
        on_escape(event);
    } else if (event.key === "/" && event.target !== find("filter")) {
        event.preventDefault();
        go_to_filter();
    }
}

function on_filter_key(event) {
    if (event.key === "ArrowDown" || event.key === "Enter") {
        event.preventDefault();
        draw_table(); // by what was typed just now
        find("vms").focus();
        go_to(0);
    }
}

function start() {
    build_glance(on_choice);
    build_table(on_sort, (vm) => {
        location.hash = `#/vm/${encodeURIComponent(vm.id)}`;
    });
    find("filter").addEventListener("input", () => {
        view.query = find("filter").value;
        on_list_change();
    });
    find("filter").addEventListener("keydown", on_filter_key);
    find("clear").addEventListener("click", clear_filter);
    find("skip").addEventListener("click", go_to_table);
    document.addEventListener("keydown", on_key);
    addEventListener("hashchange", follow_address);
    addEventListener("scroll", () => page.view === "fleet" && draw_soon(draw_rows), {passive: true});
    addEventListener("resize", () => {
        fit_columns();
        draw_soon();
    });
    follow_address();
    poll(ask_vm, draw_soon);
    setInterval(tick, 1000);
}

start();
