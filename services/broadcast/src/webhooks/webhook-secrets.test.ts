import { expect, test } from "@jest/globals";
import { Webhook } from "standardwebhooks";
import { webhookHeaders } from "./sign-webhook.js";
import { canSign, createSecretBox, newWebhookSecret, secretBytes, signingAt } from "./webhook-secrets.js";

const KEY = "a key of the first year";
const NEWER = "a newer key for the second";

test("a sealed secret opens for its webhook only, and shows nothing of itself", () => {
  const box = createSecretBox(KEY);
  const secret = newWebhookSecret();
  const sealed = box.seal("whk_1", secret);
  expect(box.open("whk_1", sealed)).toBe(secret);
  expect(sealed).not.toContain(secret.slice(6, 20));
  expect(box.seal("whk_1", secret)).not.toBe(sealed);
  expect(() => box.open("whk_2", sealed)).toThrow("unable to authenticate");
  expect(() => box.open("whk_1", `${sealed.slice(0, -2)}AA`)).toThrow("unable to authenticate");
});

test("a newer key seals, the older one still opens", () => {
  const secret = newWebhookSecret();
  const sealed = createSecretBox(KEY).seal("whk_1", secret);
  const both = createSecretBox(`${NEWER},${KEY}`);
  expect(both.open("whk_1", sealed)).toBe(secret);
  expect(() => createSecretBox(KEY).open("whk_1", both.seal("whk_1", secret))).toThrow("OUTCRY_WEBHOOK_KEY");
  expect([both.opens(sealed), createSecretBox(NEWER).opens(sealed)]).toEqual([true, false]);
  expect(() => createSecretBox("short")).toThrow("16 characters");
});

test("a key may go once nothing that it sealed signs any more", () => {
  const [older, newer] = [createSecretBox(KEY), createSecretBox(NEWER)];
  const until = "2026-11-28T12:00:00.000Z";
  const untilMs = Date.parse(until);
  const secrets = [
    { sealed: newer.seal("whk_1", newWebhookSecret()) },
    { sealed: older.seal("whk_1", newWebhookSecret()), until },
  ];
  expect([canSign(newer, secrets, untilMs - 1), canSign(newer, secrets, untilMs)]).toEqual([false, true]);
  expect(signingAt(secrets, untilMs)).toEqual([secrets[0]!.sealed]);
  expect(canSign(older, secrets, untilMs)).toBe(false);
});

test("the stock library takes what is signed, with one secret or two, and nothing else", () => {
  const [first, second] = [newWebhookSecret(), newWebhookSecret()];
  const body = Buffer.from('{"type":"INTENT_CREATED","data":{"text":"ü"}}');
  const headers = webhookHeaders({ id: "evt_1", nowMs: Date.now(), body }, [second, first].map(secretBytes));
  for (const secret of [first, second]) expect(new Webhook(secret).verify(body, headers)).toBeDefined();
  expect(() => new Webhook(newWebhookSecret()).verify(body, headers)).toThrow("No matching signature");
  const late = { ...headers, "webhook-timestamp": String(Number(headers["webhook-timestamp"]) + 1) };
  expect(() => new Webhook(first).verify(body, late)).toThrow("No matching signature");
  expect(() => new Webhook(first).verify(body, { ...headers, "webhook-id": "evt_2" })).toThrow("No matching signature");
});
