"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const board = document.querySelector(".board");
  const rows = board ? all("tbody tr", board) : [];
  const planes = all(".plane");
  const filters = document.querySelector(".filters");

  // Filters: each select narrows rows and planes; an empty value means all.
  const role = filters?.querySelector("[data-role]");
  const find = filters?.querySelector("[data-find]");
  const selects = filters ? all("[data-dim]", filters) : [];
  const fits = (item) =>
    selects.every((s) => {
      const own = item.dataset["d" + s.dataset.dim];
      return !s.value || !own || own === s.value;
    });
  const apply = () => {
    const wanted = find.value.trim().toLowerCase();
    let shown = 0;
    for (const row of rows) {
      const ok =
        fits(row) &&
        (!role.value || !row.dataset.role || row.dataset.role === role.value) &&
        (!wanted || row.textContent.toLowerCase().includes(wanted));
      row.hidden = !ok;
      shown += ok;
    }
    for (const plane of planes) plane.hidden = !fits(plane);
    // A column in which every visible row says what the filter says is left out.
    for (const s of selects)
      for (const cell of all(`.d${s.dataset.dim}`, board)) cell.classList.toggle("same", Boolean(s.value));
    filters.querySelector("output").textContent = `${shown} of ${rows.length} rows`;
  };
  if (filters) {
    filters.hidden = false;
    filters.addEventListener("input", apply);
    filters.addEventListener("submit", (event) => event.preventDefault());
    apply();
  }

  // A link to a row that the filters hide shows it first.
  const reveal = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    if (rows.includes(target) && target.hidden) {
      for (const s of selects) if (target.dataset["d" + s.dataset.dim]) s.value = target.dataset["d" + s.dataset.dim];
      role.value = "";
      find.value = "";
      apply();
    }
    if (rows.includes(target)) target.scrollIntoView({ block: "center" });
  };
  addEventListener("hashchange", reveal);
  if (location.hash) reveal();

  // Point and row light up together; the line under the plane says what the point is.
  const readout = document.querySelector(".readout");
  const points = Map.groupBy ? Map.groupBy(all("[data-l]"), (p) => p.dataset.l) : new Map();
  if (!points.size) for (const p of all("[data-l]")) points.set(p.dataset.l, [...(points.get(p.dataset.l) || []), p]);
  const light = (line, on) => {
    document.getElementById("l" + line)?.classList.toggle("hit", on);
    for (const p of points.get(line) || []) {
      p.classList.toggle("hit", on);
      p.ownerSVGElement.classList.toggle("dim", on);
      if (on && p.hasAttribute("aria-label")) readout.textContent = p.getAttribute("aria-label");
    }
  };
  const wire = (item, line) => {
    for (const [event, on] of [["mouseenter", true], ["mouseleave", false], ["focusin", true], ["focusout", false]])
      item.addEventListener(event, () => light(line, on));
  };
  for (const p of all("a[data-l]")) wire(p, p.dataset.l);
  for (const row of rows) wire(row, row.id.slice(1));

  // Sorting: a button in each heading; absent values stay at the end.
  const figure = (cell) => {
    const value = parseFloat(cell.textContent.replaceAll(",", "").replace("\u2212", "-"));
    return Number.isNaN(value) ? null : value;
  };
  const sort = (heading, column) => {
    const up = heading.getAttribute("aria-sort") !== "ascending";
    for (const other of all("th", heading.parentNode)) other.setAttribute("aria-sort", "none");
    heading.setAttribute("aria-sort", up ? "ascending" : "descending");
    const numeric = heading.classList.contains("num");
    const value = (row) => (numeric ? figure(row.cells[column]) : row.cells[column].textContent.trim());
    const keyed = rows.map((row) => [value(row), row]);
    keyed.sort(([a], [b]) => {
      const [lost, other] = [a === null || a === "", b === null || b === ""];
      if (lost || other) return lost - other;
      return (up ? 1 : -1) * (numeric ? a - b : a.localeCompare(b));
    });
    board.tBodies[0].append(...keyed.map(([, row]) => row));
  };
  if (board)
    for (const [column, heading] of all("thead th", board).entries()) {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...heading.childNodes);
      heading.append(button);
      heading.setAttribute("aria-sort", "none");
      button.addEventListener("click", () => sort(heading, column));
    }

  const more = document.querySelector(".more");
  if (more && board) {
    more.hidden = false;
    more.addEventListener("click", () => {
      const on = board.classList.toggle("all");
      more.setAttribute("aria-pressed", on);
    });
  }

  // A CSV beside each table of a method: value, low and high of each figure in columns of their own.
  const quote = (text) => {
    const safe = /^[=+@\t\r]|^-(?![\d.])/.test(text) ? "'" + text : text;
    return /[",\n]/.test(safe) ? '"' + safe.replaceAll('"', '""') + '"' : safe;
  };
  const words = (cell) => cell.textContent.replace(/\s+/g, " ").trim();
  const figures = (cell) => {
    const text = words(cell).replaceAll(",", "").replaceAll("\u2212", "-");
    const found = /^(-?[\d.]+)(?: (-?[\d.]+) to (-?[\d.]+))?/.exec(text);
    return found ? [found[1], found[2] ?? "", found[3] ?? ""] : ["", "", ""];
  };
  const csv = (table) => {
    const heads = [...table.tHead.rows[0].cells].slice(1).map(words);
    const lines = [["group", "name", ...heads.flatMap((h) => [h, `${h} low`, `${h} high`])]];
    let group = "";
    for (const row of all("tbody tr", table)) {
      const [head, ...cells] = row.cells;
      if (cells.length) lines.push([group, words(head), ...cells.flatMap(figures)]);
      else group = words(head);
    }
    return lines.map((cells) => cells.map(quote).join(",")).join("\n") + "\n";
  };
  for (const table of all("table[data-name]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "csv";
    button.textContent = "CSV";
    button.setAttribute("aria-label", `CSV of ${table.dataset.name}`);
    button.addEventListener("click", () => {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([csv(table)], { type: "text/csv" }));
      link.download = table.dataset.name.replace(/[^\w.-]+/g, "_") + ".csv";
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    });
    table.closest(".scroll").before(button);
  }

  const copy = document.querySelector(".copy");
  if (copy && navigator.clipboard) {
    copy.hidden = false;
    copy.addEventListener("click", () =>
      navigator.clipboard.writeText(document.getElementById("command").textContent).then(
        () => (copy.textContent = "copied"),
        () => (copy.textContent = "select the text and copy it")
      )
    );
  }
})();
