// The journey's data, unpacked; and small helpers. Text is only ever set as text, never as markup.

const DATA = JSON.parse(document.getElementById("data").textContent);
const HOSTS = DATA.drawing.hosts;
const text = (number) => DATA.texts[number];

const FRAMES = DATA.frames.map((row, index) => ({
  index,
  packet: row[0],
  at: row[1],
  host: row[2],
  where: text(row[3]),
  kind: text(row[4]),
  says: text(row[5]),
  state: DATA.states[row[6]],
  rule: text(row[7]),
  entry: text(row[8]),
  station: text(row[9]),
  chains: text(row[10]),
  fine: text(row[11]),
  x: row[12],
  y: row[13],
}));

const REWRITES = ["dnat", "snat", "ipvs", "related"];
const KEY_KINDS = new Set(["send", "receive", "transmit", "deliver", "drop", "encapsulate", "decapsulate",
  "balance", ...REWRITES]);

// The steps that "hops and changes" stops at; the rule that led to a rewrite or a drop is one of them.
function isKey(frame) {
  if (KEY_KINDS.has(frame.kind)) return true;
  const next = FRAMES[frame.index + 1];
  return frame.kind === "rule" && next !== undefined && next.packet === frame.packet &&
    (REWRITES.includes(next.kind) || next.kind === "drop");
}

const $ = (id) => document.getElementById(id);

function make(tag, attributes, ...children) {
  const node = document.createElement(tag);
  return fill(node, attributes, children);
}

function draw(tag, attributes, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  return fill(node, attributes, children);
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) node.setAttribute(name, value);
  for (const child of children) node.append(child);
  return node;
}

function milliseconds(ns) {
  return (ns / 1e6).toLocaleString("en", { minimumFractionDigits: 4, maximumFractionDigits: 4 }) + " ms";
}

function before(frame) {
  const last = FRAMES[frame.index - 1];
  return last !== undefined && last.packet === frame.packet ? last : null;
}

// The layers of a state as {name: {field: value}}, in order.
function layersOf(state) {
  return state[0].map(([name, fields]) => [text(name), fields.map(([field, value]) => [text(field), text(value)])]);
}
