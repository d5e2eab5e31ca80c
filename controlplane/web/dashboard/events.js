// What happened, newest first: the page with its filters, and the short list of a flow.

import { call } from "./api.js";
import { h, replace, shape, text } from "./dom.js";
import { moment } from "./format.js";
import { live, on } from "./live.js";

const KEPT = 1024;
const SHOWN = 250;
const ASK_MS = 2000;
const SHAPE_OF = { critical: "Critical", warning: "Warning", info: "Healthy" };
const SEVERITIES = ["critical", "warning", "info"];

// Events that this page knows, newest first.
export const events = { list: [], dropped: 0, unseen: 0 };

const listeners = new Set();
let asked = 0;
let isAsking = false;
let since = 0;

export function onEvents(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function forget() {
  Object.assign(events, { list: [], dropped: 0, unseen: 0 });
  since = 0;
  asked = 0;
}

async function ask() {
  if (isAsking || Date.now() - asked < ASK_MS) return;
  isAsking = true;
  asked = Date.now();
  try {
    const answer = await call("GET", `/api/v1/events?since=${since}`);
    events.dropped = answer.dropped;
    if (answer.events.length > 0) {
      const isFirst = since === 0;
      since = answer.events[0].id;
      events.list = [...answer.events, ...events.list].slice(0, KEPT);
      if (!isFirst) events.unseen += answer.events.filter((event) => event.severity !== "info").length;
      listeners.forEach((listener) => listener());
    }
  } catch {
    // The connection's state is shown already; what was missed comes with the next answer.
  } finally {
    isAsking = false;
  }
}

on("frame", ask);

const choice = { severity: "", category: "", flow: "", words: "" };

// Shows the page in `view`; returns what ends it.
export function show(view, parameters) {
  if (parameters.has("flow")) Object.assign(choice, { severity: "", category: "", words: "", flow: parameters.get("flow") });
  const select = (id, title) => h("select", { id, "aria-label": title, onchange: () => {
    choice[id] = controls[id].value;
    draw();
  } });
  const controls = { severity: select("severity", "Severity"), category: select("category", "Category"), flow: select("flow", "Flow") };
  const words = h("input", { type: "search", placeholder: "Filter by text", "aria-label": "Filter by text", value: choice.words, oninput: () => {
    choice.words = words.value;
    draw();
  } });
  const number = h("span", { class: "dim", role: "status" });
  const body = h("tbody");
  view.replaceChildren(
    h("h1", { class: "unseen" }, "Events"),
    h("div", { class: "tools" }, controls.severity, controls.category, controls.flow, words, h("span", { class: "grow" }), number),
    h("div", { class: "scroll events" }, h("table", null,
      h("thead", null, h("tr", null, ["Time", "Severity", "Category", "Flow", "Event"].map((title) => h("th", { scope: "col" }, title)))), body)));

  function options(name, label, values) {
    const wanted = ["", ...new Set([...values, choice[name]].filter(Boolean))];
    const element = controls[name];
    const key = wanted.join("\n");
    if (element.dataset.key !== key) {
      element.dataset.key = key;
      replace(element, wanted.map((value) => h("option", { value }, value === "" ? label : name === "flow" ? nameOf(value) : value)));
    }
    element.value = choice[name];
  }

  function draw() {
    options("severity", "All severities", SEVERITIES);
    options("category", "All categories", [...new Set(events.list.map((event) => event.category))].sort());
    options("flow", "All flows", [...new Set(events.list.map((event) => event.flow_id))].filter(Boolean).sort());
    const query = choice.words.toLowerCase();
    const found = events.list.filter((event) =>
      (choice.severity === "" || event.severity === choice.severity)
      && (choice.category === "" || event.category === choice.category)
      && (choice.flow === "" || event.flow_id === choice.flow)
      && (query === "" || `${event.message} ${event.flow_id ?? ""}`.toLowerCase().includes(query)));
    const left = found.length > SHOWN ? `, the newest ${SHOWN} shown` : "";
    text(number, `${found.length} of ${events.list.length} events${left}${events.dropped > 0 ? `; ${events.dropped} older ones are no longer kept` : ""}`);
    replace(body, found.slice(0, SHOWN).map((event) => row(event)));
    if (found.length === 0) replace(body, h("tr", null, h("td", { colspan: 5, class: "dim" }, "Nothing that matches has happened.")));
    events.unseen = 0;
    listeners.forEach((listener) => listener !== draw && listener());
  }

  const off = onEvents(draw);
  draw();
  return off;
}

const nameOf = (flowId) => live.tracks.get(flowId)?.stats.flow_name ?? flowId;

function row(event) {
  return h("tr", { data: { severity: event.severity } },
    h("td", { class: "number" }, h("time", { datetime: event.timestamp, title: event.timestamp }, moment(event.timestamp))),
    h("td", null, h("span", { class: "severity", data: { health: SHAPE_OF[event.severity] ?? "Warning" } }, shape(SHAPE_OF[event.severity] ?? "Warning"), event.severity)),
    h("td", null, event.category),
    h("td", null, event.flow_id ? h("a", { href: `#/flow/${encodeURIComponent(event.flow_id)}` }, nameOf(event.flow_id)) : "–"),
    h("td", { class: "message" }, event.message, event.details ? details(event.details) : null));
}

function details(object) {
  const words = Object.entries(object).map(([name, value]) => `${name} ${typeof value === "object" ? JSON.stringify(value) : value}`);
  return h("span", { class: "under" }, words.join(", "));
}

// The newest events of one flow.
export function recent(flowId, most) {
  const found = events.list.filter((event) => event.flow_id === flowId).slice(0, most);
  if (found.length === 0) return [h("p", { class: "dim" }, "Nothing has happened to it lately.")];
  return [h("ul", { class: "recent" }, found.map((event) => h("li", null,
    shape(SHAPE_OF[event.severity] ?? "Warning"),
    h("time", { class: "number", datetime: event.timestamp }, moment(event.timestamp)),
    h("span", null, h("span", { class: "unseen" }, `${event.severity}: `), event.message))))];
}
