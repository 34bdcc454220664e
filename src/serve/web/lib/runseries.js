// Fetches the points of a series as a line of a chart.

import { get, url } from "./api.js";

/**
 * @typedef {object} Part
 * @property {"step" | "time" | "relative"} axis
 * @property {[number, number] | null} zoom  in units of the axis
 * @property {number} width  of the drawing in pixels
 * @property {number} started  time from which relative time counts, in milliseconds since 1970
 */

/**
 * Fetches a part of a series, or only what was added since the line was fetched.
 *
 * @param {string} run  a name or an identity
 * @param {{stage: string, key: string}} series
 * @param {Part} part
 * @param {any} [before]  the line as fetched before, for the same part
 * @returns {Promise<any>}  a line without name and color
 */
export async function seriesLine(run, { stage, key }, part, before = null) {
  const { axis, zoom, width, started } = part;
  const offset = axis === "relative" ? started : 0;
  const ends = zoom ? [Math.floor(zoom[0]) + offset, Math.ceil(zoom[1]) + offset] : [null, null];
  const answer = await get(url(`/api/runs/${encodeURIComponent(run)}/series`, {
    stage, key, axis: axis === "step" ? "step" : "time", from: ends[0], to: ends[1], width,
    // What is added to a window is not at its end.
    after: before && !zoom && before.x.length < 6 * width ? before.cursor : null,
  }));
  const places = axis === "step" ? answer.step : answer.at.map((at) => at - offset);
  const joins = answer.appended && before;
  return {
    x: joins ? before.x.concat(places) : places,
    y: joins ? before.y.concat(answer.value) : answer.value,
    total: joins ? answer.total : answer.count,
    isDecimated: answer.decimated || (joins && before.isDecimated),
    cursor: answer.cursor,
  };
}

/**
 * Fetches all points of a series, as rows of texts with a head.
 *
 * @param {string} run
 * @param {{stage: string, key: string, name: string}[]} all
 */
export async function seriesRows(run, all) {
  const rows = [["series", "step", "time", "value"]];
  for (const { stage, key, name } of all) {
    const path = url(`/api/runs/${encodeURIComponent(run)}/series`, { stage, key, width: "all" });
    const { step, at, value } = await get(path);
    step.forEach((one, i) => {
      rows.push([name, String(one), new Date(at[i]).toISOString(), String(value[i])]);
    });
  }
  return rows;
}
