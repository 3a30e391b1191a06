/* Rules by drag: a row is dragged by its grip, and where it is dropped its form is sent, as its buttons ↑ and ↓ send it. */
(() => {
  "use strict";

  const list = document.querySelector("tbody[data-order]");
  if (!list) return;
  list.querySelectorAll(".f-grip").forEach((grip) => { grip.hidden = false; });
  let row = null;
  let next = null; // before which it stood

  list.addEventListener("dragstart", (event) => {
    const grip = event.target.closest ? event.target.closest(".f-grip") : null;
    if (!grip) return;
    row = grip.closest("tr");
    next = row.nextElementSibling;
    row.classList.add("is-dragged");
    event.dataTransfer.effectAllowed = "move";
    event.dataTransfer.setData("text/plain", row.id);
    event.dataTransfer.setDragImage(row, 24, 24);
  });

  list.addEventListener("dragover", (event) => {
    if (!row) return;
    event.preventDefault();
    const over = event.target.closest("tr");
    if (!over || over === row) return;
    const box = over.getBoundingClientRect();
    over[event.clientY > box.top + box.height / 2 ? "after" : "before"](row);
  });

  list.addEventListener("drop", (event) => { if (row) event.preventDefault(); });

  list.addEventListener("dragend", (event) => {
    if (!row) return;
    const dragged = row;
    row = null;
    dragged.classList.remove("is-dragged");
    if (event.dataTransfer.dropEffect === "none") { list.insertBefore(dragged, next); return; }
    if (dragged.nextElementSibling === next) return;
    const below = dragged.nextElementSibling;
    const field = document.createElement("input");
    field.type = "hidden";
    field.name = "before";
    field.value = below ? below.id.replace("rule-", "") : "0";
    const form = dragged.querySelector(".f-order form");
    form.append(field);
    form.submit();
  });
})();
