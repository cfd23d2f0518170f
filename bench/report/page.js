"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const board = document.querySelector(".board");
  const rows = board ? all("tbody tr", board) : [];
  const planes = all(".plane");
  const filters = document.querySelector(".filters");

  // The marks and names of each line of the leaderboard, in the wide and the narrow plane.
  const points = new Map();
  for (const p of all("[data-l]")) points.set(p.dataset.l, [...(points.get(p.dataset.l) ?? []), p]);
  const drawn = (line) => (points.get(line) ?? []).find((p) => p.matches("a") && p.getClientRects().length);

  // The leak of every rung, by line: value, low, high.
  const rungs = new Map();
  for (const row of rows) {
    const told = (row.dataset.leaks ?? "").split(";").filter(Boolean).map((part) => part.split(" "));
    rungs.set(row.id.slice(1), new Map(told.map(([rung, ...ends]) => [rung, ends.map(Number)])));
  }

  // Draws one plane for a rung: marks and names move along the axis of the leak, the front is found anew.
  const redraw = (chart, rung) => {
    const [x0, x1] = [Number(chart.dataset.x0), Number(chart.dataset.x1)];
    const at = (leak) => x0 + leak * (x1 - x0);
    const marks = [];
    for (const mark of all("a.pt", chart)) {
      const [bars, dot] = [mark.querySelector(".bars"), mark.querySelector(".dot")];
      mark.told ??= {
        bars: bars.getAttribute("d"),
        dot: dot.getAttribute("transform"),
        says: mark.getAttribute("aria-label"),
        front: mark.classList.contains("front"),
      };
      const [, x, y] = /\((\S+) (\S+)\)/.exec(mark.told.dot).map(Number);
      const ends = rung ? rungs.get(mark.dataset.l)?.get(rung) : null;
      mark.classList.toggle("gone", Boolean(rung) && !ends);
      const here = ends ? at(ends[0]) : x;
      if (ends) {
        const [low, high] = mark.told.bars.split("M")[2].split(",")[1].split("V");
        bars.setAttribute("d", `M${at(ends[1] ?? ends[0])},${y}H${at(ends[2] ?? ends[0])}M${here},${low}V${high}`);
        dot.setAttribute("transform", `translate(${here} ${y})`);
        mark.setAttribute("aria-label", `${mark.told.says}; leak, ${rung}: ${ends.map((v) => v.toFixed(3)).join(", ")}`);
      } else {
        bars.setAttribute("d", mark.told.bars);
        dot.setAttribute("transform", mark.told.dot);
        mark.setAttribute("aria-label", mark.told.says);
      }
      for (const name of all(`text[data-l="${mark.dataset.l}"]`, chart)) {
        const [from, room] = [Number(name.getAttribute("x")), name.getComputedTextLength()];
        const moved = Math.max(2 - from, Math.min(here - x, chart.viewBox.baseVal.width - room - from));
        name.setAttribute("transform", `translate(${rung ? moved : 0} 0)`);
        name.classList.toggle("gone", Boolean(rung) && !ends);
      }
      if (!rung || ends) marks.push({ mark, x: here, y });
    }
    const beats = (a, b) => a.x <= b.x && a.y <= b.y && (a.x < b.x || a.y < b.y);
    const front = marks.filter((b) => (rung ? !marks.some((a) => beats(a, b)) : b.mark.told.front));
    for (const { mark } of marks) mark.classList.toggle("front", front.some((f) => f.mark === mark));
    const edge = chart.querySelector(".edge");
    edge.told ??= edge.getAttribute("d");
    const steps = front.sort((a, b) => a.x - b.x || b.y - a.y).map(({ x, y }, i) => (i ? `H${x}V${y}` : `M${x},${y}`));
    edge.setAttribute("d", rung ? steps.join("") : edge.told);
    chart.classList.toggle("moved", Boolean(rung));
  };

  // Filters: each select narrows rows and planes; an empty value means all.
  const role = filters?.querySelector("[data-role]");
  const find = filters?.querySelector("[data-find]");
  const threat = filters?.querySelector("[data-threat]");
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
  // A rung of the ladder: its leak in the planes and as a column, those of the other rungs left out.
  const show = (rung) => {
    for (const chart of all(".plane .chart")) redraw(chart, rung);
    const note = document.querySelector(".caution.threat");
    note.hidden = !rung;
    note.textContent = `Leak of the rung ${rung} alone, by the strongest attacker on it, and the front that follows from it. Verdict, ranks and the column Leak are of the worst rung.`;
    for (const [column, heading] of [...board.tHead.rows[0].cells].entries()) {
      if (!heading.dataset.rung) continue;
      const [chosen, worst] = [heading.dataset.rung === rung, heading.dataset.rung === "worst"];
      for (const { cells } of board.rows) {
        cells[column].classList.toggle("chosen", chosen);
        // On a narrow screen the chosen rung stands in the worst one's stead.
        cells[column].classList.toggle(worst ? "stead" : "other", Boolean(rung) && !chosen);
      }
      if (heading.dataset.rung === rung) sort(heading, column, true);
    }
  };
  if (filters) {
    filters.hidden = false;
    filters.addEventListener("input", (event) => {
      if (event.target === threat) show(threat.value);
      apply();
    });
    filters.addEventListener("submit", (event) => event.preventDefault());
    apply();
  }

  // A link to a row that the filters hide shows it first; one to a point goes to the plane that is drawn.
  const reveal = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    if (target.dataset.l) {
      const point = drawn(target.dataset.l);
      point?.closest("figure").scrollIntoView({ block: "center" });
      point?.focus({ preventScroll: true });
      return;
    }
    if (!rows.includes(target)) return;
    if (target.hidden) {
      for (const s of selects) if (target.dataset["d" + s.dataset.dim]) s.value = target.dataset["d" + s.dataset.dim];
      role.value = "";
      find.value = "";
      apply();
    }
    target.scrollIntoView({ block: "center" });
  };
  addEventListener("hashchange", reveal);

  // Point and row light up together; the line under the plane says what the point is.
  const readout = document.querySelector(".readout");
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
  const sort = (heading, column, up = heading.getAttribute("aria-sort") !== "ascending") => {
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

  if (location.hash) reveal();

  const more = document.querySelector(".more");
  if (more && board) {
    more.hidden = false;
    more.addEventListener("click", () => {
      const on = board.classList.toggle("all");
      more.setAttribute("aria-pressed", on);
    });
  }

  // A CSV beside each table of a method or machine: value, low and high of each figure in columns of their own.
  const quote = (text) => {
    const number = /^-?[\d.]+(e-?\d+)?$/.test(text);
    const safe = !number && /^[=+\-@\t\r\n'\uff1d\uff0b\uff0d\uff20]/.test(text) ? "'" + text : text;
    return /[",\r\n]/.test(safe) ? '"' + safe.replaceAll('"', '""') + '"' : safe;
  };
  const words = (cell) => cell.textContent.replace(/\s+/g, " ").trim();
  const figures = (cell) => {
    const text = words(cell).replaceAll(",", "").replaceAll("\u2212", "-");
    const found = /^(-?[\d.]+(?:e-?\d+)?)(?: (-?[\d.]+) to (-?[\d.]+))?/.exec(text);
    return found ? [found[1], found[2] ?? "", found[3] ?? ""] : ["", "", ""];
  };
  const csv = (table) => {
    const [first, ...heads] = table.tHead.rows[0].cells;
    const numeric = heads.map((cell) => cell.classList.contains("num"));
    const titles = (cell, i) => (numeric[i] ? ["", " low", " high"] : [""]).map((end) => words(cell) + end);
    const grouped = Boolean(table.querySelector(".group"));
    const lines = [[...(grouped ? ["group"] : []), words(first) || "name", ...heads.flatMap(titles)]];
    let group = "";
    for (const row of all("tbody tr", table)) {
      const [head, ...cells] = row.cells;
      if (cells.length) lines.push([...(grouped ? [group] : []), words(head), ...cells.flatMap((c, i) => (numeric[i] ? figures(c) : [words(c)]))]);
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

  // On paper nothing is folded away.
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = all("details:not([open])");
    for (const part of folded) part.open = true;
    for (const image of all("img[loading]")) image.loading = "eager";
  });
  addEventListener("afterprint", () => {
    for (const part of folded) part.open = false;
  });

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
