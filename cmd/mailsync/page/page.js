"use strict";
// Sorts, filters and turns the pages of the tables. Rows come from the JSON
// beside each table; names are put in as text, never as markup.
for (const section of document.querySelectorAll("section.table")) {
  const rows = JSON.parse(section.querySelector('script[type="application/json"]').textContent);
  const heads = [...section.querySelectorAll("thead th")];
  const body = section.querySelector("tbody");
  const status = section.querySelector(".status");
  const controls = section.querySelector(".controls");
  const title = section.querySelector("h2").firstChild.textContent.trim();
  const numeric = heads.map((h) => h.classList.contains("n"));
  const format = new Intl.NumberFormat("en");
  let order = rows.map((_, i) => i);
  let shown = order;
  let size = 100, page = 0, sorted = -1, down = false, needle = "", text = null, printing = false;

  const cellText = (v) => (typeof v === "number" ? format.format(v) : v);

  const draw = () => {
    const n = printing ? 1000 : size;
    const last = Math.max(0, Math.ceil(shown.length / n) - 1);
    page = Math.min(page, last);
    const from = printing ? 0 : page * n;
    const part = shown.slice(from, from + n);
    const fresh = document.createDocumentFragment();
    for (const i of part) {
      const tr = document.createElement("tr");
      rows[i].forEach((v, c) => {
        const td = document.createElement("td");
        if (numeric[c]) td.className = "n";
        td.textContent = cellText(v);
        tr.append(td);
      });
      fresh.append(tr);
    }
    body.replaceChildren(fresh);
    const all = needle ? ` that match, of ${format.format(rows.length)}` : "";
    status.textContent = shown.length === 0 ? `No row matches, of ${format.format(rows.length)}.`
      : shown.length > part.length || needle ? `Rows ${format.format(from + 1)} to ${format.format(from + part.length)} of ${format.format(shown.length)}${all}.` : "";
    if (back) { back.disabled = page === 0; ahead.disabled = page >= last; }
  };

  const filter = () => {
    if (!needle) { shown = order; return; }
    text ??= rows.map((r) => r.join("\n").toLowerCase());
    shown = order.filter((i) => text[i].includes(needle));
  };

  const sort = (c) => {
    down = sorted === c ? !down : numeric[c];
    sorted = c;
    const sign = down ? -1 : 1;
    order = rows.map((_, i) => i).sort((a, b) => {
      const x = rows[a][c], y = rows[b][c];
      return (x < y ? -sign : x > y ? sign : a - b);
    });
    heads.forEach((h, i) => i === c ? h.setAttribute("aria-sort", down ? "descending" : "ascending") : h.removeAttribute("aria-sort"));
    page = 0; filter(); draw();
  };

  const button = (label, act) => {
    const b = document.createElement("button");
    b.type = "button"; b.textContent = label; b.addEventListener("click", act);
    return b;
  };

  let back = null, ahead = null;
  if (rows.length > 1) {
    heads.forEach((h, c) => h.replaceChildren(button(h.textContent, () => sort(c))));
  }
  if (rows.length > 10) {
    const label = document.createElement("label");
    const input = document.createElement("input");
    input.type = "search"; input.autocomplete = "off";
    input.addEventListener("input", () => { needle = input.value.toLowerCase(); page = 0; filter(); draw(); });
    label.append("Filter ", input);
    input.setAttribute("aria-label", "Filter: " + title);
    controls.append(label);
    controls.hidden = false;
  }
  if (rows.length > 100) {
    const label = document.createElement("label");
    const select = document.createElement("select");
    for (const n of [100, 500, 2000]) select.append(new Option(format.format(n), String(n)));
    select.addEventListener("change", () => { size = Number(select.value); page = 0; draw(); });
    label.append("Rows a page ", select);
    back = button("Back", () => { page--; draw(); });
    ahead = button("Next", () => { page++; draw(); });
    back.setAttribute("aria-label", "Back: " + title);
    ahead.setAttribute("aria-label", "Next: " + title);
    controls.append(label, back, ahead);
    addEventListener("beforeprint", () => { printing = true; draw(); });
    addEventListener("afterprint", () => { printing = false; draw(); });
    draw();
  }
}

// On a narrow screen the drawing scrolls: its window comes into sight, and the
// names of its rows stay there.
for (const svg of document.querySelectorAll("figure svg")) {
  const view = svg.closest(".scroll"), names = svg.querySelectorAll("text.row");
  view.addEventListener("scroll", () => {
    const x = view.scrollLeft * svg.viewBox.baseVal.width / svg.clientWidth;
    for (const t of names) t.setAttribute("x", x);
  });
}
const gap = document.querySelector("svg rect.gap");
const showGap = () => {
  const view = gap.closest(".scroll"), at = gap.getBoundingClientRect(), box = view.getBoundingClientRect();
  view.scrollLeft += at.left + at.width / 2 - box.left - box.width / 2;
};
if (gap) {
  addEventListener("resize", showGap);
  showGap();
}
