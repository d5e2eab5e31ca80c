// All flows at a glance. Only the rows in view exist, so that a thousand flows cost as much as thirty.

import { canChange } from "./api.js";
import { addFlow } from "./forms.js";
import { HEALTHS, healthOf, indicator, isAlarm, isUnknown, legsOf, outputsOf, reasonOf, rttOf, skewOf, tally } from "./alarms.js";
import { h, mark, reshape, shape, text } from "./dom.js";
import { bitrate, brief, count, micros, millis } from "./format.js";
import { wantSpark } from "./history.js";
import { live, on } from "./live.js";
import { onPalette, spark } from "./plot.js";

const COLUMNS = [
  { name: "health", title: "Health", key: (track) => HEALTHS.indexOf(healthOf(track.stats)) },
  { name: "flow", title: "Flow", key: (track) => track.stats.flow_name.toLowerCase() },
  { name: "input", title: "Input", key: (track) => track.stats.input.input_type },
  { name: "bitrate", title: "Bitrate", key: (track) => -track.stats.input.bitrate_bps },
  { name: "loss", title: "Loss", key: (track) => -track.lostLately - track.stats.input.packets_lost / 1e12 },
  { name: "lamps", title: "TR 101 290", key: (track) => lampRank(track.stats.tr101290) },
  { name: "legs", title: "2022-7", key: (track) => -legsOf(track.stats).length },
  { name: "fec", title: "FEC", key: (track) => -track.stats.input.packets_recovered_fec },
  { name: "rtt", title: "RTT", key: (track) => -(rttOf(track.stats) ?? -1) },
  { name: "outputs", title: "Outputs", key: (track) => (outputsOf(track).isBad ? -1e6 : 0) - track.stats.outputs.length },
];

const FILTERS = ["Alarms", ...HEALTHS];
const OVERSCAN = 4;
const isNarrow = matchMedia("(max-width: 52rem)");

// What the operator chose outlives a look at another page.
const choice = { query: "", health: null, sort: "health", isDescending: false, active: null };

function lampRank(tr) {
  if (!tr) return 8;
  return (tr.priority1_ok ? 4 : 0) + (tr.priority2_ok ? 2 : 0) + (tr.priority3_ok ? 1 : 0);
}

// Shows the page in `view`; returns what ends it.
export function show(view, parameters) {
  if (parameters.has("health")) {
    choice.health = parameters.get("health");
    choice.query = "";
  }
  const page = new Overview(view);
  const offs = [on("frame", () => page.update()), onPalette(() => page.draw())];
  const resized = new ResizeObserver(() => page.draw());
  resized.observe(page.list);
  const narrowed = () => page.rebuild();
  isNarrow.addEventListener("change", narrowed);
  page.update();
  return () => {
    offs.forEach((off) => off());
    resized.disconnect();
    isNarrow.removeEventListener("change", narrowed);
    document.removeEventListener("keydown", page.onSlash);
  };
}

class Overview {
  constructor(view) {
    this.tracks = [];
    this.rows = [];
    this.search = h("input", {
      type: "search", id: "search", placeholder: "Filter by name, id or type", "aria-label": "Filter flows", autocomplete: "off",
      value: choice.query,
      oninput: () => {
        choice.query = this.search.value;
        this.list.scrollTop = 0;
        this.update();
      },
      onkeydown: (event) => {
        if (event.key === "ArrowDown") {
          event.preventDefault();
          this.list.focus();
        }
      },
    });
    this.chips = FILTERS.map((health) => {
      const number = h("b", { class: "number" });
      const chip = h("button", { type: "button", class: "chip", data: { health }, onclick: () => this.filter(health) },
        health === "Alarms" ? null : shape(health), health, number);
      return { health, chip, number };
    });
    this.heads = COLUMNS.map((column) => h("span", { role: "columnheader", class: `cell ${column.name}` },
      h("button", { type: "button", onclick: () => this.sort(column.name) }, column.title)));
    this.sizer = h("div", { class: "sizer", role: "presentation" });
    this.empty = h("p", { class: "empty", hidden: true });
    this.list = h("div", {
      class: "list", tabindex: 0, role: "grid", "aria-label": "Flows", "aria-colcount": COLUMNS.length,
      onscroll: () => this.draw(), onkeydown: (event) => this.key(event), onfocus: () => this.draw(),
    }, h("div", { class: "row head", role: "row", "aria-rowindex": 1 }, this.heads), this.sizer);
    const add = canChange() ? h("button", { type: "button", class: "primary", id: "add_flow", onclick: () => addFlow() }, "Add flow") : null;
    view.classList.add("fixed");
    view.replaceChildren(
      h("h1", { class: "unseen" }, "Flows"),
      h("div", { class: "tools" }, this.search, h("div", { class: "chips", role: "group", "aria-label": "Filter by health" }, this.chips.map(({ chip }) => chip)), h("span", { class: "grow" }), add),
      this.list, this.empty);
    this.onSlash = (event) => {
      const isTyping = event.target.closest("input, textarea, select, dialog");
      if (event.key === "/" && !isTyping) {
        event.preventDefault();
        this.search.focus();
      }
    };
    document.addEventListener("keydown", this.onSlash);
  }

  filter(health) {
    choice.health = choice.health === health ? null : health;
    this.list.scrollTop = 0;
    this.update();
  }

  sort(name) {
    choice.isDescending = choice.sort === name && !choice.isDescending;
    choice.sort = name;
    this.update();
  }

  rebuild() {
    this.rows.forEach((row) => row.element.remove());
    this.rows = [];
    this.draw();
  }

  // The flows that are wanted, in the order that is wanted.
  update() {
    const words = choice.query.toLowerCase().split(/\s+/).filter(Boolean);
    const isWanted = (track) => {
      const { stats } = track;
      const health = healthOf(stats);
      if (choice.health === "Alarms" ? !isAlarm(health) : choice.health !== null && choice.health !== health) return false;
      if (words.length === 0) return true;
      const words_of = `${stats.flow_name} ${stats.flow_id} ${stats.input.input_type}`.toLowerCase();
      return words.every((word) => words_of.includes(word));
    };
    const { key } = COLUMNS.find((column) => column.name === choice.sort);
    const sign = choice.isDescending ? -1 : 1;
    this.tracks = [...live.tracks.values()].filter(isWanted)
      .map((track) => ({ track, key: key(track) }))
      .sort((a, b) => (a.key < b.key ? -sign : a.key > b.key ? sign : 0))
      .map(({ track }) => track);
    const numbers = tally();
    numbers.Alarms = HEALTHS.filter(isAlarm).reduce((sum, health) => sum + numbers[health], 0);
    for (const { health, chip, number } of this.chips) {
      text(number, count(numbers[health]));
      chip.setAttribute("aria-pressed", choice.health === health);
      chip.hidden = numbers[health] === 0 && choice.health !== health && health !== "Alarms" && health !== "Healthy";
    }
    COLUMNS.forEach((column, index) => {
      const sorted = choice.sort !== column.name ? "none" : choice.isDescending ? "descending" : "ascending";
      if (this.heads[index].getAttribute("aria-sort") !== sorted) this.heads[index].setAttribute("aria-sort", sorted);
    });
    this.list.setAttribute("aria-rowcount", this.tracks.length + 1);
    this.empty.hidden = this.tracks.length > 0;
    this.list.hidden = live.tracks.size === 0;
    text(this.empty, live.tracks.size === 0
      ? canChange() ? "No flow is configured yet. Add one, or post it to the API." : "No flow is configured."
      : "No flow matches.");
    this.draw();
  }

  get rowHeight() {
    return isNarrow.matches ? 76 : 46;
  }

  // The rows in view.
  draw() {
    const high = this.rowHeight;
    const head = this.list.firstChild.offsetHeight;
    const wanted = `${this.tracks.length * high}px`;
    if (this.sizer.style.height !== wanted) this.sizer.style.height = wanted;
    const first = Math.max(0, Math.floor((this.list.scrollTop - head) / high) - OVERSCAN);
    const number = Math.ceil(this.list.clientHeight / high) + 2 * OVERSCAN;
    const last = Math.min(this.tracks.length, first + number);
    while (this.rows.length < last - first) {
      const row = new Row((id) => this.open(id));
      this.rows.push(row);
      this.sizer.append(row.element);
    }
    let activeRow = null;
    this.rows.forEach((row, index) => {
      const place = first + index;
      const track = place < last ? this.tracks[place] : null;
      row.element.hidden = track === null;
      if (!track) return;
      const isActive = track.stats.flow_id === choice.active;
      if (isActive) activeRow = row;
      row.show(track, place, high, isActive);
      wantSpark(track.stats.flow_id);
    });
    if (activeRow) this.list.setAttribute("aria-activedescendant", activeRow.element.id);
    else this.list.removeAttribute("aria-activedescendant");
  }

  key(event) {
    if (event.target !== this.list || this.tracks.length === 0) return;
    const page = Math.max(1, Math.floor(this.list.clientHeight / this.rowHeight) - 2);
    const last = this.tracks.length - 1;
    const at = this.tracks.findIndex((track) => track.stats.flow_id === choice.active);
    const to = { ArrowDown: at + 1, ArrowUp: at < 0 ? 0 : at - 1, PageDown: at + page, PageUp: at - page, Home: 0, End: last }[event.key];
    if (to !== undefined) {
      event.preventDefault();
      const place = Math.max(0, Math.min(last, to));
      choice.active = this.tracks[place].stats.flow_id;
      this.reveal(place);
      this.draw();
    } else if (event.key === "Enter" && at >= 0) {
      this.open(choice.active);
    }
  }

  reveal(place) {
    const high = this.rowHeight;
    const head = this.list.firstChild.offsetHeight;
    const top = place * high;
    const room = this.list.clientHeight - head;
    if (top < this.list.scrollTop) this.list.scrollTop = top;
    if (top + high > this.list.scrollTop + room) this.list.scrollTop = top + high - room;
  }

  open(id) {
    choice.active = id;
    location.hash = `#/flow/${encodeURIComponent(id)}`;
  }
}

let rowsMade = 0;

class Row {
  constructor(open) {
    this.id = null;
    this.shape = shape("Stopped");
    this.health = h("span", { class: "word" });
    this.name = h("a", { class: "name", tabindex: -1 });
    this.under = h("span", { class: "under" });
    this.type = h("span", { class: "type" });
    this.state = h("span", { class: "under" });
    this.rate = h("span", { class: "number" });
    this.canvas = h("canvas", { class: "spark", "aria-hidden": "true" });
    this.lost = h("span", { class: "number" });
    this.lately = h("span", { class: "under number" });
    this.lamps = [1, 2, 3].map((priority) => h("span", { class: "lamp" }, `P${priority}`));
    this.legs = h("span", { class: "lamps" });
    this.skew = h("span", { class: "under number" });
    this.fec = h("span", { class: "number" });
    this.rtt = h("span", { class: "number" });
    this.outputs = h("span", { class: "number" });
    this.trouble = h("span", { class: "under number" });
    const cell = (name, ...children) => h("span", { class: `cell ${name}`, role: "gridcell" }, children);
    this.element = h("div", {
      class: "row", role: "row", id: `row_${rowsMade += 1}`,
      onclick: (event) => {
        if (!event.target.closest("a")) open(this.id);
      },
    },
    cell("health", this.shape, this.health),
    cell("flow", this.name, this.under),
    cell("input", this.type, this.state),
    cell("bitrate", this.rate, this.canvas),
    cell("loss", this.lost, this.lately),
    cell("lamps", this.lamps),
    cell("legs", this.legs, this.skew),
    cell("fec", this.fec),
    cell("rtt", this.rtt),
    cell("outputs", this.outputs, this.trouble));
  }

  show(track, place, high, isActive) {
    const { stats } = track;
    const { input } = stats;
    const health = healthOf(stats);
    this.id = stats.flow_id;
    const { element } = this;
    const at = `translateY(${place * high}px)`;
    if (element.style.transform !== at) element.style.transform = at;
    element.setAttribute("aria-rowindex", place + 2);
    element.setAttribute("aria-selected", isActive);
    mark(element, "health", health);
    mark(element, "flow", stats.flow_id);
    mark(element, "odd", place % 2);
    reshape(this.shape, health);
    text(this.health, isUnknown(stats) ? "Unknown" : health);
    text(this.name, stats.flow_name);
    this.name.href = `#/flow/${encodeURIComponent(stats.flow_id)}`;
    const isBad = isAlarm(health);
    text(this.under, isBad ? reasonOf(track) : stats.flow_id);
    mark(this.under, "bad", isBad);
    text(this.type, input.input_type);
    text(this.state, stats.state === "Running" ? input.state : stats.state.toLowerCase());
    const isOff = health === "Stopped";
    text(this.rate, isOff ? "–" : bitrate(input.bitrate_bps));
    spark(this.canvas, track.rates, isBad ? health.toLowerCase() : "accent");
    const lately = track.lostLately;
    text(this.lost, isOff ? "–" : brief(input.packets_lost));
    text(this.lately, lately > 0 ? `+${brief(lately)} in 60 s` : "");
    mark(this.lately, "bad", lately > 0);
    this.lamps.forEach((lamp, index) => lightUp(lamp, indicator(stats, index + 1), `TR 101 290 priority ${index + 1}`));
    this.showLegs(stats);
    text(this.fec, input.packets_recovered_fec > 0 ? brief(input.packets_recovered_fec) : "–");
    text(this.rtt, millis(rttOf(stats) ?? NaN));
    text(this.outputs, count(stats.outputs.length));
    const trouble = outputsOf(track);
    text(this.trouble, trouble.words);
    mark(this.trouble, "bad", trouble.isBad);
    // A phone has room for these only when they are not good.
    mark(element, "loss", lately > 0);
    mark(element, "legs", legsOf(stats).some((leg) => leg.isOk === false));
    mark(element, "outputs", trouble.isBad);
  }

  showLegs(stats) {
    const legs = legsOf(stats);
    while (this.legs.children.length > legs.length) this.legs.lastChild.remove();
    while (this.legs.children.length < legs.length) this.legs.append(h("span", { class: "lamp" }));
    legs.forEach((leg, index) => {
      const lamp = this.legs.children[index];
      text(lamp, leg.name);
      lightUp(lamp, leg.isOk, `leg ${index + 1} ${leg.state}`);
    });
    const skew = skewOf(stats);
    text(this.skew, legs.length === 0 ? "–" : skew === null ? "" : micros(Math.abs(skew)));
    this.skew.title = skew === null ? "" : "how far the legs are apart";
  }
}

// A lamp that is out, good or bad; bad is told by its form too.
export function lightUp(lamp, isOk, name) {
  const lit = isOk === true ? "ok" : isOk === false ? "bad" : "out";
  if (lamp.dataset.lit === lit && lamp.title === `${name}: ${WORDS[lit]}`) return;
  lamp.dataset.lit = lit;
  lamp.title = `${name}: ${WORDS[lit]}`;
  lamp.setAttribute("role", "img");
  lamp.setAttribute("aria-label", lamp.title);
}

const WORDS = { ok: "good", bad: "errors", out: "not measured" };
