// What is wrong right now: of one flow, and of all of them in one line.

import { h, replace, shape } from "./dom.js";
import { brief, count } from "./format.js";
import { live, on } from "./live.js";

// Worst first.
export const HEALTHS = ["Critical", "Error", "Warning", "Starting", "Healthy", "Stopped"];
const SHORT = { Critical: "critical", Error: "error", Warning: "warning", Starting: "starting", Healthy: "healthy", Stopped: "stopped" };

// One word for state and health together.
export function healthOf(stats) {
  if (stats.state === "Error") return "Critical";
  if (stats.state === "Stopped" || stats.state === "Idle") return "Stopped";
  if (stats.health !== "Healthy") return HEALTHS.includes(stats.health) ? stats.health : "Warning";
  return stats.state === "Starting" ? "Starting" : "Healthy";
}

export const isAlarm = (health) => health === "Critical" || health === "Error" || health === "Warning";

// Whether nobody can tell what a flow does, for its data plane is silent.
export const isUnknown = (stats) => live.health?.data_plane === "lost" && stats.state === "Error";

// Whether a stream should come and does not. One that a controller switched off should not.
export const isMissing = (stats) => stats.state === "Running" && stats.input.bitrate_bps === 0 && stats.input.state !== "idle";

// Why a flow is not healthy, as far as its figures tell.
export function reasonOf(track) {
  const { stats } = track;
  if (isUnknown(stats)) return "unknown: no data plane answers";
  if (stats.state === "Error") return "does not run";
  if (isMissing(stats)) return track.isFiltered ? "all packets filtered" : "no input";
  const tr = stats.tr101290;
  if (tr && !tr.priority1_ok) return "TR 101 290 priority 1";
  if (legsOf(stats).some((leg) => leg.isOk === false)) return "a leg is missing";
  if (track.lostLately > 0) return "packets lost";
  if (tr && !tr.priority2_ok) return "TR 101 290 priority 2";
  if (live.health?.data_plane === "uncontrolled") return "runs, uncontrolled";
  return stats.health.toLowerCase();
}

// Whether a priority of TR 101 290 is without errors; null when nothing arrives that could have any.
export function indicator(stats, priority) {
  if (!stats.tr101290 || stats.input.bitrate_bps === 0) return null;
  return stats.tr101290[`priority${priority}_ok`] ?? null;
}

const GOOD = /^(active|connected|ok|receiving|up|used)$/i;
// Switched off, and so neither good nor bad.
const OFF = "idle";
const BAD = /^(broken|connect_failed|down|failed|lost|missing|waiting|stale|error)$/i;

// The legs of an input: those that the node lists, else its SRT connections.
export function legsOf(stats) {
  const { input } = stats;
  const listed = Array.isArray(input.legs) ? input.legs : [input.srt_stats, input.srt_leg2_stats].filter(Boolean);
  if (listed.length < 2) return [];
  return listed.map((leg, index) => {
    const state = String(leg.state ?? "");
    const isOk = state === OFF ? null : typeof leg.up === "boolean" ? leg.up : GOOD.test(state) ? true : BAD.test(state) ? false : null;
    return { name: `L${leg.leg ?? index + 1}`, state, isOk };
  });
}

// How far the legs are apart, in microseconds; null when the node does not say.
export function skewOf(stats) {
  for (const place of [stats.media_analysis?.redundancy, stats.input.redundancy, stats.redundancy, stats.input]) {
    for (const [name, value] of Object.entries(place ?? {})) {
      if (!name.includes("skew") || typeof value !== "number") continue;
      return value * (name.endsWith("_ms") ? 1000 : name.endsWith("_ns") ? 0.001 : 1);
    }
  }
  return null;
}

// What the outputs of a flow have to tell: in words, and whether it is bad. One that waits for a caller is not.
export function outputsOf(track) {
  const states = track.stats.outputs.map((output) => output.state);
  const among = (pattern) => states.filter((state) => pattern.test(state)).length;
  const failed = among(/^(broken|connect_failed|error)$/);
  const dropped = track.droppedLately;
  const waiting = track.stats.state === "Running" ? among(/^(waiting|connecting)$/) : 0;
  const off = track.stats.state === "Running" ? among(/^idle$/) : 0;
  const isBad = failed > 0 || dropped > 0;
  if (failed > 0) return { words: `${count(failed)} failed`, isBad };
  if (dropped > 0) return { words: `+${brief(dropped)} dropped`, isBad };
  if (waiting > 0) return { words: `${count(waiting)} waiting`, isBad };
  return { words: off > 0 ? `${count(off)} off` : "", isBad };
}

// Round trip of a flow's SRT connections in milliseconds, the longest; null when it has none.
export function rttOf(stats) {
  const places = [stats.input, ...stats.outputs].flatMap((place) => [place.srt_stats, place.srt_leg2_stats]);
  const times = places.map((srt) => srt?.rtt_ms).filter((rtt) => typeof rtt === "number");
  return times.length > 0 ? Math.max(...times) : null;
}

// Numbers of flows by health.
export function tally() {
  const numbers = Object.fromEntries(HEALTHS.map((health) => [health, 0]));
  for (const { stats } of live.tracks.values()) numbers[healthOf(stats)] += 1;
  return numbers;
}

const NAMED = 3;
let shown = "";

function show() {
  const banner = document.getElementById("alarms");
  const numbers = tally();
  const alarms = HEALTHS.filter((health) => isAlarm(health) && numbers[health] > 0);
  const isLost = live.health?.data_plane === "lost";
  const isUncontrolled = live.health?.data_plane === "uncontrolled";
  // What is the same for all flows is said once.
  const isOwn = (track) => !isUncontrolled || healthOf(track.stats) !== "Warning";
  const worst = isLost ? [] : [...live.tracks.values()]
    .filter((track) => isAlarm(healthOf(track.stats)) && isOwn(track))
    .sort((a, b) => HEALTHS.indexOf(healthOf(a.stats)) - HEALTHS.indexOf(healthOf(b.stats)))
    .slice(0, NAMED)
    .map((track) => ({ id: track.stats.flow_id, name: track.stats.flow_name, why: reasonOf(track) }));
  const key = JSON.stringify([isLost, isUncontrolled, alarms.map((health) => [health, numbers[health]]), worst]);
  // A screen reader hears it again each time it is made.
  if (key === shown) return;
  shown = key;
  banner.hidden = alarms.length === 0 && !isLost && !isUncontrolled;
  banner.dataset.worst = isLost ? "Critical" : alarms[0] ?? (isUncontrolled ? "Warning" : "");
  const rest = worst.length < NAMED || isUncontrolled ? 0 : alarms.reduce((sum, health) => sum + numbers[health], 0) - worst.length;
  replace(banner,
    isLost ? h("span", { class: "alarm", data: { health: "Critical" } }, shape("Critical"), "The data plane does not answer: what its flows do is unknown") : null,
    isUncontrolled ? h("span", { class: "alarm", data: { health: "Warning" } }, shape("Warning"), "Runs, uncontrolled: no change reaches the data plane until it is restarted") : null,
    alarms.map((health) => h("a", { class: "alarm", href: `#/?health=${health}`, data: { health } }, shape(health), `${count(numbers[health])} ${SHORT[health]}`)),
    h("span", { class: "worst" },
      worst.map((flow, index) => [index > 0 ? h("span", { class: "dot", "aria-hidden": "true" }, "·") : null, h("a", { href: `#/flow/${encodeURIComponent(flow.id)}` }, flow.name), ` ${flow.why}`]),
      rest > 0 ? ` and ${count(rest)} more` : null));
}

on("frame", show);
on("state", show);
