"use strict";
(() => {
  const root = document.documentElement;
  const query = (selector, from = document) => from.querySelector(selector);
  const queryAll = (selector, from = document) => [...from.querySelectorAll(selector)];
  const panels = JSON.parse(query("#data").textContent); // by chart
  const touch = matchMedia("(pointer: coarse)").matches;
  const night = matchMedia("(prefers-color-scheme: dark)");

  // ---- colours come from the style sheet, where day, night and paper are decided
  const ink = (name) => getComputedStyle(root).getPropertyValue(`--${name}`).trim();
  const faint = (hex, opacity) =>
    `rgba(${[1, 3, 5].map((k) => parseInt(hex.slice(k, k + 2), 16)).join(",")},${opacity})`;

  function painted(trace) {
    const { colour, fill } = trace.meta || {};
    if (!colour) return trace;
    const own = ink(colour === "ink" ? "text" : `ink-${colour}`);
    const hollow = { ...(trace.marker || {}).line, color: (trace.marker || {}).symbol ? own : ink("page") };
    return {
      ...trace,
      line: { ...trace.line, color: own },
      marker: { ...trace.marker, color: own, line: hollow },
      fillcolor: fill ? faint(own, fill) : undefined,
    };
  }

  function themed(layout, plot) {
    const narrow = plot.clientWidth < 420;
    const axis = {
      gridcolor: ink("line"), zerolinecolor: ink("line"), linecolor: ink("rule"), tickcolor: ink("rule"),
      ticks: "outside", ticklen: 4, showline: true, zeroline: false, automargin: true,
    };
    const font = { family: "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif", size: 12, color: ink("muted") };
    const themedAxes = {};
    for (const key of Object.keys(layout)) {
      if (/^[xy]axis/.test(key)) themedAxes[key] = { ...axis, ...layout[key], title: { ...layout[key].title, font: { size: 12 } } };
    }
    return {
      ...layout, ...themedAxes, font,
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      margin: { l: narrow ? 44 : 56, r: 12, t: touch ? 30 : 10, b: 44 },
      width: root.classList.contains("printing") ? plot.clientWidth : undefined,
      modebar: { bgcolor: "rgba(0,0,0,0)", color: ink("muted"), activecolor: ink("text") },
      dragmode: touch ? false : "zoom",
      hoverlabel: { bgcolor: ink("raised"), bordercolor: ink("rule"), font: { ...font, color: ink("text") }, align: "left" },
    };
  }

  const config = {
    responsive: true, displaylogo: false, displayModeBar: "hover", doubleClick: "reset+autosize",
    modeBarButtons: [["zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"]],
  };

  // ---- charts: the reader's choices, and what they show
  function choices(chart) {
    const values = (fieldset) => new Set(queryAll("input:checked", fieldset).map((input) => input.value));
    return Object.fromEntries(queryAll("fieldset", chart).map((fieldset) => [fieldset.dataset.key, values(fieldset)]));
  }

  const fits = (tags, choice) =>
    Object.entries(tags).every(([key, value]) => [value].flat().some((each) => choice[key].has(each)));

  function arranged(layout, patches) {
    const copy = structuredClone(layout);
    for (const [path, value] of patches) {
      const [axis, key] = path.split(".");
      copy[axis] = { ...copy[axis], [key]: value };
      const { type, range } = copy[axis];
      if (key === "type" && range && type === "log") copy[axis].range = range.map(Math.log10);
    }
    return { ...copy, uirevision: JSON.stringify(patches) };
  }

  function draw(chart) {
    const choice = choices(chart);
    for (const element of queryAll("[data-tags]", chart)) element.hidden = !fits(JSON.parse(element.dataset.tags), choice);
    const patches = queryAll("input:checked[data-layout]", chart)
      .flatMap((input) => Object.entries(JSON.parse(input.dataset.layout)));
    queryAll(".plot", chart).forEach((plot, k) => {
      const { data, layout } = panels[chart.id][k];
      const traces = data.map((trace) => ({ ...painted(trace), visible: fits(trace.meta.tags, choice) }));
      Plotly.react(plot, traces, themed(arranged(layout, patches), plot), config);
    });
    chart.dataset.drawn = "";
  }

  const charts = queryAll(".chart");
  const redraw = () => charts.filter((chart) => "drawn" in chart.dataset).forEach(draw);
  const near = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      near.unobserve(target);
      draw(target);
    }
  }, { rootMargin: "600px" });
  for (const chart of charts) {
    near.observe(chart);
    chart.addEventListener("change", () => draw(chart));
  }
  night.addEventListener("change", redraw);

  // ---- paper: everything drawn, everything unfolded, by day
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = queryAll("main details:not([open]):not(.claim details)");
    for (const details of opened) details.open = true;
    root.classList.add("printing");
    charts.forEach(draw);
  });
  addEventListener("afterprint", () => {
    for (const details of opened) details.open = false;
    root.classList.remove("printing");
    redraw();
    for (const chart of charts) queryAll(".js-plotly-plot", chart).forEach(Plotly.Plots.resize);
  });

  // ---- the keyboard on a plot
  function moved(plot, zoom, shift) {
    const change = {};
    for (const [key, axis] of Object.entries(plot._fullLayout)) {
      if (!/^[xy]axis\d*$/.test(key) || axis.fixedrange) continue;
      const [low, high] = axis.range, half = ((high - low) / 2) * zoom;
      const along = key[0] === "x" ? shift[0] : shift[1];
      const middle = (low + high) / 2 + along * (high - low);
      change[`${key}.range`] = [middle - half, middle + half];
    }
    return Plotly.relayout(plot, change);
  }
  const keys = {
    "+": [0.7, [0, 0]], "=": [0.7, [0, 0]], "-": [1 / 0.7, [0, 0]],
    ArrowLeft: [1, [-0.15, 0]], ArrowRight: [1, [0.15, 0]], ArrowUp: [1, [0, 0.15]], ArrowDown: [1, [0, -0.15]],
  };
  document.addEventListener("keydown", (event) => {
    const plot = event.target;
    if (!plot.matches(".js-plotly-plot") || event.ctrlKey || event.metaKey || event.altKey) return;
    if (keys[event.key]) moved(plot, ...keys[event.key]);
    else if (event.key === "0") {
      Plotly.purge(plot);
      draw(plot.closest(".chart"));
    } else return;
    event.preventDefault();
  });

  // ---- the ledger
  const claims = queryAll("tbody.claim");
  const search = query("#search");
  const toggles = queryAll("button.toggle");
  function filter() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const verdicts = new Set(toggles.filter((b) => b.getAttribute("aria-pressed") === "true").map((b) => b.dataset.verdict));
    let count = 0;
    for (const claim of claims) {
      claim.words ??= claim.textContent.toLowerCase();
      const shown = (!verdicts.size || verdicts.has(claim.dataset.verdict)) && words.every((w) => claim.words.includes(w));
      claim.hidden = !shown;
      count += shown;
    }
    query("#count").textContent = `${count} of ${claims.length} claims`;
    query("#none").hidden = count > 0;
  }
  function show(...verdicts) {
    for (const button of toggles) button.setAttribute("aria-pressed", verdicts.includes(button.dataset.verdict));
    search.value = "";
    filter();
  }
  search.addEventListener("input", filter);
  for (const button of toggles) {
    button.addEventListener("click", () => {
      button.setAttribute("aria-pressed", button.getAttribute("aria-pressed") !== "true");
      filter();
    });
  }
  const form = query("form.filters");
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", (event) => { event.preventDefault(); show(); });
  query("#nothing").addEventListener("click", () => { show(); search.focus(); });
  for (const link of queryAll(".tally a")) link.addEventListener("click", () => show(link.dataset.verdict));

  // ---- deep links: a claim that a link names is shown, unfolded
  function arrive() {
    const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target || !target.matches(".claim")) return;
    if (target.hidden) show();
    query("details", target).open = true;
    target.scrollIntoView();
  }
  addEventListener("hashchange", arrive);
  arrive();
  root.classList.add("ready");
})();
