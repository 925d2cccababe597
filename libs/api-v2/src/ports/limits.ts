/** Every bound of the gateway, by name. Knows nothing about where each is applied. */

/** Request line and headers together; larger is 431. Long query strings are valid here. */
export const HEADER_BYTES_MAX = (1 << 20) + 4096;

/** Lines of a request's head; more are 431. Real clients send a few dozen, gateways a few hundred. */
export const HEADER_LINES_MAX = 10_000;

/** What the parser takes: a target of bytes above 127 is three times as long when it is escaped. */
export const HEADER_BYTES_REWRITTEN_MAX = 4 << 20;

/** A form body; 10485760 bytes are accepted. */
export const FORM_BODY_BYTES_MAX = 10 << 20;

/** A JSON body of the members, auth and log level endpoints. */
export const JSON_BODY_BYTES_MAX = 1 << 20;

/** Values in one JSON body: fields, elements and nested ones alike. */
export const JSON_VALUES_MAX = 10_000;

/** Permissions of one kind that a role may come to have by grants, and roles a user. */
export const GRANTS_MAX = 10_000;

/** Bytes of bodies that are still arriving, of all requests together; more are told to come later. */
export const BODIES_BYTES_MAX = 256 << 20;

/** What is read and thrown away after a body was refused, so that the client sees the answer. */
export const DISCARD_BYTES_MAX = 64 << 20;

/** Time to receive the complete headers of a request. */
export const HEADERS_TIMEOUT_MS = 60_000;

/** Time to receive a complete request; a response, such as a long poll, may take any time. */
export const REQUEST_TIMEOUT_MS = 300_000;

/** How often the two limits above are checked. */
export const TIMEOUT_CHECK_INTERVAL_MS = 10_000;

/** Idle time after which the kernel probes a connection, so that dead watchers are noticed. */
export const TCP_KEEPALIVE_DELAY_MS = 30_000;

/** Bodies up to this size carry Content-Length, larger ones are chunked. */
export const LENGTH_KNOWN_BYTES_MAX = 2048;

/** Steps of a listing made in one turn of the event loop: a request of others takes several turns. */
export const LISTING_STEPS_PER_TURN = 6;

/** Text of a listing formatted in one turn; exceeded by one step at most. */
export const LISTING_BYTES_PER_TURN = 128 << 10;

/** Rows taken from the store at once: each may hold a value of several megabytes. */
export const LISTING_ROWS_PER_STEP = 32;

/** A client that takes nothing of a listing for so long is cut off, which frees the snapshot. */
export const LISTING_STALL_MS = 60_000;

/** Bytes waiting in the process for one watcher, after which it gets no more; one event may exceed it. */
export const WATCH_QUEUE_BYTES_MAX = 1 << 20;

/** Bytes waiting in the process for all watchers together; when they are reached, others wait. */
export const WATCH_BYTES_MAX = 256 << 20;

/**
 * A watcher that takes nothing for so long, while events wait for it beyond its queue or others wait
 * for the room it takes, is cut off.
 */
export const WATCH_STALL_MS = 10_000;

/** Text of an event from which on all watchers share its bytes; smaller ones are cheap to copy. */
export const SHARED_BYTES_MIN = 16 << 10;

/** Seconds after which a client that was turned away for lack of room may try again. */
export const RETRY_AFTER_SECONDS = 1;

/** Verified credentials remembered. */
export const VERIFIED_CREDENTIALS_MAX = 1024;

/** Parsed users and roles remembered. */
export const AUTH_DOCUMENTS_MAX = 4096;

/** Password checks under way at once; more wait in line. */
export const PASSWORD_CHECKS_MAX = 4;

/** Password checks waiting in line; more are refused, as each costs a tenth of a second. */
export const PASSWORD_QUEUE_MAX = 256;

/** Checks under way and waiting for one user. */
export const PASSWORD_QUEUE_USER_MAX = 64;

/** Bytes of one connection that wait for earlier answers; beyond, it is not read from. */
export const PIPELINED_BYTES_MAX = 64 << 10;

/** A refused connection is read from for so long after its answer, which could be lost otherwise. */
export const LINGER_MS = 500;

/** Longest CPU profile that can be asked for. */
export const PROFILE_SECONDS_MAX = 300;
