"use strict";
// Sorting, filtering, figure, overlays and theme of the report. All text goes through
// textContent; the page works without this script, with the figure as a picture.
(function () {
  const root = document.documentElement;
  const $ = (id) => document.getElementById(id);
  const query = new URLSearchParams(location.search);
  const data = JSON.parse($("data").textContent);
  const chart = $("chart"); // a page of inversions alone has none

  // For checks from outside: errors so far, and whether anything is wider than the window.
  root.dataset.errors = "0";
  const failed = () => { root.dataset.errors = String(Number(root.dataset.errors) + 1); };
  for (const event of ["error", "unhandledrejection"]) window.addEventListener(event, failed);
  document.addEventListener("securitypolicyviolation", failed);
  const measure = () => {
    root.dataset.scrollWidth = document.scrollingElement.scrollWidth;
    root.dataset.innerWidth = window.innerWidth;
    root.dataset.ready = "true";
  };
  root.classList.add("js");

  // ------------------------------------------------------------------------------------- theme
  const THEMES = ["auto", "light", "dark"];
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const remembered = () => { try { return localStorage.getItem("seeingkit-theme"); } catch { return null; } };
  let theme = THEMES.find((name) => name === (query.get("theme") || remembered())) || "auto";
  function applyTheme() {
    root.dataset.theme = theme === "auto" ? (dark.matches ? "dark" : "light") : theme;
    $("theme").textContent = "Theme: " + theme;
  }
  $("theme").addEventListener("click", () => {
    theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
    try { localStorage.setItem("seeingkit-theme", theme); } catch { /* files may have no storage */ }
    applyTheme();
    if (chart) draw();
  });
  dark.addEventListener("change", () => { applyTheme(); if (chart) draw(); });
  applyTheme();
  // A link to a folded section opens it, and print shows all sections unfolded.
  const folds = [...document.querySelectorAll("details.fold")];
  const reveal = () => {
    const target = location.hash.length > 1 ? $(location.hash.slice(1)) : null;
    const fold = target && target.querySelector(":scope > details.fold");
    if (fold) fold.open = true;
  };
  window.addEventListener("hashchange", reveal);
  document.addEventListener("click", (event) => { if (event.target.closest("a[href^='#']")) setTimeout(reveal); });
  window.addEventListener("beforeprint", () => { for (const fold of folds) fold.open = true; });
  if (query.get("unfold") === "all") for (const fold of folds) fold.open = true;
  reveal();
  for (const form of document.forms) form.addEventListener("submit", (event) => event.preventDefault());
  if (!chart) {
    window.addEventListener("load", measure);
    return;
  }

  // ---------------------------------------------------------------------- choices for both views
  const control = (id) => $(id) || { value: "", checked: false, addEventListener() {} };
  const controls = { sort: control("sort"), category: control("category"), show: control("show"),
                     search: control("search"), only: control("only") };
  const choose = (select, value) => {
    if (value !== null && [...(select.options || [])].some((o) => o.value === value)) select.value = value;
  };
  choose(controls.sort, query.get("sort"));
  choose(controls.category, query.get("category"));
  choose(controls.show, query.get("show"));
  controls.search.value = query.get("q") || "";
  controls.only.checked = query.get("only") === "omitted";

  function matches(label, category, omitted) {
    const wanted = controls.search.value.trim().toLowerCase();
    return (!wanted || label.toLowerCase().includes(wanted))
      && (!controls.category.value || controls.category.value === category)
      && (!controls.only.checked || omitted);
  }
  const last = (value, sign) => value === null ? Infinity : sign * value;
  const ORDERS = {
    area: (a, b) => b.real - a.real,
    relative: (a, b) => last(a.relative, 1) - last(b.relative, 1),
    q: (a, b) => a.q - b.q || b.real - a.real,
    name: (a, b) => a.label.localeCompare(b.label),
  };
  function chosenRows() {
    const fitting = data.rows.filter((r) => matches(r.label, r.category, r.omitted));
    const limit = controls.show.value === "all" ? Infinity : Number(controls.show.value) || data.limit;
    const rows = fitting.slice(0, limit); // they come by real area, so these are the largest
    return { rows: rows.sort(ORDERS[controls.sort.value] || ORDERS.area), fitting: fitting.length };
  }

  // ------------------------------------------------------------------------------------ figure
  const COLOURS = ["paper", "ink", "muted", "grid", "real", "generated", "omitted", "reduced", "excess", "neutral"];
  let view = null;
  let turn = 0;

  function axisEnds(rows) { // as area_domain and difference_end in figures/rows.py
    const largest = Math.max(...rows.map((r) => Math.max(r.real, r.generated)));
    const power = 10 ** Math.floor(Math.log10(largest));
    const top = [1, 2, 5, 10].map((step) => step * power).find((end) => end >= largest);
    const smallest = Math.min(...rows.map((r) => r.real));
    let floor = top / 5000;
    while (floor > smallest && floor > top / 500000) floor /= 10;
    return { area_floor: floor, area_top: top, upper_end: rows.some((r) => r.note) ? 1.65 : 1.2 }; // difference_end
  }
  function specFor(rows, wide, size) {
    const spec = structuredClone(data.specs[wide ? "wide" : "narrow"]);
    const style = getComputedStyle(root);
    const values = axisEnds(rows);
    for (const name of COLOURS) values[name] = style.getPropertyValue("--" + name).trim();
    for (const param of spec.params) param.value = values[param.name];
    for (const panel of spec.vconcat || spec.hconcat) panel.width = size;
    spec.datasets = { classes: rows };
    return spec;
  }
  async function draw() {
    const mine = ++turn;
    const { rows, fitting } = chosenRows();
    const listed = rows.length === fitting ? "" : ", the largest in the real images";
    $("plotted").textContent = `Shown: ${rows.length} of ${data.rows.length} classes${listed}.`;
    root.dataset.plotted = rows.length;
    root.dataset.first = rows.length ? rows[0].label : "";
    if (view) view.finalize();
    view = null;
    if (!rows.length) {
      chart.replaceChildren(Object.assign(document.createElement("p"), { textContent: "No class matches these choices." }));
      return;
    }
    const room = chart.clientWidth;
    const wide = room >= 640;
    let size = wide ? Math.max(Math.min(room - 80, 56 * rows.length), 15 * rows.length) : (room - 130) / 2;
    const options = { mode: "vega-lite", actions: false, renderer: "svg", ast: true, tooltip: { theme: root.dataset.theme } };
    for (let attempt = 0; attempt < 3; attempt += 1) {
      const target = document.createElement("div");
      target.className = "plot";
      const made = await window.vegaEmbed(target, specFor(rows, wide, size), options);
      if (mine !== turn) { made.finalize(); return; }
      if (view) view.finalize();
      view = made;
      chart.replaceChildren(target);
      // How much room the labels take is only known now.
      const excess = target.querySelector("svg").getBoundingClientRect().width - room;
      const fitted = wide
        ? Math.max(Math.min(size - excess, 56 * rows.length), 15 * rows.length)
        : Math.max(size - excess / 2, 40);
      if ((excess <= 0 && excess > -4) || Math.abs(fitted - size) < 1) break;
      size = Math.floor(fitted - 1);
    }
  }
  let width = chart.clientWidth;
  let pause = 0;
  new ResizeObserver(() => {
    if (chart.clientWidth === width) return;
    width = chart.clientWidth;
    clearTimeout(pause);
    pause = setTimeout(() => draw().then(measure), 120);
  }).observe(chart);
  $("save").href = $("static").src;

  // ------------------------------------------------------------------------------------- table
  const table = $("table");
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const column = (key) => heads.findIndex((head) => head.dataset.key === key);
  const rows = [...body.rows].filter((row) => !row.classList.contains("more"));
  const details = new Map(rows.map((row) => [row, row.nextElementSibling]));
  const opener = (row) => row.querySelector(".unfold");
  const isOpen = (row) => opener(row).getAttribute("aria-expanded") === "true";
  const unfold = (row, open) => {
    opener(row).setAttribute("aria-expanded", String(open));
    details.get(row).hidden = row.hidden || !open;
  };
  for (const row of rows) {
    opener(row).addEventListener("click", () => unfold(row, !isOpen(row)));
  }
  function filterTable() {
    let shown = 0;
    for (const row of rows) {
      row.hidden = !matches(row.dataset.label, row.dataset.category, row.dataset.omitted === "1");
      unfold(row, isOpen(row));
      if (!row.hidden) shown += 1;
    }
    $("listed").textContent = `${shown} of ${rows.length} classes.`;
    root.dataset.listed = shown;
  }
  function sortTable(key, descending) {
    const place = column(key);
    const numeric = heads[place].classList.contains("number");
    const value = (row) => {
      const text = row.cells[place].dataset.v;
      return numeric ? (text === "" ? null : Number(text)) : text;
    };
    rows.sort((a, b) => {
      const x = value(a), y = value(b);
      if (x === null || y === null) return (x === null) - (y === null);
      const order = numeric ? x - y : x.localeCompare(y);
      return descending ? -order : order;
    });
    body.append(...rows.flatMap((row) => [row, details.get(row)]));
    for (const head of heads) head.removeAttribute("aria-sort");
    heads[place].setAttribute("aria-sort", descending ? "descending" : "ascending");
  }
  for (const head of heads) {
    head.firstElementChild.addEventListener("click", () => {
      const now = head.getAttribute("aria-sort");
      const key = head.dataset.key;
      sortTable(key, now ? now === "ascending" : key === "real" || key === "generated");
    });
  }
  if (query.get("unfold") === "all") for (const row of rows) unfold(row, true);
  const COLUMNS = { area: ["real", true], relative: ["relative", false], q: ["q", false], name: ["label", false] };

  function update() {
    filterTable();
    sortTable(...COLUMNS[controls.sort.value]);
    return draw();
  }
  for (const [name, element] of Object.entries(controls)) {
    element.addEventListener(name === "search" ? "input" : "change", update);
  }

  // ---------------------------------------------------------------------------------- examples
  const switches = [...document.querySelectorAll("input[name=overlay]")];
  function setOverlay(value) {
    root.dataset.overlay = value;
    for (const input of switches) input.checked = input.value === value;
  }
  for (const input of switches) input.addEventListener("change", () => setOverlay(input.value));
  setOverlay(["all", "only"].find((value) => value === query.get("overlay")) || "none");
  if ($("opacity")) {
    const set = () => root.style.setProperty("--overlay", $("opacity").value / 100);
    $("opacity").addEventListener("input", set);
    set();
  }
  const viewer = $("viewer");
  const pictures = [...document.querySelectorAll(".picture")];
  let current = 0;
  function show(place) {
    current = (place + pictures.length) % pictures.length;
    const picture = pictures[current];
    const copy = document.createElement("div");
    copy.className = picture.className;
    copy.append(...[...picture.children].map((image) => {
      const clone = image.cloneNode(true);
      clone.loading = "eager";
      return clone;
    }));
    const photo = copy.firstElementChild;
    copy.style.aspectRatio = `${photo.width} / ${photo.height}`;
    copy.style.setProperty("--ratio", photo.width / photo.height);
    viewer.querySelector(".stage").replaceChildren(copy);
    const caption = picture.closest("figure").querySelector("figcaption").innerText.trim().replace(/\s+/g, " ");
    $("viewer-title").textContent = `${picture.dataset.class}, ${picture.dataset.side}: ${caption}`;
    viewer.querySelector(".labels").replaceChildren(...(data.legends[picture.dataset.key] || []).map(([name, colour, area]) => {
      const item = document.createElement("li");
      const patch = document.createElement("i");
      patch.className = "box";
      patch.style.background = colour;
      item.append(patch, `${name} ${area}`);
      return item;
    }));
    if (!viewer.open) viewer.showModal();
  }
  pictures.forEach((picture, place) => picture.addEventListener("click", () => show(place)));
  $("previous").addEventListener("click", () => show(current - 1));
  $("next").addEventListener("click", () => show(current + 1));
  $("close").addEventListener("click", () => viewer.close());
  viewer.addEventListener("click", (event) => { if (event.target === viewer) viewer.close(); });
  viewer.addEventListener("keydown", (event) => {
    if (event.target.type === "radio") return;
    if (event.key === "ArrowLeft") show(current - 1);
    if (event.key === "ArrowRight") show(current + 1);
  });
  if (query.has("enlarge") && pictures.length) show(Number(query.get("enlarge")) || 0);

  update().then(measure);
})();
