// One live session: its terminal in xterm.js, which is only ever shown what draws, and takes no keys.
import { Terminal } from "/xterm.js";
import { follow } from "/lines.js";

const place = document.getElementById("terminal");
const words = place.dataset;
const said = document.getElementById("said");
const doing = document.getElementById("doing");
const choice = document.getElementById("choice");
const paused = document.getElementById("paused");
const attendance = document.getElementById("attendance");

const term = new Terminal({
  disableStdin: true,
  scrollback: 5000,
  fontFamily: '"BIZ UDGothic", "Noto Sans Mono CJK JP", ui-monospace, Menlo, Consolas, monospace',
  cursorInactiveStyle: "block",
  showCursorImmediately: true,
  // Devices choose colours for screens of their own: what cannot be read is brightened.
  minimumContrastRatio: 4.5,
});
// The keyboard stays the page's: Tab leads on, and these keys look back.
term.attachCustomKeyEventHandler((event) => {
  const pages = { PageUp: -1, PageDown: 1 }[event.key];
  if (pages && event.type === "keydown") term.scrollPages(pages);
  return false;
});

let open = false;
const written = (text) => new Promise((resolve) => term.write(text, resolve));
const say = (text, bad) => {
  said.textContent = text;
  said.className = bad ? "notice bad" : "notice";
  said.hidden = text === "";
};

// As large as the whole width allows, within reason. Half an em is what a column takes in most of these fonts.
function fit() {
  const room = place.clientWidth - 24;
  for (let size = 16; size >= 5; size -= 0.5) {
    term.options.fontSize = size;
    const screen = place.querySelector(".xterm-screen");
    if (!screen || screen.offsetWidth <= room) return;
  }
}

async function show(told) {
  if (told.screen) {
    const { cols, rows, text } = told.screen;
    place.hidden = false;
    if (!open) term.open(place);
    open = true;
    term.resize(cols, rows);
    term.reset();
    fit();
    await written(text);
    say("");
  } else if (told.more !== undefined) {
    await written(told.more);
  } else if (told.state) {
    say(told.state.terminals.length + told.state.doing.length === 0 ? words.nothing : "");
    doing.replaceChildren(...told.state.doing.map((text) => element("li", text)));
    doing.hidden = told.state.doing.length === 0;
    terminals(told.state);
    pauses(told.state.paused);
    attendance.textContent = told.state.attendance;
    attendance.hidden = told.state.attendance === null;
  } else if (told.end !== undefined) {
    say(told.end, true);
  }
}

// Where several terminals are open, which of them.
function terminals({ terminals, shown }) {
  const links = terminals.map((number) => {
    const link = element("a", `${words.channel} ${number}`);
    link.href = `?channel=${number}`;
    if (number === shown) link.setAttribute("aria-current", "true");
    return link;
  });
  choice.replaceChildren(...links);
  choice.hidden = links.length < 2;
}

// What is being typed into the other forms stays.
function pauses(words) {
  paused.textContent = words;
  paused.hidden = words === null;
  const [pause, resume] = ["pause", "resume"].map((id) => document.getElementById(id));
  if (pause) pause.hidden = words !== null;
  if (resume) resume.hidden = words === null;
}

function element(name, text) {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}

addEventListener("resize", fit);
follow(words.stream + location.search, {
  show,
  lost: () => say(words.lost, true),
  over: () => say(words.over, true),
});
