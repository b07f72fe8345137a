// Pictures by number, masks as PNG, and drawings of regions on top of pictures.

import { pngOf, pngUri } from "./png.js";
import { ask, say } from "./server.js";

export const data = JSON.parse(document.getElementById("data").textContent);
export const size = data.size;
export const byId = (id) => document.getElementById(id);
export const colourOf = (kind) =>
  getComputedStyle(document.documentElement).getPropertyValue(`--${kind === "units" ? "link" : kind}`).trim();

let version = "", series = "";
export const setVersion = (found, images) => { [version, series] = [found, images]; };

/** Address of an image: "after" with the edits of now, "before" without any. */
export const pictureOf = (index, which = "after") =>
  `image/${which}/${index}?v=${encodeURIComponent(which === "after" ? version : series)}`;

// Few at a time: a browser keeps six connections, and actions need some of them.
const AT_ONCE = 3, KEPT = 600, fetched = new Map(), waiting = [];
let loading = 0;

async function inSlot(work) {
  if (loading >= AT_ONCE) await new Promise((done) => waiting.push(done));
  loading += 1;
  try {
    return await work();
  } finally {
    loading -= 1;
    waiting.shift()?.();
  }
}

/** Where a browser finds a picture that was fetched once; empty if it is not to be had. */
function urlOf(address) {
  if (address.startsWith("data:")) return Promise.resolve(address);
  if (fetched.has(address)) return fetched.get(address);
  if (fetched.size >= KEPT) {
    const [oldest, url] = fetched.entries().next().value;
    fetched.delete(oldest);
    url.then((found) => URL.revokeObjectURL(found));
  }
  const found = inSlot(async () => {
    const past = !address.endsWith(encodeURIComponent(version)) && address.includes("/after/");
    const answer = past ? null : await ask(address);
    return answer ? URL.createObjectURL(await answer.blob()) : "";
  }).catch((error) => {
    say(error.message, true);
    return "";
  });
  found.then((url) => { if (!url) fetched.delete(address); });
  fetched.set(address, found);
  return found;
}

/** An element that shows a picture as soon as it is there. */
export function shown(address, alt, more = {}) {
  const image = made("img", { alt, ...more });
  urlOf(address).then((url) => { if (url) image.src = url; });
  return image;
}

const decoded = new Map();

/** A picture that is decoded; kept, for regions are drawn again and again. */
export function imageOf(address) {
  if (!decoded.has(address)) {
    if (decoded.size >= 200) decoded.delete(decoded.keys().next().value);
    const image = new Image();
    const found = urlOf(address).then(async (url) => {
      image.src = url;
      await image.decode();
      return image;
    }).catch(() => {
      decoded.delete(address);
      return null;
    });
    decoded.set(address, found);
  }
  return decoded.get(address);
}

export const emptyMask = () => new Uint8Array(size * size);
export const isEmpty = (mask) => !mask.some((level) => level);
export const uriOf = (mask) => pngUri(pngOf(mask, size, size, 1));

/** The pixels of a mask in a data URI, 255 where it is white by more than half. */
export async function maskOf(uri) {
  const image = await imageOf(uri), canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [size, size];
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (!image) return emptyMask();
  context.drawImage(image, 0, 0, size, size);
  const pixels = context.getImageData(0, 0, size, size).data;
  return Uint8Array.from({ length: size * size }, (_, k) => (pixels[4 * k] > 127 ? 255 : 0));
}

/** Fill and outline the cells of a grid where levels are above 0; white on both sides of the line. */
export function drawCells(context, levels, rows, columns, colour) {
  const { width, height } = context.canvas, on = (y, x) => y >= 0 && x >= 0 && y < rows && x < columns && levels[y * columns + x];
  context.fillStyle = colour;
  context.globalAlpha = 0.3;
  const edge = (k, many, length) => Math.round((k / many) * length);
  context.beginPath();
  for (let y = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++) {
      if (!on(y, x)) continue;
      const [l, r, t, b] = [edge(x, columns, width), edge(x + 1, columns, width), edge(y, rows, height), edge(y + 1, rows, height)];
      context.fillRect(l, t, r - l, b - t);
      for (const [dy, dx, line] of [[-1, 0, [l, t, r, t]], [1, 0, [l, b, r, b]], [0, -1, [l, t, l, b]], [0, 1, [r, t, r, b]]]) {
        if (on(y + dy, x + dx)) continue;
        context.moveTo(line[0], line[1]);
        context.lineTo(line[2], line[3]);
      }
    }
  }
  context.globalAlpha = 1;
  const thick = Math.max(2, width / 150);
  for (const [each, line] of [["#fff", 2 * thick + 1], [colour, thick]]) {
    context.strokeStyle = each;
    context.lineWidth = line;
    context.stroke();
  }
}

/** A small picture with a region on it. */
export async function drawThumb(canvas, index, levels, rows, columns, colour) {
  const image = await imageOf(pictureOf(index)), context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.clearRect(0, 0, canvas.width, canvas.height);
  if (image) context.drawImage(image, 0, 0, canvas.width, canvas.height);
  drawCells(context, levels, rows, columns, colour);
}

/** An element with attributes and content. */
export function made(name, attributes = {}, ...content) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "onclick") element.addEventListener("click", value);
    else if (value !== null && value !== false) element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...content);
  return element;
}

export function saveText(name, content) {
  const link = made("a", { href: URL.createObjectURL(new Blob([content], { type: "application/json" })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
