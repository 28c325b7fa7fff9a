// What the scripts of pages share; it stands before theirs.
"use strict";
const $ = (id) => document.getElementById(id);
const known = (value) => value !== null && value !== undefined;
// A p- or q-value.
const small = (value) => (known(value) ? (value < 0.001 ? "<0.001" : String(+value.toPrecision(2))) : "–");
// A number without the zero before its point.
const pointed = (text) => text.replace(/^([+−]?)0\./, "$1.");

function make(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

const say = (tag, textContent, properties = {}) => make(tag, { textContent, ...properties });

// Positions in the order of their values. What is missing comes last in either direction.
function sorted(indices, values, down) {
  const sign = down ? -1 : 1;
  return indices.sort((a, b) => {
    const [x, y] = [values[a], values[b]];
    if (!known(x) || !known(y)) return known(y) - known(x) || a - b;
    return sign * (x - y) || a - b;
  });
}

function bytes(text) {
  const characters = atob(text);
  const array = new Uint8Array(characters.length);
  for (let i = 0; i < array.length; i++) array[i] = characters.charCodeAt(i);
  return array;
}
