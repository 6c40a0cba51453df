"use strict";

for (const viewer of document.querySelectorAll(".viewer")) {
  const stage = viewer.querySelector(".stage");
  const slider = stage.querySelector("input");
  slider.addEventListener("input", () => stage.style.setProperty("--at", `${slider.value}%`));
  for (const side of ["left", "right"]) {
    const select = viewer.querySelector(`select.${side}`);
    const show = () => {
      for (const image of stage.querySelectorAll("img")) {
        image.classList.toggle(side, image.dataset.layer === select.value);
      }
    };
    select.addEventListener("change", show);
    show();
  }
}

function valueOf(cell) {
  const text = cell.dataset.value ?? cell.textContent.trim();
  const number = { inf: Infinity, "-inf": -Infinity }[text] ?? Number(text);
  return text === "" || text === "–" ? null : Number.isNaN(number) ? text : number;
}

function compare(first, second) {
  if (typeof first === "number" && typeof second === "number") return first - second;
  return String(first).localeCompare(String(second), undefined, { numeric: true });
}

for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.querySelectorAll("thead th")];
  heads.forEach((head, column) => {
    head.querySelector("button").addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = [...table.tBodies[0].rows].map((row) => [valueOf(row.cells[column]), row]);
      rows.sort(([first], [second]) => {
        // What is missing stays last, whichever way.
        if (first === null || second === null) return (first === null) - (second === null);
        return down ? compare(second, first) : compare(first, second);
      });
      table.tBodies[0].append(...rows.map(([, row]) => row));
    });
  });
}
