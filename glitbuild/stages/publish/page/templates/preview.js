"use strict";

// All text is already in the page; this script only shows, hides and highlights it.

const form = document.querySelector("form");
const main = document.querySelector("main");
const head = document.querySelector(".head");
const samples = [...document.querySelectorAll(".sample")];

// Highlighting: the element under the pointer wins over the focused one, and that over the one kept by a click.

const pointed = { hover: null, focus: null, kept: null };
let lit = null;

function point(how, target) {
  pointed[how] = target;
  const now = pointed.hover ?? pointed.focus ?? pointed.kept;
  if (now === lit) return;
  if (lit) light(lit, false);
  if (now) light(now, true);
  lit = now;
}

function light(target, on) {
  const sample = target.closest(".sample");
  sample.classList.toggle("pointing", on);
  for (const part of sample.querySelectorAll(`[data-region="${target.dataset.region}"]`)) {
    part.classList.toggle("lit", on);
    if (on && part.matches(".region")) leaveOut(sample, part);
  }
}

/** Dim the image except for a region. */
function leaveOut(sample, region) {
  const value = (element, name) => Number(element.getAttribute(name));
  const outline = (x, y, width, height) => `M${x} ${y}h${width}v${height}h${-width}z`;
  const [image, area] = [sample.querySelector("image"), region.querySelector(".edge")];
  const whole = outline(0, 0, value(image, "width"), value(image, "height"));
  const hole = outline(...["x", "y", "width", "height"].map((name) => value(area, name)));
  sample.querySelector(".dim").setAttribute("d", whole + hole);
}

function keep(target) {
  const kept = target === pointed.kept ? null : target;
  pointed.kept?.setAttribute("aria-pressed", "false");
  kept?.setAttribute("aria-pressed", "true");
  point("kept", kept);
  if (kept?.matches(".region")) {
    const sentence = kept.closest(".sample").querySelector(`.sentence[data-region="${kept.dataset.region}"]`);
    sentence.scrollIntoView({ block: "nearest" });
  }
}

const part = (event) => event.target.closest?.("[data-region]");
document.addEventListener("pointerover", (event) => point("hover", part(event)));
document.documentElement.addEventListener("pointerleave", () => point("hover", null));
document.addEventListener("focusin", (event) => point("focus", event.target.matches(":focus-visible") ? part(event) : null));
document.addEventListener("focusout", () => point("focus", null));
document.addEventListener("click", (event) => {
  const target = part(event);
  if (target?.matches("[aria-pressed]")) keep(target);
});

// Keys.

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape") {
    point("hover", null);
    if (pointed.kept) keep(pointed.kept);
  }
  if (event.target.matches("input, select")) return;
  const target = part(event);
  if (target?.matches(".region") && (event.key === "Enter" || event.key === " ")) keep(target);
  else if (event.key === "j" || event.key === "k") go(event.key === "j" ? 1 : -1);
  else if (event.key === "/") form.elements.text.focus();
  else return;
  event.preventDefault();
});

/** Go to the next or previous sample among those that match the filter. */
function go(step) {
  const left = samples.filter((sample) => !sample.hidden);
  const inside = left.indexOf(document.activeElement.closest(".sample"));
  const top = getComputedStyle(head).position === "sticky" ? head.offsetHeight : 0;
  const seen = left.findIndex((sample) => sample.getBoundingClientRect().bottom > top + 40);
  const next = inside >= 0 ? inside + step : seen + (step < 0 ? -1 : Number(scrollY > 0));
  const sample = left[Math.min(Math.max(next, 0), left.length - 1)];
  sample?.focus({ preventScroll: true });
  sample?.scrollIntoView({ block: "start" });
}

// The filter: only samples with a pair of the wanted kind, similarity and text are shown.

const plain = (text) => text.normalize("NFKC").toLowerCase();
const texts = new WeakMap();

function textOf(element) {
  if (!texts.has(element)) texts.set(element, plain(element.textContent));
  return texts.get(element);
}

function filter() {
  const given = new FormData(form);
  const text = plain((given.get("text") ?? "").trim());
  const kinds = new Set(given.getAll("kind"));
  const low = given.get("from") ? Number(given.get("from")) : -Infinity;
  const high = given.get("to") ? Number(given.get("to")) : Infinity;
  const bestOnly = given.get("pairs") === "best";
  const asked = text || kinds.size || low > -Infinity || high < Infinity;
  const fits = ({ similarity, kind }) => similarity >= low && similarity <= high && (!kinds.size || kinds.has(kind));
  let count = 0;
  for (const sample of samples) {
    const byName = !text || textOf(sample.querySelector(".about")).includes(text);
    const says = (element) => byName || [".text", ".name bdi"].some((place) => textOf(element.querySelector(place)).includes(text));
    let found = false;
    for (const sentence of sample.querySelectorAll(".sentence")) {
      const { similarity, kind } = sentence.dataset;
      const considered = !bestOnly || sentence.matches(".best");
      const match = considered && fits({ similarity: Number(similarity), kind }) && says(sentence);
      sentence.classList.toggle("found", Boolean(asked && match));
      found ||= match;
    }
    const caption = sample.querySelector(".caption");
    if (caption) found = !kinds.size && low === -Infinity && high === Infinity && (byName || textOf(caption).includes(text));
    sample.hidden = !found;
    count += Number(found);
  }
  const number = (value) => value.toLocaleString("en");
  const all = `${number(samples.length)} sample${samples.length === 1 ? "" : "s"}`;
  const shown = count === samples.length ? all : `${number(count)} of ${all}`;
  const output = form.querySelector("output");
  if (output.textContent !== shown) output.textContent = shown;
  document.querySelector(".none").hidden = count > 0;
}

/** Apply the form's settings. */
function apply() {
  filter();
  const given = new FormData(form);
  document.documentElement.dataset.theme = given.get("theme") ?? "";
  main.classList.toggle("show-unused", given.has("unused"));
}

/** Store the form's settings in the URL, so that it can be shared. */
function remember() {
  const given = new FormData(form);
  const state = new URLSearchParams([...given].filter(([, value]) => value)).toString();
  history.replaceState(null, "", state ? `#${state}` : location.pathname + location.search);
}

function restore() {
  const state = new URLSearchParams(location.hash.slice(1));
  for (const control of form.elements) {
    if (!control.name) continue;
    if (control.type === "checkbox") control.checked = state.getAll(control.name).includes(control.value);
    else control.value = state.get(control.name) ?? "";
  }
}

form.addEventListener("submit", (event) => event.preventDefault());
head.addEventListener("input", () => { apply(); remember(); });
form.querySelector("button").addEventListener("click", () => { form.reset(); apply(); remember(); });
addEventListener("hashchange", () => { restore(); apply(); });
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // otherwise the URL would lose the filter
  main.focus();
});

restore();
if (location.hash) apply();
new ResizeObserver(() => {
  document.documentElement.style.setProperty("--measured", `${head.offsetHeight}px`);
}).observe(head);
