// Small plots on canvas: lines, filled lines and bars over time, and sparklines.

import { h, replace, text } from "./dom.js";
import { clock } from "./format.js";
import { onTheme } from "./theme.js";

let palette = null;
const repainters = new Set();

// Colours of the style sheet, by the names of its variables.
export function colour(name) {
  palette ??= getComputedStyle(document.documentElement);
  return palette.getPropertyValue(`--${name}`).trim();
}

onTheme(() => {
  palette = null;
  repainters.forEach((repaint) => repaint());
});

// What is drawn has to be drawn again when the colours change.
export function onPalette(repaint) {
  repainters.add(repaint);
  return () => repainters.delete(repaint);
}

// The canvas at the pixels of the screen; null when it is not shown.
function context(canvas) {
  const { clientWidth: width, clientHeight: height } = canvas;
  if (width === 0 || height === 0) return null;
  const ratio = window.devicePixelRatio || 1;
  const [wide, high] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== wide || canvas.height !== high) [canvas.width, canvas.height] = [wide, high];
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  return { pen, width, height };
}

// The last minute of one figure.
export function spark(canvas, values, tone) {
  const area = context(canvas);
  if (!area) return;
  const { pen, width, height } = area;
  let top = 0;
  for (const value of values) if (value > top) top = value;
  pen.strokeStyle = colour("line");
  pen.lineWidth = 1;
  pen.beginPath();
  pen.moveTo(0, height - 0.5);
  pen.lineTo(width, height - 0.5);
  pen.stroke();
  if (top === 0) return;
  const x = (index) => (index / (values.length - 1)) * (width - 2) + 1;
  const y = (value) => height - 2 - (value / (top * 1.1)) * (height - 4);
  pen.strokeStyle = colour(tone);
  pen.fillStyle = pen.strokeStyle;
  pen.lineWidth = 1.5;
  pen.lineJoin = "round";
  let first = -1;
  const end = (last) => {
    if (first < 0) return;
    pen.stroke();
    pen.lineTo(x(last), height);
    pen.lineTo(x(first), height);
    pen.globalAlpha = 0.14;
    pen.fill();
    pen.globalAlpha = 1;
    first = -1;
  };
  values.forEach((value, index) => {
    if (Number.isNaN(value)) return end(index - 1);
    if (first < 0) {
      first = index;
      pen.beginPath();
      pen.moveTo(x(index), y(value));
    } else {
      pen.lineTo(x(index), y(value));
    }
  });
  end(values.length - 1);
}

// Seconds further apart than this are a hole, which is shown as one.
const HOLE_US = 2_500_000;
const LEFT = 58;
const RIGHT = 10;
const TOP = 10;
const BOTTOM = 20;

// A plot of some series over the same time. A series has a name, a colour, a kind (line, area or bars) and a function
// that gives its value of a second, or null.
export class Plot {
  constructor(title, series, format, { quiet = null, onPoint = () => {} } = {}) {
    Object.assign(this, { title, series, format, quiet, onPoint });
    this.times = [];
    this.columns = [];
    this.range = [0, 1];
    this.point = null;
    this.canvas = h("canvas", { class: "plot", tabindex: 0, role: "img" });
    this.values = series.map(() => h("b", { class: "number" }, "–"));
    this.when = h("span", { class: "when" });
    const legend = series.map((one, index) =>
      h("span", { class: "key", data: { tone: one.tone, kind: one.kind } }, h("i", { "aria-hidden": "true" }), one.name, " ", this.values[index]));
    this.element = h("figure", { class: "panel chart" },
      h("figcaption", null, h("h3", null, title), h("span", { class: "legend" }, legend), this.when), this.canvas);
    this.canvas.addEventListener("pointermove", (event) => this.pointAt(event.offsetX));
    this.canvas.addEventListener("pointerleave", () => this.onPoint(null));
    this.canvas.addEventListener("blur", () => this.onPoint(null));
    this.canvas.addEventListener("keydown", (event) => this.key(event));
  }

  // Shows these seconds; `range` is the time from and to, in microseconds.
  show(seconds, range) {
    this.range = range;
    this.times = seconds.map((second) => second.unix_us);
    this.columns = this.series.map((one) => one.values(seconds));
    this.draw();
  }

  pointAt(offset) {
    const width = this.canvas.clientWidth - LEFT - RIGHT;
    const [from, to] = this.range;
    const wanted = from + ((offset - LEFT) / width) * (to - from);
    this.onPoint(this.nearest(wanted));
  }

  nearest(wanted) {
    let best = null;
    for (const time of this.times) {
      if (best === null || Math.abs(time - wanted) < Math.abs(best - wanted)) best = time;
    }
    return best;
  }

  key(event) {
    const steps = { ArrowLeft: -1, ArrowRight: 1, PageUp: -30, PageDown: 30 }[event.key];
    if (event.key === "Escape" && this.point !== null) {
      event.stopPropagation();
      this.onPoint(null);
    }
    if (!steps || this.times.length === 0) return;
    event.preventDefault();
    const last = this.times.length - 1;
    const at = this.point === null ? last : this.times.indexOf(this.point);
    this.onPoint(this.times[Math.max(0, Math.min(last, at + steps))]);
  }

  // The second that all plots of a page point at; null: the newest.
  setPoint(time) {
    this.point = time;
    this.draw();
  }

  draw() {
    const index = this.point === null ? this.times.length - 1 : this.times.indexOf(this.point);
    this.values.forEach((element, column) => text(element, this.format(this.figure(column, index))));
    text(this.when, this.point === null || index < 0 ? "" : clock(this.times[index] / 1000));
    this.describe();
    const area = context(this.canvas);
    if (!area) return;
    const { pen, width, height } = area;
    const [from, to] = this.range;
    const x = (time) => LEFT + ((time - from) / (to - from)) * (width - LEFT - RIGHT);
    const top = this.top();
    const ticks = steps(top);
    const limit = Math.max(top, ticks.at(-1) ?? 0) || 1;
    const y = (value) => height - BOTTOM - (value / limit) * (height - TOP - BOTTOM);
    this.grid(pen, width, height, ticks, x, y);
    pen.save();
    pen.beginPath();
    pen.rect(LEFT, TOP - 4, width - LEFT - RIGHT, height - TOP - BOTTOM + 5);
    pen.clip();
    this.series.forEach((one, column) => this.drawSeries(pen, one, this.columns[column] ?? [], x, y, height));
    pen.restore();
    if (this.isQuiet(top) && this.quiet && this.times.length > 0) {
      pen.fillStyle = colour("dim");
      pen.textAlign = "center";
      pen.fillText(this.quiet, LEFT + (width - LEFT - RIGHT) / 2, (height - BOTTOM + TOP) / 2);
    }
    if (this.point !== null && index >= 0) {
      pen.strokeStyle = colour("text");
      pen.lineWidth = 1;
      pen.beginPath();
      pen.moveTo(x(this.point), TOP);
      pen.lineTo(x(this.point), height - BOTTOM);
      pen.stroke();
    }
  }

  // What the legend says: the value of the second that is pointed at, else the newest, or of bars all together.
  figure(column, index) {
    const values = this.columns[column] ?? [];
    if (this.point !== null || this.series[column].kind !== "bars") return values[index] ?? NaN;
    return values.reduce((sum, value, at) => sum + (this.times[at] >= this.range[0] ? value ?? 0 : 0), 0);
  }

  // Whether there is nothing to see: bars that are all 0, or lines without a value.
  isQuiet(top) {
    return this.series.every((one, index) => (one.kind === "bars" ? top === 0 : (this.columns[index] ?? []).every((value) => value === null)));
  }

  top() {
    let top = 0;
    for (const column of this.columns) for (const value of column) if (value > top) top = value;
    return top;
  }

  grid(pen, width, height, ticks, x, y) {
    pen.font = `11px ${colour("font")}`;
    pen.textBaseline = "middle";
    pen.textAlign = "right";
    pen.lineWidth = 1;
    for (const tick of [0, ...ticks]) {
      const line = Math.round(y(tick)) + 0.5;
      pen.strokeStyle = colour(tick === 0 ? "edge" : "line");
      pen.beginPath();
      pen.moveTo(LEFT, line);
      pen.lineTo(width - RIGHT, line);
      pen.stroke();
      pen.fillStyle = colour("dim");
      pen.fillText(tick === 0 ? "0" : this.format(tick), LEFT - 6, line);
    }
    const [from, to] = this.range;
    const span = (to - from) / 1e6;
    const step = [10, 15, 30, 60, 120, 300, 600, 900].find((secs) => (span / secs) * 64 <= width - LEFT) ?? 1800;
    pen.textAlign = "center";
    for (let time = Math.ceil(from / 1e6 / step) * step; time * 1e6 <= to; time += step) {
      const at = Math.round(x(time * 1e6)) + 0.5;
      if (at < LEFT + 20 || at > width - RIGHT - 20) continue;
      pen.strokeStyle = colour("line");
      pen.beginPath();
      pen.moveTo(at, TOP);
      pen.lineTo(at, height - BOTTOM);
      pen.stroke();
      const shown = clock(time * 1000);
      pen.fillText(step >= 60 ? shown.slice(0, 5) : shown, at, height - BOTTOM / 2 + 2);
    }
  }

  drawSeries(pen, one, column, x, y, height) {
    const tone = colour(one.tone);
    pen.strokeStyle = tone;
    pen.fillStyle = tone;
    pen.lineWidth = 1.6;
    pen.lineJoin = "round";
    if (one.kind === "bars") {
      const wide = Math.max(1.5, Math.min(6, x(1e6) - x(0) - 1));
      column.forEach((value, index) => {
        if (value > 0) pen.fillRect(x(this.times[index]) - wide / 2, y(value), wide, Math.max(2, height - BOTTOM - y(value)));
      });
      return;
    }
    let first = null;
    let last = null;
    const end = () => {
      if (first === null) return;
      pen.stroke();
      if (one.kind === "area") {
        pen.lineTo(last, height - BOTTOM);
        pen.lineTo(first, height - BOTTOM);
        pen.globalAlpha = 0.13;
        pen.fill();
        pen.globalAlpha = 1;
      }
      first = null;
    };
    column.forEach((value, index) => {
      const isHole = index > 0 && this.times[index] - this.times[index - 1] > HOLE_US;
      if (value === null || Number.isNaN(value) || isHole) end();
      if (value === null || Number.isNaN(value)) return;
      last = x(this.times[index]);
      if (first === null) {
        first = last;
        pen.beginPath();
        pen.moveTo(last, y(value));
      } else {
        pen.lineTo(last, y(value));
      }
    });
    end();
  }

  // For those who do not see the picture, and for whoever wants to know how whole it is.
  describe() {
    const first = this.times.findIndex((time) => time >= this.range[0]);
    const shown = first < 0 ? [] : this.times.slice(first);
    let hole = 0;
    for (let index = 1; index < shown.length; index += 1) hole = Math.max(hole, shown[index] - shown[index - 1]);
    const { dataset } = this.canvas;
    dataset.points = shown.length;
    dataset.hole = Math.round(hole / 1000);
    dataset.first = shown[0] ?? 0;
    dataset.newest = shown.at(-1) ?? 0;
    const newest = this.series.map((one, index) => `${one.name} ${this.values[index].textContent}`).join(", ");
    const label = `${this.title}: ${newest}${hole > HOLE_US ? `; a hole of ${Math.round(hole / 1e6)} s` : ""}`;
    if (this.canvas.getAttribute("aria-label") !== label) this.canvas.setAttribute("aria-label", label);
  }
}

// Round figures up to `top`, three or four of them.
function steps(top) {
  if (top <= 0) return [];
  const rough = top / 3;
  const size = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * size).find((step) => step >= rough) ?? 10 * size;
  const ticks = [];
  for (let tick = step; tick <= top * 1.001 || ticks.length === 0; tick += step) ticks.push(tick);
  if (ticks.at(-1) < top) ticks.push(ticks.at(-1) + step);
  return ticks;
}

// A figure of each second.
export const gauge = (name) => (seconds) => seconds.map((second) => second[name] ?? null);

// What a counter grew by in each second; a counter that began anew starts from 0.
export const growth = (name) => (seconds) => seconds.map((second, index) => {
  if (index === 0) return null;
  const before = seconds[index - 1];
  if (second.unix_us - before.unix_us > HOLE_US) return null;
  const grown = second[name] - before[name];
  return grown >= 0 ? grown : second[name];
});

// Replaces the plots of a page.
export function panel(element, plots) {
  replace(element, plots.map((plot) => plot.element));
}
