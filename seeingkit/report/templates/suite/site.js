// Tables that sort, and the matrix: sorting, filtering, and the numbers of a cell in words. One
// listener a table, none a cell. Without scripts the tables stand in their first order.
(function () {
  const { $, data, root } = page;

  // ------------------------------------------------------------------------------------ tables
  for (const table of document.querySelectorAll("table.sortable")) {
    const body = table.tBodies[0];
    const first = [...body.rows];
    table.tHead.addEventListener("click", (event) => {
      const button = event.target.closest("button[data-sort]");
      if (!button) return;
      const head = button.closest("th");
      const numeric = button.dataset.sort === "number";
      const now = head.getAttribute("aria-sort");
      const descending = now === "ascending";
      const value = (row) => {
        const cell = row.cells[head.cellIndex];
        if (!cell || cell.colSpan > 1) return null;
        const text = cell.dataset.v ?? cell.textContent.trim();
        return numeric ? (text === "" ? null : Number(text)) : text;
      };
      const rows = first.map((row) => [row, value(row)]).sort(([, x], [, y]) => {
        if (x === null || y === null) return (x === null) - (y === null);
        const order = numeric ? x - y : x.localeCompare(y);
        return descending ? -order : order;
      });
      body.append(...rows.map(([row]) => row));
      for (const other of table.tHead.querySelectorAll("th[aria-sort]")) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", descending ? "descending" : "ascending");
    });
  }

  // ------------------------------------------------------------------------------------ matrix
  const table = $("matrix-table");
  if (!table) return;
  const matrix = data.matrix;
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const number = new Map(rows.map((row, k) => [row, k]));
  const FIRST = 2; // the class and its area stand before the generators
  const control = (id) => $(id) || { value: "", addEventListener() {} };
  const [order, verdict, category, search, columns] = ["order", "verdict", "category", "search", "columns"].map(control);
  const last = (value) => (value === null ? Infinity : value);
  const byName = (a, b) => matrix.labels[a].localeCompare(matrix.labels[b]);
  const ORDERS = {
    omitted: (a, b) => matrix.omitted[b] - matrix.omitted[a] || matrix.areas[b] - matrix.areas[a],
    area: (a, b) => matrix.areas[b] - matrix.areas[a],
    name: byName,
  };
  function sort() {
    const at = Number(order.value);
    const difference = (a, b) => last(matrix.values[a][at]) - last(matrix.values[b][at]) || byName(a, b);
    const compare = ORDERS[order.value] || difference;
    body.append(...rows.map((_, k) => k).sort(compare).map((k) => rows[k]));
    root.dataset.first = body.rows.length ? matrix.labels[number.get(body.rows[0])] : "";
  }
  let hidden = new Set(); // columns
  function filterColumns() {
    const wanted = columns.value.trim().toLowerCase();
    hidden = new Set(matrix.columns.flatMap((name, k) => (name.toLowerCase().includes(wanted) ? [] : [k])));
    for (const row of table.rows) {
      matrix.columns.forEach((_, k) => { row.cells[FIRST + k].hidden = hidden.has(k); });
    }
  }
  function filterRows() {
    const wanted = search.value.trim().toLowerCase();
    const codes = verdict.value ? verdict.value.split(" ") : null;
    let listed = 0;
    rows.forEach((row, k) => {
      let fits = matrix.labels[k].toLowerCase().includes(wanted) && (!category.value || category.value === matrix.categories[k]);
      if (fits && codes) fits = matrix.columns.some((_, c) => !hidden.has(c) && codes.includes(row.cells[FIRST + c].className));
      row.hidden = !fits;
      listed += fits;
    });
    const shown = matrix.columns.length - hidden.size;
    $("listed").textContent = `${listed} of ${rows.length} classes` + (hidden.size ? `, ${shown} of ${matrix.columns.length} generators.` : ".");
    root.dataset.listed = listed;
  }
  order.addEventListener("change", sort);
  for (const choice of [verdict, category]) choice.addEventListener("change", filterRows);
  search.addEventListener("input", filterRows);
  columns.addEventListener("input", () => { filterColumns(); filterRows(); });

  // The numbers of the cell that the pointer or the keyboard is at.
  const detail = $("detail");
  function tell(cell) {
    const k = number.get(cell.parentElement);
    const c = cell.cellIndex - FIRST;
    if (k === undefined || c < 0) return;
    const name = Object.assign(document.createElement("strong"), { textContent: `${matrix.labels[k]}, ${matrix.columns[c]}: ` });
    detail.replaceChildren(name, matrix.words[k][c]);
  }
  table.addEventListener("pointerover", (event) => {
    const cell = event.target.closest("td");
    if (cell && event.pointerType === "mouse") tell(cell);
  });
  table.setAttribute("role", "grid");
  for (const link of table.querySelectorAll("a")) link.tabIndex = -1;
  let active = null;
  const stop = (cell) => cell.querySelector("a") || cell;
  function choose(cell, focus) {
    if (active) active.tabIndex = -1;
    active = stop(cell);
    active.tabIndex = 0;
    if (focus) {
      active.focus({ preventScroll: true });
      cell.scrollIntoView({ block: "nearest", inline: "nearest" });
    }
    if (cell.tagName === "TD") tell(cell);
  }
  const start = rows.length && (rows[0].cells[FIRST] || rows[0].cells[0]);
  if (start) { active = stop(start); active.tabIndex = 0; }
  table.addEventListener("click", (event) => {
    const cell = event.target.closest("td");
    if (cell) choose(cell, true);
  });
  table.addEventListener("focusin", (event) => {
    const cell = event.target.closest("td");
    if (cell) tell(cell);
  });
  const seen = (list) => list.filter((item) => !item.hidden);
  table.addEventListener("keydown", (event) => {
    const cell = event.target.closest("td, th");
    if (!cell || event.ctrlKey || event.altKey || event.metaKey) return;
    const line = seen([...cell.parentElement.cells]);
    const lines = seen([table.tHead.rows[0], ...body.rows]);
    const x = line.indexOf(cell), y = lines.indexOf(cell.parentElement);
    const steps = { ArrowLeft: [x - 1, y], ArrowRight: [x + 1, y], ArrowUp: [x, y - 1], ArrowDown: [x, y + 1],
                    Home: [0, y], End: [line.length - 1, y], PageUp: [x, Math.max(y - 10, 1)], PageDown: [x, Math.min(y + 10, lines.length - 1)] };
    const [column, row] = steps[event.key] || [];
    if (column === undefined) {
      if (event.key === "Enter" && cell.tagName === "TD") cell.parentElement.querySelector("a")?.click();
      return;
    }
    event.preventDefault();
    const target = lines[row] && seen([...lines[row].cells])[column];
    if (target) choose(target, true);
  });
  filterRows();
  root.dataset.first = rows.length ? matrix.labels[0] : "";
})();
