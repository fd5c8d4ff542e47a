/** What an item asks: its question, what stands before it, its clip, its options and its gold. */
(function () {
  "use strict";
  const app = (globalThis.lorascope = globalThis.lorascope || {});
  const { h, fixed, count } = app.dom;
  const { isNumber, isText } = app.tools;
  const LONG = 600;

  /** Return a text, folded where it is long. */
  function passage(name, text) {
    if (!isText(text) || !text) return null;
    const body = h("p", { class: "said", dir: "auto" }, text);
    return h(
      "details",
      { class: "context", open: text.length <= LONG },
      h("summary", {}, name),
      body,
    );
  }

  /** Return what stands before continuations whose likelihoods are read, where the question does not say it. */
  function contexts(item) {
    const unlike = [...new Set(item.contexts || [])].filter(
      (text) => text.trim() !== (item.question || "").trim(),
    );
    return unlike.map((text, i) =>
      passage(unlike.length > 1 ? `Context ${i + 1}` : "Context", text),
    );
  }

  function turns(list) {
    if (!list || !list.length) return null;
    const lines = list.flatMap(([asked, answered]) => [
      h("dt", {}, "Question"),
      h("dd", { dir: "auto" }, asked),
      h("dt", {}, "Answer"),
      h("dd", { dir: "auto" }, answered),
    ]);
    return h(
      "details",
      { class: "context" },
      h("summary", {}, count(list.length, "turn"), " before it"),
      h("dl", { class: "turns" }, lines),
    );
  }

  function record(value) {
    if (value === null || value === undefined || value === "") return null;
    const text = isText(value) ? value : JSON.stringify(value, null, 2);
    return h("details", { class: "context" }, h("summary", {}, "Record"), h("pre", {}, text));
  }

  /** Return the clips of an item, one for each condition under which it was heard. */
  function clips(found) {
    const heard = found.filter(({ item }) => item.clip);
    const unlike = heard.filter(
      ({ item }, i) =>
        !i ||
        item.clip.file === null ||
        heard.findIndex((one) => one.item.clip.file === item.clip.file) === i,
    );
    return unlike.map(({ item, dataset }) => clip(item.clip, dataset, found.length > 1));
  }

  function clip(of, dataset, several) {
    const seconds = isNumber(of.heard) ? of.heard : of.seconds;
    const said = [
      several && dataset.name,
      dataset.condition || of.condition,
      isNumber(seconds) && `${fixed(seconds, 1)} s`,
      of.lost > 0 && `${fixed(of.lost, 1)} s were not heard`,
    ];
    const caption = h("figcaption", { class: "muted" }, said.filter(Boolean).join(" · "));
    if (!of.file)
      return h(
        "figure",
        { class: "clip" },
        h("p", { class: "muted" }, dataset.clips_note || "Its clip is not part of this page."),
        caption,
      );
    const failed = h(
      "p",
      { class: "problem", hidden: true },
      `page/clips/${of.file} cannot be played`,
    );
    const audio = h("audio", {
      controls: true,
      preload: "none",
      src: `clips/${encodeURIComponent(of.file)}`,
      "aria-label": "The clip as the model heard it",
      on: { error: () => (failed.hidden = false) },
    });
    return h("figure", { class: "clip" }, audio, failed, caption);
  }

  /** Return the options with the right one and who chose which. */
  function options(item, sides) {
    if (!item.options || !item.options.length) return null;
    const rows = item.options.map(([letter, text]) => {
      const by = sides
        .filter(({ side, row }) => side.choice(row) === letter)
        .map(({ experiment }) => experiment.id);
      const gold = letter === item.gold.letter;
      return h(
        "li",
        { class: gold ? "option gold" : "option" },
        h("span", { class: "letter" }, letter),
        h(
          "span",
          { class: "option-text", dir: "auto" },
          text,
          gold && h("span", { class: "tag" }, "right answer"),
        ),
        by.length > 0 &&
          h(
            "span",
            { class: "by", title: by.join("\n") },
            "chosen by ",
            by.length > 4 ? `${by.length} of ${sides.length}` : by.join(", "),
          ),
      );
    });
    return h("ul", { class: "options" }, rows);
  }

  function gold(item) {
    const texts = (item.gold && item.gold.texts) || [];
    if ((item.options && item.options.length) || !texts.length) return null;
    return h(
      "p",
      { class: "gold-texts" },
      h("span", { class: "muted" }, texts.length > 1 ? "Right answers: " : "Right answer: "),
      texts.map((text, i) => [i ? " · " : "", h("span", { dir: "auto" }, text)]),
    );
  }

  app.question = { passage, contexts, turns, record, clips, options, gold };
})();
