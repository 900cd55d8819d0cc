"use strict";
(() => {
  const query = (selector, from = document) => from.querySelector(selector);
  const queryAll = (selector, from = document) => [...from.querySelectorAll(selector)];

  // ---- charts are drawn when they come near; their data stands below each
  const near = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      near.unobserve(target);
      const { data, layout } = JSON.parse(target.nextElementSibling.textContent);
      Plotly.newPlot(target, data, layout, { responsive: true });
    }
  }, { rootMargin: "600px" });
  for (const chart of queryAll(".chart")) near.observe(chart);

  // ---- paper: tables are unfolded
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = queryAll("main details:not([open]):not(.claim details)");
    for (const details of opened) details.open = true;
  });
  addEventListener("afterprint", () => {
    for (const details of opened) details.open = false;
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
})();
