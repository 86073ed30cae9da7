import { readFileSync } from "node:fs";
import { expect, test } from "@jest/globals";

interface Script {
  gatewayPages: () => Map<string, string>;
}

test("docs/gateway-limits.md and docs/gateway-close-codes.md are today's tables; `npm run docs` writes them", async () => {
  const script = (await import(new URL("../scripts/gateway-pages.mjs", import.meta.url).href)) as Script;
  for (const [path, text] of script.gatewayPages()) expect(readFileSync(path, "utf8")).toBe(text);
});
