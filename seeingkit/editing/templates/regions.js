// The regions of the request: lists, small pictures, and the mask that is being painted.

import { draw, easel, forgetStrokes } from "./easel.js";
import { byId, colourOf, drawThumb, emptyMask, isEmpty, made, maskOf, size, uriOf } from "./pictures.js";

export const WORDS = { copy: "copied", paste: "pasted to", context: "context" };
const HINTS = {
  copy: "Paint over the thing that should appear elsewhere, such as a tree.",
  paste: "Paint a place where it should appear, such as the top of a tower.",
  context: "Paint further places of the same kind, in other images: the rule is learned from all of them.",
  units: "Paint the place where units are to change.",
};

/** The step that comes after a stroke. */
export function next(state) {
  if (!state.copy) return "Now choose an image, and paint the thing that is copied.";
  if (!state.paste && !state.contexts.length) return "Now choose “pasted to” and an image, and paint the place where it should appear.";
  return "Ready to execute; further context, in other images, makes the rule clearer.";
}

export const now = { index: 0, kind: "copy", number: null, fresh: false };

/** All regions of a state: kind, number among the contexts, image, mask. */
export function regionsOf(state) {
  const one = (kind) => (state[kind] ? [{ kind, number: 0, ...state[kind] }] : []);
  return [...one("copy"), ...one("paste"), ...state.contexts.map((region, number) => ({ kind: "context", number, ...region }))];
}

/** The region that is painted on now, if the state has it. */
export function currentRegion(state) {
  const own = regionsOf(state).filter(({ kind, index }) => kind === now.kind && index === now.index);
  if (now.kind !== "context") return own[0] ?? null;
  return now.fresh ? null : own.find(({ number }) => number === now.number) ?? own[0] ?? null;
}

let turn = 0;

/** Put the region of now, and the others of this image, on the picture; ``kept``: with the mask as it is. */
export async function showRegion(state, unitsMask, kept = false) {
  const current = now.kind === "units" ? null : currentRegion(state), own = ++turn;
  now.number = current?.kind === "context" ? current.number : null;
  const others = now.kind === "units" ? [] : regionsOf(state).filter(
    (one) => one.index === now.index && !(one.kind === current?.kind && one.number === current?.number));
  if (!kept) easel.ready = false; // no stroke is lost on a mask that is about to go
  const masks = await Promise.all(others.map(({ mask }) => maskOf(mask)));
  const mask = now.kind === "units" ? unitsMask : current ? await maskOf(current.mask) : emptyMask();
  if (own !== turn) return; // another region was chosen meanwhile
  easel.kind = now.kind;
  easel.others = others.map(({ kind }, k) => ({ kind, mask: masks[k] }));
  if (!kept) {
    easel.mask = mask;
    forgetStrokes();
  }
  easel.ready = true;
  byId("hint").textContent = HINTS[now.kind];
  byId("another").hidden = now.kind !== "context" || !current;
  draw();
}

/** The action that tells the server of the mask as it is painted now; null: nothing to tell. */
export function paintedAction(state) {
  const current = currentRegion(state);
  if (isEmpty(easel.mask)) {
    return current && { action: "remove", kind: now.kind, number: current.number };
  }
  const number = now.kind === "context" ? current?.number ?? null : null;
  return { action: "paint", kind: now.kind, index: now.index, mask: uriOf(easel.mask), number };
}

/** The list of regions; ``edit`` and ``remove`` are called with one. */
export async function listRegions(state, edit, remove) {
  const all = regionsOf(state);
  const figures = all.map((one) => {
    const name = one.kind === "context" ? `context ${one.number + 1}` : WORDS[one.kind];
    const canvas = made("canvas", { width: 224, height: 224, role: "img", "aria-label": `image ${one.index}, region that is ${name}` });
    return made("figure", { class: one.kind }, canvas, made("figcaption", {},
      made("b", {}, `${name}: image ${one.index}`),
      made("button", { type: "button", "aria-label": `Paint on ${name}`, onclick: () => edit(one) }, "Paint"),
      made("button", { type: "button", "aria-label": `Remove ${name}`, onclick: () => remove(one) }, "Remove")));
  });
  const missing = ["copy", "paste"].filter((kind) => !state[kind] && !(kind === "paste" && state.contexts.length)).map((kind) =>
    made("figure", { class: `${kind} empty` }, made("b", {}, WORDS[kind]), made("br"), kind === "copy" ? "nothing yet" : "nowhere yet"));
  if (state.paste && !state.pasteCounts) {
    missing.push(made("p", { class: "hint" }, "The request was loaded: its pasted place is no example of the context."));
  }
  byId("regions").replaceChildren(...figures, ...missing);
  await Promise.all(all.map(async (one, k) =>
    drawThumb(figures[k].querySelector("canvas"), one.index, await maskOf(one.mask), size, size, colourOf(one.kind))));
}
