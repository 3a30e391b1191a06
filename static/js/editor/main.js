/* The graph editor of packages. Without it the same form is a list of blocks with buttons; with it the graph is the way in. */

import { Canvas } from "./canvas.js";
import { Completion } from "./completion.js";
import { Draft } from "./draft.js";

const form = document.getElementById("f-editor");
const wide = window.matchMedia("(min-width: 901px)");
let canvas = null;
const draft = new Draft(form, (focused) => { view(form.dataset.view); canvas.drawn(focused); }, lost);
canvas = new Canvas(form, draft, wide);
new Completion(form);

const ACTS = /^(add-node|copy-node|add-parameter|drop|tidy|redraw|yaml)\b/;

function view(name) {
  form.dataset.view = name;
  form.querySelectorAll(".f-seg [data-view]").forEach((tab) => {
    if (tab.dataset.view === name) tab.setAttribute("aria-current", "true"); else tab.removeAttribute("aria-current");
  });
}

function lost(error) {
  const said = form.querySelector("[data-said]");
  said.textContent = `${said.dataset.lost}${error.message}`;
}

async function act(action) {
  await draft.act(action);
  if (action === "add-node" || action.startsWith("copy-node")) {
    const block = document.getElementById(form.elements.picked.value);
    view("graph");
    if (block) form.elements[`${block.id}-name`].focus();
  }
  if (action === "add-parameter") form.querySelector(".f-parameter:last-of-type input:not([type=hidden])").focus();
  if (action === "yaml") view(document.querySelector("#f-yaml[data-wrong]") ? "yaml" : "graph");
}

function step(way) {
  draft[way]().then(() => canvas.root.focus()).catch(lost);
}

/* Go to where a link of the summary points. */
function visit(target) {
  if (target.matches("#f-yaml, .f-parameter")) view(target.matches("#f-yaml") ? "yaml" : "parameters");
  else { view("graph"); canvas.pick(target.dataset.id || "", wide.matches); }
  target.scrollIntoView({ block: "nearest" });
}

form.addEventListener("submit", (event) => {
  const action = event.submitter ? event.submitter.value : "check";
  if (!ACTS.test(action) && !(event.submitter && event.submitter.classList.contains("f-vh"))) {
    form.elements.yaml.disabled = true; // the fields say the same
    return;
  }
  event.preventDefault();
  if (ACTS.test(action)) act(action).catch(lost); else draft.settle(); // Enter in a field saves nothing
});

form.addEventListener("input", (event) => {
  if (event.target.name === "yaml") event.target.dataset.dirty = ""; else draft.changed();
});

form.addEventListener("change", async (event) => {
  const { name, files } = event.target;
  if (/^(nodes|parameters)-\d+-type$/.test(name)) act("redraw").catch(lost);
  if (!files || !files[0]) return;
  form.elements.yaml.value = await files[0].text();
  act("yaml").catch(lost);
});

form.addEventListener("click", (event) => {
  const tab = event.target.closest(".f-seg [data-view]");
  const link = event.target.closest("[data-live=problems] a");
  const button = event.target.closest("[data-do]");
  if (tab) { event.preventDefault(); view(tab.dataset.view); }
  if (link) { event.preventDefault(); visit(document.getElementById(link.hash.slice(1))); }
  if (button) step(button.dataset.do);
  const node = event.target.closest("[data-node]");
  if (node && !wide.matches) visit(draft.block(node.dataset.node));
});

form.addEventListener("keydown", (event) => {
  if (!(event.ctrlKey || event.metaKey) || event.target.closest("input, textarea, select")) return;
  const key = event.key.toLowerCase();
  if (key !== "z" && key !== "y") return;
  event.preventDefault();
  step(key === "y" || event.shiftKey ? "redo" : "undo");
});

form.classList.add("is-live");
view(window.location.hash === "#f-yaml" ? "yaml" : "graph");
draft.tell();
canvas.show();
