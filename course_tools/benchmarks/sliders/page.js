// Instruments of a page whose one cell shows a slider and a picture with a mark, whose
// colour says which position of the slider the picture was drawn for.
([slider, picture, margin, size]) => {
  const area = document.querySelector(".jp-Cell-outputArea");
  const handle = area.querySelector(slider);
  const base = handle.closest(".noUi-base");
  const ink = Object.assign(document.createElement("canvas"), { width: 1, height: 1 });
  const pen = ink.getContext("2d", { willReadFrequently: true });
  pen.imageSmoothingEnabled = false;

  const position = () =>
    Math.round(base ? handle.getAttribute("aria-valuenow") : handle.value);

  // the way of a drag from the end where it stands to the other, in so many moves
  function way(moves) {
    const points = placed() ?? ends();
    if (position() !== 0) points.reverse();
    return Array.from({ length: moves + 1 }, (_, n) => {
      const place = n / moves * (points.length - 1);
      const [from, to] = [points[Math.floor(place)], points[Math.ceil(place)]];
      return from.map((x, i) => x + (place % 1) * (to[i] - x));
    });
  }

  // where the middles of the slider's first and last position are; the browser's own
  // slider keeps its button, 16 pixels wide, inside
  function ends() {
    const box = (base ?? handle).getBoundingClientRect();
    const inset = base ? 0 : 8;
    const y = box.top + box.height / 2;
    return [[box.left + inset, y], [box.right - inset, y]];
  }

  // where on the page the middle of the mark is, in the picture's lower left corner
  function mark() {
    const shown = area.querySelector(picture);
    const box = shown.getBoundingClientRect();
    const scale = shown.naturalWidth ? box.width / shown.naturalWidth : 1;
    const inset = (margin + size / 2) * scale;
    return { x: box.left + inset, y: box.bottom - inset };
  }

  // red, green and blue of the mark, as they are painted
  function color(shown) {
    if (shown instanceof SVGElement) {
      const { x, y } = mark();
      const hit = document.elementFromPoint(x, y);
      return shown.contains(hit) ? getComputedStyle(hit).fill.match(/\d+/g) ?? [] : [];
    }
    const from = (shown.naturalHeight ?? shown.height) - margin - size / 2;
    pen.clearRect(0, 0, 1, 1);
    pen.drawImage(shown, margin + size / 2, from, 1, 1, 0, 0, 1, 1);
    return pen.getImageData(0, 0, 1, 1).data;
  }

  // where the point that can be dragged is on the page at each position, if there is one
  function placed() {
    const told = area.querySelector('.course-slider script[type="application/json"]');
    const drag = told && JSON.parse(told.text).drag;
    const toPage = area.querySelector(picture).getScreenCTM?.();
    return drag && drag.points.map(([[x, y]]) => {
      const spot = new DOMPoint(x, y).matrixTransform(toPage);
      return [spot.x, spot.y];
    });
  }

  // the position that the picture shows, or null
  function read() {
    const shown = area.querySelector(picture);
    const [red, green, blue] = shown ? color(shown) : [];
    const marked = Math.abs(+red + +green - 255) < 3 && blue < 3;
    return marked ? Math.round(red / 4) : null;
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
  window.bench = { handle, mark, position, settled, start, stop, way };
}
