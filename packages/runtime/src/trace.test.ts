import { describe, expect, test } from "@jest/globals";
import { childTrace, formatTraceparent, parseTraceparent } from "./trace.js";

// W3C Trace Context §3.2: the example of the specification.
const EXAMPLE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

describe("traceparent", () => {
  test("of the specification is read and written unchanged", () => {
    expect(formatTraceparent(parseTraceparent(EXAMPLE)!)).toBe(EXAMPLE);
  });

  test.each([
    undefined,
    "",
    EXAMPLE.toUpperCase(),
    EXAMPLE.replace(/^00/, "ff"),
    `${EXAMPLE}-more`,
    EXAMPLE.replace("0af7651916cd43dd8448eb211c80319c", "0".repeat(32)),
    EXAMPLE.replace("b7ad6b7169203331", "0".repeat(16)),
    EXAMPLE.slice(1),
    ` ${EXAMPLE}`,
  ])("%p is refused", (header) => {
    expect(parseTraceparent(header)).toBeUndefined();
  });

  test("of a later version is read by the rules of this one", () => {
    expect(parseTraceparent(`01-${EXAMPLE.slice(3)}-more`)?.traceId).toBe("0af7651916cd43dd8448eb211c80319c");
  });

  test("of a child keeps trace and flags and has a span of its own", () => {
    const parent = parseTraceparent(EXAMPLE)!;
    const child = childTrace(parent);
    expect([child.traceId, child.flags]).toEqual([parent.traceId, parent.flags]);
    expect(child.spanId).not.toBe(parent.spanId);
    const root = childTrace(undefined, (bytes) => Buffer.alloc(bytes));
    expect(parseTraceparent(formatTraceparent(root))).toEqual(root);
  });
});
