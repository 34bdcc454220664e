// Tags of runs.

/**
 * Returns the tags that users set, without those of programs.
 *
 * @param {Record<string, string>} tags
 */
export const ownTags = (tags) => Object.fromEntries(
  Object.entries(tags).filter(([key]) => !/^(?:sweep|mlflow)\./.test(key)));
