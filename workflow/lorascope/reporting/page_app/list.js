/** A list of any length of which only what is in sight is in the document; moved through by keys. */
(function () {
  "use strict";
  const app = (globalThis.lorascope = globalThis.lorascope || {});
  const { h } = app.dom;
  const ROW = 58;
  const SPARE = 6;

  class VirtualList {
    /** render(row) returns the contents of an entry; open(row) is called for the one that is chosen. */
    constructor({ label, render, open }) {
      this.rows = [];
      this.active = -1;
      this._render = render;
      this._open = open;
      this._room = h("div", { class: "list-room", role: "presentation" });
      this.element = h(
        "div",
        {
          class: "list",
          role: "listbox",
          tabindex: 0,
          "aria-label": label,
          on: { scroll: () => this._draw(), keydown: (event) => this._key(event) },
        },
        this._room,
      );
      new ResizeObserver(() => this._draw()).observe(this.element);
    }

    /** Show rows, of which one may be the open one. */
    show(rows, open) {
      this.rows = rows;
      this.active = rows.indexOf(open);
      this._room.style.setProperty("height", `${rows.length * ROW}px`);
      if (this.active >= 0) this._reach(this.active);
      else this.element.scrollTop = 0;
      this._draw();
    }

    /** Make the entry at a place the open one. */
    go(place) {
      if (!this.rows.length) return;
      this.active = Math.max(0, Math.min(this.rows.length - 1, place));
      this._reach(this.active);
      this._draw();
      this._open(this.rows[this.active]);
    }

    step(by) {
      this.go(this.active < 0 ? 0 : this.active + by);
    }

    _reach(place) {
      const { scrollTop, clientHeight } = this.element;
      if (place * ROW < scrollTop) this.element.scrollTop = place * ROW;
      else if ((place + 1) * ROW > scrollTop + clientHeight)
        this.element.scrollTop = (place + 1) * ROW - clientHeight;
    }

    _key(event) {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const page = Math.max(1, Math.floor(this.element.clientHeight / ROW) - 1);
      const moves = {
        ArrowDown: () => this.step(1),
        ArrowUp: () => this.step(-1),
        PageDown: () => this.step(page),
        PageUp: () => this.step(-page),
        Home: () => this.go(0),
        End: () => this.go(this.rows.length - 1),
        Enter: () => this.go(Math.max(this.active, 0)),
        " ": () => this.go(Math.max(this.active, 0)),
      };
      if (!(event.key in moves)) return;
      event.preventDefault();
      moves[event.key]();
    }

    _draw() {
      const first = Math.max(0, Math.floor(this.element.scrollTop / ROW) - SPARE);
      const last = Math.min(
        this.rows.length,
        Math.ceil((this.element.scrollTop + this.element.clientHeight) / ROW) + SPARE,
      );
      const shown = [];
      for (let place = first; place < last; place++) shown.push(this._entry(place));
      this._room.replaceChildren(...shown);
      if (this.active >= first && this.active < last)
        this.element.setAttribute("aria-activedescendant", `entry-${this.active}`);
      else this.element.removeAttribute("aria-activedescendant");
    }

    _entry(place) {
      const open = place === this.active;
      return h(
        "div",
        {
          class: open ? "entry open" : "entry",
          role: "option",
          id: `entry-${place}`,
          "aria-selected": String(open),
          "aria-posinset": place + 1,
          "aria-setsize": this.rows.length,
          css: { top: `${place * ROW}px`, height: `${ROW}px` },
          on: { click: () => this.go(place) },
        },
        this._render(this.rows[place]),
      );
    }
  }

  app.VirtualList = VirtualList;
})();
