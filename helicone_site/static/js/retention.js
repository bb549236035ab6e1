"use strict";
/* Slider, number and presets of a row say the same; the right end of the slider is "unlimited", an empty number. */
document.querySelectorAll("[data-keep]").forEach((row) => {
  const slider = row.querySelector("[data-slider]"), number = row.querySelector("input[type=number]");
  if (!slider || !number) return;
  const mark = () => row.querySelectorAll("[data-days]").forEach((preset) => preset.setAttribute("aria-pressed", String(preset.dataset.days === number.value)));
  const show = () => { slider.value = number.value || slider.max; mark(); };
  slider.addEventListener("input", () => { number.value = slider.value === slider.max ? "" : slider.value; mark(); });
  number.addEventListener("input", show);
  row.querySelectorAll("[data-days]").forEach((preset) => preset.addEventListener("click", () => {
    number.value = preset.dataset.days;
    show();
    number.dispatchEvent(new Event("change", { bubbles: true }));
  }));
  show();
});
