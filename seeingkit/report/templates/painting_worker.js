"use strict";
// The rest of a network after a layer, run with typed arrays: a list of plain operations on float32
// arrays (seeingkit.models.programs says which). One image at a time.

const unary = {
  abs: () => Math.abs,
  exp: () => Math.exp,
  neg: () => (v) => -v,
  reciprocal: () => (v) => 1 / v,
  relu: () => (v) => (v > 0 ? v : 0),
  rsqrt: () => (v) => 1 / Math.sqrt(v),
  sigmoid: () => (v) => 1 / (1 + Math.exp(-v)),
  sqrt: () => Math.sqrt,
  tanh: () => Math.tanh,
  clamp: (low, high) => (v) =>
    low !== null && low !== undefined && v < low ? low
      : high !== null && high !== undefined && v > high ? high : v,
  hardtanh: (low, high) => (v) => (v < low ? low : v > high ? high : v),
  leaky_relu: (slope) => (v) => (v > 0 ? v : v * slope),
};
const binary = {
  add: (scale) => (a, b) => a + scale * b,
  sub: (scale) => (a, b) => a - scale * b,
  rsub: (scale) => (a, b) => b - scale * a,
  mul: () => (a, b) => a * b,
  div: () => (a, b) => a / b,
  maximum: () => Math.max,
  minimum: () => Math.min,
  pow: () => (a, b) => (b === 2 ? a * a : Math.pow(a, b)),
};
const same = new Set("alias clone contiguous detach squeeze unsqueeze view".split(" "));

const sizeOf = (shape) => shape.reduce((a, b) => a * b, 1);
const axis = (d, rank) => (d < 0 ? d + rank : d);

function stridesOf(shape) {
  const strides = new Array(shape.length);
  for (let d = shape.length - 1, step = 1; d >= 0; d--) {
    strides[d] = step;
    step *= shape[d];
  }
  return strides;
}

/** Strides of an array laid along a larger shape: 0 where it is repeated. */
function broadcast(value, shape) {
  const own = stridesOf(value.shape), missing = shape.length - value.shape.length;
  return shape.map((_, d) => {
    const at = d - missing;
    return at < 0 || value.shape[at] === 1 ? 0 : own[at];
  });
}

/** Copy by strides: element (i, j, …) of the result is data[start + i * strides[0] + …]. */
function gathered(data, start, strides, shape) {
  const out = new Float32Array(sizeOf(shape)), last = shape.length - 1;
  if (last < 0) return Float32Array.of(data[start]);
  const index = new Array(shape.length).fill(0), inner = shape[last], step = strides[last];
  for (let k = 0, at = start; k < out.length; k += inner) {
    for (let i = 0; i < inner; i++) out[k + i] = data[at + i * step];
    for (let d = last - 1; d >= 0; d--) {
      at += strides[d];
      if (++index[d] < shape[d]) break;
      at -= strides[d] * shape[d];
      index[d] = 0;
    }
  }
  return out;
}

const laid = (value, shape) => {
  const own = value.shape;
  if (own.length === shape.length && own.every((n, d) => n === shape[d])) return value.data;
  return gathered(value.data, 0, broadcast(value, shape), shape);
};

function mapped(x, f) {
  const out = new Float32Array(x.length);
  for (let k = 0; k < out.length; k++) out[k] = f(x[k]);
  return out;
}

function combined(a, b, f, shape) {
  const left = laid(a, shape), right = laid(b, shape), out = new Float32Array(left.length);
  for (let k = 0; k < out.length; k++) out[k] = f(left[k], right[k]);
  return out;
}

const asValue = (v) => (typeof v === "number" ? { data: Float64Array.of(v), shape: [] } : v);

function reduced(x, dims, shape, mean) {
  const rank = x.shape.length;
  const gone = new Set((dims && dims.length ? dims : x.shape.map((_, d) => d))
    .map((d) => axis(d, rank)));
  const kept = x.shape.map((n, d) => (gone.has(d) ? 1 : n));
  const sums = new Float64Array(sizeOf(kept)), steps = stridesOf(kept), own = stridesOf(x.shape);
  const strides = steps.map((step, d) => (gone.has(d) ? 0 : step));
  for (let k = 0; k < x.data.length; k++) {
    let rest = k, at = 0;
    for (let d = 0; d < rank; d++) {
      const i = Math.floor(rest / own[d]);
      rest -= i * own[d];
      at += i * strides[d];
    }
    sums[at] += x.data[k];
  }
  const count = mean ? x.data.length / sums.length : 1;
  return Float32Array.from(sums, (v) => v / count);
}

/** Means over the channels of (1, C, h, w), which most networks take most often. */
function channelMeans(x) {
  const [, channels, height, width] = x.shape, plane = height * width;
  const sums = new Float64Array(plane);
  for (let c = 0, at = 0; c < channels; c++) {
    for (let k = 0; k < plane; k++) sums[k] += x.data[at++];
  }
  return Float32Array.from(sums, (v) => v / channels);
}

function multiplied(a, b) {
  const [rows, inner] = a.shape.slice(-2), columns = b.shape[b.shape.length - 1];
  const many = sizeOf(a.shape.slice(0, -2)), out = new Float32Array(many * rows * columns);
  const sums = new Float64Array(columns);
  for (let n = 0; n < many; n++) {
    for (let i = 0; i < rows; i++) {
      sums.fill(0);
      for (let k = 0; k < inner; k++) {
        const v = a.data[(n * rows + i) * inner + k];
        const at = (n * inner + k) * columns;
        for (let j = 0; j < columns; j++) sums[j] += v * b.data[at + j];
      }
      out.set(sums, (n * rows + i) * columns);
    }
  }
  return out;
}

// ------------------------------------------------------------------------------------ convolution

function padded(x, channels, top, left, bottom, right, value = 0) {
  const [height, width] = x.shape.slice(-2);
  const rows = height + top + bottom, columns = width + left + right;
  const out = new Float64Array(channels * rows * columns);  // no conversion in the sums
  if (value) out.fill(value);
  for (let c = 0; c < channels; c++) {
    for (let i = Math.max(0, -top); i < Math.min(height, height + bottom); i++) {
      const from = (c * height + i) * width, first = Math.max(0, -left);
      const row = x.data.subarray(from + first, from + Math.min(width, width + right));
      out.set(row, (c * rows + i + top) * columns + left + first);
    }
  }
  return { data: out, rows, columns };
}

/** Weights of the taps of one phase, four outputs side by side: [block][input][tap][4]. */
function packed(weight, at, outputs, inputs, taps) {
  const blocks = Math.ceil(outputs / 4), out = new Float64Array(blocks * inputs * taps.length * 4);
  let k = 0;
  for (let block = 0; block < blocks; block++) {
    for (let i = 0; i < inputs; i++) {
      for (const tap of taps) {
        for (let o = 4 * block; o < 4 * block + 4; o++) {
          if (o < outputs) for (const [ky, kx] of tap.kernel) out[k] += weight[at(o, i, ky, kx)];
          k++;
        }
      }
    }
  }
  return out;
}

/** Sums over inputs and taps, for four outputs and two neighbours at a time. */
function swept(job) {
  const { from, start, plane, line, step, inputs, offsets, weights, bias, outputs, to, target } = job;
  const { size, row, jump, rows, columns } = job, taps = offsets.length, many = inputs * taps * 4;
  for (let o = 0, first = 0; o < outputs; o += 4, first += many) {
    const count = Math.min(4, outputs - o);
    const b0 = bias ? bias[o] : 0, b1 = bias && count > 1 ? bias[o + 1] : 0;
    const b2 = bias && count > 2 ? bias[o + 2] : 0, b3 = bias && count > 3 ? bias[o + 3] : 0;
    for (let y = 0; y < rows; y++) {
      for (let x = 0; x < columns; x += 2) {
        const beside = x + 1 < columns ? step : 0;
        let p0 = b0, p1 = b1, p2 = b2, p3 = b3, q0 = b0, q1 = b1, q2 = b2, q3 = b3;
        let at = start + y * line + x * step, k = first;
        for (let i = 0; i < inputs; i++, at += plane) {
          for (let t = 0; t < taps; t++, k += 4) {
            const place = at + offsets[t], v = from[place], u = from[place + beside];
            const w0 = weights[k], w1 = weights[k + 1], w2 = weights[k + 2], w3 = weights[k + 3];
            p0 += v * w0; p1 += v * w1; p2 += v * w2; p3 += v * w3;
            q0 += u * w0; q1 += u * w1; q2 += u * w2; q3 += u * w3;
          }
        }
        let goal = target + o * size + y * row + x * jump;
        const next = beside ? jump : 0;
        if (next) to[goal + next] = q0;
        to[goal] = p0;
        if (count > 1) { goal += size; if (next) to[goal + next] = q1; to[goal] = p1; }
        if (count > 2) { goal += size; if (next) to[goal + next] = q2; to[goal] = p2; }
        if (count > 3) { goal += size; if (next) to[goal + next] = q3; to[goal] = p3; }
      }
    }
  }
}

/** Along one axis: pairs of a place of the input and the kernel's rows that meet it, in a phase. */
function meetings(kind, phase, kernel, stride, padding, dilation) {
  const found = new Map();
  for (let k = 0; k < kernel; k++) {
    const place = kind === "transposed" ? (phase + padding - k * dilation) / stride
      : kind === "enlarged" ? Math.floor((phase + k - padding) / 2) : k * dilation - padding;
    if (Number.isInteger(place)) found.set(place, [...(found.get(place) ?? []), k]);
  }
  return [...found];
}

/**
 * A convolution of (1, C, h, w). Kind "enlarged": of x enlarged twice to the nearest pixel, which
 * meets each pixel of x with sums of the kernel's rows, in four phases.
 */
function convolved(kind, x, weight, bias, stride, padding, dilation, more, groups, shape, kept) {
  const [, channels] = x.shape, [, outputs, height, width] = shape;
  const out = new Float32Array(sizeOf(shape)), transposed = kind === "transposed";
  const [kh, kw] = weight.shape.slice(2), inputs = channels / groups, each = outputs / groups;
  const [ty, tx] = transposed
    ? [(kh - 1) * dilation[0] + more[0], (kw - 1) * dilation[1] + more[1]] : padding;
  const area = padded(x, channels, ty, tx, ty, tx);
  const phases = transposed ? stride : kind === "enlarged" ? [2, 2] : [1, 1];
  const moves = kind === "plain" ? stride : [1, 1];
  const at = transposed
    ? (group) => (o, i, ky, kx) => (((group * inputs + i) * each + o) * kh + ky) * kw + kx
    : (group) => (o, i, ky, kx) => (((group * each + o) * inputs + i) * kh + ky) * kw + kx;
  for (let py = 0; py < phases[0]; py++) {
    for (let px = 0; px < phases[1]; px++) {
      const taps = [];
      for (const [dy, rows] of meetings(kind, py, kh, stride[0], padding[0], dilation[0])) {
        for (const [dx, columns] of meetings(kind, px, kw, stride[1], padding[1], dilation[1])) {
          const kernel = rows.flatMap((ky) => columns.map((kx) => [ky, kx]));
          taps.push({ kernel, offset: (dy + ty) * area.columns + dx + tx });
        }
      }
      const offsets = Int32Array.from(taps, (tap) => tap.offset);
      for (let group = 0; group < groups; group++) {
        const name = `${py},${px},${group}`;
        const weights = kept?.get(name) ?? packed(weight.data, at(group), each, inputs, taps);
        kept?.set(name, weights);
        swept({
          from: area.data, start: group * inputs * area.rows * area.columns,
          plane: area.rows * area.columns, line: moves[0] * area.columns, step: moves[1],
          inputs, offsets, weights, bias: bias && bias.data.subarray(group * each),
          outputs: each, to: out, target: (group * each * height + py) * width + px,
          size: height * width, row: phases[0] * width, jump: phases[1],
          rows: Math.ceil((height - py) / phases[0]), columns: Math.ceil((width - px) / phases[1]),
        });
      }
    }
  }
  return out;
}

// ----------------------------------------------------------------------------- shapes and the rest

const moved = {
  expand: (x, args, shape) => laid(x, shape),
  t: (x, args, shape) => gathered(x.data, 0, stridesOf(x.shape).reverse(), shape),
  transpose: (x, [a, b], shape) => {
    const strides = stridesOf(x.shape), rank = strides.length;
    [a, b] = [axis(a, rank), axis(b, rank)];
    [strides[a], strides[b]] = [strides[b], strides[a]];
    return gathered(x.data, 0, strides, shape);
  },
  permute: (x, [order], shape) => {
    const strides = stridesOf(x.shape);
    return gathered(x.data, 0, order.map((d) => strides[axis(d, strides.length)]), shape);
  },
  select: (x, [dim, index], shape) => {
    const strides = stridesOf(x.shape), d = axis(dim, strides.length);
    const start = strides[d] * axis(index, x.shape[d]);
    return gathered(x.data, start, strides.filter((_, k) => k !== d), shape);
  },
  slice: (x, [dim, first, , step], shape) => {
    const strides = stridesOf(x.shape), d = axis(dim ?? 0, strides.length);
    const start = strides[d] * Math.min(axis(first ?? 0, x.shape[d]), x.shape[d]);
    strides[d] *= step ?? 1;
    return gathered(x.data, start, strides, shape);
  },
  flip: (x, [dims], shape) => {
    const strides = stridesOf(x.shape);
    let start = 0;
    for (const dim of dims) {
      const d = axis(dim, strides.length);
      start += strides[d] * (shape[d] - 1);
      strides[d] = -strides[d];
    }
    return gathered(x.data, start, strides, shape);
  },
  constant_pad_nd: (x, [sides, value], shape) => {
    const [left, right, top = 0, bottom = 0] = sides;
    return Float32Array.from(
      padded(x, sizeOf(shape.slice(0, -2)), top, left, bottom, right, value ?? 0).data);
  },
  upsample_nearest2d: (x, args, shape) => {
    const [height, width] = x.shape.slice(-2), [rows, columns] = shape.slice(-2);
    const out = new Float32Array(sizeOf(shape)), many = sizeOf(shape.slice(0, -2));
    for (let c = 0, k = 0; c < many; c++) {
      for (let i = 0; i < rows; i++) {
        const from = (c * height + Math.floor((i * height) / rows)) * width;
        for (let j = 0; j < columns; j++) out[k++] = x.data[from + Math.floor((j * width) / columns)];
      }
    }
    return out;
  },
};

function joined(values, dim, shape) {
  const d = axis(dim ?? 0, shape.length), out = new Float32Array(sizeOf(shape));
  const outer = sizeOf(shape.slice(0, d)), inner = sizeOf(shape.slice(d + 1));
  let before = 0;
  for (const value of values) {
    const length = value.shape[d] * inner;
    for (let k = 0; k < outer; k++) {
      out.set(value.data.subarray(k * length, (k + 1) * length), k * shape[d] * inner + before);
    }
    before += length;
  }
  return out;
}

function result(name, args, shape, kept) {
  const [x, ...rest] = args;
  if (same.has(name)) return x.data;
  if (name in unary) return mapped(x.data, unary[name](...rest));
  if (name in binary) {
    const scale = typeof rest[1] === "number" ? rest[1] : 1;
    return combined(asValue(x), asValue(rest[0]), binary[name](scale), shape);
  }
  if (name in moved) return moved[name](x, rest, shape);
  if (name === "mean" || name === "sum") {
    const [dims] = rest, mean = name === "mean";
    const usual = mean && x.shape.length === 4 && dims?.length === 1 && axis(dims[0], 4) === 1;
    return usual ? channelMeans(x) : reduced(x, dims, shape, mean);
  }
  if (name === "convolution" || name === "enlarged") {
    const [weight, bias, stride, padding, dilation, transposed, more, groups] = rest;
    const kind = name === "enlarged" ? name : transposed ? "transposed" : "plain";
    return convolved(kind, x, weight, bias, stride, padding, dilation, more, groups, shape, kept);
  }
  if (name === "mm" || name === "bmm") return multiplied(x, rest[0]);
  if (name === "addmm") {
    const made = multiplied(rest[0], rest[1]), [beta, alpha] = [rest[2] ?? 1, rest[3] ?? 1];
    return combined({ data: made, shape }, x, (a, b) => alpha * a + beta * b, shape);
  }
  if (name === "addcmul") {
    const scale = rest[2] ?? 1, product = combined(rest[0], rest[1], (a, b) => scale * a * b, shape);
    return combined(x, { data: product, shape }, (a, b) => a + b, shape);
  }
  if (name === "cat") return joined(x, rest[0], shape);
  throw new Error(`no operation ${name}`);
}

/** Operations with each convolution of an enlarged map done on the map itself. */
function fused({ inputs, operations }) {
  const uses = new Map(), made = operations.map((one) => [...one]);
  eachUse(operations, (value) => uses.set(value, (uses.get(value) ?? 0) + 1));
  for (const one of made) {
    const [name, [x, weight, , stride, padding, dilation, transposed, , groups]] = one;
    if (name !== "convolution" || transposed || groups !== 1 || !("constant" in weight)) continue;
    const source = made[x.value - inputs.length];
    if (!source || source[0] !== "upsample_nearest2d" || uses.get(x.value) !== 1) continue;
    const [, [small], shape] = source, size = sizeAt({ inputs, operations }, small);
    const twice = size && shape[2] === 2 * size[2] && shape[3] === 2 * size[3];
    const usual = [...stride, ...padding, ...dilation].every((v) => v === 1);
    if (!twice || !usual || one[2][2] !== shape[2] || one[2][3] !== shape[3]) continue;
    one[0] = "enlarged";
    one[1] = [small, ...one[1].slice(1)];
    source[0] = "nothing";
    source[1] = [];
  }
  return made;
}

function eachUse(operations, use) {
  const visit = (arg, k) => {
    if (Array.isArray(arg)) arg.forEach((one) => visit(one, k));
    else if (arg && typeof arg === "object" && "value" in arg) use(arg.value, k);
  };
  operations.forEach(([, args], k) => visit(args, k));
}

function sizeAt({ inputs, operations }, arg) {
  if (!arg || typeof arg !== "object" || !("value" in arg)) return null;
  const k = arg.value - inputs.length;
  return k < 0 ? inputs[arg.value][1] : operations[k][2];
}

class Network {
  constructor(program, constants) {
    this.inputs = program.inputs;
    this.operations = fused(program);
    this.constants = program.constants.map(([shape, start]) =>
      ({ data: constants.subarray(start, start + sizeOf(shape)), shape }));
    this.packed = this.operations.map(([name, args]) =>
      (name === "convolution" || name === "enlarged") && "constant" in args[1] ? new Map() : null);
    this.lastUse = new Map();  // a value is let go after it
    eachUse(this.operations, (value, k) => this.lastUse.set(value, k));
  }

  /** The image (3, R, R) of inputs (arrays), in nominal [-1, 1]. */
  image(inputs) {
    const values = this.inputs.map(([, shape], k) => ({ data: inputs[k], shape }));
    const count = values.length;
    const meant = (arg) => {
      if (Array.isArray(arg)) return arg.map(meant);
      if (arg === null || typeof arg !== "object") return arg;
      return "value" in arg ? values[arg.value] : this.constants[arg.constant];
    };
    this.operations.forEach(([name, args, shape], k) => {
      if (name === "nothing") values.push(null);
      else values.push({ data: result(name, args.map(meant), shape, this.packed[k]), shape });
      for (let v = 0; v < count + k; v++) if (values[v] && this.lastUse.get(v) === k) values[v] = null;
    });
    return values[values.length - 1].data;
  }
}

/** x with units changed: x[u] <- (1 - a m) x[u] + a m value, one edit after the other. */
function edited(x, cells, edits) {
  const out = x.slice();
  for (const { units, values, alphas, mask } of edits) {
    units.forEach((unit, k) => {
      for (let cell = 0; cell < cells; cell++) {
        const weight = alphas[k] * (mask ? mask[cell] / 255 : 1), at = unit * cells + cell;
        out[at] += weight * (values[k] - out[at]);
        if (weight === 1) out[at] = values[k];
      }
    });
  }
  return out;
}

/** An image in [-1, 1] as 8-bit RGBA, rounded as a PNG file of seeingkit has it. */
function pixelsOf(image, size) {
  const plane = size * size, out = new Uint8ClampedArray(4 * plane);
  for (let k = 0; k < plane; k++) {
    for (let c = 0; c < 3; c++) {
      const level = Math.fround(Math.fround(image[c * plane + k] * 127.5) + 128);
      out[4 * k + c] = Math.floor(Math.min(Math.max(level, 0), 255));
    }
    out[4 * k + 3] = 255;
  }
  return out;
}

const bytesOf = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
const floatsOf = (text) => new Float32Array(bytesOf(text).buffer);

let network = null, starts = [], setting = null;
self.onmessage = ({ data }) => {
  try {
    if (data.kind === "begin") {
      setting = data;
      network = new Network(data.program, floatsOf(data.program.weights));
      starts = data.starts.map((start) => start.map(floatsOf));
      self.postMessage({ id: data.id });
      return;
    }
    const before = performance.now(), [x, ...carried] = starts[data.start];
    const image = network.image([edited(x, setting.cells, data.edits), ...carried]);
    const pixels = pixelsOf(image, setting.size);
    self.postMessage({ id: data.id, pixels, milliseconds: performance.now() - before });
  } catch (error) {
    self.postMessage({ id: data.id, error: String(error) });
  }
};
