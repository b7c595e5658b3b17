// Tables can be sorted by a column and saved as CSV, figures as PNG, and an address may name one prompt.
// The page reads well without it.
(() => {
  "use strict";
  const button = (text, label, act) => {
    const made = document.createElement("button");
    made.type = "button";
    made.className = "tool";
    made.textContent = text;
    made.setAttribute("aria-label", label);
    made.addEventListener("click", act);
    return made;
  };

  const save = (url, name) => {
    const link = document.createElement("a");
    link.href = url;
    link.download = name;
    link.click();
  };

  const named = (label, ending) =>
    `${label.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "")}.${ending}`;

  // As a spreadsheet reads it: a cell that begins like a formula is text.
  const cell = (node) => {
    const text = node.innerText.replace("⇅", "").replace(/\s+/g, " ").trim();
    const plain = /^[=+\-@\t]/.test(text) && !/^[+\-]?[\d.,]+ ?(pts|%|×)?( .*)?$/.test(text) ? `'${text}` : text;
    return `"${plain.replaceAll('"', '""')}"`;
  };

  const csv = (table) =>
    [...table.rows].map((row) => [...row.cells].map(cell).join(",")).join("\r\n");

  // The number that a cell begins with, below which those without one come.
  const value = (row, at) => {
    const text = row.cells[at]?.innerText.replace(/\u2212/g, "-").replace(/,/g, "") ?? "";
    const number = Number.parseFloat(text.replace(/^[^\d+\-.]+/, ""));
    return Number.isNaN(number) ? Number.NEGATIVE_INFINITY : number;
  };

  const sort = (table, head, at) => {
    const down = head.getAttribute("aria-sort") !== "descending";
    for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    for (const body of table.tBodies) {
      const rows = [...body.rows].filter((row) => !row.matches(".group"));
      if (rows.some((row) => row.cells.length !== rows[0].cells.length)) continue;
      rows.sort((one, other) => (value(other, at) - value(one, at)) * (down ? 1 : -1));
      body.append(...rows);
    }
  };

  for (const scroll of document.querySelectorAll(".scroll")) {
    const table = scroll.querySelector("table");
    const label = scroll.getAttribute("aria-label") ?? "table";
    const bar = document.createElement("div");
    bar.className = "tools";
    const hint = document.createElement("span");
    hint.className = "sideways";
    hint.textContent = "Scrolls sideways →";
    const told = () => { hint.hidden = scroll.scrollWidth <= scroll.clientWidth + 1; };
    new ResizeObserver(told).observe(scroll);
    told();
    bar.append(hint, button("↓ CSV", `Save ${label} as CSV`, () => {
      save(URL.createObjectURL(new Blob(["\ufeff", csv(table)], { type: "text/csv" })), named(label, "csv"));
    }));
    scroll.before(bar);
    for (const head of table.tHead?.rows[0]?.cells ?? []) {
      const at = head.cellIndex;
      if (head.tagName !== "TH" || table.rows.length < 3) continue;
      head.append(button("⇅", `Sort by ${head.innerText.trim()}`, () => sort(table, head, at)));
    }
  }

  // Drawn as it is seen: the styles that a picture would lose are written into it.
  const styled = (svg) => {
    const copy = svg.cloneNode(true);
    const [seen, kept] = [svg, copy].map((one) => [one, ...one.querySelectorAll("*")]);
    seen.forEach((node, index) => {
      const style = getComputedStyle(node);
      for (const name of ["fill", "stroke", "stroke-width", "font", "opacity", "text-anchor"]) {
        kept[index].style.setProperty(name, style.getPropertyValue(name));
      }
    });
    return copy;
  };

  const png = (figure, svg) => {
    const box = svg.viewBox.baseVal;
    const copy = styled(svg);
    copy.setAttribute("width", box.width);
    copy.setAttribute("height", box.height);
    copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [2 * box.width, 2 * box.height];
    const picture = new Image();
    picture.onload = () => {
      const paper = canvas.getContext("2d");
      paper.fillStyle = getComputedStyle(document.body).backgroundColor;
      paper.fillRect(0, 0, canvas.width, canvas.height);
      paper.drawImage(picture, 0, 0, canvas.width, canvas.height);
      canvas.toBlob((blob) => save(URL.createObjectURL(blob), named(svg.getAttribute("aria-label").split(",")[0], "png")));
    };
    picture.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(new XMLSerializer().serializeToString(copy))}`;
  };

  for (const figure of document.querySelectorAll("figure")) {
    const svg = figure.querySelector("svg[viewBox]");
    if (svg) figure.append(button("↓ PNG", "Save the figure as PNG", () => png(figure, svg)));
  }

  const open = () => {
    const named = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!named?.matches("details.sample")) return;
    named.hidden = false;
    named.open = true;
    named.scrollIntoView();
    named.querySelector("summary").focus();
  };
  window.addEventListener("hashchange", open);
  open();
})();
