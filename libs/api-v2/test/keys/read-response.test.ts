import assert from "node:assert/strict";
import { after, before, mock, test } from "node:test";
import { writeCommand, type Listing, type ReadResult } from "@etcd2/store";
import { LISTING_STALL_MS } from "../../src/ports/limits.ts";
import { ListingFormatter } from "../../src/keys/read-response.ts";
import { RawConnection } from "@etcd2/test-support/traces";
import { startFakeServer, until, type RunningFake } from "../fake-server.ts";

const KEYS = 20_000;
const VALUE = "x".repeat(200);

let running: RunningFake;
/** Listings that were opened and not closed or drained. */
let openListings = 0;

before(async () => {
  running = await startFakeServer();
  const { server } = running;
  for (let i = 0; i < KEYS; i++) {
    const directory = `/1/big/d${String(i % 100).padStart(2, "0")}`;
    const path = `${directory}/k${String(i).padStart(5, "0")}`;
    server.apply(writeCommand({ action: "set", path, value: VALUE }));
  }
  const { reader } = server;
  const read = reader.get.bind(reader);
  reader.get = (path, options): ReadResult => {
    const result = read(path, options);
    return result.children === undefined
      ? result
      : { ...result, children: counted(result.children) };
  };
});
after(() => running.close());

function counted(listing: Listing): Listing {
  let isOpen = true;
  openListings++;
  const close = (): void => {
    if (isOpen) openListings--;
    isOpen = false;
  };
  return {
    take: (rowsMax) => {
      const rows = listing.take(rowsMax);
      if (rows === undefined) close();
      return rows;
    },
    next: (rowsMax) => {
      const rows = listing.next(rowsMax);
      if (rows.length === 0) close();
      return rows;
    },
    close: () => {
      listing.close();
      close();
    },
  };
}

interface Shown {
  readonly key: string;
  readonly nodes?: readonly Shown[];
}

test("a large tree arrives whole and in order, while other requests are served", async () => {
  const connection = await RawConnection.open(running.baseUrl);
  connection.send({ method: "GET", target: "/v2/keys/big?recursive=true" });
  const response = await connection.head(5000);
  assert.equal(response.headers.get("transfer-encoding"), "chunked");
  const other = await RawConnection.open(running.baseUrl);
  await other.exchange({ method: "GET", target: "/version" });
  assert.equal(response.complete, false, "the listing was sent before anything else was served");
  other.close();
  assert.ok(await connection.receive(20_000));
  const { node } = JSON.parse(response.body) as { node: Shown };
  const directories = node.nodes ?? [];
  assert.equal(directories.length, 100);
  const keys = directories.flatMap(({ nodes = [] }) => nodes.map(({ key }) => key));
  assert.equal(keys.length, KEYS);
  assert.deepEqual(keys, keys.toSorted());
  assert.equal(openListings, 0);
  connection.close();
});

test("a turn of a listing is bounded, also where all of it is hidden", async () => {
  const { server } = running;
  for (let i = 0; i < 5000; i++) {
    server.apply(writeCommand({ action: "set", path: `/1/hidden/_${String(i)}` }));
  }
  const { children, node } = server.reader.get("/1/hidden", { recursive: true });
  assert.ok(children !== undefined);
  const formatter = new ListingFormatter(node);
  let turns = 0;
  let text = "";
  for (; !formatter.ended; turns++) text += formatter.take(children);
  assert.ok(turns > 5, `${String(turns)} turns`);
  assert.ok(text.startsWith('{"key":"/hidden","dir":true'), text);
  assert.doesNotMatch(text, /nodes/);
  const connection = await RawConnection.open(running.baseUrl);
  const target = "/v2/keys/hidden?recursive=true";
  const response = await connection.exchange({ method: "GET", target });
  assert.equal(response.status, 200);
  assert.equal((JSON.parse(response.body) as { node: Shown }).node.key, "/hidden");
  connection.close();
});

test("a HEAD of a large tree reads little and has no length", async () => {
  const connection = await RawConnection.open(running.baseUrl);
  const response = await connection.exchange({
    method: "HEAD",
    target: "/v2/keys/big?recursive=true",
  });
  assert.equal(response.status, 200);
  assert.equal(response.headers.get("content-length"), undefined);
  assert.equal(openListings, 0);
  const next = await connection.exchange({ method: "GET", target: "/version" });
  assert.equal(next.status, 200);
  connection.close();
});

test("a client that leaves in the middle closes the listing", async () => {
  const connection = await RawConnection.open(running.baseUrl);
  connection.send({ method: "GET", target: "/v2/keys/big?recursive=true" });
  await connection.head(5000);
  connection.pause();
  assert.equal(openListings, 1);
  connection.close();
  await until(() => openListings === 0);
});

test("a client that takes nothing is cut off in time", async () => {
  const connection = await RawConnection.open(running.baseUrl);
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    connection.send({ method: "GET", target: "/v2/keys/big?recursive=true" });
    await connection.head(5000);
    connection.pause();
    // The listing goes on until the buffers on the way are full.
    for (let turn = 0; turn < 200; turn++) await new Promise(setImmediate);
    assert.equal(openListings, 1);
    mock.timers.tick(LISTING_STALL_MS);
    await new Promise(setImmediate);
    assert.equal(openListings, 0);
  } finally {
    mock.timers.reset();
    connection.close();
  }
});
