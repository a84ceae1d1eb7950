// Instruments of a page whose one cell shows a slider and a picture with a barcode.
([slider, picture, margin, square, squares]) => {
  const area = document.querySelector(".jp-Cell-outputArea");
  const handle = area.querySelector(slider);
  const base = handle.closest(".noUi-base");
  const ink = Object.assign(document.createElement("canvas"), { width: squares, height: 1 });
  const pen = ink.getContext("2d", { willReadFrequently: true });
  pen.imageSmoothingEnabled = false; // one pixel from the middle of each square

  const position = () =>
    Math.round(base ? handle.getAttribute("aria-valuenow") : handle.value);

  // where the middles of the slider's first and last position are; the browser's own
  // slider keeps its button, 16 pixels wide, inside
  function ends() {
    const box = (base ?? handle).getBoundingClientRect();
    const inset = base ? 0 : 8;
    const y = box.top + box.height / 2;
    return [[box.left + inset, y], [box.right - inset, y]];
  }

  function barcode() {
    const shown = area.querySelector(picture);
    const box = shown.getBoundingClientRect();
    const scale = shown.naturalWidth ? box.width / shown.naturalWidth : 1;
    const height = square * scale;
    const [x, y] = [box.left + margin * scale, box.bottom - margin * scale - height];
    return { x, y, width: squares * height, height };
  }

  // true for black, false for white, null for whatever is neither or not there
  function colors(shown) {
    if (shown instanceof SVGElement) {
      const { x, y, height } = barcode();
      const known = { "rgb(0, 0, 0)": true, "rgb(255, 255, 255)": false };
      return Array.from({ length: squares }, (_, k) => {
        const hit = document.elementFromPoint(x + (k + 0.5) * height, y + height / 2);
        return shown.contains(hit) ? known[getComputedStyle(hit).fill] ?? null : null;
      });
    }
    const from = shown.naturalHeight ?? shown.height;
    pen.clearRect(0, 0, squares, 1);
    pen.drawImage(shown, margin, from - margin - square, squares * square, square,
      0, 0, squares, 1);
    const { data } = pen.getImageData(0, 0, squares, 1);
    return Array.from({ length: squares }, (_, k) => {
      const [level, opaque] = [data[4 * k], data[4 * k + 3]];
      return opaque < 250 || (level > 80 && level < 175) ? null : level <= 80;
    });
  }

  // the position that the picture shows, or null
  function read() {
    const shown = area.querySelector(picture);
    if (!shown) return null;
    const bits = colors(shown);
    if (bits.includes(null) || !bits[0] || !bits.at(-1)) return null;
    return bits.slice(1, -1).reduce((value, bit) => 2 * value + bit, 0);
  }

  let log = null, stamp = 0, chosen = null, seen = null, height = 0;
  const input = event => { stamp = event.timeStamp; };
  for (const kind of ["pointerdown", "pointermove", "keydown"]) {
    window.addEventListener(kind, input, { capture: true, passive: true });
  }
  function choose() {
    if (position() === chosen) return;
    chosen = position();
    log?.chosen.push([chosen, stamp]);
  }
  handle.addEventListener("input", choose);
  new MutationObserver(choose).observe(handle, { attributeFilter: ["aria-valuenow"] });

  function frame(own) {
    if (log !== own) return;
    const now = read();
    if (now === null) log.blank += 1;
    if (area.offsetHeight !== height) log.jumps += 1;
    if (now !== seen && now !== null) {
      const { port1, port2 } = new MessageChannel(); // its message comes after the paint
      port1.onmessage = () => { own.shown.push([now, performance.now()]); port1.close(); };
      port2.postMessage(null);
    }
    [seen, height] = [now ?? seen, area.offsetHeight];
    requestAnimationFrame(() => frame(own));
  }

  function start() {
    const own = log = { chosen: [], shown: [], blank: 0, jumps: 0 };
    [chosen, seen, height] = [position(), read(), area.offsetHeight];
    requestAnimationFrame(() => frame(own));
  }

  function stop() {
    const done = log;
    log = null;
    return done;
  }

  const settled = () => read() === position();
  window.bench = { barcode, ends, handle, position, settled, start, stop };
}
