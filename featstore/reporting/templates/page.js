// The report's controls: theme, lists of images, confusion matrix, heat maps, map and files to save.
//
// It shows texts that were made by featstore and computes no figure. Names go in by textContent only.
//
// What other programs, such as tests, may rely on:
//   #page-data, #page-figures  JSON: the images as the map and the lists have them; all that `--json` prints
//   #theme                    button; :root[data-theme] is "light", "dark" or absent for that of the system
//   #matrix .cell             buttons with data-label and data-answer (numbers of classes), data-n, aria-pressed
//   #confusion-list, #map-list  what was chosen: h3, ul.cards, .more, .save; hidden while nothing is
//   .card[data-image]         an image; the number is its place in the lists of #page-data
//   #wrong, #unsure           the galleries; #heat switches heat maps (:root.without-heat)
//   #map-canvas               the map; its data-drawn counts the drawings
//   #map-colour, #map-wrong, #map-lasso, #map-legend button[data-name], #map-hover
//   #filter                   form with #filter-label, #filter-answer, #filter-split, #filter-wrong
//   #status                   what was done, for screen readers
"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const data = JSON.parse($("page-data").textContent);
  const number = data.path.length;
  const all = Array.from({ length: number }, (_, i) => i);
  const isWrong = (i) => data.label[i] >= 0 && data.label[i] !== data.answer[i];
  const name = (names, place) => (place < 0 ? "none" : names[place]);
  const say = (text) => { $("status").textContent = text; };

  function make(tag, text = "", className = "") {
    const element = document.createElement(tag);
    element.textContent = text;
    element.className = className;
    return element;
  }

  function press(button, isPressed) {
    button.setAttribute("aria-pressed", String(isPressed));
  }

  function isPressed(button) {
    return button.getAttribute("aria-pressed") === "true";
  }

  // Theme: that of the system, light, dark.

  const themes = [["", "as the system"], ["light", "light"], ["dark", "dark"]];

  function setTheme(theme) {
    if (theme) document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
    $("theme").querySelector("span").textContent = themes.find(([key]) => key === theme)[1];
    map.draw();
  }

  function nextTheme() {
    const now = document.documentElement.dataset.theme ?? "";
    const place = themes.findIndex(([key]) => key === now);
    setTheme(themes[(place + 1) % themes.length][0]);
  }

  // Cards: images with what is known of them.

  function tile(kind, i) {
    const sprite = data.tiles[kind];
    if (!sprite || sprite.places[i] < 0) return null;
    const [column, row] = [sprite.places[i] % sprite.columns, Math.floor(sprite.places[i] / sprite.columns)];
    return make("span", "", `tile ${kind} ${kind[0]}x${column} ${kind[0]}y${row}`);
  }

  function card(i) {
    const element = $("card").content.querySelector(".card").cloneNode(true);
    const part = (of) => element.querySelector(`.${of}`);
    element.dataset.image = i;
    const picture = tile("large", i) ?? tile("small", i);
    if (picture) {
      part("picture").append(picture, ...[tile("heat", i)].filter(Boolean));
      part("picture").setAttribute("aria-label", data.path[i]);
    } else part("picture").remove();
    part("answer").append(label(data.answer[i]), ` ${data.probability[i]}`);
    part("truth").append(...truth(i));
    part("path").append(...data.path[i].split("/").flatMap((text, k) => [k ? "/" : "", make("bdi", text)]));
    return element;
  }

  const label = (place) => make("bdi", data.classes[place]);

  function truth(i) {
    if (data.label[i] < 0) return ["no label", ...doubts(i)];
    if (!isWrong(i)) return ["labelled so", ...doubts(i)];
    const cross = make("span", "✕", "cross");
    cross.setAttribute("aria-hidden", "true");
    return [cross, " labelled ", label(data.label[i]), ` ${data.ofLabel[i]}`, ...doubts(i)];
  }

  function doubts(i) {
    const [, ...others] = data.answers[i];
    if (!others.length) return [];
    if (others.length > 2) return [`; one of ${data.answers[i].length} classes`];
    return others.flatMap((place, k) => [k ? ", " : "; may be ", label(place)]);
  }

  // Lists of chosen images, a page of cards at a time.

  const PAGE = 48;

  function list(panel, title, places) {
    panel.replaceChildren(make("h3", title));
    panel.hidden = false;
    const cards = make("ul", "", "cards");
    const more = make("button", "", "control more");
    const save = make("button", "Save the list as CSV", "control save");
    const buttons = make("p", "", "controls");
    more.type = save.type = "button";
    let shown = 0;
    const showMore = () => {
      cards.append(...places.slice(shown, shown + PAGE).map(card));
      shown = Math.min(shown + PAGE, places.length);
      more.hidden = shown === places.length;
      more.textContent = `Show more: ${places.length - shown} are left`;
    };
    more.addEventListener("click", showMore);
    save.addEventListener("click", () => saveList(places));
    showMore();
    buttons.append(more, save);
    panel.append(cards, ...(places.length ? [buttons] : []));
    say(title);
  }

  const counted = (n) => `${n} ${n === 1 ? "image" : "images"}`;

  // Files: made here and saved by a link to a blob, so nothing is sent or loaded.

  function save(file, type, text) {
    const link = make("a");
    link.href = URL.createObjectURL(new Blob([text], { type }));
    link.download = file;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }

  // A spreadsheet would take a text that begins like this for a formula.
  // A sign before plain words or a number is none: the class -1 stays -1, as in what the command line writes.
  const formula = /^[=+\-@\t\r\n']/;
  const signed = /^[+-][\p{L}\p{N}_ .,/-]*$/u;
  const csvCell = (text) => `"${(formula.test(text) && !signed.test(text) ? `'${text}` : text).replaceAll('"', '""')}"`;

  function saveList(places) {
    const header = ["path", "split", "label", "answer", "probability"];
    const rows = places.map((i) => [
      data.path[i],
      data.split[i] < 0 ? "" : data.splits[data.split[i]],
      data.label[i] < 0 ? "" : data.classes[data.label[i]],
      data.classes[data.answer[i]],
      data.probability[i],
    ]);
    save("images.csv", "text/csv", [header, ...rows].map((row) => row.map(csvCell).join(",")).join("\r\n") + "\r\n");
  }

  // The confusion matrix.

  function chooseCell(button) {
    const [label, answer] = [Number(button.dataset.label), Number(button.dataset.answer)];
    const split = data.splits.indexOf($("matrix").dataset.split);
    const wasPressed = isPressed(button);
    document.querySelectorAll("#matrix .cell").forEach((other) => press(other, other === button && !wasPressed));
    $("confusion-list").hidden = wasPressed;
    if (wasPressed) return;
    const places = all.filter((i) => data.split[i] === split && data.label[i] === label && data.answer[i] === answer);
    const counts = Number(button.dataset.n) === places.length ? counted(places.length) : `${places.length} of ${counted(Number(button.dataset.n))}, a sample`;
    list($("confusion-list"), `${data.classes[label]} answered ${data.classes[answer]}: ${counts}`, places);
  }

  // The map.

  const SHAPES = [
    "M-1 0A1 1 0 1 0 1 0A1 1 0 1 0-1 0Z", // circle
    "M-.9-.9H.9V.9H-.9Z", // square
    "M0-1.15L1.05.8H-1.05Z", // triangle
    "M0-1.25L1.25 0L0 1.25L-1.25 0Z", // diamond
    "M0 1.15L1.05-.8H-1.05Z", // triangle, point down
    "M-.35-1.1H.35V-.35H1.1V.35H.35V1.1H-.35V.35H-1.1V-.35H-.35Z", // plus
    "M-1.1 0L-.3-.3L0-1.1L.3-.3L1.1 0L.3.3L0 1.1L-.3.3Z", // star
  ].map((path) => ({ path, shape: new Path2D(path) }));
  const COLOURS = 7;
  const GREY = 7; // the colour of what has no name

  function marker(place) {
    if (place < 0) return { colour: GREY, shape: 0 };
    return { colour: place % COLOURS, shape: (place + Math.floor(place / COLOURS)) % SHAPES.length };
  }

  class ImageMap {
    constructor(canvas) {
      this.canvas = canvas;
      this.by = "label";
      this.only = null; // the name in the legend that is shown alone
      this.at = -1; // the image that is pointed at
      this.mouse = ""; // where it was last
      this.lasso = [];
      this.drawn = 0;
      canvas.addEventListener("pointermove", (event) => this.move(event));
      canvas.addEventListener("pointerdown", (event) => this.press(event));
      canvas.addEventListener("pointerup", () => this.release());
      canvas.addEventListener("pointercancel", () => { this.lasso = []; this.draw(); });
      canvas.addEventListener("pointerleave", () => { if (!this.lasso.length) this.point(-1); });
      canvas.addEventListener("keydown", (event) => this.key(event));
      canvas.addEventListener("blur", () => this.point(-1));
      new ResizeObserver(() => this.draw()).observe(canvas);
    }

    names() {
      return { label: data.classes, answer: data.classes, split: data.splits }[this.by];
    }

    isDimmed(i) {
      return this.only !== null && data[this.by][i] !== this.only;
    }

    colour(by) {
      this.by = by;
      this.only = null;
      this.legend();
      this.draw();
    }

    legend() {
      const used = [...new Set(data[this.by])].sort((a, b) => a - b);
      $("map-legend").replaceChildren(...used.map((place) => {
        const { colour, shape } = marker(place);
        const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
        const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
        svg.setAttribute("viewBox", "-1.5 -1.5 3 3");
        svg.setAttribute("class", `k${colour}`);
        svg.setAttribute("aria-hidden", "true");
        path.setAttribute("d", SHAPES[shape].path);
        path.setAttribute("fill", "currentColor");
        svg.append(path);
        const button = make("button");
        button.type = "button";
        button.dataset.name = place;
        button.append(svg, make("bdi", name(this.names(), place)));
        press(button, false);
        button.addEventListener("click", () => {
          this.only = this.only === place ? null : place;
          for (const other of $("map-legend").querySelectorAll("button")) press(other, Number(other.dataset.name) === this.only);
          this.draw();
        });
        const item = make("li");
        item.append(button);
        return item;
      }));
    }

    place(i) {
      const room = 14;
      const { clientWidth: width, clientHeight: height } = this.canvas;
      return [room + data.x[i] * (width - 2 * room), height - room - data.y[i] * (height - 2 * room)];
    }

    // Colours are read from the page, which knows the theme.
    palette() {
      return Array.from({ length: COLOURS + 1 }, (_, i) => {
        const probe = make("i", "", `k${i} probe`);
        this.canvas.parentElement.append(probe);
        const colour = getComputedStyle(probe).color;
        probe.remove();
        return colour;
      });
    }

    draw() {
      const { canvas } = this;
      const { clientWidth: width, clientHeight: height } = canvas;
      if (!width) return;
      const scale = window.devicePixelRatio || 1;
      canvas.width = width * scale;
      canvas.height = height * scale;
      const context = canvas.getContext("2d");
      context.scale(scale, scale);
      const palette = this.palette();
      const ink = getComputedStyle(canvas).color;
      const radius = Math.max(2.6, Math.min(5, 120 / Math.sqrt(number)));
      const dimmedFirst = [...all].sort((a, b) => this.isDimmed(b) - this.isDimmed(a));
      for (const i of dimmedFirst) {
        const { colour, shape } = marker(data[this.by][i]);
        const [x, y] = this.place(i);
        context.globalAlpha = this.isDimmed(i) ? 0.15 : 0.85;
        context.save();
        context.translate(x, y);
        context.scale(radius, radius);
        context.fillStyle = palette[colour];
        context.fill(SHAPES[shape].shape);
        context.restore();
      }
      context.globalAlpha = 1;
      context.strokeStyle = ink;
      if (isPressed($("map-wrong"))) all.filter((i) => isWrong(i) && !this.isDimmed(i)).forEach((i) => this.ring(context, i, radius + 2.5, 1.4));
      if (this.at >= 0) this.ring(context, this.at, radius + 4, 2.5);
      if (this.lasso.length) {
        context.setLineDash([5, 4]);
        context.beginPath();
        this.lasso.forEach(([x, y]) => context.lineTo(x, y));
        context.closePath();
        context.stroke();
      }
      this.drawn += 1;
      canvas.dataset.drawn = this.drawn;
    }

    ring(context, i, radius, width) {
      const [x, y] = this.place(i);
      context.lineWidth = width;
      context.beginPath();
      context.arc(x, y, radius, 0, 2 * Math.PI);
      context.stroke();
    }

    nearest(x, y, most) {
      let [best, distance] = [-1, most];
      for (const i of all) {
        if (this.isDimmed(i)) continue;
        const [a, b] = this.place(i);
        const d = Math.hypot(a - x, b - y);
        if (d < distance) [best, distance] = [i, d];
      }
      return best;
    }

    // Show the image that is pointed at, next to its dot and inside the map.
    point(i) {
      const hover = $("map-hover");
      hover.hidden = i < 0;
      if (i === this.at) return;
      this.at = i;
      if (i >= 0) {
        const list = make("ul", "", "cards one");
        list.append(card(i));
        hover.replaceChildren(list);
        const [x, y] = this.place(i);
        const { clientWidth: width, clientHeight: height } = this.canvas;
        hover.style.left = `${x + 14 + hover.offsetWidth > width ? Math.max(0, x - 14 - hover.offsetWidth) : x + 14}px`;
        hover.style.top = `${Math.max(0, Math.min(y - 20, height - hover.offsetHeight))}px`;
      }
      this.draw();
    }

    move(event) {
      if (this.lasso.length) {
        this.lasso.push([event.offsetX, event.offsetY]);
        this.draw();
        return;
      }
      const mouse = `${event.clientX} ${event.clientY}`;
      if (mouse !== this.mouse) this.point(this.nearest(event.offsetX, event.offsetY, 14));
      this.mouse = mouse; // the same place again: the page moved below the mouse
    }

    press(event) {
      const isMouse = event.pointerType === "mouse" && event.button === 0;
      if (!isMouse && !isPressed($("map-lasso"))) {
        this.point(this.nearest(event.offsetX, event.offsetY, 24));
        return;
      }
      this.canvas.setPointerCapture(event.pointerId);
      this.lasso = [[event.offsetX, event.offsetY]];
    }

    release() {
      const lasso = this.lasso;
      this.lasso = [];
      this.draw();
      if (lasso.length < 4) {
        if (this.at >= 0 && lasso.length) list($("map-list"), "1 image from the map", [this.at]);
        return;
      }
      const inside = all.filter((i) => !this.isDimmed(i) && isInside(this.place(i), lasso));
      list($("map-list"), `${counted(inside.length)} from the map`, inside);
    }

    key(event) {
      const directions = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
      const direction = directions[event.key];
      if (direction) {
        event.preventDefault();
        this.point(this.at < 0 ? this.nearest(this.canvas.clientWidth / 2, this.canvas.clientHeight / 2, Infinity) : this.next(direction));
        if (this.at >= 0) say($("map-hover").textContent);
      } else if (event.key === "Enter" && this.at >= 0) list($("map-list"), "1 image from the map", [this.at]);
      else if (event.key === "Escape") this.point(-1);
    }

    // The nearest image within 45 degrees of a direction; the same one if there is none.
    next([dx, dy]) {
      const [x, y] = this.place(this.at);
      let [best, distance] = [this.at, Infinity];
      for (const i of all) {
        const [a, b] = this.place(i);
        const along = (a - x) * dx + (b - y) * dy;
        const across = Math.abs((a - x) * dy) + Math.abs((b - y) * dx);
        const d = Math.hypot(along, across);
        if (i !== this.at && !this.isDimmed(i) && along > 0 && along >= across && d < distance) [best, distance] = [i, d];
      }
      return best;
    }
  }

  function isInside([x, y], polygon) {
    let inside = false;
    polygon.forEach(([x1, y1], k) => {
      const [x2, y2] = polygon[(k || polygon.length) - 1];
      if (y1 > y !== y2 > y && x < ((x2 - x1) * (y - y1)) / (y2 - y1) + x1) inside = !inside;
    });
    return inside;
  }

  // The form that lists images without the map.

  function fill(select, names) {
    names.forEach((text, place) => select.append(new Option(text, place)));
  }

  function filter(event) {
    event.preventDefault();
    const wanted = ["label", "answer", "split"].map((field) => [field, $(`filter-${field}`).value]).filter(([, value]) => value !== "");
    const places = all.filter((i) => wanted.every(([field, value]) => data[field][i] === Number(value)) && (!$("filter-wrong").checked || isWrong(i)));
    list($("map-list"), counted(places.length), places);
  }

  // Printing: all that can be opened is open, and the theme is light.

  let before = null;
  window.addEventListener("beforeprint", () => {
    before = { theme: document.documentElement.dataset.theme ?? "", closed: [...document.querySelectorAll("details:not([open])")] };
    before.closed.forEach((details) => { details.open = true; });
    setTheme("light");
  });
  window.addEventListener("afterprint", () => {
    before.closed.forEach((details) => { details.open = false; });
    setTheme(before.theme);
  });

  document.documentElement.classList.add("with-script"); // shows what would do nothing without
  const map = new ImageMap($("map-canvas"));
  map.legend();
  $("theme").addEventListener("click", nextTheme);
  $("map-colour").addEventListener("change", (event) => map.colour(event.target.value));
  for (const id of ["map-wrong", "map-lasso"]) {
    $(id).addEventListener("click", () => {
      press($(id), !isPressed($(id)));
      map.canvas.classList.toggle("lasso", isPressed($("map-lasso")));
      map.draw();
    });
  }
  fill($("filter-label"), data.classes);
  fill($("filter-answer"), data.classes);
  fill($("filter-split"), data.splits);
  $("filter").addEventListener("submit", filter);
  document.querySelectorAll("#matrix .cell").forEach((button) => button.addEventListener("click", () => chooseCell(button)));
  $("heat")?.addEventListener("click", () => {
    press($("heat"), !isPressed($("heat")));
    document.documentElement.classList.toggle("without-heat", !isPressed($("heat")));
  });
  $("save-figures").addEventListener("click", () => save("report.json", "application/json", $("page-figures").textContent));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => map.draw());
})();
