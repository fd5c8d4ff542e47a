/** The item browser: filters, the list of what passes, and the open item. */
(function () {
  "use strict";
  const app = (globalThis.lorascope = globalThis.lorascope || {});
  const { h, choice, renew, count } = app.dom;
  const { VERDICTS, FLIPS, Pairing, select } = app.filters;
  const FILTERS = [
    "category",
    "metric",
    "verdict",
    "flip",
    "status",
    "reason",
    "choice",
    "judge",
    "text",
  ];
  const MOST_CHOICES = 100;
  let browser = null;

  /** Return the state with what it leaves open: the experiment, and what it is compared with. */
  function completed(study, state) {
    const known = (id) => study.byId.has(id);
    const first = study.tabled().find((one) => !one.is_baseline) || study.experiments[0];
    const experiment = known(state.experiment) ? state.experiment : first.id;
    const usual = study.baselineOf(experiment, state.category);
    const against = known(state.against) ? state.against : usual && usual.id;
    return { ...state, experiment, against: against === experiment ? null : against };
  }

  class Browser {
    constructor(study, indexes, place) {
      this.study = study;
      this.indexes = indexes;
      this.place = place;
      this.list = new app.VirtualList({
        label: "Items",
        render: (row) => this._entry(row),
        open: (row) => this._open(row),
      });
      this.detail = h("article", { class: "detail", "aria-label": "Item", tabindex: -1 });
      this.words = h("p", { class: "matches", role: "status" });
      this._build();
      document.addEventListener("keydown", (event) => this._key(event));
    }

    _build() {
      const ids = this.study.experiments.map((one) => [one.id, one.id]);
      const set = (name) => (value) => this._set({ [name]: value });
      const field = (name, label) => (this.fields[name] = choice(label, [], "", set(name)));
      this.fields = {};
      this.search = h("input", {
        type: "search",
        placeholder: "Question or id",
        autocomplete: "off",
        on: { input: () => this._set({ text: this.search.value }, true) },
      });
      this.experiment = choice("Experiment", ids, "", set("experiment"));
      this.against = choice("Compared with", ids, "", set("against"));
      for (const label of [this.experiment, this.against]) label.classList.add("double");
      const own = [
        ["category", "Category"],
        ["metric", "Metric"],
        ["verdict", "Verdict"],
        ["flip", "Flipped"],
        ["status", "Status"],
        ["reason", "Reason"],
        ["choice", "Choice"],
        ["judge", "Judge"],
      ];
      this.clear = h(
        "button",
        { type: "button", class: "quiet", on: { click: () => this._clear() } },
        "Clear filters",
      );
      const fields = h(
        "div",
        { class: "filters", role: "search", "aria-label": "Filters" },
        this.experiment,
        this.against,
        own.map(([name, label]) => field(name, label)),
        h("label", { class: "field wide" }, h("span", {}, "Search"), this.search),
      );
      const back = h(
        "button",
        { type: "button", class: "back quiet", on: { click: () => this._close() } },
        "← All items",
      );
      const steps = h(
        "div",
        { class: "steps-bar" },
        back,
        h(
          "button",
          { type: "button", class: "quiet", on: { click: () => this.list.step(-1) } },
          "← Previous",
        ),
        h(
          "button",
          { type: "button", class: "quiet", on: { click: () => this.list.step(1) } },
          "Next →",
        ),
        h("span", { class: "muted keys" }, "or keys k and j"),
      );
      this.pane = h("div", { class: "pane" }, steps, this.detail);
      const head = h("div", { class: "bar" }, this.words, this.clear);
      const left = h("div", { class: "left" }, head, this.list.element);
      this.columns = h("div", { class: "columns" }, left, this.pane);
      this.place.replaceChildren(
        h("h1", { class: "visually-hidden" }, "Items"),
        this._folded(fields),
        this.columns,
      );
    }

    /** Return the filters, folded on a phone. */
    _folded(fields) {
      const wide = matchMedia("(min-width: 700px)").matches;
      return h("details", { class: "filter-box", open: wide }, h("summary", {}, "Filters"), fields);
    }

    /** Change settings of the address; filters that only made sense before are kept where they can be. */
    _set(settings, quietly) {
      const next = { ...app.state.current(), ...settings };
      if ("experiment" in settings && next.against === next.experiment) next.against = "";
      app.state.go(next, quietly);
    }

    _clear() {
      const state = app.state.current();
      this._set(Object.fromEntries(FILTERS.map((name) => [name, ""])));
      if (!state.item) this.search.focus();
    }

    _close() {
      this._set({ item: "" });
      this.list.element.focus();
    }

    _open(row) {
      const id = this.pairing.ours.index.ids[row];
      this._set({ item: id }, Boolean(app.state.current().item));
    }

    _key(event) {
      const typing = /^(INPUT|SELECT|TEXTAREA|AUDIO)$/.test(event.target.tagName);
      if (!this.place.isConnected || typing || event.ctrlKey || event.metaKey || event.altKey)
        return;
      const keys = {
        j: () => this.list.step(1),
        k: () => this.list.step(-1),
        "/": () => this.search.focus(),
        Escape: () => this._close(),
      };
      if (!(event.key in keys)) return;
      event.preventDefault();
      keys[event.key]();
    }

    /** Show what the address says. */
    async show(state) {
      const full = completed(this.study, state);
      const filtered = JSON.stringify([
        full.experiment,
        full.against,
        ...FILTERS.map((name) => full[name]),
      ]);
      this.state = full;
      if (filtered !== this._filtered) this._filter(full);
      this._filtered = filtered;
      await this._item(full.item);
    }

    _filter(state) {
      this.pairing = this._pairing(state);
      const { rows, facets } = select(this.pairing, state);
      this.rows = rows;
      const { index } = this.pairing.ours;
      this._fields(state, facets);
      const { experiment, against } = this.pairing;
      this.clear.hidden = !FILTERS.some((name) => state[name]);
      this.words.replaceChildren(
        h("b", {}, `${rows.length.toLocaleString("en")} of ${count(index.n, "item")}`),
        (against && h("span", { class: "muted" }, `${against} → ${experiment}`)) || "",
      );
      this.list.show(rows, state.item ? index.row(state.item) : undefined);
    }

    _pairing({ experiment, against, category, metric }) {
      const of = (id) => this.indexes.find((index) => index.experiments.includes(id));
      const index = of(experiment);
      if (!index) throw new Error(`experiment ${experiment} has no items on this page`);
      const named = (category && index.metricOf(experiment, category)) ?? metric;
      const ours = index.side(experiment, named);
      const other = against && of(against);
      const theirs = other ? other.side(against, ours.metric) : null;
      return Object.assign(new Pairing(this.study, ours, theirs), {
        experiment,
        against: theirs ? against : null,
      });
    }

    /** Fill the drop-downs with what there is, and how many items each would leave. */
    _fields(state, facets) {
      const { ours, against } = this.pairing;
      this.experiment.querySelector("select").value = state.experiment;
      renew(this.against.querySelector("select"), this._others(state), against || "");
      if (document.activeElement !== this.search) this.search.value = state.text || "";
      const metrics = ours.index.metrics(state.experiment);
      const free = metrics.length > 1 && !state.category; // A category has one metric.
      this._field("metric", free ? metrics.map((one) => [one, one]) : [], free ? ours.metric : "");
      const categories = ours.index.categories(state.experiment);
      const counted = (name) =>
        metrics.length > 1 ? name : labelled(name, facets.category.get(name) || 0);
      this._field(
        "category",
        [["", "all"], ...categories.map((one) => [one, counted(one)])],
        state.category,
      );
      this._field("verdict", facetOptions(facets.verdict, VERDICTS), state.verdict);
      this._field("flip", against ? flipOptions(facets.flip, state.flip) : [], state.flip);
      for (const name of ["status", "reason", "choice", "judge"])
        this._field(name, facetOptions(facets[name]), state[name]);
    }

    /** Return what the chosen experiment can be compared with; the baseline, until another is chosen, with nothing. */
    _others({ experiment, against }) {
      const others = this.study.experiments.filter((one) => one.id !== experiment);
      const named = others.map((one) => [
        one.id,
        one.is_baseline ? `${one.id} (baseline)` : one.id,
      ]);
      return against ? named : [["", "nothing"], ...named];
    }

    /** Fill a drop-down; without a choice to make it is not shown. */
    _field(name, options, value) {
      const label = this.fields[name];
      renew(label.querySelector("select"), options, value || "");
      label.hidden = options.length < 2 && !value;
      label.classList.toggle("set", Boolean(value) && name !== "metric");
    }

    _entry(row) {
      const { ours, theirs } = this.pairing;
      const other = this.pairing.otherRow(row);
      const before =
        other === undefined || theirs.category(other) === null
          ? null
          : [
              app.replies.glyph(theirs.verdict(other)),
              h("span", { class: "arrow", "aria-label": "to" }, "→"),
            ];
      const label = ours.index.label(row) || ours.index.ids[row];
      return [
        h("span", { class: "marks" }, before, app.replies.glyph(ours.verdict(row))),
        h(
          "span",
          { class: "entry-text" },
          h("span", { class: "entry-label" }, label),
          h("span", { class: "muted" }, `${ours.category(row)} · ${ours.index.ids[row]}`),
        ),
      ];
    }

    async _item(id) {
      const row = id ? this.pairing.ours.index.row(id) : undefined;
      this.columns.classList.toggle("has-item", row !== undefined);
      const shown = JSON.stringify([this._filtered, id]);
      if (shown === this._shown) return;
      this._shown = shown;
      if (row === undefined) return this._empty(id);
      this.list.show(this.rows, row);
      const parts = await app.item.elements(this.study, this.indexes, this.pairing, row);
      if (this._shown !== shown) return;
      this.detail.replaceChildren(...parts.flat(2).filter(Boolean));
      this.pane.scrollTop = 0;
    }

    _empty(id) {
      const said = id
        ? `Experiment ${this.state.experiment} has no item ${id}.`
        : "Choose an item to read, see and hear it.";
      this.detail.replaceChildren(h("p", { class: "muted empty" }, said));
    }
  }

  const labelled = (text, n) => `${text} (${n.toLocaleString("en")})`;

  /** Return the options of a facet, the most frequent first; names: value -> what to call it. */
  function facetOptions(facet, names) {
    const values = [...facet].sort((a, b) => b[1] - a[1]).slice(0, MOST_CHOICES);
    return values.length
      ? [
          ["", "any"],
          ...values.map(([value, n]) => [
            value,
            labelled(names ? names[value] : value || "(none)", n),
          ]),
        ]
      : [];
  }

  /** Return the options of flips; what turned right or wrong only where that is not what was gained and lost. */
  function flipOptions(facet, chosen) {
    const n = (name) => facet.get(name) || 0;
    const alike = n("right") === n("gained") && n("wrong") === n("lost");
    const names = Object.keys(FLIPS).filter(
      (name) => name === chosen || !alike || !["right", "wrong"].includes(name),
    );
    return [["", "any"], ...names.map((name) => [name, labelled(FLIPS[name], n(name))])];
  }

  /** Show the browser of a study in a place. */
  async function show(study, place, state) {
    if (!browser) {
      place.replaceChildren(h("p", { class: "muted" }, "Reading the items …"));
      const indexes = await study.indexes();
      browser ||= new Browser(study, indexes, place);
    }
    await browser.show(app.state.current().view === "items" ? app.state.current() : state);
  }

  app.browser = { show };
})();
