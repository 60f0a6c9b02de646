(() => {
  "use strict";
  const live = document.getElementById("live");
  const ids = ["summary", "binds", "tenants", "queries", "errors", "verification"];
  let source = null;
  let heard = 0;

  const alike = (a, b) => a.nodeType === b.nodeType && a.nodeName === b.nodeName && (a.id || "") === (b.id || "");

  // Changes what is there into what has come, so that focus, selection and open details stay.
  function become(old, fresh) {
    if (old.nodeType !== Node.ELEMENT_NODE) {
      if (old.data !== fresh.data) old.data = fresh.data;
      return;
    }
    for (const { name, value } of fresh.attributes) {
      if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
    for (const { name } of [...old.attributes]) {
      const isOfReader = name === "open" && old.nodeName === "DETAILS";
      if (!fresh.hasAttribute(name) && !isOfReader) old.removeAttribute(name);
    }
    fill(old, fresh);
  }

  function fill(old, fresh) {
    const kept = new Set([...fresh.children].map((child) => child.id));
    for (const child of [...old.children]) {
      if (child.id && !kept.has(child.id)) child.remove();
    }
    let at = old.firstChild;
    for (const next of [...fresh.childNodes]) {
      if (at && alike(at, next)) {
        become(at, next);
        at = at.nextSibling;
      } else {
        const known = next.id && [...old.children].find((child) => child.id === next.id);
        old.insertBefore(known || next, at);
        if (known) become(known, next);
      }
    }
    while (at) {
      const rest = at.nextSibling;
      at.remove();
      at = rest;
    }
  }

  function show(id, html) {
    const focused = document.activeElement && document.activeElement.id;
    const fresh = document.createElement("template");
    fresh.innerHTML = html;
    fill(document.getElementById(id), fresh.content);
    const lost = focused && document.activeElement === document.body && document.getElementById(focused);
    if (lost) lost.focus({ preventScroll: true });
  }

  function say(text, kind) {
    live.textContent = text;
    live.className = `pill ${kind}`;
  }

  function open() {
    if (source || document.hidden) return;
    source = new EventSource("?live");
    for (const id of ids) source.addEventListener(id, (event) => show(id, event.data));
    source.addEventListener("at", (event) => {
      heard = Date.now();
      document.getElementById("at").textContent = event.data;
      say("live", "good");
    });
    source.addEventListener("closed", () => {
      source.close();
      say("closed", "off");
      heard = 0;
    });
    source.addEventListener("error", () => {
      // A browser that was refused does not try again.
      if (source && source.readyState === EventSource.CLOSED && heard) {
        source = null;
        setTimeout(open, 2000);
      }
    });
  }

  setInterval(() => {
    if (heard && Date.now() - heard > 3000 && !document.hidden) say("not live: no news", "bad");
  }, 1000);

  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) return open();
    if (source) source.close();
    source = null;
    say("paused", "off");
  });

  document.addEventListener("click", (event) => {
    const link = event.target.closest && event.target.closest("#verify-now");
    if (!link || !source) return;
    event.preventDefault();
    fetch("?verify", { cache: "no-store" }).catch(() => {});
  });

  open();
})();
