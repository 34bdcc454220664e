// Stages and their states: the verdict on the workspace, or what a run did with them.

import { h } from "./dom.js";
import { visible } from "./format.js";

/** Looks of the states, those that need attention first. */
export const BADGES = {
  running: "running", fails: "failed", failed: "failed", unrecorded: "failed", run: "stale",
  interrupted: "interrupted", waits: "stale", skipped: "skipped", restore: "restored",
  restored: "restored", ran: "ran", accepted: "restored", fresh: "fresh",
};
const WORDS = { fresh: "up to date", unrecorded: "not recorded" };

/** Returns the words for the outcome of a stage in a run. */
export const outcomeWords = (outcome) => WORDS[outcome] ?? outcome;

/**
 * Creates the badge of a state.
 *
 * @param {string} state
 * @param {string} words
 */
export const badge = (state, words) =>
  h("span", { class: "badge", data: { status: BADGES[state] ?? "fresh" } }, words);

/** Creates the mark of a state, for places where its words are beside it. */
export const mark = (state) =>
  h("span", { class: "status", data: { status: BADGES[state] ?? "fresh" } });

/**
 * Creates the link to the page of a stage.
 *
 * @param {string} name
 */
export const stageLink = (name) =>
  h("a", { href: `/pipeline/${encodeURIComponent(name)}` }, visible(name));
