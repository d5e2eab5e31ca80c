"use strict";

const METHODS = ["get", "head", "post", "put", "patch", "delete"];
const target = document.getElementById("operations");
const tokenForm = document.getElementById("token_form");

/** An element with a class, and children that are elements or text. Nothing of the document becomes markup. */
function element(name, className, ...children) {
  const made = document.createElement(name);
  if (className) {
    made.className = className;
  }
  made.append(...children);
  return made;
}

function nameOf(reference) {
  return reference.split("/").pop();
}

function link(reference) {
  const made = element("a", "", nameOf(reference));
  made.href = `#schema-${nameOf(reference)}`;
  return made;
}

/** A schema in a few words; named ones as links. */
function typeOf(schema) {
  if (schema.$ref) {
    return [link(schema.$ref)];
  }
  if (schema.oneOf) {
    return schema.oneOf.flatMap((one, index) => (index ? [" or ", ...typeOf(one)] : typeOf(one)));
  }
  const types = [schema.type ?? "anything"].flat();
  if (types.includes("array")) {
    return [...types.filter((type) => type !== "array").map((type) => `${type} or `), "list of ", ...typeOf(schema.items)];
  }
  return [types.join(" or "), ...(schema.format ? [` (${schema.format})`] : [])];
}

function rulesOf(schema) {
  const rules = [];
  if (schema.enum) rules.push(`one of ${schema.enum.map((value) => JSON.stringify(value)).join(", ")}`);
  if (schema.minimum !== undefined) rules.push(`at least ${schema.minimum}`);
  if (schema.maximum !== undefined) rules.push(`at most ${schema.maximum}`);
  if (schema.minLength !== undefined) rules.push(`at least ${schema.minLength} characters`);
  if (schema.maxLength !== undefined) rules.push(`at most ${schema.maxLength} characters`);
  if (schema.minItems !== undefined) rules.push(`at least ${schema.minItems} elements`);
  if (schema.maxItems !== undefined) rules.push(`at most ${schema.maxItems} elements`);
  if (schema.pattern) rules.push(`matches ${schema.pattern}`);
  if (schema.default !== undefined) rules.push(`default ${JSON.stringify(schema.default)}`);
  if (schema.writeOnly) rules.push("never returned");
  return rules.join("; ");
}

function table(heads, rows) {
  const head = element("tr", "", ...heads.map((text) => element("th", "", text)));
  const body = rows.map((cells) => element("tr", "", ...cells.map((cell) => element("td", "", ...[cell].flat()))));
  return element("div", "scroll", element("table", "", element("thead", "", head), element("tbody", "", ...body)));
}

function fields(schema) {
  const required = schema.required ?? [];
  const rows = Object.entries(schema.properties ?? {}).map(([name, property]) => [
    element("code", "", name),
    typeOf(property),
    required.includes(name) ? "yes" : "",
    [property.description ?? "", " ", element("span", "faint", rulesOf(property))],
  ]);
  return table(["Field", "Type", "Required", "Meaning"], rows);
}

function shape(schema) {
  const parts = [];
  if (schema.description) parts.push(element("p", "", schema.description));
  parts.push(schema.properties ? fields(schema) : element("p", "", ...typeOf(schema)));
  return parts;
}

function content(of) {
  return Object.entries(of ?? {}).flatMap(([kind, media]) => [
    element("p", "faint", kind),
    ...(media.schema ? shape(media.schema) : []),
    ...(media.example === undefined ? [] : [element("pre", "", JSON.stringify(media.example, null, 2))]),
  ]);
}

function access(operation) {
  if (!(operation.security ?? []).some((one) => Object.keys(one).length)) {
    return "public";
  }
  return operation.responses["403"] ? "admin" : "any role";
}

function operationOf(path, method, operation) {
  const summary = element(
    "summary",
    "",
    element("span", `method ${method}`, method.toUpperCase()),
    element("code", "", path),
    element("span", "faint", ` ${operation.summary} (${access(operation)})`),
  );
  const body = element("div", "body");
  if (operation.description) {
    body.append(element("p", "", operation.description));
  }
  if (operation.parameters) {
    const rows = operation.parameters.map((parameter) => [
      element("code", "", parameter.name),
      parameter.in,
      typeOf(parameter.schema),
      [parameter.description ?? "", " ", element("span", "faint", rulesOf(parameter.schema))],
    ]);
    body.append(element("h3", "", "Parameters"), table(["Name", "In", "Type", "Meaning"], rows));
  }
  if (operation.requestBody) {
    body.append(element("h3", "", "Body"), ...content(operation.requestBody.content));
  }
  for (const [status, response] of Object.entries(operation.responses)) {
    body.append(element("h3", "", `${status} ${response.description}`));
    if (Number(status) < 400) {
      body.append(...content(response.content));
    }
  }
  const details = element("details", "operation", summary, body);
  details.dataset.text = summary.textContent.toLowerCase();
  return details;
}

function show(api) {
  document.getElementById("title").textContent = `${api.info.title} API ${api.info.version}`;
  document.getElementById("about").textContent = api.info.description;
  target.replaceChildren();
  for (const tag of api.tags) {
    const section = element("section", "group", element("h2", "", tag.name), element("p", "faint", tag.description));
    for (const [path, item] of Object.entries(api.paths)) {
      for (const method of METHODS) {
        if (item[method]?.tags.includes(tag.name)) {
          section.append(operationOf(path, method, item[method]));
        }
      }
    }
    target.append(section);
  }
  const schemas = element("section", "group", element("h2", "", "schemas"));
  for (const [name, schema] of Object.entries(api.components.schemas)) {
    const details = element("details", "", element("summary", "", element("code", "", name)), element("div", "body", ...shape(schema)));
    details.id = `schema-${name}`;
    details.dataset.text = name.toLowerCase();
    schemas.append(details);
  }
  target.append(schemas);
  openLinked();
}

/** Opens the schema that a link points to. */
function openLinked() {
  const linked = document.getElementById(location.hash.slice(1));
  if (linked instanceof HTMLDetailsElement) {
    linked.open = true;
    linked.scrollIntoView();
  }
}

function filter(text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  for (const details of target.querySelectorAll("details")) {
    details.hidden = !words.every((word) => details.dataset.text.includes(word));
  }
  for (const group of target.querySelectorAll(".group")) {
    group.hidden = !group.querySelector("details:not([hidden])");
  }
}

async function load(token) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  try {
    const response = await fetch("/api/v1/openapi.json", { headers });
    const answer = await response.json();
    tokenForm.hidden = response.status !== 401;
    if (response.ok) {
      show(answer);
    } else {
      document.getElementById("token_message").textContent = answer.error;
      target.replaceChildren(element("p", "", answer.error));
    }
  } catch (error) {
    target.replaceChildren(element("p", "", `The document could not be loaded: ${error.message}`));
  }
}

tokenForm.addEventListener("submit", (event) => {
  event.preventDefault();
  load(document.getElementById("token").value.trim());
});
document.getElementById("filter").addEventListener("input", (event) => filter(event.target.value));
window.addEventListener("hashchange", openLinked);
load("");
