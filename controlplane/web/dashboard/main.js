// Which page is shown, and what stands around it.

import "./alarms.js";
import { ApiError, call, endsIn, isMonitor, onSession, openToAll, restore, session, signOut } from "./api.js";
import { h, mark, replace, text } from "./dom.js";
import { events, forget, onEvents, show as showEvents } from "./events.js";
import { show as showFlow } from "./flow.js";
import { signInPage } from "./forms.js";
import { seconds } from "./format.js";
import { live, on, start, stop } from "./live.js";
import { show as showOverview } from "./overview.js";
import "./theme.js";

const view = document.getElementById("view");
const WORDS = { off: "", connecting: "Connecting", live: "Live", polling: "Live, by polling", lost: "No connection" };

let leave = null;
let version = null;
let hasBeenIn = false;
// Nobody knows yet whether the node asks who one is.
let isBeginning = true;

function route() {
  leave?.();
  leave = null;
  view.className = "";
  document.title = "bilbycast-edge";
  const [path, query] = location.hash.replace(/^#/, "").split("?");
  const parameters = new URLSearchParams(query ?? "");
  const parts = path.split("/").filter(Boolean);
  let page = "overview";
  if (session.role === null) {
    page = "login";
    signInPage(view, hasBeenIn ? "The session has ended. Sign in again." : null);
  } else if (parts[0] === "flow" && parts[1]) {
    page = "flow";
    leave = showFlow(view, decoded(parts[1]));
  } else if (parts[0] === "events") {
    page = "events";
    leave = showEvents(view, parameters);
  } else {
    leave = showOverview(view, parameters);
  }
  document.body.dataset.page = page;
  for (const link of document.querySelectorAll("nav [data-page]")) {
    if (link.dataset.page === page) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function showLink() {
  const link = document.getElementById("link");
  const state = live.state === "off" && isBeginning ? "connecting" : live.state;
  mark(link, "state", state);
  const age = Math.round((Date.now() - live.at) / 1000);
  const isOld = live.state === "lost" && live.at > 0;
  text(link.lastChild, isOld ? `No connection, figures ${age} s old` : WORDS[state]);
  // An overview may still come over the WebSocket; a flow's page asks, and gets no answer any more.
  mark(document.body, "stale", isOld || session.isOver && document.body.dataset.page === "flow");
  text(document.getElementById("refresh"), Number.isFinite(live.refreshMs) ? `refresh ${live.refreshMs.toFixed(0)} ms` : "");
  document.getElementById("refresh").dataset.ms = live.refreshMs;
  const { health } = live;
  const facts = document.getElementById("node_facts");
  if (!health) return text(facts, "");
  if (version !== null && version !== health.version) {
    if (!facts.querySelector("button")) replace(facts, h("button", { type: "button", class: "quiet", onclick: () => location.reload() }, `Version ${health.version} is running: load its page`));
    return;
  }
  version = health.version;
  text(facts, `Version ${health.version} · ${health.active_flows} of ${health.total_flows} flows run · data plane ${health.data_plane} · control plane up ${seconds(health.uptime_secs)}${nmosFact(health.nmos)}`);
  facts.title = health.nmos?.reason ?? "";
}

// How NMOS stands; nothing where it is switched off, and on the monitor's page.
function nmosFact(nmos) {
  if (!nmos || nmos.state === "off") return "";
  const refused = nmos.refused_total > 0 ? `, ${nmos.refused_total} refused` : "";
  return ` · NMOS ${nmos.state}${refused}`;
}

function showWho() {
  const who = document.getElementById("who");
  const isOpen = session.role !== null && session.token === null;
  text(who, session.role === null ? "" : isMonitor ? "monitor" : isOpen ? "" : `${session.client} (${session.role})`);
  document.getElementById("sign_out").hidden = session.token === null;
}

// Says that the session ends or has ended, while there is nobody who could prolong it.
function showEnd() {
  const left = endsIn();
  const box = document.getElementById("session_end");
  box.hidden = left === null && !session.isOver;
  mark(box, "over", session.isOver);
  text(box.firstChild, session.isOver
    ? "The session has ended: figures grow old, and nothing can be changed."
    : left === null ? "" : `The session ends in ${seconds(left / 1000)}.`);
}

function showUnseen() {
  const badge = document.getElementById("events_new");
  badge.hidden = events.unseen === 0;
  text(badge, events.unseen > 99 ? "99+" : events.unseen);
  badge.setAttribute("aria-label", `${events.unseen} new`);
}

// Somebody signed in or out.
function enter() {
  isBeginning = false;
  showWho();
  showEnd();
  mark(document.body, "over", session.isOver);
  // What is shown stays.
  if (session.isOver) return showLink();
  if (session.role === null) {
    stop();
    forget();
    document.getElementById("alarms").hidden = true;
  } else {
    hasBeenIn = true;
    start();
  }
  route();
}

// Finds out whether the node asks who one is.
async function begin() {
  restore();
  if (session.role !== null) return enter();
  try {
    await call("GET", "/api/v1/stats");
    openToAll();
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) return enter();
    setTimeout(begin, RETRY_MS);
  }
}

const RETRY_MS = 1500;

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.defaultPrevented || document.querySelector("dialog[open]")) return;
  if (event.target.closest("input") && event.target.value !== "") return;
  if (document.body.dataset.page === "flow" || document.body.dataset.page === "events") location.hash = "#/";
});
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  view.focus();
});
document.getElementById("sign_out").addEventListener("click", () => {
  hasBeenIn = false;
  signOut();
});
// The event comes later than the end; by then another one may have been opened.
document.getElementById("dialog").addEventListener("close", (event) => event.target.open || replace(event.target));
for (const link of document.querySelectorAll(".api_only")) link.hidden = isMonitor;
window.addEventListener("hashchange", route);
onSession(enter);
document.getElementById("sign_in_again").addEventListener("click", signOut);
on("state", showLink);
on("frame", showLink);
onEvents(showUnseen);
setInterval(showLink, 1000);
setInterval(showEnd, 1000);
showLink();
begin();
