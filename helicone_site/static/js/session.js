// The tree of a session's or a trace's page and waterfall: rows for the part of the tree that is on the screen, whatever its size.
//
// Data: #trace-data, columns by fact and one entry per node (sessions_app/drawing.py). Nodes stand in reading order;
// a node's subtree is the `size` nodes from it on. Node 0 is the session and is not drawn.
// Rows stand in one scroller by transform (CSSOM, so the policy against style attributes holds); each row's bar is
// an SVG of its own. Opening a request is left to app.js: rows hold an <a data-drawer>.
"use strict";

(() => {
  const source = document.getElementById("trace-data");
  if (!source) return;
  const data = JSON.parse(source.textContent);
  const text = (place) => (place === null ? "" : data.strings[place]);
  const count = data.parent.length;
  const trace = document.getElementById("trace");
  const body = trace.querySelector(".trace-body");
  const none = trace.querySelector(".trace-none");
  const find = document.getElementById("trace-find");
  const tool = (name) => document.querySelector(`[data-trace="${name}"]`);
  const SLOWEST = 1;
  const COSTLIEST = 2;
  const CRITICAL = 4;
  const MODES = ["costliest", "slowest", "critical", "errors"];
  const OVERSCAN = 12;
  const ROWS_AT_FIRST = 300;
  const hasBelow = (node) => data.size[node] > 1;
  const isUnder = (node, above) => node > above && node < above + data.size[above];

  const state = {
    opened: new Uint8Array(count), mode: "", words: "", hits: null, rows: [], place: new Map(), current: 0,
    kept: null, open: "", axis: null, isIdleHidden: false,
  };

  // --- figures -------------------------------------------------------------------------------------------
  function money(nano) {
    const usd = nano / 1e9;
    if (usd >= 1000) return `$${Math.round(usd).toLocaleString("en-US")}`;
    if (usd >= 1 || !usd) return `$${usd.toFixed(2)}`;
    return `$${usd.toFixed(Math.min(9, 2 - Math.floor(Math.log10(usd))))}`;
  }
  function tokens(value) {
    for (const [unit, suffix] of [[1e9, "B"], [1e6, "M"], [1e3, "k"]]) {
      if (value >= unit * 0.9995) return `${(value / unit < 99.95 ? (value / unit).toFixed(1).replace(/\.0$/, "") : Math.round(value / unit))}${suffix}`;
    }
    return String(value);
  }
  function duration(ms) {
    if (ms < 1000) return `${Math.round(ms)} ms`;
    const seconds = ms / 1000;
    if (seconds < 59.95) return `${seconds < 9.995 ? seconds.toFixed(2) : seconds.toFixed(1)} s`;
    const whole = Math.round(seconds);
    const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60), whole % 60];
    if (hours) return minutes ? `${hours} h ${minutes} min` : `${hours} h`;
    return rest ? `${minutes} min ${rest} s` : `${minutes} min`;
  }
  const parts = (node) => (data.critical[node] || []).reduce((found, at, place, all) => (place % 2 ? found : [...found, [at, all[place + 1]]]), []);
  const onCriticalPath = (node) => parts(node).reduce((sum, [from, to]) => sum + to - from, 0);
  const many = (number, word) => `${number.toLocaleString("en-US")} ${word}${number === 1 ? "" : "s"}`;

  // --- time to width ---------------------------------------------------------------------------------------
  // Pieces of time [from, to) and where each begins and ends, 0 … 1. One piece, unless long pauses are drawn short.
  const PAUSE = 0.025;
  function busyTimes() {
    const spans = [];
    for (let node = 1; node < count; node += 1) if (data.id[node]) spans.push([data.at[node], data.at[node] + Math.max(data.ms[node] || 0, 1)]);
    spans.sort((one, other) => one[0] - other[0]);
    const merged = [];
    for (const [from, to] of spans) {
      const last = merged[merged.length - 1];
      if (last && from <= last[1]) last[1] = Math.max(last[1], to);
      else merged.push([from, to]);
    }
    return merged;
  }
  const busy = busyTimes();
  const whole = [0, Math.max(data.wall[0], 1)];
  function longPauses([from, to]) {
    const least = Math.max((to - from) * 0.05, 1000);
    const pauses = [];
    for (let place = 1; place < busy.length; place += 1) {
      const [start, end] = [busy[place - 1][1], busy[place][0]];
      if (start >= from && end <= to && end - start >= least) pauses.push([start, end]);
    }
    return pauses;
  }
  function pieces([from, to]) {
    const pauses = state.isIdleHidden ? longPauses([from, to]) : [];
    const idle = pauses.reduce((sum, [start, end]) => sum + end - start, 0);
    const scale = (1 - PAUSE * pauses.length) / Math.max(to - from - idle, 1);
    const found = [];
    let [at, x] = [from, 0];
    for (const [start, end] of pauses) {
      found.push({ from: at, to: start, x, width: (start - at) * scale, isPause: false });
      x += (start - at) * scale;
      found.push({ from: start, to: end, x, width: PAUSE, isPause: true });
      x += PAUSE;
      at = end;
    }
    found.push({ from: at, to, x, width: 1 - x, isPause: false });
    return found;
  }
  let scale = [];
  function where(moment) {
    let [low, high] = [0, scale.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (scale[middle].from <= moment) low = middle;
      else high = middle - 1;
    }
    const piece = scale[low];
    return piece.x + ((moment - piece.from) / Math.max(piece.to - piece.from, 1)) * piece.width;
  }
  const percent = (x) => `${(x * 100).toFixed(3)}%`;

  function svg(name, attributes, content) {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (content !== undefined) element.textContent = content;
    return element;
  }
  function niceStep(length, most) {
    const steps = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 15e3, 3e4, 6e4, 12e4, 3e5, 6e5, 9e5, 18e5, 36e5, 72e5, 108e5, 216e5, 432e5, 864e5];
    return steps.find((step) => length / step <= most) || 864e5 * Math.ceil(length / most / 864e5);
  }
  function drawAxis() {
    scale = pieces(state.axis || whole);
    const drawn = [];
    const wide = document.getElementById("trace-axis").clientWidth || 500;
    const [from, to] = state.axis || whole;
    const length = scale.reduce((sum, piece) => sum + (piece.isPause ? 0 : piece.to - piece.from), 0);
    const step = niceStep(length, Math.max(Math.floor(wide / 84), 2));
    let free = -1;
    for (let tick = Math.ceil(from / step) * step; tick <= to; tick += step) {
      const x = where(tick);
      const piece = scale.find((each) => tick >= each.from && tick < each.to);
      if (piece?.isPause || x < free || x > 1 - 44 / wide) continue;
      free = x + 60 / wide;
      drawn.push(svg("line", { x1: percent(x), x2: percent(x), y1: 0, y2: 28 }), svg("text", { x: percent(x), dx: 4, y: 18 }, tick ? duration(tick) : "0"));
    }
    for (const piece of scale.filter((each) => each.isPause)) {
      const mark = svg("g", { class: "pause" });
      mark.append(svg("rect", { x: percent(piece.x), width: percent(piece.width), y: 0, height: 28 }), svg("title", {}, `${duration(piece.to - piece.from)} without a step`));
      drawn.push(mark);
    }
    document.getElementById("trace-axis").replaceChildren(...drawn);
    tool("unzoom").hidden = !state.axis;
  }

  // --- which rows ------------------------------------------------------------------------------------------
  const BITS = { slowest: SLOWEST, costliest: COSTLIEST, critical: CRITICAL };
  function isShown(node) {
    if (state.mode === "errors" && !data.errors[node]) return false;
    return !state.hits || state.hits[node] > 0;
  }
  function isOpened(node) {
    return state.mode === "errors" || state.hits ? state.opened[node] !== 2 : state.opened[node] === 1;
  }
  function listRows() {
    const rows = [];
    for (let node = 1; node < count;) {
      if (!isShown(node)) { node += data.size[node]; continue; }
      rows.push(node);
      node += hasBelow(node) && !isOpened(node) ? data.size[node] : 1;
    }
    state.rows = rows;
    state.place = new Map(rows.map((node, place) => [node, place]));
    if (!state.place.has(state.current)) state.current = nearestShown(state.current);
    none.hidden = rows.length > 0;
    body.setAttribute("aria-rowcount", String(rows.length));
  }
  function nearestShown(node) {
    for (let above = node; above > 0; above = data.parent[above]) if (state.place.has(above)) return above;
    return state.rows[0] || 0;
  }
  function openAsFarAs(most) {
    // Level by level, so that a large session begins with its outline.
    state.opened.fill(0);
    let level = [0];
    let shown = 0;
    while (level.length) {
      const next = level.flatMap((node) => belowOf(node));
      shown += next.length;
      if (shown > most && level[0] !== 0) return;
      for (const node of level) state.opened[node] = 1;
      level = next.filter(hasBelow);
    }
  }
  function belowOf(node) {
    const found = [];
    for (let child = node + 1; child < node + data.size[node]; child += data.size[child]) found.push(child);
    return found;
  }
  function openAbove(node) {
    for (let above = data.parent[node]; above > 0; above = data.parent[above]) state.opened[above] = 1;
  }
  function search(words) {
    state.words = words.trim().toLowerCase();
    state.hits = null;
    state.opened = state.opened.map((each) => (each === 2 ? 1 : each));
    if (!state.words) return;
    state.hits = new Uint8Array(count);
    for (let node = 1; node < count; node += 1) {
      const said = `${text(data.label[node])}\n${text(data.model[node])}\n${text(data.error[node])}\n${text(data.kind[node])}`.toLowerCase();
      if (!said.includes(state.words)) {
        if (state.hits[data.parent[node]] >= 2) state.hits[node] = 3;
        continue;
      }
      state.hits[node] = 2;
      for (let above = data.parent[node]; above > 0 && !state.hits[above]; above = data.parent[above]) state.hits[above] = 1;
    }
  }
  function setMode(mode) {
    state.mode = state.mode === mode ? "" : mode;
    for (const name of MODES) tool(name).setAttribute("aria-pressed", String(state.mode === name));
    state.opened = state.opened.map((each) => (each === 2 ? 1 : each));
    if (BITS[state.mode]) {
      state.kept = state.kept || state.opened.slice();
      followWay(BITS[state.mode]);
    } else if (state.kept) {
      state.opened = state.kept;
      state.kept = null;
      openAbove(state.current);
    }
    redraw();
    if (BITS[state.mode]) reveal(state.current);
  }
  function followWay(bit) {
    state.opened.fill(0);
    let last = 0;
    for (let node = 1; node < count; node += 1) {
      if (!(data.ways[node] & bit)) continue;
      openAbove(node);
      if (bit !== CRITICAL || !last || onCriticalPath(node) > onCriticalPath(last)) last = node;
    }
    if (last) state.current = last;
  }

  // --- drawing rows ----------------------------------------------------------------------------------------
  const drawn = new Map();
  let height = 28;
  function scroller() {
    const box = body.getBoundingClientRect();
    return { from: -box.top, to: innerHeight - box.top };
  }
  function draw() {
    const { from, to } = scroller();
    const first = Math.max(Math.floor(from / height) - OVERSCAN, 0);
    const last = Math.min(Math.ceil(to / height) + OVERSCAN, state.rows.length);
    const wanted = new Set(state.rows.slice(first, last));
    for (const [node, row] of drawn) if (!wanted.has(node)) { row.remove(); drawn.delete(node); }
    let before = null;
    for (let place = first; place < last; place += 1) {
      const node = state.rows[place];
      let row = drawn.get(node);
      if (!row) { row = makeRow(node, place); drawn.set(node, row); }
      if (row.previousElementSibling !== before || row.parentElement !== body) before ? before.after(row) : body.prepend(row);
      before = row;
    }
  }
  let isWaiting = false;
  function drawSoon() {
    if (isWaiting) return;
    isWaiting = true;
    requestAnimationFrame(() => { isWaiting = false; draw(); });
  }
  function redraw() {
    height = matchMedia("(width <= 760px)").matches ? 56 : 28;
    listRows();
    drawAxis();
    for (const row of drawn.values()) row.remove();
    drawn.clear();
    body.style.height = `${state.rows.length * height}px`;
    draw();
    point();
  }

  function part(tag, className, ...content) {
    const element = document.createElement(tag);
    if (className) element.className = className;
    element.append(...content);
    return element;
  }
  function cell(className, ...content) {
    const element = part("div", className, ...content);
    element.setAttribute("role", "gridcell");
    return element;
  }
  function makeRow(node, place) {
    const row = part("div", "trace-row", nameCell(node), costCell(node), tokensCell(node), timeCell(node), barCell(node));
    row.id = `step-${node}`;
    row.dataset.node = node;
    row.setAttribute("role", "row");
    row.setAttribute("aria-level", String(depthOf(node)));
    row.setAttribute("aria-rowindex", String(place + 1));
    row.setAttribute("aria-selected", String(node === state.current));
    if (hasBelow(node)) row.setAttribute("aria-expanded", String(isOpened(node)));
    row.style.transform = `translateY(${place * height}px)`;
    row.classList.toggle("is-failed", Boolean(data.failed[node]));
    row.classList.toggle("is-current", node === state.current);
    row.classList.toggle("is-shown", Boolean(data.id[node]) && data.id[node] === state.open);
    row.classList.toggle("on-way", Boolean(data.ways[node] & (BITS[state.mode] || 0)));
    row.classList.toggle("is-aside", Boolean(state.hits && state.hits[node] === 1));
    return row;
  }
  const depths = new Uint16Array(count);
  for (let node = 1; node < count; node += 1) depths[node] = depths[data.parent[node]] + 1;
  const depthOf = (node) => depths[node];

  function nameCell(node) {
    const indent = part("span", "trace-indent");
    indent.style.width = `${Math.min(depthOf(node) - 1, 16) * 14}px`;
    const toggle = part("span", hasBelow(node) ? "trace-toggle" : "trace-toggle is-leaf", hasBelow(node) ? "›" : "");
    toggle.classList.toggle("is-opened", isOpened(node));
    const label = text(data.label[node]) || "(no name)";
    let name;
    if (data.id[node]) {
      name = part("a", "trace-label", label);
      name.href = `/requests/${data.id[node]}`;
      name.dataset.drawer = data.id[node];
      name.tabIndex = -1;
    } else {
      name = part("span", "trace-label", label);
    }
    name.title = describe(node);
    const below = part("span", "trace-below", hasBelow(node) ? String(data.steps[node]) : "");
    if (hasBelow(node)) below.title = `${many(data.steps[node], "step")} in here`;
    return cell("trace-name", indent, toggle, mark(node), name, ...badges(node), model(node), below);
  }
  const KINDS = new Set(["llm", "embedding", "image", "audio", "rerank", "moderation", "agent", "workflow", "chain", "tool", "retriever", "guardrail", "evaluator", "event", "span"]);
  function mark(node) {
    const kind = data.id[node] ? text(data.kind[node]) : data.lost[node] ? "lost" : "group";
    const picture = svg("svg", { class: `icon kind kind-${KINDS.has(kind) ? kind : data.id[node] ? "span" : kind}`, role: "img" });
    const words = data.id[node] ? kind : data.lost[node] ? "not here yet" : "path without a request of its own";
    picture.setAttribute("aria-label", words);
    picture.append(svg("title", {}, words), svg("use", { href: `${trace.dataset.icons}#kind-${KINDS.has(kind) || !data.id[node] ? kind : "span"}` }));
    return picture;
  }
  function badges(node) {
    const found = [];
    if (data.failed[node]) {
      const badge = part("span", "badge error", statusText(node));
      badge.title = text(data.error[node]) || "failed";
      found.push(badge);
    }
    const under = data.errors[node] - (data.failed[node] || 0);
    if (under > 0) {
      const badge = part("span", "badge error trace-under", many(under, "error"));
      badge.title = "under this step";
      found.push(badge);
    }
    if (data.open[node]) {
      const badge = part("span", "badge warning", hasGoneQuiet() ? "not ended" : "running");
      badge.title = hasGoneQuiet() ? "its end was never told" : "its end has not been told yet";
      found.push(badge);
    }
    if (data.lost[node]) {
      const badge = part("span", "badge trace-lost", data.id[node] ? "no parent here" : "not here");
      badge.title = data.id[node]
        ? "The step that called this one has not come: late, not exported, or sampled away. It moves into place when it does."
        : "Several steps name this one as their parent, and it has not come: late, not exported, or sampled away.";
      found.push(badge);
    }
    if (data.cached[node]) found.push(part("span", "badge cached", "cached"));
    return found;
  }
  const STATUSES = { "-2": "timeout", "-3": "cancelled", "-4": "blocked", "-5": "interrupted", "-100": "no status" };
  // A span has no status of HTTP's unless it called a model: it failed, and that is all.
  const statusText = (node) => STATUSES[data.status[node]] || (data.calls[node] ? String(data.status[node]) : "error");
  const hasGoneQuiet = () => Date.now() - data.start - data.wall[0] > 3600e3;
  function model(node) {
    const name = data.id[node] ? text(data.model[node]) : "";
    return part("span", "trace-model", name === text(data.label[node]) ? "" : name);
  }
  function describe(node) {
    const lines = [text(data.label[node])];
    if (data.id[node]) lines.push(`${text(data.kind[node])} ${text(data.model[node])}`.trim());
    if (data.failed[node] && text(data.error[node])) lines.push(text(data.error[node]));
    if (data.critical[node]) lines.push(`${duration(onCriticalPath(node))} on the critical path`);
    return lines.join("\n");
  }
  const isCounted = (node) => data.requests[node] > 0;
  function unknown(reason) {
    const element = part("span", "unknown", "–");
    element.title = reason;
    return element;
  }
  function costCell(node) {
    if (!isCounted(node)) return cell("num trace-cost");
    const missing = data.unpriced[node];
    if (!data.priced[node]) return cell("num trace-cost", unknown(missing ? "the price of this model is not known" : "a failed call without a charge"));
    const total = part("span", "trace-total", money(data.cost[node]));
    const share = data.cost[0] ? data.cost[node] / data.cost[0] : 0;
    total.title = `${(data.cost[node] / 1e9).toFixed(9).replace(/0+$/, "").replace(/\.$/, "")} USD, ${(share * 100).toFixed(1)} % of the session${missing ? `; and ${many(missing, "call")} of unknown cost` : ""}`;
    if (missing) total.append("+");
    const heat = part("span", "trace-heat");
    heat.style.width = percent(share);
    const isOther = hasBelow(node) && data.own[node] !== null && data.own[node] !== data.cost[node];
    const self = part("span", "trace-self", isOther ? `self ${money(data.own[node])}` : "");
    return cell("num trace-cost", heat, self, total);
  }
  function tokensCell(node) {
    if (!isCounted(node)) return cell("num trace-tokens");
    if (!data.input[node] && !data.output[node]) return cell("num trace-tokens", unknown("no token count was told"));
    const element = part("span", "", `${tokens(data.input[node])} / ${tokens(data.output[node])}`);
    element.title = `${data.input[node].toLocaleString("en-US")} in, ${data.output[node].toLocaleString("en-US")} out${hasBelow(node) && data.calls[node] ? `; itself ${data.ownInput[node].toLocaleString("en-US")} in, ${data.ownOutput[node].toLocaleString("en-US")} out` : ""}${data.untold[node] ? `; and ${many(data.untold[node], "call")} that told none` : ""}`;
    return cell("num trace-tokens", element);
  }
  function timeCell(node) {
    if (data.open[node] && !hasBelow(node)) return cell("num trace-time", unknown("its end has not been told"));
    if (data.id[node] && data.ms[node] === null && !hasBelow(node)) return cell("num trace-time", unknown("not measured"));
    const total = part("span", "trace-total", duration(hasBelow(node) ? data.wall[node] : data.ms[node]));
    const first = data.first[node] === null ? "" : `, first token after ${duration(data.first[node])}`;
    const critical = data.critical[node] ? `; ${duration(onCriticalPath(node))} of it on the critical path` : "";
    if (data.open[node]) total.append("+");
    total.title = (data.open[node] ? "its end has not been told; " : "") + (hasBelow(node) ? `${data.wall[node].toLocaleString("en-US")} ms from its first start to its last end` : `${data.ms[node].toLocaleString("en-US")} ms${first}`) + critical;
    const isOther = hasBelow(node) && data.self[node] !== null && data.self[node] !== data.wall[node];
    const self = part("span", "trace-self", isOther ? `self ${duration(data.self[node])}` : "");
    self.title = "its own time: while nothing below it ran";
    return cell("num trace-time", self, total);
  }
  function barCell(node) {
    const picture = svg("svg", { class: "trace-bar", "aria-hidden": "true" });
    for (const piece of scale) if (piece.isPause) picture.append(svg("rect", { class: "pause", x: percent(piece.x), width: percent(piece.width), y: 0, height: "100%" }));
    const [from, to] = state.axis || whole;
    const [start, end] = [data.at[node], data.at[node] + data.wall[node]];
    if ((data.open[node] || end >= from) && start <= to) picture.append(...bars(node, Math.max(start, from), Math.min(end, to)));
    return cell("trace-bars", picture);
  }
  const BAR_OF = { agent: "frame", workflow: "frame", chain: "frame", span: "frame", evaluator: "frame", guardrail: "frame" };
  function bars(node, start, end) {
    const [x, right] = [where(start), where(end)];
    const found = [];
    if (hasBelow(node)) found.push(svg("rect", { class: "span", x: percent(x), width: percent(right - x), y: "50%", height: 2, transform: "translate(0 -1)" }));
    if (data.id[node]) found.push(...(data.open[node] ? openBar(node) : ownBar(node)), ...criticalBar(node));
    const length = data.open[node] ? null : hasBelow(node) ? data.wall[node] : data.ms[node];
    if (length !== null) {
      const isLeft = right > 0.86;
      found.push(svg("text", { x: percent(isLeft ? x : right), dx: isLeft ? -6 : 6, y: "50%", dy: "0.36em", "text-anchor": isLeft ? "end" : "start" }, x < 0.12 && isLeft ? "" : duration(length)));
    }
    return found;
  }
  function openBar(node) {
    const [from, to] = state.axis || whole;
    const x = where(Math.max(data.at[node], from));
    const width = Math.max(where(Math.min(whole[1], to)) - x, 0.0025);
    return [svg("rect", { class: "own open", x: percent(x), width: percent(width), y: "50%", height: 12, rx: 2, transform: "translate(0 -6)" })];
  }
  function criticalBar(node) {
    const [from, to] = state.axis || whole;
    return parts(node).filter(([start, end]) => end > from && start < to).map(([start, end]) => {
      const x = where(Math.max(start, from));
      return svg("rect", { class: "critical", x: percent(x), width: percent(Math.max(where(Math.min(end, to)) - x, 0.001)), y: "50%", height: 3, transform: "translate(0 7)" });
    });
  }
  function ownBar(node) {
    const [from, to] = state.axis || whole;
    const start = Math.max(data.at[node], from);
    const end = Math.min(data.at[node] + (data.ms[node] || 0), to);
    const kind = data.failed[node] ? "failed" : data.cached[node] ? "cached" : data.calls[node] ? "llm" : BAR_OF[text(data.kind[node])] || "step";
    const x = where(start);
    const width = Math.max(where(Math.max(end, start)) - x, 0.0025);
    // A failure that came from below is drawn light: the step it came from is the one to look at.
    const passedOn = data.failed[node] && data.errors[node] > 1 ? " is-passed-on" : "";
    const found = [svg("rect", { class: `own ${kind}${passedOn}`, x: percent(x), width: percent(width), y: "50%", height: 12, rx: 2, transform: "translate(0 -6)" })];
    const first = data.first[node];
    if (first && data.ms[node] && first < data.ms[node] && data.at[node] >= from) {
      const until = where(Math.min(data.at[node] + first, to));
      found.push(svg("rect", { class: "wait", x: percent(x), width: percent(Math.max(until - x, 0)), y: "50%", height: 12, rx: 2, transform: "translate(0 -6)" }));
    }
    return found;
  }

  // --- moving ----------------------------------------------------------------------------------------------
  function point() {
    for (const [node, row] of drawn) {
      row.classList.toggle("is-current", node === state.current);
      row.setAttribute("aria-selected", String(node === state.current));
    }
    if (state.current) body.setAttribute("aria-activedescendant", `step-${state.current}`);
  }
  function reveal(node) {
    const place = state.place.get(node);
    if (place === undefined) return;
    const { from, to } = scroller();
    const head = 120;
    const top = place * height;
    if (top < from + head) window.scrollBy(0, top - from - head);
    else if (top + height > to - 40) window.scrollBy(0, top + height - to + 40);
    draw();
    point();
  }
  function go(node) {
    if (!node) return;
    state.current = node;
    reveal(node);
    if (!document.getElementById("drawer").hidden && data.id[node]) openRequest(node);
  }
  function move(step) {
    const place = state.place.get(state.current) ?? -1;
    go(state.rows[Math.min(Math.max(place + step, 0), state.rows.length - 1)]);
  }
  function setOpened(node, isOpen) {
    state.opened[node] = isOpen ? 1 : state.mode === "errors" || state.hits ? 2 : 0;
    redraw();
  }
  function right() {
    if (!hasBelow(state.current)) return;
    if (isOpened(state.current)) move(1);
    else setOpened(state.current, true);
  }
  function left() {
    if (hasBelow(state.current) && isOpened(state.current)) setOpened(state.current, false);
    else if (data.parent[state.current] > 0) go(data.parent[state.current]);
  }
  function openRequest(node) {
    if (!data.id[node]) return setOpened(node, !isOpened(node));
    draw();
    return drawn.get(node)?.querySelector("a[data-drawer]")?.click();
  }
  function zoom(node) {
    const isAlready = state.axis && state.axis[0] === data.at[node] && state.axis[1] === data.at[node] + Math.max(data.wall[node], 1);
    state.axis = isAlready || !node ? null : [data.at[node], data.at[node] + Math.max(data.wall[node], 1)];
    redraw();
  }

  const KEYS = {
    j: () => move(1), ArrowDown: () => move(1), k: () => move(-1), ArrowUp: () => move(-1), ArrowRight: right, ArrowLeft: left,
    Home: () => go(state.rows[0]), End: () => go(state.rows[state.rows.length - 1]), Enter: () => openRequest(state.current),
    z: () => zoom(state.current), c: () => setMode("costliest"), s: () => setMode("slowest"), p: () => setMode("critical"), e: () => tool("errors").disabled || setMode("errors"),
  };
  const NATIVE = new Set(["ArrowDown", "ArrowUp", "ArrowLeft", "ArrowRight", "Home", "End", "Enter"]);
  let isGoing = false; // "g s" goes to the sessions, it does not look for the slowest path
  document.addEventListener("keydown", (event) => {
    const target = event.target instanceof Element ? event.target : document.body;
    if (event.metaKey || event.ctrlKey || event.altKey || target.matches("input, textarea, select") || document.querySelector("dialog[open]")) return;
    const wasGoing = isGoing;
    isGoing = event.key === "g";
    if (isGoing) setTimeout(() => { isGoing = false; }, 1200);
    if (wasGoing || !KEYS[event.key]) return;
    if (NATIVE.has(event.key) && target !== body && target !== document.body && !body.contains(target)) return;
    if (document.getElementById("drawer").contains(target) && NATIVE.has(event.key)) return;
    KEYS[event.key]();
    event.preventDefault();
  });

  body.addEventListener("click", (event) => {
    const row = event.target.closest(".trace-row");
    if (!row) return;
    const node = Number(row.dataset.node);
    state.current = node;
    point();
    if (event.target.closest(".trace-toggle:not(.is-leaf)")) return setOpened(node, !isOpened(node));
    if (event.target.closest("a")) return undefined;
    return openRequest(node);
  });
  body.addEventListener("dblclick", (event) => {
    const row = event.target.closest(".trace-row");
    if (row && event.target.closest(".trace-bars")) zoom(Number(row.dataset.node));
  });
  document.querySelector(".trace-tools").addEventListener("click", (event) => {
    const name = event.target.closest("[data-trace]")?.dataset.trace;
    if (!name) return;
    if (MODES.includes(name)) {
      setMode(name);
      if (state.mode) body.focus({ preventScroll: true }); // Enter now opens the step, and does not press again
    } else if (name === "unzoom") zoom(0);
    else if (name === "idle") { state.isIdleHidden = !state.isIdleHidden; tool("idle").setAttribute("aria-pressed", String(state.isIdleHidden)); redraw(); } else {
      const isOpen = name === "expand";
      for (let node = 1; node < count; node += 1) state.opened[node] = isOpen ? 1 : state.mode === "errors" || state.hits ? 2 : 0;
      redraw();
    }
  });
  function lookFor(words) {
    search(words);
    redraw();
    if (state.hits) {
      const hit = state.rows.find((node) => state.hits[node] === 2);
      if (hit) { state.current = hit; point(); }
    }
  }
  find.addEventListener("input", () => lookFor(find.value));
  find.addEventListener("keydown", (event) => { if (event.key === "Enter") { body.focus(); move(0); } });
  for (const button of document.querySelectorAll("[data-find]")) {
    button.addEventListener("click", () => {
      find.value = find.value === button.dataset.find ? "" : button.dataset.find;
      lookFor(find.value);
    });
  }
  document.addEventListener("drawer:open", (event) => { state.open = event.detail.id; markOpenRow(); });
  document.addEventListener("drawer:close", () => { state.open = ""; markOpenRow(); });
  function markOpenRow() {
    for (const [node, row] of drawn) row.classList.toggle("is-shown", Boolean(data.id[node]) && data.id[node] === state.open);
  }
  // Scrolling happens in the window or in any box around the tree.
  document.addEventListener("scroll", drawSoon, { capture: true, passive: true });
  addEventListener("resize", () => requestAnimationFrame(redraw));
  addEventListener("beforeprint", () => { if (count < 3000) { state.opened.fill(1); redraw(); } });

  // --- start -----------------------------------------------------------------------------------------------
  function start() {
    const idle = longPauses(whole).reduce((sum, [from, to]) => sum + to - from, 0);
    state.isIdleHidden = idle > whole[1] * 0.5;
    tool("idle").hidden = idle <= whole[1] * 0.2;
    tool("idle").setAttribute("aria-pressed", String(state.isIdleHidden));
    openAsFarAs(ROWS_AT_FIRST);
    const wanted = new URLSearchParams(location.search).get("open");
    const node = wanted ? data.id.indexOf(wanted) : -1;
    if (node > 0) { state.current = node; state.open = wanted; openAbove(node); }
    trace.hidden = false;
    redraw();
    if (node > 0) reveal(node);
  }
  start();
})();
