// The topology, and the packet in it.

const POD_TEXT = 19;
const UNDERLAY = DATA.drawing.underlay;

function shortened(name, length) {
  return name.length <= length ? name : name.slice(0, Math.ceil(length / 2) - 1) + "…" +
    name.slice(name.length - Math.floor(length / 2));
}

function onUnderlay(host) {
  return ["node", "router", "balancer"].includes(host.kind);
}

function place(host, name) {
  return host.places.find((found) => found[0] === name);
}

function line(x1, y1, x2, y2, cls) {
  return draw("line", { x1, y1, x2, y2, class: cls });
}

function label(x, y, words, cls) {
  return draw("text", { x, y, class: cls, "text-anchor": "middle" }, words);
}

function chip(x, y, words, cls) {
  const width = Math.max(34, words.length * 6.6 + 10);
  return draw("g", { class: "chip " + cls },
    draw("rect", { x: x - width / 2, y: y - 9, width, height: 18, rx: 5 }), label(x, y + 3.6, words, "small"));
}

function cables(layer) {
  for (const host of HOSTS) {
    const uplink = place(host, "eth0");
    if (onUnderlay(host) && uplink) layer.append(line(uplink[1], uplink[2], uplink[1], UNDERLAY, "cable"));
    const parent = HOSTS.find((found) => found.name === host.parent);
    if (!parent || !uplink) continue;
    const veth = host.kind === "pod"
      ? parent.places.find((found) => found[3] === "veth" && found[1] === uplink[1])
      : place(parent, "to-" + host.name);
    if (veth) layer.append(line(uplink[1], uplink[2], veth[1], veth[2], "cable"));
  }
}

function insides(host, group) {
  const bridge = host.places.find((found) => found[3] === "bridge");
  const hooks = place(host, "PREROUTING");
  if (host.kind !== "node" || !hooks) return;
  const [x, y, width] = host.box;
  const at = (name) => place(host, name);
  const joins = [["PREROUTING", "FORWARD"], ["FORWARD", "POSTROUTING"], ["PREROUTING", "INPUT"], ["INPUT", ""],
    ["", "OUTPUT"], ["OUTPUT", "POSTROUTING"]];
  for (const [from, to] of joins) group.append(line(at(from)[1], at(from)[2], at(to)[1], at(to)[2], "way"));
  if (bridge) {
    group.append(draw("rect", { x: x + 16, y: bridge[2] - 9, width: width - 32, height: 18, rx: 5, class: "bridge" }));
    group.append(label(bridge[1], bridge[2] + 3.6, bridge[0] + " (bridge)", "small"));
  }
  for (const [name, px, py, kind] of host.places) {
    if (kind === "veth" && bridge) group.append(line(px, py, px, bridge[2] - 9, "cable"));
  }
  const tunnel = host.places.find((found) => found[3] === "vxlan");
  if (tunnel) group.append(line(tunnel[1], tunnel[2], at("eth0")[1], at("eth0")[2], "way"));
}

function hostGroup(host, index) {
  const [x, y, width, height] = host.box;
  const group = draw("g", { class: "host " + host.kind, "data-host": index });
  group.append(draw("title", {}, host.name + " " + host.addresses.join(", ")));
  group.append(draw("rect", { x, y, width, height, rx: 9, class: "body" }));
  insides(host, group);
  const middle = x + width / 2;
  if (host.kind === "node") {
    group.append(draw("text", { x: x + 12, y: y + height - 12, class: "name" }, shortened(host.name, 16)));
    group.append(draw("text", { x: x + width - 12, y: y + height - 12, class: "address", "text-anchor": "end" },
      host.addresses[0]));
  } else {
    const [name, namespace] = host.name.split("/").reverse();
    group.append(label(middle, y + 17, namespace ? namespace + "/" : host.kind === name ? "" : host.kind.replace("balancer", "load balancer"), "address"));
    group.append(label(middle, y + 32, shortened(name, POD_TEXT), "name"));
    group.append(label(middle, y + 46, shortened(host.addresses[0], 24), "address"));
  }
  for (const [name, px, py, kind] of host.places) {
    if (kind === "bridge") continue;
    if (kind === "process") {
      if (host.kind === "node") group.append(chip(px, py, "processes", "process"));
    } else if (host.kind === "node" || kind !== "hook") {
      group.append(chip(px, py, shortened(name.replace(/^to-/, "→ "), 16), kind + (kind === "hook" ? " at-" + name : "")));
    }
  }
  return group;
}

function drawTopology() {
  const { width, height } = DATA.drawing;
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img",
    "aria-label": "Topology: " + HOSTS.map((host) => `${host.kind} ${host.name}`).join(", ") });
  const layer = draw("g", {});
  svg.append(layer);
  const ends = HOSTS.filter(onUnderlay).map((host) => place(host, "eth0")).filter(Boolean).map((found) => found[1]);
  if (ends.length) {
    const from = Math.min(...ends) - 60, to = Math.max(...ends) + 60;
    layer.append(draw("rect", { x: Math.max(8, from), y: UNDERLAY - 8, width: Math.min(width - 8, to) - Math.max(8, from),
      height: 16, rx: 8, class: "underlay" }));
    layer.append(label((from + to) / 2, UNDERLAY + 26, `underlay switch (pod network: ${DATA.drawing.network})`, "small dim"));
  }
  cables(layer);
  HOSTS.forEach((host, index) => svg.append(hostGroup(host, index)));
  svg.append(draw("polyline", { id: "trail", points: "" }));
  svg.append(draw("g", { id: "dot" }, draw("circle", { r: 15, class: "halo" }), draw("circle", { r: 8, class: "core" }),
    draw("text", { y: -20, class: "tag", "text-anchor": "middle" })));
  // Wide drawings scroll sideways rather than become too small to read.
  svg.style.minWidth = Math.min(width, Math.max(560, Math.round(width * 0.66))) + "px";
  $("drawing").append(svg);
  return svg;
}

// The points between two steps: along the veth, or down to the underlay and up again.
function way(from, to) {
  if (from === null || from.packet !== to.packet) return [[to.x, to.y]];
  const points = [[from.x, from.y]];
  if (from.host !== to.host && from.host >= 0 && to.host >= 0) {
    const [one, other] = [HOSTS[from.host], HOSTS[to.host]];
    if (onUnderlay(one) && onUnderlay(other)) points.push([from.x, UNDERLAY], [to.x, UNDERLAY]);
  }
  points.push([to.x, to.y]);
  return points;
}

let moving = 0;

function moveDot(frame, from, duration) {
  const dot = $("dot"), points = way(from, frame);
  const packet = DATA.packets[frame.packet];
  dot.setAttribute("class", (packet.kind) + (frame.kind === "drop" ? " dropped" : "") +
    (frame.kind === "deliver" ? " delivered" : ""));
  dot.querySelector("text").textContent = frame.kind === "drop" ? "✕ dropped" : packet.name;
  $("trail").setAttribute("points", points.map((point) => point.join(",")).join(" "));
  cancelAnimationFrame(moving);
  const set = ([x, y]) => dot.setAttribute("transform", `translate(${x} ${y})`);
  follow(points[points.length - 1]);
  if (points.length < 2 || duration < 20) { set(points[points.length - 1]); return; }
  const lengths = points.slice(1).map((p, i) => Math.hypot(p[0] - points[i][0], p[1] - points[i][1]));
  const total = lengths.reduce((sum, length) => sum + length, 0);
  let started = null;
  const tick = (now) => {
    started = started === null ? now : started;
    const share = Math.min(1, (now - started) / duration);
    let left = total * (share < 0.5 ? 2 * share * share : 1 - 2 * (1 - share) * (1 - share));
    let leg = 0;
    while (leg < lengths.length - 1 && left > lengths[leg]) left -= lengths[leg++];
    const part = lengths[leg] ? Math.min(1, left / lengths[leg]) : 1;
    set([0, 1].map((axis) => points[leg][axis] + (points[leg + 1][axis] - points[leg][axis]) * part));
    if (share < 1) moving = requestAnimationFrame(tick);
  };
  set(points[0]);
  moving = requestAnimationFrame(tick);
}

// On a narrow screen the drawing scrolls sideways: keep the packet in sight.
function follow([x]) {
  const box = $("drawing"), svg = box.firstElementChild;
  if (box.scrollWidth <= box.clientWidth + 2) return;
  const scale = svg.getBoundingClientRect().width / DATA.drawing.width;
  box.scrollTo({ left: x * scale - box.clientWidth / 2, behavior: "auto" });
}

function markPlace(frame) {
  for (const found of document.querySelectorAll("#drawing .here")) found.classList.remove("here");
  const group = document.querySelector(`#drawing [data-host="${frame.host}"]`);
  if (!group) return;
  group.classList.add("here");
  const hook = DATA.hooks.includes(frame.where) ? group.querySelector(".at-" + frame.where) : null;
  if (hook) hook.classList.add("here");
}
