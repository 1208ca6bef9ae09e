"use strict";
// Tooltips: the marks' own titles, shown at once. Without this script the browser shows them after a while.
const tip = document.getElementById("tip");
for (const title of document.querySelectorAll("svg.chart title")) {
  title.parentNode.dataset.tip = title.textContent;
  title.remove();
}
function show(text, event) {
  tip.hidden = !text;
  if (!text) return;
  tip.textContent = text;
  const box = tip.getBoundingClientRect();
  const right = event.clientX + 16 + box.width > innerWidth;
  tip.style.left = Math.max(4, right ? event.clientX - 12 - box.width : event.clientX + 16) + "px";
  tip.style.top = Math.max(4, Math.min(event.clientY + 14, innerHeight - box.height - 8)) + "px";
}
document.addEventListener("pointermove", event => {
  const mark = event.target.closest && event.target.closest("[data-tip]");
  if (mark) show(mark.dataset.tip, event);
  else if (!(event.target.closest && event.target.closest("svg.points"))) show("", event);
});
document.addEventListener("keydown", event => { if (event.key === "Escape") tip.hidden = true; });

// The request timeline: the request nearest to the pointer, read back from the paths.
function took(ms) {
  return ms >= 1000 ? (ms / 1000).toPrecision(3) + " s" : ms >= 1 ? ms.toPrecision(3) + " ms" : (ms * 1000).toPrecision(3) + " us";
}
for (const group of document.querySelectorAll("g.timeline")) {
  const svg = group.ownerSVGElement, d = group.dataset;
  const num = name => parseFloat(d[name]);
  let places = null;
  const cursor = document.createElementNS("http://www.w3.org/2000/svg", "circle");
  cursor.setAttribute("r", "6");
  cursor.setAttribute("class", "cursor");
  cursor.setAttribute("visibility", "hidden");
  group.append(cursor);
  const read = () => [...group.querySelectorAll("path.points")].flatMap(path =>
    [...path.getAttribute("d").matchAll(/M([-\d.]+) ([-\d.]+)/g)].map(m => [+m[1], +m[2], path.dataset.name]));
  svg.addEventListener("pointermove", event => {
    if (event.target.closest("[data-tip]")) return;
    places = places || read();
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    let best = null, least = 400;
    for (const place of places) {
      const far = (place[0] - at.x) ** 2 + (place[1] - at.y) ** 2;
      if (far < least) { least = far; best = place; }
    }
    cursor.setAttribute("visibility", best ? "visible" : "hidden");
    if (!best) return show("", event);
    cursor.setAttribute("cx", best[0]);
    cursor.setAttribute("cy", best[1]);
    const share = (best[0] - num("left")) / (num("right") - num("left"));
    const when = num("x0") + share * (num("x1") - num("x0"));
    const up = (best[1] - num("bottom")) / (num("top") - num("bottom"));
    const ms = num("y0") * (num("y1") / num("y0")) ** up;
    const failed = best[2].startsWith("failed");
    show(`${failed ? "failed" : best[2]}: began ${when.toFixed(3)} s ${d.after}, ${failed ? "given up after" : "took"} about ${took(ms)}`, event);
  });
  svg.addEventListener("pointerleave", event => { cursor.setAttribute("visibility", "hidden"); show("", event); });
}

// Tables: a click on a heading sorts by that column, numbers by size with their units.
const units = { ns: 1, us: 1e3, ms: 1e6, s: 1e9, "%": 1 };
function key(text) {
  const found = text.replace(/,/g, "").match(/^<?\s*(-?[\d.]+(?:e-?\d+)?)\s*(ns|us|ms|s|%)?(?:$|[\s:;(])/);
  return found ? parseFloat(found[1]) * (units[found[2]] || 1) : text === "-" || text === "" ? -Infinity : null;
}
for (const button of document.querySelectorAll("table.sortable thead button")) {
  button.addEventListener("click", () => {
    const heading = button.parentNode, table = heading.closest("table"), body = table.tBodies[0];
    const column = heading.cellIndex, down = heading.getAttribute("aria-sort") === "ascending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", down ? "descending" : "ascending");
    const rows = [...body.rows].map(row => [row.cells[column].textContent.trim(), row]);
    const numbers = heading.classList.contains("num") && rows.every(([text]) => key(text) !== null);
    rows.sort(([a], [b]) => numbers ? key(a) - key(b) : a.localeCompare(b, "en", { numeric: true }));
    if (down) rows.reverse();
    body.append(...rows.map(([, row]) => row));
  });
}

// On paper everything folded is unfolded.
addEventListener("beforeprint", () => { for (const part of document.querySelectorAll("details")) part.open = true; });
