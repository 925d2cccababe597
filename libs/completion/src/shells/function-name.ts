/** The name of the function that a script defines, in letters that every shell takes. */
export function functionName(program: string): string {
  return `__${program.replaceAll(/[^A-Za-z0-9]/g, "_")}_complete`;
}
