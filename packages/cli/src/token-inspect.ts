// outcry token inspect: what a token says, whether the service's published keys signed it, and which channels it opens or not, and why.

import { isId, parseStrict, type PublicKey } from "@outcry/protocol";
import {
  checkPublicJwk,
  decodeBase64Url,
  keySource,
  type TokenClaims,
  type VerificationKey,
  verifyToken,
} from "@outcry/signing";
import type { Command, CommandContext } from "./command.js";
import { CheckFailed, UsageError } from "./exit-codes.js";
import { fetchKeySet } from "./key-set.js";

const AUDIENCE = "outcry-gateway"; // of every token: gateway and API are one audience

interface ChannelVerdict {
  channel: string;
  opens: boolean;
  why: string;
}

export const tokenInspect: Command = {
  summary: "What a token may, until when, and why not more",
  args: ["token|-"],
  options: {
    channel: { type: "string", multiple: true, value: "name", help: "would it open this one? may be repeated" },
    offline: { type: "boolean", help: "decode only: do not ask the service for its keys" },
  },
  examples: [
    "token inspect TOKEN --channel intent:int_01kahsomeintent",
    "token gen --buyer 42 --json | jq -r .token | outcry token inspect -",
  ],
  async run(context) {
    const { args, options, print, readInput } = context;
    const token = (args[0] === "-" ? await readInput() : args[0]!).trim();
    const claims = decode(token);
    const verdict = options.flag("offline") ? undefined : await verify(context, token, claims);
    const valid = verdict === undefined ? "not checked" : verdict.kind === "verified" ? "valid" : verdict.detail;
    const asked = options.list("channel");
    const channels = (asked.length > 0 ? asked : claims.channels).map((name) => judgeChannel(claims, name));
    print.one({ claims, signature: valid, channels }, [
      `${claims.role} ${claims.sub}${claims.backend === undefined ? "" : ` of ${claims.backend}`}`,
      `signature  ${print.paint(valid, verdict?.kind === "refused" ? "red" : "green")}`,
      `until      ${new Date(claims.exp * 1_000).toISOString()}  ${timeLeft(claims.exp * 1_000 - Date.now())}`,
      ...channels.map(
        ({ channel, opens, why }) =>
          `${opens ? print.paint("opens", "green") : print.paint("shut ", "red")}      ${channel}  ${why}`,
      ),
    ]);
    if (verdict?.kind === "refused") throw new CheckFailed(`the service would refuse this token: ${verdict.detail}`);
    const shut = channels.filter(({ opens }) => !opens);
    if (shut.length > 0) throw new CheckFailed(`it does not open ${shut.map(({ channel }) => channel).join(", ")}`);
  },
};

/** The claims as they stand; nothing is believed yet. */
function decode(token: string): TokenClaims {
  const [, payload = ""] = token.split(".");
  const bytes = decodeBase64Url(payload);
  const parsed = bytes === undefined ? undefined : parseStrict(bytes);
  const claims = parsed?.kind === "ok" ? (parsed.value as unknown as TokenClaims | null) : undefined;
  if (token.split(".").length !== 3 || !Array.isArray(claims?.channels) || !Number.isSafeInteger(claims.exp))
    throw new UsageError("this is no token of Outcry: three parts in base64url with role, exp and channels are wanted");
  return claims;
}

/** As the service would: the issuer's name is its own affair, so the one in the token is taken, under the service's keys. */
async function verify(context: CommandContext, token: string, { iss }: TokenClaims) {
  const keys = (await fetchKeySet(context)).flatMap((jwk) => keyOf(jwk, iss));
  return verifyToken(token, keySource(keys), Date.now(), { audience: AUDIENCE, issuer: iss });
}

function keyOf(jwk: PublicKey, owner: string): VerificationKey[] {
  const checked = checkPublicJwk(jwk);
  return checked.kind === "ok" ? [{ kid: jwk.kid, owner, alg: checked.alg, publicKey: checked.publicKey }] : [];
}

/** The gateway's rule (docs/gateway-protocol.md §7), in words. */
export function judgeChannel({ role, sub, channels, backend }: TokenClaims, channel: string): ChannelVerdict {
  const [kind = "", id = ""] = splitOnce(channel);
  const no = (why: string) => ({ channel, opens: false, why });
  if (id === "") return no("not of the form <kind>:<id>");
  if (role === "node")
    return channel === `node:${sub}` ? { channel, opens: true, why: "its own" } : no(`a node opens node:${sub} alone`);
  if (role !== "buyer") return no(`tokens are for buyers and nodes, not for ${role}`);
  if (!channels.includes(channel)) return no("the token does not name it; ask the backend for one that does");
  if (kind === "intent" && !isId("int", id)) return no("not the id of an intent");
  if (kind !== "intent" && kind !== "buyer") return no("buyers open intent: and buyer: channels alone");
  return {
    channel,
    opens: true,
    why: kind === "intent" ? `if the intent is of ${backend ?? "its backend"}` : "named by the token",
  };
}

const splitOnce = (channel: string): [string, string] | [] => {
  const at = channel.indexOf(":");
  return at < 0 ? [] : [channel.slice(0, at), channel.slice(at + 1)];
};

const timeLeft = (ms: number): string =>
  ms <= 0 ? `(expired ${Math.ceil(-ms / 1_000)} s ago)` : `(${Math.floor(ms / 1_000)} s left)`;
