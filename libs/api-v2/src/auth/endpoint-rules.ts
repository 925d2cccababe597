/**
 * Every endpoint of the client port, and who may use it while authentication is on: the one table
 * that the guard enforces, the documents show and the tests walk. Who may touch which key, user or
 * member is decided where that is known, in key access and in the routers.
 */

/** anyone: no questions. user: valid credentials. root: those of a root. roles: as roles say. */
export type Caller = "anyone" | "user" | "root" | "roles";

/** Who may ask for the paths that a rule names. */
export interface EndpointRule {
  /** The path, or with a final "*" all that begins so. */
  readonly path: string;
  /** Methods the rule is about; HEAD goes with GET. */
  readonly methods: readonly string[];
  /** Who may while authentication is on. While it is off, anyone may do anything. */
  readonly caller: Caller;
  /** Who may with --auth-all-endpoints; the same when left out. */
  readonly strict?: Caller;
  /** The endpoint asks for credentials itself, when etcd 2.3.8 does: others are checked first. */
  readonly asksItself?: true;
}

const READ = ["GET"];

/** The first rule that fits counts; what fits none does not exist. */
export const ENDPOINT_RULES: readonly EndpointRule[] = [
  {
    path: "/v2/keys*",
    methods: ["GET", "PUT", "POST", "DELETE"],
    caller: "roles",
    asksItself: true,
  },
  { path: "/v2/members*", methods: READ, caller: "anyone", strict: "user" },
  { path: "/v2/members*", methods: ["POST", "PUT", "DELETE"], caller: "root", asksItself: true },
  { path: "/v2/machines", methods: READ, caller: "anyone", strict: "user" },
  { path: "/v2/stats/*", methods: READ, caller: "anyone", strict: "user" },
  { path: "/v2/auth/enable", methods: READ, caller: "anyone", strict: "user" },
  { path: "/v2/auth/*", methods: ["GET", "PUT", "DELETE"], caller: "root", asksItself: true },
  { path: "/v2/admin/*", methods: READ, caller: "root", asksItself: true },
  { path: "/debug/pprof*", methods: READ, caller: "root" },
  { path: "/debug/vars", methods: READ, caller: "anyone", strict: "root" },
  { path: "/metrics", methods: READ, caller: "anyone", strict: "root" },
  { path: "/config/local/log", methods: ["PUT"], caller: "anyone", strict: "root" },
  { path: "/version", methods: READ, caller: "anyone" },
  { path: "/health", methods: READ, caller: "anyone" },
  { path: "/livez", methods: READ, caller: "anyone" },
  { path: "/readyz", methods: READ, caller: "anyone" },
];

/** What the flags demand beyond the defaults. */
export interface Strictness {
  /** --auth-all-endpoints */
  readonly all: boolean;
  /** --auth-metrics */
  readonly metrics: boolean;
}

function isAt({ path }: EndpointRule, given: string): boolean {
  return path.endsWith("*") ? given.startsWith(path.slice(0, -1)) : given === path;
}

/** The rule for a request; undefined where there is no endpoint. */
export function ruleFor(path: string, method: string): EndpointRule | undefined {
  const rules = ENDPOINT_RULES.filter((rule) => isAt(rule, path));
  const asked = method === "HEAD" ? "GET" : method;
  // What an endpoint answers to methods it does not have is not for everybody's eyes either.
  return rules.find(({ methods }) => methods.includes(asked)) ?? rules[0];
}

/** Whom a rule lets in while authentication is on. */
export function callerOf(rule: EndpointRule, strictness: Strictness): Caller {
  const isStrict = strictness.all || (strictness.metrics && rule.path === "/metrics");
  return isStrict ? (rule.strict ?? rule.caller) : rule.caller;
}
