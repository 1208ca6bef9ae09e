// The player: which step is shown, how it is chosen, and the keys.

const calm = matchMedia("(prefers-reduced-motion: reduce)");
let current = 0, timer = 0;

function stops(frame) {
  return $("detail").value === "all" || isKey(frame);
}

function show(index, animate) {
  const last = FRAMES[current];
  current = Math.max(0, Math.min(FRAMES.length - 1, index));
  const frame = FRAMES[current], packet = DATA.packets[frame.packet];
  const near = animate && last.packet === frame.packet && !calm.matches;
  moveDot(frame, near ? last : null, near ? Math.min(700, 620 / speed()) : 0);
  markPlace(frame);
  $("caption").textContent = frame.says;
  $("fine").textContent = `Step ${current + 1} of ${FRAMES.length} · packet ${frame.packet + 1} of ` +
    `${DATA.packets.length}: ${packet.name} · ${packet.says}`;
  $("clock").textContent = milliseconds(frame.at);
  $("scrubber").value = current + 1;
  $("scrubber").setAttribute("aria-valuetext", `step ${current + 1}: ${frame.says}`);
  showHeaders(frame);
  showHooks(frame, jumpToHook);
  showFacts(frame);
  showBytes(frame);
  markPacket(frame.packet);
  document.body.dataset.step = current + 1;
  try { history.replaceState(null, "", "#step=" + (current + 1)); } catch { /* a page in an iframe has no address */ }
}

function markPacket(number) {
  document.querySelectorAll("#packet-list button").forEach((button, index) => {
    if (index === number) {
      if (button.getAttribute("aria-current") !== "true") {
        button.setAttribute("aria-current", "true");
        const list = $("packet-list");
        list.scrollTo({ top: button.offsetTop - list.clientHeight / 2, left: button.offsetLeft - list.clientWidth / 2 });
      }
    } else button.removeAttribute("aria-current");
  });
}

function step(direction, animate) {
  let next = current + direction;
  while (next > 0 && next < FRAMES.length - 1 && !stops(FRAMES[next])) next += direction;
  if (next < 0 || next >= FRAMES.length) { pause(); return; }
  show(next, animate);
}

function packetStep(direction) {
  const now = FRAMES[current].packet, first = DATA.packets[now].first;
  if (direction < 0 && current > first) { show(first, false); return; }
  const wanted = DATA.packets[now + direction];
  if (wanted) show(wanted.first, false);
}

function jumpToHook(name) {
  const start = current;
  for (let i = 1; i <= FRAMES.length; i++) {
    const frame = FRAMES[(start + i) % FRAMES.length];
    if (frame.where === name && frame.host === FRAMES[start].host) { show(frame.index, false); return; }
  }
}

// Drawn, because fonts have other symbols for these or none.
const BAR = (x) => `M${x} 2h2.6v12h-2.6z`, RIGHT = (x) => `M${x} 2l7 6l-7 6z`, LEFT = (x) => `M${x} 2l-7 6l7 6z`;
const ICONS = {
  "first": BAR(2) + LEFT(13), "packet-back": LEFT(8) + LEFT(15), "back": LEFT(11), "play": "M4 1l10 7l-10 7z",
  "pause": "M3 2h4v12h-4zM9 2h4v12h-4z", "forward": RIGHT(5), "packet-forward": RIGHT(1) + RIGHT(8), "last": RIGHT(3) + BAR(11.4),
};

function icon(id, name) {
  const picture = draw("svg", { viewBox: "0 0 16 16", width: 14, height: 14, "aria-hidden": "true", class: "icon" },
    draw("path", { d: ICONS[name] }));
  $(id).replaceChildren(picture);
}

const speed = () => Number($("speed").value);

function play() {
  if (current === FRAMES.length - 1) show(0, false);
  icon("play", "pause");
  $("play").setAttribute("aria-label", "Pause");
  document.body.dataset.playing = "true";
  const tick = () => {
    step(1, true);
    if (document.body.dataset.playing) timer = setTimeout(tick, 1000 / speed());
  };
  timer = setTimeout(tick, 250 / speed());
}

function pause() {
  clearTimeout(timer);
  delete document.body.dataset.playing;
  icon("play", "play");
  $("play").setAttribute("aria-label", "Play");
}

function toggle() {
  if (document.body.dataset.playing) pause(); else play();
}

function faster(by) {
  const options = $("speed").options;
  $("speed").selectedIndex = Math.max(0, Math.min(options.length - 1, $("speed").selectedIndex + by));
}

function theme() {
  const dark = document.documentElement.dataset.theme
    ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "light" : "dark";
  ticks();
}

const ACTIONS = {
  " ": toggle, "ArrowRight": () => step(1, true), "ArrowLeft": () => step(-1, true), "PageDown": () => packetStep(1),
  "PageUp": () => packetStep(-1), "Home": () => show(0, false), "End": () => show(FRAMES.length - 1, false),
  "+": () => faster(1), "=": () => faster(1), "-": () => faster(-1), "t": theme,
  "d": () => { $("detail").selectedIndex = 1 - $("detail").selectedIndex; }, "?": () => $("help").showModal(),
};

function key(event) {
  if (event.ctrlKey || event.altKey || event.metaKey || $("help").open) return;
  const target = event.target;
  if (target.tagName === "SELECT") return;
  if (event.key === " " && (target.tagName === "BUTTON" || target.tagName === "SUMMARY")) return;
  const shifted = { ArrowRight: "PageDown", ArrowLeft: "PageUp" };
  const action = ACTIONS[event.shiftKey && shifted[event.key] ? shifted[event.key] : event.key];
  if (!action) return;
  if (action !== toggle && event.key !== "?" && event.key !== "t") pause();
  event.preventDefault();
  action();
}

function packetList() {
  DATA.packets.forEach((packet, index) => {
    const button = make("button", { type: "button", class: packet.kind + (packet.dropped ? " dropped" : ""), title: packet.flow });
    button.append(make("b", {}, packet.name), make("span", {}, `${packet.from} → ${packet.to || packet.flow.split("> ")[1]}`));
    button.append(make("small", {}, packet.dropped ? "✕ " + packet.fate : packet.fate));
    button.addEventListener("click", () => { pause(); show(packet.first, false); });
    $("packet-list").append(make("li", {}, button));
  });
}

// Where to jump: the first step of each packet that meets a hook, is rewritten, or is dropped.
function jumpList() {
  const wanted = { dnat: "DNAT", snat: "SNAT", ipvs: "IPVS", drop: "DROP", encapsulate: "encapsulation",
    decapsulate: "decapsulation", hook: "", deliver: "delivery" };
  let group = null, packet = -1;
  for (const frame of FRAMES) {
    if (!(frame.kind in wanted)) continue;
    if (frame.packet !== packet) {
      packet = frame.packet;
      group = make("optgroup", { label: `${packet + 1}. ${DATA.packets[packet].name}` });
      $("jump").append(group);
    }
    const host = HOSTS[frame.host] ? HOSTS[frame.host].name : "";
    group.append(make("option", { value: frame.index }, `${wanted[frame.kind] || frame.where} at ${host}`));
  }
}

function ticks() {
  const canvas = $("ticks"), width = canvas.clientWidth || 600, pen = canvas.getContext("2d");
  canvas.width = width;
  const style = getComputedStyle(document.body);
  for (let i = 0; i < DATA.packets.length; i++) {
    const from = DATA.packets[i].first, to = i + 1 < DATA.packets.length ? DATA.packets[i + 1].first : FRAMES.length;
    const scale = (width - 16) / FRAMES.length;
    pen.fillStyle = style.getPropertyValue("--" + (DATA.packets[i].dropped ? "drop" : DATA.packets[i].kind));
    pen.fillRect(8 + from * scale, 2, Math.max(1, (to - from) * scale - 1.5), 6);
  }
}

function fromAddress() {
  const found = /^#step=(\d+)$/.exec(location.hash);
  return found ? Number(found[1]) - 1 : 0;
}

function start() {
  if (FRAMES.length === 0) { $("caption").textContent = "No packet was sent."; return; }
  drawTopology();
  packetList();
  jumpList();
  $("scrubber").max = FRAMES.length;
  for (const id of ["first", "packet-back", "back", "play", "forward", "packet-forward", "last"]) icon(id, id);
  const click = (id, action) => $(id).addEventListener("click", action);
  const still = (action) => () => { pause(); action(); };
  click("play", toggle);
  click("first", still(ACTIONS.Home));
  click("last", still(ACTIONS.End));
  click("back", still(ACTIONS.ArrowLeft));
  click("forward", still(ACTIONS.ArrowRight));
  click("packet-back", still(ACTIONS.PageUp));
  click("packet-forward", still(ACTIONS.PageDown));
  click("theme", theme);
  click("help-button", ACTIONS["?"]);
  $("scrubber").addEventListener("input", () => { pause(); show(Number($("scrubber").value) - 1, false); });
  $("jump").addEventListener("change", () => {
    if ($("jump").value !== "") { pause(); show(Number($("jump").value), false); }
    $("jump").value = "";
  });
  document.addEventListener("keydown", key);
  addEventListener("hashchange", () => { if (fromAddress() !== current) show(fromAddress(), false); });
  addEventListener("resize", ticks);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", ticks);
  show(fromAddress(), false);
  ticks();
}

start();
