// The page of an invitation: says at once how a password stands, by its length and then by the gateway's own rules, and
// reads a public key from a file. Without this script the page works as well: the gateway judges what is sent.
const by = (id) => document.getElementById(id);
const form = by("join");
const password = by("password");
const again = by("password_again");
const word = by("password-word");
const LEAST = 13;

const say = (element, text, fault) => {
  element.textContent = text;
  element.classList.toggle("fault", fault);
};

// What can be seen here: how long it is, and of how many different characters. 0 to 4.
function strength(text) {
  const length = [...text].length;
  const different = new Set(text).size;
  if (length < LEAST) return Math.min(1, Math.floor(length / 7));
  if (different < 6) return 1;
  return length >= 20 && different >= 10 ? 4 : 3;
}

let asked = 0;
let waiting;
password.addEventListener("input", () => {
  const length = [...password.value].length;
  const found = strength(password.value);
  by("strength").value = found;
  clearTimeout(waiting);
  asked += 1;
  compare();
  if (length === 0) return say(word, "", false);
  if (length < LEAST) return say(word, word.dataset.short.replace("{n}", LEAST - length), false);
  say(word, found < 3 ? word.dataset.monotonous : word.dataset[found > 3 ? "stronger" : "strong"], found < 3);
  const number = asked;
  waiting = setTimeout(() => ask(number), 600);
});

// The gateway knows which passwords are common, and which names others know.
async function ask(number) {
  const fields = new URLSearchParams();
  for (const name of ["token", "join", "password"]) fields.set(name, form.elements[name].value);
  const answer = await fetch("/join/password", { method: "POST", body: fields }).catch(() => undefined);
  const fault = answer?.ok ? await answer.text() : undefined;
  if (number !== asked || fault === undefined) return;
  if (fault !== "") by("strength").value = 1;
  say(word, fault === "" ? word.dataset.accepted : fault, fault !== "");
}

function compare() {
  const differ = again.value !== "" && again.value !== password.value;
  say(by("again-word"), differ ? by("again-word").dataset.differ : "", differ);
}
again.addEventListener("input", compare);

by("key_file").addEventListener("change", async (event) => {
  const file = event.target.files[0];
  if (file && file.size <= 16384) by("ssh_key").value = (await file.text()).trim();
});

by("meter").hidden = false;
by("key-from-file").hidden = false;
