/** Which cluster versions this program serves. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { refuseDowngrade } from "../../src/cluster/cluster-version.ts";

test("a cluster version of this release, an earlier one or none is served", () => {
  for (const version of ["", "2.0.0", "2.3.0", "2.3.9", "1.9"]) {
    assert.equal(refuseDowngrade(version), undefined, version);
  }
});

test("one that is no version is refused", () => {
  for (const version of ["2", "x.y", "\u0000", " 2.3.0"]) {
    assert.match(refuseDowngrade(version)?.message ?? "", /is damaged/, version);
  }
});

test("a later one is refused by its numbers, not by its text", () => {
  for (const version of ["2.4.0", "2.10.0", "3.0.0", "10.0.0"]) {
    const shown = version.split(".").slice(0, 2).join(".");
    assert.equal(
      refuseDowngrade(version)?.message,
      "cluster cannot be downgraded (current version: 2.3.8 is lower than determined cluster " +
        `version: ${shown}): start this member with the release it ran before`,
    );
  }
});
