// What the reader takes along or looks up: pictures as SVG, tables as CSV, texts to the clipboard, words explained.

const clean = (text) => text.replace(/\s+/g, " ").trim();
const fileName = (words, kind) => `${data.name} ${words}`.replace(/[^\p{L}\p{N}.]+/gu, "-").replace(/^-|-$/g, "").slice(0, 80) + `.${kind}`;

function save(name, kind, text) {
  const link = h("a", { download: name, href: `data:${kind};charset=utf-8,${encodeURIComponent(text)}` });
  document.body.append(link);
  link.click();
  link.remove();
}

// A picture as a file of its own, as it looks on white paper.
const KEPT = ["fill", "fill-opacity", "stroke", "stroke-opacity", "stroke-width", "stroke-dasharray", "opacity", "font-size", "font-weight", "font-family", "text-anchor"];
function standalone(picture) {
  const { width, height } = picture.viewBox.baseVal, copy = picture.cloneNode(true);
  fill(copy, { xmlns: SVG, width, height }, []);
  document.documentElement.classList.add("paper");
  const own = [...picture.querySelectorAll("*")];
  [...copy.querySelectorAll("*")].forEach((node, i) => {
    if (own[i].closest("defs, title, image")) return;
    const style = getComputedStyle(own[i]);
    for (const name of KEPT) if (style.getPropertyValue(name)) node.style.setProperty(name, style.getPropertyValue(name));
    node.removeAttribute("class");
  });
  document.documentElement.classList.remove("paper");
  copy.prepend(s("rect", { width: "100%", height: "100%", fill: "#fff" }));
  return new XMLSerializer().serializeToString(copy);
}

const csv = (table) => [...table.rows].map((row) => [...row.cells].map((cell) => `"${clean(cell.textContent).replace(/"/g, '""')}"`).join(",")).join("\n") + "\n";

// A small button after the words of a heading.
function tool(words, said, work) {
  const button = h("button", { class: "tool", type: "button", title: said, "aria-label": said }, words);
  button.addEventListener("click", () => work(button));
  return button;
}

// Every picture and every table gets its button, in the heading or caption that stands with it.
function addTools(root) {
  for (const holder of root.querySelectorAll("figure, .panels > div:not(.stack), .stack > div, .beside > div")) {
    const picture = holder.querySelector("svg:not(.level svg)"), table = holder.querySelector("table"), heading = holder.querySelector("h3, figcaption");
    if (!heading || heading.querySelector(".tool") || !(picture || table)) continue;
    const place = holder.closest("#detail") ? document.getElementById("h-detail") : null;
    const words = clean((heading.querySelector("a, b") || heading).textContent), name = () => `${place ? place.dataset.name : ""} ${words}`;
    heading.append(picture
      ? tool("SVG", "Save this picture as SVG", () => save(fileName(name(), "svg"), "image/svg+xml", standalone(picture)))
      : tool("CSV", "Save this table as CSV", () => save(fileName(name(), "csv"), "text/csv", csv(table))));
  }
}

// To the clipboard; where the browser forbids that, the words are marked, so that a key copies them.
async function copy(button, text, shown) {
  const words = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    if (shown) getSelection().selectAllChildren(shown);
    button.textContent = shown ? "Marked" : "Not allowed";
  }
  setTimeout(() => { button.textContent = words; }, 1500);
}
for (const button of document.querySelectorAll("[data-copy]")) {
  const shown = button.closest("p, section").querySelector("code, pre");
  button.addEventListener("click", () => copy(button, shown.textContent, shown));
}
// A table of the run is saved by its link at the foot, which may lead to the file beside the page.
for (const button of document.querySelectorAll("[data-table]")) {
  button.addEventListener("click", () => document.getElementById(`t-${button.dataset.table}`).click());
}

// A word is explained beside it: pointed at, focused or tapped; Escape closes.
const gloss = h("div", { id: "gloss", role: "tooltip", hidden: "" });
document.body.append(gloss);
function explain(button) {
  const box = button.getBoundingClientRect(), width = Math.min(340, document.documentElement.clientWidth - 24);
  gloss.replaceChildren(h("b", {}, button.dataset.term), ` ${data.terms[button.dataset.term]}`);
  gloss.hidden = false;
  gloss.style.width = `${width}px`;
  gloss.style.left = `${scrollX + Math.max(12, Math.min(box.left, document.documentElement.clientWidth - width - 12))}px`;
  const above = box.bottom + gloss.offsetHeight + 12 > innerHeight && box.top > gloss.offsetHeight + 12;
  gloss.style.top = `${scrollY + (above ? box.top - gloss.offsetHeight - 6 : box.bottom + 6)}px`;
  button.setAttribute("aria-describedby", "gloss");
}
function unexplain() {
  gloss.hidden = true;
  for (const button of document.querySelectorAll("[aria-describedby=gloss]")) button.removeAttribute("aria-describedby");
}
for (const [type, work] of [["pointerover", explain], ["focusin", explain], ["click", explain], ["pointerout", unexplain], ["focusout", unexplain]]) {
  document.addEventListener(type, (event) => {
    const button = event.target.closest && event.target.closest(".term");
    if (button) work(button);
  });
}
document.addEventListener("keydown", (event) => { if (event.key === "Escape") unexplain(); });
