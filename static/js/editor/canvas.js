/* The graph under the pointer and the keyboard: pick, move, connect, delete. It changes fields of the draft and nothing else. */

const SLOP = 4; // px a pointer may move in a click
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const KINDS = { s: "success", f: "failure", a: "always" };

export class Canvas {
  constructor(form, draft, wide) {
    this.form = form;
    this.draft = draft;
    this.wide = wide; // a media query: a narrow page shows the graph and edits in the list below

    this.wire = null; // the picked edge: [source, target, kind]
    this.joining = null; // an edge that the keyboard draws: {source, kind, target}
    this.hold = null; // what the pointer holds
    form.addEventListener("pointerdown", (event) => this.down(event));
    form.addEventListener("pointermove", (event) => { if (this.hold) this.move(event); });
    form.addEventListener("pointerup", (event) => { if (this.hold) this.up(event); });
    form.addEventListener("pointercancel", () => this.drop());
    form.addEventListener("keydown", (event) => this.key(event));
    form.addEventListener("focusin", (event) => this.focused(event.target));
  }

  get root() { return document.getElementById("f-graph"); }

  get svg() { return this.root.querySelector("svg"); }

  get nodes() { return [...this.root.querySelectorAll("[data-node]")]; }

  node(id) { return this.root.querySelector(`[data-node="${CSS.escape(id)}"]`); }

  get picked() {
    const block = document.getElementById(this.form.elements.picked.value);
    return block && block.dataset.id ? block.dataset.id : "";
  }

  /* --- picking */
  pick(id, focus = false) {
    const block = id && this.draft.block(id);
    this.form.elements.picked.value = block ? block.id : "";
    this.wire = null;
    this.show();
    if (focus && block) this.node(id).focus({ preventScroll: false });
  }

  pickWire(path) {
    this.pick("");
    this.wire = [path.dataset.source, path.dataset.target, path.dataset.kind];
    this.show();
    this.root.focus();
  }

  show() {
    const id = this.picked;
    const shown = (id && this.draft.block(id)) || document.getElementById("f-package");
    this.form.querySelectorAll(".f-block").forEach((block) => block.classList.toggle("is-picked", block === shown));
    this.nodes.forEach((node) => node.classList.toggle("is-picked", node.dataset.node === id));
    this.root.querySelectorAll(".f-wire").forEach((path) => path.classList.toggle("is-picked", this.isPicked(path)));
    this.nodes.forEach((node) => node.classList.toggle("is-target", !!this.joining && node.dataset.node === this.joining.target));
  }

  isPicked({ dataset: { source, target, kind } }) {
    return !!this.wire && this.wire.join() === [source, target, kind].join();
  }

  /* What has the focus is picked. */
  focused(target) {
    if (target === this.root) this.enter();
    else if (target.matches("[data-node]") && target.dataset.node !== this.picked) this.pick(target.dataset.node);
  }

  enter() {
    if (this.wire) return;
    const first = this.picked || (this.nodes[0] && this.nodes[0].dataset.node);
    if (first) this.pick(first, true);
  }

  /* Drawn anew: what had the focus has it again. */
  drawn(focused) {
    this.show();
    const node = this.picked && this.node(this.picked);
    if (focused) (node || this.root).focus({ preventScroll: true });
  }

  /* --- the pointer */
  down(event) {
    if (event.button || !this.wide.matches || !this.root.contains(event.target)) return;
    const port = event.target.closest(".f-port");
    const node = event.target.closest("[data-node]");
    const path = event.target.closest(".f-wire");
    const from = { x: event.clientX, y: event.clientY };
    if (path) { event.preventDefault(); this.pickWire(path); return; }
    if (port) this.hold = { kind: port.dataset.kind, source: node.dataset.node, line: this.line(), from };
    else if (node) this.hold = { node, from, moved: false };
    else this.hold = { pan: [this.root.scrollLeft, this.root.scrollTop], from, moved: false };
    event.preventDefault();
    if (node) this.pick(node.dataset.node, true);
    this.form.setPointerCapture(event.pointerId);
  }

  move(event) {
    const { hold } = this;
    const [dx, dy] = [event.clientX - hold.from.x, event.clientY - hold.from.y];
    hold.moved = hold.moved || Math.hypot(dx, dy) > SLOP;
    if (!hold.moved) return;
    if (hold.line) this.stretch(hold, event);
    else if (hold.node) hold.node.setAttribute("transform", `translate(${this.x(hold.node) + dx} ${this.y(hold.node) + dy})`);
    else this.root.scrollTo(hold.pan[0] - dx, hold.pan[1] - dy);
  }

  up(event) {
    const { hold } = this;
    const under = document.elementFromPoint(event.clientX, event.clientY);
    const target = under && under.closest("[data-node]");
    this.drop();
    if (hold.line && target) this.draft.connect(hold.source, target.dataset.node, hold.kind);
    else if (hold.node && hold.moved) this.settle(hold.node, event.clientX - hold.from.x, event.clientY - hold.from.y);
    else if (hold.pan && !hold.moved) this.pick("");
  }

  drop() {
    if (this.hold && this.hold.line) this.hold.line.remove();
    this.hold = null;
  }

  line() {
    const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
    line.setAttribute("class", "f-edge is-drawn");
    this.svg.append(line);
    return line;
  }

  stretch({ line, source, kind }, event) {
    const box = this.svg.getBoundingClientRect();
    const port = this.node(source).querySelector(`.f-port[data-kind=${kind}]`);
    const [x, y] = [this.x(this.node(source)) + port.cx.baseVal.value, this.y(this.node(source)) + port.cy.baseVal.value];
    line.setAttribute("d", `M${x} ${y}L${event.clientX - box.left} ${event.clientY - box.top}`);
  }

  /* --- places: columns and rows */
  get step() { return [Number(this.svg.dataset.stepX), Number(this.svg.dataset.stepY)]; }

  x(node) { return this.svg.dataset.margin * 1 + node.dataset.column * this.step[0]; }

  y(node) { return this.svg.dataset.margin * 1 + node.dataset.row * this.step[1]; }

  settle(node, dx, dy) {
    const cell = [Math.round(dx / this.step[0]), Math.round(dy / this.step[1])];
    this.put(node, cell[0], cell[1]);
  }

  /* Move a node by columns and rows; who stands there changes places with it. All others stay where they are seen. */
  put(node, columns, rows) {
    const [column, row] = [Math.max(0, node.dataset.column * 1 + columns), Math.max(0, node.dataset.row * 1 + rows)];
    this.nodes.forEach((each) => this.place(each, each.dataset.column, each.dataset.row));
    const other = this.nodes.find((each) => each.dataset.column * 1 === column && each.dataset.row * 1 === row);
    if (other) this.place(other, node.dataset.column, node.dataset.row);
    this.place(node, column, row);
    node.setAttribute("transform", `translate(${this.x(node)} ${this.y(node)})`);
    this.draft.changed(0);
  }

  place(node, column, row) {
    const field = this.draft.field(node.dataset.node, "place");
    if (field) field.value = `${column},${row}`;
  }

  /* --- the keyboard */
  key(event) {
    if (!this.root.contains(event.target) || event.isComposing || event.altKey) return;
    if (event.ctrlKey || event.metaKey) return;
    const done = this.joining ? this.keyJoining(event) : this.keyFree(event);
    if (!done) return;
    event.preventDefault();
    event.stopPropagation();
  }

  keyFree(event) {
    const id = this.picked;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (ARROWS[key]) {
      if (event.shiftKey && id) this.put(this.node(id), ...ARROWS[key]);
      else this.walk(id, ARROWS[key], (next) => this.pick(next, true));
    } else if (KINDS[key] && id) this.join(id, KINDS[key]);
    else if (key === "Enter" && id) this.draft.block(id).querySelector("input:not([type=hidden]), select, textarea").focus();
    else if (key === "n") this.form.querySelector("[name=action][value=add-node]").click();
    else if (key === "Delete" || key === "Backspace") this.remove();
    else if (key === "Escape") this.pick("");
    else return false;
    return true;
  }

  join(source, kind) {
    const others = this.nodes.filter((each) => each.dataset.node !== source);
    if (!others.length) return;
    this.joining = { source, kind, target: this.nearest(this.node(source), others).dataset.node };
    this.say(kind);
    this.show();
  }

  keyJoining(event) {
    const { source, kind, target } = this.joining;
    if (ARROWS[event.key]) this.walk(target, ARROWS[event.key], (next) => { if (next !== source) this.joining.target = next; });
    else if (event.key === "Enter" || event.key === "Escape") {
      this.joining = null;
      this.say("");
      if (event.key === "Enter") this.draft.connect(source, target, kind);
    } else return false;
    this.show();
    return true;
  }

  remove() {
    if (this.wire) { const [source, target, kind] = this.wire; this.wire = null; this.draft.disconnect(source, target, kind); return; }
    const block = this.picked && this.draft.block(this.picked);
    if (!block) return;
    this.form.elements.picked.value = "";
    this.draft.act(`drop:${block.id}`).then(() => this.root.focus());
  }

  walk(id, [dx, dy], found) {
    const from = id && this.node(id);
    if (!from) { this.enter(); return; }
    const ahead = this.nodes.filter((each) => each !== from && dx * (each.dataset.column - from.dataset.column) + dy * (each.dataset.row - from.dataset.row) > 0);
    if (ahead.length) found(this.nearest(from, ahead, dx ? 3 : 1, dy ? 3 : 1).dataset.node);
  }

  /* The nearest of some nodes; `down` and `across` weigh rows and columns. */
  nearest(from, nodes, down = 1, across = 1) {
    const far = (each) => across * Math.abs(each.dataset.column - from.dataset.column) + down * Math.abs(each.dataset.row - from.dataset.row);
    return nodes.reduce((best, each) => (far(each) < far(best) ? each : best));
  }

  say(kind) {
    const help = this.form.querySelector("[data-help]");
    help.querySelector("[data-said]").textContent = kind ? help.dataset[kind] : "";
  }
}
