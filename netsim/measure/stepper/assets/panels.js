// What stands beside the drawing: headers before and after, hooks and chains, rule, conntrack, bytes.

function hidden(words) {
  return make("span", { class: "sr" }, words);
}

function compared(frame) {
  const last = before(frame);
  const after = layersOf(frame.state), was = new Map(last === null ? [] : layersOf(last.state));
  const names = after.map(([name]) => name);
  const gone = [...was.keys()].filter((name) => !names.includes(name)).map((name) => [name, []]);
  return [...gone, ...after].map(([name, fields]) => {
    const old = new Map(was.get(name) || []), now = new Map(fields);
    const rows = [...new Set([...old.keys(), ...now.keys()])].map((field) => [field, old.get(field), now.get(field)]);
    const fate = last === null ? "" : !was.has(name) ? "added" : !names.includes(name) ? "removed" : "";
    return { name, fate, rows };
  });
}

function changedFields(frame) {
  if (before(frame) === null) return [];
  return compared(frame).flatMap(({ name, fate, rows }) => fate ? [`${name} ${fate}`] :
    rows.filter(([, old, now]) => old !== now).map(([field]) => `${name} ${field}`));
}

function headerTable(frame, layer) {
  const first = before(frame) === null;
  const head = make("tr", {}, make("th", { scope: "col" }, "field"),
    ...(first ? [make("th", { scope: "col" }, "value")] :
      [make("th", { scope: "col" }, "before"), make("th", { scope: "col" }, "after")]));
  const body = make("tbody", {});
  for (const [field, old, now] of layer.rows) {
    const changed = !first && old !== now;
    const row = make("tr", changed ? { class: "changed" } : first ? {} : { class: "same" }, make("th", { scope: "row" }, field));
    if (!first) row.append(make("td", {}, old === undefined ? "–" : old));
    const cell = make("td", {}, now === undefined ? "–" : now);
    if (changed) cell.append(hidden(" (changed)"));
    row.append(cell);
    body.append(row);
  }
  const caption = make("caption", {}, layer.name);
  if (layer.fate) caption.append(make("em", {}, layer.fate));
  return make("table", { class: layer.fate }, caption, make("thead", {}, head), body);
}

function showHeaders(frame) {
  $("headers").replaceChildren(...compared(frame).map((layer) => headerTable(frame, layer)));
  const changed = changedFields(frame);
  $("headers-note").textContent = before(frame) === null ? "as the packet sets out" :
    changed.length === 0 ? "unchanged by this step" :
      changed.length > 6 ? `${changed.length} fields changed` : "changed: " + changed.join(", ");
}

const PRIORITY_MAX = 2147483647;

function stationItem(station, on) {
  const [, words, priority] = station;
  const item = make("li", on ? { class: "on", "aria-current": "step" } : {}, words);
  item.append(make("small", {}, priority === PRIORITY_MAX ? "INT_MAX" : String(priority)));
  if (on) item.append(hidden(" (here)"));
  return item;
}

function hookCard(host, name, frame, jump) {
  const here = frame.where === name;
  const stations = host.stations[DATA.hooks.indexOf(name)];
  const button = make("button", { type: "button", title: `Jump to the next step at ${name}` }, name);
  button.addEventListener("click", () => jump(name));
  const card = make("div", { class: "hook " + name.toLowerCase() + (here ? " on" : "") }, button);
  const list = make("ul", {});
  let marked = false;
  for (const station of stations) {
    const on = here && !marked && station[0] === frame.station;
    marked = marked || on;
    list.append(stationItem(station, on));
  }
  if (stations.length === 0) list.append(make("li", { class: "none" }, "nothing registered"));
  card.append(list);
  return card;
}

function showHooks(frame, jump) {
  const host = HOSTS[frame.host];
  $("kernel-host").textContent = host ? host.name : "a host";
  if (!host) { $("hooks").replaceChildren(); return; }
  const inside = ["send", "deliver"].includes(frame.kind);
  const processes = make("div", { class: "hook processes" + (inside ? " on" : "") }, make("b", {}, "sockets, processes"));
  const routing = make("div", { class: "hook routing" + (frame.kind === "route" ? " on" : "") }, make("b", {}, "routing"));
  $("hooks").replaceChildren(hookCard(host, "PREROUTING", frame, jump), routing, hookCard(host, "FORWARD", frame, jump),
    hookCard(host, "POSTROUTING", frame, jump), hookCard(host, "INPUT", frame, jump), processes,
    hookCard(host, "OUTPUT", frame, jump));
}

function fact(title, words, cls) {
  const box = make("div", { class: "fact " + (cls || "") }, make("h3", {}, title));
  box.append(make("pre", { tabindex: "0" }, words));
  return box;
}

function showFacts(frame) {
  const facts = [];
  if (frame.chains) {
    const trail = make("div", { class: "fact" }, make("h3", {}, "Chains"));
    const list = make("ol", { class: "chains" });
    const chains = frame.chains.split(" › ");
    chains.forEach((chain, index) => list.append(
      make("li", index === chains.length - 1 ? { class: "on", "aria-current": "step" } : {}, chain)));
    trail.append(list);
    facts.push(trail);
  }
  if (frame.rule) {
    const counted = /^\[|counter packets|\n {2}->/.test(frame.rule);
    facts.push(fact(counted ? "Rule that matched, with its counters" : "Rule that matched (it has no counter)", frame.rule, "rule"));
  }
  if (frame.kind === "drop") facts.push(fact("Dropped", frame.fine, "drop"));
  else if (frame.fine) facts.push(fact(frame.kind === "route" ? "Route (ip route)" : "Decision", frame.fine.trim()));
  if (frame.entry) facts.push(fact("Conntrack entry at this moment (conntrack -L)", frame.entry.replace(/\s+/g, " ")));
  $("facts").replaceChildren(...facts);
}

function showBytes(frame) {
  const [, hex, length] = frame.state;
  const last = before(frame);
  const old = last === null ? hex : last.state[1];
  const shown = hex.length / 2;
  $("bytes-note").textContent = shown < length ? `first ${shown} of ${length}` : String(length);
  const lines = document.createDocumentFragment();
  for (let at = 0; at < hex.length; at += 32) {
    lines.append((at / 2).toString(16).padStart(4, "0") + "  ");
    for (let i = at; i < Math.min(at + 32, hex.length); i += 2) {
      const byte = hex.slice(i, i + 2);
      lines.append(old.length === hex.length && old.slice(i, i + 2) !== byte ? make("mark", {}, byte) : byte);
      lines.append(i % 32 === 14 ? "  " : " ");
    }
    lines.append("\n");
  }
  $("bytes").replaceChildren(lines);
}
