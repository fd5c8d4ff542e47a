/** Elements, numbers and words. Every text from data becomes a text node, never markup. */
(function () {
  "use strict";
  const app = (globalThis.lorascope = globalThis.lorascope || {});
  const SVG = "http://www.w3.org/2000/svg";

  function set(element, name, value) {
    if (value === null || value === undefined || value === false) return;
    if (name === "on") {
      for (const [event, act] of Object.entries(value)) element.addEventListener(event, act);
    } else if (name === "css") {
      for (const [key, of] of Object.entries(value)) element.style.setProperty(key, of);
    } else if (name === "data") {
      Object.assign(element.dataset, value);
    } else element.setAttribute(name, value === true ? "" : String(value));
  }

  function fill(element, props, children) {
    for (const [name, value] of Object.entries(props || {})) set(element, name, value);
    element.append(
      ...children
        .flat(Infinity)
        .filter((one) => one !== null && one !== undefined && one !== false),
    );
    return element;
  }

  /** Return an element: h("p", {class: "x", on: {click}}, "text", child); empty children are left out. */
  const h = (tag, props, ...children) => fill(document.createElement(tag), props, children);
  /** Return an element of SVG. */
  const s = (tag, props, ...children) => fill(document.createElementNS(SVG, tag), props, children);

  /** Return a number with so many decimals, "" for none; a real minus, so that signs align. */
  function fixed(value, decimals) {
    if (typeof value !== "number" || Number.isNaN(value)) return "";
    if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
    return value
      .toFixed(decimals)
      .replace(/^-(?=0(\.0*)?$)/, "")
      .replace("-", "−");
  }

  /** Return a number with about so many significant digits. */
  function significant(value, digits) {
    if (typeof value !== "number" || !Number.isFinite(value)) return fixed(value, 0);
    if (value === 0) return "0";
    return Number(value.toPrecision(digits)).toString().replace("-", "−");
  }

  /** Return a value in the unit of its measure. */
  const inUnit = (measure, value) =>
    measure.scale === "percent" ? fixed(value, 1) : significant(value, 4);

  /** Return a difference with its sign. */
  function signed(measure, value) {
    const text = inUnit(measure, value);
    return value > 0 && !/^[0.]*$/.test(text) ? `+${text}` : text;
  }

  const count = (n, one, many) => `${n.toLocaleString("en")} ${n === 1 ? one : many || `${one}s`}`;

  /** Return a labelled drop-down; options: [value, text] each. */
  function choice(label, options, value, change, extra) {
    const select = h("select", {
      "aria-label": label,
      on: { change: () => change(select.value) },
      ...extra,
    });
    renew(select, options, value);
    return h("label", { class: "field" }, h("span", {}, label), select);
  }

  /** Replace the options of a drop-down, keeping one that is chosen though it is none of them. */
  function renew(select, options, value) {
    const known = options.some(([key]) => key === value);
    const all = known || !value ? options : [...options, [value, `${value} (0)`]];
    select.replaceChildren(...all.map(([key, text]) => h("option", { value: key }, text)));
    select.value = value;
  }

  /** Return buttons of which one is pressed; options: [value, text] each. */
  function segments(label, options, value, change) {
    const buttons = options.map(([key, text]) =>
      h(
        "button",
        { type: "button", "aria-pressed": String(key === value), on: { click: () => press(key) } },
        text,
      ),
    );
    function press(key) {
      buttons.forEach((button, i) =>
        button.setAttribute("aria-pressed", String(options[i][0] === key)),
      );
      change(key);
    }
    return h("div", { class: "segments", role: "group", "aria-label": label }, buttons);
  }

  app.dom = { h, s, fixed, significant, inUnit, signed, count, choice, renew, segments };
})();
