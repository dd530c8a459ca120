// Draws what a claim rests on, whichever of its cells is open: controls, the confirmed plane in numbers, p-values.

// What differs from the true search, and its mark: as in the table of verdicts, with a square for other prompts.
const KINDS = ["labels", "prompts", "weights"];
const diamond = (x, y) => s("path", { d: `M${x},${y - 6}l6,6l-6,6l-6,-6z`, fill: "none", stroke: INK, "stroke-width": 1.8 });
const square = (x, y) => s("rect", { x: x - 4.5, y: y - 4.5, width: 9, height: 9, fill: "none", stroke: INK, "stroke-width": 1.8 });
const pointer = (x, y, colour) => s("path", { d: `M${x},${y}l9,-5v10z`, fill: colour });

function controls(row) {
  if (!row.controls.length) return h("div", {}, h("h3", {}, "Controls"), h("p", { class: "note" }, "No controls were run."));
  const width = 330, left = 132, right = 284, step = 21, top = 12, [value, low, high] = row.confirmed;
  const x = (r) => left + (Math.min(Math.max(r, FLOOR), 1) - FLOOR) / (1 - FLOOR) * (right - left);
  const rows = KINDS.flatMap((kind) => row.controls.filter((one) => one.differs === kind));
  // A little room between the kinds of control.
  let y = top;
  const places = rows.map((one, i) => { y += step + (i === 0 || rows[i - 1].differs !== one.differs ? 7 : 0); return y; });
  const bottom = y + 14, marks = { labels: diamond, prompts: square, weights: hollow };
  const drawn = rows.map((one, i) => [
    say(left - 12, places[i] + 4, one.name, "end"),
    line(left, places[i], right, places[i], RULE),
    one.r2 < FLOOR ? pointer(left, places[i], one.differs === "weights" ? RANDOM : INK) : marks[one.differs](x(one.r2), places[i]),
    say(width - 2, places[i] + 4, r2(one.r2), "end", "muted"),
    s("rect", { x: 0, y: places[i] - step / 2, width, height: step, fill: "transparent" }, s("title", {}, `${one.name}: R² ${r2(one.r2, 3)}, ${one.where}`)),
  ]);
  const interval = s("rect", { x: x(low), width: Math.max(x(high) - x(low), 1.5), y: top - 8, height: bottom - top + 8, fill: TRAINED, "fill-opacity": 0.18 });
  const ticks = [0, 0.5, 1].map((tick) => [line(x(tick), top - 8, x(tick), bottom, tick ? RULE : GREY), say(x(tick), bottom + 15, String(tick), "middle", "muted")]);
  return h("div", {}, h("h3", {}, "Controls: what the same search reaches"),
    svg(width, bottom + 22, `R² of the controls of ${row.name} beside its plane`, ticks, interval,
      say(left - 12, top + 4, "the plane", "end", "t"),
      value < FLOOR ? pointer(left, top, TRAINED) : s("circle", { cx: x(value), cy: top, r: 5.5, fill: TRAINED }), say(width - 2, top + 4, r2(value), "end", "t"), drawn),
    h("p", { class: "note" }, "Plane: on new prompts, blue its 95 % interval. Controls: the largest held-out R² over layers and frequencies, discovery prompts. " +
      (row.quantity === "sum" ? "◇ other labels for the same prompts: on discovery prompts the plane must be read better than them. " : "◇ other labels for the same prompts. ") +
      (rows.some((one) => one.differs === "prompts") ? "□ other prompts: any modulus reads a period from the integer itself; whether the own one reads it best is what the assignment test measures. " : "") +
      (rows.some((one) => one.differs === "weights") ? "○ all weights random, or the blocks only, behind the trained embeddings." : "")));
}

function measures(row) {
  if (!row.measures.length) return h("div", {}, h("h3", {}, "The confirmed plane"), h("p", { class: "note" }, "It was not measured."));
  const [trained, random] = row.read;
  return h("div", {}, h("h3", {}, "The confirmed plane in numbers"), h("table", { class: "dims measures" },
      h("thead", {}, h("tr", {}, ["(without a circle)", data.called.trained, data.called.random].map((name) => h("th", { scope: "col" }, name)))),
      h("tbody", {}, row.measures.map(([name, own, other, without, column]) => h("tr", { title: data.meanings.invariants[column] },
        h("th", { scope: "row" }, name, without ? h("small", {}, ` (${without})`) : null),
        h("td", { class: "own" }, own), h("td", { class: "other" }, other))))),
    h("p", { class: "note" }, `No rotation of the stream changes these. New prompts; R² held out on discovery prompts. Layer ${trained}` + (random === null ? ". " : `, ${data.called.random} ${random}. `) +
      (row.quantity === "item" ? "Items that are left out are pushed to the far side where there is no signal: the resultant is then 1 too, at an angle error of 3.14." : "")));
}

function tests(row) {
  return h("div", {}, h("h3", {}, "p-values"), h("table", { class: "dims tests" },
    h("tbody", {}, row.tests.map(([name, p, purpose, effect, column]) => h("tr", { class: name.startsWith("·") ? "part" : "" }, h("th", { scope: "row" }, name), h("td", {}, p),
      h("td", { class: "meaning" }, purpose ? [h("b", {}, purpose.replace(/`/g, "")), ". "] : null, data.meanings.verdicts[column] + effect))))));
}

// How to take the directions of the plane along.
function directions(row) {
  const words = `from llm_probe import read_result; plane = read_result(${JSON.stringify(data.folder)}).plane(${JSON.stringify(row.domain)}, ${JSON.stringify(row.quantity)})`;
  return data.folder ? h("p", { class: "again" }, h("span", {}, "Its directions"), " ", h("code", {}, words), " ", tool("Copy", "Copy these words", (button) => copy(button, words))) : null;
}

function claimPanels(row) {
  return [h("h3", { class: "claim" }, `Behind the verdict on ${row.name}`, h("small", {}, " the same whichever layer is open")), directions(row),
    h("div", { class: "panels behind" }, h("div", { class: "stack" }, controls(row), measures(row)), tests(row))].filter(Boolean);
}

