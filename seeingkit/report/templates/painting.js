"use strict";
// Painting: strokes become edits of units in the cells of a layer's map, and the network draws.

const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const { size, extent, window: span } = data, [rows, columns] = extent, cellCount = rows * columns;
const picture = byId("picture").getContext("2d"), overlay = byId("overlay").getContext("2d");
const frame = byId("frame"), words = byId("status");

const strokes = data.starts.map(() => []);
const originals = data.starts.map(() => null);
let start = 0, stroke = null, cursor = null, shown = null, busy = false, waiting = false, failed = false;

function say(text, fault = false) {
  words.textContent = text;
  words.classList.toggle("fault", fault);
}

// ------------------------------------------------------------------------------------- the network

/** Asks whoever computes for an image: a worker in this page, or the local server. */
const backend = data.served ? served() : worker();

function worker() {
  const source = new Blob([byId("network").textContent], { type: "text/javascript" });
  const made = new Worker(URL.createObjectURL(source)), open = new Map();
  let count = 0;
  made.onmessage = ({ data: answer }) => {
    const { done, fail } = open.get(answer.id);
    open.delete(answer.id);
    if (answer.error) fail(new Error(answer.error));
    else done(answer);
  };
  made.onerror = (event) => open.forEach(({ fail }) => fail(new Error(event.message)));
  const ask = (message) => new Promise((done, fail) => {
    open.set(++count, { done, fail });
    made.postMessage({ ...message, id: count });
  });
  const starts = data.starts.map((one) => one.inputs);
  const ready = ask({ kind: "begin", program: data.program, starts, cells: cellCount, size });
  return async (number, edits) => {
    await ready;
    return ask({ kind: "edit", start: number, edits });
  };
}

function served() {
  return async (number, edits) => {
    const before = performance.now();
    const body = JSON.stringify({ start: number, edits: edits.map(recordOf) });
    const answer = await fetch("image", { method: "POST", body, headers: { "Content-Type": "application/json" } });
    if (!answer.ok) throw new Error((await answer.text()).trim());
    const colours = new Uint8Array(await answer.arrayBuffer()), pixels = new Uint8ClampedArray(4 * size * size);
    for (let k = 0; k < size * size; k++) {
      pixels.set(colours.subarray(3 * k, 3 * k + 3), 4 * k);
      pixels[4 * k + 3] = 255;
    }
    return { pixels, milliseconds: performance.now() - before };
  };
}

async function refresh() {
  if (busy) {
    waiting = true;
    return;
  }
  busy = true;
  do {
    waiting = false;
    const number = start, edits = editsOf(number);
    try {
      const { pixels, milliseconds } = await backend(number, edits);
      if (number !== start) continue;
      if (!edits.length) await check(number, pixels);
      shown = pixels;
      if (!failed) say(`Picture drawn in ${Math.round(milliseconds)} ms`);
      show();
    } catch (error) {
      say(`The picture cannot be drawn: ${error.message}`, true);
    }
  } while (waiting);
  busy = false;
  buttons();
}

/** The unedited picture of this page against the one that seeingkit has drawn. */
async function check(number, pixels) {
  if (originals[number]) return;
  originals[number] = pixels;
  const image = new Image();
  image.src = document.querySelectorAll("#starts img")[number].src;
  await image.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [size, size];
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  const wanted = context.getImageData(0, 0, size, size).data;
  let most = 0;
  for (let k = 0; k < pixels.length; k++) most = Math.max(most, Math.abs(pixels[k] - wanted[k]));
  document.documentElement.dataset.difference = Math.max(most, Number(document.documentElement.dataset.difference ?? 0));
  if (most <= 1) return;
  failed = true;
  say(`This browser draws the picture up to ${most} of 255 levels otherwise than seeingkit does. `
    + "Replay saved edits with seeingkit paint --edits.", true);
}

// ------------------------------------------------------------------------------------------ edits

/** Levels (0 to 255) of the cells under painted pixels: twice the share that was painted. */
function levelsOf(touched) {
  const painted = new Float64Array(cellCount), all = new Float64Array(cellCount);
  for (let y = 0; y < size; y++) {
    const row = Math.floor(((y + 0.5) / size - span[0]) / (span[2] - span[0]) * rows);
    for (let x = 0; x < size; x++) {
      const column = Math.floor(((x + 0.5) / size - span[1]) / (span[3] - span[1]) * columns);
      if (row < 0 || column < 0 || row >= rows || column >= columns) continue;
      all[row * columns + column] += 1;
      painted[row * columns + column] += touched[y * size + x];
    }
  }
  return Uint8Array.from(painted, (v, k) => (all[k] ? Math.min(255, Math.round((510 * v) / all[k])) : 0));
}

/** Finer than the picture: each cell that a pixel lies in counts, so that no stroke is lost. */
function cellsOf(touched) {
  if (rows <= size && columns <= size) return levelsOf(touched);
  return Uint8Array.from({ length: cellCount }, (_, k) => {
    const y = span[0] + ((Math.floor(k / columns) + 0.5) / rows) * (span[2] - span[0]);
    const x = span[1] + (((k % columns) + 0.5) / columns) * (span[3] - span[1]);
    const inside = y >= 0 && x >= 0 && y < 1 && x < 1;
    return inside && touched[Math.floor(y * size) * size + Math.floor(x * size)] ? 255 : 0;
  });
}

/** Edits of an image, in order; strokes in a row with one brush are one edit. */
function editsOf(number) {
  const found = [];
  for (const one of strokes[number]) {
    if (one.mode === "mark") continue;
    one.cells ??= cellsOf(one.touched);
    if (!one.cells.some((level) => level)) continue;
    const last = found[found.length - 1], key = `${one.mode} ${one.brush} ${one.units} ${one.force}`;
    if (last?.key === key) {
      last.mask = last.mask.map((level, k) => Math.max(level, one.cells[k]));
      continue;
    }
    const brush = data.brushes[one.brush], units = brush.units.slice(0, one.units);
    const values = units.map((_, k) => (one.mode === "draw" ? Math.fround(brush.values[k] * one.force) : 0));
    const label = `${one.mode} ${brush.label}`;
    found.push({ key, units, values, alphas: units.map(() => 1), mask: one.cells, label });
  }
  return found;
}

const recordOf = ({ units, values, mask, label }) => ({
  layer: data.layer, units, value: values, alpha: 1, mask: pngUri(pngOf(mask, columns, rows, 1)), label,
});

function marked(number) {
  const mask = new Uint8Array(size * size);
  for (const one of strokes[number]) {
    if (one.mode === "mark") one.touched.forEach((on, k) => { if (on) mask[k] = 255; });
  }
  return mask;
}

// ---------------------------------------------------------------------------------------- drawing

function show() {
  const pixels = byId("before").checked ? originals[start] : shown;
  if (pixels) picture.putImageData(new ImageData(new Uint8ClampedArray(pixels), size, size), 0, 0);
  overlay.clearRect(0, 0, 512, 512);
  if (byId("cells").checked && !byId("before").checked) {
    for (const one of [...strokes[start], ...(stroke ? [stroke] : [])]) {
      if (one.mode !== "mark") outline(one);
    }
  }
  drawMarks();
  if (cursor) {
    const radius = (Number(byId("size").value) / 100) * 256;
    for (const [width, colour] of [[4, "#000"], [2, "#fff"]]) {
      overlay.lineWidth = width;
      overlay.strokeStyle = colour;
      overlay.beginPath();
      overlay.arc(cursor[0] * 512, cursor[1] * 512, radius, 0, 7);
      overlay.stroke();
    }
  }
}

function outline(one) {
  const cells = one.cells ?? cellsOf(one.touched);
  const height = ((span[2] - span[0]) / rows) * 512, width = ((span[3] - span[1]) / columns) * 512;
  overlay.lineWidth = 1;
  overlay.strokeStyle = data.brushes[one.brush].colour;
  overlay.setLineDash(one.mode === "erase" ? [4, 4] : []);
  cells.forEach((level, k) => {
    if (!level) return;
    overlay.globalAlpha = 0.3 + (0.7 * level) / 255;
    const y = span[0] * 512 + Math.floor(k / columns) * height, x = span[1] * 512 + (k % columns) * width;
    overlay.strokeRect(x + 0.5, y + 0.5, width - 1, height - 1);
  });
  overlay.globalAlpha = 1;
  overlay.setLineDash([]);
}

function drawMarks() {
  const mask = marked(start), step = 512 / size;
  if (stroke?.mode === "mark") stroke.touched.forEach((on, k) => { if (on) mask[k] = 255; });
  overlay.fillStyle = "rgba(255, 0, 160, 0.45)";
  mask.forEach((on, k) => {
    if (on) overlay.fillRect((k % size) * step, Math.floor(k / size) * step, step, step);
  });
}

const checkedValue = (name) => document.querySelector(`input[name=${name}]:checked`).value;

function begin() {
  const brush = Number(checkedValue("brush")), mode = checkedValue("mode");
  const units = Math.min(Number(byId("units").value), data.brushes[brush].units.length);
  const force = mode === "draw" ? Number(byId("force").value) : 0;
  stroke = { brush, mode, units, force, touched: new Uint8Array(size * size), cells: null, last: null };
}

/** Paint a line of discs from the last place to this one; places are shares of the picture. */
function paint(place) {
  const radius = Math.max((Number(byId("size").value) / 200) * size, 0.71);
  brushLine(stroke.touched, size, stroke.last ?? place, place, radius);
  stroke.last = place;
  stroke.cells = null;
}

function finish() {
  if (!stroke) return;
  strokes[start].push(stroke);
  const changes = stroke.mode !== "mark";
  stroke = null;
  show();
  buttons();
  if (changes) refresh();
}

const placeOf = (event) => {
  const box = frame.getBoundingClientRect();
  return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
};

frame.addEventListener("pointerdown", (event) => {
  if (event.button !== 0 || !originals[start]) return;
  frame.setPointerCapture(event.pointerId);
  byId("before").checked = false;
  begin();
  paint((cursor = placeOf(event)));
  show();
});
frame.addEventListener("pointermove", (event) => {
  cursor = placeOf(event);
  if (stroke) paint(cursor);
  show();
});
frame.addEventListener("pointerup", finish);
frame.addEventListener("pointercancel", finish);
frame.addEventListener("pointerleave", () => {
  if (stroke) return;
  cursor = null;
  show();
});
frame.addEventListener("keydown", (event) => {
  const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  const held = (v) => Math.min(Math.max(v, 0), 1);
  if (event.key in moves) {
    const [dx, dy] = moves[event.key], [x, y] = cursor ?? [0.5, 0.5];
    cursor = [held(x + dx / 32), held(y + dy / 32)];
  } else if (event.key === " " && originals[start]) {
    cursor ??= [0.5, 0.5];
    begin();
    paint(cursor);
    finish();
  } else return;
  event.preventDefault();
  show();
});

// --------------------------------------------------------------------------------------- controls

function buttons() {
  const own = strokes[start], painted = own.some((one) => one.mode !== "mark");
  byId("undo").disabled = byId("reset").disabled = !own.length;
  byId("save-edits").disabled = !painted;
  byId("save-picture").disabled = !shown;
  byId("save-marks").disabled = !markedImages().length;
}

function controls() {
  byId("units-shown").textContent = byId("units").value;
  byId("force-shown").textContent = `${Number(byId("force").value).toFixed(1)} times`;
  byId("size-shown").textContent = `${byId("size").value} %`;
  const brush = data.brushes[Number(checkedValue("brush"))];
  byId("units").max = brush.units.length;
  byId("units-shown").textContent = byId("units").value;
  show();
}

function save(name, content, type) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([content], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

const fileName = (ending) => `${data.file}-${data.starts[start].file}${ending}`;

function markedImages() {
  return data.starts.flatMap(({ start: one }, k) => {
    const mask = one.kind === "latent" ? marked(k) : [];
    if (!mask.some((level) => level)) return [];
    const label = one.label === null ? {} : { label: one.label };
    return [{ index: one.index, ...label, mask: pngUri(pngOf(mask, size, size, 1)) }];
  });
}

byId("undo").addEventListener("click", () => {
  strokes[start].pop();
  buttons();
  refresh();
});
byId("reset").addEventListener("click", () => {
  strokes[start] = [];
  buttons();
  refresh();
});
byId("before").addEventListener("change", show);
byId("cells").addEventListener("change", show);
byId("save-edits").addEventListener("click", () => {
  const content = {
    kind: "edits", version: 1, generator: data.generator, start: data.starts[start].start,
    edits: editsOf(start).map(recordOf),
  };
  save(fileName("-edits.json"), JSON.stringify(content), "application/json");
});
byId("save-picture").addEventListener("click", () => {
  const colours = new Uint8Array(3 * size * size);
  for (let k = 0; k < size * size; k++) colours.set(shown.subarray(4 * k, 4 * k + 3), 3 * k);
  save(fileName(".png"), pngOf(colours, size, size, 3), "image/png");
});
byId("save-marks").addEventListener("click", () => {
  const content = { kind: "marks", generator: data.generator, seed: data.seed, images: markedImages() };
  save(`${data.file}-marks.json`, JSON.stringify(content), "application/json");
});
for (const input of document.querySelectorAll(".tools input")) input.addEventListener("input", controls);
for (const button of document.querySelectorAll("#starts button")) {
  button.addEventListener("click", () => {
    start = Number(button.dataset.start);
    for (const other of document.querySelectorAll("#starts button")) {
      other.setAttribute("aria-pressed", String(other === button));
    }
    shown = originals[start];
    show();
    refresh();
  });
}

controls();
refresh().then(() => { document.documentElement.dataset.ready = "true"; });
