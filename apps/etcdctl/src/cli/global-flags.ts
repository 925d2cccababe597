/** The options that stand before the command. */
import type { FlagSpec } from "./flags.ts";

const deprecated = 'DEPRECATED - "--endpoints" should be used instead';

export const globalFlags: readonly FlagSpec[] = [
  {
    kind: "switch",
    name: "debug",
    usage: "output cURL commands which can be used to reproduce the request",
  },
  {
    kind: "switch",
    name: "no-sync",
    usage: "don't synchronize cluster information before sending request",
  },
  {
    kind: "string",
    name: "output",
    holds: ["simple", "extended", "json"],
    alias: "o",
    initial: "simple",
    usage: "output response in the given format (`simple`, `extended` or `json`)",
  },
  {
    kind: "string",
    name: "discovery-srv",
    alias: "D",
    usage: "domain name to query for SRV records describing cluster endpoints",
  },
  { kind: "string", name: "peers", alias: "C", usage: deprecated },
  { kind: "string", name: "endpoint", usage: deprecated },
  {
    kind: "string",
    name: "endpoints",
    usage:
      "a comma-delimited list of machine addresses in the cluster " +
      '(default: "http://127.0.0.1:2379,http://127.0.0.1:4001")',
  },
  {
    kind: "string",
    name: "cert-file",
    holds: "files",
    usage: "identify HTTPS client using this SSL certificate file",
  },
  {
    kind: "string",
    name: "key-file",
    holds: "files",
    usage: "identify HTTPS client using this SSL key file",
  },
  {
    kind: "string",
    name: "ca-file",
    holds: "files",
    usage: "verify certificates of HTTPS-enabled servers using this CA bundle",
  },
  {
    kind: "string",
    name: "username",
    alias: "u",
    usage: "provide username[:password] and prompt if password is not supplied.",
  },
  { kind: "duration", name: "timeout", initial: "1s", usage: "connection timeout per request" },
  {
    kind: "duration",
    name: "total-timeout",
    initial: "5s",
    usage: "timeout for the command execution (except watch)",
  },
];
