// Waveforms and spectrograms: fetched a few at a time, what is seen first, and kept while there is room.

import * as api from "./api.js";

const MOST_AT_ONCE = 3, MOST_KEPT = 600;
const kept = new Map(), waiting = [];
let running = 0;

// What is wanted later is drawn first: it is what is on the screen now. `isWanted` is asked before it begins.
export function peaks(clip, from, to, columns, isWanted = () => true) {
  return wanted(`p ${clip} ${from} ${to} ${columns}`, () => api.peaks(clip, from, to, columns), isWanted);
}

export function spectrogram(clip, from, to, columns, isWanted = () => true) {
  return wanted(`s ${clip} ${from} ${to} ${columns}`, () => api.spectrogram(clip, from, to, columns), isWanted);
}

function wanted(key, fetched, isWanted) {
  const known = kept.get(key);
  if (known) {
    kept.delete(key);
    kept.set(key, known);
    // Whoever asked first may be gone before its turn comes.
    waiting.find((one) => one.key === key)?.askers.push(isWanted);
    return known;
  }
  const made = new Promise((done, failed) => waiting.push({ key, fetched, askers: [isWanted], done, failed }));
  kept.set(key, made);
  made.catch(() => kept.get(key) === made && kept.delete(key));
  if (kept.size > MOST_KEPT) kept.delete(kept.keys().next().value);
  next();
  return made;
}

function next() {
  while (running < MOST_AT_ONCE && waiting.length) {
    const one = waiting.pop();
    if (!one.askers.some((isWanted) => isWanted())) {
      kept.delete(one.key);
      one.failed(new DOMException("no longer wanted", "AbortError"));
      continue;
    }
    running += 1;
    one.fetched().then(one.done, one.failed).finally(() => {
      running -= 1;
      next();
    });
  }
}

export function colours(node) {
  const style = getComputedStyle(node);
  return Object.fromEntries(
    ["accent", "muted", "text", "unsure"].map((name) => [name, style.getPropertyValue(`--${name}`).trim()]),
  );
}

// A canvas as sharp as the screen is.
export function context(canvas) {
  const scale = Math.min(window.devicePixelRatio || 1, 2), size = { width: canvas.clientWidth, height: canvas.clientHeight };
  const width = Math.max(1, Math.round(size.width * scale)), height = Math.max(1, Math.round(size.height * scale));
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  const drawing = canvas.getContext("2d");
  drawing.setTransform(scale, 0, 0, scale, 0, 0);
  drawing.clearRect(0, 0, size.width, size.height);
  return drawing;
}

const STOPS = [[6, 8, 24], [59, 22, 92], [150, 44, 101], [226, 96, 62], [250, 190, 90], [252, 250, 210]];

function palette(value) {
  const place = (value / 255) * (STOPS.length - 1), low = Math.min(Math.floor(place), STOPS.length - 2), share = place - low;
  return STOPS[low].map((number, colour) => number + (STOPS[low + 1][colour] - number) * share);
}

const PALETTE = Array.from({ length: 256 }, (_, value) => palette(value));
export const ROWS = 128;

export function drawSpectrogram(canvas, numbers) {
  const columns = numbers.length / ROWS, image = new ImageData(columns, ROWS);
  for (let column = 0; column < columns; column += 1) {
    for (let row = 0; row < ROWS; row += 1) {
      const [red, green, blue] = PALETTE[numbers[column * ROWS + row]];
      image.data.set([red, green, blue, 255], 4 * ((ROWS - 1 - row) * columns + column));
    }
  }
  canvas.width = columns;
  canvas.height = ROWS;
  canvas.getContext("2d").putImageData(image, 0, 0);
}
