// A browser in the hand of a test: reads orders from its standard input, a line of JSON each, and answers each with one.
//
//   node hand.mjs NODE_MODULES     {do: "sign-in", url, id, password, code, language, viewport} → the number of the tab
//                                  {do: "go" | "eval" | "until" | "fill" | "click" | "submit" | "axe" | "shot", tab, …}
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";

const require = createRequire(process.argv[2] + "/");
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const tabs = [];

const orders = {
  async "sign-in"({ url, id, password, code, language, viewport }) {
    const context = await browser.newContext({ ignoreHTTPSErrors: true, viewport });
    await context.addCookies([{ name: "__Host-language", value: language, url, secure: true }]);
    const page = await context.newPage();
    const said = [];
    page.on("console", (message) => message.type() === "error" && said.push(message.text()));
    page.on("pageerror", (fault) => said.push(String(fault)));
    page.on("dialog", (dialog) => said.push(`a dialog: ${dialog.message()}`));
    page.on("popup", (other) => said.push(`a window: ${other.url()}`));
    const asked = [];
    page.on("request", (request) => asked.push(new URL(request.url()).pathname));
    await page.goto(url + "/account");
    await page.fill("#person", id);
    await page.fill("#password", password);
    await page.fill("#code", code);
    await Promise.all([page.waitForURL("**/account"), page.click("main button")]);
    said.length = 0;
    return tabs.push({ page, url, said, asked }) - 1;
  },
  async go({ page, url }, { path }) {
    return (await page.goto(url + path)).status();
  },
  async eval({ page }, { js }) {
    return page.evaluate(js);
  },
  // By asking again and again: a page's own policy lets no waiting script in.
  async until({ page }, { js, ms }) {
    const end = Date.now() + ms;
    for (;;) {
      const value = await page.evaluate(js);
      if (value) return value;
      if (Date.now() > end) throw new Error(`not in time: ${js}\n${await page.evaluate("document.body.innerText")}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  },
  async fill({ page }, { selector, text }) {
    await page.fill(selector, text);
  },
  async click({ page }, { selector }) {
    await page.click(selector);
  },
  async submit({ page }, { selector }) {
    await Promise.all([page.waitForEvent("domcontentloaded"), page.click(selector)]);
  },
  async press({ page }, { key }) {
    await page.keyboard.press(key);
  },
  async type({ page }, { text }) {
    await page.keyboard.type(text);
  },
  async viewport({ page }, { width, height }) {
    await page.setViewportSize({ width, height });
  },
  // What is wrong with the page: for who cannot see, for who has a narrow screen, and what the browser complained of.
  async faults({ page, said }) {
    await page.evaluate(axe);
    const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
    const faults = found.violations.map((one) => `${one.id}: ${one.help}: ${one.nodes[0].html.slice(0, 300)}`);
    const [wide, room] = await page.evaluate(() => [document.documentElement.scrollWidth, window.innerWidth]);
    if (wide > room) faults.push(`sticks out: ${wide} px of ${room}`);
    return faults.concat(said);
  },
  // The paths that were asked for since the last time.
  async asked({ asked }) {
    return asked.splice(0);
  },
  async shot({ page }, { path }) {
    await page.screenshot({ path, fullPage: true });
  },
};

const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
try {
  for await (const line of createInterface({ input: process.stdin })) {
    const order = JSON.parse(line);
    let answer;
    try {
      const act = orders[order.do];
      answer = { value: (await (order.do === "sign-in" ? act(order) : act(tabs[order.tab], order))) ?? null };
    } catch (fault) {
      answer = { fault: String(fault) };
    }
    console.log(JSON.stringify(answer));
  }
} finally {
  await browser.close();
}
