/** Values by experiment, for those that differ in something else than scaling. */
(function () {
  "use strict";
  const app = (globalThis.lorascope = globalThis.lorascope || {});
  const { h } = app.dom;
  const { isNumber } = app.tools;
  const { title, unit, range, isFar, reading, said } = app.axes;

  const X = 100;

  function dotRow(p, measure, place, bases) {
    const at = (value) => `${place(value)}%`;
    const ends = isNumber(p.low) && Number.isFinite(p.high);
    return h(
      "li",
      { class: "dots-row" },
      h("span", { class: "dots-name", title: p.experiment }, p.experiment),
      h(
        "span",
        { class: "dots-track" },
        bases.map(({ name, value }) =>
          h("i", { class: "dots-base", title: name, css: { left: at(value) } }),
        ),
        isNumber(measure.chance) &&
          h("i", { class: "dots-chance", css: { left: at(measure.chance) } }),
        ends &&
          h("i", {
            class: "dots-range",
            css: { left: at(p.low), width: `${place(p.high) - place(p.low)}%` },
          }),
        h("i", { class: "dots-dot", css: { left: at(p.value) } }),
      ),
      h("span", { class: "dots-value" }, said(p, "", measure)),
    );
  }

  function dotList(study, category) {
    const measure = study.measure(category);
    const points = study
      .points()
      .filter((p) => p.category === category && Number.isFinite(p.value));
    const bases = study.levels(category);
    const [low, high] = range(measure, [
      ...points.flatMap((p) => [p.value, p.low, p.high]),
      ...bases.map((one) => one.value),
      measure.chance,
    ]);
    const far = isFar(measure, [low, high]);
    const on = far ? Math.log : (x) => x;
    const place = (value) =>
      Math.max(0, Math.min(X, (X * (on(value) - on(low))) / (on(high) - on(low))));
    const said = [
      bases.length > 0 && `dashed: ${reading({ bases, measure }, null)}`,
      isNumber(measure.chance) &&
        `dotted: ${reading({ bases: [], chance: measure.chance, measure }, null)}`,
    ];
    const words = said.filter(Boolean).join("; ");
    return [
      h(
        "p",
        { class: "muted" },
        `${unit(measure)}${far ? ", logarithmic" : ""} with 95 % intervals${words ? `; ${words}` : ""}`,
      ),
      h(
        "ol",
        { class: "dots scroll", tabindex: 0 },
        points.map((p) => dotRow(p, measure, place, bases)),
      ),
    ];
  }

  /** Return a chart of values by experiment, one category at a time. */
  function dots(study) {
    const categories = study.charted();
    const place = h("div", {});
    const show = (category) => place.replaceChildren(...dotList(study, category));
    show(categories[0]);
    const picker =
      categories.length > 1 &&
      app.dom.choice(
        "Category",
        categories.map((one) => [one, title(one)]),
        categories[0],
        show,
      );
    return h("div", {}, h("div", { class: "bar" }, picker), place);
  }

  app.dots = dots;
})();
