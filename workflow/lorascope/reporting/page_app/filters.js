/** Items, what became of them in each experiment, and the filters over them: no elements here. */
(function () {
  "use strict";
  const app = (globalThis.lorascope = globalThis.lorascope || {});

  const VERDICTS = {
    right: "right",
    partial: "partly right",
    wrong: "wrong",
    unjudged: "unjudged",
    measured: "measured",
  };
  const FLIPS = {
    both: "flipped",
    gained: "gained: better",
    lost: "lost: worse",
    same: "not flipped",
    right: "turned right",
    wrong: "turned wrong",
  };

  /** The items of one dataset, one row each. */
  class ItemIndex {
    constructor(raw, name, chunk) {
      this.raw = raw;
      this.name = name;
      this.dataset = raw.dataset;
      this.chunk = chunk;
      this.ids = raw.items.id;
      this.n = this.ids.length;
      this._sides = new Map();
    }

    /** Return the row of an item, or undefined. */
    row(id) {
      this._rows ||= new Map(this.ids.map((one, row) => [one, row]));
      return this._rows.get(id);
    }

    label(row) {
      return this.raw.items.label[row];
    }

    get experiments() {
      return Object.keys(this.raw.experiments);
    }

    /** Return the metrics of an experiment, "" for the only one. */
    metrics(experiment) {
      return Object.keys(this.raw.experiments[experiment] || {});
    }

    /** Return the metric that a category of the tables is about, undefined for none. */
    metricOf(experiment, category) {
      const own = this.raw.experiments[experiment] || {};
      return Object.keys(own).find((metric) => own[metric].categories.includes(category));
    }

    /** Return the categories that tables have of an experiment. */
    categories(experiment) {
      const names = Object.values(this.raw.experiments[experiment] || {}).flatMap(
        (one) => one.categories,
      );
      return [...new Set(names.filter((name) => name !== null))];
    }

    /** Return what became of the items in an experiment by a metric; by its first one without. */
    side(experiment, metric) {
      const own = this.raw.experiments[experiment];
      if (!own) return null;
      const name = metric in own ? metric : Object.keys(own)[0];
      const key = `${experiment}\n${name}`;
      if (!this._sides.has(key)) this._sides.set(key, new Side(this, own[name], name));
      return this._sides.get(key);
    }
  }

  /** What became of a dataset's items in one experiment, by one metric. */
  class Side {
    constructor(index, raw, metric) {
      this.index = index;
      this.raw = raw;
      this.metric = metric;
    }

    /** Return the category as tables name it; null for an item that was not asked, or has not this metric. */
    category(row) {
      if (this.status(row) === null) return null;
      return this.raw.categories[this.index.raw.items.category.codes[row]] ?? null;
    }

    credit(row) {
      return this.raw.credit[row];
    }

    weight(row) {
      return this.raw.weight ? this.raw.weight[row] : 1;
    }

    status(row) {
      return decoded(this.raw.status, row);
    }

    reason(row) {
      return decoded(this.raw.reason, row);
    }

    judge(row) {
      return this.raw.judge ? decoded(this.raw.judge, row) : null;
    }

    choice(row) {
      return this.raw.choice ? decoded(this.raw.choice, row) : null;
    }

    margin(row) {
      return this.raw.margin ? this.raw.margin[row] : null;
    }

    /** Return one of VERDICTS: what a reader says of the item. */
    verdict(row) {
      const mark = this.raw.correct[row];
      if (mark === "1") return "right";
      if (this.status(row) === "unjudged" || this.credit(row) === null)
        return mark === "0" ? "wrong" : "unjudged";
      if (mark === "-") return "measured";
      return 0 < this.credit(row) && this.credit(row) < this.weight(row) ? "partial" : "wrong";
    }
  }

  function decoded(coded, row) {
    const code = coded.codes[row];
    return code === null || code < 0 ? null : coded.names[code];
  }

  /** Return whether ours is better (1), worse (-1) or equal (0), as gained and lost count it; null where one has no credit. */
  function change(measure, ours, row, theirs, otherRow) {
    let a = ours.credit(row);
    let b = theirs.credit(otherRow);
    if (a === null || b === null) return null;
    const [v, w] = [ours.weight(row), theirs.weight(otherRow)];
    if (v !== w) [a, b] = [a * w, b * v];
    const sign = Math.sign(a - b);
    return measure.higher_is_better ? sign : 0 - sign;
  }

  /** Return a function row -> row of the same item in another index, undefined where it is not there. */
  function rowsIn(index, other) {
    return index === other ? (row) => row : (row) => other.row(index.ids[row]);
  }

  /** Pairs an experiment with another, item by item. */
  class Pairing {
    constructor(study, ours, theirs) {
      this.study = study;
      this.ours = ours;
      this.theirs = theirs;
      this._row = theirs && rowsIn(ours.index, theirs.index);
    }

    /** Return the row of the other side, undefined where the item is not in it. */
    otherRow(row) {
      return this._row ? this._row(row) : undefined;
    }

    /** Return 1, 0, -1 as `change` does; null where there is nothing to compare with. */
    change(row) {
      const other = this.otherRow(row);
      if (other === undefined) return null;
      const measure = this.study.measure(this.ours.category(row));
      return change(measure, this.ours, row, this.theirs, other);
    }

    /** Return "right" or "wrong" for an item that turned so, as the drawing of steps counts it. */
    turn(row) {
      const other = this.otherRow(row);
      if (other === undefined || this.theirs.category(other) === null) return null;
      const [was, is] = [stateOf(this.theirs, other), stateOf(this.ours, row)];
      if (was === "open" || is === "open" || (was === "right") === (is === "right")) return null;
      return is === "right" ? "right" : "wrong";
    }
  }

  const BY_CHANGE = { 1: ["both", "gained"], "-1": ["both", "lost"], 0: ["same"] };

  /** Return the FLIPS that an item is of. */
  function flips(pairing, row) {
    const turn = pairing.turn(row);
    return [...(BY_CHANGE[pairing.change(row)] || []), ...(turn ? [turn] : [])];
  }

  /** Return filter name -> row -> whether it passes, for the filters that are set. */
  function predicates(pairing, filter) {
    const { ours } = pairing;
    const index = ours.index;
    const text = (filter.text || "").trim().toLowerCase();
    const tests = {};
    if (filter.category) tests.category = (row) => ours.category(row) === filter.category;
    if (filter.verdict) tests.verdict = (row) => ours.verdict(row) === filter.verdict;
    if (filter.flip) tests.flip = (row) => flips(pairing, row).includes(filter.flip);
    for (const name of ["status", "reason", "choice", "judge"]) {
      if (filter[name]) tests[name] = (row) => ours[name](row) === filter[name];
    }
    if (text) tests.text = (row) => holds(index, row, text);
    return tests;
  }

  function holds(index, row, text) {
    return (
      (index.label(row) || "").toLowerCase().includes(text) ||
      index.ids[row].toLowerCase().includes(text)
    );
  }

  const FACETS = {
    category: (pairing, row) => pairing.ours.category(row),
    verdict: (pairing, row) => pairing.ours.verdict(row),
    flip: flips,
    status: (pairing, row) => pairing.ours.status(row),
    reason: (pairing, row) => pairing.ours.reason(row),
    judge: (pairing, row) => pairing.ours.judge(row),
    choice: (pairing, row) => pairing.ours.choice(row),
  };

  /** Return the rows that pass, and facet -> value -> how many rows would, were it chosen. */
  function select(pairing, filter) {
    const tests = Object.entries(predicates(pairing, filter));
    const facets = Object.fromEntries(Object.keys(FACETS).map((name) => [name, new Map()]));
    const rows = [];
    for (let row = 0; row < pairing.ours.index.n; row++) {
      if (pairing.ours.category(row) === null) continue;
      const failed = tests.filter(([, passes]) => !passes(row)).map(([name]) => name);
      if (!failed.length) rows.push(row);
      if (failed.length < 2) tally(facets, failed[0], pairing, row);
    }
    return { rows, facets };
  }

  /** Count a row in every facet, or only in the one whose filter alone it fails. */
  function tally(facets, only, pairing, row) {
    for (const name of only ? [only] : Object.keys(FACETS)) {
      const found = name in FACETS ? FACETS[name](pairing, row) : null;
      for (const value of [found].flat()) {
        if (value !== null) facets[name].set(value, (facets[name].get(value) || 0) + 1);
      }
    }
  }

  const STATES = ["right", "wrong", "silent", "open"];
  const SILENT = ["none", "multiple", "nonfinite"];

  /** Return one of STATES: silent is no answer, or several; open is without a verdict. */
  function stateOf(side, row) {
    const verdict = side.verdict(row);
    if (verdict === "right") return "right";
    if (verdict === "unjudged" || verdict === "measured") return "open";
    return verdict === "wrong" && SILENT.includes(side.status(row)) ? "silent" : "wrong";
  }

  /** Return state before -> state after -> number of the items that both sides have. */
  function flow(before, after, category) {
    const other = rowsIn(after.index, before.index);
    const counts = Object.fromEntries(
      STATES.map((from) => [from, Object.fromEntries(STATES.map((to) => [to, 0]))]),
    );
    for (let row = 0; row < after.index.n; row++) {
      const from = other(row);
      const own = after.category(row);
      if (from === undefined || own === null || before.category(from) === null) continue;
      if (category && own !== category) continue;
      counts[stateOf(before, from)][stateOf(after, row)]++;
    }
    return counts;
  }

  app.filters = { ItemIndex, Pairing, VERDICTS, FLIPS, STATES, change, select, flow };
})();
