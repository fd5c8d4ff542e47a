/** Data files are scripts, since a page from disk may not fetch: each calls lorascope.load(name, value). */
(function () {
  "use strict";
  const app = (globalThis.lorascope = globalThis.lorascope || {});
  const values = new Map();
  const asked = new Map();

  /** Take the value of a data file; called by the file. */
  app.load = (name, value) => {
    values.set(name, value);
  };

  /** Return a promise of a data file's value; an Error that names the file where it cannot be read. */
  app.read = (name) => {
    if (!asked.has(name)) asked.set(name, append(name));
    return asked.get(name);
  };

  function append(name) {
    return new Promise((resolve, reject) => {
      if (values.has(name)) return resolve(values.get(name));
      const script = document.createElement("script");
      const fail = () => {
        asked.delete(name);
        reject(
          new Error(
            `page/data/${name}.js is missing or damaged; run the study again to make it anew`,
          ),
        );
      };
      script.src = `data/${name}.js`;
      script.onload = () => (values.has(name) ? resolve(values.get(name)) : fail());
      script.onerror = fail;
      document.head.append(script);
    });
  }
})();
