// The circle of one location, to explore: class means and single prompts on the plane, trained beside random on one
// scale. A point is [x, y], or [x, y, z] where a third direction was kept, into which both pictures turn together.
// Pointing at a dot, or the arrow keys, name it in both.

// Points as near to the centre as these are predictions of nothing: they are not worth a label each.
const NOTHING = 0.3;
// Of more points than these every second, third, … is named.
const MOST_LABELS = 30;
const SIZE = 330, NEAR = 14, HINT = "Point at a dot, or use the arrow keys, to name it.";
// Degrees about the vertical and the horizontal axis: the same for all pictures, whichever location is open.
const view = { turn: 0, tilt: 0 };
const faceOn = () => !view.turn && !view.tilt;
const farthest = (side) => Math.max(...side.points.map(([x, y]) => Math.hypot(x, y)));

// From a point to the picture, in orthographic projection.
function projection(unit, cx, cy) {
  const [turn, tilt] = [view.turn, view.tilt].map((degrees) => degrees * Math.PI / 180);
  return ([x, y, z = 0]) => {
    const right = x * Math.cos(turn) + z * Math.sin(turn), away = z * Math.cos(turn) - x * Math.sin(turn);
    return [cx + unit * right, cy - unit * (y * Math.cos(tilt) + away * Math.sin(tilt))];
  };
}

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

// Labels stand on a rim outside the circle, so that they can be read where points crowd together; once the picture is
// turned they stand beside their points, where there is room.
function labels(row, side, at, chosen, unit, cx, cy) {
  if (!faceOn()) {
    const taken = [], free = ([x, y], long) => taken.every(([ox, oy, other]) => Math.abs(y - oy) > 13 || x > ox + other || ox > x + long);
    return chosen.map((i) => {
      const long = 7 * row.items[i].length + 4;
      if (!free(at[i], long)) return null;
      taken.push([...at[i], long]);
      return say(at[i][0] + 8, at[i][1] + 4, row.items[i]);
    });
  }
  const rim = labelAngles(chosen.map((i) => side.points[i]), chosen.map((i) => row.items[i]), unit + 12);
  return chosen.map((i, place) => {
    const [x, y] = side.points[i], dx = Math.cos(rim[place]), dy = -Math.sin(rim[place]), out = unit * Math.max(Math.hypot(x, y), 1) + 10;
    const anchor = dx > 0.3 ? "start" : dx < -0.3 ? "end" : "middle", to = [cx + dx * (out - 4), cy + dy * (out - 4)];
    const leader = Math.hypot(to[0] - at[i][0], to[1] - at[i][1]) > 14 ? line(at[i][0], at[i][1], to[0], to[1], "var(--leader)") : null;
    return [leader, say(cx + dx * out, cy + dy * (out + 2) + 4, row.items[i], anchor)];
  });
}

// What a picture is made of; `named`: the class that is pointed at, or null.
function scene(picture, named) {
  const { row, side, prompts, unit, cx, cy } = picture, colour = colourOf(picture.weights), random = picture.weights === "random";
  const place = projection(unit, cx, cy), at = side.points.map(place);
  const ring = Array.from({ length: 73 }, (_, i) => place([Math.cos(i * Math.PI / 36), Math.sin(i * Math.PI / 36)]));
  const through = (points) => "M" + points.map((point) => point.map((value) => value.toFixed(1)).join(",")).join("L");
  // Joined in the order in which they stand round the target circle: in steps of the inverse of k.
  const order = at.map((_, i) => i * side.step % at.length), every = Math.ceil(row.items.length / MOST_LABELS);
  const nothing = farthest(side) < NOTHING && faceOn(), deep = [[0, 0, 0], [0, 0, 1.3]].map(place);
  const chosen = nothing ? [] : order.filter((i, place) => place % every === 0 || i === named);
  const dots = prompts.map(({ point, label }) => {
    const [x, y] = place(point), inside = x > 3 && x < SIZE - 3 && y > 3 && y < picture.height - 3;
    return inside ? s("circle", { cx: x.toFixed(1), cy: y.toFixed(1), r: 2.4, fill: colour, class: "prompt" + (named === null ? "" : label === named ? " on" : " off") }) : null;
  });
  const marks = at.map(([x, y], i) => [
    i === named ? s("circle", { cx: x, cy: y, r: 9, fill: "none", stroke: INK, "stroke-width": 1.5 }) : null,
    random ? hollow(x, y) : s("circle", { cx: x, cy: y, r: 4.5, fill: colour }),
  ]);
  return [
    s("path", { d: through(ring), fill: "none", stroke: BAND, "stroke-width": 1.5 }),
    line(cx - 4, cy, cx + 4, cy, GREY), line(cx, cy - 4, cx, cy + 4, GREY),
    faceOn() ? null : [line(...deep[0], ...deep[1], GREY, { "stroke-dasharray": "2 3" }), say(deep[1][0], deep[1][1] - 5, "third", "middle", "muted")],
    dots,
    s("path", { d: through(order.map((i) => at[i])) + "Z", fill: "none", stroke: colour, "stroke-opacity": 0.7, "stroke-dasharray": random ? "5 4" : "none" }),
    marks,
    nothing ? say(cx, cy + unit * NOTHING + 22, `all within ${farthest(side).toFixed(2)} of the centre`, "middle", "muted") : labels(row, side, at, chosen, unit, cx, cy),
  ];
}

// A class in words: where its mean stands, and where the circle would have it.
function classWords({ row, side }, i) {
  const [x, y] = side.points[i], degrees = (turns) => `${Math.round(((turns % 1 + 1) % 1) * 360)}°`;
  return [h("b", {}, row.items[i]), `: ${Math.hypot(x, y).toFixed(2)} from the centre, at ${degrees(Math.atan2(y, x) / 2 / Math.PI)}; on the circle ${degrees(side.k_points * i / row.period)}`];
}

// The class or prompt next to a place on a picture, if there is one near by.
function nearest(picture, x, y) {
  const place = projection(picture.unit, picture.cx, picture.cy);
  const away = (point) => { const [px, py] = place(point); return Math.hypot(px - x, py - y); };
  const all = [
    ...picture.side.points.map((point, label) => ({ label, prompt: null, away: away(point) - 3 })),
    ...picture.prompts.map((prompt) => ({ label: prompt.label, prompt, away: away(prompt.point) })),
  ];
  return all.filter((one) => one.away < NEAR).sort((a, b) => a.away - b.away)[0] || null;
}

// The pictures of one location, with what names their points and turns them.
function explorer(row, cell, layer) {
  const sides = [["trained", cell.t], ["random", cell.r]].filter(([, side]) => side && side.points.length);
  const kept = row.prompts && row.prompts.layer === layer ? row.prompts : null;
  const promptsOf = (weights) => !kept || !kept[weights[0]] ? [] : kept[weights[0]].map((point, i) => ({ point: point.map((value) => value / 100), label: kept.labels[i], text: kept.texts[i] }));
  const reach = Math.max(1, ...sides.flatMap(([, side]) => side.points.flatMap(([x, y]) => [Math.abs(x), Math.abs(y)])));
  const margin = Math.min(14 + 6.6 * Math.max(...row.items.map((item) => item.length), 1), 100), height = SIZE - 2 * margin + 52;
  const pictures = sides.map(([weights, side]) => ({
    row, side, weights, height, prompts: promptsOf(weights), unit: (SIZE - 2 * margin) / 2 / reach, cx: SIZE / 2, cy: height / 2,
    node: svg(SIZE, height, `Circle of ${row.name}, ${data.called[weights]}`), said: h("p", { class: "readout", "aria-live": "polite" }, HINT),
  }));
  const deep = sides.some(([, side]) => side.points.some((point) => point.length > 2));
  const turned = h("input", { type: "range", min: -90, max: 90, step: 1, value: view.turn });
  let named = null;
  const draw = () => { turned.value = view.turn; for (const picture of pictures) picture.node.replaceChildren(...scene(picture, named).flat(Infinity).filter(Boolean)); };
  const name = (label, own, prompt) => {
    named = label;
    for (const picture of pictures) {
      const words = label === null ? [HINT] : picture === own && prompt ? [h("b", {}, row.items[label]), `: ${prompt.text}`] : classWords(picture, label);
      picture.said.replaceChildren(...words);
    }
    draw();
  };
  for (const picture of pictures) {
    const { node } = picture;
    node.tabIndex = 0;
    node.addEventListener("pointermove", (event) => {
      if (event.buttons && deep) {
        view.turn = Math.max(-90, Math.min(90, view.turn + event.movementX / 2));
        view.tilt = Math.max(-90, Math.min(90, view.tilt + event.movementY / 2));
        return draw();
      }
      const box = node.getBoundingClientRect(), scale = SIZE / box.width;
      const one = nearest(picture, (event.clientX - box.left) * scale, (event.clientY - box.top) * scale);
      if (one) name(one.label, picture, one.prompt); else if (named !== null) name(null);
    });
    node.addEventListener("pointerdown", (event) => node.setPointerCapture(event.pointerId));
    node.addEventListener("pointerleave", () => { if (document.activeElement !== node) name(null); });
    node.addEventListener("blur", () => name(null));
    node.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key], n = row.items.length;
      if (step) { event.preventDefault(); name(named === null ? 0 : (named + step + n) % n, picture); }
    });
  }
  turned.addEventListener("input", () => { view.turn = Number(turned.value); draw(); });
  draw();
  const back = h("button", { class: "tool", type: "button" }, "Face on");
  back.addEventListener("click", () => { view.turn = view.tilt = 0; draw(); });
  const figures = pictures.map(({ side, weights, node, said }) => h("figure", {},
    h("figcaption", {}, h("b", { style: `color:${colourOf(weights)}` }, data.called[weights]), `, k = ${side.k_points}`, h("br"),
      side.error === null ? "half the period: one axis, no angle" : ["median ", term("angle error"), ` ${side.error.toFixed(2)} rad (a guess: 1.57)`]),
    node, said));
  if (!cell.r) figures.push(h("p", { class: "note" }, "No control with random weights was run."));
  const turning = deep ? h("p", { class: "turning" }, h("label", {}, "turn into the third direction ", turned), back) : null;
  return { node: h("div", { class: "pair" }, figures), turning, count: Math.max(0, ...pictures.map(({ prompts }) => prompts.length)) };
}

function circles(row, cell, layer) {
  const step = cell.t.step, apart = Math.min(step, row.items.length - step), k = cell.t.k_points, made = explorer(row, cell, layer);
  const isCircle = !row.level || row.level === "circle";
  return h("div", { class: "circle" }, h("h3", {}, isCircle ? "Circle" : "Best plane of this layer"), made.node, made.turning,
    h("p", { class: "note" }, `Large dots: mean prediction for each ${row.quantity === "sum" ? "answer's" : "item's"} prompts, which did not help to fit the plane; grey: the target, radius 1. ` +
      (made.count ? `Small dots: ${made.count} of ${cell.t.prompts} prompts. ` : row.prompts ? `Single prompts are kept for layer ${row.prompts.layer}. ` : "") +
      (made.turning ? `Third direction: ${data.meanings.circles.z} Drag a picture to turn both. ` : "") +
      (k === 1 ? "Joined in cyclic order. " : apart > 1 ? `At k = ${k} neighbours are ${apart} apart; joined in that order. ` : `k = ${k} goes round ${k} times. `) +
      (k === row.k ? "" : `The verdict is on k = ${row.k}; k = ${k} is read best in this layer. `) +
      (isCircle ? "" : `No circle was shown of this claim (${row.shown}): the line has the order that a circle would have. `) +
      (row.quantity === "item" ? "Without a signal, leaving an item out pushes its prediction to the far side: errors above 1.57." : "")));
}
