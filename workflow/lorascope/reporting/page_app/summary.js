/** The summary: what the study is, its charts, and where its items went. */
(function () {
  "use strict";
  const app = (globalThis.lorascope = globalThis.lorascope || {});
  const { h, count } = app.dom;

  function fact(name, value) {
    return h("div", {}, h("dt", {}, name), h("dd", {}, value));
  }

  const AMOUNTS = { "LoRA scaling": "LoRA scalings", strength: "Strengths" };

  function facts(study) {
    const items = study.datasets.reduce((sum, one) => sum + one.items, 0);
    const scalings = new Set(
      study.experiments.map((one) => one.amount).filter(app.tools.isNumber),
    );
    const baselines = study.experiments.filter((one) => one.is_baseline).map((one) => one.id);
    return h(
      "dl",
      { class: "facts" },
      fact("Experiments", String(study.experiments.length)),
      study.raw.swept && fact(AMOUNTS[study.raw.axis] || "Scalings, strengths", String(scalings.size)),
      fact("Categories", String(study.categories.length)),
      fact(
        study.datasets.length > 1 ? `Items in ${study.datasets.length} datasets` : "Items",
        items.toLocaleString("en"),
      ),
      baselines.length > 0 &&
        fact(
          "Baseline",
          baselines.length > 2 ? `${baselines.length} experiments` : baselines.join(", "),
        ),
    );
  }

  /** Return notes: a few at once, more behind their number. */
  function notes(study) {
    const texts = [...(study.raw.notes || []), ...(study.raw.remarks || [])];
    if (!texts.length) return null;
    const list = h(
      "ul",
      {},
      texts.map((text) => h("li", {}, text.replace(/\*\*|`/g, ""))),
    );
    const head = h(
      "summary",
      {},
      count(texts.length, "thing to know", "things to know"),
      " before comparing",
    );
    return h("details", { class: "notes", open: texts.length <= 2 }, head, list);
  }

  function figure(title, lead, content) {
    if (!content) return null;
    return h(
      "section",
      { class: "figure" },
      h("h2", {}, title),
      lead && h("p", { class: "lead" }, lead),
      content,
    );
  }

  function downloads(study) {
    const files = study.raw.files || [];
    if (!files.length) return null;
    return h(
      "p",
      { class: "files muted" },
      "Beside this page: ",
      files.map((name, i) => [
        i ? " · " : "",
        h("a", { href: `../${encodeURIComponent(name)}` }, name),
      ]),
    );
  }

  /** Return the summary of a study. */
  function summary(study) {
    const { title, description, study: name, swept, axis } = study.raw;
    return h(
      "div",
      { class: "summary" },
      h(
        "div",
        { class: "intro" },
        h("h1", {}, title || name),
        description && h("p", { class: "lead" }, description),
        facts(study),
        notes(study),
      ),
      figure(swept ? `Against ${axis}` : "By experiment", null, app.charts.values(study)),
      figure(
        "By experiment and category",
        "Choose a cell to read and hear the items behind it.",
        app.matrix(study),
      ),
      figure(
        "What the replies were",
        "Shares of all replies in percent. A wrong answer and no answer are told apart.",
        app.outcomes(study),
      ),
      figure(
        study.lines().length ? "From scaling to scaling" : "From the baseline",
        "How many items turn right or wrong from one to the next.",
        app.flow(study),
      ),
      downloads(study),
    );
  }

  app.summary = summary;
})();
