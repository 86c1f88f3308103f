"use strict";
// Works on the page that it is in and asks for nothing else. Texts enter as text, never as HTML.
(() => {
  const root = document.documentElement;
  const THEMES = ["system", "light", "dark"];
  const STEP = 200; // rows that are made at once
  const [NAME, LABEL, SCORE, LENGTH, STATE, TARGET, RIGHT, CARD, MORE] = [0, 1, 2, 3, 4, 5, 6, 7, 8];
  let theme = "system";

  function remember(value) {
    try {
      localStorage.setItem("actcli-report-theme", value);
    } catch { /* files may have no storage */ }
  }

  function useTheme(value) {
    theme = THEMES.includes(value) ? value : "system";
    if (theme === "system") delete root.dataset.theme;
    else root.dataset.theme = theme;
  }

  try {
    useTheme(localStorage.getItem("actcli-report-theme"));
  } catch { /* as above */ }

  function make(name, attributes, ...children) {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes || {})) {
      if (value !== null && value !== undefined) element.setAttribute(key, value);
    }
    element.append(...children);
    return element;
  }

  // A name that may be broken after its slashes and underlines.
  function breakable(text) {
    const name = make("bdi");
    text.split(/(?<=[/\\_])/).forEach((piece, i) => name.append(...(i ? [make("wbr")] : []), piece));
    return name;
  }

  const percent = (value) => (value === null ? "–" : `${(100 * value).toFixed(1)}\u202f%`);

  function seconds(value) {
    if (value === null) return "–";
    const tenths = Math.round(value * 10);
    if (tenths < 600) return `${(tenths / 10).toFixed(1)}\u202fs`;
    const minutes = Math.floor(tenths / 600);
    const rest = tenths - 600 * minutes;
    if (minutes < 60) return `${minutes}:${(rest / 10).toFixed(1).padStart(4, "0")}`;
    const two = (number) => String(number).padStart(2, "0");
    return `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${two(Math.floor(rest / 10))}`;
  }

  const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });

  // What is missing comes last, whichever way is sorted.
  function compare(a, b, down) {
    const noA = a === null || a === "";
    const noB = b === null || b === "";
    if (noA || noB) return noA - noB;
    const order = typeof a === "number" && typeof b === "number" ? a - b : collator.compare(a, b);
    return down ? -order : order;
  }

  // Marks the clicked column and says whether it is sorted downwards now.
  function turn(head) {
    const before = head.getAttribute("aria-sort");
    const down = before ? before === "ascending" : head.classList.contains("num");
    for (const other of head.parentElement.children) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    return down;
  }

  function onSort(table, sort) {
    table.tHead.addEventListener("click", (event) => {
      const button = event.target.closest("button.sort");
      if (!button) return;
      const head = button.closest("th");
      sort(head.cellIndex, turn(head));
    });
  }

  function sortable(table) {
    const value = (row, column) => {
      const cell = row.cells[column];
      if (cell.dataset.v !== undefined) return Number(cell.dataset.v);
      const text = cell.textContent.trim();
      const number = parseFloat(text.replace(/,/g, ""));
      return cell.classList.contains("num") && !Number.isNaN(number) ? number : text;
    };
    onSort(table, (column, down) => {
      const rows = [...table.tBodies[0].rows].map((row) => [value(row, column), row]);
      rows.sort((a, b) => compare(a[0], b[0], down));
      table.tBodies[0].append(...rows.map((pair) => pair[1]));
    });
  }

  function videoTable(table, rows) {
    const hasTargets = table.dataset.targets === "1";
    const columns = hasTargets
      ? [NAME, LABEL, SCORE, LENGTH, TARGET, RIGHT] : [NAME, LABEL, SCORE, LENGTH];
    const [find, pick, state] = ["find", "pick", "state"].map((id) => document.getElementById(id));
    const shown = document.getElementById("shown");
    const more = document.getElementById("more");
    let order = rows;
    let matching = rows;
    let made = 0;

    const counts = new Map();
    for (const row of rows) if (row[LABEL]) counts.set(row[LABEL], (counts.get(row[LABEL]) || 0) + 1);
    for (const label of [...counts.keys()].sort(collator.compare)) {
      pick.append(make("option", { value: label }, `${label} (${counts.get(label)})`));
    }

    function details(row, line, button) {
      const isOpen = button.getAttribute("aria-expanded") === "true";
      button.setAttribute("aria-expanded", String(!isOpen));
      if (isOpen) {
        line.nextElementSibling.remove();
        return;
      }
      const list = make("ol", { class: "ranked" });
      for (const [label, score] of row[MORE]) {
        const meter = make("span", { class: "meter", "aria-hidden": "true" }, make("i"));
        meter.firstChild.style.width = `${100 * score}%`;
        list.append(make("li", {}, make("bdi", { class: "name" }, label), meter,
          make("span", { class: "number" }, percent(score))));
      }
      line.after(make("tr", { class: "detail" }, make("td", { colspan: columns.length }, list)));
    }

    function nameCell(row, line) {
      const name = breakable(row[NAME]);
      if (row[CARD]) return make("a", { href: `#${row[CARD]}` }, name);
      if (row[STATE] === 1 || typeof row[MORE] === "string") return name;
      const button = make("button", { type: "button", class: "expand", "aria-expanded": "false" }, name);
      button.addEventListener("click", () => details(row, line, button));
      return button;
    }

    function makeRow(row) {
      const failed = row[STATE] === 1;
      const line = make("tr", { class: failed ? "isbad" : null });
      const label = make("td", {}, make("bdi", {}, failed ? "failed" : row[LABEL]));
      if (typeof row[MORE] === "string") {
        label.append(" ", make("span", { class: "faint" }, make("bdi", {}, row[MORE])));
      }
      line.append(make("th", { scope: "row" }, nameCell(row, line)), label,
        make("td", { class: "num" }, percent(row[SCORE])),
        make("td", { class: "num" }, seconds(row[LENGTH])));
      if (hasTargets) {
        const verdict = row[RIGHT] === null ? "" : row[RIGHT] ? "right" : "wrong";
        line.append(make("td", {}, make("bdi", {}, row[TARGET])), make("td", { class: verdict }, verdict));
      }
      return line;
    }

    function extend(upTo) {
      const lines = document.createDocumentFragment();
      const end = Math.min(matching.length, upTo);
      for (; made < end; made += 1) lines.append(makeRow(matching[made]));
      table.tBodies[0].append(lines);
      more.hidden = made >= matching.length;
      const left = matching.length - made;
      more.textContent = `Show ${Math.min(STEP, left)} more of ${left.toLocaleString("en")}`;
    }

    function isShown(row) {
      if (pick.value && row[LABEL] !== pick.value) return false;
      if (state.value === "failed" && row[STATE] !== 1) return false;
      if (state.value === "warned" && row[STATE] !== 2) return false;
      if (state.value === "wrong" && row[RIGHT] !== 0) return false;
      if (state.value === "right" && row[RIGHT] !== 1) return false;
      const wanted = find.value.trim().toLocaleLowerCase();
      return !wanted || `${row[NAME]}\n${row[LABEL]}\n${row[TARGET]}`.toLocaleLowerCase().includes(wanted);
    }

    function show() {
      matching = order.filter(isShown);
      made = 0;
      table.tBodies[0].replaceChildren();
      extend(STEP);
      shown.textContent = `${matching.length.toLocaleString("en")} of ${rows.length.toLocaleString("en")}`;
    }

    onSort(table, (column, down) => {
      order = [...rows].sort((a, b) => compare(a[columns[column]], b[columns[column]], down));
      show();
    });
    document.getElementById("filters").hidden = false;
    document.getElementById("filters").addEventListener("submit", (event) => event.preventDefault());
    for (const control of [find, pick, state]) control.addEventListener("input", show);
    more.addEventListener("click", () => extend(made + STEP));
    window.addEventListener("beforeprint", () => extend(matching.length));
    show();
  }

  function film(track, data) {
    const line = track.querySelector(".timeline");
    const cursor = track.querySelector(".cursor");
    const readout = track.querySelector(".readout");
    const [picture, text] = readout.children;
    const frames = [...track.closest("article").querySelectorAll(".strip img")];
    const { windows, labels, start, end } = data;
    const middle = (one) => (one[0] + one[1]) / 2;
    let current = 0;

    function nearest(time) {
      let low = 0;
      let high = windows.length - 1;
      while (low < high) {
        const half = (low + high) >> 1;
        if (middle(windows[half]) + middle(windows[half + 1]) < 2 * time) low = half + 1;
        else high = half;
      }
      return low;
    }

    function show(number, time) {
      current = number;
      const one = windows[number];
      const said = `${seconds(one[0])} to ${seconds(one[1])}`;
      if (time < one[0] - 1e-6 || time > one[1] + 1e-6) { // between two segments
        text.replaceChildren("no label here", make("span", { class: "faint" }, seconds(time)));
      } else {
        text.replaceChildren(make("b", {}, make("bdi", {}, labels[one[2]])), ` ${percent(one[3])}`,
          make("span", { class: "faint" }, said));
      }
      line.setAttribute("aria-valuenow", String(number + 1));
      line.setAttribute("aria-valuetext", `${said}: ${labels[one[2]]}, ${percent(one[3])}`);
      cursor.style.left = `${(100 * (time - start)) / (end - start || 1)}%`;
      if (!frames.length) return;
      const distance = (frame) => Math.abs(Number(frame.dataset.t) - time);
      const best = frames.reduce((a, b) => (distance(b) < distance(a) ? b : a));
      picture.src = best.src;
      picture.alt = best.alt;
      picture.hidden = false;
    }

    function select(number) {
      const inside = Math.max(0, Math.min(windows.length - 1, number));
      cursor.hidden = false;
      show(inside, middle(windows[inside]));
    }

    line.addEventListener("pointermove", (event) => {
      const box = line.getBoundingClientRect();
      const share = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
      const time = start + share * (end - start);
      cursor.hidden = false;
      show(nearest(time), time);
    });
    line.addEventListener("focus", () => select(current));
    line.addEventListener("keydown", (event) => {
      const moves = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 10, PageDown: -10 };
      const ends = { Home: 0, End: windows.length - 1 };
      if (!(event.key in moves || event.key in ends)) return;
      event.preventDefault();
      select(event.key in moves ? current + moves[event.key] : ends[event.key]);
    });
    readout.hidden = false;
    show(0, middle(windows[0]));
  }

  function printing() {
    for (const one of document.querySelectorAll("details.conditions, details.counts")) one.open = true;
    for (const image of document.querySelectorAll("img[loading]")) image.loading = "eager";
  }

  document.addEventListener("DOMContentLoaded", () => {
    const data = JSON.parse(document.getElementById("data").textContent);
    const button = document.getElementById("theme");
    const name = () => { button.textContent = `Theme: ${theme}`; };
    button.hidden = false;
    name();
    button.addEventListener("click", () => {
      useTheme(THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length]);
      remember(theme);
      name();
    });
    document.querySelectorAll("table.sortable").forEach(sortable);
    const table = document.getElementById("videos");
    if (table) videoTable(table, data.rows);
    for (const track of document.querySelectorAll(".track")) film(track, data.films[track.dataset.film]);
    window.addEventListener("beforeprint", printing);
  });
})();
