/* The portal's own script. Every page works without it; it adds keys, copying, and care around parts that htmx swaps. */
(() => {
  "use strict";

  const typing = (node) => node.closest("input, textarea, select, [contenteditable]");
  const say = (text) => { document.getElementById("f-said").textContent = text; };

  /* --- Keys: / search, J K move, X select, Esc close, G and a letter go. Enter works by itself: the row's link has the focus. */
  let going = false;

  const rows = () => {
    const table = document.querySelector(".f-table[data-keys]") || document.querySelector(".f-table:has(a.t)");
    return table ? [...table.querySelectorAll("tbody tr")].filter((row) => row.querySelector("a.t")) : [];
  };

  const move = (step) => {
    const all = rows();
    const now = all.findIndex((row) => row.contains(document.activeElement));
    const next = all[Math.min(Math.max(now + step, 0), all.length - 1)];
    if (next) next.querySelector("a.t").focus();
  };

  const pick = () => {
    const row = document.activeElement.closest(".f-table tbody tr");
    const tick = row && row.querySelector("input[type=checkbox]");
    if (tick) tick.click();
  };

  const escape = () => {
    const menu = document.querySelector("details.f-user[open]");
    if (menu) { menu.open = false; menu.querySelector("summary").focus(); return; }
    const closer = document.querySelector(".f-drawer [data-close]");
    if (closer) closer.click(); else document.activeElement.blur();
  };

  const go = (letter) => {
    const link = document.querySelector(`.f-nav[data-key="${CSS.escape(letter)}"]`);
    if (link) link.click();
  };

  const keys = {
    "/": () => { const field = document.querySelector("[data-search]"); if (field) { field.focus(); field.select(); } },
    j: () => move(1), k: () => move(-1), x: pick, g: () => { going = true; setTimeout(() => { going = false; }, 1500); },
  };

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") { escape(); return; }
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    const tick = event.target.matches("input[type=checkbox]");
    if (typing(event.target) && !tick) return;
    const key = event.key.toLowerCase();
    if (going) { going = false; event.preventDefault(); go(key); return; }
    if (keys[key]) { event.preventDefault(); keys[key](); }
  });

  /* --- A dangerous button opens once its reason is there: <button data-needs="reason">, the name of a field of its form. */
  const weigh = (form) => form.querySelectorAll("[data-needs]").forEach((button) => {
    const field = form.elements[button.dataset.needs];
    button.disabled = !(field && field.value.trim());
  });

  /* --- Many at once: <form data-pick>; [data-all] ticks all, [data-picked-bar] hides at none; [data-picked] shows the count,
     in the place of # where it has words ("同意 # 个"). */
  const count = (form) => {
    const ticks = [...form.querySelectorAll("input[type=checkbox]:not([data-all])")];
    const on = ticks.filter((tick) => tick.checked).length;
    form.querySelectorAll("[data-picked]").forEach((part) => { part.textContent = part.dataset.picked ? part.dataset.picked.replace("#", on) : on; });
    form.querySelectorAll("[data-picked-bar]").forEach((part) => { part.hidden = !on; });
    form.querySelectorAll("tbody tr").forEach((row) => {
      const tick = row.querySelector("input[type=checkbox]");
      if (tick) row.classList.toggle("is-on", tick.checked);
    });
    form.querySelectorAll("[data-all]").forEach((all) => {
      all.checked = on > 0 && on === ticks.length;
      all.indeterminate = on > 0 && on < ticks.length;
    });
  };

  document.addEventListener("input", (event) => { if (event.target.form) weigh(event.target.form); });
  document.addEventListener("change", (event) => {
    const form = event.target.form;
    if (!form || !form.matches("[data-pick]")) return;
    if (event.target.matches("[data-all]")) {
      form.querySelectorAll("input[type=checkbox]:not([data-all])").forEach((tick) => { tick.checked = event.target.checked; });
    }
    count(form);
  });

  const prepare = (root) => {
    const forms = root.matches("form") ? [root] : root.querySelectorAll("form");
    forms.forEach((form) => { weigh(form); if (form.matches("[data-pick]")) count(form); });
    const around = root.closest("form[data-pick]");
    if (around) count(around);
  };

  /* --- Copy: <button data-copy="text"> or <button data-copy-from="id">. The old way serves plain HTTP, where no clipboard is. */
  const oldCopy = (text) => {
    const area = document.createElement("textarea");
    area.value = text;
    area.className = "f-vh";
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  };

  /* --- Pick: <button data-add="name" data-to="id"> puts a name on a line of its own into a text area, once. */
  const add = (button) => {
    const area = document.getElementById(button.dataset.to);
    if (!area) return;
    const names = area.value.split(/[\n,，]+/).map((name) => name.trim()).filter(Boolean);
    if (!names.includes(button.dataset.add)) names.push(button.dataset.add);
    area.value = names.join("\n");
    button.disabled = true;
  };

  const copy = async (button) => {
    const from = document.getElementById(button.dataset.copyFrom || "");
    const text = button.dataset.copy || (from ? from.value || from.textContent.trim() : "");
    let done = true;
    if (navigator.clipboard) await navigator.clipboard.writeText(text).catch(() => { done = oldCopy(text); });
    else done = oldCopy(text);
    button.focus();
    if (!done) return;
    const { copied } = document.getElementById("f-said").dataset;
    say(copied);
    button.classList.add("is-copied");
    button.dataset.said = copied;
    setTimeout(() => button.classList.remove("is-copied"), 1600);
  };

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-copy], [data-copy-from]");
    if (button) { event.preventDefault(); copy(button); return; }
    const pick = event.target.closest("[data-add]");
    if (pick) { add(pick); return; }
    document.querySelectorAll("details.f-user[open]").forEach((menu) => {
      if (!menu.contains(event.target)) menu.open = false;
    });
    const closer = event.target.closest(".f-drawer [data-close]");
    if (closer && !closer.getAttribute("href")) closeDrawer(closer.closest(".f-drawer"));
  });

  /* --- A drawer takes the focus when its content arrives and gives it back when it closes. */
  let before = null;

  const closeDrawer = (drawer) => {
    drawer.replaceChildren();
    drawer.hidden = true;
    if (before && before.isConnected) before.focus();
  };

  document.addEventListener("htmx:afterSettle", (event) => {
    const drawer = event.target.closest ? event.target.closest(".f-drawer") : null;
    const asker = event.detail.requestConfig && event.detail.requestConfig.elt;
    if (!drawer || !asker || drawer.contains(asker) || !asker.isConnected) return;
    drawer.hidden = false;
    before = asker;
    if (!drawer.hasAttribute("tabindex")) drawer.tabIndex = -1;
    drawer.focus({ preventScroll: true });
  });

  /* --- Parts that htmx swaps. A failed one keeps its content and says so; a lost session reloads instead of swapping in a sign-in form. */
  const keep = (event) => {
    const target = event.detail.target || event.target;
    const place = target.closest(".f-card") || target.closest("main");
    if (!place || place.querySelector(":scope > [data-lost]")) return;
    const note = document.getElementById("f-lost").content.firstElementChild.cloneNode(true);
    const { xhr, elt, requestConfig, pathInfo } = event.detail;
    note.querySelector("[data-why]").textContent = xhr && xhr.status ? `HTTP ${xhr.status}` : "";
    note.querySelector("[data-again]").addEventListener("click", () => {
      note.remove();
      if (requestConfig.verb === "get" && elt.isConnected) window.htmx.ajax("GET", pathInfo.finalRequestPath, { source: elt, target });
      else window.location.reload();
    });
    place.prepend(note);
  };

  document.addEventListener("htmx:responseError", keep);
  document.addEventListener("htmx:sendError", keep);
  document.addEventListener("htmx:timeout", keep);
  document.addEventListener("htmx:beforeSwap", (event) => {
    const { xhr } = event.detail;
    const login = document.body.dataset.login;
    if (login && xhr.responseURL && new URL(xhr.responseURL).pathname === login && window.location.pathname !== login) {
      event.detail.shouldSwap = false;
      window.location.reload();
    }
  });
  document.addEventListener("htmx:afterSwap", (event) => {
    const place = event.target.closest ? event.target.closest(".f-card, main") : null;
    if (place) place.querySelectorAll(":scope > [data-lost]").forEach((note) => note.remove());
  });
  document.addEventListener("htmx:configRequest", (event) => {
    if (!event.target.matches("[data-filters]")) return;
    const { parameters } = event.detail;
    Object.keys(parameters).forEach((name) => { if (parameters[name] === "") delete parameters[name]; });
  });
  document.addEventListener("htmx:load", (event) => prepare(event.detail.elt));
  document.addEventListener("DOMContentLoaded", () => prepare(document.body));
})();
