// Redis as the service will find it: version and the settings that keep the promises. Reads only; loaded when --redis-url is given.

import { checkRedisPromises, connectRedis } from "@outcry/jobs";
import { silentLog, systemClock } from "@outcry/protocol";
import { type Finding, fail, messageOf, ok, skip } from "./finding.js";

const CONNECT_MS = 3_000;

export async function checkRedis(url: string): Promise<Finding[]> {
  const { host } = new URL(url); // the URL may hold a password
  const store = connectRedis({ url, log: silentLog, clock: systemClock });
  try {
    await store.health.whenUp(AbortSignal.timeout(CONNECT_MS));
    const unkept = await checkRedisPromises(store);
    return [
      ok("redis.connect", host),
      ...unkept.map(({ setting, found, wanted, fixLine, promise }) =>
        fail(`redis.${setting}`, `${found}: ${promise}`, { wanted, fix: fixLine }),
      ),
      ...(unkept.length === 0 ? [ok("redis.promises", "version, appendonly, appendfsync, maxmemory-policy")] : []),
    ];
  } catch (error) {
    const fix = `start redis-server, or correct --redis-url (${host}); does its user have the rights for INFO and CONFIG GET?`;
    const late = error instanceof DOMException && error.name === "TimeoutError"; // of the signal above
    const found = late ? `no answer within ${CONNECT_MS} ms` : messageOf(error);
    return [fail("redis.connect", `${host}: ${found}`, { wanted: "a connection", fix })];
  } finally {
    await store.close();
  }
}

export const redisSkipped = (): Finding => skip("redis", "not looked at", "give --redis-url or REDIS_URL");
