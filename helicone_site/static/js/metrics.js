// Charts: draws what the server laid out, one line under the pointer across all of them, brushing and opening.
//
// CONTRACT
//   .chart-body > [data-chart] followed by <script type="application/json">: {form, unit, grain, title, times, series, before}
//   meta[name=chart-script]    where Plotly is; it is loaded when the first chart is there, after the page has painted
// A drag zooms the page's range, a click or Enter opens the requests of one step; everything is an address.
"use strict";

(() => {
  const charts = new Set();
  const TOKENS = {
    accent: "mark-accent", error: "mark-error", warning: "mark-warning", ok: "mark-ok", cached: "mark-cached",
    rest: "grey-4", before: "grey-6", text: "grey-6", line: "grey-3", page: "grey-0",
  };
  for (let index = 0; index < 8; index += 1) TOKENS[index] = `chart-${index + 1}`;

  // --- the script -----------------------------------------------------------------------------------------------
  let loading = null;
  function plotly() {
    loading ??= new Promise((done, failed) => {
      const script = document.createElement("script");
      script.src = document.querySelector("meta[name=chart-script]").content;
      script.onload = () => done(window.Plotly);
      script.onerror = () => { loading = null; failed(new Error("The chart script could not be loaded.")); };
      document.head.append(script);
    });
    return loading;
  }

  // --- looks ----------------------------------------------------------------------------------------------------
  function palette() {
    const probe = document.createElement("span");
    document.body.append(probe);
    const found = {};
    for (const [name, token] of Object.entries(TOKENS)) {
      probe.style.color = `var(--${token})`;
      found[name] = getComputedStyle(probe).color;
    }
    probe.remove();
    return found;
  }

  const short = (value) => {
    for (const [size, suffix] of [[1e9, "B"], [1e6, "M"], [1e3, "k"]]) {
      if (Math.abs(value) >= size * 0.9995) return `${trim(value / size)}${suffix}`;
    }
    return trim(value);
  };
  const trim = (value) => (Math.abs(value) >= 99.95 ? value.toFixed(0) : value.toFixed(1)).replace(/\.0$/, "");

  function money(value) {
    const size = Math.abs(value);
    if (size === 0) return "$0";
    if (size >= 1000) return `$${Math.round(value).toLocaleString("en-US")}`;
    if (size >= 1) return `$${value.toFixed(2)}`;
    return `$${value.toFixed(Math.min(9, 2 - Math.floor(Math.log10(size))))}`;
  }

  function duration(ms) {
    if (ms < 1000) return `${Math.round(ms)} ms`;
    if (ms < 60000) return `${(ms / 1000).toFixed(ms < 9995 ? 2 : 1)} s`;
    const minutes = Math.floor(ms / 60000);
    return minutes < 60 ? `${minutes} min ${Math.round(ms / 1000) % 60} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  }

  const WRITE = { usd: money, ms: duration, tokens: short, count: (value) => value.toLocaleString("en-US") };
  const onAxis = (unit, value) => {
    if (unit === "usd") return value >= 1000 ? `$${short(value)}` : `$${Number(value.toPrecision(3))}`;
    if (unit !== "ms") return short(value);
    return value === 0 ? "0" : value < 1000 ? `${Number(value.toPrecision(3))} ms`
      : value < 120000 ? `${Number((value / 1000).toPrecision(3))} s` : `${Number((value / 60000).toPrecision(3))} min`;
  };

  function ticks(largest, isWhole) {
    const rough = largest / 4 || 1;
    const power = 10 ** Math.floor(Math.log10(rough));
    let step = [1, 2, 2.5, 5, 10].find((factor) => factor * power >= rough) * power;
    if (isWhole) step = Math.max(1, Math.ceil(step));
    const found = [];
    for (let value = 0; value <= largest + step * 0.02; value += step) found.push(value);
    return { values: found, top: Math.max(largest * 1.06, found.at(-1)) };
  }

  // --- one chart --------------------------------------------------------------------------------------------------
  // Plotly's time axis knows no zones: it is given the reader's wall clock, and only steps are ever read back.
  const wall = (iso) => iso.slice(0, 19);
  const wallMs = (iso) => Date.parse(`${wall(iso)}Z`);
  const onWall = (ms) => new Date(ms).toISOString().slice(0, 19);
  // An hour that comes twice when clocks go back has a width of its own: then all steps lie on the first one's clock.
  function edgesOf(times) {
    const edges = times.map(wallMs);
    if (edges.every((edge, i) => !i || edge > edges[i - 1])) return edges;
    return times.map((iso) => Date.parse(iso) + edges[0] - Date.parse(times[0]));
  }

  class Chart {
    constructor(element, data) {
      Object.assign(this, { element, data, index: -1 });
      this.edges = edgesOf(data.times);
      this.line = element.appendChild(Object.assign(document.createElement("div"), { className: "hover-line", hidden: true }));
      this.tip = element.appendChild(Object.assign(document.createElement("div"), { className: "chart-tip", hidden: true }));
      this.tip.setAttribute("role", "status");
      this.listen();
    }

    height() { return Math.floor(this.element.getBoundingClientRect().height); }

    get count() { return this.edges.length - 1; }

    middles() { return this.edges.slice(0, -1).map((edge, i) => onWall((edge + this.edges[i + 1]) / 2)); }

    traces(colours) {
      const x = this.middles();
      const isBars = this.data.form === "bars";
      const width = this.edges.slice(0, -1).map((edge, i) => (this.edges[i + 1] - edge) * (this.count > 120 ? 1 : 0.84));
      const made = this.data.series.map((series) => isBars
        ? { type: "bar", x, y: series.y, width, marker: { color: colours[series.colour], line: { width: 0 } }, hoverinfo: "none" }
        : { type: "scatter", x, y: series.y, mode: this.isSparse(series.y) ? "lines+markers" : "lines", marker: { size: 4 },
            line: { color: colours[series.colour], width: 1.6, shape: "linear" }, hoverinfo: "none" });
      if (this.data.before) {
        made.push({ type: "scatter", x, y: this.data.before.y, mode: "lines", line: { color: colours.before, width: 1.4, dash: "dot" }, hoverinfo: "none" });
      }
      return made;
    }

    // Charts side by side are as tall as the tallest of them, once all are there.
    fit(drawer) {
      const { width, height } = this.element.getBoundingClientRect();
      const layout = this.axes();
      if (width && (Math.abs(layout.width - width) > 1 || Math.abs(layout.height - Math.max(200, Math.floor(height))) > 1)) {
        drawer.relayout(this.element, { width: Math.floor(width), height: Math.max(200, Math.floor(height)) });
      }
    }

    // A value between two gaps has no line to either side.
    isSparse(values) { return values.some((value, i) => value !== null && (values[i - 1] ?? null) === null && (values[i + 1] ?? null) === null); }

    largest() {
      const { series, before, form } = this.data;
      const steps = Array.from({ length: this.count }, (_, i) => {
        const values = series.map((one) => one.y[i] || 0);
        return Math.max(form === "bars" ? values.reduce((a, b) => a + b, 0) : Math.max(0, ...values), before?.y[i] || 0);
      });
      return Math.max(0, ...steps);
    }

    layout(colours) {
      const { values, top } = ticks(this.largest(), ["count", "tokens"].includes(this.data.unit));
      const isCoarse = matchMedia("(pointer: coarse)").matches;
      const style = getComputedStyle(document.body);
      return {
        height: Math.max(200, this.height()), margin: { l: 52, r: 10, t: 8, b: 30 }, barmode: "stack", showlegend: false, hovermode: false,
        paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", dragmode: isCoarse ? false : "zoom",
        font: { family: style.fontFamily, size: 11, color: colours.text },
        xaxis: {
          type: "date", range: [onWall(this.edges[0]), onWall(this.edges.at(-1))], fixedrange: isCoarse, showgrid: false,
          zeroline: false, linecolor: colours.line, ticks: "", nticks: Math.max(3, Math.floor(this.element.clientWidth / 90)),
          tickformatstops: [{ dtickrange: [null, 43200000], value: "%H:%M\n%-d %b" }, { dtickrange: [43200000, null], value: "%-d %b" }],
        },
        yaxis: {
          range: [0, top || 1], fixedrange: true, gridcolor: colours.line, zeroline: false, ticks: "", tickmode: "array",
          tickvals: values, ticktext: values.map((value) => onAxis(this.data.unit, value)),
        },
      };
    }

    async draw() {
      const drawer = await plotly();
      const colours = palette();
      this.element.querySelector(".skeleton")?.remove();
      await drawer.react(this.element, this.traces(colours), this.layout(colours), { displayModeBar: false, doubleClick: false, showTips: false });
      if (!this.isWatched) {
        this.isWatched = true;
        this.element.on("plotly_relayout", (change) => this.zoom(change));
        new ResizeObserver(() => this.fit(drawer)).observe(this.element);
      }
    }

    // --- the pointer and the keys
    listen() {
      let pressed = null;
      this.element.addEventListener("pointermove", (event) => point(this, this.stepAt(event), true));
      this.element.addEventListener("pointerleave", () => point(this, -1));
      this.element.addEventListener("pointerdown", (event) => { pressed = event.clientX; }, true);
      this.element.addEventListener("click", (event) => {
        if (pressed !== null && Math.abs(event.clientX - pressed) > 4) return;
        const step = this.stepAt(event);
        if (step >= 0) this.open(step, this.seriesAt(step, event), event);
      }, true);
      this.element.addEventListener("keydown", (event) => this.key(event));
      this.element.addEventListener("blur", () => point(this, -1));
    }

    key(event) {
      const moves = { ArrowLeft: -1, ArrowRight: 1 };
      if (event.key in moves) {
        const start = this.index < 0 ? (moves[event.key] > 0 ? -1 : this.count) : this.index;
        point(this, Math.min(this.count - 1, Math.max(0, start + moves[event.key])), true);
      } else if (event.key === "Enter" && this.index >= 0) {
        this.open(this.index, null, event);
      } else if (event.key === "Escape") {
        point(this, -1);
      } else return;
      event.preventDefault();
    }

    axes() { return this.element._fullLayout; }

    stepAt(event) {
      const layout = this.axes();
      if (!layout) return -1;
      const box = this.element.getBoundingClientRect();
      const x = event.clientX - box.left - layout._size.l;
      if (x < 0 || x > layout._size.w) return -1;
      const at = this.edges[0] + (x / layout._size.w) * (this.edges.at(-1) - this.edges[0]);
      return Math.max(0, this.stepOf(at));
    }

    middle(step) { return (this.edges[step] + this.edges[step + 1]) / 2; }

    // The step a moment lies in; -1 for none.
    stepOf(at) { return Math.min(this.count - 1, this.edges.findIndex((edge) => edge > at) - 1); }

    // Of layers: the one under the pointer; null for the space above them.
    seriesAt(step, event) {
      if (this.data.form !== "bars") return null;
      const layout = this.axes();
      const box = this.element.getBoundingClientRect();
      let value = (1 - (event.clientY - box.top - layout._size.t) / layout._size.h) * layout.yaxis.range[1];
      return this.data.series.find((series) => { value -= series.y[step] || 0; return value < 0; }) || null;
    }

    open(step, series, event) {
      const url = new URL((series || { link: this.data.all }).link || this.data.all, location.href);
      url.searchParams.delete("range");
      url.searchParams.set("from", utc(this.data.times[step]));
      url.searchParams.set("to", utc(this.data.times[step + 1]));
      if (event.ctrlKey || event.metaKey) window.open(url, "_blank", "noopener");
      else location.assign(url);
    }

    zoom(change) {
      const from = change["xaxis.range[0]"], to = change["xaxis.range[1]"];
      if (from === undefined || to === undefined) return;
      const ms = (text) => Date.parse(`${String(text).replace(" ", "T").slice(0, 19)}Z`);
      const first = Math.max(0, this.edges.findLastIndex((edge) => edge <= ms(from)));
      const last = this.edges.findIndex((edge) => edge >= ms(to));
      const url = new URL(location.href);
      url.searchParams.delete("range");
      url.searchParams.set("from", utc(this.data.times[first]));
      url.searchParams.set("to", utc(this.data.times[last < 0 ? this.count : last]));
      location.assign(url);
    }

    show(step, hasTip) {
      this.index = step;
      const layout = this.axes();
      this.line.hidden = this.tip.hidden = true;
      if (step < 0 || !layout) return;
      const x = layout._size.l + ((this.middle(step) - this.edges[0]) / (this.edges.at(-1) - this.edges[0])) * layout._size.w;
      this.line.hidden = false;
      this.line.style.left = `${x}px`;
      this.line.style.top = `${layout._size.t}px`;
      this.line.style.height = `${layout._size.h}px`;
      if (hasTip) this.tell(step, x);
    }

    tell(step, x) {
      const rows = [...this.data.series, ...(this.data.before ? [{ ...this.data.before, colour: "before" }] : [])];
      this.tip.replaceChildren(make("strong", "", this.stepText(step)));
      for (const series of rows) {
        const value = series.y[step];
        if (rows.length > 5 && !value) continue;
        const row = make("div", "tip-row");
        row.append(make("span", `swatch c-${series.colour}`), make("span", "clip", series.name),
                   make("b", "", value === null ? "–" : WRITE[this.data.unit](value)));
        this.tip.append(row);
      }
      this.tip.hidden = false;
      const room = this.element.clientWidth;
      const width = this.tip.offsetWidth;
      this.tip.style.left = `${x + 14 + width < room ? x + 14 : Math.max(0, x - 14 - width)}px`;
    }

    stepText(step) {
      const at = new Date(wallMs(this.data.times[step]));
      const text = (options) => at.toLocaleString("en-GB", { timeZone: "UTC", ...options });
      const day = text({ weekday: "short", day: "numeric", month: "short" });
      return this.data.grain === "day" ? day : `${day} ${text({ hour: "2-digit", minute: "2-digit" })}`;
    }
  }

  const utc = (iso) => new Date(iso).toISOString().replace(".000Z", "Z");

  function make(tag, name, text = "") {
    const made = document.createElement(tag);
    made.className = name;
    made.textContent = text;
    return made;
  }

  // The same moment on every chart; what it says only where the pointer is.
  function point(chart, step, hasTip = false) {
    if (step === chart.index && step < 0) return;
    for (const other of charts) {
      if (!other.element.isConnected) { charts.delete(other); continue; }
      other.show(other === chart || step < 0 ? step : other.stepOf(chart.middle(step)), hasTip && other === chart);
    }
  }

  // --- life -------------------------------------------------------------------------------------------------------
  async function begin(element) {
    const block = element.parentElement.querySelector("script[type='application/json']");
    if (!block || element.dataset.chart === "drawn") return;
    element.dataset.chart = "drawn";
    const chart = new Chart(element, JSON.parse(block.textContent));
    charts.add(chart);
    try {
      await chart.draw();
    } catch (error) {
      element.replaceChildren(make("p", "muted", "The chart could not be drawn; its table below is whole."));
      throw error;
    }
  }

  function redraw() {
    for (const chart of charts) chart.element.isConnected ? chart.draw() : charts.delete(chart);
  }

  document.addEventListener("htmx:load", (event) => {
    const found = event.detail.elt;
    for (const element of found.matches?.("[data-chart]") ? [found] : found.querySelectorAll("[data-chart]")) begin(element);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  new MutationObserver(redraw).observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
})();
