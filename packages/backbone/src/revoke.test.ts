import { systemClock } from "@outcry/protocol";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { mintNodeUser } from "./auth.js";
import { startGuarded } from "./guarded.fixture.js";
import type { Guarded } from "./guarded.fixture.js";
import { eventually } from "./nats-server.fixture.js";
import { createRevoker } from "./revoke.js";

const clock = systemClock;
let guarded: Guarded;

beforeEach(async () => {
  guarded = await startGuarded();
});
afterEach(() => guarded.stop());

describe("revocation", () => {
  test("cuts the connection within a second, holds after kill -9 and restart, and a JWT minted after resuming works", async () => {
    const system = await guarded.as("system");
    const revoker = createRevoker({ backbone: system, tree: guarded.tree, clock });
    const [a, b] = [await guarded.node(), await guarded.node()];
    const old = mintNodeUser(guarded.tree, { clock }, { nodeId: a.id, publicKey: a.key.publicKey });
    const revokedAtMs = clock.now();
    const began = performance.now();
    await revoker.apply([{ userPublicKey: a.key.publicKey, atMs: revokedAtMs }]);
    await eventually(() => a.closed);
    expect(performance.now() - began).toBeLessThan(1_000);
    expect(b.closed).toBe(false);
    expect(await guarded.connects(old.jwt, a.key)).toBe(false);

    await guarded.server.kill9();
    await guarded.server.restart();
    expect(await guarded.connects(old.jwt, a.key)).toBe(false);

    // The revocation stays for as long as older JWTs live; the new one is dated behind it, also in the same second.
    const renewed = mintNodeUser(guarded.tree, { clock }, { nodeId: a.id, publicKey: a.key.publicKey, revokedAtMs });
    expect(await guarded.connects(renewed.jwt, a.key)).toBe(true);

    // A second suspension right after: the set replaces the first one within the same second.
    await system.health.whenUp();
    const again = await guarded.node({ jwt: renewed.jwt, key: a.key, id: a.id });
    await revoker.apply([{ userPublicKey: a.key.publicKey, atMs: revokedAtMs + 2_000 }]);
    await eventually(() => again.closed);
    await revoker.apply([]);
    expect(await guarded.connects(renewed.jwt, a.key)).toBe(true);
  });

  test("two processes that push one after another in the same second leave the last set in force", async () => {
    const revokers = await Promise.all(
      [0, 1].map(async () => createRevoker({ backbone: await guarded.as("system"), tree: guarded.tree, clock })),
    );
    const nodes = await Promise.all([guarded.node(), guarded.node(), guarded.node()]);
    const set = nodes.map((made) => ({ userPublicKey: made.key.publicKey, atMs: clock.now() }));
    for (let count = 1; count <= 3; count++) await revokers[count % 2]!.apply(set.slice(0, count));
    await eventually(() => nodes.every((made) => made.closed));
    await guarded.server.kill9();
    await guarded.server.restart();
    for (const made of nodes) {
      const { jwt } = mintNodeUser(
        guarded.tree,
        { clock: { now: () => set[0]!.atMs } },
        { nodeId: made.id, publicKey: made.key.publicKey },
      );
      expect(await guarded.connects(jwt, made.key)).toBe(false);
    }
  });
});
