// The gallery's page: a matrix to click, tables to sort, and a list of thousands of examples of which only
// those on screen exist. Numbers are in the element #data; pixels and maps of example i in the element #e<i>.
(() => {
const data = JSON.parse($("data").textContent);
const { rows, roles, scores, sources, targets, matrix, binding } = data;
const COUNT = rows.id.length;
const SIGNIFICANT = 0.05;

// ---- words and numbers --------------------------------------------------------------------------
const signed = (value) => (known(value) ? (value < 0 ? "−" : "+") + Math.abs(value).toFixed(2) : "–");
const plain = (value) => (known(value) ? String(+value.toPrecision(3)).replace("-", "−") : "–");
const share = (value) => (known(value) ? value.toFixed(2) : "–");
const thousands = (value) => value.toLocaleString("en");

const option = (value, textContent, title = "") => make("option", { value, textContent, title });

// A definition list: [term, value, explanation of the term].
function define(list, pairs) {
  list.replaceChildren(...pairs.flatMap(([term, value, title = ""]) =>
    [make("dt", { textContent: term, title }), make("dd", { textContent: value, title: value })]));
}

// ---- the view: what is filtered, sorted and drawn; kept in the address --------------------------
const OPACITY = { RdBu_r: "0.9", magma: "0.6", jet: "0.4" };
const DEFAULTS = {
  memory: "", target: "", match: "either", kind: "", wrong: "", significant: "",
  sort: scores.length ? scores[0].name : "p_predicted", direction: "",
  colours: "RdBu_r", scale: "all", opacity: "", // the colours' own
};
const FILTERS = ["memory", "target", "kind", "wrong", "significant"];
let view = { ...DEFAULTS };

function readAddress() {
  const given = [...new URLSearchParams(location.hash.slice(1))].filter(([key]) => key in DEFAULTS);
  view = { ...DEFAULTS, ...Object.fromEntries(given) };
  if (!(view.sort in SORTS)) view.sort = DEFAULTS.sort;
  if (!(view.colours in OPACITY)) view.colours = DEFAULTS.colours;
  for (const form of [$("filters"), $("display")]) {
    for (const field of form.elements) {
      if (field.type === "checkbox") field.checked = view[field.name] === "1";
      else if (field.name) field.value = view[field.name];
    }
  }
}

function writeAddress() {
  const changed = Object.entries(view).filter(([key, value]) => value !== DEFAULTS[key]);
  const hash = changed.length ? `#${new URLSearchParams(changed)}` : "#examples";
  if (changed.length || location.hash.includes("=")) history.replaceState(null, "", hash);
}

// ---- which examples, in which order -------------------------------------------------------------
const panelOf = Object.fromEntries(roles.map((role) => [role.name, role]));
const SORTS = Object.fromEntries(scores.map((score) => [score.name, { ...score, values: rows[score.name] }]));
for (const [role, heading, down] of [["predicted", "probability of the prediction", true],
  ["true", "probability of the true class", false], ["memory", "probability of the source class", true]]) {
  if (panelOf[role]) SORTS[`p_${role}`] = { heading, down, values: panelOf[role].probability };
}
const net = matrix.quantities.find((quantity) => quantity.name === "interference");

// Indices of the classes that a text names: exactly, or else as a part.
function named(names, text) {
  const wanted = text.trim().toLowerCase();
  if (!wanted) return null;
  const lower = names.map((name) => name.toLowerCase());
  const exact = lower.indexOf(wanted);
  return new Set(exact >= 0 ? [exact] : lower.flatMap((name, i) => (name.includes(wanted) ? [i] : [])));
}

function hasTarget(i, target, match) {
  const [isTrue, isPredicted] = [rows.true[i] === target, rows.predicted[i] === target];
  if (match === "true") return isTrue;
  if (match === "predicted") return isPredicted;
  return isTrue || (isPredicted && !rows.composite[i]);
}

function found({ memory, target, match, kind, wrong, significant }) {
  const memories = named(sources, memory);
  const wanted = targets.indexOf(target);
  const indices = [];
  for (let i = 0; i < COUNT; i++) {
    if (memories && !memories.has(rows.memory[i])) continue;
    if (wanted >= 0 && !hasTarget(i, wanted, match)) continue;
    if (kind && (kind === "composite") !== Boolean(rows.composite[i])) continue;
    if (wrong && rows.true[i] === rows.predicted[i]) continue;
    if (significant && !rows.significant[i]) continue;
    indices.push(i);
  }
  return indices;
}

const isDown = () => (view.direction ? view.direction === "down" : SORTS[view.sort].down);

// ---- the list: only rows near the screen exist --------------------------------------------------
const list = $("list");
const SPARE = 2; // rows kept above and below the screen
let order = []; // indices of the examples shown
let height = 0; // of a row, with the gap below it, in pixels
const onScreen = new Map(); // position: row element

function showList() {
  order = sorted(found(view), SORTS[view.sort].values, isDown());
  clearList();
  $("none").hidden = order.length > 0;
  $("shown").textContent = `${thousands(order.length)} of ${thousands(COUNT)} examples`;
  const words = { kind: view.kind, wrong: "wrong", significant: "significant" };
  const active = FILTERS.filter((key) => view[key]).map((key) => words[key] || view[key]);
  $("active").textContent = active.length ? `(${active.join(", ")})` : "";
  $("clear").disabled = !active.length;
  $("direction").textContent = isDown() ? "↓ largest first" : "↑ smallest first";
  layOut();
}

function clearList() {
  for (const position of [...onScreen.keys()]) dropRow(position);
}

function dropRow(position) {
  const node = onScreen.get(position);
  if (node.address) URL.revokeObjectURL(node.address);
  node.remove();
  onScreen.delete(position);
}

function layOut() {
  if (!height && order.length) height = measureRow();
  list.style.height = `${order.length * height}px`;
  const top = list.getBoundingClientRect().top;
  const first = Math.max(0, Math.floor(-top / height) - SPARE);
  const last = Math.min(order.length, Math.ceil((innerHeight - top) / height) + SPARE);
  for (const position of [...onScreen.keys()]) {
    if (position < first || position >= last) dropRow(position);
  }
  for (let position = first; position < last; position++) {
    if (!onScreen.has(position)) addRow(position);
  }
}

function measureRow() {
  const node = makeRow(order[0], 0);
  list.append(node);
  const size = node.getBoundingClientRect().height + parseFloat(getComputedStyle(node).marginBottom);
  node.remove();
  return size;
}

function addRow(position) {
  const node = makeRow(order[position], position);
  node.style.transform = `translateY(${position * height}px)`;
  // In the order of reading, whichever way one scrolls.
  const next = [...onScreen.keys()].filter((other) => other > position).sort((a, b) => a - b)[0];
  list.insertBefore(node, next === undefined ? null : onScreen.get(next));
  onScreen.set(position, node);
  fillRow(node, order[position]);
}

function makeRow(i, position) {
  const node = $("row-template").content.firstElementChild.cloneNode(true);
  const part = (name) => node.querySelector(name);
  const isWrong = rows.true[i] !== rows.predicted[i];
  node.dataset.example = i;
  node.ariaPosInSet = position + 1;
  node.ariaSetSize = order.length;
  part(".place").textContent = `${thousands(position + 1)}`;
  part(".kind").textContent = rows.composite[i] ? "composite" : "natural";
  part(".verdict").textContent = isWrong ? "wrong" : "right";
  part(".verdict").classList.toggle("wrong", isWrong);
  part(".id").textContent = part(".id").title = rows.id[i];
  define(part(".classes"), [["true", targets[rows.true[i]]], ["predicted", targets[rows.predicted[i]]],
    ["source class", sources[rows.memory[i]] ?? "none"]]);
  const values = scores.filter(({ name }) => known(rows[name][i]) && !name.endsWith("_p"));
  define(part(".scores"), values.map((score) => [score.heading, scoreText(score.name, i), score.explanation]));
  part(".panels").ariaLabel = `Panels of ${rows.id[i]}`;
  const panels = roles.map((role) => makePanel(role.heading, role.explanation));
  part(".panels").append(makePanel("input", rows.id[i]), ...panels);
  return node;
}

// A score; an effect with the p-value beside it, if it was tested.
function scoreText(name, i) {
  const p = rows[`${name}_p`];
  if (!name.endsWith("_effect")) return plain(rows[name][i]);
  return signed(rows[name][i]) + (p && known(p[i]) ? ` (p ${small(p[i])})` : "");
}

function makePanel(heading, title) {
  const panel = $("panel-template").content.firstElementChild.cloneNode(true);
  panel.querySelector(".role").textContent = heading;
  panel.querySelector(".role").title = title;
  return panel;
}

// Pixels, captions and maps of a row.
function fillRow(node, i) {
  const blob = $(`e${i}`);
  if (!blob) return; // still being read; see the end of this file
  const [pixels, maps] = blob.textContent.split(" ");
  node.address = URL.createObjectURL(new Blob([bytes(pixels)], { type: `image/${data.image.type}` }));
  node.maps = new Int8Array(bytes(maps).buffer);
  const panels = [...node.querySelectorAll(".panel")];
  for (const image of node.querySelectorAll("img")) image.src = node.address;
  const truth = targets[rows.true[i]];
  const subject = rows.composite[i] ? `${truth} on ${sources[rows.memory[i]]}` : truth;
  caption(panels[0], subject, "as the network sees it");
  panels[0].querySelector("img").alt = `${rows.id[i]}, true class ${truth}`;
  roles.forEach((role, r) => {
    const name = (role.head === "source" ? sources : targets)[role.class[i]];
    if (name === undefined) return caption(panels[r + 1], "not available", "");
    const subject = role.name === "contrast" ? `minus ${name}` : name;
    caption(panels[r + 1], subject, [known(role.probability[i]) && `p ${share(role.probability[i])}`,
      `max ${plain(role.raw_max[i])}`].filter(Boolean).join(" · "));
  });
  paintRow(node, i);
}

function caption(panel, name, numbers) {
  panel.querySelector("figcaption b").textContent = panel.querySelector("figcaption b").title = name;
  panel.querySelector("figcaption span").textContent = numbers;
}

// ---- maps ---------------------------------------------------------------------------------------
const PIXELS = 64; // side of a painted map; the browser scales it to the panel
const size = (role, i) => Math.max(Math.abs(role.raw_max[i] ?? 0), Math.abs(role.raw_min[i] ?? 0));
const strength = (role, i) => (view.colours === "RdBu_r" ? size(role, i) : Math.max(role.raw_max[i] ?? 0, 0));
const cellsOf = ({ cells }) => cells[0] * cells[1];
const offsets = roles.map((_, r) => roles.slice(0, r).reduce((sum, role) => sum + cellsOf(role), 0));

// One scale for each head: nearly the largest value of all maps (a single outlier must not pale the rest).
const shared = {};
function shareScale() {
  for (const head of new Set(roles.map((role) => role.head))) {
    const all = roles.filter((role) => role.head === head)
      .flatMap((role) => rows.id.map((_, i) => strength(role, i))).sort((a, b) => a - b);
    shared[head] = all[Math.floor(0.99 * (all.length - 1))] || 1;
  }
}

function limit(role, i) {
  if (view.scale === "all") return shared[role.head];
  const together = view.scale === "row" ? roles.filter(({ head }) => head === role.head) : [role];
  return Math.max(...together.map((other) => strength(other, i))) || 1;
}

function paintRow(node, i) {
  const panels = node.querySelectorAll(".panel");
  roles.forEach((role, r) => {
    const panel = panels[r + 1];
    const words = panel.querySelector("em");
    const isSigned = view.colours === "RdBu_r";
    const isEmpty = role.class[i] < 0 || strength(role, i) <= 0;
    words.textContent = !isEmpty ? "" : role.class[i] < 0 ? "no map"
      : isSigned || size(role, i) === 0 ? "the map is zero" : "no evidence for it";
    const canvas = panel.querySelector("canvas");
    canvas.hidden = isEmpty;
    canvas.setAttribute("role", "img");
    const [name, numbers] = panel.querySelectorAll("figcaption *");
    canvas.ariaLabel = `${role.heading}: ${name.textContent}, ${numbers.textContent}`;
    if (isEmpty) return;
    const [h, w] = role.cells;
    const cells = node.maps.subarray(offsets[r], offsets[r] + h * w);
    const values = enlarge(cells, h, w, size(role, i) / 127);
    paint(canvas, view.colours === "jet" ? asPublished(values) : values.map((v) => v / limit(role, i)));
  });
}

// As torchcam's overlay: what speaks for the class, from its minimum to its maximum, squared.
function asPublished(values) {
  const positive = values.map((v) => Math.max(v, 0));
  const low = Math.min(...positive);
  const range = Math.max(...positive) - low || 1;
  return positive.map((v) => ((v - low) / range) ** 2);
}

// Cubic interpolation of int8[h, w] to PIXELS x PIXELS values; a cell's value stands at its centre.
const tables = new Map();
function weights(n) {
  if (!tables.has(n)) {
    tables.set(n, Array.from({ length: PIXELS }, (_, pixel) => {
      const place = ((pixel + 0.5) * n) / PIXELS - 0.5;
      const start = Math.floor(place);
      const t = place - start;
      const [square, cube] = [t * t, t * t * t];
      const twice = [2 * square - cube - t, 2 - 5 * square + 3 * cube, t + 4 * square - 3 * cube, cube - square];
      return twice.map((f, k) => [Math.min(Math.max(start - 1 + k, 0), n - 1), f / 2]);
    }));
  }
  return tables.get(n);
}

function enlarge(cells, h, w, unit) {
  const wide = new Float32Array(h * PIXELS);
  weights(w).forEach((factors, x) => {
    for (let y = 0; y < h; y++) {
      for (const [cell, f] of factors) wide[y * PIXELS + x] += f * cells[y * w + cell] * unit;
    }
  });
  const values = new Float32Array(PIXELS * PIXELS);
  weights(h).forEach((factors, y) => {
    for (const [cell, f] of factors) {
      for (let x = 0; x < PIXELS; x++) values[y * PIXELS + x] += f * wide[cell * PIXELS + x];
    }
  });
  return values;
}

// Values (1 is the scale's end) as colours. Where there is no evidence either way the image stays clear.
function paint(canvas, values) {
  canvas.width = canvas.height = PIXELS;
  const context = canvas.getContext("2d");
  const image = context.createImageData(PIXELS, PIXELS);
  values.forEach((value, k) => image.data.set(colour(value), 4 * k));
  context.putImageData(image, 0, 0);
}

function colour(value) {
  const isSigned = view.colours === "RdBu_r";
  const place = Math.min(Math.max(isSigned ? (value + 1) / 2 : value, 0), 1);
  const stops = data.colours[view.colours];
  const at = place * (stops.length - 1);
  const before = stops[Math.floor(at)];
  const after = stops[Math.ceil(at)];
  const mixed = before.map((channel, k) => channel + (at - Math.floor(at)) * (after[k] - channel));
  return [...mixed, isSigned ? 255 * Math.min(Math.abs(value) ** 0.7, 1) : 255];
}

function repaint() {
  shareScale();
  for (const [position, node] of onScreen) if (node.maps) paintRow(node, order[position]);
  const opacity = view.opacity || OPACITY[view.colours];
  $("display").elements.opacity.value = opacity;
  list.style.setProperty("--opacity", opacity);
  list.className = `${view.colours}${data.image.side <= 64 ? " tiny" : ""}`;
  $("jet-warning").hidden = view.colours !== "jet";
  showMapLegend();
}

function showMapLegend() {
  const isSigned = view.colours === "RdBu_r";
  const stops = data.colours[view.colours].map((stop, k, all) => {
    const alpha = isSigned ? Math.abs((2 * k) / (all.length - 1) - 1) ** 0.7 : 1;
    return `rgb(${stop.join(" ")} / ${alpha.toFixed(2)})`;
  });
  const bar = make("i", { className: "bar" });
  bar.style.backgroundImage = `linear-gradient(to right, ${stops.join(",")})`;
  const ends = view.colours === "jet" || view.scale === "own" ? "the panel's largest"
    : view.scale === "row" ? "the largest of example and head"
      : Object.entries(shared).map(([head, value]) => `${plain(value)} (${head})`).join(", ");
  const [least, most] = { RdBu_r: ["against", "for"], magma: ["0", "most"], jet: ["least", "most"] }[view.colours];
  $("map-legend").replaceChildren(least, bar, most,
    make("span", { className: "soft", title: "logit units a cell; by head", textContent: `${isSigned ? "±" : "to "}${ends}` }));
}

// ---- matrix -------------------------------------------------------------------------------------
const frame = $("matrix-frame");
let quantity = net;
let rowOrder = [];

const sourceOf = (row) => sources[matrix.source[row]];

function showMatrix() {
  const values = quantity.value;
  const strongest = values.map((row) => Math.max(...row.map((v) => (known(v) ? Math.abs(v) : -1))));
  const end = Math.max(...strongest, 0) || 1;
  rowOrder = matrix.source.map((_, i) => i);
  if ($("row-order").value === "name") rowOrder.sort((a, b) => sourceOf(a).localeCompare(sourceOf(b)));
  else rowOrder.sort((a, b) => strongest[b] - strongest[a]);
  const isWide = frame.parentNode.clientWidth - $("cell").clientWidth > 200 + 47 * targets.length;
  const head = make("tr", {}, make("th", { className: "corner", textContent: "source ↓ target →" }),
    ...targets.map((name) => make("th", { scope: "col", title: name }, make("span", { textContent: name }))));
  const body = rowOrder.map((row, at) => {
    const name = sourceOf(row);
    const isRandom = Boolean(matrix.random[row]);
    const heading = make("th", { scope: "row", textContent: name, className: isRandom ? "random" : "",
      title: isRandom ? `${name} (drawn at random, as a control)` : name });
    return make("tr", {}, heading, ...targets.map((_, column) => matrixCell(row, column, at, end, isWide)));
  });
  const parts = [make("thead", {}, head), make("tbody", {}, ...body)];
  const table = make("table", { className: isWide ? "matrix wide" : "matrix" }, ...parts);
  table.setAttribute("role", "grid");
  table.setAttribute("aria-label", `${quantity.heading}: source classes by target classes`);
  frame.replaceChildren(body.length ? table : say("p", "No composites were made.", { className: "soft" }));
  const legend = make("i", { className: "bar signed" });
  $("matrix-legend").replaceChildren(signed(-end), legend, signed(end),
    make("span", { className: "soft" }, "● q < 0.05 ", make("i", { className: "key tested" }), " tested ",
      make("i", { className: "key empty" }), " no estimate ",
      make("i", { className: "key bound" }), " bound to this class by the select half, ",
      make("i", { className: "key congruent" }), " for sure"));
}

function matrixCell(row, column, at, end, isWide) {
  const value = quantity.value[row][column];
  const cell = make("td", { tabIndex: at || column ? -1 : 0 });
  cell.dataset.row = row;
  cell.dataset.column = column;
  if (!known(value)) cell.className = "empty";
  else {
    cell.className = value < 0 ? "minus" : "plus";
    const part = Math.abs(value) / end;
    cell.style.setProperty("--part", `${Math.round(100 * part)}%`);
    if (isWide) cell.textContent = pointed(signed(value));
    cell.classList.toggle("strong", part > 0.55);
    const q = quantity.q ? quantity.q[row][column] : null;
    cell.classList.toggle("significant", known(q) && q < SIGNIFICANT);
    cell.classList.toggle("tested", known(q) && q >= SIGNIFICANT);
  }
  cell.classList.toggle("bound", Boolean(matrix.bound[row][column]));
  cell.classList.toggle("congruent", Boolean(matrix.congruent[row][column]));
  const words = known(value) ? valueWithInterval(quantity, row, column) : "no estimate";
  cell.setAttribute("aria-label", `${cellName(row, column)}: ${words}, n ${matrix.n[row][column]}`);
  return cell;
}

const cellName = (row, column) => `${sourceOf(row)} × ${targets[column]}`;
const pairView = (row, column) => ({ ...DEFAULTS, memory: sourceOf(row), target: targets[column] });

function valueWithInterval({ value, low, high, q }, row, column) {
  const text = signed(value[row][column]);
  if (!low || !known(low[row][column])) return text;
  const told = known(q[row][column]) ? `, q ${small(q[row][column])}` : ", not tested";
  return `${text} (95 % ${signed(low[row][column])} to ${signed(high[row][column])})${told}`;
}

function describeCell(row, column) {
  const about = make("dl");
  define(about, matrix.quantities.filter(({ value }) => known(value[row][column]))
    .map((item) => [item.heading, valueWithInterval(item, row, column), item.explanation]));
  const notes = [`${matrix.n[row][column]} usable composites.`];
  if (matrix.same[row][column]) notes.push("The two classes mean the same: not counted as distraction.");
  else if (!known(net.value[row][column])) notes.push("Too few for an estimate.");
  if (matrix.congruent[row][column]) notes.push("The source class is bound to this class: no drop is expected.");
  else if (matrix.bound[row][column]) {
    notes.push("By the select half the source class is bound to this class most; by the report half that is not sure.");
  }
  if (matrix.control[row][column]) {
    notes.push("The sign of the net interference is that of the scrambled control: beyond a plain canvas the object's is the other one.");
  }
  if (matrix.random[row]) notes.push("The source class was drawn at random, as a control.");
  const examples = found(pairView(row, column)).length;
  const inGallery = `${examples} example${examples === 1 ? "" : "s"} in the gallery`;
  $("cell").replaceChildren(say("h3", cellName(row, column)), ...intervalPicture(row, column), about,
    say("p", notes.join(" "), { className: "soft" }),
    say("p", examples ? `${inGallery}: select the cell to see them.` : `${inGallery}.`));
}

// The net effect and its interval on a line; the bold tick is zero.
function intervalPicture(row, column) {
  const [value, low, high] = [net.value, net.low, net.high].map((values) => values[row][column]);
  if (!known(value) || !known(low)) return [];
  const ends = net.high.flat().concat(net.low.flat()).filter(known).map(Math.abs);
  const end = Math.max(...ends) || 1;
  const at = (v) => `${(50 * (1 + v / end)).toFixed(1)}%`;
  const line = make("i", { className: "reach" });
  const dot = make("i", { className: "dot" });
  line.style.left = at(low);
  line.style.right = `calc(100% - ${at(high)})`;
  dot.style.left = at(value);
  const title = "net interference with its 95 % interval";
  const labels = [signed(-end), "0", signed(end)].map((label) => say("span", label));
  return [make("div", { className: "interval", title }, line, dot), make("div", { className: "axis" }, ...labels)];
}

function cellOf(event) {
  const cell = event.target.closest("td");
  return cell && [Number(cell.dataset.row), Number(cell.dataset.column), cell];
}

function selectCell(row, column) {
  const { colours, scale, opacity } = view; // stay
  change({ ...pairView(row, column), colours, scale, opacity });
  $("examples").scrollIntoView();
}

function moveInMatrix(event) {
  const place = cellOf(event);
  if (!place) return;
  const [row, column] = place;
  if (event.key === "Enter" || event.key === " ") {
    event.preventDefault();
    return selectCell(row, column);
  }
  const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  Object.assign(steps, { Home: [0, -column], End: [0, targets.length] });
  if (!(event.key in steps)) return;
  event.preventDefault();
  const clamp = (v, n) => Math.min(Math.max(v, 0), n - 1);
  const [down, right] = steps[event.key];
  const line = frame.querySelectorAll("tbody tr")[clamp(rowOrder.indexOf(row) + down, rowOrder.length)];
  focusCell(line.querySelectorAll("td")[clamp(column + right, targets.length)]);
}

function focusCell(cell) {
  frame.querySelectorAll('td[tabindex="0"]').forEach((other) => (other.tabIndex = -1));
  cell.tabIndex = 0;
  cell.focus();
}

// ---- binding ------------------------------------------------------------------------------------
const interval = (low, high) => `${signed(low)} to ${signed(high)}`;
const keptBetween = (i) => `${share(binding.retained_low[i])} to ${share(binding.retained_high[i])}`;
const BINDING = [
  { key: "source_class", heading: "source", text: (i) => sources[binding.source_class[i]], names: sources },
  { key: "target_class", heading: "bound to", text: (i) => targets[binding.target_class[i]], names: targets },
  { key: "binding", heading: "binding", text: (i) => signed(binding.binding[i]), down: true },
  { key: "binding_low", heading: "95 %", text: (i) => interval(binding.binding_low[i], binding.binding_high[i]), down: true },
  { key: "binding_q", heading: "q", text: (i) => small(binding.binding_q[i]) },
  { key: "accuracy_before", heading: "accuracy", text: (i) => share(binding.accuracy_before[i]), down: true },
  { key: "accuracy_after", heading: "after", text: (i) => share(binding.accuracy_after[i]), down: true },
  { key: "retained", heading: "kept", text: (i) => share(binding.retained[i]), down: true },
  { key: "retained_low", heading: "95 %", text: (i) => keptBetween(i), down: true },
  { key: "rank_after", heading: "rank after", text: (i) => plain(binding.rank_after[i]) },
].filter(({ key }) => key in binding);
const BINDING_ROWS = 200; // drawn at once; a search finds the others
let bindingSort = { column: BINDING[2], down: true };

function showBinding() {
  const { column, down } = bindingSort;
  const wanted = $("binding-search").value.trim().toLowerCase();
  const values = binding[column.key].map((v) => (column.names ? column.names.indexOf(column.names[v]) : v));
  let all = binding.source_class.map((_, i) => i).filter((i) =>
    BINDING.slice(0, 2).some(({ text }) => text(i).toLowerCase().includes(wanted)));
  if (column.names) all.sort((a, b) => (down ? -1 : 1) * column.text(a).localeCompare(column.text(b)));
  else all = sorted(all, values, down);
  const head = make("tr", {}, ...BINDING.map((item) => {
    const button = say("button", item.heading, { type: "button" });
    const heading = make("th", { scope: "col", className: item.names ? "" : "number" }, button);
    if (item === column) heading.ariaSort = down ? "descending" : "ascending";
    return heading;
  }));
  const body = all.slice(0, BINDING_ROWS).map((i) => {
    const isBound = known(binding.binding_q[i]) && binding.binding_q[i] < SIGNIFICANT && binding.binding[i] > 0;
    const cells = BINDING.map((item) => say("td", item.text(i), { className: item.names ? "" : "number" }));
    const href = `#${new URLSearchParams({ memory: BINDING[0].text(i) })}`;
    cells[0].replaceChildren(say("a", BINDING[0].text(i), { href, title: "show its examples" }));
    return make("tr", { className: isBound ? "bound" : "" }, ...cells);
  });
  $("binding-table").replaceChildren(make("thead", {}, head), make("tbody", {}, ...body));
  const more = all.length > BINDING_ROWS ? `first ${BINDING_ROWS} of ` : "";
  const classes = `source class${all.length === 1 ? "" : "es"}`;
  $("binding-count").textContent = `${more}${thousands(all.length)} ${classes}; bold: bound with q < 0.05; without q: not tested`;
}

function sortBinding(event) {
  const heading = event.target.closest("th");
  if (!heading) return;
  const at = [...heading.parentNode.children].indexOf(heading);
  const column = BINDING[at];
  bindingSort = { column, down: bindingSort.column === column ? !bindingSort.down : Boolean(column.down) };
  showBinding();
  $("binding-table").querySelectorAll("th button")[at].focus();
}

// ---- events -------------------------------------------------------------------------------------
function change(changes) {
  view = { ...view, ...changes };
  writeAddress();
  readAddress();
  showList();
  repaint();
}

function fieldChanged(event) {
  const field = event.target;
  if (!field.name) return;
  const changes = { [field.name]: field.type === "checkbox" ? (field.checked ? "1" : "") : field.value };
  if (field.name === "sort") changes.direction = "";
  if (field.name === "colours") changes.opacity = "";
  if (field.form.id === "filters" || field.name === "sort") return change(changes);
  view = { ...view, ...changes };
  writeAddress();
  repaint();
}

function fillChoices() {
  const { target } = $("filters").elements;
  const { sort } = $("display").elements;
  $("source-classes").append(...sources.map((name) => option(name, "")));
  target.append(...targets.map((name) => option(name, name)));
  sort.append(...Object.entries(SORTS).map(([name, { heading }]) => option(name, heading)));
  $("quantity").append(...matrix.quantities.map((item) => option(item.name, item.heading, item.explanation)));
}

function listen() {
  for (const id of ["filters", "display"]) {
    $(id).addEventListener("input", fieldChanged);
    $(id).addEventListener("submit", (event) => event.preventDefault());
  }
  $("clear").addEventListener("click", () => change(Object.fromEntries(FILTERS.map((key) => [key, ""]))));
  $("direction").addEventListener("click", () => change({ direction: isDown() ? "up" : "down" }));
  $("quantity").addEventListener("input", () => {
    quantity = matrix.quantities.find(({ name }) => name === $("quantity").value);
    showMatrix();
  });
  $("row-order").addEventListener("input", showMatrix);
  for (const type of ["pointerover", "focusin"]) {
    frame.addEventListener(type, (event) => {
      const place = cellOf(event);
      if (place) describeCell(place[0], place[1]);
    });
  }
  frame.addEventListener("click", (event) => {
    const place = cellOf(event);
    if (!place) return;
    focusCell(place[2]);
    selectCell(place[0], place[1]);
  });
  frame.addEventListener("keydown", moveInMatrix);
  $("binding-search").addEventListener("input", showBinding);
  $("binding-table").addEventListener("click", sortBinding);
  addEventListener("hashchange", () => {
    if (!location.hash.includes("=")) return; // an anchor of the page
    readAddress();
    showList();
    repaint();
    $("examples").scrollIntoView();
  });
  let isAsked = false;
  const soon = () => {
    if (isAsked) return;
    isAsked = true;
    requestAnimationFrame(() => {
      isAsked = false;
      layOut();
    });
  };
  addEventListener("scroll", soon, { passive: true });
  new ResizeObserver(soon).observe(document.body);
  addEventListener("resize", () => {
    height = 0;
    clearList();
    soon();
  });
  addEventListener("DOMContentLoaded", () => {
    // All examples have arrived: fill the rows that waited for them.
    for (const [position, node] of onScreen) if (!node.maps) fillRow(node, order[position]);
    performance.mark("complete");
  });
}

if (innerWidth < 800) $("toolbar").open = false;
fillChoices();
readAddress();
showMatrix();
if (rowOrder.length) {
  const cells = net.value.flatMap((row, r) => row.map((value, column) => [value ?? -Infinity, r, column]));
  const [, row, column] = cells.reduce((best, cell) => (cell[0] > best[0] ? cell : best));
  describeCell(row, column);
}
showBinding();
listen();
showList();
repaint();
if (location.hash.includes("=")) $("examples").scrollIntoView();
performance.mark("interactive");
})();
