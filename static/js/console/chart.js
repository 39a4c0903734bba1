// Draws the chart with uPlot from the data in the page; the drawn SVG stays where this cannot run.
import uPlot from "uplot";

const HEIGHT = 236;
const AREA_FROM = 80; // so many points are a line rather than bars
const drawn = new Map();

export function drawCharts(root) {
  for (const [plot, chart] of drawn) {
    if (!plot.isConnected) forget(plot, chart);
  }
  for (const plot of root.querySelectorAll("[data-chart]")) {
    if (!drawn.has(plot)) remember(plot, JSON.parse(plot.dataset.chart));
  }
}

function remember(plot, data) {
  const chart = { data, plain: [...plot.childNodes], redraw: () => draw(plot, chart) };
  chart.theme = matchMedia("(prefers-color-scheme: dark)");
  chart.theme.addEventListener("change", chart.redraw);
  chart.sizes = new ResizeObserver(() => resize(plot, chart));
  drawn.set(plot, chart);
  draw(plot, chart);
  chart.sizes.observe(plot);
}

/** On paper the drawn SVG stands in the canvas's place: it has the paper's width and colours. */
export function printCharts() {
  addEventListener("beforeprint", () => drawn.forEach(showPlain));
  addEventListener("afterprint", () => drawn.forEach((chart) => chart.redraw()));
}

function showPlain(chart, plot) {
  chart.canvas?.destroy();
  chart.canvas = null;
  plot.replaceChildren(...chart.plain);
}

function forget(plot, chart) {
  chart.theme.removeEventListener("change", chart.redraw);
  chart.sizes.disconnect();
  chart.canvas?.destroy();
  drawn.delete(plot);
}

function draw(plot, chart) {
  if (!chart.data.values.length) return;
  chart.canvas?.destroy();
  plot.replaceChildren();
  chart.canvas = new uPlot(buildOptions(plot, chart.data), buildSeries(chart.data), plot);
  plot.firstElementChild.setAttribute("aria-hidden", "true"); // the sentence and the table say it in words
}

function resize(plot, chart) {
  const width = plot.clientWidth;
  if (chart.canvas && width && width !== chart.canvas.width) chart.canvas.setSize({ width, height: HEIGHT });
}

/** x, the finished values, the one whose day or hour is still running, and those of the period compared with. */
function buildSeries({ values, unfinished, earlier }) {
  const xs = values.map((_, index) => index);
  const bars = values.length <= AREA_FROM;
  const running = values.map((value, index) => (bars && index === unfinished ? value : null));
  const finished = values.map((value, index) => (bars && index === unfinished ? null : value));
  return [xs, finished, running, earlier.length ? earlier : values.map(() => null)];
}

function buildOptions(plot, data) {
  const colour = readColours(plot);
  const count = data.values.length;
  const bars = count <= AREA_FROM;
  const paths = bars ? uPlot.paths.bars({ size: [0.74, 44], radius: [0.12, 0] }) : uPlot.paths.linear();
  const series = { paths, points: { show: false }, width: bars ? 0 : 1.75 };
  const axis = { stroke: colour.muted, font: colour.font, ticks: { show: false } };
  return {
    width: plot.clientWidth,
    height: HEIGHT,
    padding: [10, 4, 0, 0],
    legend: { show: false },
    cursor: { y: false, x: !bars, drag: { x: false, y: false }, points: { show: !bars } },
    scales: { x: { time: false, range: [-0.5, count - 0.5] }, y: { range: [0, data.top] } },
    axes: [
      { ...axis, size: 28, gap: 8, grid: { show: false }, splits: (u) => chooseTicks(u, data), values: (_, at) => at.map((i) => data.short[i]) },
      { ...axis, size: format(data, data.top).length * 7 + 18, gap: 10, grid: { stroke: colour.line, width: 1 }, splits: () => [0, 1, 2, 3, 4].map((part) => (data.top * part) / 4), values: (_, at) => at.map((v) => format(data, v)) },
    ],
    series: [
      {},
      { ...series, fill: bars ? colour.accent : colour.soft, stroke: colour.accent },
      { ...series, fill: colour.running, stroke: colour.running },
      { paths: uPlot.paths.linear(), points: { show: false }, width: 1.75, dash: [4, 4], stroke: colour.muted },
    ],
    hooks: { init: [(u) => listen(u, data)], draw: [(u) => drawNotes(u, data, colour)], setCursor: [(u) => showTip(u, data)] },
  };
}

/** A flag at each day beside which an operator wrote something. */
function drawNotes(u, { notes }, colour) {
  const dpr = window.devicePixelRatio || 1;
  const { ctx } = u;
  ctx.save();
  ctx.strokeStyle = ctx.fillStyle = colour.warn;
  ctx.lineWidth = dpr;
  ctx.setLineDash([2 * dpr, 3 * dpr]);
  for (const [index] of notes) {
    const at = Math.round(u.valToPos(index, "x", true));
    ctx.beginPath();
    ctx.moveTo(at, u.bbox.top);
    ctx.lineTo(at, u.bbox.top + u.bbox.height);
    ctx.stroke();
    ctx.beginPath();
    ctx.arc(at, u.bbox.top, 4 * dpr, 0, 2 * Math.PI);
    ctx.fill();
  }
  ctx.restore();
}

/** As many labels as have room, evenly spaced. */
function chooseTicks(u, { short }) {
  const worded = short.map((_, index) => index).filter((index) => short[index]);
  const widest = Math.max(...short.map((label) => label.length)) * 7 + 18;
  const room = Math.max(1, Math.floor((u.width - 62) / widest));
  const every = Math.ceil(worded.length / room);
  return worded.filter((_, place) => place % every === 0);
}

function listen(u, data) {
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  u.root.append(tip);
  u.tip = tip;
  u.over.classList.toggle("leads", data.links.length > 0);
  u.over.addEventListener("click", () => {
    const link = data.links[u.cursor.idx];
    if (link) location.assign(link);
  });
}

function showTip(u, data) {
  const { idx, left } = u.cursor;
  const value = idx == null || left < 0 ? null : data.values[idx];
  u.tip.hidden = value == null;
  if (value == null) return;
  const running = idx === data.unfinished ? ` (${data.unfinishedWord})` : "";
  const amount = document.createElement("b");
  amount.textContent = format(data, value);
  if (data.changes[idx]) amount.append(" ", makeChange(data.changes[idx]));
  const lines = [data.long[idx] + running];
  if (data.earlierWords[idx]) lines.push(data.earlierWords[idx]);
  for (const [index, text] of data.notes) if (index === idx) lines.push(`● ${text}`);
  u.tip.replaceChildren(amount, ...lines.flatMap((line, number) => (number ? [document.createElement("br"), line] : [line])));
  const dpr = window.devicePixelRatio || 1;
  const middle = u.valToPos(idx, "x") + u.bbox.left / dpr;
  const from = Math.min(Math.max(0, middle - u.tip.offsetWidth / 2), u.width - u.tip.offsetWidth);
  const top = Math.max(0, u.valToPos(value, "y") + u.bbox.top / dpr - u.tip.offsetHeight - 8);
  u.tip.style.transform = `translate(${Math.round(from)}px, ${Math.round(top)}px)`;
}

function makeChange(words) {
  const change = document.createElement("span");
  change.className = "since";
  change.textContent = words;
  return change;
}

function format({ language }, value) {
  return new Intl.NumberFormat(language).format(value);
}

function readColours(plot) {
  const style = getComputedStyle(plot);
  const read = (name) => style.getPropertyValue(`--${name}`).trim();
  return {
    accent: read("accent"),
    soft: read("accent-soft"),
    running: read("running"),
    line: read("line"),
    muted: read("muted"),
    warn: read("warn"),
    font: `12px ${style.fontFamily}`,
  };
}
