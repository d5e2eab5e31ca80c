// Figures for people.

const COUNT = new Intl.NumberFormat("en");

export function count(value) {
  return Number.isFinite(value) ? COUNT.format(value) : "–";
}

// A count in little room: 12,345 and then 1.23 M.
export function brief(value) {
  if (!Number.isFinite(value)) return "–";
  if (value < 100_000) return COUNT.format(value);
  return scaled(value, ["", " k", " M", " G", " T"], 1000);
}

export function bitrate(bps) {
  if (!Number.isFinite(bps)) return "–";
  return bps < 1 ? "0 b/s" : scaled(bps, [" b/s", " kb/s", " Mb/s", " Gb/s"], 1000);
}

export function bytes(value) {
  if (!Number.isFinite(value)) return "–";
  return scaled(value, [" B", " kB", " MB", " GB", " TB"], 1000);
}

export function micros(us) {
  if (!Number.isFinite(us)) return "–";
  const size = Math.abs(us);
  if (size < 1000) return `${digits(us)} µs`;
  return size < 1_000_000 ? `${digits(us / 1000)} ms` : `${digits(us / 1_000_000)} s`;
}

export function nanos(ns) {
  return Number.isFinite(ns) && Math.abs(ns) < 1000 ? `${digits(ns)} ns` : micros(ns / 1000);
}

export function millis(ms) {
  return Number.isFinite(ms) ? micros(ms * 1000) : "–";
}

export function seconds(value) {
  if (!Number.isFinite(value)) return "–";
  const days = Math.floor(value / 86400);
  const [hours, minutes, rest] = [value / 3600 % 24, value / 60 % 60, value % 60].map((part) =>
    String(Math.floor(part)).padStart(2, "0"));
  return `${days > 0 ? `${days} d ` : ""}${hours}:${minutes}:${rest}`;
}

export function clock(ms) {
  return new Date(ms).toLocaleTimeString("en-GB");
}

export function moment(iso) {
  const date = new Date(iso);
  if (Number.isNaN(date.getTime())) return String(iso);
  const isToday = date.toDateString() === new Date().toDateString();
  const time = date.toLocaleTimeString("en-GB");
  return isToday ? time : `${date.toLocaleDateString("en-CA")} ${time}`;
}

export function hex(number) {
  return `0x${number.toString(16).padStart(4, "0")}`;
}

function scaled(value, units, step) {
  let index = 0;
  while (Math.abs(value) >= step && index < units.length - 1) {
    value /= step;
    index += 1;
  }
  return `${digits(value)}${units[index]}`;
}

// Three digits that count.
function digits(value) {
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1000) return String(value);
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2);
}

// The words of a field's name, and its value in the unit that the name ends with.
const UNITS = [
  ["_bitrate_bps", bitrate, " bitrate"],
  ["bitrate_bps", bitrate, "bitrate"],
  ["_bps", bitrate, ""],
  ["_mbps", (value) => bitrate(value * 1e6), ""],
  ["_us", micros, ""],
  ["_ms", millis, ""],
  ["_ns", nanos, ""],
  ["_secs", seconds, ""],
  ["_hz", (value) => `${count(value)} Hz`, ""],
];

const WORDS = { fec: "FEC", srt: "SRT", rtt: "RTT", iat: "IAT", pcr: "PCR", pid: "PID", pdv: "PDV", ssrc: "SSRC", ts: "TS", pkt: "packets", addr: "address", cc: "CC", pat: "PAT", pmt: "PMT", tei: "TEI", pcrs: "PCRs", tr07: "TR-07", xs: "XS", jpeg: "JPEG", crc: "CRC", pids: "PIDs", mtu: "MTU", id: "id", snd: "send", rcv: "receive" };

export function label(name) {
  const unit = UNITS.find(([ending]) => name.endsWith(ending));
  const stem = unit ? name.slice(0, -unit[0].length) + unit[2] : name;
  const words = stem.split(/[_ ]+/).filter(Boolean).map((word) => WORDS[word] ?? word);
  const sentence = words.join(" ");
  return sentence.charAt(0).toUpperCase() + sentence.slice(1);
}

export function value(name, raw) {
  if (raw === null || raw === undefined) return "–";
  if (typeof raw === "boolean") return raw ? "yes" : "no";
  if (typeof raw === "number") {
    const unit = UNITS.find(([ending]) => name.endsWith(ending));
    if (unit) return unit[1](raw);
    if (name.startsWith("bytes") || name.endsWith("bytes")) return bytes(raw);
    return Number.isInteger(raw) ? count(raw) : digits(raw);
  }
  return String(raw);
}
