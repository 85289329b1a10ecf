// An invited person's way in a real browser: the link, a password that is judged while it is typed, the authenticator
// (oathtool), the recovery codes; axe-core looks at each page. Says what was seen as JSON.
//
//   node join.mjs NODE_MODULES <PLAN     {link, weak, password, language, width, shots}
import { createRequire } from "node:module";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

const modules = process.argv[2];
const require = createRequire(modules + "/");
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const plan = JSON.parse(readFileSync(0, "utf8"));
const seen = { faults: [], address: "", refused: "", accepted: "", recovery: 0 };

const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
try {
  const viewport = { width: plan.width, height: 844 };
  const context = await browser.newContext({ viewport, ignoreHTTPSErrors: true, locale: plan.language });
  const page = await context.newPage();
  // Browsers ask for an icon by themselves; there is none.
  page.on("console", (message) => {
    const icon = message.location().url.endsWith("/favicon.ico");
    if (message.type() === "error" && !icon) seen.faults.push(`${message.location().url}: ${message.text()}`);
  });
  await page.goto(plan.link);
  seen.address = page.url();

  const word = page.locator("#password-word");
  await page.fill("#password", plan.weak);
  await page.waitForFunction(() => document.querySelector("#password-word").classList.contains("fault"));
  seen.refused = await word.textContent();
  await page.fill("#password", plan.password);
  const accepted = await word.getAttribute("data-accepted");
  await page.waitForFunction((text) => document.querySelector("#password-word").textContent === text, accepted);
  seen.accepted = await word.textContent();
  await page.fill("#password_again", plan.password);
  await look(page, "join");
  const secret = (await page.textContent("#secret")).replaceAll(" ", "");
  const code = execFileSync("oathtool", ["--totp", "--base32", "-"], { input: secret, encoding: "utf8" }).trim();
  await page.fill("#code", code);
  await Promise.all([page.waitForSelector(".codes"), page.click("button.primary")]);
  seen.recovery = await page.locator(".codes li").count();
  await look(page, "joined");
} finally {
  await browser.close();
}
console.log(JSON.stringify(seen));

async function look(page, name) {
  await page.evaluate(axe);
  const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  for (const one of found.violations) seen.faults.push(`${name}: ${one.id}: ${one.nodes[0].html}`);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  if (wide > plan.width) seen.faults.push(`${name} sticks out: ${wide} px of ${plan.width}`);
  if (plan.shots) await page.screenshot({ path: `${plan.shots}/${name}-${plan.language}.png`, fullPage: true });
}
