/** The chart of a study's values with their 95 % intervals: against scaling, or by experiment. */
(function () {
  "use strict";
  const app = (globalThis.lorascope = globalThis.lorascope || {});
  const { h, s } = app.dom;
  const { isNumber } = app.tools;
  const { panels, panelElement, look, BASES, FEW } = app.panels;

  /** Return the key of lines and levels, drawn as the lines are. */
  function legend(names, panelsShown) {
    const stroke = (colour, dash) =>
      s("line", {
        x1: 1,
        x2: 27,
        y1: 7,
        y2: 7,
        css: { stroke: colour },
        "stroke-width": 2,
        "stroke-dasharray": dash.join(" "),
      });
    const shape = (i) =>
      h("span", { class: `shape ${look(i).shape}`, css: { "--c": `var(${look(i).colour})` } });
    const entry = (text, line, dot) =>
      h(
        "li",
        {},
        h(
          "span",
          { class: "swatch" },
          s("svg", { width: 28, height: 14, "aria-hidden": "true" }, line),
          dot,
        ),
        text,
      );
    const lines =
      names.length > 1
        ? names.map((name, i) =>
            entry(name || "(no name)", stroke(`var(${look(i).colour})`, look(i).dash), shape(i)),
          )
        : [];
    const bases = [...new Set(panelsShown.flatMap((one) => one.bases.map(({ name }) => name)))];
    const based = bases.map((name, i) =>
      entry(name ? `baseline ${name}` : "baseline", stroke("var(--ink)", BASES[i % BASES.length])),
    );
    const chance =
      panelsShown.some((one) => isNumber(one.chance)) &&
      entry("chance", stroke("var(--muted)", [1.5, 3]));
    return h(
      "ul",
      { class: "legend" },
      lines,
      based,
      chance,
      h(
        "li",
        { class: "muted" },
        names.length > 1 ? "whiskers: 95 % intervals" : "band: 95 % interval",
      ),
    );
  }

  /** Return a chart of values against scaling: a panel for each category. */
  function sweep(study) {
    const names = [...new Set(study.points().map((p) => p.line))];
    const all = panels(study, names);
    const grid = h("div", { class: "panels" });
    const show = (some) => grid.append(...some.map((one) => panelElement(one, all)));
    show(all.slice(0, FEW + 1));
    const rest = all.slice(FEW + 1);
    const more =
      rest.length &&
      h(
        "button",
        { type: "button", on: { click: () => (show(rest), more.remove()) } },
        `Show ${rest.length} more categories`,
      );
    return h("div", {}, legend(names, all), grid, more || null);
  }

  /** Return the chart of a study's values. */
  const values = (study) =>
    study.raw.swept && study.points().some((p) => isNumber(p.scaling))
      ? sweep(study)
      : app.dots(study);

  app.charts = { values };
})();
