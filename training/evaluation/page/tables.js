// Tables can be sorted by a column, they and bars saved as CSV, bars and figures as PNG, and an address may name one prompt.
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
  const quoted = (text) => {
    const plain = /^[=+\-@\t]/.test(text) && !/^[+\-]?[\d.,]+ ?(pts|%|×)?( .*)?$/.test(text) ? `'${text}` : text;
    return `"${plain.replaceAll('"', '""')}"`;
  };

  const cell = (node) => quoted(node.innerText.replace("⇅", "").replace(/\s+/g, " ").trim());

  const csv = (table) =>
    [...table.rows].map((row) => [...row.cells].map(cell).join(",")).join("\r\n");

  const saveCsv = (text, label) =>
    save(URL.createObjectURL(new Blob(["\ufeff", text], { type: "text/csv" })), named(label, "csv"));

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
    bar.append(hint, button("↓ CSV", `Save ${label} as CSV`, () => saveCsv(csv(table), label)));
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

  const sheet = (width, height) => {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [2 * width, 2 * height];
    const paper = canvas.getContext("2d");
    paper.scale(2, 2);
    paper.fillStyle = getComputedStyle(document.body).backgroundColor;
    paper.fillRect(0, 0, width, height);
    return [canvas, paper];
  };

  const savePng = (canvas, label) =>
    canvas.toBlob((blob) => save(URL.createObjectURL(blob), named(label, "png")));

  const png = (svg) => {
    const box = svg.viewBox.baseVal;
    const copy = styled(svg);
    copy.setAttribute("width", box.width);
    copy.setAttribute("height", box.height);
    copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
    const picture = new Image();
    picture.onload = () => {
      const [canvas, paper] = sheet(box.width, box.height);
      paper.drawImage(picture, 0, 0, box.width, box.height);
      savePng(canvas, svg.getAttribute("aria-label").split(",")[0]);
    };
    picture.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(new XMLSerializer().serializeToString(copy))}`;
  };

  for (const figure of document.querySelectorAll("figure")) {
    const svg = figure.querySelector("svg[viewBox]");
    if (svg) figure.append(button("↓ PNG", "Save the figure as PNG", () => png(svg)));
  }

  // Bars: a line of text for each, and a drawing of all of them.
  const bars = (chart) => [...chart.querySelectorAll(".bar-line")].map((line) => {
    const said = (part) => line.querySelector(part)?.textContent.trim() ?? "";
    const count = line.querySelector(".fig")?.title.match(/from ([\d,]+)/)?.[1] ?? "";
    return {
      group: line.closest("[data-group]").dataset.group,
      words: [said(".who"), said(".value") || "not measured", said(".interval"), count],
      bar: line.querySelector("rect:not(.track)"),
      ends: line.querySelector(".whisker")?.getAttribute("d").match(/M(\S+) 5H([^M]+)/).slice(1).map(Number),
    };
  });

  const barsCsv = (chart) =>
    [["", "Checkpoint", "Share", "95% interval", "n"], ...bars(chart).map(({ group, words }) => [group, ...words])]
      .map((row) => row.map(quoted).join(",")).join("\r\n");

  const barsPng = (chart) => {
    const lines = bars(chart);
    const groups = new Set(lines.map(({ group }) => group)).size;
    const [canvas, paper] = sheet(860, 24 * lines.length + 40 * groups + 20);
    const [ink, font] = [getComputedStyle(chart).color, getComputedStyle(chart).fontFamily];
    let [y, last] = [0, ""];
    for (const { group, words, bar, ends } of lines) {
      if (group !== last) {
        [paper.fillStyle, paper.font] = [ink, `600 15px ${font}`];
        paper.fillText(group, 20, (y += 40) - 4);
        last = group;
      }
      [paper.fillStyle, paper.font] = [ink, `14px ${font}`];
      paper.fillText(words[0], 20, (y += 24) - 6, 200);
      paper.fillText(`${words[1]}  ${words[2]}${words[3] && `  n = ${words[3]}`}`, 650, y - 6);
      if (!bar) continue;
      paper.fillStyle = getComputedStyle(bar).fill;
      paper.fillRect(230, y - 18, 4 * bar.width.baseVal.value, 14);
      paper.fillStyle = ink;
      paper.fillRect(230 + 4 * ends[0], y - 12, Math.max(1, 4 * (ends[1] - ends[0])), 1.5);
    }
    savePng(canvas, chart.dataset.chart);
  };

  for (const chart of document.querySelectorAll("[data-chart]")) {
    const label = chart.dataset.chart;
    const bar = document.createElement("div");
    bar.className = "tools";
    bar.append(
      button("↓ CSV", `Save ${label} as CSV`, () => saveCsv(barsCsv(chart), label)),
      button("↓ PNG", `Save ${label} as PNG`, () => barsPng(chart)),
    );
    (chart.querySelector("h3 ~ .by") ?? chart.firstElementChild).before(bar);
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
