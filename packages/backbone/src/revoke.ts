// Cuts users off: the account's JWT with its revocations, pushed to the servers, which close the connections at once and
// keep it over restarts (directory resolver).

import { OutcryError } from "@outcry/protocol";
import type { Clock } from "@outcry/protocol";
import type { AuthTree } from "./auth.js";
import type { Backbone } from "./connect.js";
import { encodeJwt, natsClaims } from "./jwt.js";
import { serially } from "./serially.js";

export interface Revocation {
  /** `U…` */
  readonly userPublicKey: string;
  /** Epoch ms: JWTs issued at or before this second are refused, later ones work. */
  readonly atMs: number;
}

export interface Revoker {
  /**
   * Replaces the account's revocations by this whole set, and resolves when a server has taken it. The set is derived from
   * the registry, so that concurrent processes converge; a revocation may be left out once the last JWT it covers has expired.
   */
  apply(revocations: Iterable<Revocation>): Promise<void>;
}

/** `backbone` is connected as a `system` user. */
export function createRevoker(deps: { backbone: Backbone; tree: AuthTree; clock: Clock }): Revoker {
  const { backbone, tree, clock } = deps;
  const account = natsClaims(tree.app.jwt);
  let lastIssuedAt = 0;
  const inTurn = serially();

  const push = async (revocations: Record<string, number>): Promise<void> => {
    // Servers keep the newest by `iat`, whose unit is a second.
    lastIssuedAt = Math.max(Math.floor(clock.now() / 1_000), lastIssuedAt);
    const nats = { ...account.nats, revocations };
    const jwt = encodeJwt(
      { name: account.name, subject: account.subject, issuedAt: lastIssuedAt, nats },
      tree.operator,
    );
    if (jwt.length > backbone.payloadBytesMax) {
      throw new OutcryError(
        "internal",
        `nats: ${Object.keys(revocations).length} revocations do not fit one message; drop expired ones`,
      );
    }
    const reply = await backbone.request("$SYS.REQ.CLAIMS.UPDATE", Buffer.from(jwt));
    const answer = JSON.parse(Buffer.from(reply.data).toString()) as {
      data?: { code?: number };
      error?: { description?: string };
    };
    if (answer.data?.code === 200) return;
    throw new OutcryError(
      "internal",
      `nats: the account's JWT was refused: ${answer.error?.description ?? "no reason given"}`,
    );
  };

  return {
    apply(revocations) {
      const bySubject: Record<string, number> = {};
      for (const { userPublicKey, atMs } of revocations) {
        bySubject[userPublicKey] = Math.max(bySubject[userPublicKey] ?? 0, Math.floor(atMs / 1_000));
      }
      // One after another: the later set must arrive last.
      return inTurn(() => push(bySubject));
    },
  };
}
