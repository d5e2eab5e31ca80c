// Elements made from values. Whatever comes from the node becomes text, never markup.

const SVG = "http://www.w3.org/2000/svg";

// An element with properties and children. Names that begin with "on" are listeners; null leaves a property out, and
// so does false, unless it is an ARIA state.
export function h(tag, properties, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties ?? {})) {
    const isState = name.startsWith("aria-");
    if (value === null || value === undefined || (value === false && !isState)) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else if (name === "value") element.value = value;
    else if (name === "data") Object.assign(element.dataset, value);
    else element.setAttribute(name, value === true && !isState ? "" : String(value));
  }
  fill(element, children);
  return element;
}

// Appends texts and elements; null leaves one out.
export function fill(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return element;
}

// Replaces what an element holds.
export function replace(element, ...children) {
  element.replaceChildren();
  return fill(element, children);
}

// Sets a text only when it differs, so that nothing is laid out anew for nothing.
export function text(element, value) {
  const wanted = String(value);
  if (element.textContent !== wanted) element.textContent = wanted;
}

// Sets a data attribute only when it differs.
export function mark(element, name, value) {
  const wanted = String(value);
  if (element.dataset[name] !== wanted) element.dataset[name] = wanted;
}

// Shapes that tell states apart without colour.
const SHAPES = {
  Critical: "M2 2h12v12H2z M5.2 5.2l5.6 5.6 M10.8 5.2l-5.6 5.6",
  Error: "M8 1l7 7-7 7-7-7z M8 4.6v4 M8 10.6v.9",
  Warning: "M8 1.6L15 14H1z M8 6v3.6 M8 11.4v.9",
  Healthy: "M8 1.4a6.6 6.6 0 1 1 0 13.2a6.6 6.6 0 1 1 0-13.2z M4.9 8.2l2.2 2.2 4-4.4",
  Starting: "M8 1.4a6.6 6.6 0 1 1 0 13.2 M8 4.4v3.6l2.4 1.6",
  Stopped: "M3 3h10v10H3z",
};

// The shape of a state.
export function shape(state) {
  const svg = document.createElementNS(SVG, "svg");
  for (const [name, value] of [["viewBox", "0 0 16 16"], ["width", "16"], ["height", "16"], ["aria-hidden", "true"]]) {
    svg.setAttribute(name, value);
  }
  svg.classList.add("shape");
  const path = document.createElementNS(SVG, "path");
  svg.append(path);
  reshape(svg, state);
  return svg;
}

// Gives an existing shape another state.
export function reshape(svg, state) {
  if (svg.dataset.state === state) return;
  svg.dataset.state = state;
  svg.firstChild.setAttribute("d", SHAPES[state] ?? SHAPES.Stopped);
}
