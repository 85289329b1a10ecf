// The wall of live sessions: draws the screens that the gateway tells of into the page's tiles, and fetches the page anew
// when a session comes or goes.
import { follow } from "/lines.js";

const wall = document.getElementById("wall");
const words = wall.dataset;
const said = document.getElementById("said");
const tile = (id) => wall.querySelector(`[data-session="${CSS.escape(id)}"]`);
const say = (text) => {
  said.textContent = text;
  said.hidden = text === "";
};

async function show(told) {
  say("");
  if (told.sessions) {
    await sessions(told.sessions);
  } else if (told.screen) {
    draw(tile(told.of)?.querySelector("pre"), told.screen);
  } else if (told.doing) {
    const list = tile(told.of)?.querySelector(".doing");
    list?.replaceChildren(...told.doing.map((text) => element("li", text)));
    if (list) list.hidden = told.doing.length === 0;
  } else if (told.end !== undefined) {
    say(told.end);
  }
}

// What is being typed in a tile stays: only what changed is put in, and only what is over is taken away.
async function sessions(list) {
  const known = [...wall.children].map((card) => [card.dataset.session, card.dataset.stands]);
  if (JSON.stringify(known) === JSON.stringify(list)) return;
  const page = new DOMParser().parseFromString(await (await fetch("/live", { cache: "no-store" })).text(), "text/html");
  const fresh = page.getElementById("wall");
  if (!fresh) return;
  for (const card of [...wall.children]) {
    const now = [...fresh.children].find((one) => one.dataset.session === card.dataset.session);
    if (now && now.dataset.stands === card.dataset.stands) now.replaceWith(card);
    else if (now) now.querySelector("pre").replaceWith(card.querySelector("pre"));
  }
  wall.replaceChildren(...fresh.children);
  document.getElementById("nobody").hidden = wall.children.length > 0;
}

function draw(pre, { cols, rows }) {
  if (!pre) return;
  const lines = rows.map((runs) => {
    const line = document.createElement("div");
    line.append(...runs.map(([text, classes]) => Object.assign(element("span", text), { className: classes })));
    return line;
  });
  pre.replaceChildren(...lines);
  pre.hidden = false;
  // A column takes at most 0.61 of the size in the fonts that are asked for.
  pre.style.fontSize = `${Math.min(14, (pre.clientWidth - 12) / (cols * 0.61)).toFixed(2)}px`;
}

function element(name, text) {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}

follow(words.stream, { show, lost: () => say(words.lost), over: () => say(words.over) });
