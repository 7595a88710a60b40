"use strict";
// Draws the widgets of a page. Text reaches the page as text, never as HTML.
const LOOK = JSON.parse(document.getElementById("look").textContent);
const SETTINGS = { responsive: true, displaylogo: false, displayModeBar: false };
const SHOWN_WORDS = 8; // of lines over time, and of bars
const MARGIN = { l: 56, r: 12, t: 12, b: 44 };

function make(tag, properties = {}, ...children) {
  const { style, data, ...rest } = properties;
  const made = Object.assign(document.createElement(tag), rest);
  Object.assign(made.style, style || {});
  Object.assign(made.dataset, data || {});
  made.append(...children);
  return made;
}

// A chart's labels are read as HTML by plotly, so that what came as text is escaped first.
function label(text) {
  return String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}

function styled(trace, number) {
  const color = LOOK.palette[number % LOOK.palette.length];
  return { ...trace, line: { width: 2, color, dash: LOOK.dashes[number % LOOK.dashes.length] }, marker: { color, size: 5 } };
}

function chart(holder, text, wide = false, old = null) {
  const place = old || make("div", { className: wide ? "chart wide" : "chart" });
  place.setAttribute("role", "img");
  place.setAttribute("aria-label", text);
  holder.append(place);
  return place;
}

function draw(place, traces, layout) {
  const base = { margin: MARGIN, height: 320, colorway: LOOK.palette, font: { size: 12 }, hovermode: "closest" };
  const zoom = layout.scrollZoom ? { scrollZoom: true, displayModeBar: true } : {};
  return Plotly.react(place, traces, { ...base, ...layout }, { ...SETTINGS, ...zoom });
}

// The place of t among rising times.
function before(times, t) {
  let low = 0, high = times.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (times[middle] <= t) low = middle; else high = middle - 1;
  }
  return low;
}

function slider(from, to, start, name, moved) {
  const input = make("input", { type: "range", min: from, max: to, step: (to - from) / 400, value: start });
  input.setAttribute("aria-label", name);
  const output = make("output");
  const play = make("button", { type: "button", textContent: "play" });
  let waiting = false, playing = null;
  const show = () => { waiting = false; output.textContent = moved(Number(input.value)); };
  input.addEventListener("input", () => { if (!waiting) { waiting = true; requestAnimationFrame(show); } });
  const stop = () => { cancelAnimationFrame(playing); playing = null; play.textContent = "play"; };
  play.addEventListener("click", () => {
    if (playing !== null) { stop(); return; }
    play.textContent = "stop";
    const begin = performance.now();
    const first = Number(input.value) >= to ? from : Number(input.value);
    const step = (now) => {
      const t = first + (now - begin) / 700 * Math.max(1, (to - from) / 12);
      input.value = Math.min(t, to);
      show();
      if (t >= to) stop(); else playing = requestAnimationFrame(step);
    };
    playing = requestAnimationFrame(step);
  });
  const holder = make("div", { className: "slider" }, play, input, output);
  return { holder, input, show };
}

function along(points) {
  return { type: "scatter", mode: "lines", hoverinfo: "skip", x: points.map((p) => p[0]), y: points.map((p) => p[1]) };
}

// Arrows of a field in a plane as one broken line.
function arrows(places, slopes, size) {
  const x = [], y = [];
  const longest = Math.max(1e-12, ...slopes.map(([dx, dy]) => Math.hypot(dx, dy)));
  places.forEach(([px, py], i) => {
    const dx = slopes[i][0] / longest * size, dy = slopes[i][1] / longest * size;
    const tipX = px + dx, tipY = py + dy;
    x.push(px, tipX, tipX - 0.3 * dx + 0.15 * dy, null, tipX, tipX - 0.3 * dx - 0.15 * dy, null);
    y.push(py, tipY, tipY - 0.3 * dy - 0.15 * dx, null, tipY, tipY - 0.3 * dy + 0.15 * dx, null);
  });
  return { x, y };
}

// A sentence as a path in time: what would stand at time t, and where the hidden state is. Returns its charts, which
// another sentence may be drawn into.
function sentence(holder, path, { start = null, toggled = null, old = [null, null] } = {}) {
  const first = path.times[0], last = path.times[path.times.length - 1];
  const gap = path.visible.indexOf(false);
  const spelt = path.tokens.map((token, i) => (path.visible[i] || token === "___" ? token : `[${token}]`));
  const tokens = path.tokens.map((token, i) => {
    const className = path.visible[i] ? "token" : "token hidden";
    const made = make(toggled ? "button" : "span", { className, textContent: spelt[i] });
    if (toggled) {
      made.type = "button";
      made.setAttribute("aria-pressed", String(!path.visible[i]));
      made.title = path.visible[i] ? "hide it" : "show it";
      made.addEventListener("click", () => toggled(i));
    }
    return made;
  });
  holder.append(make("div", { className: "tokens" }, ...tokens));
  const charts = make("div", { className: "charts" });
  const over = chart(charts, `Probability of ${path.words.join(", ")} over time.`, true, old[0]);
  const now = make("ol", { className: "bars" });
  now.setAttribute("aria-label", "the likeliest words at this time, and their probabilities");
  charts.append(now);
  const plane = chart(charts, "The hidden state in the plane of its two main directions, and its vector field.",
    false, old[1]);
  const lines = path.words.slice(0, SHOWN_WORDS).map((word, k) => styled(
    { type: "scatter", mode: "lines", name: label(word), x: path.times, y: path.probability.map((row) => row[k]) }, k));
  const names = spelt.map(label);
  const overLayout = (t) => ({
    xaxis: { tickvals: path.ticks, ticktext: names, range: [first, last], tickangle: -35, zeroline: false },
    yaxis: { title: { text: "probability" }, rangemode: "tozero" }, margin: { ...MARGIN, b: 72 },
    legend: { orientation: "h", y: 1.15 },
    shapes: [{ type: "line", x0: t, x1: t, yref: "paper", y0: 0, y1: 1, line: { color: "#5a5a5a", width: 2 } }],
  });
  const points = path.plane.map((row) => [row[0], row[1]]);
  // What happens at a token's own time is a jump: the way to the next point is no part of the flow.
  const stops = path.ticks.map((tick) => Math.min(before(path.times, tick - 1e-6) + (tick > first ? 1 : 0), points.length - 1));
  const at = stops.map((i) => points[i]);
  const flow = [], jumps = [];
  points.forEach((point, i) => {
    flow.push(point);
    const token = stops.indexOf(i);
    if (token >= 0 && path.visible[token] && i + 1 < points.length) {
      flow.push([null, null]);
      jumps.push(point, points[i + 1], [null, null]);
    }
  });
  const ways = [styled({ ...along(flow) }, 0), { ...along(jumps), line: { width: 1, color: "#8a8a8a", dash: "dot" } }];
  const extent = Math.max(1e-9, ...points.map(([x, y]) => Math.max(Math.abs(x), Math.abs(y))));
  const bars = Array.from({ length: Math.min(SHOWN_WORDS, path.likeliest[0].length) }, () => {
    const [name, bar, share] = [make("span"), make("span", { className: "bar" }), make("span", { className: "share" })];
    now.append(make("li", {}, name, make("span", { className: "track" }, bar), share));
    return { name, bar, share };
  });
  const most = Math.max(0.05, ...path.chances.flat());
  const share = path.variance.map((v) => `${Math.round(100 * v)} %`);
  const dot = ([x, y]) => ({ type: "circle", xsizemode: "pixel", ysizemode: "pixel", xanchor: x, yanchor: y,
    x0: -6, x1: 6, y0: -6, y1: 6, fillcolor: LOOK.palette[1], line: { width: 0 } });
  const planeLayout = (point) => ({ showlegend: false, shapes: [dot(point)],
    xaxis: { title: { text: `first direction (${share[0]})` }, zeroline: false },
    yaxis: { title: { text: `second direction (${share[1]})` }, zeroline: false } });
  const tips = { type: "scatter", mode: "markers+text", x: at.map((p) => p[0]), y: at.map((p) => p[1]), text: names,
    textposition: "top center", textfont: { size: 10 }, hoverinfo: "text", marker: { size: 4, color: LOOK.palette[0] } };
  let shown = null; // the whole time that the arrows are of
  const moved = (t) => {
    const i = before(path.times, t);
    Plotly.relayout(over, { "shapes[0].x0": t, "shapes[0].x1": t });
    bars.forEach(({ name, bar, share }, k) => {
      name.textContent = path.likeliest[i][k];
      bar.style.width = `${100 * path.chances[i][k] / most}%`;
      share.textContent = path.chances[i][k].toFixed(3);
    });
    const moment = Math.min(path.field.length - 1, Math.max(0, Math.floor(t - first)));
    if (moment === shown) Plotly.relayout(plane, { "shapes[0].xanchor": points[i][0], "shapes[0].yanchor": points[i][1] });
    else {
      const field = path.places.length ? [{ type: "scatter", mode: "lines", hoverinfo: "skip",
        line: { color: "#b5b5b5", width: 1 }, ...arrows(path.places, path.field[moment], extent * 0.17) }] : [];
      draw(plane, [...field, ...ways, tips], planeLayout(points[i]));
      shown = moment;
    }
    const near = path.ticks.reduce((best, tick, k) => (Math.abs(tick - t) < Math.abs(path.ticks[best] - t) ? k : best), 0);
    tokens.forEach((token, k) => token.classList.toggle("now", k === near));
    holder.dataset.time = t;
    return `t = ${t.toFixed(2)}: ${path.likeliest[i][0]} ${(100 * path.chances[i][0]).toFixed(0)} %`;
  };
  const begin = start === null ? (gap < 0 ? first : path.ticks[gap]) : Math.min(Math.max(start, first), last);
  const time = slider(first, last, begin, "time, in tokens", moved);
  holder.append(time.holder, charts);
  draw(over, lines, overLayout(begin)).then(time.show);
  return [over, plane];
}

// Points that a flow carries from noise to data.
function moving(holder, { points, frames, ts, reach }) {
  const place = chart(holder, "Draws of the model at the time of the slider, over points of the data.");
  const axes = { range: [-reach, reach], zeroline: false };
  const data = { type: "scatter", mode: "markers", x: points[0], y: points[1], name: "data", hoverinfo: "skip",
    marker: { size: 3, color: "#cccccc" } };
  const moved = (t) => {
    const i = Math.min(before(ts, t), ts.length - 2);
    const share = (t - ts[i]) / (ts[i + 1] - ts[i]);
    const mixed = [0, 1].map((c) => frames[i][c].map((v, k) => v + share * (frames[i + 1][c][k] - v)));
    draw(place, [data, { type: "scatter", mode: "markers", x: mixed[0], y: mixed[1], name: "model", hoverinfo: "skip",
      marker: { size: 3, color: LOOK.palette[0] } }],
      { xaxis: axes, yaxis: { ...axes, scaleanchor: "x" }, height: 460, legend: { orientation: "h" } });
    holder.dataset.time = t;
    return `t = ${t.toFixed(2)}`;
  };
  const time = slider(ts[0], ts[ts.length - 1], ts[ts.length - 1], "time of the flow", moved);
  holder.append(time.holder);
  time.show();
}

// Sentences on the way from one to another; those that repeat the one before are greyed.
function walk(holder, { shares, sentences }) {
  const list = make("ol", { className: "walk" });
  sentences.forEach((text, i) => {
    const same = i > 0 && sentences[i - 1] === text;
    list.append(make("li", { textContent: `${shares[i].toFixed(2)}  ${text}`, className: same ? "same" : "" }));
  });
  holder.append(list);
}

const KINDS = {
  chart: (holder, { traces, layout, text }) => draw(chart(holder, text),
    traces.map(({ style, ...trace }) => (style === undefined ? trace : styled(trace, style))), layout),
  sentence, moving, walk,
};

document.querySelectorAll(".widget").forEach((holder) => {
  KINDS[holder.dataset.kind](holder, JSON.parse(holder.querySelector("script").textContent));
});
