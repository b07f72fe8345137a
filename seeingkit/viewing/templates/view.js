"use strict";
// Theme, choices that take effect at once, and the number of chosen runs. Pages work without it.
(function () {
  const root = document.documentElement;
  root.classList.add("js");
  const THEMES = ["auto", "light", "dark"];
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const remembered = () => { try { return localStorage.getItem("seeingkit-theme"); } catch { return null; } };
  let theme = THEMES.find((name) => name === remembered()) || "auto";
  const applied = () => (theme === "auto" ? (dark.matches ? "dark" : "light") : theme);
  root.dataset.theme = applied(); // before anything is painted

  // For checks from outside: errors so far, and whether anything is wider than the window.
  root.dataset.errors = "0";
  const failed = () => { root.dataset.errors = String(Number(root.dataset.errors) + 1); };
  for (const event of ["error", "unhandledrejection"]) window.addEventListener(event, failed);
  document.addEventListener("securitypolicyviolation", failed);

  document.addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const show = () => {
      root.dataset.theme = applied();
      button.textContent = "Theme: " + theme;
      // A report has an origin of its own, where it remembers nothing.
      for (const link of document.querySelectorAll("a.report")) link.search = theme === "auto" ? "" : "?theme=" + theme;
    };
    button.addEventListener("click", () => {
      theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
      try { localStorage.setItem("seeingkit-theme", theme); } catch { /* it is forgotten */ }
      show();
    });
    dark.addEventListener("change", show);
    show();

    for (const choice of document.querySelectorAll("select.at-once")) {
      choice.addEventListener("change", () => choice.form.submit());
    }
    const compare = document.getElementById("compare");
    if (compare) {
      const form = compare.form;
      const count = () => {
        const boxes = [...form.querySelectorAll("input[name=run]")];
        const chosen = boxes.filter((box) => box.type === "hidden" || box.checked);
        // A run of several generators has something to compare by itself.
        compare.disabled = chosen.reduce((sets, box) => sets + Number(box.dataset.sets), 0) < 2;
        document.getElementById("chosen").textContent = chosen.length ? `${chosen.length} chosen` : "tick two or more";
      };
      form.addEventListener("change", count);
      window.addEventListener("pageshow", count);
      count();
    }
    root.dataset.ready = "true";
  });
  window.addEventListener("load", () => {
    root.dataset.scrollWidth = document.scrollingElement.scrollWidth;
    root.dataset.innerWidth = window.innerWidth;
  });
})();
