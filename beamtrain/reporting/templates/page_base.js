"use strict";

/** What a page's own script builds on. */
const beamtrain = {
  /** The data of the page: JSON, packed by gzip, in base64. */
  async data() {
    const packed = atob(document.getElementById("data").textContent);
    const bytes = Uint8Array.from(packed, (letter) => letter.charCodeAt(0));
    const unpacked = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(unpacked).text());
  },

  /** An element with attributes and children; a text among the children is text, whatever it says. */
  element(name, attributes = {}, ...children) {
    const element = document.createElement(name);
    for (const [attribute, value] of Object.entries(attributes)) {
      if (value === true) element.setAttribute(attribute, "");
      else if (value !== false && value !== null && value !== undefined) element.setAttribute(attribute, value);
    }
    for (const child of children.flat(Infinity)) {
      element.append(child instanceof Node ? child : beamtrain.shown(String(child)));
    }
    return element;
  },

  /** The text with \ufffd for each control character, as `page_base.shown` makes it. */
  shown(text) {
    return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, "\ufffd");
  },
};

(function tabs() {
  const all = [...document.querySelectorAll("[role=tab]")];
  const panel = (tab) => document.getElementById(tab.getAttribute("aria-controls"));

  function show(chosen) {
    for (const tab of all) {
      const is = tab === chosen;
      tab.setAttribute("aria-selected", is);
      tab.tabIndex = is ? 0 : -1;
      panel(tab).classList.toggle("hidden", !is);
    }
    chosen.scrollIntoView({ block: "nearest", inline: "nearest" });
    document.dispatchEvent(new CustomEvent("panel", { detail: panel(chosen).id }));
  }

  function follow() {
    show(all.find((tab) => tab.getAttribute("href") === location.hash) ?? all[0]);
  }

  for (const [index, tab] of all.entries()) {
    tab.addEventListener("click", (event) => {
      event.preventDefault();
      history.replaceState(null, "", tab.getAttribute("href"));
      show(tab);
    });
    tab.addEventListener("keydown", (event) => {
      const to = { ArrowRight: index + 1, ArrowLeft: index - 1, Home: 0, End: all.length - 1 }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      const next = all[(to + all.length) % all.length];
      next.click();
      next.focus();
    });
  }
  window.addEventListener("hashchange", follow);
  if (all.length) follow();
})();

(function theme() {
  const button = document.getElementById("theme");
  const names = { "light dark": "as the system", light: "light", dark: "dark" };
  const schemes = Object.keys(names);
  let scheme = schemes[0];

  function use(next) {
    scheme = next;
    document.documentElement.style.colorScheme = scheme;
    button.textContent = `Colours: ${names[scheme]}`;
    try {
      localStorage.setItem("beamtrain-colours", scheme);
    } catch {} // a browser that keeps nothing for files
  }

  let kept = null;
  try {
    kept = localStorage.getItem("beamtrain-colours");
  } catch {}
  use(schemes.includes(kept) ? kept : scheme);
  button.hidden = false;
  button.addEventListener("click", () => use(schemes[(schemes.indexOf(scheme) + 1) % schemes.length]));
})();
