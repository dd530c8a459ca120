// The map and the strip of verdicts as pictures. On the page they are links and rows of text; whoever saves them for a
// paper gets them drawn from what stands there.

// Diagonal strokes over a rectangle, as one path: no better than the null.
function hatching(x, y, width, height, stroke) {
  let d = "";
  for (let at = -height + 3; at < width; at += 6) {
    const from = Math.max(at, 0), to = Math.min(at + height, width);
    d += `M${x + from},${y + height - (from - at)}L${x + to},${y + height - (to - at)}`;
  }
  return s("path", { d, stroke, fill: "none" });
}

function mapPicture() {
  const left = 170, high = 20, wide = Math.max(20, Math.min(60, 760 / data.layers.length)), step = Math.ceil(24 / wide);
  const rows = [...document.querySelector(".map").tBodies[0].rows].filter((row) => row.querySelector("a")), width = left + wide * data.layers.length + 6, bottom = 26 + high * rows.length;
  const drawn = rows.map((row, i) => [
    say(left - 8, 40 + high * i, row.cells[0].textContent, "end", data.rows[i].verdict === "supported" ? "strong" : ""),
    [...row.querySelectorAll("a")].map((cell) => {
      const x = left + wide * data.layers.indexOf(Number(cell.dataset.layer)), y = 26 + high * i, colour = cell.style.getPropertyValue("--c");
      const size = { x, y, width: wide - 1.5, height: high - 1.5 };
      return [
        cell.classList.contains("fails") ? [s("rect", { ...size, fill: "none", stroke: RULE }), hatching(x, y, wide - 1.5, high - 1.5, colour)] : s("rect", { ...size, fill: colour }),
        cell.classList.contains("read") ? s("circle", { cx: x + wide / 2 - 0.8, cy: y + high / 2 - 0.8, r: 4, fill: "#fff", stroke: "#000", "stroke-width": 1.5 }) : null,
      ];
    }),
  ]);
  const ticks = data.layers.map((layer, i) => i % step ? null : say(left + wide * (i + 0.5), 18, layerTick(layer), "middle", "muted"));
  const key = data.scale.map((colour, i) => s("rect", { x: left + 16 * i, y: bottom + 12, width: 16, height: 10, fill: colour }));
  return svg(width, bottom + 46, "Held-out R² of the best plane by claim and layer", say(left - 8, 18, "layer", "end", "muted"), ticks, drawn,
    key, say(left - 6, bottom + 21, "0", "end", "muted"), say(left + 16 * key.length + 6, bottom + 21, "1", "start", "muted"),
    say(left, bottom + 40, "held-out R² of the best plane; hatched: no better than the null; dot: where the verdict was read", "start", "muted"));
}

function stripPicture() {
  const left = 150, right = 460, high = 26, claims = data.rows.filter((row, i) => i === data.rows.findIndex((one) => one.domain === row.domain && one.quantity === row.quantity));
  const bottom = 30 + high * claims.length, x = (value) => left + (Math.min(Math.max(value, FLOOR), 1) - FLOOR) / (1 - FLOOR) * (right - left);
  const mark = (value, y, colour, shape) => value === null ? null : value < FLOOR ? pointer(left, y, colour) : shape(x(value), y);
  const drawn = claims.map((row, i) => {
    const y = 30 + high * (i + 0.5), [value, low, high95] = row.confirmed;
    return [
      say(left - 12, y + 4, row.name, "end"),
      s("rect", { x: x(0), y: y - 9, width: x(Math.max(row.null, 0)) - x(0), height: 18, fill: BAND }),
      line(x(low), y, x(high95), y, TRAINED, { "stroke-width": 3, "stroke-opacity": 0.6 }),
      mark(row.random, y, RANDOM, hollow), mark(value, y, TRAINED, (cx, cy) => s("circle", { cx, cy, r: 5, fill: TRAINED })), mark(row.control, y, INK, diamond),
      say(right + 14, y + 4, row.verdict, "start", row.verdict === "supported" ? "t strong" : ""), say(right + 116, y + 4, row.shown, "start", "muted"),
    ];
  });
  const ticks = [0, 0.5, 1].map((tick) => [line(x(tick), 24, x(tick), bottom, tick ? RULE : GREY), say(x(tick), 18, String(tick), "middle", "muted")]);
  return svg(760, bottom + 30, "Verdicts", ticks, drawn,
    say(left, bottom + 22, `held-out R² of the plane, new prompts; hollow: ${data.called.random}; diamond: control label; grey: null`, "start", "muted"));
}

// Drawn out of sight: only what stands in the page has a style.
for (const [name, make] of [["map", mapPicture], ["strip", stripPicture]]) {
  for (const button of document.querySelectorAll(`[data-picture=${name}]`)) {
    button.addEventListener("click", () => {
      const picture = make();
      document.body.append(h("div", { class: "unseen" }, picture));
      save(fileName(name === "map" ? "map" : "verdicts", "svg"), "image/svg+xml", standalone(picture));
      picture.parentElement.remove();
    });
  }
}
