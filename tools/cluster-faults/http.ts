/**
 * The client side of the v2 API as fault runs need it: one request, a parsed answer, and a clear
 * difference between "refused" (an answer came) and "unknown" (none did).
 */
import { Agent, request as httpRequest } from "node:http";

/** An answer of the server, whatever its status. */
export interface Answer {
  readonly status: number;
  readonly body: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

/** No answer came: the request may or may not have taken effect. */
export class NoAnswer extends Error {
  override readonly name = "NoAnswer";
  /** Nobody listened: the request has no effect. */
  readonly wasRefused: boolean;
  constructor(message: string, wasRefused = false) {
    super(message);
    this.wasRefused = wasRefused;
  }
}

export interface RequestOptions {
  readonly method?: string;
  /** Sent as a form. */
  readonly form?: Readonly<Record<string, string>>;
  /** Sent as JSON. */
  readonly json?: unknown;
  readonly timeoutMs?: number;
  readonly agent?: Agent;
}

export interface NodeJson {
  readonly key?: string;
  readonly value?: string;
  readonly dir?: boolean;
  readonly nodes?: readonly NodeJson[];
  readonly modifiedIndex?: number;
  readonly createdIndex?: number;
}

/** What answers of /v2/keys may hold. */
export interface KeysJson {
  readonly action?: string;
  readonly node?: NodeJson;
  readonly errorCode?: number;
  readonly cause?: string;
}

const shared = new Agent({ keepAlive: true });

function bodyOf(options: RequestOptions): { text: string; type: string } | undefined {
  if (options.form !== undefined) {
    const text = new URLSearchParams(options.form).toString();
    return { text, type: "application/x-www-form-urlencoded" };
  }
  if (options.json === undefined) return undefined;
  return { text: JSON.stringify(options.json), type: "application/json" };
}

/** @throws NoAnswer */
export function send(url: string, options: RequestOptions = {}): Promise<Answer> {
  const body = bodyOf(options);
  return new Promise((resolve, reject) => {
    const call = httpRequest(url, {
      method: options.method ?? "GET",
      agent: options.agent ?? shared,
      timeout: options.timeoutMs ?? 10_000,
      headers:
        body === undefined
          ? {}
          : { "Content-Type": body.type, "Content-Length": Buffer.byteLength(body.text) },
    });
    call.on("timeout", () => call.destroy(new NoAnswer(`no answer in time from ${url}`)));
    call.on("error", (error: NodeJS.ErrnoException) => {
      const wasRefused = error.code === "ECONNREFUSED";
      const known = error instanceof NoAnswer;
      reject(known ? error : new NoAnswer(`${url}: ${error.message}`, wasRefused));
    });
    call.on("response", (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (part: string) => (text += part));
      response.on("error", (error) => {
        reject(new NoAnswer(error.message));
      });
      response.on("end", () => {
        if (!response.complete) reject(new NoAnswer(`${url}: the answer broke off`));
        else resolve({ status: response.statusCode ?? 0, body: text, headers: response.headers });
      });
    });
    call.end(body?.text);
  });
}

/** The JSON of an answer of /v2/keys. */
export function keysJson(answer: Answer): KeysJson {
  return JSON.parse(answer.body) as KeysJson;
}
