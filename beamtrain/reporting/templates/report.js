"use strict";

/** The browser of sentences. */
(async function sentences() {
  const { element } = beamtrain;
  const AT_ONCE = 25;
  const MOST_COMPARED = 250_000; // pairs of words; longer sentences are shown without colours
  const form = document.getElementById("filter");
  const list = document.getElementById("list");
  const more = document.getElementById("more");
  const { sources, references, systems } = await beamtrain.data(); // sources: null where they are not known
  const haystack = references[0].map((_, place) =>
    [sources?.[place] ?? "", ...references.map((lines) => lines[place]), ...systems.map((system) => system.outputs[place].text)]
      .join("\n")
      .toLowerCase(),
  );
  const every = references[0].map((_, place) => place);

  const output = (system, place) => systems[system].outputs[place];
  const change = (system, place) => output(system, place).chrf - output(0, place).chrf;
  const optimum = (system, place, criterion) => (output(system, place).exact ?? [])[criterion];

  const KINDS = {
    "all sentences": () => true,
    ...(systems.length > 1 && {
      "better than system 1": (system, place) => change(system, place) > 0,
      "worse than system 1": (system, place) => change(system, place) < 0,
      "other words than system 1": (system, place) => output(system, place).text !== output(0, place).text,
    }),
    "not the reference": (system, place) => !references.some((lines) => lines[place] === output(system, place).text),
    "empty output": (system, place) => output(system, place).text === "",
    "search errors": (system, place) => output(system, place).verdict === "search error",
    "model errors": (system, place) => output(system, place).verdict === "model error",
    ...Object.fromEntries(
      systems[0].exact.map((criterion, number) => [
        `another optimum, ${criterion}`,
        (system, place) => {
          const best = optimum(system, place, number);
          return Boolean(best) && best.text !== output(system, place).text;
        },
      ]),
    ),
  };
  const ORDERS = {
    "line": (system, place) => place,
    ...(systems.length > 1 && {
      "change from system 1, gains first": (system, place) => -change(system, place),
      "change from system 1, losses first": (system, place) => change(system, place),
      "change from system 1, largest first": (system, place) => -Math.abs(change(system, place)),
    }),
    "chrF2, lowest first": (system, place) => output(system, place).chrf,
    "reference, longest first": (system, place) => -references[0][place].length,
  };

  for (const [number, system] of systems.entries()) {
    form.system.append(element("option", { value: number }, `${number + 1} ${system.name}`));
  }
  form.system.value = systems.length - 1;
  const occurring = Object.keys(KINDS).filter(
    (kind, index) => index === 0 || systems.some((_, system) => every.some((place) => KINDS[kind](system, place))),
  );
  form.kind.append(...occurring.map((kind) => element("option", { value: kind }, kind)));
  form.order.append(...Object.keys(ORDERS).map((order) => element("option", { value: order }, order)));
  if (systems.length > 1) form.order.value = "change from system 1, largest first";

  let found = [];
  let shown = 0;

  function search() {
    const words = form.text.value.toLowerCase();
    const system = Number(form.system.value);
    const key = ORDERS[form.order.value];
    found = every
      .filter((place) => haystack[place].includes(words) && KINDS[form.kind.value](system, place))
      .map((place) => [key(system, place), place])
      .sort(([a, first], [b, second]) => a - b || first - second)
      .map(([, place]) => place);
    document.getElementById("count").textContent = `${found.length} of ${every.length} sentences`;
    list.replaceChildren();
    shown = 0;
    showMore();
  }

  function showMore() {
    const next = found.slice(shown, shown + AT_ONCE);
    list.append(...next.map(card));
    shown += next.length;
    more.hidden = shown >= found.length;
  }

  /** All about one sentence. */
  function card(place) {
    const outputs = systems.map((_, system) => output(system, place));
    const said = outputs.map((each) => split(each.text));
    const golden = references.map((lines) => split(lines[place]));
    const gold = golden[0];
    const common = said.map((words) => inCommon(words, gold));
    const rows = sources ? [row("source", "", text(sources[place]))] : [];
    golden.forEach((words, number) => {
      const missed = (index) =>
        common.flatMap((both, system) => (number === 0 && both && !both.second.has(index) ? [system + 1] : []));
      const marked = marks(words, (index) => {
        const by = missed(index);
        return by.length ? ["missed", `not in ${by.join(", ")}`] : ["", ""];
      });
      rows.push(row(golden.length > 1 ? `reference ${number + 1}` : "reference", "", marked));
    });
    outputs.forEach((each, system) => {
      const both = common[system];
      const first = system ? inCommon(said[system], said[0]) : null;
      const marked = marks(said[system], (index) => {
        const extra = both && !both.first.has(index);
        const changed = first && !first.first.has(index);
        const title = [extra && "not in the reference", changed && "not in system 1"].filter(Boolean).join(", ");
        return [`${extra ? "extra" : ""} ${changed ? "changed" : ""}`.trim(), title];
      });
      const difference = system ? change(system, place) : 0;
      const figures = [
        `chrF2 ${each.chrf.toFixed(1)}`,
        difference
          ? element("span", { class: difference > 0 ? "good" : "bad" }, ` ${difference > 0 ? "+" : "−"}${Math.abs(difference).toFixed(1)}`)
          : "",
        each.verdict ? ` · ${each.verdict}` : "",
      ];
      const name = element("span", {}, element("span", { class: `swatch system-${system % 8}` }), `${system + 1}`);
      rows.push(row(name, systems[system].name, marked, figures));
    });
    const article = element("article", { class: "sentence", "aria-label": `line ${place + 1}` });
    article.append(element("h3", {}, `Line ${place + 1}`), ...rows);
    if (outputs.some((each) => each.n_best)) article.append(details(place, outputs));
    return article;
  }

  function row(label, title, content, figures = []) {
    return element(
      "div",
      { class: "said" },
      element("span", { class: "who", title: beamtrain.shown(title) }, label),
      element("p", { class: "words", dir: "auto" }, content),
      element("span", { class: "figures" }, figures),
    );
  }

  /** Candidates, optimum and attention, made when they are opened. */
  function details(place, outputs) {
    const more = element("details", {}, element("summary", {}, "Candidates, scores and attention"));
    more.addEventListener(
      "toggle",
      () =>
        outputs.forEach((each, system) => {
          if (!each.n_best) return;
          more.append(
            element("h4", {}, element("span", { class: `swatch system-${system % 8}` }), `${system + 1} ${systems[system].name}`),
            element("div", { class: "scroll" }, candidates(each, systems[system].exact)),
          );
          if (each.attention) more.append(element("div", { class: "scroll" }, attention(each)));
        }),
      { once: true },
    );
    return more;
  }

  function candidates(each, criteria) {
    const line = (label, candidate, chrf) =>
      element(
        "tr",
        {},
        element("th", { scope: "row" }, label),
        element("td", { class: "text words", dir: "auto" }, candidate.text),
        ...[candidate.score, candidate.log_prob].map((value) => element("td", {}, value.toFixed(3))),
        element("td", {}, String(candidate.length)),
        element("td", {}, chrf === undefined ? "" : chrf.toFixed(1)),
      );
    const rows = each.n_best.map((candidate, rank) => line(String(rank + 1), candidate, candidate.chrf));
    (each.exact ?? []).forEach((best, number) => {
      if (best) rows.push(line(`optimum, ${criteria[number]}`, best));
    });
    if (typeof each.reference_score === "number") {
      rows.push(
        element(
          "tr",
          {},
          element("th", { scope: "row" }, "reference"),
          element("td", { class: "text faint" }, "as the model scores it"),
          element("td", {}, each.reference_score.toFixed(3)),
          element("td", { colspan: 3 }),
        ),
      );
    }
    const head = ["", "candidate", "score", "log-probability", "tokens", "chrF2"];
    return element(
      "table",
      {},
      element("thead", {}, element("tr", {}, head.map((label) => element("th", { scope: "col", class: label === "candidate" ? "text" : null }, label)))),
      element("tbody", {}, rows),
    );
  }

  /** Rows: the tokens of the best candidate; columns: the source tokens. */
  function attention(each) {
    const head = each.source_tokens.map((token) => element("th", { scope: "col" }, element("bdi", {}, token)));
    const rows = each.attention.map((weights, index) =>
      element(
        "tr",
        {},
        element("th", { scope: "row" }, element("bdi", {}, each.tokens[index] ?? "end")),
        [...weights].map((tenths) => element("td", { class: `weight-${tenths}`, title: `0.${tenths}` })),
      ),
    );
    return element(
      "table",
      { class: "attention" },
      element("caption", {}, "Attention of each token of candidate 1 to the source"),
      element("thead", {}, element("tr", {}, element("td"), head)),
      element("tbody", {}, rows),
    );
  }

  function text(line) {
    return line === "" ? element("em", { class: "faint" }, "empty") : line;
  }

  function split(line) {
    return line.split(/\s+/).filter(Boolean);
  }

  /** Words, those that follow each other and are marked alike as one; `how` gives class and title of the word at a place. */
  function marks(words, how) {
    const runs = [];
    for (const [index, word] of words.entries()) {
      const [kind, title] = how(index);
      const last = runs.at(-1);
      if (last && last.kind === kind && last.title === title) last.words.push(word);
      else runs.push({ kind, title, words: [word] });
    }
    const parts = runs.map(({ kind, title, words }) =>
      kind ? element("mark", { class: kind, title }, words.join(" ")) : words.join(" "),
    );
    return parts.length ? parts.flatMap((part, index) => (index ? [" ", part] : [part])) : text("");
  }

  /** The places of a longest common subsequence of two lists of words in each; null if they are too long. */
  function inCommon(a, b) {
    if (a.length * b.length > MOST_COMPARED) return null;
    const lengths = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1));
    for (let i = a.length - 1; i >= 0; i--) {
      for (let j = b.length - 1; j >= 0; j--) {
        lengths[i][j] = a[i] === b[j] ? lengths[i + 1][j + 1] + 1 : Math.max(lengths[i + 1][j], lengths[i][j + 1]);
      }
    }
    const both = { first: new Set(), second: new Set() };
    for (let i = 0, j = 0; i < a.length && j < b.length; ) {
      if (a[i] === b[j]) {
        both.first.add(i++);
        both.second.add(j++);
      } else if (lengths[i + 1][j] >= lengths[i][j + 1]) i++;
      else j++;
    }
    return both;
  }

  form.addEventListener("input", search);
  form.addEventListener("submit", (event) => event.preventDefault());
  more.addEventListener("click", showMore);
  search();
})();
