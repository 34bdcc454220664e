// The spectrogram of a sound, computed in the browser: decoded, cut into overlapping windows, and
// transformed.

import { getBytes } from "./api.js";
import { paint } from "./colormap.js";
import { h } from "./dom.js";

const WINDOW = 1024;
/** Number of columns and rows that are drawn at most. */
const COLUMNS = 1200;
const ROWS = 256;
/** Range below the loudest that is shown, in decibels. */
const RANGE = 80;

/**
 * Creates the picture of a sound.
 *
 * @param {string} source  address of the file
 * @returns {Promise<HTMLElement>}
 */
export async function spectrogram(source) {
  const file = await getBytes(source);
  // A decoder converts every sound to the rate of its context.
  const context = new OfflineAudioContext(1, 1, rateOf(file) ?? 44_100);
  const sound = await context.decodeAudioData(file);
  const { levels, columns, rows } = analyse(mixed(sound));
  const canvas = h("canvas", { width: columns, height: rows, role: "img",
    ariaLabel: `Spectrogram of ${sound.duration.toFixed(1)} seconds` });
  paint(canvas, levels, "viridis", true);
  const top = sound.sampleRate / 2000;
  return h("figure", { class: "spectrogram-figure" },
    h("div", { class: "frequencies" },
      [1, 0.75, 0.5, 0.25, 0].map((share) => h("span", null, `${(top * share).toFixed(1)} kHz`))),
    canvas,
    h("div", { class: "seconds" },
      [0, 0.25, 0.5, 0.75, 1].map((share) => h("span", null,
        `${(sound.duration * share).toFixed(1)} s`))),
    h("figcaption", { class: "dim small" }, `${sound.duration.toFixed(2)} s · `
      + `${sound.numberOfChannels === 1 ? "mono" : `${sound.numberOfChannels} channels, mixed`} · `
      + `analysed at ${sound.sampleRate / 1000} kHz · ${RANGE} dB from dark to bright`));
}

/** Returns the rate of a WAV file that a context can have. @param {ArrayBuffer} file */
function rateOf(file) {
  const header = new DataView(file, 0, Math.min(file.byteLength, 28));
  if (header.byteLength < 28 || header.getUint32(0) !== 0x52494646) return null;
  const rate = header.getUint32(24, true);
  return rate >= 8000 && rate <= 96_000 ? rate : null;
}

/** Returns the mean of the channels. */
function mixed(sound) {
  const samples = new Float32Array(sound.length);
  for (let channel = 0; channel < sound.numberOfChannels; channel += 1) {
    const data = sound.getChannelData(channel);
    for (let i = 0; i < samples.length; i += 1) samples[i] += data[i] / sound.numberOfChannels;
  }
  return samples;
}

/**
 * Computes the levels of a sound over time and frequency.
 *
 * @param {Float32Array} samples
 * @returns {{levels: Uint8Array, columns: number, rows: number}}  by rows, the lowest first
 */
export function analyse(samples) {
  const steps = Math.max(1, Math.floor((samples.length - WINDOW) / (WINDOW / 4)) + 1);
  const columns = Math.min(COLUMNS, steps);
  const loudness = new Float32Array(columns * ROWS).fill(-Infinity);
  const window = Float32Array.from({ length: WINDOW }, (_, i) =>
    0.5 - 0.5 * Math.cos((2 * Math.PI * i) / WINDOW));
  const [real, imaginary] = [new Float32Array(WINDOW), new Float32Array(WINDOW)];
  for (let step = 0; step < steps; step += 1) {
    const start = step * (WINDOW / 4);
    for (let i = 0; i < WINDOW; i += 1) real[i] = (samples[start + i] ?? 0) * window[i];
    imaginary.fill(0);
    transform(real, imaginary);
    const column = Math.floor((step * columns) / steps);
    for (let bin = 0; bin < WINDOW / 2; bin += 1) {
      const power = real[bin] ** 2 + imaginary[bin] ** 2;
      const at = Math.floor((bin * ROWS) / (WINDOW / 2)) * columns + column;
      // The loudest of those that share a pixel.
      loudness[at] = Math.max(loudness[at], 10 * Math.log10(power + 1e-12));
    }
  }
  const loudest = loudness.reduce((a, b) => Math.max(a, b), -Infinity);
  const levels = Uint8Array.from(loudness, (level) =>
    1 + Math.round(254 * Math.max(0, 1 - (loudest - level) / RANGE)));
  return { levels, columns, rows: ROWS };
}

/**
 * Transforms in place, by the algorithm of Cooley and Tukey. The length is a power of two.
 *
 * @param {Float32Array} real
 * @param {Float32Array} imaginary
 */
export function transform(real, imaginary) {
  const { length } = real;
  for (let i = 1, j = 0; i < length; i += 1) {
    let bit = length >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) {
      [real[i], real[j]] = [real[j], real[i]];
      [imaginary[i], imaginary[j]] = [imaginary[j], imaginary[i]];
    }
  }
  for (let size = 2; size <= length; size *= 2) {
    const angle = (-2 * Math.PI) / size;
    for (let k = 0; k < size / 2; k += 1) {
      const [cos, sin] = [Math.cos(angle * k), Math.sin(angle * k)];
      for (let i = k; i < length; i += size) {
        const j = i + size / 2;
        const re = real[j] * cos - imaginary[j] * sin;
        const im = real[j] * sin + imaginary[j] * cos;
        [real[j], imaginary[j]] = [real[i] - re, imaginary[i] - im];
        [real[i], imaginary[i]] = [real[i] + re, imaginary[i] + im];
      }
    }
  }
}
