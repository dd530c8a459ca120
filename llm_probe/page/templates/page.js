// Opens locations and keeps the address, the map and the slider in step. A location has a fragment of its own, such as
// #days/item/resid_post/item/12: every way to open one goes through it, so that links, the Back button and bookmarks work.

const detail = document.getElementById("detail"), map = document.querySelector(".map");
const cells = [...document.querySelectorAll(".map a")];
const decoded = (fragment) => { try { return decodeURIComponent(fragment); } catch { return ""; } };
const cellOf = (fragment) => cells.find((cell) => decoded(cell.hash) === decoded(fragment));
const cellAt = (index, layer) => cells.find((cell) => Number(cell.dataset.row) === index && Number(cell.dataset.layer) === layer);
const calm = matchMedia("(prefers-reduced-motion: reduce)");

// The level with its picture, which stands in the key of the table of verdicts.
function levelWord(row) {
  const picture = document.querySelector(`.levels dt[data-level="${row.level}"] svg`);
  return row.level ? h("span", { class: `level ${row.verdict}` }, picture && picture.cloneNode(true), ` ${row.shown} `) : null;
}

// The row of the map that is open, as a slider over its layers.
function layerSlider(index, layer) {
  const own = cells.filter((cell) => Number(cell.dataset.row) === index), n = own.length, row = data.rows[index];
  const colours = own.map((cell, i) => {
    const colour = cell.classList.contains("fails") ? "var(--band)" : cell.style.getPropertyValue("--c");
    return `${colour} ${100 * i / n}% ${100 * (i + 1) / n}%`;
  });
  const layers = own.map((cell) => Number(cell.dataset.layer)), every = Math.ceil(n / 16);
  const input = h("input", { type: "range", min: 0, max: n - 1, step: 1, "aria-label": `Layer of ${row.name}` });
  const set = (to) => { input.value = layers.indexOf(to); input.setAttribute("aria-valuetext", own[input.value].getAttribute("aria-label")); };
  set(layer);
  input.addEventListener("input", () => {
    const to = layers[input.value];
    set(to);
    history.replaceState(null, "", cellAt(index, to).hash);
    show(index, to);
  });
  const read = layers.indexOf(row.layer), clear = (i) => i % every === 0 && (every === 1 || Math.abs(i - read) > 1);
  const ticks = layers.map((one, i) => h("span", { class: i === read ? "read" : "" }, i === read || clear(i) ? layerTick(one) : ""));
  return h("div", { class: "slider", style: `--n:${n};--cells:linear-gradient(to right, ${colours.join(", ")})` },
    input, h("div", { class: "ticks", "aria-hidden": "true" }, ticks));
}

// Fills the detail with one location; the slider stays, so that it can be dragged.
function show(index, layer) {
  const row = data.rows[index], cell = row.cells[layer];
  for (const one of cells) {
    const mine = Number(one.dataset.row) === index && Number(one.dataset.layer) === layer;
    one.tabIndex = mine ? 0 : -1;
    if (mine) one.setAttribute("aria-current", "true"); else one.removeAttribute("aria-current");
  }
  const link = tool("Copy link", "Copy the address of this location", (button) => copy(button, location.href.split("#")[0] + cellAt(index, layer).hash));
  const back = tool("Show on the map", "Go back to the cell of the map", () => { const cell = cellAt(index, layer); cell.scrollIntoView({ block: "center" }); cell.focus({ preventScroll: true }); });
  detail.querySelector(".about-location").replaceChildren(
    h("h2", { id: "h-detail", "data-name": `${row.name} ${layerName(layer)}` }, `${row.name}, ${layerName(layer)} `, levelWord(row), h("mark", { class: `chip ${row.verdict}` }, row.verdict), row.note ? h("small", {}, ` ${row.note}`) : null, link, back),
    h("p", { class: "key" }, h("span", {}, row.site === "resid_post" ? term("residual stream", row.site) : row.site, ` at the ${row.position} token` + (layer === row.layer ? "; the verdict was read here" : `; the verdict was read at layer ${row.layer}`))));
  detail.querySelector(".at-location").replaceChildren(circles(row, cell, layer), h("div", { class: "beside" }, facts(row, cell, layer), frequencies(row, cell)));
  detail.querySelector(".panels").replaceChildren(...[dimensions(row, cell), periodScan(row, cell), examples(row)].filter(Boolean));
  addTools(detail);
}

function open(index, layer) {
  const row = data.rows[index], panels = () => h("div", { class: "panels" });
  detail.replaceChildren(
    h("div", { class: "stage" }, h("div", { class: "about-location", "aria-live": "polite" }), layerSlider(index, layer), h("div", { class: "at-location" })),
    panels(), ...claimPanels(row));
  show(index, layer);
}

// As little as it takes to see the circle, so that the cell that was chosen stays where it is if there is room for both.
function intoView() {
  const top = detail.querySelector(".stage").getBoundingClientRect().top - 48, picture = detail.querySelector(".pair svg");
  const below = picture ? picture.getBoundingClientRect().bottom + 12 - innerHeight : 0;
  scrollBy({ top: top < 0 ? top : Math.min(Math.max(below, 0), top), behavior: calm.matches ? "auto" : "smooth" });
}

// Opens what the address names; nothing if it names no location.
function openAddress() {
  const cell = cellOf(location.hash);
  if (cell) open(Number(cell.dataset.row), Number(cell.dataset.layer));
  return Boolean(cell);
}

// Arrow keys move over the map as in a spreadsheet; Enter is the links' own, Space does the same.
function move(event) {
  const from = event.target.closest("a");
  const step = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] }[event.key];
  if (from && event.key === " ") { event.preventDefault(); from.click(); }
  if (!from || !step) return;
  event.preventDefault();
  const position = data.layers.indexOf(Number(from.dataset.layer)) + step[1], index = Number(from.dataset.row) + step[0];
  const next = cellAt(index, data.layers[position]);
  if (next) { from.tabIndex = -1; next.tabIndex = 0; next.focus(); }
}

if (map) {
  map.addEventListener("keydown", move);
  // A click on what is open already changes no address.
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a");
    if (link && link.hash && link.hash === location.hash && cellOf(link.hash)) intoView();
  });
  addEventListener("hashchange", () => { if (openAddress()) intoView(); });
  if (openAddress()) requestAnimationFrame(intoView); else open(0, data.rows[0].layer);
}
document.getElementById("over-layers").append(...data.rows.map(curve));
addTools(document);

// Where the reader is, in the contents.
const contents = new Map([...document.querySelectorAll(".contents a")].map((link) => [link.hash.slice(1), link]));
const watch = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) contents.get(target.id).classList.toggle("here", isIntersecting);
}, { rootMargin: "-45% 0px -50% 0px" });
for (const id of contents.keys()) { const part = document.getElementById(id); if (part) watch.observe(part); }
