// Instruments for one figure of a page: from the hand's event to the frame painted for it.
root => {
  const data = JSON.parse(root.querySelector('script[type="application/json"]').text);
  const layer = root.querySelector(".course-picture svg");
  const input = root.querySelector("input[type=range]");
  const log = [];
  let stamp = null;
  for (const kind of ["pointerdown", "pointermove", "keydown"]) {
    window.addEventListener(kind, event => { stamp = event.timeStamp; },
      { capture: true, passive: true });
  }
  new MutationObserver(() => {
    if (stamp === null) return;
    const since = stamp;
    requestAnimationFrame(() => {
      const { port1, port2 } = new MessageChannel(); // its message comes after the paint
      port1.onmessage = () => { log.push(performance.now() - since); port1.close(); };
      port2.postMessage(null);
    });
  }).observe(layer, { childList: true, subtree: true });

  // a way along the slider, and one along the point that can be dragged, on the page
  function slide() {
    if (!input) return null;
    const box = input.getBoundingClientRect();
    return [0, 1].map(end => [box.left + 8 + end * (box.width - 16), box.top + box.height / 2]);
  }
  function point() {
    if (!data.drag) return null;
    const { slider, points } = data.drag;
    const places = [...root.querySelectorAll(".course-controls :is(input, select)")]
      .map(control => Number(control.value));
    const frame = at => places.with(slider, at).reduce(
      (number, place, k) => number * data.controls[k].texts.length + place, 0);
    const onPage = layer.getScreenCTM();
    const hands = data.controls[slider].texts.map((_, at) => points[frame(at)]?.[0]);
    return hands.filter(Boolean).map(([x, y]) => {
      const spot = new DOMPoint(x, y).matrixTransform(onPage);
      return [spot.x, spot.y];
    });
  }
  window.figure = { input, slide, point, log };
}
