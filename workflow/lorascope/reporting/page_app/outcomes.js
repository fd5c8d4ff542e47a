/** What became of the replies: the shares that were right, wrong, or no answer. */
(function () {
  "use strict";
  const app = (globalThis.lorascope = globalThis.lorascope || {});
  const { h, fixed, choice } = app.dom;
  const { objects, grouped, ALL_ITEMS } = app.tools;
  const PARTS = {
    correct: ["right", { verdict: "right" }],
    partial: ["partly right", { verdict: "partial" }],
    measured: ["measured", { verdict: "measured" }],
    wrong: ["wrong", { verdict: "wrong" }],
    none: ["chose nothing", { status: "none" }],
    several: ["chose several", { status: "multiple" }],
    nonfinite: ["overflowed", { status: "nonfinite" }],
    unjudged: ["unjudged", { verdict: "unjudged" }],
  };

  function part(row, name, category) {
    const share = (100 * row[name]) / row.total;
    const [words, filter] = PARTS[name];
    const said = `${row[name]} of ${row.total} ${words} (${fixed(share, 1)} %)`;
    const settings = {
      view: "items",
      experiment: row.experiment,
      category: category === ALL_ITEMS ? "" : category,
      ...filter,
    };
    return h(
      "a",
      {
        class: `part ${name}`,
        href: app.state.link(settings),
        css: { "flex-grow": row[name] },
        title: said,
        "aria-label": `${row.experiment}: ${said}. Open them`,
      },
      share >= 7 ? fixed(share, 0) : "",
    );
  }

  function bar(row, names) {
    const cut = (100 * row.cut) / row.total;
    return h(
      "li",
      { class: "outcome" },
      h("span", { class: "outcome-name", title: row.experiment }, row.experiment),
      h(
        "span",
        { class: "outcome-bar" },
        names.filter((name) => row[name]).map((name) => part(row, name, row.category)),
      ),
      h("span", { class: "outcome-cut" }, row.cut ? `${fixed(cut, 1)} % cut` : ""),
    );
  }

  /** Return one row an experiment: of all its items where there is such a row, else of its first category. */
  function rowsOf(rows, category) {
    return [...grouped(rows, (row) => row.experiment).values()]
      .map((own) => own.find((row) => row.category === category))
      .filter(Boolean);
  }

  /** Return the bars of all experiments; null without the table. */
  function outcomes(study) {
    const rows = objects(study.table("outcomes"));
    if (!rows.length) return null;
    const names = Object.keys(PARTS).filter((name) => rows.some((row) => row[name]));
    const known = new Set(rows.map((row) => row.category));
    const categories = [...new Set([...[ALL_ITEMS].filter((one) => known.has(one)), ...known])];
    const list = h("ol", { class: "outcomes scroll", tabindex: 0 });
    const show = (category) =>
      list.replaceChildren(...rowsOf(rows, category).map((row) => bar(row, names)));
    show(categories[0]);
    const key = names.map((name) =>
      h("li", {}, h("i", { class: `part ${name}`, "aria-hidden": "true" }), PARTS[name][0]),
    );
    const picker =
      categories.length > 1 &&
      choice(
        "Category",
        categories.map((one) => [one, app.axes.title(one)]),
        categories[0],
        show,
      );
    return h(
      "div",
      {},
      h("div", { class: "bar" }, picker, h("ul", { class: "legend" }, key)),
      list,
    );
  }

  app.outcomes = outcomes;
})();
