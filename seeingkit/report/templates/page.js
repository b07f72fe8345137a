"use strict";
// Theme, folding and links of a page. All text goes through textContent; the page works without any
// script: sections fold by themselves, and the figure is a picture.
const page = (function () {
  const root = document.documentElement;
  const $ = (id) => document.getElementById(id);
  const query = new URLSearchParams(location.search);
  const data = JSON.parse($("data").textContent);

  // For checks from outside: errors so far, and whether anything is wider than the window.
  root.dataset.errors = "0";
  const failed = () => { root.dataset.errors = String(Number(root.dataset.errors) + 1); };
  for (const event of ["error", "unhandledrejection"]) window.addEventListener(event, failed);
  document.addEventListener("securitypolicyviolation", failed);
  const measure = () => {
    root.dataset.scrollWidth = document.scrollingElement.scrollWidth;
    root.dataset.innerWidth = window.innerWidth;
    root.dataset.ready = "true";
  };
  root.classList.add("js");

  // ------------------------------------------------------------------------------------- theme
  const THEMES = ["auto", "light", "dark"];
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const remembered = () => { try { return localStorage.getItem("seeingkit-theme"); } catch { return null; } };
  const themed = []; // called when the theme has changed
  let theme = THEMES.find((name) => name === (query.get("theme") || remembered())) || "auto";
  function applyTheme() {
    root.dataset.theme = theme === "auto" ? (dark.matches ? "dark" : "light") : theme;
    $("theme").textContent = "Theme: " + theme;
    for (const call of themed) call();
  }
  $("theme").addEventListener("click", () => {
    theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
    try { localStorage.setItem("seeingkit-theme", theme); } catch { /* files may have no storage */ }
    applyTheme();
  });
  dark.addEventListener("change", applyTheme);
  applyTheme();

  // ----------------------------------------------------------------------------------- folding
  // Whatever a link leads to is unfolded; print shows everything, and is folded again after.
  const calm = window.matchMedia("(prefers-reduced-motion: reduce)");
  const arrivals = []; // called with the element that a link leads to
  function reveal(target, focus) {
    for (let box = target; box; box = box.parentElement) if (box.tagName === "DETAILS") box.open = true;
    const fold = target.querySelector(":scope > details.fold");
    if (fold) fold.open = true;
    for (const call of arrivals) call(target);
    target.scrollIntoView({ behavior: calm.matches || !focus ? "auto" : "smooth", block: "start" });
    const place = target.querySelector(":scope > summary, button.unfold") || target;
    if (focus) place.focus({ preventScroll: true });
  }
  const arrive = (focus) => {
    const target = location.hash.length > 1 ? $(decodeURIComponent(location.hash.slice(1))) : null;
    if (target) reveal(target, focus);
  };
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href^='#']");
    const target = link && link.hash.length > 1 && !link.download ? $(decodeURIComponent(link.hash.slice(1))) : null;
    if (!target) return;
    event.preventDefault();
    history.pushState(null, "", link.hash);
    reveal(target, true);
  });
  window.addEventListener("popstate", () => arrive(false));
  let folded = [];
  function unfoldAll() {
    folded = [...document.querySelectorAll("details:not([open])")];
    for (const box of folded) box.open = true;
  }
  window.addEventListener("beforeprint", unfoldAll);
  window.addEventListener("afterprint", () => { for (const box of folded) box.open = false; });
  if (query.get("unfold") === "all") unfoldAll();
  for (const form of document.forms) form.addEventListener("submit", (event) => event.preventDefault());
  window.addEventListener("load", () => { arrive(false); measure(); });
  return { $, arrivals, data, measure, query, reveal, root, themed };
})();
