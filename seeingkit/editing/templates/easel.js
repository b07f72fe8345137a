// The picture that is painted on: strokes with a pointer or with keys change a mask.

import { brushLine } from "./brush.js";
import { byId, colourOf, drawCells, emptyMask, imageOf, size } from "./pictures.js";

const frame = byId("frame"), picture = byId("picture").getContext("2d"), overlay = byId("overlay").getContext("2d");
const checkedValue = (name) => document.querySelector(`input[name=${name}]:checked`).value;

export const easel = { mask: emptyMask(), kind: "copy", others: [], ready: true, painted: () => {}, allowed: () => true };
const allowed = () => easel.ready && easel.allowed();
const MOST = 50;
let cursor = null, last = null, masks = [];

export async function showPicture(address) {
  const image = await imageOf(address);
  picture.clearRect(0, 0, size, size);
  if (image) picture.drawImage(image, 0, 0, size, size);
}

export function draw() {
  overlay.clearRect(0, 0, 512, 512);
  for (const { mask, kind } of easel.others) {
    overlay.setLineDash([8, 6]);
    drawCells(overlay, mask, size, size, colourOf(kind));
    overlay.setLineDash([]);
  }
  drawCells(overlay, easel.mask, size, size, colourOf(easel.kind));
  if (!cursor) return;
  for (const [width, colour] of [[4, "#000"], [2, "#fff"]]) {
    overlay.lineWidth = width;
    overlay.strokeStyle = colour;
    overlay.beginPath();
    overlay.arc(cursor[0] * 512, cursor[1] * 512, (Number(byId("size").value) / 200) * 512, 0, 7);
    overlay.stroke();
  }
}

/** Take the last stroke back; nothing where there is none since the region was chosen. */
export function undoStroke() {
  if (last || !masks.length || !allowed()) return;
  easel.mask = masks.pop();
  draw();
  easel.painted();
}

export const forgetStrokes = () => { masks = []; };

function stroke(place) {
  if (!last) masks = [...masks.slice(1 - MOST), easel.mask.slice()];
  const radius = Math.max((Number(byId("size").value) / 200) * size, 0.71);
  brushLine(easel.mask, size, last ?? place, place, radius, checkedValue("mode") === "draw" ? 255 : 0);
  last = place;
}

function finish() {
  if (!last) return;
  last = null;
  draw();
  easel.painted();
}

const placeOf = (event) => {
  const box = frame.getBoundingClientRect();
  return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
};

frame.addEventListener("pointerdown", (event) => {
  if (event.button !== 0 || !allowed()) return;
  frame.setPointerCapture(event.pointerId);
  stroke((cursor = placeOf(event)));
  draw();
});
frame.addEventListener("pointermove", (event) => {
  cursor = placeOf(event);
  if (last) stroke(cursor);
  draw();
});
frame.addEventListener("pointerup", finish);
frame.addEventListener("pointercancel", finish);
for (const name of ["pointerleave", "blur"]) {
  frame.addEventListener(name, () => {
    if (last) return;
    cursor = null;
    draw();
  });
}
frame.addEventListener("keydown", (event) => {
  const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  const held = (v) => Math.min(Math.max(v, 0), 1);
  if (event.key in moves) {
    const [dx, dy] = moves[event.key], [x, y] = cursor ?? [0.5, 0.5];
    cursor = [held(x + dx / 32), held(y + dy / 32)];
    draw();
  } else if (event.key === " " && allowed()) {
    stroke((cursor ??= [0.5, 0.5]));
    finish();
  } else if (event.key === "z" && (event.ctrlKey || event.metaKey)) {
    undoStroke();
  } else return;
  event.preventDefault();
});
