// A passkey's life in a real browser with a virtual authenticator: added, used, tried in every way in which it is not to
// count, used to confirm an act, removed. Says what came of each as JSON; the statuses of forms are those before they lead
// anywhere.
//
//   node passkeys.mjs NODE_MODULES <PLAN     {url, id, password, codes, other: {id, password, code}, language, shots}
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const modules = process.argv[2];
const require = createRequire(modules + "/");
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const plan = JSON.parse(readFileSync(0, "utf8"));
const seen = { faults: [], tried: {} };

const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
try {
  const viewport = { width: 390, height: 844 };
  const context = await browser.newContext({ viewport, ignoreHTTPSErrors: true, locale: plan.language });
  await context.addCookies([{ name: "__Host-language", value: plan.language, url: plan.url, secure: true }]);
  const page = await context.newPage();
  page.setDefaultTimeout(20000);
  const device = await context.newCDPSession(page);
  await device.send("WebAuthn.enable");
  const options = { protocol: "ctap2", transport: "internal", hasResidentKey: true, hasUserVerification: true };
  const { authenticatorId } = await device.send("WebAuthn.addVirtualAuthenticator", {
    options: { ...options, isUserVerified: true, automaticPresenceSimulation: true },
  });
  const verified = (isUserVerified) => device.send("WebAuthn.setUserVerified", { authenticatorId, isUserVerified });

  // Signed in with password and code; the new passkey is an act that asks for the second factor once more.
  await signIn(plan, plan.codes[0]);
  await page.fill("#passkey-name", "laptop");
  await Promise.all([page.waitForSelector("#code"), page.click("[data-passkey=create]")]);
  seen.tried["confirmed before there is one"] = await page.locator("[data-passkey]").count();
  await page.fill("#code", plan.codes[1]);
  await Promise.all([page.waitForSelector("form[action$='/remove']"), page.click("button.primary")]);
  await look("account");

  // Nothing else is needed to sign in.
  await signOut();
  await look("sign-in");
  let sent = "";
  page.on("request", (request) => {
    if (request.method() === "POST" && request.url().endsWith("/sign-in/passkey")) sent = request.postData();
  });
  await signInByPasskey();
  seen.tried["signed in"] = new URL(page.url()).pathname;
  await page.goto(plan.url + "/account");

  // What counted once, and what was asked for otherwise than our page does.
  seen.tried.replayed = await send(sent);
  seen.tried["for another purpose"] = await send(await answer(await challenge("/account/passkeys/again")));
  await verified(false);
  seen.tried["user not verified"] = await send(await answer(await challenge(), "discouraged"));
  await verified(true);
  // Another service on the same host: its pages may ask authenticators in this host's name.
  const asked = await challenge();
  const other = "https://localhost:1/";
  const empty = { contentType: "text/html", body: "<!doctype html><title>x</title>" };
  await page.route(other, (route) => route.fulfill(empty));
  await page.goto(other);
  const taken = await answer(asked);
  await page.goto(plan.url + "/account");
  seen.tried["from another port's page"] = await send(taken);

  // A copy of the key that has counted less far, and the key itself once more.
  const { credentials } = await device.send("WebAuthn.getCredentials", { authenticatorId });
  const [credential] = credentials;
  const count = async (signCount) => {
    const { credentialId } = credential;
    await device.send("WebAuthn.removeCredential", { authenticatorId, credentialId });
    await device.send("WebAuthn.addCredential", { authenticatorId, credential: { ...credential, signCount } });
  };
  await count(0);
  seen.tried["counted backwards"] = await send(await answer(await challenge()));
  await count(1000);
  seen.tried["counted on"] = await send(await answer(await challenge()));

  // Whoever else has signed in confirms nothing with it.
  await page.goto(plan.url + "/account");
  await signOut();
  await signIn(plan.other, plan.other.code);
  const theirs = await answer(await challenge("/account/passkeys/again"));
  seen.tried["of somebody else"] = await send(`${theirs}&name=x&token=${await token()}`, "/account/passkeys");
  await signOut();
  await signInByPasskey();

  // Removing it asks for the second factor, which it is itself; the sign-ins made with it end.
  await page.goto(plan.url + "/account");
  await page.click("form[action$='/remove'] button");
  await page.waitForSelector("[data-passkey=get]");
  await look("again");
  await Promise.all([page.waitForURL("**/sign-in*"), page.click("[data-passkey=get]")]);
  seen.tried["once removed"] = await send(await answer(await challenge()));

  async function signIn(who, code) {
    await page.goto(plan.url + "/account");
    await page.fill("#person", who.id);
    await page.fill("#password", who.password);
    await page.fill("#code", code);
    await Promise.all([page.waitForURL("**/account"), page.click("form[action='/sign-in'] button")]);
  }

  async function signInByPasskey() {
    const through = page.waitForURL((url) => !url.pathname.startsWith("/sign-in"));
    await Promise.all([through, page.click("[data-passkey=get]")]);
  }

  async function signOut() {
    await Promise.all([page.waitForURL("**/sign-in"), page.click("form[action='/sign-out'] button")]);
  }

  async function token() {
    return (await page.locator("input[name=token]").first().getAttribute("value")) ?? "";
  }

  async function challenge(path = "/sign-in/passkey/challenge") {
    return page.evaluate(
      async ([path, token]) => (await fetch(path, { method: "POST", body: new URLSearchParams({ token }) })).json(),
      [path, await token()],
    );
  }

  async function answer(asked, userVerification = "required") {
    return page.evaluate(
      async ([asked, userVerification]) => {
        const hex = (buffer) => [...new Uint8Array(buffer)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
        const challenge = Uint8Array.from(asked.challenge.match(/../g), (pair) => parseInt(pair, 16));
        const publicKey = { challenge, rpId: asked.party, userVerification };
        const { rawId, response } = await navigator.credentials.get({ publicKey });
        const fields = {
          passkey_id: hex(rawId),
          passkey_client: hex(response.clientDataJSON),
          passkey_authenticator: hex(response.authenticatorData),
          passkey_signature: hex(response.signature),
        };
        return new URLSearchParams(fields).toString();
      },
      [asked, userVerification],
    );
  }

  async function send(body, path = "/sign-in/passkey") {
    return page.evaluate(
      async ([body, path]) => {
        const headers = { "Content-Type": "application/x-www-form-urlencoded" };
        const answer = await fetch(path, { method: "POST", body, headers, redirect: "manual" });
        return answer.type === "opaqueredirect" ? 303 : answer.status;
      },
      [body, path],
    );
  }

  async function look(name) {
    await page.evaluate(axe);
    const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
    for (const one of found.violations) seen.faults.push(`${name}: ${one.id}: ${one.nodes[0].html}`);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    if (wide > viewport.width) seen.faults.push(`${name} sticks out: ${wide} px of ${viewport.width}`);
    if (plan.shots) await page.screenshot({ path: `${plan.shots}/passkey-${name}-${plan.language}.png`, fullPage: true });
  }
} finally {
  await browser.close();
}
console.log(JSON.stringify(seen));
