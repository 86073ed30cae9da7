import { expect, test } from "@jest/globals";
import { existsSync } from "node:fs";
import path from "node:path";
import { processStart } from "./process-identity.js";
import { throwawayNats, throwawayRedis } from "./throwaway.js";

test.each([
  ["nats-server", throwawayNats],
  ["redis-server", throwawayRedis],
])("a throwaway %s closes its connections, then is gone with its folder, also when it was paused", async (_, start) => {
  const server = await start();
  const { folder, pid } = server;
  const seen: boolean[] = [];
  server.beforeRemove(async () => seen.push(processStart(pid) !== undefined));
  server.pause();
  await server.remove();
  expect(seen).toEqual([true]);
  expect(processStart(pid)).toBeUndefined();
  expect(existsSync(folder)).toBe(false);
  await server.remove();
});

test("a throwaway server that cannot start leaves no folder", async () => {
  let folder: string | undefined;
  const operator = (given: string) => {
    folder = given;
    return { operatorJwt: "no JWT", systemAccountPublicKey: "", accounts: [] };
  };
  await expect(throwawayNats({ operator })).rejects.toThrow("nats-server ended");
  expect(path.isAbsolute(folder!)).toBe(true);
  expect(existsSync(folder!)).toBe(false);
});
