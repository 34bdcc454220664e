// Maps of values to colors, for arrays and spectrograms.

/** Colors of viridis at equal distances. */
const VIRIDIS = [[68, 1, 84], [72, 40, 120], [62, 74, 137], [49, 104, 142], [38, 130, 142],
  [31, 158, 137], [53, 183, 121], [110, 206, 88], [181, 222, 43], [253, 231, 37]];

/**
 * Paints bytes on a canvas of the same size.
 *
 * @param {HTMLCanvasElement} canvas
 * @param {Uint8Array} pixels  by rows; 0 where there is nothing, else from 1, low, to 255, high
 * @param {string} map  `viridis` or `grey`
 * @param {boolean} [isFlipped]  the first row is the lowest
 */
export function paint(canvas, pixels, map, isFlipped = false) {
  const { width, height } = canvas;
  const image = new ImageData(width, height);
  const colors = table(map);
  for (let row = 0; row < height; row += 1) {
    const from = (isFlipped ? height - 1 - row : row) * width;
    for (let column = 0; column < width; column += 1) {
      const value = pixels[from + column];
      const at = (row * width + column) * 4;
      image.data.set(colors.subarray(value * 3, value * 3 + 3), at);
      image.data[at + 3] = value === 0 ? 0 : 255;
    }
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}

function table(map) {
  const colors = new Uint8Array(256 * 3);
  for (let value = 1; value < 256; value += 1) {
    const share = (value - 1) / 254;
    const place = share * (VIRIDIS.length - 1);
    const low = Math.min(Math.floor(place), VIRIDIS.length - 2);
    const blend = (channel) => VIRIDIS[low][channel]
      + (VIRIDIS[low + 1][channel] - VIRIDIS[low][channel]) * (place - low);
    const color = map === "grey" ? [share * 255, share * 255, share * 255] : [0, 1, 2].map(blend);
    colors.set(color, value * 3);
  }
  return colors;
}
