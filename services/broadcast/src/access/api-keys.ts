// API keys: made, found, revoked. A backend's key belongs to a backend id; losing every key loses no intent.

import { type ApiKeyRequest, type ApiKeyView, newId, OutcryError, toRfc3339 } from "@outcry/protocol";
import type { AccessBook, StoredApiKey } from "./access-book.js";
import { idOfSecret, isSecretOf, newSecret } from "./secrets.js";

const CLAIM = "claim";
const REVOKE_ATTEMPTS_MAX = 5;

export interface CreatedApiKey {
  view: ApiKeyView;
  /** Nowhere else, never again. */
  secret: string;
}

/** The first start's admin key; undefined on every later start, and for all but one of processes that start together. */
export async function claimAdminKey(book: AccessBook): Promise<CreatedApiKey | undefined> {
  const { stored, secret } = draw(book, { role: "admin", name: "first start" });
  const claimed = await book.adminClaim.create(CLAIM, stored);
  const first = claimed.kind === "written" ? stored : (await book.adminClaim.read(CLAIM))?.value;
  // The claim holds the whole key: if the process that won died here, the next one to start finishes its work.
  if (first !== undefined && (await book.apiKeys.read(first.id)) === undefined)
    await book.apiKeys.create(first.id, first);
  return claimed.kind === "written" ? { view: viewOf(stored), secret } : undefined;
}

export async function createApiKey(book: AccessBook, request: ApiKeyRequest): Promise<CreatedApiKey> {
  const { stored, secret } = draw(book, await withBackend(book, request));
  await book.apiKeys.create(stored.id, stored);
  return { view: viewOf(stored), secret };
}

export async function revokeApiKey(book: AccessBook, id: string): Promise<void> {
  for (let attempt = 0; attempt < REVOKE_ATTEMPTS_MAX; attempt++) {
    const kept = await book.apiKeys.read(id);
    if (kept === undefined) throw new OutcryError("api_key_not_found");
    if (kept.value.revoked !== undefined) return;
    if (kept.value.role === "admin" && !hasOtherAdmin(book, id)) throw new OutcryError("last_admin_key");
    const revoked = { ...kept.value, revoked: toRfc3339(book.clock.now()) };
    if ((await book.apiKeys.update(id, revoked, kept.revision)).kind === "written") return;
  }
  throw new OutcryError("dependency_unavailable", "The key is being changed by others without end.");
}

/** As this process knows it: two admins who revoke each other within a second are not kept from it. */
function hasOtherAdmin(book: AccessBook, id: string): boolean {
  for (const [other, { value }] of book.apiKeys.all())
    if (other !== id && value.role === "admin" && value.revoked === undefined) return true;
  return false;
}

/** Oldest first. */
export function listApiKeys(book: AccessBook): ApiKeyView[] {
  return [...book.apiKeys.all()]
    .map(([, kept]) => viewOf(kept.value))
    .sort((one, other) => (one.id < other.id ? -1 : 1));
}

/** The key that this secret is, or undefined: unknown, wrong and revoked are one to the caller. */
export async function identifyApiKey(book: AccessBook, secret: string): Promise<StoredApiKey | undefined> {
  const id = idOfSecret("ock", "key", secret);
  const kept = id === undefined ? undefined : await book.apiKeys.find(id);
  if (kept === undefined || !isSecretOf(secret, kept.value.secret_sha256)) return undefined;
  return kept.value.revoked === undefined ? kept.value : undefined;
}

async function withBackend(book: AccessBook, request: ApiKeyRequest): Promise<ApiKeyRequest> {
  const { role, name, backend_id } = request;
  if (role !== "backend") {
    if (backend_id !== undefined) throw wrongBackend("only keys of the role backend have one");
    return request;
  }
  if (backend_id !== undefined) {
    if ((await book.backends.find(backend_id)) === undefined) throw wrongBackend("there is no such backend");
    return request;
  }
  const id = newId("bkd", book.clock);
  await book.backends.create(id, { id, name, created: toRfc3339(book.clock.now()) });
  return { ...request, backend_id: id };
}

const wrongBackend = (detail: string) =>
  new OutcryError("validation_failed", detail, { pointers: [{ pointer: "/backend_id", detail }] });

function draw(book: AccessBook, { role, name, backend_id }: ApiKeyRequest): { stored: StoredApiKey; secret: string } {
  const id = newId("key", book.clock);
  const { secret, sha256 } = newSecret("ock", id);
  const owner = backend_id === undefined ? {} : { backend_id };
  return { stored: { id, role, name, ...owner, secret_sha256: sha256, created: toRfc3339(book.clock.now()) }, secret };
}

function viewOf({ secret_sha256: _hidden, ...view }: StoredApiKey): ApiKeyView {
  return view;
}
