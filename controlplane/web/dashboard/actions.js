// What an administrator does to a flow that is there.

import { call, flowPath } from "./api.js";
import { h, replace } from "./dom.js";
import { refresh } from "./live.js";

const dialog = () => document.getElementById("dialog");

// Asks before something is done that cannot be undone at once; resolves to whether it was done.
export function confirm(title, what, verb, work) {
  return new Promise((resolve) => {
    const box = dialog();
    const message = h("p", { class: "problem", role: "alert", hidden: true });
    const go = h("button", { type: "submit", class: "danger", id: "confirm" }, verb);
    const form = h("form", {
      onsubmit: async (event) => {
        event.preventDefault();
        go.disabled = true;
        message.hidden = true;
        try {
          await work();
          // What is gone must not be asked for any more by the page that comes next.
          await refresh();
          box.close("done");
        } catch (error) {
          message.textContent = error.message;
          message.hidden = false;
        } finally {
          go.disabled = false;
        }
      },
    },
    h("h2", { id: "dialog_title" }, title), h("p", null, what), message,
    h("div", { class: "buttons" }, h("button", { type: "button", class: "quiet", onclick: () => box.close("") }, "Cancel"), go));
    replace(box, form);
    box.returnValue = "";
    box.addEventListener("close", () => resolve(box.returnValue === "done"), { once: true });
    box.showModal();
    go.focus();
  });
}

export const startFlow = (id) => act(id, "/start");

async function act(id, rest) {
  await call("POST", flowPath(id, rest));
  await refresh();
}

export function stopFlow(id, name) {
  return confirm("Stop this flow?", `${name} stops sending to all of its outputs. Its configuration stays.`, "Stop",
    () => call("POST", flowPath(id, "/stop")));
}

export function restartFlow(id, name) {
  return confirm("Restart this flow?", `${name} sends nothing to any of its outputs until it runs again.`, "Restart",
    () => call("POST", flowPath(id, "/restart")));
}

export function deleteFlow(id, name) {
  return confirm("Delete this flow?", `${name} stops, and its configuration is removed.`, "Delete",
    () => call("DELETE", flowPath(id)));
}

export function removeOutput(id, output) {
  return confirm("Remove this output?", `${output.output_name} stops. The other outputs go on undisturbed.`, "Remove",
    () => call("DELETE", flowPath(id, `/outputs/${encodeURIComponent(output.output_id)}`)));
}
