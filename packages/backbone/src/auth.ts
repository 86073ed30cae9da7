// Who may do what on NATS (DESIGN "Trust"): one operator, the system account, the account of everything else, and its users.
// Seeds leave here as plain values; keeping them in files of mode 0600 is the caller's work.

import {
  BUCKETS,
  EVENT_SUBJECTS,
  LIMITS,
  STREAMS,
  SUBJECTS,
  livePrefix,
  nodeInboxPrefix,
  tapStream,
} from "@outcry/protocol";
import type { Clock } from "@outcry/protocol";
import { apiOf } from "./domain.js";
import { credsText, encodeJwt, natsClaims, newKeyPair } from "./jwt.js";
import type { KeyPair } from "./jwt.js";

const ACCOUNT = "OUTCRY";
const SYSTEM_ACCOUNT = "SYS";

export interface AuthTree {
  readonly operator: KeyPair & { readonly jwt: string };
  readonly system: KeyPair & { readonly jwt: string };
  /** `signing` issues users, so that the account's own seed can stay offline. */
  readonly app: KeyPair & { readonly jwt: string; readonly signing: KeyPair };
}

export function createAuthTree(deps: { readonly clock: Clock }): AuthTree {
  const issuedAt = seconds(deps.clock.now());
  const operator = newKeyPair("operator");
  const system = newKeyPair("account");
  const app = newKeyPair("account");
  const signing = newKeyPair("account");
  const jwtOf = (name: string, subject: string, nats: Record<string, unknown>) =>
    encodeJwt({ name, subject, issuedAt, nats }, operator);
  return {
    operator: {
      ...operator,
      jwt: jwtOf("outcry", operator.publicKey, { type: "operator", system_account: system.publicKey }),
    },
    system: { ...system, jwt: jwtOf(SYSTEM_ACCOUNT, system.publicKey, { type: "account", limits: ACCOUNT_LIMITS }) },
    app: {
      ...app,
      signing,
      jwt: jwtOf(ACCOUNT, app.publicKey, {
        type: "account",
        limits: { ...ACCOUNT_LIMITS, ...JETSTREAM_LIMITS },
        signing_keys: [signing.publicKey],
      }),
    },
  };
}

const UNLIMITED = -1;
const ACCOUNT_LIMITS = {
  subs: UNLIMITED,
  data: UNLIMITED,
  payload: UNLIMITED,
  imports: UNLIMITED,
  exports: UNLIMITED,
  conn: UNLIMITED,
  leaf: UNLIMITED,
  wildcards: true,
  disallow_bearer: true, // a stolen JWT alone opens nothing
};
const JETSTREAM_LIMITS = {
  mem_storage: UNLIMITED,
  disk_storage: UNLIMITED,
  streams: UNLIMITED,
  consumer: UNLIMITED,
  max_ack_pending: UNLIMITED,
  max_bytes_required: true, // an unbounded stream would take the disk from the record
};

/** What a nats-server of this tree is started with. Later revocations lie in its resolver's directory, not in these JWTs. */
export function operatorOf({ operator, system, app }: AuthTree): {
  operatorJwt: string;
  systemAccountPublicKey: string;
  accounts: { publicKey: string; jwt: string }[];
} {
  return {
    operatorJwt: operator.jwt,
    systemAccountPublicKey: system.publicKey,
    accounts: [system, app].map(({ publicKey, jwt }) => ({ publicKey, jwt })),
  };
}

export interface Permissions {
  readonly pub: { readonly allow?: readonly string[]; readonly deny?: readonly string[] };
  readonly sub: { readonly allow?: readonly string[]; readonly deny?: readonly string[] };
}

export interface MintedUser extends KeyPair {
  readonly jwt: string;
  /** JWT and seed in the form of a `.creds` file. */
  readonly creds: string;
}

export type UserKind = "service" | "replies" | "gateway" | "system";

/** Inbox prefix to connect with, by kind of user: none of them is under `_INBOX.`, where nodes are answered. */
export const INBOX_PREFIXES: Readonly<Record<UserKind, string>> = {
  service: "_INBOX_svc",
  replies: "_INBOX_rep",
  gateway: "_INBOX_gw",
  system: "_INBOX_sys",
};

/** A user of our own processes. It does not expire: it is minted at set-up and lies in a file. */
export function mintUser(tree: AuthTree, deps: { readonly clock: Clock }, user: { kind: UserKind }): MintedUser {
  return mint(tree, deps, user.kind, PERMISSIONS[user.kind]);
}

function mint(
  tree: AuthTree,
  deps: { readonly clock: Clock },
  kind: UserKind | "tap",
  permissions: Permissions,
): MintedUser {
  const key = newKeyPair("user");
  const account = kind === "system" ? tree.system : tree.app.signing;
  const nats = {
    type: "user",
    ...UNLIMITED_USER,
    ...permissions,
    ...(kind === "system" ? {} : { issuer_account: tree.app.publicKey }),
  };
  const jwt = encodeJwt({ name: kind, subject: key.publicKey, issuedAt: seconds(deps.clock.now()), nats }, account);
  return { ...key, jwt, creds: credsText(jwt, key.seed) };
}

/** Whether a user's JWT of ours says what this version gives its kind: an older one may lack what was added. */
export function isUpToDate(jwt: string, { kind }: { kind: UserKind }): boolean {
  const { pub, sub } = natsClaims(jwt).nats;
  return JSON.stringify({ pub, sub }) === JSON.stringify(PERMISSIONS[kind]);
}

function readOf(stream: string, api: string = apiOf(undefined)): string[] {
  return [`${api}.DIRECT.GET.${stream}`, `${api}.DIRECT.GET.${stream}.>`, `${api}.STREAM.INFO.${stream}`];
}

export interface TapPlace {
  readonly tap: string;
  /** JetStream domain of the record, where the tap is in another one. */
  readonly domain?: string;
}

/** The two users of a tap (docs/regions.md): its gateways, which read, and its keeper, which makes it. */
export function mintTapUsers(
  tree: AuthTree,
  deps: { readonly clock: Clock },
  place: TapPlace,
): Readonly<Record<"gateway" | "tap", MintedUser>> {
  const { gateway, tap } = tapPermissions(place);
  return { gateway: mint(tree, deps, "gateway", gateway), tap: mint(tree, deps, "tap", tap) };
}

/**
 * The keeper may create a stream of one name, and a stream may capture any subject: so it is another user than the gateway's, which
 * stands on the internet.
 */
export function tapPermissions({ tap, domain }: TapPlace): Readonly<Record<"gateway" | "tap", Permissions>> {
  const stream = tapStream(tap);
  const record = apiOf(domain);
  const headOfRecord = `${record}.STREAM.INFO.${STREAMS.events}`;
  const local = apiOf(undefined);
  return {
    gateway: {
      pub: { allow: [...readOf(stream), headOfRecord, ...readOf(`KV_${BUCKETS.access}`, record), ...GATEWAY_TELLS] },
      sub: {
        allow: [
          `${livePrefix(tap)}.${EVENT_SUBJECTS}`,
          `$KV.${BUCKETS.access}.>`,
          `${INBOX_PREFIXES.gateway}.>`,
          ...GATEWAY_TALK,
        ],
      },
    },
    tap: {
      pub: {
        allow: [headOfRecord, ...["INFO", "CREATE", "DELETE"].map((verb) => `${local}.STREAM.${verb}.${stream}`)],
      },
      sub: { allow: [`${INBOX_PREFIXES.gateway}.>`] },
    },
  };
}

const UNLIMITED_USER = { subs: UNLIMITED, data: UNLIMITED, payload: UNLIMITED };

/** Presence and hints, among the gateway's processes. */
const GATEWAY_TALK = ["pres.>", "hint.>"];
/** And the commands of channel kinds, to the services behind them. */
const GATEWAY_TELLS = ["cmd.>", ...GATEWAY_TALK];

const PERMISSIONS: Readonly<Record<UserKind, Permissions>> = {
  service: { pub: {}, sub: {} },
  // What a node's request named as its reply subject is published by this user: outside `_INBOX.` it can do no harm.
  replies: { pub: { allow: ["_INBOX.>"] }, sub: { deny: [">"] } },
  gateway: {
    pub: { allow: [...readOf(STREAMS.events), ...readOf(`KV_${BUCKETS.access}`), ...GATEWAY_TELLS] },
    sub: { allow: ["live.*.rt.>", `$KV.${BUCKETS.access}.>`, `${INBOX_PREFIXES.gateway}.>`, ...GATEWAY_TALK] },
  },
  system: {
    pub: { allow: ["$SYS.REQ.CLAIMS.UPDATE", "$SYS.REQ.SERVER.PING.VARZ", "$SYS.REQ.SERVER.PING.JSZ"] },
    sub: { allow: [`${INBOX_PREFIXES.system}.>`] },
  },
};

export interface NodeUser {
  /** A safe token; it is part of subjects. */
  readonly nodeId: string;
  /** The node's own public user NKey: its seed never leaves the node. */
  readonly publicKey: string;
  readonly ttlMs?: number;
  readonly payloadMax?: number;
  /** When this key was revoked last (epoch ms), if it was: the JWT is dated behind it. */
  readonly revokedAtMs?: number;
}

export interface NodeJwt {
  readonly jwt: string;
  /** Epoch ms. */
  readonly expiresAt: number;
}

/** The user JWT of a node. `allow_responses` stays off: it would let replies past the publish permissions. */
export function mintNodeUser(tree: AuthTree, deps: { readonly clock: Clock }, node: NodeUser): NodeJwt {
  const { nodeId, publicKey, ttlMs = LIMITS.nodeCredentialsMs, payloadMax = LIMITS.nodePayloadBytesMax } = node;
  if (!SAFE_TOKEN.test(nodeId)) throw new TypeError(`mintNodeUser: ${JSON.stringify(nodeId)} is no safe token`);
  const now = seconds(deps.clock.now());
  const revokedAt = node.revokedAtMs === undefined ? 0 : seconds(node.revokedAtMs);
  // A revocation covers every JWT issued in its second or before.
  const issuedAt = Math.max(now, revokedAt + 1);
  const expires = now + Math.ceil(ttlMs / 1_000);
  const nats = {
    type: "user",
    issuer_account: tree.app.publicKey,
    subs: LIMITS.nodeSubscriptionsMax,
    data: UNLIMITED,
    payload: payloadMax,
    ...nodePermissions(nodeId),
  };
  const jwt = encodeJwt({ name: nodeId, subject: publicKey, issuedAt, expires, nats }, tree.app.signing);
  return { jwt, expiresAt: expires * 1_000 };
}

export function nodePermissions(nodeId: string): Permissions {
  return {
    pub: {
      allow: [
        SUBJECTS.ack(nodeId, "*"),
        SUBJECTS.nodeQuote(nodeId, "*"),
        SUBJECTS.catchup(nodeId),
        SUBJECTS.heartbeat(nodeId),
      ],
    },
    sub: { allow: [SUBJECTS.nodeAll(nodeId), `${nodeInboxPrefix(nodeId)}.>`] },
  };
}

const SAFE_TOKEN = /^[A-Za-z0-9_-]+$/;
const REPLY_REST = /^\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*$/;

/** Whether a request of this node may be answered there. Another reply subject would make our answer another's message. */
export function replyAllowed(nodeId: string, replySubject: string | undefined): replySubject is string {
  const prefix = nodeInboxPrefix(nodeId);
  return (
    replySubject !== undefined && replySubject.startsWith(prefix) && REPLY_REST.test(replySubject.slice(prefix.length))
  );
}

const seconds = (ms: number): number => Math.floor(ms / 1_000);
