/** Experiment x category: values and changes from the baseline, each cell a way to its items. */
(function () {
  "use strict";
  const app = (globalThis.lorascope = globalThis.lorascope || {});
  const { h, inUnit, signed, segments } = app.dom;
  const { grouped, isNumber, ALL_ITEMS } = app.tools;

  /** Return the largest change of each measure, by which its colours are scaled. */
  function largest(study, experiments) {
    const most = new Map();
    for (const category of study.columns()) {
      const { title } = study.measure(category);
      const deltas = experiments
        .map((one) => (study.cell(one.id, category) || {}).delta)
        .filter((d) => Number.isFinite(d));
      most.set(title, Math.max(most.get(title) || 0, ...deltas.map(Math.abs)));
    }
    return most;
  }

  function address(study, experiment, category) {
    const against = study.baselineOf(experiment.id, category);
    return app.state.link({
      view: "items",
      experiment: experiment.id,
      category: category === ALL_ITEMS ? "" : category,
      against: against && against.id !== experiment.id ? against.id : "",
    });
  }

  function explained(measure, cell) {
    const interval = isNumber(cell.low)
      ? `, 95 % interval ${inUnit(measure, cell.low)} to ${inUnit(measure, cell.high)}`
      : "";
    const change = isNumber(cell.delta) ? `; ${signed(measure, cell.delta)} from the baseline` : "";
    const ends = isNumber(cell.deltaLow)
      ? ` (${signed(measure, cell.deltaLow)} to ${signed(measure, cell.deltaHigh)})`
      : "";
    const flips = isNumber(cell.gained) ? `; ${cell.gained} gained, ${cell.lost} lost` : "";
    const p = isNumber(cell.p) ? `; adjusted p = ${cell.p}` : "";
    return `${inUnit(measure, cell.value)}${interval}${change}${ends}${flips}${p}${cell.note ? `; ${cell.note}` : ""}`;
  }

  function cellOf(study, experiment, category, most, shown) {
    const cell = study.cell(experiment.id, category);
    if (!cell) return h("td", { class: "none" }, "");
    const measure = study.measure(category);
    const change = isNumber(cell.delta) ? cell.delta : null;
    const good = measure.higher_is_better ? change : 0 - change;
    const strength = Math.min(1, Math.abs(change || 0) / (most.get(measure.title) || 1)) || 0;
    const byChange = shown === "change" && change !== null && !experiment.is_baseline;
    const text = byChange ? signed(measure, change) : inUnit(measure, cell.value);
    const words = `${experiment.id}, ${app.axes.title(category)}: ${explained(measure, cell)}. Open its items`;
    return h(
      "td",
      {
        class: change === null || experiment.is_baseline ? "" : good < 0 ? "worse" : "better",
        css: { "--t": strength.toFixed(3) },
      },
      h(
        "a",
        {
          href: address(study, experiment, category),
          title: explained(measure, cell),
          "aria-label": words,
        },
        text || "–",
        h("sup", {}, cell.significant ? "*" : ""),
      ),
    );
  }

  /** Return the heads of columns: tracks above their hops where all categories are <track>-<hop>. */
  function heads(columns) {
    const split = columns.map((one) =>
      one === ALL_ITEMS ? ["", "All items"] : one.split(/-(?=[^-]*$)/),
    );
    const groups = [...grouped(split, (parts) => (parts.length === 2 ? parts[0] : "")).entries()];
    const pays =
      split.every((parts) => parts.length === 2) &&
      groups.filter(([name]) => name).some(([, of]) => of.length > 1);
    if (!pays)
      return [
        h(
          "tr",
          {},
          h("th", { scope: "col" }, "Experiment"),
          columns.map((one) => h("th", { scope: "col" }, app.axes.title(one))),
        ),
      ];
    return [
      h(
        "tr",
        {},
        h("th", { scope: "col", rowspan: 2 }, "Experiment"),
        groups.map(([name, of]) =>
          h("th", { scope: "colgroup", colspan: of.length, class: "group" }, name),
        ),
      ),
      h(
        "tr",
        {},
        split.map(([, last]) => h("th", { scope: "col" }, last)),
      ),
    ];
  }

  function rowOf(study, experiment, columns, most, shown) {
    const cells = columns.map((category) => cellOf(study, experiment, category, most, shown));
    const tag = experiment.is_baseline && h("span", { class: "tag" }, "baseline");
    return h(
      "tr",
      { class: experiment.is_baseline ? "baseline" : "" },
      h("th", { scope: "row" }, experiment.id, tag),
      cells,
    );
  }

  /** Return the table of all experiments and categories, coloured by change. */
  function matrix(study) {
    const experiments = study.tabled();
    const columns = study.columns();
    const most = largest(study, experiments);
    const compares = experiments.some((one) =>
      columns.some((c) => isNumber((study.cell(one.id, c) || {}).delta)),
    );
    const body = h("tbody", {});
    const show = (what) =>
      body.replaceChildren(...experiments.map((one) => rowOf(study, one, columns, most, what)));
    const first = compares ? "change" : "value";
    show(first);
    const marked = experiments.some((one) =>
      columns.some((c) => (study.cell(one.id, c) || {}).significant),
    );
    return h(
      "div",
      {},
      h(
        "div",
        { class: "bar" },
        compares &&
          segments(
            "What the cells show",
            [
              ["change", "Change from baseline"],
              ["value", "Value"],
            ],
            first,
            show,
          ),
        compares &&
          h(
            "p",
            { class: "scale" },
            h("span", {}, "worse"),
            h("i", { class: "ramp", "aria-hidden": "true" }),
            h("span", {}, "better"),
          ),
        marked &&
          h(
            "p",
            { class: "muted" },
            h("b", {}, "*"),
            " differs from the baseline: p < 0.05, adjusted for all comparisons (Holm)",
          ),
      ),
      h(
        "div",
        { class: "scroll", tabindex: 0, role: "region", "aria-label": "Experiments by category" },
        h("table", { class: "matrix" }, h("thead", {}, heads(columns)), body),
      ),
    );
  }

  app.matrix = matrix;
})();
