// Units: choice by layer, class and category, order of cards, and the table of all units, of which
// a part at a time is in the page.
(function () {
  const { $, data, query, measure } = page;
  const STEP = 100, FEW = 8;
  const LAYER = 0, UNIT = 1, NAME = 2, LABELLED = 3, KIND = 4, IOU = 5, LOW = 6, HIGH = 7, CHANCE = 8, EXCESS = 9, Q = 10, ACTIVE = 11;
  const COLUMNS = { layer: LAYER, unit: UNIT, label: NAME, category: KIND, iou: IOU, low: LOW, chance: CHANCE, excess: EXCESS, q: Q, active: ACTIVE };
  const controls = { layer: $("by-layer"), label: $("by-class"), category: $("by-category") };
  const chosen = (name) => (controls[name] ? controls[name].value : "");
  const groups = [...document.querySelectorAll(".unit-class")];
  const cards = [...document.querySelectorAll(".unit")];
  const number = (n) => n.toLocaleString("en-GB");
  let shown = STEP, sort = "excess", down = true;

  // -------------------------------------------------------------------------------------- cards
  function order(a, b) {
    const by = $("order").value;
    if (by !== "unit") return Number(b.dataset[by]) - Number(a.dataset[by]);
    return data.layers.indexOf(a.dataset.layer) - data.layers.indexOf(b.dataset.layer) || a.dataset.unit - b.dataset.unit;
  }
  function sortCards() {
    for (const group of groups) {
      const box = group.querySelector(".unit-cards");
      box.append(...[...box.children].sort(order));
    }
    filterCards();
  }
  function filterCards() {
    let left = 0;
    for (const card of cards) {
      card.hidden = !Object.keys(controls).every((name) => !chosen(name) || card.dataset[name] === chosen(name));
      if (!card.hidden) left += 1;
    }
    // Of each class the first few, until all are asked for or the class alone is chosen.
    for (const group of groups) {
      const fit = [...group.querySelectorAll(".unit:not([hidden])")];
      const all = group.dataset.all === "true" || chosen("label") !== "" || fit.length <= FEW + 1;
      if (!all) for (const card of fit.slice(FEW)) card.hidden = true;
      const button = group.querySelector(".all-of");
      button.hidden = all;
      button.textContent = `Show all ${number(fit.length)}`;
      group.hidden = fit.length === 0;
    }
    $("cards-told").textContent = left < cards.length ? `${number(left)} of these ${number(cards.length)} fit the choice.` : "";
  }

  // -------------------------------------------------------------------------------------- table
  const ratio = (x) => (x === 0 ? "0" : x >= 0.0095 ? x.toFixed(2) : x >= 5e-5 ? String(Number(x.toPrecision(1))) : "< 0.0001");
  const rate = (x) => (x < 1e-6 ? "< 1e−6" : x < 0.00095 ? x.toExponential(1).replace("-", "−") : x < 0.1 ? x.toFixed(3) : x.toFixed(2));
  const percent = (x) => `${x === 0 ? 0 : Number((100 * x).toPrecision(2))} %`;
  function matching() {
    const layer = chosen("layer"), label = chosen("label"), category = chosen("category"), all = $("unlabelled").checked;
    const found = data.rows.filter((row) => (all || row[LABELLED])
      && (!layer || data.layers[row[LAYER]] === layer) && (!label || data.names[row[NAME]] === label)
      && (!category || data.kinds[row[KIND]] === category));
    const key = COLUMNS[sort], names = key === NAME ? data.names : key === KIND ? data.kinds : null;
    const sign = down ? -1 : 1;
    const compare = names ? (a, b) => names[a[key]].localeCompare(names[b[key]]) : (a, b) => a[key] - b[key];
    return found.sort((a, b) => sign * compare(a, b) || a[LAYER] - b[LAYER] || a[UNIT] - b[UNIT]);
  }
  function cell(kind, text, name) {
    const found = document.createElement(kind);
    found.textContent = text;
    if (name) found.className = name;
    return found;
  }
  function line(row) {
    const found = document.createElement("tr");
    const head = cell("th", data.layers[row[LAYER]]);
    head.scope = "row";
    const name = data.names[row[NAME]];
    found.append(head, cell("td", row[UNIT], "number"), row[LABELLED] ? cell("td", name) : cell("td", `no label, nearest ${name}`, "nearest"),
      cell("td", data.kinds[row[KIND]]), cell("td", ratio(row[IOU]), "number"), cell("td", `${ratio(row[LOW])}–${ratio(row[HIGH])}`, "number"),
      cell("td", ratio(row[CHANCE]), "number"), cell("td", ratio(Math.max(0, row[EXCESS])), "number"), cell("td", rate(row[Q]), "number"), cell("td", percent(row[ACTIVE]), "number"));
    return found;
  }
  function fill() {
    const found = matching();
    $("unit-table").tBodies[0].replaceChildren(...found.slice(0, shown).map(line));
    const all = found.length <= shown;
    $("told").textContent = `${all ? "" : `${number(shown)} of `}${number(found.length)} unit${found.length === 1 ? "" : "s"}`;
    $("more").hidden = all;
    for (const button of document.querySelectorAll("#unit-table button")) {
      const head = button.closest("th");
      if (button.dataset.key === sort) head.setAttribute("aria-sort", down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    }
    measure();
  }

  const again = () => { shown = STEP; filterCards(); fill(); };
  for (const [name, control] of Object.entries(controls)) {
    if (!control) continue;
    const wanted = query.get(name);
    if (wanted && [...control.options].some((one) => one.value === wanted)) control.value = wanted;
    control.addEventListener("change", again);
  }
  $("order").addEventListener("change", sortCards);
  for (const group of groups) group.querySelector(".all-of").addEventListener("click", () => {
    group.dataset.all = "true";
    filterCards();
  });
  $("mask").addEventListener("change", () => { $("cards").classList.toggle("unmasked", !$("mask").checked); });
  $("unlabelled").addEventListener("change", again);
  $("more").addEventListener("click", () => { shown += 5 * STEP; fill(); });
  for (const button of document.querySelectorAll("#unit-table button")) button.addEventListener("click", () => {
    down = button.dataset.key === sort ? !down : !["layer", "unit", "label", "category", "q"].includes(button.dataset.key);
    sort = button.dataset.key;
    fill();
  });
  if (!data.rows.some((row) => row[LABELLED])) $("unlabelled").checked = true;
  sortCards();
  again();
})();
