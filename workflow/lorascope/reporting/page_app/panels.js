/** Panels of values against scaling, drawn by uPlot: one for each category. */
(function () {
  "use strict";
  const app = (globalThis.lorascope = globalThis.lorascope || {});
  const { h } = app.dom;
  const { grouped, isNumber } = app.tools;
  const { TITLES, title, unit, range, isFar, reading } = app.axes;
  // Okabe and Ito's palette (--line-0 and on); a shape and dashes of its own tell each line apart without colour.
  const COLOURS = 6;
  const DASHES = [[], [6, 3], [2, 3], [8, 3, 2, 3]];
  const SHAPES = ["circle", "square", "diamond", "triangle"];
  const BASES = [
    [6, 4],
    [10, 3, 2, 3],
    [3, 2],
    [14, 5],
  ];
  const FEW = 12;

  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const look = (i) => ({
    colour: `--line-${i % COLOURS}`,
    dash: DASHES[i % 4],
    shape: SHAPES[i % 4],
  });

  /** Return the points of a line at each scaling: those of uPlot's columns. */
  function columns(points, lines, scalings) {
    return lines.map((line) =>
      scalings.map(
        (scaling) => points.find((p) => p.line === line && p.scaling === scaling) || null,
      ),
    );
  }

  function marker(context, shape, x, y, r) {
    context.beginPath();
    if (shape === "circle") context.arc(x, y, r, 0, 2 * Math.PI);
    else if (shape === "square") context.rect(x - r, y - r, 2 * r, 2 * r);
    else if (shape === "diamond")
      polygon(context, [
        [x, y - 1.4 * r],
        [x + 1.4 * r, y],
        [x, y + 1.4 * r],
        [x - 1.4 * r, y],
      ]);
    else
      polygon(context, [
        [x, y - 1.3 * r],
        [x + 1.3 * r, y + r],
        [x - 1.3 * r, y + r],
      ]);
    context.fill();
  }

  function polygon(context, corners) {
    corners.forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
    context.closePath();
  }

  /** Draw the intervals of a line: a band where it is alone, whiskers among others. */
  function intervals(u, line, { colour }, alone) {
    const known = line.filter(
      (p) => p && isNumber(p.low) && isNumber(p.high) && Number.isFinite(p.high),
    );
    const at = (p, value) => [u.valToPos(p.scaling, "x", true), u.valToPos(value, "y", true)];
    u.ctx.save();
    u.ctx.globalAlpha = alone ? 0.16 : 0.55;
    u.ctx.fillStyle = u.ctx.strokeStyle = css(colour);
    u.ctx.lineWidth = 1.3 * devicePixelRatio;
    u.ctx.beginPath();
    if (alone && known.length > 1) {
      polygon(u.ctx, [
        ...known.map((p) => at(p, p.high)),
        ...known.map((p) => at(p, p.low)).reverse(),
      ]);
      u.ctx.fill();
    } else {
      for (const p of known) {
        u.ctx.moveTo(...at(p, p.low));
        u.ctx.lineTo(...at(p, p.high));
      }
      u.ctx.stroke();
    }
    u.ctx.restore();
  }

  function level(u, value, colour, dash) {
    if (!isNumber(value)) return;
    const y = u.valToPos(value, "y", true);
    u.ctx.save();
    u.ctx.strokeStyle = colour;
    u.ctx.lineWidth = devicePixelRatio;
    u.ctx.setLineDash(dash.map((one) => one * devicePixelRatio));
    u.ctx.beginPath();
    u.ctx.moveTo(u.bbox.left, y);
    u.ctx.lineTo(u.bbox.left + u.bbox.width, y);
    u.ctx.stroke();
    u.ctx.restore();
  }

  function markers(u, lines, looks) {
    lines.forEach((line, i) => {
      u.ctx.fillStyle = css(looks[i].colour);
      for (const p of line.filter(Boolean)) {
        marker(
          u.ctx,
          looks[i].shape,
          u.valToPos(p.scaling, "x", true),
          u.valToPos(p.value, "y", true),
          3.2 * devicePixelRatio,
        );
      }
    });
  }

  function options(panel, width, height, words) {
    const { lines, measure, scalings, ends } = panel;
    const looks = lines.map((_, i) => look(i));
    const axis = {
      stroke: css("--muted"),
      grid: { stroke: css("--line"), width: 1 },
      ticks: { show: false },
      font: "11px system-ui, sans-serif",
    };
    const even =
      scalings.length <= FEW
        ? { splits: () => scalings, values: () => spaced(scalings, width) }
        : {};
    const span = scalings.at(-1) - scalings[0] || 1;
    return {
      width,
      height,
      padding: [8, 10, 0, 0],
      legend: { show: false },
      cursor: {
        sync: { key: "scalings" },
        y: false,
        drag: { x: false, y: false },
        points: { show: false },
      },
      scales: {
        x: { time: false, range: [scalings[0] - 0.05 * span, scalings.at(-1) + 0.05 * span] },
        y: { range: ends, distr: isFar(measure, ends) ? 3 : 1 },
      },
      axes: [
        { ...axis, ...even, size: 26, gap: 3 },
        { ...axis, size: 44, gap: 3 },
      ],
      series: [
        {},
        ...looks.map(({ colour, dash }) => ({
          stroke: css(colour),
          width: 2,
          dash,
          points: { show: false },
          spanGaps: true,
        })),
      ],
      hooks: {
        drawAxes: [
          (u) => lines.forEach((line, i) => intervals(u, line, looks[i], lines.length === 1)),
        ],
        draw: [
          (u) => {
            level(u, panel.chance, css("--muted"), [1.5, 3]);
            panel.bases.forEach(({ value }, i) =>
              level(u, value, css("--ink"), BASES[i % BASES.length]),
            );
            markers(u, lines, looks);
          },
        ],
        setCursor: [
          (u) => (words.textContent = reading(panel, u.cursor.left >= 0 ? u.cursor.idx : null)),
        ],
      },
    };
  }

  /** Return the labels of scalings, without those that would run into the one before. */
  function spaced(scalings, width) {
    const room = (width - 60) / (scalings.at(-1) - scalings[0] || 1);
    let last = -Infinity;
    return scalings.map((one) => {
      if ((one - last) * room < 22) return "";
      last = one;
      return String(one);
    });
  }

  function panelOf(study, category, scalings, names) {
    const measure = study.measure(category);
    const points = study.points().filter((p) => p.category === category && isNumber(p.value));
    const lines = columns(points, names, scalings);
    const bases = study.levels(category);
    const chance = isNumber(measure.chance) ? measure.chance : null;
    const numbers = [
      ...points.flatMap((p) => [p.value, p.low, p.high]),
      ...bases.map((one) => one.value),
      chance,
    ];
    return { category, measure, scalings, names, lines, bases, chance, numbers };
  }

  /** Return the panels of a sweep, those of one measure on common ends. */
  function panels(study, names) {
    const points = study.points().filter((p) => isNumber(p.scaling));
    const scalings = [...new Set(points.map((p) => p.scaling))].sort((a, b) => a - b);
    const all = study.charted().map((category) => panelOf(study, category, scalings, names));
    const drawn = all.filter((one) => one.lines.flat().some(Boolean));
    for (const same of grouped(drawn, (one) =>
      JSON.stringify([one.measure.title, one.measure.scale]),
    ).values()) {
      const ends = range(
        same[0].measure,
        same.flatMap((one) => one.numbers),
      );
      same.forEach((one) => (one.ends = ends));
    }
    return drawn;
  }

  function described(panel) {
    const texts = panel.scalings.map((_, i) =>
      panel.lines.some((line) => line[i]) ? reading(panel, i) : "",
    );
    return `${title(panel.category)}, ${unit(panel.measure)}: ${texts.filter(Boolean).join("; ")}. ${reading(panel, null)}`;
  }

  /** Return a panel's height: the big one is as high as two rows of others. */
  function heightOf(place) {
    if (place.classList.contains("big") && matchMedia("(min-width: 960px)").matches) return 404;
    return place.classList.contains("wide") ? 260 : 170;
  }

  /** Put a panel into its place, anew with every width and theme. */
  function mount(panel, place, words) {
    const host = place.querySelector(".plot");
    const data = [
      panel.scalings,
      ...panel.lines.map((line) =>
        line.map((p) => (p && Number.isFinite(p.value) ? p.value : null)),
      ),
    ];
    let chart = null;
    const draw = () => {
      const width = Math.floor(host.clientWidth);
      if (!width) return;
      if (chart) chart.destroy();
      chart = new uPlot(options(panel, width, heightOf(place), words), data, host);
    };
    let last = 0;
    new ResizeObserver(() => {
      if (Math.abs(host.clientWidth - last) < 2) return;
      last = host.clientWidth;
      draw();
    }).observe(host);
    document.addEventListener("theme", () => host.isConnected && draw());
  }

  function panelElement(panel, all) {
    const wide = panel.category in TITLES || all.length === 1;
    const words = h("p", { class: "reading" }, reading(panel, null));
    const place = h(
      "div",
      { class: `panel${wide ? " wide" : ""}${wide && all.length > 4 ? " big" : ""}` },
      h("h3", {}, title(panel.category), h("span", { class: "unit" }, unit(panel.measure))),
      words,
      h("div", { class: "plot", role: "img", "aria-label": described(panel) }),
    );
    mount(panel, place, words);
    return place;
  }

  app.panels = { panels, panelElement, look, BASES, FEW };
})();
