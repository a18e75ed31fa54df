// What the pages can do without this file, they do. It renews the numbers as they change, filters
// tables, and nothing else: every word on a page is made, and escaped, on the server.
"use strict";

(() => {
  const source = document.body.dataset.live;
  const parts = document.querySelectorAll("[data-swap]");

  // Filters: rows whose text does not have the words are hidden.
  const apply = (input) => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    const rows = document.querySelectorAll(`#${CSS.escape(input.dataset.filter)} tbody tr`);
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
    }
  };
  const filters = document.querySelectorAll("[data-filter]");
  for (const input of filters) {
    input.hidden = false;
    input.addEventListener("input", () => apply(input));
  }

  // On a phone the pages stand in a row that is longer than the screen: the one that is shown is.
  const current = document.querySelector(".side nav [aria-current]");
  if (current) {
    const row = current.closest("nav");
    row.scrollLeft = current.offsetLeft - (row.clientWidth - current.offsetWidth) / 2;
  }

  if (!source || parts.length === 0 || !window.EventSource) return;

  // The switch, so that nobody has to read what moves.
  const toggle = document.createElement("button");
  toggle.type = "button";
  toggle.className = "quiet";
  document.querySelector(".leave").prepend(toggle);
  let stream = null;
  let wanted = true;
  let busy = false;

  const label = () => {
    toggle.textContent = wanted ? "Pause updates" : "Resume updates";
  };

  // Fetches this page again and takes over the parts that may change. What somebody is in the
  // middle of (a field, a row that has the focus, a table unfolded) stays as it is.
  const renew = async () => {
    if (busy || document.hidden) return;
    busy = true;
    try {
      const answer = await fetch(location.href, { credentials: "same-origin", redirect: "manual" });
      if (!answer.ok) {
        stop();
        return;
      }
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const old of document.querySelectorAll("[data-swap]")) {
        const fresh = page.getElementById(old.id);
        const inUse = old.contains(document.activeElement) || !document.getSelection().isCollapsed;
        if (fresh && !inUse) {
          const open = [...old.querySelectorAll("details")].map((one) => one.open);
          fresh.querySelectorAll("details").forEach((one, at) => { one.open = open[at] ?? false; });
          old.replaceWith(document.importNode(fresh, true));
        }
      }
      filters.forEach(apply);
    } catch {
      // The server is away; the stream tells when it is back.
    } finally {
      busy = false;
    }
  };

  const start = () => {
    stop();
    stream = new EventSource(source);
    stream.addEventListener("stats", renew);
    stream.addEventListener("breaker", renew);
  };
  const stop = () => {
    if (stream) stream.close();
    stream = null;
  };
  toggle.addEventListener("click", () => {
    wanted = !wanted;
    label();
    if (wanted) start(); else stop();
  });
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) stop(); else if (wanted) start();
  });
  label();
  start();
})();
