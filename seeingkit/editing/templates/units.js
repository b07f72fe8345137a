// Units of a layer changed in pictures.

import { easel } from "./easel.js";
import { byId, data, emptyMask, isEmpty, saveText, uriOf } from "./pictures.js";
import { now } from "./regions.js";
import { ask, inTurn, say } from "./server.js";

const checkedValue = (name) => document.querySelector(`input[name=${name}]:checked`).value;
const STRONGEST = 20; // of a class, that are named at once
export const units = { mask: emptyMask(), shown: [], show: () => {} };

/** Numbers in a list such as 3,17,40-44. */
export function numbersOf(text) {
  const found = [];
  for (const part of text.split(",")) {
    const match = /^\s*(\d{1,6})\s*(?:-\s*(\d{1,6})\s*)?$/.exec(part);
    if (!match || Number(match[2] ?? match[1]) < Number(match[1])) throw new Error(`“${part.trim()}” is no number of a unit: write a list as 3,17,40-44`);
    for (let k = Number(match[1]); k <= Number(match[2] ?? match[1]); k++) found.push(k);
  }
  return found;
}

function request(indices) {
  const painted = checkedValue("where") === "painted", kind = checkedValue("value");
  if (painted && isEmpty(units.mask)) throw new Error(`paint a place on image ${now.index} first`);
  return {
    layer: byId("layer").value,
    units: numbersOf(byId("numbers").value),
    value: { ablate: 0, insert: Number(byId("value").value), copied: null }[kind],
    strength: Number(byId("blend").value),
    mask: painted ? uriOf(units.mask) : null,
    indices: painted ? [now.index] : indices,
  };
}

/** Ask for the pictures; ``units.shown``: {index, picture}. */
export function showUnits(indices) {
  return inTurn(async () => {
    const answer = await (await ask("units", request(indices))).json();
    units.shown = answer.images;
    const values = answer.values.map((value) => Number(value.toPrecision(3))).slice(0, 8).join(", ");
    say(`Units set to ${values}${answer.values.length > 8 ? ", …" : ""}.`);
    units.show();
  }, "drawing");
}

function listKnown() {
  const found = data.units[byId("layer").value] ?? {}, names = Object.keys(found);
  byId("known-label").hidden = !names.length;
  byId("known").replaceChildren(new Option("…", ""), ...names.map((name) => new Option(`${name}: strongest ${Math.min(found[name].length, STRONGEST)}`, name)));
}

const layers = new Map(data.sites.filter(({ units: many }) => many).map(({ layer, units: many }) => [layer, many]));
byId("layer").replaceChildren(...[...layers].map(([layer, many]) => new Option(`${layer}: units 0 to ${many - 1}`, layer)));
const first = data.sites.find(({ name }) => name === data.site)?.layer;
const dissected = Object.keys(data.units).find((layer) => layers.has(layer));
byId("layer").value = dissected ?? (layers.has(first) ? first : [...layers.keys()][0]);
listKnown();

byId("layer").addEventListener("change", listKnown);
byId("known").addEventListener("change", () => {
  const found = data.units[byId("layer").value]?.[byId("known").value];
  if (found) byId("numbers").value = found.slice(0, STRONGEST).join(",");
});
const blend = () => { byId("blend-shown").textContent = Number(byId("blend").value).toFixed(2); };
byId("blend").addEventListener("input", blend);
blend();
byId("save-units").addEventListener("click", () => inTurn(async () => {
  const text = await (await ask("units.json", request([now.index]))).text();
  saveText(`${data.file}-units-image${now.index}.json`, text);
  say("Saved; seeingkit paint --edits FILE draws it again.");
}, "saving"));
byId("numbers").addEventListener("keydown", (event) => {
  if (event.key === "Enter") byId("show-units").click();
});
export const unitsPainted = () => {
  units.mask = easel.mask;
  document.querySelector("input[name=where][value=painted]").checked = true;
};
