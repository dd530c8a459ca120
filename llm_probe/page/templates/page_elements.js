"use strict";
// Elements, numbers and axes that all pictures of the page are made of. Elements are built one by one and text goes in
// as text, so that nothing a model wrote is ever read as HTML. Colours are the variables of page.css, so that pictures
// follow the page into the dark.

const data = JSON.parse(document.getElementById("payload").textContent);
const SVG = "http://www.w3.org/2000/svg";
const [TRAINED, RANDOM, INK, GREY, BAND, RULE, GROUND, OTHER] =
  ["trained", "random", "ink", "grey", "band", "rule", "ground", "other"].map((name) => `var(--${name})`);
const colourOf = (weights) => weights === "trained" ? TRAINED : RANDOM;

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

// A word that page_tools.js explains where it stands; `shown` is what is printed of it.
const term = (name, shown = name) => h("button", { class: "term", type: "button", "data-term": name }, shown);

// The token embedding, which is what the first block reads, is layer -1.
const layerName = (layer) => layer < 0 ? "embedding" : `layer ${layer}`;
const layerTick = (layer) => layer < 0 ? "emb" : String(layer);

const minus = (text) => text.replace("-", "−");
function r2(value, decimals = 2) {
  if (value === null || value === undefined) return "–";
  return value < -1 ? "< −1" : minus(value.toFixed(decimals).replace(/^-(0\.?0*)$/, "$1"));
}
const pValue = (p) => p === null || p === undefined ? "–" : p >= 0.1 ? p.toFixed(2) : p >= 0.01 ? p.toFixed(3) : p >= 0.00009 ? String(+p.toPrecision(1)) : p.toExponential(0);
const percent = (share) => `${+(100 * share).toPrecision(2)} %`;
const largest = (values) => Math.max(...values.filter((value) => value !== null));

// The least of 1, 2, 3, … 10 times a power of ten that is not below a value.
function above(value) {
  const power = 10 ** Math.floor(Math.log10(value)), steps = [1, 2, 3, 4, 5, 6, 8, 10];
  return power * steps.find((step) => step * power >= value * (1 - 1e-9));
}

// An R² axis from the floor to 1: a function from R² to height, and its ticks.
const FLOOR = data.floor;
const upright = (top, bottom) => (value) => bottom - (Math.min(Math.max(value, FLOOR), 1) - FLOOR) / (1 - FLOOR) * (bottom - top);
function r2Axis(y, left, right, band) {
  const marks = [0, 0.5, 1].map((tick) => [
    line(left, y(tick), right, y(tick), tick ? RULE : GREY),
    say(left - 6, y(tick) + 4, String(tick), "end", "muted"),
  ]);
  const grey = s("rect", { x: left, width: right - left, y: y(Math.max(band, 0)), height: y(0) - y(Math.max(band, 0)), fill: BAND });
  return [grey, ...marks.flat()];
}
const hollow = (cx, cy, r = 4.5) => s("circle", { cx, cy, r, fill: GROUND, stroke: RANDOM, "stroke-width": 2 });
const arrow = (x, y, colour) => s("path", { d: `M${x - 5},${y - 9}h10l-5,9z`, fill: colour });

// A line through the values that are known; it breaks where one is missing.
function path(xs, values, y) {
  let d = "", open = false;
  values.forEach((value, i) => {
    if (value === null || value === undefined) { open = false; return; }
    d += `${open ? "L" : "M"}${xs[i].toFixed(1)},${y(value).toFixed(1)}`;
    open = true;
  });
  return d;
}
