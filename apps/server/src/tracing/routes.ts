/**
 * Names what a request is for, so that spans of one kind have one name however many keys, users
 * or members there are. Knows the paths of the v2 API, not what is behind them.
 */

const keysRoute = "/v2/keys";

/** Routes that have something variable behind them, and what stands for it. */
const parents: readonly (readonly [prefix: string, route: string])[] = [
  ["/v2/members", "/v2/members/{id}"],
  ["/v2/auth/users", "/v2/auth/users/{name}"],
  ["/v2/auth/roles", "/v2/auth/roles/{name}"],
];

const routes = new Set([
  keysRoute,
  "/v2/members",
  "/v2/members/leader",
  "/v2/machines",
  "/v2/admin/snapshot",
  "/v2/auth/enable",
  "/v2/auth/users",
  "/v2/auth/roles",
  "/v2/stats/self",
  "/v2/stats/store",
  "/v2/stats/leader",
]);

function pathOf(target: string): string {
  const at = target.indexOf("?");
  return at < 0 ? target : target.slice(0, at);
}

/** The route of a target below /v2; undefined for all others, which are not traced. */
export function routeOf(target: string): string | undefined {
  if (!target.startsWith("/v2/")) return undefined;
  const path = pathOf(target);
  if (path === keysRoute || path.startsWith(`${keysRoute}/`)) return keysRoute;
  if (routes.has(path)) return path;
  for (const [prefix, route] of parents) {
    if (path === `${prefix}/`) return prefix;
    if (path.startsWith(`${prefix}/`)) return route;
  }
  return "/v2/*";
}

/** The key as the client spelled it, for targets below /v2/keys. */
export function keyOf(target: string): string | undefined {
  const path = pathOf(target);
  if (path === keysRoute) return "/";
  return path.startsWith(`${keysRoute}/`) ? path.slice(keysRoute.length) : undefined;
}
