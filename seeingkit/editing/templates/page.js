// The page: steps, and the state that seeingkit answers with after each of them.

import { easel, showPicture, undoStroke } from "./easel.js";
import { byId, colourOf, data, drawThumb, emptyMask, made, pictureOf, setVersion, shown, size, uriOf } from "./pictures.js";
import { currentRegion, listRegions, next, now, paintedAction, regionsOf, showRegion, WORDS } from "./regions.js";
import { ask, inTurn, say } from "./server.js";
import { showUnits, units, unitsPainted } from "./units.js";

const SAMPLES = 12;
let state = null, from = 0, tab = "rule", found = null, sliding = false, wanted = null;

// ------------------------------------------------------------------------------------------ state

/** An action, and the page as it is afterwards; also where it is refused, as by another window's work. */
const act = (action, words = "", said = "") => inTurn(async () => {
  let answer;
  try {
    answer = await (await ask("act", action)).json();
  } catch (error) {
    const there = await ask("state").catch(() => null);
    if (there) await become(await there.json());
    throw error;
  }
  await become(answer, ["paint", "remove"].includes(action.action) && sending);
  say(answer.said || said);
  return answer;
}, words);

/** Show a state; ``painting``: the mask on the picture is newer than that of the state. */
async function become(next, painting = false) {
  const before = state?.version;
  state = next;
  setVersion(state.version, state.series);
  document.documentElement.dataset.version = state.version;
  if (before !== state.version) {
    byId("matches").classList.toggle("stale", Boolean(found));
    if (before && found) byId("match-words").textContent = "These matches are of the generator as it was before: search again.";
    units.shown = [];
    samples();
    await showPicture(pictureOf(now.index));
  }
  await Promise.all([showRegion(state, units.mask, painting), regions()]);
  edits();
  pairs();
}

const regions = () => listRegions(state, async (one) => {
  await sent;
  choose(one.kind);
  [now.number, now.fresh] = [one.kind === "context" ? one.number : null, false];
  select(one.index);
}, ({ kind, number }) => act({ action: "remove", kind, number }));

function choose(kind) {
  now.kind = kind;
  [now.number, now.fresh] = [null, false];
  const radio = document.querySelector(`input[name=kind][value=${kind}]`);
  if (radio) radio.checked = true;
}

// ----------------------------------------------------------------------------------------- images

/** The number of an image, and the class that a conditional generator draws. */
function nameOf(index) {
  const many = data.classes.length, { labels } = state;
  return many ? `${index} ${data.classes[labels.length ? labels[index % labels.length] : index % many]}` : String(index);
}

function samples() {
  const numbers = Array.from({ length: SAMPLES }, (_, k) => from + k);
  byId("samples").replaceChildren(...numbers.map((index) => made("button",
    { type: "button", "data-index": index, "aria-pressed": String(index === now.index), onclick: () => select(index) },
    shown(pictureOf(index), `image ${index}`, { width: 76, height: 76 }), nameOf(index))));
  byId("from").value = from;
  byId("earlier").disabled = from === 0;
  byId("seed").textContent = state.seed;
}

async function select(index) {
  await sent;
  if (index !== now.index) [now.number, now.fresh, units.mask] = [now.kind === "context" ? now.number : null, false, emptyMask()];
  now.index = index;
  for (const button of document.querySelectorAll("#samples button")) {
    button.setAttribute("aria-pressed", String(Number(button.dataset.index) === index));
  }
  for (const place of [byId("number"), ...document.querySelectorAll(".number")]) place.textContent = index;
  await Promise.all([showPicture(pictureOf(index)), showRegion(state, units.mask)]);
  pairs();
}

function turnTo(number) {
  from = Math.max(0, Math.min(number, 2 ** 31 - 1 - SAMPLES));
  samples();
  pairs();
}

/** Images that are shown before and after, with a word about each. */
function shownImages() {
  const words = new Map([[now.index, ""]]), note = (index, word) => words.set(index, words.get(index) || word);
  for (const { kind, index } of regionsOf(state)) {
    const before = words.get(index), word = WORDS[kind];
    words.set(index, before && !before.includes(word) ? `${before}, ${word}` : word);
  }
  for (const edit of state.edits) edit.images.forEach((index) => note(index, "of an edit"));
  found?.matches.slice(0, 6).forEach(({ index }) => note(index, "match"));
  for (let k = 0; k < SAMPLES; k++) note(from + k, "");
  return [...words].slice(0, 32);
}

function pairs() {
  const rule = tab === "rule", many = state.edits.length;
  byId("results-words").textContent = rule
    ? many ? `Left without edits, right with ${many === 1 ? "the edit" : `${many} edits`}.` : "Nothing is edited yet: paint, then execute."
    : units.shown.length ? "Left as the generator draws them now, right with the units changed." : "No units are changed yet: name units, then show.";
  const images = rule ? (many ? shownImages() : []) : units.shown.map(({ index }) => [index, ""]);
  byId("pairs").replaceChildren(...images.map(([index, word], k) => made("figure", { "data-index": index },
    made("div", {},
      shown(pictureOf(index, rule ? "before" : "after"), `image ${index} before`),
      shown(rule ? pictureOf(index) : units.shown[k].picture, `image ${index} after`)),
    made("figcaption", {}, word ? `image ${index}: ${word}` : `image ${index}`))));
}

// ------------------------------------------------------------------------------------------ edits

function edits() {
  const last = state.edits.at(-1), whole = state.copy && (state.paste || state.contexts.length);
  byId("undo").disabled = byId("strength").disabled = !last;
  byId("redo").disabled = !state.undone;
  if (!sliding) byId("strength").value = last ? last.strength : 1;
  byId("strength-shown").textContent = last ? Number(byId("strength").value).toFixed(2) : "";
  byId("execute").disabled = !whole;
  byId("match").disabled = !state.copy && !state.paste && !state.contexts.length;
  byId("save-request").setAttribute("aria-disabled", String(!whole));
  byId("save-request").tabIndex = whole ? 0 : -1;
  byId("clear").disabled = !regionsOf(state).length;
  byId("use").hidden = !last;
  if (byId("save")) byId("save").disabled = !last;
  byId("edits").replaceChildren(...state.edits.map(({ site, rank, strength }, k) => made("li", {},
    `${site}, rank ${rank}, strength ${Number(strength.toFixed(3))} `,
    made("a", { href: `edit/${k + 1}`, download: true, "aria-label": `Save edit ${k + 1}` }, "Save (.safetensors)"))));
}

/** The strength of the slider, at once; values that come while one is drawn wait, the last one wins. */
async function slide() {
  wanted = Number(byId("strength").value);
  byId("strength-shown").textContent = wanted.toFixed(2);
  if (sliding) return;
  sliding = true;
  for (let value = null; value !== wanted && state.edits.length;) {
    value = wanted;
    await act({ action: "strength", value }, "", `Strength ${value.toFixed(2)}.`);
  }
  sliding = false;
}

const numberIn = (id) => (byId(id).value === "" ? null : Number(byId(id).value));
const execute = () => act({
  action: "execute", site: byId("site").value, rank: numberIn("rank"), keep: numberIn("keep"), protect: byId("protect").checked,
}, "planning the edit").then((done) => {
  if (done) byId("results-title").scrollIntoView({ block: "start" });
});

const search = () => inTurn(async () => {
  const kind = state.paste || state.contexts.length ? "context" : "copy";
  found = await (await ask("matches", { site: byId("site").value, kind })).json();
  byId("matches").classList.remove("stale");
  const { rows, columns, matches } = found;
  const figures = matches.map(({ index, cells }) => {
    const canvas = made("canvas", { width: 224, height: 224, role: "img", "aria-label": `image ${index} with its matching places` });
    const levels = new Uint8Array(rows * columns);
    for (const cell of cells) levels[cell] = 255;
    drawThumb(canvas, index, levels, rows, columns, colourOf("context"));
    return made("figure", {}, canvas, made("figcaption", {}, made("b", {}, `image ${index}`),
      made("button", { type: "button", "aria-label": `Paint on image ${index}`, onclick: () => { choose("context"); select(index); } }, "Paint"),
      made("button", { type: "button", "aria-label": `Add the places of image ${index} to the context`, disabled: !cells.length,
        onclick: () => act({ action: "paint", kind: "context", index, mask: uriOf(enlarged(levels, rows, columns)) }) }, "Add")));
  });
  byId("matches").replaceChildren(...figures);
  byId("match-words").textContent = `The best of 200 images at ${byId("site").value}; outlined: the best 1 % of all their places, like ${
    kind === "copy" ? "the copied region" : "the context"}.`;
  pairs();
  say("Matches found.");
}, "searching matches");

function enlarged(levels, rows, columns) {
  return Uint8Array.from({ length: size * size }, (_, k) =>
    levels[Math.floor((Math.floor(k / size) / size) * rows) * columns + Math.floor(((k % size) / size) * columns)]);
}

// --------------------------------------------------------------------------------------- controls

// Strokes are sent one after the other; those that come meanwhile wait, and go together.
let sent = Promise.resolve(), sending = false, unsent = false;

async function send() {
  sending = true;
  while (unsent) {
    unsent = false;
    const action = paintedAction(state);
    if (!action) break;
    const fresh = action.action === "paint" && action.kind === "context" && action.number === null;
    if (fresh) [now.number, now.fresh] = [state.contexts.length, false];
    const done = await act(action);
    if (done) say(next(done));
  }
  sending = false;
}

easel.painted = () => {
  if (now.kind === "units") return unitsPainted();
  unsent = true;
  if (!sending) sent = send();
  return undefined;
};
easel.allowed = () => state !== null && (sending || document.documentElement.dataset.busy !== "true");

async function show(name) {
  await sent;
  tab = name;
  for (const each of ["rule", "units"]) {
    byId(each).hidden = each !== tab;
    byId(`tab-${each}`).setAttribute("aria-selected", String(each === tab));
    byId(`tab-${each}`).tabIndex = each === tab ? 0 : -1;
  }
  byId("kinds").hidden = byId("edit-tools").hidden = tab === "units";
  choose(tab === "units" ? "units" : document.querySelector("input[name=kind]:checked").value);
  showRegion(state, units.mask);
  pairs();
}

const on = (id, work, event = "click") => byId(id).addEventListener(event, work);
on("earlier", () => turnTo(from - SAMPLES));
on("further", () => turnTo(from + SAMPLES));
on("from", () => turnTo(Math.floor(Number(byId("from").value)) || 0), "change");
on("wipe", async () => {
  await sent;
  easel.mask.fill(0);
  if (now.kind === "units") units.mask = emptyMask();
  const action = now.kind === "units" ? null : paintedAction(state);
  if (action) act(action);
  else showRegion(state, units.mask);
});
on("unstroke", undoStroke);
on("another", () => {
  now.fresh = true;
  showRegion(state, units.mask);
  say("Paint a further context on this image.");
});
on("clear", () => act({ action: "clear" }, "", "All regions are cleared; edits stay."));
on("load", async () => {
  const [file] = byId("load").files;
  if (!file) return;
  byId("load").value = "";
  if (file.size > 12e6) return say(`${file.name} is too large for a request`, true);
  const done = await act({ action: "load", text: await file.text() }, "", `${file.name} is loaded.`);
  if (done?.copy) {
    choose("copy");
    select(done.copy.index);
  }
}, "change");
on("match", search);
on("execute", execute);
on("undo", () => act({ action: "undo" }, "", "Undone."));
on("redo", () => act({ action: "redo" }, "", "Done again."));
on("strength", slide, "input");
if (byId("save")) on("save", () => act({ action: "save", name: byId("name").value }));
on("show-units", () => showUnits([...new Set([now.index, ...Array.from({ length: SAMPLES }, (_, k) => from + k)])]));
for (const radio of document.querySelectorAll("input[name=kind]")) {
  radio.addEventListener("change", async () => {
    await sent;
    choose(radio.value);
    const there = regionsOf(state).find(({ kind }) => kind === radio.value);
    if (there && radio.value !== "context" && !currentRegion(state)) say(`A stroke here takes the place of the region on image ${there.index}.`);
    showRegion(state, units.mask);
  });
}
for (const name of ["rule", "units"]) {
  on(`tab-${name}`, () => show(name));
  on(`tab-${name}`, (event) => {
    if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
    const other = name === "rule" ? "units" : "rule";
    show(other);
    byId(`tab-${other}`).focus();
  }, "keydown");
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => become(state));
units.show = pairs;

await inTurn(async () => {
  await become(await (await ask("state")).json());
  await select(0);
  say("Ready: choose an image and paint.");
});
document.documentElement.dataset.ready = "true";
