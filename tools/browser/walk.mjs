// Walks the dashboard of a simlane with a real browser: every page at two widths, light and dark,
// with and without a script; names that mean harm; and what axe-core finds. Exits with 1 and the
// list of what is wrong.
//
//   node walk.mjs --url http://127.0.0.1:3000 --token-file FILE [--shots FOLDER]

import { mkdir, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { parseArgs } from "node:util";

import { chromium } from "playwright-core";

const require = createRequire(import.meta.url);
const { values: options } = parseArgs({
  options: {
    url: { type: "string" },
    "token-file": { type: "string" },
    shots: { type: "string" },
    chromium: { type: "string", default: "/usr/bin/chromium" },
  },
});
const site = options.url;
const mount = `${site}/admin/cache`;
const token = (await readFile(options["token-file"], "utf8")).trim();
const axe = await readFile(require.resolve("axe-core/axe.min.js"), "utf8");
const wrong = [];
if (options.shots) await mkdir(options.shots, { recursive: true });

const WIDTHS = { desktop: { width: 1280, height: 860 }, phone: { width: 360, height: 740 } };
const SCHEMES = ["light", "dark"];

/** Every page, and what there is to do on it before it is looked at. */
const PAGES = {
  overview: "/",
  "overview-hour": "/?span=hour",
  caches: "/caches",
  cache: "/cache?name=default",
  routes: "/routes",
  activity: "/activity",
  redis: "/redis",
  nodes: "/nodes",
  keys: "/keys?cache=default",
  "keys-none": "/keys?cache=default&prefix=nothing-begins-so",
  invalidate: "/invalidate",
  clear: "/clear",
  "clear-one": "/clear?cache=default",
  explain: "/explain",
  missing: "/no-such-page",
};

/** Tags and keys that would do something if anybody let them. */
const HOSTILE = [
  "<script>window.ran=1</script>",
  '"><img src=x onerror="window.ran=1">',
  "'><svg onload=window.ran=1>",
  "</title><script>window.ran=1</script>",
  "</textarea><script>window.ran=1</script>",
  "javascript:window.ran=1",
  "{{ 7 * 7 }}",
  "{% include 'base.html' %}",
  "&lt;script&gt;window.ran=1&lt;/script&gt;",
  "<style>*{display:none}</style>",
  "<base href=//evil.example>",
  "<meta http-equiv=refresh content=0;url=//evil.example>",
  "\u202Egnp.exe",
  "\u2067rtl\u2066ltr\u2069",
  "zero\u200Bwidth\uFEFF",
  "\u001b[31mred\u001b[0m\u001b]0;title\u0007",
  "tab\tand\u0008back",
  "Z\u0337a\u0338l\u0334g\u0335o".repeat(20),
  "\u{1F3C1}\u{1F3CE}\uFE0F",
  "x".repeat(8192),
];

const browser = await chromium.launch({
  executablePath: options.chromium,
  args: ["--no-sandbox", "--disable-dev-shm-usage"],
});

const check = (holds, what) => {
  if (!holds) {
    wrong.push(what);
    console.error(`wrong: ${what}`);
  }
};

/** A browser of its own, with everything that a page complains of noted. */
async function open(name, settings) {
  const context = await browser.newContext(settings);
  const page = await context.newPage();
  page.on("console", (message) => {
    const isOurs = message.type() === "error" && !/status of (4\d\d|503)/.test(message.text());
    check(!isOurs, `${name}: the console says: ${message.text()}`);
  });
  page.on("pageerror", (error) => check(false, `${name}: a script failed: ${error.message}`));
  page.on("request", (request) => {
    const isOwn = request.url().startsWith(site) || request.url().startsWith("data:");
    check(isOwn, `${name}: something else was fetched: ${request.url()}`);
  });
  return { context, page };
}

async function signIn(page) {
  await page.goto(`${mount}/`);
  await page.fill("#token", token);
  await page.press("#token", "Enter");
  await page.waitForURL(`${mount}/`);
}

async function shoot(page, name) {
  if (options.shots) await page.screenshot({ path: `${options.shots}/${name}.png`, fullPage: true });
}

/** What holds of every page, whatever is on it. */
async function look(page, name, hasScript = true) {
  const measured = await page.evaluate(() => ({
    page: document.documentElement.scrollWidth,
    window: document.documentElement.clientWidth,
    wide: [...document.querySelectorAll("main *")]
      .filter((one) => !one.closest(".scroll, svg, textarea, input, .hidden, .side"))
      .filter((one) => one.getBoundingClientRect().right > window.innerWidth + 1)
      .map((one) => one.outerHTML.slice(0, 80)),
    ran: window.ran ?? null,
    headings: document.querySelectorAll("h1").length,
  })).catch(() => null);
  if (measured) {
    check(measured.page <= measured.window, `${name}: the page scrolls sideways: ${measured.page} > ${measured.window} ${measured.wide.slice(0, 2)}`);
    check(measured.ran === null, `${name}: a script of somebody else's ran`);
    check(measured.headings === 1, `${name}: ${measured.headings} main headings`);
  }
  if (!hasScript) return;
  await page.evaluate(axe);
  const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  for (const one of found.violations) {
    const isBad = one.impact === "serious" || one.impact === "critical";
    const where = one.nodes.map((node) => node.target.join(" ")).slice(0, 3).join("; ");
    if (isBad) check(false, `${name}: axe: ${one.id} (${one.impact}) at ${where}`);
    else console.log(`note: ${name}: axe: ${one.id} (${one.impact}) at ${where}`);
  }
}

// What there is to see: visits, an invalidation, pages of all kinds.
async function visit() {
  const paths = ["/", "/clubs", "/clubs/1", "/clubs/2", "/teams/1", "/events", "/series/1", "/about", "/api/clubs", "/search?q=night"];
  for (let round = 0; round < 12; round += 1) {
    for (const path of paths) await fetch(site + path).then((answer) => answer.arrayBuffer());
    await new Promise((done) => setTimeout(done, 250));
  }
  await fetch(`${site}/clubs`, { headers: { cookie: "session=none" } });
  await fetch(`${site}/login`);
}

const api = async (path, body) => {
  const answer = await fetch(`${mount}/api/${path}`, {
    method: body ? "POST" : "GET",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: body && JSON.stringify(body),
  });
  return { status: answer.status, body: await answer.json() };
};

await visit();
for (const tag of HOSTILE) {
  const { status } = await api("invalidate", { tags: [tag], soft: true });
  check(status === 200, `the tag ${JSON.stringify(tag.slice(0, 40))} is refused: ${status}`);
  await fetch(`${site}/search?q=${encodeURIComponent(tag.slice(0, 1500))}`).catch(() => null);
}
check((await api("invalidate", { tags: ["clubs"] })).status === 200, "an invalidation is refused");
await visit();

for (const [width, viewport] of Object.entries(WIDTHS)) {
  for (const colorScheme of SCHEMES) {
    const { context, page } = await open(`${width} ${colorScheme}`, { viewport, colorScheme });
    await page.goto(`${mount}/`);
    await look(page, `sign-in ${width} ${colorScheme}`);
    await shoot(page, `sign-in-${width}-${colorScheme}`);
    await signIn(page);
    for (const [name, path] of Object.entries(PAGES)) {
      await page.goto(mount + path);
      await look(page, `${name} ${width} ${colorScheme}`);
      await shoot(page, `${name}-${width}-${colorScheme}`);
    }
    const key = page.locator("main table a").first();
    await page.goto(`${mount}/keys?cache=default&prefix=/clubs`);
    await key.click();
    await look(page, `entry ${width} ${colorScheme}`);
    await shoot(page, `entry-${width}-${colorScheme}`);

    await page.goto(`${mount}/explain`);
    await page.fill("#path", "/clubs/1");
    await page.fill("#headers", "accept: text/html\ncookie: session=none");
    await page.click("main button");
    await look(page, `explained ${width} ${colorScheme}`);
    await shoot(page, `explained-${width}-${colorScheme}`);

    await page.goto(`${mount}/invalidate`);
    await page.fill("#tags", `clubs\n${HOSTILE.slice(0, 6).join("\n")}`);
    await page.click("main button");
    await look(page, `confirm ${width} ${colorScheme}`);
    await shoot(page, `confirm-${width}-${colorScheme}`);
    await page.click("main button.danger");
    await look(page, `done ${width} ${colorScheme}`);
    await shoot(page, `done-${width}-${colorScheme}`);
    await context.close();
  }
}

// Hostile names, where they are looked for and where they come up.
{
  const { context, page } = await open("hostile", { viewport: WIDTHS.phone });
  await signIn(page);
  for (const name of HOSTILE) {
    for (const path of ["/keys?cache=default&prefix=", "/entry?cache=default&key=", "/invalidate?tags="]) {
      await page.goto(mount + path + encodeURIComponent(name));
      await look(page, `hostile ${path} ${JSON.stringify(name.slice(0, 30))}`, false);
    }
  }
  for (const path of ["/activity", "/keys?cache=default&prefix=/search", "/routes", "/cache?name=default"]) {
    await page.goto(mount + path);
    await look(page, `hostile ${path}`);
    await shoot(page, `hostile-${path.replaceAll(/\W+/g, "-")}`);
  }
  await context.close();
}

// By keyboard alone: the first tab is the way to the content.
{
  const { context, page } = await open("keyboard", { viewport: WIDTHS.desktop });
  await signIn(page);
  await page.goto(`${mount}/`);
  await page.keyboard.press("Tab");
  const first = await page.evaluate(() => document.activeElement.textContent);
  check(first === "Skip to the content", `the first tab leads to ${first}`);
  await page.keyboard.press("Enter");
  const to = await page.evaluate(() => document.activeElement.id);
  check(to === "content", `the skip link leads to ${to}`);

  // Numbers renew themselves, until somebody asks them not to.
  const figure = () => page.locator("#figures").innerText();
  const before = await figure();
  await visit();
  await page.waitForFunction((old) => document.getElementById("figures").innerText !== old, before, { timeout: 15000 })
    .catch(() => check(false, "the numbers do not renew themselves"));
  await page.click("text=Pause updates");
  check(await page.isVisible("text=Resume updates"), "the updates can't be paused");
  await context.close();
}

// Without a script: everything is there to read, and a cache can be cleared.
{
  const { context, page } = await open("without a script", { viewport: WIDTHS.desktop, javaScriptEnabled: false });
  await signIn(page);
  for (const [name, path] of Object.entries(PAGES)) {
    await page.goto(mount + path);
    const text = await page.locator("main").innerText();
    check(text.length > 20, `${name} says nothing without a script`);
  }
  await shoot(page, "without-script");
  await page.goto(`${mount}/clear?cache=api`);
  await page.click("main button.danger");
  check((await page.locator("main").innerText()).includes("Done."), "a cache can't be cleared without a script");
  await page.click("text=Sign out");
  check(await page.isVisible("#token"), "nobody can sign out without a script");
  await context.close();
}

await browser.close();
console.log(wrong.length === 0 ? "the walk found nothing wrong" : `${wrong.length} things are wrong`);
process.exitCode = wrong.length === 0 ? 0 : 1;
