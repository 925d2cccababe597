/**
 * A client of etcd's v3 API: calls with fail-over between endpoints, authentication, deadlines and
 * typed messages. A call is repeated on another endpoint only when it was certainly not carried out,
 * or changes nothing.
 */
import {
  create,
  type DescMessage,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { Connection, type StreamCall } from "./connection.ts";
import type { TlsOptions } from "./session.ts";
import { authenticate, type Method } from "./methods.ts";
import { V3Error } from "./v3-error.ts";

export interface Credentials {
  readonly user: string;
  readonly password: string;
}

/** Credentials of a call that shows none, whatever the client has of its own. */
export const ANONYMOUS: Credentials = { user: "", password: "" };

export interface V3ClientOptions {
  /** At least one `http://host:port` or `https://host:port`; the first that answers is used. */
  readonly endpoints: readonly string[];
  readonly tls?: TlsOptions | undefined;
  /** Credentials of calls that name none. */
  readonly credentials?: Credentials | undefined;
  /** Time for one attempt of a call. Default 5,000 ms. */
  readonly timeoutMs?: number;
  /** Time for one connection to come about. Default 2,000 ms. */
  readonly connectTimeoutMs?: number;
}

export interface CallSettings {
  readonly credentials?: Credentials | undefined;
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal | undefined;
}

export interface TypedStreamHandler<O> {
  onMessage(message: O): void;
  /** Called once; undefined when the server ended the call without an error. */
  onEnd(error: V3Error | undefined): void;
}

export interface TypedStream<I> {
  send(message: I): void;
  cancel(): void;
}

const TIMEOUT_MS = 5000;

/** Distinct credentials whose tokens are kept. */
const TOKENS_MAX = 1000;

export class V3Client {
  readonly #options: V3ClientOptions;
  readonly #tokens = new Map<string, Promise<string>>();
  #connection: Connection | undefined;
  /** Position of the endpoint in use, or to be tried next. */
  #current = 0;
  #isClosed = false;

  /** Connects when the first call is made. */
  constructor(options: V3ClientOptions) {
    if (options.endpoints.length === 0) throw new TypeError("at least one endpoint is needed");
    this.#options = options;
  }

  /** The endpoint in use, or to be tried next. */
  get endpoint(): string {
    const { endpoints } = this.#options;
    return endpoints[this.#current % endpoints.length] ?? "";
  }

  /**
   * Makes one call.
   * @throws V3Error
   */
  async call<I extends DescMessage, O extends DescMessage>(
    method: Method<I, O>,
    request: MessageInitShape<I>,
    settings: CallSettings = {},
  ): Promise<MessageShape<O>> {
    const bytes = toBinary(method.input, create(method.input, request));
    const answer = await this.callBytes(method, bytes, settings);
    return fromBinary(method.output, answer);
  }

  /**
   * Makes one call with messages as bytes.
   * @throws V3Error
   */
  async callBytes<I extends DescMessage, O extends DescMessage>(
    method: Method<I, O>,
    request: Uint8Array,
    settings: CallSettings = {},
  ): Promise<Buffer> {
    const credentials = this.#credentials(settings);
    let isTokenFresh = false;
    for (let attempt = 1; ; attempt += 1) {
      const connection = this.#connect();
      try {
        const token = credentials && (await this.#token(credentials, settings));
        return await connection.unary(method.path, request, {
          token,
          timeoutMs: settings.timeoutMs ?? this.#options.timeoutMs ?? TIMEOUT_MS,
          signal: settings.signal,
        });
      } catch (error) {
        if (!(error instanceof V3Error)) throw error;
        if (error.isInvalidToken && credentials !== undefined && !isTokenFresh) {
          this.#tokens.delete(tokenKey(credentials));
          isTokenFresh = true;
          continue;
        }
        this.#judge(connection, error);
        if (!this.#mayRepeat(method.mutates, error, attempt, settings)) throw error;
      }
    }
  }

  /**
   * Opens a call in both directions on the endpoint in use. It does not survive the connection.
   * @throws V3Error
   */
  async stream<I extends DescMessage, O extends DescMessage>(
    method: Method<I, O>,
    handler: TypedStreamHandler<MessageShape<O>>,
    settings: Pick<CallSettings, "credentials"> = {},
  ): Promise<TypedStream<MessageInitShape<I>>> {
    const credentials = this.#credentials(settings);
    const connection = this.#connect();
    let call: StreamCall;
    try {
      const token = credentials && (await this.#token(credentials, settings));
      call = await connection.stream(method.path, token, {
        onMessage: (bytes) => {
          handler.onMessage(fromBinary(method.output, bytes));
        },
        onEnd: (error) => {
          if (error !== undefined) this.#judge(connection, error);
          if (error?.isInvalidToken === true && credentials !== undefined) {
            this.#tokens.delete(tokenKey(credentials));
          }
          handler.onEnd(error);
        },
      });
    } catch (error) {
      if (error instanceof V3Error) this.#judge(connection, error);
      throw error;
    }
    return {
      send: (message) => {
        call.send(toBinary(method.input, create(method.input, message)));
      },
      cancel: () => {
        call.cancel();
      },
    };
  }

  /** Leaves the endpoint in use, for instance because it has no leader; calls under way go on. */
  switchEndpoint(): void {
    this.#connection?.retire();
    this.#connection = undefined;
    this.#current = (this.#current + 1) % this.#options.endpoints.length;
  }

  /** Breaks off all calls. Idempotent. */
  close(): void {
    this.#isClosed = true;
    this.#connection?.close();
    this.#connection = undefined;
  }

  /** undefined for a call without a token. */
  #credentials(settings: Pick<CallSettings, "credentials">): Credentials | undefined {
    const credentials = settings.credentials ?? this.#options.credentials;
    return credentials?.user === "" ? undefined : credentials;
  }

  #connect(): Connection {
    if (this.#isClosed) {
      throw new V3Error("cancelled", "the client is closed", { mayHaveHappened: false });
    }
    if (this.#connection?.isUsable !== true) {
      const { tls, connectTimeoutMs } = this.#options;
      this.#connection = new Connection({
        endpoint: this.endpoint,
        tls,
        ...(connectTimeoutMs !== undefined && { connectTimeoutMs }),
      });
    }
    return this.#connection;
  }

  /** Moves on to the next endpoint after an error that another one may not give. */
  #judge(connection: Connection, error: V3Error): void {
    const isElsewhere = error.code === "unavailable" || error.code === "deadlineExceeded";
    if (isElsewhere && connection === this.#connection) this.switchEndpoint();
  }

  #mayRepeat(mutates: boolean, error: V3Error, attempt: number, { signal }: CallSettings): boolean {
    if (error.code !== "unavailable" || signal?.aborted === true) return false;
    if (mutates && error.mayHaveHappened) return false;
    // Each endpoint once, and the first once more: an idle connection may have gone unnoticed.
    return attempt <= this.#options.endpoints.length;
  }

  #token(credentials: Credentials, settings: CallSettings): Promise<string> {
    const key = tokenKey(credentials);
    const known = this.#tokens.get(key);
    if (known !== undefined) return known;
    const token = this.#authenticate(credentials, settings);
    const oldest = this.#tokens.keys().next();
    if (this.#tokens.size >= TOKENS_MAX && oldest.done !== true) this.#tokens.delete(oldest.value);
    this.#tokens.set(key, token);
    token.catch(() => {
      if (this.#tokens.get(key) === token) this.#tokens.delete(key);
    });
    return token;
  }

  async #authenticate({ user, password }: Credentials, settings: CallSettings): Promise<string> {
    const { input, output, path } = authenticate;
    const request = toBinary(input, create(input, { name: user, password }));
    const answer = await this.#connect().unary(path, request, {
      timeoutMs: settings.timeoutMs ?? this.#options.timeoutMs ?? TIMEOUT_MS,
    });
    return fromBinary(output, answer).token;
  }
}

function tokenKey({ user, password }: Credentials): string {
  return `${user.length}:${user}:${password}`;
}
