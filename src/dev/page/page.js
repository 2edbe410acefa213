// Live: swaps what the server renders. No text of a stranger is ever made into markup here: it comes escaped.
"use strict";

(() => {
  const ROWS_MAX = 300;
  const live = document.querySelector("[data-live]");
  const status = document.getElementById("status");
  const pause = document.getElementById("pause");
  let source = null;
  let after = live?.dataset.after;
  let isPaused = false;
  let isOver = false;

  // Times are UTC as they come; a reader wants their own.
  function localise(within) {
    for (const time of within.querySelectorAll("time[datetime]")) {
      const date = new Date(time.dateTime);
      const milliseconds = String(date.getMilliseconds()).padStart(3, "0");
      time.textContent = date.toLocaleTimeString([], { hour12: false }) + "." + milliseconds;
      time.title = date.toLocaleString() + " (" + time.dateTime + ")";
    }
  }

  // Where the screen is narrow a row is a card, and each cell says what it is.
  function label(within) {
    for (const table of within.querySelectorAll("table")) {
      const heads = [...table.querySelectorAll("thead th")].map((head) => head.textContent);
      for (const row of table.tBodies[0].rows) {
        [...row.cells].forEach((cell, at) => heads[at] && (cell.dataset.label = heads[at]));
      }
      table.classList.add("labelled");
    }
  }

  function say(text) {
    if (status.textContent !== text) status.textContent = text;
  }

  // What the reader chose among, by name: what was only proposed gives way to the newest.
  const picked = new Set();
  live?.addEventListener("change", (event) => picked.add(event.target.name));

  // What the reader opened, chose or stands on stays so.
  function swap(html) {
    const selection = document.getSelection();
    if (!selection.isCollapsed && live.contains(selection.anchorNode)) return;
    const open = new Map();
    for (const details of live.querySelectorAll("details[data-open]")) open.set(details.dataset.open, details.open);
    const chosen = [...live.querySelectorAll("input:checked")].filter((input) => picked.has(input.name)).map((input) => input.id);
    const focused = live.contains(document.activeElement) ? place(document.activeElement) : null;
    const scrolls = [...live.querySelectorAll(".scroll, pre")].map((box) => [box.scrollLeft, box.scrollTop]);
    live.innerHTML = html;
    localise(live);
    label(live);
    for (const details of live.querySelectorAll("details[data-open]")) {
      if (open.has(details.dataset.open)) details.open = open.get(details.dataset.open);
    }
    for (const id of chosen) {
      const input = document.getElementById(id);
      if (input) input.checked = true;
    }
    live.querySelectorAll(".scroll, pre").forEach((box, at) => {
      if (scrolls[at]) [box.scrollLeft, box.scrollTop] = scrolls[at];
    });
    if (focused) find(focused)?.focus({ preventScroll: true });
  }

  // An element that is made anew is found by its name, else by its place among those of its kind.
  function place(element) {
    if (element.id) return { id: element.id };
    const kind = element.tagName;
    const href = element.getAttribute("href");
    return { kind, href, at: [...live.querySelectorAll(kind)].indexOf(element) };
  }

  function find(what) {
    if (what.id) return document.getElementById(what.id);
    const all = [...live.querySelectorAll(what.kind)];
    return (what.href && all.find((element) => element.getAttribute("href") === what.href)) || all[what.at];
  }

  function prepend(html, lost) {
    const body = live.querySelector("tbody");
    const template = document.createElement("template");
    template.innerHTML = "<table><tbody>" + html + "</tbody></table>";
    const rows = [...template.content.querySelectorAll("tbody > tr")];
    for (const row of rows) {
      row.classList.add("fresh");
      localise(row);
    }
    body.prepend(...rows);
    label(live);
    while (body.rows.length > ROWS_MAX) body.lastElementChild.remove();
    const none = live.querySelector(".none");
    if (none && body.rows.length) none.hidden = true;
    const note = live.querySelector(".lost");
    if (note && lost) {
      const sum = Number(note.dataset.lost || 0) + lost;
      note.dataset.lost = sum;
      note.textContent = sum + " came too fast for this page, or while it was paused, and are not shown.";
      note.hidden = false;
    }
  }

  function start() {
    if (source || isPaused || isOver || document.hidden) return;
    const address = new URL(location.href);
    if (after !== undefined) address.searchParams.set("after", after);
    source = new EventSource(address);
    source.onopen = () => say("● live");
    source.onerror = () => say("▲ not connected");
    source.addEventListener("state", (event) => swap(JSON.parse(event.data).html));
    source.addEventListener("rows", (event) => {
      after = event.lastEventId;
      const { html, lost } = JSON.parse(event.data);
      prepend(html, lost);
    });
    source.addEventListener("end", (event) => {
      stop();
      isOver = true;
      say("▲ " + JSON.parse(event.data).reason);
      // A stack that comes back is seen again.
      setTimeout(() => { isOver = false; start(); }, 3000);
    });
  }

  function stop() {
    source?.close();
    source = null;
  }

  function toggle() {
    isPaused = !isPaused;
    pause.textContent = isPaused ? "Go on" : "Pause";
    if (isPaused) {
      stop();
      say("‖ paused");
    } else {
      start();
    }
  }

  function step(by) {
    const rows = [...document.querySelectorAll("main tbody tr")];
    if (!rows.length) return;
    const now = rows.indexOf(document.activeElement?.closest("tr"));
    const next = rows[Math.min(Math.max(now + by, 0), rows.length - 1)];
    next.tabIndex = -1;
    next.focus();
  }

  function key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest?.("input, select, textarea")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const page = document.querySelector('nav a[data-key="' + CSS.escape(event.key) + '"]');
    if (page) {
      page.click();
    } else if (event.key === "/") {
      const search = document.getElementById("search");
      if (!search) return;
      search.focus();
      search.select();
    } else if (event.key === "p" && live) {
      toggle();
    } else if (event.key === "j" || event.key === "k") {
      step(event.key === "j" ? 1 : -1);
    } else if (event.key === "Enter" && event.target.matches?.("tr")) {
      event.target.querySelector("a")?.click();
    } else if (event.key === "?") {
      const keys = document.querySelector("footer details");
      keys.open = !keys.open;
      keys.querySelector("summary").focus();
    } else {
      return;
    }
    event.preventDefault();
  }

  localise(document);
  label(document);
  document.addEventListener("keydown", key);
  if (!live) return;
  pause.hidden = false;
  pause.addEventListener("click", toggle);
  // A browser has few connections to one server: a page that nobody sees gives its own back.
  document.addEventListener("visibilitychange", () => (document.hidden ? stop() : start()));
  addEventListener("pagehide", stop);
  addEventListener("pageshow", start);
  start();
})();
