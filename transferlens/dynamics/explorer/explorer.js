// The interactive page of feature dynamics: two grids to walk, a curve, and strips of units. Numbers are in
// the element #data, nested as [domain, model, layer, step].
(() => {
const data = JSON.parse($("data").textContent);
const { layers, steps, domains, models, quantities, levels, units } = data;
const SIGNIFICANT = 0.05; // what has a larger q is not told from the null
const LAST = steps.length - 1;

// ---- words and numbers --------------------------------------------------------------------------
const number = (value, digits = 3) => (known(value) ? value.toFixed(digits).replace("-", "−") : "undefined");
const short = (value) => pointed(number(value, 2));
const stepName = (t) => `step ${steps[t].toLocaleString("en")}${t === LAST ? " (end)" : ""}`;

// A definition list: [term, value, explanation of the term].
const define = (pairs) => make("dl", {}, ...pairs.flatMap(([term, value, title = ""]) =>
  [make("dt", { textContent: term, title }), say("dd", value)]));

// ---- the view: kept in the address --------------------------------------------------------------
const DEFAULTS = { domain: 0, model: 0, quantity: 0, step: LAST, other: 0, layer: layers.length - 1, unit: "" };
const COUNTS = { domain: domains.length, model: models.length, quantity: quantities.length, step: steps.length,
  other: steps.length, layer: layers.length };
const view = { ...DEFAULTS };

function readAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  for (const [key, count] of Object.entries(COUNTS)) {
    const value = given.has(key) ? Number(given.get(key)) : DEFAULTS[key];
    view[key] = Number.isInteger(value) && value >= 0 && value < count ? value : DEFAULTS[key];
  }
  view.unit = given.get("unit") || "";
}

function writeAddress() {
  const changed = Object.entries(view).filter(([key, value]) => value !== DEFAULTS[key]);
  if (changed.length || location.hash.includes("=")) history.replaceState(null, "", `#${new URLSearchParams(changed)}`);
}

const fields = Object.fromEntries(["domain", "model", "quantity", "layer", "step", "other"]
  .map((name) => [name, document.querySelector(`[name=${name}]`)]));

function change(changes) {
  Object.assign(view, changes);
  writeAddress();
  show();
}

// ---- similarities of all layers and steps -------------------------------------------------------
const unpacked = data.cka.packed.map((ofDomain) => ofDomain.map((text) => new Int16Array(bytes(text).buffer)));

// CKA of a layer at a step with another layer at another step: of one model, or their mean.
function cka(layer, step, otherLayer, otherStep) {
  const [i, j] = [layer * steps.length + step, otherLayer * steps.length + otherStep];
  const [low, high] = i < j ? [i, j] : [j, i];
  const of = unpacked[view.domain];
  const chosen = of.length === models.length ? [of[view.model]] : view.model ? [of[view.model - 1]] : of;
  const values = chosen.map((triangle) => triangle[(high * (high + 1)) / 2 + low]);
  if (values.includes(data.cka.unknown)) return null;
  return (values.reduce((sum, value) => sum + value, 0) / values.length) * data.cka.unit;
}

// ---- grids --------------------------------------------------------------------------------------
// A table of numbers to walk with arrow keys; cell(row, column) gives {value, hatched, here, words}.
function showGrid(frame, { label, rows, columns, corner, cell, here, isNamed }) {
  const focused = frame.contains(document.activeElement) ? place(document.activeElement) : null;
  const head = make("tr", {}, say("th", corner, { className: "corner" }), ...columns.map((name, c) =>
    make("th", { scope: "col", className: c === here.column ? "here" : "" }, say("span", name))));
  const body = rows.map((name, r) => make("tr", { className: r === here.row ? "here" : "" },
    say("th", name, { scope: "row" }), ...columns.map((_, c) => gridCell(r, c, cell(r, c)))));
  const table = make("table", { className: isNamed ? "grid named" : "grid" }, make("thead", {}, head), make("tbody", {}, ...body));
  table.setAttribute("role", "grid");
  table.setAttribute("aria-label", label);
  frame.replaceChildren(table);
  const at = focused || [here.row ?? 0, here.column ?? 0];
  const first = cellAt(frame, ...at);
  first.tabIndex = 0;
  if (focused) first.focus();
}

function gridCell(row, column, { value, hatched, here, words }) {
  const cell = make("td", { tabIndex: -1 }, say("span", known(value) ? short(value) : "–"));
  cell.dataset.row = row;
  cell.dataset.column = column;
  const part = Math.min(Math.max(value ?? 0, 0), 1);
  cell.style.setProperty("--part", `${Math.round(100 * part)}%`);
  cell.classList.toggle("strong", part > 0.55);
  cell.classList.toggle("empty", !known(value));
  cell.classList.toggle("hatched", Boolean(hatched));
  cell.classList.toggle("here", Boolean(here));
  cell.setAttribute("aria-label", words);
  return cell;
}

const place = (cell) => [Number(cell.dataset.row), Number(cell.dataset.column)];
const cellAt = (frame, row, column) => frame.querySelector(`td[data-row="${row}"][data-column="${column}"]`);

function walk(frame, event, select) {
  const cell = event.target.closest("td");
  if (!cell) return;
  const [row, column] = place(cell);
  if (event.key === "Enter" || event.key === " ") {
    event.preventDefault();
    return select(row, column);
  }
  const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  if (!(event.key in moves)) return;
  event.preventDefault();
  const [down, right] = moves[event.key];
  const next = cellAt(frame, row + down, column + right);
  if (!next) return;
  cell.tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
}

function listenToGrid(frame, describe, select) {
  for (const type of ["pointerover", "focusin"]) {
    frame.addEventListener(type, (event) => {
      const cell = event.target.closest("td");
      if (cell) describe(...place(cell));
    });
  }
  frame.addEventListener("keydown", (event) => walk(frame, event, select));
  frame.addEventListener("click", (event) => {
    const cell = event.target.closest("td");
    if (cell) select(...place(cell));
  });
}

// ---- layer by step ------------------------------------------------------------------------------
const of = (values, layer, step) => values[view.domain][view.model][layer][step];
const isTested = () => quantities[view.quantity].name !== "to_end";

function isHatched(layer, step) {
  const q = of(data.q, layer, step);
  return isTested() && known(q) && q > SIGNIFICANT;
}

function withInterval(quantity, layer, step) {
  const [value, low, high] = [quantity.value, quantity.low, quantity.high].map((values) => of(values, layer, step));
  return number(value) + (known(low) ? ` (95 % ${models[view.model].interval}: ${number(low)} to ${number(high)})` : "");
}

function showHeatmap() {
  const quantity = quantities[view.quantity];
  showGrid($("heatmap-frame"), {
    label: `${quantity.heading}: layers by steps`,
    rows: layers,
    columns: steps.map((step) => step.toLocaleString("en")),
    corner: "layer ↓ step →",
    here: { row: view.layer, column: view.step },
    cell: (layer, step) => ({
      value: of(quantity.value, layer, step),
      hatched: isHatched(layer, step),
      here: step === view.step,
      words: `${layers[layer]}, ${stepName(step)}: ${withInterval(quantity, layer, step)}`
        + (isHatched(layer, step) ? ", not told from the null" : ""),
    }),
  });
}

function describe(layer, step) {
  const q = of(data.q, layer, step);
  const pairs = quantities.map((quantity) => [quantity.heading, withInterval(quantity, layer, step), quantity.explanation]);
  pairs.push(["null: images in random order", `${number(of(data.null, layer, step))}, q ${small(q)}`],
    ["a network at random, at its start", number(levels.random_init[view.domain][layer])],
    ["another model at this step", number(levels.other_seed[view.domain][layer][step])],
    ["end, against one from scratch", number(levels.scratch_end[view.domain][layer])],
    ["accuracy on the target's images", number(data.accuracy[view.model][step])]);
  const notes = [data.notes[view.domain][layer]].filter(Boolean);
  if (known(q) && q > SIGNIFICANT) notes.push("Its similarity to step 0 is not told from the null (q > .05).");
  $("told").replaceChildren(say("h3", `${layers[layer]}, ${stepName(step)}`), define(pairs), curve(layer, step),
    ...notes.map((note) => say("p", note, { className: "soft" })));
}

// ---- the curve of a layer -----------------------------------------------------------------------
const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 340, HEIGHT = 150, LEFT = 30, BOTTOM = 24;

function draw(tag, attributes, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

// Similarity to step 0 over steps, on a logarithmic axis, with intervals, the null, and a network at random.
function curve(layer, here) {
  const quantity = quantities.find(({ name }) => name === "to_start");
  const x = (t) => LEFT + 8 + ((WIDTH - LEFT - 20) * Math.log1p(steps[t])) / (Math.log1p(steps[LAST]) || 1);
  const y = (value) => HEIGHT - BOTTOM - (HEIGHT - BOTTOM - 8) * Math.min(Math.max(value, -0.05), 1.05);
  const shown = steps.map((_, t) => t).filter((t) => known(of(quantity.value, layer, t)));
  const line = (value) => shown.filter((t) => known(value(t))).map((t) => `${x(t)},${y(value(t))}`).join(" ");
  const parts = [
    draw("path", { class: "axis", d: `M${LEFT},${y(1)}V${y(0)}H${WIDTH - 6}` }),
    ...[0, 0.5, 1].map((v) => draw("text", { x: LEFT - 5, y: y(v) + 3, "text-anchor": "end" }, String(v))),
    ...[0, here, LAST].filter((t, i, all) => all.indexOf(t) === i).map((t) =>
      draw("text", { x: x(t), y: HEIGHT - 8, "text-anchor": t === LAST ? "end" : "middle" }, String(steps[t]))),
    draw("polyline", { class: "null", points: line((t) => of(data.null, layer, t)) }),
    draw("polyline", { class: "line", points: line((t) => of(quantity.value, layer, t)) }),
  ];
  const random = levels.random_init[view.domain][layer];
  if (known(random)) parts.push(draw("path", { class: "reference", d: `M${LEFT},${y(random)}H${WIDTH - 6}` }));
  for (const t of shown) {
    const [low, high] = [of(quantity.low, layer, t), of(quantity.high, layer, t)];
    if (known(low)) parts.push(draw("path", { class: "reach", d: `M${x(t)},${y(low)}V${y(high)}` }));
    parts.push(draw("circle", { class: t === here ? "dot here" : "dot", cx: x(t), cy: y(of(quantity.value, layer, t)), r: 3 }));
  }
  const label = `Similarity of ${layers[layer]} to step 0 over the steps`;
  const picture = draw("svg", { class: "curve", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label }, ...parts);
  const caption = "Similarity to step 0 by step (logarithmic). Dotted: the null; dashed: a network at random.";
  return make("figure", {}, picture, say("figcaption", caption));
}

// ---- layer by layer -----------------------------------------------------------------------------
const pairName = (row, column) => `${layers[row]} at ${stepName(view.step)} with ${layers[column]} at ${stepName(view.other)}`;

function showMatrix() {
  $("row-step").textContent = stepName(view.step);
  showGrid($("matrix-frame"), {
    label: `Similarity of layers at ${stepName(view.step)} (rows) with layers at ${stepName(view.other)} (columns)`,
    rows: layers,
    columns: layers,
    corner: "",
    here: { row: view.layer },
    isNamed: true,
    cell: (row, column) => {
      const value = cka(row, view.step, column, view.other);
      return { value, here: row === column, words: `${pairName(row, column)}: ${number(value)}` };
    },
  });
}

function describePair(row, column) {
  const value = cka(row, view.step, column, view.other);
  $("matrix-told").textContent = `${pairName(row, column)}: ${number(value)}. These are values, without null and interval; `
    + "the frame is around layers with themselves.";
}

// ---- units --------------------------------------------------------------------------------------
function showUnits() {
  const shown = units.missing ? [] : units.shown.filter((unit) => unit.layer === view.layer);
  const none = `Of ${layers[view.layer]} no unit is shown. ${units.missing ? "" : units.reasons[view.layer] || ""}`;
  $("units-about").textContent = units.missing || `${units.about} ${shown.length ? "" : none}`;
  const chosen = shown.find((unit) => unit.name === view.unit) || shown[0];
  $("unit-list").replaceChildren(...shown.map((unit) => {
    const button = say("button", `${unit.name} (${unit.why})`, { type: "button" });
    button.dataset.unit = unit.name;
    button.setAttribute("aria-pressed", unit === chosen);
    return button;
  }));
  $("unit").replaceChildren(...(chosen ? unitParts(chosen) : []));
}

const here = (t) => (units.steps[t] === steps[view.step] ? "here" : "");

// The steps of the tiles of a strip.
const tileSteps = () => make("div", { className: "tiles" }, ...units.steps.map((step, t) =>
  say("span", step.toLocaleString("en"), { className: here(t) })));

function unitParts(unit) {
  const strips = unit.strips.map(({ title, picture, alt }) => make("figure", {}, say("figcaption", title),
    make("div", { className: "strip" }, make("img", { src: `data:image/${units.kind};base64,${picture}`, alt }), tileSteps())));
  const head = make("tr", {}, say("th", "step", { scope: "row" }), ...units.steps.map((step, t) =>
    say("th", step.toLocaleString("en"), { scope: "col", className: `number ${here(t)}` })));
  const rows = unit.rows.map(({ heading, values, explanation }) => make("tr", {},
    say("th", heading, { scope: "row", title: explanation }), ...values.map((value, t) =>
      say("td", known(value) ? short(value) : "–", { className: `number ${here(t)}` }))));
  const notes = [unit.note].filter(Boolean).map((note) => say("p", note, { className: "soft" }));
  return [say("h3", `${layers[unit.layer]}, ${unit.name}: ${unit.why}`), ...strips,
    make("div", { className: "table" }, make("table", {}, head, ...rows)), ...notes];
}

// ---- events -------------------------------------------------------------------------------------
function show() {
  for (const [name, field] of Object.entries(fields)) field.value = view[name];
  $("step-told").textContent = stepName(view.step);
  $("other-told").textContent = stepName(view.other);
  describe(view.layer, view.step); // a grid that has the focus then describes the cell in focus
  showHeatmap();
  describePair(view.layer, view.layer);
  showMatrix();
  showUnits();
}

function listen() {
  for (const [name, field] of Object.entries(fields)) {
    field.addEventListener("input", () => change({ [name]: Number(field.value) }));
    field.form.addEventListener("submit", (event) => event.preventDefault());
  }
  listenToGrid($("heatmap-frame"), describe, (layer, step) => change({ layer, step }));
  listenToGrid($("matrix-frame"), describePair, (layer) => change({ layer }));
  $("unit-list").addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    change({ unit: button.dataset.unit });
    $("unit-list").querySelector('[aria-pressed="true"]').focus();
  });
  addEventListener("hashchange", () => {
    if (!location.hash.includes("=")) return; // an anchor of the page
    readAddress();
    show();
  });
}

const option = (textContent, value) => make("option", { textContent, value });
fields.domain.append(...domains.map(option));
fields.model.append(...models.map(({ name }, i) => option(name, i)));
fields.layer.append(...layers.map(option));
fields.quantity.append(...quantities.map(({ heading }, i) => option(heading, i)));
fields.step.max = fields.other.max = LAST;
readAddress();
listen();
show();
performance.mark("complete");
})();
