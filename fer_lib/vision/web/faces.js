// Faces in a picture: find them with YuNet, cut them out as FER-2013's are, name what they show.
// The steps and numbers are those of yunet.py and detection.py; a test compares them.

const STEPS = [8, 16, 32];
const SCORE = 0.6; // from which an answer of YuNet is a face
const OVERLAP = 0.3; // of two boxes, from which they are one face
const MARGIN = 0.03; // by which a crop is larger than the box
export const SEARCH_SIDE = 640; // pixels of the longer side in the search

// A picture is {width, height, data}: RGBA bytes, as ImageData.

/** Return the faces of a picture, from left to right: {x, y, width, height, score, eyes}.
 * They are searched for in the same picture made smaller. */
export async function findFaces(ort, yunet, picture, small = reduce(picture, SEARCH_SIDE)) {
  const down = Math.ceil(small.height / 32) * 32;
  const across = Math.ceil(small.width / 32) * 32;
  const pixels = new Float32Array(3 * down * across);
  for (let y = 0, from = 0; y < small.height; y++) {
    for (let x = 0, to = y * across; x < small.width; x++, from += 4, to++) {
      pixels[to] = small.data[from + 2]; // blue first
      pixels[to + down * across] = small.data[from + 1];
      pixels[to + 2 * down * across] = small.data[from];
    }
  }
  const entry = new ort.Tensor("float32", pixels, [1, 3, down, across]);
  const outputs = await yunet.run({ [yunet.inputNames[0]]: entry });
  const [right, lower] = [picture.width / small.width, picture.height / small.height];
  return suppress(readOutputs(outputs, across))
    .map((face) => ({
      x: face.x * right, y: face.y * lower, width: face.width * right, height: face.height * lower,
      score: face.score, eyes: face.eyes.map(([x, y]) => [x * right, y * lower]),
    }))
    .filter((face) => {
      const [x, y] = centre(face);
      return x >= 0 && x < picture.width && y >= 0 && y < picture.height;
    })
    .sort((one, other) => centre(one)[0] - centre(other)[0]);
}

function readOutputs(outputs, width) {
  const faces = [];
  for (const step of STEPS) {
    const [sure, there, box, points] = ["cls", "obj", "bbox", "kps"].map((kind) => outputs[`${kind}_${step}`].data);
    for (let at = 0; at < sure.length; at++) {
      const score = Math.sqrt(clamp(sure[at], 0, 1) * clamp(there[at], 0, 1));
      if (score < SCORE) continue;
      const [column, row] = [at % (width / step), Math.floor(at / (width / step))];
      const [w, h] = [Math.exp(box[4 * at + 2]) * step, Math.exp(box[4 * at + 3]) * step];
      const eyes = [0, 2].map((k) => [(points[10 * at + k] + column) * step, (points[10 * at + k + 1] + row) * step]);
      faces.push({
        x: (column + box[4 * at]) * step - w / 2, y: (row + box[4 * at + 1]) * step - h / 2,
        width: w, height: h, score, eyes,
      });
    }
  }
  return faces;
}

/** Keep the surest of boxes that overlap; boxes are compared in whole pixels, as OpenCV does. */
function suppress(faces) {
  const kept = [];
  for (const face of faces.sort((one, other) => other.score - one.score)) {
    if (kept.every((other) => overlap(face, other) <= OVERLAP)) kept.push(face);
  }
  return kept;
}

function overlap(one, other) {
  const [a, b] = [one, other].map((f) => [f.x, f.y, f.width, f.height].map(Math.trunc));
  const across = Math.min(a[0] + a[2], b[0] + b[2]) - Math.max(a[0], b[0]);
  const down = Math.min(a[1] + a[3], b[1] + b[3]) - Math.max(a[1], b[1]);
  const both = Math.max(0, across) * Math.max(0, down);
  return both / (a[2] * a[3] + b[2] * b[3] - both);
}

/** Return a picture whose longer side has at most `side` pixels: means over areas. */
export function reduce(picture, side) {
  const scale = Math.min(1, side / Math.max(picture.width, picture.height));
  if (scale === 1) return picture;
  const width = Math.max(1, Math.round(picture.width * scale));
  const height = Math.max(1, Math.round(picture.height * scale));
  const columns = shares(picture.width, width);
  const rows = shares(picture.height, height);
  const data = new Uint8ClampedArray(width * height * 4).fill(255);
  const sums = new Float32Array(width * 3);
  for (let y = 0; y < height; y++) {
    sums.fill(0);
    for (let row = rows.first[y], of = rows.begin[y]; of < rows.begin[y + 1]; row++, of++) {
      addRow(sums, picture.data, row * picture.width * 4, columns, rows.share[of]);
    }
    for (let x = 0, to = y * width * 4; x < width; x++, to += 4) {
      data[to] = sums[3 * x]; // the array rounds
      data[to + 1] = sums[3 * x + 1];
      data[to + 2] = sums[3 * x + 2];
    }
  }
  return { width, height, data };
}

function addRow(sums, data, start, columns, weight) {
  for (let x = 0; x < columns.first.length; x++) {
    let [red, green, blue] = [0, 0, 0];
    let at = start + columns.first[x] * 4;
    for (let of = columns.begin[x]; of < columns.begin[x + 1]; of++, at += 4) {
      red += data[at] * columns.share[of];
      green += data[at + 1] * columns.share[of];
      blue += data[at + 2] * columns.share[of];
    }
    sums[3 * x] += red * weight;
    sums[3 * x + 1] += green * weight;
    sums[3 * x + 2] += blue * weight;
  }
}

/** Return which of `from` pixels each of `to` pixels covers (the first, and where the shares of
 * all begin), and which share of it each one is. */
function shares(from, to) {
  const [first, begin, share] = [[], [0], []];
  for (let at = 0; at < to; at++) {
    const [low, high] = [(at * from) / to, ((at + 1) * from) / to];
    first.push(Math.floor(low));
    for (let pixel = Math.floor(low); pixel < high; pixel++) {
      share.push(((Math.min(high, pixel + 1) - Math.max(low, pixel)) * to) / from);
    }
    begin.push(share.length);
  }
  return { first, begin: Int32Array.from(begin), share: Float32Array.from(share) };
}

/** Return a face as `size` times `size` grey bytes: the square around its box, eyes level. */
export function cutFace(picture, face, size) {
  const side = Math.max(face.width, face.height, 1) * (1 + MARGIN);
  const [x, y] = centre(face);
  const turn = tilt(face);
  // Sampled about once per pixel of the picture, then averaged: a large face must not lose lines.
  const fold = Math.max(1, Math.round(side / size));
  const step = side / (size * fold);
  const [cos, sin] = [Math.cos(turn) * step, Math.sin(turn) * step];
  const middle = (size * fold - 1) / 2;
  const part = greyAround(picture, x, y, Math.ceil(0.75 * side) + 2);
  const crop = new Uint8ClampedArray(size * size);
  for (let row = 0; row < size; row++) {
    for (let column = 0; column < size; column++) {
      let sum = 0;
      for (let v = row * fold - middle; v < (row + 1) * fold - middle; v++) {
        for (let u = column * fold - middle; u < (column + 1) * fold - middle; u++) {
          sum += sample(part, x - 0.5 + cos * u - sin * v, y - 0.5 + sin * u + cos * v);
        }
      }
      crop[row * size + column] = sum / (fold * fold);
    }
  }
  return new Uint8Array(crop.buffer);
}

/** Return the square around a place in grey; past the picture's edges the edge repeats. */
function greyAround(picture, x, y, reach) {
  const [left, top, wide] = [Math.floor(x) - reach, Math.floor(y) - reach, 2 * reach + 1];
  const data = new Uint8Array(wide * wide);
  for (let row = 0, to = 0; row < wide; row++) {
    const start = clamp(top + row, 0, picture.height - 1) * picture.width;
    for (let column = 0; column < wide; column++, to++) {
      const at = (start + clamp(left + column, 0, picture.width - 1)) * 4;
      const [red, green, blue] = [picture.data[at], picture.data[at + 1], picture.data[at + 2]];
      data[to] = (red * 9798 + green * 19235 + blue * 3735 + 16384) >> 15; // as OpenCV rounds
    }
  }
  return { left, top, wide, data };
}

/** Return the grey at a place between pixels. */
function sample(part, x, y) {
  const [column, row] = [Math.floor(x), Math.floor(y)];
  const [right, lower] = [x - column, y - row];
  const at = (row - part.top) * part.wide + column - part.left;
  const upper = part.data[at] * (1 - right) + part.data[at + 1] * right;
  const under = part.data[at + part.wide] * (1 - right) + part.data[at + part.wide + 1] * right;
  return Math.round(upper * (1 - lower) + under * lower);
}

function tilt(face) {
  const [[rightX, rightY], [leftX, leftY]] = face.eyes;
  const [across, down] = [leftX - rightX, leftY - rightY];
  // In a profile the eyes nearly coincide, and the line between them means nothing.
  if (Math.hypot(across, down) < 0.2 * Math.max(face.width, face.height)) return 0;
  return Math.atan2(down, across);
}

/** Return the probabilities of faces, a list of arrays in the order of the model's labels. */
export async function classify(ort, network, crops, size) {
  if (!crops.length) return [];
  const pixels = new Uint8Array(crops.length * size * size);
  crops.forEach((crop, at) => pixels.set(crop, at * size * size));
  const entry = new ort.Tensor("uint8", pixels, [crops.length, size, size]);
  const answer = (await network.run({ [network.inputNames[0]]: entry }))[network.outputNames[0]];
  const classes = answer.dims[1];
  return crops.map((_, at) => Array.from(answer.data.subarray(at * classes, (at + 1) * classes)));
}

const centre = (face) => [face.x + face.width / 2, face.y + face.height / 2];
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
