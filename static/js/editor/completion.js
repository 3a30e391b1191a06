/* Names of variables offered while one types ${ into a field that takes them. */

const OPEN = /\$\{([^{}\s]*)$/;
const SHOWN = 8;

export class Completion {
  constructor(form) {
    this.list = null;
    this.field = null;
    form.addEventListener("input", (event) => { if (event.target.matches("[data-variables]")) this.offer(event.target); });
    form.addEventListener("keydown", (event) => { if (this.list) this.key(event); }, true);
    form.addEventListener("focusout", () => this.close());
  }

  offer(field) {
    this.close();
    const typed = OPEN.exec(field.value.slice(0, field.selectionStart));
    if (!typed) return;
    const names = JSON.parse(document.getElementById("f-names").textContent);
    const part = typed[1].toLowerCase();
    const begins = names.filter(([name]) => name.toLowerCase().startsWith(part));
    const holds = names.filter(([name, text]) => !begins.some(([each]) => each === name) && `${name} ${text}`.toLowerCase().includes(part));
    const found = [...begins, ...holds].slice(0, SHOWN);
    if (found.length) this.open(field, found, typed[1].length);
  }

  open(field, names, length) {
    this.field = field;
    this.length = length;
    this.list = document.createElement("ul");
    this.list.className = "f-complete";
    this.list.id = "f-complete";
    this.list.setAttribute("role", "listbox");
    names.forEach(([name, text], at) => {
      const item = document.createElement("li");
      item.id = `f-complete-${at}`;
      item.setAttribute("role", "option");
      item.dataset.name = name;
      const code = document.createElement("b");
      code.textContent = name;
      item.append(code, ` ${text}`);
      item.addEventListener("pointerdown", (event) => { event.preventDefault(); this.take(item); });
      this.list.append(item);
    });
    field.parentElement.classList.add("f-completing");
    field.after(this.list);
    field.setAttribute("aria-controls", "f-complete");
    this.choose(0);
  }

  choose(at) {
    const items = [...this.list.children];
    this.at = (at + items.length) % items.length;
    items.forEach((item, index) => item.setAttribute("aria-selected", String(index === this.at)));
    this.field.setAttribute("aria-activedescendant", items[this.at].id);
  }

  key(event) {
    const acts = {
      ArrowDown: () => this.choose(this.at + 1), ArrowUp: () => this.choose(this.at - 1), Escape: () => this.close(),
      Enter: () => this.take(this.list.children[this.at]), Tab: () => this.take(this.list.children[this.at]),
    };
    if (!acts[event.key] || event.isComposing) return;
    event.preventDefault();
    event.stopPropagation();
    acts[event.key]();
  }

  /* A name with a part of one's own (labels.<name>) leaves the caret where that part goes. */
  take(item) {
    const { field, length } = this;
    const caret = field.selectionStart;
    const [fixed, own] = item.dataset.name.split("<");
    const closed = field.value[caret] === "}";
    field.setRangeText(`${fixed}${closed ? "" : "}"}`, caret - length, caret, "end");
    const end = field.selectionEnd + (closed ? 1 : 0);
    const at = own === undefined ? end : end - 1;
    field.setSelectionRange(at, at);
    this.close();
    field.dispatchEvent(new Event("input", { bubbles: true }));
  }

  close() {
    if (!this.list) return;
    this.list.remove();
    this.field.parentElement.classList.remove("f-completing");
    ["aria-controls", "aria-activedescendant"].forEach((name) => this.field.removeAttribute(name));
    this.list = null;
  }
}
