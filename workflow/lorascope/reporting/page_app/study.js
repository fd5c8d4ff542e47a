/** What a study is: its experiments, tables by name, and the values of each experiment and category. */
(function () {
  "use strict";
  const app = (globalThis.lorascope = globalThis.lorascope || {});
  const ALL_ITEMS = "all items (micro average)";
  const MEAN = "mean over categories";
  const ACCURACY = {
    title: "accuracy",
    scale: "percent",
    higher_is_better: true,
    bounded: true,
    chance: null,
  };
  const SIGNIFICANT = 0.05;

  /** Return the rows of a table as objects. */
  function objects(table) {
    if (!table) return [];
    return table.rows.map((row) =>
      Object.fromEntries(table.columns.map((name, i) => [name, row[i]])),
    );
  }

  const key = (experiment, category) => `${experiment}\n${category}`;
  const isNumber = (value) => typeof value === "number";
  const isText = (value) => typeof value === "string";

  /** Return groups of what has the same key, in the order of their first. */
  function grouped(list, of) {
    const groups = new Map();
    for (const one of list) {
      const name = of(one);
      if (groups.has(name)) groups.get(name).push(one);
      else groups.set(name, [one]);
    }
    return groups;
  }

  class Study {
    constructor(raw) {
      this.raw = raw;
      this.experiments = raw.experiments.map((one) => ({
        ...one,
        amount: one.strength ?? one.lora_scaling,
      }));
      this.byId = new Map(this.experiments.map((one) => [one.id, one]));
      this.categories = raw.categories;
      this.measures = new Map(raw.categories.map((one) => [one.name, one]));
      this.datasets = raw.datasets;
      this.cells = this._cells();
      this._indexes = new Map();
    }

    table(name) {
      return this.raw.tables[name] || null;
    }

    /** Return what a category measures. */
    measure(category) {
      if (category === MEAN)
        return { ...ACCURACY, chance: this._mean((name) => this.measure(name).chance) };
      return this.measures.get(category) || { ...ACCURACY, name: category };
    }

    /** Return the value, interval and comparison of an experiment in a category, if it has one. */
    cell(experiment, category) {
      return this.cells.get(key(experiment, category));
    }

    _cells() {
      const cells = new Map();
      for (const row of objects(this.table("accuracy"))) {
        cells.set(key(row.experiment, row.category), {
          value: row.accuracy,
          delta: row.accuracy_delta,
          total: row.total,
        });
      }
      for (const row of objects(this.table("comparison"))) {
        const cell = cells.get(key(row.experiment, row.category)) || {};
        cells.set(key(row.experiment, row.category), { ...cell, ...compared(row, cell) });
      }
      return cells;
    }

    /** Return the columns of a pivot: all items where that is a row, then the categories. */
    columns() {
      const whole = this.experiments.some((one) => this.cell(one.id, ALL_ITEMS));
      return [...(whole ? [ALL_ITEMS] : []), ...this.categories.map((one) => one.name)];
    }

    /** Return the experiments that have a value in the table. */
    tabled() {
      const names = new Set(objects(this.table("accuracy")).map((row) => row.experiment));
      return this.experiments.filter((one) => names.has(one.id));
    }

    /** Return the experiment that another one is compared with in a category: null for none, and for a published one. */
    baselineOf(id, category) {
      const own = this.byId.get(id);
      const named = this._named(id, category);
      if (named) return this.byId.get(named) || null;
      const likeness = (one) =>
        4 * Boolean(category && this.cell(one.id, category)) +
        2 * (one.dataset === own.dataset) +
        (one.model === own.model);
      const baselines = this.experiments.filter((one) => one.is_baseline && one.run === 0);
      return baselines.sort((a, b) => likeness(b) - likeness(a))[0] || null;
    }

    /** Return the baseline that the comparison names, as it does where there are several. */
    _named(id, category) {
      const cells = [category, ...this.columns()].map((name) => this.cell(id, name));
      return (cells.find((cell) => cell && cell.baseline) || {}).baseline;
    }

    /** Return the baselines' values in a category, {name, value} each; the only one has no name. */
    levels(category) {
      if (category === ALL_ITEMS) return this._levelsOfAll();
      const given = Object.entries(this.raw.levels || {});
      const of = (values) =>
        category === MEAN ? this._mean((name) => values[name]) : values[category];
      return given
        .map(([name, values]) => ({ name, value: of(values) }))
        .filter((one) => isNumber(one.value));
    }

    _levelsOfAll() {
      const cells = this.experiments
        .filter((one) => one.is_baseline)
        .map((one) => [one.id, this.cell(one.id, ALL_ITEMS)]);
      const known = cells.filter(([, cell]) => cell && isNumber(cell.value));
      return known.map(([name, cell]) => ({
        name: known.length > 1 ? name : "",
        value: cell.value,
      }));
    }

    /** Return the mean over categories of what each has; null where one has none. */
    _mean(of) {
      const values = this.categories.map((one) => of(one.name));
      return values.every(isNumber) ? values.reduce((a, b) => a + b, 0) / values.length : null;
    }

    /** Return what charts draw: line, scaling, category, value, low, high, number of runs. */
    points() {
      if (this._points) return this._points;
      const own = objects(this.raw.points).map(asPoint);
      this._points = [...this._wholes([...grouped(own, placeOf).values()]), ...own];
      return this._points;
    }

    /** Return the categories of charts: the whole, where it means something, before each. */
    charted() {
      const known = new Set(this.points().map((p) => p.category));
      return [ALL_ITEMS, MEAN, ...this.categories.map((one) => one.name)].filter((name) =>
        known.has(name),
      );
    }

    /** Return points of all items; their mean over categories where the table lacks some of them, as of several runs. */
    _wholes(places) {
      if (!this.columns().includes(ALL_ITEMS)) return [];
      const cells = places.map(([p]) =>
        p.runs === 1 ? this.cell(p.experiment, ALL_ITEMS) : undefined,
      );
      if (cells.every(Boolean))
        return places.map(([p], i) => ({ ...p, ...cells[i], category: ALL_ITEMS }));
      const means = places.map((own) => ({
        ...own[0],
        category: MEAN,
        low: null,
        high: null,
        value: this._mean((name) => (own.find((p) => p.category === name) || {}).value),
      }));
      return means.filter((p) => p.value !== null);
    }

    /** Return the lines of a sweep: label -> run 0 of its experiments of one dataset, by scaling. */
    lines() {
      if (!this.raw.swept) return [];
      const first = this.experiments.filter((one) => one.run === 0 && isNumber(one.amount));
      const lines = [...grouped(first, (one) => `${one.line || ""}\n${one.dataset}`).values()];
      return lines
        .map((line) =>
          [...grouped(line, (one) => one.amount).values()].map((same) => same[0]),
        )
        .map((line) => line.sort((a, b) => a.amount - b.amount))
        .filter((line) => line.length > 1);
    }

    /** Return a promise of the items of a dataset. */
    index(dataset) {
      if (!this._indexes.has(dataset)) {
        const { index, chunk } = this.datasets.find((one) => one.name === dataset);
        const items = app.read(index).then((raw) => new app.filters.ItemIndex(raw, index, chunk));
        this._indexes.set(dataset, items);
      }
      return this._indexes.get(dataset);
    }

    /** Return a promise of the items of all datasets. */
    indexes() {
      return Promise.all(this.datasets.map((one) => this.index(one.name)));
    }
  }

  function compared(row, cell) {
    const p = row.holm_p;
    return {
      value: row.accuracy,
      low: row.accuracy_low,
      high: row.accuracy_high,
      delta: isNumber(row.delta) ? row.delta : cell.delta,
      deltaLow: row.delta_low,
      deltaHigh: row.delta_high,
      gained: row.gained,
      lost: row.lost,
      p,
      note: row.note || "",
      baseline: row.baseline,
      significant: isNumber(p) && p < SIGNIFICANT,
    };
  }

  function asPoint(row) {
    const { series, lora_scaling, accuracy, ...same } = row;
    return { ...same, line: series || "", scaling: lora_scaling, value: accuracy };
  }

  const placeOf = (p) => JSON.stringify([p.line, p.scaling, p.experiment]);

  app.Study = Study;
  app.tools = { objects, grouped, isNumber, isText, ALL_ITEMS, MEAN };
})();
