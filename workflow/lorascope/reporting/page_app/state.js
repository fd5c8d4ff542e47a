/** What is shown stands in the address, after the #, so that a link opens the same view. */
(function () {
  "use strict";
  const app = (globalThis.lorascope = globalThis.lorascope || {});
  const VIEWS = ["summary", "tables", "items"];

  /** Return the state of an address' hash: {view, ...settings}. */
  function parse(hash) {
    const [view, query] = hash.replace(/^#\/?/, "").split("?");
    return {
      ...Object.fromEntries(new URLSearchParams(query || "")),
      view: VIEWS.includes(view) ? view : "summary",
    };
  }

  /** Return the hash of a state; what is empty is left out. */
  function format({ view, ...settings }) {
    const query = new URLSearchParams(
      Object.entries(settings).filter(([, value]) => value),
    ).toString();
    return `#${view}${query ? `?${query}` : ""}`;
  }

  /** Return the whole address of a state: a bare # would be one of the <base>, another document. */
  const link = (state) => location.href.split("#")[0] + format(state);

  const current = () => parse(location.hash);

  /** Show a state, as a step to come back from or, `quietly`, in place of the current one. */
  function go(state, quietly) {
    if (format(state) === location.hash) return;
    history[quietly ? "replaceState" : "pushState"](null, "", link(state));
    document.dispatchEvent(new CustomEvent("state"));
  }

  app.state = { VIEWS, parse, format, link, current, go };
})();
