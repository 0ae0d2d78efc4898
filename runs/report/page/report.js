"use strict";
const root = document.documentElement;
const { config, specs } = JSON.parse(document.getElementById("charts").textContent);
window.charts = {};

// Width of each chart; those in closed parts are measured while these are open.
function widths() {
  const closed = [...document.querySelectorAll("details:not([open])")].filter((part) => part.querySelector("[data-chart]"));
  closed.forEach((part) => (part.open = true));
  const found = new Map([...document.querySelectorAll("[data-chart]")].map((place) => [place, place.clientWidth]));
  closed.forEach((part) => (part.open = false));
  return found;
}

// Names of the series of a chart, which its legend shows.
function names(spec) {
  const colors = (spec.layer || [spec]).map((part) => part.encoding?.color?.field).filter(Boolean);
  return colors.flatMap((field) => spec.data.values.map((row) => row[field])).filter((name) => typeof name === "string");
}

// Legends have as many columns as fit, so that no name is cut off: a letter is about half as wide as its size.
function fitted(spec, width) {
  const longest = Math.max(0, ...names(spec).map((name) => name.length));
  const columns = Math.max(1, Math.min(6, Math.floor(width / (longest * 0.56 * config.legend.labelFontSize + 40))));
  return { ...config, legend: { ...config.legend, columns, labelLimit: Math.floor(width / columns) - 30, titleLimit: width - 20 } };
}

// On narrow screens long names and titles of axes become several lines.
function broken(spec, width) {
  if (width >= 480) return spec;
  const copy = structuredClone(spec), most = Math.floor((width - 110) / 7.5);
  for (const part of copy.layer || [copy]) {
    const { x, y } = part.encoding || {};
    if (typeof x?.title === "string") x.title = x.title.match(new RegExp(`.{1,${most}}(?:\\s|$)|\\S+`, "g")) || x.title;
    if (y?.type === "nominal") {
      const lines = "slice(split(replace(datum.label, regexp('(.{1,16})(\\\\s|$)', 'g'), '$1\\n'), '\\n'), 0, -1)";
      y.axis = { labelExpr: lines, ...y.axis };
    }
  }
  return copy;
}

async function draw() {
  for (const [place, width] of widths()) {
    const spec = broken(specs[place.dataset.chart], width);
    const options = { mode: "vega-lite", config: fitted(spec, width), renderer: "svg", actions: false, ast: true, tooltip: { theme: "custom" } };
    const fixed = place.clientWidth ? spec : { ...spec, width: spec.width === "container" ? width : spec.width };
    try {
      const result = await vegaEmbed(place, fixed, options);
      window.charts[place.dataset.chart] = result.view;
    } catch (error) {
      place.textContent = "This chart could not be drawn: " + error;
      console.error(error);
    }
  }
  root.dataset.ready = "yes";
}

function filterRows(input) {
  const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
  const box = input.closest("section");
  if (words.length) box.querySelectorAll(".alike").forEach((part) => (part.open = true));
  let shown = 0;
  for (const row of box.querySelectorAll("[data-filter]")) {
    row.hidden = !words.every((word) => row.dataset.filter.toLowerCase().includes(word));
    shown += row.hidden ? 0 : 1;
  }
  box.querySelector("output").textContent = shown + " shown";
}

document.addEventListener("input", (event) => {
  if (event.target.matches("input[type=search]")) filterRows(event.target);
  if (event.target.matches("input[data-steps]"))
    event.target.closest("section").classList.toggle("all-steps", event.target.checked);
});
document.getElementById("theme").addEventListener("click", () => {
  const dark = getComputedStyle(root).colorScheme.trim() === "dark" ||
    (root.dataset.theme === undefined && matchMedia("(prefers-color-scheme: dark)").matches);
  root.dataset.theme = dark ? "light" : "dark";
});
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((part) => (part.open = true)));
draw();
