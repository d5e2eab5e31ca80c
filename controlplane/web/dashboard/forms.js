// Forms: signing in, a new flow, a new output. The node validates; what it says is shown at the form, and the field
// that it names is marked.

import { call, flowPath, signIn } from "./api.js";
import { h, replace } from "./dom.js";
import { refresh } from "./live.js";

const field = (name, title, more = {}) => ({ name, title, ...more });
const MODES = ["caller", "listener", "rendezvous"];

const SRT = [
  field("mode", "Mode", { choices: MODES }),
  field("local_addr", "Local address", { hint: "0.0.0.0:0", value: "0.0.0.0:0" }),
  field("remote_addr", "Remote address", { hint: "203.0.113.10:9000" }),
  field("latency_ms", "Latency in ms", { kind: "number", hint: "120" }),
  field("passphrase", "Passphrase", { kind: "secret", hint: "10 to 79 characters" }),
  field("stream_id", "Stream id"),
];
const MULTICAST = [
  field("interface_addr", "Interface address", { hint: "IP of the network card" }),
];

const INPUTS = {
  rtp: [
    field("bind_addr", "Address and port", { hint: "239.1.1.1:5000" }), ...MULTICAST,
    field("source_addr", "Source (SSM)", { hint: "192.0.2.1" }),
    field("redundancy.bind_addr", "Leg 2 (ST 2022-7)", { hint: "239.2.1.1:5000" }),
    field("redundancy.interface_addr", "Leg 2 interface"),
    field("fec_decode.columns", "FEC columns", { kind: "number" }),
    field("fec_decode.rows", "FEC rows", { kind: "number" }),
  ],
  udp: [field("bind_addr", "Address and port", { hint: "239.1.1.1:5000" }), ...MULTICAST, field("source_addr", "Source (SSM)", { hint: "192.0.2.1" })],
  srt: SRT,
  test: [field("bitrate_mbps", "Bitrate in Mb/s", { kind: "number", value: "10" })],
  rtmp: [field("listen_addr", "Listen address", { hint: "0.0.0.0:1935" }), field("app", "Application", { hint: "live" }), field("stream_key", "Stream key", { kind: "secret" })],
  rtsp: [field("rtsp_url", "URL"), field("username", "User"), field("password", "Password", { kind: "secret" }), field("transport", "Transport", { choices: ["tcp", "udp"] })],
  webrtc: [field("bearer_token", "Bearer token", { kind: "secret" })],
  whep: [field("whep_url", "URL"), field("bearer_token", "Bearer token", { kind: "secret" })],
};

const OUTPUTS = {
  rtp: [
    field("dest_addr", "Destination", { hint: "239.9.1.1:5004" }), ...MULTICAST,
    field("dscp", "DSCP", { kind: "number", hint: "46" }),
    field("redundancy.dest_addr", "Leg 2 (ST 2022-7)", { hint: "239.9.2.1:5004" }),
    field("fec_encode.columns", "FEC columns", { kind: "number" }),
    field("fec_encode.rows", "FEC rows", { kind: "number" }),
  ],
  udp: [field("dest_addr", "Destination", { hint: "239.9.1.1:5004" }), ...MULTICAST, field("dscp", "DSCP", { kind: "number", hint: "46" })],
  srt: SRT,
  rtmp: [field("dest_url", "URL"), field("stream_key", "Stream key", { kind: "secret" })],
  hls: [field("ingest_url", "URL"), field("auth_token", "Token", { kind: "secret" })],
  webrtc: [field("mode", "Mode", { choices: ["whip_client", "whep_server"] }), field("whip_url", "WHIP URL"), field("bearer_token", "Bearer token", { kind: "secret" })],
};

let made = 0;

// One labelled control; `read` gives its value, undefined when it is left empty.
function control({ name, title, hint, value, kind, choices }, prefix) {
  const id = `${prefix}_${name.replace(/\W/g, "_")}_${made += 1}`;
  const element = choices
    ? h("select", { id, data: { field: name, part: prefix } }, choices.map((one) => h("option", { value: one }, one)))
    : h("input", {
      id, type: kind === "secret" ? "password" : "text", inputmode: kind === "number" ? "decimal" : null, placeholder: hint ?? "",
      autocomplete: "off", spellcheck: "false", data: { field: name, part: prefix }, value: value ?? "",
    });
  const read = () => {
    const entered = element.value.trim();
    if (entered === "") return undefined;
    // What is no number goes to the node as it is: it says what it wants.
    return kind === "number" && Number.isFinite(Number(entered)) ? Number(entered) : entered;
  };
  return { name, element, read, view: h("label", { class: "field", for: id }, h("span", null, title), element) };
}

// Controls that depend on a type, and more fields as JSON for all that has no control.
class Part {
  constructor(prefix, title, kinds, fixed, first) {
    this.prefix = prefix;
    this.kinds = kinds;
    this.fixed = fixed.map((one) => control(one, prefix));
    this.type = h("select", { id: `${prefix}_type`, data: { field: "type", part: prefix }, onchange: () => this.choose() },
      first, Object.keys(kinds).map((kind) => h("option", { value: kind }, kind)));
    this.fields = h("div", { class: "fields" });
    this.more = h("textarea", { rows: 3, spellcheck: "false", placeholder: "{ \"max_bitrate_mbps\": 50 }", "aria-label": `${title}: more fields as JSON`, data: { field: "more", part: prefix } });
    this.extra = h("details", null, h("summary", null, "More fields, as JSON"), this.more);
    this.view = h("fieldset", null, h("legend", null, title),
      h("div", { class: "fields" }, h("label", { class: "field", for: this.type.id }, h("span", null, "Type"), this.type)), this.fields, this.extra);
    this.choose();
  }

  choose() {
    const known = this.kinds[this.type.value];
    this.controls = known ? [...this.fixed, ...known.map((one) => control(one, this.prefix))] : [];
    this.extra.hidden = !known;
    replace(this.fields, this.controls.map((one) => one.view));
  }

  // The object; null when no type is chosen.
  read() {
    if (this.type.value === "") return null;
    const object = { type: this.type.value };
    for (const { name, read } of this.controls) {
      const entered = read();
      if (entered === undefined) continue;
      const [outer, inner] = name.split(".");
      if (inner) object[outer] = { ...object[outer], [inner]: entered };
      else object[outer] = entered;
    }
    const more = this.more.value.trim();
    if (more === "") return object;
    let parsed;
    try {
      parsed = JSON.parse(more);
    } catch (error) {
      throw new Error(`more fields: ${error.message}`);
    }
    return { ...object, ...parsed };
  }
}

// A form in the dialog. `submit` does the work, and throws what the node said; it may give the page that comes next.
function open(title, verb, parts, submit) {
  const box = document.getElementById("dialog");
  const message = h("p", { class: "problem", role: "alert", hidden: true });
  const go = h("button", { type: "submit", class: "primary", id: "submit" }, verb);
  const form = h("form", { class: "form", novalidate: true, onsubmit: async (event) => {
    event.preventDefault();
    go.disabled = true;
    complain(form, message, null);
    try {
      const next = await submit();
      await refresh();
      box.close("done");
      if (next) location.hash = next;
    } catch (error) {
      complain(form, message, error);
    } finally {
      go.disabled = false;
    }
  } },
  h("h2", { id: "dialog_title" }, title), parts, message,
  h("div", { class: "buttons" }, h("button", { type: "button", class: "quiet", onclick: () => box.close("") }, "Cancel"), go));
  replace(box, form);
  box.showModal();
  form.querySelector("input, select")?.focus();
}

// Shows what the node said, at the field that it names as well.
function complain(form, message, error) {
  const controls = [...form.querySelectorAll("[data-field]")];
  controls.forEach((one) => {
    one.removeAttribute("aria-invalid");
    one.removeAttribute("aria-describedby");
  });
  message.hidden = error === null;
  if (error === null) return;
  message.id = "problem";
  message.textContent = error.message;
  const last = (one) => one.dataset.field.split(".").at(-1);
  const named = controls.filter((one) => new RegExp(`\\b${last(one)}\\b`).test(error.message));
  const isOutput = /output/.test(error.message);
  const culprit = named.find((one) => (one.dataset.part === "output") === isOutput && last(one).length > 2) ?? named[0];
  if (culprit) {
    culprit.setAttribute("aria-invalid", "true");
    culprit.setAttribute("aria-describedby", "problem");
    culprit.focus();
  }
}

const idField = field("id", "Id", { hint: "up to 64 characters" });
const nameField = field("name", "Name");
const outputPart = (first) => new Part("output", "Output", OUTPUTS, [idField, nameField], first);

export function addFlow() {
  const id = control(field("id", "Id", { hint: "news" }), "flow");
  const name = control(field("name", "Name", { hint: "News studio 1" }), "flow");
  const isEnabled = h("input", { type: "checkbox", id: "flow_enabled" });
  isEnabled.checked = true;
  const input = new Part("input", "Input", INPUTS, [], null);
  const output = outputPart(h("option", { value: "" }, "none yet"));
  const top = h("div", { class: "fields" }, id.view, name.view,
    h("label", { class: "check", for: "flow_enabled" }, isEnabled, h("span", null, "Start now and with the node")));
  open("Add a flow", "Add", [top, input.view, output.view], async () => {
    const flow = {
      id: id.read() ?? "",
      name: name.read() ?? id.read() ?? "",
      enabled: isEnabled.checked,
      input: input.read(),
      outputs: [output.read()].filter(Boolean).map(named),
    };
    await call("POST", "/api/v1/flows", flow);
    return `#/flow/${encodeURIComponent(flow.id)}`;
  });
}

export function addOutput(flowId) {
  const output = outputPart(null);
  open("Add an output", "Add", [output.view], async () => {
    await call("POST", flowPath(flowId, "/outputs"), named(output.read()));
  });
}

// What has no name is called by its id.
const named = (output) => ({ ...output, id: output.id ?? "", name: output.name ?? output.id ?? "" });

// The page for signing in.
export function signInPage(view, why) {
  const client = h("input", { id: "client_id", autocomplete: "username", spellcheck: "false", required: true });
  const secret = h("input", { id: "client_secret", type: "password", autocomplete: "current-password", required: true });
  const message = h("p", { class: "problem", role: "alert", hidden: !why }, why ?? "");
  const go = h("button", { type: "submit", class: "primary" }, "Sign in");
  view.replaceChildren(h("form", { class: "panel login", id: "login", onsubmit: async (event) => {
    event.preventDefault();
    go.disabled = true;
    message.hidden = true;
    try {
      await signIn(client.value, secret.value);
    } catch (error) {
      message.textContent = error.message;
      message.hidden = false;
      secret.value = "";
      secret.focus();
    } finally {
      go.disabled = false;
    }
  } },
  h("h1", null, "Sign in"), h("p", { class: "dim" }, "This node asks who you are. Client and secret are those of server.auth."),
  h("label", { class: "field", for: "client_id" }, h("span", null, "Client id"), client),
  h("label", { class: "field", for: "client_secret" }, h("span", null, "Client secret"), secret),
  message, go));
  client.focus();
}
