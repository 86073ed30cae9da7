// Verbs of operators and admins. What makes something new and has no key of its own is not repeated on its own account.

import type {
  ApiKeyCreated,
  ApiKeyRequest,
  ApiKeyView,
  DeadLetter,
  DeadLetterDetail,
  GroupKey,
  InviteCreated,
  InviteRequest,
  LetterFilter,
  LetterGroups,
  NodeChange,
  NodeRecord,
  NodeRegistration,
  ReplayDryRun,
  ReplayRequest,
  ReplayView,
  RotationStarted,
  SigningKeyView,
  TokenCreated,
  TokenRequest,
} from "@outcry/protocol";
import { type GatewayClient, gatewayClient } from "./gateway-admin.js";
import { call, type HttpDeps, type HttpRequest, queryOf } from "./http.js";

export interface Page<T> {
  data: T[];
  has_more: boolean;
  next_cursor?: string;
}

export interface PageOptions {
  limit?: number;
  cursor?: string;
}

export interface NodesClient {
  list(options?: PageOptions & { status?: NodeRecord["status"] }): Promise<Page<NodeRecord>>;
  get(id: string): Promise<NodeRecord>;
  register(registration: NodeRegistration): Promise<NodeRecord>;
  update(id: string, change: NodeChange): Promise<NodeRecord>;
  suspend(id: string, reason?: string): Promise<NodeRecord>;
  resume(id: string): Promise<NodeRecord>;
  remove(id: string): Promise<void>;
}

export type LetterPageOptions = PageOptions & LetterFilter;

/** Replays of dead letters: each is a resource with a state, a rate and an audit. */
export interface ReplaysClient {
  /** How many letters fit the filter, and how many of those could be sent again now. Does nothing. */
  dryRun(request: Omit<ReplayRequest, "dry_run">): Promise<ReplayDryRun>;
  start(request: Omit<ReplayRequest, "dry_run">): Promise<ReplayView>;
  list(options?: PageOptions): Promise<Page<ReplayView>>;
  get(id: string): Promise<ReplayView>;
  pause(id: string, reason?: string): Promise<ReplayView>;
  resume(id: string, reason?: string): Promise<ReplayView>;
  cancel(id: string, reason?: string): Promise<ReplayView>;
}

export interface AdminClient {
  createApiKey(request: ApiKeyRequest): Promise<ApiKeyCreated>;
  listApiKeys(): Promise<Page<ApiKeyView>>;
  revokeApiKey(id: string): Promise<void>;
  createInvite(request?: InviteRequest): Promise<InviteCreated>;
  /** A short token for a buyer's browser. */
  createToken(request: TokenRequest): Promise<TokenCreated>;
  /** Newest first. A page may be short, even empty, and yet have more behind it. */
  deadLetters(options?: LetterPageOptions): Promise<Page<DeadLetter>>;
  deadLetterGroups(by: GroupKey, options?: LetterFilter & { cursor?: string }): Promise<LetterGroups>;
  deadLetter(id: string): Promise<DeadLetterDetail>;
  /** Repeating it is answered with the first discard. */
  discardDeadLetter(id: string, reason: string): Promise<DeadLetterDetail>;
  readonly replays: ReplaysClient;
  readonly nodes: NodesClient;
  readonly signingKeys: SigningKeysClient;
  readonly gateway: GatewayClient;
}

/** The service's own keys (ADR-9). */
export interface SigningKeysClient {
  list(): Promise<Page<SigningKeyView>>;
  /** Not repeated on its own account: a second call is a second rotation. */
  rotate(options?: { leadMs?: number }): Promise<RotationStarted>;
  revoke(kid: string): Promise<void>;
}

export function adminClient(http: HttpDeps): AdminClient {
  const ask = async <T>(request: HttpRequest): Promise<T> => (await call<T>(http, request)).value;
  const get = <T>(path: string) => ask<T>({ method: "GET", path, repeatable: true });
  const create = <T>(path: string, body: unknown) => ask<T>({ method: "POST", path, body, repeatable: false });
  const change = <T>(method: "POST" | "PATCH", path: string, body: unknown) =>
    ask<T>({ method, path, body, repeatable: true });
  const remove = (path: string) => ask<void>({ method: "DELETE", path, repeatable: true });
  const node = (id: string) => `/v1/nodes/${encodeURIComponent(id)}`;
  const letter = (id: string) => `/v1/dead-letters/${encodeURIComponent(id)}`;
  const replays = "/v1/dead-letters/replays";
  const command = (verb: string) => (id: string, reason?: string) =>
    change<ReplayView>("POST", `${replays}/${encodeURIComponent(id)}/${verb}`, reason === undefined ? {} : { reason });
  return {
    createApiKey: (request) => create("/v1/api-keys", request),
    listApiKeys: () => get("/v1/api-keys"),
    revokeApiKey: (id) => remove(`/v1/api-keys/${encodeURIComponent(id)}`),
    createInvite: (request = {}) => create("/v1/invites", request),
    createToken: (request) => change("POST", "/v1/tokens", request), // stores nothing
    deadLetters: (options = {}) => get(`/v1/dead-letters${queryOf({ ...options })}`),
    deadLetterGroups: (by, options = {}) => get(`/v1/dead-letters/groups${queryOf({ by, ...options })}`),
    deadLetter: (id) => get(letter(id)),
    discardDeadLetter: (id, reason) => change("POST", `${letter(id)}/discard`, { reason }),
    replays: {
      dryRun: (request) => change("POST", replays, { ...request, dry_run: true }), // stores nothing
      start: (request) => create(replays, request),
      list: (options = {}) => get(`${replays}${queryOf({ ...options })}`),
      get: (id) => get(`${replays}/${encodeURIComponent(id)}`),
      pause: command("pause"),
      resume: command("resume"),
      cancel: command("cancel"),
    },
    nodes: {
      list: (options = {}) => get(`/v1/nodes${queryOf({ ...options })}`),
      get: (id) => get(node(id)),
      register: async (registration) => (await create<{ node: NodeRecord }>("/v1/nodes", registration)).node,
      update: (id, fields) => change("PATCH", node(id), fields),
      suspend: (id, reason) => change("POST", `${node(id)}/suspend`, reason === undefined ? {} : { reason }),
      resume: (id) => change("POST", `${node(id)}/resume`, {}),
      remove: (id) => remove(node(id)),
    },
    gateway: gatewayClient(http),
    signingKeys: {
      list: () => get("/v1/signing-keys"),
      rotate: ({ leadMs } = {}) => create("/v1/signing-keys", leadMs === undefined ? {} : { lead_ms: leadMs }),
      revoke: (kid) => remove(`/v1/signing-keys/${encodeURIComponent(kid)}`),
    },
  };
}
