/** Axes: what a category's values are in, and where they lie; and what they are in words. */
(function () {
  "use strict";
  const app = (globalThis.lorascope = globalThis.lorascope || {});
  const { inUnit } = app.dom;
  const { isNumber, ALL_ITEMS, MEAN } = app.tools;

  const TITLES = { [ALL_ITEMS]: "All items", [MEAN]: "Mean over categories" };
  const title = (category) => TITLES[category] || category;

  function unit(measure) {
    const better = measure.higher_is_better ? "" : ", lower is better";
    return `${measure.title}${measure.scale === "percent" ? " (%)" : ""}${better}`;
  }

  /** Return the ends of an axis around numbers; of bounded percent, within 0 and 100. */
  function range(measure, numbers) {
    const known = numbers.filter((one) => isNumber(one) && Number.isFinite(one));
    if (!known.length) return [0, 1];
    const [least, most] = [Math.min(...known), Math.max(...known)];
    const room = 0.08 * (most - least || Math.abs(most) || 1);
    if (measure.scale === "percent" && measure.bounded)
      return [Math.max(-2, least - room), Math.min(102, most + room)];
    return [least > 0 ? Math.max(least - room, least / 2) : least - room, most + room];
  }

  const isFar = (measure, [low, high]) =>
    measure.scale === "exponential" && low > 0 && high > 20 * low;

  /** Return what a panel says: of the scaling under the pointer, or of its levels. */
  function reading(panel, at) {
    const { lines, names, measure } = panel;
    if (at === null || at === undefined) {
      const parts = panel.bases.map(
        ({ name, value }) => `${name || "baseline"} ${inUnit(measure, value)}`,
      );
      return [
        ...parts,
        ...(isNumber(panel.chance) ? [`chance ${inUnit(measure, panel.chance)}`] : []),
      ].join(" · ");
    }
    const parts = lines
      .map((line, i) => line[at] && said(line[at], lines.length > 1 ? names[i] : "", measure))
      .filter(Boolean);
    return `at ${panel.scalings[at]}: ${parts.join(" · ")}`;
  }

  function said(p, name, measure) {
    const interval = isNumber(p.low)
      ? ` (${inUnit(measure, p.low)}–${inUnit(measure, p.high)})`
      : "";
    return `${name ? `${name} ` : ""}${inUnit(measure, p.value)}${interval}`;
  }

  app.axes = { TITLES, title, unit, range, isFar, reading, said };
})();
