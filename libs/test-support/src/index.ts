/**
 * What the tests and fault runs of several packages share. Declared under devDependencies alone:
 * nothing that ships may import it, and it knows none of the other packages.
 */
export { freePort } from "./free-port.ts";
export { pause, until } from "./until.ts";
export { type ExampleOutcome, runReadmeExample } from "./readme-example.ts";
export { SeededRandom, seededRandom, seedOfRun } from "./random.ts";
