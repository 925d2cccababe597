/** The console as people use it: in Chromium, with three real members behind it. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { after, before, describe, it } from "node:test";
import { EtcdClient } from "@etcd2/client";
import { until } from "@etcd2/test-support";
import type { Browser, Page } from "playwright-core";
import { Cluster, complaints, fill, hasChromium, openBrowser } from "./cluster.ts";

const VIEWS = ["cluster", "keys", "watch", "health", "access"] as const;

describe("the console", { skip: !hasChromium && "chromium is not installed" }, () => {
  let cluster: Cluster;
  let browser: Browser;
  let client: EtcdClient;
  let base = "";
  before(async () => {
    cluster = await Cluster.start(3);
    browser = await openBrowser();
    base = cluster.nodes[0]?.consoleUrl ?? "";
    client = new EtcdClient({ endpoints: cluster.nodes.map(({ clientUrl }) => clientUrl) });
  });
  after(async () => {
    await browser.close();
    client.close();
    await cluster.close();
  });

  async function open(view: string): Promise<{ page: Page; found: string[] }> {
    const page = await browser.newPage({ locale: "en" });
    const found = complaints(page);
    await page.goto(`${base}/#${view}`);
    await page.locator("h1").waitFor();
    return { page, found };
  }
  async function goTo(page: Page, path: string): Promise<void> {
    await page.locator("#path").fill(path);
    await page.locator("#path").press("Enter");
    await page.getByRole("heading", { name: path, exact: true }).first().waitFor();
  }

  it("says how many members are up, and shows the figures of each", async () => {
    const { page, found } = await open("cluster");
    await page.getByText("3 of 3 members up, tolerates 1 failure").waitFor();
    assert.equal(await page.locator("tbody tr").count(), 3);
    assert.equal(await page.getByRole("cell", { name: "leader", exact: true }).count(), 1);
    assert.deepEqual(found, []);
    await page.close();
  });

  it("moves the leader", async () => {
    const { page } = await open("cluster");
    const button = page.getByRole("button", { name: /^Make leader: / }).first();
    const name = (await button.getAttribute("aria-label"))?.replace("Make leader: ", "") ?? "";
    await button.click();
    const row = page.locator("tbody tr", { hasText: name });
    await row.getByRole("cell", { name: "leader", exact: true }).waitFor({ timeout: 60_000 });
    await page.close();
  });

  it("shows a value of <script> as text", async () => {
    await client.keys.set("/html/x", "<script>document.title='taken'</script>");
    const { page, found } = await open("keys");
    await goTo(page, "/html/x");
    assert.equal(
      await page.locator("#value").textContent(),
      "<script>document.title='taken'</script>",
    );
    assert.equal(await page.title(), "etcd console");
    assert.deepEqual(found, []);
    await page.close();
  });

  it("shows both values when a key changed while it was edited, and lets the person decide", async () => {
    await client.keys.set("/edit/x", "first");
    const { page } = await open("keys");
    await goTo(page, "/edit/x");
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: "Edit" }).click();
    await page.locator("textarea").fill("mine");
    await client.keys.set("/edit/x", "theirs");
    await page.getByRole("button", { name: "Save" }).click();
    const conflict = page.getByRole("alert");
    await conflict.getByText("− theirs").waitFor();
    await conflict.getByText("+ mine").waitFor();
    assert.equal((await client.keys.get("/edit/x", { quorum: true })).node.dir, false);
    await conflict.getByRole("button", { name: "Write mine over it" }).click();
    await until("mine is written", async () => {
      const { node } = await client.keys.get("/edit/x", { quorum: true });
      return !node.dir && node.value === "mine";
    });
    await page.close();
  });

  it("lets a TTL run out before one's eyes", async () => {
    await client.keys.set("/short/x", "v", { ttl: 3 });
    const { page } = await open("keys");
    await goTo(page, "/short/x");
    await page
      .locator("#ttl")
      .getByText(/^[0-3] s$/)
      .waitFor();
    await page.getByText("/short/x: The key is gone.").waitFor({ timeout: 60_000 });
    await page.close();
  });

  it("watches on over the end and the return of its member", async () => {
    const { page } = await open("watch");
    await page.getByLabel("Path").fill("/live");
    await page.getByLabel("After index").fill("1");
    await page.getByRole("button", { name: "Start" }).click();
    await client.keys.set("/live/x", "before");
    await page.getByText("+ before").waitFor();
    const [node] = cluster.nodes;
    await node?.stop("SIGKILL");
    await client.keys.set("/live/x", "meanwhile");
    node?.start();
    await page.getByText("+ meanwhile").waitFor({ timeout: 60_000 });
    await page.getByText("− before").waitFor();
    await page.close();
  });

  it("shows ten minutes of each member's health, with the thresholds of the alerts", async () => {
    const { page, found } = await open("health");
    await page.getByText("etcdSlowLogSync > 500 ms").waitFor();
    const chart = page.locator("figure", { hasText: "Requests by method" });
    await chart.getByText(/^PUT/).waitFor({ timeout: 60_000 });
    const trips = page.locator("figure", { hasText: "Round trips between members" });
    await trips
      .getByText(/^m0 → m[12] /)
      .first()
      .waitFor({ timeout: 60_000 });
    for (const name of ["m0", "m1", "m2"]) {
      const store = page.locator("figure", { hasText: "Store" });
      await store.getByText(new RegExp(`^${name} .*[KM]iB`)).waitFor({ timeout: 60_000 });
    }
    assert.equal(await page.locator("figure canvas").count(), 8);
    assert.deepEqual(found, []);
    await page.close();
  });

  it("checks JSON and YAML and lays them out, and says what is wrong", async () => {
    await client.keys.set("/forms/json", '{"a":[1,2]}');
    await client.keys.set("/forms/yaml", "a:   1\nb: [x,y]\n");
    const { page, found } = await open("keys");
    await goTo(page, "/forms/json");
    await page.getByRole("button", { name: "JSON", exact: true }).click();
    await page.locator("#value", { hasText: '  "a": [\n    1,' }).waitFor();
    await goTo(page, "/forms/yaml");
    await page.getByRole("button", { name: "YAML", exact: true }).click();
    await page.locator("#value", { hasText: "b: [ x, y ]" }).waitFor();
    await page.getByRole("button", { name: "JSON", exact: true }).click();
    await page.getByRole("alert").getByText(/JSON/).waitFor();
    assert.deepEqual(found, []);
    await page.close();
  });

  it("shows the bytes of what is no text, and does not let them be edited as text", async () => {
    await fetch(`${cluster.nodes[0]?.clientUrl ?? ""}/v2/keys/bytes/x`, {
      method: "PUT",
      headers: { "Content-Type": "application/x-www-form-urlencoded" },
      body: "value=%ff%00abc",
    });
    await client.keys.set("/bytes/text", "a \ufffd that was meant");
    const { page } = await open("keys");
    await goTo(page, "/bytes/x");
    await page.locator("#value", { hasText: "00000000  ff 00 61 62 63" }).waitFor();
    assert.equal(await page.locator("#edit").isDisabled(), true);
    await page.getByText("5 bytes").waitFor();
    await goTo(page, "/bytes/text");
    await page.locator("#edit:enabled").waitFor();
    assert.equal(await page.locator("#value").textContent(), "a \ufffd that was meant");
    await page.close();
  });

  it("creates and removes keys and directories, with their names asked for", async () => {
    const { page } = await open("keys");
    await page.getByRole("button", { name: "New directory" }).click();
    await page.getByRole("dialog").getByRole("textbox").fill("made");
    await page.getByRole("dialog").getByRole("button", { name: "Create" }).click();
    await page.getByRole("heading", { name: "/made", exact: true }).waitFor();
    await page.getByRole("button", { name: "New key" }).click();
    await page.getByRole("dialog").getByRole("textbox").fill("it's 100% <b>");
    await page.getByRole("dialog").getByRole("button", { name: "Create" }).click();
    await page.locator("#edit").waitFor();
    assert.equal((await client.keys.get("/made/it's 100% <b>")).node.dir, false);
    await client.keys.set("/made/later", "x");
    await page.locator("button.bad", { hasText: "Delete" }).first().click();
    const dialog = page.getByRole("dialog");
    await dialog.getByText("It holds 2 keys.").waitFor();
    await dialog.getByText(/^1 of them were changed after index/).waitFor();
    assert.equal(await dialog.getByRole("button", { name: "Delete" }).isDisabled(), true);
    await dialog.getByRole("textbox").fill("made");
    await dialog.getByRole("button", { name: "Delete" }).click();
    await until("the directory is gone", async () => {
      return (await client.keys.find("/made", { quorum: true })) === undefined;
    });
    await page.close();
  });

  it("lets one of two tabs win, and shows the other what happened", async () => {
    await client.keys.set("/tabs/x", "first\nsecond\n");
    const tabs = await Promise.all([open("keys"), open("keys")]);
    for (const { page } of tabs) {
      await goTo(page, "/tabs/x");
      await page.keyboard.press("Escape");
      await page.locator("body").click({ position: { x: 2, y: 400 } });
      await page.keyboard.press("e");
      await page.locator("textarea").waitFor();
    }
    const [one, two] = tabs;
    await one.page.locator("textarea").fill("first\nof one\n");
    await one.page.getByRole("button", { name: "Save" }).click();
    await one.page.locator("#value", { hasText: "of one" }).waitFor();
    await two.page.locator("textarea").fill("first\nof two\n");
    await two.page.getByRole("button", { name: "Save" }).click();
    const conflict = two.page.getByRole("alert");
    await conflict.getByText("− of one").waitFor();
    await conflict.getByText("+ of two").waitFor();
    await conflict.getByRole("button", { name: "Keep what is there" }).click();
    await two.page.locator("#value", { hasText: "of one" }).waitFor();
    for (const { page } of tabs) await page.close();
  });

  it("scrolls through 100,000 keys with few of them in the page", async () => {
    await fill(cluster.nodes[0]?.clientUrl ?? "", "/many", 100_000);
    const { page } = await open("keys");
    await goTo(page, "/many");
    await page.getByText("100000 children").waitFor({ timeout: 60_000 });
    const list = page.locator(".list");
    assert.ok((await list.locator("button").count()) < 100);
    await list.evaluate((box) => {
      box.scrollTop = box.scrollHeight;
    });
    await list.getByRole("button", { name: "k099999" }).waitFor();
    assert.ok((await list.locator("button").count()) < 100);
    await list.getByRole("button", { name: "k099999" }).focus();
    await page.keyboard.press("ArrowUp");
    await list.locator("button:focus", { hasText: "k099998" }).waitFor();
    await page.close();
  });

  it("fits 360 pixels without a sideways scroll, in each view", async () => {
    for (const view of VIEWS) {
      const { page } = await open(view);
      await page.setViewportSize({ width: 360, height: 740 });
      const isWide = await page.evaluate(
        "document.documentElement.scrollWidth > document.documentElement.clientWidth",
      );
      assert.equal(isWide, false, view);
      await page.close();
    }
  });

  it("goes to a path, and shows its keys, by the keyboard", async () => {
    const { page } = await open("cluster");
    await page.keyboard.press("?");
    await page.getByText("/ go to a path").waitFor();
    await page.keyboard.press("/");
    await page.locator("#path:focus").waitFor();
    await page.close();
  });

  it("refuses what a page of another origin sends by a form", async () => {
    const stranger = createServer((_req, res) => {
      res.setHeader("Content-Type", "text/html");
      res.end(
        `<form method="post" action="${base}/v2/keys/foreign"><input name="value" value="x"></form>`,
      );
    });
    await new Promise<void>((resolve) => stranger.listen(0, "127.0.0.1", resolve));
    const { port } = stranger.address() as AddressInfo;
    try {
      const page = await browser.newPage();
      await page.goto(`http://127.0.0.1:${port}/`);
      const [response] = await Promise.all([
        page.waitForResponse((answer) => answer.url().includes("/foreign")),
        page.locator("form").evaluate((form) => {
          (form as HTMLFormElement).submit();
        }),
      ]);
      assert.equal(response.status(), 403);
      assert.equal(await client.keys.find("/foreign", { quorum: true }), undefined);
      await page.close();
    } finally {
      stranger.close();
      stranger.closeAllConnections();
    }
  });

  it("refuses what a page of another origin sends", async () => {
    const response = await fetch(`${base}/v2/keys/foreign`, {
      method: "PUT",
      headers: { Origin: "http://stranger.example", "Sec-Fetch-Site": "cross-site" },
      body: new URLSearchParams({ value: "x" }),
    });
    assert.equal(response.status, 403);
  });

  it("binds its page to its own origin, and sends less than 60 kB", async () => {
    const page = await fetch(base);
    const policy = page.headers.get("content-security-policy") ?? "";
    assert.match(policy, /default-src 'none'.*frame-ancestors 'none'.*require-trusted-types-for/);
    assert.equal(page.headers.get("x-content-type-options"), "nosniff");
  });

  it("has nothing that bars people from it, says axe", async () => {
    const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
    for (const [view, colorScheme, locale] of VIEWS.flatMap((name) => [
      [name, "light", "en"] as const,
      [name, "dark", "zh-CN"] as const,
    ])) {
      const page = await browser.newPage({ colorScheme, locale });
      await page.goto(`${base}/#${view}`);
      await page.locator("h1").waitFor();
      const text = await page.evaluate(
        `${axe}; axe.run().then(({ violations }) => violations.map(({ id, nodes }) => id + " " + nodes[0].html).join())`,
      );
      assert.equal(text, "", `${view} ${colorScheme} ${locale}`);
      await page.close();
    }
  });

  it("shows a user the subtree of its role and no more", async () => {
    await client.keys.set("/team/x", "ours");
    await client.keys.set("/other/x", "not ours");
    await client.auth.roles.create("team", { read: ["/team", "/team/*"], write: [] });
    await client.auth.users.create("root", "root");
    await client.auth.users.create("ann", "ann");
    await client.auth.users.grant("ann", ["team"]);
    await client.auth.enable();
    using root = new EtcdClient({
      endpoints: cluster.nodes.map(({ clientUrl }) => clientUrl),
      ...{ username: "root", password: "root" },
    });
    try {
      await root.auth.roles.revoke("guest", { read: ["/*"], write: ["/*"] });
      const { page } = await open("keys");
      await page.getByLabel("User").fill("ann");
      await page.getByLabel("Password").fill("wrong");
      await page.getByRole("button", { name: "Sign in" }).click();
      await page.getByText("The member does not take this user and password.").waitFor();
      await page.getByLabel("Password").fill("ann");
      await page.getByRole("button", { name: "Sign in" }).click();
      await page.getByRole("button", { name: "Sign out" }).waitFor();
      await goTo(page, "/team/x");
      assert.equal(await page.locator("#value").textContent(), "ours");
      await page.locator("#path").fill("/other/x");
      await page.locator("#path").press("Enter");
      await page.getByRole("alert").waitFor();
      assert.equal(await page.getByText("not ours").count(), 0);
      await page.close();
    } finally {
      await root.auth.disable();
    }
  });
});
