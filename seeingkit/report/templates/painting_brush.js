"use strict";
// A round brush on a grid of pixels.

/** Set pixels under a line of discs; places are shares of the picture, the radius is in pixels. */
function brushLine(touched, size, from, to, radius, level = 1) {
  const [fromX, fromY] = from, steps = Math.ceil(
    Math.hypot(to[0] - fromX, to[1] - fromY) * size / Math.max(radius / 2, 0.5)) || 1;
  for (let s = 1; s <= steps; s++) {
    const x = (fromX + ((to[0] - fromX) * s) / steps) * size - 0.5;
    const y = (fromY + ((to[1] - fromY) * s) / steps) * size - 0.5;
    for (let i = Math.max(0, Math.ceil(y - radius)); i <= Math.min(size - 1, y + radius); i++) {
      for (let j = Math.max(0, Math.ceil(x - radius)); j <= Math.min(size - 1, x + radius); j++) {
        if ((i - y) ** 2 + (j - x) ** 2 <= radius ** 2) touched[i * size + j] = level;
      }
    }
  }
}
