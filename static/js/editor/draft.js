/* The form of the editor, which holds all of the draft. What changes fields is followed by a look: the server judges the fields and
   draws the graph. What changes blocks is an act: the server sends the form anew. Undo is a redraw of fields kept before. */

const ASIDE = ["csrfmiddlewaretoken", "yaml", "kind", "picked", "note"]; // no part of what can be undone
const PAUSE = 400; // ms without a keystroke before a look
const KEPT = 100; // states

export class Draft {
  constructor(form, drawn, lost) {
    this.form = form;
    this.drawn = drawn; // called when the canvas was drawn anew
    this.lost = lost; // called when the server does not answer
    this.past = [];
    this.future = [];
    this.now = this.snapshot();
    this.turn = 0;
    this.queue = Promise.resolve();
  }

  data() {
    return new URLSearchParams(new FormData(this.form));
  }

  snapshot() {
    const data = this.data();
    ASIDE.forEach((name) => data.delete(name));
    return data.toString();
  }

  /* --- fields of nodes */
  block(id) {
    return this.form.querySelector(`.f-block[data-id="${CSS.escape(id)}"]`);
  }

  field(id, name) {
    const block = this.block(id);
    return block && this.form.elements[`${block.id}-${name}`];
  }

  targets(id, kind) {
    return this.field(id, kind).value.split(/[,，、\s]+/).filter(Boolean);
  }

  connect(source, target, kind) {
    if (source === target || this.targets(source, kind).includes(target)) return;
    this.field(source, kind).value = [...this.targets(source, kind), target].join(", ");
    this.changed(0);
  }

  disconnect(source, target, kind) {
    this.field(source, kind).value = this.targets(source, kind).filter((each) => each !== target).join(", ");
    this.changed(0);
  }

  /* --- looks */
  changed(pause = PAUSE) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.settle(), pause);
  }

  settle() {
    if (this.noted()) this.judge();
  }

  /* Whether the fields differ from the last state, which then is one that can be gone back to. */
  noted() {
    clearTimeout(this.timer);
    const now = this.snapshot();
    if (now === this.now) return false;
    this.remember(now);
    return true;
  }

  judge() {
    this.look().catch(this.lost);
  }

  remember(now) {
    this.past = [...this.past, this.now].slice(-KEPT);
    this.future = [];
    this.now = now;
    this.tell();
  }

  async look() {
    this.turn += 1;
    const turn = this.turn;
    const answer = await this.post(this.data(), "look");
    const parts = await answer.json();
    if (turn !== this.turn) return; // a newer look is on its way
    const focused = this.part("canvas").contains(document.activeElement);
    this.part("canvas").innerHTML = parts.canvas;
    this.part("problems").innerHTML = parts.problems;
    const text = this.form.elements.yaml;
    if (!("dirty" in text.dataset)) text.value = parts.yaml;
    document.getElementById("f-names").textContent = JSON.stringify(parts.names);
    this.paint(parts.faults);
    this.drawn(focused);
  }

  part(name) {
    return this.form.querySelector(`[data-live="${name}"]`);
  }

  paint(faults) {
    this.form.querySelectorAll(".f-err").forEach((each) => each.remove());
    this.form.querySelectorAll("[data-faults]").forEach((each) => each.replaceChildren());
    this.form.querySelectorAll(".is-bad:not(svg *)").forEach((each) => each.classList.remove("is-bad"));
    this.form.querySelectorAll("[aria-invalid]").forEach((each) => each.removeAttribute("aria-invalid"));
    Object.entries(faults).forEach(([name, messages]) => this.mark(name, messages));
  }

  mark(name, messages) {
    const control = this.form.querySelector(`[name="${CSS.escape(name)}"]:not([type=hidden])`);
    const block = control ? control.closest(".f-block, .f-parameter") : document.getElementById(name);
    const place = control ? control.closest(".f-field") : block && block.querySelector("[data-faults]");
    if (block) block.classList.add("is-bad");
    if (control) {
      control.classList.add("is-bad");
      control.setAttribute("aria-invalid", "true");
    }
    if (!place) return;
    const fault = document.getElementById("f-fault").content.firstElementChild.cloneNode(true);
    fault.querySelector("span").textContent = messages.join(" ");
    place.append(fault);
  }

  /* --- acts */
  act(action) {
    this.noted();
    return this.run(async () => {
      await this.send(this.data(), action);
      this.remember(this.snapshot());
      if (!this.form.querySelector("[data-wrong]")) this.judge(); // text that could not be read stays, with what is wrong
    });
  }

  undo() {
    this.noted();
    return this.step(this.past, this.future);
  }

  redo() {
    return this.step(this.future, this.past);
  }

  step(from, to) {
    if (!from.length) return this.queue;
    to.push(this.now);
    this.now = from.pop();
    const data = new URLSearchParams(this.now);
    const all = this.data();
    ASIDE.forEach((name) => data.set(name, all.get(name) || ""));
    return this.run(async () => {
      await this.send(data, "redraw");
      this.tell();
      this.judge();
    });
  }

  /* One after the other; one that fails does not stop the next. */
  run(work) {
    this.queue = this.queue.catch(() => {}).then(work);
    return this.queue;
  }

  async send(data, action) {
    const before = this.data();
    this.turn += 1; // a look that is on its way is of the old form
    this.form.setAttribute("aria-busy", "true");
    try {
      const answer = await this.post(data, action);
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      this.swap(page.getElementById("f-editor"), before);
    } finally {
      this.form.removeAttribute("aria-busy");
    }
  }

  async post(data, action) {
    data.set("action", action);
    if (action !== "yaml") data.delete("yaml"); // the fields say the same
    const answer = await fetch(window.location.href, { method: "POST", body: data, redirect: "error" });
    if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
    return answer;
  }

  /* Take the new fields. What was typed while they were on their way is kept, and so is the place where one types. */
  swap(fresh, before) {
    const { scrollLeft, scrollTop } = this.part("canvas");
    const focused = this.part("canvas").contains(document.activeElement);
    const { name, selectionStart, selectionEnd } = document.activeElement;
    const typed = [...this.form.querySelectorAll("input:not([type=checkbox]):not([type=file]), textarea, select")]
      .filter((each) => each.name && (each.type === "password" || !before.getAll(each.name).includes(each.value)))
      .map((each) => [each.name, each.value]);
    this.form.replaceChildren(...fresh.childNodes);
    typed.forEach(([late, value]) => { const field = this.named(late); if (field) field.value = value; });
    const field = this.named(name);
    if (field) field.focus({ preventScroll: true });
    if (field && selectionStart !== null && selectionStart !== undefined) field.setSelectionRange(selectionStart, selectionEnd);
    this.part("canvas").scrollTo(scrollLeft, scrollTop);
    this.drawn(focused);
  }

  named(name) {
    return name && this.form.querySelector(`[name="${CSS.escape(name)}"]:not(button):not([type=hidden])`);
  }

  tell() {
    this.form.querySelector("[data-do=undo]").disabled = !this.past.length;
    this.form.querySelector("[data-do=redo]").disabled = !this.future.length;
  }
}
