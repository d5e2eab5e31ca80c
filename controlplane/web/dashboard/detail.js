// Figures of the node as they come: objects become lists of facts, lists of objects become tables. New fields of the
// node appear by themselves.

import { h, mark, text } from "./dom.js";
import { hex, label, value } from "./format.js";

const isObject = (thing) => thing !== null && typeof thing === "object" && !Array.isArray(thing);

// Facts of an object; what is nested comes behind, with its own heading.
export function facts(object, { leaveOut = [] } = {}) {
  const rows = [];
  const nested = [];
  for (const [name, raw] of Object.entries(object)) {
    if (leaveOut.includes(name) || raw === null) continue;
    if (isObject(raw)) nested.push(h("section", { class: "nested" }, h("h4", null, label(name)), facts(raw)));
    else if (Array.isArray(raw) && raw.some(isObject)) nested.push(h("section", { class: "nested" }, h("h4", null, label(name)), table(raw)));
    else rows.push(fact(label(name), Array.isArray(raw) ? raw.join(", ") : value(name, raw)));
  }
  return [rows.length > 0 ? h("dl", { class: "facts" }, rows) : null, nested];
}

export function fact(name, shown) {
  return h("div", null, h("dt", null, name), h("dd", { class: "number" }, shown));
}

// A table with a column for each field that any of the objects has; what is nested gets columns of its own.
export function table(nested, { caption = null, first = [] } = {}) {
  const objects = nested.map(flat);
  const names = [...new Set([...first, ...objects.flatMap((object) => Object.keys(object))])]
    .filter((name) => objects.some((object) => object[name] !== null && object[name] !== undefined && !isObject(object[name])));
  const body = objects.map((object) => h("tr", null, names.map((name) =>
    h("td", { class: typeof object[name] === "number" ? "number" : null, data: { name } }, cell(name, object[name])))));
  return h("div", { class: "scroll" }, h("table", null,
    caption ? h("caption", null, caption) : null,
    h("thead", null, h("tr", null, names.map((name) => h("th", { scope: "col" }, label(name))))),
    h("tbody", null, body)));
}

// A table that sets a few objects side by side: a row for each field, a column for each object.
export function compare(nested, titles) {
  const objects = nested.map(flat);
  const names = [...new Set(objects.flatMap((object) => Object.keys(object)))]
    .filter((name) => objects.some((object) => object[name] !== null && !isObject(object[name])));
  return h("div", { class: "scroll" }, h("table", { class: "compare" },
    h("thead", null, h("tr", null, h("th", null, h("span", { class: "unseen" }, "Figure")), titles.map((title) => h("th", { scope: "col" }, title)))),
    h("tbody", null, names.map((name) => h("tr", null, h("th", { scope: "row" }, label(name)),
      objects.map((object) => h("td", { class: "number", data: { name } }, cell(name, object[name]))))))));
}

function flat(object) {
  return Object.fromEntries(Object.entries(object).flatMap(([name, raw]) =>
    isObject(raw) ? Object.entries(raw).map(([inner, value]) => [`${name} ${inner}`, value]) : [[name, raw]]));
}

function cell(name, raw) {
  if (Array.isArray(raw)) return raw.join(", ");
  if (/(^|_)pid$/.test(name) && Number.isInteger(raw)) return `${raw} (${hex(raw)})`;
  return value(name, raw);
}

// Keeps what is shown in a place, and makes it anew only when it has changed: a selection or a scroll position in it
// survives.
export class Slot {
  constructor(element) {
    this.element = element;
    this.shown = null;
  }

  show(data, make) {
    const key = JSON.stringify(data);
    if (key === this.shown) return;
    this.shown = key;
    const children = [make(data)].flat(Infinity).filter(Boolean);
    if (!patch(this.element, children)) this.element.replaceChildren(...children);
  }
}

// Puts new texts into an old tree of the same shape; false when the shapes differ.
function patch(parent, children) {
  if (parent.children.length !== children.length || !children.every((child, index) => isAlike(parent.children[index], child))) return false;
  children.forEach((child, index) => adopt(parent.children[index], child));
  return true;
}

function isAlike(old, fresh) {
  return old.nodeName === fresh.nodeName && old.children.length === fresh.children.length && old.className === fresh.className
    && !fresh.querySelector("button, input, svg")
    && [...fresh.children].every((child, index) => isAlike(old.children[index], child));
}

function adopt(old, fresh) {
  if (fresh.children.length === 0) text(old, fresh.textContent);
  for (const [name, wanted] of Object.entries(fresh.dataset)) mark(old, name, wanted);
  [...fresh.children].forEach((child, index) => adopt(old.children[index], child));
}
