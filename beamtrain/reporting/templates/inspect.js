/** The page of `beamtrain inspect`: one search of one sentence at a time, and one of its steps. */
(async function inspect() {
  const { element, shown } = beamtrain;
  const at = (id) => document.getElementById(id);
  const data = await beamtrain.data();
  const kindNames = { hard: "hard", trained: "as trained", soft: "soft" };
  const COLUMN = 106, ROW = 50, BOX = { width: 88, height: 37 }, SIDE = 56, TOP = 26, PUSHES = 56;
  const NO_PUSH = 1e-5;
  const view = { sentence: 0, kind: null, warmth: 0, step: 0 };

  const sentence = () => data.sentences[view.sentence];
  const ofKind = (kind) => sentence().searches.filter((search) => search.kind === kind);
  const search = () => (view.kind === "soft" ? ofKind("soft")[view.warmth] : ofKind(view.kind)[0]);
  const push = (candidate) => -candidate.gradient || 0;
  const pushed = (step) => [...step.candidates, ...step.outside].map(push);
  const percent = (share) => `${Math.round(100 * share)}%`;
  const fixed = (number) => (number === null ? "–" : number.toFixed(2).replace("-", "−"));
  const name = (candidate) => (candidate.absorbed ? "(finished)" : candidate.ends ? "(end)" : candidate.token);
  const cut = (text, most) => ([...text].length > most ? [...text].slice(0, most - 1).join("") + "…" : text);

  function small(number) {
    if (Math.abs(number) < NO_PUSH) return "0";
    const size = Math.abs(number);
    return (number > 0 ? "+" : "−") + (size < 1e-3 ? size.toExponential(0) : Number(size.toPrecision(2)));
  }

  function svg(tag, attributes, text) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
    if (text !== undefined) made.textContent = shown(String(text));
    return made;
  }

  /* What is looked at. */

  function choose(place) {
    view.sentence = place;
    const searches = sentence().searches;
    at("looked").hidden = at("kinds").hidden = at("warmth").hidden = !searches.length;
    if (searches.length) {
      const kinds = Object.keys(kindNames).filter((kind) => ofKind(kind).length);
      if (!kinds.includes(view.kind)) view.kind = kinds.includes("soft") ? "soft" : kinds[0];
      const soft = ofKind("soft");
      const usual = soft.findIndex((each) => each.temperature >= 0.5);
      if (!soft[view.warmth] || !at("kinds").querySelector("input")) view.warmth = usual < 0 ? 0 : usual;
      at("kinds").querySelectorAll("label").forEach((label) => label.remove());
      for (const kind of kinds) {
        const radio = element("input", { type: "radio", name: "kind", value: kind, checked: kind === view.kind });
        radio.addEventListener("change", () => { view.kind = kind; draw(); });
        at("kinds").append(element("label", {}, radio, kindNames[kind]));
      }
      at("temperature").max = Math.max(soft.length - 1, 0);
      at("temperature").value = view.warmth;
      at("temperatures").replaceChildren(...soft.map((_, index) => element("option", { value: index })));
      view.step = hardest();
    }
    draw();
  }

  /** The step at which the loss pushes hardest; without a push, where the choice is least sure. */
  function hardest() {
    const steps = search().steps;
    const pushes = steps.map((step) => Math.max(0, ...pushed(step).map(Math.abs)));
    const unsure = steps.map((step) => -Math.min(...step.matrix.map((row) => Math.max(...row))));
    const by = Math.max(...pushes) > NO_PUSH ? pushes : unsure;
    return by.indexOf(Math.max(...by));
  }

  function go(by) {
    const last = search().steps.length - 1;
    view.step = Math.min(Math.max(view.step + by, 0), last);
    draw();
  }

  /* What is drawn. */

  function draw() {
    drawFacts();
    if (!sentence().searches.length) return;
    view.step = Math.min(view.step, search().steps.length - 1);
    at("warmth").classList.toggle("off", view.kind !== "soft");
    at("temperature").disabled = view.kind !== "soft";
    const degrees = search().temperature === null ? "hard" : `${search().temperature} nats`;
    at("degrees").textContent = degrees;
    at("temperature").setAttribute("aria-valuetext", degrees);
    drawLattice();
    drawStep();
    drawBeams();
  }

  function drawFacts() {
    const { source, reference, reference_given: given, translation, problem, searches } = sentence();
    const rows = [["Sentence", source]];
    if (given) rows.push(["Reference", reference]);
    if (problem) rows.push(["Left out", problem]);
    else rows.push(["Translation", translation]);
    if (searches.length) rows.push(["Search", search().about], ["Loss", `${search().loss} ${search().about_loss}`]);
    at("facts").replaceChildren(
      ...rows.flatMap(([title, text]) => [element("span", {}, title), element("bdi", { dir: "auto" }, text)]),
    );
  }

  const centre = (step) => step * COLUMN + COLUMN / 2;
  const middle = (rank) => TOP + rank * ROW + ROW / 2;

  function drawLattice() {
    const { steps, ancestry, beam_size: K, selection } = search();
    const pruned = TOP + K * ROW + 14, axis = pruned + 20 + PUSHES / 2, bottom = axis + PUSHES / 2 + 6;
    const width = steps.length * COLUMN;
    const drawing = svg("svg", { width, height: bottom, viewBox: `0 0 ${width} ${bottom}`, role: "img" });
    drawing.setAttribute("aria-label", `The ${K} beams at ${steps.length} steps`);
    const most = Math.max(NO_PUSH, ...steps.flatMap((step) => pushed(step).map(Math.abs)));
    const names = svg("svg", { width: SIDE, height: bottom, class: "names", "aria-hidden": "true" });
    for (let rank = 0; rank < K; rank++) side(names, middle(rank) + 4, `beam ${rank + 1}`);
    side(names, pruned + 4, "pruned");
    side(names, axis + 4, "push");
    const columns = steps.map((_, number) => {
      const column = svg("rect", { x: centre(number) - COLUMN / 2, y: 0, width: COLUMN, height: bottom });
      column.setAttribute("class", number === view.step ? "column chosen" : "column");
      column.addEventListener("click", () => { view.step = number; draw(); });
      return column;
    });
    drawing.append(...columns);
    for (const [number, step] of steps.entries()) {
      const x = centre(number);
      drawing.append(svg("text", { x, y: 16, class: "small passive" }, number + 1));
      for (const [rank, slot] of step.slots.entries()) {
        if (slot.score === null) continue;
        for (const [from, share] of slot.parents.entries()) {
          if (share >= 0.01 && number > 0) drawEdge(drawing, number, from, rank, share * kept(ancestry, number, rank, K), share);
        }
      }
    }
    for (const [number, step] of steps.entries()) {
      for (const [rank, slot] of step.slots.entries()) {
        if (slot.score !== null) drawNode(drawing, step, number, rank, slot, kept(ancestry, number, rank, K), selection);
      }
      const first = step.candidates.find((each) => each.behind !== null);
      if (first) {
        drawing.append(
          svg("text", { x: centre(number), y: pruned, class: "small passive" }, cut(name(first), 13)),
          svg("text", { x: centre(number), y: pruned + 12, class: "small passive" }, `−${fixed(first.behind)}`),
        );
      }
      drawPushes(drawing, step, number, axis, most);
    }
    const scrolled = at("lattice").scrollLeft;
    at("lattice").replaceChildren(names, drawing);
    at("lattice").scrollLeft = scrolled;
    const left = centre(view.step) - COLUMN, right = centre(view.step) + COLUMN;
    const room = at("lattice").clientWidth - SIDE;
    if (left < scrolled || right > scrolled + room) at("lattice").scrollLeft = centre(view.step) - room / 2;
  }

  /** How much of the final best beam goes through a box. */
  function kept(ancestry, number, rank, K) {
    if (number + 1 < ancestry.length) return ancestry[number + 1][0][rank];
    return rank === 0 ? 1 : 0;
  }

  function side(names, y, text) {
    names.append(svg("text", { x: 4, y, class: "side" }, text));
  }

  function drawEdge(drawing, number, from, to, best, share) {
    const x1 = centre(number - 1) + BOX.width / 2, x2 = centre(number) - BOX.width / 2;
    const y1 = middle(from), y2 = middle(to), bend = (x1 + x2) / 2;
    const d = `M ${x1} ${y1} C ${bend} ${y1}, ${bend} ${y2}, ${x2} ${y2}`;
    const path = svg("path", { d, class: best > 0.1 ? "edge best passive" : "edge passive" });
    path.style.strokeWidth = 0.75 + 2.75 * share;
    path.style.strokeOpacity = best > 0.1 ? 0.25 + 0.75 * Math.max(best, share * 0.5) : 0.15 + 0.6 * share;
    drawing.append(path);
  }

  function drawNode(drawing, step, number, rank, slot, best, selection) {
    const soft = selection === "soft", candidate = step.candidates[slot.candidate];
    const share = candidate === undefined ? 0 : soft ? step.matrix[rank][slot.candidate] : 1;
    const x = centre(number) - BOX.width / 2, y = middle(rank) - BOX.height / 2;
    const group = svg("g", { class: "passive" });
    const box = svg("rect", { x, y, ...BOX, rx: 5, class: best > 0.1 ? "node best" : "node" });
    box.style.fill = `color-mix(in srgb, var(--hot) ${Math.round(100 * share)}%, var(--raised))`;
    group.append(box);
    if (slot.finished > 0.005) {
      group.append(svg("rect", { x: x + 3, y: y + BOX.height - 4, width: (BOX.width - 6) * slot.finished, height: 2.5, class: "done" }));
    }
    const label = candidate === undefined ? "(many)" : name(candidate);
    group.append(svg("text", { x: centre(number), y: middle(rank) + (soft ? -3 : 4) }, cut(label, 10)));
    if (soft) group.append(svg("text", { x: centre(number), y: middle(rank) + 10, class: "small" }, percent(share)));
    drawing.append(group);
  }

  function drawPushes(drawing, step, number, axis, most) {
    const pushes = pushed(step);
    const x = centre(number) - 8, scale = PUSHES / 2 / most;
    const up = Math.max(0, ...pushes) * scale, down = -Math.min(0, ...pushes) * scale;
    drawing.append(
      svg("rect", { x, y: axis - up, width: 16, height: up, class: "up passive" }),
      svg("rect", { x, y: axis, width: 16, height: down, class: "down passive" }),
      svg("line", { x1: x - 4, x2: x + 20, y1: axis, y2: axis, class: "axis passive" }),
    );
  }

  function drawStep() {
    const { steps, beam_size: K } = search(), step = steps[view.step];
    at("step").textContent = `Step ${view.step + 1} of ${steps.length}`;
    at("back").disabled = view.step === 0;
    at("on").disabled = view.step === steps.length - 1;
    at("told").replaceChildren(...step.told.map((line) => element("p", {}, element("bdi", {}, line))));
    const ranks = [...Array(K).keys()];
    const most = Math.max(NO_PUSH, ...pushed(step).map(Math.abs));
    const wide = (text) => element("span", { class: "wide" }, text);
    const numbers = ranks.map((rank) => [wide("rank "), rank + 1]);
    const head = ["candidate", ["of", wide(" beam")], ...numbers, "push", "by choice", "score", "behind"];
    const body = step.candidates.map((each, place) => {
      const next = step.candidates[place + 1];
      const last = each.behind === null && next !== undefined && next.behind !== null;
      return element(
        "tr",
        { class: last ? "last" : null },
        element("th", { scope: "row", class: "text" }, element("bdi", {}, cut(name(each), 24))),
        element("td", {}, each.slot + 1),
        ranks.map((rank) => heat(step.matrix[rank][place])),
        element("td", {}, bar(push(each), most), small(push(each))),
        element("td", {}, small(-each.gradient_of_choice)),
        element("td", {}, fixed(each.score)),
        element("td", {}, each.behind === null ? "" : fixed(each.behind)),
      );
    });
    if (step.rest.candidates) {
      body.push(
        element(
          "tr",
          { class: "faint" },
          element("th", { scope: "row", class: "text" }, `${step.rest.candidates.toLocaleString("en")} more`),
          element("td"),
          ranks.map((rank) => heat(step.rest.mass[rank])),
          element("td", {}, small(-step.rest.gradient)),
          element("td"),
          element("td"),
          element("td"),
        ),
      );
    }
    for (const each of step.outside) {
      body.push(
        element(
          "tr",
          { class: "faint" },
          element("th", { scope: "row", class: "text" }, element("bdi", {}, cut(name(each), 24)), " (no candidate)"),
          element("td", {}, each.slot + 1),
          ranks.map(() => element("td")),
          element("td", {}, bar(push(each), most), small(push(each))),
          element("td"),
          element("td"),
          element("td"),
        ),
      );
    }
    at("matrix").replaceChildren(table(head, body));
  }

  function heat(weight) {
    const cell = element("td", { class: "heat" }, percent(weight));
    cell.style.background = `color-mix(in srgb, var(--hot) ${Math.round(100 * weight)}%, var(--raised))`;
    return cell;
  }

  function bar(value, most) {
    const drawing = svg("svg", { class: "bar", viewBox: "-1 0 2 1", preserveAspectRatio: "none", "aria-hidden": "true" });
    const width = Math.abs(value) / most;
    const drawn = svg("rect", { x: value < 0 ? -width : 0, y: 0, width, height: 1 });
    drawn.style.fill = value < 0 ? "var(--down)" : "var(--up)";
    const axis = svg("line", { x1: 0, x2: 0, y1: 0, y2: 1, class: "axis", "vector-effect": "non-scaling-stroke" });
    drawing.append(drawn, axis);
    return drawing;
  }

  function drawBeams() {
    const rows = search().beams.map((beam, rank) =>
      element(
        "tr",
        {},
        element("td", {}, rank + 1),
        element("td", { class: "text" }, element("bdi", { dir: "auto" }, beam.text)),
        element("td", {}, fixed(beam.score)),
        element("td", {}, percent(beam.finished)),
        element("td", {}, beam.gleu.toFixed(3)),
        element("td", {}, beam.weight === null ? "–" : beam.weight.toFixed(3)),
      ),
    );
    at("beams").replaceChildren(table(["beam", "text", "score", "finished", "GLEU", "weight"], rows));
  }

  function table(head, body) {
    const cells = head.map((title) => element("th", { scope: "col", class: title === "text" ? "text" : null }, title));
    return element("table", {}, element("thead", {}, element("tr", {}, cells)), element("tbody", {}, body));
  }

  /* What is listened to. */

  at("which").hidden = data.sentences.length < 2;
  at("sentence").append(
    ...data.sentences.map((each, place) => element("option", { value: place }, `${each.line}: ${cut(each.source, 60)}`)),
  );
  at("sentence").addEventListener("change", (event) => choose(Number(event.target.value)));
  at("temperature").addEventListener("input", (event) => { view.warmth = Number(event.target.value); draw(); });
  at("controls").addEventListener("submit", (event) => event.preventDefault());
  at("back").addEventListener("click", () => go(-1));
  at("on").addEventListener("click", () => go(1));
  document.addEventListener("keydown", (event) => {
    if (event.target.closest("input, select, [role=tab]") || event.altKey || event.ctrlKey || event.metaKey) return;
    const by = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
    if (by === undefined || !sentence().searches.length) return;
    event.preventDefault();
    go(by);
  });
  choose(0);
})();
