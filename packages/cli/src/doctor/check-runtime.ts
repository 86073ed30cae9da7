// The Node that runs this.

import { type Finding, fail, ok } from "./finding.js";

const NODE_FLOOR = [20, 19] as const; // of every package of ours

export function checkRuntime(version: string = process.versions.node): Finding[] {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const enough = major > NODE_FLOOR[0] || (major === NODE_FLOOR[0] && minor >= NODE_FLOOR[1]);
  const wanted = `${NODE_FLOOR.join(".")} or later`;
  return [
    enough
      ? ok("node.version", version)
      : fail("node.version", version, { wanted, fix: "install a maintained Node.js, https://nodejs.org" }),
  ];
}
