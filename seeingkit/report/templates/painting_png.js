"use strict";
// PNG files without a canvas: some browsers change the pixels that a script reads from one.

const crcTable = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n;
});

function chunk(name, body) {
  const out = new Uint8Array(body.length + 12), view = new DataView(out.buffer);
  view.setUint32(0, body.length);
  for (let k = 0; k < 4; k++) out[4 + k] = name.charCodeAt(k);
  out.set(body, 8);
  let crc = 0xffffffff;
  for (let k = 4; k < out.length - 4; k++) crc = crcTable[(crc ^ out[k]) & 255] ^ (crc >>> 8);
  view.setUint32(out.length - 4, ~crc >>> 0);
  return out;
}

/** zlib without compression (RFC 1950 and 1951: stored blocks). */
function stored(bytes) {
  const parts = [Uint8Array.of(0x78, 0x01)];
  for (let at = 0; at === 0 || at < bytes.length; at += 65535) {
    const part = bytes.subarray(at, at + 65535), n = part.length;
    const last = at + 65535 >= bytes.length ? 1 : 0;
    parts.push(Uint8Array.of(last, n & 255, n >> 8, ~n & 255, (~n >> 8) & 255), part);
  }
  let a = 1, b = 0;
  for (const byte of bytes) {
    a = (a + byte) % 65521;
    b = (b + a) % 65521;
  }
  parts.push(Uint8Array.of(b >> 8, b & 255, a >> 8, a & 255));
  return joinedBytes(parts);
}

function joinedBytes(parts) {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** A PNG of 8 bits; channels: 1 (grey) or 3 (RGB), pixel by pixel. */
function pngOf(pixels, width, height, channels) {
  const head = new Uint8Array(13), view = new DataView(head.buffer), line = width * channels;
  view.setUint32(0, width);
  view.setUint32(4, height);
  head.set([8, channels === 1 ? 0 : 2, 0, 0, 0], 8);
  const rows = new Uint8Array(height * (line + 1));
  for (let y = 0; y < height; y++) rows.set(pixels.subarray(y * line, (y + 1) * line), y * (line + 1) + 1);
  const signature = Uint8Array.of(137, 80, 78, 71, 13, 10, 26, 10);
  const parts = [signature, chunk("IHDR", head), chunk("IDAT", stored(rows)), chunk("IEND", new Uint8Array(0))];
  return joinedBytes(parts);
}

function pngUri(bytes) {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return "data:image/png;base64," + btoa(text);
}
