/**
 * Numbers that all threads of a member see at once: what is open in all of them together, and what the
 * thread that runs consensus has them know before it acknowledges a write. Knows no rules.
 */
const FIELD = {
  connections: 0,
  watches: 1,
  authGeneration: 2,
  raftTerm: 3,
  storeGeneration: 4,
  logsRequests: 5,
} as const;

const FIELDS = Object.keys(FIELD).length;

/** Shared numbers, and one per thread: the watches that it has open. */
export class Cells {
  readonly buffer: SharedArrayBuffer;
  readonly #numbers: BigInt64Array;

  /** @param threads how many threads serve clients; needed for a new one only. */
  constructor(threads: number, buffer = new SharedArrayBuffer(8 * (FIELDS + threads))) {
    this.buffer = buffer;
    this.#numbers = new BigInt64Array(buffer);
  }

  get connections(): number {
    return this.#get(FIELD.connections);
  }

  /** @returns How many there are now. */
  addConnections(count: number): number {
    return this.#add(FIELD.connections, count);
  }

  /** Watches open in all threads together. */
  get watches(): number {
    return this.#get(FIELD.watches);
  }

  /** @returns How many the thread has now. */
  addWatches(thread: number, count: number): number {
    this.#add(FIELD.watches, count);
    return this.#add(FIELDS + thread, count);
  }

  watchesOf(thread: number): number {
    return this.#get(FIELDS + thread);
  }

  get authGeneration(): number {
    return this.#get(FIELD.authGeneration);
  }

  set authGeneration(generation: number) {
    this.#set(FIELD.authGeneration, generation);
  }

  get raftTerm(): number {
    return this.#get(FIELD.raftTerm);
  }

  set raftTerm(term: number) {
    this.#set(FIELD.raftTerm, term);
  }

  /** Changes with the store that is to be read. */
  get storeGeneration(): number {
    return this.#get(FIELD.storeGeneration);
  }

  set storeGeneration(generation: number) {
    this.#set(FIELD.storeGeneration, generation);
  }

  /** Whether the log has a line of each request. */
  get logsRequests(): boolean {
    return this.#get(FIELD.logsRequests) === 1;
  }

  set logsRequests(logs: boolean) {
    this.#set(FIELD.logsRequests, logs ? 1 : 0);
  }

  #get(field: number): number {
    return Number(Atomics.load(this.#numbers, field));
  }

  #set(field: number, value: number): void {
    Atomics.store(this.#numbers, field, BigInt(value));
  }

  #add(field: number, count: number): number {
    return Number(Atomics.add(this.#numbers, field, BigInt(count))) + count;
  }
}
