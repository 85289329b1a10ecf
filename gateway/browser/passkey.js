// Passkeys: asks the gateway for a challenge, the authenticator for its answer, and sends that with the form that the
// button belongs to. What it says is judged by the gateway alone.
const hex = (buffer) => [...new Uint8Array(buffer)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
const bytes = (text) => Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
const credentials = (ids) => ids.map((id) => ({ type: "public-key", id: bytes(id) }));

async function challenge(form, path) {
  const fields = new URLSearchParams({ token: form.elements.token?.value ?? "" });
  const answer = await fetch(path, { method: "POST", body: fields });
  if (!answer.ok) throw new Error(`${answer.status}`);
  return answer.json();
}

function put(form, fields) {
  for (const [name, value] of Object.entries(fields)) {
    const input = form.elements[name] ?? form.appendChild(Object.assign(document.createElement("input"), { type: "hidden", name }));
    input.value = value;
  }
}

async function answer(form, path) {
  const asked = await challenge(form, path);
  const found = await navigator.credentials.get({
    publicKey: {
      challenge: bytes(asked.challenge),
      rpId: asked.party,
      userVerification: "required",
      allowCredentials: credentials(asked.known ?? []),
      timeout: asked.milliseconds,
    },
  });
  put(form, {
    passkey_id: hex(found.rawId),
    passkey_client: hex(found.response.clientDataJSON),
    passkey_authenticator: hex(found.response.authenticatorData),
    passkey_signature: hex(found.response.signature),
  });
}

async function create(form, path) {
  const asked = await challenge(form, path);
  const made = await navigator.credentials.create({
    publicKey: {
      challenge: bytes(asked.challenge),
      rp: { id: asked.party, name: asked.hospital },
      user: { id: bytes(asked.handle), name: asked.person, displayName: asked.name },
      pubKeyCredParams: asked.algorithms.map((alg) => ({ type: "public-key", alg })),
      authenticatorSelection: { residentKey: "required", userVerification: "required" },
      excludeCredentials: credentials(asked.known),
      attestation: "none",
      timeout: asked.milliseconds,
    },
  });
  put(form, {
    new_handle: asked.handle,
    new_client: hex(made.response.clientDataJSON),
    new_authenticator: hex(made.response.getAuthenticatorData()),
  });
}

for (const button of document.querySelectorAll("button[data-passkey]")) {
  const form = button.form;
  const said = document.getElementById("passkey-said");
  const say = (text) => {
    said.textContent = text;
    said.hidden = text === "";
  };
  button.addEventListener("click", async (event) => {
    event.preventDefault();
    if (button.dataset.passkey === "create" && !form.reportValidity()) return;
    if (!window.PublicKeyCredential) return say(button.dataset.unsupported);
    say("");
    button.disabled = true;
    try {
      await (button.dataset.passkey === "create" ? create : answer)(form, button.dataset.challenge);
      form.submit();
    } catch {
      say(button.dataset.failed);
      button.disabled = false;
    }
  });
}
for (const part of document.querySelectorAll("[data-passkeys]")) part.hidden = false;
