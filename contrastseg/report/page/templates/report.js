"use strict";
(() => {
  const said = document.getElementById("said");

  // The words of a cell: without markers, provenance marks, stars and what stands small behind.
  const words = (cell) => {
    const bare = cell.cloneNode(true);
    bare.querySelectorAll("[aria-hidden=true], .mark, sup, small").forEach((one) => one.remove());
    return bare.textContent.replace(/\s+/g, " ").trim();
  };

  // Sorting: by data-sort where a cell has one, else by its words; cells without a value stay last both ways.
  const value = (row, column, numeric) => {
    const cell = row.cells[column];
    if (!numeric) return words(cell).replace(/^–$/, "") || null;
    return "sort" in cell.dataset ? Number(cell.dataset.sort) : null;
  };
  const sort = (table, column, head) => {
    const body = table.tBodies[0];
    const rows = [...body.rows];
    const numeric = rows.some((row) => "sort" in row.cells[column].dataset);
    // First click: largest number first, or A to Z; the next one turns it round.
    const before = head.getAttribute("aria-sort");
    const sign = before !== "none" ? (before === "descending" ? 1 : -1) : numeric ? -1 : 1;
    const keyed = rows.map((row) => ({ row, key: value(row, column, numeric) }));
    keyed.sort(({ key: x }, { key: y }) => {
      if (x === null || y === null) return (x === null) - (y === null);
      return sign * (numeric ? x - y : x.localeCompare(y, "en", { numeric: true }));
    });
    body.append(...keyed.map(({ row }) => row));
    table.querySelectorAll("th[aria-sort]").forEach((other) => other.setAttribute("aria-sort", "none"));
    head.setAttribute("aria-sort", sign === 1 ? "ascending" : "descending");
    said.textContent = `Sorted by ${head.textContent.trim()}, ${head.getAttribute("aria-sort")}.`;
  };
  document.querySelectorAll("table.sortable").forEach((table) => {
    if (table.tBodies[0].rows.length < 2) return;
    [...table.tHead.rows[table.tHead.rows.length - 1].cells].forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      button.addEventListener("click", () => sort(table, column, head));
      head.append(button);
      head.setAttribute("aria-sort", "none");
    });
  });

  // Filters: every word must occur in the row.
  document.querySelectorAll(".filter").forEach((filter) => {
    filter.hidden = false;
    const set = filter.closest(".table-set");
    const rows = [...set.querySelectorAll("tbody tr")].map((row) => {
      const cells = filter.dataset.whole === undefined ? [row.cells[0]] : [...row.cells];
      return { row, text: cells.map(words).join(" ").toLowerCase() };
    });
    filter.querySelector("input").addEventListener("input", (event) => {
      const wanted = event.target.value.toLowerCase().split(/\s+/).filter(Boolean);
      for (const { row, text } of rows) row.hidden = !wanted.every((word) => text.includes(word));
      if (wanted.length) set.querySelectorAll("details").forEach((one) => { one.open = true; });
      const shown = `${rows.filter(({ row }) => !row.hidden).length} of ${rows.length} rows`;
      filter.querySelector(".count").textContent = wanted.length ? shown : "";
      said.textContent = `${shown} shown.`;
    });
  });

  // Folded tables: opened together, by the filter and in print too.
  document.querySelectorAll(".fold").forEach((fold) => {
    fold.hidden = false;
    fold.querySelector("button").addEventListener("click", () => {
      fold.closest(".table-set").querySelectorAll("details").forEach((one) => { one.open = true; });
      fold.hidden = true;
    });
  });
  window.addEventListener("beforeprint", () => {
    document.querySelectorAll(".table-set details").forEach((one) => { one.open = true; });
  });

  // Slices: one picture of a volume at a time; without this script the one with the largest reference shows.
  document.querySelectorAll(".volume label.slider").forEach((label) => {
    label.hidden = false;
    const pictures = [...label.parentElement.querySelectorAll(".slices img")];
    const input = label.querySelector("input");
    const output = label.querySelector("output");
    const of = output.textContent.split(" of ")[1];
    const show = () => {
      pictures.forEach((picture, place) => { picture.hidden = place !== Number(input.value); });
      output.textContent = `${pictures[Number(input.value)].dataset.at} of ${of}`;
      input.setAttribute("aria-valuetext", `slice ${output.textContent}`);
    };
    input.addEventListener("input", show);
    show();
  });

  // Theme: the system's unless chosen here; nothing is remembered outside the page.
  const root = document.documentElement;
  const themes = ["system", "light", "dark"];
  const button = document.getElementById("theme");
  let theme = "system";
  const show = () => {
    if (theme === "system") delete root.dataset.theme; else root.dataset.theme = theme;
    button.textContent = `Theme: ${theme}`;
  };
  button.hidden = false;
  button.addEventListener("click", () => {
    theme = themes[(themes.indexOf(theme) + 1) % themes.length];
    show();
  });
  show();

  // The contents show where the reader is.
  const links = new Map([...document.querySelectorAll("nav a")].map((link) => [link.hash.slice(1), link]));
  const seen = new Set();
  const mark = () => {
    const current = [...links.keys()].find((id) => seen.has(id));
    links.forEach((link, id) => (id === current ? link.setAttribute("aria-current", "true") : link.removeAttribute("aria-current")));
  };
  if ("IntersectionObserver" in window) {
    const observer = new IntersectionObserver((entries) => {
      for (const entry of entries) entry.isIntersecting ? seen.add(entry.target.id) : seen.delete(entry.target.id);
      mark();
    }, { rootMargin: "-5% 0px -60% 0px" });
    document.querySelectorAll("main section").forEach((section) => observer.observe(section));
  }
})();
