"use strict";
// Sorts tables by their columns and folds long ones. Without it they are whole, in their order.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells].filter((cell) => cell.dataset.sort);
  const limit = Number(table.dataset.show || Infinity);
  let all = body.rows.length <= limit;

  const fold = () => [...body.rows].forEach((row, i) => { row.hidden = !all && i >= limit; });
  const key = (row, head) => {
    const cell = row.cells[head.cellIndex];
    const text = cell.dataset.v ?? cell.textContent.trim();
    return head.dataset.sort === "number" ? parseFloat(text) : text;
  };
  const sort = (head) => {
    const numbers = head.dataset.sort === "number";
    const before = head.getAttribute("aria-sort");
    const down = before ? before === "ascending" : numbers;
    const order = (a, b) => {
      const [x, y] = [key(a, head), key(b, head)];
      if (!numbers) return x.localeCompare(y, undefined, { numeric: true }) * (down ? -1 : 1);
      if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);
      return (x - y) * (down ? -1 : 1);
    };
    heads.forEach((one) => one.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    body.append(...[...body.rows].sort(order));
    fold();
  };

  for (const head of heads) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    button.addEventListener("click", () => sort(head));
    head.append(button);
  }
  if (!all) {
    const more = document.createElement("button");
    more.type = "button";
    more.className = "more";
    more.textContent = `Show all ${body.rows.length.toLocaleString("en")}`;
    more.addEventListener("click", () => { all = true; fold(); more.remove(); heads[0].querySelector("button").focus(); });
    table.parentElement.after(more);
  }
  fold();
}
