// A terminal of one's own: what is typed goes to the device, and what comes is drawn. The page's ticket opens it once; when
// it is over, the gateway says why. How much was drawn is told, so that a device that floods waits for this page.
import { Terminal } from "/xterm.js";

const place = document.getElementById("terminal");
const words = place.dataset;
const said = document.getElementById("said");
const copy = document.getElementById("copy");
const leave = document.getElementById("leave");
const largest = Number(words.largest);
// What was drawn is told in pieces: a word for each would cost more than it says.
const PIECE = 64 << 10;

const term = new Terminal({
  scrollback: 5000,
  fontFamily: '"BIZ UDGothic", "Noto Sans Mono CJK JP", ui-monospace, Menlo, Consolas, monospace',
  fontSize: matchMedia("(max-width: 40rem)").matches ? 12 : 15,
  minimumContrastRatio: 4.5,
  // Where a device's link leads is the device's word.
  linkHandler: { activate: () => {} },
});
term.open(place);

function say(text, bad, reasons = []) {
  const line = Object.assign(document.createElement("p"), { textContent: text });
  const list = document.createElement("ul");
  list.append(...reasons.map((reason) => Object.assign(document.createElement("li"), { textContent: reason })));
  said.replaceChildren(line, ...(reasons.length === 0 ? [] : [list]));
  said.className = bad ? "notice bad" : "notice";
}

// As many cells as fit.
function fit() {
  const screen = place.querySelector(".xterm-screen");
  const style = getComputedStyle(place);
  const [width, height] = [screen.offsetWidth / term.cols, screen.offsetHeight / term.rows];
  if (!width || !height) return;
  // The scroll bar lies beside the screen.
  const across = place.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight) - 14;
  const down = place.clientHeight - parseFloat(style.paddingTop) - parseFloat(style.paddingBottom);
  const [cols, rows] = [Math.max(2, Math.floor(across / width)), Math.max(1, Math.floor(down / height))];
  if (cols !== term.cols || rows !== term.rows) term.resize(cols, rows);
}
fit();

const line = new WebSocket(`wss://${location.host}${words.line}`);
line.binaryType = "arraybuffer";
const open = () => line.readyState === WebSocket.OPEN;
const send = (data) => open() && line.send(data);
const tell = (what) => send(JSON.stringify(what));
let drawn = 0;
let begun = false;
let over = false;

line.addEventListener("open", () => {
  tell({ open: { ticket: words.ticket, size: [term.cols, term.rows] } });
  term.focus();
});
line.addEventListener("message", ({ data }) => {
  if (typeof data === "string") {
    const { end, reasons } = JSON.parse(data);
    return finish(end, reasons);
  }
  if (!begun) say(words.open);
  begun = true;
  term.write(new Uint8Array(data), () => {
    drawn += data.byteLength;
    if (drawn < PIECE) return;
    tell({ drawn });
    drawn = 0;
  });
});
line.addEventListener("close", () => finish(words.lost));

function finish(text, reasons) {
  if (over) return;
  over = true;
  say(text, true, reasons);
  term.options.disableStdin = true;
  leave.hidden = true;
  const again = document.getElementById("again");
  again.hidden = false;
  // The keyboard is the page's again.
  again.querySelector("button").focus();
  line.close();
}

const bytes = new TextEncoder();
term.onData((text) => send(bytes.encode(text)));
// Reports of the mouse are bytes, not text.
term.onBinary((text) => send(Uint8Array.from(text, (one) => one.charCodeAt(0))));
term.onResize(({ cols, rows }) => tell({ size: [cols, rows] }));
new ResizeObserver(fit).observe(place);

// What is too much to paste at once is not begun.
place.addEventListener(
  "paste",
  (event) => {
    const text = event.clipboardData?.getData("text/plain") ?? "";
    // A little room for what brackets a paste.
    if (bytes.encode(text).length <= largest - 64) return;
    event.preventDefault();
    event.stopPropagation();
    say(words.large, true);
  },
  true,
);

async function copyOut() {
  const nothing = !term.hasSelection();
  if (nothing) term.selectAll();
  const text = term.getSelection();
  if (nothing) term.clearSelection();
  await navigator.clipboard.writeText(text.trimEnd()).then(() => say(words.copied), () => {});
}
copy.addEventListener("click", copyOut);
leave.addEventListener("click", () => line.close());

// The way out for the keyboard, and the clipboard: Ctrl+C and Ctrl+V are the device's.
term.attachCustomKeyEventHandler((event) => {
  const shift = event.shiftKey && !event.altKey && !event.metaKey;
  if (shift && event.key === "F6") {
    event.preventDefault();
    if (event.type === "keydown") copy.focus();
    return false;
  }
  if (shift && event.ctrlKey && event.code === "KeyC") {
    event.preventDefault();
    if (event.type === "keydown") copyOut();
    return false;
  }
  const pastes = shift && ((event.ctrlKey && event.code === "KeyV") || (!event.ctrlKey && event.key === "Insert"));
  return !pastes;
});
