/** The console as people use it: in Chromium, with three real members behind it. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, before, describe, it } from "node:test";
import { EtcdClient } from "@etcd2/client";
import { until } from "@etcd2/test-support";
import type { Browser, Page } from "playwright-core";
import { Cluster, complaints, hasChromium, openBrowser } from "./cluster.ts";

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
    await conflict.getByText("theirs", { exact: true }).waitFor();
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
    for (const view of ["cluster", "keys", "watch", "access"]) {
      const { page } = await open(view);
      const text = await page.evaluate(
        `${axe}; axe.run().then(({ violations }) => violations.map(({ id, nodes }) => id + " " + nodes[0].html).join())`,
      );
      assert.equal(text, "", view);
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
