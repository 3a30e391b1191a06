/* Draws <canvas data-chart="id"> from the json_script block with that id:
   {"type": "bar", "labels": […], "stacked": true, "series": [{"label": "…", "state": "failed", "data": […]}]}.
   A series takes the hue of its state (--s of .is-<state>), so a chart and a badge can never disagree. */
(() => {
  "use strict";

  const token = (name, css = "") => {
    const probe = document.createElement("i");
    probe.className = css;
    probe.hidden = true;
    document.body.append(probe);
    const value = getComputedStyle(probe).getPropertyValue(name).trim();
    probe.remove();
    return value;
  };

  const dataset = (series) => {
    const hue = token("--s", `is-${series.state}`) || token("--ink-3");
    return { label: series.label, data: series.data, backgroundColor: hue, borderColor: hue, borderWidth: series.line ? 1.5 : 0, pointRadius: 0, maxBarThickness: 34 };
  };

  const axis = (stacked, grid) => ({
    stacked, beginAtZero: true, border: { color: token("--line") }, grid: { display: grid, color: token("--line-2") },
    ticks: { color: token("--ink-3"), precision: 0, maxTicksLimit: 8, font: { size: 11 } },
  });

  const draw = (canvas) => {
    const source = document.getElementById(canvas.dataset.chart);
    if (!source) return;
    const data = JSON.parse(source.textContent);
    const old = window.Chart.getChart(canvas);
    if (old) old.destroy();
    window.Chart.defaults.font.family = token("--font");
    new window.Chart(canvas, {
      type: data.type || "bar",
      data: { labels: data.labels, datasets: data.series.map(dataset) },
      options: {
        responsive: true, maintainAspectRatio: false, animation: false, interaction: { mode: "index", intersect: false },
        scales: { x: axis(Boolean(data.stacked), false), y: axis(Boolean(data.stacked), true) },
        plugins: { legend: { display: false }, tooltip: { backgroundColor: token("--act"), titleColor: token("--act-ink"), bodyColor: token("--act-ink") } },
      },
    });
  };

  const drawAll = (root) => root.querySelectorAll("canvas[data-chart]").forEach(draw);

  document.addEventListener("DOMContentLoaded", () => drawAll(document));
  document.addEventListener("htmx:afterSettle", (event) => { if (event.target.querySelectorAll) drawAll(event.target); });
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawAll(document));
})();
