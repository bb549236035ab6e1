// The page's own behaviour: theme, times, copying, tabs, dialogs, the drawer, keys, the palette.
//
// CONTRACT (what markup asks for; nothing here knows a page)
//   <time datetime="ISO" data-time="clock|date|ago">  shown in the reader's zone, exact on hover
//   data-copy                  copies the <code>/<pre> beside it; data-copy="#id" that element; data-copy-text="…" that text
//   data-dialog="id"           opens the <dialog>; data-close closes the one it is in
//   role=tablist > role=tab    switches aria-controls panels; data-remember="key" keeps it, data-param="tab" puts it in the address
//   <a data-drawer="id" href>  a plain click loads href into the drawer and sets ?open=id (wide screens; narrow ones follow the link)
//   #drawer[data-base="/requests/"]  where ?open=id is loaded from when a page starts with it
//   tr[data-row] / [data-row]  j k walk them, enter follows their a[data-drawer], a.row-link or first link; so does a click
//   data-shortcut="t"          that key clicks or focuses the element ("/" the filter, "t" the range, "l" live, "[" "]" in the drawer)
//   data-go="r"                g then r follows the link
//   .bar[data-left][data-width] (also .wf-axis > span[data-left])  per cent of its row
//   [data-palette="Label"]     a page of the palette; data-detail stands beside it
//   #palette[data-requests="/requests" data-sessions data-users]  where the words go that are no page's
//   <form data-submit-on-change>    sends itself when a field changes
// Events: "drawer:open" and "drawer:close" on document, detail.id.
"use strict";

const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => Array.from(root.querySelectorAll(selector));
const root = document.documentElement;
const isNarrow = () => matchMedia("(width <= 760px)").matches;

// --- time ------------------------------------------------------------------------------------------------
const browserZone = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
const zone = () => root.dataset.zone || browserZone;

function formatters() {
  const timeZone = zone();
  const make = (options) => new Intl.DateTimeFormat("en-GB", { timeZone, hourCycle: "h23", ...options });
  return {
    day: make({ year: "numeric", month: "2-digit", day: "2-digit" }),
    clock: make({ hour: "2-digit", minute: "2-digit", second: "2-digit" }),
    date: make({ day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" }),
    year: make({ day: "numeric", month: "short", year: "numeric" }),
    exact: make({ weekday: "short", day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit",
                  second: "2-digit", fractionalSecondDigits: 3, timeZoneName: "short" }),
  };
}

const SPANS = [["year", 31536000], ["month", 2592000], ["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "short" });

function ago(moment, now) {
  const seconds = (moment - now) / 1000;
  const [unit, size] = SPANS.find(([, length]) => Math.abs(seconds) >= length) || ["second", 1];
  return relative.format(Math.trunc(seconds / size), unit);
}

function timeText(kind, moment, now, formats) {
  if (kind === "ago") return ago(moment, now);
  if (kind === "clock" && formats.day.format(moment) === formats.day.format(now)) return formats.clock.format(moment);
  const isOld = Math.abs(now - moment) > 300 * 86400e3;
  return (isOld ? formats.year : formats.date).format(moment);
}

function showTimes(scope = document) {
  const formats = formatters();
  const now = new Date();
  for (const element of $$("time[data-time]", scope)) {
    const moment = new Date(element.dateTime);
    if (Number.isNaN(moment.getTime())) continue;
    element.textContent = timeText(element.dataset.time, moment, now, formats);
    element.title = `${formats.exact.format(moment)} (${ago(moment, now)})`;
  }
}

if (!document.cookie.includes(`zone=${encodeURIComponent(browserZone)}`)) {
  document.cookie = `zone=${encodeURIComponent(browserZone)}; path=/; max-age=31536000; samesite=lax`;
}

// --- bars ------------------------------------------------------------------------------------------------
function placeBars(scope = document) {
  for (const element of $$("[data-left]", scope)) {
    element.style.left = `${element.dataset.left}%`;
    if (element.dataset.width) element.style.width = `${element.dataset.width}%`;
  }
}

// --- saying things ---------------------------------------------------------------------------------------
function say(text) {
  const live = $("#live-region");
  if (live) live.textContent = text;
}

async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // The clipboard API is there on https and localhost only; a plain-http host on a LAN needs the old way.
    const area = document.createElement("textarea");
    area.value = text;
    area.className = "sr-only";
    (document.activeElement?.closest("dialog") || document.body).append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}

function copySource(button) {
  if (button.dataset.copyText !== undefined) return button.dataset.copyText;
  if (button.dataset.copy) return $(button.dataset.copy)?.textContent ?? "";
  return $("code, pre, .turn-text", button.parentElement.closest(".code, .secret, .turn") || button.parentElement)?.textContent ?? "";
}

async function copyFrom(button) {
  await copyText(copySource(button).trim());
  say("Copied");
  const before = button.innerHTML;
  const use = $("use", button);
  button.classList.add("done");
  if (use) use.setAttribute("href", use.getAttribute("href").replace(/#.*/, "#check"));
  else button.textContent = "Copied";
  setTimeout(() => { button.classList.remove("done"); button.innerHTML = before; }, 1400);
}

// --- tabs ------------------------------------------------------------------------------------------------
function selectTab(tab, { isChosen = false } = {}) {
  const list = tab.closest("[role=tablist]");
  for (const other of $$("[role=tab]", list)) {
    const isThis = other === tab;
    other.setAttribute("aria-selected", String(isThis));
    other.tabIndex = isThis ? 0 : -1;
    const panel = document.getElementById(other.getAttribute("aria-controls"));
    if (panel) panel.hidden = !isThis;
  }
  if (!isChosen) return;
  if (list.dataset.remember) localStorage.setItem(`tab:${list.dataset.remember}`, tab.dataset.tab || tab.textContent.trim());
  if (list.dataset.param) setParam(list.dataset.param, tab.dataset.tab, { isNew: false });
}

function startTabs(scope = document) {
  for (const list of $$("[role=tablist]", scope)) {
    const wanted = (list.dataset.param && new URLSearchParams(location.search).get(list.dataset.param))
      || (list.dataset.remember && localStorage.getItem(`tab:${list.dataset.remember}`));
    const tabs = $$("[role=tab]", list);
    const first = tabs.find((tab) => (tab.dataset.tab || tab.textContent.trim()) === wanted)
      || tabs.find((tab) => tab.getAttribute("aria-selected") === "true") || tabs[0];
    if (first) selectTab(first);
  }
}

function moveTab(event, tab) {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  const tabs = $$("[role=tab]", tab.closest("[role=tablist]"));
  const next = tabs[(tabs.indexOf(tab) + step + tabs.length) % tabs.length];
  selectTab(next, { isChosen: true });
  next.focus();
  event.preventDefault();
}

// --- address ---------------------------------------------------------------------------------------------
function setParam(name, value, { isNew = true } = {}) {
  const url = new URL(location.href);
  if (value === null || value === undefined || value === "") url.searchParams.delete(name);
  else url.searchParams.set(name, value);
  if (url.href === location.href) return;
  if (isNew) history.pushState({ opened: true }, "", url);
  else history.replaceState(history.state, "", url);
}

// --- drawer ----------------------------------------------------------------------------------------------
const drawer = $("#drawer");
const drawerContent = $("#drawer-content");
let openId = null;
let openedFrom = null;
let hasPushed = false; // in this document; an entry of an earlier one would be loaded anew

function markOpen(id) {
  for (const element of $$(".is-open")) element.classList.remove("is-open");
  if (!id) return;
  for (const link of $$(`[data-drawer="${CSS.escape(id)}"]`)) link.closest("tr, .tree-row, [data-row]")?.classList.add("is-open");
}

function openDrawer(id, url, { isNew = true } = {}) {
  if (!drawer || id === openId) return;
  const isFirst = openId === null;
  if (isFirst) openedFrom = document.activeElement;
  openId = id;
  markOpen(id);
  drawerContent.innerHTML = $("#drawer-skeleton")?.innerHTML ?? "";
  drawer.hidden = false;
  // Stepping from row to row is one place in the history, so that Back leaves the drawer.
  if (isNew) setParam("open", id, { isNew: isFirst });
  if (isNew && isFirst) hasPushed = true;
  htmx.ajax("GET", url, { target: "#drawer-content", swap: "innerHTML", source: drawerContent });
  document.dispatchEvent(new CustomEvent("drawer:open", { detail: { id } }));
}

function closeDrawer({ isNew = true } = {}) {
  if (!drawer || drawer.hidden) return;
  const id = openId;
  openId = null;
  drawer.hidden = true;
  drawerContent.innerHTML = "";
  markOpen(null);
  // Closing goes back to the place it was opened from, and adds none.
  if (isNew && hasPushed && history.state?.opened) history.back();
  else if (isNew) setParam("open", null, { isNew: false });
  if (openedFrom?.isConnected) openedFrom.focus({ preventScroll: true });
  document.dispatchEvent(new CustomEvent("drawer:close", { detail: { id } }));
}

function drawerFromAddress() {
  if (!drawer) return;
  const id = new URLSearchParams(location.search).get("open");
  if (!id) return closeDrawer({ isNew: false });
  const link = $(`a[data-drawer="${CSS.escape(id)}"]`);
  const url = link?.getAttribute("href") || (drawer.dataset.base && drawer.dataset.base + encodeURIComponent(id));
  if (!url) return;
  if (isNarrow()) location.replace(url);
  else openDrawer(id, url, { isNew: false });
}

function stepInDrawer(step) {
  const links = $$("a[data-drawer]").filter((link) => !drawer.contains(link) && link.offsetParent !== null);
  const ids = [...new Set(links.map((link) => link.dataset.drawer))];
  const next = ids[ids.indexOf(openId) + step];
  const link = next && links.find((candidate) => candidate.dataset.drawer === next);
  if (!link) return say(step > 0 ? "No further row" : "No earlier row");
  openDrawer(next, link.getAttribute("href"));
  link.closest("tr, .tree-row, [data-row]")?.scrollIntoView({ block: "nearest" });
}

function trapFocus(event) {
  const stops = $$("a[href], button:not(:disabled), input, select, textarea, summary, [tabindex='0']", drawer)
    .filter((element) => element.offsetParent !== null);
  if (!stops.length) return;
  const [first, last] = [stops[0], stops[stops.length - 1]];
  const isOutside = !drawer.contains(document.activeElement);
  if (isOutside || (event.shiftKey ? document.activeElement === first : document.activeElement === last)) {
    (event.shiftKey && !isOutside ? last : first).focus();
    event.preventDefault();
  }
}

function setDrawerWidth(pixels) {
  const width = Math.round(Math.min(Math.max(pixels, 420), innerWidth * 0.92));
  root.style.setProperty("--drawer-width", `${width}px`);
  localStorage.setItem("drawer-width", String(width));
}

function startDrawer() {
  const handle = $(".drawer-handle");
  const kept = Number(localStorage.getItem("drawer-width"));
  if (kept) setDrawerWidth(kept);
  handle?.addEventListener("pointerdown", (event) => {
    handle.setPointerCapture(event.pointerId);
    const move = (moved) => setDrawerWidth(innerWidth - moved.clientX);
    handle.addEventListener("pointermove", move);
    handle.addEventListener("pointerup", () => handle.removeEventListener("pointermove", move), { once: true });
  });
  handle?.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: 24, ArrowRight: -24 }[event.key];
    if (step) setDrawerWidth(drawer.offsetWidth + step);
  });
}

// --- rows ------------------------------------------------------------------------------------------------
const rows = () => $$("[data-row]").filter((row) => row.offsetParent !== null);
const rowLink = (row) => $("a[data-drawer], a.row-link, a[href]", row);

function moveRow(step) {
  const all = rows();
  if (!all.length) return;
  const current = all.findIndex((row) => row.classList.contains("is-current"));
  const next = all[Math.min(Math.max(current + step, 0), all.length - 1)];
  all[current]?.classList.remove("is-current");
  next.classList.add("is-current");
  rowLink(next)?.focus({ preventScroll: true });
  next.scrollIntoView({ block: "nearest" });
  if (openId !== null && rowLink(next)?.dataset.drawer) follow(rowLink(next));
}

function follow(link) {
  if (link.dataset.drawer && !isNarrow()) openDrawer(link.dataset.drawer, link.getAttribute("href"));
  else link.click();
}

// --- palette ---------------------------------------------------------------------------------------------
const palette = $("#palette");

function paletteEntries() {
  return $$("[data-palette]").map((link) => ({ label: link.dataset.palette || link.textContent.trim(), detail: link.dataset.detail || "", url: link.getAttribute("href") }));
}

function paletteItem(entry) {
  const link = document.createElement("a");
  link.href = entry.url;
  link.setAttribute("role", "option");
  link.append(entry.label);
  const detail = document.createElement("small");
  detail.textContent = entry.detail || "";
  link.append(detail);
  return link;
}

const paletteItems = () => $$("a", $(".palette-list", palette));

function selectPaletteItem(index) {
  const items = paletteItems();
  items.forEach((item, place) => item.setAttribute("aria-selected", String(place === index)));
  items[index]?.scrollIntoView({ block: "nearest" });
}

// Where the words go that name no page: lists that open whatever was typed, and say so where they have none of it.
function paletteLists(text) {
  if (!text) return [];
  const { requests, sessions, users } = palette.dataset;
  const word = encodeURIComponent(text);
  return [
    { label: `Requests with “${text}”`, detail: "id or words", url: `${requests}?q=${word}` },
    { label: `Requests of models with “${text}”`, detail: "model", url: `${requests}?model=~${word}` },
    { label: `Sessions with “${text}”`, detail: "name or id", url: `${sessions}?q=${word}` },
    { label: `Users with “${text}”`, detail: "id", url: `${users}?find=${word}` },
  ];
}

function searchPalette(query) {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  const pages = paletteEntries().filter((entry) => words.every((word) => entry.label.toLowerCase().includes(word)));
  $(".palette-list", palette).replaceChildren(...[...pages, ...paletteLists(query.trim())].map(paletteItem));
  selectPaletteItem(0);
}

function openPalette() {
  if (!palette || palette.open) return;
  palette.showModal();
  const input = $("input", palette);
  input.value = "";
  searchPalette("");
  input.focus();
}

function paletteKey(event) {
  const items = paletteItems();
  const current = items.findIndex((item) => item.getAttribute("aria-selected") === "true");
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step && items.length) selectPaletteItem((current + step + items.length) % items.length);
  else if (event.key === "Enter") items[current]?.click();
  else return;
  event.preventDefault();
}

// --- keys ------------------------------------------------------------------------------------------------
let isGoing = false;

function goTo(key) {
  const link = $(`[data-go="${CSS.escape(key)}"]`);
  if (link) link.click();
  return Boolean(link);
}

function useShortcut(key) {
  const scope = openId !== null ? $(`#drawer [data-shortcut="${CSS.escape(key)}"]`) : null;
  const target = scope || $(`[data-shortcut="${CSS.escape(key)}"]`);
  if (!target) return false;
  if (target.matches("input, textarea, select")) { target.focus(); target.select?.(); } else target.click();
  return true;
}

const KEYS = {
  j: () => moveRow(1),
  k: () => moveRow(-1),
  "?": () => $("#help")?.showModal(),
  "]": () => (openId === null ? false : stepInDrawer(1)),
  "[": () => (openId === null ? false : stepInDrawer(-1)),
  g: () => { isGoing = true; setTimeout(() => { isGoing = false; }, 1200); },
};

function escape() {
  const menu = $("details.menu[open]");
  if (menu) { menu.open = false; $("summary", menu).focus(); } else if (document.body.classList.contains("nav-open")) toggleNav(false); else closeDrawer();
}

function isTyping(target) {
  return target instanceof Element && target.matches("input:not([type=checkbox]):not([type=radio]), textarea, select, [contenteditable]");
}

function plainKey(event) {
  if (isGoing) {
    isGoing = false;
    return goTo(event.key);
  }
  if (useShortcut(event.key)) return true;
  const action = KEYS[event.key];
  return action ? action() !== false : false;
}

function onKey(event) {
  const tab = event.target instanceof Element && event.target.closest("[role=tab]");
  if (tab) moveTab(event, tab);
  if ((event.metaKey || event.ctrlKey) && event.key.toLowerCase() === "k") { event.preventDefault(); return openPalette(); }
  if ($("dialog[open]")) return undefined;
  if (event.key === "Escape") return isTyping(event.target) ? event.target.blur() : escape();
  if (event.key === "Tab" && openId !== null) return trapFocus(event);
  if (event.metaKey || event.ctrlKey || event.altKey || isTyping(event.target)) return undefined;
  if (plainKey(event)) event.preventDefault();
  return undefined;
}

// --- clicks ----------------------------------------------------------------------------------------------
function toggleNav(isOpen) {
  document.body.classList.toggle("nav-open", isOpen);
  $(".nav-toggle")?.setAttribute("aria-expanded", String(isOpen));
  if (isOpen) $(".side a")?.focus();
}

function chooseTheme(button) {
  if (button.value) root.dataset.theme = button.value;
  else delete root.dataset.theme;
  for (const other of $$("[data-theme-choice]")) {
    if (other === button) other.setAttribute("aria-current", "true");
    else other.removeAttribute("aria-current");
  }
  document.dispatchEvent(new CustomEvent("theme:change"));
}

const CLICKS = [
  ["[data-copy], [data-copy-text]", (button) => copyFrom(button)],
  ["[data-dialog]", (button) => document.getElementById(button.dataset.dialog)?.showModal()],
  ["[data-close]", (button) => button.closest("dialog")?.close()],
  ["[role=tab]", (tab) => selectTab(tab, { isChosen: true })],
  ["[data-close-drawer]", () => closeDrawer()],
  ["[data-step]", (button) => stepInDrawer(Number(button.dataset.step))],
  ["[data-palette-open]", () => openPalette()],
  ["[data-theme-choice]", (button) => chooseTheme(button)],
  [".nav-toggle", () => toggleNav(!document.body.classList.contains("nav-open"))],
  [".backdrop", () => toggleNav(false)],
];

function isPlain(event) {
  return event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
}

function onRowClick(event) {
  const row = event.target.closest("[data-row]");
  if (!row || event.target.closest("a, button, input, label, summary, select") || String(getSelection())) return;
  const link = rowLink(row);
  if (!link) return;
  if (event.metaKey || event.ctrlKey) window.open(link.href, "_blank", "noopener");
  else follow(link);
}

function onClick(event) {
  for (const menu of $$("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
  if (event.target.matches("dialog")) return event.target.close();
  for (const [selector, action] of CLICKS) {
    const found = event.target.closest(selector);
    if (found) action(found);
  }
  const link = event.target.closest("a[data-drawer]");
  if (link && isPlain(event) && !isNarrow() && drawer) {
    event.preventDefault();
    return openDrawer(link.dataset.drawer, link.getAttribute("href"));
  }
  return onRowClick(event);
}

// --- start -----------------------------------------------------------------------------------------------
function refresh(scope = document) {
  showTimes(scope);
  placeBars(scope);
  startTabs(scope);
  if (openId) markOpen(openId);
}

document.addEventListener("keydown", onKey);
document.addEventListener("click", onClick);
document.addEventListener("change", (event) => {
  const form = event.target.closest?.("form[data-submit-on-change]");
  if (form) form.requestSubmit();
});
document.addEventListener("htmx:afterSwap", (event) => {
  refresh(event.target.parentElement || document);
  if (event.target === drawerContent) {
    drawerContent.scrollTop = 0;
    $("h2, [data-focus]", drawerContent)?.focus?.({ preventScroll: true });
  }
});
document.addEventListener("htmx:responseError", (event) => {
  const status = event.detail.xhr.status;
  const box = $("#drawer-error");
  say(`That did not work (${status}).`);
  if (event.target === drawerContent && box) drawerContent.innerHTML = box.innerHTML;
});
window.addEventListener("popstate", drawerFromAddress);
if (palette) {
  $("input", palette).addEventListener("input", (event) => searchPalette(event.target.value));
  palette.addEventListener("keydown", paletteKey);
}
if (!/Mac|iP(hone|ad)/.test(navigator.platform)) {
  for (const key of $$("[data-modifier]")) key.textContent = `ctrl ${key.dataset.modifier}`;
}
startDrawer();
$(".settings-nav [aria-current]")?.scrollIntoView({ inline: "center", block: "nearest" });
refresh();
drawerFromAddress();
for (const dialog of $$("dialog[data-open-now]")) dialog.showModal();
setInterval(() => showTimes(), 30000);
window.helicone = { openDrawer, closeDrawer, refresh, say, copyText, setParam, zone };
