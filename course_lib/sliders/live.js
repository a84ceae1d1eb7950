// Live figures of this cell's output. The kernel paints; the page keeps what it was sent
// and shows at once what it has, while the kernel's own answer is on its way.
(() => {
  const LATE = 120; // ms without a picture, after which the figure says that it is busy
  const LETTERS = 8_000_000; // of pictures that are kept

  for (const still of document.querySelectorAll(".course-still:not([data-on])")) {
    still.dataset.on = "";
    const area = still.closest(".jp-OutputArea") ?? document.body;
    const look = () => {
      area.querySelectorAll(".course-live:not([data-on])").forEach(start);
      const on = area.querySelectorAll(".course-live[data-on]").length;
      if (on >= area.querySelectorAll(".course-still").length) watch.disconnect();
    };
    const watch = new MutationObserver(look);
    watch.observe(area, { childList: true, subtree: true });
    look();
  }

  function start(root) {
    const find = selector => root.querySelector(selector);
    const controls = [...root.querySelectorAll(".course-control")];
    const told = find('.course-picture script[type="application/json"]');
    const data = told && JSON.parse(told.textContent);
    const layer = find(".course-layer .widget-html-content");
    const strip = find(".course-strip .widget-html-content");
    const says = find(".course-words")?.parentElement;
    const has = control => control.querySelector(".noUi-handle, select, input, textarea");
    const all = data && layer?.firstChild && strip && says && find(".course-reset")
      && controls.length === data.controls && controls.every(has)
      && (!data.play || find(".course-play input"))
      && (!data.drag || find(".course-drag input"));
    if (!all) return; // ipywidgets makes them one after another
    root.dataset.on = "";
    nameHandles(root);
    find(".course-reset").setAttribute("aria-label", "reset"); // its text is a sign

    const stage = find(".course-picture");
    const ours = controls.filter(control => control.matches(".course-ours"));
    const pictures = new Map(); // by state
    const chosen = new Map(); // when a state was chosen, by the clock of choices
    let [age, trusted, clock] = [-1, 0, 0];
    let [shown, mine, last, timer] = [null, null, state(), null];

    function position(control) {
      const handle = control.querySelector(".noUi-handle");
      if (handle) return Math.round(handle.getAttribute("aria-valuenow"));
      return control.querySelector("select").selectedIndex;
    }
    function state() { return ours.map(position).join(); }

    // what the kernel has sent: kept, unless a cell or another control made it old
    function keep(name, of, text) {
      if (of > age) { pictures.clear(); age = of; }
      if (name === undefined || of < Math.max(age, trusted)) return;
      pictures.delete(name);
      pictures.set(name, text);
      note(name, text);
      let letters = 0;
      for (const known of pictures.values()) letters += known.length;
      for (const [oldest, { length }] of pictures) {
        if (letters <= LETTERS) break;
        pictures.delete(oldest);
        letters -= length;
      }
    }

    function show(name) {
      layer.innerHTML = pictures.get(name);
      accept(name);
    }

    function accept(name) {
      [shown, mine] = [name, layer.querySelector("svg")];
      const words = says.querySelector(".course-words");
      const text = mine.getAttribute("aria-label");
      if (words.textContent !== text) words.textContent = text;
      words.classList.toggle("course-error", "error" in mine.dataset);
      watch.takeRecords(); // of what was done here
      placeHands();
      if (shown === state()) rest();
    }

    // the kernel has changed the picture; a newer one that is known goes before it
    const watch = new MutationObserver(() => {
      const svg = layer.querySelector("svg");
      if (!svg) return;
      if (svg === mine) return accept(shown); // it has changed the words
      const { state: name, age: of } = svg.dataset;
      keep(name, Number(of), svg.outerHTML);
      const now = state();
      const before = (chosen.get(name) ?? 0) < (chosen.get(shown) ?? 0);
      if (name !== now && pictures.has(now)) show(now);
      else if (name !== now && before && pictures.has(shown)) show(shown);
      else accept(name);
    });

    function moved() {
      const now = state();
      if (now === last) return;
      last = now;
      if (chosen.size > 1000) chosen.clear();
      chosen.set(now, clock += 1);
      if (pictures.has(now)) show(now);
      else timer ??= setTimeout(busy, LATE);
    }

    function busy() {
      timer = null;
      if (shown === state()) return;
      root.classList.add("course-busy");
      stage.setAttribute("aria-busy", "true");
    }
    function rest() {
      clearTimeout(timer);
      timer = null;
      root.classList.remove("course-busy");
      stage.removeAttribute("aria-busy");
    }

    // a control of which the page knows nothing has moved: only the kernel knows more
    function distrust() {
      pictures.clear();
      trusted = age + 1;
    }

    // a hand for play and drag: a number on the page that is linked to the slider
    function hand(use) {
      const input = find(`.course-${use} input`);
      return at => {
        input.value = at;
        input.dispatchEvent(new Event("change", { bubbles: true }));
      };
    }

    let note = () => {}, placeHands = () => {};
    function draggable({ slider, count, path, ghost }) {
      const known = new Map(Object.entries(path).map(([at, point]) => [Number(at), point]));
      note = (name, text) => {
        const points = text.match(/data-points="([^"]*)"/);
        if (points) known.set(Number(name.split(",")[slider]), JSON.parse(points[1]));
      };
      // between two positions that were painted the way is taken as straight
      const between = () => {
        const places = [...known.keys()].sort((a, b) => a - b);
        return Array.from({ length: count }, (_, at) => {
          if (known.has(at)) return known.get(at);
          const next = places.find(place => place > at);
          const before = places.findLast(place => place < at);
          if (next === undefined || before === undefined) return null;
          const share = (at - before) / (next - before);
          return known.get(before).map((a, k) => {
            const b = known.get(next)[k];
            return a && b && a.map((x, i) => x + share * (b[i] - x));
          });
        });
      };
      const [{ viewBox }, move] = [data, hand("drag")];
      const at = () => position(ours[slider]);
      placeHands = courseHand({
        stage, layer: find(".course-layer"), viewBox, ghost, path: between, at,
        go: position => {
          ours[slider].querySelector(".noUi-handle, select").focus({ preventScroll: true });
          move(position);
        },
      });
    }

    function playable({ slider, last: end }) {
      const [go, at] = [hand("play"), () => position(ours[slider])];
      const button = Object.assign(document.createElement("button"), { type: "button" });
      button.className = "course-button";
      let running = null;
      const name = (text, label) => {
        button.textContent = text;
        button.title = label;
        button.setAttribute("aria-label", label);
      };
      const stop = () => { clearInterval(running); running = null; name("▶", "play"); };
      button.addEventListener("click", () => {
        if (running !== null) return stop();
        if (at() === end) go(0);
        name("❚❚", "pause");
        running = setInterval(() => {
          if (shown !== state()) return; // the next when this one is there
          if (at() === end || !root.isConnected) stop();
          else go(at() + 1);
        }, Math.max(50, 4000 / end));
      });
      for (const kind of ["pointerdown", "keydown"]) {
        root.addEventListener(kind, ({ target }) => {
          if (target !== button && target.isConnected) stop();
        }, true);
      }
      stop();
      find(".course-reset").before(button);
    }

    if (data.drag) draggable(data.drag);
    if (data.play) playable(data.play);
    const first = layer.querySelector("svg");
    keep(first.dataset.state, Number(first.dataset.age), first.outerHTML);
    watch.observe(layer, { childList: true });
    watch.observe(says, { childList: true });
    accept(first.dataset.state);
    new MutationObserver(records => {
      for (const node of records.flatMap(record => [...record.addedNodes])) {
        if (!node.dataset?.age) continue;
        keep(node.dataset.state, Number(node.dataset.age), node.textContent);
      }
      if (shown !== state() && pictures.has(state())) show(state());
    }).observe(strip, { childList: true });
    const now = { attributeFilter: ["aria-valuenow"], subtree: true };
    for (const control of controls) {
      const heard = control.matches(".course-ours") ? moved : distrust;
      new MutationObserver(heard).observe(control, now);
      for (const kind of ["input", "change"]) control.addEventListener(kind, heard);
    }
  }

  // ipywidgets gives the handles of its sliders no name for who cannot see them, and in
  // Notebook 7 the page would take their arrow keys
  function nameHandles(root) {
    for (const handle of root.querySelectorAll(".noUi-handle")) {
      const label = handle.closest(".widget-inline-hbox")?.querySelector("label");
      if (label) handle.setAttribute("aria-label", label.textContent);
      handle.dataset.lmSuppressShortcuts = "true"; // its arrow keys are its own
    }
  }
})();
