"use strict";
// Draws the detail of a cell and the curves over layers from the JSON in the page. Elements are built one by one
// and text goes in as text, so that nothing a model wrote is ever read as HTML.

const data = JSON.parse(document.getElementById("payload").textContent);
const SVG = "http://www.w3.org/2000/svg";
const TRAINED = "#0063a6", RANDOM = "#c65200", INK = "#1f2328", GREY = "#5f6670", BAND = "#d5d9de";

function fill(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes || {})) node.setAttribute(key, value);
  for (const child of children.flat(Infinity)) if (child !== null && child !== undefined) node.append(child);
  return node;
}
const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const s = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);
const svg = (width, height, label, ...children) =>
  s("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": label }, ...children);
const say = (x, y, text, anchor = "start", kind = "") => s("text", { x, y, "text-anchor": anchor, class: kind }, text);
const line = (x1, y1, x2, y2, stroke, more) => s("line", { x1, y1, x2, y2, stroke, ...more });

// The token embedding, which is what the first block reads, is layer -1.
const layerName = (layer) => layer < 0 ? "embedding" : `layer ${layer}`;
const layerTick = (layer) => layer < 0 ? "emb" : String(layer);

const minus = (text) => text.replace("-", "−");
function r2(value, decimals = 2) {
  if (value === null || value === undefined) return "–";
  return value < -1 ? "< −1" : minus(value.toFixed(decimals).replace(/^-(0\.?0*)$/, "$1"));
}
const pValue = (p) => p === null || p === undefined ? "–" : p >= 0.1 ? p.toFixed(2) : p >= 0.01 ? p.toFixed(3) : p >= 0.00009 ? String(+p.toPrecision(1)) : p.toExponential(0);

// An R² axis from the floor to 1: a function from R² to height, and its ticks.
const FLOOR = data.floor;
function upright(top, bottom) {
  const y = (value) => bottom - (Math.min(Math.max(value, FLOOR), 1) - FLOOR) / (1 - FLOOR) * (bottom - top);
  return y;
}
function r2Axis(y, left, right, band) {
  const marks = [0, 0.5, 1].map((tick) => [
    line(left, y(tick), right, y(tick), tick ? "#e4e7eb" : GREY),
    say(left - 6, y(tick) + 4, String(tick), "end", "muted"),
  ]);
  const grey = s("rect", { x: left, width: right - left, y: y(Math.max(band, 0)), height: y(0) - y(Math.max(band, 0)), fill: BAND });
  return [grey, ...marks.flat()];
}
const hollow = (cx, cy) => s("circle", { cx, cy, r: 4.5, fill: "#fff", stroke: RANDOM, "stroke-width": 2 });
const arrow = (x, y, colour) => s("path", { d: `M${x - 5},${y - 9}h10l-5,9z`, fill: colour });

// The angle of each point, pushed apart until the labels of neighbours fit beside each other on a rim.
function labelAngles(points, items, rim) {
  const angles = points.map(([x, y]) => Math.atan2(y, x)), order = angles.map((_, i) => i).sort((a, b) => angles[a] - angles[b]);
  const room = (i) => (15 * Math.abs(Math.cos(angles[i])) + (7 * items[i].length + 6) * Math.abs(Math.sin(angles[i]))) / rim;
  for (let round = 0; round < 200; round++) {
    const needed = order.map(room), scale = Math.min(1, 2 * Math.PI / needed.reduce((sum, one) => sum + one, 0));
    order.forEach((i, place) => {
      const last = place === order.length - 1, after = last ? 0 : place + 1, next = order[after];
      const short = scale * (needed[place] + needed[after]) / 2 - (angles[next] + (last ? 2 * Math.PI : 0) - angles[i]);
      if (short > 0 && next !== i) { angles[i] -= short / 2; angles[next] += short / 2; }
    });
  }
  return angles;
}

// Points as near to the centre as these are predictions of nothing: they are not worth a label each.
const NOTHING = 0.3;
// Of more points than these every second, third, … is named.
const MOST_LABELS = 30;
const farthest = (side) => Math.max(...side.points.map(([x, y]) => Math.hypot(x, y)));

function circlePicture(row, side, weights, limit) {
  const size = 330, colour = weights === "trained" ? TRAINED : RANDOM, kind = weights[0];
  const longest = Math.max(...row.items.map((item) => item.length), 1);
  const margin = Math.min(14 + 6.6 * longest, 100), unit = (size - 2 * margin) / 2 / limit, height = size - 2 * margin + 52;
  const cx = size / 2, cy = height / 2;
  const every = Math.ceil(row.items.length / MOST_LABELS);
  const named = side.points.map((_, i) => i * side.step % row.items.length).filter((_, place) => place % every === 0);
  const rim = labelAngles(named.map((i) => side.points[i]), named.map((i) => row.items[i]), unit + 12);
  const at = side.points.map(([x, y]) => [cx + unit * x, cy - unit * y]);
  // Joined in the order in which they stand round the target circle: in steps of the inverse of k.
  const round = at.map((_, i) => at[i * side.step % at.length]);
  const path = "M" + round.map((point) => point.map((value) => value.toFixed(1)).join(",")).join("L") + "Z";
  const nothing = farthest(side) < NOTHING;
  const labels = nothing ? [say(cx, cy + unit * NOTHING + 22, `all within ${farthest(side).toFixed(2)} of the centre`, "middle", "muted")]
    : named.map((i, place) => {
    // Labels stand on a rim outside the circle, so that they can be read where points crowd together.
    const [x, y] = side.points[i], dx = Math.cos(rim[place]), dy = -Math.sin(rim[place]), out = unit * Math.max(Math.hypot(x, y), 1) + 10;
    const anchor = dx > 0.3 ? "start" : dx < -0.3 ? "end" : "middle", to = [cx + dx * (out - 4), cy + dy * (out - 4)];
    const leader = Math.hypot(to[0] - at[i][0], to[1] - at[i][1]) > 14 ? line(at[i][0], at[i][1], to[0], to[1], "#aab1ba") : null;
    return [leader, say(cx + dx * out, cy + dy * (out + 2) + 4, row.items[i], anchor)];
  });
  return svg(size, height, `Circle of ${row.name}, ${data.called[weights]}`,
    s("circle", { cx, cy, r: unit, fill: "none", stroke: BAND, "stroke-width": 1.5 }),
    line(cx - 4, cy, cx + 4, cy, GREY), line(cx, cy - 4, cx, cy + 4, GREY),
    s("path", { d: path, fill: "none", stroke: colour, "stroke-opacity": 0.7, "stroke-dasharray": kind === "r" ? "5 4" : "none" }),
    at.map(([x, y]) => kind === "r" ? hollow(x, y) : s("circle", { cx: x, cy: y, r: 4.5, fill: colour })), labels);
}

function circles(row, cell) {
  const sides = [["trained", cell.t], ["random", cell.r]].filter(([, side]) => side && side.points.length);
  const reach = Math.max(1, ...sides.flatMap(([, side]) => side.points.flat().map(Math.abs)));
  const drawn = sides.map(([weights, side]) => h("figure", {},
    h("figcaption", {}, h("b", { style: `color:${weights === "trained" ? TRAINED : RANDOM}` }, data.called[weights]), `, k = ${side.k_points}`, h("br"),
      side.error === null ? "half the period: one axis, no angle" : `median angle error ${side.error.toFixed(2)} rad (a guess: 1.57)`),
    circlePicture(row, side, weights, reach)));
  if (!cell.r) drawn.push(h("p", { class: "note" }, "No control with random weights was run."));
  const step = cell.t.step, apart = Math.min(step, row.items.length - step), k = cell.t.k_points;
  const isCircle = !row.level || row.level === "circle";
  return h("div", { class: "circle" }, h("h3", {}, isCircle ? "Circle" : "Best plane of this layer"), h("div", { class: "pair" }, ...drawn),
    h("p", { class: "note" }, `Mean prediction for each ${row.quantity === "sum" ? "answer's" : "item's"} prompts, which did not help to fit the plane; grey: the target, radius 1. ` +
      (k === 1 ? "Joined in cyclic order. " : apart > 1 ? `At k = ${k} neighbours are ${apart} apart; joined in that order. ` : `k = ${k} goes round ${k} times. `) +
      (k === row.k ? "" : `The verdict is on k = ${row.k}; k = ${k} is read best in this layer. `) +
      (isCircle ? "" : `No circle was shown of this claim (${row.shown}): the line has the order that a circle would have. `) +
      (row.quantity === "item" ? "Without a signal, leaving an item out pushes its prediction to the far side: errors above 1.57." : "")));
}

function frequencies(row, cell) {
  const width = 330, height = 190, left = 34, top = 10, bottom = 150, y = upright(top, bottom);
  const names = row.quantity === "sum" ? { quadratic: "residue²", polynomial_total: "sum²" } : { quadratic: "order²" };
  const parabolas = Object.keys(names).filter((family) => typeof cell.rivals[family] === "number");
  // A parabola's name is wider than a number: it takes room for three.
  const fair = (width - left - 6) / Math.max(row.frequencies.length + 3.2 * parabolas.length, 5), wide = Math.max(3.2 * fair, 56);
  const share = Math.min(fair, (width - left - 6 - wide * parabolas.length) / row.frequencies.length), every = share < 13 ? Math.ceil(22 / share) : 1;
  const columns = [
    ...row.frequencies.map((k, i) => ({ name: k % every ? "" : String(k), said: `k = ${k}`, trained: cell.t.r2[i], random: cell.r ? cell.r.r2[i] : null, colour: TRAINED })),
    ...parabolas.map((family) => ({ name: names[family], said: `parabola in ${names[family]}`, trained: cell.rivals[family], random: null, colour: "#7a8089" })),
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
  return h("div", {}, h("h3", {}, "Held-out R² by frequency"),
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

function path(xs, values, y) {
  let d = "", open = false;
  values.forEach((value, i) => {
    if (value === null || value === undefined) { open = false; return; }
    d += `${open ? "L" : "M"}${xs[i].toFixed(1)},${y(value).toFixed(1)}`;
    open = true;
  });
  return d;
}

// The least of 1, 2, 3, … 10 times a power of ten that is not below a value.
function above(value) {
  const power = 10 ** Math.floor(Math.log10(value)), steps = [1, 2, 3, 4, 5, 6, 8, 10];
  return power * steps.find((step) => step * power >= value * (1 - 1e-9));
}
const percent = (share) => `${+(100 * share).toPrecision(2)} %`;

function periodScan(row, cell) {
  if (!row.periods.length || !cell.scan.t) return null;
  const width = 340, height = 215, left = 44, top = 24, bottom = 164, right = width - 8;
  const kinds = ["r", "t"].filter((kind) => cell.scan[kind]), shares = Object.fromEntries(kinds.map((kind) => [kind, cell.scan[kind].map((value) => value === null ? null : value / 10000)]));
  const most = above(Math.max(...kinds.flatMap((kind) => shares[kind]), 0.001));
  const x = (period) => left + (1 / period) / 0.5 * (right - left), y = (share) => bottom - share / most * (bottom - top), xs = row.periods.map(x);
  const grid = [0, most / 2, most].map((tick) => [line(left, y(tick), right, y(tick), tick ? "#e4e7eb" : GREY), say(left - 6, y(tick) + 4, percent(tick), "end", "muted")]);
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
  return h("div", {}, h("h3", {}, "Dimensions: class-mean R² and rivals"), h("div", { class: "scroll" },
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
  const t = cell.t, sum = row.quantity === "sum", best = (side) => Math.max(...side.r2.filter((value) => value !== null));
  const read = layer === row.layer, [value, low, high] = row.confirmed;
  const rivals = [["quadratic", sum ? "in the residue" : "in the order"], ["polynomial_total", "in the integer result"]]
    .filter(([family]) => typeof cell.rivals[family] === "number").map(([family, name]) => `${r2(cell.rivals[family])} ${name}`);
  const others = [t.templates === null ? null : `template ${r2(t.templates)}`, t.residues === null || !sum ? null : `residue ${r2(t.residues)}`].filter(Boolean);
  return h("p", { class: "facts" }, h("b", {}, `Held-out R² ${r2(best(t))}`),
    ` at k = ${t.k}, leaving out ${sum ? "operand pairs" : "items"} (${t.groups} of them, ${t.prompts} prompts); ` +
    (cell.r ? `random weights ${r2(best(cell.r))}, ` : "random weights not run, ") + `null ${r2(row.null)}, corrected p ${pValue(t.p)} against renamed labels${sum ? " and other periods" : ""}${row.level ? ", which says that it is read, not that it is a circle" : ""}. `,
    read ? [h("b", {}, `On new prompts ${r2(value)}`), (high < -1 ? "" : ` (${r2(low)} to ${r2(high)})`) + (row.k === t.k ? ". " : `, the verdict is on k = ${row.k}, at which the labels are ordered most clearly. `),
      row.agreement[0] === null ? "" : `Predicted and true points agree by ${r2(row.agreement[0])} (${r2(row.agreement[1])} to ${r2(row.agreement[2])}), whatever the scale of the prediction: this is what the verdict asks of new prompts. `] : null,
    (t.share === null ? "" : `This frequency is ${percent(t.share)} of the variance between class means. `) +
    (others.length ? `Leaving out by ${others.join(", by ")}. ` : "") + (rivals.length ? `Parabola${row.level ? ", another target" : ""}: ${rivals.join(", ")}. ` : "") +
      (read && row.rival ? `${row.rival.replace("c", "C")} than the circle. ` : ""),
    read && row.closure ? [h("b", {}, row.closure.replace("c", "C")), `. ${data.meanings.verdicts.closure}`] : null);
}

// The level with its picture, which stands in the key of the table of verdicts.
function levelWord(row) {
  const picture = document.querySelector(`.levels dt[data-level="${row.level}"] svg`);
  return row.level ? h("span", { class: `level ${row.verdict}` }, picture && picture.cloneNode(true), ` ${row.shown} `) : null;
}

function open(index, layer, focus) {
  const row = data.rows[index], cell = row && row.cells[layer];
  if (!cell || !cell.t) return;
  for (const button of document.querySelectorAll(".map button")) {
    const mine = Number(button.dataset.row) === index && Number(button.dataset.layer) === layer;
    button.setAttribute("aria-pressed", String(mine));
    button.tabIndex = mine ? 0 : -1;
  }
  const detail = document.getElementById("detail");
  detail.replaceChildren(
    h("h2", { id: "h-detail" }, `${row.name}, ${layerName(layer)} `, levelWord(row), h("mark", { class: `chip ${row.verdict}` }, row.verdict), row.note ? h("small", {}, ` ${row.note}`) : null),
    h("p", { class: "key" }, `${row.site} at the ${row.position} token` + (layer === row.layer ? "; the verdict was read here" : `; the verdict was read at layer ${row.layer}`)),
    facts(row, cell, layer),
    h("div", { class: "panels" }, circles(row, cell), dimensions(row, cell), frequencies(row, cell), periodScan(row, cell), examples(row)),
    ...claimPanels(row));
  if (focus) { detail.focus({ preventScroll: true }); detail.scrollIntoView({ block: "start" }); }
}

function curve(row) {
  const width = 180, height = 104, left = 26, right = 174, top = 8, bottom = 84, y = upright(top, bottom), layers = data.layers;
  const x = (i) => layers.length > 1 ? left + 4 + i / (layers.length - 1) * (right - left - 8) : (left + right) / 2;
  const xs = layers.map((_, i) => x(i));
  const series = (kind) => layers.map((layer) => {
    const side = row.cells[layer] && row.cells[layer][kind];
    return side ? Math.max(...side.r2.filter((value) => value !== null)) : null;
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
  return h("figure", {}, h("figcaption", {}, row.name, h("small", {}, [row.shown, row.verdict, row.note].filter(Boolean).join(", "))),
    svg(width, height, `${row.name} over layers`, r2Axis(y, left, right, row.null),
      s("path", { d: path(xs, random, y), fill: "none", stroke: RANDOM, "stroke-width": 1.6, "stroke-dasharray": "4 3" }),
      s("path", { d: path(xs, trained, y), fill: "none", stroke: TRAINED, "stroke-width": 2 }), dots, low,
      ends, say((left + right) / 2, bottom + 15, "layer", "middle", "muted")));
}

// Arrow keys move over the map as in a spreadsheet; Enter and Space are the buttons' own.
function move(event) {
  const from = event.target.closest("button");
  const step = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] }[event.key];
  if (!from || !step) return;
  event.preventDefault();
  const position = data.layers.indexOf(Number(from.dataset.layer)) + step[1], index = Number(from.dataset.row) + step[0];
  const next = document.querySelector(`.map button[data-row="${index}"][data-layer="${data.layers[position]}"]`);
  if (next) { from.tabIndex = -1; next.tabIndex = 0; next.focus(); }
}

function openPlace(place, focus) {
  const [domain, quantity, site, position, layer] = place;
  const index = data.rows.findIndex((row) => row.domain === domain && row.quantity === quantity && row.site === site && row.position === position);
  if (index >= 0) open(index, layer, focus);
}

const map = document.querySelector(".map");
if (map) {
  map.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) open(Number(button.dataset.row), Number(button.dataset.layer), false);
  });
  map.addEventListener("keydown", move);
  open(0, data.rows[0].layer, false);
}
for (const button of document.querySelectorAll("[data-open]")) {
  button.addEventListener("click", () => openPlace(JSON.parse(button.dataset.open), true));
}
document.getElementById("curves").append(...data.rows.map(curve));
