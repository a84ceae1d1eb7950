// Lets a hand take a point in the picture itself, by mouse, pen or finger.
//
// stage, layer: the picture, and in it the element with what moves; viewBox: of both
// ghost: SVG of the point where it starts; path(): for each position of the slider the
// points that can be taken there; at(), go(position): where the slider is, and to move it
// returns what must be called whenever the picture has changed
window.courseHand = ({ stage, layer, viewBox, ghost, path, at, go }) => {
  const SVG = "http://www.w3.org/2000/svg";
  const REACH = 16; // points around the middle: 44 pixels across, enough for a finger
  const make = (name, given) => {
    const made = document.createElementNS(SVG, name);
    Object.entries(given).forEach(([key, value]) => made.setAttribute(key, value));
    return made;
  };
  const hidden = { viewBox, "aria-hidden": "true" }; // the slider says it all
  const start = make("svg", { ...hidden, class: "course-ghost" });
  const hands = make("svg", { ...hidden, class: "course-hands" });
  start.innerHTML = ghost;
  stage.insertBefore(start, layer);
  stage.append(hands);
  let taken = null; // the number of the point, and how far from its middle it is held

  function where(event) {
    const spot = new DOMPoint(event.clientX, event.clientY);
    const { x, y } = spot.matrixTransform(hands.getScreenCTM().inverse());
    return [x, y];
  }

  function nearest([x, y], number) {
    let [best, least] = [at(), Infinity];
    path().forEach((points, position) => {
      const point = points?.[number];
      const far = point ? Math.hypot(point[0] - x, point[1] - y) : Infinity;
      if (far < least) [best, least] = [position, far];
    });
    return best;
  }

  function take(event, number) {
    if (event.button !== 0) return;
    event.preventDefault(); // no words are selected meanwhile
    const [x, y] = where(event);
    const [middle, height] = path()[at()][number];
    taken = { number, off: [x - middle, y - height] };
    event.target.setPointerCapture(event.pointerId);
    stage.classList.add("course-taken");
  }

  function follow(event) {
    if (!taken) return;
    const [x, y] = where(event);
    const position = nearest([x - taken.off[0], y - taken.off[1]], taken.number);
    if (position !== at()) go(position);
  }

  function leave() {
    taken = null;
    stage.classList.remove("course-taken");
  }

  function handle(number) {
    const made = make("circle", { r: REACH });
    made.addEventListener("pointerdown", event => take(event, number));
    made.addEventListener("pointermove", follow);
    const still = event => event.preventDefault(); // a finger does not scroll the page
    made.addEventListener("touchstart", still, { passive: false });
    made.addEventListener("pointerup", leave);
    made.addEventListener("pointercancel", leave);
    hands.append(made);
    return made;
  }

  return () => {
    const points = path()[at()] ?? [];
    while (hands.childNodes.length < points.length) handle(hands.childNodes.length);
    hands.childNodes.forEach((circle, number) => {
      const point = points[number];
      circle.style.display = point ? "" : "none";
      if (point) ["cx", "cy"].forEach((name, i) => circle.setAttribute(name, point[i]));
    });
  };
};
