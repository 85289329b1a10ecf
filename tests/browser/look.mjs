// Looks at pages of the console with a real browser: signs in by the keyboard, opens each page in both languages, wide,
// narrow and dark, lets axe-core judge it, sees whether anything sticks out, and takes its picture where a folder is named.
//
// A page with steps is filled in by the keyboard and sent before it is looked at.
//
//   node look.mjs NODE_MODULES <PLAN     {url, shots, people: [{id, password, code, pages: [[name, path, steps?], …]}]}
//   steps: [selector, text] types, [selector, text, "set"] sets what nobody types, ["Enter" or a button, status] sends
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const modules = process.argv[2];
const require = createRequire(modules + "/");
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const plan = JSON.parse(readFileSync(0, "utf8"));

const ways = [
  { name: "desktop", viewport: { width: 1280, height: 900 }, colorScheme: "light" },
  { name: "phone", viewport: { width: 390, height: 844 }, colorScheme: "light" },
  { name: "dark", viewport: { width: 1280, height: 900 }, colorScheme: "dark" },
];
const report = { looked: 0, faults: [], slowest: 0, largest: 0 };
// What is sent on purpose to be refused is an error to the browser.
let sending = false;
const fault = (where, what) => report.faults.push(`${where}: ${what}`);

// The authority is trusted by the tests that use curl; here only what is shown matters. Root has no user namespaces.
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
try {
  // All of them first: a code counts for seconds.
  const states = [];
  for (const person of plan.people) states.push(person.password ? await signIn(person) : undefined);
  for (const [number, person] of plan.people.entries()) {
    const state = states[number];
    for (const way of ways) {
      for (const language of ["ja", "en"]) {
        const context = await browser.newContext({ ...way, ignoreHTTPSErrors: true, storageState: state });
        await context.addCookies([{ name: "__Host-language", value: language, url: plan.url, secure: true }]);
        const page = await context.newPage();
        // A browser tells of a page that is not there as of an error; whether that was to be is looked at below.
        page.on("console", (message) => {
          const meant = page.url().endsWith("/no-such-page") || sending;
          if (message.type() === "error" && !meant) fault(page.url(), message.text());
        });
        for (const [name, path, steps] of person.pages) {
          await look(page, `${name}-${language}-${way.name}`, path, way, steps ?? []);
          sending = false;
        }
        await context.close();
      }
    }
  }
} finally {
  await browser.close();
}
console.log(JSON.stringify(report));

async function signIn(person) {
  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  const page = await context.newPage();
  await page.goto(plan.url + "/account");
  await page.focus("#person");
  for (const text of [person.id, person.password, person.code]) {
    await page.keyboard.type(text);
    await page.keyboard.press("Tab");
  }
  await Promise.all([page.waitForURL("**/account"), page.keyboard.press("Enter")]);
  const state = await context.storageState();
  await context.close();
  return state;
}

async function take(page, where, [selector, value, how]) {
  if (how === "set") {
    await page.locator(selector).evaluate((field, text) => (field.value = text), value);
  } else if (typeof value === "string") {
    // By the keyboard, in place of what is there.
    await page.focus(selector);
    await page.keyboard.press("Control+A");
    await page.keyboard.type(value);
  } else {
    sending = true;
    const press = async () => {
      const button = selector === "Enter" ? "form.card button.primary" : selector;
      await page.focus(button);
      await page.keyboard.press("Enter");
    };
    const [response] = await Promise.all([page.waitForNavigation(), press()]);
    if (response.status() !== value) fault(where, `it was answered with ${response.status()} in place of ${value}`);
  }
}

async function look(page, where, path, way, steps) {
  const began = performance.now();
  const response = await page.goto(plan.url + path);
  report.slowest = Math.max(report.slowest, Math.round(performance.now() - began));
  report.largest = Math.max(report.largest, (await response.body()).length);
  report.looked += 1;
  const wanted = path === "/no-such-page" ? 404 : 200;
  if (response.status() !== wanted) fault(where, `${path} answered ${response.status()}`);
  for (const step of steps) await take(page, where, step);
  // A screen that goes on is there a moment after its page.
  if (path.endsWith("/live")) await page.waitForSelector(".xterm-rows, pre.screen:not([hidden])");
  // Through the debugger: the page's own policy lets no script in.
  await page.evaluate(axe);
  const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  for (const one of found.violations) {
    fault(where, `${one.id}: ${one.help}: ${one.nodes.slice(0, 2).map((node) => node.html).join(" ")}`);
  }
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  if (wide > way.viewport.width) fault(where, `sticks out: ${wide} px of ${way.viewport.width}`);
  if (plan.shots) await page.screenshot({ path: `${plan.shots}/${where}.png`, fullPage: true });
}
