/** What `npm run bench` asks for: each workload at several numbers of connections. */

export interface Workload {
  readonly name: string;
  readonly connections: number;
  /** Body of wrk's request(); `n` is a counter. */
  readonly script: string;
  /** Ask a follower instead of the leader. */
  readonly follower: boolean;
  /** Over TLS, on connections that stay. */
  readonly secure: boolean;
}

const CONNECTIONS = [1, 16, 64, 256];

const VALUE = "x".repeat(256);

/** 10,000 keys in turn. */
const put = `
local n = 0
local headers = { ["Content-Type"] = "application/x-www-form-urlencoded" }
request = function()
  n = n + 1
  return wrk.format("PUT", "/v2/keys/bench/" .. (n % 10000), headers, "value=${VALUE}")
end`;

/** 1,000 of them in turn. */
const read = (query: string): string => `
local n = 0
request = function()
  n = n + 1
  return wrk.format("GET", "/v2/keys/bench/" .. (n % 1000) .. "${query}")
end`;

/** Nine reads to one write. */
const mixed = `
local n = 0
local headers = { ["Content-Type"] = "application/x-www-form-urlencoded" }
request = function()
  n = n + 1
  local path = "/v2/keys/bench/" .. (n % 1000)
  if n % 10 == 0 then return wrk.format("PUT", path, headers, "value=${VALUE}") end
  return wrk.format("GET", path)
end`;

/** Makes every key that is read later. */
export const warmUp: Workload = {
  name: "warm",
  connections: 8,
  script: put,
  follower: false,
  secure: false,
};

/** @param members of the cluster; with more than one, quorum reads are asked of a follower. */
export function workloads(members: number): readonly Workload[] {
  const kinds = [
    { kind: "put", script: put, follower: false },
    { kind: "get", script: read(""), follower: false },
    { kind: "qget", script: read("?quorum=true"), follower: members > 1 },
    { kind: "mixed", script: mixed, follower: false },
  ];
  const plain = kinds.flatMap(({ kind, ...rest }) =>
    CONNECTIONS.map((connections): Workload => {
      return { ...rest, name: `${kind}-${connections}`, connections, secure: false };
    }),
  );
  const overTls = plain
    .filter(({ connections, follower }) => connections === 64 && !follower)
    .map((workload) => ({ ...workload, name: `${workload.name}-tls`, secure: true }));
  return [...plain, ...overTls];
}
