/** Light or dark: as the system has it, or as the reader chose. In the head, so that nothing flashes. */
(function () {
  "use strict";
  const app = (globalThis.lorascope = globalThis.lorascope || {});
  const KEY = "lorascope-theme";
  const dark = globalThis.matchMedia("(prefers-color-scheme: dark)");

  /** Return what the reader chose, or null; storage may be closed to pages from disk. */
  function chosen() {
    try {
      return localStorage.getItem(KEY);
    } catch {
      return null;
    }
  }

  function keep(theme) {
    try {
      localStorage.setItem(KEY, theme);
    } catch {
      // The choice then holds until the page is closed.
    }
  }

  /** Return "light" or "dark", whichever is shown. */
  function current() {
    return document.documentElement.dataset.theme;
  }

  function show(theme) {
    document.documentElement.dataset.theme = theme;
    document.dispatchEvent(new CustomEvent("theme"));
  }

  /** Make a button switch the theme and say which one it leads to. */
  function bind(button) {
    const name = () => {
      const next = current() === "dark" ? "light" : "dark";
      button.textContent = next === "dark" ? "Dark" : "Light";
      button.setAttribute("aria-label", `Switch to the ${next} theme`);
    };
    button.addEventListener("click", () => {
      const next = current() === "dark" ? "light" : "dark";
      keep(next);
      show(next);
    });
    document.addEventListener("theme", name);
    name();
  }

  const ofSystem = () => (dark.matches ? "dark" : "light");
  dark.addEventListener("change", () => {
    if (!chosen()) show(ofSystem());
  });
  document.documentElement.dataset.theme = ["light", "dark"].includes(chosen())
    ? chosen()
    : ofSystem();
  app.theme = { bind, current };
})();
