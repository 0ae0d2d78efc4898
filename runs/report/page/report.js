"use strict";
const root = document.documentElement;
const { config, specs } = JSON.parse(document.getElementById("charts").textContent);
window.charts = {};

async function draw() {
  for (const place of document.querySelectorAll("[data-chart]")) {
    const options = { mode: "vega-lite", config, renderer: "svg", actions: false, ast: true, tooltip: { theme: "custom" } };
    try {
      const result = await vegaEmbed(place, specs[place.dataset.chart], options);
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
