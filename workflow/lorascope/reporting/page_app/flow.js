/** Where items go right or wrong from scaling to scaling, or from the baseline to each experiment. */
(function () {
  "use strict";
  const app = (globalThis.lorascope = globalThis.lorascope || {});
  const { h, s, choice } = app.dom;
  const { flow, STATES } = app.filters;
  const HEIGHT = 190;
  const NODE = 10;
  const GAP = 10;
  const TOP = 18;
  const STEP = 130;
  const NAMES = { right: "right", wrong: "wrong", silent: "no single answer", open: "no verdict" };
  const MOST_STEPS = 15;

  /** Return what can be followed: lines of a sweep, else the baseline beside each experiment. */
  function ways(study) {
    const lines = study.lines();
    if (lines.length)
      return lines.map((line) => ({
        name: named(line, lines),
        steps: line.slice(1).map((to, i) => [line[i], to]),
        drawn: line.length <= MOST_STEPS,
      }));
    const steps = study.experiments
      .map((to) => [study.baselineOf(to.id), to])
      .filter(([from, to]) => from && from !== to);
    return steps.length ? [{ name: "", steps, drawn: false }] : [];
  }

  function named(line, all) {
    const name = line[0].line || line[0].base;
    const twice = all.filter((one) => (one[0].line || one[0].base) === name).length > 1;
    return twice ? `${name}, ${line[0].dataset}` : name;
  }

  /** Return an experiment's name in steps: its scaling where that is all they differ in. */
  const short = (experiment, drawn) => (drawn ? String(experiment.amount) : experiment.id);

  /** Return {from, to, counts} of each step in a category, "" for all. */
  function counted(study, indexes, steps, category) {
    const of = (experiment) => indexes.get(experiment.dataset);
    return steps.map(([from, to]) => {
      const metric = of(to).metricOf(to.id, category) ?? of(to).metrics(to.id)[0];
      const [before, after] = [of(from).side(from.id, metric), of(to).side(to.id, metric)];
      return summed(from, to, flow(before, after, category));
    });
  }

  const sum = (numbers) => numbers.reduce((a, b) => a + b, 0);

  /** Return a step with what a reader asks of it: gained, lost, kept, missed and open items. */
  function summed(from, to, counts) {
    const failed = ["wrong", "silent"];
    const gained = sum(failed.map((one) => counts[one].right));
    const lost = sum(failed.map((one) => counts.right[one]));
    const missed = sum(failed.flatMap((one) => failed.map((two) => counts[one][two])));
    const items = sum(STATES.flatMap((one) => Object.values(counts[one])));
    const kept = counts.right.right;
    return {
      from,
      to,
      counts,
      gained,
      lost,
      kept,
      missed,
      items,
      open: items - gained - lost - missed - kept,
    };
  }

  function ribbon(x0, x1, y0, y1, size) {
    const mid = (x0 + x1) / 2;
    return `M${x0},${y0}C${mid},${y0} ${mid},${y1} ${x1},${y1}v${size}C${mid},${y1 + size} ${mid},${y0 + size} ${x0},${y0 + size}Z`;
  }

  /** Return state -> where its part of a column begins; sizes: state -> number of items. */
  function stacked(sizes, scale) {
    let y = TOP;
    return Object.fromEntries(
      STATES.map((state) => {
        const start = y;
        if (sizes[state]) y += sizes[state] * scale + GAP;
        return [state, start];
      }),
    );
  }

  const before = ({ counts }) =>
    Object.fromEntries(STATES.map((one) => [one, sum(Object.values(counts[one]))]));
  const after = ({ counts }) =>
    Object.fromEntries(STATES.map((one) => [one, sum(STATES.map((from) => counts[from][one]))]));

  /** Return the ribbons of a step, those that turn right or wrong above the others. */
  function ribbons(step, x, scale) {
    const [left, right] = [stacked(before(step), scale), stacked(after(step), scale)];
    const drawn = STATES.flatMap((from) =>
      STATES.filter((to) => step.counts[from][to]).map((to) => {
        const n = step.counts[from][to];
        const kind =
          from === to ? "same" : to === "right" ? "gained" : from === "right" ? "lost" : "moved";
        const path = ribbon(x + NODE, x + STEP, left[from], right[to], n * scale);
        left[from] += n * scale;
        right[to] += n * scale;
        const words = `${short(step.from, true)} to ${short(step.to, true)}: ${n} ${NAMES[from]}, then ${NAMES[to]}`;
        return s("path", { class: `ribbon ${kind}`, d: path }, s("title", {}, words));
      }),
    );
    return drawn.sort(
      (a, b) =>
        /gained|lost/.test(a.getAttribute("class")) - /gained|lost/.test(b.getAttribute("class")),
    );
  }

  function column(x, sizes, scale, label) {
    const starts = stacked(sizes, scale);
    const bars = STATES.filter((one) => sizes[one]).map((one) =>
      s(
        "rect",
        { class: `node ${one}`, x, y: starts[one], width: NODE, height: sizes[one] * scale },
        s("title", {}, `${label}: ${sizes[one]} ${NAMES[one]}`),
      ),
    );
    return [
      s("text", { class: "flow-label", x: x + NODE / 2, y: 11, "text-anchor": "middle" }, label),
      bars,
    ];
  }

  /** Return an alluvial drawing of a sweep's items; null without any. */
  function drawing(found) {
    const most = Math.max(...found.map((one) => one.items));
    if (!most) return null;
    const scale = (HEIGHT - 3 * GAP) / most;
    const columns = [
      [found[0].from, before(found[0])],
      ...found.map((one) => [one.to, after(one)]),
    ];
    const width = STEP * found.length + NODE + 40;
    const svg = s(
      "svg",
      { viewBox: `0 0 ${width} ${HEIGHT + TOP + 4}`, css: { "max-width": `${width * 1.25}px` } },
      found.flatMap((one, i) => ribbons(one, 20 + i * STEP, scale)),
      columns.flatMap(([one, sizes], i) => column(20 + i * STEP, sizes, scale, short(one, true))),
    );
    const there = STATES.filter((one) => columns.some(([, sizes]) => sizes[one]));
    const key = there.map((one) =>
      h("li", {}, h("i", { class: `key ${one}`, "aria-hidden": "true" }), NAMES[one]),
    );
    const turns = [
      ["gained", "turns right"],
      ["lost", "turns wrong"],
    ].map(([kind, words]) =>
      h("li", {}, h("i", { class: `key ${kind}`, "aria-hidden": "true" }), words),
    );
    return h(
      "div",
      { class: "flow-drawing" },
      h("ul", { class: "legend" }, h("li", { class: "muted" }, "From top to bottom:"), key, turns),
      h("div", { "aria-hidden": "true" }, svg),
    );
  }

  function linked(kind, step, category) {
    const n = step[kind];
    const flip = kind === "gained" ? "right" : "wrong";
    if (!n) return h("td", { class: "number" }, "0");
    const settings = {
      view: "items",
      experiment: step.to.id,
      against: step.from.id,
      category,
      flip,
    };
    return h(
      "td",
      { class: `number ${kind}` },
      h(
        "a",
        {
          href: app.state.link(settings),
          "aria-label": `${n} turned ${flip} from ${step.from.id} to ${step.to.id}. Open them`,
        },
        `${flip === "right" ? "+" : "−"}${n}`,
      ),
    );
  }

  function stepRow(step, category, swept) {
    const number = (n) => h("td", { class: "number" }, n.toLocaleString("en"));
    const strip = ["kept", "gained", "lost", "missed", "open"]
      .filter((kind) => step[kind])
      .map((kind) => h("i", { class: `strip-part ${kind}`, css: { "flex-grow": step[kind] } }));
    return h(
      "tr",
      {},
      h(
        "th",
        { scope: "row" },
        short(step.from, swept),
        h("span", { class: "arrow" }, " → "),
        short(step.to, swept),
      ),
      linked("gained", step, category),
      linked("lost", step, category),
      number(step.kept),
      number(step.missed),
      number(step.open),
      h("td", { class: "wide-only" }, h("span", { class: "strip", "aria-hidden": "true" }, strip)),
    );
  }

  function tableOf(found, category, swept) {
    const heads = [
      "From → to",
      "turned right",
      "turned wrong",
      "right in both",
      "right in neither",
      "no verdict",
    ];
    return h(
      "div",
      { class: "scroll" },
      h(
        "table",
        { class: "steps" },
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            heads.map((name, i) => h("th", { scope: "col", class: i ? "number" : "" }, name)),
            h("th", { class: "wide-only" }),
          ),
        ),
        h(
          "tbody",
          {},
          found.map((step) => stepRow(step, category, swept)),
        ),
      ),
    );
  }

  function shownWay(study, indexes, way, picker, place) {
    const [, to] = way.steps[0];
    const index = indexes.get(to.dataset);
    const names = index.categories(to.id);
    const metrics = index.metrics(to.id).length;
    const result = h("div", {});
    const show = (category) => {
      const found = counted(study, indexes, way.steps, category);
      result.replaceChildren(
        (way.drawn && drawing(found)) || "",
        tableOf(found, category, way.name !== ""),
      );
    };
    const options = [
      ...(metrics > 1 ? [] : [["", "All items"]]),
      ...names.map((one) => [one, one]),
    ];
    show(options[0][0]);
    picker.replaceChildren(
      options.length > 1 ? choice("Category", options, options[0][0], show) : "",
    );
    place.replaceChildren(result);
  }

  /** Return the figure, which fills itself when the items are read; null where nothing is compared. */
  function figure(study) {
    const all = ways(study);
    if (!all.length) return null;
    const place = h(
      "div",
      { class: "flow-place" },
      h("p", { class: "muted" }, "Reading the items …"),
    );
    const second = h("div", {});
    const fill = (name) =>
      study
        .indexes()
        .then((list) =>
          shownWay(
            study,
            new Map(list.map((one) => [one.dataset, one])),
            all.find((way) => way.name === name),
            second,
            place,
          ),
        )
        .catch((error) => place.replaceChildren(h("p", { class: "problem" }, error.message)));
    fill(all[0].name);
    const picker =
      all.length > 1 &&
      choice(
        "Line",
        all.map((way) => [way.name, way.name]),
        all[0].name,
        fill,
      );
    return h("div", { class: "flow" }, h("div", { class: "bar" }, picker, second), place);
  }

  app.flow = figure;
})();
