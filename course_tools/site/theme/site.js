// The theme of the page, for the figures; predictions, kept in this browser.
(() => {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const paint = () => {
    const chosen = document.body.dataset.theme || "auto";
    const is = chosen === "dark" || (chosen === "auto" && dark.matches);
    root.setAttribute("theme", is ? "dark" : "light");
  };

  const KEY = "dpo-course-predictions";
  const read = () => { try { return JSON.parse(localStorage.getItem(KEY)) || {}; } catch { return {}; } };
  const keep = (name, answer) => {
    try { localStorage.setItem(KEY, JSON.stringify({ [name]: answer, ...read() })); } catch { /* private */ }
  };

  function settle() {
    const known = read();
    for (const box of document.querySelectorAll(".course-predict")) {
      const answer = known[box.dataset.name];
      if (answer === undefined) continue;
      const told = document.createElement("p");
      const [before, after] = box.dataset.noted.split("{}");
      told.append(before, Object.assign(document.createElement("strong"), { textContent: answer }), after ?? "");
      box.replaceChildren(box.firstElementChild, told);
    }
    for (const line of document.querySelectorAll(".course-told")) {
      const { name, truth, near } = line.dataset;
      const said = known[name];
      if (said === undefined) { line.textContent = `The answer: ${truth}. (No prediction was made.)`; continue; }
      const off = Math.abs(Number(said) - Number(truth));
      const right = said === truth || off <= Number(near) * Math.abs(Number(truth));
      line.textContent = right ? `You predicted ${said}. Right: ${truth}.`
        : `You predicted ${said}. The answer: ${truth}. What made you expect that?`;
    }
  }

  document.addEventListener("DOMContentLoaded", () => {
    paint();
    dark.addEventListener("change", paint);
    new MutationObserver(paint).observe(document.body, { attributeFilter: ["data-theme"] });
    // what the theme leaves out: the level of its headings, a key's way into wide tables
    for (const head of document.querySelectorAll(".caption[role=heading]")) head.ariaLevel = 2;
    for (const wide of document.querySelectorAll(".table-wrapper")) wide.tabIndex = 0;
    for (const box of document.querySelectorAll(".course-predict")) {
      const field = box.querySelector("input");
      for (const button of box.querySelectorAll("button")) {
        button.addEventListener("click", () => {
          const answer = field ? field.value.trim().replace("−", "-") : button.textContent;
          if (field && (answer === "" || Number.isNaN(Number(answer)))) return field.focus();
          keep(box.dataset.name, answer);
          settle();
        });
      }
    }
    settle();
  });
})();
