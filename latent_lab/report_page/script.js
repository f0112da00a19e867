"use strict";
(() => {
  const specs = JSON.parse(document.getElementById("charts").textContent);
  const SVG = "http://www.w3.org/2000/svg";
  const LEFT = 46, RIGHT = 14, TOP = 10, BOTTOM = 40, ROW = 46;
  const DASHES = ["", "6 4", "2 3", "8 3 2 3"];
  const short = (value) => Math.abs(value) >= 1e5 || (value && Math.abs(value) < 1e-3)
    ? value.toExponential(1) : String(+value.toPrecision(4));

  function make(name, attributes = {}, text) {
    const node = name === "svg" || make.within.has(name)
      ? document.createElementNS(SVG, name) : document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text !== undefined) node.textContent = text; // never markup
    return node;
  }
  make.within = new Set(["path", "line", "text", "circle", "g"]);

  // Sorting: numbers first by data-by, else by text; cells without a figure stay last either way.
  function sort(button) {
    const head = button.closest("th"), column = head.cellIndex, body = head.closest("table").tBodies[0];
    const down = head.getAttribute("aria-sort") === "none" || !head.hasAttribute("aria-sort")
      ? head.classList.contains("number") : head.getAttribute("aria-sort") === "ascending";
    for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const numeric = head.classList.contains("number");
    const rows = [...body.rows].map((row) => ({ row, cell: row.cells[column] }));
    const key = ({ cell }) => numeric ? (cell.dataset.by === undefined ? null : +cell.dataset.by) : cell.textContent;
    rows.sort((one, other) => {
      const a = key(one), b = key(other);
      if (a === null || b === null) return (a === null) - (b === null);
      const order = numeric ? a - b : a.localeCompare(b, undefined, { numeric: true });
      return down ? -order : order;
    });
    body.append(...rows.map(({ row }) => row));
  }

  async function copy(button) {
    const code = button.parentNode.querySelector("code");
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "copied";
    } catch { // not allowed here: it is selected, to be copied by hand
      getSelection().selectAllChildren(code);
      button.textContent = "selected";
    }
    setTimeout(() => { button.textContent = "copy"; }, 1500);
  }

  function ticksOf(axis, most) {
    const [low, high] = axis.range;
    if (axis.ticks) return axis.ticks.filter((tick) => tick >= low && tick <= high);
    const raw = (high - low) / most, power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= raw);
    const found = [];
    for (let tick = Math.ceil(low / step) * step; tick <= high + step * 1e-9; tick += step) found.push(+tick.toPrecision(12));
    return found;
  }

  const SCALES = {
    linear: (value) => value,
    rows: (value) => value,
    log: (value) => Math.log(value),
    error: (value) => -Math.log(Math.max(100 - value, 0.01)),
  };

  function place(axis, from, to) {
    const scale = SCALES[axis.scale], [low, high] = axis.range.map(scale);
    return (value) => from + (scale(value) - low) / (high - low || 1) * (to - from);
  }

  function marker(kind, x, y, attributes) {
    const size = 4.2, at = (dx, dy) => `${x + dx * size} ${y + dy * size}`;
    const shapes = {
      square: `M${at(-1, -1)}L${at(1, -1)}L${at(1, 1)}L${at(-1, 1)}Z`,
      triangle: `M${at(0, -1.3)}L${at(1.2, 1)}L${at(-1.2, 1)}Z`,
      cross: `M${at(-1, -1)}L${at(1, 1)}M${at(-1, 1)}L${at(1, -1)}`,
    };
    if (kind === "circle") return make("circle", { cx: x, cy: y, r: size, ...attributes });
    return make("path", { d: shapes[kind], ...attributes });
  }

  const colourOf = (series) => series.colour < 0 ? "var(--soft)" : `var(--s${series.colour})`;

  function legend(spec) {
    const list = make("ul", { class: "legend" });
    const quoted = spec.series.filter((series) => series.colour < 0); // all grey: their names are said at their points
    const listed = quoted.length < 2 ? spec.series
      : [...spec.series.filter((series) => series.colour >= 0), { ...quoted[0], name: "published (point at one)" }];
    for (const series of listed) {
      const item = make("li"), key = make("svg", { viewBox: "0 0 26 12", "aria-hidden": "true" }), colour = colourOf(series);
      if (series.line) key.append(make("line", { x1: 0, x2: 26, y1: 6, y2: 6, stroke: colour, "stroke-width": 2,
        "stroke-dasharray": DASHES[series.dash % 4] }));
      if (series.marker) key.append(marker(series.marker, 13, 6, { fill: colour, stroke: colour }));
      item.append(key, series.name);
      list.append(item);
    }
    return list;
  }

  class Chart {
    constructor(figure) {
      this.figure = figure;
      this.spec = specs[+figure.dataset.chart];
      this.svg = make("svg", { tabindex: 0, role: "img", "aria-label": this.spec.title });
      this.tip = make("div", { class: "tip", hidden: "" });
      this.said = make("div", { class: "command" });
      this.code = make("code", {}, "point at a value: here stands the command that makes it");
      this.said.append(this.code, make("button", { type: "button", hidden: "" }, "copy"));
      const many = this.spec.series.length > 1;
      figure.append(make("figcaption", {}, this.spec.title), this.svg, ...(many ? [legend(this.spec)] : []), this.said, this.tip);
      this.svg.addEventListener("pointermove", (event) => this.near(event));
      this.svg.addEventListener("pointerdown", (event) => this.near(event));
      this.svg.addEventListener("pointerleave", () => { this.tip.hidden = true; });
      this.svg.addEventListener("blur", () => { this.tip.hidden = true; });
      this.svg.addEventListener("keydown", (event) => this.step(event));
      this.width = 0;
      this.draw();
      new ResizeObserver(() => this.draw()).observe(figure);
    }

    draw() {
      const width = Math.floor(this.figure.clientWidth), { x, y, series, lines } = this.spec;
      if (!width || width === this.width) return; // folded away, or as it is
      this.width = width;
      const rows = y.scale === "rows";
      const left = rows ? 8 : LEFT;
      const height = rows ? TOP + ROW * y.names.length + BOTTOM - 14 : Math.min(420, Math.max(240, width * 0.5));
      const bottom = height - BOTTOM + (rows ? 14 : 0);
      this.svg.replaceChildren();
      this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
      this.svg.setAttribute("height", height);
      const add = (name, attributes, text) => this.svg.appendChild(make(name, attributes, text));
      const px = place(x, left, width - RIGHT), py = rows ? (at) => TOP + ROW * (at + 0.68) : place(y, bottom, TOP);
      for (const tick of ticksOf(x, width / 80)) {
        add("line", { class: "grid", x1: px(tick), x2: px(tick), y1: TOP, y2: bottom });
        add("text", { x: px(tick), y: bottom + 16, "text-anchor": "middle" }, short(tick));
      }
      let free = Infinity;
      for (const tick of rows ? [] : ticksOf(y, height / 50)) {
        add("line", { class: "grid", x1: left, x2: width - RIGHT, y1: py(tick), y2: py(tick) });
        if (free - py(tick) < 15) continue; // there is a number already
        add("text", { x: left - 6, y: py(tick) + 4, "text-anchor": "end" }, short(tick));
        free = py(tick);
      }
      if (rows) y.names.forEach((name, at) => {
        add("line", { class: "grid", x1: left, x2: width - RIGHT, y1: py(at), y2: py(at) });
        add("text", { class: "name", x: left, y: py(at) - 12 }, name.length > width / 7 ? `${name.slice(0, width / 7)}…` : name);
      });
      if (x.label) add("text", { x: (left + width - RIGHT) / 2, y: height - 4, "text-anchor": "middle" }, x.label);
      if (y.label) add("text", { x: -(TOP + bottom) / 2, y: 11, transform: "rotate(-90)", "text-anchor": "middle" }, y.label);
      let above = -Infinity; // where the last name stands, on which the next must not
      for (const [name, value] of [...lines].sort((one, other) => py(one[1]) - py(other[1]))) {
        add("line", { class: "mark", x1: left, x2: width - RIGHT, y1: py(value), y2: py(value) });
        above = Math.max(py(value) - 4, above + 13);
        add("text", { x: width - RIGHT, y: above, "text-anchor": "end" }, name);
      }
      this.points = [];
      this.frame = { top: TOP, bottom };
      // what lies beyond the axes leaves the frame, and no mark stands at its edge instead
      const inside = add("svg", { x: left, y: TOP, width: width - RIGHT - left, height: bottom - TOP,
        viewBox: `${left} ${TOP} ${width - RIGHT - left} ${bottom - TOP}` });
      Object.assign(inside.style, { width: `${width - RIGHT - left}px`, height: `${bottom - TOP}px` });
      const most = Math.min(9, 60 / series.length); // pixels, by which error bars of one place stand apart
      series.forEach((one, number) => {
        const stroke = colourOf(one), aside = rows || x.scale !== "log" ? 0 : (number - (series.length - 1) / 2) * most / 2;
        const at = one.points.map((point) => ({ x: px(point[0]) + aside, y: py(point[1]), point, series: one }));
        if (one.line) inside.append(make("path", { class: "curve", stroke, "stroke-dasharray": DASHES[one.dash % 4],
          d: at.map((p, first) => `${first ? "L" : "M"}${p.x.toFixed(1)} ${p.y.toFixed(1)}`).join("") }));
        for (const { x: cx, y: cy, point } of at) {
          const [vx, vy, deviation] = point;
          if (deviation !== null && deviation !== undefined) {
            const ends = rows ? [px(vx - deviation), px(vx + deviation)] : [py(vy - deviation), py(vy + deviation)];
            inside.append(make("line", rows ? { class: "bar", stroke, x1: ends[0], x2: ends[1], y1: cy, y2: cy }
              : { class: "bar", stroke, x1: cx, x2: cx, y1: ends[0], y2: ends[1] }));
          }
          if (one.marker && this.shows(cy)) this.svg.append(marker(one.marker, cx, cy, { fill: stroke, stroke }));
        }
        this.points.push(...at);
      });
      this.ring = add("circle", { class: "ring", r: 8, cx: -20, cy: -20 });
      this.at = -1;
    }

    shows(y) {
      return y >= this.frame.top - 0.5 && y <= this.frame.bottom + 0.5;
    }

    near(event) {
      const box = this.svg.getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top;
      let best = -1, least = Infinity;
      this.points.forEach((point, number) => {
        const distance = (point.x - x) ** 2 + (point.y - y) ** 2;
        if (distance < least) [best, least] = [number, distance];
      });
      this.show(best);
    }

    step(event) {
      const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!by) return;
      event.preventDefault();
      this.show(Math.min(this.points.length - 1, Math.max(0, this.at + by)));
    }

    show(number) {
      const { x, y, point, series } = this.points[number], { x: axis, y: up, commands } = this.spec;
      this.at = number;
      const seen = this.shows(y), at = Math.min(this.frame.bottom, Math.max(this.frame.top, y));
      this.ring.setAttribute("visibility", seen ? "visible" : "hidden");
      this.ring.setAttribute("cx", x);
      this.ring.setAttribute("cy", y);
      const name = up.scale === "rows" ? up.names[point[1]] : series.name;
      const value = point[3] ?? short(point[1]);
      this.tip.textContent = up.scale === "rows" ? `${name}: ${value}`
        : `${name}: ${value} at ${short(point[0])} ${axis.label}${seen ? "" : ", beyond the axis"}`;
      this.tip.hidden = false;
      const box = this.svg.getBoundingClientRect(), room = document.documentElement.clientWidth - 8;
      const aside = Math.min(box.left + x + 12, room - this.tip.offsetWidth);
      this.tip.style.left = `${Math.max(4, aside) + scrollX}px`;
      this.tip.style.top = `${box.top + scrollY + at - this.tip.offsetHeight - 12}px`;
      const known = point[4] !== null && point[4] !== undefined;
      this.code.textContent = known ? commands[point[4]] : "published; the table says where";
      this.said.querySelector("button").hidden = !known;
    }
  }

  for (const figure of document.querySelectorAll("[data-chart]")) new Chart(figure);
  for (const film of document.querySelectorAll(".film")) {
    const slider = film.querySelector("input"), frames = [...film.querySelectorAll("img")];
    if (!slider) continue;
    slider.hidden = false;
    slider.addEventListener("input", () => {
      frames.forEach((frame, number) => { frame.hidden = number !== +slider.value; });
      film.querySelector("output").textContent = frames[+slider.value].dataset.says;
    });
    slider.value = frames.length - 1; // a browser may remember another
  }
  for (const choice of document.querySelectorAll(".switched")) {
    const select = choice.querySelector("select"), shown = [...choice.children].slice(1);
    select.addEventListener("change", () => shown.forEach((part, number) => { part.hidden = number !== +select.value; }));
    select.value = "0";
  }
  for (const grid of document.querySelectorAll(".confusion")) {
    const said = grid.closest("figure").querySelector("output");
    for (const type of ["pointerover", "click"]) grid.addEventListener(type, (event) => {
      if (event.target.dataset.says) said.textContent = event.target.dataset.says;
    });
  }

  // A picture in full size, or larger where the screen has room; a click or the escape key closes it.
  function enlarge(picture) {
    const dialog = make("dialog", { class: "full", "aria-label": picture.alt });
    const { naturalWidth: width, naturalHeight: height } = picture;
    const { clientWidth: across, clientHeight: down } = document.documentElement;
    const times = Math.max(1, Math.min(across / width, down / height));
    dialog.append(make("img", { src: picture.src, alt: picture.alt, width: Math.floor(times * width) }));
    dialog.addEventListener("click", () => dialog.close());
    dialog.addEventListener("close", () => dialog.remove());
    document.body.append(dialog);
    dialog.showModal();
  }

  for (const picture of document.querySelectorAll("figure img")) {
    picture.tabIndex = 0;
    picture.addEventListener("keydown", (event) => { if (event.key === "Enter") enlarge(picture); });
  }
  document.addEventListener("click", (event) => {
    if (event.target.matches("figure img")) enlarge(event.target);
    const button = event.target.closest("button");
    if (!button) return;
    if (button.closest("th")) sort(button);
    else if (button.parentNode.classList.contains("command")) copy(button);
  });
})();
