// What the node remembers of its flows, second by second.
//
// Seconds carry the node's own time, and are merged by it: what was missed while the connection was away comes with the
// next question, and nothing comes twice.

import { call, statsPath } from "./api.js";
import { live, on } from "./live.js";

const ASKING_MAX = 2;
const SECONDS_MAX = 4000;

// The seconds of one flow, oldest first.
export class History {
  constructor(flowId) {
    this.flowId = flowId;
    this.seconds = [];
    this.isAsking = false;
    this.reach = 0;
  }

  get newest() {
    return this.seconds.at(-1)?.unix_us ?? 0;
  }

  // Fetches what is new; with a longer reach than before, what is older too.
  async fetch(reachSecs) {
    if (this.isAsking) return false;
    this.isAsking = true;
    try {
      const isDeeper = reachSecs > this.reach;
      const query = isDeeper || this.newest === 0 ? `last=${reachSecs}` : `since=${this.newest}`;
      const answer = await call("GET", statsPath(this.flowId, `/history?${query}`));
      this.merge(answer.seconds);
      if (isDeeper) this.reach = reachSecs;
      return true;
    } catch {
      return false;
    } finally {
      this.isAsking = false;
    }
  }

  merge(seconds) {
    if (seconds.length === 0) return;
    const isAfter = seconds[0].unix_us > this.newest;
    if (isAfter) {
      this.seconds.push(...seconds);
    } else {
      const byTime = new Map(this.seconds.map((second) => [second.unix_us, second]));
      seconds.forEach((second) => byTime.set(second.unix_us, second));
      this.seconds = [...byTime.values()].sort((a, b) => a.unix_us - b.unix_us);
    }
    if (this.seconds.length > SECONDS_MAX) this.seconds.splice(0, this.seconds.length - SECONDS_MAX);
  }
}

const wanted = new Set();
let busy = 0;

// Fills the sparkline of a flow that is in view, a few at a time: the node has better things to do.
export function wantSpark(flowId) {
  const track = live.tracks.get(flowId);
  if (!track || track.isFilled || track.stats.state !== "Running") return;
  wanted.add(flowId);
  next();
}

async function next() {
  if (busy >= ASKING_MAX || wanted.size === 0) return;
  const flowId = [...wanted].at(-1);
  wanted.delete(flowId);
  const track = live.tracks.get(flowId);
  if (!track || track.isFilled) return next();
  track.isFilled = true;
  busy += 1;
  try {
    const answer = await call("GET", statsPath(flowId, "/history?last=60"));
    track.prefill(answer.seconds);
  } catch {
    track.isFilled = false;
  } finally {
    busy -= 1;
  }
  next();
}

on("back", () => wanted.clear());
