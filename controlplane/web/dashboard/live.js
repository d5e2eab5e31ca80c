// The newest statistics of every flow, and the connection that brings them.
//
// They come over the WebSocket, as a summary of each flow and then as what changed in it. Where none can be had they are asked for; when the node is away, both are tried until
// it is back. What is shown meanwhile is marked as old.

import { ApiError, call, send, session, socketUrl } from "./api.js";

// Seconds that a sparkline shows.
export const SPARK = 60;

const RETRY_MIN_MS = 400;
const RETRY_MAX_MS = 4000;
const POLL_MS = 2000;
const HEALTH_MS = 5000;
// A WebSocket that brings a frame a second and is silent for so long is dead.
const SILENCE_MS = 4500;
// What was missed in so long a time is fetched.
const AWAY_MS = 2500;

// A filter that has dropped something in so long a time is at work.
const FILTERED_MS = 5000;

function grownOf(values) {
  let sum = 0;
  for (let index = 1; index < SPARK; index += 1) {
    const grown = values[index] - values[index - 1];
    if (grown > 0) sum += grown;
  }
  return sum;
}

// A flow as this page knows it: its newest statistics and the last minute.
export class Track {
  constructor() {
    this.stats = null;
    this.rates = new Float64Array(SPARK).fill(NaN);
    this.losses = new Float64Array(SPARK).fill(NaN);
    this.isFilled = false;
    this.drops = new Float64Array(SPARK).fill(NaN);
    this.filtered = null;
    this.filteredAt = -Infinity;
  }

  push(stats) {
    this.stats = stats;
    const filtered = stats.input.packets_filtered;
    if (this.filtered !== null && filtered > this.filtered) this.filteredAt = Date.now();
    this.filtered = filtered;
    this.drops.copyWithin(0, 1);
    this.drops[SPARK - 1] = stats.outputs.reduce((sum, output) => sum + output.packets_dropped, 0);
    const isThere = stats.state === "Running" || stats.state === "Starting";
    this.rates.copyWithin(0, 1);
    this.rates[SPARK - 1] = isThere ? stats.input.bitrate_bps : NaN;
    this.losses.copyWithin(0, 1);
    this.losses[SPARK - 1] = isThere ? stats.input.packets_lost : NaN;
  }

  // Packets lost in the last minute.
  get lostLately() {
    return grownOf(this.losses);
  }

  // Packets that the outputs dropped in the last minute.
  get droppedLately() {
    return grownOf(this.drops);
  }

  // Packets come, and the input lets none in.
  get isFiltered() {
    return this.stats.input.bitrate_bps === 0 && Date.now() - this.filteredAt < FILTERED_MS;
  }

  // Puts what the node remembers in front of what was seen here.
  prefill(seconds) {
    const first = this.rates.findIndex((rate) => !Number.isNaN(rate));
    const room = first < 0 ? SPARK : first;
    const seen = SPARK - room;
    const before = seconds.slice(0, seconds.length - seen).slice(-room || seconds.length);
    before.forEach((second, index) => {
      const place = room - before.length + index;
      if (place < 0) return;
      this.rates[place] = second.input_bitrate_bps;
      this.losses[place] = second.packets_lost;
    });
  }
}

export const live = {
  // Flows by id, in the order of the configuration.
  tracks: new Map(),
  // off, connecting, live, polling or lost.
  state: "off",
  // When the newest statistics came, by this machine's clock.
  at: 0,
  // What the node says of itself.
  health: null,
  refreshMs: NaN,
};

const listeners = { frame: new Set(), state: new Set(), back: new Set() };

// frame: new statistics; state: the connection; back: data after a time without, so that what was missed is fetched.
export function on(what, listener) {
  listeners[what].add(listener);
  return () => listeners[what].delete(listener);
}

const tell = (what) => listeners[what].forEach((listener) => listener());

let socket = null;
// The flows as the WebSocket told them.
let told = [];
let isOn = false;
let retryMs = RETRY_MIN_MS;
let timers = [];

export function start() {
  if (isOn) return;
  isOn = true;
  setState("connecting");
  connect();
  every(POLL_MS, watch);
  every(HEALTH_MS, askHealth);
  askHealth();
}

export function stop() {
  isOn = false;
  timers.forEach(clearInterval);
  timers = [];
  socket?.close();
  socket = null;
  live.tracks.clear();
  Object.assign(live, { at: 0, health: null });
  setState("off");
}

function every(ms, work) {
  timers.push(setInterval(work, ms));
}

function connect() {
  if (!isOn || session.isOver) return;
  const mine = new WebSocket(socketUrl("/api/v1/ws/overview"));
  socket = mine;
  mine.onmessage = (event) => {
    if (mine !== socket) return;
    retryMs = RETRY_MIN_MS;
    const began = performance.now();
    hear(JSON.parse(event.data));
    accept(told, "live", began);
  };
  mine.onclose = () => {
    if (mine !== socket) return;
    socket = null;
    // Everybody comes back after a restart, but not all at once.
    setTimeout(connect, retryMs * (0.75 + Math.random() / 2));
    retryMs = Math.min(2 * retryMs, RETRY_MAX_MS);
    ask();
  };
}

// Takes a frame of the overview: all flows, or what changed since the one before.
function hear(frame) {
  if (frame.flows) {
    told = frame.flows;
  } else {
    for (const [place, fields] of frame.changed) told[place] = merge(told[place], fields);
    for (const [place, flow] of frame.whole) told[place] = flow;
  }
  if (live.health && live.health.data_plane !== frame.data_plane) {
    live.health = { ...live.health, data_plane: frame.data_plane };
    askHealth();
    tell("state");
  }
}

// The new value in place of the old one: an object gets the fields that differ, a list the items that are not null. What
// others hold of the old one does not change.
function merge(old, fresh) {
  if (Array.isArray(fresh) && Array.isArray(old)) return old.map((item, index) => (fresh[index] === null ? item : merge(item, fresh[index])));
  if (fresh === null || typeof fresh !== "object" || old === null || typeof old !== "object") return fresh;
  const next = { ...old };
  for (const [name, value] of Object.entries(fresh)) next[name] = merge(old[name], value);
  return next;
}

// New statistics of all flows.
export function accept(flows, state, began = performance.now()) {
  const wasAway = live.state === "lost" || (live.at > 0 && Date.now() - live.at > AWAY_MS);
  const gone = new Set(live.tracks.keys());
  const isSameOrder = live.tracks.size === flows.length;
  for (const flow of flows) {
    let track = live.tracks.get(flow.flow_id);
    if (!track) live.tracks.set(flow.flow_id, track = new Track());
    gone.delete(flow.flow_id);
    if (wasAway) {
      track.rates.fill(NaN);
      track.losses.fill(NaN);
      track.drops.fill(NaN);
      track.isFilled = false;
    }
    track.push(flow);
  }
  gone.forEach((id) => live.tracks.delete(id));
  if (!isSameOrder) live.tracks = new Map(flows.map((flow) => [flow.flow_id, live.tracks.get(flow.flow_id)]));
  live.at = Date.now();
  setState(state);
  if (wasAway) {
    askHealth();
    tell("back");
  }
  tell("frame");
  measure(began);
}

// From the arrival of a frame to the picture that shows it.
function measure(began) {
  if (document.hidden) return;
  requestAnimationFrame(() => {
    const channel = new MessageChannel();
    channel.port1.onmessage = () => {
      live.refreshMs = performance.now() - began;
    };
    channel.port2.postMessage(null);
  });
}

let isAsking = false;

// Asks for what the WebSocket does not bring.
async function ask() {
  if (!isOn || isAsking) return;
  isAsking = true;
  try {
    const stats = await call("GET", "/api/v1/stats");
    if (isOn && live.state !== "live") accept(stats.flows, "polling");
  } catch (error) {
    // The session is over, which the page says; a WebSocket that is open may still bring figures.
    const isOver = error instanceof ApiError && error.status === 401;
    if (isOn && !(isOver && live.state === "live")) setState("lost");
  } finally {
    isAsking = false;
  }
}

// A connection that is half open says nothing for ever.
function watch() {
  const isSilent = Date.now() - live.at > SILENCE_MS;
  if (session.isOver) {
    if (isSilent) setState("lost");
    return;
  }
  if (socket?.readyState === WebSocket.OPEN && !isSilent) return;
  if (isSilent && socket && live.at > 0) {
    const silent = socket;
    socket = null;
    silent.close();
    connect();
  }
  if (live.state === "live" && isSilent) setState("lost");
  ask();
}

// Shows at once what a change has done.
export async function refresh() {
  try {
    const stats = await call("GET", "/api/v1/stats");
    accept(stats.flows, live.state === "live" ? "live" : "polling");
  } catch {
    // The next frame shows it.
  }
}

async function askHealth() {
  try {
    live.health = await send("GET", "/health");
    tell("state");
  } catch {
    // The state of the connection says so already.
  }
}

function setState(state) {
  if (live.state === state) return;
  live.state = state;
  tell("state");
}
