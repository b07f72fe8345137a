// The table of all classes: sorting, filtering, unfolding.
(function () {
  const { $, query, root } = page;
  const { controls } = figure;
  const table = $("table");
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const column = (key) => heads.findIndex((head) => head.dataset.key === key);
  const rows = [...body.rows].filter((row) => !row.classList.contains("more"));
  const details = new Map(rows.map((row) => [row, row.nextElementSibling]));
  const opener = (row) => row.querySelector(".unfold");
  const isOpen = (row) => opener(row).getAttribute("aria-expanded") === "true";
  const more = $("more-rows");
  let limit = more && query.get("unfold") !== "all" ? Number(table.dataset.first) : Infinity;
  const unfold = (row, open) => {
    opener(row).setAttribute("aria-expanded", String(open));
    details.get(row).hidden = row.hidden || !open;
  };
  for (const row of rows) {
    opener(row).addEventListener("click", () => unfold(row, !isOpen(row)));
  }
  function filterTable() {
    let fitting = 0;
    for (const row of body.rows) {
      if (!details.has(row)) continue;
      const fits = figure.matches(row.dataset.label, row.dataset.category, row.dataset.omitted === "1");
      if (fits) fitting += 1;
      row.hidden = !fits || fitting > limit;
      unfold(row, isOpen(row));
    }
    $("listed").textContent = `${fitting} of ${rows.length} classes.`;
    if (more) more.hidden = fitting <= limit;
    root.dataset.listed = fitting;
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
    filterTable();
  }
  for (const head of heads) {
    head.firstElementChild.addEventListener("click", () => {
      const now = head.getAttribute("aria-sort");
      const key = head.dataset.key;
      sortTable(key, now ? now === "ascending" : key === "real" || key === "generated");
    });
  }
  function showAll() {
    limit = Infinity;
    filterTable();
  }
  if (more) more.addEventListener("click", showAll);
  // A link to a class without pictures leads to its row, whatever is filtered.
  page.arrivals.push((target) => {
    if (!details.has(target)) return;
    if (target.hidden) {
      controls.search.value = controls.category.value = "";
      controls.only.checked = false;
      showAll();
    }
    unfold(target, true);
  });
  let before = null; // what was shown before printing
  window.addEventListener("beforeprint", () => {
    before = { limit, open: rows.filter(isOpen) };
    showAll();
    for (const row of rows) unfold(row, true);
  });
  window.addEventListener("afterprint", () => {
    if (!before) return;
    limit = before.limit;
    for (const row of rows) unfold(row, before.open.includes(row));
    filterTable();
    before = null;
  });
  if (query.get("unfold") === "all") for (const row of rows) unfold(row, true);

  const COLUMNS = { area: ["real", true], relative: ["relative", false], q: ["q", false], name: ["label", false] };
  function update() {
    sortTable(...COLUMNS[controls.sort.value]);
    return figure.draw();
  }
  for (const [name, element] of Object.entries(controls)) {
    element.addEventListener(name === "search" ? "input" : "change", update);
  }
  update().then(page.measure);
})();
