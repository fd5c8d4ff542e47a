/** The study's tables as its CSV files have them: sorted by their heads, filtered below them (Tabulator). */
(function () {
  "use strict";
  const app = (globalThis.lorascope = globalThis.lorascope || {});
  const { h, count, fixed, significant } = app.dom;
  const { isNumber } = app.tools;
  const NAMES = {
    accuracy: ["Results", "accuracy.csv"],
    comparison: ["Comparison", "comparison.csv"],
    outcomes: ["Outcomes", "outcomes.csv"],
    retention: ["Retention", "retention.csv"],
    likelihoods: ["Likelihoods", "likelihoods.csv"],
    choices: ["Choices", "choices.csv"],
    search: ["Search", "search.csv"],
    audits: ["Adapters", "audits.csv"],
    nulls: ["Nulls", "nulls.csv"],
    null_draws: ["Draws of nulls", "null_draws.csv"],
    mixes: ["Sums", "mixes.csv"],
    profiles: ["Parts", "profiles.csv"],
  };
  let shown = null;

  /** Return the experiments and their settings as a table like the others. */
  function experiments(study) {
    const settings = [
      ...new Set(study.experiments.flatMap((one) => Object.keys(one.settings || {}))),
    ].filter((name) => name !== "strength");
    const own = ["id", "model", "adapter", "lora_scaling", "dataset", "mode", "scorer", "run", "n"];
    if (study.experiments.some((one) => "strength" in one)) own.splice(4, 0, "strength");
    const plain = (value) =>
      value !== null && typeof value === "object" ? JSON.stringify(value) : value;
    const rows = study.experiments.map((one) => [
      ...own.map((name) => one[name]),
      ...settings.map((name) => plain(one.settings[name])),
    ]);
    return { columns: [...own, ...settings], rows };
  }

  /** Return the tables that there are: name -> {title, file, table}. */
  function all(study) {
    const known = Object.entries(study.raw.tables).filter(
      ([, table]) => table && table.rows.length,
    );
    const tables = known.map(([name, table]) => [
      name,
      { title: (NAMES[name] || [name])[0], file: (NAMES[name] || [])[1], table },
    ]);
    return new Map([
      ...tables,
      ["experiments", { title: "Experiments", table: experiments(study) }],
    ]);
  }

  /** Return how a column's numbers are written: with as many decimals each, p-values by their digits. */
  function written(name, values) {
    const numbers = values.filter(isNumber);
    if (/(^|_)p(_value)?$/.test(name)) return (value) => significant(value, 3);
    if (numbers.every(Number.isInteger)) return (value) => fixed(value, 0);
    const decimals = Math.max(...numbers.map(Math.abs)) >= 1 ? 2 : 4;
    return (value) => fixed(value, decimals);
  }

  const cellText = (value) => (value === null || value === undefined ? "" : String(value));

  const LIMIT = /^\s*(<=|>=|<|>|=)\s*(-?[\d.]+(?:e-?\d+)?)\s*$/i;

  /** Return whether a number passes what is typed below its head: "> 50", "<= 0.05", or its digits. */
  function passes(typed, value) {
    const limit = LIMIT.exec(typed.replace("−", "-"));
    if (!limit) return cellText(value).includes(typed.trim().replace("−", "-"));
    if (!isNumber(value)) return false;
    const [, sign, digits] = limit;
    const by = Number(digits);
    return {
      "<": value < by,
      ">": value > by,
      "<=": value <= by,
      ">=": value >= by,
      "=": value === by,
    }[sign];
  }

  /** Compare numbers by value, texts by their natural order, and what is empty last. */
  function order(a, b, _a, _b, _column, direction) {
    const empty = [a, b].map((one) => one === null || one === undefined || one === "");
    if (empty[0] || empty[1]) return (empty[0] - empty[1]) * (direction === "asc" ? 1 : -1);
    return isNumber(a) && isNumber(b)
      ? a - b
      : String(a).localeCompare(String(b), "en", { numeric: true });
  }

  function columnOf(name, i, rows) {
    const numeric =
      rows.every((row) => row[i] === null || isNumber(row[i])) &&
      rows.some((row) => isNumber(row[i]));
    const write = numeric
      ? written(
          name,
          rows.map((row) => row[i]),
        )
      : cellText;
    return {
      title: name,
      field: `c${i}`,
      titleFormatter: () => document.createTextNode(name),
      formatter: (cell) =>
        h(
          "span",
          { title: cellText(cell.getValue()) },
          cell.getValue() === null ? "" : write(cell.getValue()),
        ),
      sorter: order,
      hozAlign: numeric ? "right" : "left",
      headerHozAlign: numeric ? "right" : "left",
      headerFilter: headerInput(name, numeric),
      headerFilterFunc: numeric
        ? passes
        : (typed, value) => cellText(value).toLowerCase().includes(typed.trim().toLowerCase()),
      headerFilterLiveFilter: true,
      minWidth: numeric ? 84 : 110,
      frozen: i === 0 && matchMedia("(min-width: 700px)").matches,
    };
  }

  /** Return an editor of Tabulator: an input below a head, with a name for those who hear the page. */
  function headerInput(name, numeric) {
    return (_cell, _rendered, success) => {
      const input = h("input", {
        type: "search",
        "aria-label": `Filter ${name}`,
        placeholder: numeric ? "> 0" : "",
        autocomplete: "off",
      });
      input.addEventListener("input", () => success(input.value));
      return input;
    };
  }

  function draw(place, table, tell) {
    const data = table.rows.map((row, i) =>
      Object.fromEntries([["id", i], ...row.map((value, j) => [`c${j}`, value])]),
    );
    const grid = new Tabulator(place, {
      data,
      columns: table.columns.map((name, i) => columnOf(name, i, table.rows)),
      layout: "fitDataFill",
      maxHeight: "70vh",
      nestedFieldSeparator: false,
      headerSortElement: () => h("span", { class: "sort", "aria-hidden": "true" }),
      placeholder: () => h("p", { class: "muted" }, "No row matches the filters."),
    });
    grid.on("dataFiltered", (_filters, rows) => tell(rows.length));
    return grid;
  }

  function tabs(tables, chosen) {
    const to = (name) => app.state.link({ view: "tables", table: name });
    return h(
      "nav",
      { class: "tabs", "aria-label": "Tables" },
      [...tables].map(([name, { title }]) =>
        h("a", { href: to(name), "aria-current": name === chosen ? "page" : null }, title),
      ),
    );
  }

  /** Show a table of the study in a place. */
  function show(study, place, state) {
    const tables = all(study);
    const name = tables.has(state.table) ? state.table : tables.keys().next().value;
    const { table, file, title } = tables.get(name);
    const total = table.rows.length;
    const words = h("p", { class: "muted", role: "status" }, count(total, "row"));
    const listed = (study.raw.files || []).includes(file) && h("a", { href: `../${file}` }, file);
    const host = h("div", { class: "grid" });
    place.replaceChildren(
      h("h1", { class: "visually-hidden" }, `Tables: ${title}`),
      tabs(tables, name),
      h(
        "div",
        { class: "bar" },
        words,
        listed,
        h("p", { class: "muted" }, "Numbers are filtered by such as “> 50” or “<= 0.05”."),
      ),
      host,
    );
    shown = draw(
      host,
      table,
      (n) =>
        (words.textContent = n === total ? count(total, "row") : `${n} of ${count(total, "row")}`),
    );
  }

  /** Take the shown table away. */
  function leave() {
    if (shown) shown.destroy();
    shown = null;
  }

  app.tables = { show, leave, passes, order };
})();
