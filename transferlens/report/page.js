// The report's page. All of it is there without this script, which only adds to it: folding all at once,
// the mark in the contents, tables to sort, figures to enlarge.
const all = (selector, root = document) => [...root.querySelectorAll(selector)];

// ---- folding ------------------------------------------------------------------------------------
const folds = all("details.chapter, details.section");

// Open whatever an element stands in, and go there.
function reveal(id) {
  const element = id && $(id);
  if (!element) return;
  for (let at = element.closest("details"); at; at = at.parentElement.closest("details")) at.open = true;
  element.scrollIntoView();
}

const wanted = () => decodeURIComponent(location.hash.slice(1));

// A link to where the address already points changes no address: clicks are listened to as well.
function followed(event) {
  const link = event.target.closest('a[href^="#"]');
  if (!link) return;
  if (NARROW.matches && link.closest("nav")) $("contents").open = false;
  reveal(decodeURIComponent(link.hash.slice(1)));
}

// Paper shows everything; afterwards what was folded is folded again.
let unfolded = [];
function beforePrint() {
  unfolded = all("main details:not([open])");
  unfolded.forEach((one) => (one.open = true));
}
function afterPrint() {
  unfolded.forEach((one) => (one.open = false));
}

// ---- contents -----------------------------------------------------------------------------------
const NARROW = matchMedia("(max-width: 1000px)");
const links = all("nav a");
const READ = 120; // pixels below the top of the screen that a heading must have passed to be the reader's

// The last heading that was passed; those in folded chapters have no box and are passed over.
function heading() {
  const atEnd = innerHeight + scrollY >= document.documentElement.scrollHeight - 2;
  const line = atEnd && scrollY > 0 ? innerHeight : READ;
  const passed = links.filter((link) => {
    const target = $(link.hash.slice(1));
    return target.checkVisibility() && target.getBoundingClientRect().top <= line;
  });
  return passed.at(-1);
}

function markReader() {
  const current = heading();
  for (const link of links) {
    if (link === current) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
  $("here").textContent = current ? `: ${current.textContent}` : "";
  if (current && !NARROW.matches) keepInSight(current);
}

function keepInSight(link) {
  const nav = link.closest("nav");
  const [box, frame] = [link.getBoundingClientRect(), nav.getBoundingClientRect()];
  if (box.top < frame.top || box.bottom > frame.bottom) nav.scrollTop += box.top - frame.top - frame.height / 2;
}

let marking = 0;
function scrolled() {
  cancelAnimationFrame(marking);
  marking = requestAnimationFrame(markReader);
}

const fitContents = () => ($("contents").open = !NARROW.matches);

// ---- tables -------------------------------------------------------------------------------------
const NUMBER = /^[<>≈~]?\s*([+-]?(?:\d[\d,]*\.?\d*|\.\d+)(?:e[+-]?\d+|×10[+-]?\d+)?)/i;
const SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹";

// The number that a cell begins with ("0.5 (0.4 to 0.6)" is 0.5); null for a cell without.
function valueOf(text) {
  const digits = text.trim().replace(/[−⁻]/g, "-").replace(/⁺/g, "+")
    .replace(/[⁰¹²³⁴⁵⁶⁷⁸⁹]/g, (character) => SUPERSCRIPTS.indexOf(character))
    .replace(/\s?[×·]\s?10/g, "×10");
  const found = NUMBER.exec(digits);
  return found ? Number(found[1].replaceAll(",", "").replace("×10", "e")) : null;
}

const textOf = (row, at) => row.cells[at].textContent.trim();

// A column of numbers is sorted by value, the largest first; one of words by the alphabet.
function sortTable(head, at) {
  const body = head.closest("table").tBodies[0];
  const rows = [...body.rows];
  const numbers = head.classList.contains("number");
  const turned = { ascending: "descending", descending: "ascending" };
  const direction = turned[head.ariaSort] ?? (numbers ? "descending" : "ascending");
  const ranks = numbers ? rows.map((row) => valueOf(textOf(row, at))) : alphabet(rows.map((row) => textOf(row, at)));
  const order = sorted([...rows.keys()], ranks, direction === "descending");
  all("th", head.parentNode).forEach((other) => (other.ariaSort = null));
  head.ariaSort = direction;
  body.append(...order.map((i) => rows[i]));
}

// The place of each text in the alphabet, null for an empty one.
function alphabet(texts) {
  const places = [...new Set(texts)].sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
  return texts.map((text) => (text ? places.indexOf(text) : null));
}

function makeSortable(table) {
  if (table.tBodies[0].rows.length < 2) return;
  for (const head of table.tHead.querySelectorAll("th")) {
    const button = make("button", { type: "button", title: "sort by this column" }, ...head.childNodes);
    button.addEventListener("click", () => sortTable(head, head.cellIndex));
    head.replaceChildren(button);
  }
}

// ---- figures ------------------------------------------------------------------------------------
// A picture becomes a button that shows a copy of it, as large as the screen allows. Marks that a copied
// drawing refers to by name are found in the first of the two, which is the same.
function makeZoomable(frame) {
  const picture = frame.firstElementChild;
  const words = picture.getAttribute("aria-label") ?? picture.alt;
  const button = make("button", { type: "button", className: "picture", ariaLabel: `Enlarge: ${words}` }, picture);
  button.addEventListener("click", () => {
    $("zoom").querySelector(".picture").replaceChildren(picture.cloneNode(true));
    $("zoom").showModal();
  });
  frame.replaceWith(button);
}

// ---- start --------------------------------------------------------------------------------------
all(".table table").filter((table) => table.tHead).forEach(makeSortable);
all("figure .picture").forEach(makeZoomable);
$("zoom").addEventListener("click", (event) => event.target === $("zoom") && $("zoom").close());
$("folds").hidden = false;
$("open-all").addEventListener("click", () => folds.forEach((one) => (one.open = true)));
$("fold-all").addEventListener("click", () => folds.forEach((one) => (one.open = false)));
fitContents();
NARROW.addEventListener("change", fitContents);
document.addEventListener("click", followed);
addEventListener("hashchange", () => reveal(wanted()));
addEventListener("scroll", scrolled, { passive: true });
addEventListener("resize", scrolled);
document.addEventListener("toggle", scrolled, true);
addEventListener("beforeprint", beforePrint);
addEventListener("afterprint", afterPrint);
reveal(wanted());
markReader();
performance.mark("complete");
