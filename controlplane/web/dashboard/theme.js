// Dark or light: as the browser prefers, as this page's address says (`?theme=dark`), or as somebody chose.

const KEY = "bilbycast.theme";
const THEMES = ["dark", "light"];
const WORDS = { auto: "Theme: as the browser", dark: "Theme: dark", light: "Theme: light" };

const listeners = new Set();
const prefersLight = matchMedia("(prefers-color-scheme: light)");
// A wall is told by its address, and keeps nothing.
let choice = known(new URLSearchParams(location.search).get("theme")) ?? known(kept()) ?? "auto";

// What is drawn has to be drawn again when the colours change.
export function onTheme(listener) {
  listeners.add(listener);
}

function known(name) {
  return THEMES.includes(name) ? name : null;
}

function kept() {
  try {
    return localStorage.getItem(KEY);
  } catch {
    // A browser that keeps nothing follows its own preference.
    return null;
  }
}

function keep() {
  try {
    if (choice === "auto") localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, choice);
  } catch {
    // It counts until the page is loaded again.
  }
}

function apply() {
  const theme = choice === "auto" ? (prefersLight.matches ? "light" : "dark") : choice;
  document.documentElement.dataset.theme = theme;
  const button = document.getElementById("theme");
  button.title = WORDS[choice];
  button.setAttribute("aria-label", WORDS[choice]);
  button.dataset.choice = choice;
  listeners.forEach((listener) => listener());
}

document.getElementById("theme").addEventListener("click", () => {
  const order = ["auto", ...THEMES];
  choice = order[(order.indexOf(choice) + 1) % order.length];
  keep();
  const address = new URL(location.href);
  if (address.searchParams.has("theme")) {
    // What was chosen last counts after a reload too.
    address.searchParams.delete("theme");
    history.replaceState(null, "", address);
  }
  apply();
});
for (const query of [prefersLight, matchMedia("(prefers-contrast: more)")]) query.addEventListener("change", apply);
apply();
