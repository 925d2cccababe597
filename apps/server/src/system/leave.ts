/**
 * Owns ending the process at once. The runtime's own exit waits for the threads of its pool, and
 * one of them may sit in the system's resolver for many seconds when a name server is silent.
 */
const programs = { 0: "/bin/true", 1: "/bin/false" } as const;

/** Ends the process with the status, whatever its threads do. The caller has written everything. */
export function leave(status: 0 | 1): never {
  const program = programs[status];
  try {
    // Becoming a program that ends is the one way out that waits for nobody, even for process 1.
    process.execve?.(program, [program]);
  } catch {
    // A system without it: the slower way.
  }
  process.exit(status);
}
