// The figure of class areas, and the choices that it shares with the table of all classes.
const figure = (function () {
  const { $, data, query, root } = page;
  const chart = $("chart");
  const control = (id) => $(id) || { value: "", checked: false, addEventListener() {} };
  const controls = { sort: control("sort"), category: control("category"), show: control("show"),
                     search: control("search"), only: control("only") };
  const choose = (select, value) => {
    if (value !== null && [...(select.options || [])].some((o) => o.value === value)) select.value = value;
  };
  const FEW = 12; // classes that fit the first screen of a phone
  if (window.innerWidth < 640) choose(controls.show, String(FEW));
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
    // Omitted ones are never cut off; the others come by real area, so these are the largest.
    const kept = [...fitting.filter((r) => r.omitted), ...fitting.filter((r) => !r.omitted)].slice(0, limit);
    return { rows: kept.sort(ORDERS[controls.sort.value] || ORDERS.area), fitting: fitting.length };
  }

  const COLOURS = ["paper", "ink", "muted", "grid", "real", "generated", "omitted", "reduced", "excess", "neutral"];
  let view = null;
  let turn = 0;

  function axisEnds(rows) { // as area_domain and difference_end in figures/classes.py
    const largest = Math.max(...rows.map((r) => Math.max(r.real, r.generated)));
    const power = 10 ** Math.floor(Math.log10(largest));
    const top = [1, 2, 5, 10].map((step) => step * power).find((end) => end >= largest);
    const smallest = Math.min(...rows.map((r) => r.real));
    let floor = top / 5000;
    while (floor > smallest && floor > top / 500000) floor /= 10;
    return { area_floor: floor, area_top: top, upper_end: rows.some((r) => r.note) ? 1.65 : 1.2 };
  }
  function specFor(rows, wide, size) {
    const spec = structuredClone(data.specs[wide ? "wide" : "narrow"]);
    const style = getComputedStyle(root);
    const values = axisEnds(rows);
    for (const name of COLOURS) values[name] = style.getPropertyValue("--" + name).trim();
    for (const param of spec.params) param.value = values[param.name];
    const panels = spec.vconcat || spec.hconcat;
    for (const panel of panels) panel.width = size;
    if (!wide) for (const panel of panels) panel.height = { step: 17 };
    spec.datasets = { classes: rows };
    return spec;
  }
  // A bar, a point or a name opens its class.
  function opens(made, rows) {
    const places = new Map(rows.map((r) => [r.key, r.index]));
    made.view.addEventListener("click", (event, item) => {
      const datum = item && item.datum;
      const index = datum && (datum.index ?? places.get(datum.value));
      if (index !== undefined && index !== null) openClass(index);
    });
  }
  const openClass = (index) => {
    const target = $(`class-${index}`);
    if (target) page.reveal(target, true);
  };
  async function draw() {
    const mine = ++turn;
    const { rows, fitting } = chosenRows();
    $("plotted").textContent = rows.length === fitting ? `${rows.length} classes.` : `${rows.length} of ${data.rows.length} classes.`;
    $("all-bars").hidden = rows.length === fitting;
    root.dataset.plotted = rows.length;
    root.dataset.first = rows.length ? rows[0].label : "";
    if (view) view.finalize();
    view = null;
    if (!rows.length) {
      chart.replaceChildren(Object.assign(document.createElement("p"), { textContent: "No class matches these choices." }));
      return;
    }
    const room = chart.clientWidth;
    const wide = room >= 560;
    let size = wide ? Math.max(Math.min(room - 80, 56 * rows.length), 15 * rows.length) : (room - 130) / 2;
    const options = { mode: "vega-lite", actions: false, renderer: "svg", ast: true, tooltip: { theme: root.dataset.theme } };
    for (let attempt = 0; attempt < 3; attempt += 1) {
      const target = document.createElement("div");
      target.className = "plot";
      const made = await window.vegaEmbed(target, specFor(rows, wide, size), options);
      if (mine !== turn) { made.finalize(); return; }
      if (view) view.finalize();
      view = made;
      opens(made, rows);
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
  $("all-bars").addEventListener("click", () => {
    choose(controls.show, "all");
    draw();
  });
  let width = chart.clientWidth;
  let pause = 0;
  new ResizeObserver(() => {
    if (chart.clientWidth === width) return;
    width = chart.clientWidth;
    clearTimeout(pause);
    pause = setTimeout(() => draw().then(page.measure), 120);
  }).observe(chart);
  page.themed.push(draw);
  $("save").href = $("static").src;
  return { controls, draw, matches };
})();
