/** Endpoints from DNS service records. Loaded only when a discovery domain is given. */
import { Resolver } from "node:dns/promises";
import { ClientError } from "../errors/errors.ts";

const services = [
  ["_etcd-client-ssl._tcp", "https"],
  ["_etcd-client._tcp", "http"],
] as const;

function explain(name: string, error: unknown): string {
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
  if (code === "ENOTFOUND" || code === "ENODATA") return `lookup ${name}: no such host`;
  return `lookup ${name}: ${code ?? "failed"}`;
}

/** Both kinds of records, https first. @throws ClientError when neither look-up succeeds. */
export async function lookUpEndpoints(
  domain: string,
  resolver: Pick<Resolver, "resolveSrv"> = new Resolver({ timeout: 2000, tries: 2 }),
): Promise<string[]> {
  const results = await Promise.all(
    services.map(async ([service, scheme]) => {
      const name = `${service}.${domain}`;
      try {
        const records = await resolver.resolveSrv(name);
        records.sort((a, b) => a.priority - b.priority || b.weight - a.weight);
        return { urls: records.map((record) => `${scheme}://${record.name}:${record.port}`) };
      } catch (error) {
        return { urls: [], fault: explain(name, error) };
      }
    }),
  );
  const faults = results.flatMap(({ fault }) => (fault === undefined ? [] : [fault]));
  if (faults.length === services.length) {
    throw new ClientError(`dns lookup errors: ${faults.join(" and ")}`);
  }
  return results.flatMap(({ urls }) => urls);
}
