/** One item: what was asked, heard and answered, gathered from the data files. */
(function () {
  "use strict";
  const app = (globalThis.lorascope = globalThis.lorascope || {});
  const { h } = app.dom;
  const { isText } = app.tools;
  const LONG = 200;
  const { question, replies } = app;

  /** Return the texts of an item in an index; the promise of {index, row, item, replies}. */
  async function texts(index, row) {
    const chunk = Math.floor(row / index.chunk);
    const data = await app.read(`${index.name.replace("index", "items")}-${chunk}`);
    const place = row - chunk * index.chunk;
    return {
      index,
      row,
      item: data.items[place],
      replyOf: (id) => (data.responses[id] || [])[place] || null,
    };
  }

  /** Return what all datasets that have the item say of it; datasets may be conditions of one another. */
  async function everywhere(study, indexes, own, id) {
    const order = [own, ...indexes.filter((index) => index !== own)].filter(
      (index) => index.row(id) !== undefined,
    );
    const found = await Promise.all(order.map((index) => texts(index, index.row(id))));
    return found.map((one) => ({
      ...one,
      dataset: study.datasets.find(({ name }) => name === one.index.dataset),
    }));
  }

  function repliesOf(study, found) {
    return study.experiments.flatMap((experiment) => {
      const place = found.find(({ index }) => index.experiments.includes(experiment.id));
      if (!place) return [];
      const { index, row, item, replyOf, dataset } = place;
      const sides = index
        .metrics(experiment.id)
        .map((metric) => ({ experiment, side: index.side(experiment.id, metric), row }));
      const condition = found.length > 1 ? dataset.condition || dataset.name : "";
      return [
        {
          experiment,
          item,
          condition,
          reply: replyOf(experiment.id),
          sides: sides.filter(({ side }) => side.category(row) !== null),
        },
      ];
    });
  }

  /** Return the elements of an item. */
  async function elements(study, indexes, pairing, row) {
    const { index } = pairing.ours;
    const found = await everywhere(study, indexes, index, index.ids[row]);
    const { item } = found[0];
    const all = repliesOf(study, found);
    const { experiment, against } = pairing;
    const compared = against && all.find((one) => one.experiment.id === against);
    const context = {
      experiment,
      against: compared ? against : null,
      otherText:
        compared && compared.reply && isText(compared.reply.text) ? compared.reply.text : null,
    };
    const first = all.flatMap(({ sides }) => sides.slice(0, 1));
    return [
      h(
        "p",
        { class: "where muted" },
        [pairing.ours.category(row), item.id, item.passage && `passage ${item.passage}`]
          .filter(Boolean)
          .join(" · "),
      ),
      h(
        "h2",
        {
          class: (item.question || "").length > LONG ? "question long" : "question",
          dir: "auto",
          tabindex: -1,
        },
        item.question || index.label(row),
      ),
      question.clips(found),
      question.passage("System prompt", item.system),
      question.turns(item.turns),
      question.contexts(item),
      question.options(item, first),
      question.gold(item),
      replies.responses(all, context),
      replies.margins(first),
      question.record(item.record),
    ];
  }

  app.item = { elements };
})();
