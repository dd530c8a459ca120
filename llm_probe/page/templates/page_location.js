// What was read at one location, beside its circle: R² by frequency, the period scan, dimensions, answers, and all of it
// in a sentence or two; and the curves of all claims over layers.

function frequencies(row, cell) {
  const width = 330, height = 190, left = 34, top = 10, bottom = 150, y = upright(top, bottom);
  const names = row.quantity === "sum" ? { quadratic: "residue²", polynomial_total: "sum²" } : { quadratic: "order²" };
  const parabolas = Object.keys(names).filter((family) => typeof cell.rivals[family] === "number");
  // A parabola's name is wider than a number: it takes room for three.
  const fair = (width - left - 6) / Math.max(row.frequencies.length + 3.2 * parabolas.length, 5), wide = Math.max(3.2 * fair, 56);
  const share = Math.min(fair, (width - left - 6 - wide * parabolas.length) / row.frequencies.length), every = share < 13 ? Math.ceil(22 / share) : 1;
  const columns = [
    ...row.frequencies.map((k, i) => ({ name: k % every ? "" : String(k), said: `k = ${k}`, trained: cell.t.r2[i], random: cell.r ? cell.r.r2[i] : null, colour: TRAINED })),
    ...parabolas.map((family) => ({ name: names[family], said: `parabola in ${names[family]}`, trained: cell.rivals[family], random: null, colour: OTHER })),
  ];
  let edge = left;
  const drawn = columns.map(({ name, said, trained, random, colour }) => {
    const room = colour === TRAINED ? share : wide, x = edge + room / 2, bar = Math.min(share * 0.6, 26);
    edge += room;
    if (trained === null) return [];
    const title = s("title", {}, `${said}: ${data.called.trained} ${r2(trained)}` + (random === null ? "" : `, ${data.called.random} ${r2(random)}`));
    return [
      trained < FLOOR ? arrow(x, y(FLOOR) + 3, colour)
        : s("rect", { x: x - bar / 2, width: bar, y: Math.min(y(trained), y(0)), height: Math.max(Math.abs(y(trained) - y(0)), 1), fill: colour }, title),
      random === null ? null : random < FLOOR ? arrow(x + (trained < FLOOR ? 7 : 0), y(FLOOR) + 3, RANDOM) : hollow(x, y(random)),
      say(x, bottom + 16, name, "middle", "muted"),
    ];
  });
  return h("div", {}, h("h3", {}, "Held-out R² by ", term("frequency k", "frequency")),
    svg(width, height, "Held-out R² of the plane at each frequency", r2Axis(y, left, width - 4, row.null), drawn,
      say((left + width) / 2, height - 6, "frequency k (turns a period)" + (parabolas.length ? "; grey: parabola" : ""), "middle", "muted")),
    row.level && parabolas.length ? h("p", { class: "note" }, parabolaNote(row)) : null);
}

// A parabola beside the circles is another target, read from the same states: its R² may be the larger one.
function parabolaNote(row) {
  return row.quantity === "sum"
    ? "Grey: parabolas in the residue and in the integer result, which any code of the answers lets be read. Their R² may exceed the circle's and decides nothing: " +
      "an open arc is compared by likelihood (closest rival), the integer by the selective p."
    : "Grey: a parabola in the order. Its R² may exceed the circle's and decides nothing: an open arc is compared by likelihood, over all items together (closest rival).";
}

function periodScan(row, cell) {
  if (!row.periods.length || !cell.scan.t) return null;
  const width = 340, height = 215, left = 44, top = 24, bottom = 164, right = width - 8;
  const kinds = ["r", "t"].filter((kind) => cell.scan[kind]), shares = Object.fromEntries(kinds.map((kind) => [kind, cell.scan[kind].map((value) => value === null ? null : value / 10000)]));
  const most = above(Math.max(...kinds.flatMap((kind) => shares[kind]), 0.001));
  const x = (period) => left + (1 / period) / 0.5 * (right - left), y = (share) => bottom - share / most * (bottom - top), xs = row.periods.map(x);
  const grid = [0, most / 2, most].map((tick) => [line(left, y(tick), right, y(tick), tick ? RULE : GREY), say(left - 6, y(tick) + 4, percent(tick), "end", "muted")]);
  const own = Array.from({ length: Math.floor(row.period / 2) }, (_, i) =>
    line(x(row.period / (i + 1)), i ? bottom : top - 6, x(row.period / (i + 1)), i ? bottom + 6 : bottom, GREY, { "stroke-width": i ? 1.3 : 1, "stroke-dasharray": i ? "none" : "3 2" }));
  const drawn = kinds.map((kind) => s("path", {
    d: path(xs, shares[kind], y), fill: "none", "stroke-width": 1.6, "stroke-linejoin": "round",
    stroke: kind === "t" ? TRAINED : RANDOM, "stroke-dasharray": kind === "t" ? "none" : "4 3",
  }));
  const ticks = [50, 20, 10, 7, 5, 4, 3, 2].map((period) => say(x(period), bottom + 19, String(period), "middle", "muted"));
  return h("div", {}, h("h3", {}, "Share of variance by period"),
    svg(width, height, "Share of the residual stream's variance by period", grid, own, drawn, ticks,
      say(x(row.period), top - 10, `own period ${row.period}`, x(row.period) < 90 ? "start" : "middle"),
      say((left + right) / 2, height - 8, "period of the integer result", "middle", "muted")),
    h("p", { class: "note" }, `${data.meanings.scan.share} Solid: ${data.called.trained}, dashed: ${data.called.random}. Ticks below the axis: the own period over k = 2, 3, … ` +
      "Arithmetic modulo the period shows lines there and nowhere near" + (row.p_period === null ? "." : `; over all layers p ${pValue(row.p_period)} against other periods.`)));
}

function dimensions(row, cell) {
  const shown = (value) => value === null ? "–" : r2(value, 3);
  const bar = (value, own) => h("td", { class: own ? "bar own" : "bar", style: `--w:${value === null ? 0 : Math.max(0, 100 * value)}%` }, shown(value));
  const tr = ([dim, k, circle, ...rest], kind) => {
    const [parabola, sawtooth, cubic, partial, partialK, p] = rest;
    return h("tr", { class: kind }, h("th", { scope: "row" }, kind ? `random ${dim}` : String(dim)), h("td", {}, k === null ? "–" : String(k)),
      bar(circle, true), bar(parabola), bar(sawtooth), bar(cubic),
      h("td", {}, r2(partial), partialK !== null && partialK !== k ? h("small", {}, ` (k = ${partialK})`) : null), h("td", {}, pValue(p)));
  };
  if (!cell.dims.length) return h("div", {}, h("h3", {}, "Dimensions"), h("p", { class: "note" }, "No single dimensions were kept here."));
  const head = ["dim", "k", "circle", "parabola", "saw-tooth", "cubic", "partial R²", "p (corr.)"].map((name) => h("th", { scope: "col" }, name));
  return h("div", {}, h("h3", {}, "Dimensions: ", term("class mean", "class-mean"), " R² and rivals"), h("div", { class: "scroll" },
    h("table", { class: "dims" }, h("thead", {}, h("tr", {}, head)),
      h("tbody", {}, cell.dims.map((dim) => tr(dim, "")), cell.reach.map((dim) => tr(dim, "reach"))))),
    h("p", { class: "note" }, `Circle to cubic, easy to reach without a circle: ${data.meanings.r2_table.r2_class_means} ` +
      (cell.reach.length ? "Orange: the best dimension of random weights in this layer. " : "Random weights were not run. ") +
      `Partial R²: ${data.meanings.r2_table.r2_partial} p: ${data.meanings.r2_table.p_fwer}`));
}

function examples(row) {
  const shown = data.examples[row.domain] || [];
  if (row.quantity !== "sum" || !shown.length) {
    return h("p", { class: "note questions" }, row.quantity === "sum" ? "The model was not asked for answers." : "Statements ask nothing, so there are no answers to show.");
  }
  return h("div", { class: row.periods.length ? "questions" : "questions wide" }, h("h3", {}, "What the model answers"), h("ul", { class: "examples" }, shown.slice(0, 3).map((one) =>
    h("li", { class: one.right ? "right" : "wrong" }, h("code", {}, one.prompt),
      h("span", {}, "wrote ", h("b", {}, one.wrote || "nothing"), one.right ? " ✓ right" : " ✗ expected ", one.right ? null : h("b", {}, one.answer))))));
}

function facts(row, cell, layer) {
  const t = cell.t, sum = row.quantity === "sum", best = (side) => largest(side.r2);
  const read = layer === row.layer, [value, low, high] = row.confirmed;
  const rivals = [["quadratic", sum ? "in the residue" : "in the order"], ["polynomial_total", "in the integer result"]]
    .filter(([family]) => typeof cell.rivals[family] === "number").map(([family, name]) => `${r2(cell.rivals[family])} ${name}`);
  const others = [t.templates === null ? null : `template ${r2(t.templates)}`, t.residues === null || !sum ? null : `residue ${r2(t.residues)}`].filter(Boolean);
  return h("p", { class: "facts" }, h("b", {}, term("held out", "Held-out"), " ", term("R²"), ` ${r2(best(t))}`),
    ` at k = ${t.k}, leaving out ${sum ? "operand pairs" : "items"} (${t.groups} of them, ${t.prompts} prompts); ` +
    (cell.r ? `random weights ${r2(best(cell.r))}, ` : "random weights not run, ") + `null ${r2(row.null)}, corrected p ${pValue(t.p)} against renamed labels${sum ? " and other periods" : ""}${row.level ? ", which says that it is read, not that it is a circle" : ""}. `,
    read ? [h("b", {}, `On new prompts ${r2(value)}`), (high < -1 ? "" : ` (${r2(low)} to ${r2(high)})`) + (row.k === t.k ? ". " : `, the verdict is on k = ${row.k}, at which the labels are ordered most clearly. `),
      row.agreement[0] === null ? "" : `Predicted and true points agree by ${r2(row.agreement[0])} (${r2(row.agreement[1])} to ${r2(row.agreement[2])}), whatever the scale of the prediction: this is what the verdict asks of new prompts. `] : null,
    (t.share === null ? "" : `This frequency is ${percent(t.share)} of the variance between class means. `) +
    (others.length ? `Leaving out by ${others.join(", by ")}. ` : "") + (rivals.length ? `Parabola${row.level ? ", another target" : ""}: ${rivals.join(", ")}. ` : "") +
      (read && row.rival ? `${row.rival.replace("c", "C")} than the circle. ` : ""),
    read && row.closure ? [h("b", {}, term("closure", "Closure"), row.closure.replace("closure", "")), `. ${data.meanings.verdicts.closure}`] : null);
}

// The address of where a claim's verdict was read, as the map's cells have it.
const fragment = (row) => "#" + [row.domain, row.quantity, row.site, row.position, row.layer].map(encodeURIComponent).join("/");

function curve(row) {
  const width = 180, height = 104, left = 26, right = 174, top = 8, bottom = 84, y = upright(top, bottom), layers = data.layers;
  const x = (i) => layers.length > 1 ? left + 4 + i / (layers.length - 1) * (right - left - 8) : (left + right) / 2;
  const xs = layers.map((_, i) => x(i));
  const series = (kind) => layers.map((layer) => {
    const side = row.cells[layer] && row.cells[layer][kind];
    return side ? largest(side.r2) : null;
  });
  const random = series("r"), trained = series("t");
  const dots = layers.length > 3 ? [] : xs.flatMap((at, i) => [
    random[i] === null ? null : hollow(at, y(random[i])),
    trained[i] === null ? null : s("circle", { cx: at, cy: y(trained[i]), r: 4, fill: TRAINED }),
  ]);
  // One arrowhead a curve says that it goes on below the axis.
  const low = [[trained, TRAINED], [random, RANDOM]].map(([values, colour]) => {
    const least = Math.min(...values.filter((value) => value !== null));
    return least < FLOOR ? arrow(xs[values.indexOf(least)], y(FLOOR) + 6, colour) : null;
  });
  const ends = [...new Set([0, layers.length - 1])].map((i) => say(xs[i], bottom + 15, layerTick(layers[i]), layers.length === 1 ? "middle" : i ? "end" : "start", "muted"));
  return h("figure", {}, h("figcaption", {}, h("a", { href: fragment(row) }, row.name), h("small", {}, [row.shown, row.verdict, row.note].filter(Boolean).join(", "))),
    svg(width, height, `${row.name} over layers`, r2Axis(y, left, right, row.null),
      s("path", { d: path(xs, random, y), fill: "none", stroke: RANDOM, "stroke-width": 1.6, "stroke-dasharray": "4 3" }),
      s("path", { d: path(xs, trained, y), fill: "none", stroke: TRAINED, "stroke-width": 2 }), dots, low,
      ends, say((left + right) / 2, bottom + 15, "layer", "middle", "muted")));
}
