// ipywidgets gives the handles of its sliders no name for who cannot see them, and in
// Notebook 7 the page would take their arrow keys.
(() => {
  for (const still of document.querySelectorAll(".course-still:not([data-on])")) {
    still.dataset.on = "";
    const area = still.closest(".jp-OutputArea") ?? document.body;
    const name = () => {
      for (const handle of area.querySelectorAll(".noUi-handle:not([aria-label])")) {
        const label = handle.closest(".widget-inline-hbox")?.querySelector("label");
        if (label) handle.setAttribute("aria-label", label.textContent);
        handle.dataset.lmSuppressShortcuts = "true"; // its arrow keys are its own
      }
    };
    new MutationObserver(name).observe(area, { childList: true, subtree: true });
    name();
  }
})();
