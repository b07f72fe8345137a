// Photos and their reconstructions: slider, methods, difference maps and filmstrips.
(function () {
  const cards = [...document.querySelectorAll(".vanish")];
  const variants = (card, value) => [...card.querySelectorAll(`[data-variant="${value}"]`)];

  function choose(card, value) {
    for (const part of card.querySelectorAll("[data-variant]")) part.hidden = part.dataset.variant !== value;
    const result = variants(card, value).find((part) => part.classList.contains("at-result"));
    for (const image of card.querySelectorAll(".copy-result, [data-copy=result]")) image.src = result.querySelector("img").src;
    card.querySelector(".at-psnr").textContent = result.dataset.psnr;
    card.dataset.chosen = value;
  }

  // One picture stands in the page once; wherever it is shown again, it is taken from there.
  function copyPhoto(card) {
    const photo = card.querySelector(".at-photo img").src;
    for (const image of card.querySelectorAll(".copy-photo, [data-copy=photo]")) image.src = photo;
  }

  function compare(card) {
    const box = card.querySelector(".compare");
    const input = box.querySelector("input");
    const set = () => {
      box.style.setProperty("--at", `${input.value}%`);
      input.setAttribute("aria-valuetext", `${input.value} % photo`);
    };
    input.addEventListener("input", set);
    set();
  }

  function differences(figure) {
    const select = figure.querySelector("select");
    if (!select) return;
    select.addEventListener("change", () => {
      for (const part of figure.querySelectorAll("[data-difference]")) {
        part.hidden = part.dataset.difference !== select.value;
      }
    });
  }

  function film(details) {
    const strip = details.querySelector(".strip");
    const frame = details.querySelector(".frame");
    const input = details.querySelector("input");
    const output = details.querySelector("output");
    const button = details.querySelector("button");
    const steps = output.dataset.steps.split(" ").map(Number);
    const last = steps.length - 1;
    let timer = 0;
    const show = () => {
      const k = Number(input.value);
      frame.style.backgroundPosition = `${last ? 100 * k / last : 0}% 0`;
      output.textContent = `step ${steps[k].toLocaleString("en-GB")}`;
      input.setAttribute("aria-valuetext", output.textContent);
    };
    const stop = () => {
      clearInterval(timer);
      timer = 0;
      button.textContent = "▶ Play";
    };
    button.disabled = last === 0;
    input.addEventListener("input", () => { stop(); show(); });
    button.addEventListener("click", () => {
      if (timer) { stop(); return; }
      if (Number(input.value) === last) input.value = 0;
      show();
      button.textContent = "❚❚ Pause";
      timer = setInterval(() => {
        input.value = Number(input.value) + 1;
        show();
        if (Number(input.value) === last) stop();
      }, 220);
    });
    details.addEventListener("toggle", () => {
      if (!details.open) { stop(); return; }
      frame.style.backgroundImage = `url("${strip.src}")`;
      frame.style.backgroundSize = `${100 * steps.length}% 100%`;
      show();
    });
  }

  // A card is made ready when it is first seen, so that a page of many opens fast.
  const waiting = new Set(cards);
  function ready(card) {
    if (!waiting.delete(card)) return;
    copyPhoto(card);
    choose(card, card.dataset.wanted || "0");
    compare(card);
    card.querySelectorAll(".at-difference").forEach(differences);
    card.querySelectorAll(".film").forEach(film);
    for (const input of card.querySelectorAll(".tabs input")) {
      input.checked = input.value === card.dataset.chosen; // browsers restore what was chosen before
      input.addEventListener("change", () => choose(card, input.value));
    }
  }
  const seen = (card) => !card.parentElement.closest("details:not([open])");
  const readySeen = () => { for (const card of waiting) if (seen(card)) ready(card); };
  document.addEventListener("toggle", readySeen, true);
  window.addEventListener("beforeprint", () => { for (const card of waiting) ready(card); });
  readySeen();

  // ------------------------------------------------------------------- choices for all photos
  const method = document.getElementById("vanish-method");
  if (method) method.addEventListener("change", () => {
    for (const input of document.querySelectorAll(`.tabs input[data-key="${method.value}"]`)) {
      const card = input.closest(".vanish");
      card.dataset.wanted = input.value;
      input.checked = true;
      if (!waiting.has(card)) choose(card, input.value);
    }
  });
})();
