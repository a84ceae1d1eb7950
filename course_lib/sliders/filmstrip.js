// Every slider on the page that does not move yet: controls, frames, words.
(() => {
  for (const root of document.querySelectorAll(".course-slider:not([data-on])")) {
    root.dataset.on = "";
    start(root);
  }

  function start(root) {
    const data = JSON.parse(root.querySelector('script[type="application/json"]').text);
    const stage = root.querySelector(".course-picture");
    const words = root.querySelector(".course-words");
    const layer = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    layer.setAttribute("viewBox", data.viewBox);
    layer.setAttribute("role", "img");
    layer.innerHTML = `<defs>${data.definitions}</defs><g></g>`;
    const moving = layer.lastChild;
    const inputs = data.controls.map(control);
    let placeHands = () => {};

    // the number of the picture at these positions of the sliders
    const number = places => places.reduce(
      (frame, at, k) => frame * data.controls[k].texts.length + at, 0);
    const places = () => inputs.map(input => Number(input.value));

    function show() {
      const frame = number(places());
      inputs.forEach((input, k) => {
        const { texts, kind } = data.controls[k];
        const at = Number(input.value);
        if (kind === "choice") return; // the list shows it by itself
        input.setAttribute("aria-valuetext", texts[at]);
        input.nextSibling.textContent = texts[at];
      });
      moving.innerHTML = data.layers[frame];
      layer.setAttribute("aria-label", data.words[frame]);
      words.textContent = data.words[frame];
      words.classList.toggle("course-error", data.errors.includes(frame));
      placeHands();
    }

    function control({ label, texts, start, kind }) {
      const input = document.createElement(kind === "choice" ? "select" : "input");
      if (kind === "choice") {
        input.append(...texts.map((text, at) => new Option(text, at)));
      } else {
        Object.assign(input, { type: "range", min: 0, max: texts.length - 1, step: 1 });
      }
      input.value = start;
      input.dataset.lmSuppressShortcuts = "true"; // JupyterLab would take the arrow keys
      input.addEventListener("input", () => { stop(); show(); });
      return input;
    }

    function button(text, label, action) {
      const made = document.createElement("button");
      Object.assign(made, { type: "button", textContent: text, title: label });
      made.setAttribute("aria-label", label);
      made.addEventListener("click", action);
      return made;
    }

    // one slider may move by itself: once from its start to its end, then it stops
    let timer = null;
    const player = data.play === null ? null : button("▶", "play", play);
    function stop() {
      if (timer === null) return;
      clearInterval(timer);
      timer = null;
      player.textContent = "▶";
      player.setAttribute("aria-label", "play");
    }
    function play() {
      if (timer !== null) return stop();
      const input = inputs[data.play];
      const last = data.controls[data.play].texts.length - 1;
      if (Number(input.value) === last) input.value = 0;
      player.textContent = "❚❚";
      player.setAttribute("aria-label", "pause");
      timer = setInterval(() => {
        input.value = Number(input.value) + 1;
        show();
        if (Number(input.value) === last || !root.isConnected) stop();
      }, Math.max(50, 4000 / last));
      show();
    }

    function draggable({ slider, points, ghost }) {
      const input = inputs[slider];
      const at = () => Number(input.value);
      const path = () => data.controls[slider].texts.map(
        (_, position) => points[number(places().with(slider, position))]);
      const go = position => {
        input.value = position;
        input.focus({ preventScroll: true }); // the arrow keys go on from here
        input.dispatchEvent(new Event("input", { bubbles: true }));
      };
      placeHands = courseHand({ stage, layer, viewBox: data.viewBox, ghost, path, at, go });
      placeHands();
    }

    const rows = data.controls.map(({ label, texts, kind }, k) => {
      const row = document.createElement("label");
      row.append(Object.assign(document.createElement("span"), { textContent: label }));
      row.append(inputs[k]);
      if (kind !== "choice") {
        const value = document.createElement("span");
        value.className = "course-value";
        value.style.minWidth = `${Math.max(...texts.map((text) => text.length))}ch`;
        row.append(value);
      }
      return row;
    });
    const reset = button("↺", "reset", () => {
      stop();
      inputs.forEach((input, k) => { input.value = data.controls[k].start; });
      show();
    });
    const panel = document.createElement("div");
    panel.className = "course-controls";
    panel.append(...rows, ...(player ? [player] : []), reset);
    root.insertBefore(panel, stage);

    // room for the longest sentence, so that nothing below the words ever jumps
    const longest = data.words.reduce((a, b) => (b.length > a.length ? b : a));
    function makeRoom() {
      const shown = words.textContent;
      words.style.minHeight = "";
      words.textContent = longest;
      const height = words.offsetHeight;
      words.textContent = shown;
      words.style.minHeight = `${height}px`;
    }
    let width = 0;
    new ResizeObserver(([{ contentRect }]) => {
      if (contentRect.width !== width) { width = contentRect.width; makeRoom(); }
    }).observe(root);

    const frame = new Image(data.width, data.height);
    frame.alt = "";
    frame.draggable = false;
    frame.src = `data:image/png;base64,${data.frame}`;
    show();
    frame.decode().catch(() => {}).then(() => {
      stage.replaceChildren(frame, layer);
      if (data.drag) draggable(data.drag);
    });
  }
})();
