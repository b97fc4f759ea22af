"use strict";
// Search in the words of all pages, which search.js has; and the choice of colours, which the browser keeps.
const up = document.body.dataset.up;
const field = document.getElementById("search");
const found = document.getElementById("found");

function score(page, words) {
  let sum = 0;
  for (const word of words) {
    const title = page.t.toLowerCase(), text = page.w.toLowerCase();
    // "rollback" finds "Roll back at night", too.
    const inTitle = title.includes(word) || title.replaceAll(" ", "").includes(word), times = text.split(word).length - 1;
    if (!inTitle && times === 0) return 0;
    sum += (inTitle ? 50 : 0) + Math.min(times, 10);
  }
  return page.l ? sum / 10 : sum;
}

function excerpt(page, word) {
  const at = Math.max(page.w.toLowerCase().indexOf(word), 0);
  return (at > 40 ? "…" : "") + page.w.slice(Math.max(at - 40, 0), at + 90) + "…";
}

field.addEventListener("input", () => {
  const words = field.value.toLowerCase().split(/\s+/).filter((w) => w.length > 1);
  found.replaceChildren();
  found.hidden = words.length === 0;
  if (found.hidden) return;
  const pages = slipwayPages.map((p) => [score(p, words), p]).filter(([n]) => n > 0).sort((a, b) => b[0] - a[0]);
  for (const [, page] of pages.slice(0, 12)) {
    const item = document.createElement("li"), link = document.createElement("a"), text = document.createElement("small");
    link.href = up + page.a;
    link.textContent = page.t;
    text.textContent = excerpt(page, words[0]);
    link.append(text);
    item.append(link);
    found.append(item);
  }
  if (pages.length === 0) {
    const item = document.createElement("li");
    item.textContent = "No page has these words.";
    found.append(item);
  }
});
field.addEventListener("keydown", (e) => {
  if (e.key === "Enter") found.querySelector("a")?.click();
  if (e.key === "Escape") { field.value = ""; found.hidden = true; }
});
document.addEventListener("keydown", (e) => {
  if (e.key === "/" && document.activeElement !== field) { e.preventDefault(); field.focus(); }
});

// In a block of a terminal, commands stand out from what they print, and Copy takes the commands alone.
function typed(code) {
  const commands = [], parts = [];
  let continued = false;
  for (const line of code.textContent.replace(/\n$/, "").split("\n")) {
    const prompt = line.startsWith("$ ") || continued && line.startsWith("> ") ? line.slice(0, 2) : "";
    const row = document.createElement("span");
    row.className = prompt ? "typed" : "printed";
    if (prompt) {
      const sign = document.createElement("span");
      sign.className = "prompt";
      sign.textContent = prompt;
      row.append(sign);
      commands.push(line.slice(2));
    }
    row.append(line.slice(prompt.length) + "\n");
    parts.push(row);
    continued = prompt !== "";
  }
  code.replaceChildren(...parts);
  return commands.join("\n") + "\n";
}
for (const code of document.querySelectorAll("pre > code")) {
  const text = code.classList.contains("language-console") ? typed(code) : code.textContent;
  const block = document.createElement("div"), copy = document.createElement("button");
  block.className = "block";
  copy.className = "copy";
  copy.type = "button";
  copy.textContent = "Copy";
  copy.addEventListener("click", async () => {
    await navigator.clipboard.writeText(text);
    copy.textContent = "Copied";
    setTimeout(() => { copy.textContent = "Copy"; }, 1500);
  });
  code.parentElement.replaceWith(block);
  block.append(code.parentElement, copy);
}

// On a narrow screen the navigation comes before the text: it starts closed.
if (matchMedia("(max-width: 52rem)").matches) {
  for (const part of document.querySelectorAll("nav details")) part.open = false;
}

const root = document.documentElement;
const kept = () => { try { return localStorage.getItem("theme"); } catch { return null; } };
if (kept()) root.dataset.theme = kept();
document.getElementById("theme").addEventListener("click", () => {
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  try { localStorage.setItem("theme", root.dataset.theme); } catch { /* the page works without */ }
});
