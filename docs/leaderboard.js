// Sorts and filters the table of the leaderboard. Without this script the page is the plain table.
"use strict";
(function () {
  const table = document.getElementById("leaderboard-table");
  const bar = document.getElementById("leaderboard-filters");
  if (!table || !bar) return;
  const body = table.tBodies[0];
  const rows = Array.from(body.rows);
  const chosen = {};

  function show() {
    const text = search.value.trim().toLowerCase();
    let visible = 0;
    for (const row of rows) {
      const kept = Object.entries(chosen).every(([name, value]) => !value || row.dataset[name] === value);
      row.hidden = !(kept && row.cells[0].textContent.toLowerCase().includes(text));
      visible += row.hidden ? 0 : 1;
    }
    count.textContent = visible + " of " + rows.length + " rows";
  }

  for (const name of bar.dataset.filters.split(" ")) {
    const label = document.createElement("label");
    const select = document.createElement("select");
    const values = Array.from(new Set(rows.map((row) => row.dataset[name])));
    select.add(new Option("all", ""));
    for (const value of values) select.add(new Option(value, value));
    select.addEventListener("change", () => { chosen[name] = select.value; show(); });
    if (name === "checkpoint" && values.includes("last")) {
      select.value = "last";
      chosen[name] = "last";
    }
    select.setAttribute("data-filter", name);
    label.append(name + " ", select);
    bar.append(label);
  }
  const search = document.createElement("input");
  search.type = "search";
  search.placeholder = "method";
  search.setAttribute("aria-label", "method contains");
  search.addEventListener("input", show);
  const count = document.createElement("output");
  bar.append(search, count);
  bar.hidden = false;

  function key(row, column, numeric) {
    const cell = row.cells[column];
    const value = cell.dataset.sort === undefined ? cell.textContent : cell.dataset.sort;
    if (!numeric) return value;
    const found = parseFloat(value);
    return Number.isNaN(found) ? null : found;
  }

  Array.from(table.tHead.rows[0].cells).forEach((head, column) => {
    const numeric = head.dataset.kind === "number";
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") !== "descending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      rows.sort((one, other) => {
        const a = key(one, column, numeric), b = key(other, column, numeric);
        if (a === null || b === null) return (a === null) - (b === null);  // rows without a number stay last
        const order = numeric ? a - b : a.localeCompare(b);
        return down ? -order : order;
      });
      body.append(...rows);
    });
  });
  show();
})();
