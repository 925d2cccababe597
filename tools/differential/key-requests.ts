/**
 * Random requests to the keys API: few keys and few values, so that they meet; every parameter, in
 * query and body, right and wrong. Leaves out what the two servers answer differently by decision
 * or by chance: expiry within the run, and overflowing expirations.
 */
import type { SeededRandom } from "@etcd2/test-support";
import type { RawRequest } from "@etcd2/test-support/traces";

const NAMES = [
  "a",
  "b",
  "c",
  "_h",
  "d%20e",
  "%C3%A9",
  "%FF",
  "x.y",
  "0",
  "A",
  "f%26%3C",
  "%E2%80%A8",
];
const BOOLEANS = ["true", "false", "1", "0", "t", "F", "TRUE", "", "yes", "tRUE"];
const GOOD_BOOLEANS = ["true", "false"];
const VALUES = [
  "1",
  "2",
  "",
  "x%26y",
  "%3Cb%3E",
  "%0A%09%00%7F",
  "%C3%A9",
  "%ff",
  "a+b",
  "%E2%80%A9",
];
const TTLS = [
  "500",
  "1000",
  "",
  "-1",
  "1.5",
  "x",
  "00700",
  "+500",
  "500%20",
  "18446744073709551616",
];
const FORM = "application/x-www-form-urlencoded";
const TYPES = [
  FORM,
  FORM,
  FORM,
  FORM,
  FORM,
  `${FORM}; charset=utf-8`,
  FORM.toUpperCase(),
  "application/json",
  "text/plain",
  "",
  "multipart/form-data; boundary=x",
];

/** A key, at most four elements deep. */
function randomKey(random: SeededRandom): string {
  let key = "";
  for (let depth = random.below(4); depth >= 0; depth--) {
    key += `/${random.pick(random.chance(0.8) ? NAMES.slice(0, 4) : NAMES)}`;
  }
  if (random.chance(0.02)) return "";
  if (random.chance(0.05)) key += "/";
  if (random.chance(0.01))
    key += random.pick(["/..", "//x", "/./y", "/%2E%2E/z", "%2Fq", "%2F%2Fq", "/%zz"]);
  return key;
}

/** `index` is the current store index. */
export function randomKeyRequest(random: SeededRandom, index: number): RawRequest {
  const method = random.pick([
    "GET",
    "GET",
    "PUT",
    "PUT",
    "PUT",
    "PUT",
    "POST",
    "DELETE",
    "DELETE",
    "HEAD",
  ]);
  const pairs = randomPairs(random, method, index);
  const inBody =
    method === "PUT" || method === "POST" ? pairs.filter(() => random.chance(0.6)) : [];
  const query = pairs.filter((pair) => !inBody.includes(pair) || random.chance(0.03)).join("&");
  const target = `/v2/keys${randomKey(random)}${query === "" ? "" : `?${query}`}`;
  if (method !== "PUT" && method !== "POST") return { method, target };
  const type = random.chance(0.9) ? FORM : random.pick(TYPES);
  return { method, target, headers: { "Content-Type": type }, body: inBody.join("&") };
}

function randomPairs(random: SeededRandom, method: string, index: number): string[] {
  const pairs: string[] = [];
  const maybe = (percent: number, name: string, value: () => string): void => {
    if (random.chance(percent)) pairs.push(`${name}=${value()}`);
  };
  const boolean = (): string => random.pick(random.chance(0.95) ? GOOD_BOOLEANS : BOOLEANS);
  const isWrite = method === "PUT" || method === "POST";
  maybe(isWrite ? 85 : 3, "value", () => random.pick(VALUES));
  maybe(20, "dir", boolean);
  maybe(method === "GET" || method === "DELETE" ? 40 : 5, "recursive", boolean);
  maybe(method === "GET" ? 50 : 3, "sorted", boolean);
  maybe(method === "GET" ? 5 : 2, "quorum", boolean);
  maybe(isWrite ? 25 : 2, "ttl", () => random.pick(random.chance(0.9) ? TTLS.slice(0, 3) : TTLS));
  maybe(isWrite ? 30 : 3, "prevExist", boolean);
  maybe(15, "prevValue", () => random.pick(VALUES));
  maybe(15, "prevIndex", () => randomIndex(random, index));
  maybe(isWrite ? 12 : 2, "refresh", boolean);
  maybe(2, "stream", boolean);
  maybe(2, "waitIndex", () => randomIndex(random, index));
  if (method !== "GET") maybe(1, "wait", boolean);
  maybe(2, random.pick(["Value", "TTL", "foo", "", "prevexist"]), () => "zzz");
  maybe(1, random.pick(["value", "%zz", "v%4"]), () => random.pick(["%", "%zz", "%4", "a%g0"]));
  return pairs.sort(() => random.below(3) - 1);
}

function randomIndex(random: SeededRandom, index: number): string {
  if (random.chance(0.08)) {
    return random.pick([
      "-1",
      "x",
      "",
      "1.0",
      "18446744073709551615",
      "18446744073709551616",
      "007",
    ]);
  }
  return String(Math.max(0, index - random.below(20)));
}
