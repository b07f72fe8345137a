// Images before and after: marks of the class on or off.
(function () {
  const { $ } = page;
  const mask = $("mask");
  if (mask) mask.addEventListener("change", () => { $("pairs").classList.toggle("unmarked", !mask.checked); });
})();
