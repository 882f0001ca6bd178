/* SPDX-License-Identifier: Apache-2.0 */
/* Elements. Texts become text nodes and nothing else: there is no way from a text to markup here. */

function find(id) {
    return document.getElementById(id);
}

/* make("td", {class: "name"}, "text", element, ...) */
function make(tag, attributes, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes ?? {})) {
        element.setAttribute(name, value);
    }
    element.append(...children);
    return element;
}

/* Only what differs is touched, so that a selection stays and nothing is laid out again. */
function set_text(element, text) {
    if (element.textContent !== text) {
        element.textContent = text;
    }
}

function set_attribute(element, name, value) {
    if (value === null) {
        element.removeAttribute(name);
    } else if (element.getAttribute(name) !== value) {
        element.setAttribute(name, value);
    }
}

const shown_as = new WeakMap();

/* Fill a container anew when what it shows has changed. build() gives its children. */
function refill(container, data, build) {
    const key = JSON.stringify(data) ?? "";
    if (shown_as.get(container) !== key) {
        shown_as.set(container, key);
        container.replaceChildren(...build());
    }
}

function word(text, tone = tone_of(text)) {
    return make("span", {class: "word", "data-tone": tone}, text);
}

/* A word with the mark of its tone before it. */
function marked(text, tone = tone_of(text)) {
    return make("span", {class: "word", "data-tone": tone},
        make("span", {"aria-hidden": "true"}, MARKS[tone]), ` ${text}`);
}

/* A share of a whole, beside its number, which says the same. */
function share_bar(part, whole) {
    const fill = make("span", {class: "fill"});
    fill.style.width = `${whole > 0 ? Math.min(100, 100 * part / whole) : 0}%`;
    return make("span", {class: "share", "aria-hidden": "true"}, fill);
}

/* A moment: when, and how long ago (or until then), which tick_moments() keeps right. */
function moment(ms) {
    if (ms === 0) {
        return make("span", {class: "muted"}, "–");
    }
    const ago = make("span", {class: "muted ago"});
    const element = make("time", {datetime: new Date(ms).toISOString(), title: date(ms)},
        `${date_or_clock(ms, now())} `, ago);
    tick_moment(element);
    return element;
}

function tick_moment(element) {
    const distance = now() - time_of(element.getAttribute("datetime"));
    set_text(element.lastChild, distance >= 0 ? `(${span(distance)} ago)` : `(in ${span(-distance)})`);
}

function tick_moments(container) {
    for (const ago of container.querySelectorAll("time > .ago")) {
        tick_moment(ago.parentElement);
    }
}
