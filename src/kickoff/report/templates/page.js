(() => {
  "use strict";
  const svg = "http://www.w3.org/2000/svg";

  // A cross-hair that follows the pointer and the arrow keys, and says what it stands on.
  for (const chart of document.querySelectorAll("svg[data-points]")) {
    const points = JSON.parse(chart.dataset.points);
    const out = chart.closest("figure").querySelector(".reading");
    const line = document.createElementNS(svg, "line");
    const box = chart.viewBox.baseVal;
    let at = -1;
    line.setAttribute("class", "cross");
    line.setAttribute("y1", 24);
    line.setAttribute("y2", box.height - 24);
    line.setAttribute("visibility", "hidden");
    chart.append(line);
    chart.setAttribute("tabindex", "0");
    const show = (index) => {
      at = Math.max(0, Math.min(points.length - 1, index));
      line.setAttribute("x1", points[at][0]);
      line.setAttribute("x2", points[at][0]);
      line.setAttribute("visibility", "visible");
      out.textContent = points[at][1];
    };
    const hide = () => {
      line.setAttribute("visibility", "hidden");
      out.textContent = "";
    };
    chart.addEventListener("pointermove", (event) => {
      const area = chart.getBoundingClientRect();
      const x = ((event.clientX - area.left) / area.width) * box.width;
      let best = 0;
      points.forEach((point, index) => {
        if (Math.abs(point[0] - x) < Math.abs(points[best][0] - x)) best = index;
      });
      show(best);
    });
    chart.addEventListener("pointerleave", hide);
    chart.addEventListener("blur", hide);
    chart.addEventListener("keydown", (event) => {
      const moves = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: points.length - 1 };
      if (event.key === "Escape") hide();
      else if (event.key in moves) show(moves[event.key]);
      else return;
      event.preventDefault();
    });
  }

  // Tables sort by a click on the head of a column.
  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    const value = (row, column) => {
      const cell = row.cells[column];
      if (cell.dataset.v !== undefined) return parseFloat(cell.dataset.v);
      const found = parseFloat(cell.textContent);
      return column === 0 || Number.isNaN(found) ? cell.textContent : found;
    };
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") !== "descending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const rows = [...table.tBodies[0].rows].sort((a, b) => {
          const left = value(a, column);
          const right = value(b, column);
          const order = typeof left === "number" && typeof right === "number"
            ? (Number.isNaN(left) ? -Infinity : left) - (Number.isNaN(right) ? -Infinity : right) || 0
            : String(left).localeCompare(String(right));
          return down ? -order : order;
        });
        table.tBodies[0].append(...rows);
        remember();
      });
    });
  }

  // The address holds what is open and how tables are sorted: a link shows what its sender saw.
  const folds = [...document.querySelectorAll("details[id]")].map((entry) => [entry, entry.open]);
  const sortables = [...document.querySelectorAll("table.sortable")];
  let restoring = true;
  function remember() {
    if (restoring) return;
    const said = folds.filter(([entry, first]) => entry.open !== first).map(([entry]) => entry.id);
    sortables.forEach((table, index) => {
      [...table.tHead.rows[0].cells].forEach((head, column) => {
        const order = head.getAttribute("aria-sort");
        if (order) said.push(["sort", index, column, order].join("."));
      });
    });
    history.replaceState(null, "", said.length ? `#view=${said.join(",")}` : location.pathname + location.search);
  }
  if (location.hash.startsWith("#view=")) {
    for (const part of location.hash.slice(6).split(",")) {
      const [word, index, column, order] = part.split(".");
      const fold = folds.find(([entry]) => entry.id === part);
      if (fold) fold[0].open = !fold[1];
      const button = word === "sort" && sortables[index]?.tHead.rows[0].cells[column]?.querySelector("button");
      if (button) button.click();
      if (button && order === "ascending") button.click();
    }
  }
  restoring = false;
  folds.forEach(([entry]) => entry.addEventListener("toggle", remember));

  // Older browsers print closed details closed.
  let opened = [];
  addEventListener("beforeprint", () => {
    restoring = true;
    opened = [...document.querySelectorAll("details:not([open])")];
    opened.forEach((entry) => { entry.open = true; });
  });
  addEventListener("afterprint", () => {
    opened.forEach((entry) => { entry.open = false; });
    setTimeout(() => { restoring = false; });
  });
})();
