/** Puts the views together. */
(function () {
  "use strict";
  const app = globalThis.lorascope;
  const { h } = app.dom;
  const TITLES = { summary: "Summary", tables: "Tables", items: "Items" };
  const places = new Map();
  let study = null;

  const main = document.getElementById("main");

  function problem(error) {
    main.querySelector(":scope > .problem")?.remove();
    main.append(h("p", { class: "problem", role: "alert" }, error.message));
  }

  function links(view) {
    const of = (name) =>
      h(
        "a",
        { href: app.state.link({ view: name }), "aria-current": name === view ? "page" : null },
        TITLES[name],
      );
    document.getElementById("views").replaceChildren(...app.state.VIEWS.map(of));
  }

  /** Return the place of a view, made when it is first shown. */
  function placeOf(view) {
    if (!places.has(view)) {
      const place = h("div", { class: `view ${view}` });
      if (view === "summary") place.append(app.summary(study));
      places.set(view, place);
    }
    return places.get(view);
  }

  /** Show what the address says. */
  function show() {
    const state = app.state.current();
    const place = placeOf(state.view);
    links(state.view);
    main.querySelector(":scope > .problem")?.remove();
    const moved = main.firstElementChild !== place;
    if (moved) {
      app.tables.leave();
      main.replaceChildren(place);
      scrollTo(0, 0);
    }
    if (state.view === "tables") app.tables.show(study, place, state);
    if (state.view === "items") app.browser.show(study, place, state).catch(problem);
    document.title = `${study.raw.title || study.raw.study} – ${TITLES[state.view]}`;
  }

  function skip(event) {
    event.preventDefault();
    main.focus();
  }

  /** Read the study and show it. */
  async function start() {
    document.getElementById("skip").addEventListener("click", skip);
    app.theme.bind(document.getElementById("theme"));
    study = new app.Study(await app.read("study"));
    document.querySelector(".brand").textContent = study.raw.study;
    addEventListener("popstate", show);
    document.addEventListener("state", show);
    show();
  }

  start().catch(problem);
})();
