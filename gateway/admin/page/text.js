/* SPDX-License-Identifier: Apache-2.0 */
/* Texts, numbers and times, made ready to be shown. What a VM says of itself is only ever text, and
 * goes through clean() first. */

/* As core/base/show.c: what ends a line, turns the writing direction or is no character. */
const UNSAFE = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\p{Cs}]/gu;
const UNSAFE_BUT_LINES = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\p{Cs}]/gu;
const CELL_MAX = 200;
const LONG_MAX = 8000;

function text_of(value) {
    if (value === null || value === undefined) {
        return "";
    }
    return typeof value === "string" ? value : JSON.stringify(value);
}

function cut(text, max) {
    if (text.length <= max) {
        return text;
    }
    const rest = text.length - max;
    return `${text.slice(0, max)} … (${number(rest)} more)`;
}

/* One line, harmless and bounded. */
function clean(value, max = CELL_MAX) {
    return cut(text_of(value), max).replace(UNSAFE, "\ufffd");
}

/* The same with its lines. */
function clean_lines(value) {
    return cut(text_of(value), LONG_MAX).replace(UNSAFE_BUT_LINES, "\ufffd");
}

const NUMBER = new Intl.NumberFormat("en");

function number(n) {
    return NUMBER.format(Number(n) || 0);
}

function bytes(n) {
    const units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let value = Number(n) || 0;
    let i = 0;
    for (; value >= 1024 && i < units.length - 1; i++) {
        value /= 1024;
    }
    return `${i > 0 && value < 100 ? value.toFixed(1) : Math.round(value)} ${units[i]}`;
}

/* Milliseconds since 1970; 0: never. */
function time_of(value) {
    return Date.parse(typeof value === "string" ? value : "") || 0;
}

/* "3m12s", "9d": as the command line writes it. */
function span(ms) {
    const units = [[86400, "d"], [3600, "h"], [60, "m"], [1, "s"]];
    const s = Math.max(0, Math.floor(ms / 1000));
    const i = Math.max(0, units.findIndex(([length]) => s >= length));
    const [length, unit] = s < 1 ? units[3] : units[i];
    const count = Math.floor(s / length);
    const next = s < 1 ? undefined : units[i + 1];
    const rest = next ? Math.floor((s % length) / next[0]) : 0;
    return `${count}${unit}${rest > 0 && count < 10 ? rest + next[1] : ""}`;
}

const CLOCK = new Intl.DateTimeFormat("sv", {hour: "2-digit", minute: "2-digit", second: "2-digit"});
const DATE = new Intl.DateTimeFormat("sv", {dateStyle: "short", timeStyle: "medium"});

/* In the reader's time zone. */
function clock(ms) {
    return CLOCK.format(new Date(ms));
}

function date(ms) {
    return DATE.format(new Date(ms));
}

/* Without the day when that is today. */
function date_or_clock(ms, today_ms) {
    const text = date(ms);
    return text.slice(0, 10) === date(today_ms).slice(0, 10) ? text.slice(11) : text;
}

/* What a word means at a glance. The word itself is always there, too. */
const TONES = new Map(Object.entries({
    connected: "ok", connecting: "warn", disconnected: "idle", refused: "bad", revoked: "bad",
    healthy: "ok", unhealthy: "bad", unknown: "idle",
    SYNCED: "ok", STALE: "warn", ERROR: "bad", "NOT SENT": "idle", IGNORED: "idle",
    usable: "ok", unusable: "bad", unsafe: "bad",
    synced: "ok", stale: "warn", error: "bad",
    good: "ok", soon: "warn", expired: "bad", none: "idle",
    nack: "bad", push: "idle", issued: "ok",
}));
const MARKS = {ok: "●", warn: "▲", bad: "■", idle: "○"};

function tone_of(word) {
    return TONES.get(word) ?? "idle";
}
