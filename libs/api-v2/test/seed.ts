/** The seed of the random tests of this package. */
import { seedOfRun } from "@etcd2/test-support";

export const seed = seedOfRun();
