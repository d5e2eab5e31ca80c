// One flow: what it does now, and what it did.

import { removeOutput, deleteFlow, restartFlow, startFlow, stopFlow } from "./actions.js";
import { healthOf, indicator, isAlarm, isMissing, isUnknown, legsOf, reasonOf, rttOf, skewOf } from "./alarms.js";
import { call, canChange, statsPath } from "./api.js";
import { compare, facts, Slot, table } from "./detail.js";
import { h, mark, replace, reshape, shape, text } from "./dom.js";
import { onEvents, recent } from "./events.js";
import { bitrate, brief, count, hex, micros, millis, nanos, seconds } from "./format.js";
import { addOutput } from "./forms.js";
import { History } from "./history.js";
import { live, on } from "./live.js";
import { lightUp } from "./overview.js";
import { gauge, growth, onPalette, panel, Plot } from "./plot.js";

const RANGES = [["1 min", 60], ["5 min", 300], ["15 min", 900], ["1 h", 3600]];
const PIDS_MS = 2000;
const EVENTS_SHOWN = 8;
// How long a counter that has grown is marked.
const HOT_MS = 10_000;

// Indicators of ETSI TR 101 290, by priority.
const INDICATORS = [
  ["Priority 1", [["sync_loss_count", "1.1 TS sync loss"], ["sync_byte_errors", "1.2 Sync byte"], ["pat_errors", "1.3 PAT"], ["cc_errors", "1.4 Continuity"], ["pmt_errors", "1.5 PMT"], ["pid_errors", "1.6 PID"]]],
  ["Priority 2", [["tei_errors", "2.1 Transport"], ["crc_errors", "2.2 CRC"], ["pcr_repetition_errors", "2.3a PCR repetition"], ["pcr_discontinuity_errors", "2.3b PCR discontinuity"], ["pcr_accuracy_errors", "2.4 PCR accuracy"], ["pts_errors", "2.5 PTS"], ["cat_errors", "2.6 CAT"]]],
  ["Priority 3", [["nit_errors", "3.1 NIT"], ["si_repetition_errors", "3.2 SI repetition"], ["unreferenced_pids", "3.4 Unreferenced PID"], ["sdt_errors", "3.5 SDT"], ["eit_errors", "3.6 EIT"], ["tdt_errors", "3.8 TDT"]]],
];

let rangeSecs = 300;

// Shows the page of a flow in `view`; returns what ends it.
export function show(view, flowId) {
  const page = new FlowPage(view, flowId);
  const offs = [on("frame", () => page.update()), on("back", () => page.fetch()), onEvents(() => page.showEvents()),
    onPalette(() => page.plots.forEach((plot) => plot.draw()))];
  const resized = new ResizeObserver(() => page.plots.forEach((plot) => plot.draw()));
  resized.observe(page.charts);
  const pids = setInterval(() => page.fetchPids(), PIDS_MS);
  page.update();
  page.fetch();
  page.fetchPids();
  page.showEvents();
  return () => {
    offs.forEach((off) => off());
    resized.disconnect();
    clearInterval(pids);
    page.isOver = true;
  };
}

class FlowPage {
  constructor(view, flowId) {
    this.flowId = flowId;
    this.isOver = false;
    this.history = new History(flowId);
    // All figures of the flow; the overview has only some of them.
    this.stats = null;
    this.isAsking = false;
    this.hot = new Map();
    this.shape = shape("Stopped");
    this.name = h("h1");
    this.state = h("span", { class: "state" });
    this.why = h("span", { class: "why" });
    this.problem = h("p", { class: "problem", role: "alert", hidden: true });
    this.makeTiles();
    this.makePlots();
    this.makeIndicators();
    const slot = (id, title) => {
      const element = h("div");
      const section = h("section", { class: "panel", id, hidden: true }, h("h2", null, title), element);
      return { section, slot: new Slot(element) };
    };
    this.legs = slot("legs", "Legs and repair");
    this.srt = slot("srt", "SRT");
    this.programmes = slot("programmes", "Programmes and streams");
    this.pids = slot("pids", "PIDs");
    this.input = slot("input", "Input");
    this.makeOutputs();
    this.events = h("div");
    const events = h("section", { class: "panel", id: "flow_events" },
      h("h2", null, "Events", h("a", { class: "more", href: `#/events?flow=${encodeURIComponent(flowId)}` }, "All of this flow")), this.events);
    this.body = h("div", { class: "body" },
      this.tiles, this.rangeBar, this.charts,
      h("div", { class: "columns" },
        h("div", null, this.indicators, this.outputs, events),
        h("div", null, this.legs.section, this.srt.section, this.input.section)),
      this.programmes.section, this.pids.section);
    this.missing = h("p", { class: "empty", hidden: true }, "There is no flow with this id.");
    view.replaceChildren(
      h("div", { class: "title" }, h("a", { class: "back", href: "#/", "aria-label": "All flows" }, "‹"), this.shape,
        h("div", { class: "names" }, this.name, h("span", { class: "under" }, flowId)), this.state, this.why, h("span", { class: "grow" }), this.makeButtons()),
      this.problem, this.missing, this.body);
  }

  get track() {
    return live.tracks.get(this.flowId);
  }

  makeButtons() {
    if (!canChange()) return null;
    const button = (id, title, work, className = "") => h("button", { type: "button", id, class: className, onclick: () => this.act(work) }, title);
    const name = () => this.track?.stats.flow_name ?? this.flowId;
    this.start = button("start", "Start", () => startFlow(this.flowId), "primary");
    this.stop = button("stop", "Stop", () => stopFlow(this.flowId, name()));
    this.restart = button("restart", "Restart", () => restartFlow(this.flowId, name()));
    this.remove = button("delete", "Delete", async () => {
      if (await deleteFlow(this.flowId, name())) location.hash = "#/";
    }, "quiet");
    return h("div", { class: "buttons", role: "group", "aria-label": "Actions" }, this.start, this.stop, this.restart, this.remove);
  }

  async act(work) {
    this.problem.hidden = true;
    try {
      await work();
    } catch (error) {
      this.problem.textContent = error.message;
      this.problem.hidden = false;
    }
  }

  makeTiles() {
    const tile = (title) => {
      const big = h("b", { class: "number" }, "–");
      const small = h("span", { class: "under number" });
      return { big, small, element: h("div", { class: "tile" }, h("span", { class: "what" }, title), big, small) };
    };
    const titles = ["Bitrate in", "Bitrate out", "Lost", "Jitter (PDV)", "FEC recovered", "Leg switches", "SRT round trip", "Uptime"];
    this.tile = Object.fromEntries(titles.map((title) => [title, tile(title)]));
    this.tiles = h("div", { class: "tiles" }, titles.map((title) => this.tile[title].element));
  }

  makePlots() {
    const onPoint = (time) => this.plots.forEach((plot) => plot.setPoint(time));
    const plot = (title, format, series, quiet) => new Plot(title, series, format, { quiet, onPoint });
    const line = (name, tone, field, kind = "line") => ({ name, tone, kind, values: gauge(field) });
    const bars = (name, tone, field) => ({ name, tone, kind: "bars", values: growth(field) });
    this.plots = [
      plot("Bitrate", bitrate, [line("in", "accent", "input_bitrate_bps", "area"), line("out, all outputs", "second", "outputs_bitrate_bps")]),
      plot("Arrival", micros, [line("longest gap", "warning", "iat_max_us"), line("average gap", "accent", "iat_avg_us"), line("jitter", "second", "pdv_jitter_us")], "not measured"),
      plot("Loss and repair, per second", brief, [bars("lost", "critical", "packets_lost"), bars("FEC recovered", "healthy", "packets_recovered_fec"), bars("leg switches", "second", "redundancy_switches"), bars("kernel drops", "warning", "packets_dropped_kernel"), bars("output drops", "error", "outputs_packets_dropped")], "nothing lost, nothing repaired"),
      plot("PCR accuracy", nanos, [line("largest deviation of the second", "accent", "pcr_deviation_ns", "area")], "not measured"),
      plot("PCR and continuity errors, per second", brief, [bars("accuracy", "warning", "pcr_accuracy_errors"), bars("discontinuity", "error", "pcr_discontinuity_errors"), bars("repetition", "second", "pcr_repetition_errors"), bars("continuity", "critical", "cc_errors")], "no errors"),
    ];
    this.charts = h("div", { class: "charts" });
    panel(this.charts, this.plots);
    this.ranges = RANGES.map(([title, secs]) => h("button", { type: "button", class: "chip", "aria-pressed": secs === rangeSecs, onclick: () => {
      rangeSecs = secs;
      this.ranges.forEach((button, index) => button.setAttribute("aria-pressed", RANGES[index][1] === secs));
      this.drawPlots();
      this.fetch();
    } }, title));
    this.rangeBar = h("div", { class: "tools", role: "group", "aria-label": "Time shown" }, this.ranges);
  }

  makeIndicators() {
    this.lamps = [];
    this.counts = new Map();
    const groups = INDICATORS.map(([title, rows]) => {
      const lamp = h("span", { class: "lamp" }, title);
      this.lamps.push(lamp);
      return h("div", { class: "group" }, lamp, h("dl", { class: "facts" }, rows.map(([name, words]) => {
        const number = h("dd", { class: "number" }, "–");
        const row = h("div", null, h("dt", null, words), number);
        this.counts.set(name, { number, row });
        return row;
      })));
    });
    this.trOthers = new Slot(h("div"));
    this.indicators = h("section", { class: "panel", id: "tr101290" }, h("h2", null, "TR 101 290"), h("div", { class: "groups" }, groups), this.trOthers.element);
  }

  makeOutputs() {
    this.outputRows = new Map();
    const titles = ["Output", "Type", "State", "Bitrate", "Sent", "Dropped", "Errors", "FEC sent"];
    this.outputBody = h("tbody");
    const add = canChange() ? h("button", { type: "button", class: "more", id: "add_output", onclick: () => addOutput(this.flowId) }, "Add output") : null;
    this.noOutputs = h("p", { class: "dim", hidden: true }, "It has no output.");
    this.outputs = h("section", { class: "panel", id: "outputs" }, h("h2", null, "Outputs", add),
      h("div", { class: "scroll" }, h("table", null, h("thead", null, h("tr", null, titles.map((title) => h("th", { scope: "col" }, title)), canChange() ? h("th", null, h("span", { class: "unseen" }, "Actions")) : null)), this.outputBody)), this.noOutputs);
  }

  update() {
    const { track } = this;
    this.missing.hidden = track !== undefined || live.tracks.size === 0 && live.at === 0;
    this.body.hidden = track === undefined;
    if (!track) {
      text(this.name, this.flowId);
      return;
    }
    const { stats } = track;
    this.fetchStats();
    const health = healthOf(stats);
    reshape(this.shape, health);
    mark(this.shape.parentElement, "health", health);
    text(this.name, stats.flow_name);
    document.title = `${stats.flow_name} - bilbycast-edge`;
    text(this.state, isUnknown(stats) ? "Unknown" : stats.state === "Running" ? `Running, ${health}` : stats.state);
    text(this.why, isAlarm(health) ? reasonOf(track) : "");
    if (this.start) {
      const isOff = health === "Stopped" || stats.state === "Error";
      this.start.hidden = !isOff;
      this.stop.hidden = isOff;
    }
    this.fetch();
  }

  async fetchStats() {
    if (this.isOver || this.isAsking || document.hidden && this.stats !== null) return;
    this.isAsking = true;
    try {
      this.stats = await call("GET", statsPath(this.flowId));
      if (this.isOver || !this.track) return;
      this.showTiles(this.stats, this.track);
      this.showIndicators(this.stats);
      this.showOutputs(this.stats.outputs);
      this.showDetails(this.stats);
    } catch {
      // The state of the connection says so already, and the next frame asks again.
    } finally {
      this.isAsking = false;
    }
  }

  showTiles(stats, { lostLately }) {
    const { input } = stats;
    const set = (title, big, small = "", isBad = false, isShown = true) => {
      const tile = this.tile[title];
      text(tile.big, big);
      text(tile.small, small);
      mark(tile.element, "bad", isBad);
      tile.element.hidden = !isShown;
    };
    const out = stats.outputs.reduce((sum, output) => sum + output.bitrate_bps, 0);
    set("Bitrate in", bitrate(input.bitrate_bps), `${input.input_type}, ${input.state}`, isMissing(stats));
    set("Bitrate out", bitrate(out), stats.outputs.length === 1 ? "1 output" : `${stats.outputs.length} outputs`);
    set("Lost", count(input.packets_lost), lostLately > 0 ? `+${brief(lostLately)} in 60 s` : `of ${brief(input.packets_received)} packets`, lostLately > 0);
    const factor = stats.mdi?.delay_factor_us;
    set("Jitter (PDV)", micros(stats.pdv_jitter_us ?? NaN), typeof factor === "number" ? `delay factor ${micros(factor)}` : "");
    set("FEC recovered", count(input.packets_recovered_fec), "", false, input.packets_recovered_fec > 0 || Boolean(stats.media_analysis?.fec));
    const legs = legsOf(stats);
    const skew = skewOf(stats);
    set("Leg switches", count(input.redundancy_switches), skew === null ? "" : `skew ${micros(skew)}`, false, legs.length > 0 || input.redundancy_switches > 0);
    const rtt = rttOf(stats);
    set("SRT round trip", millis(rtt ?? NaN), "", false, rtt !== null);
    set("Uptime", seconds(stats.uptime_secs));
  }

  showIndicators(stats) {
    const tr = stats.tr101290;
    const now = Date.now();
    this.lamps.forEach((lamp, index) => lightUp(lamp, indicator(stats, index + 1), `Priority ${index + 1}`));
    for (const [name, { number, row }] of this.counts) {
      const value = tr?.[name];
      text(number, count(value ?? NaN));
      const before = this.hot.get(name);
      if (before && value > before.value) this.hot.set(name, { value, until: now + HOT_MS });
      else if (!before || value < before.value) this.hot.set(name, { value: value ?? 0, until: 0 });
      mark(row, "hot", this.hot.get(name).until > now);
      mark(row, "any", value > 0);
    }
    const known = new Set([...this.counts.keys(), "priority1_ok", "priority2_ok", "priority3_ok"]);
    const others = Object.fromEntries(Object.entries(tr ?? {}).filter(([name]) => !known.has(name)));
    this.trOthers.show(others, (object) => facts(object));
  }

  showOutputs(outputs) {
    const gone = new Set(this.outputRows.keys());
    for (const output of outputs) {
      gone.delete(output.output_id);
      let row = this.outputRows.get(output.output_id);
      if (!row) {
        row = this.outputRow(output);
        this.outputRows.set(output.output_id, row);
        this.outputBody.append(row.element);
      }
      const figures = [output.output_name, output.output_type, output.state, bitrate(output.bitrate_bps), brief(output.packets_sent), count(output.packets_dropped), count(output.send_errors), brief(output.fec_packets_sent)];
      figures.forEach((figure, index) => text(row.cells[index], figure));
      mark(row.cells[5], "bad", output.packets_dropped > 0);
      mark(row.cells[6], "bad", output.send_errors > 0);
      mark(row.cells[2], "bad", output.state === "error");
    }
    for (const id of gone) {
      this.outputRows.get(id).element.remove();
      this.outputRows.delete(id);
    }
    this.noOutputs.hidden = outputs.length > 0;
  }

  outputRow(output) {
    const cells = Array.from({ length: 8 }, (_, index) => h(index === 0 ? "th" : "td", { scope: index === 0 ? "row" : null, class: index > 2 ? "number" : null }));
    const remove = canChange() ? h("td", null, h("button", { type: "button", class: "quiet small", "aria-label": `Remove output ${output.output_name}`, onclick: () => this.act(() => removeOutput(this.flowId, output)) }, "Remove")) : null;
    return { cells, element: h("tr", { data: { output: output.output_id } }, cells, remove) };
  }

  showDetails(stats) {
    const { input, media_analysis: media } = stats;
    const put = (place, data, isThere, make) => {
      place.section.hidden = !isThere;
      if (isThere) place.slot.show(data, make);
    };
    const legs = Array.isArray(input.legs) ? input.legs : [];
    const repair = Object.fromEntries([["redundancy", media?.redundancy ?? input.redundancy], ["fec", media?.fec ?? input.fec]].filter(([, object]) => object));
    put(this.legs, { legs, repair }, legs.length > 0 || Object.keys(repair).length > 0, (data) => [
      data.legs.length > 0 ? compare(data.legs.map(({ leg, ...figures }) => figures), data.legs.map((leg, index) => `Leg ${leg.leg ?? index + 1}`)) : null,
      facts(data.repair)]);
    const srt = [];
    const sides = [["Input", input], ...stats.outputs.map((output) => [output.output_name, output])];
    for (const [name, side] of sides) {
      for (const [leg, figures] of [["leg 1", side.srt_stats], ["leg 2", side.srt_leg2_stats]]) {
        if (figures) srt.push({ name: side.srt_leg2_stats ? `${name}, ${leg}` : name, figures });
      }
    }
    put(this.srt, srt, srt.length > 0, (list) => list.map(({ name, figures }) => h("section", { class: "nested" }, h("h4", null, name), facts(figures, { leaveOut: ["peers", "peers_left_out"] }), callers(figures))));
    put(this.programmes, media, Boolean(media), programmes);
    put(this.input, input, true, (object) => facts(object, { leaveOut: ["legs", "srt_stats", "srt_leg2_stats", "redundancy", "fec", "bitrate_bps"] }));
  }

  async fetchPids() {
    if (this.isOver || document.hidden) return;
    try {
      const answer = await call("GET", statsPath(this.flowId, "/pids"));
      this.pids.section.hidden = answer.pids.length === 0;
      this.pids.slot.show(answer, ({ pids, pids_left_out: left }) => [
        table(pids.map(withoutNull)), left > 0 ? h("p", { class: "dim" }, `${count(left)} more are not listed.`) : null]);
    } catch {
      // The next answer shows them.
    }
  }

  showEvents() {
    replace(this.events, recent(this.flowId, EVENTS_SHOWN));
  }

  async fetch() {
    if (this.isOver || document.hidden) return;
    if (await this.history.fetch(rangeSecs)) this.drawPlots();
  }

  drawPlots() {
    if (this.isOver) return;
    const { newest } = this.history;
    const to = newest === 0 ? Date.now() * 1000 : newest;
    const from = to - rangeSecs * 1e6;
    const all = this.history.seconds;
    const first = all.findIndex((second) => second.unix_us >= from);
    const shown = first < 0 ? [] : all.slice(Math.max(0, first - 1));
    this.plots.forEach((plot) => plot.show(shown, [from, to]));
  }
}

// The callers of an SRT leg that listens; columns in which nobody has anything are left out.
function callers({ peers, peers_left_out: left }) {
  if (!peers || peers.length === 0 && left === 0) return null;
  const sends = peers.some((peer) => peer.pkt_sent_total > 0);
  const receives = peers.some((peer) => peer.pkt_recv_total > 0);
  const shown = peers.map((peer) => ({
    remote_addr: peer.remote_addr, stream_id: peer.stream_id, state: peer.state, uptime_ms: peer.uptime_ms, rtt_ms: peer.rtt_ms,
    send_latency_ms: peer.send_latency_ms, recv_latency_ms: peer.recv_latency_ms,
    ...(sends ? { send_rate_mbps: peer.send_rate_mbps, pkt_sent_total: peer.pkt_sent_total, bytes_sent_total: peer.bytes_sent_total } : {}),
    ...(receives ? { recv_rate_mbps: peer.recv_rate_mbps, pkt_recv_total: peer.pkt_recv_total, bytes_recv_total: peer.bytes_recv_total } : {}),
    pkt_retransmit_total: peer.pkt_retransmit_total, pkt_loss_total: peer.pkt_loss_total, pkt_drop_total: peer.pkt_drop_total,
  }));
  return [table(shown, { caption: "Callers" }), left > 0 ? h("p", { class: "dim" }, `${count(left)} more are not listed.`) : null];
}

const withoutNull = (object) => Object.fromEntries(Object.entries(object).filter(([, value]) => value !== null));

function programmes(media) {
  const leaveOut = ["video_streams", "audio_streams", "data_streams", "programs", "fec", "redundancy"];
  const streams = [
    ...media.video_streams.map((one) => ({ kind: "video", pid: one.pid, codec: one.codec, what: video(one), one })),
    ...media.audio_streams.map((one) => ({ kind: "audio", pid: one.pid, codec: one.codec, what: audio(one), one })),
    ...(media.data_streams ?? []).map((one) => ({ kind: "data", pid: one.pid, codec: one.codec, what: one.language ?? "", one })),
  ];
  const programs = media.programs ?? [];
  const of = (number) => streams.filter(({ one }) => one.program_number === number);
  const head = ["Kind", "PID", "Codec", "Properties", "Bitrate"];
  const rows = (list) => list.map(({ kind, pid, codec, what, one }) => h("tr", null,
    h("td", null, kind), h("td", { class: "number" }, `${pid} (${hex(pid)})`), h("td", null, codec), h("td", null, what), h("td", { class: "number" }, bitrate(one.bitrate_bps))));
  return [
    facts(media, { leaveOut }),
    programs.map((program) => h("div", { class: "scroll nested" }, h("table", null,
      h("caption", null, `Programme ${program.program_number}: PMT ${program.pmt_pid} (${hex(program.pmt_pid)})${program.pcr_pid === null ? "" : `, PCR ${program.pcr_pid} (${hex(program.pcr_pid)})`}`),
      h("thead", null, h("tr", null, head.map((title) => h("th", { scope: "col" }, title)))),
      h("tbody", null, rows(of(program.program_number)))))),
  ];
}

function video(one) {
  const scan = one.interlaced === true ? "interlaced" : one.interlaced === false ? "progressive" : null;
  const rate = typeof one.frame_rate === "number" ? `${one.frame_rate} fps` : null;
  const depth = one.bit_depth ? `${one.bit_depth} bit` : null;
  return [one.resolution, rate, scan, one.profile, one.level ? `level ${one.level}` : null, one.chroma, depth].filter(Boolean).join(", ");
}

function audio(one) {
  return [one.sample_rate_hz ? `${count(one.sample_rate_hz)} Hz` : null, one.channels ? `${one.channels} channels` : null, one.language].filter(Boolean).join(", ");
}

