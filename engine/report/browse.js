// Filters, search and keys for a page's conversations. The page reads well without it.
"use strict";
// `carries(conversation, chosen)` says whether one has what was chosen, by name of the filter.
const browse = (carries) => {
  const form = document.querySelector(".filters");
  const output = form.querySelector("output");
  const nothing = document.getElementById("nothing");
  const conversations = [...document.querySelectorAll(".conversation")];
  const texts = new Map();
  const facets = [...form.querySelectorAll("select")].map((field) => field.name);

  const textOf = (conversation) => {
    if (!texts.has(conversation)) {
      texts.set(conversation, conversation.textContent.toLowerCase());
    }
    return texts.get(conversation);
  };

  const words = () => form.elements.text.value.toLowerCase().split(/\s+/).filter(Boolean);

  const apply = () => {
    const wanted = words();
    const set = facets.filter((name) => form.elements[name].value);
    const chosen = Object.fromEntries(set.map((name) => [name, form.elements[name].value]));
    let shown = 0;
    for (const conversation of conversations) {
      const matches = carries(conversation, chosen)
        && wanted.every((word) => textOf(conversation).includes(word));
      conversation.hidden = !matches;
      shown += matches;
    }
    output.value = `${shown} of ${conversations.length}`;
    nothing.hidden = shown > 0;
    mark(wanted);
    remember();
  };

  // Marks what was found without touching the document's text.
  const mark = (wanted) => {
    if (!globalThis.CSS?.highlights) return;
    CSS.highlights.delete("found");
    if (!wanted.length) return;
    const ranges = conversations.filter((one) => !one.hidden).flatMap((one) => found(one, wanted));
    CSS.highlights.set("found", new Highlight(...ranges.slice(0, 2000)));
  };

  const found = (root, wanted) => {
    const ranges = [];
    const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      const text = node.data.toLowerCase();
      if (text.length !== node.data.length) continue;
      for (const word of wanted) {
        for (let at = text.indexOf(word); at >= 0; at = text.indexOf(word, at + word.length)) {
          const range = new Range();
          range.setStart(node, at);
          range.setEnd(node, at + word.length);
          ranges.push(range);
        }
      }
    }
    return ranges;
  };

  // The address holds the filters, so that a view can be linked to.
  const remember = () => {
    const chosen = new URLSearchParams();
    for (const [name, value] of new FormData(form)) if (value) chosen.set(name, value);
    const hash = chosen.toString();
    if (hash || location.hash.includes("=")) {
      history.replaceState(null, "", hash ? `#${hash}` : "#conversations");
    }
  };

  const recall = () => {
    const chosen = new URLSearchParams(location.hash.slice(1));
    const known = [...facets, "text"];
    for (const name of known) form.elements[name].value = chosen.get(name) ?? "";
    apply();
    if (known.some((name) => chosen.has(name))) form.scrollIntoView();
  };

  const step = (by) => {
    const visible = conversations.filter((one) => !one.hidden);
    const here = visible.indexOf(document.activeElement?.closest(".conversation"));
    const next = visible[here < 0 ? (by > 0 ? 0 : visible.length - 1) : here + by];
    next?.querySelector("summary").focus();
  };

  const typing = (target) => target.matches("input, select, textarea");

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape" && typing(event.target)) event.target.blur();
    if (typing(event.target)) return;
    if (event.key === "j") step(1);
    else if (event.key === "k") step(-1);
    else if (event.key === "/") {
      event.preventDefault();
      form.elements.text.focus();
    }
  });
  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(apply));
  window.addEventListener("hashchange", recall);

  // A few are printed whole; of many only the lines.
  const few = 100;
  let opened = [];
  window.addEventListener("beforeprint", () => {
    const visible = conversations.filter((one) => !one.hidden);
    opened = visible.length > few ? [] : visible.filter((one) => !one.open);
    for (const one of opened) one.open = true;
  });
  window.addEventListener("afterprint", () => {
    for (const one of opened) one.open = false;
  });

  form.hidden = false;
  recall();
};
