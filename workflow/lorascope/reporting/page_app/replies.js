/** Responses side by side: what is only here, how they were read, and how likely options were. */
(function () {
  "use strict";
  const app = (globalThis.lorascope = globalThis.lorascope || {});
  const { h, fixed, significant, count, segments } = app.dom;
  const { isNumber, isText } = app.tools;
  const GLYPHS = { right: "✓", partial: "◐", wrong: "✗", unjudged: "?", measured: "•" };
  const MOST_TOKENS = 8000;
  const SIMILAR = 0.5;
  const segmenter =
    globalThis.Intl && Intl.Segmenter
      ? new Intl.Segmenter(undefined, { granularity: "word" })
      : null;
  let alone = "all";

  /** Return a mark of a verdict: a shape for the eye, a word for the ear. */
  function glyph(verdict) {
    return h(
      "span",
      {
        class: `glyph ${verdict}`,
        role: "img",
        "aria-label": app.filters.VERDICTS[verdict],
        title: app.filters.VERDICTS[verdict],
      },
      GLYPHS[verdict],
    );
  }

  const words = (text) =>
    segmenter
      ? Array.from(segmenter.segment(text), (one) => one.segment)
      : text.split(/(\s+|\b)/).filter(Boolean);

  /** Return [kind, text] parts of a text against another: same, added, and removed if they are alike.
   * One part of the whole text where they are too long or too different to compare in a moment. */
  function compared(text, other) {
    const [ours, theirs] = [words(text), words(other)];
    const parts =
      ours.length + theirs.length <= MOST_TOKENS && Diff.diffArrays(theirs, ours, { timeout: 150 });
    if (!parts) return [["added", text]];
    const joined = parts.map((part) => [
      part.added ? "added" : part.removed ? "removed" : "same",
      part.value.join(""),
    ]);
    const removed = joined
      .filter(([kind]) => kind === "removed")
      .reduce((sum, [, of]) => sum + of.length, 0);
    return removed <= SIMILAR * other.length
      ? joined
      : joined.filter(([kind]) => kind !== "removed");
  }

  const TAGS = { added: "ins", removed: "del" };

  function responseText(text, other) {
    if (text === null || text === undefined)
      return h("p", { class: "muted" }, "No text: read from likelihoods.");
    if (text === "") return h("p", { class: "muted" }, "(empty)");
    const parts = isText(other) ? compared(text, other) : [["same", text]];
    return h(
      "p",
      { class: "said", dir: "auto" },
      parts.map(([kind, of]) => (kind in TAGS ? h(TAGS[kind], {}, of) : of)),
    );
  }

  /** Return bars of what each continuation's likelihood is among all. */
  function likelihoods(values, item) {
    if (!values || !values.some(isNumber)) return null;
    const most = Math.max(...values.filter(isNumber));
    const raised = values.map((value) => (isNumber(value) ? Math.exp(value - most) : 0));
    const sum = raised.reduce((a, b) => a + b, 0);
    const name = (i) =>
      item.options && item.options[i]
        ? item.options[i][0]
        : ((item.continuations || [])[i] ?? String(i + 1));
    if (values.length === 1)
      return h("p", { class: "muted" }, `log-likelihood ${significant(values[0], 5)}`);
    const rows = values.map((value, i) =>
      h(
        "li",
        {
          class:
            item.options && item.options[i] && item.options[i][0] === item.gold.letter
              ? "gold"
              : "",
        },
        h("span", { class: "letter" }, name(i)),
        h("span", { class: "meter" }, h("i", { css: { width: `${(100 * raised[i]) / sum}%` } })),
        h("span", { class: "number" }, isNumber(value) ? significant(value, 4) : "none"),
      ),
    );
    return h(
      "ol",
      { class: "likelihoods", "aria-label": "Log-likelihoods; bars: shares of the likelihood" },
      rows,
    );
  }

  function margins(sides) {
    const known = sides
      .map(({ experiment, side, row }) => [experiment.id, side.margin(row)])
      .filter(([, value]) => isNumber(value));
    if (!known.length) return null;
    const most = Math.max(...known.map(([, value]) => Math.abs(value)), 1e-9);
    const rows = known.map(([id, value]) =>
      h(
        "li",
        {},
        h("span", { class: "margin-name" }, id),
        h(
          "span",
          { class: "margin-track" },
          h("i", {
            class: value < 0 ? "worse" : "better",
            css: { width: `${(50 * Math.abs(value)) / most}%` },
          }),
        ),
        h("span", { class: "number" }, `${value > 0 ? "+" : ""}${fixed(value, 2)}`),
      ),
    );
    return h(
      "section",
      {},
      h("h3", {}, "Margin of the right option"),
      h("p", { class: "muted" }, "Its log-likelihood less that of the best other one, in nats."),
      h("ol", { class: "margins" }, rows),
    );
  }

  function judged(judge) {
    if (!judge) return null;
    const said = isText(judge.text) && judge.text && h("p", { class: "said" }, judge.text);
    const head = [
      "Judge: ",
      h("b", {}, judge.verdict || "unjudged"),
      judge.reason ? ` (${judge.reason})` : "",
    ];
    return h("div", { class: "judge" }, h("p", {}, head), said);
  }

  function metricLine(side, row, several) {
    const [credit, weight] = [side.credit(row), side.weight(row)];
    const part =
      isNumber(credit) && (several || (credit !== 0 && credit !== weight))
        ? ` ${significant(credit, 4)}${weight === 1 ? "" : ` of ${significant(weight, 4)}`}`
        : "";
    return h(
      "p",
      { class: "verdict" },
      glyph(side.verdict(row)),
      " ",
      several && h("b", {}, side.metric, " "),
      app.filters.VERDICTS[side.verdict(row)],
      part,
      h("span", { class: "muted" }, side.reason(row) ? ` · ${side.reason(row)}` : ""),
    );
  }

  const FINISH = {
    length: "cut at max_new_tokens",
    eos: "ended by itself",
    stop: "ended at a stop string",
    nonfinite: "numbers overflowed",
    likelihood: "read from likelihoods",
  };

  function made(reply) {
    const tokens = Array.isArray(reply.tokens) ? reply.tokens.length : reply.tokens;
    const parts = [
      FINISH[reply.finish_reason] || reply.finish_reason,
      isNumber(tokens) && count(tokens, "token"),
      isNumber(reply.prompt_tokens) && `${reply.prompt_tokens} in the prompt`,
    ];
    return h("p", { class: "made muted" }, parts.filter(Boolean).join(" · "));
  }

  /** Return the card of one experiment's response. */
  function card(one, context) {
    const { experiment, reply, sides, item, condition } = one;
    const role =
      experiment.id === context.experiment
        ? "chosen"
        : experiment.id === context.against
          ? "compared"
          : "";
    const other = role === "compared" ? null : context.otherText;
    return h(
      "article",
      { class: `card ${role}`, "data-experiment": experiment.id },
      h(
        "h4",
        {},
        experiment.id,
        condition && h("span", { class: "tag" }, condition),
        role && h("span", { class: "tag" }, role === "chosen" ? "chosen" : "compared with"),
      ),
      sides.map(({ side, row }) => metricLine(side, row, sides.length > 1)),
      reply
        ? [
            responseText(reply.text, other),
            likelihoods(reply.loglikelihoods, item),
            judged(reply.judge),
            made(reply),
          ]
        : h("p", { class: "muted" }, "No reply is known."),
    );
  }

  function cards(all, context) {
    const only =
      alone === "pair"
        ? all.filter(({ experiment }) =>
            [context.experiment, context.against].includes(experiment.id),
          )
        : all;
    return h(
      "div",
      { class: "cards" },
      only.map((one) => card(one, context)),
    );
  }

  function responses(all, context) {
    const place = h("div", {}, cards(all, context));
    const show = (value) => {
      alone = value;
      place.replaceChildren(cards(all, context));
    };
    const pick =
      all.length > 2 &&
      context.against &&
      segments(
        "Responses shown",
        [
          ["all", `All ${all.length}`],
          ["pair", "These two"],
        ],
        alone,
        show,
      );
    const key =
      context.otherText !== null &&
      h(
        "p",
        { class: "muted" },
        "Against ",
        h("b", {}, context.against),
        ": ",
        h("ins", {}, "only here"),
        " ",
        h("del", {}, "only there"),
      );
    return h("section", {}, h("div", { class: "bar" }, h("h3", {}, "Responses"), pick, key), place);
  }

  app.replies = { glyph, compared, responses, margins };
})();
