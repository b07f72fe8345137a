// Overlays of the examples, and the viewer that enlarges them.
(function () {
  const { $, data, query, root } = page;
  const switches = [...document.querySelectorAll("input[name=overlay]")];
  function setOverlay(value) {
    root.dataset.overlay = value;
    for (const input of switches) input.checked = input.value === value;
  }
  // The colours of all labels over some pictures, largest area first, beside these pictures.
  const LEGEND = 14;
  for (const list of document.querySelectorAll("[data-legend]")) {
    const found = new Map();
    for (const picture of list.parentElement.querySelectorAll(".picture")) {
      for (const [name, colour] of data.legends[picture.dataset.key] || []) {
        const known = found.get(name) || { colour, times: 0 };
        found.set(name, { colour, times: known.times + 1 });
      }
    }
    const names = [...found].sort((a, b) => b[1].times - a[1].times);
    list.replaceChildren(...names.slice(0, LEGEND).map(([name, { colour }]) => {
      const item = document.createElement("li");
      const patch = document.createElement("i");
      patch.className = "box";
      patch.style.background = colour;
      item.append(patch, name);
      return item;
    }));
    if (names.length > LEGEND) list.append(Object.assign(document.createElement("li"), { textContent: `and ${names.length - LEGEND} more` }));
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
    const caption = [...picture.closest("figure").querySelector("figcaption").children]
      .map((part) => part.title || part.textContent.trim()).join(" "); // the whole id
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

})();
