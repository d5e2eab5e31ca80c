"use strict";

// Without this script the form is sent as it is and answered with a page; with it the answer appears in place.
const form = document.getElementById("setup");
const message = document.getElementById("message");
const button = form.querySelector("button");

function show(text, isGood) {
  message.textContent = text;
  message.className = `message ${isGood ? "good" : "bad"}`;
  message.setAttribute("role", isGood ? "status" : "alert");
  message.hidden = false;
  message.focus();
}

function document_of(fields) {
  const body = {
    listen_addr: fields.get("listen_addr"),
    manager_url: fields.get("manager_url"),
    accept_self_signed_cert: fields.has("accept_self_signed_cert"),
    device_name: fields.get("device_name"),
  };
  if (fields.get("listen_port") !== "") {
    body.listen_port = Number(fields.get("listen_port"));
  }
  if (fields.get("registration_token") !== "") {
    body.registration_token = fields.get("registration_token");
  }
  return body;
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  button.disabled = true;
  try {
    const response = await fetch("/setup", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(document_of(new FormData(form))),
    });
    const answer = await response.json();
    if (answer.success) {
      document.getElementById("registration_token").value = "";
      show(answer.message, true);
    } else {
      show(answer.error, false);
    }
  } catch (error) {
    show(`The node did not answer: ${error.message}`, false);
  } finally {
    button.disabled = false;
  }
});
